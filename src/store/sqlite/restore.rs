//! Servers that start from a copy, which is checked before anything is put in its place.
//!
//! Of a damaged copy every sound row is restored, as of a damaged store, and the copy is kept beside it whole.

use super::lock::{Lock, make_private_file};
use super::reader::SqliteReader;
use super::{BROKEN_NAME, FILE_NAME, copy, disowned, io_failure, moment, remove_if_there, salvage, schema, wal};
use crate::proto::io::Damage;
use crate::store::engine::Table;
use crate::store::error::StoreError;
use crate::store::finding::Findings;
use crate::store::rows::is_sealed;
use rusqlite::Connection;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Where a file of `SQLite` tells whose it is.
const APPLICATION_ID_AT: usize = 68;
/// Most flaws of the file's structure that are looked for.
const FLAWS: usize = 3;

/// Starts a directory from a copy that [`SqliteReader::backup`] wrote: its next server is a new one with this history. The
/// copy stays as it is. When it is damaged, what is sound of it is restored, and the damage told.
///
/// # Errors
/// [`StoreError::Exists`] when there is a store already, [`StoreError::InUse`], [`StoreError::Newer`],
/// [`StoreError::Foreign`]: nothing was touched. [`StoreError::Full`], [`StoreError::Io`]: there is no store yet.
pub fn restore(file: &Path, data_dir: &Path) -> Result<Option<Damage>, StoreError> {
    // First: a file that is no copy leaves nothing behind.
    let checked = check(file)?;
    let lock = Lock::take(data_dir)?;
    let dest = data_dir.join(FILE_NAME);
    if dest.exists() {
        return Err(StoreError::Exists { path: dest });
    }
    // Of a store that is not there any more: the next start would take its damage, and its log, for this one's.
    remove_if_there(&data_dir.join(BROKEN_NAME))?;
    salvage::remove_half(data_dir)?;
    disowned::done(data_dir)?;
    match checked {
        Checked::Sound(reader) => reader.backup(&dest).map(|()| None),
        Checked::Damaged(what) => restore_sound_rows(file, data_dir, lock, what).map(Some),
    }
}

/// What a copy was found to be.
enum Checked {
    Sound(SqliteReader),
    /// Holds what is damaged, for people.
    Damaged(String),
}

/// Looks at everything in the copy.
fn check(file: &Path) -> Result<Checked, StoreError> {
    let wal = copy::with_suffix(file, "-wal");
    if wal::loses_transactions(&wal).map_err(|error| io_failure("read", &wal, error))? && is_a_store(file)? {
        // Opened it would be replayed up to the damage, and the rest of it gone.
        return Ok(Checked::Damaged("the write-ahead log beside it".to_owned()));
    }
    let reader = match SqliteReader::open_file(file) {
        Err(StoreError::Corrupt { what }) if is_a_store(file)? => return Ok(Checked::Damaged(what)),
        Err(StoreError::Corrupt { .. }) => return Err(StoreError::Foreign { path: file.into() }),
        opened => opened?,
    };
    let mut findings = Findings::default();
    find_flaws(reader.conn(), &mut findings);
    for table in schema::tables(reader.conn()) {
        if find_bad_rows(reader.conn(), table, &mut findings).is_err() {
            findings.note(format!("the table \"{}\", which ends too soon", schema::table_name(table)));
        }
    }
    if find_bad_messages(reader.conn(), &mut findings).is_err() {
        findings.note("the index of history, which ends too soon");
    }
    Ok(findings.damage(0).map_or(Checked::Sound(reader), |damage| Checked::Damaged(damage.what)))
}

/// Whether the file's beginning says that it is a store.
fn is_a_store(file: &Path) -> Result<bool, StoreError> {
    let mut head = [0; APPLICATION_ID_AT + 4];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(io_failure("read", file, error)),
        Ok(()) => {
            let id = &head[APPLICATION_ID_AT..];
            Ok(head.starts_with(b"SQLite format 3\0") && id == schema::APPLICATION_ID.to_be_bytes())
        }
    }
}

fn find_flaws(conn: &Connection, findings: &mut Findings) {
    let flaws = || {
        let mut statement = conn.prepare(&format!("PRAGMA integrity_check({FLAWS})"))?;
        let flaws = statement.query_map([], |row| row.get(0))?;
        flaws.collect::<rusqlite::Result<Vec<String>>>()
    };
    match flaws() {
        Ok(flaws) if flaws == ["ok"] => {}
        // What SQLite says of pages and cells helps nobody further.
        Ok(flaws) => flaws.iter().for_each(|flaw| {
            log::info!("{flaw}");
            findings.note("the file's structure");
        }),
        Err(error) => {
            log::info!("{error}");
            findings.note("the file's structure");
        }
    }
}

fn find_bad_rows(conn: &Connection, table: Table, findings: &mut Findings) -> rusqlite::Result<()> {
    // What was set aside earlier need not be what was written.
    if table == Table::Aside {
        return Ok(());
    }
    let mut statement = conn.prepare(&format!("SELECT key, value FROM {}", schema::table_name(table)))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bytes = |at| row.get_ref(at).ok().and_then(|bytes| bytes.as_bytes().ok());
        let (key, value) = (bytes(0).unwrap_or_default(), bytes(1).unwrap_or_default());
        if !is_sealed(table, key, value) {
            findings.note_bad_row(table, key);
        }
    }
    Ok(())
}

fn find_bad_messages(conn: &Connection, findings: &mut Findings) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(&format!("SELECT {} FROM messages", schema::COLUMNS))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if schema::read_row(row).is_err() {
            findings.note("a row of the index");
        }
    }
    Ok(())
}

/// Puts the whole copy aside in the directory, as a damaged store is, and makes a store of its sound rows.
///
/// | a crash comes | and the next start finds |
/// |---|---|
/// | before it is noted that rows here are nobody's | nothing |
/// | then, before it is noted which file is salvaged | nothing: a piece of the copy under a name that nobody reads |
/// | then, before that note goes | rows that are nobody's: it salvages them from the beginning, as a new server |
/// | then, before the first note goes | a store without an identity: it is a new server |
fn restore_sound_rows(file: &Path, dir: &Path, lock: Lock, what: String) -> Result<Damage, StoreError> {
    let aside = salvage::free_name(dir);
    let done = disowned::note(dir, disowned::COPY)
        .and_then(|()| set_aside(file, dir, &aside))
        .and_then(|()| super::carry_over(dir, lock))
        .map(drop);
    if done.is_err() {
        // The copy is where it was: what was begun is no store yet.
        let begun = [aside.as_str(), FILE_NAME, "history.db-wal", "history.db-shm", BROKEN_NAME];
        for name in begun {
            let _ = fs::remove_file(dir.join(name));
        }
        let _ = disowned::done(dir);
    }
    done.map(|()| Damage { what, aside: dir.join(&aside).display().to_string(), lost: true })
}

fn set_aside(file: &Path, dir: &Path, name: &str) -> Result<(), StoreError> {
    let aside = dir.join(name);
    moment();
    make_private_file(&aside)?;
    moment();
    let copied = fs::copy(file, &aside).and_then(|_| File::open(&aside)?.sync_all());
    copied.map_err(|error| io_failure("write", &aside, error))?;
    moment();
    let wal = copy::with_suffix(file, "-wal");
    if wal.exists() {
        let to = copy::with_suffix(&aside, "-wal");
        fs::copy(&wal, &to).map_err(|error| io_failure("write", &to, error))?;
    }
    moment();
    salvage::note(dir, name)?;
    moment();
    Ok(())
}
