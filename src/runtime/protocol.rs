//! The protocol's thread: the only one that touches the state machine.
//!
//! It waits until something came or the next timeout, hands everything over one by one, and after each input carries out
//! what the machine wants. What the disk did comes first, then control, timeouts, TCP, and payloads last; of each only so
//! much in a row that the others are never far.

use super::clock::Clock;
use super::inbox::{Said, Talk};
use super::outlets::Outlets;
use super::receive::{Came, Datagrams};
use super::session::Line;
use crate::proto::host::{Machine, step};
use crate::proto::io::Input;
use crossbeam_channel::{Receiver, Select, TryRecvError};
use std::time::Duration;

/// Most inputs of one kind in a row.
const IN_A_ROW: usize = 128;

/// How long the goodbye is ahead of the end of the links, which would tell others of a death if they heard of it first.
const FAREWELL: Duration = Duration::from_millis(30);

/// What the server's owner tells the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command {
    /// Say goodbye and end.
    Leave,
    /// End now.
    Stop,
}

/// Everything that the protocol's thread has.
pub(crate) struct Protocol<M> {
    /// The state machine.
    pub(crate) machine: M,
    /// The clocks.
    pub(crate) clock: Clock,
    /// Datagrams that came.
    pub(crate) datagrams: Datagrams,
    /// What came over TCP.
    pub(crate) talk: Receiver<Talk>,
    /// The owner's commands.
    pub(crate) commands: Receiver<Command>,
    /// What it lives on.
    pub(crate) outlets: Outlets,
}

/// The machine has left, or the owner wants no more.
struct End;

impl<M: Machine> Protocol<M> {
    /// Works until the machine has left or the owner says stop; then the disk is told to end too.
    pub(crate) fn run(mut self) {
        let mut buf = Vec::new();
        while self.round(&mut buf).is_ok() {
            self.wait();
        }
        self.outlets.sender.flush();
        self.outlets.lines.values().for_each(Line::end);
        self.outlets.disk.stop();
        if self.outlets.left {
            let _ = crossbeam_channel::after(FAREWELL).recv();
        }
    }

    /// Waits until something came or the next timeout.
    fn wait(&self) {
        if self.outlets.disk.has_early() {
            return;
        }
        let mut select = Select::new();
        select.recv(self.outlets.disk.completions());
        select.recv(&self.commands);
        select.recv(&self.datagrams.control);
        select.recv(&self.datagrams.bulk);
        select.recv(&self.talk);
        match self.clock.instant(self.machine.next_timeout()) {
            Some(deadline) => drop(select.ready_deadline(deadline)),
            None => drop(select.ready()),
        }
    }

    /// What is here, in its order. Datagrams come before timeouts: after a pause of this process the others were not silent.
    fn round(&mut self, buf: &mut Vec<u8>) -> Result<(), End> {
        self.take_completions(buf)?;
        self.obey(buf)?;
        self.take_control(buf)?;
        self.time_out(buf)?;
        self.outlets.sender.flush();
        self.take_talk(buf)?;
        self.outlets.sender.flush();
        self.take_bulk(buf)?;
        self.outlets.sender.flush();
        Ok(())
    }

    fn take_completions(&mut self, buf: &mut Vec<u8>) -> Result<(), End> {
        for _ in 0..IN_A_ROW {
            let Some(input) = self.outlets.disk.done() else { break };
            if let Input::Reopened { recovered } = &input {
                self.outlets.links.become_pid(recovered.pid);
                self.outlets.disk.begin_life();
            }
            self.handle(input, buf)?;
        }
        Ok(())
    }

    fn take_control(&mut self, buf: &mut Vec<u8>) -> Result<(), End> {
        for _ in 0..IN_A_ROW {
            let Ok(came) = self.datagrams.control.try_recv() else { break };
            self.handle_datagram(&came, buf)?;
        }
        Ok(())
    }

    fn take_bulk(&mut self, buf: &mut Vec<u8>) -> Result<(), End> {
        for _ in 0..IN_A_ROW {
            let Ok(came) = self.datagrams.bulk.try_recv() else { break };
            self.handle_datagram(&came, buf)?;
        }
        Ok(())
    }

    fn take_talk(&mut self, buf: &mut Vec<u8>) -> Result<(), End> {
        for _ in 0..IN_A_ROW {
            let Ok(talk) = self.talk.try_recv() else { break };
            self.hear(talk.said, buf)?;
        }
        Ok(())
    }

    fn time_out(&mut self, buf: &mut Vec<u8>) -> Result<(), End> {
        if self.clock.now().mono < self.machine.next_timeout() {
            return Ok(());
        }
        self.handle(Input::Timeout, buf)
    }

    /// A command, or that the owner is gone without one.
    fn obey(&mut self, buf: &mut Vec<u8>) -> Result<(), End> {
        match self.commands.try_recv() {
            Ok(Command::Leave) => self.handle(Input::Leave, buf),
            Ok(Command::Stop) | Err(TryRecvError::Disconnected) => Err(End),
            Err(TryRecvError::Empty) => Ok(()),
        }
    }

    fn handle_datagram(&mut self, came: &Came, buf: &mut Vec<u8>) -> Result<(), End> {
        self.handle(Input::Datagram { from: came.from, multicast: came.multicast, bytes: &came.bytes }, buf)
    }

    fn hear(&mut self, said: Said, buf: &mut Vec<u8>) -> Result<(), End> {
        match said {
            Said::Opened(session, line) => {
                self.outlets.lines.insert(session, line);
                Ok(())
            }
            Said::Request(session, request) => self.handle(Input::Session { session, request }, buf),
            Said::Drained(session) => {
                self.outlets.go_on_reading(session);
                Ok(())
            }
            Said::Ended(session) => {
                self.outlets.forget(session);
                self.handle(Input::SessionEnded { session }, buf)
            }
            Said::Frame(from, bytes) => self.handle(Input::Frame { from, bytes: &bytes }, buf),
            Said::Reset(pid) => self.handle(Input::LinkReset { pid }, buf),
        }
    }

    /// One input, then everything that the machine wants.
    fn handle(&mut self, input: Input<'_>, buf: &mut Vec<u8>) -> Result<(), End> {
        let now = self.clock.now();
        self.outlets.now = now;
        step(&mut self.machine, &mut self.outlets, now, input, buf);
        if self.outlets.left { Err(End) } else { Ok(()) }
    }
}
