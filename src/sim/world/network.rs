//! What servers send, and what becomes of it.

use super::{Bytes, Entering, Happening, World};
use crate::ids::Pid;
use crate::proto::host::Host;
use crate::proto::io::{Action, Route};
use crate::sim::fault::Fault;
use crate::sim::lan::{Cast, Station};
use crate::sim::port::Flow;
use crate::time::Time;
use crate::wire::datagram::{self, HEADER_BYTES, Header};
use crate::wire::message::{Data, Message};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

/// What one step of a node wants done, until the world does it.
#[derive(Default)]
pub(super) struct Outcome {
    sent: Vec<(Route, Bytes)>,
    actions: Vec<Action>,
}

impl Host for Outcome {
    fn transmit(&mut self, route: Route, bytes: &[u8]) {
        self.sent.push((route, bytes.into()));
    }

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }
}

impl World {
    pub(super) fn carry_out(&mut self, at: usize) {
        let mut sent = std::mem::take(&mut self.outcome.sent);
        let mut actions = std::mem::take(&mut self.outcome.actions);
        let life = self.servers[at].life;
        let verdict = self.checker.sent_in_a_step(at, sent.iter().map(|(route, bytes)| (route, &**bytes)));
        self.judge(verdict);
        for (route, bytes) in sent.drain(..) {
            if self.lives(at, life) {
                self.transmit(at, route, &bytes);
            }
        }
        for action in actions.drain(..) {
            if self.lives(at, life) {
                self.act(at, action);
            }
        }
        self.outcome.sent = sent;
        self.outcome.actions = actions;
    }

    fn transmit(&mut self, at: usize, route: Route, bytes: &Bytes) {
        self.counts.sent += 1;
        let name = message_name(bytes);
        self.counts.messages.count(bytes);
        self.timeline.sent(self.time, at, route, bytes);
        let verdict = self.checker.sent(at, bytes, &self.servers);
        self.judge(verdict);
        let verdict = self.checker.said(at, self.time, route, bytes);
        self.judge(verdict);
        if self.is_struck(at, name) {
            return;
        }
        let from = self.servers[at].station;
        match route {
            Route::Multicast => {
                let leaves = self.lan.leave(self.time, from, bytes.len());
                self.send_to_servers(from, leaves, bytes);
                for at in 0..self.listeners.len() {
                    let to = self.clients[self.listeners[at]].at();
                    self.send_to(from, to, Cast::Multi, leaves, bytes);
                }
            }
            Route::AnyNet => {}
            Route::Unicast(addr) => self.send_to_addr(from, addr, self.lan.stations(), bytes),
            Route::Link(pid, addr) => self.send_frame(at, pid, addr, bytes),
        }
    }

    /// Whether a fault that waited for this message takes it, or its sender.
    fn is_struck(&mut self, at: usize, name: &'static str) -> bool {
        let mut fired = Vec::new();
        self.armed.retain_mut(|(trigger, count, fault)| {
            if !trigger.is(at, name) {
                return true;
            }
            *count = count.saturating_sub(1);
            if *count == 0 {
                fired.push(fault.clone());
            }
            *count > 0
        });
        let mut taken = false;
        for fault in fired {
            match fault {
                Fault::Lose => taken = true,
                fault => self.strike(&fault.about(at)),
            }
        }
        taken || self.servers[at].node.is_none()
    }

    /// A client looks for servers.
    pub(super) fn scout(&mut self, client: usize, route: Route, bytes: &Bytes) {
        let from = self.clients[client].at();
        match route {
            Route::Multicast => {
                let leaves = self.lan.leave(self.time, from, bytes.len());
                self.send_to_servers(from, leaves, bytes);
            }
            Route::Unicast(addr) => self.send_to_addr(from, addr, self.servers.len(), bytes),
            Route::AnyNet | Route::Link(..) => {}
        }
    }

    fn send_to_servers(&mut self, from: Station, leaves: Option<Time>, bytes: &Bytes) {
        for to in 0..self.servers.len() {
            self.send_to(from, Station(to), Cast::Multi, leaves, bytes);
        }
    }

    fn send_to_addr(&mut self, from: Station, addr: SocketAddr, stations: usize, bytes: &Bytes) {
        if let Some(to) = Station::of(addr, stations) {
            let leaves = if from == to { Some(self.time) } else { self.lan.leave(self.time, from, bytes.len()) };
            self.send_to(from, to, Cast::Uni, leaves, bytes);
        }
    }

    /// To one station a datagram that has left its sender at that time, if it has: what loops back does not need to.
    fn send_to(&mut self, from: Station, to: Station, cast: Cast, leaves: Option<Time>, bytes: &Bytes) {
        let Some(leaves) = leaves.filter(|_| from != to).or((from == to).then_some(self.time)) else { return };
        for arrival in self.lan.send(leaves, from, to, cast, bytes.len()).into_iter().flatten() {
            let length = bytes.len();
            let bytes = match arrival.flipped {
                None => Rc::clone(bytes),
                Some(bit) => {
                    let mut harmed = bytes.to_vec();
                    if let Some(byte) = harmed.get_mut(bit / 8) {
                        *byte ^= 1 << (bit % 8);
                    }
                    harmed.into()
                }
            };
            self.last_arrival = self.last_arrival.max(arrival.at);
            let multicast = cast == Cast::Multi;
            let happening = match to.0.checked_sub(self.servers.len()) {
                None => Happening::Datagram { to: to.0, from, multicast, bytes },
                Some(client) => Happening::Overheard { client, from, multicast, bytes },
            };
            self.arrives(arrival.at, from, to, Flow::Datagrams, length, happening);
        }
    }

    /// Something arrives at a station, and passes its port if there is one.
    fn arrives(&mut self, at: Time, from: Station, to: Station, flow: Flow, bytes: usize, what: Happening) {
        if !self.lan.has_ports() || from == to {
            return self.queue.plan(at, what);
        }
        self.queue.plan(at, Happening::Enters(Box::new(Entering { to, flow, bytes, then: what })));
    }

    pub(super) fn enter(&mut self, entering: Entering) {
        let Entering { to, flow, bytes, then } = entering;
        if let Some(through) = self.lan.enter(self.time, to, flow, bytes) {
            self.last_arrival = self.last_arrival.max(through);
            self.queue.plan(through, then);
        }
    }

    /// A piece of a stream, of which this happens when it arrives; `false` when the stream is broken.
    pub(super) fn stream(&mut self, from: Station, to: Station, bytes: usize, what: Happening) -> bool {
        let Some(at) = self.lan.stream(self.time, from, to, bytes) else { return false };
        if self.lan.has_ports() {
            // What waits for a narrow wire is late, however wide it is made meanwhile (seed 921000172, `--narrow --people`).
            self.last_arrival = self.last_arrival.max(at);
        }
        self.arrives(at, from, to, Flow::Streams, bytes, what);
        true
    }

    /// Data of a server's view, numbered beyond any window, comes to it in another member's name.
    pub(in crate::sim) fn flood(&mut self, to: usize) {
        let other =
            (0..self.servers.len()).find(|&at| at != to && self.checker.seen(at).view == self.checker.seen(to).view);
        let (Some(other), Some(view)) = (other, self.checker.seen(to).view) else { return };
        let header = Header { net: self.servers[other].net, sender: self.servers[other].pid, client: false };
        for oseq in (1 << 40)..(1 << 40) + 16 {
            let payload = [0_u8].as_slice().into();
            let data = Data { view: view.tag(), origin: 0, oseq, part: 0, parts: 1, payload };
            let mut bytes = Vec::new();
            datagram::encode(&header, &Message::Data(data), &mut bytes);
            let from = self.servers[other].station;
            self.queue.plan(self.time, Happening::Datagram { to, from, multicast: false, bytes: bytes.into() });
        }
    }

    fn send_frame(&mut self, at: usize, pid: Pid, addr: SocketAddr, bytes: &Bytes) {
        let Some(to) = Station::of(addr, self.servers.len()) else { return };
        let (from, sender) = (self.servers[at].station, self.servers[at].pid);
        let target = &self.servers[to.0];
        if target.node.is_none() || target.pid != pid {
            return;
        }
        let frame = Happening::Frame { to: to.0, life: target.life, from: sender, bytes: Rc::clone(bytes) };
        self.stream(from, to, bytes.len(), frame);
    }
}

/// The names of messages, by their number on the wire.
pub const MESSAGES: [&str; 34] = [
    "beacon",
    "scout",
    "elsewhere",
    "ping",
    "pong",
    "suspect",
    "heard",
    "failed",
    "bye",
    "elect",
    "elect-ack",
    "propose",
    "state",
    "refuse",
    "commit",
    "prepared",
    "install",
    "opened",
    "want-table",
    "table",
    "data",
    "order",
    "ack",
    "nack",
    "heads",
    "digest",
    "want",
    "fill",
    "working",
    "probe",
    "echo",
    "summary",
    "want-pruned",
    "pruned",
];

/// The name of the message in a datagram that a server made, without decoding it.
pub fn message_name(bytes: &[u8]) -> &'static str {
    MESSAGES.get(message_number(bytes)).copied().unwrap_or("?")
}

fn message_number(bytes: &[u8]) -> usize {
    usize::from(bytes.get(HEADER_BYTES).copied().unwrap_or(u8::MAX))
}

/// How many messages of each name were sent.
#[derive(Clone)]
pub struct Tally([u64; MESSAGES.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self([0; MESSAGES.len()])
    }
}

impl Tally {
    fn count(&mut self, bytes: &[u8]) {
        if let Some(count) = self.0.get_mut(message_number(bytes)) {
            *count += 1;
        }
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted: BTreeMap<_, _> = MESSAGES.iter().zip(self.0).filter(|(_, count)| *count > 0).collect();
        counted.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Message;

    #[test]
    fn every_message_has_its_name_at_its_number() {
        let decoded = |number: usize| {
            let mut bytes = vec![0; 600];
            bytes[0] = number as u8;
            postcard::from_bytes::<Message>(&bytes).ok()
        };
        for (number, name) in MESSAGES.into_iter().enumerate() {
            assert_eq!(decoded(number).map(|message| message.name()), Some(name));
        }
        assert_eq!(decoded(MESSAGES.len()), None);
    }
}
