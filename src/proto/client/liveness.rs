//! Whether the home server still lives.

use crate::time::Time;
use std::time::Duration;

/// A home that is to answer something and says nothing for this long is asked.
const EXPECTED: Duration = Duration::from_millis(500);
/// A home of which nothing at all is heard for this long is asked.
const SILENT: Duration = Duration::from_secs(1);
/// A home whose beacons are heard is asked this often nevertheless: the process may live and the session hang.
const QUIET: Duration = Duration::from_secs(5);
/// A home that is silent for this long after it was asked is gone.
const GONE: Duration = Duration::from_secs(1);

/// The clocks of one session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Liveness {
    /// The session brought something.
    spoke: Time,
    /// A beacon arrived.
    beacon: Time,
    /// A ping went out and nothing has come since.
    asked: Option<Time>,
}

/// What the clocks say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Nothing to do.
    Alive,
    /// Ask.
    Ask,
    /// Go to another server.
    Gone,
}

impl Liveness {
    /// The clocks of a session that has just begun.
    pub(super) fn new(now: Time) -> Self {
        Self { spoke: now, beacon: now, asked: None }
    }

    /// The session brought something.
    pub(super) fn spoke(&mut self, now: Time) {
        self.spoke = now;
        self.asked = None;
    }

    /// A beacon of the home arrived.
    pub(super) fn beacon(&mut self, now: Time) {
        self.beacon = now;
    }

    /// What to do now, `expecting` an answer or not. When it says [`Verdict::Ask`] it takes the ping for sent.
    pub(super) fn verdict(&mut self, now: Time, expecting: bool) -> Verdict {
        if now < self.next_timeout(expecting) {
            return Verdict::Alive;
        }
        if self.asked.is_some() {
            return Verdict::Gone;
        }
        self.asked = Some(now);
        Verdict::Ask
    }

    /// When the verdict changes if nothing is heard.
    pub(super) fn next_timeout(&self, expecting: bool) -> Time {
        if let Some(asked) = self.asked {
            return asked + GONE;
        }
        let silent = (self.spoke.max(self.beacon) + SILENT).min(self.spoke + QUIET);
        if expecting { silent.min(self.spoke + EXPECTED) } else { silent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Time {
        Time(ms * 1000)
    }

    #[test]
    fn silent_home_is_asked_after_a_second_and_gone_a_second_later() {
        let mut live = Liveness::new(at(0));
        assert_eq!(live.verdict(at(999), false), Verdict::Alive);
        assert_eq!(live.verdict(at(1000), false), Verdict::Ask);
        assert_eq!(live.verdict(at(1999), false), Verdict::Alive);
        assert_eq!(live.verdict(at(2000), false), Verdict::Gone);
    }

    #[test]
    fn home_that_owes_an_answer_is_asked_sooner() {
        let mut live = Liveness::new(at(0));
        live.beacon(at(400));
        assert_eq!(live.verdict(at(500), true), Verdict::Ask);
        live.spoke(at(600));
        assert_eq!(live.verdict(at(1000), true), Verdict::Alive);
    }

    #[test]
    fn beacons_keep_the_questions_away_for_five_seconds_but_no_longer() {
        let mut live = Liveness::new(at(0));
        for ms in (0..5000).step_by(250) {
            live.beacon(at(ms));
            assert_eq!(live.verdict(at(ms), false), Verdict::Alive);
        }
        assert_eq!(live.verdict(at(5000), false), Verdict::Ask);
        live.beacon(at(5500));
        assert_eq!(live.verdict(at(6000), false), Verdict::Gone, "beacons do not answer a ping");
    }
}
