//! Prepared lessons: what a demo plays when nobody touches a key.

use std::time::Duration;

/// A named list of steps.
#[derive(PartialEq, Debug)]
pub(super) struct Script {
    /// Its name, as `--script` takes it.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) what: &'static str,
    /// In this order.
    pub(super) steps: &'static [Step],
}

/// One step. Faults are followed by a wait until the ring has answered them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Step {
    /// The talkers talk on.
    Talk(Duration),
    /// `kill -9` of the leader; until the survivors have another and messages are acknowledged again.
    CrashLeader,
    /// `kill -9` of one: of the leader when the number is even, else of another by turns; until the survivors go on.
    CrashNext(u8),
    /// `kill -9` of all at once.
    CrashAll,
    /// Starts whoever was killed; until all are in one ring.
    Restart,
    /// Cuts the network into a lesser and a greater half, the leader in the lesser; until each has its own ring.
    Split,
    /// Lets nobody hear the leader, which hears everyone; until the others have gone on.
    MuteLeader,
    /// Loses so many of a hundred datagrams at everyone.
    Lose(u8),
    /// So many messages at once; until all of them are acknowledged.
    Burst(u32),
    /// Everything that comes to one server, which does not lead, waits so many milliseconds.
    SlowOne(u16),
    /// Stops the slowed server where it is, as a machine that hangs; until the others go on without it.
    PauseOne,
    /// Lets it go on; until it is back in the ring.
    Resume,
    /// Ends all faults; until all are in one ring.
    Heal,
    /// Until all histories are equal.
    Settle,
}

impl Step {
    /// What is about to be done as this step of a lesson, and what to look at.
    pub(super) fn words(self, number: usize) -> String {
        match self {
            Self::Talk(_) if number > 1 => "People talk on.".to_owned(),
            Self::Talk(_) => {
                "People talk. Each message is stored by every server before it is acknowledged.".to_owned()
            }
            Self::CrashLeader => {
                "The leader is killed with kill -9: it cannot say goodbye. Who notices first, who leads \
                                  next, and how long does talk pause?"
                    .to_owned()
            }
            Self::CrashNext(number) if number % 2 == 0 => format!("Crash {}: the leader.", number + 1),
            Self::CrashNext(number) => format!("Crash {}: one of the others.", number + 1),
            Self::CrashAll => "All servers are killed at once, as in a power cut.".to_owned(),
            Self::Restart => "Whoever was killed starts again. What does it lack, and how is that filled?".to_owned(),
            Self::Split => {
                "The network is cut in two, the leader on the smaller side. Who leads on each side, and does \
                            talk go on?"
                    .to_owned()
            }
            Self::MuteLeader => "Nobody hears the leader any more, while it hears everyone.".to_owned(),
            Self::Lose(percent) => format!(
                "Every server now loses {percent} of 100 datagrams. Who notices what it has missed, and how does it get it?"
            ),
            Self::Burst(messages) => format!("{messages} messages at once."),
            Self::SlowOne(ms) => format!(
                "One server becomes slow: everything waits {ms} ms before it gets there. How long do all messages take now, \
                 and why?"
            ),
            Self::PauseOne => "The slow server hangs altogether. How long do the others wait for it?".to_owned(),
            Self::Resume => "It goes on as if no time had passed. What does it find out?".to_owned(),
            Self::Heal => "All faults end.".to_owned(),
            Self::Settle => "Are all histories the same, and is everything that was acknowledged in them?".to_owned(),
        }
    }
}

const fn talk(ms: u64) -> Step {
    Step::Talk(Duration::from_millis(ms))
}

/// How often the longest lesson crashes something.
const CRASHES: usize = 20;

const fn twenty_crashes() -> [Step; 2 * CRASHES + 3] {
    let mut steps = [talk(1000); 2 * CRASHES + 3];
    let mut at = 0;
    while at < CRASHES {
        steps[1 + 2 * at] = Step::CrashNext(at as u8);
        steps[2 + 2 * at] = Step::Restart;
        at += 1;
    }
    steps[2 * CRASHES + 2] = Step::Settle;
    steps
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
            Step::Split,
            talk(3000),
            Step::Heal,
            talk(1500),
        ],
    },
    Script {
        name: "leader-crash",
        what: "the leader is killed with kill -9 and comes back",
        steps: &[talk(2000), Step::CrashLeader, talk(2000), Step::Restart, talk(1500), Step::Settle],
    },
    Script {
        name: "split-and-merge",
        what: "the network is cut in two, both halves talk on, and it heals",
        steps: &[talk(2000), Step::Split, talk(4000), Step::Heal, talk(1500), Step::Settle],
    },
    Script {
        name: "lost-datagrams",
        what: "a fifth of all datagrams is lost: who misses one asks for it (NACK) and gets it again",
        steps: &[talk(2000), Step::Lose(20), talk(4000), Step::Burst(300), Step::Heal, talk(1000), Step::Settle],
    },
    Script {
        name: "slow-server",
        what: "one server becomes slow, then hangs, then goes on: everyone waits for it, but not for ever",
        steps: &[
            talk(2000),
            Step::SlowOne(60),
            talk(3000),
            Step::PauseOne,
            talk(2000),
            Step::Resume,
            Step::Heal,
            talk(1500),
            Step::Settle,
        ],
    },
    Script {
        name: "twenty-crashes",
        what: "twenty times a server is killed and started again, every second time the leader",
        steps: &twenty_crashes(),
    },
    Script {
        name: "power-cut",
        what: "all servers are killed at once and start again",
        steps: &[talk(2000), Step::CrashAll, Step::Restart, talk(1500), Step::Settle],
    },
    Script {
        name: "one-way",
        what: "nobody hears the leader any more, while it hears everyone",
        steps: &[talk(2000), Step::MuteLeader, talk(2000), Step::Heal, talk(1500), Step::Settle],
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
            let (mut dead, mut faulty, mut paused) = (false, false, false);
            for step in script.steps {
                match step {
                    Step::CrashLeader | Step::CrashAll | Step::CrashNext(_) => dead = true,
                    Step::Restart => dead = false,
                    Step::Split | Step::MuteLeader | Step::Lose(_) | Step::SlowOne(_) => faulty = true,
                    Step::Heal => faulty = false,
                    Step::PauseOne => paused = true,
                    Step::Resume => paused = false,
                    Step::Talk(_) | Step::Burst(_) | Step::Settle => {}
                }
            }
            assert!(!dead && !faulty && !paused, "{}", script.name);
        }
    }

    #[test]
    fn twenty_crashes_are_twenty() {
        let script = SCRIPTS.iter().find(|script| script.name == "twenty-crashes").unwrap();
        let crashes = script.steps.iter().filter(|step| matches!(step, Step::CrashNext(_))).count();
        assert_eq!(crashes, CRASHES);
    }
}
