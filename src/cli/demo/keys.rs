//! A demo in a person's hands: one key, one fault.

use super::script::Step;
use super::stage::Stage;
use crate::cli::failure::{Code, Failure, plain};
use crate::cli::times::clock;
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use serde_json::json;
use std::io::{self, Read};
use std::time::Duration;

/// How often keys are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Keys that were pressed and not yet obeyed.
const PRESSED: usize = 16;
/// What the keys do.
const HELP: &str = "c crash the leader · r restart · x cut the network · m mute the leader · l lose 20 % · h heal · \
                    p prove · q quit";

/// Obeys keys until `q`, then proves that nothing was lost.
///
/// # Errors
/// As [`Stage::prove_all`]; Ctrl-C.
pub(super) fn play(stage: &mut Stage) -> Result<(), Failure> {
    let terminal = Terminal::take();
    let pressed = listen()?;
    stage.tell("keys", json!({}), HELP)?;
    loop {
        match pressed.try_recv() {
            Ok(b'q') | Err(TryRecvError::Disconnected) => break,
            Ok(key) => obey(key, stage)?,
            Err(TryRecvError::Empty) => stage.hear_until(clock() + LOOK)?,
        }
    }
    // Whatever is still broken is mended first: the proof is about what was acknowledged, not about who is there.
    stage.step(Step::Heal).or_else(forgive)?;
    stage.step(Step::Restart).or_else(forgive)?;
    let outcome = stage.prove_all();
    drop(terminal);
    outcome
}

fn obey(key: u8, stage: &mut Stage) -> Result<(), Failure> {
    let step = match key {
        b'c' => Step::CrashLeader,
        b'r' => Step::Restart,
        b'x' => Step::Cut,
        b'm' => Step::MuteLeader,
        b'l' => Step::Lose(20),
        b'h' => Step::Heal,
        b'p' => {
            let (verdict, copies) = stage.prove()?;
            return stage.tell_proof(verdict, &copies);
        }
        _ => return stage.tell("keys", json!({}), HELP),
    };
    stage.step(step).or_else(|failure| {
        // With faults upon faults the ring may well not come together: that is told, and the demo goes on.
        if failure.silent { Err(failure) } else { stage.tell("not_yet", json!({}), &failure.message) }
    })
}

fn forgive(failure: Failure) -> Result<(), Failure> {
    if failure.silent { Err(failure) } else { Ok(()) }
}

fn listen() -> Result<Receiver<u8>, Failure> {
    let (to, pressed) = bounded(PRESSED);
    let run = move || {
        for key in io::stdin().lock().bytes() {
            let Ok(key) = key else { return };
            if to.send(key.to_ascii_lowercase()).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(run)
        .map_err(|error| Failure::new(Code::Failed, format!("cannot start a thread: {}", plain(&error))))?;
    Ok(pressed)
}

/// A terminal that gives single keys. Dropped, it is as it was.
struct Terminal {
    before: Option<Termios>,
}

impl Terminal {
    fn take() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        }
        Self { before }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
