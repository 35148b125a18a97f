//! `config show` and `config path`.

use crate::cli::Run;
use crate::cli::args::ConfigWhat;
use crate::cli::config::Row;
use crate::cli::failure::Failure;
use crate::cli::output::Style;
use crate::cli::shown::shown;
use serde_json::{Map, Value, json};

/// Runs the command.
pub(super) fn run(what: ConfigWhat, run: &Run) -> Result<(), Failure> {
    match what {
        ConfigWhat::Path => path(run),
        ConfigWhat::Show if run.output.json => show_json(&run.settings.rows(), run),
        ConfigWhat::Show => show_text(&run.settings.rows(), run),
    }
}

fn path(run: &Run) -> Result<(), Failure> {
    let path = run.settings.config.display().to_string();
    if run.output.json { run.output.document(&json!({ "path": path })) } else { run.output.line(&shown(&path)) }
}

fn show_json(rows: &[Row], run: &Run) -> Result<(), Failure> {
    let row = |row: &Row| (row.key.to_owned(), json!({ "value": row.value, "origin": row.origin }));
    run.output.document(&rows.iter().map(row).collect::<Map<String, Value>>())
}

/// Lines that could stand in the file: what is left open is a comment.
fn show_text(rows: &[Row], run: &Run) -> Result<(), Failure> {
    for row in rows {
        let setting = match &row.value {
            Value::Null => format!("# {} is open", row.key),
            value => format!("{} = {}", row.key, shown(&value.to_string())),
        };
        let origin = run.output.paint(Style::Dim, &format!("# {}", shown(&row.origin)));
        run.output.line(&format!("{setting:40} {origin}"))?;
    }
    Ok(())
}
