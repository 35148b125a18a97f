//! A message as scripts and pages see it.

use super::time::rfc3339;
use crate::ids::ClientId;
use crate::record::{Kind, Record};
use serde::Serialize;

/// How a record came in a live feed.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// Servers known to have it on disk.
    pub copies: u16,
    /// Servers in the view.
    pub of: u16,
    /// Whether it sorts before something that was shown already.
    pub late: bool,
}

/// The document of `CLI.md`; its fields stand in this order.
#[derive(Clone, Debug, Serialize)]
pub struct Message<'a> {
    event: &'static str,
    room: &'a str,
    id: String,
    nick: &'a str,
    text: &'a str,
    at: String,
    epoch: u64,
    leader: &'a str,
    gsn: u64,
    idx: u32,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    copies: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<bool>,
    /// What kind of message, when it is not plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// To whom a one-to-one message goes: an id for scripts, a nick for pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// Who is gone, when a server says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
}

impl<'a> Message<'a> {
    /// The document of a record that was ordered by this leader; `live` is `None` in history, which is the same for every
    /// reader.
    pub fn of(record: &'a Record, leader: &'a str, live: Option<Live>) -> Self {
        let message = &record.message;
        let key = record.key;
        let (event, kind) = words(&message.kind);
        Self {
            event,
            room: &message.room,
            id: message.id.to_string(),
            nick: &message.nick,
            text: &message.body,
            at: rfc3339(key.hlc.wall_ms()),
            epoch: key.epoch.num,
            leader,
            gsn: key.gsn,
            idx: key.idx,
            key: key.to_string(),
            copies: live.map(|live| live.copies),
            of: live.map(|live| live.of),
            late: live.map(|live| live.late),
            kind,
            to: addressee(&message.kind).map(|to| to.to_string()),
            client: departed(&message.kind).map(|client| client.to_string()),
        }
    }

    /// The same with the addressee's nick.
    #[must_use]
    pub fn addressed(self, nick: Option<&str>) -> Self {
        let to = nick.map(str::to_owned).or(self.to);
        Self { to, ..self }
    }
}

/// To whom a one-to-one message goes.
pub fn addressee(kind: &Kind) -> Option<ClientId> {
    match kind {
        Kind::Direct { to } => Some(*to),
        _ => None,
    }
}

/// The event's word, and the kind's when it is a message but not plain words.
fn words(kind: &Kind) -> (&'static str, Option<&'static str>) {
    match kind {
        Kind::Text => ("message", None),
        Kind::Action => ("message", Some("action")),
        Kind::Topic => ("message", Some("topic")),
        Kind::Direct { .. } => ("message", Some("direct")),
        Kind::Join => ("joined", None),
        Kind::Leave => ("left", None),
        Kind::Nick => ("nick", None),
        Kind::Gone { .. } => ("gone", None),
    }
}

fn departed(kind: &Kind) -> Option<ClientId> {
    match kind {
        Kind::Gone { client } => Some(*client),
        _ => None,
    }
}
