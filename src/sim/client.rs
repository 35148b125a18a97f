//! A scripted client: numbers its messages, sends them again until they are acknowledged, moves when its server is gone,
//! and follows the feed. It is as plain as a client can be, so that what it sees says something about the servers.

use super::lan::Station;
use super::rng::Rng;
use crate::ids::{ClientId, EpochId, MessageId, RecordKey};
use crate::proto::bugs::{Bug, Bugs};
use crate::record::{Kind, Record};
use crate::seq::IdSet;
use crate::time::{Hlc, Time};
use crate::wire::session::{Cursor, Follow, Hello, MAX_CURSOR_EPOCHS, Refusal, Reply, Request, Submit};
use std::collections::VecDeque;
use std::time::Duration;

/// What a client wants done.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a wish lives for a moment, and most say something")]
pub enum Wish {
    /// Connect to the server at this station.
    Connect(Station),
    /// Say this over the connection.
    Say(Request),
    /// Close the connection.
    Close,
    /// The message was acknowledged for the first time.
    Acked {
        /// Its number.
        cseq: u64,
    },
    /// The message was refused for ever; it may still be history, if another server had taken it before.
    Refused {
        /// Its number.
        cseq: u64,
    },
    /// This message, which had not been shown before, was shown.
    Shown(MessageId),
    /// A message was made.
    Made {
        /// Its number.
        cseq: u64,
        /// The greatest key of what the client had been shown or told of by then.
        after: Hlc,
    },
}

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

/// How much a client talks.
#[derive(Clone, Debug)]
pub struct Habit {
    /// Shortest time between two messages.
    pub pause: Duration,
    /// Added at random, up to this.
    pub pause_jitter: Duration,
    /// Unacknowledged messages at once; beyond it the client makes none.
    pub window: u64,
    /// Per mille of the messages that are long enough for several datagrams.
    pub long: u32,
    /// Makes no new messages.
    pub silent: bool,
}

/// Its state. See [`Client::tick`].
pub struct Client {
    /// Who it is.
    pub id: ClientId,
    /// Where it runs.
    pub at: Station,
    /// How it talks.
    pub habit: Habit,
    /// Planted bugs.
    pub bugs: Bugs,
    servers: Vec<Station>,
    server: Option<Station>,
    link: Link,
    rng: Rng,
    outbox: VecDeque<Waiting>,
    made: u64,
    acked_upto: u64,
    floor: Hlc,
    cursor: Cursor,
    following: bool,
    shown: IdSet,
    heard_at: Time,
    pinged: bool,
    next_made: Time,
    next_connect: Time,
}

impl Client {
    /// A client at a station, which knows these servers.
    pub fn new(id: ClientId, at: Station, servers: Vec<Station>, habit: Habit, rng: Rng) -> Self {
        Self {
            id,
            at,
            habit,
            bugs: Bugs::NONE,
            servers,
            server: None,
            link: Link::None,
            rng,
            outbox: VecDeque::new(),
            made: 0,
            acked_upto: 0,
            floor: Hlc(0),
            cursor: Cursor::default(),
            following: false,
            shown: IdSet::default(),
            heard_at: Time(0),
            pinged: false,
            next_made: Time(0),
            next_connect: Time(0),
        }
    }

    /// The greatest clock it has been shown.
    pub fn floor(&self) -> Hlc {
        self.floor
    }

    /// How many of its messages are not acknowledged.
    pub fn unacked(&self) -> usize {
        self.outbox.len()
    }

    /// The lowest number that is not acknowledged.
    pub fn oldest_unacked(&self) -> Option<u64> {
        self.outbox.front().map(|waiting| waiting.cseq)
    }

    /// The server it is at, once welcomed.
    pub fn home(&self) -> Option<Station> {
        if self.link == Link::Standing { self.server } else { None }
    }

    /// From where on in the canonical order it is shown everything; `None` before its feed began.
    pub fn began(&self) -> Option<RecordKey> {
        self.following.then_some(self.cursor.floor)
    }

    /// Whether the server has shown it this message.
    pub fn has_shown(&self, id: MessageId) -> bool {
        self.shown.contains(id)
    }

    /// Leaves its server for another.
    pub fn move_on(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        if self.link != Link::None {
            wishes.push(Wish::Close);
        }
        self.lost(now);
    }

    /// The connection is gone, or could not be made.
    pub fn lost(&mut self, now: Time) {
        self.link = Link::None;
        self.next_connect = now + self.rng.wait(Duration::from_millis(5), Duration::from_millis(200));
    }

    /// The connection stands.
    pub fn connected(&mut self, now: Time, wishes: &mut Vec<Wish>) {
        self.link = Link::Greeting { until: now + Duration::from_secs(2) };
        self.heard_at = now;
        self.pinged = false;
        let follow = if self.following { Follow::From(self.cursor.clone()) } else { Follow::Now };
        wishes.push(Wish::Say(Request::Hello(Hello {
            net: super::world::net().0,
            version: crate::wire::datagram::VERSION,
            client: self.id,
            nick: nick(self.id),
            follow: Some(follow),
            acked_upto: self.acked_upto,
        })));
        wishes.push(Wish::Say(Request::Hearing { multicast: false }));
    }

    /// The server said something.
    pub fn hear(&mut self, now: Time, reply: Reply, wishes: &mut Vec<Wish>) {
        self.heard_at = now;
        self.pinged = false;
        match reply {
            Reply::Welcome(welcome) => {
                self.link = Link::Standing;
                if let (false, Some(cursor)) = (self.following, welcome.cursor) {
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

    /// Does what is due; called at [`Client::next_tick`] or earlier.
    pub fn tick(&mut self, now: Time, wishes: &mut Vec<Wish>) {
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

    /// When [`Client::tick`] has something to do at the latest.
    pub fn next_tick(&self) -> Time {
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

fn mix(id: MessageId) -> u64 {
    let mut state = id.client.0 ^ id.cseq.rotate_left(32);
    super::rng::splitmix(&mut state)
}

/// The name a client goes by.
pub fn nick(client: ClientId) -> String {
    format!("c{:x}", client.0 & 0xffff)
}

/// The room of a message: one of three, by its id.
pub fn room(id: MessageId) -> &'static str {
    ["lobby", "ops", "tea"][(mix(id) % 3) as usize]
}

/// For [`body`]: all messages are as long as messages may be.
pub const HUGE: u32 = 2000;
/// The words of the longest texts.
const HUGE_WORDS: u64 = 4000;
/// Letters of a word of a text.
const WORD_BYTES: usize = 16;
/// Sixteen digits of a client, a hyphen, twenty digits at most.
const HEAD_BYTES: usize = 37;

/// The text of a message: by its id. `long` per mille of them need several datagrams.
pub fn body(id: MessageId, long: u32) -> String {
    let mixed = mix(id);
    if long == HUGE {
        return text(id, HUGE_WORDS);
    }
    let is_long = (mixed >> 32) % 1000 < u64::from(long);
    text(id, if is_long { 80 + (mixed >> 8) % 400 } else { 1 + (mixed >> 8) % 6 })
}

/// Whether this is the text of the message, long or not. Makes no copy of it: this is asked of each delivery.
pub fn is_body(id: MessageId, body: &str) -> bool {
    let (head, length) = head(id);
    let Some(rest) = body.as_bytes().strip_prefix(&head[..length]) else { return false };
    let (there, more) = rest.as_chunks();
    let words = there.len() as u64;
    let mixed = mix(id);
    let may_be = words == HUGE_WORDS || words == 80 + (mixed >> 8) % 400 || words == 1 + (mixed >> 8) % 6;
    let mut state = mixed;
    may_be && more.is_empty() && there.iter().all(|there| *there == word(&mut state))
}

fn text(id: MessageId, words: u64) -> String {
    let (head, length) = head(id);
    let mut text = Vec::with_capacity(length + WORD_BYTES * words as usize);
    text.extend_from_slice(&head[..length]);
    let mut state = mix(id);
    for _ in 0..words {
        text.extend_from_slice(&word(&mut state));
    }
    String::from_utf8(text).unwrap_or_default()
}

/// The next word of a text.
fn word(state: &mut u64) -> [u8; WORD_BYTES] {
    let word = super::rng::splitmix(state);
    std::array::from_fn(|at| b'a' + (word >> (4 * at) & 15) as u8)
}

/// What a text begins with: the id as it is displayed, and how long that is.
fn head(id: MessageId) -> ([u8; HEAD_BYTES], usize) {
    let mut head = [b'-'; HEAD_BYTES];
    for (at, digit) in head[..16].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(id.client.0 >> (60 - 4 * at) & 15) as usize];
    }
    let digits = id.cseq.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut rest = id.cseq;
    for digit in head[17..17 + digits].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    (head, 17 + digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_begins_with_the_id_and_is_known_again_only_whole() {
        for cseq in [0, 1, 9, 10, 12_345, u64::MAX] {
            let id = MessageId { client: ClientId(0x0123_4567_89ab_cdef_u64.rotate_left(cseq as u32 % 64)), cseq };
            for long in [0, 1000, HUGE] {
                let body = body(id, long);
                assert!(body.starts_with(&id.to_string()) && is_body(id, &body), "{body}");
                assert!(!is_body(id, &body[..body.len() - 1]) && !is_body(id, &format!("{body}a")));
                assert!(!is_body(MessageId { cseq: cseq ^ 1, ..id }, &body));
                let mut harmed = body.clone().into_bytes();
                *harmed.last_mut().unwrap() ^= 1;
                assert!(!is_body(id, std::str::from_utf8(&harmed).unwrap()));
            }
        }
    }
}
