//! The tables of the file, and how rows of history are written to columns and read back.

use crate::ids::{ClientId, MessageId, RecordKey};
use crate::name;
use crate::record::{Kind, Record, Submission};
use crate::store::engine::{HistoryRow, Table};
use crate::store::error::StoreError;
use crate::store::query::is_said;
use crate::store::rows::FORMAT;
use crate::time::Hlc;
use rusqlite::{Connection, Row, ToSql, params};
use std::path::Path;

/// "RTLK": what `file` and we tell a ringtalk store by.
pub(super) const APPLICATION_ID: i32 = 0x5254_4c4b;

/// What a message is to a query: an event, words to a room, words to one person.
pub(super) mod class {
    /// Joins, leaves and the like.
    pub(in crate::store::sqlite) const EVENT: i64 = 0;
    /// What was said to a room.
    pub(in crate::store::sqlite) const SAID: i64 = 1;
    /// What was said to one person.
    pub(in crate::store::sqlite) const DIRECT: i64 = 2;
}

const TABLES: &str = "
CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL UNIQUE,   -- canonical order
  at INTEGER NOT NULL,        -- milliseconds since 1970
  room TEXT NOT NULL,
  nick TEXT NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  recipient TEXT,             -- client of a direct message, or who is gone
  client TEXT NOT NULL,
  cseq INTEGER NOT NULL,
  leader TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  gsn INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  room_key TEXT NOT NULL,     -- the names as they are compared
  nick_key TEXT NOT NULL,
  class INTEGER NOT NULL,     -- 0 event, 1 said to a room, 2 to one person
  seal INTEGER NOT NULL,      -- hash of the row
  UNIQUE (client, cseq)
);
CREATE INDEX messages_by_room ON messages (room_key, class, key);
CREATE INDEX messages_by_nick ON messages (nick_key, key);
CREATE INDEX messages_topics ON messages (room_key, key) WHERE kind = 'topic';
CREATE VIEW history AS
  SELECT datetime(at / 1000, 'unixepoch') AS at, room, nick, kind, text FROM messages WHERE class = 1 ORDER BY key;
CREATE VIRTUAL TABLE words USING
  fts5(text, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2');
";

/// The name of a table of rows in the file.
pub(super) fn table_name(table: Table) -> &'static str {
    match table {
        Table::Meta => "meta",
        Table::Views => "views",
        Table::Heads => "heads",
        Table::Entries => "entries",
        Table::Aside => "aside",
        Table::Covered => "covered",
        Table::Ids => "ids",
        Table::Pruned => "pruned",
        Table::Gists => "gists",
    }
}

/// Checks that the file is a store that this program knows; makes the tables in an empty one.
pub(super) fn prepare(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let failure = |error| super::failure("open", path, error);
    if is_empty(conn).map_err(failure)? {
        let tables: String = Table::ALL.into_iter().map(create).collect();
        let made = format!(
            "BEGIN IMMEDIATE; {tables} {TABLES} PRAGMA application_id = {APPLICATION_ID}; \
             PRAGMA user_version = {FORMAT}; COMMIT;"
        );
        return conn.execute_batch(&made).map_err(failure);
    }
    check(conn, path)?;
    let version = version(conn).map_err(failure)?;
    if version < FORMAT {
        // The rows follow when the store is opened: until then the file is one of this format with rows of the other.
        let tables: String = Table::ALL.into_iter().filter(|table| !has(version, *table)).map(create).collect();
        let made = format!("BEGIN IMMEDIATE; {tables} PRAGMA user_version = {FORMAT}; COMMIT;");
        return conn.execute_batch(&made).map_err(failure);
    }
    Ok(())
}

fn create(table: Table) -> String {
    let columns = "(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)";
    format!("CREATE TABLE IF NOT EXISTS {} {columns};", table_name(table))
}

/// The tables of rows that a file has or ought to have: all but those that are newer than it.
pub(super) fn tables(conn: &Connection) -> impl Iterator<Item = Table> {
    let version = version(conn).unwrap_or(FORMAT);
    Table::ALL.into_iter().filter(move |table| has(version, *table) || is_there(conn, *table).unwrap_or(true))
}

fn is_there(conn: &Connection, table: Table) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = ?";
    conn.query_row(sql, [table_name(table)], |row| row.get(0))
}

/// Whether files of this format have the table.
fn has(version: u32, table: Table) -> bool {
    let since = match table {
        Table::Pruned => 2,
        Table::Gists => 3,
        _ => 1,
    };
    version >= since
}

fn version(conn: &Connection) -> rusqlite::Result<u32> {
    let version = conn.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?;
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

/// Checks that the file is a store that this program knows.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let failure = |error| super::failure("open", path, error);
    let id = conn.query_row("PRAGMA application_id", [], |row| row.get::<_, i64>(0)).map_err(failure)?;
    if id != i64::from(APPLICATION_ID) {
        return Err(StoreError::Foreign { path: path.into() });
    }
    let found = version(conn).map_err(failure)?;
    if found > FORMAT {
        return Err(StoreError::Newer { found, known: FORMAT });
    }
    Ok(())
}

fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    let things: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok(things == 0 && application == 0)
}

/// The columns that [`read_row`] wants, in its order.
pub(super) const COLUMNS: &str = "key, client, cseq, room, nick, kind, recipient, text, leader, seal";

/// A row of history as it was written; the key alone when it is not.
pub(super) fn read_row(row: &Row<'_>) -> Result<HistoryRow, Option<RecordKey>> {
    let key = row.get_ref(0).ok().and_then(|key| RecordKey::from_bytes(key.as_bytes().ok()?));
    read_columns(row, key).ok_or(key)
}

fn read_columns(row: &Row<'_>, key: Option<RecordKey>) -> Option<HistoryRow> {
    let client = |text: &str| u64::from_str_radix(text, 16).ok().map(ClientId);
    let recipient: Option<String> = row.get(6).ok()?;
    let recipient = recipient.as_deref().and_then(client);
    let kind = match row.get_ref(5).ok()?.as_str().ok()? {
        "text" => Kind::Text,
        "action" => Kind::Action,
        "topic" => Kind::Topic,
        "direct" => Kind::Direct { to: recipient? },
        "join" => Kind::Join,
        "leave" => Kind::Leave,
        "nick" => Kind::Nick,
        "gone" => Kind::Gone { client: recipient? },
        _ => return None,
    };
    let cseq: i64 = row.get(2).ok()?;
    let message = Submission {
        id: MessageId { client: client(row.get_ref(1).ok()?.as_str().ok()?)?, cseq: cseq.cast_unsigned() },
        acked_upto: 0,
        floor: Hlc(0),
        room: row.get(3).ok()?,
        nick: row.get(4).ok()?,
        kind,
        body: row.get(7).ok()?,
    };
    let read = HistoryRow { record: Record { key: key?, message }, leader: row.get(8).ok()? };
    let told: i64 = row.get(9).ok()?;
    (told == seal(&read)).then_some(read)
}

/// Writes a row of history and its words.
pub(super) fn remember(conn: &Connection, row: &HistoryRow) -> rusqlite::Result<()> {
    let Record { key, message } = &row.record;
    let (kind, class, recipient) = name_of(&message.kind);
    let id = conn
        .prepare_cached(
            "INSERT OR REPLACE INTO messages (key, at, room, nick, kind, text, recipient, client, cseq, leader, epoch, \
             gsn, idx, room_key, nick_key, class, seal) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .insert(params![
            key.to_bytes(),
            key.hlc.wall_ms().cast_signed(),
            message.room,
            message.nick,
            kind,
            message.body,
            recipient.map(|client| client.to_string()),
            message.id.client.to_string(),
            message.id.cseq.cast_signed(),
            row.leader,
            key.epoch.num.cast_signed(),
            key.gsn.cast_signed(),
            key.idx,
            name::fold(&message.room),
            name::fold(&message.nick),
            class,
            seal(row),
        ])?;
    if class != class::EVENT {
        let words: &[&dyn ToSql] = &[&id, &message.body];
        conn.prepare_cached("INSERT OR REPLACE INTO words (rowid, text) VALUES (?, ?)")?.execute(words)?;
    }
    Ok(())
}

/// Takes a row of history away.
pub(super) fn forget(conn: &Connection, key: RecordKey) -> rusqlite::Result<()> {
    let key = key.to_bytes();
    conn.prepare_cached("DELETE FROM words WHERE rowid IN (SELECT id FROM messages WHERE key = ?)")?.execute([&key])?;
    conn.prepare_cached("DELETE FROM messages WHERE key = ?")?.execute([&key])?;
    Ok(())
}

/// Takes all rows of history away.
pub(super) fn forget_all(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("INSERT INTO words (words) VALUES ('delete-all'); DELETE FROM messages;")
}

fn name_of(kind: &Kind) -> (&'static str, i64, Option<ClientId>) {
    let class = if is_said(kind) { class::SAID } else { class::EVENT };
    match kind {
        Kind::Text => ("text", class, None),
        Kind::Action => ("action", class, None),
        Kind::Topic => ("topic", class, None),
        Kind::Direct { to } => ("direct", class::DIRECT, Some(*to)),
        Kind::Join => ("join", class, None),
        Kind::Leave => ("leave", class, None),
        Kind::Nick => ("nick", class, None),
        Kind::Gone { client } => ("gone", class, Some(*client)),
    }
}

fn seal(row: &HistoryRow) -> i64 {
    xxhash_rust::xxh3::xxh3_64(&postcard::to_stdvec(row).unwrap_or_default()).cast_signed()
}
