//! How long the ring takes for what people notice, and what it costs when nobody talks.
//!
//! A time is the median of several runs. Here it only fails beyond [`SLACK`] times its bound: a busy machine is no bug.

use crate::clock;
use crate::lan::Lan;
use crate::load::{self, Said, Sender};
use crate::ring::{GATHERING, Ring};
use crate::scenario::HOSTS;
use crate::trouble::{Outcome, Trouble, verdict};
use std::path::Path;
use std::time::{Duration, Instant};

/// A time fails beyond this many times its bound.
const SLACK: u32 = 5;
/// Between two messages of a probe: the resolution of what it measures.
const PROBE_GAP: Duration = Duration::from_millis(5);
/// Messages that a server misses before it rejoins.
const MISSING: u32 = 100_000;
/// Servers that are away meanwhile: all but two.
const AWAY: [u8; 3] = [5, 4, 3];
/// The longest that people may take to have all said that they say.
const SAYING: Duration = Duration::from_mins(5);
/// The length of each, in bytes.
const MISSING_BYTES: usize = 100;

/// What a measurement needs.
pub(crate) struct Bench<'a> {
    pub(crate) lan: &'a mut Lan,
    pub(crate) program: &'a Path,
    pub(crate) dir: &'a Path,
    /// How often each time is taken.
    pub(crate) runs: u32,
    /// How long the ring is watched under full load for false suspicions.
    pub(crate) watch: Duration,
    /// How many messages a server's memory is measured after.
    pub(crate) many: u32,
}

/// A measurement: its name, what it is about, how it is taken.
pub(crate) type Measurement = (&'static str, &'static str, fn(&mut Bench<'_>) -> Outcome<String>);

/// All of them, in the order in which they are taken.
pub(crate) const MEASUREMENTS: [Measurement; 7] = [
    (
        "time-leader-killed",
        "leader killed, until the next message is stable at a survivor: under 300 ms",
        leader_killed,
    ),
    ("time-host-cut-off", "the leader's host cut off without a word, until the next stable: under 2.5 s", host_cut_off),
    ("time-cut-healed", "a healed 2|3 cut, until one view: under 3 s", cut_healed),
    ("time-rejoin", "rejoin with 100,000 missing messages, until caught up: under 5 s", rejoin),
    ("no-false-suspicion", "nobody is suspected while four busy loops saturate every core", no_false_suspicion),
    ("idle", "an idle ring: under 100 datagrams/s in all, under 50 MB a server", idle),
    ("memory", "a server after a million messages: under 300 MB", memory),
];

/// The verdict on the median of `spans`.
fn judged(spans: Vec<Duration>, bound: Duration) -> Outcome<String> {
    let all: Vec<String> = spans.iter().map(|span| format!("{:.0}", span.as_secs_f64() * 1_000.0)).collect();
    let median = clock::median(spans);
    let word = if median < bound { "met" } else { "MISSED" };
    let said =
        format!("median {:.0} ms, bound {bound:.1?} {word} (ms: {})", median.as_secs_f64() * 1_000.0, all.join(" "));
    if median > bound * SLACK { Err(Trouble::broken(said)) } else { Ok(said) }
}

fn leader_killed(bench: &mut Bench<'_>) -> Outcome<String> {
    let mut ring = bench.ring("ring")?;
    let mut spans = Vec::new();
    for run in 0..bench.runs {
        let (leader, survivor) = (ring.leader()?, ring.member()?);
        let mut probe = Probe::start(&ring, survivor, run)?;
        let killed = clock::now();
        ring.kill(leader)?;
        spans.push(probe.next_stable_after(killed, clock::now())?);
        ring.restart(leader)?;
        ring.whole(GATHERING)?;
    }
    judged(spans, Duration::from_millis(300))
}

fn host_cut_off(bench: &mut Bench<'_>) -> Outcome<String> {
    let mut ring = bench.ring("ring")?;
    let mut spans = Vec::new();
    for run in 0..bench.runs {
        let (leader, survivor) = (ring.leader()?, ring.member()?);
        let others: Vec<u8> = (1..=HOSTS).filter(|host| *host != leader).collect();
        let mut probe = Probe::start(&ring, survivor, run)?;
        let cut = clock::now();
        bench.lan.cut(&[leader], &others)?;
        spans.push(probe.next_stable_after(cut, clock::now())?);
        bench.lan.heal()?;
        ring.whole(GATHERING)?;
    }
    judged(spans, Duration::from_millis(2_500))
}

fn cut_healed(bench: &mut Bench<'_>) -> Outcome<String> {
    let mut ring = bench.ring("ring")?;
    let mut spans = Vec::new();
    for _ in 0..bench.runs {
        bench.lan.cut(&[1, 2], &[3, 4, 5])?;
        ring.one_view(&[1, 2], GATHERING)?;
        ring.one_view(&[3, 4, 5], GATHERING)?;
        let healed = clock::now();
        bench.lan.heal()?;
        spans.push(ring.whole(GATHERING)?.saturating_duration_since(healed));
    }
    judged(spans, Duration::from_secs(3))
}

/// Some servers are away while everything is said, and come back one after another.
fn rejoin(bench: &mut Bench<'_>) -> Outcome<String> {
    let hosts: Vec<u8> = AWAY.into_iter().cycle().take(bench.runs as usize).collect();
    let mut spans = Vec::new();
    for (round, away) in hosts.chunks(AWAY.len()).enumerate() {
        let mut ring = bench.ring(&format!("ring{round}"))?;
        away.iter().try_for_each(|host| ring.kill(*host))?;
        ring.whole(GATHERING)?;
        say_at_once(&ring, MISSING, MISSING_BYTES, SAYING)?;
        for host in away {
            spans.push(rejoined(&mut ring, *host)?);
        }
    }
    judged(spans, Duration::from_secs(5))
}

/// How long a server that was away took to catch up, somebody talking on.
fn rejoined(ring: &mut Ring, host: u8) -> Outcome<Duration> {
    let mut talker = Sender::start(ring, 1, &format!("talker{host}"), load::ROOMS[0], "90s")?;
    let texts = (0..1_000).map(|n| load::text(&talker.title, n)).collect();
    talker.begin(clock::now(), Duration::from_secs(10), texts)?;
    let started = clock::now();
    ring.restart(host)?;
    let rejoining = ring.server(host)?;
    let caught = rejoining.lines().wait_for(0, Duration::from_mins(1), |line| line.is_event("caught_up"));
    let Some(caught) = caught else {
        let what = format!("`caught_up` of h{host}: {}", rejoining.said());
        return Err(Trouble::Late { what, after: Duration::from_mins(1) });
    };
    let span = complete_since(ring, host)?.max(caught.at) - started;
    talker.finish(SAYING)?;
    Ok(span)
}

/// When a question was asked that the rejoined server answered with every message it had missed.
fn complete_since(ring: &Ring, host: u8) -> Outcome<Instant> {
    let (limit, mut has) = (Duration::from_mins(1), 0);
    let complete = clock::until(limit, || {
        let asked = clock::now();
        has = ring.history(host).ok()?.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        (has >= MISSING as usize).then_some(asked)
    });
    let what = || format!("the whole history of h{host}: it has {has} of {MISSING} messages");
    complete.ok_or_else(|| Trouble::Late { what: what(), after: limit })
}

fn no_false_suspicion(bench: &mut Bench<'_>) -> Outcome<String> {
    let ring = bench.ring("ring")?;
    let spin = ["-c", "while :; do :; done"];
    let _loops =
        (1..=4).map(|host| ring.host(host).start(Path::new("sh"), "spin", &spin)).collect::<Outcome<Vec<_>>>()?;
    let before: Vec<usize> =
        ring.live().into_iter().map(|host| Ok(ring.server(host)?.lines().count())).collect::<Outcome<_>>()?;
    clock::wait_until(clock::now() + bench.watch);
    let mut evidence = Vec::new();
    for (host, from) in ring.live().into_iter().zip(before) {
        let changes = ["suspected", "failed", "election", "view"];
        let told = ring.server(host)?.lines().since(from);
        let wrong = told.iter().filter(|line| changes.iter().any(|event| line.is_event(event)));
        evidence.extend(wrong.map(|line| format!("h{host}: {}", line.text)));
    }
    verdict(evidence)?;
    Ok(format!("none in {:.0?}", bench.watch))
}

fn idle(bench: &mut Bench<'_>) -> Outcome<String> {
    let ring = bench.ring("ring")?;
    let span = Duration::from_secs(10);
    // The ring has just been made: what that needed is over after two seconds.
    clock::wait_until(clock::now() + Duration::from_secs(2));
    let (before, from) = (bench.lan.datagrams()?, clock::now());
    clock::wait_until(from + span);
    let sent = bench.lan.datagrams()?.packets - before.packets;
    let rate = sent as f64 / span.as_secs_f64();
    let mb = most_resident_mb(&ring)?;
    let said = format!("{rate:.0} datagrams/s, {mb:.0} MB");
    if rate < 100.0 && mb < 50.0 { Ok(said) } else { Err(Trouble::broken(said)) }
}

fn memory(bench: &mut Bench<'_>) -> Outcome<String> {
    let ring = bench.ring("ring")?;
    let from = clock::now();
    say_at_once(&ring, bench.many, 20, Duration::from_mins(15))?;
    let rate = f64::from(bench.many) / (clock::now() - from).as_secs_f64();
    let mb = most_resident_mb(&ring)?;
    let said = format!("{mb:.0} MB after {} messages ({rate:.0} a second)", bench.many);
    if mb < 300.0 { Ok(said) } else { Err(Trouble::broken(said)) }
}

/// The memory of the server that holds most, in MB.
fn most_resident_mb(ring: &Ring) -> Outcome<f64> {
    let mut most = 0;
    for host in ring.live() {
        most = most.max(ring.server(host)?.resident_kib()?);
    }
    Ok(most as f64 / 1_000.0 * 1.024)
}

/// Four people say `count` messages of `bytes` in all rooms, as fast as they are taken.
fn say_at_once(ring: &Ring, count: u32, bytes: usize, limit: Duration) -> Outcome<()> {
    let mut senders = Vec::new();
    for host in 1..=4 {
        for room in load::ROOMS {
            senders.push(Sender::start(ring, host, &format!("many{host}"), room, "90s")?);
        }
    }
    let (from, each) = (clock::now(), count.div_ceil(senders.len() as u32));
    for sender in &mut senders {
        let texts = (0..each).map(|n| format!("{:x<bytes$}", format!("{} {n} ", sender.title))).collect();
        sender.begin(from, Duration::ZERO, texts)?;
    }
    senders.iter_mut().try_for_each(|sender| sender.finish(limit))
}

impl Bench<'_> {
    /// A new ring on a mended LAN.
    fn ring(&mut self, name: &str) -> Outcome<Ring> {
        self.lan.mend()?;
        Ring::start(self.program, &self.dir.join(name))
    }
}

/// Someone who says a word every few milliseconds, to one server.
struct Probe {
    sender: Sender,
}

impl Probe {
    /// Starts it, and waits until its first words are stable.
    fn start(ring: &Ring, host: u8, run: u32) -> Outcome<Self> {
        let mut sender = Sender::start_at_home(ring, host, &format!("probe{run}"), load::ROOMS[0])?;
        let span = Duration::from_secs(4);
        let count = (span.as_millis() / PROBE_GAP.as_millis()) as u32;
        let texts = (0..count).map(|n| format!("{} {n}", sender.title)).collect();
        sender.begin(clock::now() + Duration::from_millis(500), span, texts)?;
        let stable = sender.running().lines().wait_for(50, GATHERING, |line| line.is_event("stable"));
        if stable.is_none() {
            return Err(Trouble::Late {
                what: format!("a probe's first words: {}", sender.running().said()),
                after: GATHERING,
            });
        }
        Ok(Self { sender })
    }

    /// How long after `begun` the first message is stable that was said when the fault was `there`: what was said while it
    /// was being made may have got through.
    fn next_stable_after(&mut self, begun: Instant, there: Instant) -> Outcome<Duration> {
        self.sender.finish(Duration::from_mins(1))?;
        let answers = self.sender.answers();
        let stable: Vec<Instant> = answers.iter().filter(|line| line.is_event("stable")).map(|line| line.at).collect();
        let after = |said: &&Said| said.at >= there;
        let first = self.sender.said.iter().position(|said| after(&said));
        let at = first.and_then(|n| stable.get(n).copied());
        at.map(|at| at - begun).ok_or_else(|| Trouble::broken("the probe said nothing after the fault"))
    }
}
