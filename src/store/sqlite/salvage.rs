//! A file whose structure is broken: set aside whole, and every sound row of it carried over into a new one.
//!
//! Row hashes tell what is sound; what is missing after that is a hole like any other, which recovery finds.

use super::copy::with_suffix;
use super::engine::connect;
use super::{BROKEN_NAME, FILE_NAME, io_failure, moment, remove_if_there, schema, sync_dir, write_note};
use crate::store::engine::{Batch, Engine, Table};
use crate::store::error::StoreError;
use crate::store::rows::{is_sealed, word};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::path::{Path, PathBuf};

/// The tables that are carried over; the others are made anew from them.
const KEPT: [Table; 6] = [Table::Meta, Table::Views, Table::Heads, Table::Entries, Table::Aside, Table::Pruned];
/// What belongs to a file, itself last.
const SUFFIXES: [&str; 3] = ["-wal", "-shm", ""];
/// Rows that are read together; where that fails, each by itself.
const STEP: i64 = 128;
/// Bytes that a row takes at least in the file.
const LEAST_ROW_BYTES: u64 = 32;

/// Puts the broken file out of the way and returns where it is now. Goes on where a crash interrupted it.
pub(super) fn begin(dir: &Path) -> Result<PathBuf, StoreError> {
    let marker = dir.join(BROKEN_NAME);
    let named = fs::read_to_string(&marker).ok().filter(|name| !name.is_empty()).map(|name| dir.join(name));
    let Some(aside) = named.filter(|path| path.exists()) else { return set_aside(dir) };
    remove_half(dir)?;
    Ok(aside)
}

/// Removes what belongs to a file that is not there, or not whole.
pub(super) fn remove_half(dir: &Path) -> Result<(), StoreError> {
    for suffix in SUFFIXES {
        remove_if_there(&with_suffix(&dir.join(FILE_NAME), suffix))?;
        moment();
    }
    Ok(())
}

/// Notes which file in the directory has the rows, before the first of them is in its place.
pub(super) fn note(dir: &Path, name: &str) -> Result<(), StoreError> {
    write_note(&dir.join(BROKEN_NAME), name)
}

/// A name for a damaged file that none has yet.
pub(super) fn free_name(dir: &Path) -> String {
    let name = |n: u32| format!("{FILE_NAME}.damaged-{n}");
    (1..=u32::MAX).map(name).find(|name| !dir.join(name).exists()).unwrap_or_default()
}

/// Renames the file and its log to a name that is free.
fn set_aside(dir: &Path) -> Result<PathBuf, StoreError> {
    let file = dir.join(FILE_NAME);
    let name = free_name(dir);
    // First the note which file it is: after a crash from here on the rows are still carried over.
    note(dir, &name)?;
    let aside = dir.join(name);
    for suffix in SUFFIXES {
        let from = with_suffix(&file, suffix);
        if from.exists() {
            let to = with_suffix(&aside, suffix);
            fs::rename(&from, &to).map_err(|error| io_failure("rename", &from, error))?;
            moment();
        }
    }
    sync_dir(dir)?;
    log::error!("the damaged store is kept as {}", aside.display());
    Ok(aside)
}

/// Copies every sound row of the file into an engine.
pub(super) fn carry_over(aside: &Path, into: &mut impl Engine) -> Result<(), StoreError> {
    // A file that cannot even be opened has nothing to give.
    let Ok(from) = connect(aside, OpenFlags::SQLITE_OPEN_READ_WRITE) else { return Ok(()) };
    let most = fs::metadata(aside).map_or(0, |found| found.len() / LEAST_ROW_BYTES).cast_signed();
    for table in schema::tables(&from).filter(|table| KEPT.contains(table)) {
        let name = schema::table_name(table);
        let last = from.query_row(&format!("SELECT max(id) FROM {name}"), [], |row| row.get::<_, Option<i64>>(0));
        let last = last.ok().flatten().unwrap_or(most).min(most);
        let mut kept = 0_u64;
        for first in (0..=last).step_by(STEP as usize) {
            let mut batch = Batch::default();
            let whole = rows(&from, name, first, first + STEP - 1);
            let found = whole.unwrap_or_else(|_| {
                (first..first + STEP).flat_map(|id| rows(&from, name, id, id).unwrap_or_default()).collect()
            });
            for (key, value) in found {
                // What the index came to goes with the index.
                let totals = table == Table::Meta && key == word::TOTALS;
                if !totals && (table == Table::Aside || is_sealed(table, &key, &value)) {
                    batch.put(table, key, value);
                    kept += 1;
                }
            }
            if !batch.is_empty() {
                into.commit(batch)?;
                moment();
            }
        }
        log::info!("{kept} rows of {name} were carried over");
    }
    into.sync()
}

/// Forgets that there was anything to carry over.
pub(super) fn done(dir: &Path) -> Result<(), StoreError> {
    let marker = dir.join(BROKEN_NAME);
    fs::remove_file(&marker).map_err(|error| io_failure("remove", &marker, error))?;
    sync_dir(dir)
}

fn rows(from: &Connection, name: &str, first: i64, last: i64) -> rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let sql = format!("SELECT key, value FROM {name} WHERE id BETWEEN ? AND ?");
    let mut statement = from.prepare_cached(&sql)?;
    let rows = statement.query_map([first, last], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
