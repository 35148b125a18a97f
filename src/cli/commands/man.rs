//! `man`: the manual, made of the same words as `--help`.

use crate::cli::Run;
use crate::cli::args::Line;
use crate::cli::failure::{Code, Failure, plain};
use clap::CommandFactory;
use clap_mangen::Man;
use std::path::Path;

/// Prints the program's page, or writes one for each command into `dir`.
pub(super) fn run(dir: Option<&Path>, run: &Run) -> Result<(), Failure> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        Man::new(Line::command())
            .render(&mut page)
            .map_err(|error| Failure::new(Code::Failed, format!("cannot make the page: {}", plain(&error))))?;
        return run.output.raw(&page);
    };
    std::fs::create_dir_all(dir).map_err(|error| Failure::io("make", dir, &error))?;
    clap_mangen::generate_to(Line::command(), dir).map_err(|error| Failure::io("write the pages to", dir, &error))
}
