//! The history of a talk of two: picked out of all the one-to-one messages of who reads, page by page.

use super::answers::Asked;
use super::session::{Over, Session};
use crate::ids::{ClientId, RecordKey};
use crate::record::Record;
use crate::wire::session::{HistoryQuery, Query};
use serde_json::Value;

/// Pages looked at for one answer at most; it says how far they went, and the next question goes on there.
const MAX_ROUNDS: u32 = 20;

/// A page of a talk as far as it was found.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Talk {
    tag: Value,
    /// The key that it is to begin behind, as it was asked for.
    after: Option<String>,
    within: HistoryQuery,
    with: ClientId,
    found: Vec<(Record, String)>,
    rounds: u32,
}

impl Talk {
    /// The browser's tag.
    pub(super) fn tag(&self) -> &Value {
        &self.tag
    }

    /// Takes a page of one-to-one messages, and says whether another one is wanted.
    fn take(&mut self, me: ClientId, records: Vec<(Record, String)>, more: bool) -> bool {
        self.rounds += 1;
        let upwards = self.within.after.is_none();
        let edge = if upwards { records.first() } else { records.last() };
        let edge = edge.map(|(record, _)| record.key);
        if upwards {
            self.within.before = edge.or(self.within.before);
        } else {
            self.within.after = edge.or(self.within.after);
        }
        let ours = records.into_iter().filter(|(record, _)| record.message.partner(me) == Some(self.with));
        let at = if upwards { 0 } else { self.found.len() };
        self.found.splice(at..at, ours);
        more && edge.is_some() && self.found.is_empty() && self.rounds < MAX_ROUNDS
    }

    /// How far was looked.
    fn edge(&self) -> Option<RecordKey> {
        self.within.after.or(self.within.before)
    }
}

impl Session {
    /// Asks for a page of the talk with the person of this nick.
    pub(super) fn ask_for_talk(
        &mut self,
        tag: &Value,
        nick: String,
        within: HistoryQuery,
        after: Option<String>,
    ) -> Result<(), Over> {
        // One-to-one messages have no room.
        let within = HistoryQuery { rooms: vec![String::new()], ..within };
        let talk = Talk { tag: tag.clone(), after, within, with: ClientId::default(), found: Vec::new(), rounds: 0 };
        self.ask(tag, Query::Nick(nick.clone()), Asked::Talker { nick, talk: Box::new(talk) })
    }

    /// Whose nick it is was answered.
    pub(super) fn talker(&mut self, with: Option<ClientId>, mut talk: Box<Talk>) -> Result<(), Over> {
        let Some(with) = with else { return self.tell_talk(&talk, false) };
        talk.with = with;
        self.look_for(talk)
    }

    fn look_for(&mut self, talk: Box<Talk>) -> Result<(), Over> {
        self.ask(&talk.tag.clone(), Query::History(talk.within.clone()), Asked::Talk(talk))
    }

    /// A page of one-to-one messages came.
    pub(super) fn talk(&mut self, mut talk: Box<Talk>, records: Vec<(Record, String)>, more: bool) -> Result<(), Over> {
        if talk.take(self.me(), records, more) { self.look_for(talk) } else { self.tell_talk(&talk, more) }
    }

    fn tell_talk(&mut self, talk: &Talk, more: bool) -> Result<(), Over> {
        let mut page = self.page("history", &talk.tag, &talk.found, more);
        page["edge"] = talk.edge().map(|key| key.to_string()).into();
        if let Some(after) = &talk.after {
            page["after"] = after.as_str().into();
        }
        self.tell(&page)
    }
}
