//! Submits: exactly once, whatever happens on the way.

use super::super::{Command, Event, Loaded, Notice, Progress, Save, Waiting};
use super::bench::*;
use crate::ids::MessageId;
use crate::time::Hlc;
use crate::wire::session::{Answer, Query, Refusal, Reply, Request};

fn progress(bench: &Bench) -> Vec<(u64, &Progress)> {
    let step = |event| match event {
        &Event::Progress { id: MessageId { cseq, .. }, ref progress } => Some((cseq, progress)),
        _ => None,
    };
    bench.events.iter().filter_map(step).collect()
}

#[test]
fn message_climbs_its_ladder_one_step_at_a_time() {
    let mut bench = Bench::at_home();
    bench.submit("hi");
    bench.reply(Reply::Accepted { cseq: 1 });
    bench.stable(1);
    bench.stable(1);
    let stable = Progress::Stable { key: key(1, 1), copies: 2, of: 2 };
    assert_eq!(progress(&bench), [(1, &Progress::Queued), (1, &Progress::Accepted), (1, &stable)]);
    assert_eq!(bench.saves.last(), Some(&Save::Done { cseq: 1, floor: hlc(1, 1) }));
    assert_eq!(bench.client.unacknowledged(), 0);
}

#[test]
fn message_is_on_disk_before_it_is_on_the_wire() {
    let mut bench = Bench::at_home();
    bench.disk = false;
    bench.submit("hi");
    bench.pass(100);
    assert!(bench.take_submits().is_empty());
    bench.give(super::super::Input::Saved { cseq: 1 });
    assert_eq!(bench.take_submits(), [1]);
}

#[test]
fn what_was_said_before_there_was_a_server_goes_when_there_is_one() {
    let mut bench = Bench::new(false);
    bench.submit("early");
    bench.beacon(1, true);
    bench.pass(60);
    bench.accept(None);
    assert_eq!(bench.take_submits(), [1]);
}

#[test]
fn killed_servers_messages_go_to_the_next_at_once_and_the_user_reads_about_it() {
    let mut bench = Bench::at_home();
    bench.beacon(2, true);
    bench.submit("one");
    bench.submit("two");
    bench.stable(1);
    bench.take_requests();
    bench.break_connection();
    assert_eq!(bench.connects.last().unwrap().1, addr(2), "no waiting");
    bench.pass(100);
    bench.accept(None);
    assert_eq!(bench.take_submits(), [2]);
    let told: Vec<String> = bench.notices().iter().skip(1).map(ToString::to_string).collect();
    assert_eq!(told, ["oak is gone.", "Moving to elm … done (0.1 s). 1 message sent again, nothing lost."]);
}

#[test]
fn silent_server_is_asked_and_then_left_within_a_second_and_a_half() {
    let mut bench = Bench::at_home();
    bench.submit("anyone?");
    bench.pass(499);
    assert!(!bench.asked(|request| *request == Request::Ping));
    bench.pass(1);
    assert!(bench.asked(|request| *request == Request::Ping));
    bench.pass(900);
    bench.beacon(2, true);
    assert_eq!(bench.connects.len(), 1);
    bench.pass(100);
    assert_eq!(bench.connects.last().unwrap().1, addr(2));
}

#[test]
fn client_that_slept_itself_accuses_nobody() {
    let mut bench = Bench::at_home();
    bench.submit("hi");
    bench.pass(600);
    bench.now = crate::time::Time(bench.now.0 + 60_000_000);
    bench.give(super::super::Input::Timeout);
    assert_eq!(bench.connects.len(), 1);
    assert!(bench.disconnects.is_empty());
}

#[test]
fn busy_server_is_asked_again_in_order() {
    let mut bench = Bench::at_home();
    (0..3).for_each(|_| _ = bench.submit("x"));
    bench.take_requests();
    bench.reply(Reply::Busy { cseq: 2, retry_ms: 100 });
    bench.reply(Reply::Busy { cseq: 3, retry_ms: 100 });
    bench.pass(99);
    assert!(bench.take_submits().is_empty());
    bench.pass(1);
    assert_eq!(bench.take_submits(), [2, 3]);
}

#[test]
fn refusal_for_good_ends_a_message_and_read_only_servers_are_left() {
    let mut bench = Bench::at_home();
    bench.submit("bad");
    bench.submit("good");
    bench.reply(Reply::Rejected { cseq: 1, why: Refusal::BadName });
    assert_eq!(progress(&bench).last(), Some(&(1, &Progress::Rejected(Refusal::BadName))));
    bench.beacon(2, true);
    bench.reply(Reply::Rejected { cseq: 2, why: Refusal::ReadOnly });
    assert_eq!(bench.connects.last().unwrap().1, addr(2));
    bench.take_requests();
    bench.accept(None);
    assert_eq!(bench.take_submits(), [2]);
}

#[test]
fn resend_carries_the_greatest_hlc_that_was_shown_by_then() {
    let mut bench = Bench::at_home();
    bench.submit("first");
    bench.reply(feed(1, 1, 3));
    bench.take_requests();
    bench.pass(250);
    let floors: Vec<Hlc> = bench
        .take_requests()
        .into_iter()
        .filter_map(|request| if let Request::Submit(submit) = request { Some(submit.floor) } else { None })
        .collect();
    assert_eq!(floors, [hlc(1, 3)]);
}

#[test]
fn outbox_of_a_crashed_sender_is_sent_with_its_old_numbers() {
    let messages = vec![(4, draft("four")), (6, draft("six"))];
    let loaded = Loaded { client: ME, last_cseq: 6, acked_upto: 3, floor: hlc(1, 9), messages, seen: None };
    let mut bench = Bench::with(false, |_| {}, loaded);
    bench.beacon(1, true);
    bench.pass(60);
    bench.accept(None);
    assert_eq!(bench.take_submits(), [4, 6]);
    assert_eq!(bench.submit("new").cseq, 7);
}

#[test]
fn slow_acknowledgement_and_slow_search_are_told_of_once_each() {
    let mut bench = Bench::new(false);
    bench.pass(10_000);
    assert_eq!(bench.notices(), [&Notice::Waiting(Waiting::Search)]);
    bench.beacon(1, true);
    bench.pass(60);
    bench.accept(None);
    bench.submit("hi");
    for _ in 0..30 {
        bench.pass(100);
        bench.reply(Reply::Pong);
    }
    let waiting = Notice::Waiting(Waiting::Acknowledgement { messages: 1, server: "oak".into() });
    assert_eq!(bench.notices().iter().filter(|notice| ***notice == waiting).count(), 1);
}

#[test]
fn question_is_asked_again_at_the_next_server_and_answered_once() {
    let mut bench = Bench::at_home();
    bench.command(Command::Query { tag: 9, query: Query::Rooms });
    bench.beacon(2, true);
    bench.break_connection();
    bench.take_requests();
    bench.accept(None);
    assert!(bench.asked(|request| matches!(request, Request::Query { tag: 9, .. })));
    for _ in 0..2 {
        bench.reply(Reply::Answer { tag: 9, answer: Answer::Rooms(Vec::new()) });
    }
    assert_eq!(bench.events.iter().filter(|event| matches!(event, Event::Answer { tag: 9, .. })).count(), 1);
}

#[test]
fn goodbye_is_said_before_the_connection_ends() {
    let mut bench = Bench::at_home();
    let connection = bench.connection();
    bench.command(Command::Close);
    assert_eq!(bench.requests.last(), Some(&Request::Bye));
    assert_eq!(bench.disconnects, [connection]);
    assert_eq!(bench.client.next_timeout(), crate::time::Time::NEVER);
}
