//! The scenarios of `lan-test`, which real hosts play, in the simulator.

use ringtalk::proto::bugs::Bugs;
use ringtalk::sim::Scenario;
use std::fs;
use std::path::Path;

/// Seeds that each scenario is played with, alone and with people: one where the code is not optimised, as in `scenarios`.
const SEEDS: u64 = if cfg!(feature = "bugs") { 8 } else { 1 };

#[test]
fn scenarios_of_the_lan_hold_in_the_simulator() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("lan-test/scenarios");
    let mut played = 0;
    for entry in fs::read_dir(dir).expect("the scenarios are there") {
        let path = entry.expect("a directory lists").path();
        let text = fs::read_to_string(&path).expect("a scenario is text");
        let scenario = Scenario::read(&text).unwrap_or_else(|bad| panic!("{}: `{}`", path.display(), bad.0));
        for scenario in [scenario.clone(), scenario.with_people()] {
            for seed in 1..=SEEDS {
                if let Err(violation) = scenario.play(seed, Bugs::NONE) {
                    panic!("{} seed {seed}: property {}: {}", path.display(), violation.property, violation.text);
                }
            }
        }
        played += 1;
    }
    assert!(played >= 10, "{played} scenarios");
}
