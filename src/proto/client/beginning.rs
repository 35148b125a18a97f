//! Where a feed began: what lies before it is not shown.

use crate::ids::{EpochId, RecordKey};
use crate::wire::session::Cursor;
use std::collections::BTreeMap;

/// The history that was there when the feed began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beginning {
    lengths: BTreeMap<EpochId, u64>,
    /// What was owed of epochs that an earlier process came to know.
    floors: BTreeMap<EpochId, RecordKey>,
    /// The cursor that told it; of epochs that are in neither its floors count.
    cursor: Cursor,
}

impl Beginning {
    /// The one that a cursor tells.
    pub fn of(cursor: &Cursor) -> Self {
        let lengths = cursor.epochs.iter().copied().collect();
        Self { lengths, floors: BTreeMap::new(), cursor: cursor.clone() }
    }

    /// Whether this place lies before it.
    pub fn hides(&self, key: &RecordKey) -> bool {
        match self.lengths.get(&key.epoch) {
            Some(length) => key.gsn <= *length,
            None => *key <= self.floor_of(key.epoch),
        }
    }

    /// Whether this place was not known then, or not yet, and sorts below something that was: it is late, whenever it comes.
    pub fn is_news_of_before(&self, key: &RecordKey) -> bool {
        *key < self.cursor.floor && !self.lengths.contains_key(&key.epoch)
    }

    /// Another process goes on with what this one had been shown: of an epoch that it lists this one was owed what its floor left.
    pub fn go_on(&mut self, shown: &Cursor) {
        for (epoch, _) in &shown.epochs {
            let floor = self.floor_of(*epoch);
            self.floors.entry(*epoch).or_insert(floor);
        }
        self.cursor = shown.clone();
    }

    fn floor_of(&self, epoch: EpochId) -> RecordKey {
        self.floors.get(&epoch).copied().unwrap_or_else(|| self.cursor.floor_of(epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Hlc;
    use crate::wire::session::{MAX_CURSOR_EPOCHS, NEWS};

    const NOW: u64 = 1_000_000_000;

    fn epoch(num: u64) -> EpochId {
        EpochId { num, ..EpochId::default() }
    }

    fn key(ms: u64, num: u64, gsn: u64) -> RecordKey {
        RecordKey { hlc: Hlc::from_wall_ms(ms), epoch: epoch(num), gsn, idx: 0 }
    }

    fn cursor(epochs: impl Iterator<Item = u64>) -> Cursor {
        Cursor { epochs: epochs.map(|num| (epoch(num), 10)).collect(), floor: key(NOW, 9, 10) }
    }

    /// Of a split that a newcomer came into, it was shown nothing that the other side had said before.
    #[test]
    fn what_its_server_did_not_know_is_news_for_a_day() {
        let day = NEWS.as_millis() as u64;
        let beginning = Beginning::of(&cursor(9..=9));
        assert!(beginning.hides(&key(NOW, 9, 10)) && !beginning.hides(&key(NOW - 5, 9, 11)));
        assert!(!beginning.hides(&key(NOW - 5, 10, 1)) && !beginning.hides(&key(NOW - day + 1, 2, 1)));
        assert!(beginning.hides(&key(NOW - day - 1, 10, 1)));
        assert!(beginning.is_news_of_before(&key(NOW - 5, 10, 1)));
        assert!(
            !beginning.is_news_of_before(&key(NOW - 5, 9, 11)) && !beginning.is_news_of_before(&key(NOW + 5, 10, 1))
        );
    }

    /// A ring that has had 256 views has a list that is always full.
    #[test]
    fn list_that_is_full_left_out_old_epochs_only() {
        let listed = 9..9 + MAX_CURSOR_EPOCHS as u64;
        let beginning = Beginning::of(&cursor(listed.clone().map(|num| 2 * num)));
        assert!(beginning.hides(&key(NOW - 5, 17, 1)), "older than all that are listed");
        assert!(!beginning.hides(&key(NOW - 5, 19, 1)) && !beginning.hides(&key(NOW - 5, 2 * listed.end, 1)));
    }

    #[test]
    fn who_goes_on_elsewhere_is_owed_what_he_was_owed_before() {
        let mut beginning = Beginning::of(&cursor(9..=9));
        beginning.go_on(&cursor(9..9 + MAX_CURSOR_EPOCHS as u64));
        assert!(beginning.hides(&key(NOW - 5, 9, 10)) && !beginning.hides(&key(NOW - 5, 10, 1)));
        assert!(beginning.hides(&key(NOW - 5, 8, 1)));
    }

    /// A server's clock was a day ahead when the feed began: what was said before it is older than a day, also for a process that
    /// knows of that epoch by what was said later in it (seed 995000198).
    #[test]
    fn what_was_older_than_a_day_is_owed_to_no_later_process() {
        let day = NEWS.as_millis() as u64;
        let mut beginning = Beginning::of(&cursor(9..=9));
        beginning.go_on(&cursor(3..=9));
        assert!(beginning.hides(&key(NOW - day - 1, 3, 1)) && !beginning.hides(&key(NOW - day + 1, 3, 2)));
        beginning.go_on(&cursor(2..=9));
        assert!(beginning.hides(&key(NOW - day - 1, 3, 1)) && !beginning.hides(&key(NOW - day + 1, 3, 2)));
    }
}
