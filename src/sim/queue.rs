//! What will happen, in order of time and then of when it was planned.

use crate::time::Time;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

struct Planned<T> {
    at: Time,
    sequence: u64,
    what: T,
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Planned<T> {}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Planned<T> {
    /// Earliest is greatest: the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// A queue by time; what is planned for the same moment comes out in the order it was planned.
pub struct Queue<T> {
    heap: BinaryHeap<Planned<T>>,
    planned: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), planned: 0 }
    }
}

impl<T> Queue<T> {
    /// Plans something.
    pub fn plan(&mut self, at: Time, what: T) {
        self.planned += 1;
        self.heap.push(Planned { at, sequence: self.planned, what });
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|planned| planned.at)
    }

    /// The next thing that happens.
    pub fn pop(&mut self) -> Option<(Time, T)> {
        self.heap.pop().map(|planned| (planned.at, planned.what))
    }

    /// How much is planned.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing will ever happen.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_moment_comes_out_in_the_order_planned() {
        let mut queue = Queue::default();
        for (at, what) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            queue.plan(Time(at), what);
        }
        let out: String = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();
        assert_eq!(out, "abcd");
    }
}
