//! What servers remember: `explain`, `record`, `ring`, against real servers.

use crate::ring::{Ring, documents};
use serde_json::Value;

fn sent(ring: &Ring, text: &str) -> Value {
    let sent = ring.run(&["send", "lobby", text, "--json"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    documents(&sent.stdout)[0]["id"].clone()
}

#[test]
fn life_of_a_message_is_told_from_its_client_to_every_disk() {
    let ring = Ring::start(&["oak", "elm", "ash"]);
    let id = sent(&ring, "hello");
    let id = id.as_str().expect("text");
    let ran = ring.run(&["explain", id, "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let life = &documents(&ran.stdout)[0];
    assert_eq!((&life["remembered"], &life["history"]["room"]), (&true.into(), &"lobby".into()));
    assert_eq!(life["servers"].as_array().map(Vec::len), Some(3));
    let place = (&life["places"][0]["epoch"], &life["places"][0]["gsn"]);
    assert_eq!(place, (&life["history"]["epoch"], &life["history"]["gsn"]));
    let events = life["events"].as_array().expect("a list");
    let count = |step: &str| events.iter().filter(|event| event["step"] == step).count();
    assert_eq!((count("accepted"), count("multicast"), count("placed")), (1, 1, 1), "{life}");
    assert_eq!((count("durable"), count("stable"), count("delivered")), (3, 3, 3), "{life}");
    assert!(count("received") >= 2, "{life}");
    let ran = ring.run(&["explain", id]);
    for line in ["accepted ", "multicast ", "received ", "placed ", "durable ", "stable ", "history "] {
        assert!(ran.stdout.lines().any(|told| told.starts_with(line)), "{line}: {ran:?}");
    }
    assert!(ran.stdout.contains("(on 3 of 3 disks)"), "{ran:?}");
}

#[test]
fn message_that_nobody_knows_or_that_is_none_is_told() {
    let ring = Ring::start(&["oak"]);
    let ran = ring.run(&["explain", "000000000000feed-7"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.starts_with("ringtalk: No server here knows a message 000000000000feed-7.\nhint: "), "{ran:?}");
    let ran = ring.run(&["explain", "hello", "--json"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn message_of_an_earlier_life_is_in_history_and_its_way_forgotten() {
    let mut ring = Ring::start(&["oak"]);
    let id = sent(&ring, "hello");
    ring.until_history_has("hello");
    ring.servers.clear();
    ring.add("oak");
    let ran = ring.run(&["explain", id.as_str().expect("text")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("by ana in #lobby") && ran.stdout.contains("no server remembers its way"), "{ran:?}");
}

#[test]
fn two_servers_of_one_name_are_both_asked() {
    let mut ring = Ring::start(&["oak"]);
    // Names are compared without case.
    ring.add("OAK");
    ring.until_one_view();
    let id = sent(&ring, "hello");
    for _ in 0..5 {
        let life = &documents(&ring.run(&["explain", id.as_str().expect("text"), "--json"]).stdout)[0];
        let servers = life["servers"].as_array().expect("a list");
        assert_eq!((servers.len(), life["missing"].as_array().map(Vec::len)), (2, Some(0)), "{life}");
        assert_ne!(servers[0]["id"], servers[1]["id"]);
    }
}

#[test]
fn record_has_every_servers_events_in_order_and_reads_back() {
    let ring = Ring::start(&["oak", "elm"]);
    sent(&ring, "hello");
    let file = ring.home.path().join("lesson.record");
    let path = file.to_str().expect("text");
    let ran = ring.run(&["record", path, "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let told = &documents(&ran.stdout)[0];
    assert_eq!((&told["event"], &told["missing"]), (&"recorded".into(), &Value::Array(Vec::new())));
    let record = ringtalk::web::record_file::read(&file).expect("a record");
    assert_eq!(record.header.servers.len(), 2);
    assert_eq!(told["events"].as_u64(), Some(record.events.len() as u64));
    let events: Vec<Value> = record.events.iter().map(|line| serde_json::from_str(&line.json).expect("JSON")).collect();
    assert!(record.events.windows(2).all(|pair| pair[0].at_us <= pair[1].at_us));
    for (server, what) in
        [("oak", "sent"), ("elm", "received"), ("oak", "durable"), ("elm", "stable"), ("oak", "delivered")]
    {
        assert!(events.iter().any(|event| event["server"] == server && event["what"] == what), "{server} {what}");
    }
    let data = events.iter().find(|event| event["what"] == "sent" && event["kind"] == "data").expect("data went out");
    let came = events.iter().any(|event| event["what"] == "received" && event["sum"] == data["sum"]);
    assert!(came, "{data}");
    assert_eq!(ring.run(&["record", "/nowhere/lesson.record"]).code, 1);
    let ran = ring.run(&["record", path]);
    assert!(ran.stdout.contains(" events of ") && ran.code == 0, "{ran:?}");
}

#[test]
fn ring_tells_the_tokens_way_hop_by_hop() {
    let ring = Ring::start(&["oak", "elm"]);
    let told = ring.run(&["ring", "--json"]);
    let ring_told = &documents(&told.stdout)[0];
    assert_eq!(told.code, 0, "{told:?}");
    assert!(ring_told["elections"].as_array().is_some_and(|all| all.iter().all(|one| one["hops"].is_array())));
}
