//! Servers, hosts and browsers in this process.

use ringtalk::client::{Builder, Client};
use ringtalk::proto::event::Event;
use ringtalk::server::{Server, ServerBuilder};
use ringtalk::web::{Door, Host, Mode};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// No test waits longer for anything.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A net of its own on loopback.
pub(crate) struct Net {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Net {
    pub(crate) fn new() -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        Self { name: format!("w{port}"), port }
    }

    /// Starts a server, in memory, and waits until clients may come.
    pub(crate) fn server(&self, name: &str) -> Server {
        self.start(Server::builder(name))
    }

    /// The same, of a server that was told more.
    pub(crate) fn start(&self, builder: ServerBuilder) -> Server {
        let server = builder.net(self.name.as_str()).port(self.port).local(true).start().expect("it starts");
        loop {
            let (_, event) = server.events().recv_timeout(LIMIT).expect("it gets ready");
            if matches!(event, Event::Ready) {
                return server;
            }
        }
    }

    pub(crate) fn clients(&self) -> Builder {
        Client::builder().net(&self.name).port(self.port).local(true)
    }

    /// A host that belongs to no server.
    pub(crate) fn host(&self) -> Page {
        self.host_of(self.clients(), Mode::Client)
    }

    pub(crate) fn host_of(&self, clients: Builder, mode: Mode) -> Page {
        let door = Door::open("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let host = Host::builder(door, clients, &self.name).mode(mode).start().expect("it starts");
        Page::load(host)
    }
}

/// A host and its token, as a browser has it from the page.
pub(crate) struct Page {
    pub(crate) host: Host,
    pub(crate) token: String,
}

impl Page {
    pub(crate) fn load(host: Host) -> Self {
        let answer = get(host.addr(), "/", &[("Host", &host.addr().to_string())]);
        let token = answer.split("name=\"token\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
        let token = token.expect("a token").to_owned();
        Self { host, token }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.host.addr()
    }

    /// A browser that is somebody new, in the lobby.
    pub(crate) fn browser(&self, nick: &str) -> Browser {
        self.welcome(&json!({ "nick": nick, "rooms": ["lobby"] }))
    }

    /// A browser that said this hello, and was welcomed.
    pub(crate) fn welcome(&self, hello: &Value) -> Browser {
        let mut browser = self.connect();
        let mut full = json!({ "do": "hello", "token": self.token, "acked_upto": 0, "outbox": [], "rooms": [] });
        full.as_object_mut().expect("an object").extend(hello.as_object().expect("an object").clone());
        browser.say(&full);
        browser.kept.welcome = browser.wait("welcome", |_| true);
        browser
    }

    /// A WebSocket without a hello.
    pub(crate) fn connect(&self) -> Browser {
        Browser::connect(self.addr(), None).expect("it is taken")
    }
}

/// What a browser keeps, as the page does.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) welcome: Value,
    pub(crate) cursor: Value,
    pub(crate) acked_upto: u64,
    pub(crate) outbox: Vec<Value>,
}

/// A browser's WebSocket.
pub(crate) struct Browser {
    pub(crate) socket: WebSocket<TcpStream>,
    pub(crate) kept: Kept,
    /// What was read, and passed over.
    pub(crate) read: Vec<Value>,
}

impl Browser {
    pub(crate) fn connect(addr: SocketAddr, origin: Option<&str>) -> Result<Self, u16> {
        let stream = TcpStream::connect(addr).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut request = format!("ws://{addr}/ws").into_client_request().expect("a request");
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", origin.parse().expect("a header"));
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Self { socket, kept: Kept::default(), read: Vec::new() }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => Err(error.to_string().len() as u16),
        }
    }

    pub(crate) fn say(&mut self, request: &Value) {
        self.socket.send(Message::text(request.to_string())).expect("it listens");
    }

    /// The next event; `None` once the connection is over.
    pub(crate) fn next(&mut self) -> Option<Value> {
        // A ping comes each 15 s: whoever only pings has nothing to say.
        for _ in 0..4 {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "raw: {text:?}");
                    let event: Value = serde_json::from_str(&text).expect("JSON");
                    self.keep(&event);
                    return Some(event);
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
        None
    }

    /// Does what the page does before it shows anything.
    fn keep(&mut self, event: &Value) {
        match event["event"].as_str() {
            Some("queued") => {
                self.kept.outbox.push(event.clone());
                // The host may be gone: what was kept goes out at the next.
                _ = self.socket.send(Message::text(json!({ "do": "saved", "cseq": event["cseq"] }).to_string()));
            }
            Some("cursor") => {
                self.kept.cursor = event["cursor"].clone();
                let upto = event["acked_upto"].as_u64().expect("a number");
                self.kept.acked_upto = upto;
                self.kept.outbox.retain(|kept| kept["cseq"].as_u64() > Some(upto));
            }
            _ => {}
        }
    }

    /// The first event of this kind that fits, read already or yet to come.
    pub(crate) fn wait(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let is_it = |event: &Value| event["event"] == kind && fits(event);
        if let Some(at) = self.read.iter().position(is_it) {
            return self.read.remove(at);
        }
        loop {
            let event = self.next();
            let Some(event) = event else { unreachable!("no {kind}: {:?}", self.read) };
            if is_it(&event) {
                return event;
            }
            self.read.push(event);
        }
    }

    /// Says a line in the lobby and waits until it is stable.
    pub(crate) fn chat(&mut self, text: &str) -> Value {
        self.say(&json!({ "do": "say", "tag": text, "room": "lobby", "text": text }));
        let id = self.wait("queued", |event| event["tag"] == text)["id"].clone();
        self.wait("stable", |event| event["id"] == id)
    }

    pub(crate) fn message(&mut self, text: &str) -> Value {
        self.wait("message", |event| event["text"] == text)
    }

    /// The hello with which the page comes again.
    pub(crate) fn hello(&self) -> Value {
        json!({
            "nick": self.kept.welcome["nick"], "client": self.kept.welcome["client"], "rooms": ["lobby"],
            "acked_upto": self.kept.acked_upto, "outbox": self.kept.outbox, "cursor": self.kept.cursor,
        })
    }
}

/// One request over HTTP; the answer with its head.
pub(crate) fn get(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> String {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    write!(stream, "GET {path} HTTP/1.1\r\n").expect("it reads");
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n").expect("it reads");
    }
    write!(stream, "Connection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}
