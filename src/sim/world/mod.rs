//! The world of one run: servers on their machines, clients, the LAN between them, and the queue of what will happen.
//!
//! Everything follows from the seed. Nothing here decides anything for the protocol: the world is a host for each server's
//! [`Node`](crate::proto::node::Node), and the [`Checker`] watches every step.

mod host;
mod network;
mod server;
mod session;

pub use network::{MESSAGES, Tally, message_name};
pub use server::Server;

use super::checker::{Checker, Violation};
use super::client::{self, Client, Habit, Plain, Real, Wish};
use super::clock::Clock;
use super::fault::{Fault, Trigger};
use super::lan::{Lan, Station};
use super::port::Flow;
use super::queue::Queue;
use super::rng::Rng;
use super::timeline::Timeline;
use crate::ids::{ClientId, Pid};
use crate::proto::bugs::Bugs;
use crate::proto::io::Input;
use crate::proto::settings::{Portions, Retention};
use crate::time::Time;
use crate::wire::datagram::NetTag;
use crate::wire::session::{Reply, Request};
use network::Outcome;
use session::{Asleep, Conn};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The net of every simulated server.
pub fn net() -> NetTag {
    NetTag::of("default")
}

/// Most things that may happen in one microsecond: more means that a state machine asks to be called for nothing.
const SPIN_MOST: u64 = 50_000;
/// Portions of long lists in every fourth world: what takes years of views and thousands of clients elsewhere happens there.
const SMALL: Portions = Portions { epochs: 4, stretch: 2, rows: 1, pieces: 2 };
/// Most datagrams that one run may send.
const SENT_MOST: u64 = 5_000_000;

/// Bytes that are on their way to several at once.
pub type Bytes = Rc<[u8]>;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The seed of everything that is drawn in it.
    pub seed: u64,
    /// Servers; all are up at the beginning unless listed in `absent`.
    pub servers: usize,
    /// Clients.
    pub clients: usize,
    /// Servers that are started later, by a fault.
    pub absent: Vec<usize>,
    /// Servers of another net on the same LAN.
    pub other_net: Vec<usize>,
    /// How each client talks.
    pub habit: Habit,
    /// What of history servers let go of, in their order; the last counts for those without one.
    pub retention: Vec<Retention>,
    /// Whether the clients are those that people have, rather than as plain as can be.
    pub people: bool,
    /// Planted bugs.
    pub bugs: Bugs,
    /// Whether clocks drift and were never set.
    pub drift: bool,
    /// Whether a timeline is kept.
    pub timeline: bool,
}

impl Shape {
    /// What a server would let go of.
    fn retention_of(&self, at: usize) -> Retention {
        self.retention.get(at).or(self.retention.last()).copied().unwrap_or_default()
    }
}

/// Something that will happen. Small: it is moved a few times.
pub enum Happening {
    /// A server's timeout.
    Wake {
        /// Whose.
        server: usize,
        /// In which life.
        life: u32,
    },
    /// A datagram arrives.
    Datagram {
        /// Where.
        to: usize,
        /// Whence.
        from: Station,
        /// Whether it went to the group.
        multicast: bool,
        /// All of it.
        bytes: Bytes,
    },
    /// A datagram arrives at a client.
    Overheard {
        /// Which.
        client: usize,
        /// Whence.
        from: Station,
        /// Whether it went to the group.
        multicast: bool,
        /// All of it.
        bytes: Bytes,
    },
    /// A frame of a link arrives.
    Frame {
        /// Where.
        to: usize,
        /// In which life it was meant for.
        life: u32,
        /// Who sent it.
        from: Pid,
        /// All of it.
        bytes: Bytes,
    },
    /// A host says that a watched process is gone.
    Reset {
        /// Who watched.
        server: usize,
        /// In which life.
        life: u32,
        /// Whom.
        pid: Pid,
    },
    /// A disk's sync ends.
    Synced {
        /// Whose.
        server: usize,
        /// In which life.
        life: u32,
    },
    /// A store that had failed is open again.
    Reopened {
        /// Whose.
        server: usize,
        /// In which life.
        life: u32,
    },
    /// A read of the log is done.
    Read {
        /// Whose.
        server: usize,
        /// In which life.
        life: u32,
        /// What it gave.
        answer: Box<Input<'static>>,
    },
    /// A client's connection reaches a server.
    Opens(usize),
    /// A client hears that its connection stands, or does not.
    Opened(usize, bool),
    /// A server hears a client.
    ToServer(usize, Box<Request>),
    /// A client hears a server.
    ToClient(usize, Box<Reply>),
    /// A client hears that its connection is closed.
    ClosedAtClient(usize),
    /// A server hears that a connection is closed.
    ClosedAtServer(usize),
    /// A client's timeout.
    ClientWake(usize),
    /// A paused client goes on.
    ClientGoesOn(usize),
    /// Something arrives at the port of its station, where there are ports.
    Enters(Box<Entering>),
    /// A fault of the schedule.
    Fault(Box<Fault>),
    /// A paused process goes on.
    Resume(usize),
}

/// What has yet to pass a station's port.
pub struct Entering {
    /// Whose port.
    pub to: Station,
    /// As what it passes.
    pub flow: Flow,
    /// How long it is.
    pub bytes: usize,
    /// What happens when it is through.
    pub then: Happening,
}

/// Counters of one run.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Inputs given to servers.
    pub steps: u64,
    /// Datagrams given to servers.
    pub deliveries: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Messages acknowledged as stable.
    pub acked: u64,
    /// Bytes of their texts; counted where the LAN has ports.
    pub acked_bytes: u64,
    /// By server: messages acknowledged to its clients.
    pub served: BTreeMap<usize, u64>,
    /// By client: messages acknowledged to it.
    pub answered: BTreeMap<usize, u64>,
    /// Messages made.
    pub made: u64,
    /// By name of message: how many were sent.
    pub messages: Tally,
    /// By name of a rare state: how often it was there.
    pub rare: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Notes a rare state.
    pub fn rare(&mut self, name: &'static str) {
        *self.rare.entry(name).or_default() += 1;
    }
}

/// One run.
pub struct World {
    /// Simulated time since its beginning.
    pub time: Time,
    /// Servers by station.
    pub servers: Vec<Server>,
    /// Clients; their stations follow the servers'.
    pub clients: Vec<Box<dyn Client>>,
    /// The network.
    pub lan: Lan,
    /// What watches.
    pub checker: Checker,
    /// What was counted.
    pub counts: Counts,
    /// What is kept for people.
    pub timeline: Timeline,
    /// When the last datagram that was sent by now arrives.
    pub last_arrival: Time,
    queue: Queue<Happening>,
    conns: Vec<Conn>,
    conn_of: Vec<Option<usize>>,
    client_wake: Vec<Time>,
    /// Clients that are paused.
    asleep: BTreeMap<usize, Asleep>,
    armed: Vec<(Trigger, u32, Fault)>,
    rng: Rng,
    bugs: Bugs,
    record: bool,
    portions: Portions,
    buf: Vec<u8>,
    /// Empty: what clients wish is written here.
    wishes: Vec<Wish>,
    /// The clients to which datagrams come.
    listeners: Vec<usize>,
    spun: u64,
    outcome: Outcome,
    violation: Option<Violation>,
}

impl World {
    /// A world at its beginning.
    pub fn new(shape: &Shape) -> Self {
        let mut rng = Rng::new(shape.seed);
        let stations: Vec<Station> = (0..shape.servers).map(Station).collect();
        let servers: Vec<Server> = stations.iter().map(|&at| Server::new(at, shape, &mut rng)).collect();
        let clients = clients(shape, &stations, &mut rng);
        let mut world = Self {
            time: Time(0),
            lan: Lan::new(shape.servers + shape.clients, rng.fork()),
            checker: Checker::new(&servers, &clients, shape.bugs),
            counts: Counts::default(),
            timeline: Timeline::new(shape.timeline),
            last_arrival: Time(0),
            queue: Queue::default(),
            conns: Vec::new(),
            conn_of: vec![None; clients.len()],
            client_wake: vec![Time::NEVER; clients.len()],
            asleep: BTreeMap::new(),
            armed: Vec::new(),
            rng,
            bugs: shape.bugs,
            // Records cost a few hundredths of the time and decide nothing: some runs have them, and their bounds are watched.
            record: shape.seed.is_multiple_of(8),
            portions: if shape.seed % 4 == 3 { SMALL } else { Portions::default() },
            buf: Vec::with_capacity(2048),
            wishes: Vec::new(),
            spun: 0,
            outcome: Outcome::default(),
            violation: None,
            servers,
            listeners: (0..clients.len()).filter(|at| clients[*at].overhears()).collect(),
            clients,
        };
        for server in 0..shape.servers {
            if !shape.absent.contains(&server) {
                world.start(server);
            }
        }
        for client in 0..shape.clients {
            let at = Time(world.rng.below(1_000_000));
            world.client_wake[client] = at;
            world.queue.plan(at, Happening::ClientWake(client));
        }
        world
    }

    /// Plans a fault.
    pub fn plan(&mut self, at: Time, fault: Fault) {
        self.queue.plan(at, Happening::Fault(Box::new(fault)));
    }

    /// A fault that waits for something to be sent.
    pub(in crate::sim) fn arm(&mut self, trigger: Trigger, count: u32, fault: Fault) {
        self.armed.push((trigger, count, fault));
    }

    /// Forgets the faults that still wait.
    pub fn disarm(&mut self) {
        self.armed.clear();
    }

    /// Lets time pass; stops at the first violation.
    ///
    /// # Errors
    /// The violation.
    pub fn run_until(&mut self, end: Time) -> Result<(), Violation> {
        while let Some((at, what)) = self.queue.pop_until(end) {
            self.spun = if at == self.time { self.spun + 1 } else { 0 };
            self.time = at;
            self.happen(what);
            if self.spun > SPIN_MOST || self.counts.sent > SENT_MOST {
                return Err(self.storm());
            }
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
        }
        self.time = end;
        Ok(())
    }

    fn storm(&self) -> Violation {
        let due: Vec<String> = self
            .servers
            .iter()
            .filter_map(|server| server.node.as_ref().map(|node| (server, node)))
            .map(|(server, node)| format!("{:?} of {:?}", node.next_timeout(), server.clock.now(self.time).mono))
            .collect();
        let text = format!("no time passes, or too much is sent: due {due:?}, {:?}", self.counts.messages);
        Violation { property: 21, text }
    }

    /// Remembers the first thing that went wrong.
    pub(in crate::sim) fn judge(&mut self, verdict: Result<(), Violation>) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }

    fn happen(&mut self, what: Happening) {
        let what = match self.meant_for(&what) {
            Some(at) if self.servers[at].paused.is_some() => return self.keep(at, what),
            _ => what,
        };
        let what = match self.meant_for_client(&what).filter(|_| !self.asleep.is_empty()) {
            Some(client) if self.asleep.contains_key(&client) => return self.keep_for_client(client, what),
            _ => what,
        };
        match what {
            Happening::Wake { server, life } => self.wake(server, life),
            Happening::Datagram { .. } | Happening::Frame { .. } | Happening::Reset { .. } => self.arrive(what),
            Happening::Synced { server, life } => self.synced(server, life),
            Happening::Reopened { server, life } => self.reopened(server, life),
            Happening::Read { server, life, answer } => {
                if self.lives(server, life) {
                    self.input(server, *answer);
                }
            }
            Happening::Opens(conn) => self.opens(conn),
            Happening::Opened(conn, stands) => self.opened(conn, stands),
            Happening::ToServer(..) | Happening::ClosedAtServer(_) => self.server_hears(what),
            Happening::ToClient(conn, reply) => self.client_hears(conn, *reply),
            Happening::ClosedAtClient(conn) => self.closed_at_client(conn),
            Happening::ClientWake(client) => self.client_wakes(client),
            Happening::Overheard { client, from, multicast, bytes } => {
                self.client_overhears(client, from, multicast, &bytes);
            }
            Happening::ClientGoesOn(client) => self.client_goes_on(client),
            Happening::Enters(entering) => self.enter(*entering),
            Happening::Fault(fault) => self.strike(&fault),
            Happening::Resume(server) => self.resume(server),
        }
    }
    /// How many things are still planned.
    pub fn planned(&self) -> usize {
        self.queue.len()
    }

    /// A number for whoever strikes.
    pub(in crate::sim) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }
}

/// The clients of a world, on the stations after the servers'.
fn clients(shape: &Shape, servers: &[Station], rng: &mut Rng) -> Vec<Box<dyn Client>> {
    let mut nicks = BTreeSet::new();
    let client = |at| -> Box<dyn Client> {
        // Two of one nick would be one too many: the second is refused for ever, as it should be (seed 7000433).
        let mut id = ClientId(rng.draw());
        while !nicks.insert(client::nick(id)) {
            id = ClientId(rng.draw());
        }
        let (at, habit, mut own) = (Station(servers.len() + at), shape.habit.clone(), rng.fork());
        if shape.people {
            let ppm = if shape.drift { own.between(0, 400).cast_signed() - 200 } else { 0 };
            let clock = Clock::new(ppm, own.below(1 << 40), 0);
            Box::new(Real::new(id, at, habit, shape.bugs, clock, own))
        } else {
            Box::new(Plain::new(id, at, servers.to_vec(), habit, shape.bugs, own))
        }
    };
    (0..shape.clients).map(client).collect()
}
