//! What can be done to a demo, whoever asks: a key, a script, or the page.

use super::script::Script;
use std::collections::BTreeSet;

/// Most of 100 datagrams that may be lost: with more, nothing can be learned but that nothing works.
pub(super) const MAX_LOSS: u8 = 90;
/// The slowest motion.
pub(super) const MAX_SLOW: f64 = 20.0;
/// What each step of slow motion adds to a datagram's way, in milliseconds.
const SLOW_STEP_MS: f64 = 4.0;
/// Most messages of one burst.
pub(super) const MAX_BURST: u32 = 1000;

/// Something to be done.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Action {
    /// `kill -9`.
    Crash(Whom),
    /// Start who was killed.
    Restart(Whom),
    /// Stop who runs, where it is.
    Pause(Whom),
    /// Let who was stopped go on.
    Resume(Whom),
    /// Nothing passes between these groups; who is in none is alone.
    Split(Vec<BTreeSet<usize>>),
    /// Nothing passes from one to the other, or also back.
    Cut {
        /// From whom.
        from: usize,
        /// To whom.
        to: usize,
        /// Also the other way.
        both: bool,
    },
    /// Nobody hears the leader, which hears everyone.
    Mute,
    /// So many of 100 datagrams are lost.
    Lose(Whom, u8),
    /// Cuts and loss end.
    Heal,
    /// So many milliseconds are added to everything that comes.
    Delay(Whom, u16),
    /// So many messages are said at once.
    Burst(u32),
    /// A lesson begins.
    Script {
        /// Which.
        script: &'static Script,
        /// Whether each step waits to be asked for.
        stepwise: bool,
    },
    /// The lesson's next step.
    Step,
    /// The lesson is over.
    Stop,
}

/// To whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whom {
    /// Everyone whom it concerns.
    All,
    /// Who leads.
    Leader,
    /// The server of this number.
    One(usize),
}

/// Why something is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    /// A stable word.
    pub(super) code: &'static str,
    /// What is wrong.
    pub(super) message: String,
    /// What can be done instead.
    pub(super) hint: String,
}

impl Refusal {
    /// A refusal.
    pub(super) fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }
}

/// What slow motion of this factor adds to everything's way: nothing at 1.
pub(super) fn slow_ms(factor: f64) -> u16 {
    ((factor.clamp(1.0, MAX_SLOW) - 1.0) * SLOW_STEP_MS).round() as u16
}

/// The factor whose delay this is.
pub(super) fn slow_factor(ms: u16) -> f64 {
    1.0 + f64::from(ms) / SLOW_STEP_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_motion_is_none_at_one_and_bounded() {
        assert_eq!([1.0, 2.0, 5.0, 20.0, 1e9, -3.0].map(slow_ms), [0, 4, 16, 76, 76, 0]);
        assert!((slow_factor(slow_ms(5.0)) - 5.0).abs() < 0.01);
    }
}
