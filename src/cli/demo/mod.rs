//! `demo`: real servers and scripted talkers on this machine alone, crashed and cut off, with a standing proof.
//!
//! Servers are processes of this program on a random net, a free port and a temporary directory; nothing of it reaches
//! another ring or another demo. Faults are made in the transport of these servers only, told through a pipe that each
//! inherited, whose end is also the server's: whatever becomes of the demo, nothing stays.

mod child;
mod fleet;
mod ground;
mod keys;
mod proof;
mod script;
mod stage;
mod tale;
mod talker;

pub(in crate::cli) use ground::remove_data;

use super::Run;
use super::args;
use super::failure::{Code, Failure};
use super::signals::Interrupt;
use script::{SCRIPTS, Script};
use serde_json::Value;
use stage::Stage;
use std::io::IsTerminal;

/// Something that a server's process did.
#[derive(Clone, PartialEq, Debug)]
enum Happening {
    /// It told an event.
    Server {
        /// Its number.
        at: usize,
        /// The line of JSON.
        event: Value,
    },
    /// It ended.
    Ended {
        /// Its number.
        at: usize,
    },
}

/// Runs the command.
pub(super) fn run(args: &args::Demo, run: &Run) -> Result<(), Failure> {
    let named = args.script.as_deref().map(script).transpose()?;
    let interrupt = Interrupt::install()?;
    let mut stage = Stage::open(usize::from(args.servers), run, &interrupt)?;
    let terminal = !run.output.json && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    stage.begin()?;
    match named {
        Some(script) => stage.play(script)?,
        None if terminal => return keys::play(&mut stage),
        None => stage.play(&SCRIPTS[0])?,
    }
    stage.prove_all()
}

fn script(name: &str) -> Result<&'static Script, Failure> {
    SCRIPTS.iter().find(|script| script.name == name).ok_or_else(|| {
        let names: Vec<String> = SCRIPTS.iter().map(|script| format!("{}: {}", script.name, script.what)).collect();
        Failure::new(Code::Usage, format!("there is no script \"{name}\"")).hint(names.join("\n"))
    })
}
