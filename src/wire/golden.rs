//! The wire, byte for byte: one value of every variant beside its bytes in `golden.txt`. Who changes one of these bytes
//! changes the protocol, and raises [`VERSION`](super::datagram::VERSION).

use super::datagram::{self, Header, NetTag};
use super::message::{
    Beacon, Commit, Data, Digest, Elect, EpochDigest, Fill, Heads, Hearing, Limit, LogState, Message, Nack, Order,
    Page, Propose, Rank, Run, RunKind, Scout, State, StretchDigest, Then,
};
use super::session::{
    Answer, Cursor, ElectionInfo, Follow, Hello, HistoryQuery, Presence, Query, Refusal, Reply, Request, RingInfo,
    RoomInfo, ServerState, ServerStatus, Status, Submit, ViewNote, Welcome,
};
use crate::ids::{ClientId, EpochId, Incarnation, MessageId, Pid, RecordKey, ServerId, ViewTag};
use crate::record::{Entry, Kind, Member, Payload, Record, Submission, Taken, View, encode_batch};
use crate::seq::{IdSet, RangeSet};
use crate::time::Hlc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::SocketAddr;

mod trace;

const GOLDEN: &str = include_str!("golden.txt");

fn pid(server: u64) -> Pid {
    Pid { server: ServerId(server), incarnation: Incarnation { boot: 1, random: 0x22 } }
}

fn epoch(num: u64) -> EpochId {
    EpochId { num, leader: pid(0x11) }
}

fn addr() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4000))
}

fn member(server: u64, name: &str) -> Member {
    Member { pid: pid(server), name: name.into() }
}

pub(super) fn view() -> View {
    View {
        epoch: epoch(7),
        members: vec![member(0x11, "oak"), member(0x12, "elm")],
        parents: vec![(epoch(6), 300)],
        began: Hlc(9),
        horizon: Hlc(8),
    }
}

pub(super) fn entry() -> Entry {
    let batch = encode_batch(&[submission(Kind::Text)]);
    Entry { origin: pid(0x12), oseq: 3, hlc: Hlc(0x0001_0000), taken: Taken(1), batch }
}

fn submission(kind: Kind) -> Submission {
    Submission {
        id: MessageId { client: ClientId(0x44), cseq: 2 },
        acked_upto: 1,
        floor: Hlc(9),
        room: "lobby".into(),
        nick: "ana".into(),
        kind,
        body: "hi".into(),
    }
}

fn key() -> RecordKey {
    RecordKey { hlc: Hlc(0x0001_0000), epoch: epoch(7), gsn: 5, idx: 1 }
}

fn record() -> Record {
    Record { key: key(), message: submission(Kind::Action) }
}

fn cursor() -> Cursor {
    Cursor { epochs: vec![(epoch(7), 5)], floor: RecordKey::default() }
}

fn note() -> ViewNote {
    ViewNote { view: view(), from: 4, left: Some((epoch(6), 300)), reason: "merge".into() }
}

fn beacon() -> Beacon {
    Beacon {
        name: "oak".into(),
        tcp_port: 4001,
        ready: true,
        leaving: false,
        read_only: false,
        resigns: false,
        priority: 1,
        view: Some(epoch(7)),
        promised: epoch(7),
        last: Some(epoch(6)),
        max_num: 7,
        oseq: 2,
        head: 5,
        have: 4,
        stable: 3,
        digest: 0x55,
        pruned: 0x56,
        messages: 128,
        clients: 6,
        nacks_per_min: 8,
        clock: Hlc(301),
        heard: vec![Hearing { pid: pid(0x12), addr: addr(), multicast: true }],
        page: Some(Page { addr: addr(), token: 300 }),
    }
}

/// One of each [`Message`], and of each [`RunKind`] and option in them.
pub(super) fn messages() -> Vec<Message> {
    let tag = ViewTag(0x77);
    let run = |oseq, kind| Run { origin: 1, oseq, kind };
    let runs = vec![run(1, RunKind::Whole(3)), run(4, RunKind::Parts(2)), run(6, RunKind::Some(1, Taken(5)))];
    let log = LogState { epoch: epoch(6), len: 301, stable: 299, closure: Some(300) };
    let candidate = Rank { ready: true, priority: 1, pid: pid(0x12) };
    let limits = vec![Limit { epoch: epoch(6), upto: 300, group: vec![pid(0x11)] }];
    let pids = vec![pid(0x12)];
    vec![
        Message::Beacon(Box::new(beacon())),
        Message::Scout(Scout { any_net: true }),
        Message::Elsewhere { net: "den".into(), server: "oak".into() },
        Message::Ping { nonce: 300 },
        Message::Pong { nonce: 300 },
        Message::Suspect { pids: pids.clone() },
        Message::Heard { pids: pids.clone() },
        Message::Failed { pids: pids.clone() },
        Message::Bye,
        Message::Elect(Elect { num: 8, candidate, path: pids, hop: 2 }),
        Message::ElectAck { hop: 2 },
        Message::Propose(Propose { epoch: epoch(7), members: view().members, about: vec![epoch(6)] }),
        Message::State(State {
            epoch: epoch(7),
            last: Some(epoch(6)),
            last_members: vec![pid(0x11)],
            logs: vec![log],
            hlc: Hlc(0x0001_0000),
            damaged: false,
            horizon: Hlc(7),
            lets_go: Hlc(8),
        }),
        Message::Refuse { epoch: epoch(7), promised: epoch(8) },
        Message::Commit(Commit { view: view(), limits }),
        Message::Prepared { epoch: epoch(7) },
        Message::Install { epoch: epoch(7) },
        Message::Opened { epoch: epoch(7), hashes: vec![0x33; IdSet::BUCKETS] },
        Message::WantTable { epoch: epoch(7), buckets: 0x8000_0001, above: Some(ClientId(0x44)) },
        Message::Table {
            epoch: epoch(7),
            buckets: 1,
            piece: 2,
            clients: vec![(ClientId(0x44), RangeSet::of(1, 300))],
            then: Then::Above(ClientId(0x44)),
        },
        Message::Data(Data { view: tag, origin: 1, oseq: 6, part: 0, parts: 2, payload: Payload::from(vec![1, 2, 3]) }),
        Message::Order(Order { view: tag, stable: 3, first: 4, hlc: Hlc(0x0001_0000), runs }),
        Message::Ack { view: tag, have: 4 },
        Message::Nack(Nack { view: tag, order: vec![(4, 5)], data: vec![(1, 6, 7)] }),
        Message::Heads(Heads { view: tag, oseq: 6, order: 5, stable: 3 }),
        Message::Digest(Digest {
            of: vec![3],
            epochs: vec![EpochDigest { epoch: epoch(6), committed: 299, closure: None }],
            whole: false,
            answer: true,
        }),
        Message::Want { epoch: epoch(6), from: 12 },
        Message::Fill(Box::new(Fill { view: view(), committed: 9, closure: None, first: 3, entries: vec![entry()] })),
        Message::Working { epoch: epoch(7) },
        Message::Probe { nonce: 300, pad: vec![0; 3] },
        Message::Echo { nonce: 300, pad: vec![0; 3] },
        Message::Summary { stretches: vec![StretchDigest { number: 300, epochs: 256, hash: 0x55 }] },
        Message::WantPruned { hashes: vec![0x33; IdSet::BUCKETS], above: None },
        Message::Pruned {
            piece: 3,
            clients: vec![(ClientId(0x44), RangeSet::of(1, 300))],
            then: Then::Nothing,
            hash: 0x56,
        },
    ]
}

/// One of each [`Request`].
pub(super) fn requests() -> Vec<Request> {
    let hello = |follow| {
        let (net, nick) = (0x99, "ana".to_owned());
        Request::Hello(Hello { net, version: datagram::VERSION, client: ClientId(0x44), nick, follow, acked_upto: 1 })
    };
    let submit = |kind| Submit { cseq: 2, acked_upto: 1, floor: Hlc(9), room: "den".into(), kind, body: "hi".into() };
    let mut requests = vec![
        hello(None),
        hello(Some(Follow::Now)),
        hello(Some(Follow::From(cursor()))),
        Request::Ping,
        Request::Hearing { multicast: true },
        Request::Fetch { view: ViewTag(0x77), first: 4, last: 300 },
        Request::Query { tag: 1, query: Query::Rooms },
        Request::Bye,
        Request::Follow(cursor()),
    ];
    let kinds = [
        Kind::Text,
        Kind::Action,
        Kind::Topic,
        Kind::Direct { to: ClientId(0x45) },
        Kind::Join,
        Kind::Leave,
        Kind::Nick,
        Kind::Gone { client: ClientId(0x45) },
    ];
    requests.extend(kinds.map(|kind| Request::Submit(submit(kind))));
    requests
}

/// One of each [`Query`].
pub(super) fn queries() -> Vec<Query> {
    let within = HistoryQuery {
        rooms: vec!["den".into()],
        from: Some("ana".into()),
        since_ms: Some(300),
        until_ms: None,
        after: Some(key()),
        before: None,
        limit: 50,
        newest: true,
        events: false,
        reader: Some(ClientId(0x44)),
    };
    vec![
        Query::History(HistoryQuery::default()),
        Query::Search { words: "tea".into(), within },
        Query::Rooms,
        Query::Who(Some("den".into())),
        Query::Status,
        Query::Ring,
        Query::Nick("ana".into()),
        Query::Record { after: 300, limit: 50 },
        Query::Place(MessageId { client: ClientId(0x44), cseq: 300 }),
    ]
}

/// One of each [`Reply`], and of each [`Refusal`].
pub(super) fn replies() -> Vec<Reply> {
    let welcome = Welcome {
        server: pid(0x11),
        name: "oak".into(),
        window: 32,
        view: Some(note()),
        cursor: Some(cursor()),
        others: vec![addr()],
        read_only: false,
    };
    let mut replies = vec![
        Reply::Welcome(welcome.into()),
        Reply::Accepted { cseq: 2 },
        Reply::Stable { cseq: 2, key: key(), copies: 2, of: 3 },
        Reply::Busy { cseq: 2, retry_ms: 250 },
        Reply::Rejected { cseq: 2, why: Refusal::TooLong },
        Reply::Feed {
            records: vec![record()].into(),
            late: true,
            copies: 2,
            of: 3,
            first: 5,
            upto: (epoch(7), 5),
            leader: "oak".into(),
        },
        Reply::View(note().into()),
        Reply::Entries { view: ViewTag(0x77), first: 3, entries: vec![entry()] },
        Reply::Pong,
        Reply::Answer { tag: 1, answer: Answer::Rooms(Vec::new()) },
        Reply::Answer { tag: 1, answer: Answer::Record(Box::new(trace::page())) },
        Reply::Bye,
    ];
    let refusals = [
        Refusal::Net,
        Refusal::Version(2),
        Refusal::NotReady,
        Refusal::Full,
        Refusal::NickTaken("ana2".into()),
        Refusal::NoSuchNick,
        Refusal::TooLong,
        Refusal::BadName,
        Refusal::ReadOnly,
        Refusal::Malformed,
    ];
    replies.extend(refusals.map(Reply::Refused));
    replies
}

/// One of each [`Answer`], and of each [`ServerState`].
pub(super) fn answers() -> Vec<Answer> {
    use ServerState::{CatchingUp, Joining, Leader, Member, Unreachable};
    let room = RoomInfo { room: "den".into(), messages: 300, people: 2, last_ms: 400, topic: "tea".into() };
    let presence = Presence { room: "den".into(), nick: "ana".into(), client: ClientId(0x44), server: "oak".into() };
    let server = |state| ServerStatus {
        name: "oak".into(),
        pid: pid(0x11),
        addr: addr(),
        state,
        multicast: true,
        stable: 3,
        lag: 1,
        clients: 2,
        nacks_per_min: 4,
        loss_per_mille: 5,
        head: 6,
        have: 4,
        page: Some(Page { addr: addr(), token: 300 }),
    };
    let status = Status {
        net: "home".into(),
        answered_by: pid(0x11),
        epoch: Some(epoch(7)),
        leader: "oak".into(),
        servers: [Leader, Member, Joining, CatchingUp, Unreachable].map(server).into(),
        rooms: 1,
        messages: 300,
        problems: vec!["slow".into()],
        pages: vec![Page { addr: addr(), token: 300 }],
        memory_only: true,
        indexed: 290,
    };
    let election = ElectionInfo {
        num: 8,
        at_ms: 400,
        started_by: "oak".into(),
        winner: Some("elm".into()),
        took_ms: Some(12),
        path: vec!["elm".into()],
    };
    let ring = RingInfo {
        ring: vec![(pid(0x11), "oak".into())],
        leader: Some(pid(0x11)),
        epoch: None,
        elections: vec![election],
    };
    vec![
        Answer::Page { records: vec![(record(), "oak".into())], more: true },
        Answer::Rooms(vec![room]),
        Answer::Who(vec![presence]),
        Answer::Status(Box::new(status)),
        Answer::Ring(Box::new(ring)),
        Answer::Failed("no".into()),
        Answer::Nick(Some(ClientId(0x44))),
        Answer::Record(Box::new(trace::page())),
    ]
}

/// Defines the number of each variant on the wire: who adds a variant is stopped here, and gives it a row.
macro_rules! numbers {
    ($($name:ident of $kind:ident: $($variant:ident)+;)+) => {$(
        fn $name(value: &$kind) -> usize {
            let variants = [$(stringify!($variant)),+];
            let name = match value { $($kind::$variant { .. } => stringify!($variant)),+ };
            variants.iter().position(|variant| *variant == name).expect("it is among them")
        }
    )+};
}

use numbers;

numbers! {
    of_message of Message: Beacon Scout Elsewhere Ping Pong Suspect Heard Failed Bye Elect ElectAck Propose State Refuse
        Commit Prepared Install Opened WantTable Table Data Order Ack Nack Heads Digest Want Fill Working Probe
        Echo Summary WantPruned Pruned;
    of_request of Request: Hello Submit Ping Hearing Fetch Query Bye Follow;
    of_reply of Reply: Welcome Refused Accepted Stable Busy Rejected Feed View Entries Pong Answer Bye;
    of_query of Query: History Search Rooms Who Status Ring Nick Record Place;
    of_answer of Answer: Page Rooms Who Status Ring Failed Nick Record;
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// The rows of `golden.txt` whose first word is `section`: a name and bytes each.
fn rows(section: &str) -> Vec<(&'static str, Vec<u8>)> {
    let words = GOLDEN.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    words.filter(|words| words.len() == 3 && words[0] == section).map(|words| (words[1], bytes(words[2]))).collect()
}

fn name_of<T: Debug>(value: &T) -> String {
    format!("{value:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(section: &str, samples: &[T], number: fn(&T) -> usize) {
    let encoded: Vec<Vec<u8>> = samples.iter().map(|sample| postcard::to_stdvec(sample).unwrap()).collect();
    let found: Vec<(String, Vec<u8>)> = samples.iter().map(name_of).zip(encoded).collect();
    let golden: Vec<(String, Vec<u8>)> = rows(section).into_iter().map(|(name, hex)| (name.to_owned(), hex)).collect();
    let text = |(name, bytes): &(String, Vec<u8>)| format!("{section} {name} {}\n", hex(bytes));
    assert!(found == golden, "the bytes are now\n{}", found.iter().map(text).collect::<String>());
    for (sample, (name, bytes)) in samples.iter().zip(&golden) {
        let (decoded, rest) = postcard::take_from_bytes::<T>(bytes).unwrap();
        assert!(decoded == *sample && rest.is_empty(), "{name} reads as {decoded:?}");
        assert_eq!(usize::from(bytes[0]), number(sample), "the number of {name}");
    }
    let numbers: BTreeSet<usize> = samples.iter().map(number).collect();
    assert!(numbers.iter().copied().eq(0..numbers.len()), "variants without a row: {numbers:?}");
    let mut beyond = vec![0; 600];
    beyond[0] = numbers.len() as u8;
    assert!(postcard::take_from_bytes::<T>(&beyond).is_err(), "{section} has a variant without a row");
}

#[test]
fn every_message_between_servers_has_its_bytes() {
    check("message", &messages(), of_message);
}

#[test]
fn every_request_of_a_client_has_its_bytes() {
    check("request", &requests(), of_request);
}

#[test]
fn every_reply_to_a_client_has_its_bytes() {
    check("reply", &replies(), of_reply);
}

#[test]
fn every_query_has_its_bytes() {
    check("query", &queries(), of_query);
}

#[test]
fn every_answer_has_its_bytes() {
    check("answer", &answers(), of_answer);
}

/// The envelope of a ping from a server, and of a scout from a client.
#[test]
fn envelope_has_its_bytes() {
    let sender = Pid { server: ServerId(0x0102_0304_0506_0708), incarnation: Incarnation { boot: 9, random: 0x0a0b } };
    let envelope = |client| Header { net: NetTag(0x1122_3344), sender, client };
    let sent =
        [(envelope(false), Message::Ping { nonce: 5 }), (envelope(true), Message::Scout(Scout { any_net: false }))];
    let golden = rows("datagram");
    let mut buf = Vec::new();
    for ((header, message), (name, bytes)) in sent.iter().zip(&golden) {
        datagram::encode(header, message, &mut buf);
        assert_eq!(hex(&buf), hex(bytes), "{name}");
    }
    assert_eq!(golden.len(), sent.len());
    for ((header, message), (_, bytes)) in sent.iter().zip(&golden) {
        let (opened, body) = datagram::open(bytes).unwrap();
        assert_eq!((opened, datagram::decode(body)), (*header, Ok(message.clone())));
    }
}

#[test]
fn frame_of_a_session_begins_with_its_length() {
    assert_eq!(super::session::encode(&Request::Hearing { multicast: true }), [2, 0, 0, 0, 3, 1]);
}
