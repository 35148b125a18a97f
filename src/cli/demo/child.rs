//! One server of the demo: a process of this very program, held by a pipe that ends it when it ends.

use super::Happening;
use super::ground::Ground;
use crate::cli::failure::{Code, Failure, plain};
use crossbeam_channel::Sender;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// How long a server may take to end once its pipe has.
const ENDING: Duration = Duration::from_secs(3);
/// How often is looked whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// Which server, and which of its lives: what a killed process told may be read after its successor has started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Life {
    /// The server's number.
    pub(super) at: usize,
    /// How often it was started before.
    pub(super) number: u32,
}

/// A running server.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Takes faults; its end is the server's.
    faults: Option<ChildStdin>,
}

impl Process {
    /// Starts a server, and a thread that hands over what it tells.
    pub(super) fn start(life: Life, name: &str, ground: &Ground, told: &Sender<Happening>) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| {
            Failure::new(Code::Failed, format!("cannot start server {name}: {}", plain(error)))
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        command.args(["server", "--faults", "--json", "--web", "off", "--config", "/dev/null"]);
        command.args(ground.place());
        let mut child = command
            .args(["--name", name])
            .arg("--data")
            .arg(ground.data_of(name))
            .arg("--ground")
            .arg(ground.dir())
            .env_clear()
            .envs(std::env::vars_os().filter(|(key, _)| key == "RINGTALK_LOG" || key == "HOME"))
            // Ctrl-C is for the demo, which then ends its servers.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if log::log_enabled!(log::Level::Info) { Stdio::inherit() } else { Stdio::null() })
            .spawn()
            .map_err(|error| failed(&error))?;
        let faults = child.stdin.take();
        if let Some(out) = child.stdout.take() {
            let told = told.clone();
            std::thread::Builder::new()
                .name(format!("hears-{name}"))
                .spawn(move || hear(life, out, &told))
                .map_err(|error| failed(&error))?;
        }
        Ok(Self { child, faults })
    }

    /// Tells the server's transport what to lose.
    pub(super) fn tell(&mut self, line: &str) {
        if let Some(faults) = &mut self.faults {
            // A server that has just died cannot be told, and needs not be.
            let _ = writeln!(faults, "{line}").and_then(|()| faults.flush());
        }
    }

    /// Whether it ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops it where it is, as a machine that hangs: SIGSTOP.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on: SIGCONT.
    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// `kill -9`.
    pub(super) fn crash(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.faults = None;
    }

    fn signal(&self, signal: Signal) {
        // It may have ended by itself; then there is nobody to be told, and its end is.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.faults.take());
        if !self.has_ended() {
            self.resume();
        }
        let start = crate::cli::times::clock();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > ENDING {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::park_timeout(LOOK);
        }
    }
}

fn hear(life: Life, out: ChildStdout, told: &Sender<Happening>) {
    for told_line in BufReader::new(out).lines() {
        let Ok(told_line) = told_line else { break };
        if let Ok(event) = serde_json::from_str::<Value>(&told_line)
            && told.send(Happening::Server { life, event }).is_err()
        {
            return;
        }
    }
    let _ = told.send(Happening::Ended { life });
}
