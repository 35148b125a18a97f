//! Says once that something takes long.

use crate::time::Time;
use std::time::Duration;

/// Whatever waits says so after this long.
const LONG: Duration = Duration::from_millis(1500);

/// One kind of waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Patience {
    /// Nothing is waited for.
    #[default]
    Idle,
    /// Something is, since then.
    Since(Time),
    /// It took long, and was said.
    Told,
}

impl Patience {
    /// Whether something is waited for; goes on if it was already.
    pub(super) fn wait_if(&mut self, waits: bool, now: Time) {
        if !waits {
            *self = Self::Idle;
        } else if *self == Self::Idle {
            *self = Self::Since(now);
        }
    }

    /// It got on.
    pub(super) fn rest(&mut self) {
        *self = Self::Idle;
    }

    /// Whether it is time to say so: once each time.
    pub(super) fn is_over(&mut self, now: Time) -> bool {
        let over = now >= self.next_timeout();
        if over {
            *self = Self::Told;
        }
        over
    }

    /// When [`Patience::is_over`].
    pub(super) fn next_timeout(&self) -> Time {
        match *self {
            Self::Since(since) => since + LONG,
            Self::Idle | Self::Told => Time::NEVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_wait_is_told_of_once_and_again_after_a_rest() {
        let mut patience = Patience::default();
        assert!(!patience.is_over(Time(9_000_000)));
        patience.wait_if(true, Time(0));
        patience.wait_if(true, Time(1_400_000));
        assert!(!patience.is_over(Time(1_499_999)));
        assert!(patience.is_over(Time(1_500_000)));
        assert!(!patience.is_over(Time(9_000_000)));
        patience.wait_if(false, Time(9_000_000));
        patience.wait_if(true, Time(9_000_000));
        assert!(patience.is_over(Time(10_500_000)));
    }
}
