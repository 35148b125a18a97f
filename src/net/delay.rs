//! Slow motion: what came waits a while before it is taken, in its order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most things that wait on one line; one more is lost, as in a full socket. At the longest delay that is a thousand or so a
/// second, far more than people who follow with their eyes ask for.
pub(crate) const MAX_DELAYED: usize = 4096;

/// A line of things that each wait, first come, first out: a delay that shrinks lets nothing overtake.
#[derive(Debug)]
pub(crate) struct DelayLine<T> {
    waiting: VecDeque<(Instant, T)>,
    lost: u64,
}

impl<T> DelayLine<T> {
    /// A line that nothing waits on.
    pub(crate) const fn new() -> Self {
        Self { waiting: VecDeque::new(), lost: 0 }
    }

    /// Lines something up; lost when [`MAX_DELAYED`] others wait.
    pub(crate) fn push(&mut self, now: Instant, delay: Duration, thing: T) {
        if self.waiting.len() >= MAX_DELAYED {
            self.lost += 1;
            return;
        }
        let due = self.waiting.back().map_or(now + delay, |(last, _)| (*last).max(now + delay));
        self.waiting.push_back((due, thing));
    }

    /// The first, once it has waited long enough.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        self.waiting.pop_front_if(|(due, _)| *due <= now).map(|(_, thing)| thing)
    }

    /// When the first has waited long enough.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many were lost because too many waited.
    #[cfg(test)]
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

/// Now, for what waits.
#[expect(clippy::disallowed_methods, reason = "a delay is of real time, and only demos make any")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_came_first_leaves_first_whatever_the_delay_becomes() {
        let (start, mut line) = (now(), DelayLine::new());
        line.push(start, 50 * MS, 'a');
        line.push(start + MS, 10 * MS, 'b');
        line.push(start + 2 * MS, Duration::ZERO, 'c');
        assert_eq!(line.pop_due(start + 49 * MS), None);
        assert_eq!(line.next_due(), Some(start + 50 * MS));
        let left: String = std::iter::from_fn(|| line.pop_due(start + 50 * MS)).collect();
        assert_eq!(left, "abc");
        assert!(line.is_empty());
    }

    #[test]
    fn line_holds_no_more_than_its_bound() {
        let (start, mut line) = (now(), DelayLine::new());
        for number in 0..MAX_DELAYED + 3 {
            line.push(start, MS, number);
        }
        assert_eq!(line.lost(), 3);
        let left: Vec<usize> = std::iter::from_fn(|| line.pop_due(start + MS)).collect();
        assert_eq!(left, (0..MAX_DELAYED).collect::<Vec<_>>());
    }
}
