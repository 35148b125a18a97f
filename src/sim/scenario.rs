//! Directed scenarios, as text: one step a line, in the order in which they happen.
//!
//! ```text
//! servers 5                     clients 3                 talk fast
//! wait 2s                       settle                    settle 1,2,3
//! kill 1    kill leader         power-off 2               start 1    start all    leave 3
//! cut 1,2|3,4,5                 cut 1>2                   mute 1>2   (multicast only)   hush 1>2   (all but multicast)
//! heal                          loss 20%                  narrow 600   (longer datagrams are lost)
//! duplicates 5% 60s             reorder 10% 20ms          corrupt 2%
//! pause 2 10s                   clock 1 +86400000         destroy 1  backup 1  restore 1  damage 1
//! copy 1 4 (4 has the disk and the id of 1)
//! disk 1 slow 5s | broken | full | good
//! on 2 commit from 1: kill      on 1 data: lose           on 1 prepared: pause 3s
//! move 1 (a client)             seen merges with messages     never suspicions
//! keep 10s,all,5s (what each server would keep; views last 3 s, and who was away for 15 s is not asked)
//! disk leader slow 5s           flood 1                   other-net 3,4     around 2 narrow 600
//! bandwidth all 2mbit queue 64kb   bandwidth leader 500kbit    bandwidth 3 free    (a client: the number after the servers')
//! people (the clients are real)   pause-client 1 2s       restart-client 1 1s
//! carries 40% 10s (of the narrowest wire)     costs 4 (bytes sent for each byte of text that is acknowledged, since mark)
//! acked 10s    serves 1 10s     everyone 10s              mark       views 1    leader same | leader greatest
//! ```
//! Servers and clients count from 1. `settle` heals nothing: it demands that all servers that run, or those listed, come
//! together within the time that liveness allows. `seen` demands that a rare state was reached, `never` that it was not,
//! `acked` that some message is acknowledged within this time, `everyone` that one of each client is, `serves` that one of this server's clients is, `views` that no more view changes were begun since `mark`,
//! `leader` that it is still the same as then, or the greatest of its view.

use super::checker::Violation;
use super::client::{HUGE, Habit};
use super::disk::Manner;
use super::expect::{Expect, Mark};
use super::fault::{Fault, Trigger};
use super::lan::{Cut, Quality};
use super::plan::{ms, secs};
use super::port::Bandwidth;
use super::swarm;
use super::world::{Shape, World};
use crate::proto::bugs::Bugs;
use crate::proto::settings::{Keep, Retention};
use std::time::Duration;

/// A line that is no step, with the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadStep(pub String);

/// One step. `lan-test` plays those that real hosts can take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Time passes.
    Wait(Duration),
    /// Something goes wrong, or right again.
    Strike(Fault),
    /// These servers, or all that run, must come together.
    Settle(Option<Vec<usize>>),
    /// This rare state must have been reached.
    Seen(String),
    /// Clients talk in another way from now on.
    Talk(Talk),
    /// Something else is looked at.
    Expect(Expect),
}

/// How clients talk, by one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Talk {
    /// Some hundred messages a second each.
    Fast,
    /// A few messages a second.
    Slow,
    /// Slowly, and often in fragments.
    Long,
    /// Some hundred messages a second each, as long as messages may be.
    Huge,
    /// Not at all.
    Silent,
}

/// A scenario, read from its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    servers: usize,
    clients: usize,
    people: bool,
    absent: Vec<usize>,
    other_net: Vec<usize>,
    retention: Vec<Retention>,
    steps: Vec<Step>,
}

impl Scenario {
    /// Reads a scenario; steps stand on lines of their own or are parted by semicolons, and `#` begins a comment.
    ///
    /// # Errors
    /// [`BadStep`] for the first line that makes no sense.
    pub fn read(text: &str) -> Result<Self, BadStep> {
        let mut scenario = Self {
            servers: 3,
            clients: 2,
            people: false,
            absent: Vec::new(),
            other_net: Vec::new(),
            retention: Vec::new(),
            steps: Vec::new(),
        };
        let lines =
            text.lines().filter_map(|line| line.split('#').next()).flat_map(|line| line.split(';')).map(str::trim);
        for line in lines.filter(|line| !line.is_empty()) {
            scenario.line(line).ok_or_else(|| BadStep(line.to_owned()))?;
        }
        Ok(scenario)
    }

    /// The steps, in the order in which they happen.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many servers and clients there are; stations are numbered through both, from 0, servers first.
    pub fn size(&self) -> (usize, usize) {
        (self.servers, self.clients)
    }

    /// The same with the clients that people have.
    #[must_use]
    pub fn with_people(mut self) -> Self {
        self.people = true;
        self
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "servers" => self.servers = rest.parse().ok()?,
            "clients" => self.clients = rest.parse().ok()?,
            "people" if rest.is_empty() => self.people = true,
            "absent" => self.absent = list(rest)?,
            "other-net" => self.other_net = list(rest)?,
            "keep" => self.retention = rest.split(',').map(keep).collect::<Option<_>>()?,
            "wait" => self.steps.push(Step::Wait(wait(rest)?)),
            "settle" if rest.is_empty() => self.steps.push(Step::Settle(None)),
            "settle" => self.steps.push(Step::Settle(Some(list(rest)?))),
            "seen" => self.steps.push(Step::Seen(rest.to_owned())),
            "talk" => self.steps.push(Step::Talk(habit(rest)?)),
            "never" | "acked" | "everyone" | "serves" | "carries" | "costs" | "mark" | "views" | "leader" => {
                self.steps.push(Step::Expect(Expect::read(word, rest)?));
            }
            "start" if rest == "all" => {
                let servers = 0..self.servers;
                self.steps.extend(servers.map(|at| Step::Strike(Fault::Start(at))));
            }
            _ => self.steps.push(Step::Strike(fault(word, rest)?)),
        }
        Some(())
    }

    /// Plays it in a world of this seed.
    ///
    /// # Errors
    /// The first violation; that a rare state was not seen counts as one of liveness.
    pub fn play(&self, seed: u64, bugs: Bugs) -> Result<(), Violation> {
        let mut world = self.world(seed, bugs, false);
        self.play_in(&mut world)
    }

    /// The world of a seed at its beginning.
    pub fn world(&self, seed: u64, bugs: Bugs, timeline: bool) -> World {
        World::new(&Shape {
            seed,
            servers: self.servers,
            clients: self.clients,
            absent: self.absent.clone(),
            other_net: self.other_net.clone(),
            habit: Talk::Slow.habit(),
            retention: self.retention.clone(),
            people: self.people,
            bugs,
            drift: true,
            timeline,
        })
    }

    /// Plays it in a world of its own making.
    ///
    /// # Errors
    /// As [`Scenario::play`].
    pub fn play_in(&self, world: &mut World) -> Result<(), Violation> {
        let mut mark = Mark::default();
        for step in &self.steps {
            match step {
                Step::Expect(expect) => expect.look(world, &mut mark)?,
                Step::Wait(wait) => world.run_until(world.time + *wait)?,
                Step::Strike(fault) => {
                    world.plan(world.time, fault.clone());
                    world.run_until(world.time)?;
                }
                Step::Settle(which) => settle(world, which.as_deref())?,
                Step::Seen(name) => seen(world, name)?,
                Step::Talk(habit) => {
                    for client in &mut world.clients {
                        *client.habit_mut() = habit.habit();
                    }
                }
            }
        }
        Ok(())
    }
}

fn settle(world: &mut World, which: Option<&[usize]>) -> Result<(), Violation> {
    let running = |at: &usize| world.servers[*at].node.is_some();
    let servers: Vec<usize> = match which {
        Some(which) => which.to_vec(),
        None => (0..world.servers.len()).filter(running).collect(),
    };
    swarm::come_together(world, &servers)
}

fn seen(world: &World, name: &str) -> Result<(), Violation> {
    let duplicates = if name == "duplicate orders" { world.checker.duplicates() } else { 0 };
    if world.counts.rare.contains_key(name) || duplicates > 0 {
        return Ok(());
    }
    let text = format!("never seen: {name}; seen: {:?}", world.counts.rare);
    Err(Violation { property: super::checker::LIVENESS, text })
}

impl Talk {
    fn habit(self) -> Habit {
        let slow = Habit { pause: ms(40), pause_jitter: ms(160), window: 32, long: 0, silent: false };
        match self {
            Self::Slow => slow,
            Self::Fast => Habit { pause: ms(1), pause_jitter: ms(6), ..slow },
            Self::Huge => Habit { pause: ms(1), pause_jitter: ms(6), long: HUGE, ..slow },
            Self::Long => Habit { long: 300, ..slow },
            Self::Silent => Habit { silent: true, ..slow },
        }
    }
}

fn habit(word: &str) -> Option<Talk> {
    Some(match word {
        "fast" => Talk::Fast,
        "slow" => Talk::Slow,
        "long" => Talk::Long,
        "huge" => Talk::Huge,
        "not" => Talk::Silent,
        _ => return None,
    })
}

/// A number that counts from 1, as one that counts from 0.
pub(super) fn number(word: &str) -> Option<usize> {
    word.trim().parse::<usize>().ok()?.checked_sub(1)
}

/// What a server would keep, as every ring in a scenario that lets go of anything.
fn keep(text: &str) -> Option<Retention> {
    let keep = if text.trim() == "all" { Keep::All } else { Keep::For(wait(text.trim())?) };
    Some(Retention { keep, view_lasts: secs(3), view_holds: 1000, absent_for: secs(15) })
}

fn list(text: &str) -> Option<Vec<usize>> {
    text.split(',').map(number).collect()
}

pub(super) fn wait(text: &str) -> Option<Duration> {
    if let Some(n) = text.strip_suffix("ms") {
        return n.trim().parse().ok().map(ms);
    }
    text.strip_suffix('s')?.trim().parse().ok().map(secs)
}

fn permille(text: &str) -> Option<u32> {
    text.strip_suffix('%')?.trim().parse::<u32>().ok()?.checked_mul(10)
}

fn fault(word: &str, rest: &str) -> Option<Fault> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(match (word, words.as_slice()) {
        ("kill", ["leader"]) => Fault::KillLeader,
        ("kill", [at]) => Fault::Kill(number(at)?),
        ("power-off", [at]) => Fault::PowerOff(number(at)?),
        ("start", [at]) => Fault::Start(number(at)?),
        ("leave", [at]) => Fault::Leave(number(at)?),
        ("pause", [at, length]) => Fault::Pause(number(at)?, wait(length)?),
        ("clock", [at, jump]) => Fault::ClockJump(number(at)?, jump.parse().ok()?),
        ("destroy", [at]) => Fault::Destroy(number(at)?),
        ("backup", [at]) => Fault::BackUp(number(at)?),
        ("restore", [at]) => Fault::Restore(number(at)?),
        ("copy", [of, to]) => Fault::Copy { of: number(of)?, to: number(to)? },
        ("damage", [at]) => Fault::Damage(number(at)?),
        ("move", [client]) => Fault::MoveClient(number(client)?),
        ("pause-client", [client, length]) => Fault::PauseClient(number(client)?, wait(length)?),
        ("restart-client", [client, length]) => Fault::RestartClient(number(client)?, wait(length)?),
        ("flood", [at]) => Fault::Flood(number(at)?),
        ("disk", ["leader", how @ ..]) => Fault::LeadersDisk(Box::new(manner(how)?)),
        ("disk", [at, how @ ..]) => Fault::Disk(number(at)?, Box::new(manner(how)?)),
        ("bandwidth", ["all", how @ ..]) => Fault::BandwidthOfAll(bandwidth(how)?),
        ("bandwidth", ["leader", how @ ..]) => Fault::LeadersBandwidth(bandwidth(how)?),
        ("bandwidth", [at, how @ ..]) => Fault::Bandwidth(number(at)?, bandwidth(how)?),
        ("heal", []) => Fault::HealNet,
        ("heal", ["all"]) => Fault::HealAll,
        ("cut", [path]) if path.contains('>') => cut(path, Cut::All)?,
        ("mute", [path]) => cut(path, Cut::Multicast)?,
        ("hush", [path]) => cut(path, Cut::Unicast)?,
        ("open", [path]) => cut(path, Cut::None)?,
        ("cut", [groups]) => Fault::Groups(groups.split('|').map(list).collect::<Option<_>>()?),
        ("on", [count, message, then @ ..]) => on(count, message, then)?,
        ("around", [at, word, how @ ..]) => Fault::QualityAround(number(at)?, Box::new(quality(word, how)?)),
        _ => Fault::QualityOfAll(Box::new(quality(word, &words)?)),
    })
}

/// What a wire takes on: `2mbit queue 64kb`, where the queue is 64 kB unless it is told, or `free`.
#[expect(clippy::option_option, reason = "what is no bandwidth, and none")]
fn bandwidth(how: &[&str]) -> Option<Option<Bandwidth>> {
    let of = |bits, queue_bytes| Some(Some(Bandwidth { bits, queue_bytes }));
    match how {
        ["free"] => Some(None),
        [bits] => of(scaled(bits, "bit")?, 64_000),
        [bits, "queue", bytes] => of(scaled(bits, "bit")?, scaled(bytes, "b")? as usize),
        _ => None,
    }
}

/// `10mbit`, `64kb`.
fn scaled(text: &str, unit: &str) -> Option<u64> {
    let number = text.strip_suffix(unit)?;
    let (number, scale) = match number.strip_suffix('m') {
        Some(number) => (number, 1_000_000),
        None => (number.strip_suffix('k')?, 1000),
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

fn cut(path: &str, cut: Cut) -> Option<Fault> {
    let (from, to) = path.split_once('>')?;
    Some(Fault::Cut(number(from)?, number(to)?, cut))
}

fn manner(how: &[&str]) -> Option<Manner> {
    Some(match how {
        ["good"] => Manner::GOOD,
        ["broken"] => Manner { broken: true, ..Manner::GOOD },
        ["full"] => Manner { full: true, ..Manner::GOOD },
        ["slow", length] => Manner { sync: wait(length)?, ..Manner::GOOD },
        _ => return None,
    })
}

fn quality(word: &str, words: &[&str]) -> Option<Quality> {
    let good = Quality::GOOD;
    Some(match (word, words) {
        ("loss", [share]) => Quality { loss: permille(share)?, ..good },
        ("bursts", [length]) => Quality { burst: 10, burst_len: length.parse().ok()?, ..good },
        ("narrow", [bytes]) => Quality { lost_above: Some(bytes.parse().ok()?), ..good },
        ("duplicates", [share, late]) => Quality { duplicate: permille(share)?, duplicate_late: wait(late)?, ..good },
        ("reorder", [share, late]) => Quality { reorder: permille(share)?, reorder_late: wait(late)?, ..good },
        ("corrupt", [share]) => Quality { corrupt: permille(share)?, ..good },
        ("slow", [latency, jitter]) => Quality { latency: wait(latency)?, jitter: wait(jitter)?, ..good },
        ("slow", [latency]) => Quality { latency: wait(latency)?, jitter: wait(latency)?, ..good },
        _ => return None,
    })
}

/// `on 2 commit from 1: kill`, its words after `on`.
fn on(count: &str, message: &str, then: &[&str]) -> Option<Fault> {
    let message = message.trim_end_matches(':');
    let (from, then) = match then {
        ["from", from, then @ ..] => (Some(number(from.trim_end_matches(':'))?), then),
        then => (None, then),
    };
    let fault = match then {
        ["kill"] => Fault::KillSender,
        ["kill", at] => Fault::Kill(number(at)?),
        ["lose"] => Fault::Lose,
        ["pause", length] => Fault::PauseSender(wait(length)?),
        ["power-off", at] => Fault::PowerOff(number(at)?),
        ["start", at] => Fault::Start(number(at)?),
        ["destroy", at] => Fault::Destroy(number(at)?),
        _ => return None,
    };
    let message = super::world::MESSAGES.iter().copied().find(|name| *name == message)?;
    Some(Fault::On(Trigger { message, from }, count.parse().ok()?, Box::new(fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_read_as_they_are_written() {
        let read = |line: &str| Scenario::read(line).map(|scenario| scenario.steps);
        assert_eq!(read("kill 1"), Ok(vec![Step::Strike(Fault::Kill(0))]));
        assert_eq!(read("cut 1,2|3"), Ok(vec![Step::Strike(Fault::Groups(vec![vec![0, 1], vec![2]]))]));
        assert_eq!(read("mute 2>1"), Ok(vec![Step::Strike(Fault::Cut(1, 0, Cut::Multicast))]));
        assert_eq!(read("hush 2>1"), Ok(vec![Step::Strike(Fault::Cut(1, 0, Cut::Unicast))]));
        assert_eq!(read("wait 5ms; settle"), Ok(vec![Step::Wait(ms(5)), Step::Settle(None)]));
        let narrow = Bandwidth { bits: 2_000_000, queue_bytes: 64_000 };
        assert_eq!(read("bandwidth all 2mbit"), Ok(vec![Step::Strike(Fault::BandwidthOfAll(Some(narrow)))]));
        let small = Bandwidth { queue_bytes: 9000, ..narrow };
        assert_eq!(read("bandwidth 3 2000kbit queue 9kb"), Ok(vec![Step::Strike(Fault::Bandwidth(2, Some(small)))]));
        assert_eq!(read("bandwidth leader free"), Ok(vec![Step::Strike(Fault::LeadersBandwidth(None))]));
        assert_eq!(read("bandwidth 3 2"), Err(BadStep("bandwidth 3 2".to_owned())));
        let trigger = Trigger { message: "commit", from: Some(0) };
        let armed = Fault::On(trigger, 2, Box::new(Fault::KillSender));
        assert_eq!(read("on 2 commit from 1: kill"), Ok(vec![Step::Strike(armed)]));
        assert_eq!(read("on 1 sausage: lose"), Err(BadStep("on 1 sausage: lose".to_owned())));
        assert_eq!(read("kill 0"), Err(BadStep("kill 0".to_owned())));
    }
}
