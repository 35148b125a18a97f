//! A client, its clock, and all it has done.

use super::super::{
    Action, Client, Command, ConnectionId, Draft, Event, Input, Loaded, Message, Notice, Save, Settings,
};
use crate::ids::{ClientId, EpochId, Incarnation, MessageId, Pid, RecordKey, ServerId};
use crate::proto::bugs::Bugs;
use crate::proto::io::Route;
use crate::record::tests::message;
use crate::record::{Entry, Kind, Member, Payload, Record, Taken, View, encode_batch};
use crate::time::{Hlc, Now, Time};
use crate::wire::datagram::{self, Header, NetTag};
use crate::wire::message::{Beacon, Data, Message as Wire, Order, Run, RunKind};
use crate::wire::session::{Cursor, Reply, Request, ViewNote, Welcome};
use std::net::SocketAddr;

/// The client's own id.
pub(crate) const ME: ClientId = ClientId(77);
const NET: NetTag = NetTag(5);
const NAMES: [&str; 4] = ["none", "oak", "elm", "ash"];

pub(crate) fn pid(server: u64) -> Pid {
    Pid { server: ServerId(server), incarnation: Incarnation { boot: 1, random: 0 } }
}

pub(crate) fn epoch(num: u64) -> EpochId {
    EpochId { num, leader: pid(1) }
}

/// A view led by server 1.
pub(crate) fn view(num: u64, members: &[u64]) -> View {
    let member = |&server: &u64| Member { pid: pid(server), name: name(server).into() };
    View { epoch: epoch(num), members: members.iter().map(member).collect(), ..View::default() }
}

pub(crate) fn name(server: u64) -> &'static str {
    NAMES[server as usize]
}

pub(crate) fn addr(server: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, server as u8], 7000))
}

/// A batch of one message.
pub(crate) fn batch(client: u64, cseq: u64, body: &str) -> Payload {
    encode_batch(&[message(client, cseq, body)])
}

pub(crate) fn data(view: &View, origin: u8, oseq: u64, payload: &Payload) -> Data {
    Data { view: view.epoch.tag(), origin, oseq, part: 0, parts: 1, payload: payload.clone() }
}

/// Places for `count` batches of one datagram each.
pub(crate) fn order(view: &View, first: u64, stable: u64, origin: u8, oseq: u64, count: u16) -> Order {
    let runs = vec![Run { origin, oseq, kind: RunKind::Whole(count) }];
    Order { view: view.epoch.tag(), stable, first, hlc: hlc(view.epoch.num, first), runs }
}

/// When an entry of these tests was ordered.
pub(crate) fn hlc(num: u64, gsn: u64) -> Hlc {
    Hlc::from_wall_ms(1000 * num).plus(gsn)
}

pub(crate) fn key(num: u64, gsn: u64) -> RecordKey {
    RecordKey { hlc: hlc(num, gsn), epoch: epoch(num), gsn, idx: 0 }
}

/// The record at a place: message `gsn` of writer `num`, saying `num.gsn`.
pub(crate) fn record(num: u64, gsn: u64) -> Record {
    Record { key: key(num, gsn), message: message(num, gsn, &format!("{num}.{gsn}")) }
}

pub(crate) fn entry(num: u64, gsn: u64) -> Entry {
    let batch = encode_batch(&[record(num, gsn).message]);
    Entry { origin: pid(1), oseq: gsn, hlc: hlc(num, gsn), taken: Taken(1), batch }
}

/// A feed block of whole entries.
pub(crate) fn feed(num: u64, first: u64, last: u64) -> Reply {
    let records = (first..=last).map(|gsn| record(num, gsn)).collect::<Vec<_>>().into();
    Reply::Feed { records, late: false, copies: 2, of: 2, first, upto: (epoch(num), last), leader: "oak".into() }
}

pub(crate) fn note(num: u64, from: u64, left: Option<(EpochId, u64)>) -> ViewNote {
    ViewNote { view: view(num, &[1, 2]), from, left, reason: "test".into() }
}

pub(crate) fn draft(body: &str) -> Draft {
    Draft { room: "lobby".into(), kind: Kind::Text, body: body.into() }
}

pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) now: Time,
    pub(crate) events: Vec<Event>,
    pub(crate) requests: Vec<Request>,
    pub(crate) connects: Vec<(ConnectionId, SocketAddr)>,
    pub(crate) disconnects: Vec<ConnectionId>,
    pub(crate) routes: Vec<Route>,
    pub(crate) saves: Vec<Save>,
    /// Whether the disk answers.
    pub(crate) disk: bool,
}

impl Bench {
    pub(crate) fn new(follow: bool) -> Self {
        Self::with(follow, |_| {}, Loaded { client: ME, ..Loaded::default() })
    }

    pub(crate) fn with(follow: bool, change: impl FnOnce(&mut Settings), loaded: Loaded) -> Self {
        let mut settings = Settings {
            net: NET,
            nick: "ana".into(),
            server: None,
            only: None,
            prefer: None,
            peers: Vec::new(),
            follow,
            cursors: false,
            bugs: Bugs::NONE,
        };
        change(&mut settings);
        let client = Client::new(settings, loaded, Now::default(), 1);
        let mut bench = Self {
            client,
            now: Time(0),
            events: Vec::new(),
            requests: Vec::new(),
            connects: Vec::new(),
            disconnects: Vec::new(),
            routes: Vec::new(),
            saves: Vec::new(),
            disk: true,
        };
        bench.drain();
        bench
    }

    /// A client that is at server 1, in view 1, whose feed begins at its beginning.
    pub(crate) fn at_home() -> Self {
        let mut bench = Self::new(true);
        bench.beacon(1, true);
        bench.pass(60);
        bench.accept(Some(note(1, 0, None)));
        bench
    }

    /// … and lives on the multicast.
    pub(crate) fn on_multicast() -> Self {
        let mut bench = Self::at_home();
        for _ in 0..4 {
            bench.beacon(1, true);
            bench.pass(250);
        }
        assert!(bench.client.is_on_multicast());
        assert!(bench.asked(|request| *request == Request::Hearing { multicast: true }));
        bench
    }

    pub(crate) fn give(&mut self, input: Input<'_>) {
        self.client.handle(Now { mono: self.now, wall_ms: 0 }, input);
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(route) = self.client.poll_transmit(&mut buf) {
            self.routes.push(route);
        }
        while let Some(action) = self.client.poll_action() {
            match action {
                Action::Connect { connection, addr } => self.connects.push((connection, addr)),
                Action::Send { request, .. } => self.requests.push(request),
                Action::Disconnect(connection) => self.disconnects.push(connection),
                Action::Event(event) => self.events.push(event),
                Action::Closed => {}
                Action::Save(save) => {
                    let cseq = if let Save::Message { cseq, .. } = &save { Some(*cseq) } else { None };
                    self.saves.push(save);
                    if let Some(cseq) = cseq.filter(|_| self.disk) {
                        self.give(Input::Saved { cseq });
                    }
                }
            }
        }
    }

    /// Lets time pass, waking the client when it wants.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = Time(self.now.0 + ms * 1000);
        while self.client.next_timeout() <= until {
            self.now = self.now.max(self.client.next_timeout());
            self.give(Input::Timeout);
        }
        self.now = until;
    }

    pub(crate) fn datagram(&mut self, server: u64, multicast: bool, message: &Wire) {
        let mut bytes = Vec::new();
        datagram::encode(&Header { net: NET, sender: pid(server), client: false }, message, &mut bytes);
        let from = SocketAddr::from(([10, 0, 0, server as u8], 8285));
        self.give(Input::Datagram { from, multicast, bytes: &bytes });
    }

    pub(crate) fn beacon(&mut self, server: u64, multicast: bool) {
        let beacon = Beacon { name: name(server).into(), tcp_port: 7000, ready: true, ..Beacon::default() };
        self.datagram(server, multicast, &Wire::Beacon(Box::new(beacon)));
    }

    pub(crate) fn connection(&self) -> ConnectionId {
        self.connects.last().unwrap().0
    }

    pub(crate) fn reply(&mut self, reply: Reply) {
        self.give(Input::Reply(self.connection(), reply));
    }

    /// A server whose disk takes nothing answers a scout.
    pub(crate) fn read_only_beacon(&mut self, server: u64) {
        let beacon = Beacon { name: name(server).into(), tcp_port: 7000, read_only: true, ..Beacon::default() };
        self.datagram(server, false, &Wire::Beacon(Box::new(beacon)));
    }

    /// The server that was connected to last welcomes the client.
    pub(crate) fn accept(&mut self, view: Option<ViewNote>) {
        self.welcome(view, false);
    }

    /// The server that was connected to last has a disk that takes nothing.
    pub(crate) fn accept_read_only(&mut self) {
        self.welcome(None, true);
    }

    fn welcome(&mut self, view: Option<ViewNote>, read_only: bool) {
        let server = self.connects.last().unwrap().1;
        let number = (1..4).find(|&number| addr(number) == server).unwrap();
        self.give(Input::Connected(self.connection()));
        let cursor = view.as_ref().map(|note| Cursor {
            epochs: vec![(note.view.epoch, note.from)],
            floor: RecordKey { gsn: note.from, ..key(note.view.epoch.num, 0) },
        });
        let (server, name) = (pid(number), name(number).to_owned());
        let welcome = Welcome { server, name, window: 32, view, cursor, others: Vec::new(), read_only };
        self.reply(Reply::Welcome(welcome.into()));
    }

    pub(crate) fn break_connection(&mut self) {
        self.give(Input::Broken(self.connection()));
    }

    pub(crate) fn submit(&mut self, body: &str) -> MessageId {
        let id = self.client.submit(Now { mono: self.now, wall_ms: 0 }, draft(body)).unwrap();
        self.drain();
        id
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.give(Input::Command(command));
    }

    pub(crate) fn stable(&mut self, cseq: u64) {
        self.reply(Reply::Stable { cseq, key: key(1, cseq), copies: 2, of: 2 });
    }

    /// Whether something was asked, ever.
    pub(crate) fn asked(&self, what: impl Fn(&Request) -> bool) -> bool {
        self.requests.iter().any(what)
    }

    /// The requests since the last call.
    pub(crate) fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// The numbers submitted since the last call.
    pub(crate) fn take_submits(&mut self) -> Vec<u64> {
        let number = |request| if let Request::Submit(submit) = request { Some(submit.cseq) } else { None };
        self.take_requests().into_iter().filter_map(number).collect()
    }

    /// What was shown, as it says, late ones with an exclamation mark.
    pub(crate) fn shown(&self) -> Vec<String> {
        let text = |event: &Event| match event {
            Event::Message(Message { record, late, .. }) => {
                Some(format!("{}{}", record.message.body, if *late { "!" } else { "" }))
            }
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }

    pub(crate) fn notices(&self) -> Vec<&Notice> {
        fn notice(event: &Event) -> Option<&Notice> {
            if let Event::Notice(notice) = event { Some(notice) } else { None }
        }
        self.events.iter().filter_map(notice).collect()
    }
}
