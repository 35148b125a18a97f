//! Browsers go on: when they were behind, when their host dies, when their server dies.

use crate::support::{Browser, LIMIT, Net, Page};
use ringtalk::proto::event::Event;
use ringtalk::server::Server;
use ringtalk::web::{Door, Host, Mode};
use ringtalk::wire::message;
use serde_json::{Value, json};
use tungstenite::Message;

/// The texts of the messages that came, in their order.
fn texts(browser: &mut Browser, last: &str) -> Vec<String> {
    browser.message(last);
    let read = std::mem::take(&mut browser.read);
    let shown = read.iter().filter(|event| event["event"] == "message");
    let mut texts: Vec<String> = shown.map(|event| event["text"].as_str().expect("text").to_owned()).collect();
    texts.push(last.to_owned());
    texts
}

fn say(browser: &mut Browser, text: &str) {
    browser.say(&json!({ "do": "say", "tag": text, "room": "lobby", "text": text }));
}

#[test]
fn browser_that_does_not_read_is_closed_and_goes_on_from_its_cursor() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let (mut ana, mut bob) = (page.browser("ana"), page.browser("bob"));
    ana.chat("hello bob");
    bob.message("hello bob");
    // More than the queue of the host and the buffers of the system hold.
    let long = "x".repeat(60_000);
    let said: Vec<String> = (0..300).map(|n| format!("{n} {long}")).collect();
    for text in &said {
        ana.chat(text);
    }
    // The host has closed the connection when nothing can be written to it any more.
    while bob.socket.send(Message::Ping(Vec::new().into())).is_ok() {
        std::thread::yield_now();
    }
    let mut shown = Vec::new();
    while let Some(event) = bob.next() {
        bob.read.push(event);
    }
    assert!(bob.read.iter().filter(|event| event["event"] == "message").count() < said.len());
    shown.extend(messages_upto_the_cursor(&bob));
    let mut again = page.welcome(&bob.hello());
    shown.extend(texts(&mut again, &said[299]));
    assert!(shown == said, "{:?}", shown.iter().map(|text| &text[..4]).collect::<Vec<_>>());
}

/// What the page keeps of what it was shown: what came after the last cursor comes again.
fn messages_upto_the_cursor(browser: &Browser) -> Vec<String> {
    let upto = browser.read.iter().rposition(|event| event["event"] == "cursor").unwrap_or(0);
    let shown = browser.read[..upto].iter().filter(|event| event["event"] == "message");
    shown.map(|event| event["text"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn browser_whose_host_dies_goes_to_another_and_each_word_is_said_once() {
    let net = Net::new();
    let _oak = net.server("oak");
    let (first, second) = (net.host(), net.host());
    let mut bob = second.browser("bob");
    let mut ana = first.browser("ana");
    let said: Vec<String> = (0..40).map(|n| format!("word {n}")).collect();
    for text in &said {
        say(&mut ana, text);
    }
    ana.wait("queued", |event| event["tag"] == "word 20");
    drop(first);
    while let Some(event) = ana.next() {
        ana.read.push(event);
    }
    let numbered: Vec<Value> = ana.read.iter().filter(|event| event["event"] == "queued").cloned().collect();
    let mut again = second.welcome(&ana.hello());
    assert_eq!(again.kept.welcome["client"], ana.kept.welcome["client"]);
    for text in said.iter().filter(|text| *text != "word 20") {
        if !numbered.iter().any(|event| event["tag"] == **text) {
            say(&mut again, text);
        }
    }
    say(&mut again, "the end");
    let id = again.wait("queued", |event| event["tag"] == "the end")["id"].clone();
    again.wait("stable", |event| event["id"] == id);
    let mut expected = said;
    expected.push("the end".into());
    assert_eq!(texts(&mut bob, "the end"), expected);
}

#[test]
fn browser_stays_while_the_server_behind_its_host_dies() {
    let net = Net::new();
    let (oak, elm) = (net.server("oak"), net.server("elm"));
    until_members(&oak, 2);
    let mut servers = vec![oak, elm];
    let page = net.host();
    let mut ana = page.browser("ana");
    ana.chat("before");
    let home = ana.kept.welcome["server"]["name"].clone();
    servers.retain(|server| server.about().name != home.as_str().expect("a name"));
    ana.wait("lost", |_| true);
    let moved = ana.wait("moved", |_| true);
    assert_eq!((&moved["from"], &moved["to"]), (&home, &servers[0].about().name.as_str().into()));
    assert!(moved["ms"].as_u64().is_some() && moved["again"].as_u64().is_some());
    ana.chat("after");
    assert_eq!(texts(&mut ana, "after"), ["before", "after"]);
}

fn until_members(server: &Server, count: usize) {
    loop {
        let (_, event) = server.events().recv_timeout(LIMIT).expect("it comes to it");
        if matches!(event, Event::View { view, .. } if view.members.len() == count) {
            return;
        }
    }
}

/// A server with its page, as `ringtalk server` makes them.
fn with_page(net: &Net, name: &str) -> (Server, Page) {
    let door = Door::open("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let page = message::Page { addr: door.addr(), token: door.token() };
    let server = net.start(Server::builder(name).page(page));
    let clients = net.clients().peer(server.addr()).prefer(server.pid().server);
    let host = Host::builder(door, clients, &net.name).mode(Mode::Server).start().expect("it starts");
    (server, Page::load(host))
}

#[test]
fn browser_from_a_dead_servers_page_is_known_at_the_others() {
    let net = Net::new();
    let ((oak, page), (elm, other)) = (with_page(&net, "oak"), with_page(&net, "elm"));
    until_members(&oak, 2);
    let mut ana = page.browser("ana");
    assert_eq!((&ana.kept.welcome["server"]["name"], &ana.kept.welcome["mode"]), (&"oak".into(), &"server".into()));
    let elsewhere = format!("http://{}", other.addr());
    let knows = |event: &Value| event["pages"].as_array().is_some_and(|all| all.contains(&elsewhere.as_str().into()));
    if !knows(&ana.kept.welcome) {
        ana.wait("pages", knows);
    }
    ana.chat("before");
    let (origin, token) = (format!("http://{}", page.addr()), page.token.clone());
    drop((page, oak));
    until_members(&elm, 1);
    let mut again = Browser::connect(other.addr(), Some(&origin)).expect("its page is known");
    let mut hello = ana.hello();
    (hello["do"], hello["token"]) = ("hello".into(), token.into());
    again.say(&hello);
    again.kept.welcome = again.wait("welcome", |_| true);
    assert_eq!((&again.kept.welcome["server"]["name"], &again.kept.welcome["nick"]), (&"elm".into(), &"ana".into()));
    again.chat("after");
}
