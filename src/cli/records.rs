//! The event records of all servers that answer, each asked through a session of its own.

use super::Run;
use super::client::Kind;
use super::contact::Contact;
use super::failure::Failure;
use super::shown::shown;
use super::signals::Interrupt;
use super::values::Peer;
use crate::ids::ServerId;
use crate::proto::trace::MAX_EVENTS;
use crate::web::trace::Names;
use crate::wire::event::Event;
use crate::wire::session::{Answer, ElectionInfo, Query, ServerState, ServerStatus};
use crate::wire::trace::{RecordPage, TraceEvent, What};
use std::net::SocketAddr;

/// What the servers of a ring remember.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// The net.
    pub(crate) net: String,
    /// A record for each server that answered, in the order of their ids.
    pub(crate) servers: Vec<ServerRecord>,
    /// What servers are called.
    pub(crate) names: Names,
    /// Servers that are known and did not answer.
    pub(crate) missing: Vec<String>,
}

/// What one server remembers.
#[derive(Debug)]
pub(crate) struct ServerRecord {
    /// Whose record it is.
    pub(crate) server: ServerId,
    /// Where it is.
    pub(crate) addr: SocketAddr,
    /// Events that it had forgotten.
    pub(crate) lost: u64,
    /// The events, ascending.
    pub(crate) events: Vec<TraceEvent>,
    /// The last elections that it saw, newest first: it remembers them longer.
    pub(crate) elections: Vec<ElectionInfo>,
}

/// An event with whose it is.
pub(crate) type Told<'a> = (ServerId, &'a TraceEvent);

impl Records {
    /// All events, by time, server and number.
    pub(crate) fn merged(&self) -> Vec<Told<'_>> {
        let mut all: Vec<Told<'_>> =
            self.servers.iter().flat_map(|one| one.events.iter().map(|event| (one.server, event))).collect();
        all.sort_by_key(|(server, event)| (event.at_us, *server, event.seq));
        all
    }

    /// What a server is called, safe to show.
    pub(crate) fn name(&self, server: ServerId) -> String {
        shown(&self.names.of(server)).into_owned()
    }
}

/// Asks all servers that `contact`'s knows, or with `--server` that one only.
///
/// # Errors
/// Nobody is there; Ctrl-C. A server that does not answer is told on stderr and in [`Records::missing`].
pub(crate) fn collect(contact: &mut Contact, run: &Run, interrupt: &Interrupt) -> Result<Records, Failure> {
    let status = match contact.ask(Query::Status)? {
        Answer::Status(status) => status,
        other => return Err(contact.nonsense(&other)),
    };
    let only = run.settings.server.value.is_some();
    let mut records = Records { net: status.net.clone(), ..Records::default() };
    for server in &status.servers {
        let is_home = server.pid == status.answered_by;
        if only && !is_home {
            continue;
        }
        let read = match server.state {
            ServerState::Unreachable => None,
            _ if is_home => Some(read(contact, server)?),
            _ => ask_itself(server, run, interrupt)?,
        };
        if let Some((record, names)) = read {
            records.names.learn(&names);
            let is_new = records.servers.iter().all(|known| known.server != record.server);
            records.servers.extend(is_new.then_some(record));
        } else {
            run.output.note(&format!("{} did not answer: what it remembers is missing", shown(&server.name)));
            records.missing.push(server.name.clone());
        }
    }
    records.servers.sort_by_key(|record| record.server);
    // Who is gone has no record of its own: its name is in what others tell of it.
    let names: Vec<(ServerId, String)> =
        records.servers.iter().flat_map(|record| record.events.iter().flat_map(named)).collect();
    records.names.learn(&names);
    let known = status.servers.iter().map(|server| (server.pid.server, server.name.clone()));
    records.names.learn(&known.filter(|(_, name)| !name.is_empty()).collect::<Vec<_>>());
    Ok(records)
}

/// Names of servers that an event tells.
fn named(event: &TraceEvent) -> Vec<(ServerId, String)> {
    let What::Event(told) = &event.what else { return Vec::new() };
    let told: Vec<(ServerId, String)> = match &**told {
        Event::View { view, .. } => {
            view.members.iter().map(|member| (member.pid.server, member.name.clone())).collect()
        }
        Event::Suspected { pid, name }
        | Event::Failed { pid, name, .. }
        | Event::Rejoined { pid, name, .. }
        | Event::Goodbye { pid, name } => vec![(pid.server, name.clone())],
        _ => Vec::new(),
    };
    told.into_iter().filter(|(_, name)| !name.is_empty()).collect()
}

type Read = (ServerRecord, Vec<(ServerId, String)>);

/// A server's record, through a session with it; `None` when there is none in time.
fn ask_itself(server: &ServerStatus, run: &Run, interrupt: &Interrupt) -> Result<Option<Read>, Failure> {
    let mut settings = run.settings.clone();
    // Its name is for words only: another server may have it, too.
    settings.server.value = server.name.parse().ok();
    settings.peer.value.push(Peer { host: server.addr.ip().to_string(), port: Some(server.addr.port()) });
    let run = Run { settings, output: run.output.clone() };
    let mut contact = Contact::start(&run, interrupt, &Kind::of_server(server.pid.server))?;
    match read(&mut contact, server) {
        Ok(read) => Ok(Some(read)),
        Err(failure) if failure.code == super::failure::Code::Interrupted => Err(failure),
        Err(_) => Ok(None),
    }
}

/// The whole record of the server that `contact` is at. What happens meanwhile is part of it, but not without end.
fn read(contact: &mut Contact, server: &ServerStatus) -> Result<Read, Failure> {
    let mut record = ServerRecord {
        server: server.pid.server,
        addr: server.addr,
        lost: 0,
        events: Vec::new(),
        elections: Vec::new(),
    };
    let (mut after, mut began, mut names) = (0, None, Vec::new());
    while record.events.len() < MAX_EVENTS {
        let page = match contact.ask(Query::Record { after, limit: u32::MAX })? {
            Answer::Record(page) => page,
            other => return Err(contact.nonsense(&other)),
        };
        let RecordPage { server, began_us, next, lost, events, names: told } = *page;
        if began.replace(began_us).is_some_and(|before| before != began_us) {
            // It was started anew meanwhile, or the session is with another server: what came before is not its record.
            (after, record.lost) = (0, 0);
            record.events.clear();
            continue;
        }
        record.server = server;
        names = told;
        record.lost += lost;
        if events.is_empty() {
            break;
        }
        after = next;
        record.events.extend(events);
    }
    if let Answer::Ring(ring) = contact.ask(Query::Ring)? {
        record.elections = ring.elections;
    }
    Ok((record, names))
}
