//! `SQLite`'s own file: permissions, locks, kills, damage, full disks, backups.

mod index_check;
pub(in crate::store::sqlite) mod interrupted;
mod letting_go;

use super::*;
use crate::ids::ServerId;
use crate::proto::io::Write as StoreWrite;
use crate::record::{Entry, Submission};
use crate::store::conformance::{
    Medium, as_format_1, conformance_tests, entries, entry, epoch, open as open_engine, prune, told, view,
};
use crate::store::engine::{Archive, Batch};
use crate::store::rows::{seal, word};
use crate::wire::session::HistoryQuery;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Directory(TempDir, u32);

impl Directory {
    fn new() -> Self {
        Self(TempDir::new().unwrap(), 0)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join(self.1.to_string())
    }
}

impl Medium for Directory {
    type Engine = SqliteEngine;

    fn fresh(&mut self) -> SqliteEngine {
        self.1 += 1;
        let path = self.path();
        SqliteEngine::open(&path, Lock::take(&path).unwrap()).unwrap()
    }

    fn again(&mut self, engine: SqliteEngine) -> SqliteEngine {
        drop(engine);
        let path = self.path();
        SqliteEngine::open(&path, Lock::take(&path).unwrap()).unwrap()
    }
}

conformance_tests!(Directory::new());

/// Makes server 9.
const RANDOM: u128 = 0x3_0000_0000_0000_0009;
/// Makes server 55.
const OTHER_RANDOM: u128 = 0x4_0000_0000_0000_0037;

fn install() -> StoreWrite {
    StoreWrite::Install { view: view(1, &[]) }
}

fn append(first: u64, last: u64) -> StoreWrite {
    StoreWrite::Append { epoch: epoch(1, 1), first, entries: entries(first, last) }
}

fn commit(upto: u64) -> StoreWrite {
    StoreWrite::Commit { epoch: epoch(1, 1), upto }
}

/// A closed store with `count` committed and indexed entries.
fn filled(dir: &Path, count: u64) {
    let (mut store, _) = open(dir, RANDOM).unwrap();
    store.apply(&[install()]).unwrap();
    for first in (1..=count).step_by(100) {
        store.apply(&[append(first, (first + 99).min(count)), commit(count.min(first + 99))]).unwrap();
    }
    while store.index_some(512).unwrap() {}
}

/// A directory for tests of damage, in memory where there is such a place: they open hundreds of stores.
fn quick_dir() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

fn page(reader: &impl Archive) -> Vec<String> {
    let query = HistoryQuery { limit: 500, ..HistoryQuery::default() };
    reader.history(&query).unwrap().records.into_iter().map(|(record, _)| record.message.body).collect()
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for found in fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        fs::copy(found.path(), to.join(found.file_name())).unwrap();
    }
}

#[test]
fn files_are_private_to_the_user() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a/b");
    let (mut store, _) = open(&path, RANDOM).unwrap();
    store.apply(&[install(), append(1, 3)]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for found in fs::read_dir(&path).unwrap() {
        let found = found.unwrap();
        assert_eq!(found.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", found.file_name());
    }
}

#[test]
fn second_server_in_a_directory_is_told_who_has_it() {
    let dir = TempDir::new().unwrap();
    let (store, _) = open(dir.path(), RANDOM).unwrap();
    let refused = open(dir.path(), RANDOM).map(|_| ());
    assert!(matches!(refused, Err(StoreError::InUse { pid: Some(pid), .. }) if pid == std::process::id()));
    drop(store);
    assert_eq!(open(dir.path(), RANDOM).unwrap().1.pid.incarnation.boot, 2);
}

#[test]
fn foreign_and_newer_files_are_refused_untouched() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE_NAME);
    for (pragma, newer) in [("application_id = 7", false), ("user_version = 99", true)] {
        let _ = fs::remove_file(&file);
        if newer {
            drop(open(dir.path(), RANDOM).unwrap());
        }
        let conn = rusqlite::Connection::open(&file).unwrap();
        conn.execute_batch(&format!("CREATE TABLE x (y); PRAGMA {pragma};")).unwrap();
        drop(conn);
        let before = fs::read(&file).unwrap();
        match open(dir.path(), RANDOM).map(|_| ()) {
            Err(StoreError::Newer { found: 99, known: 3 }) => assert!(newer),
            Err(StoreError::Foreign { .. }) => assert!(!newer),
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}

#[test]
fn reader_sees_what_is_committed_while_the_server_writes_and_after_it_ended() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(SqliteReader::open(dir.path()), Err(StoreError::Io { .. })));
    let (mut store, _) = open(dir.path(), RANDOM).unwrap();
    let reader = SqliteReader::open(dir.path()).unwrap();
    let reading = std::thread::spawn(move || {
        while page(&reader).len() < 300 {}
        reader
    });
    store.apply(&[install()]).unwrap();
    for n in 1..=300 {
        store.apply(&[append(n, n), commit(n)]).unwrap();
        while store.index_some(8).unwrap() {}
    }
    let reader = reading.join().unwrap();
    drop(store);
    assert_eq!(page(&reader).len(), 300);
    drop(reader);
    assert_eq!(page(&SqliteReader::open(dir.path()).unwrap()).len(), 300);
}

/// Not a test by itself: the child of the next one. Writes until it is killed and says what is durable.
#[test]
fn child_that_writes_until_it_is_killed() {
    use std::io::Write;
    let Ok(dir) = std::env::var("RINGTALK_TEST_KILLED_IN") else { return };
    let (mut store, _) = open(Path::new(&dir), RANDOM).unwrap();
    store.apply(&[install()]).unwrap();
    let mut out = std::io::stdout();
    for n in 1.. {
        let first = store.len(epoch(1, 1)) + 1;
        store.apply(&[append(first, first + n % 7), commit(first)]).unwrap();
        writeln!(out, "durable {}", first + n % 7).unwrap();
        store.index_some(4).unwrap();
    }
}

#[test]
fn killed_writer_loses_nothing_that_was_durable() {
    let dir = TempDir::new().unwrap();
    let mut known = 0;
    for round in 1..=5_u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::sqlite::tests::child_that_writes_until_it_is_killed", "--exact", "--nocapture"])
            .env("RINGTALK_TEST_KILLED_IN", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < 20 * round {
            let line = told.next().unwrap().unwrap();
            if let Some(len) = line.strip_prefix("durable ") {
                known = len.parse().unwrap();
                seen += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in told {
            if let Some(len) = line.unwrap_or_default().strip_prefix("durable ") {
                known = len.parse().unwrap_or(known);
            }
        }
        let (mut store, found) = open(dir.path(), RANDOM).unwrap();
        let len = found.epochs[0].len;
        assert!(len >= known && !found.damaged, "{len} of {known}");
        assert_eq!(store.read(epoch(1, 1), 1, u64::MAX, usize::MAX).unwrap(), entries(1, len));
        assert_eq!(found.messages, store.committed(epoch(1, 1)));
        assert_eq!(found.pid.incarnation.boot, 2 * round);
        while store.index_some(512).unwrap() {}
        assert_eq!(store.digest().messages, store.committed(epoch(1, 1)));
    }
}

/// What holds of a damaged copy: only what was written is read, and what is missing is told.
fn check_damaged(dir: &Path, len: u64, what: &str) -> (bool, bool) {
    // Where even the header says that it is no store, or a newer one, nothing is touched and a person decides.
    let (mut store, mut found) = match open(dir, OTHER_RANDOM) {
        Ok(opened) => opened,
        Err(StoreError::Foreign { .. } | StoreError::Newer { .. }) => return (true, false),
        Err(other) => panic!("{what}: {other}"),
    };
    let mut damaged = found.damaged;
    let mut rebuilt = found.pid.server == ServerId(55);
    for _ in 0..4 {
        let own = store.len(epoch(1, 1));
        assert!(own >= len || damaged || rebuilt, "{what}: shortened to {own} in silence");
        let read = store.read(epoch(1, 1), 1, u64::MAX, usize::MAX);
        let indexed = (|| {
            while store.index_some(512)? {}
            Ok::<(), StoreError>(())
        })();
        if let Ok(read) = &read {
            assert_eq!(*read, entries(1, read.len() as u64), "{what}");
            assert!(read.len() as u64 == own || store.is_damaged(), "{what}");
        }
        let history = store.history(&HistoryQuery { limit: 500, ..HistoryQuery::default() });
        if let Ok(page) = &history {
            for (record, leader) in &page.records {
                let n = record.message.id.cseq;
                assert_eq!(record.message.body, format!("word{n} common"), "{what}");
                assert_eq!((record.key.gsn, leader.as_str()), (n, "s1"), "{what}");
            }
        }
        // Cells that a page's header hides from every question only who looks for them misses.
        let reader = SqliteReader::open(dir);
        if let Err(StoreError::DamagedIndex { .. }) = reader.and_then(|reader| index_check::check_all(&reader)) {
            store.engine().condemn_index().unwrap();
        }
        let reindex = dir.join(REINDEX_NAME).exists();
        if let (Ok(read), Ok(()), Ok(page), false, false) = (&read, &indexed, &history, store.is_damaged(), reindex) {
            let (told, shown) = (store.digest().messages, page.records.len() as u64);
            assert!(shown >= read.len() as u64 || damaged || rebuilt, "{what}: history has {shown} of {}", read.len());
            assert!(told >= shown, "{what}: {shown} messages counted as {told}");
            return (damaged, rebuilt);
        }
        drop(store);
        (store, found) = open(dir, OTHER_RANDOM).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(found.damaged || reindex, "{what}: damage met while reading is not told at the next start");
        damaged |= found.damaged;
        rebuilt |= found.pid.server == ServerId(55);
    }
    panic!("{what}: does not come to rest");
}

#[test]
fn flipped_bytes_of_the_file_are_never_served_and_never_shorten_history_in_silence() {
    const LEN: u64 = 150;
    let dir = quick_dir();
    let original = dir.path().join("original");
    filled(&original, LEN);
    let bytes = fs::read(original.join(FILE_NAME)).unwrap();
    let (mut told, mut kept) = (0, 0);
    // Each page's header closely, the rest in strides that differ from page to page.
    let offsets = (0..bytes.len()).filter(|at| at % 4096 < 12 || at % 611 == 7);
    let offsets: Vec<usize> = offsets.collect();
    for (n, &at) in offsets.iter().enumerate().filter(|(n, _)| n % 5 == 0 || *n < 30) {
        let copy = dir.path().join(format!("flip{n}"));
        copy_dir(&original, &copy);
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (n % 8);
        fs::write(copy.join(FILE_NAME), flipped).unwrap();
        let (damaged, rebuilt) = check_damaged(&copy, LEN, &format!("bit {} of byte {at}", n % 8));
        told += u32::from(damaged);
        kept += u32::from(!rebuilt);
        fs::remove_dir_all(&copy).unwrap();
    }
    assert!(told > 10 && kept > 10, "the damage never mattered: {told} told, {kept} kept");
}

/// Changes a row behind the store's back.
fn rot(dir: &Path, sql: &str) {
    assert_eq!(rusqlite::Connection::open(dir.join(FILE_NAME)).unwrap().execute(sql, []).unwrap(), 1, "{sql}");
}

#[test]
fn question_that_meets_a_damaged_row_of_the_index_fails_and_the_next_opening_makes_the_index_anew() {
    // Rows that still tell their place, and one that does not: no history passes for whole that lacks it.
    for damage in ["text = 'forged'", "key = x'0102'", "client = '7'", "key = x'01', client = 'z', cseq = 0"] {
        let dir = quick_dir();
        filled(dir.path(), 120);
        rot(dir.path(), &format!("UPDATE messages SET {damage} WHERE gsn = 60"));
        let reader = SqliteReader::open(dir.path()).unwrap();
        let query = HistoryQuery { limit: 500, ..HistoryQuery::default() };
        let answer = reader.history(&query);
        assert!(matches!(answer, Err(StoreError::DamagedIndex { .. })), "{damage}");
        drop(reader);
        let (mut store, found) = open(dir.path(), OTHER_RANDOM).unwrap();
        assert_eq!((found.damaged, found.pid.server, found.messages), (false, ServerId(9), 120), "{damage}");
        while store.index_some(512).unwrap() {}
        assert_eq!(page(&SqliteReader::open(dir.path()).unwrap()).len(), 120, "{damage}");
        assert_eq!(store.digest().messages, 120, "{damage}");
    }
}

/// Each copy of an entry's key in the file: one in the table's own row, one in the index that finds it.
fn copies_of_key(bytes: &[u8], gsn: u64) -> Vec<usize> {
    let key = crate::store::rows::entry_key(epoch(1, 1), gsn);
    let at = bytes.windows(key.len()).enumerate().filter(|(_, found)| *found == key);
    at.map(|(at, _)| at).collect()
}

/// A rotten index finds some rows nowhere, and what is written anew for them it does not find either: a server of the
/// pretend LAN asked for the same entries for ever.
#[test]
fn rot_in_an_index_of_the_log_loses_none_of_its_sound_rows() {
    let dir = quick_dir();
    let original = dir.path().join("original");
    filled(&original, 120);
    let bytes = fs::read(original.join(FILE_NAME)).unwrap();
    let copies = copies_of_key(&bytes, 60);
    assert!(copies.len() >= 2, "{copies:?}");
    let mut whole = 0;
    for (n, at) in copies.into_iter().enumerate() {
        let copy = dir.path().join(n.to_string());
        copy_dir(&original, &copy);
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x20;
        fs::write(copy.join(FILE_NAME), flipped).unwrap();
        // Read as the protocol does until the store has noticed, and opened anew as the disk's thread does.
        let mut lens = Vec::new();
        for _ in 0..3 {
            let (mut store, _) = open(&copy, RANDOM).unwrap();
            let read = store.read(epoch(1, 1), 1, 120, usize::MAX).unwrap();
            assert_eq!(read, entries(1, read.len() as u64));
            lens.push(read.len());
            let len = store.len(epoch(1, 1));
            if len < 120 {
                let filled = store.apply(&[StoreWrite::Fill {
                    view: view(1, &[]),
                    first: len + 1,
                    entries: entries(len + 1, 120),
                    closure: None,
                    committed: 120,
                }]);
                filled.unwrap();
            }
            while store.index_some(512).unwrap() && !store.is_damaged() {}
        }
        assert_eq!(lens.last(), Some(&120), "{lens:?}");
        if SqliteReader::open(&copy).unwrap().history(&HistoryQuery { limit: 500, ..HistoryQuery::default() }).is_err()
        {
            let (mut store, _) = open(&copy, RANDOM).unwrap();
            while store.index_some(512).unwrap() {}
        }
        assert_eq!(page(&SqliteReader::open(&copy).unwrap()).len(), 120);
        whole += u32::from(lens[1] == 120);
    }
    assert!(whole > 0, "sound rows were set aside");
}

#[test]
fn cut_file_gives_what_is_left_and_says_so() {
    const LEN: u64 = 150;
    let dir = quick_dir();
    let original = dir.path().join("original");
    filled(&original, LEN);
    let bytes = fs::read(original.join(FILE_NAME)).unwrap();
    for n in 0..20 {
        let copy = dir.path().join(format!("cut{n}"));
        copy_dir(&original, &copy);
        let at = if n < 5 { n * 40 } else { bytes.len() * n / 20 };
        fs::write(copy.join(FILE_NAME), &bytes[..at]).unwrap();
        let (damaged, _) = check_damaged(&copy, LEN, &format!("cut at {at}"));
        assert!(damaged, "cut at {at}");
        fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn damaged_write_ahead_log_is_noticed_before_it_is_replayed() {
    const LEN: u64 = 40;
    let dir = quick_dir();
    let original = dir.path().join("original");
    let copy = |n: usize| {
        let copy = dir.path().join(format!("copy{n}"));
        copy_dir(&original, &copy);
        copy
    };
    let (mut store, _) = open(&original, RANDOM).unwrap();
    store.apply(&[install()]).unwrap();
    for n in 1..=LEN {
        store.apply(&[append(n, n), commit(n)]).unwrap();
    }
    let wal = FILE_NAME.to_owned() + "-wal";
    let bytes = fs::read(original.join(&wal)).unwrap();
    assert!(bytes.len() > 100_000, "the log is replayed");
    assert_eq!(check_damaged(&copy(0), LEN, "unharmed"), (false, false));
    for n in 1..80 {
        let copy = copy(n);
        let at = bytes.len() / 80 * n + n;
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (n % 8);
        fs::write(copy.join(&wal), flipped).unwrap();
        check_damaged(&copy, LEN, &format!("bit {} of byte {at}", n % 8));
        fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn backup_is_a_consistent_copy_without_the_identity_and_starts_a_new_server() {
    let dir = TempDir::new().unwrap();
    let (one, two, file) = (dir.path().join("one"), dir.path().join("two"), dir.path().join("copy"));
    let (mut store, first) = open(&one, RANDOM).unwrap();
    store.apply(&[install(), append(1, 60), commit(50)]).unwrap();
    while store.index_some(512).unwrap() {}
    fs::write(&file, "an older copy").unwrap();
    SqliteReader::open(&one).unwrap().backup(&file).unwrap();
    let id = first.pid.server.0.to_be_bytes();
    assert!(!fs::read(&file).unwrap().windows(9).any(|w| w[0] == 8 && w[1..] == id));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    store.apply(&[append(61, 70)]).unwrap();

    assert!(matches!(restore(&file, &one), Err(StoreError::InUse { .. })));
    assert_eq!(restore(&file, &two).unwrap(), None);
    assert!(matches!(restore(&file, &two), Err(StoreError::Exists { .. })));
    let (restored, found) = open(&two, 77).unwrap();
    assert_eq!((found.pid.server, found.pid.incarnation.boot), (ServerId(77), 1));
    assert_eq!((found.last, found.epochs[0].len, found.messages, found.damaged), (None, 60, 50, false));
    assert_eq!(restored.digest(), store.digest());
    assert_eq!(page(&restored), page(&store));
    assert!(matches!(
        restore(&two.join("lock"), &dir.path().join("three")),
        Err(StoreError::Corrupt { .. } | StoreError::Foreign { .. })
    ));
}

/// Makes a file, and the rows in it, what a program of format 1 would have written.
fn file_of_format_1(dir: &Path) {
    filled(dir, 50);
    let mut engine = SqliteEngine::open(dir, Lock::take(dir).unwrap()).unwrap();
    as_format_1(&mut engine);
    drop(engine);
    let conn = rusqlite::Connection::open(dir.join(FILE_NAME)).unwrap();
    conn.execute_batch("DROP TABLE pruned; DROP TABLE gists; PRAGMA user_version = 1;").unwrap();
}

fn version(file: &Path) -> i64 {
    rusqlite::Connection::open(file).unwrap().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[test]
fn file_of_format_1_is_read_copied_restored_and_migrated() {
    let dir = TempDir::new().unwrap();
    let (one, two, file) = (dir.path().join("one"), dir.path().join("two"), dir.path().join("copy"));
    file_of_format_1(&one);
    let reader = SqliteReader::open(&one).unwrap();
    assert_eq!(page(&reader).len(), 50);
    reader.backup(&file).unwrap();
    drop(reader);
    assert_eq!(restore(&file, &two).unwrap(), None);
    assert_eq!((version(&one.join(FILE_NAME)), version(&file), version(&two.join(FILE_NAME))), (1, 1, 1));
    for (dir, server) in [(&one, 9), (&two, 55)] {
        let (mut store, found) = open(dir, OTHER_RANDOM).unwrap();
        assert_eq!((found.pid.server, found.damaged, found.messages), (ServerId(server), false, 50));
        store.apply(&[prune(1, 1, 50)]).unwrap();
        while store.index_some(512).unwrap() {}
        assert_eq!((page(&store).len(), version(&dir.join(FILE_NAME))), (0, 3));
    }
}

#[test]
fn file_of_format_2_gets_its_gists_when_it_is_indexed_again() {
    let dir = quick_dir();
    let one = dir.path();
    filled(one, 50);
    let mut engine = SqliteEngine::open(one, Lock::take(one).unwrap()).unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Meta, word::FORMAT, seal(Table::Meta, word::FORMAT, &2_u32));
    engine.commit(batch).unwrap();
    drop(engine);
    let conn = rusqlite::Connection::open(one.join(FILE_NAME)).unwrap();
    conn.execute_batch("DROP TABLE gists; PRAGMA user_version = 2;").unwrap();
    drop(conn);
    for _ in 0..2 {
        let (mut store, found) = open(one, RANDOM).unwrap();
        assert_eq!((found.damaged, found.messages, page(&store).len()), (false, 50, 50));
        while store.index_some(512).unwrap() {}
        let gists = store.gists(epoch(1, 1), None, usize::MAX).unwrap();
        assert_eq!((gists.upto, gists.gists.len(), page(&store).len()), (50, 3, 50), "a room, a nick, a client");
    }
}

#[test]
fn broken_file_of_format_1_is_carried_over() {
    let dir = quick_dir();
    let one = dir.path().join("one");
    file_of_format_1(&one);
    fs::write(one.join(BROKEN_NAME), "").unwrap();
    let (mut store, found) = open(&one, RANDOM).unwrap();
    assert_eq!((found.pid.server, found.epochs[0].len, found.messages), (ServerId(9), 50, 50));
    while store.index_some(512).unwrap() {}
    assert_eq!(page(&store).len(), 50);
}

#[test]
fn what_was_let_go_of_is_in_copies_and_is_carried_over_from_a_broken_file() {
    let dir = TempDir::new().unwrap();
    let (one, two, file) = (dir.path().join("one"), dir.path().join("two"), dir.path().join("copy"));
    filled(&one, 200);
    let (mut store, _) = open(&one, RANDOM).unwrap();
    let told = told(300, 310);
    store.apply(&[prune(1, 1, 200), told]).unwrap();
    store.index_some(20).unwrap();
    SqliteReader::open(&one).unwrap().backup(&file).unwrap();
    drop(store);
    assert_eq!(restore(&file, &two).unwrap(), None);
    fs::write(one.join(BROKEN_NAME), "").unwrap();
    for dir in [&one, &two] {
        let (mut store, found) = open(dir, OTHER_RANDOM).unwrap();
        let pruned = found.pruned.of(crate::ids::ClientId(5)).unwrap();
        assert_eq!(pruned.ranges(), &[(1, 200), (300, 310)]);
        assert_eq!((found.messages, found.epochs[0].pruned, found.epochs[0].len), (0, true, 200));
        while store.index_some(512).unwrap() {}
        assert_eq!((page(&store).len(), store.digest().messages), (0, 0));
    }
}

#[test]
fn space_of_what_was_let_go_of_is_used_again() {
    let dir = quick_dir();
    let (mut store, _) = open(dir.path(), RANDOM).unwrap();
    let mut sizes = Vec::new();
    for num in 1..=6 {
        let entries = entries(1, 800);
        let fill = StoreWrite::Fill { view: view(num, &[]), first: 1, entries, closure: None, committed: 800 };
        store.apply(&[fill]).unwrap();
        while store.index_some(512).unwrap() {}
        store.apply(&[StoreWrite::Prune { epoch: Some(epoch(num, 1)), ids: Vec::new(), stays: false }]).unwrap();
        while store.index_some(512).unwrap() {}
        let pages = |what| {
            let conn = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
            conn.query_row(&format!("PRAGMA {what}"), [], |row| row.get::<_, i64>(0)).unwrap()
        };
        sizes.push(pages("page_count"));
        assert!(pages("freelist_count") > sizes[0] / 2);
    }
    assert!(sizes[5] < sizes[0] * 3 / 2, "{sizes:?}");
}

/// A copy of so many entries, in a directory of its own.
fn copy_of(len: u64, dir: &Path) -> PathBuf {
    let (mut store, _) = open(&dir.join("one"), RANDOM).unwrap();
    store.apply(&[install(), append(1, len), commit(len)]).unwrap();
    while store.index_some(512).unwrap() {}
    let file = dir.join("copy.db");
    SqliteReader::open(&dir.join("one")).unwrap().backup(&file).unwrap();
    file
}

#[test]
fn damaged_row_of_a_copy_is_told_and_everything_sound_restored() {
    let dir = TempDir::new().unwrap();
    let file = copy_of(50, dir.path());
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute("UPDATE entries SET value = zeroblob(length(value)) WHERE id = 31", [])
        .unwrap();
    let before = fs::read(&file).unwrap();
    let two = dir.path().join("two");
    let damage = restore(&file, &two).unwrap().expect("damage");
    assert_eq!(damage.what, "entry 31 of epoch 1");
    assert_eq!(damage.aside, two.join("history.db.damaged-1").display().to_string());
    assert_eq!(fs::read(&damage.aside).unwrap(), before, "all of it is kept");
    assert_eq!(fs::read(&file).unwrap(), before, "the copy is as it was");
    let (mut store, found) = open(&two, 77).unwrap();
    assert_eq!((found.pid.server, found.epochs[0].len, found.damaged), (ServerId(77), 30, true));
    assert_eq!(found.damage.unwrap().what, "epoch 1 from entry 31 on");
    while store.index_some(512).unwrap() {}
    assert_eq!(store.digest().messages, 30);
}

/// A store that was copied file by file brings its write-ahead log, and a damaged one loses what stands behind the damage as
/// soon as it is opened.
#[test]
fn damaged_write_ahead_log_beside_a_copy_is_told_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let (one, copied, two) = (dir.path().join("one"), dir.path().join("copied"), dir.path().join("two"));
    let (mut store, _) = open(&one, RANDOM).unwrap();
    store.apply(&[install()]).unwrap();
    (1..=40).for_each(|n| store.apply(&[append(n, n), commit(n)]).unwrap());
    copy_dir(&one, &copied);
    let wal = copied.join(FILE_NAME.to_owned() + "-wal");
    let mut bytes = fs::read(&wal).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&wal, &bytes).unwrap();
    assert_eq!(restore(&copied.join(FILE_NAME), &two).unwrap().expect("damage").what, "the write-ahead log beside it");
    assert_eq!(fs::read(&wal).unwrap(), bytes, "the copy is as it was");
    let (_, found) = open(&two, 77).unwrap();
    assert_eq!(found.pid.server, ServerId(77));
    assert!((1..40).contains(&found.epochs[0].len), "{}", found.epochs[0].len);
}

#[test]
fn sound_copy_is_not_taken_for_the_damaged_store_that_was_there_before() {
    let dir = TempDir::new().unwrap();
    let file = copy_of(50, dir.path());
    let two = dir.path().join("two");
    fs::create_dir(&two).unwrap();
    fs::write(two.join(BROKEN_NAME), "history.db.damaged-1").unwrap();
    assert_eq!(restore(&file, &two).unwrap(), None);
    let (_, found) = open(&two, 77).unwrap();
    assert_eq!((found.epochs[0].len, found.damaged), (50, false));
}

#[test]
fn damaged_index_of_a_copy_is_told_and_made_anew() {
    let dir = TempDir::new().unwrap();
    let file = copy_of(50, dir.path());
    rusqlite::Connection::open(&file).unwrap().execute("UPDATE messages SET text = 'lies' WHERE id = 7", []).unwrap();
    let two = dir.path().join("two");
    assert_eq!(restore(&file, &two).unwrap().expect("damage").what, "a row of the index");
    let (mut store, found) = open(&two, 77).unwrap();
    assert_eq!((found.epochs[0].len, found.damaged), (50, false));
    while store.index_some(512).unwrap() {}
    assert!(page(&store).iter().all(|body| body.starts_with("word")));
}

#[test]
fn copy_that_is_cut_or_overwritten_is_never_taken_for_sound() {
    let dir = TempDir::new().unwrap();
    let file = copy_of(200, dir.path());
    let whole = fs::read(&file).unwrap();
    for (at, part) in [3, 5, 8].into_iter().enumerate() {
        let (cut, junk) = (dir.path().join("cut.db"), dir.path().join("junk.db"));
        fs::write(&cut, &whole[..whole.len() * part / 9]).unwrap();
        let mut bytes = whole.clone();
        let from = whole.len() * part / 9;
        bytes[from..from + 9000].fill(0xa5);
        fs::write(&junk, bytes).unwrap();
        for file in [cut, junk] {
            let to = dir.path().join(format!("{at}-{}", file.file_name().unwrap().display()));
            let damage = restore(&file, &to).unwrap().expect("damage");
            assert!(!damage.what.is_empty());
            let (mut store, found) = open(&to, 77).unwrap();
            let read = store.read(epoch(1, 1), 1, u64::MAX, usize::MAX).unwrap();
            assert_eq!(read, entries(1, read.len() as u64));
            assert_eq!(found.pid.server, ServerId(77));
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "says that it was skipped")]
fn full_disk_is_told_and_nothing_durable_is_lost() {
    let inside = std::env::var("RINGTALK_TEST_FULL").is_ok();
    if !inside {
        let status = Command::new("unshare")
            .args([
                "-Urm",
                "sh",
                "-c",
                "mount -t tmpfs -o size=2m none /mnt && RINGTALK_TEST_FULL=1 exec \"$0\" \"$@\"",
            ])
            .arg(std::env::current_exe().unwrap())
            .args(["store::sqlite::tests::full_disk_is_told_and_nothing_durable_is_lost", "--exact", "--nocapture"])
            .stdout(Stdio::piped())
            .output();
        match status {
            Ok(output) if output.status.success() => {
                assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
            }
            Ok(output)
                if String::from_utf8_lossy(&output.stderr).contains("unshare:")
                    || String::from_utf8_lossy(&output.stderr).contains("mount:") =>
            {
                println!("skipped: no private mount namespace here");
            }
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stdout)),
            Err(error) => println!("skipped: {error}"),
        }
        return;
    }
    let dir = Path::new("/mnt/store");
    let big = |n: u64| -> Entry { entry(n, &[crate::record::tests::message(5, n, &"x".repeat(9_000))]) };
    let mut durable = 0;
    let (mut store, _) = open(dir, RANDOM).unwrap();
    store.apply(&[install()]).unwrap();
    let error = loop {
        let write = StoreWrite::Append { epoch: epoch(1, 1), first: durable + 1, entries: vec![big(durable + 1)] };
        match store.apply(&[write]) {
            Ok(()) => durable += 1,
            Err(error) => break error,
        }
        assert!(durable < 1000, "the disk is never full");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(durable > 5);
    let reader = SqliteReader::open(dir).unwrap();
    page(&reader);
    drop((reader, store));
    match open(dir, RANDOM).map(|_| ()) {
        Ok(()) | Err(StoreError::Full { .. }) => {}
        Err(other) => panic!("{other}"),
    }
    let room = Command::new("mount").args(["-o", "remount,size=16m", "/mnt"]).status().unwrap();
    assert!(room.success());
    let (mut store, found) = open(dir, RANDOM).unwrap();
    assert_eq!((found.epochs[0].len, found.damaged), (durable, false));
    for n in 1..=durable {
        assert_eq!(store.read(epoch(1, 1), n, n, 0).unwrap(), [big(n)]);
    }
    store
        .apply(&[StoreWrite::Append { epoch: epoch(1, 1), first: durable + 1, entries: vec![big(durable + 1)] }])
        .unwrap();
}

#[test]
fn held_reader_makes_the_log_grow_and_letting_go_makes_it_short_again() {
    let dir = TempDir::new().unwrap();
    let (mut store, _) = open(dir.path(), RANDOM).unwrap();
    store.apply(&[install(), append(1, 1)]).unwrap();
    let reader = rusqlite::Connection::open(dir.path().join(FILE_NAME)).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM entries;").unwrap();
    let mut n = 1;
    while store.engine().wal_bytes() < 6 << 20 {
        store.apply(&[append(n + 1, n + 200)]).unwrap();
        n += 200;
    }
    reader.execute_batch("COMMIT").unwrap();
    // One commit moves the log into the file, the next begins it anew: it no longer grows.
    store.apply(&[append(n + 1, n + 1)]).unwrap();
    let held = store.engine().wal_bytes();
    for more in 2..400 {
        store.apply(&[append(n + more, n + more)]).unwrap();
    }
    assert!(store.engine().wal_bytes() <= held);
}

#[test]
fn open_engine_twice_in_one_process_is_refused() {
    let mut directory = Directory::new();
    let (store, _) = open_engine(directory.fresh());
    assert!(matches!(Lock::take(&directory.path()), Err(StoreError::InUse { .. })));
    drop(store);
    assert!(Lock::take(&directory.path()).is_ok());
}

#[test]
fn store_of_a_hundred_thousand_entries_opens_without_reading_them() {
    const LEN: u64 = 100_000;
    let dir = quick_dir();
    let (mut store, _) = open(dir.path(), RANDOM).unwrap();
    store.apply(&[install()]).unwrap();
    for first in (1..=LEN).step_by(1000) {
        store.apply(&[append(first, first + 999), commit(first + 999)]).unwrap();
        while store.index_some(1000).unwrap() {}
    }
    drop(store);
    let read_bytes = || -> u64 {
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap_or(0)
    };
    let before = read_bytes();
    let (store, found) = open(dir.path(), RANDOM).unwrap();
    let read = read_bytes() - before;
    assert_eq!((found.epochs[0].len, found.messages, store.digest().messages), (LEN, LEN, LEN));
    assert_eq!(found.ids.of(crate::ids::ClientId(5)).unwrap().ranges(), &[(1, LEN)]);
    let file = fs::metadata(dir.path().join(FILE_NAME)).unwrap().len();
    // Other tests of this process read too: hence the wide bound.
    assert!(read < file / 2, "{read} of {file} bytes read");
}

/// `cargo test --release --lib store::sqlite::tests::rates -- --ignored --nocapture` prints the figures of a machine.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stdout, clippy::disallowed_methods, clippy::cast_precision_loss, reason = "a measurement")]
fn rates() {
    use crate::record::tests::message;
    use std::time::{Duration, Instant};
    for group in [1_u64, 64, 512] {
        let dir = TempDir::new().unwrap();
        let (mut store, _) = open(dir.path(), RANDOM).unwrap();
        store.apply(&[install()]).unwrap();
        let (mut len, mut slowest, began) = (0, Duration::ZERO, Instant::now());
        while began.elapsed() < Duration::from_secs(4) {
            let batch = |n: u64| {
                let said = |i: u64| message(n % 200, n * 10 + i + 1, &"word ".repeat(20));
                let ten = (0..10).map(|i| Submission { nick: format!("n{}", n % 200), ..said(i) }).collect::<Vec<_>>();
                entry(n, &ten)
            };
            let entries = (len..len + group).map(batch).collect();
            let write = StoreWrite::Append { epoch: epoch(1, 1), first: len + 1, entries };
            let one = Instant::now();
            store.apply(&[write, commit(len)]).unwrap();
            slowest = slowest.max(one.elapsed());
            len += group;
        }
        let took = began.elapsed().as_secs_f64();
        println!(
            "groups of {group}: {:.0} commits/s, {:.0} entries/s, {:.0} messages/s, slowest commit {slowest:?}",
            len as f64 / group as f64 / took,
            len as f64 / took,
            len as f64 * 10.0 / took
        );
        store.apply(&[commit(len)]).unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) && store.index_some(512).unwrap() {}
        println!("  index: {:.0} messages/s", store.digest().messages as f64 / began.elapsed().as_secs_f64());
        drop(store);
        let began = Instant::now();
        let (_, found) = open(dir.path(), RANDOM).unwrap();
        println!("  open with {} entries, not all indexed: {:?}", found.epochs[0].len, began.elapsed());
    }
}
