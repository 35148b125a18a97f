//! What goes into a server's state machine and what comes out of it.
//!
//! The calling contract of [`Node`](super::node::Node), and of everything like it here:
//!
//! 1. Call `handle(now, input)` for each thing that happened, with a clock that never goes backwards.
//! 2. After **every** input drain `poll_transmit`, then `poll_action`, until both are empty.
//! 3. Call `handle(now, Input::Timeout)` at `next_timeout()`, or earlier: a spurious wake-up does nothing.
//!
//! It never blocks, never reads a clock, never fails on what the network sends.

use crate::ids::{ClientId, EpochId, Pid};
use crate::proto::event::Event;
use crate::proto::gist::{Gists, Subject};
use crate::record::{Entry, View};
use crate::seq::{IdSet, RangeSet};
use crate::time::Hlc;
use crate::wire::session::{Reply, Request};
use std::net::SocketAddr;

/// A session of a client with this server, numbered by the host; never used twice in one life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u64);

/// The number of a write; writes are numbered from 1 in the order they are made, and must be done in that order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub u64);

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// From where.
        from: SocketAddr,
        /// Whether it came to the group rather than to this process.
        multicast: bool,
        /// All of it.
        bytes: &'a [u8],
    },
    /// A frame came over a link from another server; same bytes as a datagram, only longer.
    Frame {
        /// The server, as the link's handshake told.
        from: Pid,
        /// All of it.
        bytes: &'a [u8],
    },
    /// The host of this process answers that the process is gone (connection reset, then refused).
    LinkReset {
        /// Which process.
        pid: Pid,
    },
    /// All writes up to this one are on disk.
    Written {
        /// The last of them.
        upto: Ticket,
    },
    /// The disk failed: nothing after the last [`Input::Written`] is on it. The store is being opened anew; until
    /// [`Input::Reopened`] no write is done.
    WriteFailed {
        /// In which way.
        trouble: Trouble,
    },
    /// The store is open again; this is what it holds. Every write not yet acknowledged is void.
    Reopened {
        /// What it holds.
        recovered: Box<Recovered>,
    },
    /// Answers [`Action::Read`].
    Read {
        /// The read's epoch.
        epoch: EpochId,
        /// The gsn of the first entry.
        first: u64,
        /// Entries in gsn order; shorter than asked for when the budget was reached or the log ends.
        entries: Vec<Entry>,
        /// What the read was for.
        purpose: ReadFor,
    },
    /// Answers [`Action::ReadGists`].
    Gists {
        /// The epoch.
        epoch: EpochId,
        /// Behind which subject.
        after: Option<Subject>,
        /// Empty when none can be read.
        gists: Gists,
    },
    /// A client connected and said hello.
    Session {
        /// Which session.
        session: SessionId,
        /// What the client says.
        request: Box<Request>,
    },
    /// A client's connection ended.
    SessionEnded {
        /// Which session.
        session: SessionId,
    },
    /// The next timeout has come.
    Timeout,
    /// Leave the ring: say goodbye and stop.
    Leave,
}

/// In which way a disk failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// It has no space.
    Full,
    /// It takes nothing.
    Broken,
    /// It works, and something on it is not what was written. What that was is known when the store is open again.
    Damaged,
}

/// What an asynchronous read of the log is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadFor {
    /// To answer another server's [`Message::Want`](crate::wire::message::Message::Want).
    Fill(Pid),
    /// Records that a closure made history: this server learns their ids.
    Commit,
    /// To let go of an epoch: which messages were history in it.
    Prune,
    /// To learn again who is in which room.
    Rooms,
    /// To bring a client's feed to the present, or to answer its fetch.
    Session(SessionId),
}

/// What the host is to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write this; acknowledge with [`Input::Written`].
    Write {
        /// Its number.
        ticket: Ticket,
        /// What.
        write: Write,
    },
    /// Read entries of the log, also such as were just written; answer with [`Input::Read`]. For a client that has more than
    /// [`BACKLOG_BYTES`](super::settings::BACKLOG_BYTES) to take, when it has taken them.
    Read {
        /// The epoch.
        epoch: EpochId,
        /// First gsn.
        first: u64,
        /// Last gsn.
        last: u64,
        /// At least one entry, then no more than this many bytes.
        budget_bytes: usize,
        /// Comes back.
        purpose: ReadFor,
    },
    /// Read the gists of an epoch, as far as the store has them; answer with [`Input::Gists`].
    ReadGists {
        /// The epoch.
        epoch: EpochId,
        /// Those behind this one; `None` for the first.
        after: Option<Subject>,
        /// At least one gist, then no more than this many bytes.
        budget_bytes: usize,
    },
    /// Say this to a client. A client whose queue is full is cut off: it reads history when it comes back.
    Reply {
        /// Which session.
        session: SessionId,
        /// What.
        reply: Reply,
    },
    /// End a session after what was said to it before.
    EndSession {
        /// Which.
        session: SessionId,
    },
    /// Keep a connection to this process and tell [`Input::LinkReset`] when its host says that it is gone. One at a time.
    Watch {
        /// The ring successor and its address; `None` when alone.
        successor: Option<(Pid, SocketAddr)>,
    },
    /// Something that people and records want to know.
    Event(Event),
    /// The goodbye is said: the process may end.
    Left,
}

/// Where the bytes that `poll_transmit` wrote go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// To the net's group.
    Multicast,
    /// To the group that every net's servers listen to.
    AnyNet,
    /// To one process.
    Unicast(SocketAddr),
    /// Over the link to this server, which the host opens when it is not there: in order while it stands, lost when it
    /// breaks or its bounded queue is full.
    Link(Pid, SocketAddr),
}

/// One change of the store. Atomic; durable when its ticket or a later one is acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// An epoch number was seen or promised.
    Seen {
        /// The number.
        num: u64,
    },
    /// Entries at the end of an epoch's log.
    Append {
        /// The epoch, whose view is installed.
        epoch: EpochId,
        /// The gsn of the first; one more than the log's length.
        first: u64,
        /// In gsn order.
        entries: Vec<Entry>,
    },
    /// An epoch is known to be closed at this cut: a view that says so was prepared.
    Close {
        /// The epoch.
        epoch: EpochId,
        /// The cut; of several the greatest counts.
        cut: u64,
    },
    /// This view is installed: it is the last epoch, and its parents are closed.
    Install {
        /// The view.
        view: View,
    },
    /// The log of an epoch is history up to here: index it. Nobody waits for it ([`Self::is_lazy`]).
    Commit {
        /// The epoch.
        epoch: EpochId,
        /// Committed length, at most the log's.
        upto: u64,
    },
    /// A part of another epoch's history, from another server.
    Fill {
        /// The epoch's view.
        view: View,
        /// The gsn of the first entry; at most one more than the log's length.
        first: u64,
        /// In gsn order; those that are there already are equal and skipped.
        entries: Vec<Entry>,
        /// Greatest closure known.
        closure: Option<u64>,
        /// Everything up to here is history.
        committed: u64,
    },
    /// These messages are no history any more, wherever there are copies of them.
    Prune {
        /// The epoch below the horizon whose history they were: its entries may go, its view and lengths stay. `None` when
        /// another server told of them.
        epoch: Option<EpochId>,
        /// All of them: of each client its numbers.
        ids: Vec<(ClientId, RangeSet)>,
        /// Whether the entries stay in the file all the same, out of history: this server would keep them.
        stays: bool,
    },
}

impl Write {
    /// Whether nobody waits for it: its host makes it with the next write that somebody waits for, or when the disk has
    /// nothing else to do, and acknowledges it by itself to nobody. A crash may take it long after it was asked for.
    pub fn is_lazy(&self) -> bool {
        matches!(self, Self::Commit { .. })
    }

    /// How many entries it brings.
    pub fn entries(&self) -> usize {
        match self {
            Self::Append { entries, .. } | Self::Fill { entries, .. } => entries.len(),
            _ => 0,
        }
    }
}

/// What a store holds when it is opened.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Recovered {
    /// Who and in which life: the boot counter is already raised and stored.
    pub pid: Pid,
    /// Greatest epoch number seen.
    pub max_num: u64,
    /// The last epoch installed.
    pub last: Option<EpochId>,
    /// Every epoch known, ascending.
    pub epochs: Vec<RecoveredEpoch>,
    /// Ids of all committed records, and of those below.
    pub ids: IdSet,
    /// Ids of messages that were let go of: they are history no more.
    pub pruned: IdSet,
    /// At least every HLC stored.
    pub hlc: Hlc,
    /// Committed messages.
    pub messages: u64,
    /// Whether something was lost or set aside since the last start: lengths say nothing about what was stable.
    pub damaged: bool,
    /// What was found not to be what was written, if anything was this time.
    pub damage: Option<Damage>,
}

/// What a store found of itself that is not what was written, for people.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Damage {
    /// Which records.
    pub what: String,
    /// What was set aside, and where; empty when nothing was.
    pub aside: String,
    /// Whether something of it was lost here, and is fetched from other servers.
    pub lost: bool,
}

/// One epoch as the store holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecoveredEpoch {
    /// The view.
    pub view: View,
    /// Durable length of the log, without a gap.
    pub len: u64,
    /// Length known to be stable.
    pub stable: u64,
    /// Greatest closure known.
    pub closure: Option<u64>,
    /// What its entries take on the disk, in bytes.
    pub bytes: u64,
    /// Whether its history was let go of.
    pub pruned: bool,
}
