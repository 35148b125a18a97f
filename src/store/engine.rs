//! What a store stands on: rows of bytes in a few tables and the rows of history, changed by atomic batches.

use super::error::StoreError;
use crate::ids::{ClientId, MessageId, RecordKey};
use crate::record::Record;
use crate::wire::session::{HistoryQuery, RoomInfo};
use serde::{Deserialize, Serialize};

/// A table of rows of bytes, sorted by key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Table {
    /// Single rows, keyed by a word.
    Meta = 1,
    /// Views, keyed by epoch.
    Views = 2,
    /// Lengths, keyed by epoch.
    Heads = 3,
    /// The logs, keyed by epoch and gsn.
    Entries = 4,
    /// What recovery took out of the way.
    Aside = 5,
    /// How much of each epoch is indexed.
    Covered = 6,
    /// Numbers of each client in the indexed part of history.
    Ids = 7,
    /// Numbers of each client that were let go of.
    Pruned = 8,
    /// What each epoch says of people, nicks and rooms, as far as it is indexed.
    Gists = 9,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Meta,
        Self::Views,
        Self::Heads,
        Self::Entries,
        Self::Aside,
        Self::Covered,
        Self::Ids,
        Self::Pruned,
        Self::Gists,
    ];
}

/// One message of history as people see it. `acked_upto` and `floor` of the message are zero: they are not history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryRow {
    /// The message and its place.
    pub record: Record,
    /// The name of the leader that ordered it.
    pub leader: String,
}

/// One change of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Sets a row.
    Put {
        /// Where.
        table: Table,
        /// Which.
        key: Vec<u8>,
        /// What.
        value: Vec<u8>,
    },
    /// Removes a row, if it is there.
    Delete {
        /// Where.
        table: Table,
        /// Which.
        key: Vec<u8>,
    },
    /// Removes all rows of a table.
    Clear {
        /// Which.
        table: Table,
    },
    /// Adds a message to history. Its id and its key are not there.
    Remember(Box<HistoryRow>),
    /// Takes a message out of history: its place is elsewhere, or it is let go of.
    Forget(RecordKey),
    /// Takes every message out of history: it is made anew from the log.
    ForgetAll,
}

/// Changes that happen all or not at all, in this order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch(pub Vec<Op>);

impl Batch {
    /// Sets a row.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        self.0.push(Op::Put { table, key: key.into(), value });
    }

    /// Removes a row.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.0.push(Op::Delete { table, key: key.into() });
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A key and its row.
pub type Row = (Vec<u8>, Vec<u8>);

/// In which direction a scan goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the least key.
    Up,
    /// From the greatest key.
    Down,
}

/// Tables on some medium. One owner writes; what it committed it sees at once.
///
/// After an error of [`Engine::commit`] or [`Engine::sync`] the engine is dropped and opened anew.
pub trait Engine {
    /// Does all of a batch or nothing of it. It survives the end of the process, not yet that of the machine.
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError>;

    /// Returns when everything committed survives the machine.
    fn sync(&mut self) -> Result<(), StoreError>;

    /// Rows of a table with keys in `from..=to`, at most `limit`.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Row>, StoreError>;

    /// One row.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.scan(table, key, key, 1, Direction::Up)?.pop().map(|row| row.1))
    }

    /// Looks through the medium's own structure, however long that takes: called when rows are missing or not what was
    /// written.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when rows are where they cannot be found, so that nothing read from here can be believed.
    fn examine(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Notes, durably, that what is in the index is not to be believed: the next opening makes it anew from the log.
    ///
    /// # Errors
    /// [`StoreError::Full`] when there is no room to make it anew, [`StoreError::Io`]: nothing is noted.
    fn condemn_index(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// A message of history by its id, as it was remembered.
    fn message(&self, id: MessageId) -> Result<Option<HistoryRow>, StoreError>;

    /// Which of a client's messages history has, of those with numbers in `first..=last`.
    fn numbers(&self, client: ClientId, first: u64, last: u64) -> Result<Vec<u64>, StoreError>;
}

/// A part of history, ascending by key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The messages, each with the name of the leader that ordered it.
    pub records: Vec<(Record, String)>,
    /// Whether more matches beyond it.
    pub more: bool,
}

/// Answers questions about history. Each answer is one page: at most [`MAX_PAGE`] messages and about
/// [`MAX_PAGE_BYTES`].
pub trait Archive {
    /// A page of history.
    fn history(&self, query: &HistoryQuery) -> Result<Page, StoreError>;

    /// A page of the messages that have all these words in their text, compared without case and accents. Text without
    /// a letter or digit matches nothing; the first [`MAX_WORDS`] words count.
    fn search(&self, words: &str, within: &HistoryQuery) -> Result<Page, StoreError>;

    /// Every room, ascending by name. People are not known here: the count is 0.
    fn rooms(&self) -> Result<Vec<RoomInfo>, StoreError>;

    /// A message by its id, with the name of the leader that ordered it.
    fn place(&self, id: MessageId) -> Result<Option<(Record, String)>, StoreError>;

    /// Looks whether questions find the messages that the store says are in the index, from this id on and about `most` of
    /// them. The id to go on from; `None` when there are no more, or nothing could hide one.
    ///
    /// # Errors
    /// [`StoreError::DamagedIndex`] when one is not found: nothing was noted, so that it can be looked at again. Any other
    /// says nothing about the index.
    fn check(&self, from: MessageId, most: usize) -> Result<Option<MessageId>, StoreError> {
        let _ = (from, most);
        Ok(None)
    }
}

/// Most messages in one page.
pub const MAX_PAGE: usize = 500;
/// Bytes of text after which a page ends.
pub const MAX_PAGE_BYTES: usize = 512 * 1024;
/// Words of a search that count.
pub const MAX_WORDS: usize = 16;
/// Rooms of a query that count.
pub const MAX_ROOMS: usize = 64;
