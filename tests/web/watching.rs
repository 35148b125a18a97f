//! What browsers are told of the ring: servers' event records, live and from a file.

use crate::support::{Browser, Net, Page};
use ringtalk::web::{Door, Host, Mode};
use serde_json::{Value, json};

/// Reads batches until these servers have told something; all their events.
fn events_of(browser: &mut Browser, servers: &[&str], fits: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let batch = browser.wait("trace", |_| true);
        events.extend(batch["events"].as_array().expect("a list").clone());
        let has = |server: &&str| events.iter().any(|event| event["server"] == *server && fits(event));
        if servers.iter().all(has) {
            return events;
        }
    }
}

#[test]
fn way_of_a_message_is_told_from_every_servers_record_in_its_order() {
    let net = Net::new();
    let (_oak, _elm) = (net.server("oak"), net.server("elm"));
    let page = net.host();
    let mut ana = page.browser("ana");
    ana.say(&json!({ "do": "watch", "status": true, "trace": true }));
    let id = ana.chat("hello")["id"].clone();
    let has_it = |event: &Value| {
        event["what"] == "delivered" && event["fields"]["ids"].as_array().is_some_and(|ids| ids.contains(&id))
    };
    let events = events_of(&mut ana, &["oak", "elm"], has_it);
    let count = |what: &str| events.iter().filter(|event| event["what"] == what && event["fields"]["id"] == id).count();
    assert_eq!(count("accepted"), 1);
    for server in ["oak", "elm"] {
        let own: Vec<u64> = events
            .iter()
            .filter(|event| event["server"] == server)
            .map(|event| event["seq"].as_u64().unwrap())
            .collect();
        assert!(own.windows(2).all(|pair| pair[1] == pair[0] + 1), "{server}: {own:?}");
    }
    let sent =
        events.iter().find(|event| event["what"] == "sent" && event["kind"] == "data").expect("it was multicast");
    let received = |event: &&Value| event["what"] == "received" && event["sum"] == sent["sum"];
    assert_eq!(events.iter().find(received).expect("it came")["from"], sent["server"]);
}

#[test]
fn server_that_is_missed_and_comes_again_is_watched_again() {
    let net = Net::new();
    let (oak, elm) = (net.server("oak"), net.server("elm"));
    let page = net.host();
    let mut ana = page.browser("ana");
    ana.say(&json!({ "do": "watch", "status": true, "trace": true }));
    events_of(&mut ana, &["oak", "elm"], |_| true);
    drop(elm);
    let is_missed = |status: &Value| {
        let mut servers = status["servers"].as_array().expect("a list").iter();
        servers.any(|server| server["name"] == "elm" && server["state"] == "unreachable")
    };
    ana.wait("status", |status| is_missed(status) && status["healthy"] == false);
    // It comes again, under its name, and is read again.
    let _elm = net.server("elm");
    ana.wait("status", |status| !is_missed(status) && status["healthy"] == true);
    ana.read.clear();
    events_of(&mut ana, &["oak", "elm"], |event| event["what"] == "event");
    drop(oak);
}

#[test]
fn file_of_events_is_told_whole_and_in_its_order_to_who_asks() {
    let event = |seq: u64| json!({ "server": "oak", "seq": seq, "at_us": seq * 1000, "what": "durable", "fields": {} });
    let lines: Vec<Box<str>> = (1..=5000).map(|seq| event(seq).to_string().into()).collect();
    let net = Net::new();
    let door = Door::open("127.0.0.1:0".parse().unwrap()).unwrap();
    let host = Host::builder(door, net.clients(), &net.name).mode(Mode::Replay).events(lines).start().unwrap();
    let page = Page::load(host);
    // No server is there, and none is needed.
    let mut ana = page.browser("ana");
    assert_eq!(ana.kept.welcome["mode"], "replay");
    ana.say(&json!({ "do": "replay" }));
    ana.wait("replayed", |_| true);
    let told = ana.read.iter().filter(|event| event["event"] == "trace");
    let seqs: Vec<u64> = told
        .flat_map(|batch| batch["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()))
        .collect();
    assert_eq!(seqs, (1..=5000).collect::<Vec<_>>());
}
