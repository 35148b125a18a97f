//! More events than anybody looks at: what the page draws of them, and what it keeps.

use crate::browser::Browser;
use crate::chat::say_measured;
use crate::page::Page;
use crate::support::{Home, Lines, Program};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const SERVERS: [&str; 5] = ["ash", "elm", "fir", "oak", "yew"];
/// The first event's time.
const BEGIN_US: u64 = 1_763_995_200_000_000;
/// What the page may hold.
const MAX_NODES: u64 = 20_000;
const MAX_HEAP: u64 = 200 << 20;

/// Writes a record file of about so many events over this time: data to all and its receipts, orders, NACKs, elections.
fn write_record(path: &Path, events: usize, seconds: u64) -> usize {
    let rounds = events / 5;
    let mut out = BufWriter::new(File::create(path).expect("a file"));
    let servers: Vec<Value> =
        SERVERS.iter().map(|name| json!({ "name": name, "id": "1", "addr": "127.0.0.1:1" })).collect();
    let header = json!({ "ringtalk_record": 1, "net": "t", "from": "2025-11-24T14:40:00Z", "until": "2025-11-24T15:40:00Z",
                         "servers": servers, "events": rounds * 5 });
    writeln!(out, "{header}").expect("written");
    let mut seq = [0; SERVERS.len()];
    for round in 0..rounds {
        let at = BEGIN_US + round as u64 * (seconds * 1_000_000 / rounds as u64);
        let from = round % SERVERS.len();
        let kind = ["data", "order", "ack", "data", "order", "beacon", "nack", "elect"][round / 5 % 8];
        for step in 0..SERVERS.len() {
            let who = (from + step) % SERVERS.len();
            seq[who] += 1;
            let fields = json!({ "epoch": 3, "origin": SERVERS[from], "oseq": round, "part": 0, "parts": 1,
                                 "candidate": SERVERS[4], "ids": [format!("00000000000000aa-{round}")] });
            let mut event = json!({ "server": SERVERS[who], "seq": seq[who], "at_us": at + 300 * step as u64,
                                    "what": "sent", "kind": kind, "to": "all", "via": "multicast", "sum": round,
                                    "bytes": 321, "fields": fields });
            if step > 0 {
                (event["what"], event["from"]) = ("received".into(), SERVERS[from].into());
            }
            writeln!(out, "{event}").expect("written");
        }
    }
    out.flush().expect("written");
    rounds * 5
}

/// `replay` of a file. Dropped, it is killed.
struct Replay {
    _child: Program,
    url: String,
    home: Home,
}

impl Replay {
    fn start(events: usize, seconds: u64) -> (Self, usize) {
        let home = Home::new();
        let path = home.path().join("record");
        let count = write_record(&path, events, seconds);
        let path = path.to_str().expect("text");
        let mut child = home.command(&["replay", path, "--web", "127.0.0.1:0", "--json"]).spawn().expect("it starts");
        let line = Lines::of(child.stdout.take().expect("a pipe")).next().expect("it starts");
        let started: Value = serde_json::from_str(&line).expect("JSON");
        let url = started["page"].as_str().expect("an address").to_owned();
        (Self { _child: Program(child), url, home }, count)
    }
}

fn stat(page: &mut Page, name: &str) -> f64 {
    page.eval(&format!("ringtalkStats().{name}")).as_f64().expect("a number")
}

/// Checks what the page holds, and tells it.
fn assert_bounded(page: &mut Page, words: &str) {
    let (heap, nodes) = (page.heap(), page.nodes());
    let (rows, forgotten) = (stat(page, "rows"), stat(page, "forgotten"));
    say_measured(&format!("{words}: {} MB of heap, {nodes} nodes, {rows} rows, {forgotten} forgotten", heap >> 20));
    assert!(heap < MAX_HEAP, "{heap} bytes");
    assert!(nodes < MAX_NODES, "{nodes} nodes");
}

#[test]
fn page_draws_twenty_thousand_events() {
    let Some(mut browser) = Browser::start() else { return };
    let (replay, count) = Replay::start(20_000, 10);
    assert!(replay.home.path().exists());
    let mut page = browser.open(&replay.url);
    page.wait_until(&format!("window.ringtalkStats?.().events === {count} && document.body.dataset.view === 'ring'"));
    // The whole of it in sight, then its last half in motion: each frame draws everything.
    for _ in 0..4 {
        page.click("#zoom-out");
    }
    page.eval("document.querySelector('#scrub').value = 500; document.querySelector('#scrub').dispatchEvent(new Event('input'))");
    page.click("#pause");
    page.wait_until("ringtalkStats().drawn > 0.8 * ringtalkStats().rows && ringtalkStats().fps");
    let (fps, drawn, paint) = (stat(&mut page, "fps"), stat(&mut page, "drawn"), stat(&mut page, "paintMs"));
    say_measured(&format!("{fps:.0} frames a second with {drawn} arrows drawn, {paint:.1} ms of painting each"));
    assert!(fps > 0.0);
    assert_bounded(&mut page, "20,000 events");
    page.assert_sound();
}

#[test]
fn an_hour_of_events_at_once_stays_in_bounds() {
    let Some(mut browser) = Browser::start() else { return };
    let (replay, count) = Replay::start(300_000, 3600);
    let mut page = browser.open(&replay.url);
    page.wait_until(&format!("window.ringtalkStats?.().events === {count}"));
    page.wait_until("document.querySelector('#pause').textContent === 'Play'");
    assert_bounded(&mut page, "300,000 events of a file");
    for _ in 0..5 {
        page.click("#zoom-out");
    }
    page.click("#tab-plots");
    assert_bounded(&mut page, "the same, looked at");
    page.assert_sound();
}
