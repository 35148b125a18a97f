//! What is missing of one stream of numbers, and when to ask for it (again). Modelled on Aeron's `LossDetector`.

use crate::proto::bugs::{Bug, Bugs};
use crate::proto::rng::Rng;
use crate::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long a new gap waits before it is asked for: datagrams overtake each other.
pub const REORDERING: Duration = Duration::from_millis(2);
/// Shortest wait between two requests for the same numbers.
pub const RETRY_MIN: Duration = Duration::from_millis(5);
/// So many requests for the same numbers wait no longer than the first. The numbers hold up everything behind them, and a
/// request costs less than that; where more are lost, the path is crowded.
pub const RETRIES_AT_ONCE: u8 = 4;
/// Longest wait between two requests for the same numbers that losses alone make of it, before jitter.
pub const RETRY_MAX: Duration = Duration::from_millis(200);
/// Longest wait that a path makes of it on which answers take long. Of numbers that are missing for 5 s a view change comes.
pub const RETRY_SLOWEST: Duration = Duration::from_secs(1);
/// The first requests go to one source each, which may not be heard at all: a time is taken from the last of these on. From the
/// first one on it would have each wait for a source that is not heard in it, and waits would grow by themselves, to a second
/// where a link is cut one way (trial `one-way`: 3 s in place of 13 ms, until a message was stable).
pub const SOURCES: u8 = 3;
/// Most ranges tracked; the lowest are kept, as they hold up everything above them.
pub const MAX_TRACKED: usize = 256;
/// Most ranges asked for: the lowest. It is a quarter of those tracked, since ranges split where answers come: one that was
/// forgotten then would be asked for as if it had never been.
pub const MAX_DUE: usize = 64;
/// Requests answered that are remembered to tell how long an answer takes.
const MAX_ANSWERS: usize = 16;
/// Per cent by which a retry's wait is shortened or lengthened, so that receivers do not ask in step.
const JITTER_PERCENT: u32 = 25;

/// Tracks the gaps of one stream: an origin's data, or the order (`PROTOCOL.md` §6, NACK).
///
/// Tell it what is missing with [`observe`](Self::observe) each time that something arrived or an announced head moved;
/// what it does not hear of any more, it forgets. Holds at most [`MAX_TRACKED`] ranges: higher ones are passed over until
/// lower ones are filled and the caller observes again.
#[derive(Clone, Debug)]
pub struct LossDetector {
    bugs: Bugs,
    /// By first number; disjoint.
    gaps: BTreeMap<u64, Gap>,
    answers: Answers,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    last: u64,
    due: Time,
    asked: u8,
    /// When whoever is asked now was asked for it first, so far as that is told ([`SOURCES`]); [`Time::NEVER`] before that.
    since: Time,
}

impl Gap {
    fn new(last: u64, now: Time) -> Self {
        Self { last, due: now + REORDERING, asked: 0, since: Time::NEVER }
    }
}

/// When something was asked for, and how long it took until the first of it was here, of the last [`MAX_ANSWERS`].
#[derive(Clone, Debug, Default)]
struct Answers(VecDeque<(Time, Duration)>);

impl Answers {
    /// Something is here that was asked for at `since`. What was asked for at the same time and comes after it waited
    /// behind it, and says no more of the path.
    fn note(&mut self, since: Time, now: Time) {
        if self.0.iter().any(|(known, _)| *known == since) {
            return;
        }
        if self.0.len() >= MAX_ANSWERS {
            self.0.pop_front();
        }
        self.0.push_back((since, now.since(since)));
    }

    /// The shortest: what the path takes when nothing of it is lost. A mean would grow with each loss, and one of the answers
    /// to first requests alone would never learn of a path that takes longer than a retry waits (Karn's problem).
    fn rtt(&self) -> Duration {
        self.0.iter().map(|(_, took)| *took).min().unwrap_or_default()
    }
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
    pub fn new(bugs: Bugs) -> Self {
        Self { bugs, gaps: BTreeMap::new(), answers: Answers::default() }
    }

    /// `missing` is all that is missing: ranges, ascending and disjoint. New numbers become due after [`REORDERING`];
    /// those known already keep their clocks; all others are forgotten.
    pub fn observe(&mut self, missing: &[(u64, u64)], now: Time) {
        let tracked = self.gaps.iter().map(|(&first, gap)| (first, gap.last));
        if self.gaps.len() == missing.len() && tracked.eq(missing.iter().copied()) {
            return;
        }
        let known = std::mem::take(&mut self.gaps);
        self.note_answers(&known, missing, now);
        let tracked = if self.bugs.has(Bug::BackOffAnew) { MAX_DUE } else { MAX_TRACKED };
        for &(first, last) in missing {
            if self.gaps.len() >= tracked {
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

    /// What was asked for and is no more missing was answered.
    fn note_answers(&mut self, known: &BTreeMap<u64, Gap>, missing: &[(u64, u64)], now: Time) {
        let mut rest = missing.iter().peekable();
        for (&first, gap) in known.iter().filter(|(_, gap)| gap.asked > 0) {
            while rest.next_if(|range| range.1 < first).is_some() {}
            if rest.peek().is_none_or(|range| range.0 > first || range.1 < gap.last) {
                self.answers.note(gap.since, now);
            }
        }
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

    /// Forgets all that is missing: the view is over.
    pub fn clear(&mut self) {
        self.gaps.clear();
    }

    /// What to ask for now, lowest first: at most `most` ranges, of the lowest [`MAX_DUE`]. Ranges that follow each other go as
    /// one if they were asked for equally often: neither begins its back-off anew because of the other. What did not fit stays
    /// due, so that a caller with room for none must not wait for [`next_timeout`](Self::next_timeout).
    pub fn due(&mut self, now: Time, rng: &mut Rng, most: usize) -> Vec<Due> {
        if self.gaps.is_empty() {
            return Vec::new();
        }
        let mut asked: Vec<(Due, Time)> = Vec::new();
        let mut fired = Vec::new();
        let most = most.min(MAX_DUE);
        let sources = if self.bugs.has(Bug::DeafTimed) { 1 } else { SOURCES };
        for (&first, gap) in self.gaps.iter().take(MAX_DUE) {
            if gap.due > now {
                continue;
            }
            let attempt = gap.asked.saturating_add(1);
            let since = if attempt <= sources { now } else { gap.since };
            let full = asked.len() >= most;
            match asked.last_mut() {
                Some((previous, earliest))
                    if previous.last.checked_add(1) == Some(first) && previous.attempt == attempt =>
                {
                    previous.last = gap.last;
                    *earliest = since.min(*earliest);
                }
                _ if full => break,
                _ => asked.push((Due { first, last: gap.last, attempt }, since)),
            }
            fired.push(first);
        }
        for first in fired {
            self.gaps.remove(&first);
        }
        for (due, since) in &asked {
            let wait = rng.jitter(self.retry_wait(due.attempt), JITTER_PERCENT);
            let gap = Gap { last: due.last, due: now + wait, asked: due.attempt, since: *since };
            self.gaps.insert(due.first, gap);
        }
        asked.into_iter().map(|(due, _)| due).collect()
    }

    /// When [`due`](Self::due) has something to say; [`Time::NEVER`] when nothing is missing.
    pub fn next_timeout(&self) -> Time {
        self.gaps.values().take(MAX_DUE).map(|gap| gap.due).min().unwrap_or(Time::NEVER)
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
                self.track(start, Gap::new(at - 1, now));
            }
            self.track(at.max(start), Gap { last: gap.last.min(last), ..*gap });
            next = gap.last.min(last).checked_add(1);
        }
        if let Some(start) = next.filter(|&start| start <= last) {
            self.track(start, Gap::new(last, now));
        }
    }

    /// Keeps a range; at the bound the highest one goes.
    fn track(&mut self, first: u64, gap: Gap) {
        self.gaps.insert(first, gap);
        if self.gaps.len() > MAX_TRACKED {
            self.gaps.pop_last();
        }
    }

    /// `max(5 ms, 2·RTT)`, from the request after [`RETRIES_AT_ONCE`] on twice as long each time, at most [`RETRY_MAX`]; where
    /// 2·RTT is more than that, at most [`RETRY_SLOWEST`].
    fn retry_wait(&self, attempt: u8) -> Duration {
        let base = self.answers.rtt().saturating_mul(2).clamp(RETRY_MIN, RETRY_SLOWEST);
        let doubled = base.saturating_mul(1 << u32::from(attempt.saturating_sub(RETRIES_AT_ONCE)).min(8));
        doubled.min(RETRY_MAX.max(base))
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
        let mut detector = LossDetector::new(Bugs::NONE);
        let mut rng = Rng::new(1);
        detector.observe(&[(3, 4)], ms(0));
        assert_eq!(detector.next_timeout(), ms(2));
        assert!(detector.due(Time(1999), &mut rng, 64).is_empty());
        detector.filled(3, 4);
        assert!(detector.due(ms(2), &mut rng, 64).is_empty());
        assert_eq!(detector.next_timeout(), Time::NEVER);
    }

    #[test]
    fn four_retries_follow_at_once_and_each_later_one_waits_twice_as_long_up_to_the_cap() {
        let mut detector = LossDetector::new(Bugs::NONE);
        let mut rng = Rng::new(1);
        detector.gap(ms(0), 7, 9);
        let mut asked = ms(2);
        assert_eq!(detector.due(asked, &mut rng, 64), [Due { first: 7, last: 9, attempt: 1 }]);
        for (attempt, wait_ms) in (2..).zip([5, 5, 5, 5, 10, 20, 40, 80, 160, 200, 200]) {
            let next = detector.next_timeout();
            let waited = next.since(asked).as_micros();
            assert!((wait_ms * 750..=wait_ms * 1250).contains(&waited), "attempt {attempt} after {waited} us");
            assert!(detector.due(Time(next.0 - 1), &mut rng, 64).is_empty());
            assert_eq!(detector.due(next, &mut rng, 64), [Due { first: 7, last: 9, attempt }]);
            asked = next;
        }
    }

    /// Asks for `n`, and asks again until it is here at `here`; the wait until the second request.
    fn second_wait(detector: &mut LossDetector, n: u64, from: u64, here: u64) -> Duration {
        let mut rng = Rng::new(3);
        detector.observe(&[(n, n)], ms(from));
        detector.due(ms(from + 2), &mut rng, 64);
        let wait = detector.next_timeout().since(ms(from + 2));
        while detector.next_timeout() < ms(here) {
            detector.due(detector.next_timeout(), &mut rng, 64);
        }
        detector.observe(&[], ms(here));
        wait
    }

    #[test]
    fn slow_paths_are_given_two_round_trips_once_they_are_known() {
        let mut detector = LossDetector::new(Bugs::NONE);
        assert!(second_wait(&mut detector, 1, 0, 42) <= Duration::from_micros(6_250));
        let wait = second_wait(&mut detector, 2, 100, 142).as_millis();
        assert!((40..=100).contains(&wait), "{wait} ms, of a path that takes 40 and was asked three times");
        detector.answers = Answers::default();
        detector.answers.note(ms(100), ms(140));
        let wait = second_wait(&mut detector, 3, 200, 242).as_millis();
        assert!((60..=100).contains(&wait), "{wait} ms");
    }

    #[test]
    fn source_that_is_not_heard_makes_no_path_longer() {
        let mut detector = LossDetector::new(Bugs::NONE);
        let mut rng = Rng::new(1);
        for n in 1..100 {
            let mut now = ms(n * 1000);
            detector.observe(&[(n, n)], now);
            for attempt in 1..=SOURCES {
                now = detector.next_timeout();
                assert_eq!(detector.due(now, &mut rng, 64), [Due { first: n, last: n, attempt }]);
            }
            assert!(now.since(ms(n * 1000)) < Duration::from_millis(20), "{now:?}");
            detector.observe(&[], now + Duration::from_millis(1));
        }
    }

    #[test]
    fn path_through_long_queues_is_given_a_second_at_most() {
        let mut detector = LossDetector::new(Bugs::NONE);
        second_wait(&mut detector, 1, 0, 3_000);
        let wait = second_wait(&mut detector, 2, 4_000, 7_000).as_millis();
        assert!((750..=1_250).contains(&wait), "{wait} ms");
    }

    /// The answers to one request come one after the other: the first of them tells how long the path is.
    #[test]
    fn what_waits_behind_other_answers_makes_no_path_longer() {
        let mut detector = LossDetector::new(Bugs::NONE);
        let mut rng = Rng::new(3);
        detector.observe(&[(1, 100)], ms(0));
        detector.due(ms(2), &mut rng, 64);
        for n in 1..=100 {
            detector.observe(&[(n + 1, 101)], ms(2 + n * 20));
        }
        detector.observe(&[], ms(2_100));
        let wait = second_wait(&mut detector, 200, 3_000, 3_030).as_millis();
        assert!((30..=50).contains(&wait), "{wait} ms, of a path that takes 20");
    }

    #[test]
    fn losses_are_not_taken_for_a_slow_path() {
        let mut detector = LossDetector::new(Bugs::NONE);
        second_wait(&mut detector, 1, 0, 5);
        for n in 2..MAX_ANSWERS as u64 {
            assert!(second_wait(&mut detector, n, n * 1000, n * 1000 + 400) <= Duration::from_micros(6_250));
        }
        let wait = second_wait(&mut detector, 99, 99_000, 99_400);
        assert!(wait <= Duration::from_micros(6_250), "{wait:?}");
    }

    #[test]
    fn what_arrives_is_cut_out_and_the_rest_keeps_its_clock() {
        let mut detector = LossDetector::new(Bugs::NONE);
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
        let mut detector = LossDetector::new(Bugs::NONE);
        let mut rng = Rng::new(1);
        let missing: Vec<(u64, u64)> = (0..400).map(|n| (n * 2, n * 2)).collect();
        detector.observe(&missing, ms(0));
        assert_eq!(detector.gaps.len(), MAX_TRACKED);
        assert!(detector.due(ms(2), &mut rng, 0).is_empty());
        let firsts = |due: Vec<Due>| due.iter().map(|due| due.first).collect::<Vec<_>>();
        assert_eq!(firsts(detector.due(ms(2), &mut rng, 2)), [0, 2]);
        assert_eq!(firsts(detector.due(ms(2), &mut rng, 999)), (2..64).map(|n| n * 2).collect::<Vec<_>>());
        assert!(detector.next_timeout() > ms(2), "the others wait for these");
        detector.observe(&missing[2..], ms(3));
        assert_eq!(firsts(detector.due(ms(3), &mut rng, 999)), [128, 130]);
    }

    #[test]
    fn range_that_is_beyond_reach_while_lower_ones_split_keeps_its_clock() {
        let mut detector = LossDetector::new(Bugs::NONE);
        let mut rng = Rng::new(1);
        let lowest = |width: u64| (0..63).map(move |n| (n * 10, n * 10 + width));
        detector.observe(&lowest(8).chain([(900, 900)]).collect::<Vec<_>>(), ms(0));
        assert_eq!(detector.due(ms(2), &mut rng, 64).last().unwrap().first, 900);
        let split = lowest(3).flat_map(|(first, last)| [(first, last), (first + 5, last + 5)]);
        detector.observe(&split.chain([(900, 900)]).collect::<Vec<_>>(), ms(3));
        assert!(detector.due(ms(20), &mut rng, 64).iter().all(|due| due.first < 900 && due.attempt == 2));
        detector.observe(&[(900, 900)], ms(21));
        assert_eq!(detector.due(ms(21), &mut rng, 64), [Due { first: 900, last: 900, attempt: 2 }]);
    }

    #[test]
    fn back_off_is_not_begun_anew_by_a_younger_gap_beside() {
        let mut detector = LossDetector::new(Bugs::NONE);
        let mut rng = Rng::new(1);
        detector.observe(&[(1, 9)], ms(0));
        for attempt in 1..=6 {
            let now = detector.next_timeout();
            assert_eq!(detector.due(now, &mut rng, 64), [Due { first: 1, last: 9, attempt }]);
        }
        let now = detector.next_timeout();
        detector.observe(&[(1, 12)], Time(now.0 - 2000));
        assert_eq!(
            detector.due(now, &mut rng, 64),
            [Due { first: 1, last: 9, attempt: 7 }, Due { first: 10, last: 12, attempt: 1 }]
        );
    }

    #[test]
    fn numbers_at_the_very_end_do_not_overflow() {
        let mut detector = LossDetector::new(Bugs::NONE);
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
            let mut detector = LossDetector::new(Bugs::NONE);
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
