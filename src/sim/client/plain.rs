//! A scripted client: numbers its messages, sends them again until they are acknowledged, moves when its server is gone,
//! and follows the feed. It is as plain as a client can be, so that what it sees says something about the servers.

use super::{Client, Habit, Wish, body, nick, room};
use crate::ids::{ClientId, EpochId, MessageId, RecordKey};
use crate::proto::bugs::{Bug, Bugs};
use crate::proto::client::Beginning;
use crate::record::{Kind, Record};
use crate::seq::IdSet;
use crate::sim::lan::Station;
use crate::sim::rng::Rng;
use crate::time::{Hlc, Time};
use crate::wire::session::{Cursor, Follow, Hello, MAX_CURSOR_EPOCHS, Refusal, Reply, Request, Submit};
use std::collections::VecDeque;
use std::time::Duration;

struct Waiting {
    cseq: u64,
    /// The floor at the first send: what a broken client goes on sending.
    first_floor: Hlc,
    again_at: Time,
    tries: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    None,
    Connecting { until: Time },
    Greeting { until: Time },
    Standing,
}

/// Its state.
pub struct Plain {
    id: ClientId,
    at: Station,
    habit: Habit,
    bugs: Bugs,
    servers: Vec<Station>,
    server: Option<Station>,
    link: Link,
    rng: Rng,
    outbox: VecDeque<Waiting>,
    made: u64,
    acked_upto: u64,
    floor: Hlc,
    cursor: Cursor,
    began: Option<Beginning>,
    following: bool,
    shown: IdSet,
    heard_at: Time,
    pinged: bool,
    next_made: Time,
    next_connect: Time,
}

impl Client for Plain {
    fn id(&self) -> ClientId {
        self.id
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
        self.outbox.len()
    }

    fn oldest_unacked(&self) -> Option<u64> {
        self.outbox.front().map(|waiting| waiting.cseq)
    }

    fn home(&self) -> Option<Station> {
        if self.link == Link::Standing { self.server } else { None }
    }

    fn began(&self) -> Option<&Beginning> {
        self.began.as_ref()
    }

    fn shown(&self) -> &IdSet {
        &self.shown
    }

    fn move_on(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        if self.link != Link::None {
            wishes.push(Wish::Close);
        }
        self.lost(now, wishes);
    }

    fn lost(&mut self, now: Time, _: &mut Vec<Wish>) {
        self.link = Link::None;
        self.next_connect = now + self.rng.wait(Duration::from_millis(5), Duration::from_millis(200));
    }

    fn connected(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        self.link = Link::Greeting { until: now + Duration::from_secs(2) };
        self.heard_at = now;
        self.pinged = false;
        let follow = if self.following { Follow::From(self.cursor.clone()) } else { Follow::Now };
        wishes.push(Wish::Say(Request::Hello(Hello {
            net: crate::sim::world::net().0,
            version: crate::wire::datagram::VERSION,
            client: self.id,
            nick: nick(self.id),
            follow: Some(follow),
            acked_upto: self.acked_upto,
        })));
        wishes.push(Wish::Say(Request::Hearing { multicast: false }));
    }

    fn hear(&mut self, now: Time, reply: Reply, wishes: &mut Vec<Wish>) {
        self.heard_at = now;
        self.pinged = false;
        match reply {
            Reply::Welcome(welcome) if welcome.read_only => self.move_on(now, wishes),
            Reply::Welcome(welcome) => {
                self.link = Link::Standing;
                if let (false, Some(cursor)) = (self.following, welcome.cursor) {
                    self.began = Some(Beginning::of(&cursor));
                    self.cursor = cursor;
                    self.following = true;
                }
                for waiting in &mut self.outbox {
                    waiting.again_at = now;
                    waiting.tries = 0;
                }
                self.resend(now, wishes);
            }
            Reply::Refused(_) | Reply::Bye | Reply::Rejected { why: Refusal::NotReady | Refusal::ReadOnly, .. } => {
                self.move_on(now, wishes);
            }
            Reply::Stable { cseq, key, .. } => self.stable(cseq, key, wishes),
            Reply::Busy { cseq, retry_ms } => self.busy(now, cseq, retry_ms),
            Reply::Rejected { cseq, .. } => {
                self.forget(cseq);
                wishes.push(Wish::Refused { cseq });
            }
            Reply::Feed { records, upto, .. } => self.feed(&records, upto, wishes),
            Reply::View(note) => self.place(note.view.epoch, note.from),
            Reply::Accepted { .. } | Reply::Entries { .. } | Reply::Pong | Reply::Answer { .. } => {}
        }
    }

    fn tick(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        self.make(now, wishes);
        match self.link {
            Link::None if now >= self.next_connect => self.connect(now, wishes),
            Link::Connecting { until } | Link::Greeting { until } if now >= until => self.move_on(now, wishes),
            Link::Standing => self.keep_alive(now, wishes),
            _ => {}
        }
        if self.link == Link::Standing {
            self.resend(now, wishes);
        }
    }

    fn next_tick(&self) -> Time {
        let made = if self.habit.silent { Time::NEVER } else { self.next_made };
        let link = match self.link {
            Link::None => self.next_connect,
            Link::Connecting { until } | Link::Greeting { until } => until,
            Link::Standing if self.pinged => self.heard_at + Duration::from_secs(2),
            Link::Standing => self.heard_at + Duration::from_secs(1),
        };
        let again = match self.link {
            Link::Standing => self.outbox.iter().map(|waiting| waiting.again_at).min().unwrap_or(Time::NEVER),
            _ => Time::NEVER,
        };
        made.min(link).min(again)
    }
}

impl Plain {
    /// A client at a station, which knows these servers.
    pub fn new(id: ClientId, at: Station, servers: Vec<Station>, habit: Habit, bugs: Bugs, rng: Rng) -> Self {
        Self {
            id,
            at,
            habit,
            bugs,
            servers,
            server: None,
            link: Link::None,
            rng,
            outbox: VecDeque::new(),
            made: 0,
            acked_upto: 0,
            floor: Hlc(0),
            cursor: Cursor::default(),
            began: None,
            following: false,
            shown: IdSet::default(),
            heard_at: Time(0),
            pinged: false,
            next_made: Time(0),
            next_connect: Time(0),
        }
    }

    fn stable(&mut self, cseq: u64, key: RecordKey, wishes: &mut Vec<Wish>) {
        let before = self.outbox.len();
        self.forget(cseq);
        self.floor = self.floor.max(key.hlc);
        if self.outbox.len() < before {
            wishes.push(Wish::Acked { cseq });
        }
    }

    /// The message will not be sent again: it is history, or was refused for ever.
    fn forget(&mut self, cseq: u64) {
        self.outbox.retain(|waiting| waiting.cseq != cseq);
        self.acked_upto = self.oldest_unacked().map_or(self.made, |oldest| oldest - 1);
    }

    fn busy(&mut self, now: Time, cseq: u64, retry_ms: u32) {
        let again_at = now + Duration::from_millis(u64::from(retry_ms));
        for waiting in self.outbox.iter_mut().filter(|waiting| waiting.cseq >= cseq) {
            waiting.again_at = again_at;
        }
    }

    fn feed(&mut self, records: &[Record], upto: (EpochId, u64), wishes: &mut Vec<Wish>) {
        for record in records {
            if self.shown.insert(record.message.id) {
                self.floor = self.floor.max(record.key.hlc);
                wishes.push(Wish::Shown(record.message.id));
            }
        }
        self.place(upto.0, upto.1);
    }

    fn place(&mut self, epoch: EpochId, upto: u64) {
        self.following = true;
        match self.cursor.epochs.iter_mut().find(|place| place.0 == epoch) {
            Some(place) => place.1 = place.1.max(upto),
            None => self.cursor.epochs.push((epoch, upto)),
        }
        if self.cursor.epochs.len() > MAX_CURSOR_EPOCHS {
            self.cursor.epochs.sort_unstable();
            self.cursor.epochs.remove(0);
        }
    }

    fn connect(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        let others: Vec<Station> = self.servers.iter().copied().filter(|one| Some(*one) != self.server).collect();
        self.server = self.rng.pick(&others).copied().or(self.server);
        if let Some(server) = self.server {
            self.link = Link::Connecting { until: now + Duration::from_secs(1) };
            wishes.push(Wish::Connect(server));
        }
    }

    fn keep_alive(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        let silent = now.since(self.heard_at);
        if silent >= Duration::from_secs(2) && self.pinged {
            self.move_on(now, wishes);
        } else if silent >= Duration::from_secs(1) && !self.pinged {
            self.pinged = true;
            wishes.push(Wish::Say(Request::Ping));
        }
    }

    fn make(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        while now >= self.next_made && !self.habit.silent {
            self.next_made = self.next_made.max(now)
                + self.habit.pause
                + self.rng.wait(Duration::ZERO, self.habit.pause_jitter)
                + Duration::from_micros(1);
            if self.made - self.acked_upto >= self.habit.window {
                return;
            }
            self.made += 1;
            self.outbox.push_back(Waiting { cseq: self.made, first_floor: self.floor, again_at: now, tries: 0 });
            wishes.push(Wish::Made { cseq: self.made, after: self.floor });
        }
    }

    /// Sends in order everything that is unacknowledged, from the first that is due.
    fn resend(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        let Some(first) = self.outbox.iter().position(|waiting| now >= waiting.again_at) else { return };
        let first = if self.outbox[first].tries > 0 { 0 } else { first };
        let begins = wishes.len();
        for waiting in self.outbox.iter_mut().skip(first) {
            let wait = Duration::from_millis(250 << waiting.tries.min(4));
            waiting.again_at = now + wait;
            waiting.tries += 1;
            let id = MessageId { client: self.id, cseq: waiting.cseq };
            wishes.push(Wish::Say(Request::Submit(Submit {
                cseq: waiting.cseq,
                acked_upto: self.acked_upto,
                floor: if self.bugs.has(Bug::OldFloor) { waiting.first_floor } else { self.floor },
                room: room(id).to_owned(),
                kind: Kind::Text,
                body: body(id, self.habit.long),
            })));
        }
        // A network library that sends the last first: the server must keep the writer's order all the same.
        if self.rng.chance(20) {
            wishes[begins..].reverse();
        }
    }
}
