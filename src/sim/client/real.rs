//! The client that people have: the protocol of [`crate::proto::client`] on a station of its own, with a clock that drifts
//! and a disk for its outbox.

use super::{Client, Habit, LOBBY, Wish, body, nick, room};
use crate::ids::{ClientId, MessageId, RecordKey};
use crate::proto::client::{self, Action, ConnectionId, Draft, Event, Input, Loaded, Notice, Progress, Save, Settings};
use crate::record::Kind;
use crate::seq::IdSet;
use crate::sim::clock::Clock;
use crate::sim::lan::Station;
use crate::sim::rng::Rng;
use crate::time::{Hlc, Now, Time};
use crate::wire::session::{Reply, Request};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Its state: the protocol, and what its host knows.
pub struct Real {
    at: Station,
    habit: Habit,
    core: client::Client,
    clock: Clock,
    rng: Rng,
    /// The connection it uses, or tries.
    connection: ConnectionId,
    /// What its disk has been asked for, and when that is done.
    saves: VecDeque<(Time, u64)>,
    made: u64,
    unacked: BTreeSet<u64>,
    floor: Hlc,
    began: Option<RecordKey>,
    shown: IdSet,
    next_made: Time,
    /// Empty: datagrams are written here.
    buf: Vec<u8>,
}

impl Real {
    /// A client at a station, which finds servers by itself.
    pub fn new(id: ClientId, at: Station, habit: Habit, clock: Clock, mut rng: Rng) -> Self {
        let settings = Settings {
            net: crate::sim::world::net(),
            nick: nick(id),
            server: None,
            prefer: None,
            peers: Vec::new(),
            follow: true,
            cursors: true,
        };
        let loaded = Loaded { client: id, ..Loaded::default() };
        let core = client::Client::new(settings, loaded, clock.now(Time(0)), rng.draw());
        Self {
            at,
            habit,
            core,
            clock,
            rng,
            connection: ConnectionId(0),
            saves: VecDeque::new(),
            made: 0,
            unacked: BTreeSet::new(),
            floor: Hlc(0),
            began: None,
            shown: IdSet::default(),
            next_made: Time(0),
            buf: Vec::new(),
        }
    }

    fn now(&self, at: Time) -> Now {
        self.clock.now(at)
    }

    fn input(&mut self, now: Time, input: Input<'_>, wishes: &mut Vec<Wish>) {
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
                    wishes.extend(rare(&request).map(Wish::Rare));
                    wishes.push(Wish::Say(request));
                }
                Action::Disconnect(connection) if connection == self.connection => wishes.push(Wish::Close),
                Action::Send { .. } | Action::Disconnect(_) | Action::Save(Save::Done { .. }) | Action::Closed => {}
                Action::Save(Save::Message { cseq, .. }) => self.save(now, cseq, wishes),
                Action::Event(event) => self.event(event, wishes),
            }
        }
    }

    /// The message has its number; nothing of it may be said before it is on the disk.
    fn save(&mut self, now: Time, cseq: u64, wishes: &mut Vec<Wish>) {
        let slow = if self.rng.chance(50) { Duration::from_millis(80) } else { Duration::from_millis(2) };
        let last = self.saves.back().map_or(now, |save| save.0);
        self.saves.push_back((last.max(now + self.rng.wait(Duration::from_micros(50), slow)), cseq));
        self.made = cseq;
        self.unacked.insert(cseq);
        wishes.push(Wish::Made { cseq, after: self.floor });
    }

    fn event(&mut self, event: Event, wishes: &mut Vec<Wish>) {
        match event {
            Event::Message(message) => {
                self.floor = self.floor.max(message.record.key.hlc);
                self.shown.insert(message.record.message.id);
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
                self.began = self.began.or_else(|| cursor.seen.map(|seen| seen.floor));
            }
            Event::Progress { .. } | Event::View { .. } | Event::Merged { .. } => {}
            Event::Notice(Notice::Moved { .. }) => wishes.push(Wish::Rare("clients moved")),
            Event::Answer { .. } | Event::Notice(_) => {}
        }
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
            let taken = self.core.submit(self.now(now), draft);
            debug_assert!(taken.is_ok(), "an outbox with room takes a message");
            self.drain(now, wishes);
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

    fn home(&self) -> Option<Station> {
        let number: usize = self.core.home()?.strip_prefix('s')?.parse().ok()?;
        number.checked_sub(1).map(Station)
    }

    fn began(&self) -> Option<RecordKey> {
        self.began
    }

    fn has_shown(&self, id: MessageId) -> bool {
        self.shown.contains(id)
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
        self.make(now, wishes);
        while let Some((_, cseq)) = self.saves.pop_front_if(|save| save.0 <= now) {
            self.input(now, Input::Saved { cseq }, wishes);
        }
        if self.now(now).mono >= self.core.next_timeout() {
            self.input(now, Input::Timeout, wishes);
        }
    }

    fn next_tick(&self) -> Time {
        let made = if self.habit.silent { Time::NEVER } else { self.next_made };
        let saved = self.saves.front().map_or(Time::NEVER, |save| save.0);
        made.min(saved).min(self.clock.moment_of(self.core.next_timeout()))
    }

    fn overhears(&self) -> bool {
        true
    }

    fn overhear(&mut self, now: Time, from: SocketAddr, multicast: bool, bytes: &[u8], wishes: &mut Vec<Wish>) {
        self.input(now, Input::Datagram { from, multicast, bytes }, wishes);
    }
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
