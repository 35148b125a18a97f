//! Runs seeds of the simulator: `--seeds A..B`, `--seed N [--timeline] [--shrink]`, `--calm SECONDS`, `--hunt SECONDS`.
#![expect(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "measures how fast it runs")]
#![expect(clippy::print_stdout, reason = "a program for people")]

use ringtalk::proto::bugs::{Bug, Bugs};
use ringtalk::sim::{Catch, Options, Plan, Sweep, hunt, run, shrink};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut options = Options::default();
    let (mut first, mut last, mut single, mut shrinks, mut keep_going) = (1, 50, false, false, false);
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
            "--timeline" => options.timeline = true,
            "--shrink" => shrinks = true,
            "--keep-going" => keep_going = true,
            "--hunt" => {
                hunt_all(value().parse().unwrap_or(60));
                return ExitCode::SUCCESS;
            }
            "--calm" => options.calm = value().parse().ok().map(Duration::from_secs),
            "--size" => {
                let size = value();
                let (a, b) = size.split_once(',').unwrap_or(("5", "10"));
                options.size = Some((a.parse().unwrap_or(5), b.parse().unwrap_or(10)));
            }
            "--only" => options.only = Some(value().split(',').filter_map(|at| at.parse().ok()).collect()),
            "--bug" => {
                if let Some(bug) = Bug::named(&value()) {
                    options.bugs = Bugs::NONE.with(bug);
                }
            }
            other => println!("unknown: {other}"),
        }
    }
    if single {
        return one(first, &options, shrinks);
    }
    let begun = Instant::now();
    let mut sweep = Sweep::default();
    for seed in first..=last {
        let outcome = sweep.run(seed, &options);
        if let Some(violation) = &outcome.violation {
            println!("seed {seed}: property {} at {:?}: {}", violation.property, outcome.at, violation.text);
            if !keep_going && sweep.failures.len() >= 20 {
                break;
            }
        }
    }
    let took = begun.elapsed();
    let times = sweep.simulated.as_secs_f64() / took.as_secs_f64();
    println!(
        "{} runs, {} failed; {} steps, {} acknowledged, {} shown; {:.0?} simulated in {took:.1?}: {times:.0} times real time",
        sweep.runs,
        sweep.failures.len(),
        sweep.steps,
        sweep.acked,
        sweep.shown,
        sweep.simulated,
    );
    for (name, count) in &sweep.rare {
        println!("  {count:>8} {name}");
    }
    if sweep.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every planted bug, at most so many seconds each; needs the feature `bugs`.
fn hunt_all(seconds: u64) {
    println!("| bug | seed | property | after |\n|---|---|---|---|");
    for &bug in Bug::ALL {
        let begun = Instant::now();
        match hunt(bug, 1..=u64::MAX, || begun.elapsed().as_secs() < seconds) {
            Some(Catch { seed, violation, .. }) => {
                println!("| {bug:?} | {seed} | {} | {:.1?} |", violation.property, begun.elapsed());
            }
            None => println!("| {bug:?} | not found | | {:.0?} |", begun.elapsed()),
        }
    }
}

fn one(seed: u64, options: &Options, shrinks: bool) -> ExitCode {
    let outcome = run(seed, options);
    for line in &outcome.timeline {
        println!("{line}");
    }
    let plan = Plan::draw(seed, options).only(options.only.as_deref());
    println!(
        "{} servers, {} clients, absent {:?}, {:?}",
        plan.shape.servers, plan.shape.clients, plan.shape.absent, plan.shape.habit
    );
    for (number, (at, fault)) in plan.faults.iter().enumerate() {
        println!("{number:>4} {:>10.3} ms {fault:?}", at.0 as f64 / 1000.0);
    }
    println!("safety phase to {:?}, then {:?} heal first", plan.safety_ends, plan.core);
    println!("{:?}", outcome.counts);
    match &outcome.violation {
        None => {
            println!("seed {seed}: no violation");
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("seed {seed}: property {} at {:?}: {}", violation.property, outcome.at, violation.text);
            if shrinks {
                let kept = shrink(seed, options, violation.property);
                let kept: Vec<String> = kept.iter().map(usize::to_string).collect();
                println!("--seed {seed} --only {} fails too", kept.join(","));
            }
            ExitCode::FAILURE
        }
    }
}
