//! What a demo plays when nobody touches a key.

use std::time::Duration;

/// A named list of steps.
#[derive(Debug)]
pub(super) struct Script {
    /// Its name, as `--script` takes it.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) what: &'static str,
    /// In this order.
    pub(super) steps: &'static [Step],
}

/// One step. Faults are followed by a wait until the ring has answered them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The talkers talk on.
    Talk(Duration),
    /// `kill -9` of the leader; until the survivors have another.
    CrashLeader,
    /// `kill -9` of all at once.
    CrashAll,
    /// Starts whoever was killed; until all are in one ring.
    Restart,
    /// Cuts the network into a lesser and a greater half, the leader in the lesser; until each has its own ring.
    Cut,
    /// Lets nobody hear the leader, which hears everyone; until the others have gone on.
    MuteLeader,
    /// Loses so many of a hundred datagrams at everyone.
    Lose(u8),
    /// Ends all faults; until all are in one ring.
    Heal,
}

const fn talk(ms: u64) -> Step {
    Step::Talk(Duration::from_millis(ms))
}

/// All scripts; the first is played when none is named.
pub(super) const SCRIPTS: &[Script] = &[
    Script {
        name: "tour",
        what: "the leader crashes and comes back, then the network is cut and heals",
        steps: &[
            talk(2000),
            Step::CrashLeader,
            talk(2000),
            Step::Restart,
            talk(1500),
            Step::Cut,
            talk(3000),
            Step::Heal,
            talk(1500),
        ],
    },
    Script {
        name: "leader-crash",
        what: "the leader is killed with kill -9 and comes back",
        steps: &[talk(2000), Step::CrashLeader, talk(2000), Step::Restart, talk(1500)],
    },
    Script {
        name: "split-and-merge",
        what: "the network is cut in two, both halves talk on, and it heals",
        steps: &[talk(2000), Step::Cut, talk(4000), Step::Heal, talk(1500)],
    },
    Script {
        name: "power-cut",
        what: "all servers are killed at once and start again",
        steps: &[talk(2000), Step::CrashAll, Step::Restart, talk(1500)],
    },
    Script {
        name: "one-way",
        what: "nobody hears the leader any more, while it hears everyone",
        steps: &[talk(2000), Step::MuteLeader, talk(2000), Step::Heal, talk(1500)],
    },
    Script {
        name: "loss",
        what: "a fifth of all datagrams is lost for a while",
        steps: &[talk(1000), Step::Lose(20), talk(6000), Step::Heal, talk(1000)],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_mends_what_it_breaks() {
        for script in SCRIPTS {
            let (mut dead, mut faulty) = (false, false);
            for step in script.steps {
                match step {
                    Step::CrashLeader | Step::CrashAll => dead = true,
                    Step::Restart => dead = false,
                    Step::Cut | Step::MuteLeader | Step::Lose(_) => faulty = true,
                    Step::Heal => faulty = false,
                    Step::Talk(_) => {}
                }
            }
            assert!(!dead && !faulty, "{}", script.name);
        }
    }
}
