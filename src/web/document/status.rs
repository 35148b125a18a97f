//! The ring's state as scripts and pages see it.

use crate::web::event::id;
use crate::wire::session::{ServerState, ServerStatus, Status};
use serde::Serialize;
use serde_json::Value;

/// Whether nothing is wrong: a leader, nobody missing, no problem told.
pub fn is_healthy(status: &Status) -> bool {
    let is_missing = |server: &ServerStatus| server.state == ServerState::Unreachable;
    status.epoch.is_some() && status.problems.is_empty() && !status.servers.iter().any(is_missing)
}

/// The document of `CLI.md`; its fields stand in this order.
#[derive(Clone, Debug, Serialize)]
pub struct Document<'a> {
    net: &'a str,
    healthy: bool,
    epoch: Option<u64>,
    leader: Option<Leader<'a>>,
    servers: Vec<Server<'a>>,
    rooms: u64,
    messages: u64,
    problems: &'a [String],
    /// Of the server that answers: `disk` or `memory`.
    durability: &'static str,
}

#[derive(Clone, Debug, Serialize)]
struct Leader<'a> {
    name: &'a str,
    id: String,
}

#[derive(Clone, Debug, Serialize)]
struct Server<'a> {
    name: &'a str,
    id: String,
    addr: String,
    state: &'static str,
    via: &'static str,
    stable: u64,
    lag: u64,
    clients: u32,
    nacks_per_min: u32,
    /// Of a hundred beacons, how many were lost here.
    loss: f64,
    head: u64,
    have: u64,
    /// Its page's address; the token stays between servers and pages.
    page: Option<String>,
}

/// What a server that others do not hear says of itself: its line, with the epoch that it is in, marked as `apart`. Nothing
/// when the answer is not of the server of this name.
pub(in crate::web) fn apart(name: &str, status: &Status) -> Option<Value> {
    let own = status.servers.iter().find(|server| server.pid == status.answered_by && server.name == name)?;
    let mut line = serde_json::to_value(Server::of(own)).ok()?;
    line["epoch"] = status.epoch.map(|epoch| epoch.num).into();
    line["apart"] = true.into();
    Some(line)
}

impl<'a> Document<'a> {
    /// What a server answered.
    pub fn of(status: &'a Status) -> Self {
        let leader = |epoch: crate::ids::EpochId| Leader { name: &status.leader, id: id(epoch.leader) };
        Self {
            net: &status.net,
            healthy: is_healthy(status),
            epoch: status.epoch.map(|epoch| epoch.num),
            leader: status.epoch.map(leader),
            servers: status.servers.iter().map(Server::of).collect(),
            rooms: status.rooms,
            messages: status.messages,
            problems: &status.problems,
            durability: if status.memory_only { "memory" } else { "disk" },
        }
    }
}

impl<'a> Server<'a> {
    fn of(server: &'a ServerStatus) -> Self {
        Self {
            name: &server.name,
            id: id(server.pid),
            addr: server.addr.to_string(),
            state: state(server.state),
            via: via(server),
            stable: server.stable,
            lag: server.lag,
            clients: server.clients,
            nacks_per_min: server.nacks_per_min,
            loss: percent(server),
            head: server.head,
            have: server.have,
            page: server.page.map(|page| format!("http://{}", page.addr)),
        }
    }
}

/// Of a hundred beacons, how many were lost.
pub fn percent(server: &ServerStatus) -> f64 {
    f64::from(server.loss_per_mille) / 10.0
}

/// How a server's datagrams come.
pub fn via(server: &ServerStatus) -> &'static str {
    if server.multicast { "multicast" } else { "unicast" }
}

/// The word of a state.
pub fn state(state: ServerState) -> &'static str {
    match state {
        ServerState::Leader => "leader",
        ServerState::Member => "member",
        ServerState::Joining => "joining",
        ServerState::CatchingUp => "catching_up",
        ServerState::Unreachable => "unreachable",
    }
}
