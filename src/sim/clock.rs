//! A machine's clocks: they drift, and the wall clock jumps.

use crate::time::{Now, Time};

/// Milliseconds since 1970 at the beginning of every run.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// Both clocks of one machine, as functions of simulated time.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Millionths by which it is fast.
    ppm: i64,
    /// Microseconds it was on for when the run began.
    started: u64,
    /// Milliseconds by which the wall clock is ahead.
    ahead_ms: i64,
}

impl Clock {
    /// A clock that is `ppm` millionths fast, on for `started` microseconds, whose wall clock is `ahead_ms` ahead.
    pub fn new(ppm: i64, started: u64, ahead_ms: i64) -> Self {
        Self { ppm: ppm.clamp(-500_000, 500_000), started, ahead_ms }
    }

    /// The wall clock jumps.
    pub fn jump(&mut self, ms: i64) {
        self.ahead_ms += ms;
    }

    /// What both show at a moment of the run.
    pub fn now(&self, at: Time) -> Now {
        let passed = scale(at.0, 1_000_000 + self.ppm, 1_000_000);
        let wall_ms = EPOCH_MS.saturating_add(passed / 1000).saturating_add_signed(self.ahead_ms);
        Now { mono: Time(self.started + passed), wall_ms }
    }

    /// The first moment of the run at which the monotonic clock shows at least `mono`.
    pub fn moment_of(&self, mono: Time) -> Time {
        if mono == Time::NEVER {
            return Time::NEVER;
        }
        let passed = mono.0.saturating_sub(self.started);
        Time(scale(passed, 1_000_000, 1_000_000 + self.ppm) + 1)
    }
}

fn scale(n: u64, by: i64, over: i64) -> u64 {
    // What is exact in 64 bits need not be divided in 128, at each step of each server.
    if let Some(scaled) = n.checked_mul(by.unsigned_abs()) {
        return scaled / over.unsigned_abs();
    }
    (u128::from(n) * by.unsigned_abs() as u128 / over.unsigned_abs() as u128) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarm_rings_when_the_clock_shows_it_and_hardly_later() {
        for ppm in [-200_000, -50, 0, 50, 200_000] {
            let clock = Clock::new(ppm, 77, 0);
            for mono in [77, 78, 1_000_077, 123_456_789] {
                let at = clock.moment_of(Time(mono));
                let shown = clock.now(at).mono.0;
                assert!((mono..mono + 4).contains(&shown), "{ppm} {mono} {shown}");
            }
        }
    }
}
