//! Questions about history, on any connection to the file.
//!
//! Every row is checked against its hash. One that is not what was written fails the question, and the index is made anew.

use super::REINDEX_NAME;
use super::lock::make_private_file;
use super::schema::{COLUMNS, class, read_row};
use crate::ids::{ClientId, MessageId, RecordKey};
use crate::store::engine::{HistoryRow, MAX_PAGE_BYTES, Page};
use crate::store::query::{Wanted, search_words};
use crate::wire::session::{HistoryQuery, RoomInfo};
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use std::fmt;
use std::path::Path;

/// A message of history by its id.
pub(super) fn message(conn: &Connection, id: MessageId) -> rusqlite::Result<Option<HistoryRow>> {
    let sql = format!("SELECT {COLUMNS} FROM messages WHERE client = ? AND cseq = ?");
    let found = conn
        .prepare_cached(&sql)?
        .query_row(params![id.client.to_string(), id.cseq.cast_signed()], |row| Ok(read_row(row)))
        .optional()?;
    found.map(|row| sound(conn, row)).transpose()
}

/// Which of a client's messages history has, of those with numbers in `first..=last`.
pub(super) fn numbers(conn: &Connection, client: ClientId, first: u64, last: u64) -> rusqlite::Result<Vec<u64>> {
    // Numbers are kept as they are up to this one, which none reaches.
    let most = i64::MAX.cast_unsigned();
    let (first, last) = (first.min(most).cast_signed(), last.min(most).cast_signed());
    let mut statement = conn.prepare_cached("SELECT cseq FROM messages WHERE client = ? AND cseq BETWEEN ? AND ?")?;
    let numbers = statement.query_map(params![client.to_string(), first, last], |row| row.get::<_, i64>(0))?;
    numbers.map(|number| number.map(i64::cast_unsigned)).collect()
}

/// A page of history.
pub(super) fn history(conn: &Connection, query: &HistoryQuery) -> rusqlite::Result<Page> {
    let wanted = Wanted::new(query);
    let mut rows = Vec::new();
    for strand in strands(&wanted) {
        let sql = format!("SELECT {COLUMNS} FROM messages WHERE ");
        rows.extend(strand.read(conn, sql, &wanted)?);
    }
    Ok(merged(&wanted, rows))
}

/// A page of the messages with all these words.
pub(super) fn search(conn: &Connection, words: &str, within: &HistoryQuery) -> rusqlite::Result<Page> {
    let words = search_words(words);
    if words.is_empty() {
        return Ok(Page::default());
    }
    let wanted = Wanted::new(within);
    // Letters and digits only, in quotes: nothing in it can be an operator.
    let pattern: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let mut rows = Vec::new();
    for mut strand in strands(&wanted) {
        let sql =
            format!("SELECT {COLUMNS} FROM messages WHERE id IN (SELECT rowid FROM words WHERE words MATCH ?) AND ");
        strand.values.insert(0, Value::Text(pattern.join(" ")));
        rows.extend(strand.read(conn, sql, &wanted)?);
    }
    Ok(merged(&wanted, rows))
}

/// Every room, ascending by its folded name.
pub(super) fn rooms(conn: &Connection) -> rusqlite::Result<Vec<RoomInfo>> {
    let sql = "SELECT room_key, count(*), max(key) FROM messages WHERE class = 1 AND room_key > '' GROUP BY room_key";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut rooms = Vec::new();
    while let Some(row) = rows.next()? {
        let (room, messages): (String, i64) = (row.get(0)?, row.get(1)?);
        let last = RecordKey::from_bytes(row.get_ref(2)?.as_bytes().unwrap_or_default()).unwrap_or_default();
        let first = one(conn, "class = 1 AND room_key = ? ORDER BY key LIMIT 1", &room)?;
        let topic = one(conn, "kind = 'topic' AND room_key = ? ORDER BY key DESC LIMIT 1", &room)?;
        rooms.push(RoomInfo {
            messages: messages.cast_unsigned(),
            people: 0,
            last_ms: last.hlc.wall_ms(),
            topic: topic.map(|row| row.record.message.body).unwrap_or_default(),
            room: first.map_or(room, |row| row.record.message.room),
        });
    }
    Ok(rooms)
}

fn one(conn: &Connection, which: &str, room: &str) -> rusqlite::Result<Option<HistoryRow>> {
    let sql = format!("SELECT {COLUMNS} FROM messages WHERE {which}");
    let found = conn.prepare_cached(&sql)?.query_row([room], |row| Ok(read_row(row))).optional()?;
    found.map(|row| sound(conn, row)).transpose()
}

/// A part of a query that one index serves in the order of keys.
struct Strand {
    terms: Vec<&'static str>,
    values: Vec<Value>,
}

/// Each room and class of the query by itself; one for all when every room is wanted.
fn strands(wanted: &Wanted) -> Vec<Strand> {
    let mut base = Strand { terms: vec!["key BETWEEN ? AND ?"], values: Vec::new() };
    base.values.push(Value::Blob(wanted.low.to_bytes().to_vec()));
    base.values.push(Value::Blob(wanted.high.to_bytes().to_vec()));
    if let Some(nick) = &wanted.from {
        base.add("nick_key = ?", [Value::Text(nick.clone())]);
    }
    let reader = wanted.reader.map(|client| Value::Text(client.to_string()));
    let mut classes = vec![class::SAID];
    classes.extend(wanted.events.then_some(class::EVENT));
    classes.extend(reader.is_some().then_some(class::DIRECT));
    let visible = |class: i64| {
        let mut strand = Strand { terms: base.terms.clone(), values: base.values.clone() };
        strand.add("class = ?", [Value::Integer(class)]);
        if let Some(reader) = reader.clone().filter(|_| class == class::DIRECT) {
            strand.add("(recipient = ? OR client = ?)", [reader.clone(), reader]);
        }
        strand
    };
    if wanted.rooms.is_empty() {
        let mut strand = base;
        let events = Value::Integer(i64::from(wanted.events));
        let reader = reader.unwrap_or(Value::Null);
        strand.add(
            "(class = 1 OR (class = 0 AND ?) OR (class = 2 AND (recipient = ? OR client = ?)))",
            [events, reader.clone(), reader],
        );
        return vec![strand];
    }
    let each = wanted.rooms.iter().flat_map(|room| classes.iter().map(move |&class| (room, class)));
    each.map(|(room, class)| {
        let mut strand = visible(class);
        strand.add("room_key = ?", [Value::Text(room.clone())]);
        strand
    })
    .collect()
}

impl Strand {
    fn add<const N: usize>(&mut self, term: &'static str, values: [Value; N]) {
        self.terms.push(term);
        self.values.extend(values);
    }

    /// Its rows, as many as a page could need and one more to tell that there is more.
    fn read(self, conn: &Connection, mut sql: String, wanted: &Wanted) -> rusqlite::Result<Vec<HistoryRow>> {
        sql += &self.terms.join(" AND ");
        sql += if wanted.newest { " ORDER BY key DESC" } else { " ORDER BY key" };
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(self.values))?;
        let mut found = Vec::new();
        let mut bytes = 0;
        while found.len() <= wanted.limit && bytes <= 2 * MAX_PAGE_BYTES {
            let Some(row) = rows.next()? else { break };
            let row = sound(conn, read_row(row))?;
            bytes += row.record.message.body.len();
            found.push(row);
        }
        Ok(found)
    }
}

fn merged(wanted: &Wanted, mut rows: Vec<HistoryRow>) -> Page {
    rows.sort_unstable_by_key(|row| row.record.key);
    if wanted.newest {
        rows.reverse();
    }
    wanted.page(rows.into_iter())
}

/// The row, if it is what was written. Else the index is noted to be made anew from the log when the store is opened next,
/// and the question fails: a part of history is never passed off as the whole.
fn sound(conn: &Connection, row: Result<HistoryRow, Option<RecordKey>>) -> rusqlite::Result<HistoryRow> {
    row.map_err(|key| {
        if let Some(file) = conn.path()
            && let Err(error) = make_private_file(&Path::new(file).with_file_name(REINDEX_NAME))
        {
            log::error!("the damage could not be noted: {error}");
        }
        rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(DamagedRow(key)))
    })
}

/// A row of the index that is not what was written.
#[derive(Debug)]
pub(super) struct DamagedRow(Option<RecordKey>);

impl fmt::Display for DamagedRow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(key) => write!(out, "the row of the message at {key}"),
            None => out.write_str("a row that does not even tell its place"),
        }
    }
}

impl std::error::Error for DamagedRow {}
