//! Clients with real servers' state machines: a ring on a LAN that loses what clients should hear, in virtual time.

use super::super::{Action, Client, ConnectionId, Draft, Event, FeedCursor, Input, Loaded, Progress, Save, Settings};
use super::bench::{draft, pid};
use crate::ids::{ClientId, EpochId};
use crate::proto::gist::Gists;
use crate::proto::io::{self, Recovered, Route, SessionId, Ticket, Write};
use crate::proto::node::Node;
use crate::proto::rng::Rng;
use crate::proto::{bugs::Bugs, settings};
use crate::record::Entry;
use crate::time::{Now, Time};
use crate::wire::datagram::NetTag;
use crate::wire::session::{Reply, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

const NET: NetTag = NetTag(5);
const DELAY_US: u64 = 200;

/// What is on its way.
enum What {
    Datagram { to: usize, from: SocketAddr, multicast: bool, bytes: Vec<u8> },
    Frame { to: usize, from: usize, bytes: Vec<u8> },
    Server { to: usize, input: io::Input<'static> },
    Connect { client: usize, connection: ConnectionId, addr: SocketAddr },
    Request { session: SessionId, request: Request },
    Reply { session: SessionId, reply: Reply },
    Ended { session: SessionId },
}

struct Session {
    client: usize,
    connection: ConnectionId,
    server: usize,
}

/// Servers first, then clients: a station's number is its place.
struct Ring {
    now: Time,
    servers: Vec<Option<Node>>,
    logs: Vec<BTreeMap<(EpochId, u64), Entry>>,
    clients: Vec<Client>,
    sessions: BTreeMap<SessionId, Session>,
    coming: BTreeMap<(Time, u64), What>,
    count: u64,
    rng: Rng,
    /// Multicasts of a hundred that a client does not hear.
    loss: u64,
    shown: Vec<Vec<(String, bool)>>,
    stable: Vec<BTreeSet<u64>>,
    /// Where each client stands, as it told last.
    cursors: Vec<(FeedCursor, u64)>,
    /// What each client has said.
    said: Vec<Vec<(u64, Draft)>>,
}

fn station(at: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, at as u8 + 1], 8285))
}

impl Ring {
    fn new(servers: usize, clients: usize, loss: u64, seed: u64) -> Self {
        let server = |at: usize| {
            let name = ["oak", "elm", "ash"][at].to_owned();
            let (net_name, bugs) = ("test".into(), Bugs::NONE);
            let settings = settings::Settings {
                portions: settings::Portions::default(),
                net: NET,
                net_name,
                name,
                priority: 0,
                addr: super::bench::addr(at as u64 + 1),
                tcp_port: 7000,
                peers: Vec::new(),
                page: None,
                memory_only: false,
                retention: settings::Retention::default(),
                record: true,
                bugs,
            };
            let recovered = Recovered { pid: pid(at as u64 + 1), ..Recovered::default() };
            Some(Node::new(settings, recovered, Now::default(), seed * 10 + at as u64))
        };
        let client = |at: usize| {
            let nick = format!("nick{at}");
            let settings = going_by(nick);
            let loaded = Loaded { client: ClientId(100 + at as u64), ..Loaded::default() };
            Client::new(settings, loaded, Now::default(), seed * 100 + at as u64)
        };
        Self {
            now: Time(0),
            servers: (0..servers).map(server).collect(),
            logs: vec![BTreeMap::new(); servers],
            clients: (0..clients).map(client).collect(),
            sessions: BTreeMap::new(),
            coming: BTreeMap::new(),
            count: 0,
            rng: Rng::new(seed),
            loss,
            shown: vec![Vec::new(); clients],
            stable: vec![BTreeSet::new(); clients],
            cursors: vec![Default::default(); clients],
            said: vec![Vec::new(); clients],
        }
    }

    fn clock(&self) -> Now {
        Now { mono: self.now, wall_ms: 1_000_000 + self.now.0 / 1000 }
    }

    fn send(&mut self, what: What) {
        self.count += 1;
        self.coming.insert((Time(self.now.0 + DELAY_US), self.count), what);
    }

    fn run(&mut self, ms: u64) {
        let end = Time(self.now.0 + ms * 1000);
        for at in 0..self.servers.len() {
            self.drain_server(at);
        }
        for at in 0..self.clients.len() {
            self.drain_client(at);
        }
        loop {
            let comes = self.coming.first_key_value().map_or(Time::NEVER, |(key, _)| key.0);
            let servers = self.servers.iter().flatten().map(Node::next_timeout);
            let wakes = servers.chain(self.clients.iter().map(Client::next_timeout)).min().unwrap_or(Time::NEVER);
            if comes.min(wakes) > end {
                break;
            }
            self.now = self.now.max(comes.min(wakes));
            match self.coming.first_entry().filter(|_| comes <= wakes) {
                Some(first) => {
                    let what = first.remove();
                    self.arrive(what);
                }
                None => self.wake(),
            }
        }
        self.now = end;
    }

    fn wake(&mut self) {
        for at in 0..self.servers.len() {
            if self.servers[at].as_ref().is_some_and(|server| server.next_timeout() <= self.now) {
                self.server(at, io::Input::Timeout);
            }
        }
        for at in 0..self.clients.len() {
            if self.clients[at].next_timeout() <= self.now {
                self.client(at, Input::Timeout);
            }
        }
    }

    fn arrive(&mut self, what: What) {
        match what {
            What::Datagram { to, from, multicast, bytes } if to < self.servers.len() => {
                self.server(to, io::Input::Datagram { from, multicast, bytes: &bytes });
            }
            What::Datagram { to, from, multicast, bytes } => {
                let lost = multicast && self.rng.below(100) < self.loss;
                if !lost {
                    let to = to - self.servers.len();
                    self.client(to, Input::Datagram { from, multicast, bytes: &bytes });
                }
            }
            What::Frame { to, from, bytes } => {
                self.server(to, io::Input::Frame { from: pid(from as u64 + 1), bytes: &bytes });
            }
            What::Server { to, input } => self.server(to, input),
            What::Connect { client, connection, addr } => self.connect(client, connection, addr),
            What::Request { session, request } => {
                if let Some(to) = self.sessions.get(&session).map(|session| session.server) {
                    self.server(to, io::Input::Session { session, request: request.into() });
                }
            }
            What::Reply { session, reply } => {
                if let Some(Session { client, connection, .. }) = self.sessions.get(&session) {
                    self.client(*client, Input::Reply(*connection, reply));
                }
            }
            What::Ended { session } => {
                if let Some(Session { client, connection, .. }) = self.sessions.remove(&session) {
                    self.client(client, Input::Broken(connection));
                }
            }
        }
    }

    fn connect(&mut self, client: usize, connection: ConnectionId, addr: SocketAddr) {
        let server = (0..self.servers.len()).find(|&at| station(at).ip() == addr.ip()).unwrap();
        if self.servers[server].is_none() {
            return self.client(client, Input::Broken(connection));
        }
        self.count += 1;
        self.sessions.insert(SessionId(self.count), Session { client, connection, server });
        self.client(client, Input::Connected(connection));
    }

    fn server(&mut self, at: usize, input: io::Input<'_>) {
        let now = self.clock();
        if let Some(server) = &mut self.servers[at] {
            server.handle(now, input);
            self.drain_server(at);
        }
    }

    fn drain_server(&mut self, at: usize) {
        let mut buf = Vec::new();
        while let Some(route) = self.servers[at].as_mut().and_then(|server| server.poll_transmit(&mut buf)) {
            self.route(at, route, &buf);
        }
        while let Some(action) = self.servers[at].as_mut().and_then(Node::poll_action) {
            self.serve(at, action);
        }
    }

    fn serve(&mut self, at: usize, action: io::Action) {
        match action {
            io::Action::Write { ticket, write } => self.write(at, ticket, write),
            io::Action::Read { epoch, first, last, purpose, .. } => {
                let entries = self.logs[at].range((epoch, first)..=(epoch, last)).map(|(_, entry)| entry.clone());
                let entries = entries.take(20).collect();
                self.send(What::Server { to: at, input: io::Input::Read { epoch, first, entries, purpose } });
            }
            io::Action::ReadGists { epoch, after, .. } => {
                let input = io::Input::Gists { epoch, after, gists: Gists::default() };
                self.send(What::Server { to: at, input });
            }
            io::Action::Reply { session, reply } => self.send(What::Reply { session, reply }),
            io::Action::EndSession { session } => self.send(What::Ended { session }),
            io::Action::Watch { .. } | io::Action::Event(_) | io::Action::Left => {}
        }
    }

    fn write(&mut self, at: usize, ticket: Ticket, write: Write) {
        if let Write::Append { epoch, first, entries } = write {
            self.keep(at, epoch, first, entries);
        } else if let Write::Fill { view, first, entries, .. } = write {
            self.keep(at, view.epoch, first, entries);
        }
        self.send(What::Server { to: at, input: io::Input::Written { upto: ticket } });
    }

    fn keep(&mut self, at: usize, epoch: EpochId, first: u64, entries: Vec<Entry>) {
        self.logs[at].extend((first..).zip(entries).map(|(gsn, entry)| ((epoch, gsn), entry)));
    }

    fn route(&mut self, from: usize, route: Route, bytes: &[u8]) {
        let all = self.servers.len() + self.clients.len();
        let datagram = |to, multicast| What::Datagram { to, from: station(from), multicast, bytes: bytes.to_vec() };
        match route {
            Route::Multicast => (0..all).for_each(|to| self.send(datagram(to, true))),
            Route::AnyNet => {}
            Route::Unicast(addr) => {
                let to = (0..all).find(|&at| station(at) == addr).unwrap();
                self.send(datagram(to, false));
            }
            Route::Link(pid, _) => {
                self.send(What::Frame { to: pid.server.0 as usize - 1, from, bytes: bytes.to_vec() });
            }
        }
    }

    fn client(&mut self, at: usize, input: Input<'_>) {
        let now = self.clock();
        self.clients[at].handle(now, input);
        self.drain_client(at);
    }

    fn drain_client(&mut self, at: usize) {
        let mut buf = Vec::new();
        while let Some(route) = self.clients[at].poll_transmit(&mut buf) {
            self.route(self.servers.len() + at, route, &buf);
        }
        while let Some(action) = self.clients[at].poll_action() {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Connect { connection, addr } => self.send(What::Connect { client: at, connection, addr }),
            Action::Send { connection, request } => {
                if let Some(session) = self.session_of(at, connection) {
                    self.send(What::Request { session, request });
                }
            }
            Action::Disconnect(connection) => {
                if let Some(session) = self.session_of(at, connection) {
                    let Session { server, .. } = self.sessions.remove(&session).unwrap();
                    self.send(What::Server { to: server, input: io::Input::SessionEnded { session } });
                }
            }
            Action::Save(Save::Message { cseq, .. }) => self.client(at, Input::Saved { cseq }),
            Action::Event(Event::Message(message)) => {
                self.shown[at].push((message.record.message.body, message.late));
            }
            Action::Event(Event::Progress { id, progress: Progress::Stable { .. } }) => {
                assert!(self.stable[at].insert(id.cseq));
            }
            Action::Event(Event::Cursor { cursor, acked_upto }) => self.cursors[at] = (cursor, acked_upto),
            Action::Event(_) | Action::Save(_) | Action::Closed => {}
        }
    }

    fn session_of(&self, client: usize, connection: ConnectionId) -> Option<SessionId> {
        let is_it = |session: &&Session| session.client == client && session.connection == connection;
        self.sessions.iter().find(|(_, session)| is_it(session)).map(|(id, _)| *id)
    }

    fn say(&mut self, at: usize, body: &str) {
        let now = self.clock();
        let id = self.clients[at].submit(now, draft(body)).unwrap();
        self.said[at].push((id.cseq, draft(body)));
        self.drain_client(at);
    }

    /// As `kill -9` does.
    fn kill(&mut self, at: usize) {
        self.servers[at] = None;
        let ended: Vec<SessionId> =
            self.sessions.iter().filter(|(_, session)| session.server == at).map(|(id, _)| *id).collect();
        for session in ended {
            self.send(What::Ended { session });
        }
    }

    /// As a browser does whose page moves to another host: the client's process is gone without a goodbye, and another goes
    /// on with what its application remembers.
    fn resume(&mut self, at: usize) {
        let gone: Vec<SessionId> =
            self.sessions.iter().filter(|(_, session)| session.client == at).map(|(id, _)| *id).collect();
        for session in gone {
            let Session { server, .. } = self.sessions.remove(&session).unwrap();
            self.send(What::Server { to: server, input: io::Input::SessionEnded { session } });
        }
        let (cursor, acked_upto) = self.cursors[at].clone();
        let stable = &self.stable[at];
        let messages = self.said[at].iter().filter(|(cseq, _)| !stable.contains(cseq)).cloned().collect();
        let last_cseq = self.said[at].last().map_or(0, |(cseq, _)| *cseq);
        let (client, floor, seen) =
            (self.clients[at].id(), cursor.floor, cursor.seen.map(|seen| (seen, cursor.greatest)));
        let loaded = Loaded { client, last_cseq, acked_upto, floor, messages, seen };
        let nick = format!("nick{at}");
        let settings = going_by(nick);
        self.count += 1;
        self.clients[at] = Client::new(settings, loaded, self.clock(), self.count);
        self.drain_client(at);
    }

    fn home_of(&self, client: usize) -> usize {
        let home = self.clients[client].home().unwrap();
        ["oak", "elm", "ash"].iter().position(|name| *name == home).unwrap()
    }
}

#[test]
fn every_message_is_stable_and_shown_once_to_all_in_order_though_datagrams_are_lost_and_the_home_is_killed() {
    for (seed, loss) in [(1, 0), (2, 5), (3, 20), (4, 60), (5, 100)] {
        let mut ring = Ring::new(3, 2, loss, seed);
        ring.run(5000);
        assert!(ring.clients.iter().all(|client| client.home().is_some()), "seed {seed}: no home");
        assert!(loss > 0 || ring.clients.iter().all(Client::is_on_multicast));
        for n in 0..100 {
            ring.say(0, &format!("0.{n}"));
            ring.say(1, &format!("1.{n}"));
            ring.run(20);
            if n == 50 {
                ring.kill(ring.home_of(0));
            }
        }
        ring.run(20_000);
        for at in 0..2 {
            assert_eq!(ring.stable[at].len(), 100, "seed {seed}");
            assert!(ring.shown[at].iter().all(|(_, late)| !late), "seed {seed}");
            for writer in 0..2 {
                let prefix = format!("{writer}.");
                let shown: Vec<&str> =
                    ring.shown[at].iter().filter_map(|(body, _)| body.strip_prefix(prefix.as_str())).collect();
                let said: Vec<String> = (0..100).map(|n| n.to_string()).collect();
                assert_eq!(shown, said, "seed {seed}, client {at}, writer {writer}");
            }
        }
        assert_eq!(ring.shown[0], ring.shown[1], "seed {seed}");
    }
}

#[test]
fn client_that_goes_on_in_another_process_again_and_again_loses_and_doubles_nothing() {
    for (seed, loss) in [(11, 0), (12, 5), (13, 20), (14, 60)] {
        let mut ring = Ring::new(3, 2, loss, seed);
        ring.run(5000);
        for n in 0..120 {
            ring.say(0, &format!("0.{n}"));
            ring.say(1, &format!("1.{n}"));
            let wait = 1 + ring.rng.below(40);
            ring.run(wait);
            if n % 12 == 7 {
                ring.resume(0);
                let wait = ring.rng.below(3000);
                ring.run(wait);
            }
            if n == 60 {
                ring.kill(ring.home_of(1));
            }
        }
        ring.run(20_000);
        assert_eq!(ring.stable[0].len(), 120, "seed {seed}");
        for at in 0..2 {
            for writer in 0..2 {
                let prefix = format!("{writer}.");
                let shown: Vec<&str> =
                    ring.shown[at].iter().filter_map(|(body, _)| body.strip_prefix(prefix.as_str())).collect();
                let said: Vec<String> = (0..120).map(|n| n.to_string()).collect();
                assert_eq!(shown, said, "seed {seed}, client {at}, writer {writer}");
            }
        }
        assert_eq!(ring.shown[0], ring.shown[1], "seed {seed}");
    }
}

/// What a client of the ring is told at its start.
fn going_by(nick: String) -> Settings {
    Settings {
        net: NET,
        nick,
        server: None,
        only: None,
        prefer: None,
        peers: Vec::new(),
        follow: true,
        cursors: true,
        bugs: Bugs::NONE,
    }
}
