//! The event record's parts: events that people are told, sketches of messages, and what a server did and saw.

use super::{addr, check, epoch, messages, pid, rows, view};
use crate::ids::{ClientId, MessageId, ServerId};
use crate::time::Hlc;
use crate::wire::event::Event;
use crate::wire::sketch::Sketch;
use crate::wire::trace::{RecordPage, TraceEvent, Via, What, Whom};
use std::time::Duration;

const OAK: ServerId = ServerId(0x11);

/// One of each [`Event`].
pub(super) fn events() -> Vec<Event> {
    let (name, took) = ("elm".to_owned(), Duration::from_millis(300));
    vec![
        Event::View { view: view(), addrs: vec![None, Some(addr())], reason: "merged".into() },
        Event::Ready,
        Event::Suspected { pid: pid(0x12), name: name.clone() },
        Event::Failed { pid: pid(0x12), name: name.clone(), proven: true },
        Event::Rejoined { pid: pid(0x12), name: name.clone(), missing: Some(7) },
        Event::CaughtUp { messages: 7, took },
        Event::Merged { messages: 7 },
        Event::Election { num: 8, started_by: name.clone(), winner: Some(name.clone()), took },
        Event::Proposed { epoch: epoch(8), members: 2 },
        Event::Abandoned { epoch: epoch(8), reason: "silence".into() },
        Event::Cloned { pid: pid(0x12), addr: addr() },
        Event::ReadOnly { full: true },
        Event::OtherVersion { addr: addr(), version: 9 },
        Event::Goodbye { pid: pid(0x12), name },
        Event::Replaced { pid: pid(0x12), addr: addr() },
        Event::Mended,
        Event::Damaged { what: "entry 3".into(), aside: "1 row".into(), lost: true },
        Event::LetGo { messages: 300, horizon: Hlc(9) },
    ]
}

/// One of each [`Sketch`]: of each message, as a member of its view sees it.
pub(super) fn sketches() -> Vec<Sketch> {
    let view = view();
    let tag = crate::ids::ViewTag(0x77);
    let mut sketches: Vec<Sketch> = messages().iter().map(|message| Sketch::of(message, Some((tag, &view)))).collect();
    for sketch in &mut sketches {
        if let Sketch::Data { ids, .. } = sketch {
            ids.push(MessageId { client: ClientId(0x44), cseq: 2 });
        }
    }
    sketches
}

/// One of each [`What`], with each [`Whom`] and [`Via`].
pub(super) fn whats() -> Vec<What> {
    let ids = vec![MessageId { client: ClientId(0x44), cseq: 2 }];
    let sent = |to, via, repair, sketch| What::Sent { to, via, sum: 0x0102, bytes: 300, repair, sketch };
    let (oak, at) = (Whom::Server(OAK), Whom::Addr(addr()));
    vec![
        sent(Whom::All, Via::Multicast, false, Sketch::Bye),
        sent(oak, Via::Unicast, true, Sketch::Pong { nonce: 300 }),
        sent(oak, Via::Link, false, Sketch::Digest { epochs: 300, answer: true }),
        What::Received { from: at, via: Via::Unicast, sum: 1, bytes: 30, sketch: Sketch::Scout { any_net: false } },
        What::Dropped { reason: "late".into(), from: Some(oak), sum: 1 },
        What::Accepted { id: ids[0], room: "den".into() },
        What::Durable { epoch: 7, upto: 300 },
        What::Stable { epoch: 7, upto: 300 },
        What::Delivered { epoch: 7, gsn: 300, origin: OAK, oseq: 4, copies: 2, of: 3, ids },
        What::DeliveredLate { epoch: 6, gsn: 1, upto: 300 },
        What::Event(Box::new(Event::Ready)),
    ]
}

/// A page of a record.
pub(super) fn page() -> RecordPage {
    let events = (12..).zip(whats().into_iter().take(2)).map(|(seq, what)| TraceEvent { seq, at_us: 400 + seq, what });
    RecordPage {
        server: OAK,
        began_us: 300,
        next: 13,
        lost: 4,
        events: events.collect(),
        names: vec![(OAK, "oak".into())],
    }
}

super::numbers! {
    of_event of Event: View Ready Suspected Failed Rejoined CaughtUp Merged Election Proposed Abandoned Cloned ReadOnly
        OtherVersion Goodbye Replaced Mended Damaged LetGo;
    of_sketch of Sketch: Beacon Scout Elsewhere Ping Pong Suspect Heard Failed Bye Elect ElectAck Propose State Refuse
        Commit Prepared Install Opened WantTable Table Data Order Ack Nack Heads Digest Want Fill Working Probe
        Echo Summary WantPruned Pruned;
    of_what of What: Sent Received Dropped Accepted Durable Stable Delivered DeliveredLate Event;
}

#[test]
fn every_event_has_its_bytes() {
    check("event", &events(), of_event);
}

#[test]
fn every_sketch_of_a_message_has_its_bytes_and_its_name() {
    check("sketch", &sketches(), of_sketch);
    for (message, sketch) in messages().iter().zip(sketches()) {
        assert_eq!(message.name(), sketch.name());
    }
}

#[test]
fn everything_in_a_record_has_its_bytes() {
    check("what", &whats(), of_what);
    assert_eq!(rows("what").len(), whats().len());
}
