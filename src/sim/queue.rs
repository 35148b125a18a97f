//! What will happen, in order of time and then of when it was planned.

use crate::time::Time;
use std::collections::VecDeque;

/// Digits of a moment to base 16.
const DIGITS: usize = 16;

/// A queue by time; what is planned for the same moment comes out in the order it was planned.
///
/// Time only goes on, so that a radix heap does (Ahuja, Mehlhorn, Orlin and Tarjan, 1990): what is planned lies in a bucket
/// by the highest digit in which its moment differs from the present, and by what that digit is. When the present is used
/// up, the lowest bucket is divided among those below it; each plan moves down a few times, and nothing is compared. What is
/// planned for one moment is in one bucket at any time, behind what was planned before it.
pub struct Queue<T> {
    /// The moment of what came out last.
    now: Time,
    /// Slots of what happens now.
    due: VecDeque<u32>,
    /// By place of the digit, from the lowest, and by the digit.
    later: [[Bucket; 16]; DIGITS],
    /// By place of the digit: bit `i` for a bucket `i` that holds something.
    filled: [u16; DIGITS],
    /// What is planned lies still here.
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

/// Moments and slots, in the order they were planned.
type Bucket = Vec<(Time, u32)>;

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let later = [const { [const { Vec::new() }; 16] }; DIGITS];
        let (slots, free) = (Vec::new(), Vec::new());
        Self { now: Time(0), due: VecDeque::new(), later, filled: [0; DIGITS], slots, free }
    }
}

impl<T> Queue<T> {
    /// Plans something; what is planned for the past happens now.
    pub fn plan(&mut self, at: Time, what: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.slots[slot as usize] = Some(what);
        self.place(at.max(self.now), slot);
    }

    fn place(&mut self, at: Time, slot: u32) {
        let Some(bit) = (at.0 ^ self.now.0).checked_ilog2() else { return self.due.push_back(slot) };
        let digit = (at.0 >> (bit / 4 * 4) & 15) as usize;
        let place = (bit / 4) as usize;
        self.later[place][digit].push((at, slot));
        self.filled[place] |= 1 << digit;
    }

    /// The next thing that happens, if that is at `end` or before.
    pub fn pop_until(&mut self, end: Time) -> Option<(Time, T)> {
        if self.due.is_empty() {
            self.go_on(end);
        }
        let slot = self.due.pop_front()?;
        self.free.push(slot);
        Some((self.now, self.slots[slot as usize].take()?))
    }

    /// Makes the next moment the present, if it is not after `end`.
    fn go_on(&mut self, end: Time) {
        let Some(place) = self.filled.iter().position(|digits| *digits != 0) else { return };
        let digit = self.filled[place].trailing_zeros() as usize;
        let mut plans = std::mem::take(&mut self.later[place][digit]);
        if let Some(next) = plans.iter().map(|(at, _)| *at).min().filter(|next| *next <= end) {
            self.now = next;
            self.filled[place] &= !(1 << digit);
            plans.drain(..).for_each(|(at, slot)| self.place(at, slot));
        }
        self.later[place][digit] = plans;
    }

    /// How much is planned.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether nothing will ever happen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::rng::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn same_moment_comes_out_in_the_order_planned() {
        let mut queue = Queue::default();
        for (at, what) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            queue.plan(Time(at), what);
        }
        let out: String = std::iter::from_fn(|| queue.pop_until(Time::NEVER)).map(|(_, what)| what).collect();
        assert_eq!(out, "abcd");
    }

    #[test]
    fn queue_agrees_with_a_plain_map_while_things_are_planned_as_others_happen() {
        let (mut queue, mut plain, mut rng) = (Queue::default(), BTreeMap::new(), Rng::new(1));
        let (mut now, mut planned) = (Time(0), 0);
        for _ in 0..20_000 {
            for _ in 0..rng.below(3) {
                let at = Time(now.0 + rng.draw() % (1 << rng.below(24)));
                planned += 1;
                queue.plan(at, planned);
                plain.insert((at, planned), planned);
            }
            let end = Time(now.0 + rng.below(200));
            let next = plain.first_key_value().map(|(key, _)| *key).filter(|(at, _)| *at <= end);
            let expected = next.and_then(|key| Some((key.0, plain.remove(&key)?)));
            assert_eq!(queue.pop_until(end), expected);
            now = expected.map_or(end, |(at, _)| at);
            assert_eq!((queue.len(), queue.is_empty()), (plain.len(), plain.is_empty()));
        }
    }
}
