//! A server inside one's own program: what `ringtalk server` runs.
//!
//! ```no_run
//! let server = ringtalk::server::Server::builder("oak").local(true).start()?;
//! for (at, event) in server.events() {
//!     println!("{} {event:?}", at.wall_ms);
//! }
//! # Ok::<(), ringtalk::server::ServerError>(())
//! ```

use crate::ids::Pid;
use crate::name::{self, BadName};
use crate::net::{Choice, FaultSwitch, NetError, Options, PORT, Role, Transport, group_of};
use crate::proto::event::Event;
use crate::proto::io::{Damage, Recovered};
use crate::proto::node::Node;
use crate::proto::settings::{Keep, Portions, Retention, Settings};
use crate::runtime::archive::OpenArchive;
use crate::runtime::clock::Clock;
use crate::runtime::disk::{HasRoom, Open};
use crate::runtime::frame::LinkHello;
use crate::runtime::host::{Host, Parts};
use crate::runtime::own_id::OwnId;
use crate::store::engine::{Archive, Engine};
use crate::store::memory::MemoryEngine;
use crate::store::sqlite::{self, SqliteReader};
use crate::store::{Store, StoreError};
use crate::time::Now;
use crate::wire::datagram::NetTag;
use crate::wire::message::Page;
use crossbeam_channel::Receiver;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why a server did not start. Nothing is left behind but the data directory.
#[derive(Debug)]
pub enum ServerError {
    /// A name breaks the rules.
    Name {
        /// The name.
        name: String,
        /// Which rule.
        why: BadName,
    },
    /// The network cannot be used.
    Net(NetError),
    /// The store cannot be used.
    Store(StoreError),
    /// Another process lives under this directory's server id: one of the two directories is a copy of the other.
    IdInUse {
        /// The other process.
        pid: Pid,
        /// Where.
        addr: SocketAddr,
    },
    /// The system gives no thread, no runtime or no random numbers.
    System(io::Error),
}

impl fmt::Display for ServerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, why } => write!(out, "{name:?} is no name: {why}"),
            Self::Net(error) => error.fmt(out),
            Self::Store(error) => error.fmt(out),
            Self::IdInUse { pid, addr } => {
                write!(out, "server id {} is also at {} (a cloned machine?)", pid.server, addr.ip())
            }
            Self::System(error) => write!(out, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name { why, .. } => Some(why),
            Self::Net(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::IdInUse { .. } => None,
            Self::System(error) => Some(error),
        }
    }
}

impl From<NetError> for ServerError {
    fn from(error: NetError) -> Self {
        Self::Net(error)
    }
}

impl From<StoreError> for ServerError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What a server is told before it starts.
#[derive(Clone, Debug)]
pub struct ServerBuilder {
    name: String,
    net: String,
    interfaces: Vec<String>,
    local: bool,
    peers: Vec<SocketAddr>,
    group: Option<Ipv4Addr>,
    port: u16,
    data: Option<PathBuf>,
    memory_durability: bool,
    retention: Retention,
    priority: u8,
    page: Option<Page>,
    faults: FaultSwitch,
}

impl ServerBuilder {
    /// The net it belongs to; `default` unless told.
    #[must_use]
    pub fn net(mut self, net: impl Into<String>) -> Self {
        self.net = net.into();
        self
    }

    /// The only interfaces to use; all that are fit unless told.
    #[must_use]
    pub fn interfaces(mut self, interfaces: Vec<String>) -> Self {
        self.interfaces = interfaces;
        self
    }

    /// Whether to stay on loopback.
    #[must_use]
    pub fn local(mut self, local: bool) -> Self {
        self.local = local;
        self
    }

    /// Unicast addresses of servers that multicast does not reach.
    #[must_use]
    pub fn peers(mut self, peers: Vec<SocketAddr>) -> Self {
        self.peers = peers;
        self
    }

    /// Another group than the net's own.
    #[must_use]
    pub fn group(mut self, group: Ipv4Addr) -> Self {
        self.group = Some(group);
        self
    }

    /// Another well-known port than 8284; the same on every machine.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Where history is kept; in memory only unless told.
    #[must_use]
    pub fn data(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data = Some(dir.into());
        self
    }

    /// Whether a message counts as durable before the disk has it: faster, and a power cut of all servers may lose the
    /// last moments.
    #[must_use]
    pub fn memory_durability(mut self, memory: bool) -> Self {
        self.memory_durability = memory;
        self
    }

    /// How much of history it would keep; all unless told. A ring lets go of what all of its servers would let go of
    /// (`PROTOCOL.md` §9).
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.retention = Retention::keeping(keep);
        self
    }

    /// Servers with more are preferred as leaders; 0 unless told.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Where this server's page is, and its token: its beacons tell everyone. None unless told.
    #[must_use]
    pub fn page(mut self, page: Page) -> Self {
        self.page = Some(page);
        self
    }

    /// The demonstration's faults: only who has the switch can make any.
    #[must_use]
    pub fn faults(mut self, faults: FaultSwitch) -> Self {
        self.faults = faults;
        self
    }

    /// Opens store and sockets and starts the server. Returns at once; [`Event::Ready`] tells when clients may come.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(self) -> Result<Server, ServerError> {
        let builder = self.with_valid_names()?;
        raise_descriptor_limit();
        match builder.data.clone() {
            Some(dir) => {
                let open_archive = reader_of(&dir);
                builder.start_with(move || sqlite::open(&dir, random()?), |_| open_archive)
            }
            None => builder.start_with(
                || Store::open(MemoryEngine::new(), random()?),
                |store| {
                    let reader = store.engine().reader();
                    Arc::new(move || Ok(Box::new(reader.clone())))
                },
            ),
        }
    }

    fn with_valid_names(mut self) -> Result<Self, ServerError> {
        for name in [&mut self.name, &mut self.net] {
            *name = name::parse(name).map_err(|why| ServerError::Name { name: name.clone(), why })?;
        }
        Ok(self)
    }

    fn start_with<E: Engine + Send + 'static>(
        self,
        mut open: impl FnMut() -> Result<(Store<E>, Recovered), StoreError> + Send + 'static,
        archive_of: impl FnOnce(&Store<E>) -> OpenArchive,
    ) -> Result<Server, ServerError> {
        let clock = Clock::start();
        // The store first: a second server on one directory must not be heard of.
        let (store, recovered) = open()?;
        let checked = clock.now().mono;
        let open_archive = archive_of(&store);
        let (transport, listener) = Transport::open(self.options())?;
        let Some(listener) = listener else { return Err(ServerError::System(io::ErrorKind::Unsupported.into())) };
        self.find_twin(recovered.pid, &transport, clock)?;
        let tcp_port = listener.local_addr().map_err(ServerError::System)?.port();
        let about = self.about(&transport, &recovered, &open_archive, checked.since(crate::time::Time::default()));
        let (hello, faults) = (hello(&about), self.faults.clone());
        let seed = random().map_err(ServerError::Store)? as u64;
        let has_room = room_in(self.data.clone());
        let (acks_at_once, settings) = (self.memory_durability, self.settings(about.addr, tcp_port));
        let machine = Node::new(settings, recovered, clock.now(), seed);
        let open: Open<E> = Box::new(open);
        let parts = Parts {
            machine,
            clock,
            transport,
            listener,
            faults,
            hello,
            store,
            open,
            has_room,
            acks_at_once,
            open_archive,
        };
        let host = Host::start(parts).map_err(ServerError::System)?;
        Ok(Server { host, about })
    }

    /// A copy of a directory must not take the place of the server that works with it.
    fn find_twin(&self, me: Pid, transport: &Transport, clock: Clock) -> Result<(), ServerError> {
        let nonce = random().map_err(ServerError::Store)? as u64;
        let found = OwnId::new(NetTag::of(&self.net), me, nonce, transport, &self.peers).find(clock);
        found.map_or(Ok(()), |(pid, addr)| Err(ServerError::IdInUse { pid, addr }))
    }

    fn options(&self) -> Options {
        Options {
            role: Role::Server,
            group: self.group.unwrap_or_else(|| group_of(&self.net)),
            port: self.port,
            interfaces: self.interfaces.clone(),
            local: self.local,
            // What servers say in a view has no other way than the group.
            has_peers: false,
            faults: self.faults.clone(),
        }
    }

    fn settings(self, addr: SocketAddr, tcp_port: u16) -> Settings {
        Settings {
            net: NetTag::of(&self.net),
            net_name: self.net,
            name: self.name,
            priority: self.priority,
            addr,
            tcp_port,
            peers: self.peers,
            page: self.page,
            memory_only: self.memory_durability,
            retention: self.retention,
            record: true,
            portions: Portions::default(),
            bugs: crate::proto::bugs::Bugs::default(),
        }
    }

    fn about(&self, transport: &Transport, recovered: &Recovered, archive: &OpenArchive, check: Duration) -> About {
        let rooms = archive().and_then(|archive| archive.rooms()).map_or(0, |rooms| rooms.len());
        About {
            name: self.name.clone(),
            net: self.net.clone(),
            pid: recovered.pid,
            addr: transport.addr(),
            group: transport.group(),
            interfaces: transport.choice().clone(),
            data: self.data.clone(),
            messages: recovered.messages,
            rooms,
            memory_durability: self.memory_durability,
            check,
            damaged: recovered.damaged,
            damage: recovered.damage.clone(),
        }
    }
}

/// What a server can tell of itself as soon as it has started.
#[derive(Clone, Debug)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its net.
    pub net: String,
    /// Who it is, in this life.
    pub pid: Pid,
    /// Its own address; TCP nearly always has the same port.
    pub addr: SocketAddr,
    /// The group it listens to.
    pub group: SocketAddr,
    /// The interfaces in use, and those left out.
    pub interfaces: Choice,
    /// Where history is kept; `None` in memory.
    pub data: Option<PathBuf>,
    /// Messages in the store.
    pub messages: u64,
    /// Rooms in the store.
    pub rooms: usize,
    /// Whether messages are acknowledged when all have received them, before a disk has them.
    pub memory_durability: bool,
    /// How long opening and checking the store took.
    pub check: Duration,
    /// Whether something of it was lost or set aside; it is fetched from other servers.
    pub damaged: bool,
    /// What was found to be damaged at this start.
    pub damage: Option<Damage>,
}

/// A running server. Dropped, it ends without a goodbye.
pub struct Server {
    host: Host,
    about: About,
}

impl Server {
    /// A server of this name, to be told more.
    pub fn builder(name: impl Into<String>) -> ServerBuilder {
        ServerBuilder {
            name: name.into(),
            net: "default".to_owned(),
            interfaces: Vec::new(),
            local: false,
            peers: Vec::new(),
            group: None,
            port: PORT,
            data: None,
            memory_durability: false,
            retention: Retention::default(),
            priority: 0,
            page: None,
            faults: FaultSwitch::default(),
        }
    }

    /// What it is and what it found.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Its own address.
    pub fn addr(&self) -> SocketAddr {
        self.about.addr
    }

    /// Who it is.
    pub fn pid(&self) -> Pid {
        self.about.pid
    }

    /// What happens, with its time; after [`Event::Replaced`] the server ends. Holds the last 1,024 events that nobody took; later ones are dropped. Disconnected
    /// when the server has ended.
    pub fn events(&self) -> &Receiver<(Now, Event)> {
        self.host.events()
    }

    /// How many datagrams with payload, and how many others, were dropped because this machine was too slow.
    pub fn dropped(&self) -> (u64, u64) {
        self.host.dropped()
    }

    /// Messages that history and search can show, while their index is made anew or is far behind; else they show all.
    pub fn indexed(&self) -> Option<u64> {
        self.host.indexed()
    }

    /// Says goodbye, writes what is to be written and ends. Takes at most some 12 s; whether all of it was done.
    #[must_use = "a goodbye that was not said is a crash to the others"]
    pub fn leave(self) -> bool {
        self.host.leave()
    }
}

fn hello(about: &About) -> LinkHello {
    LinkHello { net: NetTag::of(&about.net), pid: about.pid, port: about.addr.port() }
}

fn reader_of(dir: &Path) -> OpenArchive {
    let dir = dir.to_owned();
    Arc::new(move || Ok(Box::new(SqliteReader::open(&dir)?) as Box<dyn Archive>))
}

fn room_in(dir: Option<PathBuf>) -> HasRoom {
    Box::new(move || dir.as_ref().is_none_or(|dir| sqlite::has_room(dir)))
}

/// Fresh random bits.
fn random() -> Result<u128, StoreError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|error| StoreError::Io {
        op: "draw random numbers for",
        path: PathBuf::new(),
        source: io::Error::other(error.to_string()),
    })?;
    Ok(u128::from_le_bytes(bits))
}

/// Every session is a descriptor: asks for as many as this user may have.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        log::debug!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::MAX_SERVERS;
    use crate::wire::session::{Answer, Hello, HistoryQuery, Query, Refusal, Reply, Request, Submit, decode, encode};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn local(name: &str, net: &str, port: u16) -> ServerBuilder {
        Server::builder(name).net(net).port(port).local(true)
    }

    /// Waits for an event of a server; what comes before it is passed over.
    fn wait(server: &Server, mut is_it: impl FnMut(&Event) -> bool) -> Event {
        loop {
            let (_, event) = server.events().recv_timeout(DEADLINE).expect("no such event");
            if is_it(&event) {
                return event;
            }
        }
    }

    fn wait_for_members(server: &Server, count: usize) {
        assert!(count <= MAX_SERVERS);
        wait(server, |event| matches!(event, Event::View { view, .. } if view.members.len() == count));
    }

    fn hello_of_ana(server: &Server) -> Hello {
        Hello {
            net: NetTag::of(&server.about().net).0,
            version: crate::wire::datagram::VERSION,
            client: crate::ids::ClientId(77),
            nick: "ana".into(),
            follow: None,
            acked_upto: 0,
        }
    }

    struct Client {
        stream: TcpStream,
    }

    impl Client {
        /// Connects, again and again until the server is ready.
        fn connect(server: &Server) -> Self {
            loop {
                let stream = TcpStream::connect(server.addr()).unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                let mut client = Self { stream };
                client.say(&Request::Hello(hello_of_ana(server)));
                match client.hear() {
                    Reply::Welcome(_) => return client,
                    Reply::Refused(Refusal::NotReady) => {}
                    other => panic!("{other:?}"),
                }
            }
        }

        fn say(&mut self, request: &Request) {
            self.stream.write_all(&encode(request)).unwrap();
        }

        fn hear(&mut self) -> Reply {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length).unwrap();
            let mut body = vec![0; u32::from_le_bytes(length) as usize];
            self.stream.read_exact(&mut body).unwrap();
            decode(&body).unwrap()
        }

        /// Submits and waits until the message is stable; on how many of how many servers.
        fn submit(&mut self, cseq: u64, body: &str) -> (u16, u16) {
            let submit = Submit {
                cseq,
                acked_upto: cseq - 1,
                floor: crate::time::Hlc(0),
                room: "lobby".into(),
                kind: crate::record::Kind::Text,
                body: body.into(),
            };
            self.say(&Request::Submit(submit));
            loop {
                match self.hear() {
                    Reply::Stable { cseq: stable, copies, of, .. } if stable == cseq => return (copies, of),
                    Reply::Rejected { why, .. } => panic!("rejected: {why:?}"),
                    _ => {}
                }
            }
        }

        /// The texts of all history, asked for until there are as many as expected: the index runs behind.
        #[expect(clippy::disallowed_methods, reason = "a test's deadline")]
        fn history(&mut self, expected: usize) -> Vec<String> {
            let started = Instant::now();
            loop {
                let query = Query::History(HistoryQuery { limit: 500, ..HistoryQuery::default() });
                self.say(&Request::Query { tag: 5, query });
                let texts = loop {
                    if let Reply::Answer { tag: 5, answer: Answer::Page { records, .. } } = self.hear() {
                        break records.into_iter().map(|(record, _)| record.message.body).collect::<Vec<_>>();
                    }
                };
                if texts.len() >= expected || started.elapsed() > DEADLINE {
                    return texts;
                }
            }
        }
    }

    #[test]
    fn server_alone_stores_a_message_and_finds_it_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let server = local("oak", "srv1", 18_401).data(dir.path()).start().unwrap();
        wait(&server, |event| *event == Event::Ready);
        let mut client = Client::connect(&server);
        assert_eq!(client.submit(1, "hello"), (1, 1));
        assert_eq!(client.history(1), ["hello"]);
        let first = server.pid();
        assert!(server.leave());
        let server = local("oak", "srv1", 18_401).data(dir.path()).start().unwrap();
        assert_eq!(server.pid().server, first.server);
        assert!(server.pid().incarnation > first.incarnation);
        assert_eq!(server.about().messages, 1);
        wait(&server, |event| *event == Event::Ready);
        assert_eq!(Client::connect(&server).history(1), ["hello"]);
    }

    #[test]
    fn second_server_on_one_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _server = local("oak", "srv2", 18_402).data(dir.path()).start().unwrap();
        let error = local("elm", "srv2", 18_402).data(dir.path()).start().err().unwrap();
        assert!(matches!(error, ServerError::Store(StoreError::InUse { .. })), "{error}");
    }

    #[test]
    fn three_servers_make_a_ring_and_store_a_message_three_times() {
        let servers = ["oak", "elm", "ash"].map(|name| local(name, "srv3", 18_403).start().unwrap());
        for server in &servers {
            wait_for_members(server, 3);
        }
        for ((server, text), cseq) in servers.iter().zip(["one", "two", "three"]).zip(1..) {
            assert_eq!(Client::connect(server).submit(cseq, text), (3, 3));
        }
        for server in &servers {
            assert_eq!(Client::connect(server).history(3), ["one", "two", "three"]);
        }
    }

    #[test]
    fn server_that_ends_without_goodbye_is_out_of_the_view_within_a_second() {
        let servers = ["oak", "elm", "ash"].map(|name| local(name, "srv4", 18_404).start().unwrap());
        let mut servers: Vec<Server> = servers.into_iter().collect();
        for server in &servers {
            wait_for_members(server, 3);
        }
        servers.sort_by_key(Server::pid);
        let leader = servers.pop().unwrap();
        let clock = Clock::start();
        drop(leader);
        for server in &servers {
            wait_for_members(server, 2);
        }
        let took = clock.now().mono.since(crate::time::Time::default());
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    #[test]
    fn names_that_break_the_rules_are_refused() {
        let error = Server::builder("an oak").local(true).start().err().unwrap();
        assert!(matches!(error, ServerError::Name { .. }));
        assert_eq!(error.to_string(), "\"an oak\" is no name: a name has no spaces and no control characters");
    }
}
