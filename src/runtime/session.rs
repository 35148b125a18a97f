//! A client's session: its requests in, its replies out, both bounded.

use super::accept::Door;
use super::archive;
use super::frame::{read_body, read_frame};
use super::inbox::Closed;
use crate::ids::ClientId;
use crate::proto::io::SessionId;
use crate::proto::settings::BACKLOG_BYTES;
use crate::wire::session::{Answer, MAX_FRAME_BYTES, Query, Refusal, Reply, Request, decode, encode};
use socket2::SockRef;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

/// Replies that wait for a client; one more and it is cut off.
const QUEUE: usize = 4096;
/// Bytes of replies that wait for a client, about; more and it is cut off.
const QUEUE_BYTES: usize = 16 << 20;
/// How long a client may take to accept one reply.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// The way to one client. Clones are the same way.
#[derive(Clone)]
pub(crate) struct Line {
    queue: mpsc::Sender<Say>,
    waiting_bytes: Arc<AtomicUsize>,
    /// Whether the protocol wants to know when the client has taken most of it.
    awaited: Arc<AtomicBool>,
    cut: Arc<Notify>,
}

enum Say {
    Reply(Box<Reply>),
    End,
}

impl Line {
    /// A way, with what its writer needs.
    fn new() -> (Self, mpsc::Receiver<Say>) {
        let (queue, replies) = mpsc::channel(QUEUE);
        let (waiting_bytes, awaited, cut) = (Arc::default(), Arc::default(), Arc::default());
        (Self { queue, waiting_bytes, awaited, cut }, replies)
    }

    /// Queues a reply. A client whose queue is full is cut off: it reads history when it comes back.
    pub(crate) fn say(&self, reply: Reply) {
        let bytes = weight(&reply);
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::SeqCst);
        if waiting + bytes > QUEUE_BYTES || self.queue.try_send(Say::Reply(Box::new(reply))).is_err() {
            self.cut.notify_one();
        }
    }

    /// Whether the client has so much to take that its backlog waits. Then [`Inbox::drained`](super::inbox::Inbox::drained)
    /// tells, once, when it has not any more.
    pub(crate) fn is_behind(&self) -> bool {
        if !self.has_much() {
            return false;
        }
        self.awaited.store(true, Ordering::SeqCst);
        // The writer may have been faster; whoever takes the flag back acts on it.
        self.has_much() || !self.awaited.swap(false, Ordering::SeqCst)
    }

    fn has_much(&self) -> bool {
        self.waiting_bytes.load(Ordering::SeqCst) > BACKLOG_BYTES
    }

    /// Whether the protocol waited for what the client has taken by now.
    fn has_drained(&self) -> bool {
        !self.has_much() && self.awaited.swap(false, Ordering::SeqCst)
    }

    /// Ends the session after what was said before.
    pub(crate) fn end(&self) {
        if self.queue.try_send(Say::End).is_err() {
            self.cut.notify_one();
        }
    }
}

/// About how many bytes a reply has, without encoding it.
fn weight(reply: &Reply) -> usize {
    const FIXED: usize = 128;
    let variable = match reply {
        Reply::Feed { records, .. } => records.iter().map(|record| FIXED + record.message.body.len()).sum(),
        Reply::Entries { entries, .. } => entries.iter().map(|entry| FIXED + entry.batch.len()).sum(),
        Reply::Answer { answer: Answer::Page { records, .. }, .. } => {
            records.iter().map(|(record, _)| FIXED + record.message.body.len()).sum()
        }
        Reply::Answer { answer: Answer::Record(page), .. } => page.events.len() * 2 * FIXED,
        Reply::View(_) | Reply::Welcome(_) | Reply::Answer { .. } => 16 * FIXED,
        _ => 0,
    };
    FIXED + variable
}

/// Serves a connection that began like a session, with these four bytes, until either side ends it.
pub(crate) async fn serve(stream: TcpStream, first: [u8; 4], door: Arc<Door>, stranger: OwnedSemaphorePermit) {
    if let Err(error) = SockRef::from(&stream).set_send_buffer_size(BACKLOG_BYTES) {
        log::debug!("a session keeps the send buffer that the system gives it: {error}");
    }
    let (mut read, write) = stream.into_split();
    let Ok(Ok(body)) = timeout(door.patience, read_body(&mut read, first, MAX_FRAME_BYTES)).await else { return };
    drop(stranger);
    let Some(Request::Hello(hello)) = decode::<Request>(&body) else {
        return refuse(write, Refusal::Malformed).await;
    };
    let Ok(slot) = door.sessions.clone().try_acquire_owned() else {
        return refuse(write, Refusal::Full).await;
    };
    let session = door.next_session();
    let (line, replies) = Line::new();
    let client = hello.client;
    let opened = door.inbox.opened(session, line.clone());
    if opened.is_ok() && door.inbox.request(session, Request::Hello(hello)).await.is_ok() {
        let cut = line.cut.clone();
        let taken = Taken { session, line: line.clone(), door: door.clone() };
        tokio::select! {
            () = write_replies(write, replies, taken) => {}
            () = cut.notified() => log::debug!("session {} cut: its client is too slow", session.0),
            () = read_requests(read, session, client, line, &door) => {}
        }
    }
    // Nobody listens any more only when the whole server ends.
    let _ = door.inbox.ended(session, slot);
}

async fn refuse(mut write: OwnedWriteHalf, why: Refusal) {
    let _ = timeout(WRITE_PATIENCE, write.write_all(&encode(&Reply::Refused(why)))).await;
}

/// Until the client is gone, says nonsense, or says goodbye.
async fn read_requests(mut read: OwnedReadHalf, session: SessionId, client: ClientId, line: Line, door: &Door) {
    while let Ok(body) = read_frame(&mut read, MAX_FRAME_BYTES).await {
        let Some(request) = decode::<Request>(&body) else {
            line.say(Reply::Refused(Refusal::Malformed));
            line.end();
            return std::future::pending().await;
        };
        let bye = request == Request::Bye;
        if hand_over(request, session, client, &line, door).await.is_err() || bye {
            return;
        }
    }
}

/// Questions about history go to the archive, everything else to the protocol. The rooms are both's: the protocol tells who is
/// in them, and on the way out [`Outlets`](super::outlets::Outlets) has the archive add what was said there.
async fn hand_over(
    request: Request,
    session: SessionId,
    client: ClientId,
    line: &Line,
    door: &Door,
) -> Result<(), Closed> {
    let (tag, mut query) = match request {
        Request::Query { tag, query: query @ (Query::History(_) | Query::Search { .. } | Query::Place(_)) } => {
            (tag, query)
        }
        other => return door.inbox.request(session, other).await,
    };
    if let Query::History(within) | Query::Search { within, .. } = &mut query {
        // A client reads its own one-to-one messages, nobody else's.
        within.reader = within.reader.and(Some(client));
    }
    let answer_to = line.clone();
    archive::ask(&door.archive, query, move |answer| answer_to.say(Reply::Answer { tag, answer }));
    Ok(())
}

/// Where it is noted what a client has taken.
struct Taken {
    session: SessionId,
    line: Line,
    door: Arc<Door>,
}

impl Taken {
    fn note(&self, bytes: usize) {
        self.line.waiting_bytes.fetch_sub(bytes, Ordering::SeqCst);
        if self.line.has_drained() {
            // Nobody listens any more only when the whole server ends.
            let _ = self.door.inbox.drained(self.session);
        }
    }
}

/// Until the session is to end, or the client does not take what is said to it.
async fn write_replies(mut write: OwnedWriteHalf, mut replies: mpsc::Receiver<Say>, taken: Taken) {
    while let Some(Say::Reply(reply)) = replies.recv().await {
        let bytes = weight(&reply);
        let written = timeout(WRITE_PATIENCE, write.write_all(&encode(&*reply))).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
        taken.note(bytes);
    }
    let _ = timeout(WRITE_PATIENCE, write.shutdown()).await;
}
