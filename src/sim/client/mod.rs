//! Clients: what a world needs of them, and the two kinds there are.

mod pastime;
mod plain;
mod real;
mod shelf;
mod study;
mod words;

pub use plain::Plain;
pub use real::Real;
pub use words::{HUGE, LOBBY, body, body_bytes, is_body, is_said, nick, room};

use super::lan::Station;
use crate::ids::{ClientId, MessageId};
use crate::proto::client::Beginning;
use crate::proto::io::Route;
use crate::record::{Kind, Record};
use crate::seq::IdSet;
use crate::time::{Hlc, Time};
use crate::wire::session::{Answer, Query, Reply, Request};
use std::net::SocketAddr;
use std::time::Duration;

/// What a client wants done.
#[derive(Clone, Debug)]
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
    /// A client that owes its user order showed this.
    ShownInOrder {
        /// All of it.
        record: Box<Record>,
        /// Whether it was marked as late.
        late: bool,
    },
    /// This was said before it was safe on the client's disk.
    SaidUnsaved {
        /// Its number.
        cseq: u64,
    },
    /// Its user's question has this answer.
    Answered(Box<(Query, Answer)>),
    /// Another process goes on; what it shows begins on an empty screen unless it was told what had been shown.
    Anew {
        /// Whether it was told.
        told: bool,
    },
    /// A rare state was there.
    Rare(&'static str),
    /// Send this datagram.
    Send(Route, Vec<u8>),
    /// A message was made.
    Made {
        /// Its number.
        cseq: u64,
        /// The greatest key of what the client had been shown or told of by then.
        after: Hlc,
    },
    /// The message that was just made is not words to a room.
    Aside {
        /// Its number.
        cseq: u64,
        /// What it is.
        aside: Box<Aside>,
    },
}

/// What a client made that is not words to a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aside {
    /// What it is.
    pub kind: Kind,
    /// The room, or empty.
    pub room: String,
    /// The nick that is claimed, or empty; of words to one client nothing, for they follow from the id.
    pub body: String,
    /// Whether a person did it, rather than the client by itself.
    pub meant: bool,
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

/// A client in a world, at one station, with at most one connection. What it wishes it writes down; the world grants it.
pub trait Client {
    /// Who it is.
    fn id(&self) -> ClientId;
    /// Where it runs.
    fn at(&self) -> Station;
    /// How it talks.
    fn habit(&self) -> &Habit;
    /// How it is to talk from now on.
    fn habit_mut(&mut self) -> &mut Habit;
    /// The greatest clock it has been shown.
    fn floor(&self) -> Hlc;
    /// How many of its messages are not acknowledged.
    fn unacked(&self) -> usize;
    /// The lowest number that is not acknowledged.
    fn oldest_unacked(&self) -> Option<u64>;
    /// A question of its user that has no answer yet.
    fn unanswered(&self) -> Option<&Query> {
        None
    }
    /// Its user walks through history from now on, if that is his way; the question with which he begins.
    fn study(&mut self, _now: Time, _wishes: &mut Vec<Wish>) -> Option<Query> {
        None
    }
    /// The server it is at, once welcomed.
    fn home(&self) -> Option<Station>;
    /// From where on it is shown everything; `None` before its feed began.
    fn began(&self) -> Option<&Beginning>;
    /// What servers have shown it.
    fn shown(&self) -> &IdSet;
    /// Leaves its server for another.
    fn move_on(&mut self, now: Time, wishes: &mut Vec<Wish>);
    /// The connection is gone, or could not be made.
    fn lost(&mut self, now: Time, wishes: &mut Vec<Wish>);
    /// The connection stands.
    fn connected(&mut self, now: Time, wishes: &mut Vec<Wish>);
    /// The server said something.
    fn hear(&mut self, now: Time, reply: Reply, wishes: &mut Vec<Wish>);
    /// Does what is due; called at [`Client::next_tick`] or earlier.
    fn tick(&mut self, now: Time, wishes: &mut Vec<Wish>);
    /// When [`Client::tick`] has something to do at the latest.
    fn next_tick(&self) -> Time;
    /// Its process dies; another one goes on after a while.
    fn restart(&mut self, now: Time, _wait: Duration, wishes: &mut Vec<Wish>) {
        self.move_on(now, wishes);
    }
    /// Whether datagrams come to it.
    fn overhears(&self) -> bool {
        false
    }
    /// A datagram came.
    fn overhear(&mut self, _now: Time, _from: SocketAddr, _multicast: bool, _bytes: &[u8], _wishes: &mut Vec<Wish>) {}
}
