//! What a member of the view may say that nobody sane says: well-formed datagrams with numbers at their ends. Nothing of it
//! may stop a server, in the member's role or in the leader's.

use super::Node;
use super::pair::{NET, Pair, addr, pid};
use crate::ids::{ClientId, EpochId, Incarnation, Pid, ViewTag};
use crate::proto::event::Event;
use crate::proto::io::{Action, Input, Route, SessionId};
use crate::proto::rng::Rng;
use crate::record::tests::message;
use crate::record::{Entry, Member, Payload, Taken, View, encode_batch};
use crate::seq::{IdSet, MAX_NUMBER, RangeSet};
use crate::time::Hlc;
use crate::wire::datagram::{self, Header};
use crate::wire::message::{
    Beacon, Commit, Data, Digest, Elect, EpochDigest, Fill, Heads, Limit, LogState, Message, Nack, Order, Propose,
    Rank, Run, RunKind, State, StretchDigest, Then,
};
use crate::wire::session::{self, Cursor, Follow, Hello, Query, Reply, Request, Submit};

/// Forges messages of the pair's view.
struct Forger {
    rng: Rng,
    epoch: EpochId,
}

impl Forger {
    /// Small numbers, the ends of what is taken, and what lies beyond.
    fn number(&mut self) -> u64 {
        let ends = [MAX_NUMBER, MAX_NUMBER - 1, MAX_NUMBER - 4096, u64::MAX, u64::MAX - 1, 1 << 63, 1 << 32, 8192];
        match self.rng.below(10) {
            0..5 => self.rng.below(6),
            5..8 => ends[self.rng.below(3) as usize],
            _ => ends[self.rng.below(ends.len() as u64) as usize],
        }
    }

    fn coin(&mut self) -> bool {
        self.rng.below(2) == 0
    }

    fn tag(&self) -> ViewTag {
        self.epoch.tag()
    }

    fn other_epoch(&mut self) -> EpochId {
        match self.rng.below(3) {
            0 => self.epoch,
            _ => EpochId { num: self.number(), leader: pid(self.rng.below(2) as usize) },
        }
    }

    fn view(&mut self) -> View {
        let member = |at: usize| Member { pid: pid(at), name: ["oak", "elm"][at].into() };
        let parents = vec![(self.other_epoch(), self.number()), (self.epoch, self.number())];
        View {
            epoch: self.other_epoch(),
            members: vec![member(0), member(1)],
            parents,
            began: Hlc(self.number()),
            horizon: Hlc(self.number()),
        }
    }

    fn run(&mut self) -> Run {
        let count = [1, 2, 64, 65, 4096, u16::MAX][self.rng.below(6) as usize];
        let kind = match self.rng.below(3) {
            0 => RunKind::Whole(count),
            1 => RunKind::Parts(count),
            _ => RunKind::Some(count, Taken(self.number())),
        };
        Run { origin: self.rng.below(4) as u8, oseq: self.number(), kind }
    }

    fn entry(&mut self) -> Entry {
        let mut message = message(1, self.number(), "hello");
        message.acked_upto = self.number();
        message.floor = Hlc(self.number());
        Entry {
            origin: pid(self.rng.below(2) as usize),
            oseq: self.number(),
            hlc: Hlc(self.number()),
            taken: Taken(self.number()),
            batch: encode_batch(&[message]),
        }
    }

    fn data_path(&mut self) -> Message {
        let view = self.tag();
        match self.rng.below(6) {
            0 => Message::Data(Data {
                view,
                origin: self.rng.below(4) as u8,
                oseq: self.number(),
                part: self.rng.below(2) as u16,
                parts: self.rng.below(3) as u16,
                payload: if self.coin() { self.entry().batch } else { Payload::from(vec![255; 30]) },
            }),
            1 | 2 => {
                let runs = (0..self.rng.below(4)).map(|_| self.run()).collect();
                let (stable, first, hlc) = (self.number(), self.number(), Hlc(self.number()));
                Message::Order(Order { view, stable, first, hlc, runs })
            }
            3 => Message::Ack { view, have: self.number() },
            4 => Message::Nack(Nack {
                view,
                order: vec![(self.number(), self.number())],
                data: vec![(self.rng.below(4) as u8, self.number(), self.number())],
            }),
            _ => Message::Heads(Heads { view, oseq: self.number(), order: self.number(), stable: self.number() }),
        }
    }

    fn history(&mut self) -> Message {
        let epoch = self.other_epoch();
        match self.rng.below(8) {
            0 if self.coin() => Message::Summary {
                stretches: vec![StretchDigest { number: self.number(), epochs: u32::MAX, hash: self.number() }],
            },
            0 => Message::Digest(Digest {
                of: (0..self.rng.below(3)).map(|_| self.number()).collect(),
                epochs: vec![EpochDigest { epoch, committed: self.number(), closure: Some(self.number()) }],
                whole: self.coin(),
                answer: self.coin(),
            }),
            1 => Message::Want { epoch, from: self.number() },
            2 | 3 => Message::Fill(Box::new(Fill {
                view: self.view(),
                committed: self.number(),
                closure: Some(self.number()),
                first: self.number(),
                entries: (0..self.rng.below(3)).map(|_| self.entry()).collect(),
            })),
            5 => Message::WantPruned { hashes: vec![self.number(); IdSet::BUCKETS], above: None },
            6 => Message::Pruned {
                piece: self.rng.below(3) as u32,
                clients: vec![(ClientId(1), RangeSet::of(self.number(), self.number()))],
                then: if self.coin() { Then::Above(ClientId(self.number())) } else { Then::Nothing },
                hash: self.number(),
            },
            4 => Message::Opened { epoch: self.epoch, hashes: vec![self.number(); IdSet::BUCKETS] },
            _ => Message::Table {
                epoch: self.epoch,
                buckets: self.number() as u32,
                piece: self.rng.below(3) as u32,
                clients: vec![(ClientId(1), RangeSet::of(self.number(), self.number()))],
                then: if self.coin() { Then::Above(ClientId(self.number())) } else { Then::Nothing },
            },
        }
    }

    fn ring(&mut self) -> Message {
        let (epoch, members) = (self.other_epoch(), self.view().members);
        match self.rng.below(6) {
            0 => Message::Propose(Propose { epoch, members, about: vec![self.other_epoch()] }),
            1 => {
                let log = |forger: &mut Self| LogState {
                    epoch: forger.other_epoch(),
                    len: forger.number(),
                    stable: forger.number(),
                    closure: Some(forger.number()),
                };
                let logs = vec![log(self), log(self)];
                let (last, hlc, damaged) = (Some(self.other_epoch()), Hlc(self.number()), self.coin());
                Message::State(State {
                    epoch,
                    last,
                    last_members: vec![pid(0), pid(1)],
                    logs,
                    hlc,
                    damaged,
                    horizon: Hlc(0),
                    lets_go: Hlc(0),
                })
            }
            2 => {
                let limits = vec![Limit { epoch: self.epoch, upto: self.number(), group: vec![pid(0), pid(1)] }];
                Message::Commit(Commit { view: self.view(), limits })
            }
            3 => Message::Elect(Elect {
                num: self.number(),
                candidate: Rank { ready: true, priority: 255, pid: pid(self.rng.below(2) as usize) },
                path: vec![pid(0), pid(1)],
                hop: self.number(),
            }),
            4 => Message::Refuse { epoch, promised: self.other_epoch() },
            _ => Message::Beacon(Box::new(Beacon {
                name: "elm".into(),
                ready: self.coin(),
                view: Some(self.epoch),
                promised: self.other_epoch(),
                last: Some(self.other_epoch()),
                max_num: self.number(),
                oseq: self.number(),
                head: self.number(),
                have: self.number(),
                stable: self.number(),
                messages: self.number(),
                clients: u16::MAX,
                nacks_per_min: u16::MAX,
                clock: Hlc(self.number()),
                ..Beacon::default()
            })),
        }
    }

    fn request(&mut self, at: u64) -> Request {
        let cursor = Cursor { epochs: vec![(self.epoch, self.number())], ..Cursor::default() };
        match at {
            0 => Request::Hello(Hello {
                net: NET.0,
                version: datagram::VERSION,
                client: ClientId(5),
                nick: "ana".into(),
                follow: Some(Follow::From(cursor)),
                acked_upto: self.number(),
            }),
            1 => Request::Fetch { view: self.tag(), first: self.number(), last: self.number() },
            2 => Request::Follow(cursor),
            3 => Request::Query { tag: 1, query: Query::Record { after: self.number(), limit: self.number() as u32 } },
            _ => Request::Submit(Submit {
                cseq: self.number(),
                acked_upto: self.number(),
                floor: Hlc(self.number()),
                room: "lobby".into(),
                kind: crate::record::Kind::Text,
                body: "hello".into(),
            }),
        }
    }
}

/// What a server remembers of all that can be told to anyone.
fn recite(node: &Node) {
    let mut after = 0;
    loop {
        let page = node.record_page(after, u32::MAX);
        if page.events.is_empty() {
            return;
        }
        after = page.next;
        let told = Reply::Answer { tag: 1, answer: session::Answer::Record(Box::new(page)) };
        let frame = session::encode(&told);
        assert!(frame.len() < session::MAX_FRAME_BYTES);
        assert_eq!(session::decode::<Reply>(&frame[4..]), Some(told));
    }
}

/// Lets `forge` speak to both servers of a fresh pair, for each seed; counts what the decoder let in.
fn torment(seeds: u64, each: usize, forge: fn(&mut Forger) -> Message) -> usize {
    let mut taken = 0;
    for seed in 0..seeds {
        let mut pair = Pair::ringed();
        let mut forger = Forger { rng: Rng::new(seed), epoch: pair.epoch() };
        for at in 0..each {
            for to in 0..2 {
                taken += usize::from(pair.hears(to, &forge(&mut forger)));
            }
            if at % 4 == 0 {
                pair.pass(7);
            }
        }
        pair.pass(60);
        pair.nodes.iter().for_each(recite);
    }
    taken
}

#[test]
fn numbers_at_their_ends_on_the_data_path_stop_no_server() {
    assert!(torment(60, 24, Forger::data_path) > 500);
}

#[test]
fn numbers_at_their_ends_in_history_stop_no_server() {
    assert!(torment(60, 24, Forger::history) > 500);
}

#[test]
fn numbers_at_their_ends_in_the_view_change_stop_no_server() {
    assert!(torment(60, 12, Forger::ring) > 300);
}

#[test]
fn numbers_at_their_ends_from_clients_stop_no_server() {
    let mut taken = 0;
    for seed in 0..60 {
        let mut pair = Pair::ringed();
        let mut forger = Forger { rng: Rng::new(seed), epoch: pair.epoch() };
        for at in 0..24 {
            let kind = if at == 0 { 0 } else { forger.rng.below(7) };
            let bytes = session::encode(&forger.request(kind));
            if let Some(request) = session::decode::<Request>(&bytes[4..]) {
                taken += 1;
                for to in 0..2 {
                    pair.feed(to, Input::Session { session: SessionId(1), request: request.clone().into() });
                }
            }
            pair.pass(7);
        }
    }
    assert!(taken > 300);
}

#[test]
fn order_of_more_than_was_sent_lets_an_origin_go_on() {
    let mut pair = Pair::ringed();
    let epoch = pair.epoch();
    let to = usize::from(epoch.leader == pid(0));
    let index = to as u8;
    for oseq in [1, MAX_NUMBER] {
        let runs = vec![Run { origin: index, oseq, kind: RunKind::Whole(1) }];
        let order = Order { view: epoch.tag(), stable: 0, first: oseq.min(2), hlc: Hlc(1), runs };
        assert!(pair.hears(to, &Message::Order(order)));
    }
    let node = &mut pair.nodes[to];
    assert!(node.origin.offer(pair.now.mono, message(1, 1, "hello")));
    pair.pass(10);
    assert_eq!(pair.nodes[to].origin.head(), 1);
}

#[test]
fn leader_takes_a_place_from_nobody() {
    let mut pair = Pair::ringed();
    let leader = usize::from(!pair.nodes[0].is_leader());
    let runs = vec![Run { origin: 0, oseq: 1, kind: RunKind::Whole(1) }];
    let order = Message::Order(Order { view: pair.epoch().tag(), stable: 0, first: 1, hlc: Hlc(1), runs });
    let head = |pair: &Pair, at: usize| pair.nodes[at].live.as_ref().map(|live| live.hold_back.head());
    assert!(pair.hears(leader, &order) && pair.hears(1 - leader, &order));
    assert_eq!((head(&pair, leader), head(&pair, 1 - leader)), (Some(0), Some(1)));
}

/// The first server's id in another life.
fn twin(boot: u32) -> Pid {
    Pid { incarnation: Incarnation { boot, random: 7 }, ..pid(0) }
}

impl Pair {
    /// The first server hears `message` of another life of its own; what it tells, and what it sends to `addr(4)`.
    fn hears_of_itself(&mut self, sender: Pid, from: usize, message: &Message) -> (Vec<Event>, Vec<Message>) {
        let mut bytes = Vec::new();
        datagram::encode(&Header { net: NET, sender, client: false }, message, &mut bytes);
        let node = &mut self.nodes[0];
        node.handle(self.now, Input::Datagram { from: addr(from), multicast: false, bytes: &bytes });
        let (mut told, mut said) = (Vec::new(), Vec::new());
        while let Some(route) = node.poll_transmit(&mut bytes) {
            if route == Route::Unicast(addr(from)) {
                said.push(datagram::open(&bytes).and_then(|(_, body)| datagram::decode(body)).unwrap());
            }
        }
        while let Some(action) = node.poll_action() {
            match action {
                Action::Event(event) => told.push(event),
                Action::Left => said.push(Message::Bye),
                _ => {}
            }
        }
        (told, said)
    }
}

#[test]
fn greater_life_that_answers_takes_the_place_of_the_lesser() {
    let mut pair = Pair::ringed();
    let (told, said) = pair.hears_of_itself(twin(2), 4, &Message::Ping { nonce: 1 });
    assert_eq!((told, said), (vec![Event::Cloned { pid: twin(2), addr: addr(4) }], vec![Message::Pong { nonce: 1 }]));
    let (told, said) = pair.hears_of_itself(twin(2), 4, &Message::Bye);
    let [Message::Ping { nonce }] = said[..] else { panic!("{said:?}") };
    assert_eq!(told, []);
    let (told, said) = pair.hears_of_itself(twin(2), 4, &Message::Pong { nonce });
    assert_eq!((told, said), (vec![Event::Replaced { pid: twin(2), addr: addr(4) }], vec![Message::Bye]));
    let (told, said) = pair.hears_of_itself(twin(3), 4, &Message::Ping { nonce: 2 });
    assert_eq!((told, said), (vec![], vec![]), "who has left keeps nobody from its place");
}

#[test]
fn late_words_of_another_life_end_nobody() {
    let mut pair = Pair::ringed();
    for (boot, message) in [
        (0, Message::Bye),
        (0, Message::Pong { nonce: 0 }),
        (2, Message::Bye),
        (2, Message::Pong { nonce: 0 }),
        (u32::MAX, Message::Heads(Heads { view: ViewTag(0), oseq: 1, order: 1, stable: 1 })),
    ] {
        let (told, said) = pair.hears_of_itself(twin(boot), 4, &message);
        assert_eq!(told, [], "{message:?}");
        assert!(said.iter().all(|message| matches!(message, Message::Ping { .. })), "{said:?}");
    }
    pair.pass(10);
    assert!(pair.is_ringed());
}

#[test]
fn lesser_life_that_asks_is_told_of_once_for_each_place() {
    let mut pair = Pair::ringed();
    let mut told = Vec::new();
    for from in [4, 4, 5, 4] {
        let (events, said) = pair.hears_of_itself(twin(0), from, &Message::Ping { nonce: 9 });
        assert_eq!(said, [Message::Pong { nonce: 9 }]);
        told.extend(events);
    }
    let at = |from| Event::Cloned { pid: twin(0), addr: addr(from) };
    assert_eq!(told, [at(4), at(5)]);
}
