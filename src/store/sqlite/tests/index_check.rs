//! Pages of the index whose headers are wrong, so that `SQLite` serves fewer messages without a word; and that a sound index is
//! never taken for such a one.

use super::*;
use crate::ids::{ClientId, MessageId};
use crate::record::{Kind, Submission};
use crate::store::engine::Page;
use crate::time::Hlc;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of a page.
const PAGE: usize = 4096;
/// Messages of the store that is damaged: some leaves in each tree.
const LEN: u64 = 400;

/// Looks at all of the index, in slices that end at odd places; how many.
pub(super) fn check_all(archive: &impl Archive) -> Result<u32, StoreError> {
    let (mut from, mut slices) = (MessageId::default(), 1);
    while let Some(next) = archive.check(from, 37)? {
        assert!(next > from, "{next:?} after {from:?}");
        (from, slices) = (next, slices + 1);
    }
    Ok(slices)
}

/// What three people say in two rooms, with topics and joins.
fn message(number: u64) -> Submission {
    let kind = match number % 8 {
        0 => Kind::Topic,
        1 => Kind::Join,
        2 => Kind::Direct { to: ClientId(6) },
        _ => Kind::Text,
    };
    let client = number % 3;
    Submission {
        id: MessageId { client: ClientId(5 + client), cseq: number / 3 + 1 },
        acked_upto: 0,
        floor: Hlc(0),
        room: if number.is_multiple_of(2) { "garden" } else { "Lobby" }.into(),
        nick: ["ana", "ben", "Zoë"][client as usize].into(),
        kind,
        body: format!("word{number} {}", "and more of what was said ".repeat(number as usize % 5)),
    }
}

fn filled_with_talk(dir: &Path) {
    let (mut store, _) = open(dir, RANDOM).unwrap();
    let entries = (1..=LEN).map(|number| entry(number, &[message(number)])).collect();
    store.apply(&[install(), StoreWrite::Append { epoch: epoch(1, 1), first: 1, entries }, commit(LEN)]).unwrap();
    while store.index_some(512).unwrap() {}
}

/// Every question of a kind that people ask, and what each is answered.
fn answers(dir: &Path) -> Result<Vec<Page>, StoreError> {
    let reader = SqliteReader::open(dir)?;
    let all = HistoryQuery { limit: 500, events: true, reader: Some(ClientId(6)), ..HistoryQuery::default() };
    let mut pages = vec![reader.history(&all)?];
    for room in ["garden", "lobby"] {
        pages.push(reader.history(&HistoryQuery { rooms: vec![room.into()], ..all.clone() })?);
        pages.push(reader.history(&HistoryQuery {
            rooms: vec![room.into()],
            newest: true,
            limit: 7,
            ..all.clone()
        })?);
    }
    for nick in ["ana", "ben", "zoë"] {
        pages.push(reader.history(&HistoryQuery { from: Some(nick.into()), ..all.clone() })?);
    }
    for number in 1..=LEN {
        pages.push(Page { records: reader.place(message(number).id)?.into_iter().collect(), more: false });
    }
    let rooms = reader.rooms()?;
    let counted = rooms.iter().map(|room| format!("{} {} {}", room.room, room.messages, room.topic));
    let counted = counted.map(|text| {
        let mut record = crate::record::Record { key: crate::ids::RecordKey::default(), message: message(1) };
        record.message.body = text;
        (record, String::new())
    });
    pages.push(Page { records: counted.collect(), more: false });
    Ok(pages)
}

/// The pages of the trees that messages are found by, each with its tree's name and its kind.
fn pages_of_messages(dir: &Path) -> Vec<(usize, String, String)> {
    let conn = rusqlite::Connection::open(dir.join(FILE_NAME)).unwrap();
    let sql = "SELECT pageno, name, pagetype FROM dbstat WHERE name LIKE '%messages%' AND pagetype <> 'overflow'";
    let mut pages = conn.prepare(sql).unwrap();
    let pages = pages.query_map([], |row| Ok((row.get::<_, i64>(0)? as usize, row.get(1)?, row.get(2)?))).unwrap();
    pages.collect::<Result<_, _>>().unwrap()
}

/// Clears the lowest bit that is set in the number of cells that the page's header tells: one that a flipped bit may take away.
fn take_cells(bytes: &mut [u8], page: usize) -> bool {
    let at = (page - 1) * PAGE + 3;
    let cells = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let fewer = cells & cells.wrapping_sub(1);
    bytes[at..at + 2].copy_from_slice(&fewer.to_be_bytes());
    cells > 0
}

#[test]
fn page_that_hides_messages_in_silence_is_noticed_and_the_index_made_anew() {
    let dir = quick_dir();
    let original = dir.path().join("original");
    filled_with_talk(&original);
    let whole = answers(&original).unwrap();
    check_all(&SqliteReader::open(&original).unwrap()).unwrap();
    let bytes = fs::read(original.join(FILE_NAME)).unwrap();
    let mut silent = BTreeMap::<(String, String), u32>::new();
    for (page, tree, kind) in pages_of_messages(&original) {
        let copy = dir.path().join(page.to_string());
        copy_dir(&original, &copy);
        let mut damaged = bytes.clone();
        assert!(take_cells(&mut damaged, page), "page {page}");
        fs::write(copy.join(FILE_NAME), damaged).unwrap();
        let what = format!("page {page}, {kind} of {tree}");
        let conn = rusqlite::Connection::open(copy.join(FILE_NAME)).unwrap();
        let count = "SELECT count(*) FROM messages NOT INDEXED";
        let count: rusqlite::Result<i64> = conn.query_row(count, [], |row| row.get(0));
        drop(conn);
        let is_short = count.is_ok_and(|count| count < LEN as i64);
        if is_short || answers(&copy).is_ok_and(|found| found != whole) {
            *silent.entry((tree, kind)).or_default() += 1;
        }
        let _ = fs::remove_file(copy.join(BROKEN_NAME));
        let found = check_all(&SqliteReader::open(&copy).unwrap());
        assert!(matches!(found, Err(StoreError::DamagedIndex { .. })), "{what}: {found:?}");
        assert!(!copy.join(REINDEX_NAME).exists() && !copy.join(BROKEN_NAME).exists(), "{what}: nothing is noted");
        let (store, _) = open(&copy, OTHER_RANDOM).unwrap();
        store.engine().condemn_index().unwrap();
        drop(store);
        let (mut store, found) = open(&copy, OTHER_RANDOM).unwrap();
        assert_eq!((found.pid.server, found.messages, found.epochs[0].len), (ServerId(9), LEN, LEN), "{what}");
        assert!(found.damage.is_some(), "{what}: it is told");
        while store.index_some(512).unwrap() {}
        assert_eq!(answers(&copy).unwrap(), whole, "{what}");
        check_all(&SqliteReader::open(&copy).unwrap()).unwrap();
        drop(store);
        fs::remove_dir_all(&copy).unwrap();
    }
    let short = |tree: &str, kind: &str| silent.get(&(tree.to_owned(), kind.to_owned())).copied().unwrap_or(0);
    for tree in ["messages", "sqlite_autoindex_messages_1", "messages_by_room", "messages_by_nick"] {
        assert!(short(tree, "leaf") > 2 && short(tree, "internal") > 0, "{tree}: {silent:?}");
    }
    assert!(short("sqlite_autoindex_messages_2", "leaf") > 2 && short("messages_topics", "leaf") > 0, "{silent:?}");
}

#[test]
fn row_that_is_not_what_was_written_is_noticed_before_anyone_asks_for_it() {
    for damage in ["text = 'forged'", "key = x'0102'", "cseq = 7000", "client = '7'", "seal = seal + 1"] {
        let dir = quick_dir();
        filled(dir.path(), 120);
        rot(dir.path(), &format!("UPDATE messages SET {damage} WHERE gsn = 60"));
        let found = check_all(&SqliteReader::open(dir.path()).unwrap());
        assert!(matches!(found, Err(StoreError::DamagedIndex { .. })), "{damage}: {found:?}");
    }
}

#[test]
fn word_that_searches_do_not_find_is_noticed() {
    let dir = quick_dir();
    filled(dir.path(), 120);
    rot(dir.path(), "DELETE FROM words WHERE rowid = 48");
    let found = check_all(&SqliteReader::open(dir.path()).unwrap());
    assert!(matches!(&found, Err(StoreError::DamagedIndex { what }) if what.contains("by a word")), "{found:?}");
}

/// Whatever the writer does, a sound index is one at every moment; the writer never waits for who looks at it.
#[test]
fn index_is_sound_while_it_is_filled_let_go_of_and_made_anew() {
    const EPOCHS: u64 = 12;
    let dir = quick_dir();
    drop(open(dir.path(), RANDOM).unwrap());
    let done = AtomicBool::new(false);
    let (passes, slices) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let reader = SqliteReader::open(dir.path()).unwrap();
            let (mut passes, mut slices) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                slices += check_all(&reader).unwrap();
                passes += 1;
            }
            slices += check_all(&reader).unwrap();
            (passes, slices)
        });
        for num in 1..=EPOCHS {
            // The last ten of the epoch before once more, as after a cut.
            let (first, last) = ((num - 1) * 150 + 1, num * 150);
            let entries = entries(first.saturating_sub(10).max(1), last);
            let committed = entries.len() as u64;
            let whole = StoreWrite::Fill { view: view(num, &[]), first: 1, entries, closure: None, committed };
            let (mut store, _) = open(dir.path(), RANDOM).unwrap();
            store.apply(&[whole]).unwrap();
            while store.index_some(11).unwrap() {}
            if num > 2 {
                let (first, last) = ((num - 3) * 150 + 1, (num - 2) * 150);
                store.apply(&[prune(num - 2, first, last)]).unwrap();
                (0..num).for_each(|_| _ = store.index_some(11).unwrap());
            }
            if num % 3 == 0 {
                store.engine().condemn_index().unwrap();
            }
        }
        let (mut store, _) = open(dir.path(), RANDOM).unwrap();
        while store.index_some(64).unwrap() {}
        assert_eq!(store.digest().messages, 300);
        done.store(true, Ordering::Relaxed);
        looking.join().unwrap()
    });
    assert!(passes > 5 && slices > 50, "{passes} passes, {slices} slices");
}

/// `cargo test --release --lib store::sqlite::tests::index_check::rates -- --ignored --nocapture` prints the figures of a machine.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]
fn rates() {
    use crate::record::tests::message;
    use std::time::{Duration, Instant};
    const MESSAGES: u64 = 1_000_000;
    /// As the thread that looks after the index has them.
    const SLICE: usize = 128;
    const SHARE: u32 = 256;
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(dir.path(), RANDOM).unwrap();
    store.apply(&[install()]).unwrap();
    // 200 people who say ten messages of a hundred bytes at a time.
    let batch = |n: u64| {
        let ten = |i| message(5 + n % 200, n / 200 * 10 + i + 1, &format!("{} {n}", "word ".repeat(18)));
        entry(n, &(0..10).map(ten).collect::<Vec<_>>())
    };
    for first in (0..MESSAGES / 10).step_by(500) {
        let entries = (first..first + 500).map(batch).collect();
        let append = StoreWrite::Append { epoch: epoch(1, 1), first: first + 1, entries };
        store.apply(&[append, commit(first + 500)]).unwrap();
        while store.index_some(512).unwrap() {}
    }
    let file = dir.path().join(FILE_NAME);
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let count =
        || -> i64 { conn.query_row("SELECT count(*) FROM messages NOT INDEXED", [], |row| row.get(0)).unwrap() };
    let began = Instant::now();
    let counted = count();
    println!("{counted} messages, {} MiB", fs::metadata(&file).unwrap().len() >> 20);
    println!("  count(*) of the table alone: {:?}, again {:?}", began.elapsed(), {
        let began = Instant::now();
        count();
        began.elapsed()
    });
    for cold in [false, true] {
        if cold {
            let file = fs::File::open(&file).unwrap();
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
        let reader = SqliteReader::open(dir.path()).unwrap();
        let (mut from, mut slices, mut slowest, began) = (MessageId::default(), 0_u32, Duration::ZERO, Instant::now());
        loop {
            let one = Instant::now();
            let next = reader.check(from, SLICE).unwrap();
            slowest = slowest.max(one.elapsed());
            slices += 1;
            let Some(next) = next else { break };
            from = next;
        }
        let took = began.elapsed();
        println!(
            "  {}: all in {took:?}, {slices} slices of {:?}, slowest {slowest:?}; spread over {:?}",
            if cold { "not in the system's cache" } else { "in the system's cache" },
            took / slices,
            took * SHARE
        );
    }
    let mut next = MESSAGES / 10;
    for share in [0, SHARE, 1, SHARE, 0] {
        let done = AtomicBool::new(false);
        let mut times = std::thread::scope(|scope| {
            scope.spawn(|| {
                let reader = SqliteReader::open(dir.path()).unwrap();
                let mut from = MessageId::default();
                while share > 0 && !done.load(Ordering::Relaxed) {
                    let one = Instant::now();
                    from = reader.check(from, SLICE).unwrap().unwrap_or_default();
                    std::thread::sleep(one.elapsed() * (share - 1));
                }
            });
            let (began, mut times) = (Instant::now(), Vec::new());
            while began.elapsed() < Duration::from_secs(10) {
                let append = StoreWrite::Append { epoch: epoch(1, 1), first: next + 1, entries: vec![batch(next)] };
                next += 1;
                let one = Instant::now();
                store.apply(&[append, commit(next)]).unwrap();
                times.push(one.elapsed());
                store.index_some(128).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            times
        });
        times.sort_unstable();
        let (median, most) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        let wal = store.engine().wal_bytes() >> 10;
        println!(
            "  one part in {share} spent looking: {} commits, median {median:?}, 99 of 100 {most:?}; log {wal} KiB",
            times.len()
        );
    }
}

/// An entry behind the index is read by no start; the look at the index finds that it is not what was written.
#[test]
fn entry_that_rots_behind_the_index_is_missed() {
    let dir = quick_dir();
    filled_with_talk(dir.path());
    let reader = SqliteReader::open(dir.path()).unwrap();
    assert!(check_all(&reader).is_ok());
    let conn = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
    let rotten = "UPDATE entries SET value = CAST(substr(value, 1, length(value) - 1) || x'ff' AS BLOB) WHERE id = 77";
    assert_eq!(conn.execute(rotten, []).unwrap(), 1);
    let found = check_all(&reader).unwrap_err().to_string();
    assert!(found.contains("in its log"), "{found}");
}
