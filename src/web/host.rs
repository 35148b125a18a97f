//! The host: everything that its connections share, and the thread they run on.

use super::control::Controller;
use super::door::{Door, WebError};
use super::guard::Guard;
use super::http;
use super::outlet::Outlet;
use super::pages::Pages;
use super::watcher::Watcher;
use crate::client;
use crate::ids::ClientId;
use crate::wire::session::{Answer, Query, Status};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

/// Browsers at once; more are told to come later.
pub const MAX_BROWSERS: usize = 64;
/// How long a client's earlier connection may take to end when it comes again.
const REPLACED: Duration = Duration::from_secs(5);
/// How often the ring is asked for pages that are not known.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it may take to answer.
const LOOK: Duration = Duration::from_secs(1);

/// What the host belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// A server.
    Server,
    /// A client (`ringtalk web`).
    #[default]
    Client,
    /// A demo.
    Demo,
    /// A file of events (`ringtalk replay`).
    Replay,
}

impl Mode {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Demo => "demo",
            Self::Replay => "replay",
        }
    }
}

/// A host before it starts.
#[derive(Debug)]
pub struct HostBuilder {
    door: Door,
    clients: client::Builder,
    net: String,
    mode: Mode,
    controller: Option<Controller>,
    events: Arc<[Box<str>]>,
    nicks: BTreeMap<String, String>,
}

impl HostBuilder {
    /// What it belongs to; a client unless told.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The demo that pages may control.
    #[must_use]
    pub fn controller(self, controller: Controller) -> Self {
        Self { controller: Some(controller), ..self }
    }

    /// The events of a file, each a line of JSON: what [`Mode::Replay`] shows.
    #[must_use]
    pub fn events(self, events: Vec<Box<str>>) -> Self {
        Self { events: events.into(), ..self }
    }

    /// Nicks by client id, for the people of a file.
    #[must_use]
    pub fn nicks(self, nicks: BTreeMap<String, String>) -> Self {
        Self { nicks, ..self }
    }

    /// Starts to answer browsers.
    ///
    /// # Errors
    /// [`WebError::System`].
    pub fn start(self) -> Result<Host, WebError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(WebError::System)?;
        let Door { listener, .. } = &self.door;
        let listener = listener.try_clone().map_err(WebError::System)?;
        let (held, stop) = bounded(0);
        let (addr, url) = (self.door.addr(), self.door.url());
        let shared = Arc::new(Shared {
            guard: Guard::of(&self.door),
            pages: Pages::new(self.door.public_addr(), self.door.token()),
            token: self.door.token(),
            own: self.door.public_addr(),
            clients: self.clients,
            net: self.net,
            mode: self.mode,
            controller: self.controller,
            events: self.events,
            nicks: self.nicks,
            looked: tokio::sync::Mutex::default(),
            browsers: Arc::new(Semaphore::new(MAX_BROWSERS)),
            here: Here::default(),
            watcher: Watcher::default(),
            runtime: runtime.handle().clone(),
            stop,
        });
        let (end, ended) = oneshot::channel();
        let serve = move || runtime.block_on(http::serve(listener, shared, ended));
        let thread = std::thread::Builder::new().name("web".to_owned()).spawn(serve).map_err(WebError::System)?;
        Ok(Host { addr, url, end: Some(end), _held: held, thread: Some(thread) })
    }
}

/// A running host. Dropped, it says goodbye to its browsers and ends.
pub struct Host {
    addr: SocketAddr,
    url: String,
    end: Option<oneshot::Sender<()>>,
    /// Who waits for its receiver learns of the end.
    _held: Sender<Infallible>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// A host at this door, whose browsers become clients as this builder makes them, on the net of this name.
    pub fn builder(door: Door, clients: client::Builder, net: &str) -> HostBuilder {
        let (net, mode, controller, events) = (net.to_owned(), Mode::default(), None, Arc::from(Vec::new()));
        HostBuilder { door, clients, net, mode, controller, events, nicks: BTreeMap::new() }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What people open; see [`Door::url`].
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Host({})", self.addr)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            // Already ended: as good.
            _ = end.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the web host's thread broke");
        }
    }
}

/// What all connections of a host share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) guard: Guard,
    pub(super) pages: Pages,
    pub(super) token: u64,
    own: SocketAddr,
    clients: client::Builder,
    pub(super) net: String,
    pub(super) mode: Mode,
    pub(super) controller: Option<Controller>,
    pub(super) events: Arc<[Box<str>]>,
    pub(super) nicks: BTreeMap<String, String>,
    /// When the ring was last asked for its pages.
    looked: tokio::sync::Mutex<Option<Instant>>,
    /// Room for browsers.
    pub(super) browsers: Arc<Semaphore>,
    pub(super) here: Here,
    pub(super) watcher: Watcher,
    pub(super) runtime: Handle,
    /// Disconnected when the host ends.
    pub(super) stop: Receiver<Infallible>,
}

impl Shared {
    /// A client that reads, under a name that it claims from nobody.
    pub(super) fn client(&self, what: &str) -> client::Builder {
        self.clients.clone().nick(&format!("{what}-{:016x}", getrandom::u64().unwrap_or_default()))
    }

    /// A client under this name.
    pub(super) fn person(&self, nick: &str) -> client::Builder {
        self.clients.clone().nick(nick)
    }

    /// This host's page and the others, as a browser opens them.
    pub(super) fn urls(&self) -> Vec<String> {
        let mut urls = vec![format!("http://{}", self.own)];
        urls.extend(self.pages.urls());
        urls
    }

    /// Learns pages of other servers; whether there was a new one for browsers.
    pub(super) fn learn(&self, status: &Status) -> bool {
        let alive = status.servers.iter().filter_map(|server| Some((Some(server.addr.ip()), server.page?)));
        let all = alive.chain(status.pages.iter().map(|page| (None, *page)));
        all.fold(false, |news, (server, page)| self.pages.learn(server, page) | news)
    }

    /// Asks the ring for its pages, also those of servers that have died: somebody comes from one that is not known. Once a
    /// second at most, however many come.
    pub(super) async fn look_around(self: &Arc<Self>) {
        let mut last = self.looked.lock().await;
        if self.mode == Mode::Replay || last.is_some_and(|last| last.elapsed() < LOOK_EVERY) {
            return;
        }
        let shared = self.clone();
        let ask = move || {
            let client = shared.client("reader").start().ok()?;
            match client.ask(Query::Status, LOOK) {
                Ok(Answer::Status(status)) => Some(shared.learn(&status)),
                _ => None,
            }
        };
        // Nobody answers, or nobody can be asked: then nothing was learned.
        _ = tokio::task::spawn_blocking(ask).await;
        *last = Some(Instant::now());
    }
}

/// The clients that are here: each once.
#[derive(Debug, Default)]
pub(super) struct Here {
    clients: Mutex<BTreeMap<ClientId, Outlet>>,
    left: Condvar,
}

/// A client's place at this host, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    here: &'a Here,
    client: ClientId,
}

impl Here {
    /// A client comes. Its earlier connection, whose browser has gone or loaded another page, ends first: two of one id
    /// would number their messages alike. `None` when that one does not end.
    pub(super) fn enter(&self, client: ClientId, outlet: &Outlet) -> Option<Place<'_>> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = clients.get(&client) {
            earlier.close("replaced");
        }
        let waited = self.left.wait_timeout_while(clients, REPLACED, |clients| clients.contains_key(&client));
        let (mut clients, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        clients.insert(client, outlet.clone());
        Some(Place { here: self, client })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.here.clients.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.client);
        self.here.left.notify_all();
    }
}
