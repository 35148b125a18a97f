//! A history whose index is far behind, made anew after damage or after much was fetched; and one whose index lacks something.

use crate::ring::{Ring, documents};
use ringtalk::ids::{ClientId, EpochId, MessageId, Pid, ServerId};
use ringtalk::proto::io::Write;
use ringtalk::record::{Entry, Kind, Member, Submission, Taken, View, encode_batch};
use ringtalk::store::engine::Archive;
use ringtalk::store::sqlite::{self, SqliteReader};
use ringtalk::time::Hlc;
use ringtalk::wire::session::HistoryQuery;
use rusqlite::Connection;
use std::path::Path;

/// Entries that take some seconds to be indexed; people are told within one.
const MANY: u64 = 40_000;
/// Words of each.
const WORDS: u64 = 300;

/// The first word of the last one.
const LAST: &str = "word280000 ";

/// Entries whose index takes some pages, and their words.
const FEW: u64 = 400;
const FEW_WORDS: u64 = 3;

fn entry(number: u64, words: u64) -> Entry {
    let message = Submission {
        id: MessageId { client: ClientId(5), cseq: number },
        acked_upto: 0,
        floor: Hlc(0),
        room: "lobby".into(),
        nick: "ana".into(),
        kind: Kind::Text,
        body: (0..words).map(|n| format!("word{}", number * 7 + n)).collect::<Vec<_>>().join(" "),
    };
    let (origin, hlc) = (Pid::default(), Hlc::from_wall_ms(1_700_000_000_000 + number));
    Entry { origin, oseq: number, hlc, taken: Taken::first(1), batch: encode_batch(&[message]) }
}

/// A store with a history of so many entries, of which so many are in the index.
fn fill(dir: &Path, entries: u64, words: u64, indexed: u64) {
    let (mut store, _) = sqlite::open(dir, 9).expect("a store");
    let leader = Pid { server: ServerId(7), ..Pid::default() };
    let members = vec![Member { pid: leader, name: "elm".into() }];
    let view = View { epoch: EpochId { num: 1, leader }, members, ..View::default() };
    for first in (1..=entries).step_by(1000) {
        let committed = entries.min(first + 999);
        let entries = (first..=committed).map(|number| entry(number, words)).collect();
        store.apply(&[Write::Fill { view: view.clone(), first, entries, closure: None, committed }]).expect("filled");
    }
    (0..indexed).for_each(|_| _ = store.index_some(1).expect("indexed"));
}

#[test]
fn history_that_is_being_indexed_is_not_passed_off_as_the_whole() {
    let mut ring = Ring::start(&[]);
    fill(&ring.home.path().join("oak"), MANY, WORDS, 0);
    ring.add("oak");
    let told = ring.told("oak", "indexing", |_| true);
    assert!(told["messages"].as_u64().is_some_and(|messages| messages < MANY), "{told}");
    let ran = ring.run(&["status", "--json"]);
    let status = &documents(&ran.stdout)[0];
    assert_eq!((ran.code, &status["healthy"]), (4, &false.into()), "{ran:?}");
    assert!(status["problems"].to_string().contains("oak indexes its history: "), "{status}");
    let ran = ring.run(&["history", "--last", "1", "--json"]);
    assert!(ran.stderr.contains("not whole: the server is indexing its history, "), "{ran:?}");
    ring.told("oak", "indexed", |_| true);
    let ran = ring.run(&["history", "--last", "1", "--json"]);
    assert!(ran.stdout.contains(LAST) && !ran.stderr.contains("not whole"), "{ran:?}");
    assert_eq!(ring.run(&["status"]).code, 0);
}

/// Clears a bit of the header of a page: `SQLite` takes the page to have fewer cells, and says nothing.
fn hide_messages(dir: &Path) {
    let file = dir.join("history.db");
    let store = Connection::open(&file).expect("a store");
    let leaf = "SELECT pageno FROM dbstat WHERE name = 'messages_by_room' AND pagetype = 'leaf' LIMIT 1 OFFSET 1";
    let page: i64 = store.query_row(leaf, [], |row| row.get(0)).expect("a page");
    drop(store);
    let mut bytes = std::fs::read(&file).expect("a file");
    let cells = &mut bytes[(page as usize - 1) * 4096 + 4];
    *cells &= cells.wrapping_sub(1);
    std::fs::write(&file, bytes).expect("written");
}

#[test]
fn messages_that_a_damaged_index_hides_are_missed_and_found_again() {
    let mut ring = Ring::start(&[]);
    let dir = ring.home.path().join("oak");
    fill(&dir, FEW, FEW_WORDS, FEW);
    hide_messages(&dir);
    let query = HistoryQuery { rooms: vec!["lobby".into()], limit: 500, ..HistoryQuery::default() };
    let served = SqliteReader::open(&dir).and_then(|reader| reader.history(&query)).expect("no error");
    assert!(served.records.len() < FEW as usize && !served.more, "nothing is hidden");
    ring.add("oak");
    let damaged = ring.told("oak", "damaged", |_| true);
    assert!(damaged["what"].as_str().is_some_and(|what| what.starts_with("history.db")), "{damaged}");
    ring.until_history_has("word2800 ");
    let ran = ring.run(&["history", "lobby", "--all", "--json"]);
    assert_eq!((ran.code, documents(&ran.stdout).len()), (0, FEW as usize), "{}", ran.stderr);
}
