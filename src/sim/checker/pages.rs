//! Pages of history, as people are answered with them: each a part of what is history, and all of them together the whole.

use super::history::Extents;
use super::{Checker, Verdict, Violation, hold};
use crate::ids::{ClientId, MessageId, RecordKey};
use crate::name;
use crate::record::{Kind, Record};
use crate::sim::client;
use crate::sim::world::Server;
use crate::wire::session::{HistoryQuery, Query};

/// A question about history in parts.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    within: &'a HistoryQuery,
    words: Option<&'a str>,
}

impl<'a> Sought<'a> {
    /// The question, if it is one about history.
    pub(super) fn of(query: &'a Query) -> Option<Self> {
        match query {
            Query::History(within) => Some(Self { within, words: None }),
            Query::Search { words, within } => Some(Self { within, words: Some(words) }),
            _ => None,
        }
    }

    fn is_between(&self, key: RecordKey) -> bool {
        self.within.after.is_none_or(|after| after < key) && self.within.before.is_none_or(|before| key < before)
    }
}

/// A walk through the pages of one question.
pub(super) struct Walk {
    /// What was history at each server when it began: what becomes it while he walks may be found, too, and need not.
    began: Vec<Extents>,
    found: Vec<(RecordKey, MessageId)>,
    is_over: bool,
}

impl Checker {
    /// Everything is quiet, and a client begins to walk through history: what it finds is to be all there is.
    pub fn begins_walk(&mut self, client: usize, servers: &[Server]) {
        let began = servers.iter().map(|server| Extents::of(server.disk.live())).collect();
        self.walks.insert(client, Walk { began, found: Vec::new(), is_over: false });
    }

    /// 28: a page has, in order, nothing but stable messages as they were written, which were asked for and which the reader may
    /// see.
    pub(super) fn page(
        &mut self,
        client: usize,
        sought: Sought<'_>,
        records: &[(Record, String)],
        more: bool,
    ) -> Verdict {
        let number = client + 1;
        hold!(28, !more || !records.is_empty(), "c{number} is told of more behind an empty page: {:?}", sought.within);
        let is_ascending = records.is_sorted_by(|(one, _), (other, _)| one.key < other.key);
        hold!(28, is_ascending, "c{number} gets a page that is out of order: {:?}", sought.within);
        for (record, _) in records {
            self.on_page(number, sought, record)?;
        }
        if let Some(walk) = self.walks.get_mut(&client) {
            walk.found.extend(records.iter().map(|(record, _)| (record.key, record.message.id)));
            walk.is_over = !more;
        }
        Ok(())
    }

    fn on_page(&mut self, number: usize, sought: Sought<'_>, record: &Record) -> Verdict {
        let (id, key) = (record.message.id, record.key);
        let is_at = match self.sound(&record.message.lent())? {
            Some((_, fact)) => fact.places.contains(&key),
            None => self.others.get(&id).is_some_and(|places| places.contains(&key)),
        };
        hold!(28, is_at, "c{number} finds {id} at {key:?}, where it is not");
        let known = self.epochs.get(&key.epoch).map_or(0, |known| known.stable.max(known.closed));
        hold!(28, key.gsn <= known, "c{number} finds {id} at {}:{}, and {known} are stable", key.epoch, key.gsn);
        let is_wanted = self.is_wanted(sought, id, key) && sought.is_between(key);
        hold!(28, is_wanted, "c{number} finds {id} at {key:?}, which is no answer to {:?}", sought.within);
        Ok(())
    }

    /// 28: a walk through the pages of a question has found all that is history at the server, once.
    pub fn walked(&mut self, client: usize, query: &Query, home: usize, servers: &[Server]) -> Verdict {
        let (Some(walk), Some(sought)) = (self.walks.remove(&client), Sought::of(query)) else { return Ok(()) };
        let wanted = |extents: &Extents| {
            let mut history = self.history(extents, RecordKey::min);
            history.retain(|(key, id)| self.is_wanted(sought, *id, *key));
            history
        };
        let history = wanted(&Extents::of(servers[home].disk.live()));
        let mut found = walk.found;
        found.sort_unstable();
        let is_new = |one: &(RecordKey, MessageId)| wanted(&walk.began[home]).binary_search(one).is_err();
        let missing = history.iter().find(|one| found.binary_search(one).is_err() && !is_new(one));
        let amiss = found.iter().find(|one| history.binary_search(one).is_err());
        let is_once = found.windows(2).all(|two| two[0] != two[1]);
        hold!(
            28,
            walk.is_over && is_once && missing.is_none() && amiss.is_none(),
            "c{} asked {:?}: {} found and {} are history, without {missing:?}, and with {amiss:?}",
            client + 1,
            sought.within,
            found.len(),
            history.len()
        );
        Ok(())
    }

    /// Whether a message at this place is an answer, beside the bounds of the page.
    fn is_wanted(&self, sought: Sought<'_>, id: MessageId, key: RecordKey) -> bool {
        let Sought { within, words } = sought;
        let (kind, room) = self.kind_of(id);
        let is_visible = match kind {
            Kind::Direct { .. } => within.reader.is_some_and(|reader| self.talk.is_for(id, reader)),
            Kind::Text => true,
            _ => within.events,
        };
        let is_in = within.rooms.is_empty() || within.rooms.iter().any(|wanted| name::same(wanted, room));
        let is_from = within.from.as_ref().is_none_or(|nick| self.is_by(id.client, key, nick));
        let is_worded = matches!(kind, Kind::Direct { .. } | Kind::Text);
        let has_words = words.is_none_or(|words| is_worded && words == id.client.to_string());
        is_visible && is_in && is_from && has_words
    }

    /// What a message is, and its room.
    fn kind_of(&self, id: MessageId) -> (Kind, &str) {
        match self.talk.aside(id) {
            Some(aside) => (aside.kind.clone(), &aside.room),
            None if self.writer(id.client).is_some() => (Kind::Text, client::room(id)),
            None => (Kind::Gone { client: ClientId::default() }, ""),
        }
    }

    fn is_by(&self, client: ClientId, key: RecordKey, nick: &str) -> bool {
        self.turn(client, key).is_some_and(|turn| name::same(&turn.nick, nick))
    }
}
