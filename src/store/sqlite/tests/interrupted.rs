//! What a crash leaves at any moment of restoring a copy, or of salvaging a broken file, and what the next start makes of it.

use super::*;
use std::cell::RefCell;

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Copies a directory at each moment: what `kill -9` would have left there.
struct Watch {
    of: PathBuf,
    images: PathBuf,
    count: usize,
}

/// A moment has come.
pub(in crate::store::sqlite) fn look() {
    WATCH.with_borrow_mut(|watch| {
        if let Some(watch) = watch {
            watch.count += 1;
            copy_dir(&watch.of, &watch.images.join(watch.count.to_string()));
        }
    });
}

/// What `work` on the directory `of` leaves at each of its moments.
fn images(of: &Path, into: &Path, work: impl FnOnce()) -> Vec<PathBuf> {
    fs::create_dir_all(into).unwrap();
    WATCH.set(Some(Watch { of: of.into(), images: into.into(), count: 0 }));
    work();
    let count = WATCH.take().map_or(0, |watch| watch.count);
    (1..=count).map(|number| into.join(number.to_string())).collect()
}

/// All rows of the logs that a start finds, and who it is.
fn start(dir: &Path) -> (ServerId, Vec<Entry>, Recovered) {
    let (mut store, found) = open(dir, OTHER_RANDOM).unwrap();
    (found.pid.server, store.read(epoch(1, 1), 1, u64::MAX, usize::MAX).unwrap(), found)
}

/// What a crash leaves of a server of 40 entries, `copy`, with a log that is damaged in its middle.
fn crashed_with_a_damaged_log(dir: &Path, copy: &Path) {
    let (mut store, _) = open(dir, RANDOM).unwrap();
    store.apply(&[install()]).unwrap();
    (1..=40).for_each(|n| store.apply(&[append(n, n), commit(n)]).unwrap());
    copy_dir(dir, copy);
    let wal = copy.join(FILE_NAME.to_owned() + "-wal");
    let mut bytes = fs::read(&wal).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&wal, &bytes).unwrap();
}

/// A store copied file by file has the identity of its server, which may still run.
#[test]
fn server_that_starts_from_an_interrupted_restore_is_never_the_copy_s() {
    let dir = quick_dir();
    let (one, file, two) = (dir.path().join("one"), dir.path().join("copied.db"), dir.path().join("two"));
    filled(&one, 300);
    fs::copy(one.join(FILE_NAME), &file).unwrap();
    let rot = "UPDATE entries SET value = zeroblob(length(value)) WHERE id = 31";
    rusqlite::Connection::open(&file).unwrap().execute(rot, []).unwrap();
    fs::create_dir(&two).unwrap();
    let images = images(&two, &dir.path().join("images"), || {
        assert_eq!(restore(&file, &two).unwrap().expect("damage").what, "entry 31 of epoch 1");
    });
    assert!(images.len() > 12, "{} moments", images.len());
    let (mut begun, mut whole) = (0, 0);
    for image in &images {
        let (server, entries_found, found) = start(image);
        assert_ne!(server, ServerId(9), "{}: the copy's own", image.display());
        assert!(entries_found.is_empty() || entries_found == entries(1, 30), "{}", image.display());
        assert_eq!(found.damage.is_some(), !entries_found.is_empty(), "{}: {:?}", image.display(), found.damage);
        assert!(found.last.is_none(), "{}: it installed nothing", image.display());
        if entries_found.is_empty() {
            begun += 1;
        } else {
            whole += 1;
        }
        let (again, ..) = start(image);
        assert_eq!(again, server, "{}: and it stays who it is", image.display());
    }
    assert!(begun >= 3 && whole >= 6, "{begun} before anything was there, {whole} after");
}

/// The note that rows are nobody's outlived the restore that was interrupted, and the next one's sound copy was taken for
/// damaged.
#[test]
fn sound_copy_is_sound_where_the_restore_of_a_damaged_one_was_interrupted() {
    let dir = quick_dir();
    let (one, file, two) = (dir.path().join("one"), dir.path().join("copied.db"), dir.path().join("two"));
    filled(&one, 30);
    let (store, _) = open(&one, RANDOM).unwrap();
    drop(store);
    fs::copy(one.join(FILE_NAME), &file).unwrap();
    fs::create_dir(&two).unwrap();
    disowned::note(&two, disowned::COPY).unwrap();
    assert!(restore(&file, &two).unwrap().is_none());
    let (_, entries_found, found) = start(&two);
    assert_eq!((entries_found.len(), found.damage, found.damaged), (30, None, false));
}

/// A crash came between the first look into the broken file, with which `SQLite` makes its damaged log shorter, and the end of
/// salvaging: the next start found nothing wrong with the log any more, and went on under the id of a server that had held more.
#[test]
fn salvage_that_is_interrupted_does_not_forget_that_the_log_had_lost_what_was_durable() {
    let dir = quick_dir();
    let two = dir.path().join("two");
    crashed_with_a_damaged_log(&dir.path().join("one"), &two);
    fs::write(two.join(BROKEN_NAME), "").unwrap();
    let images = images(&two, &dir.path().join("images"), || {
        assert_ne!(start(&two).0, ServerId(9));
    });
    assert!(images.len() > 8, "{} moments", images.len());
    for image in &images {
        let (server, entries_found, _) = start(image);
        assert_ne!(server, ServerId(9), "{}: it has lost what it promised to hold", image.display());
        assert!(!entries_found.is_empty() && entries_found.len() < 40, "{}", image.display());
    }
}

/// The same without a note of damage: the log is all that tells.
#[test]
fn start_that_is_interrupted_does_not_forget_that_the_log_had_lost_what_was_durable() {
    let dir = quick_dir();
    let two = dir.path().join("two");
    crashed_with_a_damaged_log(&dir.path().join("one"), &two);
    let images = images(&two, &dir.path().join("images"), || {
        let (server, _, found) = start(&two);
        assert_ne!(server, ServerId(9));
        assert_eq!(found.damage.unwrap().what, "the write-ahead log: this is a new server from now on");
    });
    assert!(images.len() >= 2, "{} moments", images.len());
    for image in &images {
        if disowned::why(image).is_some() {
            // A process that ends in an orderly way, as on a full disk, leaves no log behind.
            drop(SqliteEngine::open(image, Lock::take(image).unwrap()).unwrap());
            assert!(!image.join(FILE_NAME.to_owned() + "-wal").exists());
        }
        assert_ne!(start(image).0, ServerId(9), "{}", image.display());
    }
}

/// Of a store whose file somebody took away the log stayed, and `SQLite` put its pages into the copy.
#[test]
fn log_of_a_store_that_is_not_there_any_more_is_not_replayed_into_a_copy() {
    let dir = quick_dir();
    let file = copy_of(50, dir.path());
    let (old, two) = (dir.path().join("old"), dir.path().join("two"));
    let (mut store, _) = open(&old, OTHER_RANDOM).unwrap();
    store.apply(&[install()]).unwrap();
    (1..=40).for_each(|n| store.apply(&[append(n, n), commit(n)]).unwrap());
    copy_dir(&old, &two);
    fs::remove_file(two.join(FILE_NAME)).unwrap();
    assert_eq!(restore(&file, &two).unwrap(), None);
    let (mut store, found) = open(&two, 77).unwrap();
    assert_eq!((found.pid.server, found.damaged), (ServerId(77), false));
    assert_eq!(store.read(epoch(1, 1), 1, u64::MAX, usize::MAX).unwrap(), entries(1, 50));
}
