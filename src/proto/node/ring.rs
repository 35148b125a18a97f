//! The ring, wired: beacons, scouts, suspicion, election, and who should be in the view.

use super::Node;
use super::disk::Disk;
use crate::ids::{EpochId, Pid};
use crate::proto::bugs::Bug;
use crate::proto::detector::Verdict;
use crate::proto::election::{Around, Step as Hop};
use crate::proto::event::Event;
use crate::proto::io::Action;
use crate::proto::membership::Decision;
use crate::proto::ring::Ring;
use crate::proto::settings::LATELY;
use crate::proto::world::World;
use crate::record::{MAX_SERVERS, Member, View};
use crate::wire::message::{Beacon, Hearing, Message, Rank};
use std::collections::BTreeSet;
use std::time::Duration;

impl Node {
    pub(super) fn tick_ring(&mut self) {
        self.tick_announcements();
        self.take_verdicts();
        self.tick_election();
        self.decide();
        self.watch_successor();
    }

    /// What this server tells of itself.
    pub(super) fn beacon(&self) -> Beacon {
        let now = self.now.mono;
        let live = self.live.as_ref();
        let heard = listed(self.detector.in_earshot(), live.map(|live| &live.view)).filter_map(|pid| {
            let addr = self.detector.addr(pid)?;
            Some(Hearing { pid, addr, multicast: self.detector.multicast_heard(pid, now) })
        });
        let no_heads = self.settings.bugs.has(Bug::NoHeads);
        Beacon {
            name: self.settings.name.clone(),
            tcp_port: self.settings.tcp_port,
            ready: self.membership.is_ready() && self.disk == Disk::Works,
            leaving: self.leaving,
            read_only: self.disk == Disk::Failed,
            resigns: self.resigns(),
            priority: self.settings.priority,
            view: self.view_epoch(),
            promised: self.view_change.promised(),
            last: self.epochs.last(),
            max_num: self.epochs.max_num(),
            oseq: if no_heads { 0 } else { self.origin.head() },
            head: live.filter(|_| !no_heads).map_or(0, |live| live.hold_back.head()),
            have: self.epochs.last().and_then(|last| self.epochs.get(last)).map_or(0, |log| log.durable),
            stable: live.map_or(0, |live| live.stable),
            digest: self.epochs.digest_hash(self.view_epoch()),
            pruned: self.pruned_hash(),
            messages: self.messages,
            clients: self.sessions.clients() as u16,
            nacks_per_min: self.membership.nacks_per_min(now),
            clock: self.clock(),
            heard: heard.collect(),
            page: self.settings.page,
        }
    }

    pub(super) fn on_beacon(&mut self, from: Pid, beacon: Beacon) {
        let now = self.now.mono;
        if beacon.leaving {
            self.on_bye(from);
        }
        let view = beacon.view;
        let (oseq, head, stable, have) = (beacon.oseq, beacon.head, beacon.stable, beacon.have);
        self.hear_of_others(&beacon);
        self.peers.hear(now, from, beacon);
        if self.view_epoch().is_none() || view != self.view_epoch() || !self.is_active() {
            return;
        }
        if self.is_leader() {
            self.on_ack(from, have);
        }
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let leader = live.view.epoch.leader;
        let is_deaf = |beacon: &Beacon| beacon.view == view && !beacon.hears(leader);
        let tells = |pid: &Pid| *pid != leader && self.peers.beacon(*pid).is_some_and(is_deaf);
        live.tail.relays = leader != self.me && live.view.members.iter().any(|member| tells(&member.pid));
        if let Some(origin) = live.view.index_of(from) {
            live.hold_back.hear_data_head(origin, oseq);
            live.hold_back.hear_order_head(head);
        }
        if live.view.epoch.leader == from {
            let durable = self.epochs.get(live.view.epoch).map_or(0, |log| log.durable);
            if durable > 0 {
                live.ack_out.owe(now);
            }
        }
        self.hear_stable(stable);
    }

    /// Addresses that only others named are scouted; those that are heard are not.
    fn hear_of_others(&mut self, beacon: &Beacon) {
        let unheard: Vec<Hearing> =
            beacon.heard.iter().filter(|heard| !self.detector.is_alive(heard.pid)).copied().collect();
        if !unheard.is_empty() {
            self.announcements.hear_of(&unheard, self.me);
        }
    }

    fn tick_announcements(&mut self) {
        let now = self.now.mono;
        let due = self.announcements.take_due(now, &mut self.rng);
        if due.beacon {
            let beacon = self.beacon();
            for addr in self.unicast_listeners() {
                self.out.send_to(addr, Message::Beacon(Box::new(beacon.clone())));
            }
            self.out.multicast(Message::Beacon(Box::new(beacon)));
        }
        if due.scout && self.detector.alive().is_empty() {
            self.scout(due.any_net);
        }
        self.answer_scouts(due.answers);
        for addr in due.probes {
            self.out.send_to(addr, Message::Scout(crate::wire::message::Scout { any_net: false }));
        }
    }

    /// Who looks for a server finds this one also while its disk takes nothing: history can still be read.
    pub(super) fn answer_scouts_alone(&mut self) {
        let due = self.announcements.take_answers(self.now.mono);
        self.answer_scouts(due);
    }

    fn answer_scouts(&mut self, addrs: Vec<std::net::SocketAddr>) {
        for addr in addrs {
            let beacon = self.beacon();
            self.out.send_to(addr, Message::Beacon(Box::new(beacon)));
        }
    }

    fn scout(&mut self, any_net: bool) {
        let scout = |any_net| Message::Scout(crate::wire::message::Scout { any_net });
        self.out.multicast(scout(false));
        if any_net {
            self.out.ask_any_net(scout(true));
        }
        for addr in self.settings.peers.clone() {
            self.out.send_to(addr, scout(false));
        }
    }

    /// Servers that may not get this one's multicasts: those whose beacons do not list it as heard by multicast or come by
    /// multicast no more (two that lost each other's both waited for the other's word of it), and lost or named ones, unless another lives at their address now (seed 1002305: each destroyed disk left one more behind).
    fn unicast_listeners(&self) -> BTreeSet<std::net::SocketAddr> {
        if self.settings.bugs.has(Bug::NoUnicastBeacon) {
            return BTreeSet::new();
        }
        let is_deaf = |pid: &Pid| {
            let beacon = self.peers.beacon(*pid);
            beacon.is_some_and(|beacon| !beacon.heard.iter().any(|heard| heard.pid == self.me && heard.multicast))
        };
        let (alive, addr) = (self.detector.alive(), |pid: &Pid| self.detector.addr(*pid));
        let heard: BTreeSet<_> = alive.iter().filter_map(addr).collect();
        let known = self.peers.iter().filter_map(|(pid, _)| addr(&pid));
        let lost = known.chain(self.settings.peers.iter().copied()).filter(|addr| !heard.contains(addr));
        let is_unheard = |pid: &Pid| !self.detector.multicast_heard(*pid, self.now.mono);
        alive.iter().filter(|pid| is_deaf(pid) || is_unheard(pid)).filter_map(addr).chain(lost).collect()
    }

    fn take_verdicts(&mut self) {
        for verdict in self.detector.poll(self.now.mono) {
            match verdict {
                Verdict::Ping(pid) => {
                    let nonce = self.rng.next_u64();
                    self.send(pid, Message::Ping { nonce });
                }
                Verdict::AskOthers(pids) => self.out.multicast(Message::Suspect { pids }),
                Verdict::Suspected(pid) => {
                    let name = self.server_name(pid);
                    self.event(Event::Suspected { pid, name });
                }
                Verdict::Cleared(_) | Verdict::Asymmetric(_) => self.membership.look(),
                Verdict::Failed { pids, proven } => self.on_failed(&pids, proven),
            }
        }
    }

    fn on_failed(&mut self, pids: &[Pid], proven: bool) {
        self.membership.look();
        let untold: Vec<Pid> = pids.iter().copied().filter(|pid| self.announcements.tell_death(*pid)).collect();
        if proven && !untold.is_empty() {
            self.out.multicast(Message::Failed { pids: untold });
        }
        for &pid in pids {
            let name = self.server_name(pid);
            if self.live.as_ref().is_some_and(|live| live.view.has(pid)) {
                self.absent.ended(self.now.mono, pid, &name);
            }
            let left = self.absent.has_left(pid);
            self.event(if left { Event::Goodbye { pid, name } } else { Event::Failed { pid, name, proven } });
            let ring = self.ring();
            let around = self.around(&ring);
            let hops = self.election.on_death(self.now, pid, &around);
            self.take_hops(hops);
        }
    }

    /// A process ends, and says so.
    pub(super) fn on_bye(&mut self, from: Pid) {
        self.absent.said_goodbye(from);
        self.detector.proven_dead(self.now.mono, from);
    }

    pub(super) fn on_told_failed(&mut self, pids: &[Pid]) {
        for &pid in pids {
            // Nearly always heard a moment ago: a proof is believed all the same, and the detector takes back a wrong one.
            if pid != self.me {
                self.announcements.tell_death(pid);
                self.detector.proven_dead(self.now.mono, pid);
            }
        }
    }

    pub(super) fn on_link_reset(&mut self, pid: Pid) {
        self.detector.proven_dead(self.now.mono, pid);
    }

    pub(super) fn on_suspect(&mut self, from: Pid, pids: &[Pid]) {
        let now = self.now.mono;
        let heard = |pid: &&Pid| **pid == self.me || self.detector.heard_directly(**pid, now, LATELY);
        let pids: Vec<Pid> = pids.iter().filter(heard).copied().collect();
        if !pids.is_empty() {
            self.send(from, Message::Heard { pids });
        }
    }

    /// Who is heard, and this server.
    fn ring(&self) -> Ring {
        Ring::of(self.detector.in_earshot().into_iter().chain([self.me]))
    }

    fn around<'a>(&self, ring: &'a Ring) -> Around<'a> {
        let ready = self.membership.is_ready() && !self.resigns();
        let rank = Rank { ready, priority: self.settings.priority, pid: self.me };
        let max_num = self.epochs.max_num().max(self.view_change.promised().num).max(self.peers.max_num());
        Around { rank, ring, max_num, settled: self.has_live_leader() }
    }

    fn has_live_leader(&self) -> bool {
        let world = World {
            me: self.me,
            view: self.live.as_ref().map(|live| &live.view),
            promised: self.view_change.promised(),
            is_busy: false,
            heard: &self.detector.in_earshot(),
            by_word: &self.detector.by_word(),
            peers: &self.peers,
            stalled: &[],
            renews: false,
            resigns: self.resigns(),
        };
        world.has_leader()
    }

    fn tick_election(&mut self) {
        if self.now.mono >= self.election.next_timeout() {
            let ring = self.ring();
            let around = self.around(&ring);
            let hops = self.election.timeout(self.now, &mut self.rng, &around);
            self.take_hops(hops);
        }
    }

    pub(super) fn on_elect(&mut self, from: Pid, elect: &crate::wire::message::Elect) {
        let ring = self.ring();
        let around = self.around(&ring);
        let hops = self.election.on_elect(self.now, &mut self.rng, from, elect, &around);
        self.take_hops(hops);
    }

    fn start_election(&mut self) {
        let ring = self.ring();
        let around = self.around(&ring);
        let hops = self.election.start(self.now, &mut self.rng, &around);
        self.take_hops(hops);
    }

    /// A view change is on its way: an election waits for it before it starts anew.
    pub(super) fn wait_with_election(&mut self) {
        let ring = self.ring();
        let around = self.around(&ring);
        self.election.on_promise(self.now, &mut self.rng, &around);
    }

    fn take_hops(&mut self, hops: Vec<Hop>) {
        for hop in hops {
            match hop {
                Hop::Send { to, elect } => self.send(to, Message::Elect(elect)),
                Hop::Ack { to, hop } => self.send(to, Message::ElectAck { hop }),
                Hop::Begun { num, started_by } => {
                    let started_by = self.server_name(started_by);
                    self.event(Event::Election { num, started_by, winner: None, took: Duration::ZERO });
                }
                Hop::Skipped(_) => self.drop_because("a successor that did not acknowledge the token"),
                Hop::PassedOver { .. } => self.drop_because("an election token that was passed over"),
                Hop::Won { num, path } => self.on_won(num, &path),
            }
        }
    }

    /// The token came home: a view of its path and everyone lately heard is proposed. Not while this server makes one: who
    /// does not hear of that one elects again and again, and each time it would begin anew.
    fn on_won(&mut self, num: u64, path: &[Pid]) {
        if self.view_change.coordinating().is_some() && !self.settings.bugs.has(Bug::WonAnew) {
            self.epochs.saw(num);
            return;
        }
        let heard = self.detector.in_earshot();
        let resigned = |pid: &Pid| self.peers.beacon(*pid).is_some_and(|beacon| beacon.resigns);
        let others = path.iter().filter(|pid| self.detector.is_alive(**pid)).chain(&heard);
        let wanted: BTreeSet<Pid> = others.copied().filter(|pid| !resigned(pid)).chain([self.me]).collect();
        let fit = self.membership.without_unfit(self.now.mono, wanted, self.me);
        self.propose_pids(&fit);
    }

    fn propose_pids(&mut self, pids: &BTreeSet<Pid>) {
        let mine = Member { pid: self.me, name: self.settings.name.clone() };
        let others = pids.iter().filter(|pid| **pid != self.me).filter_map(|pid| self.peers.member(*pid));
        let mut members: Vec<Member> = others.chain([mine]).collect();
        members.sort_unstable();
        self.propose(members);
    }

    fn decide(&mut self) {
        let now = self.now.mono;
        if now < self.membership.next_timeout() {
            return;
        }
        self.watch_gaps();
        let (heard, by_word) = (self.detector.in_earshot(), self.detector.by_word());
        let stalled = self.stalled_members();
        let resigns = self.resigns();
        let world = World {
            me: self.me,
            view: self.live.as_ref().map(|live| &live.view),
            promised: self.view_change.promised(),
            is_busy: self.view_change.coordinating().is_some(),
            heard: &heard,
            by_word: &by_word,
            peers: &self.peers,
            stalled: &stalled,
            renews: self.renews(),
            resigns,
        };
        let decision = self.membership.decide(now, &world, &mut self.rng);
        self.send_probes();
        // Nobody's view comes to be by a coordinator that cannot write.
        let decision = if self.disk_hangs() { Decision::Wait } else { decision };
        let decision = if self.is_disk_slow() { self.taking_nobody(&decision) } else { decision };
        match self.misjudged(decision) {
            Decision::Elect if self.election.running().is_none() => self.start_election(),
            Decision::Wait | Decision::Elect => {}
            Decision::Propose(pids, _) => self.propose_pids(&pids),
        }
    }

    /// What is left of a decision when nobody should wait for this server's disk: a view of its own, once.
    fn taking_nobody(&self, decision: &Decision) -> Decision {
        let is_alone = self.live.as_ref().is_some_and(|live| self.is_active() && live.others(self.me).next().is_none());
        match decision {
            Decision::Propose(_, reason) if !is_alone => Decision::Propose(BTreeSet::from([self.me]), reason),
            _ => Decision::Wait,
        }
    }

    /// What a broken server decides in place of this.
    fn misjudged(&mut self, decision: Decision) -> Decision {
        let bugs = self.settings.bugs;
        if bugs.has(Bug::NoPenalty) {
            self.membership.pardon();
        }
        let view = self.view_epoch();
        let deposes = bugs.has(Bug::Usurper)
            && decision == Decision::Wait
            && self.membership.is_ready()
            && self.is_active()
            && self.view_change.coordinating().is_none()
            && view.is_some_and(|view| view.leader < self.me);
        match decision {
            _ if bugs.has(Bug::NoEscape) && view.is_some_and(|view| self.view_change.promised() > view) => {
                Decision::Wait
            }
            Decision::Propose(_, "merged") if bugs.has(Bug::NoMerge) => Decision::Wait,
            _ if deposes => Decision::Propose(self.ring().pids().iter().copied().collect(), "deposed"),
            decision => decision,
        }
    }

    pub(super) fn on_abandoned(&mut self, epoch: EpochId, reason: &'static str, silent: &[Pid]) {
        let members = self.proposed.clone();
        self.event(Event::Abandoned { epoch, reason: reason.into() });
        if reason == "another proposal" {
            return;
        }
        if self.view_change.promised() > epoch {
            self.membership.yielded();
        } else {
            let refused = silent.is_empty();
            let others: Vec<Pid> = silent.iter().copied().filter(|pid| *pid != self.me).collect();
            self.membership.abandoned(self.now.mono, members, &others, refused || others.is_empty(), &mut self.rng);
        }
    }

    fn watch_successor(&mut self) {
        let watch = self.live.as_ref().and_then(|live| live.successor).and_then(|pid| {
            let addr = self.detector.living(pid)?;
            let port = self.peers.beacon(pid)?.tcp_port;
            Some((pid, std::net::SocketAddr::new(addr.ip(), port)))
        });
        if watch != self.watched {
            self.watched = watch;
            self.out.act(Action::Watch { successor: watch });
        }
    }

    /// A server's name, as its beacons or the view tell; its id when neither does.
    pub(super) fn server_name(&self, pid: Pid) -> String {
        if pid.server == self.me.server {
            return self.settings.name.clone();
        }
        let in_view = self.live.as_ref().map_or("", |live| live.view.name_of(pid));
        [self.peers.name(pid.server), in_view]
            .into_iter()
            .find(|name| !name.is_empty())
            .map_or_else(|| pid.server.to_string(), str::to_owned)
    }
}

/// Whom of those it hears a server's beacon lists. Members first: who is led tells so by listing its leader, and more may be heard than
/// are listed.
fn listed(heard: Vec<Pid>, view: Option<&View>) -> impl Iterator<Item = Pid> {
    let (members, others): (Vec<Pid>, Vec<Pid>) =
        heard.into_iter().partition(|pid| view.is_some_and(|view| view.has(*pid)));
    members.into_iter().chain(others).take(MAX_SERVERS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, ServerId};

    #[test]
    fn beacon_lists_its_view_whoever_else_is_heard() {
        let pid = |server| Pid { server: ServerId(server), incarnation: Incarnation { boot: 1, random: 0 } };
        let heard: Vec<Pid> = (1..=64).map(pid).collect();
        let members = vec![Member { pid: pid(60), name: "oak".into() }, Member { pid: pid(64), name: "elm".into() }];
        let view = View { members, ..View::default() };
        let named: Vec<Pid> = listed(heard.clone(), Some(&view)).collect();
        assert_eq!((named.len(), &named[..3]), (MAX_SERVERS, &[pid(60), pid(64), pid(1)][..]));
        assert_eq!(listed(heard, None).next(), Some(pid(1)));
    }
}
