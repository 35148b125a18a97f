//! What is missing of one stream of numbers, and when to ask for it (again). Modelled on Aeron's `LossDetector`.

use crate::proto::rng::Rng;
use crate::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a new gap waits before it is asked for: datagrams overtake each other.
pub const REORDERING: Duration = Duration::from_millis(2);
/// Shortest wait between two requests for the same numbers.
pub const RETRY_MIN: Duration = Duration::from_millis(10);
/// Longest wait between two requests for the same numbers, before jitter.
pub const RETRY_MAX: Duration = Duration::from_millis(200);
/// Most ranges tracked; the lowest are kept, as they hold up everything above them.
pub const MAX_TRACKED: usize = 256;
/// Most ranges handed out at once.
pub const MAX_DUE: usize = 64;
/// Per cent by which a retry's wait is shortened or lengthened, so that receivers do not ask in step.
const JITTER_PERCENT: u32 = 25;

/// Tracks the gaps of one stream: an origin's data, or the order (`PROTOCOL.md` §6, NACK).
///
/// Tell it what is missing with [`observe`](Self::observe) each time that something arrived or an announced head moved;
/// what it does not hear of any more, it forgets. Holds at most [`MAX_TRACKED`] ranges: higher ones are passed over until
/// lower ones are filled and the caller observes again.
#[derive(Clone, Debug, Default)]
pub struct LossDetector {
    /// By first number; disjoint.
    gaps: BTreeMap<u64, Gap>,
    rtt: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    last: u64,
    due: Time,
    asked: u8,
}

/// A range to ask for now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Due {
    /// First number missing.
    pub first: u64,
    /// Last number missing.
    pub last: u64,
    /// Which request for it this is, from 1, held at 255: whom to ask. 1: the origin (of data) or the leader (of order);
    /// 2: the leader; then anyone.
    pub attempt: u8,
}

impl LossDetector {
    /// A detector that knows of no gap.
    pub fn new() -> Self {
        Self::default()
    }

    /// The round trip to whom is asked, as last measured; zero, the start, counts as [`RETRY_MIN`] / 2.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt;
    }

    /// `missing` is all that is missing: ranges, ascending and disjoint. New numbers become due after [`REORDERING`];
    /// those known already keep their clocks; all others are forgotten.
    pub fn observe(&mut self, missing: &[(u64, u64)], now: Time) {
        if missing.is_empty() {
            return self.gaps.clear();
        }
        let known = std::mem::take(&mut self.gaps);
        for &(first, last) in missing {
            if self.gaps.len() >= MAX_TRACKED {
                break;
            }
            self.adopt(&known, first, last, now);
        }
    }

    /// `first..=last` is missing, whatever else is.
    pub fn gap(&mut self, now: Time, first: u64, last: u64) {
        let known = self.gaps.clone();
        self.filled(first, last);
        self.adopt(&known, first, last, now);
    }

    /// `first..=last` is here, or no longer wanted.
    pub fn filled(&mut self, first: u64, last: u64) {
        let touched: Vec<(u64, Gap)> = self
            .gaps
            .range(..=last)
            .rev()
            .take_while(|(_, gap)| gap.last >= first)
            .map(|(&at, &gap)| (at, gap))
            .collect();
        for (at, gap) in touched {
            self.gaps.remove(&at);
            if at < first {
                self.track(at, Gap { last: first - 1, ..gap });
            }
            if gap.last > last {
                self.track(last + 1, gap);
            }
        }
    }

    /// Forgets everything: the view is over.
    pub fn clear(&mut self) {
        self.gaps.clear();
    }

    /// What to ask for now, lowest first: at most `most` ranges, and never more than [`MAX_DUE`]. What did not fit stays due,
    /// so that a caller with room for none must not wait for [`next_timeout`](Self::next_timeout).
    pub fn due(&mut self, now: Time, rng: &mut Rng, most: usize) -> Vec<Due> {
        if self.gaps.is_empty() {
            return Vec::new();
        }
        let mut out: Vec<Due> = Vec::new();
        let mut fired = Vec::new();
        let most = most.min(MAX_DUE);
        for (&first, gap) in &self.gaps {
            if gap.due > now {
                continue;
            }
            let attempt = gap.asked.saturating_add(1);
            let full = out.len() >= most;
            match out.last_mut() {
                Some(previous) if previous.last.checked_add(1) == Some(first) => {
                    previous.last = gap.last;
                    previous.attempt = previous.attempt.min(attempt);
                }
                _ if full => break,
                _ => out.push(Due { first, last: gap.last, attempt }),
            }
            fired.push(first);
        }
        for first in fired {
            self.gaps.remove(&first);
        }
        for due in &out {
            let wait = rng.jitter(self.retry_wait(due.attempt), JITTER_PERCENT);
            self.gaps.insert(due.first, Gap { last: due.last, due: now + wait, asked: due.attempt });
        }
        out
    }

    /// When [`due`](Self::due) has something to say; [`Time::NEVER`] when nothing is missing.
    pub fn next_timeout(&self) -> Time {
        self.gaps.values().map(|gap| gap.due).min().unwrap_or(Time::NEVER)
    }

    /// Whether nothing is known to be missing.
    pub fn is_empty(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Takes up `first..=last`, with the clocks of what was known of it.
    fn adopt(&mut self, known: &BTreeMap<u64, Gap>, first: u64, last: u64, now: Time) {
        let mut next = Some(first);
        let from = known.range(..=first).next_back().map_or(first, |(&at, _)| at);
        for (&at, gap) in known.range(from..).take_while(|(at, _)| **at <= last) {
            let Some(start) = next.filter(|&start| start <= last) else { return };
            if gap.last < start {
                continue;
            }
            if at > start {
                self.track(start, Gap { last: at - 1, due: now + REORDERING, asked: 0 });
            }
            self.track(at.max(start), Gap { last: gap.last.min(last), ..*gap });
            next = gap.last.min(last).checked_add(1);
        }
        if let Some(start) = next.filter(|&start| start <= last) {
            self.track(start, Gap { last, due: now + REORDERING, asked: 0 });
        }
    }

    /// Keeps a range; at the bound the highest one goes.
    fn track(&mut self, first: u64, gap: Gap) {
        self.gaps.insert(first, gap);
        if self.gaps.len() > MAX_TRACKED {
            self.gaps.pop_last();
        }
    }

    /// `max(10 ms, 2·RTT)·2^(attempt - 1)`, at most [`RETRY_MAX`].
    fn retry_wait(&self, attempt: u8) -> Duration {
        let base = RETRY_MIN.max(self.rtt.saturating_mul(2));
        base.saturating_mul(1 << u32::from(attempt.saturating_sub(1)).min(8)).min(RETRY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seq::RangeSet;

    fn ms(ms: u64) -> Time {
        Time(ms * 1000)
    }

    #[test]
    fn gap_that_closes_within_the_reordering_time_is_never_asked_for() {
        let mut detector = LossDetector::new();
        let mut rng = Rng::new(1);
        detector.observe(&[(3, 4)], ms(0));
        assert_eq!(detector.next_timeout(), ms(2));
        assert!(detector.due(Time(1999), &mut rng, 64).is_empty());
        detector.filled(3, 4);
        assert!(detector.due(ms(2), &mut rng, 64).is_empty());
        assert_eq!(detector.next_timeout(), Time::NEVER);
    }

    #[test]
    fn each_retry_waits_twice_as_long_up_to_the_cap() {
        let mut detector = LossDetector::new();
        let mut rng = Rng::new(1);
        detector.gap(ms(0), 7, 9);
        let mut asked = ms(2);
        assert_eq!(detector.due(asked, &mut rng, 64), [Due { first: 7, last: 9, attempt: 1 }]);
        for (attempt, wait_ms) in [(2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 200), (8, 200)] {
            let next = detector.next_timeout();
            let waited = next.since(asked).as_micros();
            assert!((wait_ms * 750..=wait_ms * 1250).contains(&waited), "attempt {attempt} after {waited} us");
            assert!(detector.due(Time(next.0 - 1), &mut rng, 64).is_empty());
            assert_eq!(detector.due(next, &mut rng, 64), [Due { first: 7, last: 9, attempt }]);
            asked = next;
        }
    }

    #[test]
    fn slow_paths_are_given_two_round_trips() {
        let mut detector = LossDetector::new();
        detector.set_rtt(Duration::from_millis(30));
        detector.gap(ms(0), 1, 1);
        detector.due(ms(2), &mut Rng::new(3), 64);
        assert!(detector.next_timeout().since(ms(2)) >= Duration::from_millis(45));
    }

    #[test]
    fn what_arrives_is_cut_out_and_the_rest_keeps_its_clock() {
        let mut detector = LossDetector::new();
        let mut rng = Rng::new(1);
        detector.observe(&[(1, 10)], ms(0));
        detector.observe(&[(1, 3), (6, 12)], ms(1));
        assert_eq!(
            detector.due(ms(2), &mut rng, 64),
            [Due { first: 1, last: 3, attempt: 1 }, Due { first: 6, last: 10, attempt: 1 }]
        );
        assert_eq!(detector.due(ms(3), &mut rng, 64), [Due { first: 11, last: 12, attempt: 1 }]);
    }

    #[test]
    fn what_did_not_fit_stays_due_and_the_lowest_goes_first() {
        let mut detector = LossDetector::new();
        let mut rng = Rng::new(1);
        let missing: Vec<(u64, u64)> = (0..400).map(|n| (n * 2, n * 2)).collect();
        detector.observe(&missing, ms(0));
        assert_eq!(detector.gaps.len(), MAX_TRACKED);
        assert!(detector.due(ms(2), &mut rng, 0).is_empty());
        let firsts = |due: Vec<Due>| due.iter().map(|due| due.first).collect::<Vec<_>>();
        assert_eq!(firsts(detector.due(ms(2), &mut rng, 2)), [0, 2]);
        assert_eq!(firsts(detector.due(ms(2), &mut rng, 999)), (2..66).map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(detector.next_timeout(), ms(2));
    }

    #[test]
    fn numbers_at_the_very_end_do_not_overflow() {
        let mut detector = LossDetector::new();
        detector.gap(ms(0), 5, u64::MAX);
        detector.gap(ms(1), u64::MAX, u64::MAX);
        detector.filled(10, u64::MAX);
        assert_eq!(detector.due(ms(2), &mut Rng::new(1), 64), [Due { first: 5, last: 9, attempt: 1 }]);
        detector.filled(0, u64::MAX);
        assert!(detector.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn tracks_exactly_what_is_missing(steps in proptest::collection::vec((0_u8..4, 0_u64..200, 0_u64..20), 1..80)) {
            let mut detector = LossDetector::new();
            let mut rng = Rng::new(9);
            let mut missing = RangeSet::default();
            for (step, &(what, first, width)) in steps.iter().enumerate() {
                let (now, last) = (ms(step as u64), first + width);
                match what {
                    0 => {
                        missing.insert_range(first, last);
                        detector.gap(now, first, last);
                    }
                    1 => {
                        missing.remove_range(first, last);
                        detector.filled(first, last);
                    }
                    2 => {
                        missing.insert_range(first, last);
                        detector.observe(missing.ranges(), now);
                    }
                    _ => {
                        for due in detector.due(now, &mut rng, 64) {
                            assert!((due.first..=due.last).all(|n| missing.contains(n)));
                        }
                    }
                }
                let mut tracked = RangeSet::default();
                let mut before = None;
                for (&first, gap) in &detector.gaps {
                    assert!(first <= gap.last && before < Some(first));
                    before = Some(gap.last);
                    tracked.insert_range(first, gap.last);
                }
                proptest::prop_assert_eq!(&tracked, &missing);
            }
        }
    }
}
