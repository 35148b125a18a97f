//! The way from TCP into the protocol's thread: bounded, each kind by permits of its own, and never blocking.
//!
//! Whoever reads a connection takes a permit before it hands something over, and the permit is given back when the
//! protocol has dealt with it. So a full inbox stops the reading, TCP stops the sender, and links cannot crowd out clients
//! nor clients the links.

use super::session::Line;
use crate::ids::Pid;
use crate::proto::io::SessionId;
use crate::proto::settings::MAX_SESSIONS;
use crate::wire::session::Request;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames of links that wait; each is at most 1 MiB.
const FRAMES: usize = 32;
/// Requests of clients that wait, of all sessions together.
const REQUESTS: usize = 1024;
/// Resets that wait: there are no more links than this.
const RESETS: usize = 128;

/// Something that came over TCP.
pub(crate) enum Said {
    /// A client is there: what answers it.
    Opened(SessionId, Line),
    /// A client said this.
    Request(SessionId, Box<Request>),
    /// A client has taken most of what waited for it.
    Drained(SessionId),
    /// A client is gone.
    Ended(SessionId),
    /// A server said this.
    Frame(Pid, Vec<u8>),
    /// A server's process is gone.
    Reset(Pid),
}

/// What came, with the permit that goes back when it is dropped.
pub(crate) struct Talk {
    /// What came.
    pub(crate) said: Said,
    _permit: Option<OwnedSemaphorePermit>,
}

/// The protocol is gone: nobody listens any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Closed;

/// Hands things to the protocol's thread. Clones share the bounds.
#[derive(Clone)]
pub(crate) struct Inbox {
    sender: Sender<Talk>,
    frames: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    resets: Arc<Semaphore>,
}

impl Inbox {
    /// An inbox and what the protocol reads.
    pub(crate) fn new() -> (Self, Receiver<Talk>) {
        // Room for every permit there is, and for three words of every session: of its draining nothing is said again before the
        // protocol has heard it.
        let (sender, receiver) = bounded(FRAMES + REQUESTS + RESETS + 3 * MAX_SESSIONS);
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        let inbox =
            Self { sender, frames: semaphore(FRAMES), requests: semaphore(REQUESTS), resets: semaphore(RESETS) };
        (inbox, receiver)
    }

    /// A frame of a link, once there is room.
    pub(crate) async fn frame(&self, from: Pid, bytes: Vec<u8>) -> Result<(), Closed> {
        self.put(Said::Frame(from, bytes), Some(permit(&self.frames).await?))
    }

    /// A request of a client, once there is room.
    pub(crate) async fn request(&self, session: SessionId, request: Request) -> Result<(), Closed> {
        self.put(Said::Request(session, Box::new(request)), Some(permit(&self.requests).await?))
    }

    /// A process is gone.
    pub(crate) async fn reset(&self, pid: Pid) -> Result<(), Closed> {
        self.put(Said::Reset(pid), Some(permit(&self.resets).await?))
    }

    /// A client is there.
    pub(crate) fn opened(&self, session: SessionId, line: Line) -> Result<(), Closed> {
        self.put(Said::Opened(session, line), None)
    }

    /// A client has taken most of what waited for it.
    pub(crate) fn drained(&self, session: SessionId) -> Result<(), Closed> {
        self.put(Said::Drained(session), None)
    }

    /// A client is gone; its slot is free once the protocol knows.
    pub(crate) fn ended(&self, session: SessionId, slot: OwnedSemaphorePermit) -> Result<(), Closed> {
        self.put(Said::Ended(session), Some(slot))
    }

    fn put(&self, said: Said, permit: Option<OwnedSemaphorePermit>) -> Result<(), Closed> {
        self.sender.try_send(Talk { said, _permit: permit }).map_err(|_| Closed)
    }
}

async fn permit(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Closed> {
    of.clone().acquire_owned().await.map_err(|_| Closed)
}
