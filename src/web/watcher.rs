//! The ring's state and its servers' event records, for every browser that watches: asked once, however many they are.

use super::document::status::{self, Document};
use super::document::to_json;
use super::host::Shared;
use super::outlet::Outlet;
use super::recorder::Recorders;
use crate::client::{AskError, Client};
use crate::wire::session::{Answer, Query, ServerState, Status};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often browsers are told what happened.
const TICK: Duration = Duration::from_millis(100);
/// How often servers are asked for their state: each so many ticks.
const STATUS_TICKS: u32 = 10;
/// How long an answer may take; then it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so many questions without a browser the watcher rests.
const ROUNDS: u32 = 10;

/// Browsers, and what each wants to know.
#[derive(Debug, Default)]
pub(super) struct Watcher(Mutex<Watching>);

#[derive(Debug, Default)]
struct Watching {
    browsers: Vec<Browser>,
    /// Whether the thread runs.
    runs: bool,
}

#[derive(Debug)]
struct Browser {
    outlet: Outlet,
    status: bool,
    trace: bool,
}

impl Watcher {
    /// A browser is here: told of pages from now on, and of what it asks for. Starts the thread where it rests.
    pub(super) fn join(shared: &Arc<Shared>, outlet: &Outlet) {
        let mut watching = shared.watcher.lock();
        watching.browsers.push(Browser { outlet: outlet.clone(), status: false, trace: false });
        if watching.runs {
            return;
        }
        let shared = shared.clone();
        let watch = move || {
            let stop = shared.stop.clone();
            Round::new(&shared).watch(&stop);
        };
        let started = std::thread::Builder::new().name("web-watch".to_owned()).spawn(watch);
        watching.runs = started.map_err(|error| log::warn!("nothing is watched: {error}")).is_ok();
    }

    /// What a browser wants to be told.
    pub(super) fn watch(&self, outlet: &Outlet, status: bool, trace: bool) {
        let mut watching = self.lock();
        for browser in watching.browsers.iter_mut().filter(|browser| browser.outlet.is(outlet)) {
            (browser.status, browser.trace) = (status, trace);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watching> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to everyone who wants it and is not behind.
    fn tell(&self, document: &Value, wants: impl Fn(&Browser) -> bool) {
        let text: axum::extract::ws::Utf8Bytes = to_json(document).into();
        for browser in self.lock().browsers.iter().filter(|browser| wants(browser)) {
            browser.outlet.try_tell(text.clone());
        }
    }

    fn any(&self, wants: impl Fn(&Browser) -> bool) -> bool {
        let mut watching = self.lock();
        watching.browsers.retain(|browser| !browser.outlet.is_closed());
        watching.browsers.iter().any(wants)
    }

    /// Whether nobody is left; then the next to come starts a new thread.
    fn ends(&self) -> bool {
        let mut watching = self.lock();
        watching.runs = !watching.browsers.is_empty();
        !watching.runs
    }
}

/// The thread's state.
struct Round<'a> {
    shared: &'a Arc<Shared>,
    client: Option<Client>,
    recorders: Recorders,
    ticks: u32,
    idle: u32,
}

impl<'a> Round<'a> {
    fn new(shared: &'a Arc<Shared>) -> Self {
        Self { shared, client: None, recorders: Recorders::default(), ticks: 0, idle: 0 }
    }

    fn watch(&mut self, stop: &Receiver<Infallible>) {
        loop {
            match stop.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return,
            }
            if let Some(batch) = self.recorders.batch() {
                self.shared.watcher.tell(&batch, |browser| browser.trace);
            }
            self.ticks += 1;
            if !self.ticks.is_multiple_of(STATUS_TICKS) {
                continue;
            }
            self.idle = if self.shared.watcher.any(|_| true) { 0 } else { self.idle + 1 };
            if self.idle >= ROUNDS && self.shared.watcher.ends() {
                return;
            }
            self.ask();
        }
    }

    fn ask(&mut self) {
        if self.client.is_none() {
            match self.shared.client("watcher").start() {
                Ok(client) => self.client = Some(client),
                Err(error) => return log::warn!("nothing is watched: {error}"),
            }
        }
        let Some(client) = &self.client else { return };
        // Nobody reads this client's events but for what was asked.
        client.events().try_iter().for_each(drop);
        match client.ask(Query::Status, PATIENCE) {
            Ok(Answer::Status(status)) => self.told(&status),
            Ok(_) | Err(AskError::TimedOut) => {}
            Err(AskError::Ended) => self.client = None,
        }
    }

    fn told(&mut self, status: &Status) {
        if self.shared.watcher.any(|browser| browser.trace) {
            self.recorders.follow(self.shared, status);
        } else {
            self.recorders.rest();
        }
        if self.shared.learn(status) {
            self.shared.watcher.tell(&json!({ "event": "pages", "pages": self.shared.urls() }), |_| true);
        }
        let document = told_by_all(status, &self.recorders.apart());
        self.shared.watcher.tell(&document, |browser| browser.status);
    }
}

/// The document of the ring's state. Whom the server that told it does not hear is shown as it says itself, if it does.
fn told_by_all(status: &Status, apart: &BTreeMap<String, Status>) -> Value {
    let mut document = json!({ "event": "status" });
    if let (Value::Object(document), Ok(Value::Object(fields))) =
        (&mut document, serde_json::to_value(Document::of(status)))
    {
        document.extend(fields);
    }
    for (name, own) in apart {
        let Some(line) = status::apart(name, own) else { continue };
        let told = status.servers.iter().position(|server| server.name == *name);
        if told.is_some_and(|at| status.servers[at].state != ServerState::Unreachable) {
            continue;
        }
        document["healthy"] = false.into();
        push(&mut document["problems"], format!("{name} is in another ring").into());
        match told {
            Some(at) => document["servers"][at] = line,
            // It was forgotten already.
            None => push(&mut document["servers"], line),
        }
    }
    document
}

fn push(list: &mut Value, value: Value) {
    if let Value::Array(list) = list {
        list.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EpochId, Pid, ServerId};
    use crate::wire::session::ServerStatus;

    fn server(id: u64, name: &str, state: ServerState) -> ServerStatus {
        ServerStatus {
            name: name.into(),
            pid: Pid { server: ServerId(id), ..Pid::default() },
            addr: ([127, 0, 0, 1], 8285).into(),
            state,
            multicast: true,
            stable: 0,
            lag: 0,
            clients: 0,
            nacks_per_min: 0,
            loss_per_mille: 0,
            head: 0,
            have: 0,
            page: None,
        }
    }

    fn told_by(id: u64, num: u64, servers: Vec<ServerStatus>) -> Status {
        let answered_by = Pid { server: ServerId(id), ..Pid::default() };
        Status { answered_by, epoch: Some(EpochId { num, ..EpochId::default() }), servers, ..Status::default() }
    }

    #[test]
    fn server_beyond_a_cut_is_shown_as_it_says_itself_and_the_ring_is_not_healthy() {
        use ServerState::{Leader, Unreachable};
        let here = told_by(1, 7, vec![server(1, "oak", Leader), server(2, "elm", Unreachable)]);
        let there = told_by(2, 9, vec![server(1, "oak", Unreachable), server(2, "elm", Leader)]);
        let document = told_by_all(&here, &BTreeMap::from([("elm".to_owned(), there.clone())]));
        let (oak, elm) = (&document["servers"][0], &document["servers"][1]);
        assert_eq!((&oak["state"], &elm["state"]), (&"leader".into(), &"leader".into()));
        assert_eq!((&elm["epoch"], &elm["apart"], oak.get("apart")), (&9.into(), &true.into(), None));
        assert_eq!((&document["epoch"], &document["healthy"]), (&7.into(), &false.into()));
        // One that is forgotten already is told as well.
        let forgotten = told_by(1, 7, vec![server(1, "oak", Leader)]);
        let document = told_by_all(&forgotten, &BTreeMap::from([("elm".to_owned(), there.clone())]));
        assert_eq!((&document["servers"][1]["state"], &document["healthy"]), (&"leader".into(), &false.into()));
        assert_eq!(document["problems"], json!(["elm is in another ring"]));
        // Another of that name, or nobody: as it was told.
        let document = told_by_all(&here, &BTreeMap::from([("oak".to_owned(), there)]));
        assert_eq!(document["servers"][1]["state"], "unreachable");
        assert_eq!(document["servers"].as_array().map(Vec::len), Some(2));
    }
}
