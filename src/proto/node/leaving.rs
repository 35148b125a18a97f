//! What is told of servers that leave, and of those that should be here.

use super::Node;
use super::pair::{Pair, addr, pid};
use crate::proto::io::{Input, Recovered, Trouble};
use crate::proto::settings::Settings;
use crate::wire::session::{ServerState, Status};

/// What the first server tells once the other has ended.
fn told_alone(pair: &mut Pair) -> Status {
    pair.exchange();
    (0..300).for_each(|_| pair.pass(10));
    pair.nodes[0].status()
}

#[test]
fn who_left_is_not_missed_though_its_link_broke_before_its_goodbye_came() {
    let mut pair = Pair::ringed();
    pair.feed(1, Input::Leave);
    pair.feed(0, Input::LinkReset { pid: pid(1) });
    let status = told_alone(&mut pair);
    assert_eq!((status.servers.len(), status.problems), (1, vec![]));
}

#[test]
fn who_cannot_write_any_more_is_missed() {
    let mut pair = Pair::ringed();
    pair.feed(1, Input::WriteFailed { trouble: Trouble::Full });
    let status = told_alone(&mut pair);
    assert_eq!(status.problems, ["elm does not answer"]);
    assert_eq!(status.servers.iter().filter(|server| server.state == ServerState::Unreachable).count(), 1);
}

#[test]
fn server_that_nobody_hears_knows_its_address_from_its_host() {
    let pair = Pair::ringed();
    let settings = Settings { addr: addr(7), ..pair.nodes[0].settings.clone() };
    let alone = Node::new(settings, Recovered { pid: pid(0), ..Recovered::default() }, pair.now, 1);
    assert_eq!(alone.status().servers[0].addr, addr(7));
}

#[test]
fn server_whose_store_was_damaged_says_so_until_someone_had_what_is_missing() {
    let mut pair = Pair::ringed();
    pair.nodes[0].damaged = true;
    let problems = pair.nodes[0].status().problems;
    assert!(problems.iter().any(|problem| problem.contains("damaged")), "{problems:?}");
    (0..300).for_each(|_| pair.pass(10));
    assert_eq!(pair.nodes[0].status().problems, [] as [&str; 0]);
}
