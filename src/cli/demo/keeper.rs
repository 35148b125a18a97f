//! The keeper of a demo's directory: a process that outlives the demo and its servers, and then removes what they left.
//!
//! A demo that ends as it should removes its directory itself. One that is killed cannot, nor can servers that it had
//! crashed before. So each server holds a shared lock on the directory's mark as long as it lives, whatever ends it; the
//! keeper waits for the end of its pipe (the demo's end), then for the lock (the servers' ends), and then removes all.

use super::ground::{Ground, MARK};
use crate::cli::failure::{Code, Failure, plain};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A demo's keeper. Dropped, it is let go, and waited for.
#[derive(Debug)]
pub(super) struct Keeper {
    child: Child,
    /// Its end tells the keeper that the demo has ended.
    pipe: Option<ChildStdin>,
}

impl Keeper {
    /// Starts the keeper of this ground.
    ///
    /// # Errors
    /// [`Code::Failed`]: the system starts no process.
    pub(super) fn start(ground: &Ground) -> Result<Self, Failure> {
        let failed = |error: &io::Error| {
            Failure::new(
                Code::Failed,
                format!("cannot start a process that cleans up after the demo: {}", plain(error)),
            )
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .args(["demo", "--config", "/dev/null", "--keeper"])
            .arg(ground.dir())
            .env_clear()
            // Ctrl-C is for the demo.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(&error))?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.child.wait();
    }
}

/// What a keeper does: waits for the end of `demo` and of every server that stands on the ground, and removes `dir` if it
/// is a demo's.
///
/// # Errors
/// The mark cannot be locked, or the directory cannot be removed.
pub(super) fn keep(mut demo: impl Read, dir: &Path) -> io::Result<()> {
    // A pipe that fails has ended.
    let _ = io::copy(&mut demo, &mut io::sink());
    let mark = match File::open(dir.join(MARK)) {
        Ok(mark) => mark,
        // The demo ended as it should, or this is no demo's directory.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    mark.lock()?;
    fs::remove_dir_all(dir)
}

/// That a server stands on a demo's ground: the keeper waits until this is dropped.
#[derive(Debug)]
pub(in crate::cli) struct Footing(#[expect(dead_code, reason = "held: its lock is what counts")] File);

impl Footing {
    /// Stands on the ground in `dir`.
    ///
    /// # Errors
    /// [`Code::Failed`]: the demo is over, and its directory is about to go or gone.
    pub(in crate::cli) fn take(dir: &Path) -> Result<Self, Failure> {
        let over = || Failure::new(Code::Failed, "the demo is over");
        let mark = File::open(dir.join(MARK)).map_err(|_| over())?;
        mark.try_lock_shared().map_err(|_| over())?;
        // A lock on a mark that was removed since it was opened holds nothing.
        if dir.join(MARK).is_file() { Ok(Self(mark)) } else { Err(over()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ground::Place;
    use super::*;

    #[test]
    fn what_dead_servers_left_goes_when_the_last_living_one_has_ended() {
        let ground = Ground::new(Place::default()).unwrap();
        let dir = ground.dir().to_path_buf();
        for name in ["oak", "elm"] {
            fs::create_dir(ground.data_of(name)).unwrap();
            fs::write(ground.data_of(name).join("history.db"), "x").unwrap();
        }
        let (oak, elm) = (Footing::take(&dir).unwrap(), Footing::take(&dir).unwrap());
        let keeper = std::thread::spawn({
            let dir = dir.clone();
            move || keep(io::empty(), &dir)
        });
        drop(oak);
        assert!(!keeper.is_finished() && ground.data_of("oak").exists(), "elm stands there");
        drop(elm);
        keeper.join().unwrap().unwrap();
        assert!(!dir.exists());
        assert!(Footing::take(&dir).is_err(), "nobody stands on ground that is gone");
        assert!(keep(io::empty(), &dir).is_ok(), "nothing is left to do");
    }

    #[test]
    fn directory_that_is_no_demos_is_never_removed() {
        let home = tempfile::tempdir().unwrap();
        keep(io::empty(), home.path()).unwrap();
        assert!(home.path().exists());
        assert!(Footing::take(home.path()).is_err());
    }
}
