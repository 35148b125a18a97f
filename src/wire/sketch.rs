//! What an event record keeps of a message: its kind and the few fields that people look at, in bounded space.
//!
//! The variants' order is [`Message`]'s, and their number on the wire: new ones go to the end.

use crate::ids::{EpochId, MessageId, ServerId, ViewTag};
use crate::record::{Kind, MAX_BATCH, MAX_SERVERS, View};
use crate::time::Hlc;
use crate::wire::message::{self, MAX_NACK_RANGES, MAX_ORDER_RUNS, Message, Then};
use serde::{Deserialize, Serialize};

/// A message in a few words. Epochs are told by their numbers, processes by their servers; a datagram of another view than
/// the recorder's has epoch 0 and names nobody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of the messages, where they are told")]
pub enum Sketch {
    Beacon {
        epoch: u64,
        promised: u64,
        ready: bool,
        oseq: u64,
        head: u64,
        have: u64,
        stable: u64,
        clients: u16,
        heard: u8,
    },
    Scout {
        any_net: bool,
    },
    Elsewhere,
    Ping {
        nonce: u64,
    },
    Pong {
        nonce: u64,
    },
    Suspect {
        servers: Vec<ServerId>,
    },
    Heard {
        servers: Vec<ServerId>,
    },
    Failed {
        servers: Vec<ServerId>,
    },
    Bye,
    Elect {
        num: u64,
        candidate: ServerId,
        ready: bool,
        priority: u8,
        path: Vec<ServerId>,
        hop: u64,
    },
    ElectAck {
        hop: u64,
    },
    Propose {
        epoch: u64,
        members: Vec<ServerId>,
    },
    State {
        epoch: u64,
        last: u64,
        len: u64,
        stable: u64,
        damaged: bool,
    },
    Refuse {
        epoch: u64,
        promised: u64,
    },
    Commit {
        epoch: u64,
        members: Vec<ServerId>,
        cuts: Vec<(u64, u64)>,
    },
    Prepared {
        epoch: u64,
    },
    Install {
        epoch: u64,
    },
    Opened {
        epoch: u64,
    },
    WantTable {
        epoch: u64,
        buckets: u32,
    },
    Table {
        epoch: u64,
        clients: u32,
        complete: bool,
    },
    Data {
        epoch: u64,
        origin: Option<ServerId>,
        oseq: u64,
        part: u16,
        parts: u16,
        ids: Vec<MessageId>,
    },
    Order {
        epoch: u64,
        stable: u64,
        first: u64,
        runs: Vec<RunSketch>,
    },
    Ack {
        epoch: u64,
        have: u64,
    },
    Nack {
        epoch: u64,
        order: Vec<(u64, u64)>,
        data: Vec<(Option<ServerId>, u64, u64)>,
    },
    Heads {
        epoch: u64,
        oseq: u64,
        order: u64,
        stable: u64,
    },
    Digest {
        epochs: u32,
        answer: bool,
    },
    Want {
        epoch: u64,
        from: u64,
    },
    Fill {
        epoch: u64,
        first: u64,
        count: u32,
        committed: u64,
    },
    Working {
        epoch: u64,
    },
    Probe {
        nonce: u64,
    },
    Echo {
        nonce: u64,
    },
    Summary {
        stretches: u32,
    },
    WantPruned,
    Pruned {
        clients: u32,
        complete: bool,
    },
}

/// Consecutive batches of one origin, and the places they were given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunSketch {
    /// The origin; `None` in a view that the recorder was not in.
    pub origin: Option<ServerId>,
    /// Number of the first batch's first datagram.
    pub oseq: u64,
    /// The first batch's place.
    pub gsn: u64,
    /// How many batches, each with the next place.
    pub batches: u16,
    /// How many datagrams of the origin they use up.
    pub datagrams: u16,
}

impl Sketch {
    /// The sketch of a message, as a member of `view` reads it. The ids in data are left out: [`ids_in`] finds them.
    pub fn of(message: &Message, view: Option<(ViewTag, &View)>) -> Self {
        let epoch_of = |tag: ViewTag| view.filter(|(own, _)| *own == tag).map_or(0, |(_, view)| view.epoch.num);
        let member = |tag: ViewTag, at: u8| {
            let (_, view) = view.filter(|(own, _)| *own == tag)?;
            view.members.get(usize::from(at)).map(|member| member.pid.server)
        };
        let servers = |pids: &[crate::ids::Pid]| pids.iter().map(|pid| pid.server).take(MAX_SERVERS).collect();
        match message {
            Message::Beacon(beacon) => Self::of_beacon(beacon),
            Message::Scout(scout) => Self::Scout { any_net: scout.any_net },
            Message::Elsewhere { .. } => Self::Elsewhere,
            Message::Ping { nonce } => Self::Ping { nonce: *nonce },
            Message::Pong { nonce } => Self::Pong { nonce: *nonce },
            Message::Suspect { pids } => Self::Suspect { servers: servers(pids) },
            Message::Heard { pids } => Self::Heard { servers: servers(pids) },
            Message::Failed { pids } => Self::Failed { servers: servers(pids) },
            Message::Bye => Self::Bye,
            Message::Elect(elect) => Self::Elect {
                num: elect.num,
                candidate: elect.candidate.pid.server,
                ready: elect.candidate.ready,
                priority: elect.candidate.priority,
                path: servers(&elect.path),
                hop: elect.hop,
            },
            Message::ElectAck { hop } => Self::ElectAck { hop: *hop },
            Message::Propose(propose) => {
                Self::Propose { epoch: propose.epoch.num, members: servers_of(&propose.members) }
            }
            Message::State(state) => Self::of_state(state),
            Message::Refuse { epoch, promised } => Self::Refuse { epoch: epoch.num, promised: promised.num },
            Message::Commit(commit) => Self::Commit {
                epoch: commit.view.epoch.num,
                members: servers_of(&commit.view.members),
                cuts: commit.view.parents.iter().map(|(parent, cut)| (parent.num, *cut)).collect(),
            },
            Message::Prepared { epoch } => Self::Prepared { epoch: epoch.num },
            Message::Install { epoch } => Self::Install { epoch: epoch.num },
            Message::Opened { epoch, .. } => Self::Opened { epoch: epoch.num },
            Message::WantTable { epoch, buckets, .. } => {
                Self::WantTable { epoch: epoch.num, buckets: buckets.count_ones() }
            }
            Message::Table { epoch, clients, then, .. } => {
                Self::Table { epoch: epoch.num, clients: clients.len() as u32, complete: *then == Then::Nothing }
            }
            Message::Data(data) => Self::Data {
                epoch: epoch_of(data.view),
                origin: member(data.view, data.origin),
                oseq: data.oseq,
                part: data.part,
                parts: data.parts,
                ids: Vec::new(),
            },
            Message::Order(order) => Self::Order {
                epoch: epoch_of(order.view),
                stable: order.stable,
                first: order.first,
                runs: runs_of(order, |at| member(order.view, at)),
            },
            Message::Ack { view, have } => Self::Ack { epoch: epoch_of(*view), have: *have },
            Message::Nack(nack) => Self::Nack {
                epoch: epoch_of(nack.view),
                order: nack.order.clone(),
                data: nack.data.iter().map(|&(at, first, last)| (member(nack.view, at), first, last)).collect(),
            },
            Message::Heads(heads) => {
                Self::Heads { epoch: epoch_of(heads.view), oseq: heads.oseq, order: heads.order, stable: heads.stable }
            }
            Message::Digest(digest) => Self::Digest { epochs: digest.epochs.len() as u32, answer: digest.answer },
            Message::Summary { stretches } => Self::Summary { stretches: stretches.len() as u32 },
            Message::WantPruned { .. } => Self::WantPruned,
            Message::Pruned { clients, then, .. } => {
                Self::Pruned { clients: clients.len() as u32, complete: *then == Then::Nothing }
            }
            Message::Want { epoch, from } => Self::Want { epoch: epoch.num, from: *from },
            Message::Fill(fill) => Self::Fill {
                epoch: fill.view.epoch.num,
                first: fill.first,
                count: fill.entries.len() as u32,
                committed: fill.committed,
            },
            Message::Working { epoch } => Self::Working { epoch: epoch.num },
            Message::Probe { nonce, .. } => Self::Probe { nonce: *nonce },
            Message::Echo { nonce, .. } => Self::Echo { nonce: *nonce },
        }
    }

    fn of_beacon(beacon: &message::Beacon) -> Self {
        Self::Beacon {
            epoch: num(beacon.view),
            promised: beacon.promised.num,
            ready: beacon.ready,
            oseq: beacon.oseq,
            head: beacon.head,
            have: beacon.have,
            stable: beacon.stable,
            clients: beacon.clients,
            heard: beacon.heard.len() as u8,
        }
    }

    fn of_state(state: &message::State) -> Self {
        let log = state.last.and_then(|last| state.logs.iter().find(|log| log.epoch == last));
        Self::State {
            epoch: state.epoch.num,
            last: num(state.last),
            len: log.map_or(0, |log| log.len),
            stable: log.map_or(0, |log| log.stable),
            damaged: state.damaged,
        }
    }

    /// The message's name, as [`Message::name`] has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Beacon { .. } => "beacon",
            Self::Scout { .. } => "scout",
            Self::Elsewhere => "elsewhere",
            Self::Ping { .. } => "ping",
            Self::Pong { .. } => "pong",
            Self::Suspect { .. } => "suspect",
            Self::Heard { .. } => "heard",
            Self::Failed { .. } => "failed",
            Self::Bye => "bye",
            Self::Elect { .. } => "elect",
            Self::ElectAck { .. } => "elect-ack",
            Self::Propose { .. } => "propose",
            Self::State { .. } => "state",
            Self::Refuse { .. } => "refuse",
            Self::Commit { .. } => "commit",
            Self::Prepared { .. } => "prepared",
            Self::Install { .. } => "install",
            Self::Opened { .. } => "opened",
            Self::WantTable { .. } => "want-table",
            Self::Table { .. } => "table",
            Self::Data { .. } => "data",
            Self::Order { .. } => "order",
            Self::Ack { .. } => "ack",
            Self::Nack { .. } => "nack",
            Self::Heads { .. } => "heads",
            Self::Digest { .. } => "digest",
            Self::Summary { .. } => "summary",
            Self::WantPruned => "want-pruned",
            Self::Pruned { .. } => "pruned",
            Self::Want { .. } => "want",
            Self::Fill { .. } => "fill",
            Self::Working { .. } => "working",
            Self::Probe { .. } => "probe",
            Self::Echo { .. } => "echo",
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Suspect { servers }
            | Self::Heard { servers }
            | Self::Failed { servers }
            | Self::Elect { path: servers, .. }
            | Self::Propose { members: servers, .. } => size_of_val(&servers[..]),
            Self::Commit { members, cuts, .. } => size_of_val(&members[..]) + size_of_val(&cuts[..]),
            Self::Data { ids, .. } => size_of_val(&ids[..]),
            Self::Order { runs, .. } => size_of_val(&runs[..]),
            Self::Nack { order, data, .. } => size_of_val(&order[..]) + size_of_val(&data[..]),
            _ => 0,
        }
    }

    /// Whether lists are within the protocol's bounds.
    pub(super) fn is_within_bounds(&self) -> bool {
        match self {
            Self::Suspect { servers }
            | Self::Heard { servers }
            | Self::Failed { servers }
            | Self::Elect { path: servers, .. }
            | Self::Propose { members: servers, .. } => servers.len() <= MAX_SERVERS,
            Self::Commit { members, cuts, .. } => members.len() <= MAX_SERVERS && cuts.len() <= MAX_SERVERS,
            Self::Data { ids, .. } => ids.len() <= MAX_BATCH,
            Self::Order { runs, .. } => runs.len() <= MAX_ORDER_RUNS,
            Self::Nack { order, data, .. } => order.len() + data.len() <= MAX_NACK_RANGES,
            _ => true,
        }
    }
}

fn num(epoch: Option<EpochId>) -> u64 {
    epoch.map_or(0, |epoch| epoch.num)
}

fn servers_of(members: &[crate::record::Member]) -> Vec<ServerId> {
    members.iter().map(|member| member.pid.server).collect()
}

fn runs_of(order: &message::Order, member: impl Fn(u8) -> Option<ServerId>) -> Vec<RunSketch> {
    let mut gsn = order.first;
    let sketch = |run: &message::Run| {
        let (batches, datagrams) = (run.kind.batches() as u16, run.kind.datagrams() as u16);
        let sketch = RunSketch { origin: member(run.origin), oseq: run.oseq, gsn, batches, datagrams };
        gsn += u64::from(batches);
        sketch
    };
    order.runs.iter().map(sketch).collect()
}

/// A submission in a batch, without its words.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read over on the way to the next id")]
struct Glance<'a> {
    id: MessageId,
    acked_upto: u64,
    floor: Hlc,
    #[serde(borrow)]
    room: &'a [u8],
    #[serde(borrow)]
    nick: &'a [u8],
    kind: Kind,
    #[serde(borrow)]
    body: &'a [u8],
}

/// The ids of the messages in a batch or in its first piece, in order: as many as are wholly there, at most [`MAX_BATCH`].
/// Copies no text.
pub fn ids_in(batch: &[u8]) -> Vec<MessageId> {
    let Ok((count, mut rest)) = postcard::take_from_bytes::<u64>(batch) else { return Vec::new() };
    let mut ids = Vec::new();
    while (ids.len() as u64) < count.min(MAX_BATCH as u64) {
        if let Ok((glance, after)) = postcard::take_from_bytes::<Glance<'_>>(rest) {
            ids.push(glance.id);
            rest = after;
        } else {
            ids.extend(postcard::take_from_bytes::<MessageId>(rest).ok().map(|(id, _)| id));
            break;
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::encode_batch;
    use crate::record::tests::message;

    #[test]
    fn ids_of_a_batch_are_found_without_reading_its_texts() {
        let batch = encode_batch(&[message(1, 1, "a"), message(1, 2, "bb"), message(2, 300, "")]);
        let ids: Vec<String> = ids_in(batch.as_slice()).iter().map(ToString::to_string).collect();
        assert_eq!(ids, ["0000000000000001-1", "0000000000000001-2", "0000000000000002-300"]);
    }

    #[test]
    fn id_of_a_long_message_is_found_in_its_first_piece() {
        let batch = encode_batch(&[message(7, 9, &"x".repeat(5000))]);
        let ids = ids_in(&batch.as_slice()[..1300]);
        assert_eq!(ids, [MessageId { client: crate::ids::ClientId(7), cseq: 9 }]);
    }

    #[test]
    fn noise_has_no_more_ids_than_a_batch_may() {
        assert!(ids_in(&[0xff; 400]).len() <= MAX_BATCH);
        assert!(ids_in(&[]).is_empty());
        assert!(ids_in(&[1; 2000]).len() <= 1);
        assert!(ids_in(&[0xff, 0xff, 3].iter().copied().chain([0; 4000]).collect::<Vec<_>>()).len() <= MAX_BATCH);
    }
}
