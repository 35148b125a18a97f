//! Scenarios that must hold: the ways in which such systems have failed, and those in which this one has.

#![expect(clippy::panic, reason = "a test fails by it")]

use ringtalk::proto::bugs::Bugs;
use ringtalk::sim::Scenario;

mod fifty;
mod narrow;
mod stories;

/// Seeds that each scenario is played with: one where the code is not optimised, so that `cargo test` stays a matter of
/// minutes.
const SEEDS: u64 = if cfg!(feature = "bugs") { 4 } else { 1 };

/// How fast people talk where that makes the scenario long: `cargo test` plays the small one.
const FAST: &str = if cfg!(feature = "bugs") { "fast" } else { "slow" };

/// The scenario holds whatever the seed adds of chance.
fn holds(text: &str) {
    let scenario = read(text);
    for seed in 1..=SEEDS {
        play(&scenario, seed);
    }
}

/// The scenario holds with these seeds, by which it is what the test is about.
fn holds_with(seeds: [u64; 3], text: &str) {
    let scenario = read(text);
    seeds.into_iter().take(SEEDS as usize).for_each(|seed| play(&scenario, seed));
}

fn read(text: &str) -> Scenario {
    match Scenario::read(text) {
        Ok(scenario) => scenario,
        Err(bad) => panic!("no step: {}", bad.0),
    }
}

fn play(scenario: &Scenario, seed: u64) {
    if let Err(violation) = scenario.play(seed, Bugs::NONE) {
        panic!("seed {seed}: property {}: {}", violation.property, violation.text);
    }
}
