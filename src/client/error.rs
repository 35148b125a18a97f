//! What goes wrong between an application and the ring.

use crate::name::BadName;
use crate::net::NetError;
use crate::proto::client::{SubmitError, words};
use crate::wire::session::Refusal;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a client could not even begin. Nothing stays open.
#[derive(Debug)]
pub enum OpenError {
    /// A name breaks the rules. Choose another.
    Name {
        /// The name.
        name: String,
        /// The rule.
        why: BadName,
    },
    /// The sockets.
    Net(NetError),
    /// The outbox file cannot be read or written.
    Outbox {
        /// What was tried, as an infinitive: `open`.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses the outbox. Two would share a client's id: name another file.
    OutboxInUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is no outbox, or of a newer program. It was left as it is.
    NoOutbox {
        /// The file.
        path: PathBuf,
    },
    /// The outbox file is damaged before its end; it was left as it is. Move it away: a new one gets a new id.
    OutboxDamaged {
        /// The file.
        path: PathBuf,
    },
    /// What is to be resumed cannot have been told by a client. Begin anew without it.
    Resume(super::resume::BadResume),
    /// The system gives no thread.
    Thread(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, why } => write!(out, "\"{}\" is no name: {why}", name.escape_default()),
            Self::Net(error) => error.fmt(out),
            Self::Outbox { op, path, source } => write!(out, "cannot {op} {}: {source}", path.display()),
            Self::OutboxInUse { path } => write!(out, "another process uses the outbox {}", path.display()),
            Self::NoOutbox { path } => write!(out, "{} is no outbox", path.display()),
            Self::OutboxDamaged { path } => write!(out, "the outbox {} is damaged", path.display()),
            Self::Resume(why) => why.fmt(out),
            Self::Thread(source) => write!(out, "the system gives no thread: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Net(error) => Some(error),
            Self::Outbox { source, .. } | Self::Thread(source) => Some(source),
            Self::Name { why, .. } => Some(why),
            Self::Resume(why) => Some(why),
            Self::OutboxInUse { .. } | Self::NoOutbox { .. } | Self::OutboxDamaged { .. } => None,
        }
    }
}

impl From<NetError> for OpenError {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

/// Why no server was found in time.
#[derive(Debug)]
pub enum ConnectError {
    /// The client could not begin.
    Open(OpenError),
    /// Nobody answered. Start a server, or name one that multicast does not reach as a peer.
    NoServer,
    /// Servers answered, but of other nets. Ask for one of those.
    Elsewhere {
        /// Each net with one of its servers.
        nets: Vec<(String, String)>,
    },
    /// A server there speaks another version of the protocol, and no other answered. Update the older program.
    OtherVersion {
        /// Where.
        addr: SocketAddr,
        /// Its version.
        version: u8,
    },
    /// A server refused the session, and no other took it.
    Refused {
        /// The server's name.
        server: String,
        /// Why.
        why: Refusal,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(out),
            Self::NoServer => out.write_str("no ringtalk server answered"),
            Self::Elsewhere { nets } => {
                out.write_str("servers exist, but on other nets:")?;
                nets.iter().try_for_each(|(net, server)| write!(out, " \"{net}\" ({server})"))
            }
            Self::OtherVersion { addr, version } => {
                write!(out, "{addr} speaks protocol {version}, this program {}", crate::wire::datagram::VERSION)
            }
            Self::Refused { server, why } => write!(out, "{server} refuses: {}", words(why)),
        }
    }
}

impl std::error::Error for ConnectError {}

impl From<OpenError> for ConnectError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

/// Why it is not known that a message is history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SendError {
    /// It was not even taken.
    Submit(SubmitError),
    /// It will never be taken.
    Rejected(Refusal),
    /// Not acknowledged within the time limit. It is still on its way; waiting again is fine.
    Pending,
    /// The client ended before; with an outbox file it goes on at the next start.
    Ended,
}

impl fmt::Display for SendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit(error) => error.fmt(out),
            Self::Rejected(why) => write!(out, "refused: {}", words(why)),
            Self::Pending => out.write_str("not acknowledged yet"),
            Self::Ended => out.write_str("the client has ended"),
        }
    }
}

impl std::error::Error for SendError {}

impl From<SubmitError> for SendError {
    fn from(error: SubmitError) -> Self {
        Self::Submit(error)
    }
}

/// Why a question has no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AskError {
    /// None came within the time limit.
    TimedOut,
    /// The client has ended.
    Ended,
}

impl fmt::Display for AskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::TimedOut => "no answer in time",
            Self::Ended => "the client has ended",
        })
    }
}

impl std::error::Error for AskError {}
