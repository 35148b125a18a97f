//! The event records of all servers, for every browser that watches them: each server is asked once, however many they are.

use super::host::Shared;
use super::trace::{Names, document};
use crate::client::{AskError, Client};
use crate::ids::ServerId;
use crate::wire::session::{Answer, Query, ServerState, Status};
use crate::wire::trace::RecordPage;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Servers whose records are read at once; others' are not.
const MAX_SERVERS: usize = 16;
/// Events in one batch for browsers.
const MAX_BATCH: usize = 2000;
/// Events that wait for the next batch; of more, the oldest are lost.
const MAX_EVENTS: usize = 8 * MAX_BATCH;
/// Events of one page.
const PAGE: u32 = 500;
/// The time between two questions to one server that had nothing more to tell.
const EVERY: Duration = Duration::from_millis(100);
/// How long an answer may take; then it is asked again, wherever the server is now.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so many questions in a row that were not answered a reader rests until its server is heard again: looking for one
/// that is dead costs others a datagram a second.
const MAX_UNANSWERED: u32 = 30;

/// The readers, one a server. Dropped, they end.
#[derive(Debug, Default)]
pub(super) struct Recorders {
    readers: BTreeMap<String, Follower>,
    heap: Arc<Mutex<Heap>>,
}

/// A reader's thread.
#[derive(Debug)]
struct Follower {
    /// Dropped, the reader ends.
    _held: Sender<Infallible>,
    thread: JoinHandle<()>,
    /// Whether the server that tells of the ring does not hear this one, which may live on the other side of a cut.
    is_apart: Arc<AtomicBool>,
}

/// What was read and not told yet.
#[derive(Debug, Default)]
struct Heap {
    events: VecDeque<Value>,
    lost: BTreeMap<String, u64>,
    names: Names,
    /// What servers that are apart say of their ring, since it was last taken.
    apart: BTreeMap<String, Status>,
}

impl Recorders {
    /// Reads the record of every server that this status or another's record names. Whom the server that told the status does
    /// not hear is apart: dead, or in another ring beyond a cut, where clients reach it as before.
    pub(super) fn follow(&mut self, shared: &Arc<Shared>, status: &Status) {
        let heard = status.servers.iter().filter(|server| server.state != ServerState::Unreachable);
        let heard: BTreeSet<String> = heard.map(|server| server.name.clone()).collect();
        let mut named: Vec<String> = status.servers.iter().map(|server| server.name.clone()).collect();
        named.extend(self.lock().names.all().map(str::to_owned));
        named.retain(|name| !name.is_empty());
        // At the bound those that are heard come first.
        named.sort_by_key(|name| !heard.contains(name));
        for name in named {
            let is_apart = !heard.contains(&name);
            if let Some(reader) = self.readers.get(&name) {
                reader.is_apart.store(is_apart, Ordering::Relaxed);
                if is_apart || !reader.thread.is_finished() {
                    continue;
                }
            } else if self.readers.values().filter(|reader| !reader.thread.is_finished()).count() >= MAX_SERVERS {
                continue;
            }
            match Follower::start(shared, &self.heap, &name, is_apart) {
                Ok(reader) => _ = self.readers.insert(name, reader),
                Err(error) => log::warn!("the record of a server is not read: {error}"),
            }
        }
    }

    /// What servers that are apart have said of their ring since they were last asked for it, by name.
    pub(super) fn apart(&self) -> BTreeMap<String, Status> {
        std::mem::take(&mut self.lock().apart)
    }

    /// Nobody watches any more.
    pub(super) fn rest(&mut self) {
        self.readers.clear();
        *self.lock() = Heap::default();
    }

    /// The next batch; `None` when nothing happened.
    pub(super) fn batch(&self) -> Option<Value> {
        let mut heap = self.lock();
        if heap.events.is_empty() && heap.lost.is_empty() {
            return None;
        }
        let count = heap.events.len().min(MAX_BATCH);
        let events: Vec<Value> = heap.events.drain(..count).collect();
        let lost: Map<String, Value> =
            std::mem::take(&mut heap.lost).into_iter().map(|(server, lost)| (server, lost.into())).collect();
        Some(json!({ "event": "trace", "events": events, "lost": lost }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heap> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    fn start(shared: &Arc<Shared>, heap: &Arc<Mutex<Heap>>, server: &str, is_apart: bool) -> io::Result<Self> {
        let (held, stop) = bounded(0);
        let is_apart = Arc::new(AtomicBool::new(is_apart));
        let shared = shared.clone();
        let mut reader = Reader::new(server.to_owned(), heap.clone(), is_apart.clone());
        let thread =
            std::thread::Builder::new().name("web-record".to_owned()).spawn(move || reader.read(&shared, &stop))?;
        Ok(Self { _held: held, thread, is_apart })
    }
}

impl Heap {
    fn take(&mut self, server: &str, page: &RecordPage, lost: u64) {
        self.names.learn(&page.names);
        if lost > 0 {
            *self.lost.entry(server.to_owned()).or_default() += lost;
        }
        for event in &page.events {
            if self.events.len() >= MAX_EVENTS
                && let Some(oldest) = self.events.pop_front()
            {
                let of = oldest["server"].as_str().unwrap_or_default().to_owned();
                *self.lost.entry(of).or_default() += 1;
            }
            self.events.push_back(document(page.server, event, &self.names));
        }
    }
}

/// Reads one server's record.
struct Reader {
    name: String,
    heap: Arc<Mutex<Heap>>,
    is_apart: Arc<AtomicBool>,
    /// Which record: a server that starts anew begins another.
    record: Option<(ServerId, u64)>,
    after: u64,
}

impl Reader {
    fn new(name: String, heap: Arc<Mutex<Heap>>, is_apart: Arc<AtomicBool>) -> Self {
        Self { name, heap, is_apart, record: None, after: 0 }
    }

    fn read(&mut self, shared: &Shared, stop: &Receiver<Infallible>) {
        let client = match shared.client("recorder").server(&self.name).start() {
            Ok(client) => client,
            Err(error) => return log::warn!("the record of a server is not read: {error}"),
        };
        let (mut pause, mut unanswered) = (Duration::ZERO, 0);
        while unanswered < MAX_UNANSWERED && matches!(stop.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
            // Nobody reads this client's events but for what was asked.
            client.events().try_iter().for_each(drop);
            let asked = self.ask(&client).and_then(|more| self.ask_ring(&client).map(|()| more));
            unanswered = if matches!(asked, Err(AskError::TimedOut)) { unanswered + 1 } else { 0 };
            pause = match asked {
                Ok(true) => Duration::ZERO,
                Ok(false) | Err(AskError::TimedOut) => EVERY,
                Err(AskError::Ended) => return,
            };
        }
    }

    /// Asks a server that is apart for the ring it is in, once what it said before was taken.
    fn ask_ring(&self, client: &Client) -> Result<(), AskError> {
        if !self.is_apart.load(Ordering::Relaxed) || self.lock().apart.contains_key(&self.name) {
            return Ok(());
        }
        if let Answer::Status(status) = client.ask(Query::Status, PATIENCE)? {
            self.lock().apart.insert(self.name.clone(), *status);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heap> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a page; whether there is more at once.
    fn ask(&mut self, client: &Client) -> Result<bool, AskError> {
        let Answer::Record(page) = client.ask(Query::Record { after: self.after, limit: PAGE }, PATIENCE)? else {
            return Ok(false);
        };
        let record = Some((page.server, page.began_us));
        if self.record.is_some() && self.record != record {
            // Another life: from its beginning, which was not asked for.
            (self.record, self.after) = (record, 0);
            return Ok(true);
        }
        // What was forgotten before anyone watched is no loss.
        let lost = if self.record.is_some() { page.lost } else { 0 };
        let more = page.events.len() as u32 >= PAGE;
        (self.record, self.after) = (record, page.next);
        self.lock().take(&self.name, &page, lost);
        Ok(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::trace::{TraceEvent, What};

    #[test]
    fn events_that_nobody_takes_are_bounded_and_counted_as_lost() {
        let recorders = Recorders::default();
        let event = |seq| TraceEvent { seq, at_us: 1, what: What::Stable { epoch: 1, upto: seq } };
        let names = vec![(ServerId(7), "oak".to_owned())];
        let events = (1..=MAX_EVENTS as u64 + 3).map(event).collect();
        let page = RecordPage { server: ServerId(7), names, events, ..RecordPage::default() };
        recorders.lock().take("oak", &page, 2);
        let batch = recorders.batch().unwrap();
        assert_eq!((&batch["lost"]["oak"], &batch["events"][0]["seq"]), (&5.into(), &4.into()));
        assert_eq!(batch["events"].as_array().unwrap().len(), MAX_BATCH);
        assert_eq!(recorders.batch().unwrap()["lost"], json!({}));
    }
}
