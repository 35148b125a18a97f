//! The client on real sockets of the loopback interface, against a server that plays a script.

use super::*;
use crate::ids::{EpochId, MessageId, Pid, RecordKey, ServerId};
use crate::net::{FaultSwitch, Options, Role, Transport, group_of};
use crate::record::{Kind, Member, Record, Submission, View};
use crate::time::Hlc;
use crate::wire::datagram::{self, Header, NetTag};
use crate::wire::message::{Beacon, Message as Wire};
use crate::wire::session::{Answer, Cursor, Query, Reply, Request, Submit, ViewNote, Welcome, decode, encode};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// No test waits longer for anything.
const LIMIT: Duration = Duration::from_secs(20);
/// No server of any test is on it.
const PORT_OF_NOBODY: u16 = 18_399;

/// What a played server does with what clients say.
type Script = fn(&Request) -> Vec<Reply>;

/// A server that answers scouts, welcomes everyone and plays its script; gone when dropped.
struct Server {
    sessions: Arc<Mutex<Vec<TcpStream>>>,
    stop: Arc<AtomicBool>,
}

fn pid(server: u64) -> Pid {
    Pid { server: ServerId(server), ..Pid::default() }
}

fn epoch() -> EpochId {
    EpochId { num: 1, leader: pid(1) }
}

fn key(gsn: u64) -> RecordKey {
    RecordKey { hlc: Hlc(1000 + gsn), epoch: epoch(), gsn, idx: 0 }
}

impl Server {
    fn start(net: &'static str, port: u16, id: u64, name: &'static str, script: Script) -> Self {
        let (group, faults) = (group_of(net), FaultSwitch::default());
        let options =
            Options { role: Role::Server, group, port, interfaces: Vec::new(), local: true, has_peers: false, faults };
        let (transport, listener) = Transport::open(options).unwrap();
        let (sessions, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let beacon = Beacon { name: name.into(), tcp_port: transport.addr().port(), ready: true, ..Beacon::default() };
        let mut bytes = Vec::new();
        let header = Header { net: NetTag::of(net), sender: pid(id), client: false };
        datagram::encode(&header, &Wire::Beacon(Box::new(beacon)), &mut bytes);
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let (mut ears, mut mouth) = (transport.shared_receiver(), transport.sender());
            while !stopped.load(Ordering::Relaxed) {
                ears.receive(|arrival| mouth.send(arrival.from, &bytes)).unwrap();
                mouth.flush();
            }
        });
        let (kept, stopped) = (sessions.clone(), stop.clone());
        std::thread::spawn(move || accept(&listener.unwrap(), &kept, &stopped, id, name, script));
        Self { sessions, stop }
    }

    /// As `kill -9` does.
    fn kill(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for session in self.sessions.lock().unwrap().drain(..) {
            _ = session.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn accept(
    listener: &TcpListener,
    sessions: &Mutex<Vec<TcpStream>>,
    stop: &AtomicBool,
    id: u64,
    name: &'static str,
    script: Script,
) {
    listener.set_nonblocking(false).unwrap();
    while let Ok((stream, _)) = listener.accept() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        sessions.lock().unwrap().push(stream.try_clone().unwrap());
        std::thread::spawn(move || converse(stream, id, name, script));
    }
}

fn converse(mut stream: TcpStream, id: u64, name: &str, script: Script) {
    while let Some(request) = next(&mut stream) {
        let replies = if let Request::Hello(_) = request { welcome(id, name) } else { script(&request) };
        for reply in replies {
            if stream.write_all(&encode(&reply)).is_err() {
                return;
            }
        }
    }
}

fn next(stream: &mut TcpStream) -> Option<Request> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    decode(&body)
}

fn welcome(id: u64, name: &str) -> Vec<Reply> {
    let members = vec![Member { pid: pid(1), name: "oak".into() }, Member { pid: pid(2), name: "elm".into() }];
    let view = View { epoch: epoch(), members, ..View::default() };
    let view = Some(ViewNote { view, from: 0, left: None, reason: String::new() });
    let cursor = Some(Cursor { epochs: vec![(epoch(), 0)], floor: key(0) });
    let (server, name, others) = (pid(id), name.to_owned(), Vec::new());
    vec![Reply::Welcome(Welcome { server, name, window: 32, view, cursor, others, read_only: false }.into())]
}

fn submission(id: MessageId, submit: &Submit) -> Submission {
    let Submit { acked_upto, floor, room, kind, body, .. } = submit.clone();
    Submission { id, acked_upto, floor, room, nick: "ana".into(), kind, body }
}

fn block(first: u64, records: Vec<Record>) -> Reply {
    let upto = (epoch(), first + records.len() as u64 - 1);
    Reply::Feed { records: records.into(), late: false, copies: 2, of: 2, first, upto, leader: "oak".into() }
}

/// Takes everything, and feeds it back.
fn faithful(request: &Request) -> Vec<Reply> {
    match request {
        Request::Submit(submit) => {
            let (cseq, key) = (submit.cseq, key(submit.cseq));
            let record =
                Record { key, message: submission(MessageId { client: crate::ids::ClientId(1), cseq }, submit) };
            vec![Reply::Accepted { cseq }, Reply::Stable { cseq, key, copies: 2, of: 2 }, block(cseq, vec![record])]
        }
        Request::Query { tag, .. } => vec![Reply::Answer { tag: *tag, answer: Answer::Rooms(Vec::new()) }],
        Request::Ping => vec![Reply::Pong],
        _ => Vec::new(),
    }
}

/// Takes everything and acknowledges nothing.
fn forgetful(request: &Request) -> Vec<Reply> {
    match request {
        Request::Submit(submit) => vec![Reply::Accepted { cseq: submit.cseq }],
        Request::Ping => vec![Reply::Pong],
        _ => Vec::new(),
    }
}

/// At the first word, more than the application has room for.
fn talkative(request: &Request) -> Vec<Reply> {
    if !matches!(request, Request::Submit(submit) if submit.cseq == 1) {
        return faithful(request);
    }
    let record = |gsn| {
        let submit = Submit {
            cseq: gsn,
            acked_upto: 0,
            floor: Hlc(0),
            room: "lobby".into(),
            kind: Kind::Text,
            body: String::new(),
        };
        let message = submission(MessageId { client: crate::ids::ClientId(2), cseq: gsn }, &submit);
        Record { key: key(gsn), message }
    };
    (0..TALK / 1000)
        .map(|page| block(page * 1000 + 1, (page * 1000 + 1..=page * 1000 + 1000).map(record).collect()))
        .collect()
}

/// How much [`talkative`] says.
const TALK: u64 = 80_000;

fn builder(net: &str, port: u16) -> Builder {
    Client::builder().net(net).nick("ana").local(true).port(port)
}

fn message(client: &Client) -> Message {
    loop {
        if let Event::Message(message) = client.events().recv_timeout(LIMIT).unwrap() {
            return message;
        }
    }
}

#[test]
fn message_becomes_stable_comes_back_in_the_feed_and_questions_are_answered() {
    let _oak = Server::start("client-talks", 18_401, 1, "oak", faithful);
    let client = builder("client-talks", 18_401).follow(true).connect(LIMIT).unwrap();
    let stable = client.say("lobby", "hello").unwrap().wait(LIMIT).unwrap();
    assert_eq!((stable.id.cseq, stable.key, stable.copies, stable.of), (1, key(1), 2, 2));
    let shown = message(&client);
    assert_eq!((shown.record.message.body.as_str(), shown.leader.as_str(), shown.late), ("hello", "oak", false));
    assert_eq!(client.ask(Query::Rooms, LIMIT), Ok(Answer::Rooms(Vec::new())));
    client.close();
}

#[test]
fn server_that_dies_with_messages_under_way_costs_none_of_them() {
    let oak = Server::start("client-moves", 18_402, 1, "oak", forgetful);
    let client = builder("client-moves", 18_402).connect(LIMIT).unwrap();
    let receipts: Vec<Receipt> = (0..5).map(|n| client.say("lobby", &n.to_string()).unwrap()).collect();
    for receipt in &receipts {
        assert_eq!(receipt.progress().recv_timeout(LIMIT), Ok(Progress::Queued));
        assert_eq!(receipt.progress().recv_timeout(LIMIT), Ok(Progress::Accepted));
    }
    let _elm = Server::start("client-moves", 18_402, 2, "elm", faithful);
    oak.kill();
    for receipt in &receipts {
        assert_eq!(receipt.wait(LIMIT).unwrap().id, receipt.id());
    }
    let moved = |event: &Event| matches!(event, Event::Notice(Notice::Moved { to, resent: 5, .. }) if to == "elm");
    assert!(client.events().try_iter().any(|event| moved(&event)));
}

#[test]
fn sender_that_ends_with_messages_under_way_sends_them_when_it_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = directory.path().join("outbox");
    let client = builder("client-outbox", 18_403).outbox(&outbox).start().unwrap();
    let id = client.say("lobby", "for later").unwrap().id();
    assert!(matches!(builder("client-outbox", 18_403).outbox(&outbox).start(), Err(OpenError::OutboxInUse { .. })));
    client.close();
    let _oak = Server::start("client-outbox", 18_403, 1, "oak", faithful);
    let client = loop {
        // The thread that keeps the file lets go of it a moment after the client ended.
        match builder("client-outbox", 18_403).outbox(&outbox).start() {
            Err(OpenError::OutboxInUse { .. }) => std::thread::yield_now(),
            started => break started.unwrap(),
        }
    };
    assert_eq!(client.id(), id.client);
    let stable = |event| matches!(event, Event::Progress { id: of, progress: Progress::Stable { .. } } if of == id);
    while !stable(client.events().recv_timeout(LIMIT).unwrap()) {}
}

#[test]
fn application_that_does_not_read_its_events_for_a_while_misses_none() {
    let _oak = Server::start("client-waits", 18_404, 1, "oak", talkative);
    let client = builder("client-waits", 18_404).follow(true).connect(LIMIT).unwrap();
    client.say("lobby", "tell me").unwrap();
    while !client.events().is_full() {
        std::thread::yield_now();
    }
    let shown: Vec<u64> = (0..TALK).map(|_| message(&client).record.key.gsn).collect();
    assert!(shown.into_iter().eq(1..=TALK));
}

#[test]
fn nobody_there_is_said_after_the_time_limit() {
    let error = builder("client-alone", 18_405).connect(Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, ConnectError::NoServer), "{error}");
    let error = builder("-", 18_405).connect(LIMIT).unwrap_err();
    assert!(matches!(error, ConnectError::Open(OpenError::Name { .. })), "{error}");
}

#[test]
fn outbox_of_a_client_that_was_closed_is_free_and_tells_which_words_it_keeps() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("outbox");
    let start = || Client::builder().net("closed").port(PORT_OF_NOBODY).local(true).outbox(&path).start().unwrap();
    for said in 0..20 {
        let client = start();
        assert_eq!(client.kept().len(), said, "claims and the like are not words");
        let receipt = client.say("lobby", "anyone?").unwrap();
        assert!(!client.kept().contains(&receipt.id()));
        client.submit(Draft { room: "lobby".into(), kind: Kind::Join, body: String::new() }).unwrap();
        client.close();
    }
}
