//! What a server answers about the net and the ring, as it sees them.

use crate::ids::{EpochId, Pid};
use crate::wire::message::Page;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The net as one server sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct Status {
    /// The net.
    pub net: String,
    /// The server that answers.
    pub answered_by: Pid,
    /// The epoch, when there is a view.
    pub epoch: Option<EpochId>,
    /// The leader's name.
    pub leader: String,
    /// Every server known, ascending by id.
    pub servers: Vec<ServerStatus>,
    /// Rooms in history.
    pub rooms: u64,
    /// Messages in history.
    pub messages: u64,
    /// What is wrong, for people.
    pub problems: Vec<String>,
    /// Pages of all servers that the one that answers remembers, also of those that have died.
    pub pages: Vec<Page>,
    /// Whether the server that answers acknowledges what it has received, before its disk has it (`--durability memory`).
    pub memory_only: bool,
    /// Messages of history that the server that answers can show: fewer than all while its index is made anew, or far behind.
    pub indexed: u64,
}

/// One server, as the one that answers sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its name.
    pub name: String,
    /// The process.
    pub pid: Pid,
    /// Where it is.
    pub addr: SocketAddr,
    /// What it is.
    pub state: ServerState,
    /// Whether its multicast arrives here.
    pub multicast: bool,
    /// Stable length of the view there.
    pub stable: u64,
    /// How far its disk is behind the order.
    pub lag: u64,
    /// Clients it serves.
    pub clients: u32,
    /// Repairs it asked for in the last minute.
    pub nacks_per_min: u32,
    /// Beacons of it that were lost here, per mille.
    pub loss_per_mille: u32,
    /// How far the order of its view goes, as far as it knows.
    pub head: u64,
    /// Durable length of its view there.
    pub have: u64,
    /// Where its page is.
    pub page: Option<Page>,
}

/// What a server is to the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ServerState {
    /// Leads the view.
    Leader,
    /// In the view, history full.
    Member,
    /// Heard, not in the view.
    Joining,
    /// In the view, history not full yet.
    CatchingUp,
    /// In the view or known, but not heard.
    Unreachable,
}

/// The ring's shape and what it went through.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct RingInfo {
    /// Members in ring order, each with its name.
    pub ring: Vec<(Pid, String)>,
    /// The leader.
    pub leader: Option<Pid>,
    /// The epoch.
    pub epoch: Option<EpochId>,
    /// The last elections that this server saw, newest first.
    pub elections: Vec<ElectionInfo>,
}

/// One election, as this server saw it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ElectionInfo {
    /// Its number.
    pub num: u64,
    /// When it was first seen here, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who started it, as far as is known here.
    pub started_by: String,
    /// Who won, once known.
    pub winner: Option<String>,
    /// How long it took until the view, once known.
    pub took_ms: Option<u32>,
    /// The token's way, by name.
    pub path: Vec<String>,
}
