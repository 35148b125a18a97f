//! What the state machine lives on here: sockets, links, sessions and the disk.

use super::archive::{self, Question};
use super::backlog::Backlog;
use super::disk_line::DiskLine;
use super::link::Links;
use super::session::Line;
use crate::ids::EpochId;
use crate::net::Sender;
use crate::proto::event::Event;
use crate::proto::host::Host;
use crate::proto::io::{Action, ReadFor, Route, SessionId};
use crate::time::Now;
use crate::wire::session::{Answer, Query, Reply};
use crossbeam_channel::Sender as ChannelSender;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Where everything goes that the machine wants done.
pub(crate) struct Outlets {
    /// Sends datagrams.
    pub(crate) sender: Sender,
    /// The net's group.
    pub(crate) group: SocketAddr,
    /// The group of all nets.
    pub(crate) any_net: SocketAddr,
    /// Links to other servers.
    pub(crate) links: Links,
    /// Sessions of clients.
    pub(crate) lines: BTreeMap<SessionId, Line>,
    /// What is to be read for clients once they have taken what waits for them: one stretch of each.
    pub(crate) waiting_reads: BTreeMap<SessionId, Stretch>,
    /// Questions about history.
    pub(crate) questions: ChannelSender<Question>,
    /// The disk.
    pub(crate) disk: DiskLine,
    /// How far the index is behind.
    pub(crate) backlog: Backlog,
    /// Takes events; when it is full they are dropped, since nobody may hold up the protocol.
    pub(crate) events: ChannelSender<(Now, Event)>,
    /// The time of the input whose outcome is being carried out.
    pub(crate) now: Now,
    /// Whether the machine has said goodbye.
    pub(crate) left: bool,
}

/// A part of an epoch that is to be read.
pub(crate) struct Stretch {
    epoch: EpochId,
    first: u64,
    last: u64,
    budget_bytes: usize,
}

impl Host for Outlets {
    /// Collects datagrams until the next flush.
    fn transmit(&mut self, route: Route, bytes: &[u8]) {
        match route {
            Route::Multicast => self.sender.send(self.group, bytes),
            Route::AnyNet => self.sender.send(self.any_net, bytes),
            Route::Unicast(to) => self.sender.send(to, bytes),
            Route::Link(pid, addr) => self.links.send(pid, addr, bytes),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Write { ticket, write } => self.disk.write(ticket, write),
            Action::Read { epoch, first, last, budget_bytes, purpose } => {
                let is_behind = |id| self.lines.get(id).is_some_and(Line::is_behind);
                if let ReadFor::Session(id) = &purpose
                    && is_behind(id)
                {
                    self.waiting_reads.insert(*id, Stretch { epoch, first, last, budget_bytes });
                } else {
                    self.disk.read(epoch, first, last, budget_bytes, purpose);
                }
            }
            Action::ReadGists { epoch, after, budget_bytes } => self.disk.read_gists(epoch, after, budget_bytes),
            Action::Reply { session, reply } => {
                if let Some(line) = self.lines.get(&session) {
                    self.say(line, reply);
                }
            }
            Action::EndSession { session } => {
                if let Some(line) = self.forget(session) {
                    line.end();
                }
            }
            Action::Watch { successor } => self.links.watch(successor),
            Action::Event(event) => {
                if self.events.try_send((self.now, event)).is_err() {
                    log::debug!("an event was dropped: nobody takes them");
                }
            }
            Action::Left => self.left = true,
        }
    }
}

impl Outlets {
    /// A client has taken most of what waited for it: its backlog goes on.
    pub(crate) fn go_on_reading(&mut self, session: SessionId) {
        if let Some(Stretch { epoch, first, last, budget_bytes }) = self.waiting_reads.remove(&session) {
            self.disk.read(epoch, first, last, budget_bytes, ReadFor::Session(session));
        }
    }

    /// A session is over.
    pub(crate) fn forget(&mut self, session: SessionId) -> Option<Line> {
        self.waiting_reads.remove(&session);
        self.lines.remove(&session)
    }

    /// Says something to a client. Of rooms the machine knows the people, and the archive what was said; of the ring's state the
    /// machine knows all but how far the index is.
    fn say(&self, line: &Line, reply: Reply) {
        match reply {
            Reply::Answer { tag, answer: Answer::Rooms(present) } => {
                let line = line.clone();
                archive::ask(&self.questions, Query::Rooms, move |answer| {
                    line.say(Reply::Answer { tag, answer: archive::with_people(answer, &present) });
                });
            }
            Reply::Answer { tag, answer } => line.say(Reply::Answer { tag, answer: self.backlog.told_in(answer) }),
            reply => line.say(reply),
        }
    }
}
