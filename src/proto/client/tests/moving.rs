//! Finding a server, and going from one to another without losing or repeating anything.

use super::super::{Command, Event, Loaded, Notice};
use super::bench::*;
use crate::proto::io::Route;
use crate::record::Kind;
use crate::wire::datagram::{self, Header, NetTag};
use crate::wire::message::{Beacon, Hearing, Message as Wire};
use crate::wire::session::{Follow, Query, Refusal, Reply, Request, Submit};
use std::net::SocketAddr;

fn hello(bench: &Bench) -> crate::wire::session::Hello {
    let hello = |request: &Request| if let Request::Hello(hello) = request { Some(hello.clone()) } else { None };
    bench.requests.iter().rev().find_map(hello).unwrap()
}

#[test]
fn client_waits_a_moment_for_all_to_answer_and_then_connects_to_one() {
    let mut bench = Bench::new(true);
    assert_eq!(bench.routes, [Route::Multicast]);
    bench.beacon(1, false);
    bench.pass(59);
    bench.beacon(2, false);
    assert!(bench.connects.is_empty());
    bench.pass(1);
    assert_eq!(bench.connects.len(), 1);
    bench.accept(Some(note(1, 0, None)));
    assert_eq!(hello(&bench).follow, Some(Follow::Now));
    assert_eq!(bench.client.home(), Some(name(if bench.connects[0].1 == addr(1) { 1 } else { 2 })));
}

#[test]
fn named_server_is_waited_for_and_gone_to_at_once() {
    let loaded = Loaded { client: ME, ..Loaded::default() };
    let mut bench = Bench::with(false, |settings| settings.server = Some("elm".into()), loaded);
    bench.beacon(1, true);
    bench.pass(1000);
    assert!(bench.connects.is_empty());
    bench.beacon(2, true);
    assert_eq!(bench.connects[0].1, addr(2));
}

#[test]
fn servers_that_only_others_hear_are_asked_too() {
    let mut bench = Bench::new(false);
    let stranger = SocketAddr::from(([10, 0, 9, 9], 8285));
    let heard = vec![Hearing { pid: pid(3), addr: stranger, multicast: true }];
    let beacon = Beacon { name: "oak".into(), tcp_port: 7000, ready: false, heard, ..Beacon::default() };
    bench.datagram(1, false, &Wire::Beacon(Box::new(beacon)));
    assert!(bench.routes.contains(&Route::Unicast(stranger)));
}

#[test]
fn server_that_refuses_or_does_not_answer_is_passed_over() {
    let mut bench = Bench::new(false);
    bench.beacon(1, true);
    bench.pass(60);
    bench.beacon(2, true);
    bench.give(super::super::Input::Connected(bench.connection()));
    bench.reply(Reply::Refused(Refusal::Full));
    assert_eq!(bench.connects[1].1, addr(2));
    assert!(bench.notices().contains(&&Notice::Refused { server: "oak".into(), why: Refusal::Full }));
    bench.pass(1000);
    assert_eq!(bench.connects[2].1, addr(1), "elm did not answer within a second");
}

#[test]
fn other_nets_and_other_versions_are_told_of_once() {
    let mut bench = Bench::new(false);
    let mut bytes = Vec::new();
    let elsewhere = Wire::Elsewhere { net: "lab2".into(), server: "fir".into() };
    datagram::encode(&Header { net: NetTag(99), sender: pid(3), client: false }, &elsewhere, &mut bytes);
    let from = SocketAddr::from(([10, 0, 0, 3], 8285));
    for _ in 0..3 {
        bench.give(super::super::Input::Datagram { from, multicast: false, bytes: &bytes });
    }
    bytes[2] = 9;
    for _ in 0..3 {
        bench.give(super::super::Input::Datagram { from, multicast: true, bytes: &bytes });
    }
    let elsewhere = Notice::Elsewhere { net: "lab2".into(), server: "fir".into() };
    assert_eq!(bench.notices(), [&elsewhere, &Notice::OtherVersion { addr: from, version: 9 }]);
}

#[test]
fn next_server_is_told_where_the_feed_stands_and_what_it_repeats_is_not_shown_again() {
    let mut bench = Bench::at_home();
    bench.reply(feed(1, 1, 3));
    bench.beacon(2, true);
    bench.break_connection();
    bench.accept(Some(note(2, 2, None)));
    let Some(Follow::From(cursor)) = hello(&bench).follow else { panic!("no cursor") };
    assert_eq!(cursor.epochs, [(epoch(1), 3)]);
    bench.reply(feed(1, 2, 5));
    bench.reply(feed(2, 1, 2));
    assert_eq!(bench.shown(), ["1.1", "1.2", "1.3", "1.4", "1.5", "2.1", "2.2"]);
}

#[test]
fn client_that_goes_on_elsewhere_is_shown_what_is_new_and_sends_what_is_not_acknowledged() {
    let cursors = |settings: &mut super::super::Settings| settings.cursors = true;
    let mut bench = Bench::with(true, cursors, Loaded { client: ME, ..Loaded::default() });
    bench.beacon(1, true);
    bench.pass(60);
    bench.accept(Some(note(1, 0, None)));
    bench.reply(feed(1, 1, 3));
    bench.submit("one");
    bench.submit("two");
    bench.stable(1);
    let Some(Event::Cursor { cursor, acked_upto }) = bench.events.last().cloned() else { panic!("no cursor") };
    assert_eq!(acked_upto, 1);

    let (seen, floor) = (cursor.seen.map(|seen| (seen, cursor.greatest)), cursor.floor);
    let loaded = Loaded { client: ME, last_cseq: 2, acked_upto, floor, messages: vec![(2, draft("two"))], seen };
    let mut bench = Bench::with(true, cursors, loaded);
    bench.beacon(2, true);
    bench.pass(60);
    bench.accept(Some(note(2, 0, None)));
    let hello = hello(&bench);
    assert_eq!((hello.acked_upto, bench.take_submits()), (1, vec![2]));
    let Some(Follow::From(cursor)) = hello.follow else { panic!("no cursor") };
    assert_eq!(cursor.epochs, [(epoch(1), 3)]);
    bench.reply(feed(1, 2, 5));
    bench.reply(feed(2, 1, 2));
    bench.reply(feed(0, 1, 1));
    let shown = bench.shown();
    assert_eq!(shown, ["1.4", "1.5", "2.1", "2.2", "0.1!"], "nothing twice, and what its first server did not know");
    let mut late = record(3, 1);
    late.key.hlc = hlc(1, 2);
    let upto = (epoch(3), 1);
    bench.reply(Reply::Feed {
        records: vec![late].into(),
        late: true,
        copies: 1,
        of: 1,
        first: 1,
        upto,
        leader: "elm".into(),
    });
    assert_eq!(bench.shown().last().map(String::as_str), Some("3.1!"));
}

#[test]
fn multicast_does_not_overtake_what_the_next_server_owes() {
    let mut bench = Bench::on_multicast();
    bench.beacon(2, true);
    bench.break_connection();
    bench.accept(Some(note(2, 0, None)));
    for _ in 0..4 {
        bench.beacon(2, true);
        bench.pass(250);
    }
    let view = view(2, &[1, 2]);
    bench.datagram(1, true, &Wire::Data(data(&view, 0, 1, &entry(2, 1).batch)));
    bench.datagram(1, true, &Wire::Order(order(&view, 1, 1, 0, 1, 1)));
    assert!(bench.shown().is_empty());
    bench.reply(feed(1, 1, 2));
    bench.reply(feed(2, 1, 1));
    bench.beacon(2, true);
    assert!(bench.client.is_on_multicast());
    assert_eq!(bench.shown(), ["1.1", "1.2", "2.1"]);
}

#[test]
fn other_side_of_a_cut_shows_its_own_messages_late_and_the_copy_of_one_already_shown_never() {
    let mut bench = Bench::at_home();
    bench.reply(Reply::View(note(3, 0, Some((epoch(1), 0))).into()));
    bench.reply(feed(3, 1, 2));
    bench.beacon(2, true);
    bench.break_connection();
    bench.accept(Some(note(2, 0, None)));
    let mut copy = record(2, 2);
    copy.message.id = record(3, 1).message.id;
    let records = vec![record(2, 1), copy, record(2, 3)].into();
    let upto = (epoch(2), 3);
    bench.reply(Reply::Feed { records, late: false, copies: 1, of: 1, first: 1, upto, leader: "elm".into() });
    assert_eq!(bench.shown(), ["3.1", "3.2", "2.1!", "2.3!"]);
}

#[test]
fn server_that_says_goodbye_is_left_at_once_and_not_chosen_again() {
    let mut bench = Bench::at_home();
    bench.reply(Reply::Bye);
    assert!(bench.notices().contains(&&Notice::Gone { server: "oak".into(), left: true }));
    bench.pass(20_000);
    assert_eq!(bench.connects.len(), 1);
}

#[test]
fn restarted_server_is_not_the_one_the_session_was_with() {
    let mut bench = Bench::at_home();
    let mut restarted = pid(1);
    restarted.incarnation.boot = 2;
    let beacon = Beacon { name: "oak".into(), tcp_port: 7000, ready: true, ..Beacon::default() };
    let mut bytes = Vec::new();
    let header = Header { net: NetTag(5), sender: restarted, client: false };
    datagram::encode(&header, &Wire::Beacon(Box::new(beacon)), &mut bytes);
    let from = SocketAddr::from(([10, 0, 0, 1], 8285));
    bench.give(super::super::Input::Datagram { from, multicast: true, bytes: &bytes });
    assert_eq!(bench.disconnects.len(), 1);
}

/// The rooms that a client enters again when it is taken for gone, after it had done this; `late` when a merge brings the word.
fn entered_again(deeds: &[(Kind, &str)], late: bool) -> Vec<String> {
    let mut bench = Bench::at_home();
    for ((kind, room), cseq) in deeds.iter().zip(1..) {
        let draft = super::super::Draft { room: (*room).into(), kind: kind.clone(), body: String::new() };
        bench.client.submit(crate::time::Now::default(), draft).unwrap();
        bench.drain();
        bench.stable(cseq);
    }
    bench.take_requests();
    if late {
        bench.reply(feed(1, 1, 4));
    }
    let num = if late { 2 } else { 1 };
    let mut gone = record(num, 1);
    gone.key.hlc = if late { record(1, 2).key.hlc } else { gone.key.hlc };
    gone.message.kind = Kind::Gone { client: ME };
    let upto = (epoch(num), 1);
    bench.reply(Reply::Feed {
        records: vec![gone].into(),
        late,
        copies: 2,
        of: 2,
        first: 1,
        upto,
        leader: "oak".into(),
    });
    let joined = |request: Request| match request {
        Request::Submit(submit) if submit.kind == Kind::Join => Some(submit.room),
        _ => None,
    };
    bench.take_requests().into_iter().filter_map(joined).collect()
}

#[test]
fn client_that_was_taken_for_gone_enters_its_rooms_again() {
    assert_eq!(entered_again(&[(Kind::Join, "lobby")], false), ["lobby"]);
}

/// After a cut of more than ten seconds `who` had hardly anyone in his rooms: each side had said of the other's people that they
/// are gone, and who heard of it late did nothing about it.
#[test]
fn client_that_was_taken_for_gone_beyond_a_cut_enters_its_rooms_again() {
    assert_eq!(entered_again(&[(Kind::Join, "lobby")], true), ["lobby"]);
}

/// `--play 'servers 2; clients 6; people; talk slow; wait 15s; cut 1,2,3,4,5|6,7,8; wait 20s; heal; wait 5s; settle'`, seed 161:
/// who had entered #Tea and left #tea was put there again when a cut was over.
#[test]
fn room_that_was_left_under_another_spelling_is_not_entered_again() {
    assert_eq!(entered_again(&[(Kind::Join, "Tea"), (Kind::Leave, "tea")], false), Vec::<String>::new());
    assert_eq!(entered_again(&[(Kind::Join, "Tea"), (Kind::Join, "tea"), (Kind::Join, "ops")], false), ["ops", "tea"]);
    assert_eq!(entered_again(&[(Kind::Join, "Tea"), (Kind::Leave, "")], false), Vec::<String>::new());
}

/// `who` named the server that died, until this client spoke again.
#[test]
fn client_that_moved_says_where_it_is_unless_words_of_its_own_do() {
    let claims = |request: &Request| matches!(request, Request::Submit(submit) if submit.kind == Kind::Nick);
    let moved = |is_in_a_room: bool, is_acknowledged: bool| {
        let mut bench = Bench::at_home();
        if is_in_a_room {
            let join = super::super::Draft { room: "lobby".into(), kind: Kind::Join, body: String::new() };
            bench.client.submit(crate::time::Now::default(), join).unwrap();
            bench.drain();
        }
        if is_acknowledged {
            bench.stable(1);
        }
        bench.beacon(2, true);
        bench.break_connection();
        bench.accept(Some(note(2, 0, None)));
        bench.asked(claims)
    };
    assert!(moved(true, true));
    assert!(!moved(true, false), "the join that is sent again says it");
    assert!(!moved(false, false), "who is in no room is nowhere to be found");
}

/// Its server had lost its disk, and its claims with it. The horizon came again, from another, and was lower than the one that it had
/// been shown before (seed 995500121, `--people --let-go`).
#[test]
fn client_claims_its_seats_whenever_the_horizon_rises_above_the_last_it_was_shown() {
    let mut bench = Bench::at_home();
    let join = super::super::Draft { room: "lobby".into(), kind: Kind::Join, body: String::new() };
    bench.client.submit(crate::time::Now::default(), join).unwrap();
    bench.drain();
    let mut claims = |num: u64, horizon: u64| {
        let mut note = note(num, 0, None);
        note.view.horizon = crate::time::Hlc(horizon);
        bench.reply(Reply::View(note.into()));
        let all = bench.take_requests();
        all.iter().filter(|one| matches!(one, Request::Submit(submit) if submit.kind == Kind::Nick)).count()
    };
    let claimed = [(2, 0), (3, 9), (4, 9), (5, 0), (6, 5), (7, 9)].map(|(num, horizon)| claims(num, horizon));
    assert_eq!(claimed, [0, 1, 0, 0, 1, 1]);
}

#[test]
fn noise_changes_nothing_and_breaks_nothing() {
    let mut bench = Bench::at_home();
    let mut rng = crate::proto::rng::Rng::new(3);
    let from = SocketAddr::from(([10, 0, 0, 1], 8285));
    for _ in 0..2000 {
        let length = rng.below(200) as usize;
        let bytes: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
        bench.give(super::super::Input::Datagram { from, multicast: true, bytes: &bytes });
    }
    assert_eq!(bench.connects.len(), 1);
    assert!(bench.shown().is_empty());
}

#[test]
fn new_nick_is_told_with_a_new_session_and_given_up_when_another_owns_it() {
    let mut bench = Bench::at_home();
    let views = |bench: &Bench| bench.events.iter().filter(|event| matches!(event, Event::View { .. })).count();
    bench.accept(Some(note(1, 0, None)));
    let told = views(&bench);
    bench.beacon(2, true);
    bench.command(Command::Nick("eva".into()));
    bench.accept(Some(note(1, 0, None)));
    assert_eq!(hello(&bench).nick, "eva");
    bench.command(Command::Nick("bob".into()));
    bench.give(super::super::Input::Connected(bench.connection()));
    assert_eq!(hello(&bench).nick, "bob");
    bench.reply(Reply::Refused(Refusal::NickTaken("bob2".into())));
    bench.accept(Some(note(1, 0, None)));
    assert_eq!(hello(&bench).nick, "eva");
    assert!(!bench.notices().iter().any(|notice| matches!(notice, Notice::Gone { .. } | Notice::Moved { .. })));
    assert!(bench.connects.iter().all(|(_, to)| *to == addr(1)), "a refused nick is no failed server");
    assert_eq!(views(&bench), told, "the view is the same");
}

#[test]
fn server_that_dies_while_a_nick_is_asked_for_is_moved_away_from_in_words() {
    let mut bench = Bench::at_home();
    bench.beacon(2, true);
    bench.command(Command::Nick("eva".into()));
    bench.give(super::super::Input::Broken(bench.connection()));
    bench.accept(Some(note(1, 0, None)));
    assert_eq!(hello(&bench).nick, "eva");
    let moved = |notice: &&&Notice| matches!(notice, Notice::Moved { from, to, .. } if from == "oak" && to == "elm");
    assert!(bench.notices().iter().any(|notice| moved(&notice)));
}

#[test]
fn server_whose_disk_takes_nothing_is_asked_and_told_nothing_until_another_is_there() {
    let mut bench = Bench::new(true);
    bench.submit("waits");
    bench.command(Command::Query { tag: 1, query: Query::Status });
    bench.read_only_beacon(1);
    bench.pass(100);
    bench.accept_read_only();
    assert_eq!(bench.notices(), [&Notice::ReadOnly { server: "oak".into() }]);
    assert!(bench.asked(|request| matches!(request, Request::Query { tag: 1, .. })));
    bench.submit("waits, too");
    (0..20).for_each(|_| {
        bench.read_only_beacon(1);
        bench.reply(Reply::Pong);
        bench.pass(500);
    });
    assert_eq!((bench.take_submits(), bench.connects.len()), (vec![], 1));
    bench.beacon(2, true);
    assert_eq!(bench.connects.last().unwrap().1, addr(2));
    bench.accept(None);
    assert_eq!(bench.take_submits(), [1, 2]);
    let told = bench.notices().last().map(ToString::to_string).unwrap();
    assert!(told.starts_with("Moving to elm"), "{told}");
}

#[test]
fn server_whose_disk_works_again_is_home_again_in_its_new_life() {
    let mut bench = Bench::at_home();
    bench.submit("waits");
    bench.reply(Reply::Bye);
    bench.read_only_beacon(1);
    bench.pass(100);
    bench.accept_read_only();
    bench.take_requests();
    bench.break_connection();
    bench.beacon(1, true);
    bench.pass(100);
    bench.accept(None);
    assert_eq!(bench.take_submits(), [1]);
    let told: Vec<String> = bench.notices().iter().skip(1).map(ToString::to_string).collect();
    assert_eq!(told[0], "oak says goodbye.");
    assert!(told[1].starts_with("oak is read-only"), "{told:?}");
    assert!(told[2].starts_with("Back at oak"), "{told:?}");
}

#[test]
fn server_that_takes_messages_is_chosen_before_one_that_does_not() {
    let mut bench = Bench::new(true);
    bench.read_only_beacon(1);
    bench.beacon(2, true);
    bench.pass(100);
    assert_eq!(bench.connects.iter().map(|connect| connect.1).collect::<Vec<_>>(), [addr(2)]);
}

/// Two people with one nick after a merge: `who` showed both until the loser's next hello.
#[test]
fn client_whose_nick_is_lost_in_a_merge_is_told_at_once_and_comes_back_under_another() {
    let mut bench = Bench::at_home();
    bench.submit("waits");
    bench.take_requests();
    bench.reply(Reply::Refused(Refusal::NickTaken("ana2".into())));
    assert_eq!(bench.notices().last().unwrap().to_string(), "oak refuses: that nick is taken, ana2 is free.");
    bench.command(Command::Nick("ana2".into()));
    bench.pass(600);
    bench.accept(None);
    assert_eq!(hello(&bench).nick, "ana2");
    assert_eq!(bench.take_submits(), [1, 2], "what is sent again may be history under the other's nick");
    assert!(bench.notices().last().unwrap().to_string().starts_with("Back at oak"), "{:?}", bench.notices());
}

/// Whether a client whose nick is refused, by its home or in answer to its hello, claims the one that it is welcomed under: one
/// that goes on after this many messages of an earlier process, and has something new to say or not.
fn claims_another_nick(said: u64, is_at_home: bool, has_news: bool) -> bool {
    let loaded = Loaded { client: ME, last_cseq: said, acked_upto: said, ..Loaded::default() };
    let mut bench = Bench::with(true, |_| {}, loaded);
    bench.beacon(1, true);
    bench.pass(60);
    if is_at_home {
        bench.accept(Some(note(1, 0, None)));
    } else {
        bench.give(super::super::Input::Connected(bench.connection()));
    }
    bench.reply(Reply::Refused(Refusal::NickTaken("ana2".into())));
    if has_news {
        bench.submit("news");
    }
    bench.command(Command::Nick("ana2".into()));
    bench.pass(600);
    bench.accept(Some(note(1, 0, None)));
    let claims = |submit: &Submit| submit.kind == Kind::Nick && submit.room.is_empty();
    bench.asked(|request| matches!(request, Request::Submit(submit) if claims(submit)))
}

/// Seed 910000850, `--people`: a process that took over the outbox knew of no room. It was in one all the same, told that its nick
/// is another's, and there for good under that nick.
#[test]
fn client_whose_nick_is_refused_claims_its_new_one_unless_it_has_words_that_do_or_never_said_any() {
    for is_at_home in [true, false] {
        assert!(claims_another_nick(3, is_at_home, false), "{is_at_home}");
        assert!(!claims_another_nick(3, is_at_home, true), "{is_at_home}");
        assert!(!claims_another_nick(0, is_at_home, false), "{is_at_home}");
    }
}

/// A server that took each hello and refused what followed was connected to again at once, for ever.
#[test]
fn home_that_refuses_is_left_alone_for_a_while() {
    let mut bench = Bench::at_home();
    bench.reply(Reply::Refused(Refusal::Malformed));
    bench.pass(400);
    assert_eq!(bench.connects.len(), 1);
    bench.pass(200);
    assert_eq!(bench.connects.len(), 2);
}

/// On a wire of a megabit a long answer took longer than a client waited for a silent home: it left, at each server again.
#[test]
fn home_whose_long_reply_is_still_coming_is_not_left() {
    let mut bench = Bench::at_home();
    let is_gone = |bench: &Bench| bench.notices().iter().any(|notice| matches!(notice, Notice::Gone { .. }));
    for _ in 0..20 {
        bench.pass(900);
        bench.give(super::super::Input::Arriving(bench.connection()));
    }
    assert!(!is_gone(&bench));
    bench.pass(3000);
    assert!(is_gone(&bench), "and nothing more comes");
}
