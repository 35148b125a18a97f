//! A long past: history that is on a server's disk before it starts, without anybody having typed it.

use crate::pty::Window;
use ringtalk::ids::{ClientId, EpochId, Incarnation, MessageId, Pid, ServerId};
use ringtalk::proto::io::Write;
use ringtalk::record::{Entry, Kind, MAX_BATCH, Member, Submission, Taken, View, encode_batch};
use ringtalk::store::sqlite;
use ringtalk::time::Hlc;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Who led then, and is not there any more.
const PAST: Pid = Pid { server: ServerId(0x9a57), incarnation: Incarnation { boot: 1, random: 7 } };
/// Entries of one write.
const WRITE: usize = 256;

/// Makes the directory of a server that will have this id, with so many lines in a room: `line 1 of many` and on, one a
/// second, the last at `until`. Directories that are given the same lines hold the same history.
pub(crate) fn write(dir: &Path, server: u64, room: &str, lines: u64, until: SystemTime) {
    let (mut store, _) = sqlite::open(dir, u128::from(server)).expect("an empty directory");
    let epoch = EpochId { num: 1, leader: PAST };
    let view = View { epoch, members: vec![Member { pid: PAST, name: "past".into() }], ..View::default() };
    let since_1970 = until.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let begin_ms = since_1970.as_millis() as u64 - lines * 1000;
    let numbers: Vec<u64> = (1..=lines).collect();
    let entries: Vec<Entry> = numbers.chunks(MAX_BATCH).map(|chunk| entry(room, chunk, begin_ms)).collect();
    let whole = entries.len() as u64;
    let mut first = 1;
    for some in entries.chunks(WRITE) {
        let committed = first + some.len() as u64 - 1;
        let fill = Write::Fill { view: view.clone(), first, entries: some.to_vec(), closure: Some(whole), committed };
        store.apply(&[fill]).expect("written");
        first = committed + 1;
    }
    while store.index_some(WRITE).expect("indexed") {}
    assert_eq!(store.digest().messages, lines);
}

/// The clock, a minute ago.
#[expect(clippy::disallowed_methods, reason = "history ends before it is looked at")]
pub(crate) fn a_minute_ago() -> SystemTime {
    SystemTime::now() - Duration::from_mins(1)
}

/// Pages up from the last of these lines to the first; no line between two pages is left out.
pub(crate) fn page_to_the_first(window: &mut Window, last: u64) {
    window.until_shown(&format!("line {last} of many"));
    let mut top = numbers(&window.text())[0];
    while top > 1 {
        window.press("\u{1b}[5~");
        // What is not there yet is fetched, and the view goes on then.
        window.until(&format!("a page before line {top}"), |screen| {
            let shown = numbers(screen);
            let (Some(&first), Some(&last)) = (shown.first(), shown.last()) else { return false };
            let is_whole = shown.windows(2).all(|pair| pair[1] == pair[0] + 1);
            // Two lines of the screen before stay on it, of which one may be a day's.
            let is_a_page = first == 1 && last + 1 >= top || last == top || last == top + 1;
            is_whole && is_a_page
        });
        top = numbers(&window.text())[0];
    }
}

/// The numbers of the lines on a screen, from the top.
fn numbers(screen: &str) -> Vec<u64> {
    let number = |line: &str| line.split("line ").nth(1)?.split_once(" of many")?.0.parse().ok();
    screen.lines().filter_map(number).collect()
}

fn entry(room: &str, numbers: &[u64], begin_ms: u64) -> Entry {
    let messages: Vec<Submission> = numbers.iter().map(|&number| line(room, number)).collect();
    let last = numbers.last().copied().unwrap_or_default();
    Entry {
        origin: PAST,
        oseq: last,
        hlc: Hlc::from_wall_ms(begin_ms + last * 1000),
        taken: Taken::first(messages.len()),
        batch: encode_batch(&messages),
    }
}

fn line(room: &str, number: u64) -> Submission {
    Submission {
        id: MessageId { client: ClientId(0xda7e), cseq: number },
        acked_upto: 0,
        floor: Hlc::default(),
        room: room.to_owned(),
        nick: "past".into(),
        kind: Kind::Text,
        body: format!("line {number} of many"),
    }
}
