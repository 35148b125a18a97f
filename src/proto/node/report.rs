//! What a server says of itself and its ring: status, elections, people, and what a checker may see.

use super::Node;
use super::disk::Disk;
use crate::ids::{ClientId, EpochId, Pid};
use crate::proto::event::Event;
use crate::proto::inspect::{Gauge, Inspection};
use crate::proto::ring::Ring;
use crate::proto::sequencer::Sequencer;
use crate::record::View;
use crate::wire::session::{Answer, ElectionInfo, Presence, Query, RingInfo, ServerState, ServerStatus, Status};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

const UNKNOWN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Node {
    pub(super) fn answer(&self, query: &Query) -> Answer {
        match query {
            Query::Status => Answer::Status(Box::new(self.status())),
            Query::Ring => Answer::Ring(Box::new(self.ring_info())),
            Query::Who(room) => Answer::Who(self.rooms.who(room.as_deref())),
            Query::Nick(nick) => Answer::Nick(self.rooms.resolve(nick)),
            Query::Record { after, limit } => Answer::Record(Box::new(self.record_page(*after, *limit))),
            Query::Rooms => Answer::Rooms(self.rooms.count()),
            Query::History(_) | Query::Search { .. } | Query::Place(_) => {
                Answer::Failed("this server has no store to read".to_owned())
            }
        }
    }

    /// The net as this server sees it.
    pub fn status(&self) -> Status {
        if self.disk == Disk::Failed {
            return self.status_alone();
        }
        let members =
            self.live.as_ref().map(|live| live.view.members.iter().map(|member| member.pid)).into_iter().flatten();
        let known: BTreeSet<Pid> = self.detector.alive().into_iter().chain(members).chain([self.me]).collect();
        // One that lost its store comes back under its name, as a new server.
        let is_here =
            |pid: Pid, name: &str| known.iter().any(|k| k.server == pid.server || self.server_name(*k) == name);
        let missed = self.absent.missed(self.now.mono).filter(|(pid, name)| !is_here(*pid, name));
        let missed: Vec<ServerStatus> = missed.map(|(pid, name)| self.missed_status(pid, name)).collect();
        let servers: Vec<ServerStatus> = known.iter().map(|pid| self.server_status(*pid)).chain(missed).collect();
        let problems = self.problems(&servers);
        self.status_with(self.view_epoch(), servers, problems)
    }

    /// While its disk takes nothing it listens to nobody, and knows of itself alone.
    fn status_alone(&self) -> Status {
        let me = ServerStatus { state: ServerState::Joining, clients: 0, ..self.server_status(self.me) };
        let problem =
            format!("{} is read-only: its disk takes nothing; it goes on by itself when that is mended", me.name);
        self.status_with(None, vec![me], vec![problem])
    }

    fn status_with(&self, epoch: Option<EpochId>, servers: Vec<ServerStatus>, problems: Vec<String>) -> Status {
        Status {
            net: self.settings.net_name.clone(),
            answered_by: self.me,
            epoch,
            leader: epoch.map(|epoch| self.server_name(epoch.leader)).unwrap_or_default(),
            rooms: self.rooms.len() as u64,
            messages: self.messages,
            problems,
            servers,
            pages: self.settings.page.into_iter().chain(self.peers.iter().filter_map(|(_, peer)| peer.page)).collect(),
            memory_only: self.settings.memory_only,
            // Whoever has the index knows better.
            indexed: self.messages,
        }
    }

    fn server_status(&self, pid: Pid) -> ServerStatus {
        let own = pid == self.me;
        let beacon = if own { Some(self.beacon()) } else { self.peers.beacon(pid).cloned() };
        let live = self.live.as_ref();
        let stable = beacon.as_ref().map_or(0, |beacon| beacon.stable);
        let head = live.map_or(0, |live| live.hold_back.head());
        let have = beacon.as_ref().map_or(0, |beacon| beacon.have);
        let in_view = live.is_some_and(|live| live.view.has(pid));
        let same_view = beacon.as_ref().is_some_and(|beacon| beacon.view == self.view_epoch());
        ServerStatus {
            name: self.server_name(pid),
            pid,
            addr: if own { self.own_addr() } else { self.detector.addr(pid).unwrap_or(UNKNOWN) },
            state: self.state_of(pid, in_view),
            multicast: own || self.detector.multicast_heard(pid, self.now.mono),
            stable,
            lag: if in_view && same_view { head.saturating_sub(have) } else { 0 },
            clients: beacon.as_ref().map_or(0, |beacon| u32::from(beacon.clients)),
            nacks_per_min: beacon.as_ref().map_or(0, |beacon| u32::from(beacon.nacks_per_min)),
            loss_per_mille: if own { 0 } else { self.detector.loss_per_mille(pid, true) },
            head: beacon.as_ref().map_or(0, |beacon| beacon.head),
            have,
            page: beacon.and_then(|beacon| beacon.page),
        }
    }

    fn missed_status(&self, pid: Pid, name: &str) -> ServerStatus {
        ServerStatus { name: name.to_owned(), multicast: true, clients: 0, page: None, ..self.server_status(pid) }
    }

    /// This server's address, as the others hear it.
    fn own_addr(&self) -> SocketAddr {
        let told = self.peers.iter().flat_map(|(_, beacon)| &beacon.heard).find(|heard| heard.pid == self.me);
        told.map_or(self.settings.addr, |heard| heard.addr)
    }

    fn state_of(&self, pid: Pid, in_view: bool) -> ServerState {
        let alive = pid == self.me || self.detector.is_alive(pid);
        let ready = if pid == self.me {
            self.membership.is_ready()
        } else {
            self.peers.beacon(pid).is_some_and(|beacon| beacon.ready)
        };
        match (alive, in_view, self.view_epoch().is_some_and(|epoch| epoch.leader == pid)) {
            (false, ..) => ServerState::Unreachable,
            (_, _, true) => ServerState::Leader,
            (_, false, _) => ServerState::Joining,
            (_, true, _) if ready => ServerState::Member,
            _ => ServerState::CatchingUp,
        }
    }

    fn problems(&self, servers: &[ServerStatus]) -> Vec<String> {
        let mut problems = Vec::new();
        if self.view_epoch().is_none() || !self.is_active() {
            problems.push("no view: the servers are agreeing on one".to_owned());
        }
        if self.damaged {
            let part = "a part of this server's history was damaged and set aside";
            problems.push(format!("{part}: it is fetched from others as soon as they are here"));
        }
        for server in servers {
            match server.state {
                ServerState::Unreachable => problems.push(format!("{} does not answer", server.name)),
                ServerState::Joining => problems.push(format!("{} is not in the view yet", server.name)),
                ServerState::CatchingUp => problems.push(format!("{} is catching up", server.name)),
                ServerState::Leader | ServerState::Member => {}
            }
            if !server.multicast {
                problems.push(format!("multicast of {} does not arrive here", server.name));
            }
        }
        problems
    }

    fn ring_info(&self) -> RingInfo {
        let members: Vec<Pid> = self.live.iter().flat_map(|live| &live.view.members).map(|member| member.pid).collect();
        let ring = Ring::of(members);
        let elections = self.election.past().rev().map(|past| ElectionInfo {
            num: past.num,
            at_ms: past.at.wall_ms,
            started_by: self.server_name(past.started_by),
            winner: past.winner.map(|pid| self.server_name(pid)),
            took_ms: past.took.map(|took| took.as_millis() as u32),
            path: past.path.iter().map(|pid| self.server_name(*pid)).collect(),
        });
        RingInfo {
            ring: ring.pids().iter().map(|pid| (*pid, self.server_name(*pid))).collect(),
            leader: self.view_epoch().map(|epoch| epoch.leader),
            epoch: self.view_epoch(),
            elections: elections.collect(),
        }
    }

    /// Tells people which view began, and who came back; notes who did not come along.
    pub(super) fn tell_members(&mut self, view: &View, reason: &'static str, previous: Option<&View>) {
        let before = previous.map_or(&[][..], |previous| &previous.members);
        for member in before.iter().filter(|member| !view.has(member.pid)) {
            self.absent.ended(self.now.mono, member.pid, &member.name);
        }
        for member in &view.members {
            self.absent.is_back(member.pid);
            let is_new = previous.is_some_and(|previous| !previous.has(member.pid)) && member.pid != self.me;
            if is_new {
                let has = self.peers.beacon(member.pid).map(|beacon| beacon.messages);
                let missing = has.map(|has| self.messages.saturating_sub(has));
                self.event(Event::Rejoined { pid: member.pid, name: member.name.clone(), missing });
            }
        }
        let own = self.own_addr();
        let addr = |pid: Pid| if pid == self.me { Some(own) } else { self.detector.addr(pid) };
        let addrs = view.members.iter().map(|member| addr(member.pid)).collect();
        self.event(Event::View { view: view.clone(), addrs, reason: reason.into() });
    }

    /// Tells how an election ended, if this view ended one.
    pub(super) fn tell_election(&mut self, epoch: EpochId) {
        let Some(past) = self.election.past().next_back().filter(|past| past.winner == Some(epoch.leader)) else {
            return;
        };
        let (num, started_by, took) = (past.num, past.started_by, past.took.unwrap_or_default());
        let started_by = self.server_name(started_by);
        let winner = Some(self.server_name(epoch.leader));
        self.event(Event::Election { num, started_by, winner, took });
    }

    /// What a checker may see.
    pub fn inspect(&self) -> Inspection {
        let view = self.view_epoch();
        let log = view.and_then(|view| self.epochs.get(view));
        Inspection {
            pid: self.me,
            view,
            promised: self.view_change.promised(),
            prepared: self.view_change.prepared(),
            coordinating: self.view_change.coordinating(),
            electing: self.election.running().is_some(),
            last: self.epochs.last(),
            len: log.map_or(0, |log| log.appended),
            durable: log.map_or(0, |log| log.durable),
            stable: self.live.as_ref().map_or(0, |live| live.stable),
            delivered: self.live.as_ref().map_or(0, |live| live.delivered),
            left: self.left,
            hlc: self.hlc,
            horizon: self.epochs.horizon(),
            pending: self.origin.len(),
            messages: self.messages,
            ready: self.membership.is_ready(),
        }
    }

    /// Who is in which room, as it tells its clients.
    pub fn who(&self) -> Vec<Presence> {
        self.rooms.who(None)
    }

    /// To whom a nick belongs, here or away.
    pub fn owner_of(&self, nick: &str) -> Option<ClientId> {
        self.rooms.resolve(nick)
    }

    /// What it knows of each epoch on its disk, the length and the closure; nothing while a write is under way.
    pub fn known_on_disk(&self) -> impl Iterator<Item = (EpochId, u64, Option<u64>)> {
        let settled = self.writes.is_empty() && self.disk == Disk::Works;
        let known = self.epochs.iter().filter(move |_| settled);
        known.map(|(epoch, log)| (epoch, log.durable, log.closure))
    }

    /// How full each buffer is that the network or clients can fill.
    pub fn gauges(&self) -> Vec<Gauge> {
        use crate::proto::{fills, hold_back, origin, settings, trace};
        let live = self.live.as_ref();
        let sequencer = live.and_then(|live| live.sequencer.as_ref());
        let gauge = |name, level, bound| Gauge { name, level, bound };
        vec![
            gauge("origin", self.origin.len(), settings::ORIGIN_QUEUE),
            gauge("sessions", self.sessions.clients(), settings::MAX_SESSIONS),
            gauge(
                "pieces",
                live.map_or(0, |live| live.hold_back.pieces()),
                hold_back::MAX_PIECES + origin::PIECES_A_BATCH,
            ),
            gauge(
                "numbers ahead",
                live.map_or(0, |live| live.hold_back.ahead()) as usize,
                hold_back::MAX_AHEAD as usize,
            ),
            gauge(
                "unstable bytes",
                sequencer.map_or(0, Sequencer::unstable_bytes),
                settings::ORDER_WINDOW_BYTES + origin::PIECES_A_BATCH * origin::PIECE_BYTES,
            ),
            gauge("unstable batches", sequencer.map_or(0, Sequencer::unstable), settings::ORDER_WINDOW as usize),
            gauge("places", live.map_or(0, |live| live.hold_back.places()), hold_back::MAX_PLACES),
            gauge("askers for history", self.fills.len(), fills::MAX_ASKERS),
            gauge("record", self.trace.level().0, trace::MAX_EVENTS),
            gauge("record's bytes", self.trace.level().1, trace::MAX_BYTES),
            gauge("undelivered", live.map_or(0, |live| live.undelivered.len()), hold_back::MAX_PLACES),
        ]
    }

    /// What was dropped, and why, ascending by reason.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.drops.iter().map(|(reason, count)| (*reason, *count))
    }
}
