//! The feed: everything once, in order, by multicast or over the session.

use super::super::Event;
use super::bench::*;
use crate::ids::ViewTag;
use crate::proto::rng::Rng;
use crate::wire::message::{Heads, Message as Wire};
use crate::wire::session::{Reply, Request};
use std::time::Duration;

fn texts(num: u64, first: u64, last: u64) -> Vec<String> {
    (first..=last).map(|gsn| format!("{num}.{gsn}")).collect()
}

fn tag(num: u64) -> ViewTag {
    epoch(num).tag()
}

/// The datagrams that carry an entry: its data, its order, and the word that it is stable.
fn datagrams(num: u64, gsn: u64) -> [Wire; 3] {
    let view = view(num, &[1, 2]);
    [
        Wire::Data(data(&view, 0, gsn, &entry(num, gsn).batch)),
        Wire::Order(order(&view, gsn, 0, 0, gsn, 1)),
        Wire::Heads(Heads { view: tag(num), oseq: gsn, order: gsn, stable: gsn }),
    ]
}

fn multicast(bench: &mut Bench, num: u64, gsn: u64) {
    for message in datagrams(num, gsn) {
        bench.datagram(1, true, &message);
    }
}

fn fetches(bench: &mut Bench) -> Vec<(u64, u64)> {
    let range = |request| if let Request::Fetch { first, last, .. } = request { Some((first, last)) } else { None };
    bench.take_requests().into_iter().filter_map(range).collect()
}

fn entries(num: u64, first: u64, last: u64) -> Reply {
    Reply::Entries { view: tag(num), first, entries: (first..=last).map(|gsn| entry(num, gsn)).collect() }
}

#[test]
fn session_feed_is_shown_as_it_comes_until_three_beacons_say_that_the_multicast_is_good() {
    let mut bench = Bench::at_home();
    bench.reply(feed(1, 1, 2));
    assert_eq!(bench.shown(), texts(1, 1, 2));
    for beacons in 0..3 {
        assert!(!bench.client.is_on_multicast(), "after {beacons}");
        bench.pass(250);
        bench.beacon(1, true);
    }
    assert!(bench.client.is_on_multicast());
    bench.reply(feed(1, 3, 3));
    multicast(&mut bench, 1, 3);
    multicast(&mut bench, 1, 4);
    assert_eq!(bench.shown(), texts(1, 1, 4), "what was under way over the session, and then by multicast, once");
}

#[test]
fn beacons_by_unicast_do_not_prove_the_multicast() {
    let mut bench = Bench::at_home();
    for _ in 0..20 {
        bench.pass(250);
        bench.beacon(1, false);
        bench.reply(Reply::Pong);
    }
    assert!(!bench.client.is_on_multicast());
}

#[test]
fn nothing_is_shown_before_it_is_stable() {
    let mut bench = Bench::on_multicast();
    let [data, order, heads] = datagrams(1, 1);
    bench.datagram(1, true, &data);
    bench.datagram(1, true, &order);
    assert!(bench.shown().is_empty());
    bench.datagram(2, true, &heads);
    assert_eq!(bench.shown(), texts(1, 1, 1));
}

#[test]
fn lost_datagram_is_fetched_after_a_moment_and_what_came_behind_it_follows() {
    let mut bench = Bench::on_multicast();
    bench.take_requests();
    multicast(&mut bench, 1, 1);
    multicast(&mut bench, 1, 3);
    bench.pass(1);
    assert!(fetches(&mut bench).is_empty(), "it may only be late");
    bench.pass(22);
    assert_eq!(fetches(&mut bench), [(2, 2)]);
    bench.reply(entries(1, 2, 2));
    assert_eq!(bench.shown(), texts(1, 1, 3));
}

#[test]
fn fetch_that_is_answered_by_a_feed_block_is_as_good() {
    let mut bench = Bench::on_multicast();
    multicast(&mut bench, 1, 4);
    bench.pass(23);
    bench.reply(feed(1, 1, 3));
    assert_eq!(bench.shown(), texts(1, 1, 4));
}

/// An answer comes in blocks: after each of them all the rest was asked for again, and came again.
#[test]
fn answer_that_comes_in_blocks_is_waited_for_to_its_end() {
    let mut bench = Bench::on_multicast();
    bench.take_requests();
    multicast(&mut bench, 1, 6);
    bench.pass(23);
    assert_eq!(fetches(&mut bench), [(1, 5)]);
    for gsn in 1..=3 {
        bench.pass(if gsn == 1 { 25 } else { 250 });
        bench.beacon(1, true);
        bench.reply(feed(1, gsn, gsn));
        assert!(fetches(&mut bench).is_empty(), "the rest is on its way");
    }
    bench.pass(301);
    assert_eq!(fetches(&mut bench), [(4, 5)], "it is not");
    bench.reply(feed(1, 4, 5));
    assert_eq!(bench.shown(), texts(1, 1, 6));
}

#[test]
fn fetch_that_is_lost_with_its_server_busy_is_repeated_and_then_the_feed_begun_anew() {
    let mut bench = Bench::on_multicast();
    bench.take_requests();
    multicast(&mut bench, 1, 2);
    for _ in 0..4 {
        bench.pass(225);
        bench.beacon(1, true);
    }
    bench.pass(300);
    let requests = bench.take_requests();
    assert_eq!(requests.iter().filter(|request| matches!(request, Request::Fetch { .. })).count(), 4);
    assert!(matches!(requests.last(), Some(Request::Follow(cursor)) if cursor.epochs == [(epoch(1), 0)]));
    assert!(!bench.client.is_on_multicast());
    bench.reply(feed(1, 1, 2));
    assert_eq!(bench.shown(), texts(1, 1, 2));
}

#[test]
fn multicast_that_falls_silent_is_replaced_by_the_session_from_the_clients_place() {
    let mut bench = Bench::on_multicast();
    multicast(&mut bench, 1, 1);
    bench.take_requests();
    bench.pass(700);
    bench.reply(Reply::Pong);
    bench.pass(800);
    assert!(!bench.client.is_on_multicast());
    assert!(bench.asked(|request| matches!(request, Request::Follow(cursor) if cursor.epochs == [(epoch(1), 1)])));
    bench.reply(feed(1, 2, 5));
    assert_eq!(bench.shown(), texts(1, 1, 5));
}

#[test]
fn client_that_is_far_behind_lives_on_the_session() {
    let mut bench = Bench::on_multicast();
    bench.take_requests();
    bench.datagram(1, true, &Wire::Heads(Heads { view: tag(1), oseq: 9, order: 9999, stable: 9999 }));
    assert!(!bench.client.is_on_multicast());
    assert!(bench.asked(|request| matches!(request, Request::Follow(_))));
}

#[test]
fn view_change_is_invisible_but_for_its_notice() {
    let mut bench = Bench::on_multicast();
    multicast(&mut bench, 1, 1);
    bench.reply(Reply::View(note(2, 0, Some((epoch(1), 1))).into()));
    multicast(&mut bench, 2, 1);
    assert_eq!(bench.shown(), ["1.1", "2.1"]);
    assert!(bench.client.is_on_multicast());
    assert_eq!(bench.connects.len(), 1);
    assert_eq!(bench.events.iter().filter(|event| matches!(event, Event::View { .. })).count(), 2);
}

#[test]
fn view_without_the_leader_before_tells_how_long_that_was_silent() {
    let mut bench = Bench::at_home();
    let took = |bench: &Bench| {
        let told = |event: &Event| if let Event::View { took, .. } = event { Some(*took) } else { None };
        bench.events.iter().rev().find_map(told).unwrap()
    };
    assert_eq!(took(&bench), None, "the first view ends nothing that was seen");
    // Its last beacon came 60 ms before the session stood.
    bench.pass(320);
    let mut led_by_2 = note(2, 0, None);
    led_by_2.view.epoch.leader = pid(2);
    led_by_2.view.members.remove(0);
    bench.reply(Reply::View(led_by_2.into()));
    assert_eq!(took(&bench), Some(Duration::from_millis(380)));
    let mut back = note(3, 0, None);
    back.view.members.truncate(2);
    bench.reply(Reply::View(back.into()));
    assert_eq!(took(&bench), None, "the leader before is in the view");
}

#[test]
fn multicast_of_the_next_view_may_come_before_the_word_of_it() {
    let mut bench = Bench::on_multicast();
    multicast(&mut bench, 2, 1);
    assert!(bench.shown().is_empty());
    bench.reply(Reply::View(note(2, 0, Some((epoch(1), 0))).into()));
    assert_eq!(bench.shown(), ["2.1"]);
}

#[test]
fn old_view_is_completed_to_where_the_server_left_it_before_the_new_one_is_shown() {
    let mut bench = Bench::on_multicast();
    multicast(&mut bench, 1, 1);
    multicast(&mut bench, 1, 3);
    bench.take_requests();
    bench.reply(Reply::View(note(2, 0, Some((epoch(1), 3))).into()));
    multicast(&mut bench, 2, 1);
    assert_eq!(bench.shown(), ["1.1"]);
    assert!(bench.asked(|request| matches!(request, Request::Follow(cursor) if cursor.epochs == [(epoch(1), 1)])));
    bench.reply(feed(1, 2, 3));
    bench.reply(feed(2, 1, 1));
    assert_eq!(bench.shown(), ["1.1", "1.2", "1.3", "2.1"]);
}

#[test]
fn what_was_ordered_but_left_behind_by_the_view_change_is_not_shown() {
    let mut bench = Bench::on_multicast();
    let [data, order, _] = datagrams(1, 1);
    bench.datagram(1, true, &data);
    bench.datagram(1, true, &order);
    bench.reply(Reply::View(note(2, 0, Some((epoch(1), 0))).into()));
    bench.datagram(1, true, &Wire::Heads(Heads { view: tag(1), oseq: 1, order: 1, stable: 1 }));
    assert!(bench.shown().is_empty());
}

#[test]
fn merged_messages_are_marked_late_and_counted() {
    let mut bench = Bench::on_multicast();
    bench.reply(Reply::View(note(3, 0, Some((epoch(1), 0))).into()));
    multicast(&mut bench, 3, 1);
    let records = vec![record(2, 1), record(2, 2)].into();
    let upto = (epoch(2), 2);
    bench.reply(Reply::Feed { records, late: true, copies: 2, of: 2, first: 1, upto, leader: "ash".into() });
    assert_eq!(bench.shown(), ["3.1", "2.1!", "2.2!"]);
    let told = |bench: &Bench| bench.events.iter().filter(|event| matches!(event, Event::Merged { .. })).count();
    assert_eq!(told(&bench), 0, "more may come");
    bench.pass(251);
    assert!(bench.events.contains(&Event::Merged { messages: 2, from_ms: 2000, until_ms: 2000 }));
    assert_eq!(told(&bench), 1);
}

#[test]
fn loss_duplicates_and_disorder_of_every_kind_show_everything_once_in_order() {
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut bench = Bench::on_multicast();
        let loss = rng.below(60);
        let (mut late, last) = (Vec::new(), 120);
        for gsn in 1..=last {
            for message in datagrams(1, gsn) {
                match rng.below(100) {
                    percent if percent < loss => {}
                    percent if percent < loss + 15 => late.push(message),
                    percent if percent < loss + 25 => {
                        bench.datagram(1, true, &message);
                        late.push(message);
                    }
                    _ => bench.datagram(1, true, &message),
                }
            }
            if rng.below(4) == 0 && !late.is_empty() {
                let message = late.swap_remove(rng.below(late.len() as u64) as usize);
                bench.datagram(1, true, &message);
            }
            bench.pass(rng.below(30));
            if gsn % 8 == 0 {
                bench.beacon(1, true);
            }
            serve(&mut bench, &mut rng, gsn);
        }
        bench.datagram(1, true, &datagrams(1, last)[2]);
        for _ in 0..40 {
            bench.pass(100);
            bench.beacon(1, true);
            serve(&mut bench, &mut rng, last);
        }
        assert_eq!(bench.shown(), texts(1, 1, last), "seed {seed}");
    }
}

/// Plays the home, whose history reaches to `have`: answers, but not always.
fn serve(bench: &mut Bench, rng: &mut Rng, have: u64) {
    for request in bench.take_requests() {
        match request {
            Request::Fetch { first, last, .. } if first <= have && rng.below(10) < 8 => {
                let last = last.min(have).min(first + rng.below(20));
                let reply = if rng.below(2) == 0 { entries(1, first, last) } else { feed(1, first, last) };
                bench.reply(reply);
            }
            Request::Follow(cursor) => bench.reply(feed(1, cursor.epochs[0].1 + 1, have)),
            Request::Ping => bench.reply(Reply::Pong),
            _ => {}
        }
    }
    let behind = (bench.shown().len() as u64) < have;
    if !bench.client.is_on_multicast() && behind {
        bench.reply(feed(1, bench.shown().len() as u64 + 1, have));
    }
}
