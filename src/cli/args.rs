//! The command line: every command and flag, and the words of `--help` and the manual.

use super::kept::Kept;
use super::values::{Color, Durability, Group, Name, Peer, Span, Target, Web as Place, count, port, priority, room};
use crate::ids::MessageId;
use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;

/// What stands under `--help`.
const AFTER: &str = "\
Settings come from, first found: the flag, its RINGTALK_* variable,
~/.config/ringtalk/config.toml, /etc/ringtalk/config.toml. No file is needed;
`ringtalk config show` tells where each value came from.

Exit status: 0 done, 1 failed, 2 usage, 3 no server found, 4 degraded,
5 timed out and not acknowledged, 6 wrong key, net or version, or a server id
that another has, 7 storage, 130 interrupted.";

/// Chat for a local network with nothing to set up.
///
/// Run `ringtalk server` on one machine or on many: they find each other. Then `ringtalk` anywhere on the network.
/// A message is shown and acknowledged when every server has it on disk.
#[derive(Parser, Debug)]
#[command(name = "ringtalk", version, after_help = AFTER, infer_subcommands = false, max_term_width = 100)]
pub(crate) struct Line {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What every command takes. Their ids are the keys of the configuration file, and name their `RINGTALK_*` variables.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// The net: servers and people of one name belong together [default: default]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) net: Option<Name>,
    /// Use these interfaces only [default: all that are up and can multicast]
    #[arg(long, global = true, value_name = "IF", value_delimiter = ',')]
    pub(crate) iface: Option<Vec<String>>,
    /// Stay on this machine: loopback only
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) local: bool,
    /// Also ask this machine, for example behind a router
    #[arg(long, global = true, value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub(crate) peer: Option<Vec<Peer>>,
    /// The multicast group [default: made from the net's name]
    #[arg(long, global = true, value_name = "ADDR")]
    pub(crate) group: Option<Group>,
    /// The UDP port that everyone shares [default: 8284]
    #[arg(long, global = true, value_name = "N", value_parser = port)]
    pub(crate) port: Option<u16>,
    /// Where this machine's history lives [default: ~/.local/share/ringtalk/NET]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// This server's name [default: the host's]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) name: Option<Name>,
    /// The name people see you by [default: the user's]
    #[arg(long, global = true, value_name = "NICK")]
    pub(crate) nick: Option<Name>,
    /// Ask this server rather than any
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) server: Option<Name>,
    /// JSON: one document, or one object a line for what goes on
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    pub(crate) json: bool,
    /// How long to wait for a server, or for progress [default: 5s]
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
    /// When to colour [default: auto]
    #[arg(long, global = true, value_name = "WHEN")]
    pub(crate) color: Option<Color>,
    /// Say less: no progress, no notes
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log more to stderr: -v, -vv, -vvv; the variable `RINGTALK_LOG` chooses finer
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Read this configuration file, and no other
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run a server in the foreground
    Server(Server),
    /// Serve the page from here: a browser then survives the death of any server
    Web(Web),
    /// Join: type to talk, /help for more (the same as `ringtalk` alone on a terminal)
    ///
    /// On a terminal it is a full-screen window; in a pipe, or with --plain, plain lines. F1 lists the window's keys.
    /// They are changed in the configuration file, for example:
    ///
    /// `keys.search = ["ctrl-s", "f3"]`
    ///
    /// `ringtalk config show` lists every action with its keys; `bell = true` makes a mention ring.
    Chat(Chat),
    /// Send one message, or each line of stdin, and wait until all are stable
    Send(Send),
    /// Follow rooms without writing
    Tail(Tail),
    /// Print what was said, in the one order that all servers agree on
    History(History),
    /// Find messages by their words
    Search(Search),
    /// List the rooms
    Rooms,
    /// List who is where
    Who(Who),
    /// Every server on a line, who leads, what is wrong; exit status 4 when something is
    Status(Status),
    /// The ring, its last elections, the token's way
    Ring,
    /// The life of one message: its way, who missed it, where it was durable when
    Explain(Explain),
    /// Collect the event records of all servers that answer into a file
    Record(Record),
    /// Show a file of event records in the page
    Replay(Replay),
    /// Write a consistent copy of this machine's history, while the server runs, without its identity
    Backup(Backup),
    /// Start from a copy, as a new server; an existing store is refused
    ///
    /// The copy is checked first. Of a damaged one everything sound is restored, all of it is kept beside that, and the
    /// exit status is 7.
    Restore(Restore),
    /// Servers and talkers on this machine alone: crash them, cut them off, see that nothing is lost
    Demo(Demo),
    /// The simulator: the real protocol under faults drawn from a seed
    Sim(Sim),
    /// Show the settings, or where their file is
    Config(Config),
    /// Print a shell's completions
    Completions(Completions),
    /// Print the manual page
    Man(Man),
}

impl Command {
    /// Where the page is to be, for commands that have one.
    pub(crate) fn web(&self) -> Option<Place> {
        match self {
            Self::Server(args) => args.web,
            Self::Web(args) => args.web,
            Self::Demo(args) => args.web,
            Self::Replay(args) => args.web,
            _ => None,
        }
    }

    /// Whether this is `config path`, for which no file needs to be there.
    pub(crate) fn is_config_path(&self) -> bool {
        matches!(self, Self::Config(Config { what: ConfigWhat::Path }))
    }
}

/// `server`.
#[derive(Args, Debug, Default)]
pub(crate) struct Server {
    /// Keep nothing on disk: history lives in memory and ends with the server
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) ephemeral: bool,
    /// What an acknowledgement promises [default: disk]
    #[arg(long, value_name = "WHERE")]
    pub(crate) durability: Option<Durability>,
    /// How much of history to keep: all, an age such as 90d, or a size such as 20GB. What is older goes once every server of
    /// the ring would let it go [default: all]
    #[arg(long, value_name = "90d|20GB|all")]
    pub(crate) keep: Option<Kept>,
    /// Prefer this server as leader: the greatest wins, 0 to 255 [default: 0]
    #[arg(long, value_name = "N", value_parser = priority)]
    pub(crate) priority: Option<u8>,
    /// Where to serve the page: an address, or off. Anything but loopback opens it to the network, with a token
    /// [default: 127.0.0.1:8284, or the next free port]
    #[arg(long, value_name = "ADDR|off")]
    pub(crate) web: Option<Place>,
    /// A demo's server: takes faults from stdin and ends with it
    #[arg(long, hide = true)]
    pub(crate) faults: bool,
    /// A demo's server: the demo's directory, which stays until this server has ended
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) ground: Option<PathBuf>,
}

/// `web`.
#[derive(Args, Debug, Default)]
pub(crate) struct Web {
    /// Where to serve the page. Anything but loopback opens it to the network, with a token
    /// [default: 127.0.0.1:8284, or the next free port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) web: Option<Place>,
}

/// `replay`.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// The file, as `record` writes it
    pub(crate) file: PathBuf,
    /// Where to serve the page. Anything but loopback opens it to the network, with a token
    /// [default: 127.0.0.1:8284, or the next free port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) web: Option<Place>,
}

/// `chat`.
#[derive(Args, Debug, Default)]
pub(crate) struct Chat {
    /// Rooms to join [default: lobby]
    #[arg(value_name = "ROOM", value_parser = room)]
    pub(crate) rooms: Vec<Name>,
    /// Plain lines, even on a terminal
    #[arg(long)]
    pub(crate) plain: bool,
}

/// `send`.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// A room, or @ and a person's nick
    #[arg(value_name = "ROOM|@NICK")]
    pub(crate) target: Target,
    /// The message; without it each line of stdin is one (-- before words that begin with a hyphen)
    pub(crate) text: Vec<String>,
    /// Keep what is not acknowledged in this file, and send what an earlier run left in it
    #[arg(long, value_name = "FILE")]
    pub(crate) outbox: Option<PathBuf>,
}

/// `tail`.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    /// The rooms
    #[arg(value_name = "ROOM", required = true, value_parser = room)]
    pub(crate) rooms: Vec<Name>,
    /// Begin with the last N messages
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, value_parser = count::<u32>)]
    pub(crate) last: u32,
    /// End after N messages
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count::<u64>)]
    pub(crate) count: Option<u64>,
    /// Also show messages that a merge brought, behind what was shown before
    #[arg(long)]
    pub(crate) late: bool,
}

/// `history`.
#[derive(Args, Debug, Default)]
pub(crate) struct History {
    /// Only these rooms [default: every room, in one order]
    #[arg(value_name = "ROOM", value_parser = room)]
    pub(crate) rooms: Vec<Name>,
    /// The last N that match
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count::<u64>)]
    pub(crate) last: Option<u64>,
    /// From here on: 2h ago, 14:05 today, 2026-11-20, or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Up to here
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only by this person
    #[arg(long, value_name = "NICK")]
    pub(crate) from: Option<Name>,
    /// Everything, however much it is
    #[arg(long, conflicts_with = "last")]
    pub(crate) all: bool,
    /// Also joins, leaves and the like
    #[arg(long)]
    pub(crate) events: bool,
}

/// `search`.
#[derive(Args, Debug)]
pub(crate) struct Search {
    /// Words that must all be in the message
    #[arg(required = true)]
    pub(crate) words: Vec<String>,
    /// Only in this room
    #[arg(long, value_parser = room)]
    pub(crate) room: Vec<Name>,
    /// Only by this person
    #[arg(long, value_name = "NICK")]
    pub(crate) from: Option<Name>,
    /// From here on: 2h ago, 14:05 today, 2026-11-20, or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Up to here
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// The last N that match [default: 100]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count::<u64>)]
    pub(crate) last: Option<u64>,
}

/// `who`.
#[derive(Args, Debug, Default)]
pub(crate) struct Who {
    /// Only in this room
    #[arg(value_parser = room)]
    pub(crate) room: Option<Name>,
}

/// `status`.
#[derive(Args, Debug, Default)]
pub(crate) struct Status {
    /// Live: full screen on a terminal, else again and again, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

/// `explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The message's id, as `history --json` and `send --json` print it
    pub(crate) id: MessageId,
}

/// `record`.
#[derive(Args, Debug)]
pub(crate) struct Record {
    /// The record; written aside and renamed, so that it is whole or absent
    pub(crate) file: PathBuf,
}

/// `backup`.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The copy; written aside and renamed, so that it is whole or absent
    pub(crate) file: PathBuf,
}

/// `restore`.
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The copy
    pub(crate) file: PathBuf,
}

/// `demo`.
#[derive(Args, Debug, Default)]
pub(crate) struct Demo {
    /// How many servers, 2 to 9
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=9))]
    pub(crate) servers: u8,
    /// Play this lesson and end; `list` lists them
    #[arg(long, value_name = "NAME")]
    pub(crate) script: Option<String>,
    /// Wait for a key before each step of the lesson
    #[arg(long, requires = "script")]
    pub(crate) step: bool,
    /// Let machines of this network join with servers and clients of their own, and print how
    #[arg(long)]
    pub(crate) classroom: bool,
    /// Where to serve the page, or off; with it the demo goes on without a terminal, until Ctrl-C
    /// [default: 127.0.0.1:8284, or the next free port; all interfaces with --classroom]
    #[arg(long, value_name = "ADDR|off")]
    pub(crate) web: Option<Place>,
    /// Open the page in a browser
    #[arg(long)]
    pub(crate) open: bool,
    /// A demo's keeper: removes this directory when stdin and every server in it have ended
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) keeper: Option<PathBuf>,
}

/// `sim`.
#[derive(Args, Debug, Default)]
pub(crate) struct Sim {
    /// Play this scenario, a text file with a step on each line
    pub(crate) scenario: Option<PathBuf>,
    /// Run these seeds: A..B, without B
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    pub(crate) seeds: Option<(u64, u64)>,
    /// Run one seed
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Of that seed's faults only these, by number
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "seed")]
    pub(crate) only: Vec<usize>,
    /// Tell what happened, step by step
    #[arg(long)]
    pub(crate) timeline: bool,
    /// Make the failing seed's list of faults small
    #[arg(long, requires = "seed", conflicts_with = "only")]
    pub(crate) shrink: bool,
}

/// `config`.
#[derive(Args, Debug)]
#[command(arg_required_else_help = false)]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) what: ConfigWhat,
}

/// What of the configuration.
#[derive(Subcommand, Debug, Clone, Copy)]
pub(crate) enum ConfigWhat {
    /// Every setting, and where its value came from
    Show,
    /// The file that `config show` reads first, whether it exists or not
    Path,
}

/// `completions`.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}

/// `man`.
#[derive(Args, Debug, Default)]
pub(crate) struct Man {
    /// Write one page for each command into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let parsed = text.split_once("..").and_then(|(first, end)| Some((first.parse().ok()?, end.parse().ok()?)));
    match parsed {
        Some((first, end)) if first < end => Ok((first, end)),
        _ => Err("seeds are two numbers, the lesser first: 0..1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn seeds_are_a_range() {
        assert_eq!(seeds("3..10"), Ok((3, 10)));
        assert!(seeds("10..3").is_err());
        assert!(seeds("7").is_err());
    }
}
