//! The store in one `SQLite` file, `history.db` in the server's directory, readable with `sqlite3` while the server runs.
//!
//! Write-ahead log with `synchronous=FULL`: a batch is durable when its commit returns. One process writes, which the
//! lock file guards; [`SqliteReader`]s on other threads and in other processes read beside it. The table `messages` and
//! the view `history` are for people; the other tables are the rows of [`engine::Table`](super::engine::Table).

mod archive;
mod copy;
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
/// Present after a row of history was found that even the log cannot mend: the next [`open`] makes the index anew.
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
    let cut = wal::loses_transactions(&wal).map_err(|error| io_failure("read", &wal, error))?;
    let mut engine = SqliteEngine::open(dir, lock)?;
    if cut {
        log::error!("{} is damaged: this is a new server from now on", wal.display());
        engine.commit(without_identity())?;
    }
    let reindex = dir.join(REINDEX_NAME);
    let reindexes = reindex.exists();
    if reindexes {
        engine.examine()?;
        let mut batch = Batch(vec![Op::ForgetAll]);
        batch.delete(Table::Meta, word::TOTALS);
        engine.commit(batch)?;
        std::fs::remove_file(&reindex).map_err(|error| io_failure("remove", &reindex, error))?;
    }
    let (store, mut recovered) = Store::open(engine, random_bits)?;
    recovered.damaged |= hollow || cut;
    if recovered.damage.is_none() {
        recovered.damage = damage_beside_rows(hollow, cut, reindexes);
    }
    Ok((store, recovered))
}

/// Damage of which no row tells.
fn damage_beside_rows(hollow: bool, cut: bool, reindexes: bool) -> Option<Damage> {
    let lost = hollow || cut;
    let what = match (hollow, cut, reindexes) {
        (true, ..) => "the file, which is empty: this is a new server from now on",
        (_, true, _) => "the write-ahead log: this is a new server from now on",
        (.., true) => "a row of the index, which is made anew from the log",
        _ => return None,
    };
    Some(Damage { what: what.to_owned(), aside: String::new(), lost })
}

fn salvage(dir: &Path, lock: Lock, random_bits: u128) -> Result<(Store<SqliteEngine>, Recovered), StoreError> {
    let (engine, aside) = carry_over(dir, lock, false)?;
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
fn carry_over(dir: &Path, lock: Lock, for_a_new_server: bool) -> Result<(SqliteEngine, PathBuf), StoreError> {
    let aside = salvage::begin(dir)?;
    let wal = copy::with_suffix(&aside, "-wal");
    let cut = wal::loses_transactions(&wal).map_err(|error| io_failure("read", &wal, error))?;
    let mut engine = SqliteEngine::open(dir, lock)?;
    salvage::carry_over(&aside, &mut engine)?;
    if cut || for_a_new_server {
        engine.commit(without_identity())?;
    }
    salvage::done(dir)?;
    Ok((engine, aside))
}

/// Makes the store a new server's: its lengths no longer tell what this one promised to hold.
fn without_identity() -> Batch {
    let mut batch = Batch::default();
    for word in word::IDENTITY {
        batch.delete(Table::Meta, word);
    }
    batch
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

/// Makes the names in a directory durable.
fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| io_failure("sync", dir, error))
}
