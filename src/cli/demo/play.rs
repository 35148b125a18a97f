//! A script that is being played: one step after another, each over when the ring has answered it.

use super::script::{Script, Step};
use std::time::Instant;

/// A script and how far it is.
#[derive(Clone, Debug)]
pub(super) struct Play {
    /// Which.
    pub(super) script: &'static Script,
    /// Whether each step waits to be asked for.
    pub(super) stepwise: bool,
    at: usize,
    phase: Phase,
    /// When what is waited for first had come.
    met: Option<Instant>,
}

/// Where a step is.
#[derive(Clone, Debug)]
enum Phase {
    /// It is to be announced.
    Next,
    /// It waits to be asked for.
    Announced,
    /// It is done, and its answer is waited for.
    Done(Wait),
}

/// What is waited for.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Wait {
    /// Until what, one after another.
    pub(super) until: Vec<Until>,
    /// Since when.
    pub(super) since: Instant,
    /// What has to be by then.
    pub(super) limit: Instant,
}

/// What ends a step.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Until {
    /// This moment.
    Time(Instant),
    /// Exactly these have a ring of their own.
    Ring(Vec<usize>),
    /// So many messages are acknowledged, and no burst is unsaid.
    Acknowledged(u64),
    /// Something was acknowledged after this moment.
    NextAcknowledgement(Instant),
    /// A check later than this one found all histories equal and nothing lost.
    Equal(u64),
}

impl Play {
    /// A script at its beginning.
    pub(super) fn new(script: &'static Script, stepwise: bool) -> Self {
        Self { script, stepwise, at: 0, phase: Phase::Next, met: None }
    }

    /// The step, and its number from 1; `None` behind the last.
    pub(super) fn step(&self) -> Option<(Step, usize)> {
        self.script.steps.get(self.at).map(|step| (*step, self.at + 1))
    }

    /// The step that is to be announced now.
    pub(super) fn announce(&mut self) -> Option<Step> {
        let step = self.step().filter(|_| matches!(self.phase, Phase::Next))?.0;
        self.phase = Phase::Announced;
        Some(step)
    }

    /// The step that is to be done now: announced, and not to be asked for or asked for.
    pub(super) fn to_do(&self, asked: bool) -> Option<Step> {
        let ready = matches!(self.phase, Phase::Announced) && (asked || !self.stepwise);
        self.step().filter(|_| ready).map(|(step, _)| step)
    }

    /// The step was done; its answer is waited for.
    pub(super) fn wait(&mut self, wait: Wait) {
        self.phase = Phase::Done(wait);
    }

    /// What is waited for.
    pub(super) fn waits(&self) -> Option<&Wait> {
        match &self.phase {
            Phase::Done(wait) => Some(wait),
            _ => None,
        }
    }

    /// When the first of what is waited for had come: now, unless it was seen before.
    pub(super) fn met(&mut self, now: Instant) -> Instant {
        *self.met.get_or_insert(now)
    }

    /// The first of what is waited for has come, and was told; whether that was all.
    pub(super) fn came(&mut self) -> bool {
        let Phase::Done(wait) = &mut self.phase else { return false };
        self.met = None;
        if !wait.until.is_empty() {
            wait.until.remove(0);
        }
        wait.until.is_empty()
    }

    /// The step is over; whether there is another.
    pub(super) fn go_on(&mut self) -> bool {
        self.at += 1;
        self.phase = Phase::Next;
        self.at < self.script.steps.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::SCRIPTS;
    use super::*;
    use crate::cli::times::clock;

    #[test]
    fn stepwise_play_does_nothing_before_it_is_asked() {
        let mut play = Play::new(&SCRIPTS[0], true);
        assert_eq!(play.to_do(true), None, "not announced");
        let step = play.announce().unwrap();
        assert_eq!((play.announce(), play.to_do(false), play.to_do(true)), (None, None, Some(step)));
        let now = clock();
        play.wait(Wait { until: vec![Until::Time(now)], since: now, limit: now });
        assert_eq!(play.to_do(true), None, "done already");
        assert!(play.go_on() && play.step().is_some_and(|(_, number)| number == 2));
    }

    #[test]
    fn play_in_real_time_goes_to_its_end_by_itself() {
        let (mut play, mut done, now) = (Play::new(&SCRIPTS[1], false), 0, clock());
        loop {
            play.announce().unwrap();
            play.to_do(false).unwrap();
            play.wait(Wait { until: vec![Until::Time(now)], since: now, limit: now });
            assert!(play.came());
            done += 1;
            if !play.go_on() {
                break;
            }
        }
        assert_eq!(done, SCRIPTS[1].steps.len());
        assert!(play.step().is_none());
    }
}
