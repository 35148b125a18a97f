//! Servers: their lives, pauses and steps.

use super::session::ConnId;
use super::{Happening, Shape, World, net};
use crate::ids::{Incarnation, Pid, ServerId};
use crate::proto::bugs::Bug;
use crate::proto::host::{self, Machine};
use crate::proto::io::{Input, SessionId};
use crate::proto::node::Node;
use crate::proto::settings::{Retention, Settings};
use crate::sim::archive::Archive;
use crate::sim::clock::Clock;
use crate::sim::disk::Disk;
use crate::sim::lan::Station;
use crate::sim::rng::Rng;
use crate::time::Time;
use crate::wire::datagram::NetTag;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Datagrams that a paused process finds in its socket at most.
pub(super) const SOCKET_DATAGRAMS: usize = 256;
/// The net of servers that share the LAN, the group and the port with those under test.
const OTHER_NET: &str = "other";

/// One server: its machine, its disk, and its process while there is one.
pub struct Server {
    /// Where it is.
    pub station: Station,
    /// Its id; a destroyed disk makes it draw another.
    pub id: ServerId,
    /// Its process's name in the protocol, of the life that runs or ran last.
    pub pid: Pid,
    /// Its process.
    pub node: Option<Node>,
    /// Its disk.
    pub disk: Disk,
    /// Its net.
    pub net: NetTag,
    /// What it would let go of.
    pub retention: Retention,
    /// Its clocks.
    pub clock: Clock,
    /// Whether it has power.
    pub powered: bool,
    /// Which life, counted by the world.
    pub life: u32,
    /// Until when its disk is busy with a write.
    pub disk_free: Time,
    /// Until when the process does not run.
    pub paused: Option<Time>,
    /// Lost history: its disk was destroyed or came back older.
    pub unsound: bool,
    pub(super) sessions: BTreeMap<SessionId, ConnId>,
    pub(super) next_session: u64,
    pub(super) watch: Option<(Pid, SocketAddr)>,
    backlog: VecDeque<Happening>,
    backlog_datagrams: usize,
    wake_at: Time,
    pub(super) store_open: bool,
    /// What answers questions about history, once somebody has asked.
    pub(super) archive: Option<Archive>,
}

impl World {
    /// Starts a server's process, if its machine has power and none runs.
    pub(in crate::sim) fn start(&mut self, at: usize) {
        let mono = self.time;
        let boot_bug = self.bugs.has(Bug::SameIncarnation);
        let server = &mut self.servers[at];
        if server.node.is_some() {
            return;
        }
        server.powered = true;
        server.life += 1;
        server.disk_free = Time(0);
        let boot = server.disk.open();
        let random = self.rng.draw() as u32;
        let incarnation = Incarnation { boot, random };
        if !(boot_bug && server.pid.incarnation.boot > 0) {
            server.pid = Pid { server: server.id, incarnation };
        }
        let recovered = server.disk.live().recover(server.pid);
        let settings = Settings {
            net: server.net,
            net_name: if server.net == net() { "default" } else { OTHER_NET }.to_owned(),
            name: format!("s{}", at + 1),
            priority: 0,
            addr: server.station.addr(),
            tcp_port: 8285,
            peers: Vec::new(),
            page: None,
            memory_only: false,
            retention: server.retention,
            portions: self.portions,
            record: self.record,
            bugs: self.bugs,
        };
        self.timeline.note(self.time, || format!("s{} starts as {}", at + 1, server.pid));
        let now = server.clock.now(mono);
        let verdict = self.checker.started(at, server, &recovered);
        let server = &mut self.servers[at];
        server.node = Some(Node::new(settings, recovered, now, self.rng.draw()));
        server.store_open = true;
        server.archive = None;
        server.paused = None;
        server.watch = None;
        server.wake_at = Time::NEVER;
        self.judge(verdict);
        self.input(at, Input::Timeout);
    }

    pub(super) fn lives(&self, at: usize, life: u32) -> bool {
        self.servers[at].life == life && self.servers[at].node.is_some()
    }

    /// Ends a server's process on the spot; without power its machine does not even answer for it.
    pub(in crate::sim) fn crash(&mut self, at: usize, power: bool) {
        let server = &mut self.servers[at];
        server.powered = !power;
        if server.node.take().is_none() {
            return;
        }
        server.disk.crash();
        server.backlog.clear();
        server.backlog_datagrams = 0;
        server.paused = None;
        let sessions = std::mem::take(&mut server.sessions);
        let (pid, station) = (server.pid, server.station);
        self.timeline.note(self.time, || format!("s{} {}", at + 1, if power { "loses power" } else { "is killed" }));
        self.checker.crashed(at);
        for conn in sessions.into_values() {
            self.break_conn(conn.0, !power);
        }
        if power {
            return;
        }
        for watcher in 0..self.servers.len() {
            if self.servers[watcher].watch.is_some_and(|watched| watched.0 == pid) {
                self.tell_reset(watcher, station, pid);
            }
        }
    }

    pub(super) fn tell_reset(&mut self, watcher: usize, gone: Station, pid: Pid) {
        let (to, life) = (self.servers[watcher].station, self.servers[watcher].life);
        self.stream(gone, to, 0, Happening::Reset { server: watcher, life, pid });
    }

    /// The process does not run for a while.
    pub(in crate::sim) fn pause(&mut self, at: usize, wait: Duration) {
        if self.servers[at].node.is_none() || self.servers[at].paused.is_some() {
            return;
        }
        self.timeline.note(self.time, || format!("s{} is paused for {wait:?}", at + 1));
        self.servers[at].paused = Some(self.time + wait);
        self.queue.plan(self.time + wait, Happening::Resume(at));
    }

    pub(super) fn resume(&mut self, at: usize) {
        let due = self.servers[at].paused.is_some_and(|until| until <= self.time);
        if !due {
            return;
        }
        self.servers[at].paused = None;
        self.servers[at].backlog_datagrams = 0;
        self.timeline.note(self.time, || format!("s{} goes on", at + 1));
        if self.rng.chance(500) {
            self.input(at, Input::Timeout);
        }
        for what in std::mem::take(&mut self.servers[at].backlog) {
            self.happen(what);
        }
        self.arm_wake(at);
    }

    /// The server whose process something needs, if it needs one.
    pub(super) fn meant_for(&self, what: &Happening) -> Option<usize> {
        match *what {
            Happening::Datagram { to: at, .. }
            | Happening::Frame { to: at, .. }
            | Happening::Reset { server: at, .. }
            | Happening::Synced { server: at, .. }
            | Happening::Reopened { server: at, .. }
            | Happening::Read { server: at, .. } => Some(at),
            Happening::ToServer(conn, _) | Happening::ClosedAtServer(conn) => Some(self.conns[conn].server),
            _ => None,
        }
    }

    /// Keeps what comes for a paused process; datagrams only as far as its socket holds them.
    pub(super) fn keep(&mut self, at: usize, what: Happening) {
        let server = &mut self.servers[at];
        if matches!(what, Happening::Datagram { .. }) {
            if server.backlog_datagrams >= SOCKET_DATAGRAMS {
                return;
            }
            server.backlog_datagrams += 1;
        }
        server.backlog.push_back(what);
    }

    pub(super) fn wake(&mut self, at: usize, life: u32) {
        if !self.lives(at, life) {
            return;
        }
        let server = &mut self.servers[at];
        if server.wake_at <= self.time {
            server.wake_at = Time::NEVER;
        }
        if server.paused.is_some() {
            return;
        }
        let due = server.node.as_ref().map_or(Time::NEVER, Machine::next_timeout);
        if server.clock.now(self.time).mono >= due {
            self.input(at, Input::Timeout);
        } else {
            self.arm_wake(at);
        }
    }

    fn arm_wake(&mut self, at: usize) {
        let server = &mut self.servers[at];
        let Some(node) = server.node.as_ref() else { return };
        let due = server.clock.moment_of(node.next_timeout()).max(self.time);
        if due < server.wake_at {
            server.wake_at = due;
            self.queue.plan(due, Happening::Wake { server: at, life: server.life });
        }
    }

    pub(super) fn arrive(&mut self, what: Happening) {
        let (Happening::Datagram { to: at, .. }
        | Happening::Frame { to: at, .. }
        | Happening::Reset { server: at, .. }) = what
        else {
            return;
        };
        if self.servers[at].node.is_none() {
            return;
        }
        match what {
            Happening::Datagram { from, multicast, bytes, .. } => {
                self.counts.deliveries += 1;
                self.input(at, Input::Datagram { from: from.addr(), multicast, bytes: &bytes });
            }
            Happening::Frame { life, from, bytes, .. } if self.servers[at].life == life => {
                self.input(at, Input::Frame { from, bytes: &bytes });
            }
            Happening::Reset { life, pid, .. } if self.servers[at].life == life => {
                self.input(at, Input::LinkReset { pid });
            }
            _ => {}
        }
    }

    /// One step of one server, and all that comes of it.
    pub(in crate::sim) fn input(&mut self, at: usize, input: Input<'_>) {
        let server = &mut self.servers[at];
        let Some(node) = server.node.as_mut() else { return };
        let now = server.clock.now(self.time);
        self.counts.steps += 1;
        self.timeline.input(self.time, at, &input);
        host::step(node, &mut self.outcome, now, input, &mut self.buf);
        self.carry_out(at);
        if let Some(node) = self.servers[at].node.as_ref() {
            let verdict = self.checker.after_step(at, &node.inspect(), &self.servers, &mut self.counts);
            self.judge(verdict);
            if self.counts.steps.is_multiple_of(64)
                && let Some(node) = self.servers[at].node.as_ref()
            {
                let gauges = self.checker.gauges(at, &node.gauges());
                let disk = self.checker.knows_its_disk(at, node.known_on_disk(), &self.servers[at]);
                self.judge(gauges);
                self.judge(disk);
            }
        }
        self.arm_wake(at);
    }
}

impl Server {
    pub(super) fn new(station: Station, shape: &Shape, rng: &mut Rng) -> Self {
        let (ppm, ahead_ms) = if shape.drift { (signed(rng, 200), signed(rng, 2000)) } else { (0, 0) };
        Self {
            station,
            id: ServerId(rng.draw()),
            net: if shape.other_net.contains(&station.0) { NetTag::of(OTHER_NET) } else { net() },
            retention: shape.retention_of(station.0),
            pid: Pid::default(),
            node: None,
            disk: Disk::new(rng.fork()),
            clock: Clock::new(ppm, rng.below(1 << 40), ahead_ms),
            powered: true,
            life: 0,
            disk_free: Time(0),
            paused: None,
            unsound: false,
            sessions: BTreeMap::new(),
            next_session: 0,
            watch: None,
            backlog: VecDeque::new(),
            backlog_datagrams: 0,
            wake_at: Time::NEVER,
            store_open: false,
            archive: None,
        }
    }
}

/// A number from `-most` to `most`.
fn signed(rng: &mut Rng, most: u32) -> i64 {
    rng.between(0, 2 * u64::from(most)).cast_signed() - i64::from(most)
}
