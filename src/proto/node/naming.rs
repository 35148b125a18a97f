//! One nick for two people, after a merge: the one who claimed it later is told at once.

use super::pair::{NET, Pair, pid};
use crate::ids::{ClientId, MessageId};
use crate::proto::io::{Action, Input, SessionId};
use crate::proto::node::history::How;
use crate::proto::rooms::Rooms;
use crate::record::{Entry, Kind, Submission, Taken, encode_batch};
use crate::time::Hlc;
use crate::wire::datagram;
use crate::wire::session::{Hello, Refusal, Reply, Request};

const BOB: ClientId = ClientId(5);
const ANA: ClientId = ClientId(6);

const SESSION: SessionId = SessionId(3);

/// A claim on the nick Sam, as a log has it.
fn claim(client: ClientId, ms: u64) -> Entry {
    let message = Submission {
        id: MessageId { client, cseq: 1 },
        acked_upto: 0,
        floor: Hlc(0),
        room: "lobby".into(),
        nick: "Sam".into(),
        kind: Kind::Join,
        body: String::new(),
    };
    let batch = encode_batch(&[message]);
    Entry { origin: pid(0), oseq: 1, hlc: Hlc::from_wall_ms(1_700_000_000_000 + ms), taken: Taken::first(1), batch }
}

/// What a session is told next.
fn told(pair: &mut Pair) -> Vec<Reply> {
    let reply = |action| if let Action::Reply { reply, .. } = action { Some(reply) } else { None };
    std::iter::from_fn(|| pair.nodes[0].poll_action()).filter_map(reply).collect()
}

/// A ring in which Bob is at the first server, as Sam.
fn with_bob() -> Pair {
    let mut pair = Pair::ringed();
    (0..300).for_each(|_| pair.pass(10));
    let hello =
        Hello { net: NET.0, version: datagram::VERSION, client: BOB, nick: "Sam".into(), follow: None, acked_upto: 0 };
    let request = Box::new(Request::Hello(hello));
    pair.nodes[0].handle(pair.now, Input::Session { session: SESSION, request });
    assert!(matches!(told(&mut pair)[..], [Reply::Welcome(_)]));
    pair
}

#[test]
fn who_loses_a_nick_in_a_merge_is_told_at_once_and_who_keeps_it_is_not() {
    let mut pair = with_bob();
    let (epoch, how) = (pair.epoch(), How { late: true, copies: 1, of: 2 });
    pair.nodes[0].enter_history(epoch, 1, &claim(BOB, 100), how);
    pair.nodes[0].enter_history(epoch, 2, &claim(ClientId(7), 200), how);
    assert!(!told(&mut pair).iter().any(|reply| matches!(reply, Reply::Refused(_))), "a later claim takes nothing");
    pair.nodes[0].enter_history(epoch, 3, &claim(ANA, 50), how);
    assert_eq!(told(&mut pair).last(), Some(&Reply::Refused(Refusal::NickTaken("Sam2".into()))));
    let who = pair.nodes[0].owner_of("sam");
    assert_eq!(who, Some(ANA));
}

/// Simulator seed 974000194, `--let-go`: on two sides of a cut two people had one nick. The claims of the one who had it first
/// were let go of, and so it was the other's; he went on under it all the same.
#[test]
fn who_loses_a_nick_because_his_claim_was_let_go_of_is_told_when_that_is_found_out() {
    let mut pair = with_bob();
    let node = &mut pair.nodes[0];
    let (epoch, how) = (node.view_epoch().unwrap(), How { late: true, copies: 1, of: 2 });
    node.enter_history(epoch, 1, &claim(BOB, 50), how);
    node.enter_history(epoch, 2, &claim(ANA, 100), how);
    let (mut left, record) = (Rooms::default(), claim(ANA, 100).records(epoch, 2));
    left.apply(&record[0], pid(1), "elm");
    node.rebuild_rooms();
    node.rebuilt = Some(left);
    node.replay_rooms();
    assert_eq!(told(&mut pair).last(), Some(&Reply::Refused(Refusal::NickTaken("Sam2".into()))));
}
