//! The client that people have: the protocol of [`crate::proto::client`] on a station of its own, with a clock that drifts
//! and a disk for its outbox.

use super::pastime::{Deed, Pastime};
use super::shelf::Shelf;
use super::study;
use super::{Aside, Client, Habit, LOBBY, Wish, body, room};
use crate::ids::{ClientId, MessageId};
use crate::proto::bugs::Bugs;
use crate::proto::client::{
    self, Action, Beginning, Command, ConnectionId, Draft, Event, FeedCursor, Input, Loaded, Notice, Progress, Save,
    Settings,
};
use crate::record::Kind;
use crate::seq::IdSet;
use crate::sim::clock::Clock;
use crate::sim::lan::Station;
use crate::sim::rng::Rng;
use crate::time::{Hlc, Now, Time};
use crate::wire::session::{Answer, Query, Refusal, Reply, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Who pauses no longer than this between two messages says a lot.
const BUSY: Duration = Duration::from_millis(10);

/// Its state: the protocol, and what its host knows.
pub struct Real {
    at: Station,
    habit: Habit,
    bugs: Bugs,
    core: client::Client,
    clock: Clock,
    rng: Rng,
    /// The connection it uses, or tries.
    connection: ConnectionId,
    shelf: Shelf,
    /// Its process is dead, until then.
    dead: Option<Time>,
    /// What the next process is told of what was shown.
    seen: Option<FeedCursor>,
    made: u64,
    unacked: BTreeSet<u64>,
    floor: Hlc,
    began: Option<Beginning>,
    shown: IdSet,
    next_made: Time,
    pastime: Pastime,
    /// What it asked and has no answer to, by tag.
    asked: BTreeMap<u64, Query>,
    questions: u64,
    /// What is made is what the person wants, not what the client does by itself.
    meant: bool,
    /// Empty: datagrams are written here.
    buf: Vec<u8>,
}

impl Real {
    /// A client at a station, which finds servers by itself.
    pub fn new(id: ClientId, at: Station, habit: Habit, bugs: Bugs, clock: Clock, mut rng: Rng) -> Self {
        let pastime = Pastime::new(id, habit.pause < BUSY, rng.fork());
        let core =
            process(Loaded { client: id, ..Loaded::default() }, pastime.nick(), clock.now(Time(0)), bugs, &mut rng);
        Self {
            at,
            habit,
            bugs,
            core,
            clock,
            rng,
            connection: ConnectionId(0),
            shelf: Shelf::of(id),
            dead: None,
            seen: None,
            made: 0,
            unacked: BTreeSet::new(),
            floor: Hlc(0),
            began: None,
            shown: IdSet::default(),
            next_made: Time(0),
            pastime,
            asked: BTreeMap::new(),
            questions: 0,
            meant: false,
            buf: Vec::new(),
        }
    }

    fn now(&self, at: Time) -> Now {
        self.clock.now(at)
    }

    fn input(&mut self, now: Time, input: Input<'_>, wishes: &mut Vec<Wish>) {
        if self.dead.is_some() {
            return;
        }
        self.core.handle(self.now(now), input);
        self.drain(now, wishes);
    }

    /// Hands on what the protocol wants.
    fn drain(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        while let Some(route) = self.core.poll_transmit(&mut self.buf) {
            wishes.push(Wish::Send(route, self.buf.clone()));
        }
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Connect { connection, addr } => {
                    self.connection = connection;
                    wishes.extend(Station::of(addr, usize::from(u16::MAX)).map(Wish::Connect));
                }
                Action::Send { connection, request } if connection == self.connection => {
                    if let Request::Submit(submit) = &request
                        && !self.shelf.holds(submit.cseq)
                    {
                        wishes.push(Wish::SaidUnsaved { cseq: submit.cseq });
                    }
                    wishes.extend(rare(&request).map(Wish::Rare));
                    wishes.push(Wish::Say(request));
                }
                Action::Disconnect(connection) if connection == self.connection => wishes.push(Wish::Close),
                Action::Send { .. } | Action::Disconnect(_) | Action::Closed => {}
                Action::Save(Save::Done { cseq, floor }) => self.shelf.done(cseq, floor),
                Action::Save(Save::Message { cseq, draft, floor }) => {
                    let aside = self.aside(cseq, &draft);
                    self.shelf.put(now, (cseq, draft, floor), &mut self.rng);
                    self.made = cseq;
                    self.unacked.insert(cseq);
                    wishes.push(Wish::Made { cseq, after: self.floor });
                    wishes.extend(aside);
                }
                Action::Event(event) => self.event(now, event, wishes),
            }
        }
    }

    fn event(&mut self, now: Time, event: Event, wishes: &mut Vec<Wish>) {
        match event {
            Event::Message(message) => {
                self.floor = self.floor.max(message.record.key.hlc);
                self.shown.insert(message.record.message.id);
                self.pastime.shown(&message.record.message);
                if message.late {
                    wishes.push(Wish::Rare("late at clients"));
                }
                wishes.push(Wish::ShownInOrder { record: Box::new(message.record), late: message.late });
            }
            Event::Progress { id, progress: Progress::Stable { key, .. } } => {
                self.floor = self.floor.max(key.hlc);
                if self.unacked.remove(&id.cseq) {
                    wishes.push(Wish::Acked { cseq: id.cseq });
                }
            }
            Event::Progress { id, progress: Progress::Rejected(_) } => {
                self.unacked.remove(&id.cseq);
                wishes.push(Wish::Refused { cseq: id.cseq });
            }
            Event::Cursor { cursor, .. } => {
                if self.began.is_none() {
                    self.began = cursor.seen.as_ref().map(Beginning::of);
                }
                self.seen = Some(cursor);
            }
            Event::Answer { tag, answer } => self.answered(now, tag, answer, wishes),
            Event::Notice(notice) => self.notice(&notice, wishes),
            _ => {}
        }
    }

    fn notice(&mut self, notice: &Notice, wishes: &mut Vec<Wish>) {
        match notice {
            Notice::Home { .. } => self.pastime.welcomed(),
            Notice::ReadOnly { .. } => wishes.push(Wish::Rare("read-only homes")),
            Notice::Moved { .. } => {
                self.pastime.welcomed();
                wishes.push(Wish::Rare("clients moved"));
            }
            Notice::Refused { why: Refusal::NickTaken(free), .. } => {
                self.pastime.refused(free);
                wishes.push(Wish::Rare("nicks refused"));
            }
            _ => {}
        }
    }

    /// What a message is that is not words to a room.
    fn aside(&self, cseq: u64, draft: &Draft) -> Option<Wish> {
        let Draft { room, kind, body } = draft.clone();
        let body = if matches!(kind, Kind::Direct { .. }) { String::new() } else { body };
        let aside = Aside { kind, room, body, meant: self.meant };
        (aside.kind != Kind::Text).then(|| Wish::Aside { cseq, aside: Box::new(aside) })
    }

    /// Another process takes the outbox; now and then it is told what was shown, as by a browser that has found another host.
    fn go_on(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        self.shelf.survive(&mut self.rng);
        let told = self.seen.take().filter(|cursor| cursor.seen.is_some() && self.rng.chance(500));
        let loaded = self.shelf.load(told);
        let told = loaded.seen.is_some();
        if let Some((seen, _)) = &loaded.seen {
            self.began.get_or_insert_with(|| Beginning::of(seen)).go_on(seen);
        } else {
            (self.began, self.shown) = (None, IdSet::default());
        }
        self.unacked = loaded.messages.iter().map(|(cseq, _)| *cseq).collect();
        (self.made, self.floor) = (loaded.last_cseq, loaded.floor);
        self.connection = ConnectionId(0);
        self.pastime.anew();
        self.asked.clear();
        self.core = process(loaded, self.pastime.nick(), self.now(now), self.bugs, &mut self.rng);
        self.dead = None;
        wishes.push(Wish::Anew { told });
        self.drain(now, wishes);
    }

    fn make(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        while now >= self.next_made && !self.habit.silent {
            self.next_made = self.next_made.max(now)
                + self.habit.pause
                + self.rng.wait(Duration::ZERO, self.habit.pause_jitter)
                + Duration::from_micros(1);
            if self.unacked.len() as u64 >= self.habit.window {
                return;
            }
            let draft = if self.made == 0 {
                Draft { room: LOBBY.to_owned(), kind: Kind::Join, body: String::new() }
            } else {
                let id = MessageId { client: self.core.id(), cseq: self.made + 1 };
                Draft { room: room(id).to_owned(), kind: Kind::Text, body: body(id, self.habit.long) }
            };
            self.say(now, draft, wishes);
        }
    }

    fn say(&mut self, now: Time, draft: Draft, wishes: &mut Vec<Wish>) {
        let taken = self.core.submit(self.now(now), draft);
        assert!(taken.is_ok(), "an outbox with room takes a message");
        self.meant = true;
        self.drain(now, wishes);
        self.meant = false;
    }

    fn answered(&mut self, now: Time, tag: u64, answer: Answer, wishes: &mut Vec<Wish>) {
        let Some(query) = self.asked.remove(&tag) else { return };
        self.pastime.answered(&answer);
        if let Answer::Page { records, more: true } = &answer
            && let Some(next) = study::next(&query, records)
        {
            self.question(now, next);
        }
        wishes.push(Wish::Answered(Box::new((query, answer))));
    }

    /// Gives the protocol a question; what that wants is to be handed on.
    fn question(&mut self, now: Time, query: Query) {
        self.questions += 1;
        let tag = self.questions;
        self.asked.insert(tag, query.clone());
        self.core.handle(self.now(now), Input::Command(Command::Query { tag, query }));
    }

    fn ask(&mut self, now: Time, query: Query, wishes: &mut Vec<Wish>) {
        self.question(now, query);
        self.drain(now, wishes);
    }

    /// Does what people do beside talking, as the commands of `chat` do it.
    fn pass_time(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        let is_full = self.unacked.len() as u64 >= self.habit.window;
        match self.pastime.due(now, self.habit.silent || is_full) {
            Some(Deed::Claim(nick)) => {
                self.input(now, Input::Command(Command::Nick(nick.clone())), wishes);
                self.say(now, Draft { room: String::new(), kind: Kind::Nick, body: nick }, wishes);
            }
            Some(Deed::Take(nick)) => self.input(now, Input::Command(Command::Nick(nick)), wishes),
            Some(Deed::Say(draft)) => {
                let id = MessageId { client: self.core.id(), cseq: self.made + 1 };
                let is_direct = matches!(draft.kind, Kind::Direct { .. });
                let body = if is_direct { body(id, self.habit.long) } else { draft.body };
                self.say(now, Draft { body, ..draft }, wishes);
            }
            Some(Deed::Ask(query)) => self.ask(now, query, wishes),
            None => {}
        }
    }
}

impl Client for Real {
    fn id(&self) -> ClientId {
        self.core.id()
    }

    fn at(&self) -> Station {
        self.at
    }

    fn habit(&self) -> &Habit {
        &self.habit
    }

    fn habit_mut(&mut self) -> &mut Habit {
        &mut self.habit
    }

    fn floor(&self) -> Hlc {
        self.floor
    }

    fn unacked(&self) -> usize {
        self.unacked.len()
    }

    fn oldest_unacked(&self) -> Option<u64> {
        self.unacked.first().copied()
    }

    fn study(&mut self, now: Time, wishes: &mut Vec<Wish>) -> Option<Query> {
        let query = self.pastime.study().filter(|_| self.dead.is_none())?;
        self.ask(now, query.clone(), wishes);
        Some(query)
    }

    fn unanswered(&self) -> Option<&Query> {
        self.asked.values().next()
    }

    fn home(&self) -> Option<Station> {
        if self.dead.is_some() {
            return None;
        }
        let number: usize = self.core.home()?.strip_prefix('s')?.parse().ok()?;
        number.checked_sub(1).map(Station)
    }

    fn began(&self) -> Option<&Beginning> {
        self.began.as_ref()
    }

    fn shown(&self) -> &IdSet {
        &self.shown
    }

    fn move_on(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        wishes.push(Wish::Close);
        self.lost(now, wishes);
    }

    fn lost(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        self.input(now, Input::Broken(self.connection), wishes);
    }

    fn connected(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        self.input(now, Input::Connected(self.connection), wishes);
    }

    fn hear(&mut self, now: Time, reply: Reply, wishes: &mut Vec<Wish>) {
        self.input(now, Input::Reply(self.connection, reply), wishes);
    }

    fn tick(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        if self.dead.is_some_and(|until| now >= until) {
            self.go_on(now, wishes);
        }
        if self.dead.is_some() {
            return;
        }
        self.make(now, wishes);
        self.pass_time(now, wishes);
        while let Some(cseq) = self.shelf.written(now) {
            self.input(now, Input::Saved { cseq }, wishes);
        }
        if self.now(now).mono >= self.core.next_timeout() {
            self.input(now, Input::Timeout, wishes);
        }
    }

    fn next_tick(&self) -> Time {
        if let Some(until) = self.dead {
            return until;
        }
        let made = if self.habit.silent { Time::NEVER } else { self.next_made };
        let is_full = self.unacked.len() as u64 >= self.habit.window;
        let deed = self.pastime.next(self.habit.silent || is_full);
        made.min(deed).min(self.shelf.next_written()).min(self.clock.moment_of(self.core.next_timeout()))
    }

    fn restart(&mut self, now: Time, wait: Duration, wishes: &mut Vec<Wish>) {
        if self.dead.is_none() {
            wishes.push(Wish::Close);
            self.dead = Some(now + wait);
        }
    }

    fn overhears(&self) -> bool {
        true
    }

    fn overhear(&mut self, now: Time, from: SocketAddr, multicast: bool, bytes: &[u8], wishes: &mut Vec<Wish>) {
        self.input(now, Input::Datagram { from, multicast, bytes }, wishes);
    }
}

/// A client's process at its beginning.
fn process(loaded: Loaded, nick: String, now: Now, bugs: Bugs, rng: &mut Rng) -> client::Client {
    let settings = Settings {
        net: crate::sim::world::net(),
        nick,
        server: None,
        only: None,
        prefer: None,
        peers: Vec::new(),
        follow: true,
        cursors: true,
        bugs,
    };
    client::Client::new(settings, loaded, now, rng.draw())
}

/// What a request tells of how its client lives.
fn rare(request: &Request) -> Option<&'static str> {
    match request {
        Request::Hearing { multicast: true } => Some("clients live on the multicast"),
        Request::Fetch { .. } => Some("fetches"),
        Request::Follow(_) => Some("feeds begun anew"),
        _ => None,
    }
}
