//! How fast a server sends data: a token bucket that slows when receivers tell of loss.

use crate::time::Time;
use std::time::Duration;

/// How long losses are counted before the rate follows them.
pub const WINDOW: Duration = Duration::from_millis(100);
/// Bytes that count as one datagram when losses are compared with what was sent.
const DATAGRAM_BYTES: u64 = 1400;
/// Fewer lost datagrams than this in a window do not slow a sender: one lost of ten sent says nothing.
const LEAST_LOST: u64 = 4;
/// Share of the rate that repairs may take, in per cent: whoever waits for them takes nothing of what is new, and a storm of requests
/// leaves data something.
const REPAIR_PERCENT: u64 = 70;
/// Share of the rate that catch-up may take, in per cent.
const CATCH_UP_PERCENT: u64 = 25;
/// Tokens are counted in millionths of a byte, so that no microsecond of credit is lost to rounding.
const MICRO: u64 = 1_000_000;
/// Share of the ceiling below which the rate falls only when at least every second datagram was asked for again: that
/// much loss is a crowd's. Where it is the path's, or the radio's, a slower sender is heard no better.
const CROWD_SHARE: u64 = 16;
/// Share of the ceiling below which it never falls.
const LEAST_SHARE: u64 = 1024;
/// Share of the rate that a crowd's loss leaves at least at once.
const LEAST_LEFT: u64 = 32;
/// Bytes that go at once after a pause even at the lowest rate.
const LEAST_BURST_BYTES: u64 = 10 * DATAGRAM_BYTES;
/// Per cent by which the rate rises in a window without loss …
const USED_PERCENT: u64 = 5;
/// … and, below the share of a crowd, in one that says nothing, since little was sent: what a crowd had room for is
/// forgotten within half a minute or so. Other loss is forgotten faster: whoever rejoined with 100,000 messages missing
/// waited for it (5 s in place of one).
const UNUSED_PERCENT: u64 = 1;
/// Greatest rate and burst, in bytes (a second): keeps all arithmetic within 64 bits.
const MOST_BYTES: u64 = 1 << 40;

/// What a datagram is sent for: each has its share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// New data: whatever the rate leaves.
    Data,
    /// Repairs: at most 70 % of the rate, and taken before data.
    Repair,
    /// Catch-up of those who were away: at most 25 % of the rate.
    CatchUp,
}

/// Paces a sender to a rate that follows what receivers report (`PROTOCOL.md` §6, flow).
///
/// More than 1 % of a window's datagrams asked for again: the rate falls to 7/10; when every second was, to what came through of it,
/// and only then below a sixteenth of the ceiling. A window without that: it rises by 5 %, or below that sixteenth by 1 % if less
/// than half of it was used. What may go at once after a pause falls and rises with it. What left before the rate fell says nothing
/// of the lower one (the recovery point of RFC 6582 §3): while that is asked for, and nothing else, the rate stays. Else repairs alone,
/// each for one that was lost, would keep it down. Control does not ask the pacer: it never waits for data.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: u64,
    floor: u64,
    ceiling: u64,
    burst: u64,
    all: Bucket,
    repairs: Bucket,
    catch_up: Bucket,
    window: Window,
    /// When the rate fell last.
    fell: Time,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    start: Time,
    /// Datagrams' worth.
    sent: u64,
    bytes: u64,
    /// Of these, for who catches up.
    catch_up: u64,
    lost: u64,
    /// Asked for again, too, of what left before the rate fell.
    lost_before: u64,
}

impl Pacer {
    /// A pacer that begins at its ceiling of `rate` bytes a second, never falls below 1/1024 of it, and lets at most
    /// `burst` bytes go at once after a pause. Both are held between one byte and 2^40.
    pub fn new(rate: u64, burst: u64) -> Self {
        Self::between(rate / LEAST_SHARE, rate, burst)
    }

    /// A pacer with another `floor` (bytes a second).
    pub fn between(floor: u64, ceiling: u64, burst: u64) -> Self {
        let ceiling = ceiling.clamp(1, MOST_BYTES);
        let burst = burst.clamp(1, MOST_BYTES);
        let mut pacer = Self {
            rate: ceiling,
            floor: floor.clamp(1, ceiling),
            ceiling,
            burst,
            all: Bucket::full(burst),
            repairs: Bucket::full(burst),
            catch_up: Bucket::full(burst),
            window: Window::default(),
            fell: Time(0),
        };
        pacer.set_rate(ceiling);
        pacer
    }

    /// Pays for `bytes` that go out, also for more than [`allowance`](Self::allowance) told: how large something is may be known only
    /// then. Repairs and catch-up are paid twice: from their own share, and from the whole, where data waits for what is owed. The
    /// debt is at most one burst, as large as the pacer began with.
    pub fn pay(&mut self, now: Time, lane: Lane, bytes: u64) {
        self.turn(now);
        let bytes = bytes.min(MOST_BYTES);
        self.window.count(lane, bytes);
        self.all.owe(now, bytes);
        match lane {
            Lane::Data => {}
            Lane::Repair => self.repairs.owe(now, bytes),
            Lane::CatchUp => self.catch_up.owe(now, bytes),
        }
    }

    /// When [`allowance`](Self::allowance) will be `bytes`, or all that may go at once, if nothing else is sent before.
    pub fn next_timeout(&self, lane: Lane, bytes: u64) -> Time {
        let bytes = bytes.min(MOST_BYTES);
        match lane {
            Lane::Data => self.all.ready_at(bytes),
            Lane::Repair => self.repairs.ready_at(bytes),
            Lane::CatchUp => self.catch_up.ready_at(bytes),
        }
    }

    /// How many bytes may go out now.
    pub fn allowance(&mut self, now: Time, lane: Lane) -> u64 {
        self.turn(now);
        match lane {
            Lane::Data => self.all.level_bytes(now),
            Lane::Repair => self.repairs.level_bytes(now),
            Lane::CatchUp => self.catch_up.level_bytes(now),
        }
    }

    /// Receivers asked for this many of one's own datagrams again that left at that time; one that several asked for counts once.
    pub fn nacked(&mut self, now: Time, left: Time, datagrams: u64) {
        self.turn(now);
        let Window { lost, lost_before, .. } = &mut self.window;
        let count = if left >= self.fell { lost } else { lost_before };
        *count = count.saturating_add(datagrams);
    }

    /// The rate of the moment, in bytes a second.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// How many bytes go out in this time at the rate of the moment.
    pub fn bytes_in(&self, time: Duration) -> u64 {
        u64::try_from(u128::from(self.rate) * time.as_micros() / u128::from(MICRO)).unwrap_or(u64::MAX)
    }

    /// Lets the rate follow the windows that have ended.
    fn turn(&mut self, now: Time) {
        let windows = now.since(self.window.start).as_micros() / WINDOW.as_micros();
        if windows == 0 {
            return;
        }
        let mut rate = self.after(self.window);
        for _ in 1..windows {
            if rate >= self.ceiling {
                break;
            }
            rate = self.risen(rate.max(self.floor), false);
        }
        self.bring_up(now);
        if rate < self.rate {
            self.fell = now;
        }
        self.set_rate(rate);
        self.window = Window { start: now, ..Window::default() };
    }

    /// The rate that follows from what came of the last window.
    fn after(&self, window: Window) -> u64 {
        let Window { sent, bytes, catch_up, lost, lost_before, .. } = window;
        if lost < LEAST_LOST && lost.saturating_add(lost_before) >= LEAST_LOST {
            return self.rate;
        }
        if lost < LEAST_LOST || lost.saturating_mul(100) <= sent {
            // Catch-up alone never uses more than its share.
            let used = is_half(bytes, self.rate) || is_half(catch_up, self.catch_up.rate);
            return self.risen(self.rate, used);
        }
        let lower = self.rate * 7 / 10;
        if lost.saturating_mul(2) < sent {
            return lower.max((self.ceiling / CROWD_SHARE).min(self.rate));
        }
        let through = u128::from(self.rate) * u128::from(sent.saturating_sub(lost)) / u128::from(sent.max(1));
        lower.min((through as u64).max(self.rate / LEAST_LEFT)).max(self.floor)
    }

    /// The rate after a window without loss that it was used in, or not.
    fn risen(&self, rate: u64, used: bool) -> u64 {
        let is_crowded = rate < self.ceiling / CROWD_SHARE;
        let percent = if is_crowded && !used { UNUSED_PERCENT } else { USED_PERCENT };
        rate + (rate * percent).div_ceil(100)
    }

    /// Counts what has flowed in at the old rate.
    fn bring_up(&mut self, now: Time) {
        for bucket in [&mut self.all, &mut self.repairs, &mut self.catch_up] {
            bucket.fill(now);
        }
    }

    fn set_rate(&mut self, rate: u64) {
        self.rate = rate.clamp(self.floor, self.ceiling);
        self.all.rate = self.rate;
        self.repairs.rate = (self.rate * REPAIR_PERCENT / 100).max(1);
        self.catch_up.rate = (self.rate * CATCH_UP_PERCENT / 100).max(1);
        let share = u128::from(self.burst) * u128::from(self.rate) / u128::from(self.ceiling);
        let burst = (share as u64).max(LEAST_BURST_BYTES.min(self.burst));
        for bucket in [&mut self.all, &mut self.repairs, &mut self.catch_up] {
            bucket.set_burst(burst);
        }
    }
}

impl Window {
    fn count(&mut self, lane: Lane, bytes: u64) {
        self.sent += bytes.div_ceil(DATAGRAM_BYTES);
        self.bytes = self.bytes.saturating_add(bytes);
        if lane == Lane::CatchUp {
            self.catch_up = self.catch_up.saturating_add(bytes);
        }
    }
}

/// Whether a window's bytes are half of what the rate allowed in it, or more.
fn is_half(bytes: u64, rate: u64) -> bool {
    bytes.saturating_mul(2 * 1000) >= rate.saturating_mul(WINDOW.as_millis() as u64)
}

/// A token bucket in millionths of a byte.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Bytes a second.
    rate: u64,
    /// Bytes it holds.
    burst: u64,
    /// Bytes that may be owed.
    debt: u64,
    /// Below zero: sent on credit.
    level: i128,
    at: Time,
}

impl Bucket {
    fn full(burst: u64) -> Self {
        Self { rate: 1, burst, debt: burst, level: micro(burst), at: Time(0) }
    }

    fn set_burst(&mut self, burst: u64) {
        self.burst = burst;
        self.level = self.level.min(micro(burst));
    }

    fn owe(&mut self, now: Time, bytes: u64) {
        self.fill(now);
        self.level = (self.level - micro(bytes)).max(-micro(self.debt));
    }

    fn fill(&mut self, now: Time) {
        self.level = self.level_at(now);
        self.at = self.at.max(now);
    }

    fn level_at(&self, now: Time) -> i128 {
        let flowed = i128::from(now.0.saturating_sub(self.at.0)) * i128::from(self.rate);
        (self.level + flowed).min(micro(self.burst))
    }

    fn level_bytes(&self, now: Time) -> u64 {
        u64::try_from(self.level_at(now) / i128::from(MICRO)).unwrap_or(0)
    }

    fn ready_at(&self, bytes: u64) -> Time {
        let lacking = micro(bytes.min(self.burst)) - self.level;
        let wait = (lacking + i128::from(self.rate) - 1) / i128::from(self.rate);
        if lacking <= 0 { self.at } else { Time(self.at.0.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))) }
    }
}

fn micro(bytes: u64) -> i128 {
    i128::from(bytes) * i128::from(MICRO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time(ms * 1000)
    }

    impl Pacer {
        /// Sends so many bytes if they are allowed, or as many as may ever go at once.
        fn take(&mut self, now: Time, lane: Lane, bytes: u64) -> bool {
            let granted = self.allowance(now, lane) >= bytes.min(self.all.burst);
            if granted {
                self.pay(now, lane, bytes);
            }
            granted
        }
    }

    /// Sends as much as is granted until `until`; the bytes sent.
    fn drain(pacer: &mut Pacer, lane: Lane, from: Time, until: Time, bytes: u64) -> u64 {
        let (mut now, mut sent) = (from, 0);
        while now <= until {
            if pacer.take(now, lane, bytes) {
                sent += bytes;
            } else {
                let next = pacer.next_timeout(lane, bytes);
                assert!(next > now, "a refusal names a later time");
                now = next;
            }
        }
        sent
    }

    #[test]
    fn sends_the_burst_at_once_and_then_the_rate() {
        let mut pacer = Pacer::new(1_000_000, 14_000);
        let sent = drain(&mut pacer, Lane::Data, ms(0), ms(1000), 1400);
        assert!((1_012_000..=1_015_400).contains(&sent), "{sent}");
    }

    #[test]
    fn repairs_take_their_share_and_data_pays_for_them() {
        let mut pacer = Pacer::new(1_000_000, 14_000);
        let repairs = drain(&mut pacer, Lane::Repair, ms(0), ms(1000), 1400);
        assert!((700_000..=715_400).contains(&repairs), "{repairs}");
        let mut pacer = Pacer::new(1_000_000, 14_000);
        let (mut data, mut other) = (0, 0);
        for step in 0..10_000 {
            let now = Time(step * 100);
            for lane in [Lane::Repair, Lane::CatchUp] {
                other += if pacer.take(now, lane, 1400) { 1400 } else { 0 };
            }
            data += if pacer.take(now, Lane::Data, 1400) { 1400 } else { 0 };
        }
        assert!((990_000..=1_040_000).contains(&(data + other)), "{data} and {other}");
        assert!((930_000..=990_000).contains(&other), "{other}");
        assert!(data >= 40_000, "{data}");
    }

    #[test]
    fn what_was_sent_without_asking_is_waited_for() {
        let mut pacer = Pacer::new(1_000_000, 14_000);
        pacer.pay(ms(0), Lane::CatchUp, 14_000 + 2_500);
        assert_eq!(pacer.allowance(ms(9), Lane::CatchUp), 0);
        assert_eq!(pacer.allowance(ms(11), Lane::CatchUp), 250);
        assert_eq!(pacer.allowance(ms(11), Lane::Data), 8_500, "data pays, too");
        assert_eq!(pacer.allowance(ms(11), Lane::Repair), 14_000);
    }

    #[test]
    fn loss_slows_to_seven_tenths_and_clean_windows_speed_up() {
        let mut pacer = Pacer::new(10_000_000, 1_000_000);
        assert!(pacer.take(ms(0), Lane::Data, 700_000));
        pacer.nacked(ms(50), ms(50), 6);
        pacer.nacked(ms(100), ms(100), 0);
        assert_eq!(pacer.rate(), 7_000_000);
        pacer.pay(ms(100), Lane::Data, 400_000);
        pacer.nacked(ms(200), ms(200), 0);
        assert_eq!(pacer.rate(), 7_350_000);
        pacer.nacked(ms(100_000), ms(100_000), 0);
        assert_eq!(pacer.rate(), 10_000_000);
    }

    #[test]
    fn crowd_slows_far_below_what_other_loss_does_and_so_does_what_goes_at_once() {
        let mut pacer = Pacer::new(16_000_000, 1_000_000);
        let mut slowed_to = |lost| {
            for _ in 0..30 {
                let now = pacer.window.start;
                pacer.pay(now, Lane::Data, 14_000);
                pacer.nacked(now, now, lost);
                pacer.nacked(now + WINDOW, now + WINDOW, 0);
            }
            (pacer.rate(), pacer.all.burst)
        };
        assert_eq!(slowed_to(4), (1_000_000, 62_500));
        assert_eq!(slowed_to(5), (15_625, LEAST_BURST_BYTES));
    }

    /// The rate after a window in which so many bytes went that way, without loss, from this share of the ceiling on.
    fn after_a_window(share: u64, lane: Lane, bytes: u64) -> u64 {
        let mut pacer = Pacer::new(16_000_000, 1_000_000);
        pacer.set_rate(pacer.ceiling / share);
        pacer.pay(ms(50), lane, bytes);
        pacer.nacked(ms(100), ms(100), 0);
        pacer.rate()
    }

    #[test]
    fn rate_of_a_crowd_rises_slowly_while_little_is_sent() {
        assert_eq!(after_a_window(16, Lane::Data, 10), 1_050_000);
        assert_eq!(after_a_window(32, Lane::Data, 10), 505_000);
        assert_eq!(after_a_window(32, Lane::Data, 25_000), 525_000);
        assert_eq!(
            after_a_window(32, Lane::CatchUp, 6_250),
            525_000,
            "half of its share, which is all that it may use"
        );
    }

    #[test]
    fn a_little_loss_slows_nobody() {
        let mut pacer = Pacer::new(10_000_000, 1_000_000);
        pacer.take(ms(0), Lane::Data, 700_000);
        pacer.nacked(ms(50), ms(50), 5);
        pacer.nacked(ms(100), ms(100), 0);
        assert_eq!(pacer.rate(), 10_000_000, "1 per cent is not more than 1 per cent");
        pacer.take(ms(100), Lane::Data, 14_000);
        pacer.nacked(ms(150), ms(150), 3);
        pacer.nacked(ms(200), ms(200), 0);
        assert_eq!(pacer.rate(), 10_000_000, "three lost datagrams are no congestion");
    }

    #[test]
    fn what_left_before_the_rate_fell_does_not_lower_it_again() {
        let mut pacer = Pacer::new(10_000_000, 1_000_000);
        let mut window = |from: u64, left: u64, lost: u64| {
            pacer.pay(ms(from), Lane::Data, 700_000);
            pacer.nacked(ms(from), ms(left), lost);
            pacer.nacked(ms(from + 100), ms(0), 0);
            pacer.rate()
        };
        assert_eq!(window(0, 0, 100), 7_000_000);
        assert_eq!(window(100, 99, 400), 7_000_000, "nor does it rise while that is repaired");
        assert_eq!(window(200, 100, 100), 4_900_000);
        assert_eq!(window(300, 299, 3), 5_145_000);
    }

    #[test]
    fn crowd_leaves_what_comes_through() {
        let after = |sent: u64, lost: u64| {
            let mut pacer = Pacer::new(16_000_000, 1_000_000);
            pacer.pay(ms(0), Lane::Data, sent * DATAGRAM_BYTES);
            pacer.nacked(ms(50), ms(0), lost);
            pacer.nacked(ms(100), ms(100), 0);
            pacer.rate()
        };
        assert_eq!((after(100, 49), after(100, 50), after(100, 80)), (11_200_000, 8_000_000, 3_200_000));
        assert_eq!((after(100, 100), after(100, 900)), (500_000, 500_000), "and at least something");
    }

    #[test]
    fn rate_stays_between_floor_and_ceiling() {
        let mut pacer = Pacer::between(1_000, 1_000_000, 10_000);
        for window in 0..100 {
            pacer.nacked(ms(window * 100), ms(window * 100), 1000);
        }
        assert_eq!(pacer.rate(), 1_000);
        pacer.nacked(Time(u64::MAX - 1), Time(u64::MAX - 1), 0);
        assert_eq!(pacer.rate(), 1_000_000);
        let mut least = Pacer::new(0, 0);
        assert!(least.take(ms(0), Lane::Data, 1400) && !least.take(ms(1), Lane::Data, 1));
        let mut most = Pacer::new(u64::MAX, u64::MAX);
        assert!(most.take(ms(0), Lane::Data, u64::MAX) && most.take(Time(u64::MAX), Lane::Repair, u64::MAX));
    }

    proptest::proptest! {
        #[test]
        fn never_sends_more_than_burst_and_rate_allow(
            rate in 1_000_u64..100_000_000, burst in 1_400_u64..1_000_000, waits in proptest::collection::vec(0_u64..5_000, 1..200)
        ) {
            let mut pacer = Pacer::new(rate, burst);
            let (mut now, mut sent) = (0, 0_u128);
            for wait in waits {
                now += wait;
                sent += if pacer.take(Time(now), Lane::Data, 1400) { 1400 } else { 0 };
                let allowed = u128::from(burst) + u128::from(rate) * u128::from(now) / 1_000_000;
                proptest::prop_assert!(sent <= allowed);
                let next = pacer.next_timeout(Lane::Data, 1400);
                if next > Time(now) {
                    let mut early = pacer.clone();
                    proptest::prop_assert!(!early.take(Time(next.0 - 1), Lane::Data, 1400));
                    let mut punctual = pacer.clone();
                    proptest::prop_assert!(punctual.take(next, Lane::Data, 1400));
                }
            }
        }
    }
}
