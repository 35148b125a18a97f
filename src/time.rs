//! Time as the protocol sees it: always an argument, never read here.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Microseconds of a monotonic clock since some start that only its owner knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// Later than every deadline.
    pub const NEVER: Self = Self(u64::MAX);

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// The two clocks that every input carries: one to measure waits with, one to date messages with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Monotonic.
    pub mono: Time,
    /// Milliseconds since 1970 by this machine's wall clock, which may jump.
    pub wall_ms: u64,
}

/// A hybrid logical clock: 48 bits of milliseconds since 1970, then 16 bits of counter.
///
/// Issued by leaders only; never goes backwards within an epoch chain, and is never below what a client had seen
/// when it wrote (Kulkarni et al., *Logical Physical Clocks*, 2014; `PROTOCOL.md` §6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first reading of a millisecond; milliseconds beyond 48 bits are held at the greatest.
    pub fn from_wall_ms(ms: u64) -> Self {
        Self(ms.min((1 << 48) - 1) << 16)
    }

    /// Milliseconds since 1970.
    pub fn wall_ms(self) -> u64 {
        self.0 >> 16
    }

    /// The next reading: the counter, carrying into the milliseconds. Stays at the greatest value there is.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// `steps` readings on.
    #[must_use]
    pub fn plus(self, steps: u64) -> Self {
        Self(self.0.saturating_add(steps))
    }

    /// What a leader issues: after `last` and `floor`, and not before the wall clock.
    #[must_use]
    pub fn issue(wall_ms: u64, last: Self, floor: Self) -> Self {
        Self::from_wall_ms(wall_ms).max(last.next()).max(floor.next())
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}+{}", self.wall_ms(), self.0 & 0xffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_carries_into_the_milliseconds() {
        let full = Hlc(Hlc::from_wall_ms(7).0 | 0xffff);
        assert_eq!(full.next(), Hlc::from_wall_ms(8));
        assert_eq!(Hlc(u64::MAX).next(), Hlc(u64::MAX));
    }

    #[test]
    fn issue_passes_last_floor_and_clock() {
        let issued = Hlc::issue(5, Hlc::from_wall_ms(9), Hlc::from_wall_ms(7));
        assert_eq!(issued, Hlc::from_wall_ms(9).next());
        assert_eq!(Hlc::issue(5, Hlc(0), Hlc::from_wall_ms(7)), Hlc::from_wall_ms(7).next());
        assert_eq!(Hlc::issue(11, Hlc::from_wall_ms(9), Hlc(0)), Hlc::from_wall_ms(11));
    }
}
