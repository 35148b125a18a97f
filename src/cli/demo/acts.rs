//! What is done on the stage, by whomever: each action at once, without waiting for what comes of it.

use super::action::{Action, Refusal, Whom, slow_factor};
use super::commentary::{list, messages};
use super::fleet::State;
use super::play::Play;
use super::stage::Stage;
use crate::cli::failure::Failure;
use serde_json::json;
use std::collections::BTreeSet;

/// Most messages of bursts that wait to be said.
const MAX_UNSAID: u32 = 2000;

/// Done, or not.
type Outcome = Result<(), Trouble>;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It makes no sense now: who asked is told, and the demo goes on.
    Refused(Refusal),
    /// The demo cannot go on.
    Failed(Failure),
}

impl Trouble {
    fn refused(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, message, hint))
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Stage {
    /// Does one thing, and tells of it.
    pub(super) fn perform(&mut self, action: Action) -> Outcome {
        let outcome = match action {
            Action::Crash(whom) => self.crash(whom),
            Action::Restart(whom) => self.restart(whom),
            Action::Pause(whom) => self.pause(whom),
            Action::Resume(whom) => self.resume(whom),
            Action::Split(groups) => self.split(&groups),
            Action::Cut { from, to, both } => self.cut(from, to, both),
            Action::Mute => self.mute(),
            Action::Lose(whom, percent) => self.lose(whom, percent),
            Action::Heal => self.heal(),
            Action::Delay(whom, ms) => self.slow_down(whom, ms),
            Action::Burst(count) => self.burst(count),
            Action::Script { script, stepwise } => self.begin_script(Play::new(script, stepwise)),
            Action::Step if self.play.is_some() => {
                self.step_asked = true;
                Ok(())
            }
            Action::Step => Err(Trouble::refused("no_script", "No lesson is going on.", "begin one")),
            Action::Stop => self.stop(),
        };
        self.note_lives();
        outcome
    }

    /// Numbers of those who are meant and in this state.
    fn meant(&self, whom: Whom, state: State) -> Result<Vec<usize>, Refusal> {
        let these = self.fleet.in_state(state);
        match whom {
            Whom::All => Ok(these),
            Whom::One(at) if these.contains(&at) => Ok(vec![at]),
            Whom::One(at) => {
                let words = format!("{} is not {}.", self.fleet.name(at), state.word());
                let code = if state == State::Running { "not_running" } else { "not_so" };
                Err(Refusal::new(code, words, format!("it is {}", self.fleet.state(at).word())))
            }
            Whom::Leader => self.fleet.leader().map(|at| vec![at]).ok_or_else(|| {
                let who = self.fleet.view().map_or("nobody", |view| view.leader.as_str());
                let words = format!("None of the demo's running servers leads: {who} does.");
                Refusal::new("no_leader", words, "wait a moment, or name a server")
            }),
        }
    }

    fn names(&self, these: &[usize]) -> Vec<&'static str> {
        these.iter().map(|&at| self.fleet.name(at)).collect()
    }

    fn crash(&mut self, whom: Whom) -> Outcome {
        let these = self.meant(whom, State::Running).or_else(|refusal| {
            // Who is paused can be killed too.
            if matches!(whom, Whom::One(_)) {
                self.meant(whom, State::Paused).map_err(|_| refusal)
            } else {
                Err(refusal)
            }
        })?;
        let led = self.fleet.leader();
        for &at in &these {
            self.fleet.crash(at);
        }
        let names = self.names(&these);
        let words = match these[..] {
            [] => return Err(Trouble::refused("not_running", "No server runs.", "restart them")),
            [one] if Some(one) == led => format!("{}, who leads, is killed (kill -9).", names[0]),
            _ => format!("{} killed (kill -9).", are(&names)),
        };
        let server = if let [one] = names[..] { json!(one) } else { json!(null) };
        Ok(self.tell("crashed", json!({ "server": server, "servers": names }), &words)?)
    }

    fn restart(&mut self, whom: Whom) -> Outcome {
        let these = self.meant(whom, State::Crashed)?;
        if these.is_empty() {
            return Err(Trouble::refused("nobody", "All servers run.", "crash one first"));
        }
        for &at in &these {
            if let Err(failure) = self.fleet.start(at, &self.ground) {
                return Err(Trouble::refused("failed", failure.message, failure.hint));
            }
        }
        let names = self.names(&these);
        Ok(self.tell("restarted", json!({ "servers": names }), &format!("{} started again.", are(&names)))?)
    }

    fn pause(&mut self, whom: Whom) -> Outcome {
        let these = self.meant(whom, State::Running)?;
        for &at in &these {
            self.fleet.pause(at);
        }
        let names = self.names(&these);
        let words = format!("{} stopped in the middle of everything (SIGSTOP), as a machine that hangs.", are(&names));
        Ok(self.tell("paused", json!({ "servers": names }), &words)?)
    }

    fn resume(&mut self, whom: Whom) -> Outcome {
        let these = self.meant(whom, State::Paused)?;
        if these.is_empty() {
            return Err(Trouble::refused("nobody", "No server is paused.", "pause one first"));
        }
        for &at in &these {
            self.fleet.resume(at);
        }
        let names = self.names(&these);
        Ok(self.tell("resumed", json!({ "servers": names }), &format!("{} let go on (SIGCONT).", are(&names)))?)
    }

    fn split(&mut self, groups: &[BTreeSet<usize>]) -> Outcome {
        let groups: Vec<BTreeSet<usize>> = groups.iter().filter(|group| !group.is_empty()).cloned().collect();
        let grouped: BTreeSet<usize> = groups.iter().flatten().copied().collect();
        if groups.is_empty() || (groups.len() == 1 && grouped.len() == self.fleet.names().len()) {
            return Err(Trouble::refused("bad_control", "That cuts nothing.", "name two groups, or heal"));
        }
        self.fleet.rewire(|wiring| wiring.split(&groups));
        let mut sides: Vec<Vec<&str>> =
            groups.iter().map(|group| self.names(&group.iter().copied().collect::<Vec<_>>())).collect();
        let alone = (0..self.fleet.names().len()).filter(|at| !grouped.contains(at));
        sides.extend(alone.map(|at| vec![self.fleet.name(at)]));
        let words: Vec<String> = sides.iter().map(|side| list(side)).collect();
        let words = format!("The network is cut: {}.", words.join(" | "));
        Ok(self.tell("cut", json!({ "sides": sides }), &words)?)
    }

    fn cut(&mut self, from: usize, to: usize, both: bool) -> Outcome {
        self.fleet.rewire(|wiring| {
            wiring.cut(from, to);
            if both {
                wiring.cut(to, from);
            }
        });
        let (one, other) = (self.fleet.name(from), self.fleet.name(to));
        let words = if both {
            format!("The way between {one} and {other} is cut.")
        } else {
            format!("{other} does not hear {one} any more; {one} still hears {other}.")
        };
        Ok(self.tell("link_cut", json!({ "from": one, "to": other, "both": both }), &words)?)
    }

    fn mute(&mut self) -> Outcome {
        let leader = self.meant(Whom::Leader, State::Running)?[0];
        let all = self.fleet.names().len();
        self.fleet.rewire(|wiring| (0..all).for_each(|to| wiring.cut(leader, to)));
        self.chosen = Some(leader);
        let name = self.fleet.name(leader);
        let words = format!("Nobody hears {name} any more; it hears everyone.");
        Ok(self.tell("muted", json!({ "server": name }), &words)?)
    }

    fn lose(&mut self, whom: Whom, percent: u8) -> Outcome {
        let these = self.places(whom)?;
        self.fleet.rewire(|wiring| these.iter().for_each(|&at| wiring.lose(at, percent)));
        let who = if whom == Whom::All { "every server".to_owned() } else { list(&self.names(&these)) };
        let words = format!("Now {who} loses {percent} of 100 datagrams.");
        Ok(self.tell("loss", json!({ "percent": percent, "servers": self.names(&these) }), &words)?)
    }

    fn heal(&mut self) -> Outcome {
        self.fleet.rewire(super::wiring::Wiring::heal);
        Ok(self.tell("healed", json!({}), "The network is whole again: nothing is cut, nothing is lost.")?)
    }

    fn slow_down(&mut self, whom: Whom, ms: u16) -> Outcome {
        let these = self.places(whom)?;
        self.fleet.rewire(|wiring| these.iter().for_each(|&at| wiring.delay(at, ms)));
        let who = if whom == Whom::All { "every server".to_owned() } else { list(&self.names(&these)) };
        let words = match ms {
            0 => format!("What comes to {who} gets there at once again."),
            ms => format!("Slow motion: whatever comes to {who} takes {ms} ms longer to get there."),
        };
        let fields = json!({ "ms": ms, "factor": slow_factor(ms), "servers": self.names(&these) });
        Ok(self.tell("slow", fields, &words)?)
    }

    /// Who is meant by a fault, which waits for those that do not run.
    fn places(&self, whom: Whom) -> Result<Vec<usize>, Refusal> {
        match whom {
            Whom::All => Ok((0..self.fleet.names().len()).collect()),
            Whom::One(at) => Ok(vec![at]),
            Whom::Leader => self.meant(whom, State::Running),
        }
    }

    fn burst(&mut self, count: u32) -> Outcome {
        let unsaid: u32 = self.talkers.iter().map(super::talker::Talker::unsaid).sum();
        if unsaid + count > MAX_UNSAID || self.talkers.is_empty() {
            let words = format!("{} of earlier bursts wait.", messages(unsaid.into()));
            return Err(Trouble::refused("busy", words, "wait until they are said"));
        }
        let people = self.talkers.len() as u32;
        for (number, talker) in self.talkers.iter().enumerate() {
            talker.burst(count / people + u32::from((number as u32) < count % people));
        }
        let words = format!("{} at once.", messages(count.into()));
        Ok(self.tell("burst", json!({ "messages": count }), &words)?)
    }

    fn begin_script(&mut self, play: Play) -> Outcome {
        if self.play.is_some() {
            return Err(Trouble::refused("busy", "A lesson is going on.", "stop it first"));
        }
        let words = format!("Lesson {}: {}.", play.script.name, play.script.what);
        self.tell("script", json!({ "script": play.script.name, "stepwise": play.stepwise }), &words)?;
        (self.play, self.step_asked, self.chosen) = (Some(play), false, None);
        Ok(())
    }

    fn stop(&mut self) -> Outcome {
        match self.play.take() {
            None => Err(Trouble::refused("no_script", "No lesson is going on.", "begin one")),
            Some(play) => {
                let words = format!("Lesson {} is stopped; what it broke is still broken.", play.script.name);
                Ok(self.tell("script_stopped", json!({ "script": play.script.name }), &words)?)
            }
        }
    }
}

/// `oak is`, `oak and elm are`
fn are(names: &[&str]) -> String {
    format!("{} {}", list(names), if names.len() == 1 { "is" } else { "are" })
}
