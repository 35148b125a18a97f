//! Starts the program in an empty home, so that nothing of this machine reaches it.

use std::io::{BufRead, BufReader, Read};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use tempfile::TempDir;

/// No program that a test listens to is silent for so long while it is waited for.
const SILENCE: Duration = Duration::from_mins(2);

/// A home directory of its own, removed at the end.
pub(crate) struct Home {
    dir: TempDir,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that ends with its test.
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Deref for Program {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

/// The lines that a program writes, as they come. A program that nobody listens to any more is not kept waiting.
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    /// Of this output.
    pub(crate) fn of(output: impl Read + Send + 'static) -> Self {
        let (to, came) = sync_channel(4096);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            while lines.next().is_some_and(|line| to.send(line).is_ok()) {}
            lines.for_each(drop);
        });
        Self(came)
    }

    /// The next line; `None` at the end.
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub(crate) fn next(&self) -> Option<String> {
        match self.0.recv_timeout(SILENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing was written for {SILENCE:?}"),
        }
    }

    /// The next line, if it comes soon; disconnected at the end.
    pub(crate) fn soon(&self) -> Result<String, RecvTimeoutError> {
        self.0.recv_timeout(Duration::from_millis(20))
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().expect("a temporary directory") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the user's configuration file.
    pub(crate) fn configure(&self, text: &str) {
        let dir = self.path().join(".config/ringtalk");
        std::fs::create_dir_all(&dir).expect("the directory is made");
        std::fs::write(dir.join("config.toml"), text).expect("the file is written");
    }

    /// The program with nothing in its environment but this home.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringtalk"));
        command.args(args).env_clear().env("HOME", self.path()).env("USER", "ana").env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("the program starts"))
    }

    /// Runs it to its end with one more variable.
    pub(crate) fn run_with(&self, args: &[&str], variable: (&str, &str)) -> Ran {
        let (key, value) = variable;
        Ran::from(self.command(args).env(key, value).output().expect("the program starts"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}
