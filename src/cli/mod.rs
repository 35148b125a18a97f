//! The command line: what people and scripts see of ringtalk.
//!
//! [`main`] reads the command line, gathers the settings, runs one command, and turns what went wrong into a line, a hint
//! and an exit status.

mod args;
mod client;
mod commands;
mod config;
mod contact;
mod demo;
mod environment;
mod failure;
mod kept;
mod keys;
mod lines;
mod logging;
mod message;
mod output;
mod page;
mod records;
mod said;
mod seats;
mod shown;
mod signals;
mod store;
mod table;
mod times;
mod values;
mod web;
mod window;

use args::{Command, Line};
use clap::{CommandFactory, FromArgMatches};
use config::Settings;
use failure::{Code, Failure};
use output::Output;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// Everything that a command is given beside its own arguments.
struct Run {
    settings: Settings,
    output: Output,
}

/// Runs the command line of this process to its exit status.
pub fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    let json = asks_for_json(&line);
    match run(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => end(&failure, json),
    }
}

fn run(line: Vec<OsString>) -> Result<(), Failure> {
    let matches = match Line::command().try_get_matches_from(line) {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    let line = Line::from_arg_matches(&matches).map_err(|error| usage_failure(&error))?;
    logging::begin(line.global.verbose, line.global.quiet);
    let settings = Settings::gather(&line, &matches)?;
    let output = Output::new(&settings, line.global.quiet);
    let command = match line.command {
        Some(command) => command,
        None if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() => {
            Command::Chat(args::Chat::default())
        }
        None => return Err(Failure::new(Code::Usage, "no command, and no terminal to chat on").hint("ringtalk --help")),
    };
    let flags = settings.net_flags();
    commands::run(command, &Run { settings, output }).map_err(|failure| failure.on_net(&flags))
}

/// `--help` and `--version` are no failures.
fn usage(error: &clap::Error) -> Result<(), Failure> {
    if error.use_stderr() {
        return Err(usage_failure(error));
    }
    let _ = error.print();
    Ok(())
}

/// Clap's error in our form: its first paragraph is the text, its tips and usage the hint.
fn usage_failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("wrong usage");
    let mut message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let mut hints = Vec::new();
    for line in lines {
        if let Some(tip) = line.strip_prefix("tip: ") {
            hints.push(tip.to_owned());
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            hints.push(usage.to_owned());
        } else if hints.is_empty() && !line.starts_with("For more information") {
            message = format!("{message} {line}");
        }
    }
    if hints.is_empty() {
        hints.push("ringtalk --help".to_owned());
    }
    Failure::new(Code::Usage, message).hint(hints.join("\n"))
}

/// Whether failures are to be told as JSON, also those of the command line itself.
fn asks_for_json(line: &[OsString]) -> bool {
    let set = std::env::var("RINGTALK_JSON").is_ok_and(|value| values::switch(&value) == Ok(true));
    set || line.iter().skip(1).take_while(|word| *word != "--").any(|word| word == "--json")
}

fn end(failure: &Failure, json: bool) -> ExitCode {
    if failure.silent {
        return match failure.code {
            // Whoever read our output has seen enough.
            Code::Io => ExitCode::SUCCESS,
            code => ExitCode::from(code.exit() as u8),
        };
    }
    let _ = std::io::stderr().lock().write_all(failure.render(json).as_bytes());
    ExitCode::from(failure.code.exit() as u8)
}
