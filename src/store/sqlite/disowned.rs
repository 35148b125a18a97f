//! Rows that are not this server's: of a copy, or of a file whose log lost what was durable. Their lengths do not tell what this
//! server promised to hold.
//!
//! That is noted beside the file before anything is done with the rows, and holds until their identity is gone: however
//! often a crash comes between, two servers never have one id, and none forgets what it promised.

use super::engine::SqliteEngine;
use super::{moment, remove_if_there, write_note};
use crate::store::engine::{Batch, Engine, Table};
use crate::store::error::StoreError;
use crate::store::rows::word;
use std::fs;
use std::path::Path;

/// Present while the rows are nobody's. Holds why, for people.
const NAME: &str = "history.db.disowned";
/// Why: durable rows are gone.
pub(super) const LOG: &str = "the write-ahead log";
/// Why: another server's rows.
pub(super) const COPY: &str = "a copy that was being restored";

/// Notes it, durably.
pub(super) fn note(dir: &Path, why: &str) -> Result<(), StoreError> {
    write_note(&dir.join(NAME), why)
}

/// Why the rows are nobody's, if they are.
pub(super) fn why(dir: &Path) -> Option<String> {
    dir.join(NAME).exists().then(|| fs::read_to_string(dir.join(NAME)).unwrap_or_else(|_| LOG.to_owned()))
}

/// Takes the identity from rows that are nobody's: the next that opens them is a new server.
pub(super) fn obey(dir: &Path, engine: &mut SqliteEngine) -> Result<(), StoreError> {
    if why(dir).is_none() {
        return Ok(());
    }
    let mut batch = Batch::default();
    for word in word::IDENTITY {
        batch.delete(Table::Meta, word);
    }
    engine.commit(batch)?;
    moment();
    engine.sync()
}

/// The rows are those of the server that opens them.
pub(super) fn done(dir: &Path) -> Result<(), StoreError> {
    remove_if_there(&dir.join(NAME))
}
