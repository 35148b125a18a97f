//! The lock file that keeps a second server out of a directory. The lock goes with its process, even by `kill -9`.

use super::io_failure;
use crate::store::error::StoreError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const FILE_NAME: &str = "lock";

/// Holds a server's directory until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Takes the directory, making it when it is not there.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        make_private_dir(dir)?;
        let path = dir.join(FILE_NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| io_failure("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(StoreError::InUse { path: dir.into(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(io_failure("lock", &path, error)),
        }
        // Who holds it is a courtesy: a full disk must not keep a server from reading.
        if let Err(error) = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())) {
            log::warn!("cannot write {}: {error}", path.display());
        }
        Ok(Self(file))
    }
}

impl Drop for Lock {
    /// A process that was forked meanwhile, and has not begun its program yet, holds the file open, too, and the lock with it.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            log::debug!("a lock could not be given back: {error}");
        }
    }
}

/// Makes a directory that only the user can enter; one that is there stays as it is.
pub(super) fn make_private_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| io_failure("create", dir, error))
}

/// Makes an empty file that only the user can read; one that is there stays as it is.
pub(super) fn make_private_file(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    made.map(drop).map_err(|error| io_failure("create", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test that took a directory again at once found it in use, by its own process: another was starting a program.
    #[test]
    fn directory_is_free_at_once_also_when_a_child_has_the_file_open_still() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        let child = lock.0.try_clone().unwrap();
        assert!(matches!(Lock::take(dir.path()), Err(StoreError::InUse { .. })));
        drop(lock);
        assert!(Lock::take(dir.path()).is_ok());
        drop(child);
    }
}
