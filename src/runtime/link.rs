//! Links between servers: large messages, and the proof that a killed process is dead.
//!
//! Each server opens its own link to whom it has something to send; what it sends goes out on that one, and comes in on
//! the other's. A link that broke is opened again at once. Then a host that still answers, but refuses the port or has
//! another process behind it, proves that the process is gone; silence proves nothing and is the detector's business.

use super::accept::{Door, prepare};
use super::frame::{Greeting, LinkHello, framed, read_frame};
use super::inbox::Inbox;
use crate::ids::Pid;
use crate::net::{Direction, FaultSwitch};
use crate::wire::datagram::MAX_FRAME_BYTES;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Links at once; one more, and the one that was idle longest is closed.
const MAX_LINKS: usize = 64;
/// Frames that wait on one link; more are lost, as the route says.
const QUEUE: usize = 1024;
/// Bytes that wait on one link; more are lost.
const QUEUE_BYTES: usize = 16 << 20;
/// Frames of one link that came and wait to be handed over; no more is read meanwhile. They wait for the protocol, and in a
/// demo's slow motion.
const DELAYED: usize = 16;
/// How long connecting and its handshake may take.
const CONNECT: Duration = Duration::from_secs(1);
/// How long one frame may take to be written; then the link is broken.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// Pauses between attempts: the first, doubled each time, to the last. The first is short because a process that dies
/// closes its connections a moment before its listener.
const RETRY: Duration = Duration::from_millis(5);
const RETRY_MOST: Duration = Duration::from_secs(2);
/// A link that is not watched and sends nothing for this long is closed.
const IDLE: Duration = Duration::from_mins(1);

/// What every link of this server needs.
#[derive(Clone)]
pub(crate) struct LinkContext {
    /// Who this server is.
    pub(crate) hello: Greeting,
    /// The way to the protocol.
    pub(crate) inbox: Inbox,
    /// What to lose, for the demonstration.
    pub(crate) faults: FaultSwitch,
    /// This machine's addresses: a refusal from it needs no earlier link to be believed, since no firewall lies between.
    pub(crate) here: Vec<IpAddr>,
}

/// The links that this server opened. Owned by the protocol's thread; the work is done on the runtime's.
pub(crate) struct Links {
    context: LinkContext,
    runtime: Handle,
    open: BTreeMap<Pid, Link>,
    uses: u64,
    /// Frames that were lost because a queue was full.
    lost: u64,
}

struct Link {
    addr: SocketAddr,
    frames: mpsc::Sender<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
    watched: Arc<AtomicBool>,
    last_use: u64,
}

impl Links {
    /// No links yet.
    pub(crate) fn new(context: LinkContext, runtime: Handle) -> Self {
        Self { context, runtime, open: BTreeMap::new(), uses: 0, lost: 0 }
    }

    /// Queues a frame for a server; lost when the link's queue is full.
    pub(crate) fn send(&mut self, pid: Pid, addr: SocketAddr, bytes: &[u8]) {
        let link = self.link_to(pid, addr);
        let waiting = link.waiting_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        let fits = waiting + bytes.len() <= QUEUE_BYTES && link.frames.try_send(framed(bytes)).is_ok();
        if !fits {
            link.waiting_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
            self.lost += 1;
            log::debug!("a frame to {pid} was lost: {} so far", self.lost);
        }
    }

    /// This server is another process from now on: links that told who it was are closed.
    pub(crate) fn become_pid(&mut self, pid: Pid) {
        self.context.hello.become_pid(pid);
        self.open.clear();
    }

    /// Keeps a link to this server, and to no other that has nothing to say.
    pub(crate) fn watch(&mut self, successor: Option<(Pid, SocketAddr)>) {
        let watched = successor.map(|(pid, _)| pid);
        for (pid, link) in &self.open {
            link.watched.store(Some(*pid) == watched, Ordering::Relaxed);
        }
        if let Some((pid, addr)) = successor {
            self.link_to(pid, addr).watched.store(true, Ordering::Relaxed);
        }
    }

    /// The link to a server, opened when there is none or its address is another one now.
    fn link_to(&mut self, pid: Pid, addr: SocketAddr) -> &mut Link {
        self.uses += 1;
        if self.open.get(&pid).is_some_and(|link| link.addr != addr || link.frames.is_closed()) {
            self.open.remove(&pid);
        }
        if self.open.len() >= MAX_LINKS && !self.open.contains_key(&pid) {
            let idlest = self.open.iter().min_by_key(|(_, link)| link.last_use).map(|(pid, _)| *pid);
            idlest.and_then(|pid| self.open.remove(&pid));
        }
        let uses = self.uses;
        let link = self.open.entry(pid).or_insert_with(|| open(&self.context, &self.runtime, pid, addr));
        link.last_use = uses;
        link
    }
}

fn open(context: &LinkContext, runtime: &Handle, pid: Pid, addr: SocketAddr) -> Link {
    let (frames, queue) = mpsc::channel(QUEUE);
    let (waiting_bytes, watched) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let keeper = Keeper {
        context: context.clone(),
        pid,
        addr,
        queue,
        waiting_bytes: waiting_bytes.clone(),
        watched: watched.clone(),
        was_linked: context.here.contains(&addr.ip()),
    };
    runtime.spawn(keeper.keep());
    Link { addr, frames, waiting_bytes, watched, last_use: 0 }
}

/// Keeps one link open for as long as it is wanted.
struct Keeper {
    context: LinkContext,
    pid: Pid,
    addr: SocketAddr,
    queue: mpsc::Receiver<Vec<u8>>,
    waiting_bytes: Arc<AtomicUsize>,
    watched: Arc<AtomicBool>,
    /// Whether a refusal is to be believed: the process was reached before, or no firewall lies between.
    was_linked: bool,
}

/// How an attempt to connect ended.
enum Attempt {
    Linked(TcpStream),
    /// The host says that the process is gone.
    Gone,
    /// Nobody said anything.
    Silence,
}

/// Why a link that stood is over.
enum End {
    /// The connection broke.
    Broken,
    /// Nobody wants it any more.
    Unwanted,
}

impl Keeper {
    async fn keep(mut self) {
        let mut pause = RETRY;
        loop {
            match self.attempt().await {
                Attempt::Linked(stream) => {
                    pause = RETRY;
                    self.was_linked = true;
                    if matches!(self.carry(stream).await, End::Unwanted) {
                        return;
                    }
                }
                Attempt::Gone => {
                    let _ = self.context.inbox.reset(self.pid).await;
                    return;
                }
                Attempt::Silence => {
                    self.forget_queue();
                    if !self.is_wanted() {
                        return;
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(RETRY_MOST);
                }
            }
        }
    }

    async fn attempt(&self) -> Attempt {
        if self.is_cut() {
            return Attempt::Silence;
        }
        let outcome = timeout(CONNECT, self.connect()).await;
        // A cut that began meanwhile: nothing was heard through it.
        if self.is_cut() {
            return Attempt::Silence;
        }
        match outcome {
            Ok(Ok((stream, there))) if there.pid == self.pid && there.net == self.context.hello.hello().net => {
                Attempt::Linked(stream)
            }
            Ok(Ok((_, there))) => {
                log::debug!("{} has {} where {} was", self.addr, there.pid, self.pid);
                Attempt::Gone
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused && self.was_linked => Attempt::Gone,
            _ => Attempt::Silence,
        }
    }

    async fn connect(&self) -> io::Result<(TcpStream, LinkHello)> {
        let mut stream = TcpStream::connect(self.addr).await?;
        prepare(&stream)?;
        stream.write_all(&self.context.hello.hello().to_bytes()).await?;
        let there = LinkHello::read_after_magic(&mut stream).await?;
        Ok((stream, there))
    }

    /// Sends what is queued until the link breaks or is not wanted.
    async fn carry(&mut self, stream: TcpStream) -> End {
        let (mut read, mut write) = stream.into_split();
        let mut nothing = [0; 1];
        loop {
            let frame = tokio::select! {
                // The other side says nothing after its handshake: whatever can be read is the end.
                _ = read.read(&mut nothing) => return End::Broken,
                frame = self.queue.recv() => frame,
                () = sleep(IDLE), if !self.watched.load(Ordering::Relaxed) => None,
            };
            let Some(frame) = frame else { return End::Unwanted };
            self.waiting_bytes.fetch_sub(frame.len() - 4, Ordering::Relaxed);
            if self.context.faults.is_cut(self.addr, Direction::Out) {
                continue;
            }
            if !matches!(timeout(WRITE_PATIENCE, write.write_all(&frame)).await, Ok(Ok(()))) {
                return End::Broken;
            }
        }
    }

    /// What waited for a server that cannot be reached is lost, as the route says.
    fn forget_queue(&mut self) {
        while let Ok(frame) = self.queue.try_recv() {
            self.waiting_bytes.fetch_sub(frame.len() - 4, Ordering::Relaxed);
        }
    }

    fn is_wanted(&self) -> bool {
        self.watched.load(Ordering::Relaxed) && !self.queue.is_closed()
    }

    fn is_cut(&self) -> bool {
        [Direction::In, Direction::Out].iter().any(|&way| self.context.faults.is_cut(self.addr, way))
    }
}

/// Serves a connection that began like a link until it breaks.
pub(crate) async fn serve(mut stream: TcpStream, door: &Door, stranger: OwnedSemaphorePermit) {
    let Ok(from) = stream.peer_addr() else { return };
    let Ok(Ok(there)) = timeout(door.patience, LinkHello::read(&mut stream)).await else { return };
    drop(stranger);
    let source = SocketAddr::new(from.ip(), there.port);
    // Who we are is told even to who is wrong here: it learns that the one it looks for is gone.
    let told = timeout(door.patience, stream.write_all(&door.hello.hello().to_bytes())).await;
    if !matches!(told, Ok(Ok(()))) || there.net != door.hello.hello().net {
        return;
    }
    let (came, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(DELAYED);
    let read = async move {
        while let Ok(bytes) = read_frame(&mut stream, MAX_FRAME_BYTES).await {
            let is_lost = door.faults.is_cut(source, Direction::In);
            if !is_lost && came.send((Instant::now() + door.faults.delay(), bytes)).await.is_err() {
                return;
            }
        }
    };
    let hand_over = async move {
        while let Some((due, bytes)) = waiting.recv().await {
            sleep_until(due).await;
            if door.inbox.frame(there.pid, bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, hand_over);
}
