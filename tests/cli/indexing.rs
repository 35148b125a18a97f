//! A history whose index is far behind: made anew after damage, or after much was fetched.

use crate::ring::{Ring, documents};
use ringtalk::ids::{ClientId, EpochId, MessageId, Pid, ServerId};
use ringtalk::proto::io::Write;
use ringtalk::record::{Entry, Kind, Member, Submission, Taken, View, encode_batch};
use ringtalk::store::sqlite;
use ringtalk::time::Hlc;
use std::path::Path;

/// Entries that take some seconds to be indexed; people are told within one.
const MANY: u64 = 20_000;
/// Words of each.
const WORDS: u64 = 300;

/// The first word of the last one.
const LAST: &str = "word140000 ";

fn entry(number: u64) -> Entry {
    let message = Submission {
        id: MessageId { client: ClientId(5), cseq: number },
        acked_upto: 0,
        floor: Hlc(0),
        room: "lobby".into(),
        nick: "ana".into(),
        kind: Kind::Text,
        body: (0..WORDS).map(|n| format!("word{}", number * 7 + n)).collect::<Vec<_>>().join(" "),
    };
    let (origin, hlc) = (Pid::default(), Hlc::from_wall_ms(1_700_000_000_000 + number));
    Entry { origin, oseq: number, hlc, taken: Taken::first(1), batch: encode_batch(&[message]) }
}

/// A store with a history that is in no index.
fn fill(dir: &Path) {
    let (mut store, _) = sqlite::open(dir, 9).expect("a store");
    let leader = Pid { server: ServerId(7), ..Pid::default() };
    let members = vec![Member { pid: leader, name: "elm".into() }];
    let view = View { epoch: EpochId { num: 1, leader }, members, ..View::default() };
    for first in (1..=MANY).step_by(1000) {
        let (entries, committed) = ((first..first + 1000).map(entry).collect(), first + 999);
        store.apply(&[Write::Fill { view: view.clone(), first, entries, closure: None, committed }]).expect("filled");
    }
}

#[test]
fn history_that_is_being_indexed_is_not_passed_off_as_the_whole() {
    let mut ring = Ring::start(&[]);
    fill(&ring.home.path().join("oak"));
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
