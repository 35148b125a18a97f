//! What strangers send: noise, and what was sound once. It is refused, or it is within the bounds; it never stops a process
//! and never costs more memory than its own length is worth.

use super::datagram::{self, HEADER_BYTES, Header, MAX_DATAGRAM_BYTES, Malformed};
use super::golden::{answers, entry, messages, queries, replies, requests, view};
use super::message::{
    Data, Fill, MAX_NACK_RANGES, MAX_ORDER_BATCHES, MAX_ORDER_RUNS, MAX_PARTS, MAX_ROW_RANGES, Message, Order, Run,
    RunKind, Then,
};
use super::session::{self, Bounded, Cursor, Follow, MAX_CURSOR_EPOCHS, Reply, Request};
use crate::ids::{EpochId, Pid, ServerId};
use crate::record::{MAX_SERVERS, Member, Taken, decode_batch};
use crate::seq::{IdSet, MAX_NUMBER, RangeSet};
use crate::time::Hlc;
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;

/// The bodies of everything that goes over the wire, one of each.
fn bodies() -> Vec<Vec<u8>> {
    fn all<T: serde::Serialize>(samples: Vec<T>) -> impl Iterator<Item = Vec<u8>> {
        samples.into_iter().map(|sample| postcard::to_stdvec(&sample).expect("a sample can be encoded"))
    }
    let batch = entry().batch.as_slice().to_vec();
    all(messages())
        .chain(all(requests()))
        .chain(all(replies()))
        .chain(all(queries()))
        .chain(all(answers()))
        .chain([batch])
        .collect()
}

/// Reads bytes as everything they could be meant for. What is taken is within bounds, and is what it says when said again.
fn read(body: &[u8]) -> bool {
    let _ = datagram::open(body);
    let _ = decode_batch(body);
    let message = datagram::decode(body);
    if let Ok(message) = &message {
        let again = postcard::to_stdvec(message).expect("what was decoded can be encoded");
        assert_eq!(datagram::decode(&again).as_ref(), Ok(message));
        assert!(message.is_within_bounds());
    }
    let request = session::decode::<Request>(body);
    assert!(request.as_ref().is_none_or(Bounded::is_within_bounds));
    let reply = session::decode::<Reply>(body);
    assert!(reply.as_ref().is_none_or(Bounded::is_within_bounds));
    message.is_ok() || request.is_some() || reply.is_some()
}

/// A way to harm bytes.
#[derive(Clone, Debug)]
enum Harm {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Extend(Vec<u8>),
    Splice(prop::sample::Index, prop::sample::Index, prop::sample::Index),
    Overwrite(prop::sample::Index, Vec<u8>),
}

impl Harm {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        let noise = || prop::collection::vec(any::<u8>(), 1..12);
        prop_oneof![
            (at(), 0_u8..8).prop_map(|(at, bit)| Self::Flip(at, bit)),
            at().prop_map(Self::Cut),
            noise().prop_map(Self::Extend),
            (at(), at(), at()).prop_map(|(from, at, other)| Self::Splice(from, at, other)),
            (at(), noise()).prop_map(|(at, noise)| Self::Overwrite(at, noise)),
        ]
    }

    fn harm(&self, body: &mut Vec<u8>, bodies: &[Vec<u8>]) {
        let length = body.len() + 1;
        match self {
            Self::Flip(at, bit) if !body.is_empty() => {
                let at = at.index(body.len());
                body[at] ^= 1 << bit;
            }
            Self::Flip(..) => {}
            Self::Cut(at) => body.truncate(at.index(length)),
            Self::Extend(noise) => body.extend(noise),
            Self::Splice(from, at, other) => {
                let other = &bodies[other.index(bodies.len())];
                body.truncate(at.index(length));
                body.extend(&other[from.index(other.len())..]);
            }
            Self::Overwrite(at, noise) => {
                let at = at.index(length);
                let end = (at + noise.len()).min(body.len());
                body.splice(at..end, noise.iter().copied());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_refused_or_within_bounds(body in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..30) {
        read(&body);
        read(&[&[kind], &body[..]].concat());
    }

    #[test]
    fn harmed_body_is_refused_or_within_bounds(
        which in any::<prop::sample::Index>(),
        harms in prop::collection::vec(Harm::any(), 1..4),
    ) {
        let bodies = bodies();
        let mut body = bodies[which.index(bodies.len())].clone();
        for harm in &harms {
            harm.harm(&mut body, &bodies);
        }
        read(&body);
    }

    #[test]
    fn harmed_datagram_is_refused(which in any::<prop::sample::Index>(), harms in prop::collection::vec(Harm::any(), 1..4)) {
        let messages = messages();
        let mut sound = Vec::new();
        datagram::encode(&Header::default(), &messages[which.index(messages.len())], &mut sound);
        let mut harmed = sound.clone();
        for harm in &harms {
            harm.harm(&mut harmed, &bodies());
        }
        prop_assert!(harmed == sound || datagram::open(&harmed).is_err());
    }
}

#[test]
fn datagram_with_one_bit_flipped_anywhere_is_refused() {
    let mut bytes = Vec::new();
    for message in messages() {
        datagram::encode(&Header::default(), &message, &mut bytes);
        assert!(datagram::open(&bytes).is_ok());
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(datagram::open(&bytes).is_err(), "bit {bit} of {}", message.name());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn datagram_that_is_cut_or_goes_on_is_refused() {
    let mut bytes = Vec::new();
    for message in messages() {
        datagram::encode(&Header::default(), &message, &mut bytes);
        for length in 0..bytes.len() {
            let why = if length < HEADER_BYTES { Malformed::Length } else { Malformed::Checksum };
            assert_eq!(datagram::open(&bytes[..length]), Err(why));
        }
        let body = &bytes[HEADER_BYTES..];
        assert_eq!(datagram::decode(&[body, &[0]].concat()), Err(Malformed::Message));
        assert_eq!(datagram::decode(&body[..body.len() - 1]), Err(Malformed::Message));
    }
    bytes.resize(datagram::MAX_FRAME_BYTES + 1, 0);
    assert_eq!(datagram::open(&bytes), Err(Malformed::Length));
}

#[test]
fn frame_of_a_session_that_is_cut_or_goes_on_is_refused() {
    fn check<T: serde::Serialize + serde::de::DeserializeOwned + Bounded>(samples: &[T]) {
        for frame in samples.iter().map(session::encode) {
            let body = &frame[4..];
            assert!(session::decode::<T>(body).is_some());
            assert!(session::decode::<T>(&[body, &[0]].concat()).is_none());
            assert!((0..body.len()).all(|length| session::decode::<T>(&body[..length]).is_none()));
        }
    }
    check(&requests());
    check(&replies());
}

/// What a list says about its length before it is read, by which serde allocates.
struct Promised(Option<usize>);

impl<'de> Deserialize<'de> for Promised {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Promise;
        impl<'de> Visitor<'de> for Promise {
            type Value = Promised;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Promised, A::Error> {
                Ok(Promised(list.size_hint()))
            }
        }
        from.deserialize_seq(Promise)
    }
}

/// Lengths that no body has.
const HUGE: [&[u8]; 3] = [
    &[0x80, 0x80, 0x80, 0x80, 0x10],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
];

#[test]
fn list_that_claims_more_than_is_there_makes_nobody_allocate() {
    for huge in HUGE {
        let body = [huge, &[0; 30][..]].concat();
        let promised = postcard::take_from_bytes::<Promised>(&body).map(|(promised, _)| promised.0);
        assert!(promised.as_ref().is_ok_and(|promised| promised.is_none_or(|length| length <= 30)), "{promised:?}");
        assert!(postcard::take_from_bytes::<crate::record::Payload>(&body).is_err());
        assert!(postcard::take_from_bytes::<String>(&body).is_err());
        assert!(postcard::take_from_bytes::<RangeSet>(&body).is_err());
        assert!(decode_batch(&body).is_none());
    }
}

#[test]
fn huge_length_or_number_anywhere_is_refused_or_within_bounds() {
    for body in bodies() {
        for at in 0..body.len() {
            for huge in HUGE {
                read(&[&body[..at], huge, &body[at + 1..]].concat());
            }
        }
    }
}

fn order(runs: Vec<Run>) -> Message {
    Message::Order(Order { view: crate::ids::ViewTag(1), stable: 0, first: 1, hlc: Hlc(0), runs })
}

fn run(kind: RunKind) -> Run {
    Run { origin: 0, oseq: 1, kind }
}

fn data(length: usize, part: u16, parts: u16, oseq: u64) -> Message {
    let payload = vec![0; length].into();
    Message::Data(Data { view: crate::ids::ViewTag(1), origin: 0, oseq, part, parts, payload })
}

fn members(count: usize) -> Vec<Member> {
    let pid = |server| Pid { server: ServerId(server), ..Pid::default() };
    (0..count as u64).map(|server| Member { pid: pid(server), name: "oak".into() }).collect()
}

fn epoch(num: u64) -> EpochId {
    EpochId { num, leader: Pid::default() }
}

fn propose(members: Vec<Member>, about: usize) -> Message {
    Message::Propose(super::message::Propose { epoch: epoch(1), members, about: vec![epoch(1); about] })
}

fn nack(order: usize, data: usize, last: u64) -> Message {
    let view = crate::ids::ViewTag(1);
    Message::Nack(super::message::Nack { view, order: vec![(1, last); order], data: vec![(0, 1, last); data] })
}

fn fill(first: u64, entries: usize, committed: u64) -> Message {
    Message::Fill(Box::new(Fill { view: view(), committed, closure: None, first, entries: vec![entry(); entries] }))
}

fn table(numbers: RangeSet) -> Message {
    Message::Table {
        epoch: epoch(1),
        piece: 0,
        clients: vec![(crate::ids::ClientId(1), numbers)],
        buckets: 1,
        then: Then::Nothing,
    }
}

fn odd_numbers(count: usize) -> RangeSet {
    let mut numbers = RangeSet::default();
    (0..count as u64).for_each(|n| _ = numbers.insert(2 * n + 1));
    numbers
}

/// The greatest that is taken, and the least that is not, of each limit of [`Message::is_within_bounds`].
fn limits() -> Vec<(Message, Message)> {
    let pids = |count| Message::Failed { pids: vec![Pid::default(); count] };
    let opened = |count| Message::Opened { epoch: epoch(1), hashes: vec![0; count] };
    let called = |server: &str| Message::Elsewhere { net: "den".into(), server: server.into() };
    let whole = |count| run(RunKind::Whole(count));
    let most = MAX_ORDER_BATCHES as u16;
    let too_many = MAX_ORDER_BATCHES as u16 / 2 + 1;
    let longest = "n".repeat(crate::name::MAX_CHARS);
    let mut unsorted = members(2);
    unsorted.reverse();
    let at = |number| {
        let view = crate::ids::ViewTag(1);
        [
            Message::Ack { view, have: number },
            Message::Heads(super::message::Heads { view, oseq: number, order: 0, stable: 0 }),
            Message::Heads(super::message::Heads { view, oseq: 0, order: number, stable: 0 }),
            Message::Heads(super::message::Heads { view, oseq: 0, order: 0, stable: number }),
            Message::Order(Order { view, stable: number, first: 1, hlc: Hlc(0), runs: Vec::new() }),
            Message::Order(Order { view, stable: 0, first: number, hlc: Hlc(0), runs: Vec::new() }),
            order(vec![Run { origin: 0, oseq: number, kind: RunKind::Whole(1) }]),
            Message::Prepared { epoch: epoch(number) },
            Message::Refuse { epoch: epoch(0), promised: epoch(number) },
            Message::Want { epoch: epoch(1), from: number },
            data(9, 0, 1, number),
            nack(1, 0, number),
            nack(0, 1, number),
            fill(number, 0, 0),
            fill(1, 0, number),
            table(RangeSet::of(1, number)),
        ]
    };
    let numbers = at(MAX_NUMBER).into_iter().zip(at(MAX_NUMBER + 1));
    let lists = [
        (pids(MAX_SERVERS), pids(MAX_SERVERS + 1)),
        (opened(IdSet::BUCKETS), opened(IdSet::BUCKETS + 1)),
        (opened(IdSet::BUCKETS), opened(IdSet::BUCKETS - 1)),
        (called("oak"), called("")),
        (called(&longest), called(&(longest.clone() + "n"))),
        (propose(members(MAX_SERVERS), 2 * MAX_SERVERS), propose(members(MAX_SERVERS), 2 * MAX_SERVERS + 1)),
        (propose(members(1), 0), propose(members(MAX_SERVERS + 1), 0)),
        (propose(members(1), 0), propose(Vec::new(), 0)),
        (propose(members(2), 0), propose(unsorted, 0)),
        (data(MAX_DATAGRAM_BYTES, 0, 1, 1), data(MAX_DATAGRAM_BYTES + 1, 0, 1, 1)),
        (data(9, MAX_PARTS - 1, MAX_PARTS, 1), data(9, MAX_PARTS, MAX_PARTS, 1)),
        (data(9, 0, MAX_PARTS, 1), data(9, 0, MAX_PARTS + 1, 1)),
        (data(9, 0, 1, 1), data(9, 0, 0, 1)),
        (data(9, 0, 1, 1), data(9, 0, 1, 0)),
        (order(vec![whole(1); MAX_ORDER_RUNS]), order(vec![whole(1); MAX_ORDER_RUNS + 1])),
        (order(vec![whole(1)]), order(vec![whole(0)])),
        (order(vec![whole(most)]), order(vec![whole(most + 1)])),
        (order(vec![whole(most / 2); 2]), order(vec![whole(too_many), whole(most / 2)])),
        (order(vec![run(RunKind::Parts(MAX_PARTS))]), order(vec![run(RunKind::Parts(MAX_PARTS + 1))])),
        (order(vec![run(RunKind::Some(1, Taken(0)))]), order(vec![run(RunKind::Some(0, Taken(0)))])),
        (nack(MAX_NACK_RANGES, 0, 1), nack(MAX_NACK_RANGES, 1, 1)),
        (nack(1, 1, 1), nack(1, 1, 0)),
        (fill(MAX_NUMBER - 2, 2, 0), fill(MAX_NUMBER - 1, 2, 0)),
        (fill(1, 0, 0), fill(0, 0, 0)),
        (table(odd_numbers(MAX_ROW_RANGES)), table(odd_numbers(MAX_ROW_RANGES + 1))),
        (table(RangeSet::of(1, 1)), table(RangeSet::of(2, 1))),
    ];
    numbers.chain(lists).collect()
}

#[test]
fn message_at_a_limit_is_taken_and_beyond_it_refused() {
    for (at, beyond) in limits() {
        let decode = |message: &Message| datagram::decode(&postcard::to_stdvec(message).unwrap());
        assert_eq!(decode(&at), Ok(at.clone()));
        assert_eq!(decode(&beyond), Err(Malformed::Message), "{beyond:?}");
    }
}

#[test]
fn request_at_a_limit_is_taken_and_beyond_it_refused() {
    let cursor = |count, length| Cursor { epochs: vec![(epoch(1), length); count], ..Cursor::default() };
    let fetch = |last| Request::Fetch { view: crate::ids::ViewTag(1), first: 1, last };
    let hello = |change: fn(&mut session::Hello)| {
        let Some(Request::Hello(mut hello)) = requests().into_iter().next() else { unreachable!("hello is the first") };
        change(&mut hello);
        Request::Hello(hello)
    };
    let limits = [
        (Request::Follow(cursor(MAX_CURSOR_EPOCHS, 1)), Request::Follow(cursor(MAX_CURSOR_EPOCHS + 1, 1))),
        (Request::Follow(cursor(1, MAX_NUMBER)), Request::Follow(cursor(1, MAX_NUMBER + 1))),
        (fetch(MAX_NUMBER), fetch(MAX_NUMBER + 1)),
        (hello(|hello| hello.acked_upto = MAX_NUMBER), hello(|hello| hello.acked_upto = u64::MAX)),
        (
            hello(|hello| hello.follow = Some(Follow::Now)),
            hello(|hello| {
                let epochs = vec![(EpochId::default(), u64::MAX)];
                hello.follow = Some(Follow::From(Cursor { epochs, ..Cursor::default() }));
            }),
        ),
    ];
    for (at, beyond) in limits {
        let decode = |request: &Request| session::decode::<Request>(&session::encode(request)[4..]);
        assert_eq!(decode(&at), Some(at.clone()));
        assert_eq!(decode(&beyond), None);
    }
    let entries = |first| Reply::Entries { view: crate::ids::ViewTag(1), first, entries: vec![entry()] };
    for (reply, is_sound) in [(entries(1), true), (entries(0), false), (entries(MAX_NUMBER), false)] {
        assert_eq!(session::decode::<Reply>(&session::encode(&reply)[4..]).is_some(), is_sound);
    }
}

#[test]
fn page_of_a_record_at_a_limit_is_taken_and_beyond_it_refused() {
    use super::sketch::Sketch;
    use super::trace::{MAX_PAGE_EVENTS, MAX_PAGE_NAMES, RecordPage, TraceEvent, Via, What, Whom};
    let page = |events: Vec<TraceEvent>| RecordPage { events, ..RecordPage::default() };
    let events = |count: u64, what: &What| {
        let event = |seq| TraceEvent { seq, at_us: u64::MAX, what: what.clone() };
        page((1..=count).map(event).collect())
    };
    let many = |count| events(count, &What::Durable { epoch: u64::MAX, upto: u64::MAX });
    let sketched = |sketch| events(1, &What::Received { from: Whom::All, via: Via::Link, sum: 0, bytes: 0, sketch });
    let path = |count| sketched(Sketch::Suspect { servers: vec![ServerId(1); count] });
    let names = |count| RecordPage { names: vec![(ServerId(1), "oak".into()); count], ..RecordPage::default() };
    let next = |next| RecordPage { next, ..RecordPage::default() };
    let reason = |length| events(1, &What::Dropped { reason: "x".repeat(length).into(), from: None, sum: 0 });
    let mut backwards = many(2);
    backwards.events.reverse();
    let limits = [
        (many(MAX_PAGE_EVENTS as u64), many(MAX_PAGE_EVENTS as u64 + 1)),
        (names(MAX_PAGE_NAMES), names(MAX_PAGE_NAMES + 1)),
        (path(MAX_SERVERS), path(MAX_SERVERS + 1)),
        (reason(256), reason(257)),
        (next(MAX_NUMBER), next(MAX_NUMBER + 1)),
        (many(2), backwards),
    ];
    for (at, beyond) in limits {
        let say = |page: &RecordPage| Reply::Answer { tag: 1, answer: session::Answer::Record(Box::new(page.clone())) };
        let decode = |page: &RecordPage| session::decode::<Reply>(&session::encode(&say(page))[4..]);
        assert_eq!(decode(&at), Some(say(&at)));
        assert_eq!(decode(&beyond), None);
    }
}
