//! Trouble with a data directory, in words.

use super::client::sentence;
use super::failure::{Code, Failure};
use crate::store::StoreError;
use std::path::Path;

/// What keeps a store from being used.
pub(crate) fn store_failure(error: &StoreError) -> Failure {
    let text = sentence(&error.to_string());
    match error {
        StoreError::Io { op, path, source } => Failure { code: Code::StoreIo, ..Failure::io(op, path, source) },
        StoreError::Full { path } => Failure::new(Code::NoSpace, format!("No space in {}.", dir_of(path).display()))
            .hint("make room; nothing that was acknowledged is lost"),
        StoreError::Newer { .. } => Failure::new(Code::NewerStore, text).hint("Update ringtalk here."),
        StoreError::InUse { .. } => {
            Failure::new(Code::DirectoryInUse, text).hint("A second server here wants --data DIR of its own.")
        }
        // Their texts begin with a path, which is no word of a sentence.
        StoreError::Exists { path } => Failure::new(Code::StoreExists, format!("{} exists already.", path.display()))
            .hint("choose another directory: --data DIR"),
        StoreError::Foreign { path } => {
            Failure::new(Code::DamagedStore, format!("{} is not a ringtalk store.", path.display()))
                .hint("nothing was touched; check the path")
        }
        StoreError::Corrupt { .. } | StoreError::DamagedIndex { .. } => Failure::new(Code::DamagedStore, text)
            .hint("a server sets aside what is damaged and fetches it from others"),
        StoreError::Misplaced { .. }
        | StoreError::NoView { .. }
        | StoreError::Conflict { .. }
        | StoreError::TooBroad => Failure::new(Code::Failed, text),
    }
}

/// The directory that a file is in, or the directory itself.
fn dir_of(path: &Path) -> &Path {
    if path.is_dir() {
        return path;
    }
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
