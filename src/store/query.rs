//! What a history query means, the same for every engine.

use super::engine::{HistoryRow, MAX_PAGE, MAX_PAGE_BYTES, MAX_ROOMS, MAX_WORDS, Page};
use crate::ids::{ClientId, RecordKey};
use crate::name;
use crate::record::Kind;
use crate::time::Hlc;
use crate::wire::session::HistoryQuery;
use std::collections::BTreeSet;

/// A query made ready: names folded, bounds as keys, the limit within the page.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Folded room names; none means every room.
    pub(super) rooms: BTreeSet<String>,
    /// Folded nick.
    pub(super) from: Option<String>,
    /// Least key.
    pub(super) low: RecordKey,
    /// Greatest key.
    pub(super) high: RecordKey,
    /// 1 to [`MAX_PAGE`].
    pub(super) limit: usize,
    /// From the end.
    pub(super) newest: bool,
    /// Joins and the like too.
    pub(super) events: bool,
    /// Who reads.
    pub(super) reader: Option<ClientId>,
}

impl Wanted {
    pub(super) fn new(query: &HistoryQuery) -> Self {
        let since = query
            .since_ms
            .map_or(RecordKey::default(), |ms| RecordKey { hlc: Hlc::from_wall_ms(ms), ..RecordKey::default() });
        let until = query
            .until_ms
            .map_or(last_key(), |ms| RecordKey { hlc: Hlc(Hlc::from_wall_ms(ms).0 | 0xffff), ..last_key() });
        let low = query.after.map_or(RecordKey::default(), next_key);
        let high = query.before.map_or(last_key(), previous_key);
        Self {
            rooms: query.rooms.iter().take(MAX_ROOMS).map(|room| name::fold(room)).collect(),
            from: query.from.as_deref().map(name::fold),
            low: since.max(low),
            high: until.min(high),
            limit: (query.limit as usize).clamp(1, MAX_PAGE),
            newest: query.newest,
            events: query.events,
            reader: query.reader,
        }
    }

    /// Whether a message in the key range is wanted.
    pub(super) fn takes(&self, row: &HistoryRow) -> bool {
        let message = &row.record.message;
        let visible = match message.kind {
            Kind::Direct { to } => self.reader.is_some_and(|reader| reader == to || reader == message.id.client),
            Kind::Join | Kind::Leave | Kind::Nick | Kind::Gone { .. } => self.events,
            Kind::Text | Kind::Action | Kind::Topic => true,
        };
        visible
            && (self.rooms.is_empty() || self.rooms.contains(&name::fold(&message.room)))
            && self.from.as_ref().is_none_or(|nick| *nick == name::fold(&message.nick))
    }

    /// A page of rows that come in the order of the query: as many as fit.
    pub(super) fn page(&self, rows: impl Iterator<Item = HistoryRow>) -> Page {
        let mut page = Page::default();
        let mut bytes = 0;
        for row in rows {
            let size = row.record.message.body.len();
            if page.records.len() == self.limit || (bytes + size > MAX_PAGE_BYTES && !page.records.is_empty()) {
                page.more = true;
                break;
            }
            bytes += size;
            page.records.push((row.record, row.leader));
        }
        if self.newest {
            page.records.reverse();
        }
        page
    }
}

/// Whether a message counts for its room.
pub(super) fn is_said(kind: &Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Action | Kind::Topic)
}

/// The words of a search: pieces of letters and digits, at most [`MAX_WORDS`], each cut at 64 characters.
pub(super) fn search_words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS)
        .map(|word| word.chars().take(64).collect::<String>().to_lowercase())
        .collect()
}

/// The greatest key there is.
fn last_key() -> RecordKey {
    RecordKey::from_bytes(&[0xff; RecordKey::BYTES]).unwrap_or_default()
}

/// The key after this one; the greatest stays.
fn next_key(key: RecordKey) -> RecordKey {
    let mut bytes = key.to_bytes();
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return RecordKey::from_bytes(&bytes).unwrap_or(key);
        }
    }
    key
}

/// The key before this one; the least stays, which no message has.
fn previous_key(key: RecordKey) -> RecordKey {
    let mut bytes = key.to_bytes();
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_sub(1);
        if *byte != u8::MAX {
            return RecordKey::from_bytes(&bytes).unwrap_or(key);
        }
    }
    key
}
