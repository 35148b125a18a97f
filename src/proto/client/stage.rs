//! Where the client stands with a server.

use super::directory::Choice;
use super::io::ConnectionId;
use super::liveness::Liveness;
use crate::ids::Pid;
use crate::time::Time;
use std::net::SocketAddr;
use std::time::Duration;

/// A connection, and then the welcome, take no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// After the first server was heard, others are waited for this long, so that the choice is one.
const GATHER: Duration = Duration::from_millis(60);

/// The stages of a session.
#[derive(Debug)]
pub(super) enum Stage {
    /// None.
    Searching {
        /// When the first server that can be chosen was heard.
        first: Option<Time>,
    },
    /// The host connects.
    Connecting(Attempt),
    /// The hello was said.
    Greeting(Attempt),
    /// The session stands.
    Home(Home),
}

/// A session that is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Attempt {
    /// Its connection.
    pub connection: ConnectionId,
    /// With whom.
    pub choice: Choice,
    /// Given up then.
    pub until: Time,
}

/// A session that stands.
#[derive(Debug)]
pub(super) struct Home {
    /// Its connection.
    pub connection: ConnectionId,
    /// The server.
    pub pid: Pid,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub addr: SocketAddr,
    /// Its clocks.
    pub live: Liveness,
    /// Its disk takes nothing: it answers questions until there is a better home.
    pub read_only: bool,
}

impl Stage {
    /// Nobody yet.
    pub(super) const NOBODY: Self = Self::Searching { first: None };

    /// None, and whoever was to be waited for has had the time.
    pub(super) const NEXT: Self = Self::Searching { first: Some(Time(0)) };

    /// The session that stands.
    pub(super) fn home(&self) -> Option<&Home> {
        if let Self::Home(home) = self { Some(home) } else { None }
    }

    /// The session that stands.
    pub(super) fn home_mut(&mut self) -> Option<&mut Home> {
        if let Self::Home(home) = self { Some(home) } else { None }
    }

    /// The connection of whichever stage it is.
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Searching { .. } => None,
            Self::Connecting(attempt) | Self::Greeting(attempt) => Some(attempt.connection),
            Self::Home(home) => Some(home.connection),
        }
    }

    /// Whether to go on searching although a server could be chosen: others may answer in the same moment.
    pub(super) fn gathers(&mut self, now: Time) -> bool {
        match self {
            Self::Searching { first } => now < *first.get_or_insert(now) + GATHER,
            _ => false,
        }
    }

    /// The attempt's time from now on.
    pub(super) fn deadline(now: Time) -> Time {
        now + PATIENCE
    }

    /// The clocks begin anew: the client itself was late.
    pub(super) fn excuse(&mut self, now: Time) {
        match self {
            Self::Searching { .. } => {}
            Self::Connecting(attempt) | Self::Greeting(attempt) => attempt.until = Self::deadline(now),
            Self::Home(home) => home.live = Liveness::new(now),
        }
    }

    /// When time changes something.
    pub(super) fn next_timeout(&self, expecting: bool) -> Time {
        match self {
            Self::Searching { first } => first.map_or(Time::NEVER, |first| first + GATHER),
            Self::Connecting(attempt) | Self::Greeting(attempt) => attempt.until,
            Self::Home(home) => home.live.next_timeout(expecting),
        }
    }
}
