//! Lost datagrams, wired: gaps are seen, asked for, answered; heads are repeated so that a tail's loss is seen.

use super::Node;
use crate::ids::Pid;
use crate::proto::bugs::Bug;
use crate::proto::live::{Live, orders_of};
use crate::proto::loss_detector::{Due, LossDetector};
use crate::proto::pacing::Lane;
use crate::proto::repair::{Item, RepairOut, RepairTo};
use crate::proto::settings::LATELY;
use crate::wire::datagram::{HEADER_BYTES, MAX_DATAGRAM_BYTES};
use crate::wire::message::{Heads, MAX_NACK_RANGES, Message, Nack};
use std::collections::BTreeMap;

/// The order's stream among [`Item`]s; origins are numbered from 0.
const ORDER_STREAM: u16 = u16::MAX;
/// Most numbers of one NACK that are answered: the asker asks again for the rest.
const MAX_ANSWERED: usize = 256;
/// Most repairs sent in one go; the rest follow with the next timeout.
const REPAIR_BURST: usize = 128;

impl Node {
    pub(super) fn tick_loss(&mut self) {
        if !self.is_active() {
            return;
        }
        self.look_for_gaps();
        self.ask_for_missing();
        self.send_repairs();
        self.repeat_heads();
    }

    fn look_for_gaps(&mut self) {
        let now = self.now.mono;
        let forgets = self.settings.bugs.has(Bug::NoBackoff);
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let hold_back = &mut live.hold_back;
        if let Some(missing) = hold_back.look_at_order().or_else(|| forgets.then(|| hold_back.missing_order())) {
            live.order_loss.observe(&missing, now);
        }
        for (origin, loss) in live.data_loss.iter_mut().enumerate() {
            let missing = hold_back.look_at_data(origin);
            if let Some(missing) = missing.or_else(|| forgets.then(|| hold_back.missing_data(origin))) {
                loss.observe(&missing, now);
            }
        }
    }

    fn ask_for_missing(&mut self) {
        let now = self.now.mono;
        let me = self.me;
        let forgets = self.settings.bugs.has(Bug::NoBackoff);
        let Some(live) = self.live.as_mut().filter(|live| live.next_loss() <= now || forgets) else {
            return;
        };
        let mut asks: BTreeMap<Pid, Nack> = BTreeMap::new();
        let tag = live.tag;
        let empty = || Nack { view: tag, order: Vec::new(), data: Vec::new() };
        let leader = live.view.epoch.leader;
        let blindly = self.settings.bugs.has(Bug::AsksTheUnheard);
        let heard: Vec<Pid> =
            live.others(me).filter(|pid| blindly || self.detector.heard_directly(*pid, now, LATELY)).collect();
        for due in live.order_loss.due(now, &mut self.rng, MAX_NACK_RANGES) {
            if leader == me {
                continue;
            }
            let random = self.rng.below(heard.len() as u64) as usize;
            let whom = if blindly { leader } else { whom_to_ask(due, leader, leader, &heard, random) };
            asks.entry(whom).or_insert_with(empty).order.push((due.first, due.last));
        }
        for (origin, loss) in live.data_loss.iter_mut().enumerate() {
            let Some(source) = live.view.members.get(origin).map(|member| member.pid).filter(|pid| *pid != me) else {
                continue;
            };
            for due in loss.due(now, &mut self.rng, MAX_NACK_RANGES) {
                let random = self.rng.below(heard.len() as u64) as usize;
                let whom = whom_to_ask(due, source, leader, &heard, random);
                asks.entry(whom).or_insert_with(empty).data.push((origin as u8, due.first, due.last));
            }
        }
        if forgets {
            live.order_loss.clear();
            live.data_loss.iter_mut().for_each(LossDetector::clear);
        }
        let short = u64::from(self.settings.bugs.has(Bug::NackShort));
        for (whom, mut nack) in asks {
            nack.order.truncate(MAX_NACK_RANGES / 2);
            nack.data.truncate(MAX_NACK_RANGES - nack.order.len());
            nack.data
                .iter_mut()
                .for_each(|range| range.2 = range.2.saturating_sub(short).max(range.1.saturating_sub(short)));
            nack.data.retain(|range| range.1 <= range.2);
            self.membership.nacked(now);
            self.send(whom, Message::Nack(nack));
        }
    }

    pub(super) fn on_nack(&mut self, from: Pid, nack: &Nack) {
        let now = self.now.mono;
        let Some(live) = self.live.as_mut().filter(|live| live.tag == nack.view && live.view.has(from)) else {
            return self.drop_because("another view's NACK");
        };
        let order = nack.order.iter().map(|&(first, last)| (ORDER_STREAM, first, last));
        let data = nack.data.iter().map(|&(origin, first, last)| (u16::from(origin), first, last));
        let mut answered = 0;
        for (stream, first, last) in order.chain(data) {
            for seq in first..=last {
                if answered >= MAX_ANSWERED {
                    return;
                }
                answered += 1;
                if self.settings.bugs.has(Bug::NoSuppression) {
                    if let Some(message) = repair_of(live, Item { stream, seq }) {
                        self.out.multicast_data(message);
                    }
                    continue;
                }
                live.repairs.asked(now, from, Item { stream, seq });
            }
        }
    }

    fn send_repairs(&mut self) {
        let now = self.now.mono;
        let Some(live) = self.live.as_mut() else {
            return;
        };
        if live.repairs.next_timeout() > now {
            return;
        }
        let allowed = self.pacer.allowance(now, Lane::Repair) / MAX_DATAGRAM_BYTES as u64;
        for RepairOut { item, to } in live.repairs.due(now, REPAIR_BURST.min(allowed as usize)) {
            let Some(message) = repair_of(live, item) else {
                continue;
            };
            if usize::from(item.stream) == live.index {
                let left = live.hold_back.leaves(now, live.index, item.seq);
                let left = if self.settings.bugs.has(Bug::SlowedTwice) { now } else { left };
                self.pacer.nacked(now, left, 1);
            }
            self.pacer.pay(now, Lane::Repair, bytes_of(&message));
            match to {
                RepairTo::Multicast => self.out.multicast_repair(message),
                RepairTo::Asker(pid) => {
                    if let Some(addr) = self.detector.addr(pid) {
                        self.out.send_repair(pid, addr, message);
                    }
                }
            }
        }
    }

    fn repeat_heads(&mut self) {
        let now = self.now.mono;
        let Some(live) = self.live.as_mut() else {
            return;
        };
        if live.tail.take_due(now) && !self.settings.bugs.has(Bug::NoHeads) {
            let order = live.hold_back.head();
            let heads = Heads { view: live.tag, oseq: self.origin.head(), order, stable: live.stable };
            self.out.multicast(Message::Heads(heads));
        }
    }

    pub(super) fn on_heads(&mut self, from: Pid, heads: &Heads) {
        let Some(live) = self.live.as_mut().filter(|live| live.tag == heads.view) else {
            return;
        };
        let Some(origin) = live.view.index_of(from) else {
            return;
        };
        live.hold_back.hear_data_head(origin, heads.oseq);
        live.hold_back.hear_order_head(heads.order);
        let durable = self.epochs.get(live.view.epoch).map_or(0, |log| log.durable);
        if from == live.view.epoch.leader && durable > heads.stable {
            // An acknowledgement may be lost: the next beacon, up to a quarter of a second later, is not waited for.
            live.ack_out.repeat(self.now.mono);
        }
        self.hear_stable(heads.stable);
    }
}

/// The origin first, then the leader, who has all it ordered, then anyone; of those other members who are heard. Who is not heard
/// may well hear the question, and spend its rate on answers that do not come.
fn whom_to_ask(due: Due, origin: Pid, leader: Pid, heard: &[Pid], random: usize) -> Pid {
    let known: &[Pid] = match due.attempt {
        0..=1 => &[origin, leader],
        2 => &[leader, origin],
        _ => &[],
    };
    let is_heard = |pid: &&Pid| heard.contains(pid);
    known.iter().find(is_heard).or_else(|| heard.get(random)).copied().unwrap_or(origin)
}

/// How long a repair is, about: what a short one leaves of the rate is for others.
fn bytes_of(message: &Message) -> u64 {
    let payload = if let Message::Data(data) = message { data.payload.as_slice().len() } else { 0 };
    (payload + HEADER_BYTES + 32) as u64
}

fn repair_of(live: &Live, item: Item) -> Option<Message> {
    if item.stream == ORDER_STREAM {
        let placed = live.hold_back.placed(item.seq)?;
        let order = orders_of(live.tag, live.stable, &[(item.seq, placed)]).pop()?;
        return Some(Message::Order(order));
    }
    live.hold_back.data(usize::from(item.stream), item.seq).map(Message::Data)
}
