//! Whether questions find what the store says is in the index.
//!
//! `SQLite` believes the headers of its pages. A wrong one, of a table or of an index, takes cells out of what is read, without
//! an error, and no row is there whose hash could fail. So each message that [`Table::Ids`] tells of, and that was not let go of, is
//! looked for here on every way that questions take to it: by its number, its key, its room, its nick, as a topic; its row has to be
//! what was written. Of every [`WORDS_EACH`]th message one word is searched for. And the entry of the log that begins with it has to be there
//! as it was written: what rots behind the index, which no start reads again, is found while others still have it.
//!
//! A slice of this is one read transaction, and what it compares is changed together, so that these are no damage:
//!
//! | what goes on | why it is not taken for damage |
//! |---|---|
//! | messages are indexed | their numbers come with their rows, in one batch |
//! | messages are let go of | their entries go with them; they leave what is expected before their rows go, or with them; a row that is still there is no matter |
//! | the index is made anew | its numbers are taken away before its rows, or with them |
//! | a file is salvaged, or restored from a copy | numbers are not carried over, and a copy is of one moment |
//! | the disk is full, or takes nothing | nothing is written; errors that are not of damage say nothing about the index |
//!
//! Not found: messages whose numbers are not there either, or that the log itself lacks; words of messages that are not searched for.

use super::schema::{COLUMNS, read_row, table_name};
use crate::ids::{ClientId, MessageId, RecordKey};
use crate::record::{Kind, Submission};
use crate::seq::RangeSet;
use crate::store::engine::Table;
use crate::store::rows::{entry_key, is_sealed, unseal};
use rusqlite::{Connection, OptionalExtension, params};

/// Of so many numbers of a client the message of one is searched for by a word, too.
const WORDS_EACH: u64 = 16;
/// Characters of a word that is searched for, at most.
const WORD: usize = 64;

/// Why a slice is not sound.
#[derive(Debug)]
pub(super) enum Flaw {
    /// `SQLite` says so, or something went wrong.
    Read(rusqlite::Error),
    /// What the index does not serve, for people.
    Index(String),
}

impl From<rusqlite::Error> for Flaw {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error)
    }
}

/// Looks for messages from this id on, `most` of them or a few more; where to go on, `None` at the end.
pub(super) fn check(conn: &Connection, from: MessageId, most: usize) -> Result<Option<MessageId>, Flaw> {
    let moment = conn.unchecked_transaction()?;
    let mut from = from;
    let mut left = most.max(1) as u64;
    while left > 0 {
        let Some((client, numbers)) = first_client(&moment, from.client)? else { return Ok(None) };
        let first = if client == from.client { from.cseq } else { 0 };
        for (low, high) in expected(&moment, client, &numbers, first, left)? {
            let high = high.min(low.saturating_add(left - 1));
            look_for(&moment, client, low, high)?;
            left -= high - low + 1;
            if left == 0 {
                return Ok(Some(MessageId { client, cseq: high + 1 }));
            }
        }
        let Some(next) = client.0.checked_add(1) else { return Ok(None) };
        from = MessageId { client: ClientId(next), cseq: 0 };
        left -= 1;
    }
    Ok(Some(from))
}

/// The numbers of the first client at this id or above it.
fn first_client(conn: &Connection, from: ClientId) -> Result<Option<(ClientId, RangeSet)>, Flaw> {
    let sql = "SELECT key, value FROM ids WHERE key >= ? ORDER BY key LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?));
    let found = conn.prepare_cached(sql)?.query_row([from.0.to_be_bytes()], row).optional()?;
    let Some((key, value)) = found else { return Ok(None) };
    let client = <[u8; 8]>::try_from(key.as_slice()).ok().map(u64::from_be_bytes);
    let numbers = unseal::<RangeSet>(Table::Ids, &key, &value).filter(RangeSet::is_valid);
    match (client, numbers) {
        (Some(client), Some(numbers)) => Ok(Some((ClientId(client), numbers))),
        _ => Err(Flaw::Index("what it has of a client".to_owned())),
    }
}

/// Of these numbers, from `first` on, those that were not let go of, as ranges: so many at least, if there are.
fn expected(
    conn: &Connection,
    client: ClientId,
    numbers: &RangeSet,
    first: u64,
    most: u64,
) -> Result<Vec<(u64, u64)>, Flaw> {
    // Numbers are kept as they are up to this one, which none reaches.
    const LAST: u64 = i64::MAX.cast_unsigned() - 1;
    let key = client.0.to_be_bytes();
    let sql = format!("SELECT value FROM {} WHERE key = ?", table_name(Table::Pruned));
    let pruned = conn.prepare_cached(&sql)?.query_row([key], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    let pruned = match pruned {
        None => RangeSet::default(),
        Some(value) => unseal::<RangeSet>(Table::Pruned, &key, &value)
            .filter(RangeSet::is_valid)
            .ok_or_else(|| Flaw::Index(format!("which messages of {client} were let go of")))?,
    };
    let ranges = numbers.ranges();
    let behind = &ranges[ranges.partition_point(|range| range.1 < first)..];
    let mut found = Vec::new();
    let mut count = 0_u64;
    for &(low, high) in behind.iter().take_while(|range| range.0 <= LAST) {
        for (low, high) in pruned.missing(low.max(first), high.min(LAST), most as usize) {
            count = count.saturating_add(high - low + 1);
            found.push((low, high));
        }
        if count >= most {
            break;
        }
    }
    Ok(found)
}

/// Looks for all of a client's messages from number `low` to `high`.
fn look_for(conn: &Connection, client: ClientId, low: u64, high: u64) -> Result<(), Flaw> {
    let other = |index: &str, which: &str| {
        format!("m.id IS (SELECT o.id FROM messages AS o INDEXED BY {index} WHERE {which} AND o.key = m.key)")
    };
    let sql = format!(
        "SELECT {COLUMNS}, {}, {}, {}, m.kind <> 'topic' OR {}, m.id \
         FROM messages AS m INDEXED BY sqlite_autoindex_messages_2 \
         WHERE client = ? AND cseq BETWEEN ? AND ? ORDER BY cseq",
        other("sqlite_autoindex_messages_1", "TRUE"),
        other("messages_by_room", "o.room_key = m.room_key AND o.class = m.class"),
        other("messages_by_nick", "o.nick_key = m.nick_key"),
        other("messages_topics", "o.kind = 'topic' AND o.room_key = m.room_key"),
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![client.to_string(), low.cast_signed(), high.cast_signed()])?;
    for cseq in low..=high {
        let lacks = |way: &str| Flaw::Index(format!("the message {client}/{cseq}, {way}"));
        let Some(row) = rows.next()? else { return Err(lacks("by its number")) };
        if row.get::<_, i64>(2)? != cseq.cast_signed() {
            return Err(lacks("by its number"));
        }
        let Ok(known) = read_row(row) else { return Err(lacks("as it was written")) };
        for (at, way) in [(10, "by its place"), (11, "in its room"), (12, "by its nick"), (13, "as a topic")] {
            if !row.get::<_, bool>(at)? {
                return Err(lacks(way));
            }
        }
        if !is_logged(conn, known.record.key)? {
            return Err(lacks("in its log"));
        }
        let said = &known.record.message;
        if cseq % WORDS_EACH == 0
            && let Some(word) = word_of(said)
            && !is_found(conn, word, row.get(14)?)?
        {
            return Err(lacks("by a word of it"));
        }
    }
    Ok(())
}

/// Whether the entry that brought a message is what was written. Once for each entry: with its first message.
fn is_logged(conn: &Connection, key: RecordKey) -> rusqlite::Result<bool> {
    if key.idx > 0 {
        return Ok(true);
    }
    let sql = format!("SELECT value FROM {} WHERE key = ?", table_name(Table::Entries));
    let key = entry_key(key.epoch, key.gsn);
    let value = conn.prepare_cached(&sql)?.query_row([key], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    Ok(value.is_some_and(|value| is_sealed(Table::Entries, &key, &value)))
}

/// The longest word of what was said that is the same word to all who take texts apart: of plain letters and digits, between
/// plain characters. `None` when it has none, or was not said.
fn word_of(message: &Submission) -> Option<&str> {
    if matches!(message.kind, Kind::Join | Kind::Leave | Kind::Nick | Kind::Gone { .. }) {
        return None;
    }
    let pieces = message.body.split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric());
    pieces.filter(|piece| piece.is_ascii() && (1..=WORD).contains(&piece.len())).max_by_key(|piece| piece.len())
}

/// Whether a search for the word has this row.
fn is_found(conn: &Connection, word: &str, id: i64) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM words WHERE words MATCH ? AND rowid = ?";
    conn.prepare_cached(sql)?.query_row(params![format!("\"{word}\""), id], |row| row.get(0))
}
