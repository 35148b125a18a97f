//! What can go wrong with a store, what it means for what is on disk, and what to do.

use crate::ids::EpochId;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a store did not do what was asked.
///
/// After any error of an `apply` or `index_some` nothing of that call is promised to be on disk. The handle must be
/// dropped and the store opened anew, except where a variant says otherwise: never retry on the same handle.
#[derive(Debug)]
pub enum StoreError {
    /// The disk failed. The last batch may be there or not, whole. Stop acknowledging, drop the handle, open anew.
    Io {
        /// What was attempted, as a verb: `open`, `commit`, `scan`.
        op: &'static str,
        /// On which file; empty for an engine without files.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full. The last batch is not there. Reading still works; open anew when there is room.
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The file's structure is broken, beyond what row hashes can set aside. `sqlite::open` sets the whole file aside
    /// and begins as a new server.
    Corrupt {
        /// What was found, for people.
        what: String,
    },
    /// A row of the index is not what was written. The log is sound as far as is known: opened anew, the store makes the index
    /// anew from it.
    DamagedIndex {
        /// Which row, for people.
        what: String,
    },
    /// A newer program wrote this store. Nothing was touched. Update the program.
    Newer {
        /// The store's format.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// Another process has the store. Nothing was touched. Use another directory, or end that process.
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process, where its lock file tells.
        pid: Option<u32>,
    },
    /// There is a store already where a copy was to be restored. Nothing was touched.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Not a ringtalk store. Nothing was touched.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Entries do not continue the log: a bug of the protocol. Nothing was written; the handle is sound.
    Misplaced {
        /// The log's epoch.
        epoch: EpochId,
        /// Where the entries would begin.
        first: u64,
        /// The log's length.
        len: u64,
    },
    /// Entries for an epoch whose view is not known: a bug of the protocol. Nothing was written; the handle is sound.
    NoView {
        /// The epoch.
        epoch: EpochId,
    },
    /// Two different entries, or views (`gsn` 0), claim one place: two writers. Nothing was written, the first stays; the
    /// handle is sound.
    Conflict {
        /// The epoch.
        epoch: EpochId,
        /// The place; 0 for the view itself.
        gsn: u64,
    },
    /// A query would have read too much. Narrow it; the handle is sound.
    TooBroad,
}

impl StoreError {
    /// Whether what is on disk is not what was written: opening the store anew mends it.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::DamagedIndex { .. })
    }

    /// Whether the handle may be used on: nothing failed below the store's own rules.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::Misplaced { .. } | Self::NoView { .. } | Self::Conflict { .. } | Self::TooBroad)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => write!(out, "cannot {op} {}: {source}", path.display()),
            Self::Full { path } => write!(out, "no space left for {}", path.display()),
            Self::Corrupt { what } => write!(out, "the store is damaged: {what}"),
            Self::DamagedIndex { what } => {
                write!(out, "the index of history is damaged and has to be made anew: {what}")
            }
            Self::Newer { found, known } => {
                write!(out, "the store has format {found}, this program knows up to {known}")
            }
            Self::InUse { path, pid: Some(pid) } => write!(out, "another server (pid {pid}) uses {}", path.display()),
            Self::InUse { path, pid: None } => write!(out, "another server uses {}", path.display()),
            Self::Exists { path } => write!(out, "{} exists already", path.display()),
            Self::Foreign { path } => write!(out, "{} is not a ringtalk store", path.display()),
            Self::Misplaced { epoch, first, len } => {
                write!(out, "entries from {first} do not continue epoch {epoch}, which has {len}")
            }
            Self::NoView { epoch } => write!(out, "the view of epoch {epoch} is not known"),
            Self::Conflict { epoch, gsn: 0 } => write!(out, "epoch {epoch} has two different views"),
            Self::Conflict { epoch, gsn } => write!(out, "epoch {epoch} has two different entries at {gsn}"),
            Self::TooBroad => out.write_str("the question matches too much; narrow it"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
