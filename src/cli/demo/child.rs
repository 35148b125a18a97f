//! One server of the demo: a process of this very program, held by a pipe that ends it when it ends.

use super::Happening;
use super::ground::Ground;
use crate::cli::failure::{Code, Failure, plain};
use crossbeam_channel::Sender;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// How long a server may take to end once its pipe has.
const ENDING: Duration = Duration::from_secs(3);
/// How often is looked whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// A running server.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Takes faults; its end is the server's.
    faults: Option<ChildStdin>,
}

impl Process {
    /// Starts server number `at`, and a thread that hands over what it tells.
    pub(super) fn start(at: usize, name: &str, ground: &Ground, told: &Sender<Happening>) -> Result<Self, Failure> {
        let failed = |error: &std::io::Error| {
            Failure::new(Code::Failed, format!("cannot start server {name}: {}", plain(error)))
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .args(["server", "--local", "--faults", "--json", "--config", "/dev/null"])
            .args(["--net", &ground.net, "--port", &ground.port.to_string(), "--name", name])
            .arg("--data")
            .arg(ground.data_of(name))
            .envs(std::env::vars_os().filter(|(key, _)| key == "RINGTALK_LOG"))
            .env_remove("RINGTALK_GROUP")
            .env_remove("RINGTALK_PEER")
            .env_remove("RINGTALK_IFACE")
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
                .spawn(move || hear(at, out, &told))
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

    /// `kill -9`.
    pub(super) fn crash(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.faults = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.faults.take());
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

fn hear(at: usize, out: ChildStdout, told: &Sender<Happening>) {
    for line in BufReader::new(out).lines() {
        let Ok(line) = line else { break };
        if let Ok(event) = serde_json::from_str::<Value>(&line)
            && told.send(Happening::Server { at, event }).is_err()
        {
            return;
        }
    }
    let _ = told.send(Happening::Ended { at });
}
