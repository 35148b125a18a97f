//! Clients, wired: hello, submits, acknowledgements, feeds, and those who are gone.

use super::Node;
use super::disk::Disk;
use super::history::How;
use crate::ids::{ClientId, EpochId, MessageId, RecordKey};
use crate::proto::bugs::Bug;
use crate::proto::io::{Action, ReadFor, SessionId};
use crate::proto::recent::Known;
use crate::proto::session_table::{Feed, MAX_STRETCHES, Session, SessionTable, Stretch, cursor_of};
use crate::proto::settings::{BUSY_RETRY_MS, CLIENT_WINDOW, FEED_BYTES, FLOOR_AHEAD, FLOOR_RETRY_MS, GONE_AFTER};
use crate::record::{Entry, Kind, MAX_BODY_BYTES, Record, Submission, View};
use crate::time::Hlc;
use crate::wire::datagram::VERSION;
use crate::wire::session::{Follow, Hello, Refusal, Reply, Request, Submit, ViewNote, Welcome};
use std::sync::Arc;

/// Most other servers named in a welcome.
const MAX_OTHERS: usize = 8;

impl Node {
    pub(super) fn on_request(&mut self, id: SessionId, request: Request) {
        match request {
            Request::Hello(hello) => self.on_hello(id, hello),
            Request::Ping => self.reply(id, Reply::Pong),
            Request::Bye => {
                self.on_session_ended(id);
                self.out.act(Action::EndSession { session: id });
            }
            request => {
                if self.sessions.get(id).is_none() {
                    return self.refuse(id, Refusal::Malformed);
                }
                match self.disk {
                    Disk::Works => self.on_session_request(id, request),
                    Disk::Failed => self.on_reader_request(id, request),
                }
            }
        }
    }

    /// While the disk takes nothing, questions are answered; whoever has something to say is sent elsewhere.
    fn on_reader_request(&mut self, id: SessionId, request: Request) {
        match request {
            Request::Query { .. } => self.on_session_request(id, request),
            Request::Submit(submit) => {
                self.reply(id, Reply::Rejected { cseq: submit.cseq, why: Refusal::ReadOnly });
            }
            _ => {}
        }
    }

    fn on_session_request(&mut self, id: SessionId, request: Request) {
        match request {
            Request::Submit(submit) => self.on_submit(id, submit),
            Request::Hearing { multicast } => {
                if let Some(feed) = self.sessions.get_mut(id).and_then(|session| session.feed.as_mut()) {
                    feed.multicast = multicast;
                }
            }
            Request::Follow(cursor) => self.follow(id, Some(&cursor)),
            Request::Fetch { view, first, last } => self.on_fetch(id, view, first, last),
            Request::Query { tag, query } => {
                let answer = self.answer(&query);
                self.reply(id, Reply::Answer { tag, answer });
            }
            Request::Hello(_) | Request::Ping | Request::Bye => {}
        }
    }

    fn reply(&mut self, session: SessionId, reply: Reply) {
        self.out.act(Action::Reply { session, reply });
    }

    pub(super) fn refuse(&mut self, session: SessionId, why: Refusal) {
        self.reply(session, Reply::Refused(why));
        self.out.act(Action::EndSession { session });
    }

    fn on_hello(&mut self, id: SessionId, hello: Hello) {
        if let Some(why) = self.refusal_of(&hello) {
            return self.refuse(id, why);
        }
        if self.disk == Disk::Failed {
            return self.welcome_reader(id, hello);
        }
        let from_one = self.settings.bugs.has(Bug::SessionFromOne);
        let session = Session {
            client: hello.client,
            nick: hello.nick,
            next: if from_one { 1 } else { hello.acked_upto + 1 },
            feed: hello.follow.as_ref().map(|_| Feed::default()),
        };
        if let Some(before) = self.sessions.begin(id, session) {
            self.out.act(Action::EndSession { session: before });
        }
        let cursor = match &hello.follow {
            None => None,
            Some(Follow::From(cursor)) => Some(cursor.clone()),
            Some(Follow::Now) => Some(cursor_of(&self.epochs, self.latest_key())),
        };
        let welcome = Welcome {
            server: self.me,
            name: self.settings.name.clone(),
            window: CLIENT_WINDOW as u32,
            view: self.live.as_ref().map(|live| note_of(&live.view, live.delivered, None, "")),
            cursor: cursor.clone(),
            others: self.other_servers(),
            read_only: false,
        };
        self.reply(id, Reply::Welcome(Box::new(welcome)));
        if let Some(Follow::From(cursor)) = hello.follow {
            self.follow(id, Some(&cursor));
        }
    }

    /// The disk takes nothing, but what is on it can be read.
    fn welcome_reader(&mut self, id: SessionId, hello: Hello) {
        let session = Session { client: hello.client, nick: hello.nick, next: 1, feed: None };
        if let Some(before) = self.sessions.begin(id, session) {
            self.out.act(Action::EndSession { session: before });
        }
        let welcome = Welcome {
            server: self.me,
            name: self.settings.name.clone(),
            window: CLIENT_WINDOW as u32,
            view: None,
            cursor: None,
            others: self.other_servers(),
            read_only: true,
        };
        self.reply(id, Reply::Welcome(Box::new(welcome)));
    }

    /// Those who came to read are to be clients again.
    pub(super) fn dismiss_readers(&mut self) {
        for session in self.sessions.ids() {
            self.out.act(Action::EndSession { session });
        }
    }

    fn refusal_of(&self, hello: &Hello) -> Option<Refusal> {
        let is_name = |name: &str| crate::name::parse(name).is_ok_and(|parsed| parsed == name);
        if hello.version != VERSION {
            Some(Refusal::Version(VERSION))
        } else if hello.net != self.settings.net.0 {
            Some(Refusal::Net)
        } else if self.leaving || self.disk == Disk::Works && (!self.membership.is_ready() || self.disk_hangs()) {
            Some(Refusal::NotReady)
        } else if !self.sessions.has_room() {
            Some(Refusal::Full)
        } else if !is_name(&hello.nick) {
            Some(Refusal::BadName)
        } else {
            let offered = self.rooms.offer(&hello.nick, hello.client, self.hlc);
            (offered != hello.nick).then_some(Refusal::NickTaken(offered))
        }
    }

    /// Where a feed that begins now stands in the canonical order.
    fn latest_key(&self) -> RecordKey {
        RecordKey { hlc: self.hlc, epoch: self.epochs.last().unwrap_or_default(), gsn: u64::MAX, idx: u32::MAX }
    }

    fn other_servers(&self) -> Vec<std::net::SocketAddr> {
        let alive = self.detector.alive().into_iter();
        let ready = alive.filter(|pid| self.peers.beacon(*pid).is_some_and(|beacon| beacon.ready && !beacon.leaving));
        let addr = |pid| {
            let port = self.peers.beacon(pid)?.tcp_port;
            Some(std::net::SocketAddr::new(self.detector.addr(pid)?.ip(), port))
        };
        ready.filter_map(addr).take(MAX_OTHERS).collect()
    }

    fn on_submit(&mut self, id: SessionId, submit: Submit) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let message_id = MessageId { client: session.client, cseq: submit.cseq };
        if !self.settings.bugs.has(Bug::SessionFromOne) {
            session.next = session.next.max(submit.acked_upto + 1);
        }
        let (cseq, next, nick) = (submit.cseq, session.next, session.nick.clone());
        if self.ids.contains(message_id) {
            return self.acknowledge_known(id, message_id);
        }
        if self.is_floor_ahead(submit.floor) {
            return self.reply(id, Reply::Busy { cseq, retry_ms: FLOOR_RETRY_MS });
        }
        if let Some(why) = Self::rejection_of(&submit) {
            if cseq == next
                && let Some(session) = self.sessions.get_mut(id)
            {
                session.next += 1;
            }
            return self.reply(id, Reply::Rejected { cseq, why });
        }
        let unordered = self.settings.bugs.has(Bug::CseqUnordered);
        let in_turn = cseq <= next || unordered || self.origin.has(message_id);
        if !in_turn || !SessionTable::in_window(cseq, submit.acked_upto) {
            return self.reply(id, Reply::Busy { cseq, retry_ms: BUSY_RETRY_MS });
        }
        let message = Submission {
            id: message_id,
            acked_upto: submit.acked_upto,
            floor: submit.floor,
            room: submit.room,
            nick,
            kind: submit.kind,
            body: submit.body,
        };
        let (is_new, room) = (!self.origin.has(message_id), message.room.clone());
        if !self.origin.offer(self.now.mono, message) {
            return self.reply(id, Reply::Busy { cseq, retry_ms: BUSY_RETRY_MS });
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.next = session.next.max(cseq + 1);
        }
        if is_new {
            self.trace_accepted(message_id, room);
        }
        self.reply(id, Reply::Accepted { cseq });
    }

    /// Whether a client has seen a clock that is a day ahead of all this ring knows. It waits, rather than being refused
    /// for good: an earlier copy of the message, sent with a smaller floor, may still be on its way into the order, and would
    /// then sort behind what the client sent next (found by seed 1784). The clock of one server does not decide: it may
    /// itself be days behind the others' (seeds 4025313029 and 4025313067).
    fn is_floor_ahead(&self, floor: Hlc) -> bool {
        let day = Hlc::from_wall_ms(FLOOR_AHEAD.as_millis() as u64).0;
        let members = self.live.iter().flat_map(|live| &live.view.members);
        let theirs = members.filter_map(|member| self.peers.beacon(member.pid)).map(|beacon| beacon.clock);
        floor > theirs.fold(self.clock(), Hlc::max).plus(day)
    }

    /// The present as this server knows it: its wall clock, and never before anything it has stored.
    pub(super) fn clock(&self) -> Hlc {
        self.hlc.max(Hlc::from_wall_ms(self.now.wall_ms))
    }

    fn rejection_of(submit: &Submit) -> Option<Refusal> {
        let is_name = |name: &str| crate::name::parse(name).is_ok_and(|parsed| parsed == name);
        let roomless = matches!(submit.kind, Kind::Direct { .. } | Kind::Nick | Kind::Leave);
        if submit.body.len() > MAX_BODY_BYTES {
            Some(Refusal::TooLong)
        } else if !(is_name(&submit.room) || roomless && submit.room.is_empty()) {
            Some(Refusal::BadName)
        } else if matches!(submit.kind, Kind::Gone { .. }) {
            Some(Refusal::Malformed)
        } else {
            None
        }
    }

    /// A message that is history already was submitted again.
    pub(super) fn acknowledge_known(&mut self, id: SessionId, message: MessageId) {
        if self.settings.bugs.has(Bug::DuplicateSilent) {
            return;
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.next = session.next.max(message.cseq + 1);
        }
        let of = self.live.as_ref().map_or(1, |live| live.view.members.len() as u16);
        // Of a message from long ago only this server's own copy is known, and of its place that it lies below this clock.
        let old = Known { key: RecordKey { hlc: self.hlc, ..RecordKey::default() }, copies: 1 };
        let Known { key, copies } = self.recent.get(message).unwrap_or(old);
        let copies = if self.settings.bugs.has(Bug::CopiesGuessed) { of } else { copies };
        self.reply(id, Reply::Stable { cseq: message.cseq, key, copies, of: of.max(copies) });
    }

    /// A record is history: its client, if it is here, is told so.
    pub(super) fn acknowledge_client(&mut self, record: &Record, how: How) {
        let id = record.message.id;
        self.origin.settle(id);
        self.recent.note(id, record.key, how.copies);
        if let Some(session) = self.sessions.of(id.client) {
            let reply = Reply::Stable { cseq: id.cseq, key: record.key, copies: how.copies, of: how.of };
            self.reply(session, reply);
        }
    }

    /// Entries of an epoch became history: every live feed gets what it may see of them.
    pub(super) fn feed(&mut self, epoch: EpochId, gsn: u64, records: Vec<Record>, how: How) {
        let current = self.view_epoch() == Some(epoch);
        if self.settings.bugs.has(Bug::FeedSkipsFlush) && current && self.view_change.promised() > epoch {
            return;
        }
        if self.sessions.clients() == 0 {
            return;
        }
        let leader = self.leader_name(epoch);
        let records = Arc::new(records);
        for (id, session) in self.sessions.iter_mut() {
            let client = session.client;
            let Some(feed) = &mut session.feed else {
                continue;
            };
            // Whoever hears the multicast asks for what it misses, also while something that it asked for is being read.
            if feed.multicast && current && !how.late {
                continue;
            }
            if !feed.is_live() {
                feed.extend_backlog(epoch, gsn);
                continue;
            }
            let visible = visible_to(&records, client);
            if visible.is_empty() && !current {
                feed.pass_over(epoch, gsn);
                continue;
            }
            let mut first = feed.accounts_from(epoch, gsn);
            if self.settings.bugs.has(Bug::PassedOverUntold) {
                first = gsn;
            }
            let reply = feed_block(visible, epoch, first, gsn, &leader, how);
            self.out.act(Action::Reply { session: id, reply });
        }
    }

    /// Starts a client's feed from its cursor.
    fn follow(&mut self, id: SessionId, cursor: Option<&crate::wire::session::Cursor>) {
        let (Some(session), Some(cursor)) = (self.sessions.get_mut(id), cursor) else {
            return;
        };
        let feed = session.feed.get_or_insert_default();
        feed.multicast = false;
        feed.resume(cursor, &self.epochs);
        self.read_backlog(id);
    }

    fn read_backlog(&mut self, id: SessionId) {
        let Some(feed) = self.sessions.get_mut(id).and_then(|session| session.feed.as_mut()) else {
            return;
        };
        if feed.reading {
            return;
        }
        if let Some(Stretch { epoch, next, last, .. }) = feed.backlog.front().copied() {
            feed.reading = true;
            let purpose = ReadFor::Session(id);
            self.out.act(Action::Read { epoch, first: next, last, budget_bytes: FEED_BYTES, purpose });
        }
    }

    /// A stretch of a client's backlog was read, or an answer to its fetch.
    pub(super) fn on_session_read(&mut self, id: SessionId, epoch: EpochId, first: u64, entries: &[Entry]) {
        let leader = self.leader_name(epoch);
        let of = self.live.as_ref().map_or(1, |live| live.view.members.len() as u16);
        let how = How { late: self.view_epoch() != Some(epoch), copies: 1, of };
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let client = session.client;
        let Some(feed) = session.feed.as_mut().filter(|feed| feed.reading) else {
            return;
        };
        let Some(stretch) = feed.backlog.front_mut().filter(|stretch| stretch.epoch == epoch && stretch.next == first)
        else {
            return;
        };
        let upto = (first + entries.len() as u64).saturating_sub(1).min(stretch.last);
        let floor = stretch.floor;
        stretch.next = upto + 1;
        feed.reading = false;
        // A read that gives nothing has met a damaged entry: the client reads history for it.
        if entries.is_empty() || upto >= stretch.last {
            feed.backlog.pop_front();
        }
        let accounted = if entries.is_empty() { first } else { feed.accounts_from(epoch, first) };
        let records = (first..=upto).zip(entries).flat_map(|(gsn, entry)| entry.records(epoch, gsn));
        let wanted: Arc<Vec<Record>> = Arc::new(records.filter(|record| record.key >= floor).collect());
        if !entries.is_empty() {
            let block = feed_block(visible_to(&wanted, client), epoch, accounted, upto, &leader, how);
            self.reply(id, block);
        }
        self.read_backlog(id);
    }

    fn on_fetch(&mut self, id: SessionId, view: crate::ids::ViewTag, first: u64, last: u64) {
        let Some(live) = self.live.as_ref().filter(|live| live.tag == view && first > 0) else {
            return;
        };
        let (epoch, last) = (live.view.epoch, last.min(live.delivered));
        let Some(feed) = self.sessions.get_mut(id).and_then(|session| session.feed.as_mut()) else {
            return;
        };
        // Whoever waits long asks again.
        if first <= last && feed.backlog.len() < MAX_STRETCHES && !feed.will_read(epoch, first, last) {
            // It is of the present, and short: what a merge left to be read does not come first.
            let at = usize::from(feed.reading).min(feed.backlog.len());
            feed.backlog.insert(at, Stretch { epoch, next: first, last, floor: RecordKey::default() });
            self.read_backlog(id);
        }
    }

    pub(super) fn on_session_ended(&mut self, id: SessionId) {
        self.sessions.end(self.now.mono, id);
    }

    pub(super) fn end_all_sessions(&mut self) {
        for session in self.sessions.ids() {
            self.reply(session, Reply::Bye);
            self.out.act(Action::EndSession { session });
            self.sessions.end(self.now.mono, session);
        }
    }

    /// A view began: clients are told.
    pub(super) fn tell_view(&mut self, reason: &'static str, previous: Option<&View>) {
        let Some(live) = &self.live else {
            return;
        };
        let view = live.view.clone();
        let note = Box::new(note_of(&view, 0, self.left, reason));
        for session in self.sessions.ids() {
            self.reply(session, Reply::View(note.clone()));
        }
        self.tell_members(&view, reason, previous);
        self.part_homeless();
    }

    /// Clients of servers that are not in the view are gone unless they come back in time.
    pub(super) fn part_homeless(&mut self) {
        let Some(live) = &self.live else { return };
        // Whoever is still there when the leader should have told of it is told of by someone else.
        let until = self.now.mono + if live.view.epoch.leader == self.me { GONE_AFTER } else { GONE_AFTER * 3 };
        for client in self.rooms.homeless(&live.view) {
            self.sessions.part(until, client);
        }
    }

    pub(super) fn tick_sessions(&mut self) {
        if self.disk_hangs() {
            // Their messages would wait for this disk, which others need not do.
            self.end_all_sessions();
        }
        for client in self.sessions.take_gone(self.now.mono) {
            let is_elsewhere = self
                .rooms
                .home_of(client)
                .is_some_and(|home| home != self.me && self.live.as_ref().is_some_and(|live| live.view.has(home)));
            if self.rooms.rooms_of(client).is_empty() || is_elsewhere {
                continue;
            }
            let message = self.gone_message(client);
            self.origin.offer(self.now.mono, message);
        }
    }

    fn gone_message(&mut self, client: ClientId) -> Submission {
        let nick = self.rooms.nick_of(client).unwrap_or_default().to_owned();
        let id = self.sessions.own_id();
        let kind = Kind::Gone { client };
        Submission { id, acked_upto: 0, floor: self.hlc, room: String::new(), nick, kind, body: String::new() }
    }

    fn leader_name(&self, epoch: EpochId) -> String {
        self.epochs.get(epoch).map_or_else(String::new, |log| log.view.leader_name().to_owned())
    }
}

impl Feed {
    /// An entry became history while the backlog is being read: it joins its end.
    fn extend_backlog(&mut self, epoch: EpochId, gsn: u64) {
        match self.backlog.back_mut() {
            Some(stretch) if stretch.epoch == epoch && stretch.last + 1 >= gsn => stretch.last = stretch.last.max(gsn),
            _ => self.backlog.push_back(Stretch { epoch, next: gsn, last: gsn, floor: RecordKey::default() }),
        }
    }
}

fn note_of(view: &View, from: u64, left: Option<(EpochId, u64)>, reason: &str) -> ViewNote {
    ViewNote { view: view.clone(), from, left, reason: reason.to_owned() }
}

fn feed_block(records: Arc<Vec<Record>>, epoch: EpochId, first: u64, upto: u64, leader: &str, how: How) -> Reply {
    let How { late, copies, of } = how;
    Reply::Feed { records, late, copies, of, first, upto: (epoch, upto), leader: leader.to_owned() }
}

/// What a client may see: one-to-one messages only if it wrote or is to read them.
fn visible_to(records: &Arc<Vec<Record>>, client: ClientId) -> Arc<Vec<Record>> {
    let visible = |record: &&Record| match record.message.kind {
        Kind::Direct { to } => to == client || record.message.id.client == client,
        _ => true,
    };
    if records.iter().all(|record| visible(&record)) {
        return Arc::clone(records);
    }
    Arc::new(records.iter().filter(visible).cloned().collect())
}
