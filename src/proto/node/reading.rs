//! A server whose disk takes nothing: found by who looks for one, asked, and told nothing.

use super::Node;
use super::pair::{NET, Pair, pid};
use crate::ids::{ClientId, Pid};
use crate::proto::event::Event;
use crate::proto::io::{Action, Input, Recovered, Route, SessionId, Trouble};
use crate::proto::settings::SCOUT_ANSWER;
use crate::record::Kind;
use crate::time::{Hlc, Time};
use crate::wire::datagram::{self, Header};
use crate::wire::message::{Beacon, Message, Scout};
use crate::wire::session::{Answer, Follow, Hello, Query, Refusal, Reply, Request, Submit};
use std::net::SocketAddr;

const READER: SessionId = SessionId(3);

fn client() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 77], 9000))
}

/// A server whose disk has just failed, its goodbyes sent.
fn failed(trouble: Trouble) -> (Pair, Vec<Action>) {
    let mut pair = Pair::ringed();
    pair.nodes[0].handle(pair.now, Input::WriteFailed { trouble });
    let actions = drained(&mut pair.nodes[0]);
    while pair.nodes[0].poll_transmit(&mut Vec::new()).is_some() {}
    (pair, actions)
}

fn drained(node: &mut Node) -> Vec<Action> {
    std::iter::from_fn(|| node.poll_action()).collect()
}

fn say(pair: &mut Pair, request: Request) -> Vec<Reply> {
    pair.nodes[0].handle(pair.now, Input::Session { session: READER, request: Box::new(request) });
    let reply = |action| if let Action::Reply { reply, .. } = action { Some(reply) } else { None };
    drained(&mut pair.nodes[0]).into_iter().filter_map(reply).collect()
}

fn hello() -> Request {
    Request::Hello(Hello {
        net: NET.0,
        version: datagram::VERSION,
        client: ClientId(5),
        nick: "ana".into(),
        follow: Some(Follow::Now),
        acked_upto: 4,
    })
}

fn submit() -> Request {
    let (room, body) = ("lobby".into(), "hi".into());
    Request::Submit(Submit { cseq: 5, acked_upto: 4, floor: Hlc(0), room, kind: Kind::Text, body })
}

fn answer_to_a_scout(pair: &mut Pair) -> Option<(Route, Beacon)> {
    let mut scout = Vec::new();
    let header = Header { net: NET, sender: Pid::default(), client: true };
    datagram::encode(&header, &Message::Scout(Scout { any_net: false }), &mut scout);
    let node = &mut pair.nodes[0];
    node.handle(pair.now, Input::Datagram { from: client(), multicast: true, bytes: &scout });
    pair.now.mono = pair.now.mono + SCOUT_ANSWER;
    assert!(node.next_timeout() <= pair.now.mono);
    node.handle(pair.now, Input::Timeout);
    let mut bytes = Vec::new();
    let route = node.poll_transmit(&mut bytes)?;
    let (_, body) = datagram::open(&bytes).unwrap();
    let Ok(Message::Beacon(beacon)) = datagram::decode(body) else { return None };
    Some((route, *beacon))
}

#[test]
fn client_that_looks_for_a_server_finds_one_whose_disk_takes_nothing() {
    let (mut pair, _) = failed(Trouble::Full);
    let (route, beacon) = answer_to_a_scout(&mut pair).unwrap();
    assert_eq!(route, Route::Unicast(client()));
    assert!(beacon.read_only && !beacon.ready);
    assert_eq!(pair.nodes[0].next_timeout(), Time::NEVER, "and nobody else hears of it");
}

#[test]
fn reader_is_answered_and_told_that_nothing_is_taken() {
    let (mut pair, _) = failed(Trouble::Full);
    let told = say(&mut pair, hello());
    let [Reply::Welcome(welcome)] = told.as_slice() else { panic!("{told:?}") };
    assert!(welcome.read_only && welcome.view.is_none() && welcome.cursor.is_none());
    let told = say(&mut pair, Request::Query { tag: 1, query: Query::Status });
    let [Reply::Answer { tag: 1, answer: Answer::Status(status) }] = told.as_slice() else { panic!("{told:?}") };
    assert!(status.problems[0].starts_with("oak is read-only"), "{status:?}");
    assert_eq!(say(&mut pair, submit()), [Reply::Rejected { cseq: 5, why: Refusal::ReadOnly }]);
    assert_eq!(say(&mut pair, Request::Hearing { multicast: true }), []);
}

#[test]
fn readers_are_sent_to_be_clients_again_when_the_disk_works() {
    let (mut pair, _) = failed(Trouble::Broken);
    say(&mut pair, hello());
    let reborn = Pid { incarnation: crate::ids::Incarnation { boot: 2, random: 8 }, ..pid(0) };
    let recovered = Box::new(Recovered { pid: reborn, ..Recovered::default() });
    pair.nodes[0].handle(pair.now, Input::Reopened { recovered });
    let mut done = drained(&mut pair.nodes[0]).into_iter();
    assert!(done.any(|action| matches!(action, Action::EndSession { session: READER })));
    assert_eq!(say(&mut pair, submit())[..], [Reply::Refused(Refusal::Malformed)], "it was no session any more");
}

/// Damage is told with what was set aside. A store that does not open after it never tells: only the log did.
#[test]
fn damage_after_which_the_store_does_not_open_is_told_as_a_disk_that_takes_nothing() {
    let is_told = |actions: &[Action], as_full| {
        let tells = |action: &Action| matches!(action, Action::Event(Event::ReadOnly { full }) if *full == as_full);
        actions.iter().any(tells)
    };
    let (mut pair, actions) = failed(Trouble::Damaged);
    assert!(!is_told(&actions, false) && !is_told(&actions, true));
    pair.nodes[0].handle(pair.now, Input::WriteFailed { trouble: Trouble::Broken });
    assert!(is_told(&drained(&mut pair.nodes[0]), false));
    pair.nodes[0].handle(pair.now, Input::WriteFailed { trouble: Trouble::Full });
    assert!(is_told(&drained(&mut pair.nodes[0]), true));
    assert!(pair.nodes[0].poll_transmit(&mut Vec::new()).is_none(), "others know already");
}
