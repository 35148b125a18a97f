//! A connection that only reads: on any thread, while the server runs or not.

use super::check::{self, Flaw};
use super::engine::{connect, note_damage};
use super::{FILE_NAME, archive, copy, failure, schema};
use crate::ids::MessageId;
use crate::record::Record;
use crate::store::engine::{Archive, Page};
use crate::store::error::StoreError;
use crate::wire::session::{HistoryQuery, RoomInfo};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Steps of `SQLite`'s machine between two looks at the budget.
const STEPS: i32 = 10_000;
/// Looks until a question is given up: some seconds of work.
const LOOKS: u32 = 5_000;

/// Answers questions about the history in a server's directory. Sees what was committed before each question.
///
/// A question holds the file's state only while it is answered, so that the write-ahead log stays short.
#[derive(Debug)]
pub struct SqliteReader {
    conn: Connection,
    path: PathBuf,
    /// Looks left for the question that is being answered.
    budget: Arc<AtomicU32>,
}

impl SqliteReader {
    /// Opens the store in a server's directory for reading.
    ///
    /// # Errors
    /// [`StoreError::Io`] when there is none; [`StoreError::Newer`], [`StoreError::Foreign`], [`StoreError::Corrupt`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_file(&dir.join(FILE_NAME))
    }

    pub(super) fn open_file(path: &Path) -> Result<Self, StoreError> {
        // Reading after a crash replays the write-ahead log, which takes a connection that could write.
        let mut conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .or_else(|_| connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        schema::check(&conn, path)?;
        let failure = |error| failure("open", path, error);
        conn.execute_batch("PRAGMA query_only = ON").map_err(failure)?;
        let budget = Arc::new(AtomicU32::new(u32::MAX));
        let left = Arc::clone(&budget);
        conn.progress_handler(STEPS, Some(move || left.fetch_sub(1, Ordering::Relaxed) <= 1)).map_err(failure)?;
        Ok(Self { conn, path: path.into(), budget })
    }

    /// The connection, which only reads.
    pub(super) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Writes a consistent copy of the history without the server's identity: aside first, then renamed, so that `dest`
    /// is whole or not there. A file at `dest` is replaced. Works while the server writes.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Io`]; `dest` is as it was.
    pub fn backup(&self, dest: &Path) -> Result<(), StoreError> {
        // A copy is long work and writes a file: a connection of its own, without the bounds of questions.
        let conn = connect(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        copy::backup(&conn, dest)
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.budget.store(LOOKS, Ordering::Relaxed);
        question(&self.conn).map_err(|error| note_damage(failure("read", &self.path, error), &self.path))
    }
}

impl Archive for SqliteReader {
    fn history(&self, query: &HistoryQuery) -> Result<Page, StoreError> {
        self.ask(|conn| archive::history(conn, query))
    }

    fn search(&self, words: &str, within: &HistoryQuery) -> Result<Page, StoreError> {
        self.ask(|conn| archive::search(conn, words, within))
    }

    fn rooms(&self) -> Result<Vec<RoomInfo>, StoreError> {
        self.ask(archive::rooms)
    }

    fn place(&self, id: MessageId) -> Result<Option<(Record, String)>, StoreError> {
        let row = self.ask(|conn| archive::message(conn, id))?;
        Ok(row.map(|row| (row.record, row.leader)))
    }

    fn check(&self, from: MessageId, most: usize) -> Result<Option<MessageId>, StoreError> {
        self.budget.store(LOOKS, Ordering::Relaxed);
        check::check(&self.conn, from, most).map_err(|flaw| match flaw {
            Flaw::Index(what) => StoreError::DamagedIndex { what: format!("it does not find {what}") },
            Flaw::Read(error) => match failure("read", &self.path, error) {
                // What is broken besides is found out when the index is to be made anew.
                StoreError::Corrupt { what } => StoreError::DamagedIndex { what },
                error => error,
            },
        })
    }
}
