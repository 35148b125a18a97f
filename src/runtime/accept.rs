//! The listener: links and sessions come to the same port, and their first bytes tell them apart.

use super::archive::Question;
use super::frame::{Greeting, LINK_MAGIC};
use super::inbox::Inbox;
use super::{link, session};
use crate::net::FaultSwitch;
use crate::proto::io::SessionId;
use crate::proto::settings::MAX_SESSIONS;
use crossbeam_channel::Sender;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

/// Connections that have not said yet who they are; more are closed at once.
const MAX_STRANGERS: usize = 256;
/// Links from other servers; more are closed at once.
const MAX_LINKS: usize = 128;
/// How long a connection may take to say who it is.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept: it has no descriptors left, and some will be free again.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// What everyone who comes needs.
pub(crate) struct Door {
    /// The way to the protocol.
    pub(crate) inbox: Inbox,
    /// The way to who answers questions about history; bounded: over it the client is told to ask again.
    pub(crate) archive: Sender<Question>,
    /// Who this server is.
    pub(crate) hello: Greeting,
    /// What to lose, for the demonstration.
    pub(crate) faults: FaultSwitch,
    /// Sessions at once.
    pub(crate) sessions: Arc<Semaphore>,
    /// How long a connection may take to say who it is.
    pub(crate) patience: Duration,
    strangers: Arc<Semaphore>,
    links: Arc<Semaphore>,
    last_session: AtomicU64,
}

impl Door {
    /// A door that nobody has come through.
    pub(crate) fn new(inbox: Inbox, archive: Sender<Question>, hello: Greeting, faults: FaultSwitch) -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            inbox,
            archive,
            hello,
            faults,
            sessions: semaphore(MAX_SESSIONS),
            patience: HANDSHAKE,
            strangers: semaphore(MAX_STRANGERS),
            links: semaphore(MAX_LINKS),
            last_session: AtomicU64::new(0),
        }
    }

    /// A number that no other session had.
    pub(crate) fn next_session(&self) -> SessionId {
        SessionId(self.last_session.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Lets in who comes, for ever.
pub(crate) async fn accept(listener: TcpListener, door: Arc<Door>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Ok(stranger) = door.strangers.clone().try_acquire_owned() {
                    tokio::spawn(greet(stream, door.clone(), stranger));
                }
            }
            Err(error) => {
                log::warn!("cannot accept a connection: {error}");
                sleep(REFUSED_PAUSE).await;
            }
        }
    }
}

async fn greet(mut stream: TcpStream, door: Arc<Door>, stranger: OwnedSemaphorePermit) {
    let mut first = [0; 4];
    let begun = timeout(door.patience, stream.read_exact(&mut first)).await;
    if !matches!(begun, Ok(Ok(_))) || prepare(&stream).is_err() {
        return;
    }
    if first != LINK_MAGIC {
        return session::serve(stream, first, door, stranger).await;
    }
    if let Ok(_slot) = door.links.clone().try_acquire_owned() {
        link::serve(stream, &door, stranger).await;
    }
}

/// No waiting for more to send; and a peer that vanished is noticed some time.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    const ALIVE: socket2::TcpKeepalive =
        socket2::TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_keepalive(&ALIVE)
}
