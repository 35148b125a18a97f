//! Whether the multicast is good enough to live on.

use crate::time::Time;
use std::time::Duration;

/// Beacons of the home in a row, none of them lost, before the client relies on the multicast.
const BEACONS: u32 = 3;
/// Beacons further apart than this are not in a row: one comes each 250 ms.
const ROW: Duration = Duration::from_millis(600);
/// Without a beacon for this long the multicast has failed.
const SILENCE: Duration = Duration::from_millis(1500);
/// Entries over which the share of fetched ones is taken.
const SAMPLE: u32 = 64;
/// The multicast that left out more than one entry in this many has failed.
const SHARE: u32 = 4;
/// After such a failure the client lives on its session's feed for this long, doubled each time …
const HOLD: Duration = Duration::from_secs(10);
/// … to at most this.
const HOLD_MOST: Duration = Duration::from_secs(160);
/// A multicast that was good this long starts anew.
const GOOD: Duration = Duration::from_mins(1);

/// Judges the multicast by the home's beacons and by how much of what it should have brought had to be fetched.
#[derive(Debug)]
pub(super) struct Hearing {
    on: bool,
    since: Time,
    last: Time,
    in_row: u32,
    came: u32,
    fetched: u32,
    hold: Duration,
    not_before: Time,
}

impl Hearing {
    /// Not heard yet.
    pub(super) fn new() -> Self {
        let zero = Time(0);
        Self { on: false, since: zero, last: zero, in_row: 0, came: 0, fetched: 0, hold: HOLD, not_before: zero }
    }

    /// Whether the client relies on the multicast.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// Another home, whose beacons have to come first.
    pub(super) fn moved(&mut self) {
        self.on = false;
        self.in_row = 0;
    }

    /// A beacon of the home came by multicast.
    pub(super) fn beacon(&mut self, now: Time) {
        self.in_row = if now.since(self.last) > ROW { 1 } else { self.in_row.saturating_add(1) };
        self.last = now;
    }

    /// An entry was shown that came by multicast, or had to be `fetched`.
    pub(super) fn entry(&mut self, fetched: bool) {
        if fetched {
            self.fetched += 1;
        } else {
            self.came += 1;
        }
    }

    /// Back to the session's feed; if the multicast is to `blame`, for a while.
    pub(super) fn off(&mut self, now: Time, blame: bool) {
        if self.on && now.since(self.since) >= GOOD {
            self.hold = HOLD;
        }
        self.on = false;
        if blame {
            self.in_row = 0;
            self.not_before = now + self.hold;
            self.hold = (self.hold * 2).min(HOLD_MOST);
        }
    }

    /// Whether to begin to rely on it now.
    pub(super) fn may_begin(&self, now: Time) -> bool {
        !self.on && self.in_row >= BEACONS && now.since(self.last) <= ROW && now >= self.not_before
    }

    /// Relies on it from now on.
    pub(super) fn begin(&mut self, now: Time) {
        (self.on, self.since, self.came, self.fetched) = (true, now, 0, 0);
    }

    /// Whether it has failed, and is to blame: silent, or too little of it arrives.
    pub(super) fn has_failed(&mut self, now: Time) -> bool {
        if !self.on {
            return false;
        }
        let total = self.came + self.fetched;
        let thin = total >= SAMPLE && self.fetched * SHARE > total;
        if total >= SAMPLE {
            (self.came, self.fetched) = (0, 0);
        }
        thin || now.since(self.last) >= SILENCE
    }

    /// When silence becomes failure.
    pub(super) fn next_timeout(&self) -> Time {
        if self.on { self.last + SILENCE } else { Time::NEVER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Time {
        Time(ms * 1000)
    }

    fn good() -> Hearing {
        let mut hearing = Hearing::new();
        for ms in [1000, 1250, 1500] {
            assert!(!hearing.may_begin(at(ms)));
            hearing.beacon(at(ms));
        }
        assert!(hearing.may_begin(at(1500)));
        hearing.begin(at(1500));
        hearing
    }

    #[test]
    fn silence_is_failure_and_beacons_in_a_row_are_needed_after_it() {
        let mut hearing = good();
        assert!(!hearing.has_failed(at(2999)));
        assert_eq!(hearing.next_timeout(), at(3000));
        assert!(hearing.has_failed(at(3000)));
        hearing.off(at(3000), true);
        for ms in [20_000, 21_000, 22_000, 22_250] {
            hearing.beacon(at(ms));
            assert!(!hearing.may_begin(at(ms)), "{ms}");
        }
        hearing.beacon(at(22_500));
        assert!(hearing.may_begin(at(22_500)));
    }

    #[test]
    fn multicast_that_leaves_out_more_than_a_quarter_has_failed() {
        let mut hearing = good();
        for n in 0..SAMPLE {
            hearing.entry(n % 4 == 0);
        }
        assert!(!hearing.has_failed(at(1600)));
        for n in 0..SAMPLE {
            hearing.entry(n % 3 == 0);
        }
        assert!(hearing.has_failed(at(1600)));
    }

    #[test]
    fn each_failure_keeps_the_client_away_longer_until_a_good_minute() {
        let mut hearing = good();
        hearing.off(at(1600), true);
        assert_eq!(hearing.not_before, at(11_600));
        hearing.begin(at(20_000));
        hearing.off(at(21_000), true);
        assert_eq!(hearing.not_before, at(41_000));
        hearing.begin(at(50_000));
        hearing.off(at(110_000), true);
        assert_eq!(hearing.not_before, at(120_000));
    }
}
