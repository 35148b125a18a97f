//! How a person looks things up in history: page by page, one way or the other, until there is no more.

use crate::ids::{ClientId, RecordKey};
use crate::record::Record;
use crate::sim::rng::Rng;
use crate::wire::session::{HistoryQuery, Query};

use super::{LOBBY, nick};

/// A question about history, as people have them: all of it, a room, what is between two, what one wrote.
pub(super) fn question(me: ClientId, rng: &mut Rng) -> Query {
    let within = HistoryQuery {
        rooms: [vec![], vec![], vec![LOBBY.to_owned(), "TEA".to_owned()], vec![String::new()]][rng.index(4)].clone(),
        limit: [20, 100, 500][rng.index(3)],
        newest: rng.chance(500),
        events: rng.chance(500),
        reader: Some(me),
        ..HistoryQuery::default()
    };
    match rng.below(4) {
        0 => Query::Search { words: me.to_string(), within: HistoryQuery { limit: 20, ..within } },
        1 => Query::History(HistoryQuery { from: Some(nick(me)), events: false, ..within }),
        _ => Query::History(within),
    }
}

/// The question for the page behind this one, or before it; `None` when it was not a question about history.
pub(super) fn next(query: &Query, page: &[(Record, String)]) -> Option<Query> {
    let key = |record: Option<&(Record, String)>| record.map(|(record, _)| record.key);
    let (first, last) = (key(page.first())?, key(page.last())?);
    match query {
        Query::History(within) => Some(Query::History(beyond(within, first, last))),
        Query::Search { words, within } => {
            Some(Query::Search { words: words.clone(), within: beyond(within, first, last) })
        }
        _ => None,
    }
}

fn beyond(within: &HistoryQuery, first: RecordKey, last: RecordKey) -> HistoryQuery {
    let (after, before) = if within.newest { (within.after, Some(first)) } else { (Some(last), within.before) };
    HistoryQuery { after, before, ..within.clone() }
}
