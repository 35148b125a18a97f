//! Every bug that the hunt has found is found again by the seed that found it: a checker that catches nothing proves
//! nothing. `cargo test --features bugs --test sim_hunt`.
#![cfg(feature = "bugs")]
#![expect(clippy::panic, reason = "a test says what failed by panicking")]

use ringtalk::proto::bugs::{Bug, Bugs};
use ringtalk::sim::{Scenario, hunt};

/// Seeds within which each bug is found at the latest, with room for plans that are drawn otherwise one day.
const WITHIN: u64 = 40;

/// Bugs that random seeds find, and how they show: the numbers are those of `PROTOCOL.md`'s list.
const FOUND: &[Bug] = &[
    // The mutants of the abstract model.
    Bug::AckEarly,
    Bug::DeliverEarly,
    Bug::NoFreeze,
    Bug::NoFloor,
    Bug::OldFloor,
    Bug::GreatestKey,
    Bug::CutMax,
    Bug::NoPrepared,
    Bug::InstallEarly,
    // Planted in the real code.
    Bug::StateEarly,
    Bug::PreparedEarly,
    Bug::LowerEpoch,
    Bug::NoFlush,
    Bug::NoResend,
    Bug::SkipSync,
    Bug::StableMax,
    Bug::StableMajority,
    Bug::PartsEarly,
    Bug::OrderTwice,
    Bug::HlcStandsStill,
    Bug::StartHlcOwn,
    Bug::DuplicateSilent,
    Bug::CopiesGuessed,
    Bug::LateAsLive,
    Bug::InexactPid,
    Bug::CseqUnordered,
    Bug::SameIncarnation,
];

#[test]
fn every_bug_that_was_found_is_found_again() {
    for &bug in FOUND {
        let Some(catch) = hunt(bug, 1..=WITHIN, || true) else {
            panic!("{bug:?} was not found within {WITHIN} seeds");
        };
        println!("{bug:?}: seed {}, property {}", catch.seed, catch.violation.property);
    }
}

/// Bugs that random runs rarely find, each with a scenario made for it.
const DIRECTED: &[(Bug, &str)] = &[(
    Bug::DamagedCounts,
    "servers 3; talk fast; wait 3s; power-off 1; power-off 2; power-off 3; damage 2; start all; wait 3s; settle",
)];

#[test]
fn every_rare_bug_is_found_by_its_scenario() {
    for (bug, text) in DIRECTED {
        let Ok(scenario) = Scenario::read(text) else {
            panic!("no scenario: {text}");
        };
        let found = (1..=WITHIN).any(|seed| scenario.play(seed, Bugs::NONE.with(*bug)).is_err());
        assert!(found, "{bug:?} was not found by {text}");
    }
}
