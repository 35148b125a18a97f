//! What happened in a run, line by line, for people.

use crate::proto::io::{Input, Route, Ticket, Write};
use crate::time::Time;
use crate::wire::datagram;
use crate::wire::message::Message;
use crate::wire::session::Reply;

/// Most lines that are kept: the last ones.
const MOST_LINES: usize = 2_000_000;

/// The lines, when they are wanted.
pub struct Timeline {
    on: bool,
    lines: std::collections::VecDeque<String>,
}

impl Timeline {
    /// A timeline that keeps lines only when `on`.
    pub fn new(on: bool) -> Self {
        Self { on, lines: std::collections::VecDeque::new() }
    }

    /// Keeps a line.
    pub fn note(&mut self, at: Time, line: impl FnOnce() -> String) {
        if self.on {
            if self.lines.len() >= MOST_LINES {
                self.lines.pop_front();
            }
            self.lines.push_back(format!("{:>6}.{:03} ms  {}", at.0 / 1000, at.0 % 1000, line()));
        }
    }

    /// A server is given something.
    pub fn input(&mut self, at: Time, server: usize, input: &Input<'_>) {
        if !self.on {
            return;
        }
        match input {
            Input::Datagram { from, bytes, .. } => {
                let what = describe(bytes);
                self.note(at, || format!("  s{} <- {} {what}", server + 1, from.ip()));
            }
            Input::Frame { from, bytes } => {
                let what = describe(bytes);
                self.note(at, || format!("  s{} <= {from} {what}", server + 1));
            }
            Input::Timeout => {}
            Input::Session { session, request } => {
                self.note(at, || format!("  s{} <~ session {} {request:?}", server + 1, session.0));
            }
            other => self.note(at, || format!("  s{} {other:?}", server + 1)),
        }
    }

    /// A server sends something.
    pub fn sent(&mut self, at: Time, server: usize, route: Route, bytes: &[u8]) {
        if self.on {
            let to = match route {
                Route::Multicast => "all".to_owned(),
                Route::AnyNet => "any net".to_owned(),
                Route::Unicast(addr) => addr.ip().to_string(),
                Route::Link(pid, _) => format!("={pid}"),
            };
            let what = describe(bytes);
            self.note(at, || format!("s{} -> {to} {what}", server + 1));
        }
    }

    /// A server writes something.
    pub fn wrote(&mut self, at: Time, server: usize, ticket: Ticket, write: &Write) {
        self.note(at, || format!("s{} writes {}: {write:?}", server + 1, ticket.0));
    }

    /// A server says something to a client.
    pub fn replied(&mut self, at: Time, server: usize, client: usize, reply: &Reply) {
        self.note(at, || match reply {
            Reply::Feed { records, late, upto, .. } => {
                let ids: Vec<String> = records.iter().map(|record| record.message.id.to_string()).collect();
                format!("s{} ~> c{} feed late={late} upto {}:{} {ids:?}", server + 1, client + 1, upto.0, upto.1)
            }
            reply => format!("s{} ~> c{} {reply:?}", server + 1, client + 1),
        });
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

fn describe(bytes: &[u8]) -> String {
    let message = datagram::open(bytes).and_then(|(_, body)| datagram::decode(body));
    match message {
        Ok(Message::Beacon(beacon)) => format!(
            "beacon view {:?} promised {} head {} have {} stable {}",
            beacon.view.map(|view| view.to_string()),
            beacon.promised,
            beacon.head,
            beacon.have,
            beacon.stable
        ),
        Ok(message) => format!("{message:?}"),
        Err(malformed) => format!("malformed: {malformed}"),
    }
}
