//! Two servers that talk to each other, for tests of what one does when it hears something.

use super::Node;
use crate::ids::{EpochId, Incarnation, Pid, ServerId};
use crate::proto::bugs::Bugs;
use crate::proto::gist::Gists;
use crate::proto::io::{Action, Input, Recovered, Route};
use crate::proto::settings::{Portions, Retention, Settings};
use crate::time::{Now, Time};
use crate::wire::datagram::{self, Header, NetTag};
use crate::wire::message::Message;
use std::net::SocketAddr;

pub(super) const NET: NetTag = NetTag(9);

pub(super) fn pid(at: usize) -> Pid {
    Pid { server: ServerId(at as u64 + 1), incarnation: Incarnation { boot: 1, random: 7 } }
}

pub(super) fn addr(at: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, at as u8 + 1], 4000))
}

/// Two servers with disks that are done at once and a network that loses nothing.
pub(super) struct Pair {
    pub(super) nodes: [Node; 2],
    pub(super) now: Now,
}

impl Pair {
    /// Two servers in one view.
    pub(super) fn ringed() -> Self {
        let now = Now { mono: Time(1_000_000), wall_ms: 1_700_000_000_000 };
        let settings = |at: usize, name: &str| Settings {
            net: NET,
            net_name: "home".into(),
            name: name.into(),
            priority: 0,
            addr: addr(at),
            tcp_port: 1,
            peers: Vec::new(),
            page: None,
            memory_only: false,
            retention: Retention::default(),
            record: true,
            portions: Portions { epochs: 2, stretch: 2, rows: 1, pieces: 1 },
            bugs: Bugs::NONE,
        };
        let node = |at: usize, name| {
            Node::new(settings(at, name), Recovered { pid: pid(at), ..Recovered::default() }, now, at as u64)
        };
        let mut pair = Self { nodes: [node(0, "oak"), node(1, "elm")], now };
        for _ in 0..1000 {
            pair.pass(10);
            if pair.is_ringed() {
                return pair;
            }
        }
        panic!("the two never came into one view");
    }

    pub(super) fn is_ringed(&self) -> bool {
        let [one, other] = &self.nodes;
        let open =
            |node: &Node| node.is_active() && node.live.as_ref().is_some_and(|live| live.view.members.len() == 2);
        one.view_epoch() == other.view_epoch() && open(one) && open(other)
    }

    pub(super) fn epoch(&self) -> EpochId {
        self.nodes[0].view_epoch().expect("a view is installed")
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now = Now { mono: Time(self.now.mono.0 + ms * 1000), wall_ms: self.now.wall_ms + ms };
        for at in 0..2 {
            self.feed(at, Input::Timeout);
        }
        self.exchange();
    }

    /// Hands `input` to a server, and its disk whatever that gives.
    pub(super) fn feed(&mut self, at: usize, input: Input<'_>) {
        self.nodes[at].handle(self.now, input);
        while let Some(action) = self.nodes[at].poll_action() {
            match action {
                Action::Write { ticket, .. } => self.nodes[at].handle(self.now, Input::Written { upto: ticket }),
                Action::Read { epoch, first, purpose, .. } => {
                    self.nodes[at].handle(self.now, Input::Read { epoch, first, entries: Vec::new(), purpose });
                }
                Action::ReadGists { epoch, after, .. } => {
                    self.nodes[at].handle(self.now, Input::Gists { epoch, after, gists: Gists::default() });
                }
                _ => {}
            }
        }
    }

    pub(super) fn exchange(&mut self) {
        let mut bytes = Vec::new();
        for _ in 0..20 {
            let mut quiet = true;
            for at in 0..2 {
                for _ in 0..2000 {
                    let Some(route) = self.nodes[at].poll_transmit(&mut bytes) else { break };
                    quiet = false;
                    let input = match route {
                        Route::Link(..) => Input::Frame { from: pid(at), bytes: &bytes },
                        Route::Unicast(_) => Input::Datagram { from: addr(at), multicast: false, bytes: &bytes },
                        Route::Multicast | Route::AnyNet => {
                            Input::Datagram { from: addr(at), multicast: true, bytes: &bytes }
                        }
                    };
                    self.feed(1 - at, input);
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// `to` hears `message` as if the other one had sent it, as it is and as a frame; whether it was taken for one.
    pub(super) fn hears(&mut self, to: usize, message: &Message) -> bool {
        let header = Header { net: NET, sender: pid(1 - to), client: false };
        let mut bytes = Vec::new();
        datagram::encode(&header, message, &mut bytes);
        let body = datagram::open(&bytes).expect("a forged envelope is sound").1;
        let taken = datagram::decode(body).is_ok();
        self.feed(to, Input::Datagram { from: addr(1 - to), multicast: false, bytes: &bytes });
        self.feed(to, Input::Frame { from: pid(1 - to), bytes: &bytes });
        taken
    }
}
