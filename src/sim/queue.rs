//! What will happen, in order of time and then of when it was planned.

use crate::time::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What is planned lies still in `slots`; only these small keys move through the heap. From the top: the time, 64 bits; the
/// count of plans, 40; the slot, 24.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Planned(u128);

impl Planned {
    const SLOT_BITS: u32 = 24;
    const PLANNED_BITS: u32 = 40;

    fn new(at: Time, planned: u64, slot: usize) -> Self {
        debug_assert!(planned >> Self::PLANNED_BITS == 0 && slot >> Self::SLOT_BITS == 0);
        Self(u128::from(at.0) << 64 | u128::from(planned) << Self::SLOT_BITS | slot as u128)
    }

    fn at(self) -> Time {
        Time((self.0 >> 64) as u64)
    }

    fn slot(self) -> usize {
        self.0 as usize & ((1 << Self::SLOT_BITS) - 1)
    }
}

/// A queue by time; what is planned for the same moment comes out in the order it was planned.
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Planned>>,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    planned: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), planned: 0 }
    }
}

impl<T> Queue<T> {
    /// Plans something.
    pub fn plan(&mut self, at: Time, what: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(what);
        self.planned += 1;
        self.heap.push(Reverse(Planned::new(at, self.planned, slot)));
    }

    /// When the next thing happens.
    pub fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse(planned)| planned.at())
    }

    /// The next thing that happens.
    pub fn pop(&mut self) -> Option<(Time, T)> {
        let Reverse(planned) = self.heap.pop()?;
        let slot = planned.slot();
        self.free.push(slot);
        Some((planned.at(), self.slots[slot].take()?))
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
