//! Scenarios: what goes wrong on the LAN, and when. The files of `lan-test/scenarios` are read by the simulator's reader,
//! [`ringtalk::sim::scenario`], and played in both worlds; here stands which of its steps real hosts can take.
//!
//! | step | on the LAN |
//! |---|---|
//! | `wait 2s` | the load goes on: it is spread evenly over all waits |
//! | `loss 20%` | every host loses that share of the datagrams that come in; `loss 0%` ends it |
//! | `cut 1,2,6\|3,4,5` `cut 2>4` | nothing passes between the groups; nothing passes one way. A client (after the servers) sits on the host of its own number |
//! | `bandwidth all 10mbit queue 64kb` | so much passes each host's wire, each way, and so much waits before it; `bandwidth all free` ends it |
//! | `heal` | all cuts and losses end |
//! | `kill 3` `kill leader` `start 3` `start all` | `kill -9`; a new process on the same disk |
//! | `pause 3 10s` | SIGSTOP, SIGCONT ten seconds later; `on 1 order: pause 10s` stops the leader, `on 1 ack: pause 10s` one that does not lead |
//! | `settle` | all servers tell one view |
//! | `mark` `views 0` | no more views than that have begun since the mark |
//! | `everyone 5s` | within that time everyone who talks has something acknowledged; the books tell, at the end |

use ringtalk::sim::expect::Expect;
use ringtalk::sim::fault::Fault;
use ringtalk::sim::lan::{Cut, Quality};
use ringtalk::sim::port::Bandwidth;
use ringtalk::sim::scenario::{Scenario as Script, Step};
use std::fmt;
use std::time::Duration;

/// Hosts in every scenario.
pub(crate) const HOSTS: u8 = 5;

/// One scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Scenario {
    /// The name of its file.
    pub(crate) name: String,
    /// The comment that opens its file.
    pub(crate) about: String,
    /// How many clients talk.
    pub(crate) clients: u8,
    /// What happens when, since the load began; in the order of the times.
    pub(crate) acts: Vec<(Duration, Act)>,
    /// When the load ends.
    pub(crate) end: Duration,
}

/// What happens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// Percent of the datagrams that every host loses.
    Loss(u8),
    /// What passes each host's wire; `None` as much as is given to it.
    Bandwidth(Option<Bandwidth>),
    /// Nothing passes between hosts of different groups.
    Cut(Vec<Vec<u8>>),
    /// Nothing passes from the one host to the other.
    CutOneWay(u8, u8),
    /// All cuts and losses end.
    Heal,
    /// `kill -9`.
    Kill(Who),
    /// A new process on the same disk, unless one runs.
    Start(u8),
    /// SIGSTOP.
    Stop(Who),
    /// SIGCONT to all that are stopped.
    GoOn,
    /// All servers must tell one view.
    Settle,
    /// From here views are counted.
    Mark,
    /// No more views than this may have begun since.
    Views(u64),
    /// Everyone must have something acknowledged within this time.
    Everyone(Duration),
}

/// Which server something is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// The one on this host.
    Host(u8),
    /// The one that leads.
    Leader,
    /// The least host that lives and does not lead.
    Member,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(percent) => write!(f, "loss {percent}%"),
            Self::Bandwidth(None) => f.write_str("bandwidth all free"),
            Self::Bandwidth(Some(Bandwidth { bits, queue_bytes })) => {
                write!(f, "bandwidth all {}kbit queue {}kb", bits / 1000, queue_bytes / 1000)
            }
            Self::Cut(groups) => {
                let group = |hosts: &Vec<u8>| hosts.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
                write!(f, "cut {}", groups.iter().map(group).collect::<Vec<_>>().join("|"))
            }
            Self::CutOneWay(from, to) => write!(f, "cut {from}>{to}"),
            Self::Heal => f.write_str("heal"),
            Self::Kill(who) => write!(f, "kill {who}"),
            Self::Start(host) => write!(f, "start {host}"),
            Self::Stop(who) => write!(f, "stop {who}"),
            Self::GoOn => f.write_str("go on"),
            Self::Settle => f.write_str("settle"),
            Self::Mark => f.write_str("mark"),
            Self::Views(most) => write!(f, "views {most}"),
            Self::Everyone(span) => write!(f, "everyone {span:?}"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(number) => write!(f, "{number}"),
            Self::Leader => f.write_str("leader"),
            Self::Member => f.write_str("member"),
        }
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// The step that is none, or that real hosts cannot take; that it leaves something broken or stopped.
    pub(crate) fn read(name: &str, text: &str) -> Result<Self, String> {
        let script = Script::read(text).map_err(|bad| format!("`{}` is no step", bad.0))?;
        let (servers, clients) = script.size();
        if servers != usize::from(HOSTS) || !(1..=usize::from(HOSTS)).contains(&clients) {
            return Err(format!("there are {HOSTS} hosts, one server on each and at most one client"));
        }
        let about = text.lines().find_map(|line| line.strip_prefix('#')).unwrap_or_default().trim().to_owned();
        let mut at = Duration::ZERO;
        let mut acts = Vec::new();
        for step in script.steps() {
            match step {
                Step::Wait(wait) => at += *wait,
                Step::Talk(_) => {}
                Step::Settle(None) => acts.push((at, Act::Settle)),
                Step::Strike(fault) => strike(at, fault, &mut acts)?,
                Step::Expect(Expect::Everyone(span)) => acts.push((at, Act::Everyone(*span))),
                Step::Expect(Expect::Mark) => acts.push((at, Act::Mark)),
                Step::Expect(Expect::Views(most)) => acts.push((at, Act::Views(*most))),
                Step::Settle(Some(_)) | Step::Seen(_) | Step::Expect(_) => {
                    return Err(format!("{step:?} is for the simulator only"));
                }
            }
        }
        acts.sort_by_key(|(at, _)| *at);
        let scenario = Self { name: name.to_owned(), about, clients: clients as u8, acts, end: at };
        scenario.is_mended_at_its_end().then_some(scenario).ok_or_else(|| "a scenario ends mended".to_owned())
    }

    /// Whether wires are narrow in it.
    pub(crate) fn narrows(&self) -> bool {
        self.acts.iter().any(|(_, act)| matches!(act, Act::Bandwidth(Some(_))))
    }

    fn is_mended_at_its_end(&self) -> bool {
        let (mut loss, mut narrow, mut cut, mut dead) = (false, false, false, 0_u32);
        for (_, act) in &self.acts {
            match act {
                Act::Loss(percent) => loss = *percent > 0,
                Act::Bandwidth(bandwidth) => narrow = bandwidth.is_some(),
                Act::Cut(_) | Act::CutOneWay(..) => cut = true,
                Act::Heal => (loss, cut) = (false, false),
                Act::Kill(_) => dead += 1,
                // `start all` starts those that live, too: that is nothing.
                Act::Start(_) => dead = dead.saturating_sub(1),
                Act::Stop(_) | Act::GoOn | Act::Settle | Act::Mark | Act::Views(_) | Act::Everyone(_) => {}
            }
        }
        let over = self.acts.iter().all(|(at, act)| *at < self.end || *act == Act::Settle);
        !loss && !narrow && !cut && dead == 0 && over && !self.end.is_zero()
    }
}

/// The host of a station: a server's or a client's.
fn host(station: usize) -> Result<u8, String> {
    let hosts = usize::from(HOSTS);
    if station < 2 * hosts { Ok((station % hosts) as u8 + 1) } else { Err(format!("there is no station {station}")) }
}

fn strike(at: Duration, fault: &Fault, acts: &mut Vec<(Duration, Act)>) -> Result<(), String> {
    let stopped = |who: Who, wait: Duration| vec![(at, Act::Stop(who)), (at + wait, Act::GoOn)];
    let now = |act: Act| vec![(at, act)];
    acts.extend(match fault {
        Fault::Kill(server) => now(Act::Kill(Who::Host(host(*server)?))),
        Fault::KillLeader => now(Act::Kill(Who::Leader)),
        Fault::Start(server) => now(Act::Start(host(*server)?)),
        Fault::HealNet => now(Act::Heal),
        Fault::Cut(from, to, Cut::All) => now(Act::CutOneWay(host(*from)?, host(*to)?)),
        Fault::Groups(groups) => now(Act::Cut(hosts(groups)?)),
        Fault::QualityOfAll(quality) => now(Act::Loss(loss(quality)?)),
        Fault::BandwidthOfAll(bandwidth) => now(Act::Bandwidth(*bandwidth)),
        Fault::Pause(server, wait) => stopped(Who::Host(host(*server)?), *wait),
        Fault::On(trigger, 1, then) => match (trigger.message, trigger.from, &**then) {
            ("order", None, Fault::PauseSender(wait)) => stopped(Who::Leader, *wait),
            ("ack", None, Fault::PauseSender(wait)) => stopped(Who::Member, *wait),
            _ => return Err(format!("{fault:?} is for the simulator only")),
        },
        _ => return Err(format!("{fault:?} is for the simulator only")),
    });
    Ok(())
}

/// Percent of the datagrams lost, when nothing else is wrong with them.
fn loss(quality: &Quality) -> Result<u8, String> {
    if *quality == (Quality { loss: quality.loss, ..Quality::GOOD }) && quality.loss <= 900 {
        Ok((quality.loss / 10) as u8)
    } else {
        Err(format!("hosts can lose up to 90 %, and nothing else: {quality:?}"))
    }
}

/// The hosts of groups of stations. A client must be on the side of its host: it has no wire of its own.
fn hosts(groups: &[Vec<usize>]) -> Result<Vec<Vec<u8>>, String> {
    let mut cut = Vec::new();
    for stations in groups {
        let mut hosts = stations.iter().map(|station| host(*station)).collect::<Result<Vec<_>, _>>()?;
        hosts.sort_unstable();
        hosts.dedup();
        if cut.iter().flatten().any(|other| hosts.contains(other)) {
            return Err("a client sits on the host of its own number, and is cut off with it".to_owned());
        }
        cut.push(hosts);
    }
    Ok(cut)
}
