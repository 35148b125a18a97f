//! A demo in a person's hands: one key, or two, for each thing that can be done.

use super::LONG;
use super::action::{Action, Whom, slow_ms};
use super::acts::Trouble;
use super::fleet::State;
use super::script::SCRIPTS;
use super::stage::Stage;
use crate::cli::failure::{Code, Failure, plain};
use crate::cli::times::clock;
use crossbeam_channel::{Receiver, bounded};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use serde_json::json;
use std::io::{self, Read};

/// Keys that were pressed and not yet obeyed.
const PRESSED: usize = 16;
/// Messages of one burst.
const BURST: u32 = 200;
/// The speeds that one key goes through.
const SPEEDS: [f64; 4] = [1.0, 5.0, 10.0, 20.0];
/// What the keys do.
const HELP: &str = "\
c crash the leader            k crash one …              r restart all
x cut the leader's half off   i isolate one …            h heal
m nobody hears the leader     w one hears one no more …  l lose 20 % everywhere
z pause one …                 u resume all               b 200 messages at once
d slow: 1, 5, 10, 20 times    p how the proof stands     j page, how to join
s a lesson …                  space the next step        . stop the lesson
? these lines                 q end with the proof";

/// What a first key has asked for, and the next completes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Crash,
    Pause,
    Isolate,
    From,
    To(usize),
    Script,
}

/// What a key means.
#[derive(Clone, PartialEq, Debug)]
enum Meaning {
    Do(Action),
    Which(Asked),
    CutHalf,
    Slower,
    Proof,
    Invite,
    Help,
    Quit,
    Nothing,
}

/// Obeys keys until `q`, then proves that nothing was lost.
///
/// # Errors
/// As [`Stage::prove_all`]; Ctrl-C.
pub(super) fn play(stage: &mut Stage) -> Result<(), Failure> {
    let terminal = Terminal::take();
    stage.listen_to(listen()?);
    stage.tale.say(HELP)?;
    if stage.invitation.is_for_all {
        stage.invitation.tell(&stage.tale)?;
    }
    let mut asked = None;
    loop {
        let Some(key) = stage.turn(clock() + LONG)? else { continue };
        match meaning(key, asked.take(), stage.fleet.names().len()) {
            Meaning::Do(action) => obey(stage, action)?,
            Meaning::Which(which) => {
                ask(stage, which)?;
                asked = Some(which);
            }
            Meaning::CutHalf => {
                let halves = stage.halves();
                obey(stage, Action::Split(halves.iter().map(|half| half.iter().copied().collect()).collect()))?;
            }
            Meaning::Slower => {
                let ms = stage.fleet.wiring().delay_of(0);
                let next = SPEEDS.iter().map(|factor| slow_ms(*factor)).find(|speed| *speed > ms).unwrap_or(0);
                obey(stage, Action::Delay(Whom::All, next))?;
            }
            Meaning::Proof => stage.tell_report()?,
            Meaning::Invite => stage.invitation.tell(&stage.tale)?,
            Meaning::Help => {
                stage.tale.say(HELP)?;
                stage.invitation.tell_words(&stage.tale)?;
            }
            Meaning::Quit => break,
            Meaning::Nothing => {}
        }
    }
    let outcome = mend(stage).and_then(|()| stage.prove_all());
    drop(terminal);
    outcome
}

/// Plays what was begun, a step for each key; `q` ends it early, with all of it mended.
pub(super) fn step_through(stage: &mut Stage) -> Result<(), Failure> {
    let terminal = Terminal::take();
    stage.listen_to(listen()?);
    while stage.play.is_some() {
        match stage.turn(clock() + LONG)? {
            Some(b'q') => mend(stage)?,
            Some(_) => obey(stage, Action::Step)?,
            None => {}
        }
    }
    drop(terminal);
    Ok(())
}

/// Whatever is still broken is mended first: the proof is about what was acknowledged, not about who is there.
fn mend(stage: &mut Stage) -> Result<(), Failure> {
    stage.play = None;
    stage.tell("ending", json!({}), "The demo ends: what is broken is mended, then all histories are read.")?;
    obey(stage, Action::Heal)?;
    obey(stage, Action::Delay(Whom::All, 0))?;
    if !stage.fleet.in_state(State::Paused).is_empty() {
        obey(stage, Action::Resume(Whom::All))?;
    }
    if !stage.fleet.in_state(State::Crashed).is_empty() {
        obey(stage, Action::Restart(Whom::All))?;
    }
    let all = stage.fleet.in_state(State::Running);
    match stage.until_one_ring(&all) {
        Err(failure) if failure.silent => Err(failure),
        Err(failure) => stage.tell("not_yet", json!({}), &failure.message),
        Ok(_) => Ok(()),
    }
}

fn obey(stage: &mut Stage, action: Action) -> Result<(), Failure> {
    match stage.perform(action) {
        Ok(()) => Ok(()),
        Err(Trouble::Failed(failure)) => Err(failure),
        Err(Trouble::Refused(refusal)) => {
            let hint = if refusal.hint.is_empty() { String::new() } else { format!(" ({})", refusal.hint) };
            stage.tale.say(&format!("{}{hint}", refusal.message))
        }
    }
}

fn ask(stage: &Stage, which: Asked) -> Result<(), Failure> {
    let words = match which {
        Asked::Crash => "crash",
        Asked::Pause => "pause",
        Asked::Isolate => "isolate",
        Asked::From => "who is not heard any more:",
        Asked::To(from) => &format!("by whom is {} not heard any more:", stage.fleet.name(from)),
        Asked::Script => {
            let lines = SCRIPTS.iter().enumerate();
            let lines: Vec<String> =
                lines.map(|(at, script)| format!("{} {}: {}", at + 1, script.name, script.what)).collect();
            return stage.tale.say(&lines.join("\n"));
        }
    };
    let names = stage.fleet.names();
    let names: Vec<String> = names.iter().enumerate().map(|(at, name)| format!("{} {name}", at + 1)).collect();
    stage.tale.say(&format!("{words} {} ?", names.join(" · ")))
}

fn meaning(key: u8, asked: Option<Asked>, servers: usize) -> Meaning {
    if let Some(asked) = asked {
        let number = usize::from(key.wrapping_sub(b'1'));
        return completed(asked, number, servers);
    }
    match key {
        b'c' => Meaning::Do(Action::Crash(Whom::Leader)),
        b'k' => Meaning::Which(Asked::Crash),
        b'r' => Meaning::Do(Action::Restart(Whom::All)),
        b'z' => Meaning::Which(Asked::Pause),
        b'u' => Meaning::Do(Action::Resume(Whom::All)),
        b'x' => Meaning::CutHalf,
        b'i' => Meaning::Which(Asked::Isolate),
        b'w' => Meaning::Which(Asked::From),
        b'm' => Meaning::Do(Action::Mute),
        b'l' => Meaning::Do(Action::Lose(Whom::All, 20)),
        b'h' => Meaning::Do(Action::Heal),
        b'd' => Meaning::Slower,
        b'b' => Meaning::Do(Action::Burst(BURST)),
        b's' => Meaning::Which(Asked::Script),
        b' ' | b'n' | b'\n' => Meaning::Do(Action::Step),
        b'.' => Meaning::Do(Action::Stop),
        b'p' => Meaning::Proof,
        b'j' => Meaning::Invite,
        b'q' => Meaning::Quit,
        _ => Meaning::Help,
    }
}

fn completed(asked: Asked, number: usize, servers: usize) -> Meaning {
    if asked == Asked::Script {
        let script = SCRIPTS.get(number);
        return script.map_or(Meaning::Nothing, |script| Meaning::Do(Action::Script { script, stepwise: true }));
    }
    if number >= servers {
        return Meaning::Nothing;
    }
    match asked {
        Asked::Crash => Meaning::Do(Action::Crash(Whom::One(number))),
        Asked::Pause => Meaning::Do(Action::Pause(Whom::One(number))),
        Asked::Isolate => {
            let rest = (0..servers).filter(|at| *at != number).collect();
            Meaning::Do(Action::Split(vec![[number].into(), rest]))
        }
        Asked::From => Meaning::Which(Asked::To(number)),
        Asked::To(from) if from == number => Meaning::Nothing,
        Asked::To(from) => Meaning::Do(Action::Cut { from, to: number, both: false }),
        Asked::Script => Meaning::Nothing,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_name_what_is_done_and_to_whom() {
        assert_eq!(meaning(b'k', None, 5), Meaning::Which(Asked::Crash));
        assert_eq!(meaning(b'3', Some(Asked::Crash), 5), Meaning::Do(Action::Crash(Whom::One(2))));
        assert_eq!(meaning(b'6', Some(Asked::Crash), 5), Meaning::Nothing);
        assert_eq!(meaning(b'k', Some(Asked::Crash), 5), Meaning::Nothing);
        assert_eq!(meaning(b'1', Some(Asked::From), 5), Meaning::Which(Asked::To(0)));
        let cut = Action::Cut { from: 0, to: 1, both: false };
        assert_eq!(meaning(b'2', Some(Asked::To(0)), 5), Meaning::Do(cut));
        assert_eq!(meaning(b'1', Some(Asked::To(0)), 5), Meaning::Nothing);
    }

    #[test]
    fn lines_of_help_fit_a_terminal() {
        assert!(HELP.lines().all(|line| line.chars().count() < 80));
    }

    #[test]
    fn key_that_means_nothing_shows_what_keys_mean() {
        assert_eq!(meaning(b'@', None, 5), Meaning::Help);
        for key in HELP.lines().flat_map(|line| line.split("  ")).filter_map(|part| part.trim().chars().next()) {
            assert!(key == 's' || meaning(key as u8, None, 5) != Meaning::Help || key == '?', "{key}");
        }
    }
}
