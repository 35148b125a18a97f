//! What an application holds of a running client.

use super::builder::Builder;
use super::driver::{Order, random};
use super::error::{AskError, ConnectError, OpenError, SendError};
use crate::ids::{ClientId, MessageId, RecordKey};
use crate::proto::client::{Command, Draft, Event, Notice, Progress, SubmitError};
use crate::record::Kind;
use crate::wire::session::{Answer, Query};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::BTreeSet;
use std::fmt;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Tells why the client ended by itself, once.
type Failure = Box<dyn Fn() -> Option<OpenError> + Send + Sync>;

/// A running client. It ends, with a goodbye, when this is closed or dropped.
///
/// All methods take `&self` and may be used from several threads.
pub struct Client {
    id: ClientId,
    interface: String,
    kept: BTreeSet<MessageId>,
    orders: Sender<Order>,
    events: Receiver<Event>,
    notices: Receiver<Notice>,
    failure: Failure,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Client({} on {})", self.id, self.interface)
    }
}

/// A message under way; [`Receipt::wait`] says when it is history.
#[derive(Debug)]
pub struct Receipt {
    id: MessageId,
    progress: Receiver<Progress>,
}

/// Where a message is, and on how many disks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stable {
    /// The message.
    pub id: MessageId,
    /// Its place in history.
    pub key: RecordKey,
    /// Servers known to have it on disk.
    pub copies: u16,
    /// Servers in the view.
    pub of: u16,
}

impl Client {
    /// How a client is to be.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn new(
        id: ClientId,
        interface: String,
        kept: BTreeSet<MessageId>,
        channels: (Sender<Order>, Receiver<Event>, Receiver<Notice>),
        failure: Failure,
        thread: JoinHandle<()>,
    ) -> Self {
        let (orders, events, notices) = channels;
        Self { id, interface, kept, orders, events, notices, failure, thread: Some(thread) }
    }

    /// Its id, kept with the outbox file.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The name of the interface it talks on.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// What was said before it began, by its outbox file, and was not acknowledged then.
    pub fn kept(&self) -> &BTreeSet<MessageId> {
        &self.kept
    }

    /// What happens. Disconnected once the client has ended.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Why the client ended by itself, if it did: its outbox could not be written.
    pub fn failure(&self) -> Option<OpenError> {
        (self.failure)()
    }

    /// Makes a message and tells its id; how far it gets comes as [`Event::Progress`].
    ///
    /// # Errors
    /// [`SubmitError`]; the message was not taken. `Full` passes: read events until one got further.
    pub fn submit(&self, draft: Draft) -> Result<MessageId, SubmitError> {
        self.order_submit(draft, None)
    }

    /// Says something in a room. How far it gets comes to the receipt, not to [`Client::events`].
    ///
    /// # Errors
    /// [`SendError::Submit`]; the message was not taken.
    pub fn say(&self, room: &str, text: &str) -> Result<Receipt, SendError> {
        self.send(Draft { room: room.to_owned(), kind: Kind::Text, body: text.to_owned() })
    }

    /// Makes a message of any kind. How far it gets comes to the receipt, not to [`Client::events`].
    ///
    /// # Errors
    /// [`SendError::Submit`]; the message was not taken.
    pub fn send(&self, draft: Draft) -> Result<Receipt, SendError> {
        // Queued, accepted, stable or rejected: never more.
        let (told, progress) = bounded(4);
        let id = self.order_submit(draft, Some(told))?;
        Ok(Receipt { id, progress })
    }

    /// Gives a command; an answer to a query comes as [`Event::Answer`]. Tags are below 2^63.
    pub fn command(&self, command: Command) {
        // A client that has ended has nothing to do.
        _ = self.orders.send(Order::Command(command));
    }

    /// The application keeps all messages up to this one: they may go to a server; see [`Builder::keeper`].
    pub fn saved(&self, cseq: u64) {
        // A client that has ended has nothing to send.
        _ = self.orders.send(Order::Saved { cseq });
    }

    /// Asks and waits for the answer, which does not come to [`Client::events`].
    ///
    /// # Errors
    /// [`AskError`].
    pub fn ask(&self, query: Query, timeout: Duration) -> Result<Answer, AskError> {
        let (told, answer) = bounded(1);
        let tag = random() | 1 << 63;
        self.orders.send(Order::Ask { tag, query, told }).map_err(|_| AskError::Ended)?;
        answer.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Disconnected => AskError::Ended,
            RecvTimeoutError::Timeout => {
                _ = self.orders.send(Order::Forget { tag });
                AskError::TimedOut
            }
        })
    }

    /// Waits until a session stands, for the first time; tells the server's name.
    ///
    /// # Errors
    /// [`ConnectError`] after `timeout`. The client searches on.
    pub fn wait_for_home(&self, timeout: Duration) -> Result<String, ConnectError> {
        #[expect(clippy::disallowed_methods, reason = "a caller's time limit")]
        let deadline = Instant::now() + timeout;
        let (mut nets, mut worst) = (Vec::new(), None);
        loop {
            match self.notices.recv_deadline(deadline) {
                Ok(Notice::Home { server, .. } | Notice::Moved { to: server, .. }) => return Ok(server),
                Ok(Notice::Elsewhere { net, server }) => nets.push((net, server)),
                Ok(Notice::OtherVersion { addr, version }) => {
                    worst = Some(ConnectError::OtherVersion { addr, version });
                }
                Ok(Notice::ReadOnly { server }) => {
                    worst = Some(ConnectError::Refused { server, why: crate::wire::session::Refusal::ReadOnly });
                }
                Ok(Notice::Refused { server, why }) => worst = Some(ConnectError::Refused { server, why }),
                Ok(_) => {}
                Err(_) if worst.is_some() || nets.is_empty() => return Err(worst.unwrap_or(ConnectError::NoServer)),
                Err(_) => return Err(ConnectError::Elsewhere { nets }),
            }
        }
    }

    /// Says goodbye and ends. What is not acknowledged stays in the outbox file, if there is one.
    pub fn close(mut self) {
        self.end();
    }

    fn order_submit(&self, draft: Draft, told: Option<Sender<Progress>>) -> Result<MessageId, SubmitError> {
        let (answer, answered) = bounded(1);
        self.orders.send(Order::Submit { draft, told, answer }).map_err(|_| SubmitError::Closed)?;
        answered.recv().unwrap_or(Err(SubmitError::Closed))
    }

    fn end(&mut self) {
        self.command(Command::Close);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the client's thread broke");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

impl Receipt {
    /// The message's id.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// The next step the message makes, for `select!`; disconnected when it is stable, rejected or the client ended.
    pub fn progress(&self) -> &Receiver<Progress> {
        &self.progress
    }

    /// Waits until it is history.
    ///
    /// # Errors
    /// [`SendError`]; after `Pending` one may wait again.
    pub fn wait(&self, timeout: Duration) -> Result<Stable, SendError> {
        #[expect(clippy::disallowed_methods, reason = "a caller's time limit")]
        let deadline = Instant::now() + timeout;
        loop {
            match self.progress.recv_deadline(deadline) {
                Ok(Progress::Stable { key, copies, of }) => return Ok(Stable { id: self.id, key, copies, of }),
                Ok(Progress::Rejected(why)) => return Err(SendError::Rejected(why)),
                Ok(Progress::Queued | Progress::Accepted) => {}
                Err(RecvTimeoutError::Timeout) => return Err(SendError::Pending),
                Err(RecvTimeoutError::Disconnected) => return Err(SendError::Ended),
            }
        }
    }
}
