//! `replay`: a file of event records, in the page.

use super::web::{open, serve};
use crate::cli::Run;
use crate::cli::args;
use crate::cli::client::template;
use crate::cli::failure::{Code, Failure};
use crate::cli::shown::shown;
use crate::cli::signals::Interrupt;
use crate::cli::web::failure;
use crate::web::record_file::{self, RecordFileError};
use crate::web::{Host, Mode};

/// Runs the command.
pub(super) fn run(args: &args::Replay, run: &Run) -> Result<(), Failure> {
    let file = record_file::read(&args.file).map_err(|error| unreadable(&error))?;
    let interrupt = Interrupt::install()?;
    let door = open(run)?;
    let events: Vec<Box<str>> = file.events.into_iter().map(|line| line.json).collect();
    let words = format!(
        "{} events of {} servers on net \"{}\", {} to {}",
        events.len(),
        file.header.servers.len(),
        shown(&file.header.net),
        shown(&file.header.from),
        shown(&file.header.until)
    );
    run.output.note(&words);
    let host = Host::builder(door, template(&run.settings), &file.header.net).mode(Mode::Replay);
    let host = host.events(events).nicks(file.header.nicks).start().map_err(|error| failure(&error))?;
    serve(&host, &interrupt, run)
}

fn unreadable(error: &RecordFileError) -> Failure {
    let (code, hint) = match error {
        RecordFileError::Io { op, path, source } => return Failure::io(op, path, source),
        RecordFileError::Newer { .. } => (Code::OtherVersion, "update ringtalk here"),
        _ => (Code::Failed, "ringtalk record FILE makes one"),
    };
    Failure::new(code, error.to_string()).hint(hint)
}
