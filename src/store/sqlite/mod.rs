//! The store in one `SQLite` file, `history.db` in the server's directory, readable with `sqlite3` while the server runs.
//!
//! Write-ahead log with `synchronous=FULL`: a batch is durable when its commit returns. One process writes, which the
//! lock file guards; [`SqliteReader`]s on other threads and in other processes read beside it. The table `messages` and
//! the view `history` are for people; the other tables are the rows of [`engine::Table`](super::engine::Table).

mod archive;
mod check;
mod copy;
mod disowned;
mod engine;
mod lock;
mod reader;
mod restore;
mod room;
mod salvage;
mod schema;
#[cfg(test)]
mod tests;
mod wal;

pub use engine::SqliteEngine;
pub use reader::SqliteReader;
pub use restore::restore;
pub use room::has_room;

use super::engine::{Batch, Engine, Op, Table};
use super::error::StoreError;
use super::log::Store;
use super::rows::word;
use crate::proto::io::{Damage, Recovered};
use lock::Lock;
use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// The store's file in the server's directory.
pub const FILE_NAME: &str = "history.db";
/// Present after `SQLite` found the file's structure broken: the next [`open`] salvages it.
const BROKEN_NAME: &str = "history.db.broken";
/// Present after the index was found not to be what was written, or not to serve all of it: the next [`open`] makes it anew.
const REINDEX_NAME: &str = "history.db.reindex";

/// Opens the store of a server's directory, or makes it. The directory is made private to the user.
///
/// A file whose structure is broken is set aside under a new name; every row of it that is what was written is carried
/// over. A write-ahead log that is damaged before its end has lost what was durable in all epochs: the store is then a
/// new server's. In both cases [`Recovered::damaged`] is true. `random_bits` as for [`Store::open`].
///
/// # Errors
/// [`StoreError::InUse`], [`StoreError::Newer`] and [`StoreError::Foreign`] with nothing touched; [`StoreError::Full`];
/// [`StoreError::Io`].
pub fn open(dir: &Path, random_bits: u128) -> Result<(Store<SqliteEngine>, Recovered), StoreError> {
    let lock = Lock::take(dir)?;
    if !dir.join(BROKEN_NAME).exists() {
        match open_sound(dir, lock, random_bits) {
            Err(StoreError::Corrupt { what }) => log::error!("{}: {what}", dir.join(FILE_NAME).display()),
            done => return done,
        }
        return salvage(dir, Lock::take(dir)?, random_bits);
    }
    salvage(dir, lock, random_bits)
}

fn open_sound(dir: &Path, lock: Lock, random_bits: u128) -> Result<(Store<SqliteEngine>, Recovered), StoreError> {
    let file = dir.join(FILE_NAME);
    // A file that is there and empty was cut, or never got its first page: either way this is a new server.
    let hollow = std::fs::metadata(&file).is_ok_and(|found| found.len() == 0);
    let wal = copy::with_suffix(&file, "-wal");
    if wal::loses_transactions(&wal).map_err(|error| io_failure("read", &wal, error))? {
        log::error!("{} is damaged: this is a new server from now on", wal.display());
        disowned::note(dir, disowned::LOG)?;
    }
    let disowned = disowned::why(dir).filter(|_| file.exists());
    let mut engine = SqliteEngine::open(dir, lock)?;
    disowned::obey(dir, &mut engine)?;
    disowned::done(dir)?;
    let reindex = dir.join(REINDEX_NAME);
    let reindexes = reindex.exists();
    if reindexes {
        engine.examine()?;
        // All at once: at no time the index lacks what the store says is in it.
        let clear = |table| Op::Clear { table };
        let mut batch = Batch(vec![Op::ForgetAll, clear(Table::Covered), clear(Table::Ids), clear(Table::Gists)]);
        batch.delete(Table::Meta, word::TOTALS);
        engine.commit(batch)?;
        std::fs::remove_file(&reindex).map_err(|error| io_failure("remove", &reindex, error))?;
    }
    let (store, mut recovered) = Store::open(engine, random_bits)?;
    recovered.damaged |= hollow || disowned.is_some();
    if recovered.damage.is_none() {
        recovered.damage = damage_beside_rows(hollow, disowned.as_deref(), reindexes);
    }
    Ok((store, recovered))
}

/// Damage of which no row tells.
fn damage_beside_rows(hollow: bool, disowned: Option<&str>, reindexes: bool) -> Option<Damage> {
    let lost = hollow || disowned.is_some();
    let what = match (hollow, disowned, reindexes) {
        (true, ..) => "the file, which is empty: this is a new server from now on".to_owned(),
        (_, Some(why), _) => format!("{why}: this is a new server from now on"),
        (.., true) => "the index of history, which is made anew from the log".to_owned(),
        _ => return None,
    };
    Some(Damage { what, aside: String::new(), lost })
}

fn salvage(dir: &Path, lock: Lock, random_bits: u128) -> Result<(Store<SqliteEngine>, Recovered), StoreError> {
    let (engine, aside) = carry_over(dir, lock)?;
    let (store, mut recovered) = Store::open(engine, random_bits)?;
    recovered.damaged = true;
    let kept = aside.file_name().map_or_else(String::new, |name| format!("all of the old file, as {}", name.display()));
    let mut damage = recovered.damage.unwrap_or_default();
    damage.what =
        [FILE_NAME, damage.what.as_str()].into_iter().filter(|what| !what.is_empty()).collect::<Vec<_>>().join(", ");
    recovered.damage = Some(Damage { aside: kept, lost: true, ..damage });
    Ok((store, recovered))
}

/// Makes a new file of the sound rows of one that is set aside; tells where that is.
fn carry_over(dir: &Path, lock: Lock) -> Result<(SqliteEngine, PathBuf), StoreError> {
    let aside = salvage::begin(dir)?;
    let wal = copy::with_suffix(&aside, "-wal");
    // Told by the log as it was found: with the first look into the file `SQLite` makes it shorter.
    if wal::loses_transactions(&wal).map_err(|error| io_failure("read", &wal, error))? {
        disowned::note(dir, disowned::LOG)?;
    }
    let mut engine = SqliteEngine::open(dir, lock)?;
    salvage::carry_over(&aside, &mut engine)?;
    disowned::obey(dir, &mut engine)?;
    moment();
    // In this order: as long as rows may be carried over once more, they are nobody's.
    salvage::done(dir)?;
    moment();
    disowned::done(dir)?;
    Ok((engine, aside))
}

/// What a failure of `SQLite` means for the store.
fn failure(op: &'static str, path: &Path, error: rusqlite::Error) -> StoreError {
    let path = PathBuf::from(path);
    if let rusqlite::Error::FromSqlConversionFailure(_, _, what) = &error
        && what.is::<archive::DamagedRow>()
    {
        return StoreError::DamagedIndex { what: what.to_string() };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { path },
        // Of its shared memory, which is a file, too, it tells no more.
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if room::is_used_up(&path) => {
            StoreError::Full { path }
        }
        Some(ErrorCode::OperationInterrupted) => StoreError::TooBroad,
        // Without a code: tables or columns that are not what the schema says.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => {
            StoreError::Corrupt { what: error.to_string() }
        }
        Some(_) => StoreError::Io { op, path, source: std::io::Error::other(error) },
    }
}

/// What a failure of the file system means for the store.
fn io_failure(op: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full { path: path.into() },
        _ => StoreError::Io { op, path: path.into(), source },
    }
}

/// A crash leaves something else behind here than it would have a moment before: tests look at what.
fn moment() {
    #[cfg(test)]
    tests::interrupted::look();
}

/// Removes a file, if it is there.
fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_failure("remove", path, error)),
        _ => Ok(()),
    }
}

/// Writes a small file whole or not at all, durably.
fn write_note(path: &Path, text: &str) -> Result<(), StoreError> {
    use std::io::Write;
    let half = copy::with_suffix(path, ".partial");
    lock::make_private_file(&half)?;
    let written = std::fs::File::create(&half)
        .and_then(|mut note| note.write_all(text.as_bytes()).and_then(|()| note.sync_all()));
    written.map_err(|error| io_failure("write", &half, error))?;
    moment();
    std::fs::rename(&half, path).map_err(|error| io_failure("rename", &half, error))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes the names in a directory durable.
fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| io_failure("sync", dir, error))
}
