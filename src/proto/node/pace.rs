//! What goes out no faster than the rate allows: data of this server's clients, and history that others want.

use super::pair::{Pair, pid};
use crate::proto::io::{Action, Input, ReadFor, RecoveredEpoch, Route};
use crate::proto::loss_detector::RETRY_MIN;
use crate::proto::pacing::{Pacer, WINDOW};
use crate::proto::settings::FILL_BYTES;
use crate::record::tests::message;
use crate::record::{Entry, Member, Taken, View, encode_batch};
use crate::time::{Hlc, Time};
use crate::wire::datagram;
use crate::wire::message::{Message, Nack};
use std::time::Duration;

/// The datagrams of data that a server sends until `end`, called when it wants to be; nobody hears them.
fn sent_until(pair: &mut Pair, at: usize, end: Time) -> usize {
    let (mut sent, mut bytes) = (0, Vec::new());
    loop {
        while let Some(route) = pair.nodes[at].poll_transmit(&mut bytes) {
            let body = datagram::open(&bytes).unwrap().1;
            sent += usize::from(route == Route::Multicast && matches!(datagram::decode(body), Ok(Message::Data(_))));
        }
        let due = pair.nodes[at].next_timeout().max(pair.now.mono + Duration::from_micros(1));
        if due > end {
            pair.now.mono = end;
            return sent;
        }
        pair.now.mono = due;
        pair.feed(at, Input::Timeout);
    }
}

#[test]
fn data_waits_for_the_rate_and_then_goes_out() {
    let mut pair = Pair::ringed();
    // Ten datagrams of some 1,260 bytes at once, then a hundred a second.
    pair.nodes[0].pacer = Pacer::between(126_000, 126_000, 13_000);
    let now = pair.now.mono;
    for cseq in 1..=30 {
        assert!(pair.nodes[0].origin.offer(now, message(1, cseq, &"x".repeat(1200))));
    }
    pair.feed(0, Input::Timeout);
    let at_once = sent_until(&mut pair, 0, now + Duration::from_millis(5));
    assert_eq!(at_once, 10);
    let later = sent_until(&mut pair, 0, now + Duration::from_millis(105));
    assert!((9..=11).contains(&later), "{later}");
}

#[test]
fn data_that_receivers_ask_for_again_slows_its_origin() {
    let mut pair = Pair::ringed();
    let (now, rate) = (pair.now.mono, pair.nodes[0].pacer.rate());
    for cseq in 1..=20 {
        pair.nodes[0].origin.offer(now, message(1, cseq, &"x".repeat(1200)));
    }
    pair.feed(0, Input::Timeout);
    sent_until(&mut pair, 0, now + Duration::from_millis(1));
    let live = pair.nodes[0].live.as_ref().unwrap();
    let nack = Nack { view: live.tag, order: Vec::new(), data: vec![(live.index as u8, 1, 20)] };
    pair.hears(0, &Message::Nack(nack));
    sent_until(&mut pair, 0, now + RETRY_MIN);
    pair.now.mono = now + WINDOW;
    pair.feed(0, Input::Timeout);
    let slowed = pair.nodes[0].pacer.rate();
    assert!(slowed < rate, "{slowed} of {rate}");
}

#[test]
fn history_for_others_is_read_one_part_at_a_time_and_no_faster_than_its_share() {
    let mut pair = Pair::ringed();
    let epoch = crate::ids::EpochId { num: 99, leader: pid(1) };
    let members = vec![Member { pid: pid(1), name: "elm".into() }];
    let view = View { epoch, members, ..View::default() };
    let old = RecoveredEpoch { view, len: 50, stable: 50, closure: Some(50), bytes: 5000, pruned: false };
    let node = &mut pair.nodes[0];
    node.epochs = crate::proto::epochs::Epochs::recovered(&crate::proto::io::Recovered {
        pid: pid(0),
        epochs: vec![old],
        ..crate::proto::io::Recovered::default()
    });
    // A quarter of it: a thousand bytes a second.
    node.pacer = Pacer::between(4_000, 4_000, 2_000);
    node.on_want(pid(1), epoch, 1);
    node.on_want(pid(0), epoch, 1);
    let reads = |pair: &mut Pair| {
        let node = &mut pair.nodes[0];
        node.send_fills();
        let budget = |action| if let Action::Read { budget_bytes, .. } = action { Some(budget_bytes) } else { None };
        std::iter::from_fn(|| node.poll_action()).filter_map(budget).collect::<Vec<_>>()
    };
    assert_eq!(reads(&mut pair), [400], "what the whole rate sends in 100 ms");
    assert!(reads(&mut pair).is_empty(), "one is being read");
    let batch = encode_batch(&[message(1, 1, &"x".repeat(3000))]);
    let entry = Entry { origin: pid(1), oseq: 1, hlc: Hlc(1), taken: Taken::first(1), batch };
    pair.nodes[0].on_read(epoch, 1, vec![entry], ReadFor::Fill(pid(1)));
    assert!(reads(&mut pair).is_empty(), "it cost more than there was");
    let due = pair.nodes[0].fills_timeout();
    let wait = due.since(pair.now.mono);
    assert!((2_000..=2_800).contains(&wait.as_millis()), "{wait:?}");
    pair.nodes[0].now.mono = due;
    pair.nodes[0].pacer = Pacer::new(125_000_000, 1 << 20);
    assert_eq!(reads(&mut pair), [FILL_BYTES], "and no more at a high rate");
}
