//! The runtime around a machine that does what a test tells it: real sockets on loopback, real threads, real TCP.

use super::archive;
use super::clock::Clock;
use super::disk::Disk;
use super::disk_line::DiskLine;
use super::frame::{LinkHello, framed};
use super::host::{Host, Parts};
use crate::ids::{ClientId, EpochId, Incarnation, MessageId, Pid, RecordKey, ServerId};
use crate::net::{Direction, FaultSwitch, Options, Role, Transport, group_of};
use crate::proto::host::Machine;
use crate::proto::io::{Action, Input, ReadFor, Recovered, Route, SessionId, Ticket, Trouble, Write};
use crate::record::Record;
use crate::store::engine::{Archive, Batch, Direction as Scan, Engine, HistoryRow, Page, Row, Table};
use crate::store::memory::MemoryEngine;
use crate::store::{Store, StoreError, conformance, sqlite};
use crate::time::{Now, Time};
use crate::wire::datagram::{self, Header, NetTag};
use crate::wire::message::Message;
use crate::wire::session::{self, Answer, Hello, HistoryQuery, Query, Refusal, Reply, Request, RoomInfo};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::VecDeque;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);
const NET: NetTag = NetTag(7);

/// What the machine was told.
#[derive(Clone, PartialEq, Debug)]
enum Seen {
    Datagram(SocketAddr, bool, Vec<u8>),
    Frame(Pid, Vec<u8>),
    Reset(Pid),
    Request(SessionId, Box<Request>),
    Ended(SessionId),
    Written(Ticket),
    Read(ReadFor),
    Left,
}

/// What the test tells the machine.
enum Order {
    Send(Route, Vec<u8>),
    Act(Action),
}

/// Tells everything, does what it is told, and answers pings.
struct Puppet {
    seen: Sender<Seen>,
    orders: Receiver<Order>,
    transmits: VecDeque<(Route, Vec<u8>)>,
    actions: VecDeque<Action>,
    next: Time,
}

impl Machine for Puppet {
    fn handle(&mut self, now: Now, input: Input<'_>) {
        let seen = match input {
            Input::Datagram { from, multicast, bytes } => Seen::Datagram(from, multicast, bytes.to_vec()),
            Input::Frame { from, bytes } => Seen::Frame(from, bytes.to_vec()),
            Input::LinkReset { pid } => Seen::Reset(pid),
            Input::Session { session, request } => {
                if *request == Request::Ping {
                    self.actions.push_back(Action::Reply { session, reply: Reply::Pong });
                }
                Seen::Request(session, request)
            }
            Input::SessionEnded { session } => Seen::Ended(session),
            Input::Written { upto } => Seen::Written(upto),
            Input::Read { purpose, .. } => Seen::Read(purpose),
            Input::Leave => {
                self.actions.push_back(Action::Left);
                Seen::Left
            }
            Input::Timeout => {
                self.next = now.mono + Duration::from_millis(1);
                for order in self.orders.try_iter() {
                    match order {
                        Order::Send(route, bytes) => self.transmits.push_back((route, bytes)),
                        Order::Act(action) => self.actions.push_back(action),
                    }
                }
                return;
            }
            _ => return,
        };
        let _ = self.seen.try_send(seen);
    }

    fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Route> {
        let (route, bytes) = self.transmits.pop_front()?;
        buf.clear();
        buf.extend_from_slice(&bytes);
        Some(route)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn next_timeout(&self) -> Time {
        self.next
    }
}

/// A server with a puppet for a machine.
struct Stage {
    host: Host,
    pid: Pid,
    addr: SocketAddr,
    seen: Receiver<Seen>,
    orders: Sender<Order>,
    faults: FaultSwitch,
}

impl Stage {
    fn new(net: &str, port: u16, number: u64) -> Self {
        let faults = FaultSwitch::default();
        let options = Options {
            role: Role::Server,
            group: group_of(net),
            port,
            interfaces: vec![],
            local: true,
            has_peers: false,
            faults: faults.clone(),
        };
        let (transport, listener) = Transport::open(options).unwrap();
        let (addr, pid) = (transport.addr(), pid(number));
        let (tell, seen) = bounded(10_000);
        let (orders, from_test) = bounded(10_000);
        let machine = Puppet {
            seen: tell,
            orders: from_test,
            transmits: VecDeque::new(),
            actions: VecDeque::new(),
            next: Time::default(),
        };
        let engine = MemoryEngine::new();
        let reader = engine.reader();
        let (store, _) = Store::open(engine, u128::from(number)).unwrap();
        let host = Host::start(Parts {
            machine,
            clock: Clock::start(),
            transport,
            listener: listener.unwrap(),
            faults: faults.clone(),
            hello: LinkHello { net: NET, pid, port: addr.port() },
            store,
            open: Box::new(|| Store::open(MemoryEngine::new(), 1)),
            has_room: Box::new(|| true),
            acks_at_once: false,
            open_archive: Arc::new(move || Ok(Box::new(reader.clone()))),
        });
        Self { host: host.unwrap(), pid, addr, seen, orders, faults }
    }

    fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    fn watch(&self, pid: Pid, addr: SocketAddr) {
        self.order(Order::Act(Action::Watch { successor: Some((pid, addr)) }));
    }

    /// Waits for something that the machine sees; what comes before it is passed over.
    fn wait(&self, mut is_it: impl FnMut(&Seen) -> bool) -> Seen {
        loop {
            let seen = self.seen.recv_timeout(DEADLINE).expect("the machine should have seen something else by now");
            if is_it(&seen) {
                return seen;
            }
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// A session that the machine knows.
    fn session(&self) -> (TcpStream, SessionId) {
        let mut stream = self.connect();
        stream.write_all(&session::encode(&Request::Hello(hello()))).unwrap();
        let seen =
            self.wait(|seen| matches!(seen, Seen::Request(_, request) if matches!(**request, Request::Hello(_))));
        let Seen::Request(session, _) = seen else { unreachable!() };
        (stream, session)
    }
}

fn pid(number: u64) -> Pid {
    Pid { server: ServerId(number), incarnation: Incarnation { boot: 1, random: 5 } }
}

fn hello() -> Hello {
    let (client, nick) = (ClientId(9), "ana".to_owned());
    Hello { net: NET.0, version: crate::wire::datagram::VERSION, client, nick, follow: None, acked_upto: 0 }
}

fn bye_from(pid: Pid) -> Vec<u8> {
    let mut bytes = Vec::new();
    datagram::encode(&Header { net: NET, sender: pid, client: false }, &Message::Bye, &mut bytes);
    bytes
}

fn reply(stream: &mut TcpStream) -> Option<Reply> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    session::decode(&body)
}

fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn datagrams_go_from_machine_to_machine_with_their_source_and_kind() {
    let (one, other) = (Stage::new("rt1", 18_301, 1), Stage::new("rt1", 18_301, 2));
    one.order(Order::Send(Route::Multicast, bye_from(one.pid)));
    one.order(Order::Send(Route::Unicast(other.addr), bye_from(one.pid)));
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let seen = other.wait(|seen| matches!(seen, Seen::Datagram(..)));
        let Seen::Datagram(from, multicast, bytes) = seen else { unreachable!() };
        assert_eq!((from, bytes), (one.addr, bye_from(one.pid)));
        kinds.push(multicast);
    }
    kinds.sort_unstable();
    assert_eq!(kinds, [false, true]);
}

#[test]
fn link_carries_frames_in_order_and_names_their_sender() {
    let (one, other) = (Stage::new("rt2", 18_302, 1), Stage::new("rt2", 18_302, 2));
    for n in 0..20_u8 {
        one.order(Order::Send(Route::Link(other.pid, other.addr), vec![n; 100_000]));
    }
    for n in 0..20_u8 {
        assert_eq!(other.wait(|seen| matches!(seen, Seen::Frame(..))), Seen::Frame(one.pid, vec![n; 100_000]));
    }
}

#[test]
fn watched_process_that_ends_is_told_at_once() {
    let (one, other) = (Stage::new("rt3", 18_303, 1), Stage::new("rt3", 18_303, 2));
    one.watch(other.pid, other.addr);
    one.order(Order::Send(Route::Link(other.pid, other.addr), bye_from(one.pid)));
    other.wait(|seen| matches!(seen, Seen::Frame(..)));
    let gone = other.pid;
    drop(other);
    one.wait(|seen| *seen == Seen::Reset(gone));
}

#[test]
fn another_process_in_a_servers_place_proves_that_it_is_gone() {
    let one = Stage::new("rt4", 18_304, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    one.watch(pid(2), listener.local_addr().unwrap());
    let (mut stream, _) = listener.accept().unwrap();
    let newer = Pid { server: ServerId(2), incarnation: Incarnation { boot: 2, random: 6 } };
    stream.write_all(&LinkHello { net: NET, pid: newer, port: 1 }.to_bytes()).unwrap();
    one.wait(|seen| *seen == Seen::Reset(pid(2)));
}

#[test]
fn silence_of_a_watched_server_proves_nothing() {
    let one = Stage::new("rt5", 18_305, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    one.watch(pid(2), listener.local_addr().unwrap());
    // It accepts and says nothing; the second attempt shows that the first was given up.
    let _first = listener.accept().unwrap();
    let _second = listener.accept().unwrap();
    assert!(!one.seen.try_iter().any(|seen| matches!(seen, Seen::Reset(_))));
}

#[test]
fn cut_link_carries_nothing_and_tells_of_no_death_until_it_is_healed() {
    let (one, other) = (Stage::new("rt6", 18_306, 1), Stage::new("rt6", 18_306, 2));
    let to_other = Route::Link(other.pid, other.addr);
    one.watch(other.pid, other.addr);
    one.order(Order::Send(to_other, vec![1]));
    assert_eq!(other.wait(|seen| matches!(seen, Seen::Frame(..))), Seen::Frame(one.pid, vec![1]));
    one.faults.cut(other.addr, Direction::Both).unwrap();
    one.order(Order::Send(to_other, vec![2]));
    let gone = other.pid;
    let seen_by_other = other.seen.clone();
    drop(other);
    assert!(!seen_by_other.try_iter().any(|seen| matches!(seen, Seen::Frame(..))));
    // A round trip through the machine's thread, long after the link broke.
    let (mut stream, _) = one.session();
    stream.write_all(&session::encode(&Request::Ping)).unwrap();
    assert_eq!(reply(&mut stream), Some(Reply::Pong));
    assert!(!one.seen.try_iter().any(|seen| matches!(seen, Seen::Reset(_))));
    one.faults.heal();
    one.wait(|seen| *seen == Seen::Reset(gone));
}

#[test]
fn frame_over_the_bound_ends_its_link_and_nothing_else() {
    let one = Stage::new("rt7", 18_307, 1);
    let mut bad = one.connect();
    bad.write_all(&LinkHello { net: NET, pid: pid(2), port: 1 }.to_bytes()).unwrap();
    bad.write_all(&(u32::MAX - 1).to_le_bytes()).unwrap();
    assert!(is_closed(&mut bad));
    let mut good = one.connect();
    good.write_all(&LinkHello { net: NET, pid: pid(3), port: 1 }.to_bytes()).unwrap();
    good.write_all(&framed(b"fine")).unwrap();
    assert_eq!(one.wait(|seen| matches!(seen, Seen::Frame(..))), Seen::Frame(pid(3), b"fine".to_vec()));
}

#[test]
fn link_of_another_net_is_told_who_is_here_and_closed() {
    let one = Stage::new("rt8", 18_308, 1);
    let mut stranger = one.connect();
    stranger.write_all(&LinkHello { net: NetTag(8), pid: pid(2), port: 1 }.to_bytes()).unwrap();
    stranger.write_all(&framed(b"let me in")).unwrap();
    let mut told = Vec::new();
    // The unread frame may reset the connection after the answer.
    let _ = stranger.read_to_end(&mut told);
    assert!(told.is_empty() || told == LinkHello { net: NET, pid: one.pid, port: one.addr.port() }.to_bytes());
    assert!(!one.seen.try_iter().any(|seen| matches!(seen, Seen::Frame(..))));
}

#[test]
fn session_is_answered_and_its_end_is_told() {
    let one = Stage::new("rt9", 18_309, 1);
    let (mut stream, session) = one.session();
    stream.write_all(&session::encode(&Request::Ping)).unwrap();
    assert_eq!(reply(&mut stream), Some(Reply::Pong));
    drop(stream);
    assert_eq!(one.wait(|seen| matches!(seen, Seen::Ended(_))), Seen::Ended(session));
}

#[test]
fn session_that_the_machine_ends_hears_what_was_said_before() {
    let one = Stage::new("rt10", 18_310, 1);
    let (mut stream, session) = one.session();
    one.order(Order::Act(Action::Reply { session, reply: Reply::Bye }));
    one.order(Order::Act(Action::EndSession { session }));
    assert_eq!(reply(&mut stream), Some(Reply::Bye));
    assert_eq!(reply(&mut stream), None);
    one.wait(|seen| *seen == Seen::Ended(session));
}

#[test]
fn malformed_request_ends_the_session_with_the_reason() {
    let one = Stage::new("rt11", 18_311, 1);
    let (mut stream, session) = one.session();
    stream.write_all(&framed(&[0xff; 30])).unwrap();
    assert_eq!(reply(&mut stream), Some(Reply::Refused(Refusal::Malformed)));
    assert_eq!(reply(&mut stream), None);
    one.wait(|seen| *seen == Seen::Ended(session));
}

#[test]
fn who_does_not_begin_with_hello_is_refused_and_unknown_to_the_machine() {
    let one = Stage::new("rt12", 18_312, 1);
    let mut stream = one.connect();
    stream.write_all(&session::encode(&Request::Ping)).unwrap();
    assert_eq!(reply(&mut stream), Some(Reply::Refused(Refusal::Malformed)));
    let mut oversized = one.connect();
    oversized.write_all(&(2_u32 << 20).to_le_bytes()).unwrap();
    assert!(is_closed(&mut oversized));
    assert!(!one.seen.try_iter().any(|seen| matches!(seen, Seen::Request(..))));
}

#[test]
fn client_that_does_not_read_is_cut_off_and_holds_up_nobody() {
    let one = Stage::new("rt13", 18_313, 1);
    let (_deaf, session) = one.session();
    let long = || Reply::Answer { tag: 1, answer: Answer::Failed("x".repeat(60_000)) };
    for _ in 0..6_000 {
        one.order(Order::Act(Action::Reply { session, reply: long() }));
    }
    one.wait(|seen| *seen == Seen::Ended(session));
    let (mut stream, _) = one.session();
    stream.write_all(&session::encode(&Request::Ping)).unwrap();
    assert_eq!(reply(&mut stream), Some(Reply::Pong));
}

/// What a client lacked was read as fast as the disk gave it; beyond 16 MiB the client was cut off, began anew at the next
/// server, and came no further there.
#[test]
fn backlog_of_a_client_that_does_not_read_waits_until_it_does() {
    let one = Stage::new("rt16", 18_316, 1);
    let (mut stream, session) = one.session();
    let record =
        Record { key: RecordKey::default(), message: crate::record::tests::message(1, 1, &"x".repeat(60_000)) };
    let records = Arc::new(vec![record]);
    let blocks = 200;
    for _ in 0..blocks {
        let (records, upto) = (records.clone(), (EpochId::default(), 1));
        let reply = Reply::Feed { records, late: true, copies: 1, of: 1, first: 1, upto, leader: String::new() };
        one.order(Order::Act(Action::Reply { session, reply }));
    }
    for purpose in [ReadFor::Session(session), ReadFor::Rooms] {
        let epoch = EpochId::default();
        one.order(Order::Act(Action::Read { epoch, first: 1, last: 1, budget_bytes: 1, purpose }));
    }
    // The disk answers in the order in which it is asked.
    assert_eq!(one.wait(|seen| matches!(seen, Seen::Read(_))), Seen::Read(ReadFor::Rooms));
    for _ in 0..blocks {
        assert!(matches!(reply(&mut stream), Some(Reply::Feed { .. })));
    }
    assert_eq!(one.wait(|seen| matches!(seen, Seen::Read(_))), Seen::Read(ReadFor::Session(session)));
}

#[test]
fn questions_about_history_are_answered_beside_the_machine() {
    let one = Stage::new("rt14", 18_314, 1);
    let (mut stream, _) = one.session();
    let query = Query::History(HistoryQuery { limit: 10, ..HistoryQuery::default() });
    stream.write_all(&session::encode(&Request::Query { tag: 42, query })).unwrap();
    let answer = Answer::Page { records: Vec::new(), more: false };
    assert_eq!(reply(&mut stream), Some(Reply::Answer { tag: 42, answer }));
    assert!(
        !one.seen
            .try_iter()
            .any(|seen| matches!(seen, Seen::Request(_, request) if matches!(*request, Request::Query { .. })))
    );
}

#[test]
fn server_that_leaves_says_goodbye_to_its_machine_and_flushes_its_disk() {
    let one = Stage::new("rt15", 18_315, 1);
    let ticket = Ticket(1);
    one.order(Order::Act(Action::Write { ticket, write: Write::Seen { num: 4 } }));
    one.wait(|seen| *seen == Seen::Written(ticket));
    let seen = one.seen.clone();
    assert!(one.host.leave());
    assert!(seen.try_iter().any(|seen| seen == Seen::Left));
    assert!(TcpStream::connect(one.addr).is_err());
}

/// An engine that fails on demand.
struct Failing {
    engine: MemoryEngine,
    fails: Arc<AtomicBool>,
}

impl Engine for Failing {
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err(StoreError::Full { path: "disk".into() });
        }
        self.engine.commit(batch)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.engine.sync()
    }

    fn scan(&self, table: Table, from: &[u8], to: &[u8], limit: usize, to_where: Scan) -> Result<Vec<Row>, StoreError> {
        self.engine.scan(table, from, to, limit, to_where)
    }

    fn message(&self, id: MessageId) -> Result<Option<HistoryRow>, StoreError> {
        self.engine.message(id)
    }

    fn numbers(&self, client: ClientId, first: u64, last: u64) -> Result<Vec<u64>, StoreError> {
        self.engine.numbers(client, first, last)
    }
}

fn failing_disk() -> (DiskLine, Arc<AtomicBool>, Pid) {
    let fails = Arc::<AtomicBool>::default();
    let switch = fails.clone();
    let mut opened = 0;
    let mut open = move || -> Result<(Store<Failing>, Recovered), StoreError> {
        opened += 1;
        Store::open(Failing { engine: MemoryEngine::new(), fails: switch.clone() }, opened)
    };
    let (store, _) = open().unwrap();
    let pid = store.pid();
    let (disk, line) = Disk::new(Box::new(open), store, false);
    std::thread::spawn(move || disk.run());
    (line, fails, pid)
}

#[test]
fn waiting_writes_are_acknowledged_as_one_group() {
    let (mut line, _, _) = failing_disk();
    for n in 1..=500 {
        line.write(Ticket(n), Write::Seen { num: n });
    }
    let mut acknowledged = 0;
    let mut last = Ticket(0);
    while last < Ticket(500) {
        let Input::Written { upto } = line.wait().unwrap() else { panic!("not a write") };
        assert!(upto > last);
        (last, acknowledged) = (upto, acknowledged + 1);
    }
    assert!(acknowledged < 500, "{acknowledged} groups");
}

#[test]
fn failed_disk_is_opened_anew_and_does_nothing_that_was_asked_for_before() {
    let (mut line, fails, pid) = failing_disk();
    fails.store(true, Ordering::Relaxed);
    line.write(Ticket(1), Write::Seen { num: 1 });
    assert!(matches!(line.wait().unwrap(), Input::WriteFailed { trouble: Trouble::Full }));
    let Input::Reopened { recovered } = line.wait().unwrap() else { panic!("not reopened") };
    assert_ne!(recovered.pid, pid, "another life");
    line.write(Ticket(2), Write::Seen { num: 2 });
    line.read(EpochId::default(), 1, 9, 1000, crate::proto::io::ReadFor::Commit);
    // Neither is answered: who asked for them is no more.
    line.begin_life();
    line.write(Ticket(3), Write::Seen { num: 3 });
    assert!(matches!(line.wait().unwrap(), Input::Written { upto: Ticket(3) }));
}

/// A disk with a little room took the first words of a new life and failed at the next, again and again; each time all clients
/// were sent away.
#[test]
fn disk_that_was_full_is_opened_again_when_it_has_room_and_not_before() {
    let (fails, room) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (switch, has_room) = (fails.clone(), room.clone());
    let open = move || Store::open(Failing { engine: MemoryEngine::new(), fails: switch.clone() }, 1);
    let (store, _) = Store::open(Failing { engine: MemoryEngine::new(), fails: fails.clone() }, 1).unwrap();
    let (disk, mut line) = Disk::new(Box::new(open), store, false);
    let disk = disk.with_room(Box::new(move || has_room.load(Ordering::Relaxed)));
    std::thread::spawn(move || disk.run());
    fails.store(true, Ordering::Relaxed);
    line.write(Ticket(1), Write::Seen { num: 1 });
    assert!(matches!(line.wait().unwrap(), Input::WriteFailed { trouble: Trouble::Full }));
    assert!(line.completions().recv_timeout(Duration::from_millis(1500)).is_err(), "it would work, without room");
    room.store(true, Ordering::Relaxed);
    assert!(matches!(line.wait().unwrap(), Input::Reopened { .. }));
}

/// A disk on a medium of its own, with an entry that is on it and not yet history.
fn disk_with_an_entry(medium: &std::path::Path) -> (DiskLine, std::thread::JoinHandle<()>) {
    let dir = medium.to_owned();
    let open = move || sqlite::open(&dir, 9);
    let (store, _) = open().unwrap();
    let (disk, mut line) = Disk::new(Box::new(open), store, false);
    let thread = std::thread::spawn(move || disk.run());
    line.write(Ticket(1), Write::Install { view: conformance::view(1, &[]) });
    line.write(
        Ticket(2),
        Write::Append { epoch: conformance::epoch(1, 1), first: 1, entries: conformance::entries(1, 1) },
    );
    while !matches!(line.wait().unwrap(), Input::Written { upto: Ticket(2) }) {}
    (line, thread)
}

/// Nobody waits for it: the next write that somebody waits for is acknowledged alone.
#[test]
fn history_is_told_to_the_disk_without_an_answer() {
    let medium = tempfile::tempdir().unwrap();
    let (mut line, _) = disk_with_an_entry(medium.path());
    line.write(Ticket(3), Write::Commit { epoch: conformance::epoch(1, 1), upto: 1 });
    line.read(conformance::epoch(1, 1), 1, 1, 1000, ReadFor::Commit);
    assert!(matches!(line.wait().unwrap(), Input::Read { .. }));
    line.write(Ticket(4), Write::Seen { num: 8 });
    assert!(matches!(line.wait().unwrap(), Input::Written { upto: Ticket(4) }));
}

#[test]
fn who_asks_for_history_finds_what_the_disk_had_put_off() {
    let medium = tempfile::tempdir().unwrap();
    let (mut line, _) = disk_with_an_entry(medium.path());
    line.write(Ticket(3), Write::Commit { epoch: conformance::epoch(1, 1), upto: 1 });
    line.index().wait();
    let page = sqlite::SqliteReader::open(medium.path()).unwrap().history(&HistoryQuery::default()).unwrap();
    assert_eq!(page.records.len(), 1);
}

#[test]
fn disk_that_is_told_to_stop_does_what_it_had_put_off() {
    let medium = tempfile::tempdir().unwrap();
    let (mut line, thread) = disk_with_an_entry(medium.path());
    line.write(Ticket(3), Write::Commit { epoch: conformance::epoch(1, 1), upto: 1 });
    line.stop();
    drop(line);
    thread.join().unwrap();
    let (_, recovered) = sqlite::open(medium.path(), 9).unwrap();
    assert_eq!(recovered.epochs[0].stable, 1);
}

/// History whose index is damaged until the store was opened anew.
struct Rotten(Arc<AtomicBool>);

impl Archive for Rotten {
    fn history(&self, _: &HistoryQuery) -> Result<Page, StoreError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(StoreError::DamagedIndex { what: "a row".to_owned() });
        }
        Ok(Page::default())
    }

    fn search(&self, _: &str, within: &HistoryQuery) -> Result<Page, StoreError> {
        self.history(within)
    }

    fn rooms(&self) -> Result<Vec<RoomInfo>, StoreError> {
        Ok(Vec::new())
    }

    fn place(&self, _: MessageId) -> Result<Option<(Record, String)>, StoreError> {
        Ok(None)
    }
}

#[test]
fn damage_met_while_answering_is_mended_by_the_disk_before_the_answer() {
    let rotten = Arc::new(AtomicBool::new(false));
    let (mended, opened) = (rotten.clone(), Arc::new(AtomicU64::new(0)));
    let count = opened.clone();
    let open = move || {
        mended.store(false, Ordering::Relaxed);
        Store::open(MemoryEngine::new(), u128::from(count.fetch_add(1, Ordering::Relaxed)))
    };
    let (store, _) = open().unwrap();
    let (disk, line) = Disk::new(Box::new(open), store, false);
    std::thread::spawn(move || disk.run());
    let index = line.index();
    let (ask, questions) = archive::questions();
    let history = rotten.clone();
    let open: archive::OpenArchive = Arc::new(move || Ok(Box::new(Rotten(history.clone()))));
    std::thread::spawn(move || archive::answer_all(&open, &index, &questions));

    rotten.store(true, Ordering::Relaxed);
    let (answered, answer) = bounded(1);
    archive::ask(&ask, Query::History(HistoryQuery::default()), move |answer| answered.send(answer).unwrap());
    let answer = answer.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(answer, Answer::Page { more: false, .. }), "{answer:?}");
    assert_eq!(opened.load(Ordering::Relaxed), 2);

    // Damage that opening anew does not mend is told, and does not keep the disk from its work.
    rotten.store(true, Ordering::Relaxed);
    let (answered, answer) = bounded(1);
    archive::ask(&ask, Query::History(HistoryQuery::default()), move |answer| answered.send(answer).unwrap());
    let answer = answer.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(&answer, Answer::Failed(why) if why.contains("damaged")), "{answer:?}");
    assert_eq!(opened.load(Ordering::Relaxed), 2);
}

/// A file that was set aside was read on by every thread that had it open, but for the one that had met the damage.
#[test]
fn history_is_read_from_the_store_that_is_open_now() {
    let open = || Store::open(MemoryEngine::new(), 1);
    let (disk, line) = Disk::new(Box::new(open), open().unwrap().0, false);
    std::thread::spawn(move || disk.run());
    let index = line.index();
    let (ask, questions) = archive::questions();
    let opened = Arc::new(AtomicU64::new(0));
    let count = opened.clone();
    let sound = Arc::new(AtomicBool::new(false));
    let open: archive::OpenArchive = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Rotten(sound.clone())))
    });
    let answering = index.clone();
    std::thread::spawn(move || archive::answer_all(&open, &answering, &questions));
    for openings in [1, 1, 2, 2] {
        if openings == 2 && index.life() == 0 {
            index.mend(StoreError::DamagedIndex { what: "met by another thread".to_owned() });
        }
        let (answered, answer) = bounded(1);
        archive::ask(&ask, Query::History(HistoryQuery::default()), move |answer| answered.send(answer).unwrap());
        assert!(matches!(answer.recv_timeout(DEADLINE).unwrap(), Answer::Page { .. }));
        assert_eq!(opened.load(Ordering::Relaxed), openings);
    }
}

/// Threads that closed the store's file within the same millisecond each found another still there, and none emptied the
/// write-ahead log: in half of the runs a server that had left kept four megabytes of it.
#[test]
fn disk_that_was_told_to_stop_closes_its_store_after_the_last_reader() {
    let (open, closed) = bounded::<()>(0);
    let reopen = move || {
        let _held_as_long_as_the_store = &open;
        Store::open(MemoryEngine::new(), 1)
    };
    let (store, _) = reopen().unwrap();
    let (disk, mut line) = Disk::new(Box::new(reopen), store, false);
    std::thread::spawn(move || disk.run());
    let reader = line.index();
    line.stop();
    drop(line);
    reader.wait();
    assert_eq!(closed.recv_timeout(Duration::from_millis(100)), Err(crossbeam_channel::RecvTimeoutError::Timeout));
    drop(reader);
    assert_eq!(closed.recv_timeout(DEADLINE), Err(crossbeam_channel::RecvTimeoutError::Disconnected));
}
