//! `sim`: the simulator, by seeds or by a scenario's text.

use crate::cli::Run;
use crate::cli::args;
use crate::cli::failure::{Code, Failure};
use crate::cli::output::Output;
use crate::cli::shown::shown;
use crate::cli::signals::Interrupt;
use crate::cli::times::clock;
use crate::proto::bugs::Bugs;
use crate::sim::checker::Violation;
use crate::sim::{Options, Outcome, Plan, Scenario, Sweep, shrink};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// The seeds that are run when nobody names any.
const USUAL: (u64, u64) = (1, 101);
/// Failing seeds after which a sweep ends: the rest would tell the same.
const ENOUGH: usize = 20;
/// How often progress is told on a terminal.
const PROGRESS: Duration = Duration::from_secs(1);

/// Runs the command.
pub(super) fn run(args: &args::Sim, run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    match (&args.scenario, args.seed) {
        (Some(file), seed) => scenario(file, seed.unwrap_or(1), args.timeline, &run.output),
        (None, Some(seed)) => one(seed, args, &run.output),
        (None, None) => sweep(args.seeds.unwrap_or(USUAL), &interrupt, &run.output),
    }
}

fn scenario(file: &Path, seed: u64, timeline: bool, output: &Output) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::io("read", file, &error))?;
    let scenario = Scenario::read(&text).map_err(|bad| {
        Failure::new(Code::Usage, format!("\"{}\" is no step of a scenario", bad.0))
            .hint("the steps stand in the documentation of ringtalk::sim::scenario")
    })?;
    let mut world = scenario.world(seed, Bugs::NONE, timeline);
    let verdict = scenario.play_in(&mut world);
    if timeline && !output.json {
        world.timeline.lines().try_for_each(|line| output.line(&shown(line)))?;
    }
    let at = world.time.0 / 1000;
    match verdict {
        Ok(()) if output.json => output.document(&json!({ "scenario": file, "seed": seed, "held": true, "ms": at })),
        Ok(()) => output
            .line(&format!("{}: everything held, seed {seed}, {at} ms simulated", shown(&file.display().to_string()))),
        Err(violation) => Err(violated(seed, violation.property, &violation.text, "")),
    }
}

fn one(seed: u64, args: &args::Sim, output: &Output) -> Result<(), Failure> {
    let only = (!args.only.is_empty()).then(|| args.only.clone());
    let options = Options { timeline: args.timeline, only, ..Options::default() };
    let outcome = crate::sim::run(seed, &options);
    if output.json {
        output.document(&outcome_document(&outcome))?;
    } else {
        expansion(&outcome, &options).iter().try_for_each(|line| output.line(&shown(line)))?;
    }
    let Some(violation) = &outcome.violation else { return Ok(()) };
    let mut replay = format!("ringtalk sim {} --timeline", options.flags(seed));
    if args.shrink {
        output.note("making the list of faults small …");
        let kept: Vec<String> = shrink(seed, &options, violation.property).iter().map(usize::to_string).collect();
        replay = format!("ringtalk sim --seed {seed} --only {} --timeline", kept.join(","));
    }
    Err(violated(seed, violation.property, &violation.text, &replay))
}

/// The timeline, then everything that the seed stands for.
fn expansion(outcome: &Outcome, options: &Options) -> Vec<String> {
    let plan = Plan::draw(outcome.seed, options).only(options.only.as_deref());
    let mut lines = outcome.timeline.clone();
    lines.extend(plan.lines());
    let counts = &outcome.counts;
    lines.push(format!("{} steps, {} acknowledged, {} shown", counts.steps, counts.acked, outcome.shown));
    if outcome.violation.is_none() {
        lines.push("everything held".to_owned());
    }
    lines
}

fn sweep((first, end): (u64, u64), interrupt: &Interrupt, output: &Output) -> Result<(), Failure> {
    let (begun, mut told) = (clock(), clock());
    let mut sweep = Sweep::default();
    for seed in first..end {
        if interrupt.is_set() {
            return Err(Failure::interrupted());
        }
        let outcome = sweep.run(seed, &Options::default());
        if let (Some(violation), false) = (&outcome.violation, output.json) {
            failing(seed, violation).iter().try_for_each(|line| output.line(&shown(line)))?;
        }
        if sweep.failures.len() >= ENOUGH {
            break;
        }
        if std::io::stderr().is_terminal() && told.elapsed() > PROGRESS {
            told = clock();
            output.note(&format!("{} of {} seeds, {} failed", sweep.runs, end - first, sweep.failures.len()));
        }
    }
    show(&sweep, begun, output)?;
    match sweep.failures.first() {
        None => Ok(()),
        Some((seed, violation)) => {
            Err(violated(*seed, violation.property, &violation.text, &format!("{} --shrink", replay_of(*seed))))
        }
    }
}

/// The command that runs a seed of a sweep again.
fn replay_of(seed: u64) -> String {
    format!("ringtalk sim {}", Options::default().flags(seed))
}

/// A seed of a sweep that failed: what broke, everything that the seed stands for, the command that runs it again.
fn failing(seed: u64, violation: &Violation) -> Vec<String> {
    let mut lines = vec![format!("seed {seed}: property {}: {}", violation.property, violation.text)];
    lines.extend(Plan::draw(seed, &Options::default()).lines());
    lines.push(format!("again: {} --timeline", replay_of(seed)));
    lines
}

fn show(sweep: &Sweep, begun: Instant, output: &Output) -> Result<(), Failure> {
    let took = begun.elapsed();
    let times = sweep.simulated.as_secs_f64() / took.as_secs_f64().max(0.001);
    if output.json {
        return output.document(&sweep_document(sweep, took, times));
    }
    output.line(&format!(
        "{} seeds, {} failed; {} steps, {} acknowledged, {} shown; {:.0?} simulated in {took:.1?}: {times:.0} times real time",
        sweep.runs,
        sweep.failures.len(),
        sweep.steps,
        sweep.acked,
        sweep.shown,
        sweep.simulated,
    ))?;
    sweep.rare.iter().try_for_each(|(name, count)| output.line(&format!("{count:>9} {name}")))
}

fn sweep_document(sweep: &Sweep, took: Duration, times: f64) -> Value {
    let rare: BTreeMap<&str, u64> = sweep.rare.iter().map(|(name, count)| (*name, *count)).collect();
    let failure = |(seed, violation): &(u64, Violation)| {
        let expansion = Plan::draw(*seed, &Options::default()).lines();
        let again = replay_of(*seed);
        json!({ "seed": seed, "property": violation.property, "text": violation.text, "expansion": expansion, "again": again })
    };
    json!({
        "seeds": sweep.runs,
        "steps": sweep.steps,
        "acknowledged": sweep.acked,
        "shown": sweep.shown,
        "simulated_ms": u64::try_from(sweep.simulated.as_millis()).unwrap_or(u64::MAX),
        "ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "times_real_time": times,
        "rare": rare,
        "failures": sweep.failures.iter().map(failure).collect::<Vec<_>>(),
    })
}

fn outcome_document(outcome: &Outcome) -> Value {
    let violation = outcome.violation.as_ref();
    json!({
        "seed": outcome.seed,
        "held": violation.is_none(),
        "property": violation.map(|violation| violation.property),
        "text": violation.map(|violation| violation.text.clone()),
        "simulated_ms": outcome.at.0 / 1000,
        "steps": outcome.counts.steps,
        "acknowledged": outcome.counts.acked,
        "shown": outcome.shown,
        "timeline": outcome.timeline,
    })
}

fn violated(seed: u64, property: u8, text: &str, replay: &str) -> Failure {
    Failure::new(Code::SimulationFailed, format!("Seed {seed} breaks property {property}: {text}")).hint(replay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_seed_of_a_sweep_is_told_with_its_expansion_and_the_command_that_replays_it() {
        let violation = Violation { property: 4, text: "two orders".into() };
        let lines = failing(77, &violation);
        assert_eq!(lines[0], "seed 77: property 4: two orders");
        assert_eq!(lines[1..lines.len() - 1], Plan::draw(77, &Options::default()).lines());
        assert_eq!(lines.last().map(String::as_str), Some("again: ringtalk sim --seed 77 --timeline"));
        let sweep = Sweep { failures: vec![(77, violation)], ..Sweep::default() };
        let document = sweep_document(&sweep, Duration::ZERO, 0.0);
        assert_eq!(document["failures"][0]["again"], "ringtalk sim --seed 77");
        assert_eq!(document["failures"][0]["expansion"].as_array().map(Vec::len), Some(lines.len() - 2));
    }
}
