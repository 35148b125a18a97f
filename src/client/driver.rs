//! The client's threads and the loop between them.

use super::connection::{self, Connection};
use super::error::OpenError;
use super::handle;
use super::outbox::OutboxFile;
use crate::ids::{ClientId, MessageId};
use crate::net::{Receiver as Ears, Sender as Mouth, Transport};
use crate::proto::client::{
    Action, Client, Command, ConnectionId, Draft, Event, Input, Loaded, Notice, Progress, Save, Settings, SubmitError,
};
use crate::proto::io::Route;
use crate::record::Kind;
use crate::runtime::clock::Clock;
use crate::time::Time;
use crate::wire::session::{Answer, Query, Reply};
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Events that wait for the application. Views, cursors and notices beyond it are lost; for anything else the client stops
/// listening to the network until there is room.
const MAX_EVENTS: usize = 65_536;
/// Inputs that wait for the state machine. Datagrams beyond it are lost, as on any network; connections wait.
const MAX_INPUTS: usize = 8192;
/// Changes of the outbox that wait for the disk; the client waits with them.
const MAX_SAVES: usize = 8192;
/// Orders of the application that wait; its threads wait with them.
const MAX_ORDERS: usize = 64;
/// Notices kept for who waits for a session; older ones stay, newer ones are lost.
const MAX_NOTICES: usize = 256;
/// The groups are left and joined anew this often: it keeps a switch that filters multicast fed.
const REJOIN: Duration = Duration::from_mins(1);

/// What an application wants.
#[derive(Debug)]
pub(super) enum Order {
    Submit { draft: Draft, told: Option<Sender<Progress>>, answer: Sender<Result<MessageId, SubmitError>> },
    Command(Command),
    Saved { cseq: u64 },
    Ask { tag: u64, query: Query, told: Sender<Answer> },
    Forget { tag: u64 },
}

/// Who keeps what is not acknowledged.
#[derive(Debug)]
pub(super) enum Outbox {
    /// Nobody: it ends with the client.
    Memory,
    /// A file.
    File(OutboxFile),
    /// The application, which is told through this and says when it is done.
    Application(Sender<Save>),
}

/// What comes from the other threads.
#[derive(Debug)]
pub(super) enum Came {
    Datagram {
        from: SocketAddr,
        multicast: bool,
        bytes: Vec<u8>,
    },
    Connected(ConnectionId, Connection),
    Reply(ConnectionId, Reply),
    /// A part of one.
    Arriving(ConnectionId),
    Broken(ConnectionId),
}

/// What became of the outbox file's last changes.
#[derive(Debug, Default)]
struct Saved {
    /// Durable up to this message.
    upto: AtomicU64,
    /// Why it is written no more.
    failure: Mutex<Option<OpenError>>,
}

/// A random number from the system; the clock's when the system has none.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    if let Err(error) = getrandom::fill(&mut bytes) {
        log::warn!("the system gives no random numbers: {error}");
        return Clock::start().now().wall_ms.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(std::process::id());
    }
    u64::from_le_bytes(bytes)
}

/// A new client's id.
pub(super) fn random_client() -> ClientId {
    ClientId(random())
}

/// A named thread.
pub(super) fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

/// Starts a client's threads.
pub(super) fn start(
    settings: Settings,
    loaded: Loaded,
    outbox: Outbox,
    transport: Transport,
) -> Result<handle::Client, OpenError> {
    let (inlet, came) = bounded(MAX_INPUTS);
    let (order, orders) = bounded(MAX_ORDERS);
    let (event, events) = bounded(MAX_EVENTS);
    let (notice, notices) = bounded(MAX_NOTICES);
    let stop = Arc::new(AtomicBool::new(false));
    let (wake, woken) = bounded(1);
    let durable = Arc::new(Saved::default());
    let ears = [("client-own", transport.own_receiver()), ("client-group", transport.shared_receiver())];
    for (name, ears) in ears {
        let (inlet, stop) = (inlet.clone(), stop.clone());
        thread(name, move || listen(ears, &inlet, &stop)).map_err(OpenError::Thread)?;
    }
    let (saves, keeper) = match outbox {
        Outbox::Memory => (None, None),
        Outbox::File(file) => {
            let (saves, keeper) = keep(file, durable.clone(), wake.clone()).map_err(OpenError::Thread)?;
            (Some(saves), Some(keeper))
        }
        Outbox::Application(saves) => (Some(saves), None),
    };
    let clock = Clock::start();
    let kept = words_of(&loaded);
    let (id, interface) = (loaded.client, transport.choice().data.name.clone());
    let client = Client::new(settings, loaded, clock.now(), random());
    let mut driver = Driver {
        mouth: transport.sender(),
        group: transport.group(),
        any_net: transport.any_net(),
        transport,
        client,
        clock,
        inlet,
        saves,
        keeper,
        stop,
        event,
        notice,
        durable: durable.clone(),
        _wake: wake,
        rejoin_at: Time::default() + REJOIN,
        connections: BTreeMap::new(),
        receipts: BTreeMap::new(),
        askers: BTreeMap::new(),
        backlog: VecDeque::new(),
        open: true,
    };
    let run = move || driver.run(&orders, &came, &woken);
    let thread = thread("client", run).map_err(OpenError::Thread)?;
    let failure = move || durable.failure.lock().ok().and_then(|mut failure| failure.take());
    Ok(handle::Client::new(id, interface, kept, (order, events, notices), Box::new(failure), thread))
}

/// What a person had said and nobody has acknowledged; claims and the like are not words.
fn words_of(loaded: &Loaded) -> BTreeSet<MessageId> {
    let is_words = |draft: &Draft| {
        matches!(draft.kind, Kind::Text | Kind::Action | Kind::Topic | Kind::Direct { .. }) && !draft.body.is_empty()
    };
    let words = loaded.messages.iter().filter(|(_, draft)| is_words(draft));
    words.map(|(cseq, _)| MessageId { client: loaded.client, cseq: *cseq }).collect()
}

/// Reads one socket until the client ends.
fn listen(mut ears: Ears, inlet: &Sender<Came>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let heard = ears.receive(|arrival| {
            let (from, multicast, bytes) = (arrival.from, arrival.multicast, arrival.bytes.to_vec());
            // Full: lost, as on any network.
            _ = inlet.try_send(Came::Datagram { from, multicast, bytes });
        });
        if let Err(error) = heard {
            log::debug!("receive: {error}");
            std::thread::yield_now();
        }
    }
}

/// Writes the outbox on a thread of its own; whatever waits is written together. It never waits for the client, which
/// may be waiting for it: `woken` holds one word, and a second is not needed.
fn keep(mut file: OutboxFile, durable: Arc<Saved>, woken: Sender<()>) -> io::Result<(Sender<Save>, JoinHandle<()>)> {
    let (save, saves) = bounded::<Save>(MAX_SAVES);
    let run = move || {
        while let Ok(first) = saves.recv() {
            let batch: Vec<Save> = std::iter::once(first).chain(saves.try_iter()).collect();
            match file.save(&batch) {
                Ok(Some(cseq)) => durable.upto.store(cseq, Ordering::Release),
                Ok(None) => continue,
                Err(error) => {
                    log::error!("{error}");
                    if let Ok(mut failure) = durable.failure.lock() {
                        *failure = Some(error);
                    }
                }
            }
            _ = woken.try_send(());
        }
    };
    Ok((save, thread("client-outbox", run)?))
}

struct Driver {
    client: Client,
    clock: Clock,
    transport: Transport,
    mouth: Mouth,
    group: SocketAddr,
    any_net: SocketAddr,
    inlet: Sender<Came>,
    saves: Option<Sender<Save>>,
    /// Writes the outbox file, and holds its lock.
    keeper: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    event: Sender<Event>,
    notice: Sender<Notice>,
    durable: Arc<Saved>,
    /// Keeps the channel open where there is no outbox file.
    _wake: Sender<()>,
    rejoin_at: Time,
    connections: BTreeMap<ConnectionId, Connection>,
    receipts: BTreeMap<u64, Sender<Progress>>,
    askers: BTreeMap<u64, Sender<Answer>>,
    /// Events for which the application has no room.
    backlog: VecDeque<Event>,
    open: bool,
}

impl Driver {
    fn run(&mut self, orders: &Receiver<Order>, came: &Receiver<Came>, woken: &Receiver<()>) {
        self.drain();
        while self.open {
            if self.backlog.is_empty() {
                self.wait(orders, came, woken);
            } else {
                self.wait_for_room(orders);
            }
        }
        self.stop.store(true, Ordering::Relaxed);
        self.close_outbox();
    }

    /// All of it is written, and the file is unlocked: who opens it next finds nobody there.
    fn close_outbox(&mut self) {
        drop(self.saves.take());
        if self.keeper.take().is_some_and(|keeper| keeper.join().is_err()) {
            log::error!("the outbox's thread broke");
        }
    }

    fn wait(&mut self, orders: &Receiver<Order>, came: &Receiver<Came>, woken: &Receiver<()>) {
        let until = self.client.next_timeout().min(self.rejoin_at);
        let timeout = self.clock.instant(until).map_or_else(never, crossbeam_channel::at);
        select! {
            recv(orders) -> order => self.obey(order.ok()),
            recv(came) -> input => if let Ok(input) = input {
                self.take(input);
            },
            recv(woken) -> _ => self.saved(),
            recv(timeout) -> _ => {
                self.handle(Input::Timeout);
                self.rejoin();
            }
        }
    }

    /// The application does not read its events: nothing but its orders is heard until it does.
    fn wait_for_room(&mut self, orders: &Receiver<Order>) {
        let Some(next) = self.backlog.front().cloned() else {
            return;
        };
        let event = self.event.clone();
        select! {
            recv(orders) -> order => self.obey(order.ok()),
            send(event, next) -> sent => {
                self.backlog.pop_front();
                if sent.is_err() {
                    self.obey(None);
                }
            }
        }
    }

    /// Does what the application wants; without an order the application is no more.
    fn obey(&mut self, order: Option<Order>) {
        match order.unwrap_or(Order::Command(Command::Close)) {
            Order::Submit { draft, told, answer } => {
                let submitted = self.client.submit(self.clock.now(), draft);
                if let (Ok(id), Some(told)) = (submitted, told) {
                    self.receipts.insert(id.cseq, told);
                }
                // Who asked may have gone.
                _ = answer.send(submitted);
                self.drain();
            }
            Order::Command(command) => self.handle(Input::Command(command)),
            Order::Saved { cseq } => self.handle(Input::Saved { cseq }),
            Order::Ask { tag, query, told } => {
                self.askers.insert(tag, told);
                self.handle(Input::Command(Command::Query { tag, query }));
            }
            Order::Forget { tag } => {
                self.askers.remove(&tag);
                self.handle(Input::Command(Command::Forget { tag }));
            }
        }
    }

    fn take(&mut self, came: Came) {
        match came {
            Came::Datagram { from, multicast, bytes } => {
                self.handle(Input::Datagram { from, multicast, bytes: &bytes });
            }
            Came::Connected(id, connection) => {
                self.connections.insert(id, connection);
                self.handle(Input::Connected(id));
            }
            Came::Reply(id, reply) => self.handle(Input::Reply(id, reply)),
            Came::Arriving(id) => self.handle(Input::Arriving(id)),
            Came::Broken(id) => {
                self.connections.remove(&id);
                self.handle(Input::Broken(id));
            }
        }
    }

    /// The outbox file got on, or is written no more.
    fn saved(&mut self) {
        let broken = self.durable.failure.lock().is_ok_and(|failure| failure.is_some());
        if broken {
            self.handle(Input::Command(Command::Close));
        } else {
            let cseq = self.durable.upto.load(Ordering::Acquire);
            self.handle(Input::Saved { cseq });
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.client.handle(self.clock.now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut buf = Vec::new();
        while let Some(route) = self.client.poll_transmit(&mut buf) {
            match route {
                Route::Multicast => self.mouth.send(self.group, &buf),
                Route::AnyNet => self.mouth.send(self.any_net, &buf),
                Route::Unicast(to) | Route::Link(_, to) => self.mouth.send(to, &buf),
            }
        }
        self.mouth.flush();
        while let Some(action) = self.client.poll_action() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Connect { connection, addr } => {
                if let Err(error) = connection::connect(connection, addr, self.inlet.clone()) {
                    log::warn!("cannot connect: {error}");
                    self.client.handle(self.clock.now(), Input::Broken(connection));
                }
            }
            Action::Send { connection, request } => {
                let sent = self.connections.get(&connection).is_some_and(|connection| connection.send(request));
                if !sent {
                    self.connections.remove(&connection);
                }
            }
            // The writer writes what it has, then ends the connection.
            Action::Disconnect(connection) => _ = self.connections.remove(&connection),
            Action::Save(save) => self.save(save),
            Action::Event(event) => self.tell(event),
            Action::Closed => self.open = false,
        }
    }

    fn save(&mut self, save: Save) {
        let cseq = if let Save::Message { cseq, .. } = &save { Some(*cseq) } else { None };
        if let Some(saves) = &self.saves {
            if saves.send(save).is_err() {
                log::error!("the outbox's thread is gone");
            }
        } else if let Some(cseq) = cseq {
            self.client.handle(self.clock.now(), Input::Saved { cseq });
        }
    }

    fn tell(&mut self, event: Event) {
        match &event {
            Event::Progress { id, progress } => {
                if let Some(told) = self.receipts.get(&id.cseq) {
                    // Who asked may have gone.
                    _ = told.try_send(progress.clone());
                    if matches!(progress, Progress::Stable { .. } | Progress::Rejected(_)) {
                        self.receipts.remove(&id.cseq);
                    }
                    return;
                }
            }
            Event::Answer { tag, answer } => {
                if let Some(told) = self.askers.remove(tag) {
                    _ = told.try_send(answer.clone());
                    return;
                }
            }
            Event::Notice(notice) => {
                _ = self.notice.try_send(notice.clone());
                _ = self.event.try_send(event);
                return;
            }
            Event::View { .. } | Event::Cursor { .. } if self.event.is_full() => return,
            _ => {}
        }
        if !self.backlog.is_empty() {
            self.backlog.push_back(event);
        } else if let Err(error) = self.event.try_send(event) {
            self.backlog.push_back(error.into_inner());
        }
    }

    fn rejoin(&mut self) {
        let now = self.clock.now().mono;
        if now >= self.rejoin_at {
            self.rejoin_at = now + REJOIN;
            if let Err(error) = self.transport.rejoin() {
                log::warn!("{error}");
            }
        }
    }
}
