//! What a server answered, as the browser is told it.

use super::document::time::rfc3339;
use super::document::{self, Message, refusal};
use super::session::{Over, Session};
use super::talk::Talk;
use crate::client::Draft;
use crate::ids::RecordKey;
use crate::record::{Kind, Record};
use crate::wire::session::{Answer, Presence, Refusal, RoomInfo};
use serde_json::{Value, json};

/// What was asked, and the tag of who asked.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Asked {
    /// A page of history or of what was found; with the key that it was to begin behind.
    Page { event: &'static str, tag: Value, after: Option<String> },
    /// Whose talk it is that a page is asked of.
    Talker { nick: String, talk: Box<Talk> },
    /// A page of it.
    Talk(Box<Talk>),
    /// Who is where.
    Who { tag: Value },
    /// Every room.
    Rooms { tag: Value },
    /// To whom a one-to-one message goes.
    Addressee { tag: Value, nick: String, text: String },
    /// Whether the nick is one's own.
    OwnNick,
    /// Which rooms one is in.
    OwnRooms,
}

impl Asked {
    /// The browser's tag.
    pub(super) fn tag(&self) -> &Value {
        match self {
            Self::Talker { talk, .. } | Self::Talk(talk) => talk.tag(),
            Self::Page { tag, .. } | Self::Who { tag } | Self::Rooms { tag } | Self::Addressee { tag, .. } => tag,
            Self::OwnNick | Self::OwnRooms => &Value::Null,
        }
    }

    /// Whether the host asked it for itself.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::OwnNick | Self::OwnRooms)
    }
}

impl Session {
    /// A question was answered.
    pub(super) fn answered(&mut self, asked: Asked, answer: Answer) -> Result<(), Over> {
        match (asked, answer) {
            (Asked::Page { event, tag, after }, Answer::Page { records, more }) => {
                let mut page = self.page(event, &tag, &records, more);
                if let Some(after) = after {
                    page["after"] = after.into();
                }
                self.tell(&page)
            }
            (Asked::Talker { nick, talk }, Answer::Nick(found)) => {
                if let Some(with) = found {
                    self.people.met(with, &nick);
                }
                self.talker(found, talk)
            }
            (Asked::Talk(talk), Answer::Page { records, more }) => self.talk(talk, records, more),
            (Asked::Who { tag }, Answer::Who(people)) => {
                self.met(&people);
                let people: Vec<Value> = people.iter().map(presence).collect();
                self.tell(&json!({ "event": "who", "tag": tag, "people": people }))
            }
            (Asked::Rooms { tag }, Answer::Rooms(rooms)) => {
                let rooms: Vec<Value> = rooms.iter().map(room).collect();
                self.tell(&json!({ "event": "rooms", "tag": tag, "rooms": rooms }))
            }
            (Asked::Addressee { tag, nick, text }, Answer::Nick(found)) => match found {
                Some(to) => {
                    self.people.met(to, &nick);
                    self.submit(tag, Draft { room: String::new(), kind: Kind::Direct { to }, body: text })
                }
                None => self.tell(&super::session::rejected(&tag, "", refusal::refusal(&Refusal::NoSuchNick))),
            },
            (Asked::OwnNick, Answer::Nick(owner)) if owner == Some(self.me()) => Ok(()),
            (Asked::OwnNick, _) => self.submit(Value::Null, self.claim()),
            (Asked::OwnRooms, answer) => self.enter_rooms(&answer),
            _ => Ok(()),
        }
    }

    fn met(&mut self, people: &[Presence]) {
        for person in people {
            self.people.met(person.client, &person.nick);
        }
    }

    pub(super) fn page(&mut self, event: &str, tag: &Value, records: &[(Record, String)], more: bool) -> Value {
        for (record, _) in records {
            self.people.met(record.message.id.client, &record.message.nick);
        }
        let shown = |(record, leader): &(Record, String)| {
            let to = document::message::addressee(&record.message.kind).and_then(|to| self.people.nick(to));
            serde_json::to_value(Message::of(record, leader, None).addressed(to)).unwrap_or_default()
        };
        let messages: Vec<Value> = records.iter().map(shown).collect();
        json!({ "event": event, "tag": tag, "messages": messages, "more": more })
    }

    /// Enters the rooms that the servers do not see this client in.
    fn enter_rooms(&mut self, answer: &Answer) -> Result<(), Over> {
        let people = if let Answer::Who(people) = answer { people.as_slice() } else { &[] };
        self.met(people);
        let me = self.me();
        let is_in =
            |room: &String| people.iter().any(|person| person.client == me && crate::name::same(&person.room, room));
        let missing: Vec<String> = self.rooms.iter().filter(|room| !is_in(room)).cloned().collect();
        let is_found_elsewhere = |person: &Presence| person.client == me && !self.is_at(&person.server);
        if missing.is_empty() && people.iter().any(is_found_elsewhere) {
            // In every room already, by the word of a server that it is at no more.
            self.submit(Value::Null, Draft { room: String::new(), kind: Kind::Nick, body: String::new() })?;
        }
        for room in missing {
            self.submit(Value::Null, Draft { room, kind: Kind::Join, body: String::new() })?;
        }
        Ok(())
    }
}

fn presence(person: &Presence) -> Value {
    json!({ "room": person.room, "nick": person.nick, "server": person.server })
}

fn room(room: &RoomInfo) -> Value {
    let last = (room.last_ms > 0).then(|| rfc3339(room.last_ms));
    json!({ "room": room.room, "messages": room.messages, "people": room.people, "topic": room.topic, "last": last })
}

/// A record's key, as a message has it.
pub(super) fn key(text: &str) -> Option<RecordKey> {
    RecordKey::from_bytes(&from_hex(text)?)
}

/// The bytes of lower- or upper-case hexadecimal.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_reads_what_a_message_has() {
        let last = RecordKey { gsn: 42, idx: 7, ..RecordKey::default() };
        assert_eq!(key(&last.to_string()), Some(last));
        for text in ["", "0", "zz", "00", "é0"] {
            assert_eq!(key(text), None, "{text}");
        }
    }
}
