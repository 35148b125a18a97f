//! Where a demo stands: a net, a port and a directory that nothing else uses.

use crate::cli::failure::{Code, Failure};
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A file that tells a demo's directory from any other: what stands beside it may be removed.
const MARK: &str = ".ringtalk-demo";

/// The ground of one demo. Dropped, its directory is gone.
#[derive(Debug)]
pub(super) struct Ground {
    /// The net's name, drawn at random.
    pub(super) net: String,
    /// A UDP port that nobody held when it was drawn.
    pub(super) port: u16,
    dir: PathBuf,
}

impl Ground {
    /// Draws a net and a port and makes the directory.
    ///
    /// # Errors
    /// [`Code::Io`], [`Code::NoSpace`].
    pub(super) fn new() -> Result<Self, Failure> {
        let drawn = getrandom::u64().map_err(|error| Failure::new(Code::Failed, format!("no randomness: {error}")))?;
        let net = format!("demo-{:012x}", drawn >> 16);
        let dir = std::env::temp_dir().join(format!("ringtalk-{net}"));
        fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|error| Failure::io("make", &dir, &error))?;
        let ground = Self { net, port: free_port()?, dir };
        let mark = ground.dir.join(MARK);
        fs::write(&mark, "").map_err(|error| Failure::io("write", &mark, &error))?;
        Ok(ground)
    }

    /// A server's data directory.
    pub(super) fn data_of(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Servers that still end may be writing; each removes its own part then.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes a demo server's data, and the demo's directory with the last of them. Does nothing anywhere else.
pub(in crate::cli) fn remove_data(data: &Path) {
    let Some(dir) = data.parent() else { return };
    if !dir.join(MARK).is_file() {
        return;
    }
    let _ = fs::remove_dir_all(data);
    let is_last = fs::read_dir(dir).is_ok_and(|mut left| left.all(|entry| entry.is_ok_and(|e| e.file_name() == MARK)));
    if is_last {
        let _ = fs::remove_dir_all(dir);
    }
}

fn free_port() -> Result<u16, Failure> {
    let port = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.local_addr());
    port.map(|addr| addr.port()).map_err(|error| {
        Failure::new(Code::Failed, format!("no UDP port to be had: {}", crate::cli::failure::plain(&error)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_ends_with_its_ground_or_with_its_last_server() {
        let ground = Ground::new().unwrap();
        let (dir, oak, elm) = (ground.dir.clone(), ground.data_of("oak"), ground.data_of("elm"));
        for data in [&oak, &elm] {
            fs::create_dir(data).unwrap();
            fs::write(data.join("history.db"), "x").unwrap();
        }
        remove_data(&oak);
        assert!(!oak.exists() && elm.exists());
        remove_data(&elm);
        assert!(!dir.exists());
        let other = Ground::new().unwrap();
        assert_ne!(other.net, ground.net);
        let dir = other.dir.clone();
        drop(other);
        assert!(!dir.exists());
    }

    #[test]
    fn data_that_is_no_demos_is_never_removed() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("default");
        fs::create_dir(&data).unwrap();
        remove_data(&data);
        assert!(data.exists());
    }
}
