//! A place to talk: a room that was entered, or a conversation with one person.

use super::row::{Manner, Mark, Saying};
use super::scroll::Scroll;
use super::timeline::{Timeline, Wanted};
use crate::ids::{ClientId, MessageId};
use crate::name;
use crate::record::{Kind, Record, Submission};
use crate::wire::session::HistoryQuery;
use std::collections::BTreeMap;

/// Messages asked for at once.
pub(crate) const PAGE: u32 = 200;
/// Most people listed of a room.
pub(crate) const MAX_PEOPLE: usize = 4096;

/// Where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Where {
    /// In a room of this name.
    Room(String),
    /// With this person alone.
    Person(ClientId),
}

/// A place to talk.
#[derive(Debug)]
pub(crate) struct Place {
    /// Where.
    pub(crate) at: Where,
    /// The room's name, or the person's.
    pub(crate) name: String,
    /// What it is about.
    pub(crate) topic: String,
    /// What was said.
    pub(crate) timeline: Timeline,
    /// What of it is on the screen.
    pub(crate) scroll: Scroll,
    /// Messages since one was here last.
    pub(crate) unread: u64,
    /// Whether one of them has the reader's name in it, or is for the reader alone.
    pub(crate) is_called: bool,
    /// Messages below the screen since it was scrolled up.
    pub(crate) below: u64,
    /// Who is here.
    pub(crate) people: BTreeMap<ClientId, String>,
    /// Lines that the reader went up beyond what is held: gone when the page comes, unless another key was pressed.
    pub(crate) owed: usize,
    /// The message that a search led to.
    pub(crate) found: Option<MessageId>,
    /// The questions under way for what lies before, and behind.
    pub(crate) asked: (Option<u64>, Option<u64>),
    /// Whether the last question failed: the next key asks again.
    pub(crate) has_failed: bool,
}

impl Place {
    /// One that was just entered.
    pub(crate) fn new(at: Where, name: String) -> Self {
        Self {
            at,
            name,
            topic: String::new(),
            timeline: Timeline::default(),
            scroll: Scroll::Present,
            unread: 0,
            is_called: false,
            below: 0,
            owed: 0,
            people: BTreeMap::new(),
            found: None,
            asked: (None, None),
            has_failed: false,
        }
    }

    /// Its name with its sign: `#lobby`, `@bob`.
    pub(crate) fn label(&self) -> String {
        match self.at {
            Where::Room(_) => format!("#{}", self.name),
            Where::Person(_) => format!("@{}", self.name),
        }
    }

    /// Whether it is the room of this name.
    pub(crate) fn is_room(&self, room: &str) -> bool {
        matches!(&self.at, Where::Room(own) if name::same(own, room))
    }

    /// Whether a message belongs here.
    pub(crate) fn takes(&self, message: &Submission, me: ClientId) -> bool {
        match (&self.at, &message.kind) {
            (Where::Person(person), Kind::Direct { .. }) => message.partner(me) == Some(*person),
            (Where::Room(_), Kind::Text | Kind::Action | Kind::Topic | Kind::Join) => self.is_room(&message.room),
            (Where::Room(_), Kind::Leave) => message.room.is_empty() || self.is_room(&message.room),
            _ => false,
        }
    }

    /// The question for a page.
    pub(crate) fn query(&self, wanted: Wanted, reader: ClientId) -> HistoryQuery {
        let room = match &self.at {
            Where::Room(room) => room.clone(),
            // One-to-one messages have no room.
            Where::Person(_) => String::new(),
        };
        let query = HistoryQuery { rooms: vec![room], limit: PAGE, reader: Some(reader), ..HistoryQuery::default() };
        match wanted {
            Wanted::Before(before) => HistoryQuery { before, newest: true, ..query },
            Wanted::After(after) => HistoryQuery { after, newest: false, ..query },
        }
    }

    /// Drops rows over the bound, at the end that is farther from the reader.
    pub(crate) fn trim(&mut self) {
        let is_in_the_past = match self.scroll {
            Scroll::Present => false,
            Scroll::Top { number, .. } | Scroll::Middle(number) => {
                self.timeline.position(number) < self.timeline.len() / 2
            }
        };
        self.timeline.trim(is_in_the_past);
    }

    /// Stands at the present again; what is held of it stays when it reaches there.
    pub(crate) fn return_to_the_present(&mut self) {
        if !self.timeline.is_attached() {
            self.timeline.return_to_the_present();
            self.asked = (None, None);
        }
        self.scroll = Scroll::Present;
        self.below = 0;
        self.found = None;
    }
}

/// How a deed begins in a talk of two, where the wire has words only (as in XMPP, XEP-0245).
pub(crate) const DEED: &str = "/me ";

/// How something is said, and its words without how; `None` when a person said nothing by it.
pub(crate) fn manner_of<'a>(kind: &Kind, body: &'a str) -> Option<(Manner, &'a str)> {
    match kind {
        Kind::Direct { .. } => {
            Some(body.strip_prefix(DEED).map_or((Manner::Words, body), |deed| (Manner::Action, deed)))
        }
        Kind::Text => Some((Manner::Words, body)),
        Kind::Action => Some((Manner::Action, body)),
        Kind::Topic => Some((Manner::Topic, body)),
        Kind::Join | Kind::Leave | Kind::Nick | Kind::Gone { .. } => None,
    }
}

/// What a record says, when a person said it. So many of so many servers have it.
pub(crate) fn saying(record: &Record, me: ClientId, (copies, of): (u16, u16), late: bool) -> Option<Saying> {
    let message = &record.message;
    let (manner, text) = manner_of(&message.kind, &message.body)?;
    let mark = (message.id.client == me).then_some(Mark::Stable(copies, of));
    Some(Saying {
        key: Some(record.key),
        id: message.id,
        nick: message.nick.clone(),
        manner,
        text: text.to_owned(),
        mark,
        late,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deed_in_a_talk_of_two_is_one_and_elsewhere_the_same_words_are_words() {
        let direct = Kind::Direct { to: ClientId(7) };
        assert_eq!(manner_of(&direct, "/me waves"), Some((Manner::Action, "waves")));
        for (kind, body) in [(&direct, "/men wave"), (&direct, "so: /me waves"), (&Kind::Text, "/me waves")] {
            assert_eq!(manner_of(kind, body), Some((Manner::Words, body)));
        }
        assert_eq!(manner_of(&Kind::Join, ""), None);
    }
}
