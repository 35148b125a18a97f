//! The demo's servers together: which run, what each last said of the ring, and the faults between them.

use super::Happening;
use super::child::Process;
use super::ground::Ground;
use crate::cli::failure::Failure;
use crossbeam_channel::Sender;
use serde_json::Value;
use std::net::SocketAddr;

/// Names of servers, as many as a demo can have.
const NAMES: [&str; 9] = ["ash", "elm", "fir", "oak", "yew", "bay", "fig", "gum", "ivy"];

/// One server, running or not.
#[derive(Debug)]
pub(super) struct Server {
    /// Its name.
    pub(super) name: &'static str,
    process: Option<Process>,
    /// Where it is, as it said at its start.
    addr: Option<SocketAddr>,
    /// What it last said of the ring.
    view: Option<View>,
    /// Whether it takes clients.
    is_ready: bool,
}

/// A view as a server told it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct View {
    /// The epoch's number.
    pub(super) epoch: u64,
    /// The leader's name.
    pub(super) leader: String,
    /// The members' names, ascending.
    pub(super) members: Vec<String>,
}

/// All servers.
#[derive(Debug)]
pub(super) struct Fleet {
    servers: Vec<Server>,
    told: Sender<Happening>,
}

impl Fleet {
    /// So many servers, none of them running.
    pub(super) fn new(count: usize, told: Sender<Happening>) -> Self {
        let server = |&name| Server { name, process: None, addr: None, view: None, is_ready: false };
        Self { servers: NAMES.iter().take(count).map(server).collect(), told }
    }

    /// Starts whoever does not run; tells their names.
    pub(super) fn start(&mut self, ground: &Ground) -> Result<Vec<&'static str>, Failure> {
        let mut names = Vec::new();
        for (at, server) in self.servers.iter_mut().enumerate().filter(|(_, server)| server.process.is_none()) {
            server.process = Some(Process::start(at, server.name, ground, &self.told)?);
            names.push(server.name);
        }
        Ok(names)
    }

    /// Kills a server; whether it ran.
    pub(super) fn crash(&mut self, name: &str) -> bool {
        let process = self.servers.iter_mut().find(|server| server.name == name).and_then(|server| {
            server.view = None;
            server.is_ready = false;
            server.process.take()
        });
        process.map(Process::crash).is_some()
    }

    /// Takes note of what a server told.
    pub(super) fn hear(&mut self, at: usize, event: &Value) {
        let Some(server) = self.servers.get_mut(at) else { return };
        match event["event"].as_str() {
            Some("started") => server.addr = event["addr"].as_str().and_then(|addr| addr.parse().ok()),
            Some("view") => server.view = View::read(event),
            Some("ready") => server.is_ready = true,
            _ => {}
        }
    }

    /// Names of those that run, ascending.
    pub(super) fn running(&self) -> Vec<&'static str> {
        let mut names: Vec<_> =
            self.servers.iter().filter(|server| server.process.is_some()).map(|server| server.name).collect();
        names.sort_unstable();
        names
    }

    /// A process has ended; the name of a server that should run.
    pub(super) fn ended(&mut self, at: usize) -> Option<&'static str> {
        let server = self.servers.get_mut(at)?;
        let process = server.process.as_mut()?;
        // The end of a process that was killed may be told after its successor has started.
        process.has_ended().then_some(server.name)
    }

    /// The view that exactly these servers are in, all of them and ready, when there is one.
    pub(super) fn view_of(&self, names: &[&str]) -> Option<&View> {
        let mut views = self.servers.iter().filter(|server| names.contains(&server.name));
        let first = views.next().filter(|server| server.is_ready)?.view.as_ref()?;
        let agree = views.all(|server| server.is_ready && server.view.as_ref() == Some(first));
        (agree && first.members == names).then_some(first)
    }

    /// Who leads, as most of those that run say.
    pub(super) fn leader(&self) -> Option<String> {
        let running = self.servers.iter().filter(|server| server.process.is_some());
        let view =
            running.filter_map(|server| server.view.as_ref()).max_by_key(|view| (view.members.len(), view.epoch));
        view.map(|view| view.leader.clone())
    }

    /// Cuts these off from the others.
    pub(super) fn cut(&mut self, names: &[&str]) {
        let side = |server: &Server| names.contains(&server.name);
        let addrs: Vec<(bool, SocketAddr)> =
            self.servers.iter().filter_map(|server| Some((side(server), server.addr?))).collect();
        for server in &mut self.servers {
            let here = side(server);
            for (_, addr) in addrs.iter().filter(|(there, _)| *there != here) {
                server.tell(&format!("cut {addr} both"));
            }
        }
    }

    /// Lets nobody hear these any more, while they still hear everyone.
    pub(super) fn mute(&mut self, names: &[&str]) {
        let addrs: Vec<SocketAddr> = self
            .servers
            .iter()
            .filter(|server| names.contains(&server.name))
            .filter_map(|server| server.addr)
            .collect();
        for server in self.servers.iter_mut().filter(|server| !names.contains(&server.name)) {
            for addr in &addrs {
                server.tell(&format!("cut {addr} in"));
            }
        }
    }

    /// Drops so many of a hundred datagrams at everyone.
    pub(super) fn lose(&mut self, percent: u8) {
        self.servers.iter_mut().for_each(|server| server.tell(&format!("loss {percent}")));
    }

    /// Ends all faults.
    pub(super) fn heal(&mut self) {
        self.servers.iter_mut().for_each(|server| server.tell("heal"));
    }
}

impl Server {
    fn tell(&mut self, line: &str) {
        if let Some(process) = &mut self.process {
            process.tell(line);
        }
    }
}

impl View {
    fn read(event: &Value) -> Option<Self> {
        let mut members: Vec<String> = event["members"]
            .as_array()?
            .iter()
            .filter_map(|member| Some(member["name"].as_str()?.to_owned()))
            .collect();
        members.sort();
        Some(Self { epoch: event["epoch"].as_u64()?, leader: event["leader"].as_str()?.to_owned(), members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(epoch: u64, names: &[&str]) -> Value {
        let members: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({ "event": "view", "epoch": epoch, "leader": names[0], "members": members })
    }

    #[test]
    fn view_counts_only_when_all_its_members_are_ready_in_it() {
        let (told, _keep) = crossbeam_channel::bounded(1);
        let mut fleet = Fleet::new(2, told);
        fleet.hear(0, &view(3, &["elm", "ash"]));
        fleet.hear(1, &view(3, &["elm", "ash"]));
        assert!(fleet.view_of(&["ash", "elm"]).is_none());
        fleet.hear(0, &json!({ "event": "ready" }));
        fleet.hear(1, &json!({ "event": "ready" }));
        assert_eq!(fleet.view_of(&["ash", "elm"]).map(|view| (view.epoch, &*view.leader)), Some((3, "elm")));
        assert!(fleet.view_of(&["ash"]).is_none());
        fleet.hear(1, &view(4, &["elm"]));
        assert!(fleet.view_of(&["ash", "elm"]).is_none());
    }
}
