//! What happened, as typed events: what `server --json` prints, what logs are made from, what event records keep.

use crate::ids::{EpochId, Pid};
use crate::record::{MAX_SERVERS, View};
use crate::time::Hlc;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

/// Longest name or reason in one.
pub(crate) const MAX_WORDS_BYTES: usize = 256;

/// Something that people and records want to know.
///
/// The variants' order is their number in an event record's answers: new ones go to the end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// A view began.
    View {
        /// The view.
        view: View,
        /// Addresses of its members, in their order, where known.
        addrs: Vec<Option<SocketAddr>>,
        /// Why, in a word or two.
        reason: Cow<'static, str>,
    },
    /// The history is as full as any reachable server's: clients may come.
    Ready,
    /// A server is silent.
    Suspected {
        /// Which.
        pid: Pid,
        /// Its name.
        name: String,
    },
    /// A server is taken for dead.
    Failed {
        /// Which.
        pid: Pid,
        /// Its name.
        name: String,
        /// Whether its host said so, rather than silence.
        proven: bool,
    },
    /// A server is back, or new.
    Rejoined {
        /// Which.
        pid: Pid,
        /// Its name.
        name: String,
        /// How many messages fewer it has than this server, as its last beacon tells; unknown when none was heard.
        missing: Option<u64>,
    },
    /// What other servers had and this one lacked is here.
    CaughtUp {
        /// Messages that came.
        messages: u64,
        /// Since the first was asked for.
        took: Duration,
    },
    /// Messages from the other side of a healed cut entered history.
    Merged {
        /// How many.
        messages: u64,
    },
    /// An election was seen to begin or end.
    Election {
        /// Its number.
        num: u64,
        /// Who started it, as far as is known.
        started_by: String,
        /// Who won, once known.
        winner: Option<String>,
        /// Since it was first seen here.
        took: Duration,
    },
    /// A view change was begun by this server.
    Proposed {
        /// The epoch.
        epoch: EpochId,
        /// How many members it would have.
        members: usize,
    },
    /// A proposal by this server came to nothing.
    Abandoned {
        /// The epoch.
        epoch: EpochId,
        /// Why.
        reason: Cow<'static, str>,
    },
    /// Another process that lives has this server's id, and asked whether it is in use.
    Cloned {
        /// The other process.
        pid: Pid,
        /// Where.
        addr: SocketAddr,
    },
    /// The disk takes nothing; the server is read-only until it does.
    ReadOnly {
        /// Whether it is full, rather than broken.
        full: bool,
    },
    /// A server speaks another version of the protocol.
    OtherVersion {
        /// Where.
        addr: SocketAddr,
        /// Its version.
        version: u8,
    },
    /// A server has left, and said so.
    Goodbye {
        /// Which.
        pid: Pid,
        /// Its name.
        name: String,
    },
    /// Another process that lives has this server's id in a greater life: the ring goes on with that one, and this server
    /// has left.
    Replaced {
        /// The other process.
        pid: Pid,
        /// Where.
        addr: SocketAddr,
    },
    /// What was lost or set aside of a damaged store is here again, as far as any server of the view has it.
    Mended,
    /// Something in this server's store was not what was written, and the store was opened anew.
    Damaged {
        /// Which records.
        what: String,
        /// What was set aside, and where; empty when nothing was.
        aside: String,
        /// Whether something of it was lost here, and is fetched from other servers.
        lost: bool,
    },
    /// Messages older than all servers of the ring keep them are history no more.
    LetGo {
        /// How many.
        messages: u64,
        /// Epochs that began before this are no history.
        horizon: Hlc,
    },
}

impl Event {
    /// Whether lists and texts are within the protocol's bounds. Numbers are for people: nothing counts on from them.
    pub(super) fn is_within_bounds(&self) -> bool {
        let short = |text: &str| text.len() <= MAX_WORDS_BYTES;
        match self {
            Self::View { view, addrs, reason } => {
                let lists = [view.members.len(), view.parents.len(), addrs.len()];
                lists.iter().all(|length| *length <= MAX_SERVERS)
                    && view.members.iter().all(|member| short(&member.name))
                    && short(reason)
            }
            Self::Suspected { name, .. }
            | Self::Failed { name, .. }
            | Self::Rejoined { name, .. }
            | Self::Goodbye { name, .. } => short(name),
            Self::Election { started_by, winner, .. } => short(started_by) && winner.iter().all(|name| short(name)),
            Self::Abandoned { reason, .. } => short(reason),
            Self::Damaged { what, aside, .. } => short(what) && short(aside),
            Self::Ready
            | Self::Mended
            | Self::CaughtUp { .. }
            | Self::LetGo { .. }
            | Self::Merged { .. }
            | Self::Proposed { .. }
            | Self::Cloned { .. }
            | Self::Replaced { .. }
            | Self::ReadOnly { .. }
            | Self::OtherVersion { .. } => true,
        }
    }
}
