//! The ring's election step by step, with nothing but `proto::election` and `proto::ring`, in virtual time.
//!
//! Five servers have no leader. The greatest, 5, is dead, and nobody knows it yet. Server 2 sends its token to its
//! successor; who is better answers with a token of its own, who is not passes it on; who does not acknowledge a token three
//! times is skipped. The one whose own token comes home is the nominee: 4. Each hop takes 1 ms.
#![expect(clippy::print_stdout, reason = "a program for people")]

use ringtalk::ids::{Incarnation, Pid, ServerId};
use ringtalk::proto::election::{Around, Election, Step};
use ringtalk::proto::ring::Ring;
use ringtalk::proto::rng::Rng;
use ringtalk::time::{Now, Time};
use ringtalk::wire::message::{Elect, Rank};
use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;
use std::time::Duration;

const HOP: Duration = Duration::from_millis(1);
const DEAD: u64 = 5;

/// What is on its way to a server.
enum Mail {
    Start,
    Token { from: Pid, elect: Elect },
    Ack { from: Pid, hop: u64 },
}

/// Five servers, the letters between them, and the time.
struct World {
    ring: Ring,
    elections: BTreeMap<Pid, Election>,
    /// By time, then in the order of posting.
    mail: BTreeMap<(Time, u64), (Pid, Mail)>,
    posted: u64,
    now: Time,
    rng: Rng,
    skipped: Vec<(Pid, Pid)>,
    won: Option<(Pid, Vec<Pid>)>,
}

fn main() {
    let ring = Ring::of((1..=5).map(pid));
    let elections = ring.pids().iter().map(|&pid| (pid, Election::new(pid))).collect();
    let mut world = World {
        ring,
        elections,
        mail: BTreeMap::new(),
        posted: 0,
        now: Time(0),
        rng: Rng::new(1),
        skipped: Vec::new(),
        won: None,
    };
    world.post(pid(2), Mail::Start);
    while world.won.is_none() && world.now < Time(2_000_000) {
        world.next();
    }
    assert_eq!(world.won, Some((pid(4), [4, 1, 2, 3].map(pid).to_vec())), "the greatest that lives, by the whole ring");
    assert_eq!(world.skipped, [(pid(4), pid(DEAD))], "one skips the dead, and the others need not");
}

fn pid(server: u64) -> Pid {
    Pid { server: ServerId(server), incarnation: Incarnation { boot: 1, random: 0 } }
}

impl World {
    fn post(&mut self, to: Pid, mail: Mail) {
        self.posted += 1;
        self.mail.insert((self.now + HOP, self.posted), (to, mail));
    }

    /// Brings the next letter, or wakes the server whose timeout comes before it.
    fn next(&mut self) {
        let living = self.elections.iter().filter(|(pid, _)| pid.server.0 != DEAD);
        let (due, sleeper) = living.map(|(pid, election)| (election.next_timeout(), *pid)).min().unwrap_or_default();
        let letter = self.mail.first_entry().filter(|letter| letter.key().0 <= due).map(OccupiedEntry::remove_entry);
        let Some(((at, _), (to, mail))) = letter else {
            self.now = due;
            return self.wake(sleeper, Election::timeout);
        };
        self.now = at;
        match mail {
            _ if to.server.0 == DEAD => self.say(to, "is dead, and says nothing"),
            Mail::Start => self.wake(to, Election::start),
            Mail::Token { from, elect } => {
                self.wake(to, |election, now, rng, around| election.on_elect(now, rng, from, &elect, around));
            }
            Mail::Ack { from, hop } => {
                self.wake(to, |election, _, _, _| {
                    election.on_ack(from, hop);
                    Vec::new()
                });
            }
        }
    }

    /// Lets a server's election do something, and does what it says.
    fn wake(&mut self, me: Pid, call: impl FnOnce(&mut Election, Now, &mut Rng, &Around<'_>) -> Vec<Step>) {
        let rank = Rank { ready: true, priority: 0, pid: me };
        let around = Around { rank, ring: &self.ring, max_num: 7, settled: false };
        let now = Now { mono: self.now, wall_ms: 0 };
        let Some(election) = self.elections.get_mut(&me) else { return };
        for step in call(election, now, &mut self.rng, &around) {
            match step {
                Step::Begun { num, .. } => self.say(me, &format!("takes part in election {num}")),
                Step::Send { to, elect } => {
                    let way: Vec<String> = elect.path.iter().map(|pid| pid.server.0.to_string()).collect();
                    let candidate = elect.candidate.pid.server.0;
                    self.say(me, &format!("→ {}: \"elect {candidate}\", seen by {}", to.server.0, way.join(", ")));
                    self.post(to, Mail::Token { from: me, elect });
                }
                Step::Ack { to, hop } => self.post(to, Mail::Ack { from: me, hop }),
                Step::Skipped(dead) => {
                    self.say(me, &format!("skips {}, which did not answer", dead.server.0));
                    self.skipped.push((me, dead));
                }
                Step::PassedOver { why, .. } => self.say(me, &format!("passes a token over: {why:?}")),
                Step::Won { path, .. } => {
                    self.say(me, "is the nominee: its token came home");
                    self.won = Some((me, path));
                }
            }
        }
    }

    fn say(&self, who: Pid, what: &str) {
        println!("{:>5} ms  {} {what}", self.now.since(Time(0)).as_millis(), who.server.0);
    }
}
