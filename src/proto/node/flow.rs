//! The data path, wired: from a client's message to an entry on every disk.

use super::Node;
use super::disk::Pending;
use crate::ids::{EpochId, Pid};
use crate::proto::bugs::Bug;
use crate::proto::hold_back::Placed;
use crate::proto::io::Write;
use crate::proto::live::{Acked, Live};
use crate::proto::pacing::Lane;
use crate::record::Entry;
use crate::wire::datagram::MAX_DATAGRAM_BYTES;
use crate::wire::message::{Data, Message, Order};

/// What a datagram of data has beside its payload, about: the header, and the fields of `Data`.
const FRAME_BYTES: usize = 48;
/// Most batches ordered before the datagrams go out: an input is never followed by an unbounded burst.
const ORDER_BURST: usize = 512;

impl Node {
    /// Moves everything that can move.
    pub(super) fn flow(&mut self) {
        if !self.is_active() {
            if self.settings.bugs.has(Bug::OrderAfterFreeze) {
                self.order_batches();
                self.tell_order();
            }
            return;
        }
        self.send_batches();
        self.order_batches();
        self.append_entries();
        self.tell_order();
        self.acknowledge();
    }

    fn send_batches(&mut self) {
        let hlc = self.hlc;
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let (now, datagram_bytes) = (self.now.mono, MAX_DATAGRAM_BYTES as u64);
        while self.pacer.allowance(now, Lane::Data) >= datagram_bytes
            && let Some(piece) = self.origin.next_piece(now, hlc)
        {
            self.pacer.pay(now, Lane::Data, (piece.payload.as_slice().len() + FRAME_BYTES) as u64);
            let data = Data {
                view: live.tag,
                origin: live.index as u8,
                oseq: piece.oseq,
                part: piece.part,
                parts: piece.parts,
                payload: piece.payload,
            };
            live.hold_back.accept_data(&data);
            live.hold_back.leaves(now, live.index, data.oseq);
            self.out.multicast_data(Message::Data(data));
            live.tail.sent(now);
        }
    }

    fn order_batches(&mut self) {
        let promised = self.view_change.promised();
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let frozen = live.view.epoch != promised && !self.settings.bugs.has(Bug::OrderAfterFreeze);
        let Some(sequencer) = live.sequencer.as_mut().filter(|_| !frozen) else {
            return;
        };
        let stable = live.stable;
        for _ in 0..ORDER_BURST {
            let Some((gsn, placed)) = sequencer.order_one(&live.hold_back, self.now.wall_ms, stable) else {
                break;
            };
            live.hold_back.place(gsn, placed);
            let untold = self.settings.bugs.has(Bug::SkipUntold);
            live.order_out.push(self.now.mono, gsn, if untold { Placed { taken: None, ..placed } } else { placed });
            if usize::from(placed.origin) == live.index {
                self.origin.ordered(last_datagram(&placed));
            }
        }
    }

    fn append_entries(&mut self) {
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let first = live.hold_back.taken_out() + 1;
        let entries = live.hold_back.take_entries();
        if entries.is_empty() {
            return;
        }
        let epoch = live.view.epoch;
        // A member is behind from now on, not since its log last grew: that may have been long ago.
        for acked in live.acks.values_mut().filter(|acked| acked.have + 1 >= first) {
            acked.since = self.now.mono;
        }
        for (entry, gsn) in entries.iter().zip(first..) {
            self.hlc = self.hlc.max(entry.hlc);
            live.undelivered.push_back((gsn, entry.clone()));
        }
        let len = live.hold_back.taken_out();
        if let Some(log) = self.epochs.get_mut(epoch) {
            log.appended = len;
            log.bytes += entries.iter().map(Entry::bytes).sum::<u64>();
        }
        if self.settings.bugs.has(Bug::AckEarly) {
            self.acknowledge_early(epoch, first, &entries);
        }
        self.write(Write::Append { epoch, first, entries }, Pending::Appended { epoch, len });
        if self.settings.bugs.has(Bug::SkipSync) {
            self.on_appended(epoch, len);
        }
        self.settle();
    }

    /// What a broken server does: its clients are told before anyone has the messages on disk.
    fn acknowledge_early(&mut self, epoch: EpochId, first: u64, entries: &[Entry]) {
        let how = super::history::How { late: false, copies: 1, of: 1 };
        let me = self.me;
        for (gsn, entry) in (first..).zip(entries).filter(|(_, entry)| entry.origin == me) {
            for record in entry.records(epoch, gsn) {
                self.acknowledge_client(&record, how);
            }
        }
    }

    pub(super) fn on_appended(&mut self, epoch: EpochId, len: u64) {
        if let Some(log) = self.epochs.get_mut(epoch) {
            log.durable = log.durable.max(len);
        }
        self.trace_durable(epoch, len);
        if self.view_epoch() != Some(epoch) || !self.is_active() {
            return;
        }
        if self.is_leader() {
            self.on_ack(self.me, len);
        } else if let Some(live) = self.live.as_mut() {
            live.ack_out.owe(self.now.mono);
        }
        self.deliver_stable();
    }

    fn tell_order(&mut self) {
        let Some(live) = self.live.as_mut().filter(|live| live.view.epoch.leader == self.me) else {
            return;
        };
        for order in live.order_out.take_due(self.now.mono, live.tag, live.stable) {
            self.out.multicast_data(Message::Order(order));
            live.tail.sent(self.now.mono);
        }
    }

    fn acknowledge(&mut self) {
        let Some(live) = self.live.as_mut().filter(|live| live.view.epoch.leader != self.me) else {
            return;
        };
        if self.now.mono < live.ack_out.due_at {
            return;
        }
        let have = self.epochs.get(live.view.epoch).map_or(0, |log| log.durable);
        if live.ack_out.take_due(self.now.mono, have, live.stable) {
            let leader = live.view.epoch.leader;
            let message = Message::Ack { view: live.tag, have };
            self.send(leader, message);
        }
    }

    pub(super) fn on_data(&mut self, data: &Data) {
        let stale = self.settings.bugs.has(Bug::StaleBuffers);
        let Some(live) = self.live.as_mut().filter(|live| live.tag == data.view || stale) else {
            return self.drop_because("another view's data");
        };
        let was_new = live.hold_back.accept_data(data);
        if !was_new {
            self.drop_because("data that was here or cannot be kept");
        }
    }

    pub(super) fn on_order(&mut self, from: Pid, order: &Order) {
        // A repair comes from any member, and the leader has given each place once: to others.
        let from_anyone = !self.is_leader() && !self.settings.bugs.has(Bug::AsksTheUnheard);
        let is_source = |live: &Live| live.view.epoch.leader == from || from_anyone && live.view.has(from);
        let Some(live) = self.live.as_mut().filter(|live| live.tag == order.view && is_source(live)) else {
            return self.drop_because("another view's order");
        };
        live.hold_back.accept_order(order);
        live.tail.heard_order(self.now.mono);
        let index = live.index;
        let own = |placed: &Placed| usize::from(placed.origin) == index;
        let last = order.first + order.runs.iter().map(|run| run.kind.batches()).sum::<u64>();
        for gsn in order.first..last {
            if let Some(placed) = live.hold_back.placed(gsn).filter(own) {
                self.origin.ordered(last_datagram(&placed));
            }
        }
        self.hear_stable(order.stable);
    }

    /// A member has everything up to `have` on disk.
    pub(super) fn on_ack(&mut self, from: Pid, have: u64) {
        let now = self.now.mono;
        let Some(live) = self.live.as_mut().filter(|live| live.view.epoch.leader == self.me && live.view.has(from))
        else {
            return;
        };
        let acked = live.acks.entry(from).or_insert(Acked { have: 0, since: now });
        let grown = have.min(live.hold_back.head().max(live.hold_back.taken_out()));
        if grown > acked.have {
            *acked = Acked { have: grown, since: now };
        }
        let least = live.acks.values().map(|acked| acked.have).min().unwrap_or(0);
        let most = live.acks.values().map(|acked| acked.have).max().unwrap_or(0);
        let without_slowest = live.acks.values().map(|acked| acked.have).filter(|have| *have > least).min();
        let stable = if self.settings.bugs.has(Bug::StableMax) {
            most
        } else if self.settings.bugs.has(Bug::StableMajority) {
            without_slowest.unwrap_or(least)
        } else {
            least
        };
        if stable > live.stable {
            live.order_out.stable_grew(now);
            self.hear_stable(stable);
        }
    }

    /// The leader says that everything up to `stable` is on every member's disk.
    pub(super) fn hear_stable(&mut self, stable: u64) {
        let Some(live) = self.live.as_mut() else {
            return;
        };
        live.hold_back.hear_order_head(stable);
        if stable <= live.stable {
            return;
        }
        live.stable = stable;
        live.ack_out.answered(self.now.mono, stable);
        self.trace_stable(stable);
        self.settle();
        self.deliver_stable();
    }

    fn settle(&mut self) {
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let Live { sequencer, hold_back, stable, .. } = live;
        if let Some(sequencer) = sequencer {
            sequencer.settle(*stable);
        }
        hold_back.settle(*stable);
    }
}

fn last_datagram(placed: &Placed) -> u64 {
    placed.oseq + u64::from(placed.parts) - 1
}

/// The entries of `from`, no more than `upto`, with their gsn.
pub(super) fn take_upto(live: &mut Live, upto: u64) -> Vec<(u64, Entry)> {
    let mut taken = Vec::new();
    while let Some(entry) = live.undelivered.pop_front_if(|(gsn, _)| *gsn <= upto) {
        taken.push(entry);
    }
    taken
}
