//! Sets of numbers kept as ranges, and the exact set of message ids built on them.

use crate::ids::{ClientId, MessageId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound;

/// The greatest number of a sequence or of an epoch, and the greatest length, that is taken from anyone. Far beyond what is
/// ever reached, and so far below `u64::MAX` that no sum of such a number and a count runs over. Clocks have no such bound:
/// an [`Hlc`](crate::time::Hlc) stands still at its end.
pub const MAX_NUMBER: u64 = (1 << 62) - 1;

/// A set of `u64` as disjoint, ascending, inclusive ranges.
///
/// Adding to the end of the last range and asking about it are the fast cases: that is how sequence numbers come.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RangeSet(Vec<(u64, u64)>);

impl RangeSet {
    /// The set of `first..=last`.
    pub fn of(first: u64, last: u64) -> Self {
        Self(vec![(first, last)])
    }

    /// Whether `n` is in the set.
    pub fn contains(&self, n: u64) -> bool {
        let at = self.0.partition_point(|range| range.1 < n);
        self.0.get(at).is_some_and(|range| range.0 <= n)
    }

    /// Adds one number; `false` when it was there.
    pub fn insert(&mut self, n: u64) -> bool {
        if let Some(last) = self.0.last_mut()
            && last.1.checked_add(1) == Some(n)
        {
            last.1 = n;
            return true;
        }
        if self.contains(n) {
            return false;
        }
        self.insert_range(n, n);
        true
    }

    /// Adds `first..=last`.
    pub fn insert_range(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let start = self.0.partition_point(|range| range.1 < first.saturating_sub(1));
        let end = self.0.partition_point(|range| range.0 <= last.saturating_add(1));
        if start >= end {
            self.0.insert(start, (first, last));
            return;
        }
        let merged = (first.min(self.0[start].0), last.max(self.0[end - 1].1));
        self.0.splice(start..end, [merged]);
    }

    /// Takes `first..=last` out of the set.
    pub fn remove_range(&mut self, first: u64, last: u64) {
        let mut kept = Vec::with_capacity(self.0.len() + 1);
        for &(low, high) in &self.0 {
            if high < first || low > last {
                kept.push((low, high));
                continue;
            }
            if low < first {
                kept.push((low, first - 1));
            }
            if high > last {
                kept.push((last + 1, high));
            }
        }
        self.0 = kept;
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// What `first..=last` has that this set lacks, ascending, at most `most` ranges.
    pub fn missing(&self, first: u64, last: u64, most: usize) -> Vec<(u64, u64)> {
        if self.0.last().is_some_and(|&(low, high)| low <= first && last <= high) {
            return Vec::new();
        }
        let mut gaps = Vec::new();
        let mut next = first;
        for &(low, high) in &self.0 {
            if next > last || gaps.len() >= most {
                return gaps;
            }
            if high < next {
                continue;
            }
            if low > next {
                gaps.push((next, (low - 1).min(last)));
            }
            let Some(behind) = high.checked_add(1) else {
                return gaps;
            };
            next = behind;
        }
        if next <= last && gaps.len() < most {
            gaps.push((next, last));
        }
        gaps
    }

    /// The greatest number; `None` when empty.
    pub fn last(&self) -> Option<u64> {
        self.0.last().map(|range| range.1)
    }

    /// How many numbers; held at `u64::MAX`.
    pub fn len(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, &(low, high)| sum.saturating_add(high - low).saturating_add(1))
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all of `other`; how many that were not there.
    pub fn union(&mut self, other: &Self) -> u64 {
        let before = self.len();
        for &(low, high) in &other.0 {
            self.insert_range(low, high);
        }
        self.len() - before
    }

    /// The set in pieces of at most `most` ranges.
    pub fn pieces(&self, most: usize) -> impl Iterator<Item = Self> {
        self.0.chunks(most.max(1)).map(|ranges| Self(ranges.to_vec()))
    }

    /// Whether the ranges are disjoint, ascending and apart, as a decoder must check of a stranger's set.
    pub fn is_valid(&self) -> bool {
        self.0.iter().all(|range| range.0 <= range.1)
            && self.0.windows(2).all(|pair| pair[0].1.checked_add(1).is_some_and(|next| next < pair[1].0))
    }
}

/// The exact set of message ids in a history: for each client the ranges of its numbers.
///
/// A client numbers from 1 without gaps, so that most clients cost one range. Holes are kept, however many: they may be
/// what the other side of a cut has, and a hole that counts as history would be left out when it comes. So a client costs
/// at most 16 bytes for each message of it that is history.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IdSet {
    clients: BTreeMap<ClientId, RangeSet>,
}

impl IdSet {
    /// Buckets that two sets compare by hash before they exchange what differs.
    pub const BUCKETS: usize = 32;

    /// The bucket of a client.
    pub fn bucket_of(client: ClientId) -> usize {
        (client.0 % Self::BUCKETS as u64) as usize
    }

    /// Whether the message is in the set.
    pub fn contains(&self, id: MessageId) -> bool {
        self.clients.get(&id.client).is_some_and(|numbers| numbers.contains(id.cseq))
    }

    /// Whether the message, or one that its writer numbered later, is in the set.
    pub fn reaches(&self, id: MessageId) -> bool {
        self.clients.get(&id.client).and_then(RangeSet::last).is_some_and(|last| id.cseq <= last)
    }

    /// Adds a message; `false` when it was there.
    pub fn insert(&mut self, id: MessageId) -> bool {
        self.clients.entry(id.client).or_default().insert(id.cseq)
    }

    /// Adds all of one client's numbers; how many that were not there.
    pub fn union(&mut self, client: ClientId, other: &RangeSet) -> u64 {
        self.clients.entry(client).or_default().union(other)
    }

    /// One client's numbers.
    pub fn of(&self, client: ClientId) -> Option<&RangeSet> {
        self.clients.get(&client)
    }

    /// All clients, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (ClientId, &RangeSet)> {
        self.clients.iter().map(|(client, numbers)| (*client, numbers))
    }

    /// Clients above this one, or all, ascending.
    pub fn above(&self, client: Option<ClientId>) -> impl Iterator<Item = (ClientId, &RangeSet)> {
        let from = client.map_or(Bound::Unbounded, Bound::Excluded);
        self.clients.range((from, Bound::Unbounded)).map(|(client, numbers)| (*client, numbers))
    }

    /// The hash of each bucket, by which two sets find what differs. Made when it is asked for, once in a view: messages
    /// are added all the time.
    pub fn hashes(&self) -> [u64; Self::BUCKETS] {
        let mut hashes = [0; Self::BUCKETS];
        for (client, numbers) in &self.clients {
            hashes[Self::bucket_of(*client)] ^= Self::hash(*client, numbers);
        }
        hashes
    }

    /// How many clients.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether it knows no client.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    fn hash(client: ClientId, numbers: &RangeSet) -> u64 {
        if numbers.is_empty() {
            return 0;
        }
        let mut hash = xxhash_rust::xxh3::xxh3_64(&client.0.to_le_bytes());
        for &(low, high) in numbers.ranges() {
            let mut bytes = [0; 24];
            bytes[..8].copy_from_slice(&hash.to_le_bytes());
            bytes[8..16].copy_from_slice(&low.to_le_bytes());
            bytes[16..].copy_from_slice(&high.to_le_bytes());
            hash = xxhash_rust::xxh3::xxh3_64(&bytes);
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn range_set_agrees_with_a_plain_set(ops in prop::collection::vec((0_u64..60, 0_u64..6, any::<bool>()), 0..60)) {
            let mut ranges = RangeSet::default();
            let mut plain = BTreeSet::new();
            for (first, more, add) in ops {
                if add {
                    ranges.insert_range(first, first + more);
                    plain.extend(first..=first + more);
                } else {
                    ranges.remove_range(first, first + more);
                    plain.retain(|n| !(first..=first + more).contains(n));
                }
                prop_assert!(ranges.is_valid());
            }
            prop_assert_eq!(ranges.len(), plain.len() as u64);
            prop_assert_eq!(ranges.last(), plain.last().copied());
            let missing: Vec<u64> = ranges.missing(5, 50, 99).iter().flat_map(|&(low, high)| low..=high).collect();
            prop_assert_eq!(missing, (5..=50).filter(|n| !plain.contains(n)).collect::<Vec<_>>());
            for n in 0..70 {
                prop_assert_eq!(ranges.contains(n), plain.contains(&n));
            }
        }

        #[test]
        fn id_sets_of_the_same_ids_have_the_same_hashes(ids in prop::collection::vec((0_u64..40, 1_u64..30), 0..80)) {
            let mut forwards = IdSet::default();
            let mut backwards = IdSet::default();
            let id = |&(client, cseq): &(u64, u64)| MessageId { client: ClientId(client), cseq };
            for one in &ids {
                forwards.insert(id(one));
            }
            for one in ids.iter().rev() {
                backwards.insert(id(one));
            }
            prop_assert_eq!(forwards.hashes(), backwards.hashes());
            prop_assert_eq!(forwards, backwards);
        }
    }

    #[test]
    fn greatest_number_there_is_can_be_added_found_missing_and_taken_out() {
        let mut set = RangeSet::of(1, 3);
        assert_eq!(set.missing(1, u64::MAX, 9), [(4, u64::MAX)]);
        set.insert(u64::MAX);
        set.insert_range(u64::MAX - 2, u64::MAX);
        assert_eq!(set.ranges(), &[(1, 3), (u64::MAX - 2, u64::MAX)]);
        assert_eq!(set.missing(1, u64::MAX, 9), [(4, u64::MAX - 3)]);
        assert!(!RangeSet(vec![(1, u64::MAX), (2, 2)]).is_valid());
        set.union(&RangeSet::of(0, u64::MAX));
        assert_eq!((set.ranges(), set.len()), (&[(0, u64::MAX)][..], u64::MAX));
        set.remove_range(0, u64::MAX);
        assert!(set.is_empty());
    }

    #[test]
    fn pieces_are_the_whole_set() {
        let mut set = RangeSet::default();
        for n in [1, 3, 5, 7, 9] {
            set.insert(n);
        }
        let pieces: Vec<RangeSet> = set.pieces(2).collect();
        assert_eq!(pieces.iter().map(|piece| piece.ranges().len()).collect::<Vec<_>>(), [2, 2, 1]);
        let mut whole = RangeSet::default();
        for piece in &pieces {
            whole.union(piece);
        }
        assert_eq!(whole, set);
    }

    #[test]
    fn set_reaches_what_was_numbered_before_its_last() {
        let id = |client, cseq| MessageId { client: ClientId(client), cseq };
        let mut ids = IdSet::default();
        assert!(!ids.reaches(id(1, 0)));
        ids.insert(id(1, 3));
        ids.insert(id(1, 7));
        assert!(ids.reaches(id(1, 1)) && ids.reaches(id(1, 7)) && !ids.reaches(id(1, 8)) && !ids.reaches(id(2, 1)));
    }

    #[test]
    fn holes_are_kept_however_many() {
        let mut ids = IdSet::default();
        let id = |cseq| MessageId { client: ClientId(1), cseq };
        for n in 1..1_000 {
            assert!(ids.insert(id(2 * n)));
        }
        assert!((1..1_000).all(|n| ids.insert(id(2 * n + 1))), "what comes late by a merge is new");
    }
}
