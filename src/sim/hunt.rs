//! The hunt: each planted bug must be found, or the checker proves nothing.

use super::checker::Violation;
use super::known::{KNOWN, Known};
use super::plan::Options;
use super::scenario::Scenario;
use super::swarm;
use crate::proto::bugs::{Bug, Bugs};

/// A planted bug and the seed that finds it.
#[derive(Clone, Debug)]
pub struct Catch {
    /// The bug.
    pub bug: Bug,
    /// The seed.
    pub seed: u64,
    /// The scenario that it plays, when random runs are not what finds the bug.
    pub scenario: Option<&'static str>,
    /// How it showed.
    pub violation: Violation,
}

/// Runs the seed that is known to find this bug; `None` when it does not any more, and always in builds without the feature
/// `bugs`.
pub fn replay(known: &Known) -> Option<Catch> {
    try_seed(known, known.seed)
}

/// Runs seeds from the first on, of the bug's scenario if it has one, with it planted until one finds it; `go_on` is asked
/// before each.
pub fn hunt(bug: Bug, mut go_on: impl FnMut() -> bool) -> Option<Catch> {
    let known = KNOWN.iter().find(|known| known.bug == bug)?;
    (1..).take_while(|_| go_on()).find_map(|seed| try_seed(known, seed))
}

fn try_seed(known: &Known, seed: u64) -> Option<Catch> {
    let Known { bug, scenario, .. } = *known;
    let bugs = Bugs::NONE.with(bug);
    let violation = match scenario {
        None => swarm::run(seed, &Options { bugs, ..Options::default() }).violation,
        Some(text) => Scenario::read(text).ok()?.play(seed, bugs).err(),
    };
    violation.map(|violation| Catch { bug, seed, scenario, violation })
}
