//! The hunt: each planted bug must be found, or the checker proves nothing.

use super::checker::Violation;
use super::plan::Options;
use super::swarm;
use crate::proto::bugs::{Bug, Bugs};
use std::ops::RangeInclusive;

/// A planted bug and the seed that finds it.
#[derive(Clone, Debug)]
pub struct Catch {
    /// The bug.
    pub bug: Bug,
    /// The seed.
    pub seed: u64,
    /// How it showed.
    pub violation: Violation,
}

/// Runs seeds with a bug planted until one finds it; `go_on` is asked before each. `None` when none did, and always in
/// builds without the feature `bugs`.
pub fn hunt(bug: Bug, seeds: RangeInclusive<u64>, mut go_on: impl FnMut() -> bool) -> Option<Catch> {
    let options = Options { bugs: Bugs::NONE.with(bug), ..Options::default() };
    for seed in seeds {
        if !go_on() {
            return None;
        }
        if let Some(violation) = swarm::run(seed, &options).violation {
            return Some(Catch { bug, seed, violation });
        }
    }
    None
}
