//! The commands, each in its file.

mod backup;
mod chat;
mod completions;
mod config;
mod explain;
mod history;
mod man;
mod record;
mod replay;
mod ring;
mod rooms;
mod send;
mod server;
mod sim;
pub(super) mod status;
mod tail;
mod web;
mod who;

use super::Run;
use super::args::Command;
use super::failure::Failure;

/// Runs one command to its end.
pub(super) fn run(command: Command, run: &Run) -> Result<(), Failure> {
    match command {
        Command::Server(args) => server::run(&args, run),
        Command::Web(_) => web::run(run),
        Command::Replay(args) => replay::run(&args, run),
        Command::Chat(args) => chat::run(&args, run),
        Command::Send(args) => send::run(&args, run),
        Command::Tail(args) => tail::run(&args, run),
        Command::History(args) => history::history(&args, run),
        Command::Search(args) => history::search(&args, run),
        Command::Rooms => rooms::run(run),
        Command::Who(args) => who::run(&args, run),
        Command::Status(args) => status::run(&args, run),
        Command::Ring => ring::run(run),
        Command::Explain(args) => explain::run(&args, run),
        Command::Record(args) => record::run(&args, run),
        Command::Backup(args) => backup::backup(&args, run),
        Command::Restore(args) => backup::restore(&args, run),
        Command::Sim(args) => sim::run(&args, run),
        Command::Config(args) => config::run(args.what, run),
        Command::Completions(args) => completions::run(args.shell, run),
        Command::Man(args) => man::run(args.dir.as_deref(), run),
        Command::Demo(args) => crate::cli::demo::run(&args, run),
    }
}
