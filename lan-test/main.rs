//! Real `ringtalk` servers and clients on a pretend LAN of five hosts, without root: what they promise, held against what
//! they do while datagrams are lost, processes killed and stopped, and the network cut.
//!
//! ```text
//! cargo test --test lan-test                     what `cargo test` runs: the harness itself, one short scenario
//! cargo test --release --test lan-test -- all    everything, each time taken three times
//! cargo test --release --test lan-test -- times  every time ten times, with its median
//! cargo test --test lan-test -- list             names; any of them, or a part of one, runs those
//! ```
//!
//! | variable | what it does |
//! |---|---|
//! | `LAN_TEST_REQUIRED=1` | a machine without namespaces, or a name that nothing has, is a failure and not a skip |
//! | `LAN_TEST_MESSAGES=5000` | messages of each of the four clients in a scenario |
//! | `LAN_TEST_MANY=1000000` | messages that a server's memory is measured after |
//! | `LAN_TEST_WATCH=60` | seconds under full load without a false suspicion |
//! | `LAN_TEST_LOG=debug` | the log level of the servers; their stderr is kept when something fails |
//! | `RINGTALK_BIN=PATH` | another binary |

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the harness reports to people")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod clock;
mod host;
mod lan;
mod ledger;
mod load;
mod play;
mod refusals;
mod retention;
mod ring;
mod scenario;
mod selftest;
mod standin;
mod times;
mod trouble;

use lan::Lan;
use load::Plan;
use scenario::{HOSTS, Scenario};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use trouble::{Outcome, Trouble};

/// What every `cargo test` runs, in under 20 s.
const SHORT: [&str; 3] = ["the-lan", "the-books", "short"];
/// Messages of each client in the short scenario, unless told otherwise.
const SHORT_MESSAGES: u32 = 300;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("standin", part)) = args.split_first().map(|(word, part)| (word.as_str(), part)) {
        return match standin::play(part) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("stand-in: {error}");
                ExitCode::FAILURE
            }
        };
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("lan-test: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), String> {
    let all = trials().map_err(|trouble| trouble.to_string())?;
    // Flags are those of cargo's own test programs, for which this one stands in.
    let words: Vec<&str> = args.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    if words == ["list"] {
        for trial in &all {
            println!("{:<26} {}", trial.name, trial.about);
        }
        return Ok(());
    }
    let required = std::env::var("LAN_TEST_REQUIRED").is_ok_and(|value| value == "1");
    let chosen: Vec<&Trial> = all.iter().filter(|trial| trial.is_chosen(&words)).collect();
    if chosen.is_empty() && required {
        return Err(format!("nothing is called {words:?}; see `list`"));
    }
    if chosen.is_empty() {
        return Ok(());
    }
    if let Err(why) = lan::enter() {
        return if required {
            Err(format!("{why}; a LAN is required here"))
        } else {
            println!("lan-test: skipped, {} trials on a pretend LAN: {why}", chosen.len());
            Ok(())
        };
    }
    perform(&chosen, &words)
}

/// Runs the chosen ones and prints the table.
fn perform(chosen: &[&Trial], words: &[&str]) -> Result<(), String> {
    // Inside the namespaces this is process 1, which no signal ends that it does not handle.
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let yes = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_shutdown(signal, 130, yes).map_err(|error| error.to_string())?;
    }
    let dir = tempfile::Builder::new().prefix("lan-test-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.map_err(|error| error.to_string())?.keep();
    let mut lan = Lan::build(HOSTS).map_err(|trouble| trouble.to_string())?;
    let mut failed = Vec::new();
    for trial in chosen {
        let from = clock::now();
        let place = dir.join(&trial.name);
        let outcome = std::fs::create_dir_all(&place)
            .map_err(Trouble::io("create", &place))
            .and_then(|()| trial.run(&mut lan, &place, words));
        let took = (clock::now() - from).as_secs_f64();
        match outcome {
            Ok(figures) => {
                println!("{:<26} ok     {took:5.1} s  {figures}", trial.name);
                let _ = std::fs::remove_dir_all(&place);
            }
            Err(trouble) => {
                println!("{:<26} FAILED {took:5.1} s  {trouble}\n  kept: {}", trial.name, place.display());
                failed.push(trial.name.as_str());
            }
        }
    }
    if failed.is_empty() {
        let _ = std::fs::remove_dir_all(&dir);
        return Ok(());
    }
    Err(format!("{} of {} failed: {}", failed.len(), chosen.len(), failed.join(" ")))
}

/// One thing that can be run.
struct Trial {
    name: String,
    about: String,
    kind: Kind,
}

enum Kind {
    TheLan,
    TheBooks,
    Scenario(Scenario),
    Refusal(refusals::Check),
    Retention,
    Time(times::Measurement),
}

/// Everything there is.
fn trials() -> Outcome<Vec<Trial>> {
    let named = |name: &str, about: &str, kind| Trial { name: name.to_owned(), about: about.to_owned(), kind };
    let mut all = vec![
        named("the-lan", "the harness itself: the LAN loses and cuts what it was told to", Kind::TheLan),
        named("the-books", "the harness itself: each kind of broken promise is noticed", Kind::TheBooks),
    ];
    let scenarios = scenarios()?;
    all.extend(scenarios.into_iter().map(|scenario| Trial {
        name: scenario.name.clone(),
        about: scenario.about.clone(),
        kind: Kind::Scenario(scenario),
    }));
    all.extend(refusals::CHECKS.map(|check| named(check.0, check.1, Kind::Refusal(check))));
    let about = "servers that let go of history while people talk are killed while the rows go";
    all.push(named("rows-going", about, Kind::Retention));
    all.extend(times::MEASUREMENTS.map(|time| named(time.0, time.1, Kind::Time(time))));
    Ok(all)
}

/// The files of `lan-test/scenarios`, by name.
fn scenarios() -> Outcome<Vec<Scenario>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("lan-test/scenarios");
    let entries = std::fs::read_dir(&dir).map_err(Trouble::io("list", &dir))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(Trouble::io("read", path))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Scenario::read(&name, &text).map_err(|why| Trouble::Scenario { name, why })
    };
    paths.iter().map(read).collect()
}

impl Trial {
    /// Whether the words on the command line mean it: without any, what is short.
    fn is_chosen(&self, words: &[&str]) -> bool {
        let meant = |word: &&str| match *word {
            "all" => true,
            "times" => matches!(self.kind, Kind::Time(_)),
            "scenarios" => matches!(self.kind, Kind::Scenario(_)),
            part => self.name.contains(part),
        };
        if words.is_empty() { SHORT.contains(&self.name.as_str()) } else { words.iter().any(meant) }
    }

    fn run(&self, lan: &mut Lan, dir: &Path, words: &[&str]) -> Outcome<String> {
        let named = std::env::var_os("RINGTALK_BIN").map(PathBuf::from);
        let program = named.unwrap_or_else(|| env!("CARGO_BIN_EXE_ringtalk").into());
        let program = program.as_path();
        match &self.kind {
            Kind::TheLan => {
                lan.mend()?;
                selftest::the_lan_does_what_it_is_told(lan, dir)
            }
            Kind::TheBooks => selftest::the_books_notice_what_is_wrong(),
            Kind::Scenario(scenario) if scenario.narrows() && !lan.can_narrow() => {
                Ok("skipped: this kernel has no `tbf`, which makes a wire narrow".to_owned())
            }
            Kind::Scenario(scenario) => {
                let messages = number("LAN_TEST_MESSAGES", if self.name == "short" { SHORT_MESSAGES } else { 5_000 });
                play::play(lan, program, scenario, dir, Plan { clients: scenario.clients, messages })
            }
            Kind::Refusal((_, _, check)) => check(&mut refusals::Desk { lan, program, dir }),
            Kind::Retention => retention::play(lan, program, dir),
            Kind::Time((_, _, take)) => take(&mut times::Bench {
                lan,
                program,
                dir,
                runs: if words.contains(&"times") { 10 } else { 3 },
                watch: Duration::from_secs(number("LAN_TEST_WATCH", 60).into()),
                many: number("LAN_TEST_MANY", 1_000_000),
            }),
        }
    }
}

/// A number from the environment.
fn number(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}
