//! The engine above one connection that writes.

use super::lock::{Lock, make_private_file};
use super::room::has_room_for;
use super::{BROKEN_NAME, FILE_NAME, REINDEX_NAME, archive, failure, schema, write_note};
use crate::ids::{ClientId, MessageId};
use crate::record::Record;
use crate::store::engine::{Archive, Batch, Direction, Engine, HistoryRow, Op, Page, Row, Table};
use crate::store::error::StoreError;
use crate::wire::session::{HistoryQuery, RoomInfo};
use rusqlite::{Connection, OpenFlags, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Length of the write-ahead log, in bytes, beyond which a warning is logged; again at each doubling.
const WAL_WARN_BYTES: u64 = 64 << 20;
/// Commits between two looks at the write-ahead log.
const WAL_LOOK_EACH: u64 = 64;

/// The one writer of a store's file. Every commit is durable when it returns; `sync` has nothing left to do.
///
/// After any error drop it and [`open`](super::open) anew: a handle that failed to write may hold pages that the disk
/// does not.
#[derive(Debug)]
pub struct SqliteEngine {
    conn: Connection,
    path: PathBuf,
    commits: u64,
    wal_warned_bytes: u64,
    /// After the connection: closed before the lock goes.
    _lock: Lock,
}

impl SqliteEngine {
    /// Opens the file in a directory, or makes it.
    pub(super) fn open(dir: &Path, lock: Lock) -> Result<Self, StoreError> {
        let path = dir.join(FILE_NAME);
        make_private_file(&path)?;
        let conn = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::prepare(&conn, &path)?;
        let engine = Self { conn, path, commits: 0, wal_warned_bytes: WAL_WARN_BYTES, _lock: lock };
        engine
            .conn
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864;",
            )
            .map_err(|error| failure("open", &engine.path, error))?;
        Ok(engine)
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the write-ahead log in bytes: it grows while a reader holds an old state.
    pub fn wal_bytes(&self) -> u64 {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        std::fs::metadata(wal).map_or(0, |found| found.len())
    }

    fn watch_wal(&mut self) {
        self.commits += 1;
        if !self.commits.is_multiple_of(WAL_LOOK_EACH) {
            return;
        }
        let bytes = self.wal_bytes();
        if bytes > self.wal_warned_bytes {
            log::warn!("the write-ahead log of {} has {} MiB: a reader holds it", self.path.display(), bytes >> 20);
            self.wal_warned_bytes = bytes.saturating_mul(2);
        } else if bytes < WAL_WARN_BYTES {
            self.wal_warned_bytes = WAL_WARN_BYTES;
        }
    }

    /// Tells what a failure means.
    fn failed(&self, op: &'static str, error: rusqlite::Error) -> StoreError {
        note_damage(failure(op, &self.path, error), &self.path)
    }

    fn write(&self, batch: &Batch) -> rusqlite::Result<()> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let written = batch.0.iter().try_for_each(|op| self.write_op(op));
        let done = written.and_then(|()| self.conn.prepare_cached("COMMIT")?.execute([]).map(drop));
        if done.is_err() && !self.conn.is_autocommit() {
            // Some errors have rolled back already; what this one says adds nothing.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        done
    }

    fn write_op(&self, op: &Op) -> rusqlite::Result<()> {
        match op {
            Op::Put { table, key, value } => {
                self.conn.prepare_cached(put_sql(*table))?.execute(params![key, value])?;
            }
            Op::Delete { table, key } => {
                let sql = format!("DELETE FROM {} WHERE key = ?", schema::table_name(*table));
                self.conn.prepare_cached(&sql)?.execute([key])?;
            }
            Op::Clear { table } => {
                self.conn.execute(&format!("DELETE FROM {}", schema::table_name(*table)), [])?;
            }
            Op::Remember(row) => schema::remember(&self.conn, row)?,
            Op::Forget(key) => schema::forget(&self.conn, *key)?,
            Op::ForgetAll => schema::forget_all(&self.conn)?,
        }
        Ok(())
    }
}

impl Engine for SqliteEngine {
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.write(&batch).map_err(|error| self.failed("write", error))?;
        self.watch_wal();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<Row>, StoreError> {
        let (name, order) = (schema::table_name(table), if direction == Direction::Up { "ASC" } else { "DESC" });
        let sql = format!("SELECT key, value FROM {name} WHERE key BETWEEN ? AND ? ORDER BY key {order} LIMIT ?");
        let scan = || {
            let mut statement = self.conn.prepare_cached(&sql)?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows =
                statement.query_map(params![from, to, limit], |row| Ok((bytes_at(row, 0)?, bytes_at(row, 1)?)))?;
            rows.collect::<rusqlite::Result<Vec<Row>>>()
        };
        scan().map_err(|error| self.failed("read", error))
    }

    fn examine(&self) -> Result<(), StoreError> {
        let found: String = self
            .conn
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|error| self.failed("read", error))?;
        if found == "ok" { Ok(()) } else { Err(note_damage(StoreError::Corrupt { what: found }, &self.path)) }
    }

    fn condemn_index(&self) -> Result<(), StoreError> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let bytes = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        // It may turn out that the whole file has to be carried over into a new one.
        if !has_room_for(dir, bytes) {
            return Err(StoreError::Full { path: self.path.clone() });
        }
        write_note(&dir.join(REINDEX_NAME), "")
    }

    fn message(&self, id: MessageId) -> Result<Option<HistoryRow>, StoreError> {
        archive::message(&self.conn, id).map_err(|error| self.failed("read", error))
    }

    fn numbers(&self, client: ClientId, first: u64, last: u64) -> Result<Vec<u64>, StoreError> {
        archive::numbers(&self.conn, client, first, last).map_err(|error| self.failed("read", error))
    }
}

impl Archive for SqliteEngine {
    fn history(&self, query: &HistoryQuery) -> Result<Page, StoreError> {
        archive::history(&self.conn, query).map_err(|error| self.failed("read", error))
    }

    fn search(&self, words: &str, within: &HistoryQuery) -> Result<Page, StoreError> {
        archive::search(&self.conn, words, within).map_err(|error| self.failed("read", error))
    }

    fn rooms(&self) -> Result<Vec<RoomInfo>, StoreError> {
        archive::rooms(&self.conn).map_err(|error| self.failed("read", error))
    }

    fn place(&self, id: MessageId) -> Result<Option<(Record, String)>, StoreError> {
        Ok(self.message(id)?.map(|row| (row.record, row.leader)))
    }
}

/// The same error; a broken structure is noted beside the file, for whoever opens it next.
pub(super) fn note_damage(error: StoreError, path: &Path) -> StoreError {
    if matches!(error, StoreError::Corrupt { .. }) {
        let marker = path.with_file_name(BROKEN_NAME);
        if let Err(error) = make_private_file(&marker) {
            log::error!("the damage could not be noted: {error}");
        }
    }
    error
}

/// A connection with what readers and the writer have in common.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let failure = |error| failure("open", path, error);
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failure)?;
    conn.busy_timeout(Duration::from_secs(5)).map_err(failure)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;")
        .map_err(failure)?;
    Ok(conn)
}

/// The bytes of a column of whatever type: a wrong type is a damaged row, which its hash tells.
fn bytes_at(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(row.get_ref(at)?.as_bytes_or_null().ok().flatten().unwrap_or_default().to_vec())
}

fn put_sql(table: Table) -> &'static str {
    macro_rules! put {
        ($name:literal) => {
            concat!(
                "INSERT INTO ",
                $name,
                " (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            )
        };
    }
    match table {
        Table::Meta => put!("meta"),
        Table::Views => put!("views"),
        Table::Heads => put!("heads"),
        Table::Entries => put!("entries"),
        Table::Aside => put!("aside"),
        Table::Covered => put!("covered"),
        Table::Ids => put!("ids"),
        Table::Pruned => put!("pruned"),
        Table::Gists => put!("gists"),
    }
}
