//! The simulator itself: one seed gives one run, a sweep holds and reaches the states that matter.

use ringtalk::sim::{Options, Plan, Sweep, run};
use std::time::Duration;

/// Steps that the sweep makes at least: two million where the code is optimised.
const STEPS: u64 = if cfg!(debug_assertions) && !cfg!(feature = "bugs") { 200_000 } else { 2_000_000 };

#[test]
fn one_seed_gives_one_run() {
    for seed in [3, 4] {
        let options = Options { timeline: true, ..Options::default() };
        let (one, other) = (run(seed, &options), run(seed, &options));
        assert_eq!(one.timeline.len(), other.timeline.len());
        for (line, (a, b)) in one.timeline.iter().zip(&other.timeline).enumerate() {
            assert_eq!(a, b, "line {line} of seed {seed}");
        }
        assert_eq!(one.counts.steps, other.counts.steps);
    }
}

#[test]
fn seeds_differ() {
    let faults = |seed| Plan::draw(seed, &Options::default()).faults;
    assert_ne!(faults(3), faults(4));
}

#[test]
fn calm_ring_says_each_message_once_and_falls_quiet() {
    let options = Options { calm: Some(Duration::from_secs(20)), size: Some((5, 10)), ..Options::default() };
    let outcome = run(1, &options);
    assert_eq!(outcome.violation, None);
    assert_eq!(outcome.counts.acked, outcome.counts.made);
    assert!(outcome.counts.made > 100);
}

#[test]
fn sweep_of_fresh_seeds_holds_and_reaches_the_rare_states() {
    let mut sweep = Sweep::default();
    let mut seed = 20_000;
    while sweep.steps < STEPS {
        seed += 1;
        let outcome = sweep.run(seed, &Options::default());
        if let Some(violation) = outcome.violation {
            panic!("seed {seed}: property {}: {}", violation.property, violation.text);
        }
    }
    // A few runs do not reach all of what clients can meet.
    let of_clients =
        ["clients live on the multicast", "clients moved", "feeds begun anew", "fetches", "late at clients"];
    let of_clients = of_clients.into_iter().filter(|_| STEPS >= 2_000_000);
    for state in [
        "two elections at once",
        "two coordinators at once",
        "commit without install",
        "proposals abandoned",
        "freeze with messages under way",
        "views with several parents",
        "merges with messages",
        "late records",
        "duplicate orders",
        "healed cores",
    ]
    .into_iter()
    .chain(of_clients)
    {
        assert!(sweep.rare.contains_key(state), "never seen: {state}; seen: {:?}", sweep.rare);
    }
}
