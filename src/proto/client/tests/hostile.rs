//! What a server may tell a client that nobody sane tells: numbers at their ends. Nothing of it may stop a client.

use super::bench::*;
use crate::proto::rng::Rng;
use crate::record::{Kind, Record, Taken};
use crate::seq::MAX_NUMBER;
use crate::time::Hlc;
use crate::wire::message::{Data, Heads, Message as Wire, Order, Run, RunKind};
use crate::wire::session::{self, Cursor, Refusal, Reply, ViewNote, Welcome};

/// Small numbers, the ends of what is taken, and what lies beyond.
fn number(rng: &mut Rng) -> u64 {
    let ends = [MAX_NUMBER, MAX_NUMBER - 1, u64::MAX - 1, u64::MAX];
    if rng.below(2) == 0 { rng.below(6) } else { ends[rng.below(ends.len() as u64) as usize] }
}

fn some_record(rng: &mut Rng) -> Record {
    let mut record = record(1, number(rng));
    record.key.hlc = Hlc(number(rng));
    record.message.id.cseq = number(rng);
    if rng.below(4) == 0 {
        record.message.id.client = ME;
        record.message.kind = Kind::Join;
    }
    record
}

fn datagram(rng: &mut Rng) -> Wire {
    let tag = epoch(1).tag();
    match rng.below(3) {
        0 => {
            let (part, parts) = (rng.below(2) as u16, rng.below(3) as u16);
            let payload = batch(1, number(rng), "hello");
            Wire::Data(Data { view: tag, origin: rng.below(4) as u8, oseq: number(rng), part, parts, payload })
        }
        1 => {
            let count = [1, 64, 8000, u16::MAX][rng.below(4) as usize];
            let kinds = [RunKind::Whole(count), RunKind::Parts(count), RunKind::Some(count, Taken(number(rng)))];
            let kind = kinds[rng.below(3) as usize];
            let runs = vec![Run { origin: rng.below(4) as u8, oseq: number(rng), kind }];
            let hlc = Hlc(number(rng));
            Wire::Order(Order { view: tag, stable: number(rng), first: number(rng), hlc, runs })
        }
        _ => Wire::Heads(Heads { view: tag, oseq: number(rng), order: number(rng), stable: number(rng) }),
    }
}

fn some_note(rng: &mut Rng) -> ViewNote {
    let num = 1 + rng.below(2) * number(rng).min(u64::MAX - 1);
    let mut view = view(num, &[1, 2]);
    view.parents = vec![(epoch(number(rng)), number(rng))];
    ViewNote { view, from: number(rng), left: Some((epoch(1), number(rng))), reason: "test".into() }
}

fn reply(rng: &mut Rng) -> Reply {
    let (copies, of) = (u16::MAX, 0);
    match rng.below(8) {
        0 => Reply::Accepted { cseq: number(rng) },
        1 => Reply::Stable { cseq: number(rng), key: some_record(rng).key, copies, of },
        2 => Reply::Busy { cseq: number(rng), retry_ms: number(rng) as u32 },
        3 => Reply::Rejected { cseq: number(rng), why: Refusal::ReadOnly },
        4 => Reply::View(some_note(rng).into()),
        5 => {
            let mut entry = entry(1, 1);
            (entry.oseq, entry.hlc, entry.taken) = (number(rng), Hlc(number(rng)), Taken(number(rng)));
            Reply::Entries { view: epoch(1).tag(), first: number(rng), entries: vec![entry; rng.below(3) as usize] }
        }
        _ => {
            let records = (0..rng.below(3)).map(|_| some_record(rng)).collect::<Vec<_>>().into();
            let upto = (epoch(if rng.below(3) == 0 { number(rng) } else { 1 }), number(rng));
            Reply::Feed { records, late: rng.below(2) == 0, copies, of, first: number(rng), upto, leader: "oak".into() }
        }
    }
}

#[test]
fn numbers_at_their_ends_stop_no_client() {
    let mut taken = 0;
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let mut bench = if seed % 2 == 0 { Bench::on_multicast() } else { Bench::at_home() };
        bench.submit("hello");
        for _ in 0..30 {
            if rng.below(2) == 0 {
                bench.datagram(1, true, &datagram(&mut rng));
            } else if let Some(reply) = session::decode::<Reply>(&session::encode(&reply(&mut rng))[4..]) {
                taken += 1;
                bench.reply(reply);
            }
            bench.pass(5);
        }
        bench.pass(300);
    }
    assert!(taken > 300, "{taken}");
}

#[test]
fn welcome_with_numbers_at_their_ends_stops_no_client() {
    let mut taken = 0;
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let mut bench = Bench::new(true);
        bench.beacon(1, true);
        bench.pass(60);
        bench.give(super::super::Input::Connected(bench.connection()));
        bench.submit("hello");
        let cursor = Cursor { epochs: vec![(epoch(1), number(&mut rng))], floor: some_record(&mut rng).key };
        let welcome = Welcome {
            server: pid(1),
            name: "oak".into(),
            window: number(&mut rng) as u32,
            view: Some(some_note(&mut rng)),
            cursor: Some(cursor),
            others: vec![addr(2)],
            read_only: number(&mut rng).is_multiple_of(4),
        };
        let frame = session::encode(&Reply::Welcome(welcome.into()));
        if let Some(reply) = session::decode::<Reply>(&frame[4..]) {
            taken += 1;
            bench.reply(reply);
            bench.reply(feed(1, 1, 2));
            bench.submit("again");
            bench.pass(300);
        }
    }
    assert!(taken > 20, "{taken}");
}
