//! The threads of one server, started together and ended together.

use super::accept::{Door, accept};
use super::archive::{self, OpenArchive};
use super::backlog::Backlog;
use super::clock::Clock;
use super::disk::{Disk, HasRoom, Open};
use super::frame::{Greeting, LinkHello};
use super::inbox::Inbox;
use super::index_check::{IndexCheck, Pace};
use super::link::{LinkContext, Links};
use super::outlets::Outlets;
use super::protocol::{Command, Protocol};
use super::receive::{Funnel, Overflow, receive, receive_groups};
use crate::net::{FaultSwitch, Transport};
use crate::proto::event::Event;
use crate::proto::host::Machine;
use crate::proto::settings::MAX_SESSIONS;
use crate::store::Store;
use crate::store::engine::Engine;
use crate::time::Now;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// Events that wait for who watches; more are dropped.
const EVENTS: usize = 1024;
/// How long the goodbye may take before the server ends without it.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long the threads may take to end: the disk flushes what it has. Then they are left to themselves.
const ENDING: Duration = Duration::from_secs(10);
/// How long clients may take to accept the last words.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a server is made of.
pub(crate) struct Parts<M, E> {
    /// The state machine.
    pub(crate) machine: M,
    /// The clocks that the machine was made with.
    pub(crate) clock: Clock,
    /// The sockets.
    pub(crate) transport: Transport,
    /// Where links and sessions come.
    pub(crate) listener: TcpListener,
    /// What to lose, for the demonstration.
    pub(crate) faults: FaultSwitch,
    /// Who this server is, to other servers.
    pub(crate) hello: LinkHello,
    /// The open store.
    pub(crate) store: Store<E>,
    /// Opens it anew.
    pub(crate) open: Open<E>,
    /// Tells whether its disk has room again.
    pub(crate) has_room: HasRoom,
    /// Whether writes are acknowledged before they are done.
    pub(crate) acks_at_once: bool,
    /// Opens what answers questions about history.
    pub(crate) open_archive: OpenArchive,
}

/// The running threads. Dropped, they end without a goodbye.
pub(crate) struct Host {
    commands: Sender<Command>,
    events: Receiver<(Now, Event)>,
    overflow: Arc<Overflow>,
    backlog: Backlog,
    stop: Arc<AtomicBool>,
    stop_tcp: Option<oneshot::Sender<()>>,
    stop_check: Option<Sender<()>>,
    protocol_ended: Receiver<()>,
    all_ended: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts threads that each say when they end.
struct Starter {
    threads: Vec<JoinHandle<()>>,
    ended: Sender<()>,
}

impl Starter {
    fn start(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let ended = self.ended.clone();
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            run();
            drop(ended);
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Host {
    /// Starts a server's threads.
    ///
    /// # Errors
    /// The system's, when it gives no thread or no runtime. What was started ends by itself: its channels are gone.
    pub(crate) fn start<M, E>(parts: Parts<M, E>) -> io::Result<Self>
    where
        M: Machine + Send + 'static,
        E: Engine + Send + 'static,
    {
        let (inbox, talk) = Inbox::new();
        let (funnel, datagrams) = Funnel::new();
        let (commands, from_owner) = bounded(4);
        let (events, to_owner) = bounded(EVENTS);
        let (ended, all_ended) = bounded(0);
        let (protocol_ending, protocol_ended) = bounded::<()>(0);
        let (stop_tcp, tcp_stopped) = oneshot::channel();
        let (questions, to_answer) = archive::questions();
        let (disk, disk_line) = Disk::new(parts.open, parts.store, parts.acks_at_once);
        let disk = disk.with_room(parts.has_room);
        let (index, backlog) = (disk_line.index(), disk.backlog());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let greeting = Greeting::new(parts.hello);
        let context = LinkContext {
            hello: greeting.clone(),
            inbox: inbox.clone(),
            faults: parts.faults.clone(),
            here: here(&parts.transport),
        };
        let overflow = datagrams.overflow.clone();
        let stop = Arc::<AtomicBool>::default();
        let outlets = Outlets {
            sender: parts.transport.sender(),
            group: parts.transport.group(),
            any_net: parts.transport.any_net(),
            links: Links::new(context, runtime.handle().clone()),
            lines: BTreeMap::new(),
            waiting_reads: BTreeMap::new(),
            questions: questions.clone(),
            disk: disk_line,
            backlog: backlog.clone(),
            events,
            now: parts.clock.now(),
            left: false,
        };
        let protocol =
            Protocol { machine: parts.machine, clock: parts.clock, datagrams, talk, commands: from_owner, outlets };
        let door = Arc::new(Door::new(inbox, questions, greeting, parts.faults));
        let listener = parts.listener;
        let mut starter = Starter { threads: Vec::new(), ended };
        for number in 0..archive::THREADS {
            let (open, index, questions) = (parts.open_archive.clone(), index.clone(), to_answer.clone());
            starter.start(&format!("archive-{number}"), move || archive::answer_all(&open, &index, &questions))?;
        }
        let (stop_check, stopped) = bounded(0);
        let check = IndexCheck {
            open: parts.open_archive,
            index,
            backlog: backlog.clone(),
            clock: parts.clock,
            stopped,
            pace: Pace::default(),
        };
        starter.start("index-check", move || check.run())?;
        starter.start("disk", move || disk.run())?;
        starter.start("tcp", move || serve(&runtime, listener, door, tcp_stopped))?;
        let own = parts.transport.own_receiver();
        let (own_funnel, own_stop) = (funnel.clone(), stop.clone());
        starter.start("receive-own", move || receive(own, &own_funnel, &own_stop))?;
        let (transport, clock, group_stop) = (parts.transport, parts.clock, stop.clone());
        starter.start("receive-group", move || receive_groups(transport, clock, &funnel, &group_stop))?;
        starter.start("protocol", move || {
            protocol.run();
            drop(protocol_ending);
        })?;
        Ok(Self {
            commands,
            events: to_owner,
            overflow,
            backlog,
            stop,
            stop_tcp: Some(stop_tcp),
            stop_check: Some(stop_check),
            protocol_ended,
            all_ended,
            threads: starter.threads,
        })
    }

    /// What happens, with its time. Disconnected once the protocol has ended.
    pub(crate) fn events(&self) -> &Receiver<(Now, Event)> {
        &self.events
    }

    /// Datagrams with payload, and others, that were dropped because this machine was too slow.
    pub(crate) fn dropped(&self) -> (u64, u64) {
        (self.overflow.bulk.load(Ordering::Relaxed), self.overflow.control.load(Ordering::Relaxed))
    }

    /// Messages that are in the index of history, while it is far behind.
    pub(crate) fn indexed(&self) -> Option<u64> {
        self.backlog.indexed()
    }

    /// Says goodbye, flushes the disk and ends the threads; whether all of it was done in time.
    pub(crate) fn leave(mut self) -> bool {
        self.end(Command::Leave)
    }

    fn end(&mut self, command: Command) -> bool {
        let _ = self.commands.try_send(command);
        // Nothing is ever sent on these channels: waiting ends when the other side is dropped, or with the time.
        let said = has_ended(&self.protocol_ended, GOODBYE);
        if !said {
            log::warn!("the goodbye took too long");
            let _ = self.commands.try_send(Command::Stop);
        }
        self.stop.store(true, Ordering::Relaxed);
        self.stop_check = None;
        if let Some(stop_tcp) = self.stop_tcp.take() {
            let _ = stop_tcp.send(());
        }
        let ended = has_ended(&self.all_ended, ENDING);
        if !ended {
            log::error!("not every thread ended in time: the disk hangs");
            self.threads.clear();
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
        said && ended
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if self.stop_tcp.is_some() {
            self.end(Command::Stop);
        }
    }
}

/// Whether the other side of the channel was dropped in time.
fn has_ended(channel: &Receiver<()>, within: Duration) -> bool {
    channel.recv_timeout(within) == Err(crossbeam_channel::RecvTimeoutError::Disconnected)
}

/// This machine's own addresses, as far as ringtalk uses them.
fn here(transport: &Transport) -> Vec<IpAddr> {
    let used = transport.choice().listen.iter().map(|interface| IpAddr::V4(interface.addr));
    used.chain([IpAddr::V4(Ipv4Addr::LOCALHOST)]).collect()
}

/// The `tcp` thread: until it is told to stop, and until the clients have heard the last words.
fn serve(runtime: &Runtime, listener: TcpListener, door: Arc<Door>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return log::error!("cannot listen: {error}"),
        };
        let sessions = door.sessions.clone();
        tokio::select! {
            () = accept(listener, door) => {}
            _ = stopped => {}
        }
        let all_gone = sessions.acquire_many(MAX_SESSIONS as u32);
        let _ = tokio::time::timeout(LAST_WORDS, all_gone).await;
    });
}
