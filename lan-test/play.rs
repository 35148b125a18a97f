//! Plays a scenario on the LAN: people talk, things break and mend, and in the end the books must agree.

use crate::clock;
use crate::host::{Line, Running};
use crate::lan::Lan;
use crate::ledger::{Demand, Fault, Ledger};
use crate::load::{self, Plan, ROOMS, Sender};
use crate::ring::{GATHERING, Ring};
use crate::scenario::{Act, HOSTS, Scenario, Who};
use crate::trouble::{Outcome, Trouble, verdict};
use std::path::Path;
use std::time::Duration;

/// How long after the last heal everything must be acknowledged and equal.
const SETTLING: Duration = Duration::from_mins(1);
/// How long the tails have after that to show the last of it.
const SHOWING: Duration = Duration::from_secs(10);

/// Plays it; answers figures, or what was broken.
pub(crate) fn play(lan: &mut Lan, program: &Path, scenario: &Scenario, dir: &Path, plan: Plan) -> Outcome<String> {
    lan.mend()?;
    let mut ring = Ring::start(program, dir)?;
    let tails = tails(&ring)?;
    let mut senders = greet(&ring, &tails)?;
    let mut talkers = load::gather(&ring, plan)?;
    let from = clock::now();
    load::begin(&mut talkers, plan, from, scenario.end)?;
    let mut stage = Stage { lan, ring: &mut ring, open: Vec::new(), closed: Vec::new(), demands: Vec::new(), mark: 0 };
    for (at, act) in &scenario.acts {
        clock::wait_until(from + *at);
        stage.perform(act)?;
    }
    let (faults, demands) = (stage.closed, stage.demands);
    for talker in &mut talkers {
        talker.finish(SETTLING)?;
    }
    senders.append(&mut talkers);
    ring.whole(SETTLING)?;
    let history = ring.same_history(SETTLING)?;
    let mut ledger = Ledger::open(&senders, &history, faults, from);
    ledger.demand(demands);
    shown(&tails, usize::from(plan.clients) * plan.messages as usize);
    for (i, tail) in tails.iter().enumerate() {
        ledger.tail(format!("the tail on h{}", i + 1), &tail.lines().since(0));
    }
    let mut evidence = ledger.verdicts();
    evidence.extend(ring.ended());
    verdict(evidence)?;
    let dropped = lan.dropped()?;
    let (middle, longest) = ledger.latency();
    let lost = if dropped.packets > 0 { format!(", {} datagrams lost", dropped.packets) } else { String::new() };
    Ok(format!("{} messages, stable after {middle:.0?}, at most {longest:.1?}{lost}", ledger.messages()))
}

/// A tail of all rooms on each host.
pub(crate) fn tails(ring: &Ring) -> Outcome<Vec<Running>> {
    (1..=HOSTS).map(|host| tail(ring, host)).collect()
}

/// A tail of all rooms on a host.
fn tail(ring: &Ring, host: u8) -> Outcome<Running> {
    ring.client(host, "tail", &["tail", ROOMS[0], ROOMS[1], ROOMS[2], "--json", "--late", "--timeout", "90s"])
}

/// Says a word in every room again and again until every tail has shown one of each: from then on they miss nothing.
/// What was said is part of the books.
pub(crate) fn greet(ring: &Ring, tails: &[Running]) -> Outcome<Vec<Sender>> {
    let mut greetings = Vec::new();
    let end = clock::now() + GATHERING;
    loop {
        let from: Vec<usize> = tails.iter().map(|tail| tail.lines().count()).collect();
        for room in ROOMS {
            let client = format!("greeter{}", greetings.len());
            let mut greeter = Sender::start(ring, 1, &client, room, "20s")?;
            let text = load::text(&greeter.title, 0);
            greeter.begin(clock::now(), Duration::ZERO, vec![text])?;
            greeter.finish(GATHERING)?;
            greetings.push(greeter);
        }
        let heard = |(tail, from): (&Running, usize)| {
            ROOMS.iter().all(|room| {
                let named = format!("\"room\":\"{room}\"");
                let word = |line: &Line| line.is_event("message") && line.text.contains(&named);
                tail.lines().wait_for(from, Duration::from_millis(500), word).is_some()
            })
        };
        if tails.iter().zip(from).all(heard) {
            return Ok(greetings);
        }
        if clock::now() > end {
            let said: Vec<String> = tails.iter().map(|tail| tail.said().trim().to_owned()).collect();
            return Err(Trouble::Late { what: format!("a word in every tail; {}", said.join("; ")), after: GATHERING });
        }
    }
}

/// Waits until each tail has shown as many messages as were said. Whether they are the right ones the ledger tells.
pub(crate) fn shown(tails: &[Running], messages: usize) {
    let count = |tail: &Running| tail.lines().since(0).iter().filter(|line| line.is_event("message")).count();
    let _ = clock::until(SHOWING, || tails.iter().all(|tail| count(tail) >= messages).then_some(()));
}

/// The LAN and its servers while things go wrong.
struct Stage<'a> {
    lan: &'a mut Lan,
    ring: &'a mut Ring,
    open: Vec<Fault>,
    closed: Vec<Fault>,
    demands: Vec<Demand>,
    /// The newest epoch's number when views began to be counted.
    mark: u64,
}

impl Stage<'_> {
    fn perform(&mut self, act: &Act) -> Outcome<()> {
        match act {
            Act::Loss(percent) => {
                self.lan.lose(*percent)?;
                if *percent > 0 { self.begins(act, "loss", Vec::new()) } else { self.ends("loss") }
            }
            Act::Bandwidth(bandwidth) => {
                self.lan.narrow(*bandwidth)?;
                if bandwidth.is_some() { self.begins(act, "bandwidth", Vec::new()) } else { self.ends("bandwidth") }
            }
            Act::Cut(groups) => {
                for (i, group) in groups.iter().enumerate() {
                    groups[..i].iter().try_for_each(|other| self.lan.cut(group, other))?;
                }
                self.begins(act, "cut", groups.clone());
            }
            Act::CutOneWay(from, to) => {
                self.lan.cut_one_way(&[*from], &[*to])?;
                self.begins(act, "cut", Vec::new());
            }
            Act::Heal => {
                self.ends("cut");
                self.ends("loss");
                self.lan.heal()?;
                self.lan.lose(0)?;
            }
            Act::Kill(who) => {
                self.ring.kill(self.host(*who)?)?;
                self.begins(act, "kill", Vec::new());
            }
            Act::Start(host) => {
                if self.ring.dead().contains(host) {
                    self.ring.restart(*host)?;
                }
                if self.ring.dead().is_empty() {
                    self.ends("kill");
                }
            }
            Act::Stop(who) => {
                self.ring.stop(self.host(*who)?)?;
                self.begins(act, "stop", Vec::new());
            }
            Act::GoOn => {
                self.ends("stop");
                self.ring.go_on()?;
            }
            Act::Settle => drop(self.ring.whole(SETTLING)?),
            Act::Mark => self.mark = self.ring.newest(),
            Act::Views(most) => self.at_most(*most)?,
            Act::Everyone(span) => self.demands.push(Demand { from: clock::now(), span: *span }),
        }
        Ok(())
    }

    /// No more views than this may have begun since the mark.
    fn at_most(&mut self, views: u64) -> Outcome<()> {
        let begun = self.ring.newest().saturating_sub(self.mark);
        if begun <= views {
            return Ok(());
        }
        Err(Trouble::broken(format!("{begun} views began since the mark, not {views} at most{}", self.ring.told())))
    }

    fn host(&self, who: Who) -> Outcome<u8> {
        match who {
            Who::Host(number) => Ok(number),
            Who::Leader => self.ring.leader(),
            Who::Member => self.ring.member(),
        }
    }

    /// A fault of a kind begins, unless one lasts already.
    fn begins(&mut self, act: &Act, kind: &str, sides: Vec<Vec<u8>>) {
        if !self.open.iter().any(|fault| fault.what.starts_with(kind)) {
            let from = clock::now();
            self.open.push(Fault { what: act.to_string(), from, until: from, sides });
        }
    }

    /// The fault of a kind is over.
    fn ends(&mut self, kind: &str) {
        let until = clock::now();
        let (ended, open) = self.open.drain(..).partition(|fault: &Fault| fault.what.starts_with(kind));
        self.open = open;
        let ended: Vec<Fault> = ended;
        self.closed.extend(ended.into_iter().map(|fault| Fault { until, ..fault }));
    }
}
