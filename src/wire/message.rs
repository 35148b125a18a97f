//! What servers say to each other. Each message tells who sends it to whom, when, and what answers it.
//!
//! The variants' order is their number on the wire: new ones go to the end.

use crate::ids::{ClientId, EpochId, Pid, ViewTag};
use crate::record::{Entry, MAX_SERVERS, Member, Payload, Taken, View};
use crate::seq::{MAX_NUMBER, RangeSet};
use crate::time::Hlc;
use crate::wire::datagram::MAX_DATAGRAM_BYTES;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Most ranges in one [`Nack`].
pub const MAX_NACK_RANGES: usize = 64;
/// Most ranges of a client's numbers in one row of a [`Message::Table`]; more of them are in further rows.
pub const MAX_ROW_RANGES: usize = 64;
/// Most runs in one [`Order`].
pub const MAX_ORDER_RUNS: usize = 128;
/// Most batches in one [`Order`]: twice what a leader ever has ordered and not yet stable.
pub const MAX_ORDER_BATCHES: u64 = 8192;
/// Most datagrams of one batch.
pub const MAX_PARTS: u16 = 64;

/// One message between servers (clients send [`Message::Scout`] only).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Multicast each 250 ms by every server: heartbeat, announcement and gossip. Unicast in answer to a scout.
    Beacon(Box<Beacon>),
    /// Multicast by who has just started and knows nobody. Answered by [`Message::Beacon`] from its own net, by
    /// [`Message::Elsewhere`] from others.
    Scout(Scout),
    /// Unicast by a server of another net to a scout that nobody answered: the net's name and its own.
    Elsewhere {
        /// The net's name.
        net: String,
        /// The server's name.
        server: String,
    },
    /// Unicast to whom one is about to suspect. Answered by [`Message::Pong`].
    Ping {
        /// Comes back in the pong.
        nonce: u64,
    },
    /// Answers a ping.
    Pong {
        /// The ping's.
        nonce: u64,
    },
    /// Multicast by who suspects: has anyone heard these lately? Answered by [`Message::Heard`].
    Suspect {
        /// Whom.
        pids: Vec<Pid>,
    },
    /// Unicast to a suspecter: I heard them within the last half second.
    Heard {
        /// Whom.
        pids: Vec<Pid>,
    },
    /// Multicast by who has proof that these processes are dead.
    Failed {
        /// Which.
        pids: Vec<Pid>,
    },
    /// Multicast three times by who leaves on purpose.
    Bye,
    /// Unicast to the ring successor. Answered by [`Message::ElectAck`].
    Elect(Elect),
    /// Answers each hop of the election's token.
    ElectAck {
        /// The hop's number.
        hop: u64,
    },
    /// Unicast by a coordinator to each member, repeated until [`Message::State`] or [`Message::Refuse`].
    Propose(Propose),
    /// Answers a proposal after the promise is on disk.
    State(State),
    /// Answers a proposal of an epoch below the promise.
    Refuse {
        /// The proposal's.
        epoch: EpochId,
        /// What was promised.
        promised: EpochId,
    },
    /// Unicast by the coordinator to each member once all states are here; repeated until [`Message::Prepared`].
    Commit(Commit),
    /// Answers a commit once it is on disk; repeated each 50 ms until [`Message::Install`].
    Prepared {
        /// The commit's.
        epoch: EpochId,
    },
    /// Unicast by a coordinator that has installed the view; answers every [`Message::Prepared`] from then on.
    Install {
        /// The view's.
        epoch: EpochId,
    },
    /// Unicast by each member to the leader once its history holds all that the view's parents closed; repeated until
    /// [`Message::WantTable`] asks for nothing. The leader orders only after all members have opened.
    Opened {
        /// The view's.
        epoch: EpochId,
        /// [`IdSet::hashes`](crate::seq::IdSet::hashes) of the member's history.
        hashes: Vec<u64>,
    },
    /// Answers [`Message::Opened`], and the last piece of each portion of a table: the buckets whose ids differ from the
    /// leader's, none when all are known.
    WantTable {
        /// The view's.
        epoch: EpochId,
        /// Bit `i` for bucket `i`.
        buckets: u32,
        /// Of clients above this one only: the others came.
        above: Option<ClientId>,
    },
    /// Answers [`Message::WantTable`] over the link: a portion of what is wanted, in some pieces.
    Table {
        /// The view's.
        epoch: EpochId,
        /// The buckets that were wanted.
        buckets: u32,
        /// Which piece of the portion it is, from 0.
        piece: u32,
        /// Ids in the member's history, of a client in one row or more; clients ascend.
        clients: Vec<(ClientId, RangeSet)>,
        /// What follows this piece.
        then: Then,
    },
    /// Multicast by an origin: a batch, or a piece of one. Also unicast by anyone who has it, as repair.
    Data(Data),
    /// Multicast by the leader: the places it gave. Also unicast by the leader, as repair.
    Order(Order),
    /// Unicast to the leader: everything up to `have` is on disk here.
    Ack {
        /// The view.
        view: ViewTag,
        /// Durable length.
        have: u64,
    },
    /// Unicast to whoever should have it: what is missing here.
    Nack(Nack),
    /// Multicast after a pause in one's data, at 10, 20, 40, 80, 160 ms: how far the numbers go, so that the tail's loss
    /// is seen. Beacons carry the same.
    Heads(Heads),
    /// Over the link to a server whose beacon tells of another history digest.
    Digest(Digest),
    /// Over the link: send me this part of your history.
    Want {
        /// The epoch.
        epoch: EpochId,
        /// First gsn wanted.
        from: u64,
    },
    /// Over the link: a part of history.
    Fill(Box<Fill>),
    /// Answers a repeated proposal or commit while the disk is still at work on the answer.
    Working {
        /// The proposal's.
        epoch: EpochId,
    },
    /// Unicast, full-sized, to a server that may join the sender's view. Answered by [`Message::Echo`].
    Probe {
        /// Comes back in the echo.
        nonce: u64,
        /// Makes the datagram as long as they get; comes back too.
        pad: Vec<u8>,
    },
    /// Answers a probe, once the disk has done everything that it was asked before.
    Echo {
        /// The probe's.
        nonce: u64,
        /// The probe's.
        pad: Vec<u8>,
    },
    /// Over the link, in place of a digest of very many epochs: hashes by which the receiver finds where the two histories
    /// differ. Answered by [`Message::Digest`] of the newest of these stretches.
    Summary {
        /// Each stretch of which some epoch is known, ascending.
        stretches: Vec<StretchDigest>,
    },
    /// Over the link to a member whose beacon tells of other ids that it has let go of. Answered by [`Message::Pruned`].
    WantPruned {
        /// [`IdSet::hashes`](crate::seq::IdSet::hashes) of those the asker has let go of: what differs is wanted.
        hashes: Vec<u64>,
        /// Of clients above this one only: the others came.
        above: Option<ClientId>,
    },
    /// Answers [`Message::WantPruned`] over the link: messages that were history in an epoch below the horizon, a portion of
    /// them in some pieces. Copies of them in later epochs are no history either.
    Pruned {
        /// Which piece of the portion it is, from 0.
        piece: u32,
        /// Their ids, of a client in one row or more; clients ascend.
        clients: Vec<(ClientId, RangeSet)>,
        /// What follows this piece.
        then: Then,
        /// What the sender's beacons tell of all of them ([`Beacon::pruned`]).
        hash: u64,
    },
}

/// What a server tells of itself four times a second.
#[expect(clippy::struct_excessive_bools, reason = "each is a state of its own")]
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct Beacon {
    /// The server's name.
    pub name: String,
    /// TCP port of its links and sessions, at the address the beacon came from.
    pub tcp_port: u16,
    /// Whether it may lead and takes clients: its history is as full as any reachable server's.
    pub ready: bool,
    /// Whether it is about to leave.
    pub leaving: bool,
    /// Whether its disk takes nothing: it answers questions, and is not ready. Only clients that scout hear of it: to other
    /// servers it is gone.
    pub read_only: bool,
    /// Whether it asks for another leader: its own disk hangs or is full.
    pub resigns: bool,
    /// Preferred leaders have more; 0 unless asked for.
    pub priority: u8,
    /// The view it is in, if any.
    pub view: Option<EpochId>,
    /// The greatest epoch it promised; a leader whose promise is beyond its view is not a live leader.
    pub promised: EpochId,
    /// The last epoch it installed, in this life or an earlier one.
    pub last: Option<EpochId>,
    /// The greatest epoch number it has seen.
    pub max_num: u64,
    /// Its own data in this view goes up to this number.
    pub oseq: u64,
    /// The order in this view goes up to this gsn, as far as it knows.
    pub head: u64,
    /// Its durable length in this view.
    pub have: u64,
    /// Stable length of this view, as far as it knows.
    pub stable: u64,
    /// Hash of its committed history outside the current view.
    pub digest: u64,
    /// Hash of the ids that it has let go of; 0 while it is still at it.
    pub pruned: u64,
    /// Messages in its history.
    pub messages: u64,
    /// Clients with a session here.
    pub clients: u16,
    /// Repairs it asked for in the last minute.
    pub nacks_per_min: u16,
    /// The greater of its wall clock and of the HLC of all that it has stored: what the ring takes for the present.
    pub clock: Hlc,
    /// Whom it hears, at most [`MAX_SERVERS`].
    pub heard: Vec<Hearing>,
    /// Where its page is; `None` when it serves none.
    pub page: Option<Page>,
}

impl Beacon {
    /// Whether its sender tells that it hears a process.
    pub fn hears(&self, pid: Pid) -> bool {
        self.heard.iter().any(|heard| heard.pid == pid)
    }
}

/// Where a server's page is, and the word by which servers know a browser that has loaded one of the ring's pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Page {
    /// Its HTTP address, as the server was told to bind it: one on loopback is for browsers of that machine.
    pub addr: SocketAddr,
    /// Random for each process. Everyone on the LAN hears it: it keeps out other sites' pages, not people.
    pub token: u64,
}

/// That the beacon's sender hears a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hearing {
    /// Whom.
    pub pid: Pid,
    /// At which address; a stranger may send it nothing but a scout.
    pub addr: SocketAddr,
    /// Whether its multicast arrives, not only its unicast.
    pub multicast: bool,
}

/// Who is there?
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scout {
    /// Comes from a process that asks for servers of any net.
    pub any_net: bool,
}

/// The token of the ring election (Chang and Roberts, 1979, made crash-safe; `PROTOCOL.md` §5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Elect {
    /// The election's number.
    pub num: u64,
    /// The best candidate so far.
    pub candidate: Rank,
    /// Who has seen this candidate's token, the candidate first.
    pub path: Vec<Pid>,
    /// Number of this hop at its sender, for the acknowledgement.
    pub hop: u64,
}

/// By what candidates compare.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Rank {
    /// Whether its history is full.
    pub ready: bool,
    /// As configured.
    pub priority: u8,
    /// The greater id wins.
    pub pid: Pid,
}

/// Phase 1 of the view change (`PROTOCOL.md` §7).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Propose {
    /// The new epoch; its leader is the coordinator.
    pub epoch: EpochId,
    /// Members, ascending.
    pub members: Vec<Member>,
    /// Epochs whose logs the coordinator wants to hear of, beside the receiver's own last one.
    pub about: Vec<EpochId>,
}

/// What a participant knows of one epoch's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogState {
    /// The epoch.
    pub epoch: EpochId,
    /// Durable length.
    pub len: u64,
    /// Greatest stable length known.
    pub stable: u64,
    /// Greatest closure known.
    pub closure: Option<u64>,
}

/// Answer to a proposal: composed only after every earlier write has completed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// The proposal's.
    pub epoch: EpochId,
    /// The last epoch the sender installed.
    pub last: Option<EpochId>,
    /// Members of that epoch.
    pub last_members: Vec<Pid>,
    /// The logs asked for, and its own last one's.
    pub logs: Vec<LogState>,
    /// At least everything it has stored.
    pub hlc: Hlc,
    /// Whether its store lost something, for who watches: a cut is safe without it.
    pub damaged: bool,
    /// The greatest horizon it knows.
    pub horizon: Hlc,
    /// What it would let go of: epochs that began before; 0 when it would keep all.
    pub lets_go: Hlc,
}

/// Phase 2 of the view change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Commit {
    /// The new view, with its parents and their cuts. The leader's clock starts where it began.
    pub view: View,
    /// For each parent: how far its survivors deliver before the change, and how many they are.
    pub limits: Vec<Limit>,
}

/// How far the survivors of an epoch deliver it before they leave it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limit {
    /// The epoch.
    pub epoch: EpochId,
    /// The last gsn they deliver.
    pub upto: u64,
    /// Who delivers: those who come from it and have not stopped since it began.
    pub group: Vec<Pid>,
}

/// A batch or a piece of one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Data {
    /// The view.
    pub view: ViewTag,
    /// The origin's index in the view.
    pub origin: u8,
    /// The origin's number of this datagram, from 1.
    pub oseq: u64,
    /// Which piece of its batch, from 0.
    pub part: u16,
    /// How many pieces the batch has: 1 to [`MAX_PARTS`].
    pub parts: u16,
    /// The piece.
    pub payload: Payload,
}

/// Places in the order: the first run's first batch has `first`, the next `first + 1` and so on; batch `i` has the HLC
/// `hlc + i`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The view.
    pub view: ViewTag,
    /// Stable length.
    pub stable: u64,
    /// The gsn of the first batch.
    pub first: u64,
    /// Its HLC.
    pub hlc: Hlc,
    /// Runs of batches; none when this only tells what is stable.
    pub runs: Vec<Run>,
}

/// Consecutive batches of one origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The origin's index in the view.
    pub origin: u8,
    /// Number of the first batch's first datagram.
    pub oseq: u64,
    /// What the run is of.
    pub kind: RunKind,
}

/// What a [`Run`] is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RunKind {
    /// This many batches of one datagram each, all of whose messages are taken.
    Whole(u16),
    /// One batch of this many datagrams, its one message taken.
    Parts(u16),
    /// One batch of this many datagrams, of which only these messages are taken: the rest is in history already. It has a
    /// gsn even when nothing is taken, so that its loss is seen like any other's.
    Some(u16, Taken),
}

impl RunKind {
    /// How many places the run takes in the order.
    pub fn batches(self) -> u64 {
        match self {
            Self::Whole(count) => u64::from(count),
            Self::Parts(_) | Self::Some(..) => 1,
        }
    }

    /// How many datagrams of its origin the run uses up.
    pub fn datagrams(self) -> u64 {
        match self {
            Self::Whole(count) | Self::Parts(count) | Self::Some(count, _) => u64::from(count),
        }
    }
}

/// What is missing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Nack {
    /// The view.
    pub view: ViewTag,
    /// Ranges of gsn of which the order is missing.
    pub order: Vec<(u64, u64)>,
    /// Ranges of datagrams that are missing: origin's index, first, last.
    pub data: Vec<(u8, u64, u64)>,
}

/// How far the sender's numbers go in the view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heads {
    /// The view.
    pub view: ViewTag,
    /// The sender's own data.
    pub oseq: u64,
    /// The order, as far as the sender knows.
    pub order: u64,
    /// What is stable, as far as the sender knows.
    pub stable: u64,
}

/// How much of history somebody has: all of it, or the part in which a [`Message::Summary`] differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Digest {
    /// The stretches that are told of; none when all is.
    pub of: Vec<u64>,
    /// Committed length of each epoch in them.
    pub epochs: Vec<EpochDigest>,
    /// Whether no stretch that differs was left out.
    pub whole: bool,
    /// Whether the receiver should answer with its own.
    pub answer: bool,
}

/// The epochs whose numbers divided by the length of a stretch
/// ([`Portions::stretch`](crate::proto::settings::Portions::stretch)) are this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StretchDigest {
    /// Which stretch.
    pub number: u64,
    /// How many epochs are known there.
    pub epochs: u32,
    /// Hash of their committed lengths, combined by exclusive or; 0 when none has any.
    pub hash: u64,
}

/// What follows a piece of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Then {
    /// Another piece, by itself.
    Piece,
    /// Another portion, once it is asked for: of clients above this one.
    Above(ClientId),
    /// Nothing: all that was wanted has been sent.
    Nothing,
}

/// How much of an epoch somebody has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EpochDigest {
    /// The epoch.
    pub epoch: EpochId,
    /// Committed length.
    pub committed: u64,
    /// Greatest closure known.
    pub closure: Option<u64>,
}

/// A part of history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fill {
    /// Whose log it is.
    pub view: View,
    /// The sender's committed length of it.
    pub committed: u64,
    /// Greatest closure known.
    pub closure: Option<u64>,
    /// The gsn of the first entry.
    pub first: u64,
    /// Entries in gsn order, all of them committed.
    pub entries: Vec<Entry>,
}

impl Message {
    /// Whether lists and numbers are within the protocol's bounds: what a decoder checks of a stranger's message.
    pub fn is_within_bounds(&self) -> bool {
        match self {
            Self::Beacon(beacon) => is_beacon(beacon),
            Self::Elsewhere { net, server } => is_name(net) && is_name(server),
            Self::Suspect { pids } | Self::Heard { pids } | Self::Failed { pids } => pids.len() <= MAX_SERVERS,
            Self::Elect(elect) => elect.path.len() <= MAX_SERVERS && are_numbers([elect.num]),
            Self::Propose(propose) => {
                are_members(&propose.members)
                    && propose.about.len() <= 2 * MAX_SERVERS
                    && are_epochs(propose.about.iter().chain([&propose.epoch]))
            }
            Self::State(state) => is_state(state),
            Self::Commit(commit) => is_commit(commit),
            Self::Opened { epoch, hashes } => hashes.len() == crate::seq::IdSet::BUCKETS && are_epochs([epoch]),
            Self::Table { epoch, clients, .. } => {
                are_epochs([epoch]) && clients.iter().all(|(_, numbers)| is_table_row(numbers))
            }
            Self::Data(data) => is_data(data),
            Self::Order(order) => is_order(order),
            Self::Nack(nack) => {
                nack.order.len() + nack.data.len() <= MAX_NACK_RANGES
                    && nack.order.iter().all(|&(first, last)| first <= last && last <= MAX_NUMBER)
                    && nack.data.iter().all(|&(_, first, last)| first <= last && last <= MAX_NUMBER)
            }
            Self::Fill(fill) => is_fill(fill),
            Self::Refuse { epoch, promised } => are_epochs([epoch, promised]),
            Self::Prepared { epoch }
            | Self::Install { epoch }
            | Self::WantTable { epoch, .. }
            | Self::Working { epoch } => are_epochs([epoch]),
            Self::Ack { have, .. } => are_numbers([*have]),
            Self::Heads(heads) => are_numbers([heads.oseq, heads.order, heads.stable]),
            Self::Digest(digest) => is_digest(digest),
            Self::Summary { stretches } => stretches.iter().all(|stretch| are_numbers([stretch.number])),
            Self::WantPruned { hashes, .. } => hashes.len() == crate::seq::IdSet::BUCKETS,
            Self::Pruned { clients, .. } => clients.iter().all(|(_, numbers)| is_table_row(numbers)),
            Self::Want { epoch, from } => are_epochs([epoch]) && are_numbers([*from]),
            Self::Probe { pad, .. } | Self::Echo { pad, .. } => pad.len() <= MAX_DATAGRAM_BYTES,
            Self::Scout(_) | Self::Ping { .. } | Self::Pong { .. } | Self::Bye | Self::ElectAck { .. } => true,
        }
    }

    /// The message's name, for events and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Beacon(_) => "beacon",
            Self::Scout(_) => "scout",
            Self::Elsewhere { .. } => "elsewhere",
            Self::Ping { .. } => "ping",
            Self::Pong { .. } => "pong",
            Self::Suspect { .. } => "suspect",
            Self::Heard { .. } => "heard",
            Self::Failed { .. } => "failed",
            Self::Bye => "bye",
            Self::Elect(_) => "elect",
            Self::ElectAck { .. } => "elect-ack",
            Self::Propose(_) => "propose",
            Self::State(_) => "state",
            Self::Refuse { .. } => "refuse",
            Self::Commit(_) => "commit",
            Self::Prepared { .. } => "prepared",
            Self::Install { .. } => "install",
            Self::Opened { .. } => "opened",
            Self::WantTable { .. } => "want-table",
            Self::Table { .. } => "table",
            Self::Data(_) => "data",
            Self::Order(_) => "order",
            Self::Ack { .. } => "ack",
            Self::Nack(_) => "nack",
            Self::Heads(_) => "heads",
            Self::Digest(_) => "digest",
            Self::Summary { .. } => "summary",
            Self::WantPruned { .. } => "want-pruned",
            Self::Pruned { .. } => "pruned",
            Self::Want { .. } => "want",
            Self::Fill(_) => "fill",
            Self::Working { .. } => "working",
            Self::Probe { .. } => "probe",
            Self::Echo { .. } => "echo",
        }
    }
}

fn is_digest(digest: &Digest) -> bool {
    let is_epoch = |digest: &EpochDigest| {
        are_epochs([&digest.epoch]) && are_numbers([digest.committed, digest.closure.unwrap_or(0)])
    };
    let descend = digest.of.windows(2).all(|pair| pair[0] > pair[1]);
    descend && digest.epochs.iter().all(is_epoch) && digest.of.iter().all(|number| are_numbers([*number]))
}

fn is_name(name: &str) -> bool {
    crate::name::parse(name).is_ok_and(|parsed| parsed == name)
}

fn are_members(members: &[Member]) -> bool {
    let ascending = members.windows(2).all(|pair| pair[0].pid.server < pair[1].pid.server);
    !members.is_empty()
        && members.len() <= MAX_SERVERS
        && ascending
        && members.iter().all(|member| is_name(&member.name))
}

pub(super) fn is_view(view: &View) -> bool {
    are_members(&view.members)
        && view.has(view.epoch.leader)
        && view.parents.len() <= MAX_SERVERS
        && view.horizon <= view.began
        && are_numbers([view.epoch.num])
        && view.parents.iter().all(|(parent, cut)| are_numbers([parent.num, *cut]))
}

/// Whether entries that begin with number `first` are places of a log.
pub(super) fn are_entries(first: u64, entries: &[Entry]) -> bool {
    first > 0 && first <= MAX_NUMBER - entries.len() as u64 && entries.iter().all(|entry| are_numbers([entry.oseq]))
}

/// Whether all are numbers that may be counted on from.
pub(super) fn are_numbers<const N: usize>(numbers: [u64; N]) -> bool {
    numbers.iter().all(|number| *number <= MAX_NUMBER)
}

fn are_epochs<'a>(epochs: impl IntoIterator<Item = &'a EpochId>) -> bool {
    epochs.into_iter().all(|epoch| epoch.num <= MAX_NUMBER)
}

fn is_beacon(beacon: &Beacon) -> bool {
    beacon.heard.len() <= MAX_SERVERS
        && is_name(&beacon.name)
        && are_epochs(beacon.view.iter().chain([&beacon.promised]).chain(&beacon.last))
        && are_numbers([beacon.max_num, beacon.oseq, beacon.head, beacon.have, beacon.stable, beacon.messages])
}

fn is_state(state: &State) -> bool {
    let is_log = |log: &LogState| are_numbers([log.epoch.num, log.len, log.stable, log.closure.unwrap_or(0)]);
    state.last_members.len() <= MAX_SERVERS
        && state.logs.len() <= 3 * MAX_SERVERS
        && state.logs.iter().all(is_log)
        && are_epochs([&state.epoch].into_iter().chain(&state.last))
}

fn is_commit(commit: &Commit) -> bool {
    let is_limit = |limit: &Limit| limit.group.len() <= MAX_SERVERS && are_numbers([limit.epoch.num, limit.upto]);
    is_view(&commit.view) && commit.limits.len() <= MAX_SERVERS && commit.limits.iter().all(is_limit)
}

fn is_data(data: &Data) -> bool {
    let parts = 1..=MAX_PARTS;
    parts.contains(&data.parts)
        && data.part < data.parts
        && data.oseq > 0
        && are_numbers([data.oseq])
        && data.payload.len() <= MAX_DATAGRAM_BYTES
}

fn is_order(order: &Order) -> bool {
    let is_run = |run: &Run| {
        let most = if let RunKind::Whole(_) = run.kind { MAX_ORDER_BATCHES } else { u64::from(MAX_PARTS) };
        (1..=most).contains(&run.kind.datagrams()) && run.oseq > 0 && are_numbers([run.oseq])
    };
    order.first > 0
        && are_numbers([order.first, order.stable])
        && order.runs.len() <= MAX_ORDER_RUNS
        && order.runs.iter().all(is_run)
        && order.runs.iter().map(|run| run.kind.batches()).sum::<u64>() <= MAX_ORDER_BATCHES
}

fn is_table_row(numbers: &RangeSet) -> bool {
    numbers.is_valid() && numbers.ranges().len() <= MAX_ROW_RANGES && numbers.last() <= Some(MAX_NUMBER)
}

fn is_fill(fill: &Fill) -> bool {
    is_view(&fill.view)
        && are_numbers([fill.committed, fill.closure.unwrap_or(0)])
        && are_entries(fill.first, &fill.entries)
}
