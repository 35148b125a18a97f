//! What went wrong, in the words people read, with the code scripts compare and the exit status shells see.

use super::shown::{shown, shown_lines};
use serde::Serialize;
use std::fmt;
use std::io::ErrorKind;

/// Exit statuses, as `--help` and the manual list them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It could not be done.
    Failed = 1,
    /// The command line, a name or the configuration is wrong.
    Usage = 2,
    /// No server answered.
    NoServer = 3,
    /// The ring is there but something is wrong with it.
    Degraded = 4,
    /// The time limit passed before everything was acknowledged.
    TimedOut = 5,
    /// Another key, net or version than the server's; a server id that another has.
    Mismatch = 6,
    /// The data directory: full, damaged, in use.
    Storage = 7,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
}

/// What kind of thing went wrong: the `code` of `--json`, for ever the same word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    /// A flag, command or value that does not exist or does not fit.
    Usage,
    /// A room, nick, server or net name that breaks the rules.
    BadName,
    /// A configuration file that cannot be read or understood.
    BadConfig,
    /// A message over the greatest length.
    TooLong,
    /// Nobody answered.
    NoServer,
    /// Servers answered, but of other nets.
    OtherNet,
    /// Another server has the same id: one of the two runs on a copy of the other's data directory.
    IdInUse,
    /// A server speaks another version of the protocol.
    OtherVersion,
    /// A server refused the session or the message.
    Refused,
    /// The nick belongs to another client.
    NickTaken,
    /// Nobody goes by that nick.
    NoSuchNick,
    /// No server knows the message.
    NoSuchMessage,
    /// The port is held by a program that does not share it.
    PortHeld,
    /// The firewall forbids sending.
    SendForbidden,
    /// An interface that was asked for is not there.
    NoSuchInterface,
    /// Any other trouble with sockets.
    Network,
    /// Another process uses the outbox.
    OutboxInUse,
    /// The outbox is damaged, or no outbox.
    DamagedOutbox,
    /// The server went away and no other took over in time.
    ConnectionLost,
    /// The time limit passed.
    TimedOut,
    /// The ring is degraded.
    Degraded,
    /// The disk is full.
    NoSpace,
    /// The store is damaged, or not a store.
    DamagedStore,
    /// The data directory cannot be read or written.
    StoreIo,
    /// There is no store where one was expected.
    NoStore,
    /// The store was written by a newer program.
    NewerStore,
    /// There is a store already, where none may be.
    StoreExists,
    /// Another server uses the directory.
    DirectoryInUse,
    /// A file or directory cannot be read or written.
    Io,
    /// A simulated run broke a property.
    SimulationFailed,
    /// The demo found histories that differ, or an acknowledged message lost.
    DemoFailed,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// Anything else.
    Failed,
}

impl Code {
    /// The word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::BadName => "bad_name",
            Self::BadConfig => "bad_config",
            Self::TooLong => "too_long",
            Self::NoServer => "no_server",
            Self::OtherNet => "other_net",
            Self::IdInUse => "id_in_use",
            Self::OtherVersion => "other_version",
            Self::Refused => "refused",
            Self::NickTaken => "nick_taken",
            Self::NoSuchNick => "no_such_nick",
            Self::NoSuchMessage => "no_such_message",
            Self::PortHeld => "port_held",
            Self::SendForbidden => "send_forbidden",
            Self::NoSuchInterface => "no_such_interface",
            Self::Network => "network",
            Self::OutboxInUse => "outbox_in_use",
            Self::DamagedOutbox => "damaged_outbox",
            Self::ConnectionLost => "connection_lost",
            Self::TimedOut => "timed_out",
            Self::Degraded => "degraded",
            Self::NoSpace => "no_space",
            Self::DamagedStore => "damaged_store",
            Self::StoreIo => "store_io",
            Self::NoStore => "no_store",
            Self::NewerStore => "newer_store",
            Self::StoreExists => "store_exists",
            Self::DirectoryInUse => "directory_in_use",
            Self::Io => "io",
            Self::SimulationFailed => "simulation_failed",
            Self::DemoFailed => "demo_failed",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }

    /// The exit status that goes with it.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Usage | Self::BadName | Self::BadConfig | Self::TooLong | Self::NoSuchNick => Exit::Usage,
            Self::NoServer | Self::OtherNet | Self::ConnectionLost => Exit::NoServer,
            Self::IdInUse | Self::OtherVersion => Exit::Mismatch,
            Self::TimedOut => Exit::TimedOut,
            Self::Degraded => Exit::Degraded,
            Self::NoSpace
            | Self::DamagedStore
            | Self::StoreIo
            | Self::NoStore
            | Self::NewerStore
            | Self::StoreExists
            | Self::DirectoryInUse
            | Self::OutboxInUse
            | Self::DamagedOutbox => Exit::Storage,
            Self::Interrupted => Exit::Interrupted,
            Self::Refused
            | Self::NickTaken
            | Self::NoSuchMessage
            | Self::PortHeld
            | Self::SendForbidden
            | Self::NoSuchInterface
            | Self::Network
            | Self::Io
            | Self::SimulationFailed
            | Self::DemoFailed
            | Self::Failed => Exit::Failed,
        }
    }
}

/// Commands that hints recommend, and that belong to a net.
const NET_COMMANDS: [&str; 4] = ["server", "status", "who", "chat"];

/// Why a command ends without having done what it was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// For scripts.
    pub(crate) code: Code,
    /// For people: one line.
    pub(crate) message: String,
    /// What to do; several lines are several hints.
    pub(crate) hint: String,
    /// Whether it was told already, or, as with a closed pipe, nobody is there to be told.
    pub(crate) silent: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    error: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    code: &'a str,
    message: &'a str,
    hint: &'a str,
}

impl Failure {
    /// A failure without a hint.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: String::new(), silent: false }
    }

    /// The same with a hint.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same where the commands that the hint recommends need these flags, each with a space before it.
    pub(crate) fn on_net(mut self, flags: &str) -> Self {
        for command in NET_COMMANDS {
            self.hint = self.hint.replace(&format!("ringtalk {command}"), &format!("ringtalk{flags} {command}"));
        }
        self
    }

    /// An exit status without words: the command has said already what there was to say.
    pub(crate) fn silent(code: Code) -> Self {
        Self { silent: true, ..Self::new(code, "") }
    }

    /// Ctrl-C or SIGTERM.
    pub(crate) fn interrupted() -> Self {
        Self::silent(Code::Interrupted)
    }

    /// A file or directory that cannot be used: `op` is a verb, as in "read".
    pub(crate) fn io(op: &str, path: &std::path::Path, source: &std::io::Error) -> Self {
        let code = match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Code::NoSpace,
            _ => Code::Io,
        };
        Self::new(code, format!("cannot {op} {}: {}", path.display(), plain(source))).hint(io_hint(op, source.kind()))
    }

    /// What goes to stderr, with its line breaks.
    pub(crate) fn render(&self, json: bool) -> String {
        if json {
            let fields = Fields { code: self.code.word(), message: &self.message, hint: &self.hint };
            let document = serde_json::to_string(&Document { error: fields }).unwrap_or_default();
            return crate::web::document::escape::escaped(&document).into_owned() + "\n";
        }
        let mut text = format!("ringtalk: {}\n", shown(&self.message));
        for line in shown_lines(&self.hint).lines() {
            text.push_str("hint: ");
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl From<crate::name::BadName> for Failure {
    fn from(why: crate::name::BadName) -> Self {
        Self::new(Code::BadName, why.to_string())
    }
}

/// What to do about a file that cannot be used.
fn io_hint(op: &str, why: ErrorKind) -> &'static str {
    let reads = matches!(op, "read" | "open" | "scan");
    match why {
        ErrorKind::NotFound if reads => "check the path",
        ErrorKind::NotFound => "make its directory first, or name another place",
        ErrorKind::PermissionDenied => "check whose it is and who may use it, or name another place",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "a file is where a directory should be: name another place"
        }
        ErrorKind::IsADirectory => "name a file, not a directory",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room, or name another place",
        ErrorKind::ReadOnlyFilesystem => "name a place that can be written",
        _ => "check the disk, or name another place",
    }
}

/// An I/O error in words, without the number that the standard library appends.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    words.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_a_line_and_a_hint_or_one_json_document() {
        let failure = Failure::new(Code::NoServer, "No ringtalk server answered.").hint("Start one: ringtalk server");
        assert_eq!(failure.render(false), "ringtalk: No ringtalk server answered.\nhint: Start one: ringtalk server\n");
        assert_eq!(
            failure.render(true),
            "{\"error\":{\"code\":\"no_server\",\"message\":\"No ringtalk server answered.\",\
             \"hint\":\"Start one: ringtalk server\"}}\n"
        );
    }

    #[test]
    fn recommended_command_is_for_the_net_of_this_one() {
        let failure = Failure::new(Code::NoServer, "").hint("Start one: ringtalk server · Why: ringtalk --help");
        let hint = failure.on_net(" --local -n lab").hint;
        assert_eq!(hint, "Start one: ringtalk --local -n lab server · Why: ringtalk --help");
    }

    #[test]
    fn file_that_cannot_be_used_is_told_with_what_to_do() {
        for (op, kind, word) in [
            ("create", ErrorKind::NotFound, "make its directory"),
            ("open", ErrorKind::NotFound, "path"),
            ("create", ErrorKind::AlreadyExists, "directory should be"),
            ("write", ErrorKind::PermissionDenied, "who may"),
            ("write", ErrorKind::Other, "disk"),
        ] {
            let failure = Failure::io(op, std::path::Path::new("/x"), &kind.into());
            assert!(failure.hint.contains(word), "{failure:?}");
        }
    }

    #[test]
    fn hostile_names_in_failures_are_escaped() {
        let failure = Failure::new(Code::OtherNet, "net \u{1b}]52;c;x\u{7}").hint("two\nlines\u{202e}");
        for json in [false, true] {
            let text = failure.render(json);
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
            assert!(!text.contains('\u{202e}'));
        }
    }
}
