//! Backups.

use super::engine::connect;
use super::lock::make_private_file;
use super::{failure, io_failure, remove_if_there, sync_dir};
use crate::store::error::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Writes what the connection sees, without the identity, beside `dest`; then renames it.
pub(super) fn backup(conn: &Connection, dest: &Path) -> Result<(), StoreError> {
    let aside = with_suffix(dest, ".partial");
    remove_if_there(&aside)?;
    let written = write_copy(conn, &aside).and_then(|()| {
        File::open(&aside).and_then(|file| file.sync_all()).map_err(|error| io_failure("sync", &aside, error))?;
        fs::rename(&aside, dest).map_err(|error| io_failure("rename", dest, error))
    });
    if written.is_err() {
        // What went wrong is told; a piece that stays is replaced by the next backup.
        let _ = fs::remove_file(&aside);
    }
    written?;
    sync_dir(dest.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn write_copy(conn: &Connection, aside: &Path) -> Result<(), StoreError> {
    make_private_file(aside)?;
    let told = |error| failure("write", aside, error);
    let path = aside.to_str().ok_or_else(|| {
        io_failure("write", aside, std::io::Error::new(std::io::ErrorKind::InvalidFilename, "the name is not UTF-8"))
    })?;
    conn.execute("VACUUM INTO ?", [path]).map_err(told)?;
    let copy = connect(aside, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copy.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA secure_delete = ON; PRAGMA synchronous = FULL;
         DELETE FROM meta WHERE key IN (CAST('identity' AS BLOB), CAST('identity copy' AS BLOB));",
    )
    .map_err(told)?;
    copy.close().map_err(|(_, error)| told(error))
}

/// The path with something behind its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
