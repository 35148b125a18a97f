//! `completions SHELL`.

use crate::cli::Run;
use crate::cli::args::Line;
use crate::cli::failure::Failure;
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the shell's completions.
pub(super) fn run(shell: Shell, run: &Run) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Line::command(), "ringtalk", &mut script);
    run.output.raw(&script)
}
