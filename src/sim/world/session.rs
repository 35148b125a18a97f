//! Sessions: the connections of clients.

use super::server::SOCKET_DATAGRAMS;
use super::{Happening, World};
use crate::ids::MessageId;
use crate::proto::io::{Action, Input, SessionId};
use crate::proto::settings::BACKLOG_BYTES;
use crate::sim::archive::Archive;
use crate::sim::checker::Violation;
use crate::sim::client::{Wish, body_bytes};
use crate::sim::lan::Station;
use crate::time::Time;
use crate::wire::session::{self, Answer, Query, Reply, Request};
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

/// A frame of a session, where its length makes no difference.
const FRAME_BYTES: usize = 200;

/// A connection of a client, numbered from 0 in a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ConnId(pub(super) usize);

pub(super) struct Conn {
    pub(super) client: usize,
    pub(super) server: usize,
    life: u32,
    session: SessionId,
    /// Neither end has closed it.
    open: bool,
    /// Something on it was lost: nothing passes any more, but the ends do not know yet.
    broken: bool,
    /// Bytes of replies that are on their way.
    waiting: usize,
    /// What is read of the client's backlog when it has taken most of them.
    held: Option<Action>,
}

/// A client whose process is paused.
pub(super) struct Asleep {
    until: Time,
    backlog: VecDeque<Happening>,
    datagrams: usize,
}

impl World {
    fn connect(&mut self, client: usize, to: Station) {
        let from = self.clients[client].at();
        let conn = self.conns.len();
        self.conns.push(Conn {
            client,
            server: to.0,
            life: 0,
            session: SessionId(0),
            open: true,
            broken: false,
            waiting: 0,
            held: None,
        });
        self.conn_of[client] = Some(conn);
        self.stream(from, to, 0, Happening::Opens(conn));
    }

    pub(super) fn opens(&mut self, conn: usize) {
        let at = self.conns[conn].server;
        let (from, to) = (self.servers[at].station, self.clients[self.conns[conn].client].at());
        let server = &mut self.servers[at];
        if !server.powered {
            return;
        }
        let stands = server.node.is_some();
        if stands {
            server.next_session += 1;
            let session = SessionId(server.next_session);
            server.sessions.insert(session, ConnId(conn));
            self.conns[conn].session = session;
            self.conns[conn].life = server.life;
            self.checker.session_opened(at, session, self.conns[conn].client);
        }
        self.stream(from, to, 0, Happening::Opened(conn, stands));
    }

    pub(super) fn opened(&mut self, conn: usize, stands: bool) {
        let client = self.conns[conn].client;
        if self.conn_of[client] != Some(conn) || !self.conns[conn].open {
            return;
        }
        let mut wishes = std::mem::take(&mut self.wishes);
        if stands {
            self.clients[client].connected(self.time, &mut wishes);
        } else {
            self.conn_of[client] = None;
            self.clients[client].lost(self.time, &mut wishes);
        }
        self.grant(client, wishes);
    }

    pub(super) fn server_hears(&mut self, what: Happening) {
        let (Happening::ToServer(conn, _) | Happening::ClosedAtServer(conn)) = what else { return };
        let (at, life, session) = (self.conns[conn].server, self.conns[conn].life, self.conns[conn].session);
        if !self.lives(at, life) || !self.servers[at].sessions.contains_key(&session) {
            return;
        }
        match what {
            Happening::ToServer(_, request) => {
                if let Request::Query { tag, query } = &*request
                    && is_of_the_store(query)
                {
                    let answer = self.look_up(at, query);
                    return self.reply(at, session, Reply::Answer { tag: *tag, answer });
                }
                if let Request::Hello(hello) = &*request {
                    self.checker.greeted(at, session, &hello.nick);
                }
                if let Request::Follow(_) | Request::Fetch { .. } = &*request {
                    self.checker.asked_again(at, session);
                }
                self.input(at, Input::Session { session, request });
            }
            Happening::ClosedAtServer(_) => {
                self.servers[at].sessions.remove(&session);
                self.conns[conn].held = None;
                self.checker.session_ended(at, session);
                self.input(at, Input::SessionEnded { session });
            }
            _ => {}
        }
    }

    /// The server's store answers, beside its protocol.
    fn look_up(&mut self, at: usize, query: &Query) -> Answer {
        let (server, bugs) = (&mut self.servers[at], self.bugs);
        let archive = match server.archive.take() {
            Some(archive) => Ok(archive),
            None => Archive::new(bugs),
        };
        let answer = archive.and_then(|archive| server.archive.insert(archive).answer(server.disk.live(), query));
        answer.unwrap_or_else(|error| Answer::Failed(error.to_string()))
    }

    /// The client's user goes through history, if that is his way; with which question he begins.
    pub(in crate::sim) fn study(&mut self, client: usize) -> Option<Query> {
        let mut wishes = std::mem::take(&mut self.wishes);
        let query = self.clients[client].study(self.time, &mut wishes);
        if query.is_some() {
            self.checker.begins_walk(client, &self.servers);
        }
        self.grant(client, wishes);
        query
    }

    pub(super) fn reply(&mut self, at: usize, session: SessionId, reply: Reply) {
        let Some(&conn) = self.servers[at].sessions.get(&session) else { return };
        let client = self.conns[conn.0].client;
        let verdict = self.checker.replied(at, session, client, &reply, &self.servers, &mut self.counts);
        self.judge(verdict);
        self.timeline.replied(self.time, at, client, &reply);
        let (from, to) = (self.servers[at].station, self.clients[client].at());
        let conn = conn.0;
        if self.conns[conn].broken {
            return;
        }
        let bytes = self.frame_bytes(&reply);
        self.conns[conn].waiting += bytes;
        if !self.stream(from, to, bytes, Happening::ToClient(conn, Box::new(reply))) {
            self.break_conn(conn, false);
        }
    }

    /// Nothing passes on this connection any more. The client hears of it at once, or by its own silence; the server after
    /// a while.
    pub(super) fn break_conn(&mut self, conn: usize, told: bool) {
        if self.conns[conn].broken || !self.conns[conn].open {
            return;
        }
        self.conns[conn].broken = true;
        let noticed = self.time + Duration::from_millis(2000 + self.rng.below(3000));
        self.queue.plan(noticed, Happening::ClosedAtServer(conn));
        if told {
            self.close_to_client(conn);
        }
    }

    pub(super) fn close_to_client(&mut self, conn: usize) {
        let (from, to) = (self.servers[self.conns[conn].server].station, self.clients[self.conns[conn].client].at());
        self.stream(from, to, 0, Happening::ClosedAtClient(conn));
    }

    pub(super) fn closed_at_client(&mut self, conn: usize) {
        let client = self.conns[conn].client;
        if self.conn_of[client] != Some(conn) {
            return;
        }
        self.conns[conn].open = false;
        self.conn_of[client] = None;
        let mut wishes = std::mem::take(&mut self.wishes);
        self.clients[client].lost(self.time, &mut wishes);
        self.grant(client, wishes);
    }

    /// Whether a client has so much to take that its backlog waits: then this is done later.
    pub(super) fn is_held(&mut self, at: usize, session: SessionId, action: &Action) -> bool {
        let conn = self.servers[at].sessions.get(&session).map(|conn| &mut self.conns[conn.0]);
        let Some(conn) = conn.filter(|conn| conn.waiting > BACKLOG_BYTES) else { return false };
        conn.held = Some(action.clone());
        true
    }

    /// The client has taken so much of what is on its way.
    fn taken(&mut self, conn: usize, bytes: usize) {
        let Conn { server, life, waiting, held, .. } = &mut self.conns[conn];
        *waiting = waiting.saturating_sub(bytes);
        let (at, life) = (*server, *life);
        if *waiting <= BACKLOG_BYTES
            && let Some(action) = held.take()
            && self.lives(at, life)
        {
            self.act(at, action);
        }
    }

    pub(super) fn client_hears(&mut self, conn: usize, reply: Reply) {
        let client = self.conns[conn].client;
        let bytes = self.frame_bytes(&reply);
        self.taken(conn, bytes);
        if self.conn_of[client] != Some(conn) {
            return;
        }
        let mut wishes = std::mem::take(&mut self.wishes);
        self.clients[client].hear(self.time, reply, &mut wishes);
        self.grant(client, wishes);
    }

    pub(super) fn client_overhears(&mut self, client: usize, from: Station, multicast: bool, bytes: &[u8]) {
        let mut wishes = std::mem::take(&mut self.wishes);
        self.clients[client].overhear(self.time, from.addr(), multicast, bytes, &mut wishes);
        self.grant(client, wishes);
    }

    pub(super) fn client_wakes(&mut self, client: usize) {
        if self.client_wake[client] <= self.time {
            self.client_wake[client] = Time::NEVER;
        }
        let mut wishes = std::mem::take(&mut self.wishes);
        self.clients[client].tick(self.time, &mut wishes);
        self.grant(client, wishes);
    }

    fn arm_client(&mut self, client: usize) {
        let due = self.clients[client].next_tick().max(self.time);
        if due < self.client_wake[client] {
            self.client_wake[client] = due;
            self.queue.plan(due, Happening::ClientWake(client));
        }
    }

    /// The client's process does not run for a while.
    pub(in crate::sim) fn pause_client(&mut self, client: usize, wait: Duration) {
        if self.asleep.contains_key(&client) {
            return;
        }
        self.asleep.insert(client, Asleep { until: self.time + wait, backlog: VecDeque::new(), datagrams: 0 });
        self.queue.plan(self.time + wait, Happening::ClientGoesOn(client));
    }

    /// The client whose process something needs, if it needs one.
    pub(super) fn meant_for_client(&self, what: &Happening) -> Option<usize> {
        match *what {
            Happening::Overheard { client, .. } | Happening::ClientWake(client) => Some(client),
            Happening::ToClient(conn, _) | Happening::Opened(conn, _) | Happening::ClosedAtClient(conn) => {
                Some(self.conns[conn].client)
            }
            _ => None,
        }
    }

    /// Keeps what comes for a paused client; datagrams only as far as its socket holds them.
    pub(super) fn keep_for_client(&mut self, client: usize, what: Happening) {
        let Some(asleep) = self.asleep.get_mut(&client) else { return };
        if matches!(what, Happening::Overheard { .. }) {
            if asleep.datagrams >= SOCKET_DATAGRAMS {
                return;
            }
            asleep.datagrams += 1;
        }
        asleep.backlog.push_back(what);
    }

    pub(super) fn client_goes_on(&mut self, client: usize) {
        if self.asleep.get(&client).is_some_and(|asleep| asleep.until <= self.time) {
            self.wake_client(client);
        }
    }

    /// The client's process runs again, if it was paused.
    pub(in crate::sim) fn wake_client(&mut self, client: usize) {
        let Some(asleep) = self.asleep.remove(&client) else { return };
        for what in asleep.backlog {
            self.happen(what);
        }
    }

    /// The client's process is killed; another one goes on after a while.
    pub(in crate::sim) fn restart_client(&mut self, client: usize, wait: Duration) {
        if self.asleep.remove(&client).is_some() {
            // Its alarm may have been among what it slept through.
            self.client_wake[client] = Time::NEVER;
        }
        let mut wishes = std::mem::take(&mut self.wishes);
        self.clients[client].restart(self.time, wait, &mut wishes);
        self.grant(client, wishes);
    }

    /// The client leaves its server.
    pub(in crate::sim) fn move_client(&mut self, client: usize) {
        let mut wishes = std::mem::take(&mut self.wishes);
        self.clients[client].move_on(self.time, &mut wishes);
        self.grant(client, wishes);
    }

    fn grant(&mut self, client: usize, mut wishes: Vec<Wish>) {
        for wish in wishes.drain(..) {
            match wish {
                Wish::Connect(to) => self.connect(client, to),
                Wish::Say(request) => self.say(client, request),
                Wish::Close => self.close_from_client(client),
                Wish::Made { cseq, after } => {
                    self.counts.made += 1;
                    self.checker.made(client, cseq, after);
                }
                Wish::Aside { cseq, aside } => self.checker.made_aside(client, cseq, *aside),
                Wish::Acked { cseq } => {
                    self.counts.acked += 1;
                    if self.lan.has_ports() {
                        let (id, long) = (self.clients[client].id(), self.clients[client].habit().long);
                        self.counts.acked_bytes += body_bytes(MessageId { client: id, cseq }, long) as u64;
                    }
                    *self.counts.answered.entry(client).or_default() += 1;
                    if let Some(home) = self.clients[client].home() {
                        *self.counts.served.entry(home.0).or_default() += 1;
                    }
                    self.timeline.note(self.time, || format!("c{} has {cseq} acknowledged", client + 1));
                }
                Wish::Refused { cseq } => self.checker.refused(client, cseq),
                Wish::Shown(message) => self.checker.shown(message),
                Wish::ShownInOrder { record, late } => {
                    let verdict = self.checker.shown_in_order(client, &record, late);
                    self.judge(verdict);
                }
                Wish::SaidUnsaved { cseq } => {
                    let text = format!("c{} says its {cseq} before it is on its disk", client + 1);
                    self.judge(Err(Violation { property: 23, text }));
                }
                Wish::Answered(about) => {
                    self.timeline.note(self.time, || format!("c{} asked and is answered: {about:?}", client + 1));
                    let verdict = self.checker.answered(client, &about.0, &about.1, &mut self.counts);
                    self.judge(verdict);
                }
                Wish::Anew { told } => self.checker.client_anew(client, told),
                Wish::Rare(name) => self.counts.rare(name),
                Wish::Send(route, bytes) => self.scout(client, route, &bytes.into()),
            }
        }
        self.wishes = wishes;
        self.arm_client(client);
    }

    fn say(&mut self, client: usize, request: Request) {
        let Some(conn) = self.conn_of[client] else { return };
        if self.conns[conn].broken {
            return;
        }
        let (from, to) = (self.clients[client].at(), self.servers[self.conns[conn].server].station);
        let bytes = self.frame_bytes(&request);
        if !self.stream(from, to, bytes, Happening::ToServer(conn, Box::new(request))) {
            self.break_conn(conn, false);
        }
    }

    /// How long a frame of a session is; about that where it makes no difference.
    fn frame_bytes<T: Serialize>(&self, frame: &T) -> usize {
        if self.lan.has_ports() { session::encode(frame).len() } else { FRAME_BYTES }
    }

    fn close_from_client(&mut self, client: usize) {
        let Some(conn) = self.conn_of[client].take() else { return };
        self.conns[conn].open = false;
        let (from, to) = (self.clients[client].at(), self.servers[self.conns[conn].server].station);
        let closes = self.stream(from, to, 0, Happening::ClosedAtServer(conn));
        let noticed = self.time + Duration::from_millis(2000 + self.rng.below(3000));
        if !closes {
            self.queue.plan(noticed, Happening::ClosedAtServer(conn));
        }
    }
}

fn is_of_the_store(query: &Query) -> bool {
    matches!(query, Query::History(_) | Query::Search { .. } | Query::Rooms | Query::Place(_))
}
