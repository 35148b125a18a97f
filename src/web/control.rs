//! The page's hold on a demo: what it asks to be done, and what the demo shows to every page.
//!
//! ```
//! use ringtalk::web::control::{self, Refused};
//! use serde_json::json;
//!
//! let (controls, controller) = control::channel();
//! controls.show(&json!({ "event": "tale", "at": "2026-11-20T14:05:01.220Z", "text": "oak leads: it has the greatest id" }));
//! // `controller` goes to the web host; a demo waits for `controls.requests()` in its `select!`:
//! # drop(controller);
//! if let Ok(control) = controls.requests().recv() {
//!     match control.action() {
//!         "heal" => control.done(),
//!         _ => control.refuse(Refused::new("unknown_action", "a demo does not know this")),
//!     }
//! }
//! ```

use super::document::to_json;
use super::outlet::Outlet;
use axum::extract::ws::Utf8Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Requests that wait for the demo; more are refused with the code `busy`.
const MAX_REQUESTS: usize = 32;
/// Lines of the commentary that a page which comes later is shown.
const MAX_TALES: usize = 200;

/// The demo's end and the web host's end of one hold.
pub fn channel() -> (Controls, Controller) {
    let (ask, requests) = bounded(MAX_REQUESTS);
    let board = Arc::new(Board::default());
    (Controls { requests, board: board.clone() }, Controller { ask, board })
}

/// The demo's end. When it is dropped, requests are refused with the code `demo_ended`.
#[derive(Debug)]
pub struct Controls {
    requests: Receiver<Control>,
    board: Arc<Board>,
}

/// The web host's end; given to [`HostBuilder::controller`](super::HostBuilder::controller).
#[derive(Clone, Debug)]
pub struct Controller {
    ask: Sender<Control>,
    board: Arc<Board>,
}

/// Something that a page asks to be done. Dropped without an answer, it is refused.
pub struct Control {
    request: Value,
    answer: Option<Answer>,
}

/// Why something is not done: a stable word, and a sentence for people with what they can do instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// A stable word, in snake case.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do instead; may be empty.
    pub hint: String,
}

type Answer = Box<dyn FnOnce(Result<(), Refused>) + Send>;

impl Controls {
    /// What pages ask for, for `select!`. Disconnected when no web host is there any more.
    pub fn requests(&self) -> &Receiver<Control> {
        &self.requests
    }

    /// Shows a document to every page, now and to those that come later: of `"event":"demo"` the last one, of
    /// `"event":"tale"` the last 200; others only now. Never waits: a page that is behind misses it.
    pub fn show(&self, document: &Value) {
        self.board.show(document);
    }
}

impl Drop for Controls {
    fn drop(&mut self) {
        // Each is refused as it is dropped.
        self.requests.try_iter().for_each(drop);
    }
}

impl Controller {
    /// Asks for something; the answer is called once, on any thread, and must not wait.
    fn ask(&self, request: Value, answer: impl FnOnce(Result<(), Refused>) + Send + 'static) {
        let control = Control { request, answer: Some(Box::new(answer)) };
        if let Err(error) = self.ask.try_send(control) {
            let refused = if error.is_full() {
                Refused::new("busy", "The demo has enough to do.").hint("wait for what was asked before")
            } else {
                Refused::ended()
            };
            error.into_inner().refuse(refused);
        }
    }

    /// Shows a page what was shown before, and from now on everything, until its connection is over.
    pub(super) fn attach(&self, page: &Outlet) {
        self.board.attach(page);
    }
}

impl Control {
    /// The word of what is to be done: `crash`, `cut`, `heal` …; empty when the page said none.
    pub fn action(&self) -> &str {
        self.request["action"].as_str().unwrap_or_default()
    }

    /// All that the page said, with the action's own fields. Untrusted: check everything.
    pub fn request(&self) -> &Value {
        &self.request
    }

    /// Tells the page that it is done, or begun.
    pub fn done(mut self) {
        self.answer(Ok(()));
    }

    /// Tells the page that it is not done, and why.
    pub fn refuse(mut self, why: Refused) {
        self.answer(Err(why));
    }

    fn answer(&mut self, answer: Result<(), Refused>) {
        if let Some(told) = self.answer.take() {
            told(answer);
        }
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Control({})", self.request)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.answer(Err(Refused::ended()));
    }
}

impl Refused {
    /// A refusal without a hint.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), hint: String::new() }
    }

    /// The same, with what to do instead.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    fn ended() -> Self {
        Self::new("demo_ended", "The demo has ended.").hint("start it again: ringtalk demo")
    }

    /// The document of the contract.
    pub(super) fn document(&self, tag: &Value) -> Value {
        json!({ "event": "error", "tag": tag, "code": self.code, "message": self.message, "hint": self.hint })
    }
}

/// Asks a demo for what a page wants, and tells the page the answer: `{"event":"done","tag"}`, or why not.
pub(super) fn forward(controller: &Controller, request: Value, page: &Outlet) {
    let (tag, page) = (request["tag"].clone(), page.clone());
    controller.ask(request, move |answer| {
        let document = match answer {
            Ok(()) => json!({ "event": "done", "tag": tag }),
            Err(why) => why.document(&tag),
        };
        page.try_tell(to_json(&document).into());
    });
}

/// What pages see, and the pages that see it.
#[derive(Debug, Default)]
struct Board(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    demo: Option<Utf8Bytes>,
    tales: VecDeque<Utf8Bytes>,
    pages: Vec<Outlet>,
}

impl Board {
    fn show(&self, document: &Value) {
        let text: Utf8Bytes = to_json(document).into();
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match document["event"].as_str() {
            Some("demo") => shown.demo = Some(text.clone()),
            Some("tale") => {
                if shown.tales.len() == MAX_TALES {
                    shown.tales.pop_front();
                }
                shown.tales.push_back(text.clone());
            }
            _ => {}
        }
        shown.pages.retain(|page| !page.is_closed());
        for page in &shown.pages {
            page.try_tell(text.clone());
        }
    }

    fn attach(&self, page: &Outlet) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for text in shown.tales.iter().chain(&shown.demo) {
            page.try_tell(text.clone());
        }
        shown.pages.push(page.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::{Builder, Runtime};

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    fn asked(controller: &Controller, action: &str) -> Receiver<Result<(), Refused>> {
        let (told, answer) = bounded(1);
        controller.ask(json!({ "action": action }), move |answer| told.send(answer).unwrap());
        answer
    }

    #[test]
    fn request_reaches_the_demo_and_its_answer_the_page() {
        let (controls, controller) = channel();
        let (heal, fly) = (asked(&controller, "heal"), asked(&controller, "fly"));
        let control = controls.requests().recv().unwrap();
        assert_eq!(control.action(), "heal");
        control.done();
        controls.requests().recv().unwrap().refuse(Refused::new("unknown_action", "no"));
        assert_eq!(heal.recv(), Ok(Ok(())));
        assert_eq!(fly.recv().unwrap().unwrap_err().code, "unknown_action");
    }

    #[test]
    fn request_that_nobody_answers_is_refused() {
        let (controls, controller) = channel();
        let dropped = asked(&controller, "heal");
        drop(controls.requests().recv().unwrap());
        assert_eq!(dropped.recv().unwrap().unwrap_err().code, "demo_ended");
        let crowd: Vec<_> = (0..=MAX_REQUESTS).map(|_| asked(&controller, "heal")).collect();
        assert_eq!(crowd[MAX_REQUESTS].recv().unwrap().unwrap_err().code, "busy");
        drop(controls);
        assert_eq!(asked(&controller, "heal").recv().unwrap().unwrap_err().code, "demo_ended");
    }

    #[test]
    fn page_that_comes_later_sees_the_last_state_and_the_commentary() {
        let runtime = runtime();
        let (controls, controller) = channel();
        for n in 0..2 {
            controls.show(&json!({ "event": "demo", "n": n }));
            controls.show(&json!({ "event": "tale", "text": n }));
        }
        let (page, mut drain) = Outlet::new(runtime.handle().clone());
        controller.attach(&page);
        controls.show(&json!({ "event": "tale", "text": "\u{202e}" }));
        let mut seen = Vec::new();
        while let Ok(frame) = drain.frames.try_recv() {
            seen.push(frame.text.to_string());
        }
        let expected = [
            r#"{"event":"tale","text":0}"#,
            r#"{"event":"tale","text":1}"#,
            r#"{"event":"demo","n":1}"#,
            r#"{"event":"tale","text":"\u202e"}"#,
        ];
        assert_eq!(seen, expected);
    }
}
