//! `web` as a process: a page served from a client, and the doors it can have.

use crate::page::Browser;
use crate::ring::Ring;
use crate::support::{Home, Lines, Program};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::net::TcpListener;

/// A running `web`. Dropped, it is killed.
struct Web {
    child: Program,
    url: String,
}

impl Web {
    fn start(ring: &Ring) -> Self {
        let args = ring.args(&["web", "--web", "127.0.0.1:0", "--json"]);
        let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let mut child = command.spawn().expect("it starts");
        let line = Lines::of(child.stdout.take().expect("a pipe")).next().expect("it says where the page is");
        let started: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(started["event"], "started");
        Self { child: Program(child), url: started["page"].as_str().expect("an address").to_owned() }
    }
}

#[test]
fn page_of_a_client_chats_outlives_a_server_and_ends_with_sigterm() {
    let mut ring = Ring::start(&["oak", "elm"]);
    let mut web = Web::start(&ring);
    let (mut eva, welcome) = Browser::open(&web.url);
    assert_eq!(welcome["mode"], "client");
    let at = welcome["server"]["name"].as_str().expect("a name").to_owned();
    eva.chat("before");
    ring.kill(&at);
    let moved = eva.wait_for(|event| event["event"] == "moved");
    assert_eq!(moved["from"], at.as_str());
    eva.chat("after");
    let history = ring.run(&["history", "--all", "--json"]).stdout;
    assert_eq!((history.matches("before").count(), history.matches("after").count()), (1, 1), "{history}");

    kill_process(Pid::from_child(&web.child), Signal::TERM).expect("it runs");
    assert_eq!(web.child.wait().expect("it ends").code(), Some(130));
}

/// Holds all ports of a page at an address of this machine that nobody else uses.
fn held(ip: &str) -> Vec<TcpListener> {
    (8284..=8299).map(|port| TcpListener::bind((ip, port)).expect("it is free")).collect()
}

#[test]
fn page_without_a_free_port_says_so_and_what_to_do() {
    let (ip, home) = ("127.82.84.1", Home::new());
    let held = held(ip);
    let ran = home.run(&["web", "--web", &format!("{ip}:8284"), "--local"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let text = format!(
        "ringtalk: No page: ports {ip}:8284 to 8299 are all taken.\nhint: --web ADDR:PORT chooses another, --web off none\n"
    );
    assert_eq!(ran.stderr, text);
    let ran = home.run(&["web", "--web", &format!("{ip}:8284"), "--local", "--json"]);
    let refusal: Value = serde_json::from_str(&ran.stderr).expect("JSON");
    assert_eq!(refusal["error"]["code"], "port_held");
    // One more is free: that is the page's.
    drop(held);
    let held: Vec<TcpListener> = self::held(ip).into_iter().take(15).collect();
    let mut ring = Ring::start(&[]);
    ring.add_with("oak", &["--web", &format!("{ip}:8284")]);
    assert_eq!(ring.page("oak"), format!("http://{ip}:8299"));
    drop(held);
}

#[test]
fn server_goes_on_without_a_page_where_no_port_is_free() {
    let ip = "127.82.84.2";
    let _held = held(ip);
    let mut ring = Ring::start(&[]);
    ring.add_with("oak", &["--web", &format!("{ip}:8284")]);
    assert_eq!(ring.run(&["send", "lobby", "still here"]).code, 0);
}

#[test]
fn port_of_another_program_that_was_asked_for_is_told() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = held.local_addr().expect("it listens");
    let ran = Home::new().run(&["web", "--web", &addr.to_string(), "--local"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.starts_with(&format!("ringtalk: No page: port {addr} is taken.\nhint: ")), "{ran:?}");
    assert_eq!(json!(ran.stdout), "");
}
