//! A store that was damaged, and heals from the other servers.

use crate::ring::{Ring, documents};
use rusqlite::{Connection, params};
use std::path::Path;

/// Flips a bit of the oldest entry.
fn damage(data: &Path) {
    let store = Connection::open(data.join("history.db")).expect("a store");
    let oldest = "SELECT id, value FROM entries ORDER BY key LIMIT 1";
    let (id, mut value): (i64, Vec<u8>) =
        store.query_row(oldest, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("an entry");
    *value.last_mut().expect("bytes") ^= 1;
    store.execute("UPDATE entries SET value = ?1 WHERE id = ?2", params![value, id]).expect("written");
}

#[test]
fn damaged_store_is_told_to_be_whole_once_others_have_filled_it() {
    let mut ring = Ring::start(&["oak", "elm"]);
    for text in ["one", "two", "three"] {
        assert_eq!(ring.run(&["send", "lobby", text]).code, 0);
    }
    // What the index covers is not read again at the start.
    ring.until_history_of_has("oak", "three");
    ring.kill("oak");
    ring.kill("elm");
    damage(&ring.home.path().join("oak"));
    ring.add("oak");
    // It meets the damage when it looks through what is there, and opens its store anew.
    let damaged = ring.told("oak", "damaged", |_| true);
    assert!(damaged["what"].as_str().is_some_and(|what| what.contains("from entry 1 on")), "{damaged}");
    assert!(damaged["aside"].as_str().is_some_and(|aside| aside.contains("row")), "{damaged}");
    assert_eq!(damaged["lost"], true);
    ring.add("elm");
    let both = ring.told("oak", "view", |view| view["members"].as_array().is_some_and(|all| all.len() == 2));
    let mended = ring.told("oak", "mended", |_| true);
    assert!(mended["epoch"].as_u64() >= both["epoch"].as_u64(), "alone it cannot know");
    let status = ring.run(&["status", "--server", "oak"]);
    assert_eq!(status.code, 0, "{status:?}");
    ring.until_history_of_has("oak", "one");
}

#[test]
fn damaged_copy_is_restored_as_far_as_it_is_sound_and_says_so() {
    let mut ring = Ring::start(&["oak"]);
    for text in ["one", "two", "three"] {
        assert_eq!(ring.run(&["send", "lobby", text]).code, 0);
    }
    ring.until_history_has("three");
    let path = |name: &str| ring.home.path().join(name).to_str().expect("text").to_owned();
    let (data, copy, new) = (path("oak"), path("copies/history.db"), path("elm"));
    std::fs::create_dir(path("copies")).expect("a directory");
    assert_eq!(ring.run(&["backup", &copy, "--data", &data]).code, 0);
    damage(&ring.home.path().join("copies"));
    let ran = ring.run(&["restore", &copy, "--data", &new]);
    assert_eq!((ran.code, ran.stdout.as_str()), (7, ""), "{ran:?}");
    assert!(
        ran.stderr.starts_with(&format!("ringtalk: {copy} is damaged: entry 1 of epoch 1. What is sound")),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(&format!("all of it is kept as {new}/history.db.damaged-1.\nhint: ")), "{ran:?}");
    let ran = ring.run(&["restore", &copy, "--data", &path("ash"), "--json"]);
    assert_eq!(documents(&ran.stderr)[0]["error"]["code"], "damaged_store");
    // A server that starts from it is whole again.
    ring.add("elm");
    ring.until_one_view();
    ring.until_history_of_has("elm", "one");
}
