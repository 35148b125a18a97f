//! What servers want done: writes, reads, watches.

use super::{Happening, World};
use crate::ids::{Incarnation, Pid};
use crate::proto::event::Event;
use crate::proto::io::{Action, Input, ReadFor, Recovered, Ticket, Trouble, Write};
use crate::sim::checker::Violation;
use crate::sim::disk::Sync;
use crate::sim::lan::Station;
use std::net::SocketAddr;
use std::time::Duration;

impl World {
    pub(super) fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Write { ticket, write } => self.write(at, ticket, write),
            Action::Read { purpose: ReadFor::Session(id), .. } if self.is_held(at, id, &action) => {}
            Action::Read { epoch, first, last, budget_bytes, purpose } => {
                let entries = self.servers[at].disk.live().read(epoch, first, last, budget_bytes);
                self.answer_read(at, Input::Read { epoch, first, entries, purpose });
            }
            Action::ReadGists { epoch, after, .. } => {
                let gists = self.servers[at].disk.live().gists(epoch, after.as_ref());
                self.answer_read(at, Input::Gists { epoch, after, gists });
            }
            Action::Reply { session, reply } => self.reply(at, session, reply),
            Action::EndSession { session } => {
                if let Some(conn) = self.servers[at].sessions.remove(&session) {
                    self.close_to_client(conn.0);
                }
            }
            Action::Watch { successor } => self.watch(at, successor),
            Action::Event(event) => self.event(at, &event),
            Action::Left => self.crash(at, false),
        }
    }

    fn answer_read(&mut self, at: usize, answer: Input<'static>) {
        // One thread reads and writes.
        let free = self.servers[at].disk_free.max(self.time);
        let wait = Duration::from_micros(50 + self.rng.below(200));
        let life = self.servers[at].life;
        let answer = Box::new(answer);
        self.queue.plan(free + wait, Happening::Read { server: at, life, answer });
    }

    fn watch(&mut self, at: usize, successor: Option<(Pid, SocketAddr)>) {
        self.servers[at].watch = successor;
        let Some((pid, addr)) = successor else { return };
        let Some(to) = Station::of(addr, self.servers.len()) else { return };
        let target = &self.servers[to.0];
        let gone = target.powered && (target.node.is_none() || target.pid != pid);
        if gone {
            self.tell_reset(at, to, pid);
        }
    }

    fn event(&mut self, at: usize, event: &Event) {
        self.timeline.note(self.time, || format!("s{} {event:?}", at + 1));
        let verdict = self.checker.event(at, event, &self.servers, &mut self.counts);
        self.judge(verdict);
    }

    fn write(&mut self, at: usize, ticket: Ticket, write: Write) {
        if !self.servers[at].store_open {
            return;
        }
        let verdict = self.checker.wrote(self.time, at, &write, &self.servers, &mut self.counts);
        self.judge(verdict);
        self.timeline.wrote(self.time, at, ticket, &write);
        let life = self.servers[at].life;
        let Self { servers, checker, .. } = self;
        match servers[at].disk.write(ticket, write, &|epoch, gsn| checker.written(epoch, gsn)) {
            Ok(Some(wait)) => self.plan_sync(at, life, wait),
            Ok(None) => {}
            Err(misuse) => {
                let text = format!("s{} misuses its store: {}", at + 1, misuse.0);
                self.judge(Err(Violation { property: 3, text }));
            }
        }
    }

    fn plan_sync(&mut self, at: usize, life: u32, wait: Duration) {
        self.servers[at].disk_free = self.time + wait;
        self.queue.plan(self.time + wait, Happening::Synced { server: at, life });
    }

    pub(super) fn synced(&mut self, at: usize, life: u32) {
        if !self.lives(at, life) {
            return;
        }
        let (sync, next) = self.servers[at].disk.synced();
        if let Some(wait) = next {
            self.plan_sync(at, life, wait);
        }
        match sync {
            Sync::Done(upto) => {
                self.input(at, Input::Written { upto });
            }
            Sync::Failed { full } => {
                self.servers[at].store_open = false;
                self.timeline.note(self.time, || format!("s{} cannot sync", at + 1));
                let reopens = self.time + Duration::from_millis(100 + self.rng.below(900));
                self.queue.plan(reopens, Happening::Reopened { server: at, life });
                let trouble = if full { Trouble::Full } else { Trouble::Broken };
                self.input(at, Input::WriteFailed { trouble });
            }
        }
    }

    /// The store is open again: for the protocol that is a new life of the same process.
    pub(super) fn reopened(&mut self, at: usize, life: u32) {
        if !self.lives(at, life) {
            return;
        }
        let random = self.rng.draw() as u32;
        let server = &mut self.servers[at];
        server.store_open = true;
        server.archive = None;
        let boot = server.disk.open();
        server.pid.incarnation = Incarnation { boot, random };
        let recovered: Recovered = server.disk.live().recover(server.pid);
        let verdict = self.checker.started(at, server, &recovered);
        self.judge(verdict);
        self.input(at, Input::Reopened { recovered: Box::new(recovered) });
    }
}
