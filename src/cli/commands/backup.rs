//! `backup` and `restore`: a consistent copy of history, and a new server that starts from one.

use crate::cli::Run;
use crate::cli::args;
use crate::cli::failure::{Code, Failure};
use crate::cli::shown::shown;
use crate::cli::store::store_failure;
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
    reader.backup(&args.file).map_err(|error| store_failure(&error))?;
    tell("backed_up", &args.file, data, run)
}

/// Runs `restore`.
pub(super) fn restore(args: &args::Restore, run: &Run) -> Result<(), Failure> {
    if !args.file.exists() {
        return Err(Failure::new(Code::Io, format!("There is no file {}.", args.file.display())).hint("check the path"));
    }
    let data = &run.settings.data.value;
    sqlite::restore(&args.file, data).map_err(|error| store_failure(&error))?;
    tell("restored", &args.file, data, run)
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
