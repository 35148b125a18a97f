//! The ring's state and its servers' event records, for every browser that watches: asked once, however many they are.

use super::document::status::Document;
use super::document::to_json;
use super::host::Shared;
use super::outlet::Outlet;
use super::recorder::Recorders;
use crate::client::{AskError, Client};
use crate::wire::session::{Answer, Query, Status};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde_json::{Value, json};
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
        let mut document = json!({ "event": "status" });
        if let (Value::Object(document), Ok(Value::Object(fields))) =
            (&mut document, serde_json::to_value(Document::of(status)))
        {
            document.extend(fields);
        }
        self.shared.watcher.tell(&document, |browser| browser.status);
    }
}
