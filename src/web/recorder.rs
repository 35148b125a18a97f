//! The event records of all servers, for every browser that watches them: each server is asked once, however many they are.

use super::host::Shared;
use super::trace::{Names, document};
use crate::client::{AskError, Client};
use crate::ids::ServerId;
use crate::wire::session::{Answer, Query, Status};
use crate::wire::trace::RecordPage;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
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

/// The readers, one a server. Dropped, they end.
#[derive(Debug, Default)]
pub(super) struct Recorders {
    readers: BTreeMap<String, Sender<Infallible>>,
    heap: Arc<Mutex<Heap>>,
}

/// What was read and not told yet.
#[derive(Debug, Default)]
struct Heap {
    events: VecDeque<Value>,
    lost: BTreeMap<String, u64>,
    names: Names,
}

impl Recorders {
    /// Reads the record of every server that this status names and that can answer.
    pub(super) fn follow(&mut self, shared: &Arc<Shared>, status: &Status) {
        use crate::wire::session::ServerState::Unreachable;
        let wanted = status.servers.iter().filter(|server| server.state != Unreachable);
        let names: Vec<&str> = wanted.map(|server| server.name.as_str()).filter(|name| !name.is_empty()).collect();
        self.readers.retain(|name, _| names.contains(&name.as_str()));
        for name in names {
            if self.readers.len() >= MAX_SERVERS || self.readers.contains_key(name) {
                continue;
            }
            let (held, stop) = bounded(0);
            let (shared, heap, server) = (shared.clone(), self.heap.clone(), name.to_owned());
            let read = move || Reader::new(server, heap).read(&shared, &stop);
            match std::thread::Builder::new().name("web-record".to_owned()).spawn(read) {
                Ok(_) => _ = self.readers.insert(name.to_owned(), held),
                Err(error) => log::warn!("the record of a server is not read: {error}"),
            }
        }
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
    /// Which record: a server that starts anew begins another.
    record: Option<(ServerId, u64)>,
    after: u64,
}

impl Reader {
    fn new(name: String, heap: Arc<Mutex<Heap>>) -> Self {
        Self { name, heap, record: None, after: 0 }
    }

    fn read(&mut self, shared: &Shared, stop: &Receiver<Infallible>) {
        let client = match shared.client("recorder").server(&self.name).start() {
            Ok(client) => client,
            Err(error) => return log::warn!("the record of a server is not read: {error}"),
        };
        let mut pause = Duration::ZERO;
        while matches!(stop.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
            // Nobody reads this client's events but for what was asked.
            client.events().try_iter().for_each(drop);
            pause = match self.ask(&client) {
                Ok(true) => Duration::ZERO,
                Ok(false) | Err(AskError::TimedOut) => EVERY,
                Err(AskError::Ended) => return,
            };
        }
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
        self.heap.lock().unwrap_or_else(PoisonError::into_inner).take(&self.name, &page, lost);
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
