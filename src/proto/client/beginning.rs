//! Where a feed began: what lies before it is not shown.

use crate::ids::{EpochId, RecordKey};
use crate::wire::session::Cursor;
use std::collections::BTreeMap;

/// The history that was there when the feed began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beginning {
    lengths: BTreeMap<EpochId, u64>,
    /// Of epochs that are not listed, what sorts up to here.
    others: RecordKey,
}

impl Beginning {
    /// The one that a cursor tells.
    pub fn of(cursor: &Cursor) -> Self {
        Self { lengths: cursor.epochs.iter().copied().collect(), others: cursor.floor_of_others() }
    }

    /// Whether this place lies before it.
    pub fn is_after(&self, key: &RecordKey) -> bool {
        match self.lengths.get(&key.epoch) {
            Some(length) => key.gsn <= *length,
            None => *key <= self.others,
        }
    }

    /// Another process goes on from this cursor: of epochs that neither lists, what sorts below its floor is not shown.
    pub fn go_on(&mut self, cursor: &Cursor) {
        self.others = self.others.max(cursor.floor_of_others());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Hlc;
    use crate::wire::session::{MAX_CURSOR_EPOCHS, NEWS};

    fn epoch(num: u64) -> EpochId {
        EpochId { num, ..EpochId::default() }
    }

    fn key(ms: u64, num: u64, gsn: u64) -> RecordKey {
        RecordKey { hlc: Hlc::from_wall_ms(ms), epoch: epoch(num), gsn, idx: 0 }
    }

    /// Of a split that a newcomer came into, it was shown nothing that the other side had said before.
    #[test]
    fn what_its_server_did_not_know_is_news_for_a_day() {
        let now = 1_000_000_000;
        let day = NEWS.as_millis() as u64;
        let mut cursor = Cursor { epochs: vec![(epoch(3), 10)], floor: key(now, 3, 10) };
        let beginning = Beginning::of(&cursor);
        assert!(beginning.is_after(&key(now, 3, 10)) && !beginning.is_after(&key(now - 5, 3, 11)));
        assert!(!beginning.is_after(&key(now - 5, 4, 1)) && !beginning.is_after(&key(now - day + 1, 2, 1)));
        assert!(beginning.is_after(&key(now - day - 1, 4, 1)));
        cursor.epochs.extend((4..=MAX_CURSOR_EPOCHS as u64 + 2).map(|num| (epoch(num), 1)));
        let known = Beginning::of(&cursor);
        assert!(known.is_after(&key(now - 5, 2, 1)), "of those that do not fit the list nothing is news");
        let mut two = beginning;
        two.go_on(&cursor);
        assert!(two.is_after(&key(now - 5, 2, 1)) && !two.is_after(&key(now - 5, 3, 11)));
    }
}
