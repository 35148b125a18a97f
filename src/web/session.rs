//! One browser: a person at this host, as a chat client of the ring.

use super::answers::{self, Asked};
use super::cursor;
use super::document::{self, Live, Message, refusal, to_json};
use super::host::Shared;
use super::outbox::{self, kind_of};
use super::outlet::Outlet;
use super::people::People;
use super::request::{Request, Said};
use crate::client::{Client, Command, Draft, Event, FeedCursor, Notice, Progress, Save};
use crate::ids::{ClientId, MessageId};
use crate::name;
use crate::record::{Kind, View};
use crate::wire::session::{Answer, HistoryQuery, Query, Refusal};
use crossbeam_channel::{Receiver, select};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Questions under way at most; more are refused with the code `busy`.
const MAX_ASKED: usize = 64;
/// Longest page of history, in messages.
const MAX_PAGE: u32 = 500;

/// Whether the session goes on.
type Turn = Result<(), Over>;

/// The browser is gone, or the client has ended.
#[derive(Debug)]
pub(super) struct Over;

/// A person at this host.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) outlet: Outlet,
    pub(super) client: Client,
    pub(super) saves: Receiver<Save>,
    pub(super) nick: String,
    pub(super) rooms: Vec<String>,
    /// All numbers up to this one are done with.
    pub(super) acked_upto: u64,
    pub(super) people: People,
    /// The tags of messages that have a number and no news yet.
    pub(super) tags: BTreeMap<u64, Value>,
    pub(super) asked: BTreeMap<u64, Asked>,
    pub(super) last_question: u64,
    /// The next message's number.
    pub(super) next_cseq: u64,
    /// Messages of the browser's outbox that have no addressee any more.
    pub(super) undeliverable: Vec<u64>,
    /// The nick that was asked for, and by which tag.
    pub(super) renaming: Option<(String, Value)>,
    pub(super) home: Option<String>,
    pub(super) is_welcomed: bool,
    pub(super) view: Option<View>,
    /// Where the feed stands.
    pub(super) cursor: Option<FeedCursor>,
    /// Whether the browser knows of it, and of what is acknowledged.
    pub(super) is_cursor_told: bool,
}

impl Session {
    /// Goes on until the browser is gone or the client has ended.
    pub(super) fn run(mut self, said: &Receiver<Said>) {
        while self.turn(said).is_ok() {}
        self.client.close();
    }

    fn turn(&mut self, said: &Receiver<Said>) -> Turn {
        let (events, saves) = (self.client.events().clone(), self.saves.clone());
        select! {
            recv(saves) -> save => self.save(save.map_err(|_| Over)?)?,
            recv(events) -> event => self.happened(event.map_err(|_| Over)?)?,
            recv(said) -> asked => self.obey(asked.map_err(|_| Over)?)?,
        }
        // What became durable at the browser's goes first: numbers are kept before anything is told of them.
        while let Ok(save) = saves.try_recv() {
            self.save(save)?;
        }
        if events.is_empty() { self.tell_cursor() } else { Ok(()) }
    }

    pub(super) fn tell(&self, document: &impl serde::Serialize) -> Turn {
        if self.outlet.tell(to_json(document)) { Ok(()) } else { Err(Over) }
    }

    fn refuse(&self, tag: &Value, words: refusal::Words) -> Turn {
        let (code, message, hint) = words;
        self.tell(&json!({ "event": "error", "tag": tag, "code": code, "message": message, "hint": hint }))
    }

    /// A message has its number: the browser keeps it, then it may go out.
    fn save(&mut self, save: Save) -> Turn {
        let Save::Message { cseq, draft, .. } = save else { return Ok(()) };
        self.next_cseq = self.next_cseq.max(cseq + 1);
        let id = MessageId { client: self.client.id(), cseq };
        let tag = self.tags.get(&cseq).cloned().unwrap_or_default();
        let to = document::message::addressee(&draft.kind).and_then(|to| self.people.nick(to));
        self.tell(&json!({
            "event": "queued", "tag": tag, "id": id.to_string(), "cseq": cseq, "save": true,
            "room": draft.room, "text": draft.body, "kind": kind_of(&draft.kind), "to": to,
        }))
    }

    fn obey(&mut self, said: Said) -> Turn {
        let request = match said {
            Said::Control(request) => return self.control(request),
            Said::Request(request) => request,
        };
        match request {
            Request::Hello(_) => self.refuse(&Value::Null, refused("malformed", "A hello comes once.")),
            Request::Say { tag, room, text, kind } => {
                let kind = if kind.as_deref() == Some("action") { Kind::Action } else { Kind::Text };
                self.speak(tag, &room, kind, text)
            }
            Request::Topic { tag, room, text } => self.speak(tag, &room, Kind::Topic, text),
            Request::Tell { tag, nick, text } => {
                self.ask(&tag.clone(), Query::Nick(nick.clone()), Asked::Addressee { tag, nick, text })
            }
            Request::Join { room } => self.join(&room),
            Request::Leave { room } => self.leave(&room),
            Request::Nick { tag, nick } => self.rename(tag, &nick),
            Request::History { tag, rooms, with, before, after, limit } => {
                let mut within = self.part(rooms, before.as_deref(), limit);
                within.after = after.as_deref().and_then(answers::key);
                within.newest = within.after.is_none();
                // A key that is none is not repeated: the page is the newest, and its reader sees that.
                let after = after.filter(|_| within.after.is_some());
                if let Some(nick) = with {
                    return self.ask_for_talk(&tag, nick, within, after);
                }
                self.ask(&tag.clone(), Query::History(within), Asked::Page { event: "history", tag, after })
            }
            Request::Search { tag, words, room, before } => {
                let within = self.part(room.into_iter().collect(), before.as_deref(), None);
                self.ask(
                    &tag.clone(),
                    Query::Search { words, within },
                    Asked::Page { event: "search", tag, after: None },
                )
            }
            Request::Who { tag, room } => self.ask(&tag.clone(), Query::Who(room), Asked::Who { tag }),
            Request::Rooms { tag } => self.ask(&tag.clone(), Query::Rooms, Asked::Rooms { tag }),
            Request::Watch { status, trace } => {
                self.shared.watcher.watch(&self.outlet, status, trace);
                Ok(())
            }
            Request::Saved { cseq } => {
                self.client.saved(cseq);
                Ok(())
            }
            Request::Replay => self.refuse(&Value::Null, refused("no_replay", "There is no file to replay here.")),
        }
    }

    fn control(&self, request: Value) -> Turn {
        let tag = request["tag"].clone();
        let Some(controller) = &self.shared.controller else {
            return self.refuse(&tag, refused("no_demo", "Only a demo's page can do that."));
        };
        super::control::forward(controller, request, &self.outlet);
        Ok(())
    }

    fn speak(&mut self, tag: Value, room: &str, kind: Kind, text: String) -> Turn {
        match name::parse(room) {
            Ok(room) => self.submit(tag, Draft { room, kind, body: text }),
            Err(_) => self.refuse(&tag, refusal::refusal(&Refusal::BadName)),
        }
    }

    pub(super) fn submit(&mut self, tag: Value, draft: Draft) -> Turn {
        match self.client.submit(draft) {
            Ok(id) => {
                if !tag.is_null() {
                    self.tags.insert(id.cseq, tag);
                }
                Ok(())
            }
            Err(error) => self.refuse(&tag, refusal::submit_error(error)),
        }
    }

    fn join(&mut self, room: &str) -> Turn {
        let Ok(room) = name::parse(room) else {
            return self.refuse(&Value::Null, refusal::refusal(&Refusal::BadName));
        };
        if self.rooms.len() >= super::request::MAX_ROOMS {
            return self.refuse(&Value::Null, refused("busy", "You are in too many rooms."));
        }
        if !self.is_in(&room) {
            self.rooms.push(room.clone());
        }
        self.submit(Value::Null, Draft { room, kind: Kind::Join, body: String::new() })
    }

    fn leave(&mut self, room: &str) -> Turn {
        self.rooms.retain(|other| !name::same(other, room));
        match name::parse(room) {
            Ok(room) => self.submit(Value::Null, Draft { room, kind: Kind::Leave, body: String::new() }),
            Err(_) => self.refuse(&Value::Null, refusal::refusal(&Refusal::BadName)),
        }
    }

    fn rename(&mut self, tag: Value, nick: &str) -> Turn {
        let Ok(nick) = name::parse(nick) else { return self.refuse(&tag, refusal::refusal(&Refusal::BadName)) };
        self.renaming = Some((nick.clone(), tag));
        self.client.command(Command::Nick(nick));
        Ok(())
    }

    fn part(&self, rooms: Vec<String>, before: Option<&str>, limit: Option<u32>) -> HistoryQuery {
        HistoryQuery {
            rooms,
            before: before.and_then(answers::key),
            limit: limit.unwrap_or(50).clamp(1, MAX_PAGE),
            newest: true,
            reader: Some(self.client.id()),
            ..HistoryQuery::default()
        }
    }

    pub(super) fn ask(&mut self, tag: &Value, query: Query, asked: Asked) -> Turn {
        if self.asked.len() >= MAX_ASKED {
            return self.refuse(tag, refused("busy", "Too many questions at once."));
        }
        self.last_question += 1;
        self.asked.insert(self.last_question, asked);
        self.client.command(Command::Query { tag: self.last_question, query });
        Ok(())
    }

    fn happened(&mut self, event: Event) -> Turn {
        if let Event::View { view, .. } = &event {
            self.view = Some(view.clone());
        }
        // The view follows the first session: the welcome has the server's id from it.
        if self.home.is_some() && !self.is_welcomed && !matches!(event, Event::Notice(_)) {
            self.is_welcomed = true;
            self.welcome()?;
        }
        match event {
            Event::Message(message) => self.message(&message),
            Event::Progress { id, progress } => self.progress(id, progress),
            Event::View { view, reason, .. } => self.tell(&document::view(&view, &reason)),
            Event::Merged { messages, from_ms, until_ms } => {
                let (from, until) = (document::time::rfc3339(from_ms), document::time::rfc3339(until_ms));
                self.tell(&json!({ "event": "merged", "messages": messages, "from": from, "until": until }))
            }
            Event::Answer { tag, answer } => match self.asked.remove(&tag) {
                Some(asked) => self.answer(asked, answer),
                None => Ok(()),
            },
            Event::Notice(notice) => self.noticed(notice),
            Event::Cursor { cursor, acked_upto } => {
                self.cursor = Some(cursor);
                self.acked_upto = acked_upto;
                self.is_cursor_told = false;
                Ok(())
            }
        }
    }

    /// Words of one's rooms, to and from oneself; who comes to them and leaves them.
    fn message(&mut self, message: &crate::client::Message) -> Turn {
        let submission = &message.record.message;
        self.people.met(submission.id.client, &submission.nick);
        let me = self.client.id();
        let concerns = match submission.kind {
            Kind::Direct { to } => to == me || submission.id.client == me,
            Kind::Nick | Kind::Gone { .. } => false,
            Kind::Leave if submission.room.is_empty() => submission.id.client != me,
            _ => self.is_in(&submission.room),
        };
        if !concerns {
            return Ok(());
        }
        let live = Live { copies: message.copies, of: message.of, late: message.late };
        let to = document::message::addressee(&submission.kind).and_then(|to| self.people.nick(to));
        let told = Message::of(&message.record, &message.leader, Some(live)).addressed(to);
        self.outlet.tell(to_json(&told)).then_some(()).ok_or(Over)
    }

    fn is_in(&self, room: &str) -> bool {
        self.rooms.iter().any(|other| name::same(other, room))
    }

    fn progress(&mut self, id: MessageId, progress: Progress) -> Turn {
        let text = id.to_string();
        match progress {
            Progress::Queued => Ok(()),
            Progress::Accepted => self.tell(&json!({ "event": "accepted", "id": text })),
            Progress::Stable { key, copies, of } => {
                self.tags.remove(&id.cseq);
                let key = key.to_string();
                self.tell(&json!({ "event": "stable", "id": text, "key": key, "copies": copies, "of": of }))
            }
            Progress::Rejected(why) => {
                let tag = self.tags.remove(&id.cseq).unwrap_or_default();
                self.tell(&rejected(&tag, &text, refusal::refusal(&why)))
            }
        }
    }

    fn noticed(&mut self, notice: Notice) -> Turn {
        match notice {
            Notice::Home { server, .. } => self.at(server, None),
            Notice::Moved { from, to, took, resent } => {
                let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                let moved = json!({ "event": "moved", "from": from, "to": to, "ms": ms, "again": resent });
                self.at(to, Some(moved))
            }
            Notice::ReadOnly { server } => {
                let told = json!({ "event": "read_only", "server": server });
                self.at(server, None)?;
                self.tell(&told)
            }
            Notice::Gone { .. } => self.tell(&json!({ "event": "lost" })),
            Notice::Waiting(_) if self.home.is_none() => self.tell(&json!({ "event": "lost" })),
            Notice::Refused { why: Refusal::NickTaken(free), .. } => self.nick_taken(free),
            Notice::Refused { .. }
            | Notice::Elsewhere { .. }
            | Notice::NotAsked { .. }
            | Notice::OtherVersion { .. }
            | Notice::Waiting(_) => Ok(()),
        }
    }

    /// A session stands, for the first time or again.
    /// Whether the client's home is the server of this name.
    pub(super) fn is_at(&self, server: &str) -> bool {
        self.home.as_deref() == Some(server)
    }

    fn at(&mut self, server: String, moved: Option<Value>) -> Turn {
        let first = self.home.replace(server).is_none();
        if let Some((nick, _)) = self.renaming.take() {
            self.nick = nick;
            self.people.met(self.client.id(), &self.nick);
            if !first {
                self.tell(&json!({ "event": "nick", "nick": self.nick }))?;
                self.submit(Value::Null, self.claim())?;
            }
        }
        if first {
            return self.enter();
        }
        moved.map_or(Ok(()), |moved| self.tell(&moved))
    }

    fn welcome(&self) -> Turn {
        let name = self.home.as_deref().unwrap_or_default();
        let member = self.view.iter().flat_map(|view| &view.members).find(|member| member.name == name);
        let id = member.map(|member| document::server_id(member.pid));
        self.tell(&json!({
            "event": "welcome",
            "server": { "name": name, "id": id },
            "client": self.client.id().to_string(),
            "nick": self.nick,
            "next_cseq": self.next_cseq,
            "pages": self.shared.urls(),
            "mode": self.shared.mode.word(),
            "net": self.shared.net,
        }))?;
        for cseq in &self.undeliverable {
            let id = MessageId { client: self.client.id(), cseq: *cseq };
            self.tell(&rejected(&Value::Null, &id.to_string(), refusal::refusal(&Refusal::NoSuchNick)))?;
        }
        Ok(())
    }

    /// Asks who is where and whose the nick is: what still holds is not said again.
    fn enter(&mut self) -> Turn {
        self.ask(&Value::Null, Query::Nick(self.nick.clone()), Asked::OwnNick)?;
        self.ask(&Value::Null, Query::Who(None), Asked::OwnRooms)
    }

    /// The message that claims the nick.
    pub(super) fn claim(&self) -> Draft {
        outbox::claim(&self.nick)
    }

    fn nick_taken(&mut self, free: String) -> Turn {
        if self.home.is_none() {
            // Not one of ours to insist on: the offered one will do.
            self.renaming = Some((free.clone(), Value::Null));
            self.client.command(Command::Nick(free));
            return Ok(());
        }
        match self.renaming.take() {
            Some((_, tag)) => self.refuse(&tag, refusal::refusal(&Refusal::NickTaken(free))),
            None => Ok(()),
        }
    }

    fn answer(&mut self, asked: Asked, answer: Answer) -> Turn {
        if let (false, Answer::Failed(why)) = (asked.is_own(), &answer) {
            return self.refuse(asked.tag(), ("failed", format!("The server cannot answer: {why}."), String::new()));
        }
        self.answered(asked, answer)
    }

    /// Where the browser's feed and its acknowledged numbers are, when that has changed.
    fn tell_cursor(&mut self) -> Turn {
        if !self.is_welcomed || std::mem::replace(&mut self.is_cursor_told, true) {
            return Ok(());
        }
        let cursor = self.cursor.as_ref().map(cursor::write);
        self.tell(&json!({ "event": "cursor", "cursor": cursor, "acked_upto": self.acked_upto }))
    }

    pub(super) fn me(&self) -> ClientId {
        self.client.id()
    }
}

fn refused(code: &'static str, message: &str) -> refusal::Words {
    (code, message.to_owned(), String::new())
}

/// A message will never be taken.
pub(super) fn rejected(tag: &Value, id: &str, words: refusal::Words) -> Value {
    let (code, message, hint) = words;
    json!({ "event": "rejected", "tag": tag, "id": id, "code": code, "message": message, "hint": hint })
}
