//! A ring of real server processes on loopback, and the commands that talk to it.

use crate::support::{Home, Lines, Program, Ran};
use serde_json::Value;
use std::io::Write;
use std::net::UdpSocket;
use std::process::Stdio;

/// Servers on a net and a port of their own. Dropped, they are killed.
pub(crate) struct Ring {
    pub(crate) home: Home,
    net: String,
    port: String,
    pub(crate) servers: Vec<Server>,
}

pub(crate) struct Server {
    child: Program,
    events: Lines,
    /// What it told so far.
    told: Vec<Value>,
}

impl Server {
    /// The first event of this kind that fits, told already or yet to be told.
    fn wait(&mut self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let mut at = 0;
        loop {
            if at == self.told.len() {
                let Some(line) = self.events.next() else { unreachable!("it ended: {:?}", self.told) };
                self.told.push(serde_json::from_str(&line).expect("a line of JSON"));
            }
            if self.told[at]["event"] == kind && fits(&self.told[at]) {
                return self.told[at].clone();
            }
            at += 1;
        }
    }
}

impl Ring {
    pub(crate) fn start(names: &[&str]) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let mut ring = Self { home: Home::new(), net: format!("t{port}"), port: port.to_string(), servers: Vec::new() };
        for name in names {
            ring.add(name);
        }
        ring.until_one_view();
        ring
    }

    /// Waits until all servers stand in one ring.
    pub(crate) fn until_one_view(&mut self) {
        self.until_one_view_of(self.servers.len());
    }

    /// Waits until so many servers stand in one ring, also such as were started elsewhere.
    pub(crate) fn until_one_view_of(&mut self, count: usize) {
        for server in &mut self.servers {
            server.wait("view", |view| view["members"].as_array().is_some_and(|all| all.len() == count));
        }
    }

    pub(crate) fn add(&mut self, name: &str) {
        self.add_with(name, &[]);
    }

    /// Adds a server that takes faults.
    pub(crate) fn add_faulty(&mut self, name: &str) {
        self.add_with(name, &["--faults"]);
    }

    /// Tells a server that takes faults what to do.
    pub(crate) fn fault(&mut self, name: &str, command: &str) {
        let server = self.server(name);
        let stdin = server.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{command}").and_then(|()| stdin.flush()).expect("it reads");
    }

    /// The server of this name.
    fn server(&mut self, name: &str) -> &mut Server {
        self.servers.iter_mut().find(|server| server.told[0]["server"] == name).expect("it runs")
    }

    /// The first event of this kind that fits, told already or yet to be told.
    pub(crate) fn told(&mut self, name: &str, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.server(name).wait(kind, fits)
    }

    /// Where a server is.
    pub(crate) fn addr(&mut self, name: &str) -> String {
        self.server(name).told[0]["addr"].as_str().expect("an address").to_owned()
    }

    /// Where a server's page is.
    #[allow(dead_code, reason = "for the browser's tests")]
    pub(crate) fn page(&mut self, name: &str) -> String {
        self.server(name).told[0]["page"].as_str().expect("an address").trim_end_matches('/').to_owned()
    }

    /// Adds a server with more arguments.
    pub(crate) fn add_with(&mut self, name: &str, more: &[&str]) {
        let data = self.home.path().join(name);
        let data = data.to_str().expect("text").to_owned();
        let args = self.args(&[&["server", "--json", "--name", name, "--data", &data], more].concat());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = self.home.command(&args);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let events = Lines::of(child.stdout.take().expect("a pipe"));
        let mut server = Server { child: Program(child), events, told: Vec::new() };
        let started = server.wait("started", |_| true);
        assert_eq!(started["server"], name);
        server.wait("ready", |_| true);
        self.servers.push(server);
    }

    pub(crate) fn args(&self, args: &[&str]) -> Vec<String> {
        let global = ["--local", "--net", &self.net, "--port", &self.port];
        let patient: &[&str] = if args.contains(&"--timeout") { &[] } else { &["--timeout", "20s"] };
        args.iter().chain(&global).chain(patient).map(|&arg| arg.to_owned()).collect()
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Kills a server, as `kill -9` does.
    pub(crate) fn kill(&mut self, name: &str) {
        let at = self.servers.iter().position(|server| server.told[0]["server"] == name).expect("it runs");
        drop(self.servers.remove(at));
    }

    /// The index of messages runs behind: asks until it has this one.
    pub(crate) fn until_history_has(&self, text: &str) {
        let last = self.servers.last().and_then(|server| server.told[0]["server"].as_str()).expect("a server");
        self.until_history_of_has(last, text);
    }

    #[expect(clippy::panic, reason = "a test fails by it")]
    pub(crate) fn until_history_of_has(&self, server: &str, text: &str) {
        for _ in 0..200 {
            if self.run(&["history", "--all", "--server", server]).stdout.contains(text) {
                return;
            }
        }
        panic!("{text:?} never became history");
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let args = self.args(args);
        self.home.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        let args = self.args(args);
        let mut command = self.home.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
        child.wait_with_output().expect("it ends").into()
    }
}

pub(crate) fn documents(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}
