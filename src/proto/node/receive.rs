//! Datagrams and frames, to whoever they concern. What is not understood is dropped, counted, and changes nothing.

use super::Node;
use super::disk::Disk;
use crate::ids::{EpochId, Pid};
use crate::proto::bugs::Bug;
use crate::proto::detector::Sign;
use crate::proto::event::Event;
use crate::proto::io::ReadFor;
use crate::record::Entry;
use crate::wire::datagram::{self, Header, Malformed};
use crate::wire::message::Message;
use crate::wire::trace::{Via, Whom};
use std::net::SocketAddr;

/// Why another net's datagrams are dropped.
pub(super) const FOREIGN: &str = "another net's";

impl Node {
    /// Takes a datagram; `false` for one of this very process: its own multicasts come back to it, and change nothing.
    pub(super) fn on_datagram(&mut self, from: SocketAddr, multicast: bool, bytes: &[u8]) -> bool {
        let mut resealed = Vec::new();
        let bytes = if self.settings.bugs.has(Bug::NoChecksum) {
            resealed.extend_from_slice(bytes);
            datagram::seal(&mut resealed);
            &resealed
        } else {
            bytes
        };
        self.trace.arrives(Some((Whom::Addr(from), 0)));
        match datagram::open(bytes) {
            Ok((header, _)) if header.sender == self.me && !header.client => return false,
            Ok((header, body)) => self.on_whole(&header, from, multicast, (bytes, body)),
            Err(Malformed::Version(version)) => self.on_other_version(from, version),
            Err(_) => self.drop_because("malformed"),
        }
        true
    }

    /// A datagram whose checksum holds, and its message.
    fn on_whole(&mut self, header: &Header, from: SocketAddr, multicast: bool, (bytes, body): (&[u8], &[u8])) {
        if header.net != self.settings.net && !self.settings.bugs.has(Bug::ForeignNet) {
            return self.on_foreign(from, body);
        }
        let whom = if header.client { Whom::Addr(from) } else { Whom::Server(header.sender.server) };
        self.trace.arrives(Some((whom, datagram::sum(bytes))));
        let Ok(message) = datagram::decode(body) else {
            return self.drop_because("undecodable");
        };
        let via = if multicast { Via::Multicast } else { Via::Unicast };
        if header.client {
            if let Message::Scout(_) = message {
                self.trace_received(whom, via, bytes, &message);
                self.announcements.scouted(self.now.mono, from, &mut self.rng);
            }
            return;
        }
        if self.disk == Disk::Failed {
            return;
        }
        if header.sender.server == self.me.server {
            return self.on_twin(header.sender, from, &message);
        }
        let beacon = matches!(message, Message::Beacon(_));
        if self.meet(header.sender, from, beacon, multicast) {
            self.trace_received(whom, via, bytes, &message);
            self.on_message_from(header.sender, from, message);
        } else if matches!(message, Message::Bye) {
            // Its broken link told of its end first: it has left all the same.
            self.absent.said_goodbye(header.sender);
        }
    }

    pub(super) fn on_frame(&mut self, from: Pid, bytes: &[u8]) {
        let opened = datagram::open(bytes).and_then(|(header, body)| Ok((header, datagram::decode(body)?)));
        match opened {
            Ok((header, message)) if header.sender == from && header.net == self.settings.net && !header.client => {
                if self.disk == Disk::Works && self.detector.is_alive(from) {
                    let whom = Whom::Server(from.server);
                    self.trace.arrives(Some((whom, datagram::sum(bytes))));
                    self.trace_received(whom, Via::Link, bytes, &message);
                    self.on_message(from, message);
                }
            }
            _ => self.drop_because("malformed frame"),
        }
    }

    /// Notes that a process lives; whether it is to be listened to.
    fn meet(&mut self, pid: Pid, addr: SocketAddr, beacon: bool, multicast: bool) -> bool {
        let was_dead = !self.detector.is_alive(pid);
        self.announcements.heard_from(addr);
        match self.detector.heard(self.now.mono, pid, addr, beacon, multicast) {
            Sign::Known => true,
            Sign::New | Sign::Returned => {
                if was_dead {
                    self.announcements.hasten(self.now.mono);
                }
                self.absent.is_back(pid);
                true
            }
            Sign::Stale | Sign::Stranger => {
                self.drop_because("a stale life's, or a stranger's beyond the bound");
                false
            }
        }
    }

    /// A process with this server's id that is another: a life that has ended, or a copy of the data directory. Only one that
    /// lives asks or answers.
    fn on_twin(&mut self, pid: Pid, from: SocketAddr, message: &Message) {
        self.drop_because("of another life of this very server");
        if self.leaving {
            return;
        }
        match message {
            Message::Ping { nonce } => {
                self.out.send_to(from, Message::Pong { nonce: *nonce });
                self.tell_of_clone(pid, from);
            }
            Message::Pong { nonce } if self.twins.answered(pid, *nonce) => {
                self.event(Event::Replaced { pid, addr: from });
                self.leave();
            }
            _ => {
                if let Some(nonce) = self.twins.heard(self.now.mono, pid, &mut self.rng) {
                    self.out.send_to(from, Message::Ping { nonce });
                }
            }
        }
    }

    /// It may ask again and again: each process is told of once for each place it is heard from.
    fn tell_of_clone(&mut self, pid: Pid, addr: SocketAddr) {
        if self.twins.is_news(pid, addr) {
            self.event(Event::Cloned { pid, addr });
        }
    }

    /// Another net's datagram: nothing of it is believed; a scout that asks all nets learns this one's name.
    fn on_foreign(&mut self, from: SocketAddr, body: &[u8]) {
        self.drop_because(FOREIGN);
        if let Ok(Message::Scout(scout)) = datagram::decode(body)
            && scout.any_net
        {
            let (net, server) = (self.settings.net_name.clone(), self.settings.name.clone());
            self.out.send_to(from, Message::Elsewhere { net, server });
        }
    }

    fn on_other_version(&mut self, addr: SocketAddr, version: u8) {
        self.drop_because("another version's");
        if self.drops.get("another version's") == Some(&1) {
            self.event(Event::OtherVersion { addr, version });
        }
    }

    fn on_message_from(&mut self, from: Pid, addr: SocketAddr, message: Message) {
        match message {
            Message::Scout(_) => self.announcements.scouted(self.now.mono, addr, &mut self.rng),
            Message::Beacon(beacon) => self.on_beacon(from, *beacon),
            Message::Ping { nonce } => self.send(from, Message::Pong { nonce }),
            Message::Probe { nonce, pad } => self.on_probe(from, nonce, pad),
            Message::Echo { nonce, pad } => self.on_echo(from, nonce, &pad),
            Message::Suspect { pids } => self.on_suspect(from, &pids),
            Message::Heard { pids } => pids.iter().for_each(|pid| self.detector.vouched(self.now.mono, *pid)),
            Message::Failed { pids } => self.on_told_failed(&pids),
            Message::Bye => self.on_bye(from),
            message => self.on_message(from, message),
        }
    }

    /// A message whose way does not matter: from the network, over a link, or from this process itself.
    pub(super) fn on_message(&mut self, from: Pid, message: Message) {
        let view = self.view_epoch();
        let now = self.now.mono;
        match message {
            Message::Elect(elect) => self.on_elect(from, &elect),
            Message::ElectAck { hop } => self.election.on_ack(from, hop),
            Message::Propose(propose) => {
                let steps = self.view_change.on_propose(from, propose, view);
                self.take_steps(steps);
            }
            Message::State(state) => {
                let steps = self.view_change.on_state(now, from, state);
                self.take_steps(steps);
            }
            Message::Working { epoch } => {
                let steps = self.view_change.on_working(now, from, epoch);
                self.take_steps(steps);
            }
            Message::Refuse { epoch, promised } => {
                self.epochs.saw(promised.num);
                let steps = self.view_change.on_refuse(epoch);
                self.take_steps(steps);
            }
            Message::Commit(commit) => {
                let steps = self.view_change.on_commit(from, commit, self.epochs.last(), view);
                self.take_steps(steps);
            }
            Message::Prepared { epoch } => {
                let steps = self.view_change.on_prepared(now, from, epoch, view);
                self.take_steps(steps);
            }
            Message::Install { epoch } => {
                let steps = self.view_change.on_install(from, epoch);
                self.take_steps(steps);
            }
            Message::Digest(digest) => self.on_digest(from, &digest),
            Message::Summary { stretches } => self.on_summary(from, &stretches),
            Message::Want { epoch, from: first } => self.on_want(from, epoch, first),
            Message::Fill(fill) => self.on_fill(from, *fill),
            Message::WantPruned { hashes, above } => self.on_want_pruned(from, &hashes, above),
            Message::Pruned { piece, clients, then, hash } => self.on_told_pruned(from, piece, clients, then, hash),
            message if self.is_active() => self.on_view_message(from, message),
            _ => self.drop_because("of the view while it is frozen, or not for servers"),
        }
    }

    /// What is taken only while the view is the one promised.
    fn on_view_message(&mut self, from: Pid, message: Message) {
        match message {
            Message::Data(data) => self.on_data(&data),
            Message::Order(order) => self.on_order(from, &order),
            Message::Ack { view, have } => {
                if self.live.as_ref().is_some_and(|live| live.tag == view) {
                    self.on_ack(from, have);
                }
            }
            Message::Nack(nack) => self.on_nack(from, &nack),
            Message::Heads(heads) => self.on_heads(from, &heads),
            Message::Opened { epoch, hashes } => self.on_opened(from, epoch, hashes),
            Message::WantTable { epoch, buckets, above } => self.on_want_table(from, epoch, buckets, above),
            Message::Table { epoch, buckets, piece, clients, then } => {
                self.on_table(from, epoch, buckets, piece, &clients, then);
            }
            _ => self.drop_because("not for servers"),
        }
    }

    pub(super) fn on_read(&mut self, epoch: EpochId, first: u64, entries: Vec<Entry>, purpose: ReadFor) {
        match purpose {
            ReadFor::Fill(to) => self.on_fill_read(to, epoch, first, entries),
            ReadFor::Prune => self.on_prune_read(epoch, first, &entries),
            ReadFor::Rooms => self.on_rooms_read(epoch, first, &entries),
            ReadFor::Commit => self.on_commit_read(epoch, first, &entries),
            ReadFor::Session(session) => self.on_session_read(session, epoch, first, &entries),
        }
    }
}
