//! `demo`: real servers and scripted talkers on this machine, crashed and cut off, with a commentary and a standing proof.
//!
//! Servers are processes of this program on a random net, a free port and a temporary directory; nothing of it reaches
//! another ring or another demo. Faults are made in the transport of these servers only, told through a pipe that each
//! inherited, whose end is also the server's, and a keeper removes the directory: whatever becomes of the demo, nothing stays. Only `--classroom` leaves this
//! machine: then the servers stand on the network's interface, and others may join their net.
//!
//! | file | noun |
//! |---|---|
//! | `stage` | the loop that hears everything; `acts`, `lesson` and `document` are what it does, plays and shows |
//! | `fleet`, `child`, `wiring`, `view` | the servers, their processes, what is broken, what they say |
//! | `ground`, `keeper` | where they stand, and who cleans up there |
//! | `talker`, `standing`, `proof` | who talks, and how it is proved that nothing is lost |
//! | `script`, `play` | prepared lessons, and one that is being played |
//! | `action`, `control`, `keys` | what can be done, as pages and as keys ask for it |
//! | `commentary`, `repairs`, `tale` | the words |
//! | `page`, `classroom` | how others see it, and join |

mod action;
mod acts;
mod child;
mod classroom;
mod commentary;
mod control;
mod document;
mod fleet;
mod ground;
mod keeper;
mod keys;
mod lesson;
mod page;
mod play;
mod proof;
mod repairs;
mod script;
mod stage;
mod standing;
mod tale;
mod talker;
mod view;
mod wiring;

pub(in crate::cli) use keeper::Footing;

use super::Run;
use super::args;
use super::config::Settings;
use super::contact::Contact;
use super::failure::{Code, Failure};
use super::output::Output;
use super::signals::Interrupt;
use super::times::clock;
use super::values::Span;
use crate::client::Notice;
use crate::web::Host;
use crate::wire::session::Query;
use action::Action;
use child::Life;
use classroom::Invitation;
use ground::{Ground, Place};
use keeper::Keeper;
use script::{SCRIPTS, Script};
use serde_json::{Value, json};
use stage::{Manner, Stage};
use standing::Report;
use std::io::IsTerminal;
use std::time::Duration;

/// The time between two messages of one talker, when people look on and when they do not.
const PACE_WATCHED: Duration = Duration::from_millis(400);
const PACE_ALONE: Duration = Duration::from_millis(50);

/// How long servers of a net that was asked for may take to answer.
const LOOK: Duration = Duration::from_secs(1);

/// How long the loop waits when nothing happens.
const LONG: Duration = Duration::from_mins(1);

/// Something that a part of the demo did.
#[derive(Clone, PartialEq, Debug)]
enum Happening {
    /// A server told an event.
    Server {
        /// Which, in which life.
        life: Life,
        /// The line of JSON.
        event: Value,
    },
    /// A server's process ended.
    Ended {
        /// Which, in which life.
        life: Life,
    },
    /// A talker told something of its server.
    Person {
        /// Its nick.
        nick: String,
        /// What.
        notice: Notice,
    },
    /// The histories were compared.
    Proof(Report),
}

/// Runs the command.
pub(super) fn run(args: &args::Demo, run: &Run) -> Result<(), Failure> {
    if let Some(dir) = &args.keeper {
        return keeper::keep(std::io::stdin(), dir).map_err(|error| Failure::io("clean up", dir, &error));
    }
    if args.script.as_deref() == Some("list") {
        return list(run);
    }
    let named = args.script.as_deref().map(script).transpose()?;
    let terminal = !run.output.json && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if args.step && !terminal {
        return Err(Failure::new(Code::Usage, "--step waits for keys, and there is no terminal").hint("leave it out"));
    }
    let way = match named {
        Some(script) if args.step => Way::Steps(script),
        Some(script) => Way::Alone(script),
        None if terminal => Way::Keys,
        None if args.classroom || page::is_asked_for(&run.settings) => Way::Pages,
        None => Way::Alone(&SCRIPTS[0]),
    };
    let interrupt = Interrupt::install()?;
    let ground = Ground::new(Place::of(&run.settings, args.classroom))?;
    let _keeper = Keeper::start(&ground)?;
    if ground::is_net_asked(&run.settings) {
        refuse_a_net_in_use(&ground, run, &interrupt)?;
    }
    let is_watched = !matches!(way, Way::Alone(_));
    let wants_page = is_watched || args.classroom || page::is_asked_for(&run.settings);
    let page = if wants_page { page::open(run, &ground, args.classroom)? } else { None };
    let (host, controls) = page.unzip();
    let manner = Manner {
        servers: usize::from(args.servers),
        pace: if is_watched { PACE_WATCHED } else { PACE_ALONE },
        keys: matches!(way, Way::Keys | Way::Steps(_)),
        strict: matches!(way, Way::Steps(_) | Way::Alone(_)),
    };
    let mut stage = Stage::open(manner, ground, run, &interrupt, controls)?;
    stage.begin(host.as_ref().map(Host::url))?;
    stage.invitation = Invitation::new(&stage.ground, args.classroom, host.as_ref().map(Host::url), &run.output);
    if args.classroom && !matches!(way, Way::Keys) {
        stage.invitation.tell(&stage.tale)?;
    }
    if let Some(host) = host.as_ref().filter(|_| args.open) {
        page::show(run, host.url());
    }
    go(&mut stage, &way)
}

/// A demo's servers are killed and its people chatter: no ring of others is the place for that.
fn refuse_a_net_in_use(ground: &Ground, run: &Run, interrupt: &Interrupt) -> Result<(), Failure> {
    let settings = Settings { timeout: ground::set(Span(LOOK)), ..ground.settings(&run.settings)? };
    let looking = Run { settings, output: Output { quiet: true, ..run.output.clone() } };
    match Contact::open(&looking, interrupt)?.ask(Query::Status) {
        Ok(_) => {
            Err(Failure::new(Code::Usage, format!("net \"{}\" has servers: a demo wants one of its own", ground.net))
                .hint("another -n, or none: then a name is drawn"))
        }
        Err(failure) if failure.code == Code::Interrupted => Err(failure),
        Err(_) => Ok(()),
    }
}

/// How a demo is led.
enum Way {
    /// By keys, and by pages.
    Keys,
    /// By pages only, until Ctrl-C.
    Pages,
    /// By a script, a key for each step.
    Steps(&'static Script),
    /// By a script, in real time.
    Alone(&'static Script),
}

fn go(stage: &mut Stage, way: &Way) -> Result<(), Failure> {
    let (script, stepwise) = match way {
        Way::Keys => return keys::play(stage),
        Way::Pages => loop {
            stage.turn(clock() + LONG)?;
        },
        Way::Steps(script) => (*script, true),
        Way::Alone(script) => (*script, false),
    };
    stage.must(Action::Script { script, stepwise })?;
    if stepwise {
        keys::step_through(stage)?;
    }
    while stage.play.is_some() {
        stage.turn(clock() + LONG)?;
    }
    stage.prove_all()
}

fn script(name: &str) -> Result<&'static Script, Failure> {
    SCRIPTS.iter().find(|script| script.name == name).ok_or_else(|| {
        let names: Vec<String> = SCRIPTS.iter().map(|script| format!("{}: {}", script.name, script.what)).collect();
        Failure::new(Code::Usage, format!("there is no script \"{name}\"")).hint(names.join("\n"))
    })
}

fn list(run: &Run) -> Result<(), Failure> {
    let width = SCRIPTS.iter().map(|script| script.name.len()).max().unwrap_or(0);
    SCRIPTS.iter().try_for_each(|script| {
        if run.output.json {
            return run.output.document(&json!({ "script": script.name, "what": script.what }));
        }
        run.output.line(&format!("{:width$}  {}", script.name, script.what))
    })
}
