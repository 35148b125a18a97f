//! Everything on its way out of a state machine: datagrams, with control ahead of data, and actions.

use crate::ids::Pid;
use crate::proto::io::{Action, Route, Ticket, Write};
use crate::wire::datagram::{self, HEADER_BYTES, Header, MAX_DATAGRAM_BYTES};
use crate::wire::message::Message;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// A datagram or frame on its way out.
#[derive(Debug)]
pub struct Letter {
    /// Where it goes.
    pub route: Route,
    /// The server at that address, where one is meant.
    pub to: Option<Pid>,
    /// What it says.
    pub message: Message,
    /// Whether it answers a NACK.
    pub repair: bool,
}

/// Datagrams and actions that wait for the host. Drained after every input, so that it never holds more than one input
/// causes.
#[derive(Debug)]
pub struct Outgoing {
    header: Header,
    control: VecDeque<Letter>,
    data: VecDeque<Letter>,
    /// Messages of this process to itself: as a member of its own proposal, say.
    own: VecDeque<Message>,
    actions: VecDeque<Action>,
    ticket: u64,
    /// Whether data goes before control: a planted bug.
    pub(super) data_first: bool,
}

impl Outgoing {
    /// Nothing waits; everything goes out under this header.
    pub fn new(header: Header) -> Self {
        Self {
            header,
            control: VecDeque::new(),
            data: VecDeque::new(),
            own: VecDeque::new(),
            actions: VecDeque::new(),
            ticket: 0,
            data_first: false,
        }
    }

    /// To everyone, before all data.
    pub fn multicast(&mut self, message: Message) {
        self.control.push_back(Letter::new(Route::Multicast, message));
    }

    /// To everyone, after all control.
    pub fn multicast_data(&mut self, message: Message) {
        self.data.push_back(Letter::new(Route::Multicast, message));
    }

    /// To everyone, after all control: a repair that several asked for.
    pub fn multicast_repair(&mut self, message: Message) {
        self.data.push_back(Letter { repair: true, ..Letter::new(Route::Multicast, message) });
    }

    /// To one process, before all data. What does not fit a datagram goes over the link. To oneself it comes back at once.
    pub fn send(&mut self, to: Pid, addr: Option<SocketAddr>, message: Message) {
        if to == self.header.sender {
            self.own.push_back(message);
            return;
        }
        if let Some(addr) = addr {
            let long = may_be_long(&message) && encoded_len(&message) + HEADER_BYTES > MAX_DATAGRAM_BYTES;
            let route = if long { Route::Link(to, addr) } else { Route::Unicast(addr) };
            self.control.push_back(Letter { route, to: Some(to), message, repair: false });
        }
    }

    /// To one address, whoever is there.
    pub fn send_to(&mut self, addr: SocketAddr, message: Message) {
        self.control.push_back(Letter::new(Route::Unicast(addr), message));
    }

    /// To the servers of every net.
    pub fn ask_any_net(&mut self, message: Message) {
        self.control.push_back(Letter::new(Route::AnyNet, message));
    }

    /// To one process, after all control: a repair.
    pub fn send_repair(&mut self, to: Pid, addr: SocketAddr, message: Message) {
        self.data.push_back(Letter { route: Route::Unicast(addr), to: Some(to), message, repair: true });
    }

    /// To one server over the link.
    pub fn send_by_link(&mut self, to: Pid, addr: SocketAddr, message: Message) {
        self.data.push_back(Letter { route: Route::Link(to, addr), to: Some(to), message, repair: false });
    }

    /// To be done by the host.
    pub fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// To be written; its number.
    pub fn write(&mut self, write: Write) -> Ticket {
        self.ticket += 1;
        let ticket = Ticket(self.ticket);
        self.actions.push_back(Action::Write { ticket, write });
        ticket
    }

    /// The next message of this process to itself.
    pub fn pop_own(&mut self) -> Option<Message> {
        self.own.pop_front()
    }

    /// Writes the next datagram into `buf`.
    pub fn pop_datagram(&mut self, buf: &mut Vec<u8>) -> Option<Letter> {
        let early = if self.data_first { self.data.pop_front() } else { None };
        let letter = early.or_else(|| self.control.pop_front()).or_else(|| self.data.pop_front())?;
        datagram::encode(&self.header, &letter.message, buf);
        Some(letter)
    }

    /// The next action.
    pub fn pop_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Another incarnation speaks from now on; what waits is dropped. Tickets go on.
    pub fn reborn(&mut self, pid: Pid) {
        self.header.sender = pid;
        self.control.clear();
        self.data.clear();
        self.own.clear();
    }
}

impl Letter {
    fn new(route: Route, message: Message) -> Self {
        Self { route, to: None, message, repair: false }
    }
}

fn may_be_long(message: &Message) -> bool {
    matches!(message, Message::Propose(_) | Message::State(_) | Message::Commit(_) | Message::Elect(_))
}

fn encoded_len(message: &Message) -> usize {
    postcard::experimental::serialized_size(message).unwrap_or(usize::MAX)
}
