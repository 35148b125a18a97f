//! Every planted bug is found again by the seed that found it: a checker that catches nothing proves nothing.
//! `cargo test --profile sim --no-default-features --features bugs --test sim_hunt -- --nocapture` prints how each shows.
#![cfg(feature = "bugs")]
#![expect(clippy::print_stdout, reason = "how each bug shows is asked for with --nocapture")]

use ringtalk::proto::bugs::Bugs;
use ringtalk::sim::{KNOWN, Known, Scenario, hunt, replay};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Seeds within which a bug is found at the latest, when a change of the protocol has made its own seed another run: the
/// table in `src/sim/known.rs` is then to be renewed.
const WITHIN: usize = 25;

/// Does `work` with each row of the table, on both cores; what it complains of.
fn with_each(work: impl Fn(&Known) -> Option<String> + Sync) -> Vec<String> {
    let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let one_after_the_other = || {
        while let Some(known) = KNOWN.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let (Some(complaint), Ok(mut complaints)) = (work(known), complaints.lock()) {
                complaints.push(complaint);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(one_after_the_other);
        scope.spawn(one_after_the_other);
    });
    complaints.into_inner().unwrap_or_default()
}

#[test]
fn every_planted_bug_is_found_by_its_seed() {
    let unfound = with_each(|known| {
        let mut tried = 0;
        let go_on = || {
            tried += 1;
            tried <= WITHIN
        };
        let Some(catch) = replay(known).or_else(|| hunt(known.bug, go_on)) else {
            return Some(format!("{:?}", known.bug));
        };
        let renew = if catch.seed == known.seed { "" } else { ", which is not the one in the table" };
        println!("{:?}: seed {}{renew}, property {}", known.bug, catch.seed, catch.violation.property);
        None
    });
    assert!(unfound.is_empty(), "not found: {unfound:?}");
}

#[test]
fn no_directed_scenario_fails_without_its_bug() {
    let wrong = with_each(|known| {
        let scenario = Scenario::read(known.scenario?).ok()?;
        let violation = scenario.play(known.seed, Bugs::NONE).err()?;
        Some(format!("{:?}: property {}: {}", known.bug, violation.property, violation.text))
    });
    assert!(wrong.is_empty(), "{wrong:?}");
}
