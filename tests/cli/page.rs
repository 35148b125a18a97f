//! A page over its WebSocket, without a browser.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

/// How long an answer may take, beside other tests on a slow machine.
const LIMIT: Duration = Duration::from_mins(2);

/// A page, as a browser has it.
pub(crate) struct Browser {
    socket: WebSocket<TcpStream>,
    tag: u64,
}

impl Browser {
    /// Loads the page at this address, takes its token and says hello; with what it is welcomed.
    pub(crate) fn open(url: &str) -> (Self, Value) {
        let addr = url.trim_start_matches("http://").trim_end_matches('/');
        let connect = || {
            let stream = TcpStream::connect(addr).expect("it listens");
            stream.set_read_timeout(Some(LIMIT)).expect("a limit");
            stream
        };
        let (mut stream, mut page) = (connect(), String::new());
        write!(stream, "GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").expect("it listens");
        stream.read_to_string(&mut page).expect("a page");
        let token = page.split("name=\"token\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
        let (socket, _) = tungstenite::client(format!("ws://{addr}/ws"), connect()).expect("a WebSocket");
        let mut browser = Self { socket, tag: 0 };
        browser.say(&json!({ "do": "hello", "token": token.expect("a token"), "nick": "eva", "client": null,
                             "acked_upto": 0, "outbox": [], "cursor": null, "rooms": ["lobby"] }));
        let welcome = browser.wait_for(|event| event["event"] == "welcome");
        (browser, welcome)
    }

    pub(crate) fn say(&mut self, request: &Value) {
        self.socket.send(Message::text(request.to_string())).expect("it listens");
    }

    /// Reads on until this event. A demo's page hears something every second: what never comes is given up.
    #[expect(clippy::disallowed_methods, reason = "a test's deadline")]
    pub(crate) fn wait_for(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < LIMIT, "it does not come");
            let Message::Text(text) = self.socket.read().expect("it goes on") else { continue };
            let event: Value = serde_json::from_str(&text).expect("JSON");
            if event["event"] == "queued" {
                // Kept, as the page does.
                self.say(&json!({ "do": "saved", "cseq": event["cseq"] }));
            }
            if is_it(&event) {
                return event;
            }
        }
    }

    /// Says a line in the lobby and waits until it is stable.
    pub(crate) fn chat(&mut self, text: &str) {
        self.say(&json!({ "do": "say", "tag": text, "room": "lobby", "text": text }));
        let queued = self.wait_for(|event| event["event"] == "queued" && event["tag"] == text);
        self.wait_for(|event| event["event"] == "stable" && event["id"] == queued["id"]);
    }

    /// Asks for something; the tag of its answer.
    pub(crate) fn control(&mut self, mut request: Value) -> u64 {
        self.tag += 1;
        request["do"] = json!("control");
        request["tag"] = json!(self.tag);
        self.say(&request);
        self.tag
    }

    pub(crate) fn refusal(&mut self, request: Value) -> Value {
        let tag = self.control(request);
        self.wait_for(|event| event["event"] == "error" && event["tag"] == tag)
    }

    pub(crate) fn wait_for_state(&mut self, server: &str, state: &str) -> Value {
        self.wait_for(|event| {
            let servers = event["servers"].as_array().filter(|_| event["event"] == "demo");
            servers.is_some_and(|all| all.iter().any(|one| one["name"] == server && one["state"] == state))
        })
    }
}
