//! The demo's servers together: which run, what each last said of the ring, and what is broken between them.

use super::Happening;
use super::child::{Life, Process};
use super::ground::Ground;
use super::view::View;
use super::wiring::{Wiring, said};
use crate::cli::failure::Failure;
use crossbeam_channel::Sender;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Names of servers, as many as a demo can have.
const NAMES: [&str; 9] = ["ash", "elm", "fir", "oak", "yew", "bay", "fig", "gum", "ivy"];

/// One server, running or not.
#[derive(Debug)]
pub(super) struct Server {
    /// Its name.
    pub(super) name: &'static str,
    process: Option<Process>,
    lives: u32,
    is_paused: bool,
    /// Its id, as it said at its first start; it keeps it.
    id: Option<String>,
    /// Where it is, as it said at its start.
    addr: Option<SocketAddr>,
    /// What it last said of the ring.
    view: Option<View>,
    /// Whether it takes clients.
    is_ready: bool,
    /// Datagrams that its faults have dropped in this life.
    dropped: u64,
}

/// What a server is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// It runs.
    Running,
    /// It was stopped where it was.
    Paused,
    /// It was killed.
    Crashed,
}

impl State {
    /// The word of the page's documents.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Crashed => "crashed",
        }
    }
}

/// All servers.
#[derive(Debug)]
pub(super) struct Fleet {
    servers: Vec<Server>,
    wiring: Wiring,
    told: Sender<Happening>,
}

impl Fleet {
    /// So many servers, none of them running.
    pub(super) fn new(count: usize, told: Sender<Happening>) -> Self {
        let server = |&name| Server {
            name,
            process: None,
            lives: 0,
            is_paused: false,
            id: None,
            addr: None,
            view: None,
            is_ready: false,
            dropped: 0,
        };
        let servers: Vec<Server> = NAMES.iter().take(count).map(server).collect();
        Self { wiring: Wiring::new(servers.len()), servers, told }
    }

    /// All names, in the order of their numbers.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.servers.iter().map(|server| server.name).collect()
    }

    /// The name of this number.
    pub(super) fn name(&self, at: usize) -> &'static str {
        self.servers.get(at).map_or("", |server| server.name)
    }

    /// What each is doing.
    pub(super) fn state(&self, at: usize) -> State {
        match self.servers.get(at) {
            Some(Server { process: Some(_), is_paused: false, .. }) => State::Running,
            Some(Server { process: Some(_), .. }) => State::Paused,
            _ => State::Crashed,
        }
    }

    /// Numbers of those in this state, ascending.
    pub(super) fn in_state(&self, state: State) -> Vec<usize> {
        (0..self.servers.len()).filter(|&at| self.state(at) == state).collect()
    }

    /// How often a server was started, and whether it can be asked: it runs and takes clients.
    pub(super) fn life(&self, at: usize) -> (u32, bool) {
        let ready = self.state(at) == State::Running && self.servers.get(at).is_some_and(|server| server.is_ready);
        (self.servers.get(at).map_or(0, |server| server.lives), ready)
    }

    /// What is broken.
    pub(super) fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// Starts a server that does not run.
    pub(super) fn start(&mut self, at: usize, ground: &Ground) -> Result<(), Failure> {
        let lines = self.wiring.lines_for(at, |other| self.servers[other].addr);
        let Some(server) = self.servers.get_mut(at).filter(|server| server.process.is_none()) else { return Ok(()) };
        server.lives += 1;
        let life = Life { at, number: server.lives };
        let mut process = Process::start(life, server.name, ground, &self.told)?;
        for line in &lines {
            process.tell(line);
        }
        server.process = Some(process);
        Ok(())
    }

    /// Kills a server; whether it ran.
    pub(super) fn crash(&mut self, at: usize) -> bool {
        let Some(server) = self.servers.get_mut(at) else { return false };
        let Some(process) = server.process.take() else { return false };
        (server.view, server.is_ready, server.is_paused, server.dropped) = (None, false, false, 0);
        process.crash();
        // Another process gets another port: the others forget this one, or their lists of cuts would grow.
        if let Some(addr) = server.addr.take() {
            self.servers.iter_mut().for_each(|other| other.tell(&format!("mend {addr}")));
        }
        true
    }

    /// Stops a running server where it is; whether it ran.
    pub(super) fn pause(&mut self, at: usize) -> bool {
        self.freeze(at, true)
    }

    /// Lets a stopped server go on; whether it was stopped.
    pub(super) fn resume(&mut self, at: usize) -> bool {
        self.freeze(at, false)
    }

    fn freeze(&mut self, at: usize, is_paused: bool) -> bool {
        let Some(server) = self.servers.get_mut(at).filter(|server| server.is_paused != is_paused) else {
            return false;
        };
        let Some(process) = &server.process else { return false };
        if is_paused {
            process.pause();
        } else {
            process.resume();
        }
        server.is_paused = is_paused;
        true
    }

    /// Breaks or mends something, and tells those whom it concerns.
    pub(super) fn rewire(&mut self, change: impl FnOnce(&mut Wiring)) {
        let mut after = self.wiring.clone();
        change(&mut after);
        for at in 0..self.servers.len() {
            let lines = said(&self.wiring, &after, at, |other| self.servers[other].addr);
            for line in &lines {
                self.servers[at].tell(line);
            }
        }
        self.wiring = after;
    }

    /// Takes note of what a server told; whether it is still that process.
    pub(super) fn hear(&mut self, life: Life, event: &Value) -> bool {
        let Some(server) = self.servers.get_mut(life.at).filter(|server| server.lives == life.number) else {
            return false;
        };
        match event["event"].as_str() {
            Some("started") => {
                server.id = event["id"].as_str().map(str::to_owned);
                server.addr = event["addr"].as_str().and_then(|addr| addr.parse().ok());
                self.introduce(life.at);
            }
            Some("view") => server.view = View::read(event),
            Some("ready") => server.is_ready = true,
            Some("faults") => server.dropped = event["dropped"].as_u64().unwrap_or(0),
            _ => {}
        }
        true
    }

    /// Tells the others where a server is whom they are cut off from.
    fn introduce(&mut self, at: usize) {
        let addr = self.servers[at].addr;
        for other in (0..self.servers.len()).filter(|&other| other != at) {
            let lines = self.wiring.lines_about(other, at, addr);
            for line in &lines {
                self.servers[other].tell(line);
            }
        }
    }

    /// A process has ended; the number of a server that should run.
    pub(super) fn ended(&mut self, life: Life) -> Option<usize> {
        let server = self.servers.get_mut(life.at).filter(|server| server.lives == life.number)?;
        server.process.as_mut()?.has_ended().then_some(life.at)
    }

    /// The view that exactly these of the demo's servers are in, all of them and ready, when there is one. Others' servers may
    /// be in it.
    pub(super) fn view_of(&self, these: &[usize]) -> Option<&View> {
        let mut views = these.iter().filter_map(|&at| self.servers.get(at));
        let first = views.next().filter(|server| server.is_ready)?.view.as_ref()?;
        let agree = views.all(|server| server.is_ready && server.view.as_ref() == Some(first));
        let inside: BTreeSet<usize> = first.members.iter().filter_map(|(id, _)| self.number_of(id)).collect();
        (agree && inside == these.iter().copied().collect()).then_some(first)
    }

    /// The last view that most of those that run are in.
    pub(super) fn view(&self) -> Option<&View> {
        let running = (0..self.servers.len()).filter(|&at| self.state(at) == State::Running);
        let views = running.filter_map(|at| self.servers[at].view.as_ref());
        views.max_by_key(|view| (view.members.len(), view.epoch))
    }

    /// The number of the leader, if it is one of the demo's servers and runs.
    pub(super) fn leader(&self) -> Option<usize> {
        let at = self.number_of(&self.view()?.leader_id)?;
        (self.state(at) == State::Running).then_some(at)
    }

    /// Whether a server of this id is up to date, as far as is known here.
    pub(super) fn is_ready(&self, id: &str) -> bool {
        self.number_of(id).is_none_or(|at| self.servers[at].is_ready)
    }

    /// Names of members that are not the demo's own.
    pub(super) fn guests(&self) -> Vec<String> {
        let members = self.view().map_or(&[][..], |view| &view.members);
        members.iter().filter(|(id, _)| self.number_of(id).is_none()).map(|(_, name)| name.clone()).collect()
    }

    /// Datagrams that a server's faults have dropped since it started.
    pub(super) fn dropped(&self, at: usize) -> u64 {
        self.servers.get(at).map_or(0, |server| server.dropped)
    }

    /// The view that a server is in.
    pub(super) fn view_at(&self, at: usize) -> Option<&View> {
        self.servers.get(at)?.view.as_ref()
    }

    fn number_of(&self, id: &str) -> Option<usize> {
        self.servers.iter().position(|server| server.id.as_deref() == Some(id))
    }
}

impl Server {
    fn tell(&mut self, line: &str) {
        if let Some(process) = &mut self.process {
            process.tell(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fleet(count: usize) -> Fleet {
        let (told, _keep) = crossbeam_channel::bounded(1);
        let mut fleet = Fleet::new(count, told);
        for (at, server) in fleet.servers.iter_mut().enumerate() {
            server.lives = 1;
            server.id = Some(at.to_string());
        }
        fleet
    }

    fn view(epoch: u64, ids: &[&str]) -> Value {
        let members: Vec<Value> = ids.iter().map(|id| json!({ "name": format!("n{id}"), "id": id })).collect();
        json!({ "event": "view", "epoch": epoch, "leader": format!("n{}", ids[0]), "members": members })
    }

    fn tell(fleet: &mut Fleet, at: usize, event: &Value) {
        assert!(fleet.hear(Life { at, number: 1 }, event));
    }

    #[test]
    fn view_counts_only_when_all_its_members_are_ready_in_it() {
        let mut fleet = fleet(2);
        tell(&mut fleet, 0, &view(3, &["1", "0"]));
        tell(&mut fleet, 1, &view(3, &["1", "0"]));
        assert!(fleet.view_of(&[0, 1]).is_none());
        tell(&mut fleet, 0, &json!({ "event": "ready" }));
        tell(&mut fleet, 1, &json!({ "event": "ready" }));
        assert_eq!(fleet.view_of(&[0, 1]).map(|view| (view.epoch, &*view.leader)), Some((3, "n1")));
        assert!(fleet.view_of(&[0]).is_none());
        tell(&mut fleet, 1, &view(4, &["1"]));
        assert!(fleet.view_of(&[0, 1]).is_none());
    }

    #[test]
    fn guests_may_be_in_a_view_and_are_told_apart_by_their_ids() {
        let mut fleet = fleet(2);
        for at in 0..2 {
            tell(&mut fleet, at, &view(3, &["9", "1", "0"]));
            tell(&mut fleet, at, &json!({ "event": "ready" }));
        }
        assert!(fleet.view_of(&[0, 1]).is_some());
        assert_eq!(fleet.leader(), None, "a guest leads");
    }

    #[test]
    fn words_of_a_killed_process_are_not_its_successors() {
        let mut fleet = fleet(1);
        fleet.servers[0].lives = 2;
        assert!(!fleet.hear(Life { at: 0, number: 1 }, &json!({ "event": "ready" })));
        assert!(!fleet.servers[0].is_ready);
    }
}
