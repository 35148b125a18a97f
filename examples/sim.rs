//! Runs seeds of the simulator: `--seeds A..B`, `--seed N [--timeline] [--shrink]`, `--calm SECONDS`, `--hunt SECONDS`,
//! `--play SCENARIO`; `--people` makes every client the one that people have; `--let-go` lets go of history in every run; `--narrow` makes every LAN narrow; `--harsh` loses disks and power again and again; `--bug NAME` plants a bug in what is run, or hunts it alone.
#![expect(clippy::disallowed_methods, reason = "measures how fast it runs")]

use ringtalk::proto::bugs::{Bug, Bugs};
use ringtalk::sim::{Catch, Options, Plan, Scenario, Sweep, hunt, run, shrink};
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A line for people, who may have seen enough (`| head`).
macro_rules! say {
    ($($text:tt)*) => {
        if writeln!(std::io::stdout(), $($text)*).is_err() {
            std::process::exit(1);
        }
    };
}

/// A seventh of a run is spent in the allocator; this one is faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut options = Options::default();
    let (mut first, mut last, mut single, mut shrinks, mut keep_going) = (1, 50, false, false, false);
    let (mut hunts, mut bugs, mut scenario) = (None, Vec::new(), None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_default();
        match arg.as_str() {
            "--seeds" => {
                let range = value();
                let (a, b) = range.split_once("..").unwrap_or((&range, &range));
                (first, last) = (a.parse().unwrap_or(1), b.parse().unwrap_or(1));
            }
            "--seed" => {
                first = value().parse().unwrap_or(1);
                (last, single) = (first, true);
            }
            "--people" => options.people = true,
            "--let-go" => options.lets_go = true,
            "--narrow" => options.narrow = true,
            "--harsh" => options.harsh = true,
            "--timeline" => options.timeline = true,
            "--shrink" => shrinks = true,
            "--keep-going" => keep_going = true,
            "--hunt" => hunts = value().parse().ok().or(Some(60)),
            "--play" => scenario = Some(value()),
            "--calm" => options.calm = value().parse().ok().map(Duration::from_secs),
            "--size" => {
                let size = value();
                let (a, b) = size.split_once(',').unwrap_or(("5", "10"));
                options.size = Some((a.parse().unwrap_or(5), b.parse().unwrap_or(10)));
            }
            "--only" => options.only = Some(value().split(',').filter_map(|at| at.parse().ok()).collect()),
            "--bug" => {
                let name = value();
                let Some(bug) = Bug::named(&name) else {
                    say!("no bug is called {name}");
                    return ExitCode::FAILURE;
                };
                options.bugs = Bugs::NONE.with(bug);
                bugs.push(bug);
            }
            other => say!("unknown: {other}"),
        }
    }
    if let Some(seconds) = hunts {
        return hunt_all(if bugs.is_empty() { Bug::ALL } else { &bugs }, seconds);
    }
    if let Some(text) = scenario {
        return play(&text, first..=last, &options);
    }
    if single {
        return one(first, &options, shrinks);
    }
    let begun = Instant::now();
    let mut sweep = Sweep::default();
    for seed in first..=last {
        let outcome = sweep.run(seed, &options);
        if let Some(violation) = &outcome.violation {
            say!("seed {seed}: property {} at {:?}: {}", violation.property, outcome.at, violation.text);
            expand(seed, &options);
            say!("again: {}", command(seed, &options, &bugs));
            if !keep_going && sweep.failures.len() >= 20 {
                break;
            }
        }
    }
    let took = begun.elapsed();
    let times = sweep.simulated.as_secs_f64() / took.as_secs_f64();
    say!(
        "{} runs, {} failed; {} steps, {} acknowledged, {} shown; {:.0?} simulated in {took:.1?}: {times:.0} times real time",
        sweep.runs,
        sweep.failures.len(),
        sweep.steps,
        sweep.acked,
        sweep.shown,
        sweep.simulated,
    );
    for (name, count) in &sweep.rare {
        say!("  {count:>8} {name}");
    }
    if sweep.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each of these bugs, at most so many seconds on one core each, two at a time; needs the feature `bugs`.
fn hunt_all(bugs: &[Bug], seconds: u64) -> ExitCode {
    say!("| bug | found by | property | after |\n|---|---|---|---|");
    let next = AtomicUsize::new(0);
    let missed = AtomicUsize::new(0);
    let work = || {
        while let Some(&bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let begun = Instant::now();
            if let Some(Catch { seed, scenario, violation, .. }) = hunt(bug, || begun.elapsed().as_secs() < seconds) {
                let by = scenario.map_or(String::new(), |text| format!(" of `{text}`"));
                say!("| {bug:?} | seed {seed}{by} | {} | {:.1?} |", violation.property, begun.elapsed());
            } else {
                missed.fetch_add(1, Ordering::Relaxed);
                say!("| {bug:?} | not found | | {:.0?} |", begun.elapsed());
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    if missed.into_inner() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays a directed scenario with each of these seeds.
fn play(text: &str, seeds: RangeInclusive<u64>, options: &Options) -> ExitCode {
    let scenario = match Scenario::read(text) {
        Ok(scenario) => scenario,
        Err(bad) => {
            say!("no step: {}", bad.0);
            return ExitCode::FAILURE;
        }
    };
    let mut failed = 0;
    let (mut acked, mut shown, mut sent) = (0, 0, 0);
    let (mut said, mut carried, mut overflowed) = (0, 0, 0);
    for seed in seeds {
        let mut world = scenario.world(seed, options.bugs, options.timeline);
        let verdict = scenario.play_in(&mut world);
        world.timeline.lines().for_each(|line| say!("{line}"));
        if let Err(violation) = verdict {
            failed += 1;
            say!("seed {seed}: property {} at {:?}: {}", violation.property, world.time, violation.text);
        }
        acked += world.counts.acked;
        sent += world.counts.sent;
        shown += world.checker.shown;
        said += world.counts.acked_bytes;
        (carried, overflowed) = (carried + world.lan.carried, overflowed + world.lan.overflowed);
    }
    say!("{failed} failed; {acked} acknowledged, {shown} shown, {sent} datagrams");
    if carried > 0 {
        say!("{carried} bytes left their senders for {said} of texts; {overflowed} datagrams found a port full");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What replays a run.
fn command(seed: u64, options: &Options, bugs: &[Bug]) -> String {
    let features = if bugs.is_empty() { "" } else { " --features bugs" };
    let bug = bugs.last().map_or(String::new(), |bug| format!(" --bug {bug:?}"));
    let flags = options.flags(seed);
    format!("cargo run --profile sim --no-default-features{features} --example sim -- {flags}{bug}")
}

fn one(seed: u64, options: &Options, shrinks: bool) -> ExitCode {
    let outcome = run(seed, options);
    for line in &outcome.timeline {
        say!("{line}");
    }
    expand(seed, options);
    say!("{:?}", outcome.counts);
    match &outcome.violation {
        None => {
            say!("seed {seed}: no violation");
            ExitCode::SUCCESS
        }
        Some(violation) => {
            say!("seed {seed}: property {} at {:?}: {}", violation.property, outcome.at, violation.text);
            if shrinks {
                let kept = shrink(seed, options, violation.property);
                let kept: Vec<String> = kept.iter().map(usize::to_string).collect();
                say!("--seed {seed} --only {} fails too", kept.join(","));
            }
            ExitCode::FAILURE
        }
    }
}

/// A seed's whole expansion.
fn expand(seed: u64, options: &Options) {
    Plan::draw(seed, options).only(options.only.as_deref()).lines().iter().for_each(|line| say!("{line}"));
}
