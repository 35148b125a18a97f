//! `backup` and `restore`: a consistent copy of history, and a new server that starts from one.

use crate::cli::Run;
use crate::cli::args;
use crate::cli::failure::{Code, Failure};
use crate::cli::shown::shown;
use crate::cli::store::store_failure;
use crate::proto::io::Damage;
use crate::runtime::disk::QUIET;
use crate::store::sqlite::{self, FILE_NAME, SqliteReader};
use serde_json::json;
use std::path::Path;

/// Runs `backup`.
pub(super) fn backup(args: &args::Backup, run: &Run) -> Result<(), Failure> {
    let data = &run.settings.data.value;
    if !data.join(FILE_NAME).exists() {
        let text = format!("There is no history in {}.", data.display());
        return Err(Failure::new(Code::NoStore, text).hint("name the server's directory: --data DIR"));
    }
    let reader = SqliteReader::open(data).map_err(|error| store_failure(&error))?;
    // A server that runs has acknowledged what this copy must know to be history, and may put off writing that down.
    let _ = crossbeam_channel::after(QUIET * 2).recv();
    reader.backup(&args.file).map_err(|error| store_failure(&error))?;
    tell("backed_up", &args.file, data, run)
}

/// Runs `restore`.
pub(super) fn restore(args: &args::Restore, run: &Run) -> Result<(), Failure> {
    if !args.file.exists() {
        return Err(Failure::new(Code::Io, format!("There is no file {}.", args.file.display())).hint("check the path"));
    }
    let data = &run.settings.data.value;
    match sqlite::restore(&args.file, data).map_err(|error| store_failure(&error))? {
        None => tell("restored", &args.file, data, run),
        Some(damage) => Err(damaged(&args.file, data, &damage)),
    }
}

/// A copy that is damaged: what is restored of it is a store, but not all that one wanted.
fn damaged(file: &Path, data: &Path, damage: &Damage) -> Failure {
    let text = format!(
        "{} is damaged: {}. What is sound of it is restored to {}; all of it is kept as {}.",
        file.display(),
        damage.what,
        data.display(),
        damage.aside
    );
    Failure::new(Code::DamagedStore, text).hint(
        "A server that starts from it fetches what is missing from others that have it\n\
         Another copy can be restored to another directory: --data DIR",
    )
}

fn tell(event: &str, file: &Path, data: &Path, run: &Run) -> Result<(), Failure> {
    let bytes = std::fs::metadata(file).map_or(0, |found| found.len());
    let (file, data) = (file.display().to_string(), data.display().to_string());
    if run.output.json {
        return run.output.document(&json!({ "event": event, "file": file, "data": data, "bytes": bytes }));
    }
    let text = match event {
        "restored" => format!("{data} starts from {file}: ringtalk{} server --data {data}", run.settings.net_flags()),
        _ => format!("{file} has the history of {data}, {} KiB", bytes.div_ceil(1024)),
    };
    run.output.line(&shown(&text))
}
