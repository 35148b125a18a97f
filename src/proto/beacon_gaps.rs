//! The pauses between one server's beacons: how long silence is normal, and how many beacons are lost.

use crate::time::Time;
use std::time::Duration;

/// Pause between a server's beacons, ± 10 %.
pub const BEACON_PAUSE: Duration = Duration::from_millis(250);
/// Shortest silence that makes a suspect.
pub const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// Longest silence that does not.
pub const PATIENCE_MAX: Duration = Duration::from_secs(5);
/// Gaps remembered.
const GAPS: usize = 64;
/// Two beacons closer than this are one that came on two ways.
const ECHO: Duration = Duration::from_millis(50);
/// Longest gap that counts at its length: a longer one was an outage, and must not make the next one be noticed late.
const GAP_MAX: Duration = Duration::from_millis(1500);
/// This many beacons by unicast without one by multicast: the multicast does not arrive.
const UNICAST_RUN: u32 = 3;
/// No multicast for this long from one who lives: it does not arrive.
const MULTICAST_SILENCE: Duration = Duration::from_secs(1);
/// Multicast loss, of 1000, from which on unicast is better if it loses a third of that or less.
const LOSSY_PER_MILLE: u32 = 100;
/// Multicast beacons without a gap after which multicast is trusted again.
const CLEAN_RUN: u32 = 10;

/// The last 64 gaps between beacons of one server, for each way that they come (`PROTOCOL.md` §4 and §5).
#[derive(Clone, Debug)]
pub struct BeaconGaps {
    any: Gaps,
    multicast: Gaps,
    unicast: Gaps,
    patience: Duration,
    last_multicast: Option<Time>,
    /// Beacons by unicast since the last by multicast.
    unicast_run: u32,
    /// Multicast beacons since the last gap between them.
    clean_run: u32,
    /// Whether multicast was given up and has not been clean for long enough since.
    fallen: bool,
}

impl Default for BeaconGaps {
    fn default() -> Self {
        Self::new()
    }
}

impl BeaconGaps {
    /// Nothing heard yet.
    pub fn new() -> Self {
        Self {
            any: Gaps::default(),
            multicast: Gaps::default(),
            unicast: Gaps::default(),
            patience: PATIENCE_MIN,
            last_multicast: None,
            unicast_run: 0,
            clean_run: 0,
            fallen: false,
        }
    }

    /// A datagram came, by multicast or not, a beacon or not.
    pub fn note(&mut self, now: Time, beacon: bool, multicast: bool) {
        self.fallen |= self.multicast_is_silent(now);
        if multicast {
            self.last_multicast = Some(now);
        }
        if !beacon {
            return;
        }
        if self.any.note(now).is_some() {
            self.patience = self.any.patience();
        }
        if multicast { self.note_multicast(now) } else { self.note_unicast(now) }
    }

    /// Gaps that this process made by being late itself say nothing.
    pub fn start_anew(&mut self, now: Time) {
        self.forget_pause();
        if self.last_multicast.is_some() {
            self.last_multicast = Some(now);
        }
    }

    /// The pause since the last beacon was an outage, and tells nothing of what is normal.
    pub fn forget_pause(&mut self) {
        for gaps in [&mut self.any, &mut self.multicast, &mut self.unicast] {
            gaps.last = None;
        }
    }

    /// How long a silence is normal: `clamp(mean + 6·deviation, 1 s, 5 s)`.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether multicast arrives here well enough to do without unicast.
    pub fn multicast_heard(&self, now: Time) -> bool {
        self.last_multicast.is_some() && !self.fallen && !self.multicast_is_silent(now)
    }

    /// Beacons lost, of 1000, as the gaps tell.
    pub fn loss_per_mille(&self, multicast: bool) -> u32 {
        if multicast { self.multicast.loss_per_mille() } else { self.unicast.loss_per_mille() }
    }

    fn note_multicast(&mut self, now: Time) {
        self.unicast_run = 0;
        match self.multicast.note(now) {
            Some(gap) if gap < BEACON_PAUSE * 3 / 2 => self.clean_run = self.clean_run.saturating_add(1),
            Some(_) => self.clean_run = 0,
            None => {}
        }
        if self.clean_run >= CLEAN_RUN {
            if self.fallen {
                self.multicast = Gaps { last: Some(now), ..Gaps::default() };
            }
            self.fallen = false;
        } else {
            self.fallen |= self.unicast_is_better();
        }
    }

    fn note_unicast(&mut self, now: Time) {
        self.unicast.note(now);
        self.unicast_run = self.unicast_run.saturating_add(1);
        if self.unicast_run >= UNICAST_RUN {
            self.fallen = true;
            self.clean_run = 0;
        }
    }

    fn unicast_is_better(&self) -> bool {
        let (multicast, unicast) = (self.loss_per_mille(true), self.loss_per_mille(false));
        self.unicast.count > 0 && multicast > LOSSY_PER_MILLE && multicast >= unicast.saturating_mul(3)
    }

    fn multicast_is_silent(&self, now: Time) -> bool {
        self.last_multicast.is_some_and(|last| now.since(last) > MULTICAST_SILENCE)
    }
}

/// The last gaps on one way, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Gaps {
    micros: [u32; GAPS],
    count: usize,
    next: usize,
    last: Option<Time>,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { micros: [0; GAPS], count: 0, next: 0, last: None }
    }
}

impl Gaps {
    /// Notes a beacon; the gap before it, if there was one.
    fn note(&mut self, now: Time) -> Option<Duration> {
        let gap = now.since(*self.last.get_or_insert(now)).min(GAP_MAX);
        if gap < ECHO {
            return None;
        }
        self.last = Some(now);
        self.micros[self.next] = gap.as_micros() as u32;
        self.next = (self.next + 1) % GAPS;
        self.count = (self.count + 1).min(GAPS);
        Some(gap)
    }

    fn patience(&self) -> Duration {
        let count = self.count.max(1) as u64;
        let mean = self.iter().sum::<u64>() / count;
        let variance = self.iter().map(|gap| gap.abs_diff(mean).pow(2)).sum::<u64>() / count;
        Duration::from_micros(mean + 6 * variance.isqrt()).clamp(PATIENCE_MIN, PATIENCE_MAX)
    }

    fn loss_per_mille(&self) -> u32 {
        let pause = BEACON_PAUSE.as_micros() as u64;
        let sent: u64 = self.iter().map(|gap| ((gap + pause / 2) / pause).max(1)).sum();
        ((sent - self.count as u64) * 1000 / sent.max(1)) as u32
    }

    fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.micros[..self.count].iter().map(|&gap| u64::from(gap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time(ms * 1000)
    }

    #[test]
    fn steady_beacons_keep_the_shortest_patience_and_no_loss() {
        let mut gaps = BeaconGaps::new();
        for beacon in 0..100 {
            gaps.note(ms(beacon * 250 + beacon % 3 * 20), true, true);
        }
        assert_eq!((gaps.patience(), gaps.loss_per_mille(true)), (PATIENCE_MIN, 0));
        assert!(gaps.multicast_heard(ms(25_000)));
    }

    #[test]
    fn every_fourth_beacon_lost_is_told_as_250_of_1000() {
        let mut gaps = BeaconGaps::new();
        for beacon in (0..200).filter(|beacon| beacon % 4 != 0) {
            gaps.note(ms(beacon * 250), true, true);
        }
        assert!((240..=260).contains(&gaps.loss_per_mille(true)), "{}", gaps.loss_per_mille(true));
        assert!(gaps.patience() > PATIENCE_MIN, "{:?}", gaps.patience());
    }

    #[test]
    fn patience_has_a_ceiling_and_own_lateness_is_no_gap() {
        let mut gaps = BeaconGaps::new();
        for beacon in 0..40 {
            gaps.note(ms(beacon * 60 + beacon / 2 * 600_000), true, true);
        }
        assert_eq!(gaps.patience(), PATIENCE_MAX);
        let mut paused = BeaconGaps::new();
        for beacon in 0..10 {
            if beacon == 5 {
                paused.start_anew(ms(601_000));
            }
            paused.note(ms(beacon * 250 + beacon / 5 * 600_000), true, true);
        }
        assert_eq!((paused.patience(), paused.loss_per_mille(true)), (PATIENCE_MIN, 0));
    }

    #[test]
    fn one_outage_does_not_slow_the_notice_of_the_next() {
        let mut gaps = BeaconGaps::new();
        for beacon in 0..40 {
            gaps.note(ms(beacon * 250 + beacon / 20 * 10_000), true, true);
        }
        assert!(gaps.patience() < PATIENCE_MIN * 2, "{:?}", gaps.patience());
    }

    #[test]
    fn beacon_on_two_ways_is_one_beacon() {
        let mut gaps = BeaconGaps::new();
        for beacon in 0..40 {
            gaps.note(ms(beacon * 250), true, false);
            gaps.note(ms(beacon * 250 + 1), true, true);
        }
        assert_eq!((gaps.patience(), gaps.any.count), (PATIENCE_MIN, 39));
        assert!(gaps.multicast_heard(ms(10_000)));
    }

    #[test]
    fn three_beacons_by_unicast_only_end_trust_in_multicast_and_ten_clean_ones_restore_it() {
        let mut gaps = BeaconGaps::new();
        gaps.note(ms(0), true, true);
        for beacon in 1..=2 {
            gaps.note(ms(beacon * 250), true, false);
        }
        assert!(gaps.multicast_heard(ms(510)));
        gaps.note(ms(750), true, false);
        assert!(!gaps.multicast_heard(ms(750)));
        for beacon in 4..=14 {
            assert!(!gaps.multicast_heard(ms(beacon * 250)), "beacon {beacon}");
            gaps.note(ms(beacon * 250), true, true);
            gaps.note(ms(beacon * 250), true, false);
        }
        assert!(gaps.multicast_heard(ms(14 * 250)));
    }

    #[test]
    fn multicast_that_falls_silent_while_unicast_goes_on_is_not_heard() {
        let mut gaps = BeaconGaps::new();
        gaps.note(ms(0), true, true);
        for pong in 1..=10 {
            gaps.note(ms(pong * 110), false, false);
        }
        assert!(!gaps.multicast_heard(ms(1100)));
        gaps.note(ms(1200), true, true);
        assert!(!gaps.multicast_heard(ms(1200)), "one beacon does not restore it");
    }

    #[test]
    fn multicast_that_loses_much_more_than_unicast_is_given_up() {
        let mut gaps = BeaconGaps::new();
        for beacon in 0..60 {
            gaps.note(ms(beacon * 250), true, false);
            if beacon % 3 != 0 {
                gaps.note(ms(beacon * 250), true, true);
            }
        }
        assert!(!gaps.multicast_heard(ms(59 * 250)));
        let mut both = BeaconGaps::new();
        for beacon in (0..60).filter(|beacon| beacon % 3 != 0) {
            both.note(ms(beacon * 250), true, false);
            both.note(ms(beacon * 250), true, true);
        }
        assert!(both.multicast_heard(ms(59 * 250)), "unicast is no better: nothing is won");
    }

    #[test]
    fn server_never_heard_by_multicast_is_not_heard_by_it() {
        let mut gaps = BeaconGaps::new();
        gaps.note(ms(0), true, false);
        assert!(!gaps.multicast_heard(ms(0)));
        gaps.note(ms(250), true, true);
        assert!(gaps.multicast_heard(ms(250)));
    }
}
