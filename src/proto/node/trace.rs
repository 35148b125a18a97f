//! The event record, wired: what is noted, and how a page of it is told.

use super::Node;
use super::history::How;
use crate::ids::{EpochId, MessageId, ServerId};
use crate::proto::event::Event;
use crate::proto::io::Route;
use crate::proto::outgoing::Letter;
use crate::record::{Entry, Payload, Taken};
use crate::wire::datagram;
use crate::wire::message::Message;
use crate::wire::sketch::Sketch;
use crate::wire::trace::{MAX_PAGE_NAMES, RecordPage, Via, What, Whom};
use std::collections::BTreeMap;
use std::net::SocketAddr;

impl Node {
    /// A datagram or frame goes out.
    pub(super) fn trace_sent(&mut self, letter: &Letter, bytes: &[u8]) {
        if !self.trace.is_on() {
            return;
        }
        let via = match letter.route {
            Route::Multicast | Route::AnyNet => Via::Multicast,
            Route::Unicast(_) => Via::Unicast,
            Route::Link(..) => Via::Link,
        };
        let to = match (letter.to, letter.route) {
            (Some(pid), _) | (None, Route::Link(pid, _)) => Whom::Server(pid.server),
            (None, Route::Unicast(addr)) => self.whom_at(addr),
            (None, Route::Multicast | Route::AnyNet) => Whom::All,
        };
        let (sum, length) = (datagram::sum(bytes), bytes.len() as u32);
        let sketch = self.sketch(&letter.message);
        let what = What::Sent { to, via, sum, bytes: length, repair: letter.repair, sketch };
        self.trace.note(self.now, what, batch_of(&letter.message));
    }

    /// A sound message of this net came.
    pub(super) fn trace_received(&mut self, from: Whom, via: Via, bytes: &[u8], message: &Message) {
        if self.trace.is_on() {
            let (sum, length) = (datagram::sum(bytes), bytes.len() as u32);
            let what = What::Received { from, via, sum, bytes: length, sketch: self.sketch(message) };
            self.trace.note(self.now, what, batch_of(message));
        }
    }

    /// Something was not taken. Other nets' traffic is counted only: it may be plenty, and is nobody's loss.
    pub(super) fn trace_dropped(&mut self, reason: &'static str) {
        if reason != super::receive::FOREIGN {
            let (from, sum) = self.trace.arrival().map_or((None, 0), |(from, sum)| (Some(from), sum));
            self.trace.note(self.now, What::Dropped { reason: reason.into(), from, sum }, None);
        }
    }

    pub(super) fn trace_accepted(&mut self, id: MessageId, room: String) {
        self.trace.note(self.now, What::Accepted { id, room }, None);
    }

    pub(super) fn trace_durable(&mut self, epoch: EpochId, upto: u64) {
        self.trace.note(self.now, What::Durable { epoch: epoch.num, upto }, None);
    }

    pub(super) fn trace_stable(&mut self, upto: u64) {
        let epoch = self.view_epoch().map_or(0, |epoch| epoch.num);
        self.trace.note(self.now, What::Stable { epoch, upto }, None);
    }

    pub(super) fn trace_delivered(&mut self, epoch: EpochId, gsn: u64, entry: &Entry, how: How) {
        let (copies, of) = (how.copies, how.of);
        let (origin, oseq) = (entry.origin.server, entry.oseq);
        let what = What::Delivered { epoch: epoch.num, gsn, origin, oseq, copies, of, ids: Vec::new() };
        self.trace.note(self.now, what, Some((entry.batch.clone(), entry.taken)));
    }

    pub(super) fn trace_delivered_late(&mut self, epoch: EpochId, gsn: u64, upto: u64) {
        self.trace.note(self.now, What::DeliveredLate { epoch: epoch.num, gsn, upto }, None);
    }

    pub(super) fn trace_event(&mut self, event: &Event) {
        if self.trace.is_on() {
            self.trace.note(self.now, What::Event(Box::new(event.clone())), None);
        }
    }

    /// Events of this server's record after number `after`, at most `limit`, with the names that go with them.
    pub fn record_page(&self, after: u64, limit: u32) -> RecordPage {
        let mut names = BTreeMap::from([(self.me.server, self.settings.name.clone())]);
        for member in self.live.iter().flat_map(|live| &live.view.members) {
            names.entry(member.pid.server).or_insert_with(|| member.name.clone());
        }
        for (pid, beacon) in self.peers.iter() {
            names.entry(pid.server).or_insert_with(|| beacon.name.clone());
        }
        let names: Vec<(ServerId, String)> = names.into_iter().take(MAX_PAGE_NAMES).collect();
        RecordPage { server: self.me.server, names, ..self.trace.page(after, limit) }
    }

    fn sketch(&self, message: &Message) -> Sketch {
        Sketch::of(message, self.live.as_ref().map(|live| (live.tag, &live.view)))
    }

    /// The server at an address, if one is known there.
    fn whom_at(&self, addr: SocketAddr) -> Whom {
        let alive = self.detector.alive().into_iter();
        let known = alive.filter(|pid| self.detector.addr(*pid) == Some(addr)).map(|pid| pid.server).next();
        known.map_or(Whom::Addr(addr), Whom::Server)
    }
}

/// Where the ids of a message's messages are: the first piece of a batch names all that anyone can read of it.
fn batch_of(message: &Message) -> Option<(Payload, Taken)> {
    match message {
        Message::Data(data) if data.part == 0 => Some((data.payload.clone(), Taken(u64::MAX))),
        _ => None,
    }
}
