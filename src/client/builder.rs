//! How a client is to be, before it begins.

use super::driver::{self, Outbox};
use super::error::{ConnectError, OpenError};
use super::handle::Client;
use super::outbox::OutboxFile;
use super::resume::Resume;
use crate::ids::ServerId;
use crate::name;
use crate::net::{FaultSwitch, Options, PORT, Role, Transport, group_of};
use crate::proto::bugs::Bugs;
use crate::proto::client::{Loaded, Save, Settings};
use crate::wire::datagram::NetTag;
use crossbeam_channel::Sender;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a client is to be; [`Builder::start`] or [`Builder::connect`] begins it.
#[derive(Clone, Debug)]
pub struct Builder {
    net: String,
    nick: String,
    server: Option<String>,
    only: Option<ServerId>,
    prefer: Option<ServerId>,
    peers: Vec<SocketAddr>,
    follow: bool,
    outbox: Option<PathBuf>,
    keeper: Option<Sender<Save>>,
    resume: Option<Resume>,
    local: bool,
    interfaces: Vec<String>,
    group: Option<Ipv4Addr>,
    port: u16,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            net: "default".into(),
            nick: "guest".into(),
            server: None,
            only: None,
            prefer: None,
            peers: Vec::new(),
            follow: false,
            outbox: None,
            keeper: None,
            resume: None,
            local: false,
            interfaces: Vec::new(),
            group: None,
            port: PORT,
        }
    }
}

impl Builder {
    /// The net; `default` unless told.
    #[must_use]
    pub fn net(mut self, net: &str) -> Self {
        net.clone_into(&mut self.net);
        self
    }

    /// The name it goes by; `guest` unless told.
    #[must_use]
    pub fn nick(mut self, nick: &str) -> Self {
        nick.clone_into(&mut self.nick);
        self
    }

    /// Only the server of this name will do.
    #[must_use]
    pub fn server(mut self, name: &str) -> Self {
        self.server = Some(name.to_owned());
        self
    }

    /// Only the server with this id will do: two may have one name.
    #[must_use]
    pub fn only(mut self, server: ServerId) -> Self {
        self.only = Some(server);
        self
    }

    /// This server rather than another, however many clients it has, while it takes any.
    #[must_use]
    pub fn prefer(mut self, server: ServerId) -> Self {
        self.prefer = Some(server);
        self
    }

    /// A server's own UDP address, for when multicast does not reach it; can be given 32 times.
    #[must_use]
    pub fn peer(mut self, addr: SocketAddr) -> Self {
        self.peers.push(addr);
        self
    }

    /// Whether it wants the feed: everything that becomes stable from its first session on, of all rooms.
    #[must_use]
    pub fn follow(mut self, follow: bool) -> Self {
        self.follow = follow;
        self
    }

    /// A file that keeps the client's id and what is not acknowledged yet through a crash; memory unless told.
    #[must_use]
    pub fn outbox(mut self, file: &Path) -> Self {
        self.outbox = Some(file.to_owned());
        self
    }

    /// The application keeps the outbox, in a place of its own: every change of it comes here, and a
    /// [`Save::Message`] is sent to a server once [`Client::saved`] has said that it is kept. The client waits while the
    /// channel is full: it should hold more than an outbox does, 4,096 messages, and be read before each submit.
    #[must_use]
    pub fn keeper(mut self, keeper: Sender<Save>) -> Self {
        self.keeper = Some(keeper);
        self
    }

    /// Goes on where another process was, which may be gone: as the same client, with what it has not been acknowledged, and
    /// its feed from where it stood. Tells [`Event::Cursor`](super::Event::Cursor) from then on, for the next one. Takes the
    /// place of an outbox file. While two processes go on as one client, servers end the older one's session.
    #[must_use]
    pub fn resume(mut self, resume: Resume) -> Self {
        self.resume = Some(resume);
        self
    }

    /// Loopback only: works with no network at all.
    #[must_use]
    pub fn local(mut self, local: bool) -> Self {
        self.local = local;
        self
    }

    /// Only this interface, and others given so.
    #[must_use]
    pub fn interface(mut self, name: &str) -> Self {
        self.interfaces.push(name.to_owned());
        self
    }

    /// Another multicast group than the net's.
    #[must_use]
    pub fn group(mut self, group: Ipv4Addr) -> Self {
        self.group = Some(group);
        self
    }

    /// Another port than 8284.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Begins: opens sockets and outbox, and searches for a server from now on. Does not wait for one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn start(self) -> Result<Client, OpenError> {
        let (net, nick) = (named(&self.net)?, named(&self.nick)?);
        let cursors = self.resume.is_some();
        let kept_outside = self.keeper.map_or(Outbox::Memory, Outbox::Application);
        let (loaded, outbox) = match (self.resume, &self.outbox) {
            (Some(resume), _) => (resume.loaded()?, kept_outside),
            (None, Some(path)) => OutboxFile::open(path).map(|(loaded, file)| (loaded, Outbox::File(file)))?,
            (None, None) => (Loaded { client: driver::random_client(), ..Loaded::default() }, kept_outside),
        };
        let group = self.group.unwrap_or_else(|| group_of(&net));
        let (port, local, faults) = (self.port, self.local, FaultSwitch::default());
        let has_peers = !self.peers.is_empty();
        let options =
            Options { role: Role::Client, group, port, interfaces: self.interfaces, local, has_peers, faults };
        let (transport, _) = Transport::open(options)?;
        let Self { server, only, prefer, peers, follow, .. } = self;
        let settings =
            Settings { net: NetTag::of(&net), nick, server, only, prefer, peers, follow, cursors, bugs: Bugs::NONE };
        driver::start(settings, loaded, outbox, transport)
    }

    /// Begins, and waits until a session stands.
    ///
    /// # Errors
    /// [`ConnectError`] after `timeout`; the client has ended then.
    pub fn connect(self, timeout: Duration) -> Result<Client, ConnectError> {
        let client = self.start()?;
        client.wait_for_home(timeout)?;
        Ok(client)
    }
}

fn named(text: &str) -> Result<String, OpenError> {
    name::parse(text).map_err(|why| OpenError::Name { name: text.to_owned(), why })
}
