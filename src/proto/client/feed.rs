//! What the client was shown: each message once, and where the feed goes on at the next server.

use super::beginning::Beginning;
use crate::ids::{ClientId, EpochId, RecordKey};
use crate::proto::bugs::{Bug, Bugs, bug};
use crate::record::{Kind, Record};
use crate::seq::IdSet;
use crate::wire::session::{Cursor, MAX_CURSOR_EPOCHS};
use std::collections::BTreeMap;

/// The feed's memory.
///
/// It holds the ids of all it has shown (a range or two for each writer), so that nothing is shown twice whichever server
/// sends it, and the lengths of the last [`MAX_CURSOR_EPOCHS`] epochs. An epoch that falls out of the cursor may be sent
/// again by the next server: the ids catch that.
#[derive(Debug)]
pub(super) struct Feed {
    me: ClientId,
    shown: IdSet,
    greatest: RecordKey,
    began: Beginning,
    /// The greatest key that was there then.
    floor: RecordKey,
    lengths: BTreeMap<EpochId, u64>,
    /// The greatest key shown of each of the last epochs.
    tops: BTreeMap<EpochId, RecordKey>,
    /// … and of all epochs before.
    fallen: RecordKey,
    pub(super) bugs: Bugs,
}

impl Feed {
    /// A feed that begins at this cursor.
    pub(super) fn new(me: ClientId, began: &Cursor) -> Self {
        let (floor, lengths) = (began.floor, began.epochs.iter().copied().collect());
        let began = Beginning::of(began);
        let (greatest, fallen) = (RecordKey::default(), RecordKey::default());
        let (shown, tops) = (IdSet::default(), BTreeMap::new());
        Self { me, shown, greatest, began, floor, lengths, tops, fallen, bugs: Bugs::NONE }
    }

    /// A feed that goes on where another process was: it had been shown what `seen` says, up to `greatest`.
    pub(super) fn resumed(me: ClientId, seen: &Cursor, greatest: RecordKey) -> Self {
        // Which was the greatest of each epoch only the other process knew; none was greater than this.
        let tops = seen.epochs.iter().map(|(epoch, _)| (*epoch, greatest)).collect();
        Self { greatest, tops, ..Self::new(me, seen) }
    }

    /// Takes a record, `behind` the present as the server says or not: `None` when it was shown before, lies before the
    /// feed's beginning or is for others' eyes, else whether it is late.
    pub(super) fn show(&mut self, record: &Record, behind: bool) -> Option<bool> {
        let is_old = bug!(self, Bug::NewsLost) && record.key <= self.floor;
        if is_old || self.began.hides(&record.key) || !self.is_for_me(record) {
            return None;
        }
        if !self.shown.insert(record.message.id) && !bug!(self, Bug::ShowsTwice) {
            return None;
        }
        let is_news = self.began.is_news_of_before(&record.key);
        let late = record.key < self.greatest || is_news || behind && record.key < self.floor;
        self.greatest = self.greatest.max(record.key);
        let top = self.tops.entry(record.key.epoch).or_default();
        *top = record.key.max(*top);
        if self.tops.len() > MAX_CURSOR_EPOCHS
            && let Some((_, top)) = self.tops.pop_first()
        {
            self.fallen = self.fallen.max(top);
        }
        Some(late)
    }

    /// Whether this sorts before the feed's beginning.
    pub(super) fn is_from_before(&self, key: &RecordKey) -> bool {
        *key <= self.floor
    }

    /// How much of an epoch the feed has covered.
    pub(super) fn length(&self, epoch: EpochId) -> u64 {
        self.lengths.get(&epoch).copied().unwrap_or(0)
    }

    /// The feed covers an epoch up to here.
    pub(super) fn advance(&mut self, epoch: EpochId, upto: u64) {
        let length = self.lengths.entry(epoch).or_default();
        *length = upto.max(*length);
        if self.lengths.len() > MAX_CURSOR_EPOCHS
            && let Some((epoch, _)) = self.lengths.pop_first()
        {
            self.fallen = self.fallen.max(self.tops.remove(&epoch).unwrap_or_default());
        }
    }

    /// What another process has to know to go on here, which does not remember the ids: of epochs that the cursor does not
    /// list any more it is shown nothing that sorts up to what was shown of them.
    pub(super) fn place(&self) -> (Cursor, RecordKey) {
        let mut cursor = self.cursor();
        cursor.floor = cursor.floor.max(self.fallen);
        (cursor, self.greatest)
    }

    /// Where the feed goes on.
    pub(super) fn cursor(&self) -> Cursor {
        Cursor { epochs: self.lengths.iter().map(|(&epoch, &length)| (epoch, length)).collect(), floor: self.floor }
    }

    fn is_for_me(&self, record: &Record) -> bool {
        match record.message.kind {
            Kind::Direct { .. } if bug!(self, Bug::ShowsLetters) => true,
            Kind::Direct { to } => to == self.me || record.message.id.client == self.me,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::message;
    use crate::time::Hlc;

    fn epoch(num: u64) -> EpochId {
        EpochId { num, ..EpochId::default() }
    }

    fn key(ms: u64, num: u64, gsn: u64) -> RecordKey {
        RecordKey { hlc: Hlc::from_wall_ms(ms), epoch: epoch(num), gsn, idx: 0 }
    }

    fn record(key: RecordKey, client: u64, cseq: u64) -> Record {
        Record { key, message: message(client, cseq, "x") }
    }

    fn feed() -> Feed {
        Feed::new(ClientId(1), &Cursor { epochs: vec![(epoch(3), 10)], floor: key(100, 3, 10) })
    }

    #[test]
    fn message_is_shown_once_whatever_its_second_place() {
        let mut feed = feed();
        assert_eq!(feed.show(&record(key(101, 3, 11), 7, 1), false), Some(false));
        assert_eq!(feed.show(&record(key(101, 3, 11), 7, 1), false), None);
        assert_eq!(feed.show(&record(key(105, 4, 1), 7, 1), false), None, "ordered again on the other side of a cut");
    }

    #[test]
    fn what_sorts_before_something_shown_is_late() {
        let mut feed = feed();
        assert_eq!(feed.show(&record(key(101, 3, 11), 7, 1), false), Some(false));
        assert_eq!(feed.show(&record(key(103, 5, 1), 7, 2), false), Some(false));
        assert_eq!(feed.show(&record(key(102, 4, 1), 8, 1), false), Some(true));
    }

    #[test]
    fn what_was_there_before_the_feed_began_is_never_shown() {
        let mut feed = feed();
        assert_eq!(feed.show(&record(key(99, 3, 10), 7, 1), false), None);
        assert_eq!(feed.show(&record(key(99, 2, 5), 7, 2), true), Some(true), "of an epoch that it did not know");
        assert_eq!(
            feed.show(&record(key(99, 3, 11), 7, 3), false),
            Some(false),
            "of a listed epoch, beyond its length"
        );
        assert_eq!(feed.show(&record(key(98, 3, 12), 7, 4), true), Some(true), "and from a merge");
    }

    #[test]
    fn one_to_one_messages_are_shown_to_the_two_only() {
        let mut feed = feed();
        let direct = |gsn, from, to| {
            let mut record = record(key(100 + gsn, 3, gsn), from, gsn);
            record.message.kind = Kind::Direct { to: ClientId(to) };
            record
        };
        assert_eq!(feed.show(&direct(11, 2, 1), false), Some(false));
        assert_eq!(feed.show(&direct(12, 1, 2), false), Some(false));
        assert_eq!(feed.show(&direct(13, 2, 3), false), None);
    }

    #[test]
    fn cursor_tells_the_lengths_of_the_last_epochs_and_is_bounded() {
        let mut feed = feed();
        feed.advance(epoch(3), 20);
        feed.advance(epoch(3), 15);
        assert_eq!(feed.cursor(), Cursor { epochs: vec![(epoch(3), 20)], floor: key(100, 3, 10) });
        for num in 4..400 {
            feed.advance(epoch(num), num);
        }
        let cursor = feed.cursor();
        assert_eq!(cursor.epochs.len(), MAX_CURSOR_EPOCHS);
        assert_eq!(cursor.epochs.last(), Some(&(epoch(399), 399)));
    }

    #[test]
    fn who_goes_on_elsewhere_is_not_shown_again_what_fell_out_of_the_cursor() {
        let mut feed = feed();
        for num in 4..400 {
            assert_eq!(feed.show(&record(key(100 + num, num, 1), 7, num), false), Some(false));
            feed.advance(epoch(num), 1);
        }
        let (seen, greatest) = feed.place();
        let mut resumed = Feed::resumed(ClientId(1), &seen, greatest);
        for num in 4..400 {
            assert_eq!(resumed.show(&record(key(100 + num, num, 1), 7, num), false), None, "{num}");
        }
        assert_eq!(
            resumed.show(&record(key(450, 399, 2), 8, 1), true),
            Some(true),
            "late, though it is the first here"
        );
        assert_eq!(resumed.show(&record(key(500, 400, 1), 8, 2), false), Some(false));
    }

    /// Seed 9100107 of the simulator, `--people`: what the first process had shown of an epoch came again at the third.
    #[test]
    fn what_an_earlier_process_had_shown_is_not_shown_by_a_later_one_either() {
        let mut first = feed();
        assert_eq!(first.show(&record(key(104, 4, 1), 7, 4), false), Some(false));
        first.advance(epoch(4), 1);
        let (seen, greatest) = first.place();
        let mut second = Feed::resumed(ClientId(1), &seen, greatest);
        for num in 5..100 {
            assert_eq!(second.show(&record(key(100 + num, num, 1), 7, num), false), Some(false));
            second.advance(epoch(num), 1);
        }
        let (seen, greatest) = second.place();
        let mut third = Feed::resumed(ClientId(1), &seen, greatest);
        assert_eq!(third.show(&record(key(104, 4, 1), 7, 4), true), None);
    }
}
