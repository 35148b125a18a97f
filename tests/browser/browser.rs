//! A headless Chromium with a profile of its own, told what to do over the `DevTools` protocol.

use crate::page::{Devtools, Page};
use crate::pty::now;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// What Chromium is called.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// How long it may take to start.
const STARTING: Duration = Duration::from_mins(1);
/// One browser at a time: what is measured in one is not disturbed by another.
static TURN: Mutex<()> = Mutex::new(());

/// A running browser. Dropped, it is killed with all its processes.
pub(crate) struct Browser {
    child: Child,
    /// Removed when the processes are gone.
    _profile: TempDir,
    port: u16,
    devtools: Devtools,
    _turn: MutexGuard<'static, ()>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

fn on_the_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut found = NAMES.iter().flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)));
    found.find(|candidate| candidate.is_file())
}

impl Browser {
    /// Starts the browser that is on the PATH. `None`, said aloud, where there is none and none is required, or none is
    /// wanted.
    pub(crate) fn start() -> Option<Self> {
        let required = std::env::var("RINGTALK_BROWSER_REQUIRED").unwrap_or_default();
        let Some(program) = on_the_path().filter(|_| required != "0") else {
            assert!(required != "1", "no {} on the PATH, and one is required", NAMES.join(", "));
            let why = if required == "0" { "not wanted" } else { "no chromium here: apt-get install chromium" };
            writeln!(std::io::stderr(), "skipped: {why}").expect("standard error");
            return None;
        };
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = TempDir::new().expect("a temporary directory");
        let child = spawn(&program, profile.path());
        let (port, path) = address(&profile.path().join("DevToolsActivePort"));
        let devtools = Devtools::connect(port, &path);
        Some(Self { child, _profile: profile, port, devtools, _turn: turn })
    }

    /// A tab with this page in it.
    pub(crate) fn open(&mut self, url: &str) -> Page {
        let target = self.devtools.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let target = target["targetId"].as_str().expect("an id");
        let mut page = Page::attach(self.port, target);
        page.navigate(url);
        page
    }
}

fn spawn(program: &Path, profile: &Path) -> Child {
    let mut command = Command::new(program);
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--remote-debugging-port=0",
        "--window-size=1280,800",
    ]);
    command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
    command.env("HOME", profile).env("TZ", "UTC").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("chromium starts")
}

/// The port and the path that the browser wrote down; it does when it listens.
fn address(file: &Path) -> (u16, String) {
    let deadline = now() + STARTING;
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some((port, path)) = text.split_once('\n').filter(|(_, path)| !path.is_empty()) {
            return (port.parse().expect("a port"), path.trim().to_owned());
        }
        assert!(now() < deadline, "chromium did not start");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
