//! `completions SHELL`.

use crate::cli::Run;
use crate::cli::args::Line;
use crate::cli::failure::Failure;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// Prints the shell's completions.
pub(super) fn run(shell: Shell, run: &Run) -> Result<(), Failure> {
    run.output.raw(&script(shell))
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible(&Line::command()), "ringtalk", &mut script);
    script
}

/// The command without what `--help` hides: the generators complete that too.
fn visible(command: &Command) -> Command {
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned();
    let subcommands = command.get_subcommands().filter(|one| !one.is_hide_set()).map(visible);
    // A name wants to live for ever; this process ends with the script.
    let new = |name: &str| Command::new(&*Box::leak(name.to_owned().into_boxed_str()));
    let mut new = new(command.get_name()).args(args).subcommands(subcommands);
    if let Some(about) = command.get_about() {
        new = new.about(about.clone());
    }
    if command.get_version().is_some() { new.version(env!("CARGO_PKG_VERSION")) } else { new }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn what_help_hides_is_completed_by_no_shell() {
        for shell in Shell::value_variants() {
            let text = String::from_utf8(script(*shell)).unwrap();
            let has = |flag: &str| text.contains(&format!("--{flag}")) || text.contains(&format!("-l {flag} "));
            assert!(!["faults", "ground", "keeper"].iter().any(|hidden| has(hidden)), "{shell}");
            assert!(["durability", "keep", "classroom", "timeout", "verbose"].iter().all(|flag| has(flag)), "{shell}");
            assert!(text.contains("restore"), "{shell}");
        }
    }
}
