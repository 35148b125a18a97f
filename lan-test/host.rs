//! A host of the LAN and the programs that run on it.

use crate::clock;
use crate::trouble::{Outcome, Trouble};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One host: what runs on it sees its interface only, and keeps its files below `dir`.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    number: u8,
    dir: PathBuf,
}

impl Host {
    /// Host `number` of the LAN, with its files in `dir/hN`.
    pub(crate) fn new(number: u8, dir: &Path) -> Outcome<Self> {
        let dir = dir.join(format!("h{number}"));
        std::fs::create_dir_all(&dir).map_err(Trouble::io("create", &dir))?;
        Ok(Self { number, dir })
    }

    /// `hN`.
    pub(crate) fn name(&self) -> String {
        format!("h{}", self.number)
    }

    /// Where its files are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where its server keeps its files.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// `program` on this host. Its home is `home` below the host's directory, so each person has their own.
    pub(crate) fn command(&self, program: &Path, home: &str) -> Outcome<Command> {
        let home = self.dir.join(home);
        std::fs::create_dir_all(&home).map_err(Trouble::io("create", &home))?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name()]).arg(program);
        for (name, _) in std::env::vars_os() {
            let ours = |text: &str| text.starts_with("RINGTALK_") || text.starts_with("XDG_");
            if name.to_str().is_some_and(ours) {
                command.env_remove(name);
            }
        }
        let log = std::env::var_os("LAN_TEST_LOG").unwrap_or_else(|| "warn".into());
        command.env("HOME", home).env("RINGTALK_LOG", log).env("NO_COLOR", "1");
        Ok(command)
    }

    /// Starts a program whose lines are wanted as they come. They also go to `TITLE.out`, its stderr to `TITLE.err`, both
    /// beside its home.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, program: &Path, title: &str, args: &[S]) -> Outcome<Running> {
        let mut command = self.command(program, title)?;
        command.args(args);
        Running::start(command, format!("{title} on {}", self.name()), self.dir.join(format!("{title}.err")))
    }

    /// Runs a program to its end, `input` on its stdin, for at most `limit`.
    pub(crate) fn run<S: AsRef<OsStr>>(
        &self,
        program: &Path,
        home: &str,
        args: &[S],
        limit: Duration,
    ) -> Outcome<Finished> {
        let mut command = self.command(program, home)?;
        command.args(args);
        finish(command, &self.dir, limit)
    }
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Finished {
    /// The exit code, -1 of a program that a signal ended.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

/// Runs `command` to its end; its output goes through files in `dir`, so that no pipe fills.
fn finish(mut command: Command, dir: &Path, limit: Duration) -> Outcome<Finished> {
    let out = tempfile::tempfile_in(dir).map_err(Trouble::io("create a file in", dir))?;
    let err = tempfile::tempfile_in(dir).map_err(Trouble::io("create a file in", dir))?;
    let clone = |file: &File| file.try_clone().map_err(Trouble::io("share a file in", dir));
    let what = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(clone(&out)?).stderr(clone(&err)?);
    let mut child = command.spawn().map_err(Trouble::io("run", "ip"))?;
    let Some(status) = clock::until(limit, || child.try_wait().ok().flatten()) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Trouble::Late { what: format!("the end of {what}: {}", text(&whole(err, dir)?)), after: limit });
    };
    Ok(Finished { status, out: whole(out, dir)?, err: text(&whole(err, dir)?) })
}

fn whole(mut file: File, dir: &Path) -> Outcome<Vec<u8>> {
    use std::io::{Read as _, Seek as _};
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(Trouble::io("read a file in", dir))?;
    Ok(bytes)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One line a program printed, and when the harness read it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) text: String,
}

impl Line {
    /// The line as JSON; `Null` when it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or(serde_json::Value::Null)
    }

    /// Whether it is the JSON of an event of this name. Cheap: it reads the text, not the JSON.
    pub(crate) fn is_event(&self, name: &str) -> bool {
        self.text.contains(&format!("\"event\":\"{name}\""))
    }
}

/// The lines of a program so far. They are kept: a scenario's whole evidence is some ten thousand of them.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    kept: Mutex<Vec<Line>>,
    more: Condvar,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, text: String) {
        self.lock().push(Line { at: clock::now(), text });
        self.more.notify_all();
    }

    /// All lines from number `from` on.
    pub(crate) fn since(&self, from: usize) -> Vec<Line> {
        self.lock().get(from..).unwrap_or_default().to_vec()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    /// The first line from number `from` on that is `wanted`, waiting for at most `limit`.
    pub(crate) fn wait_for(&self, from: usize, limit: Duration, wanted: impl Fn(&Line) -> bool) -> Option<Line> {
        let end = clock::now() + limit;
        let mut lines = self.lock();
        let mut seen = from;
        loop {
            if let Some(line) = lines.iter().skip(seen).find(|line| wanted(line)) {
                return Some(line.clone());
            }
            seen = seen.max(lines.len());
            let left = end.saturating_duration_since(clock::now());
            if left.is_zero() {
                return None;
            }
            lines = self.more.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A program that runs. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    what: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Arc<Lines>,
    errors: PathBuf,
}

impl Running {
    fn start(mut command: Command, what: String, errors: PathBuf) -> Outcome<Self> {
        let log = OpenOptions::new().create(true).append(true).open(&errors).map_err(Trouble::io("open", &errors))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(Trouble::io("run", "ip"))?;
        let stdin = child.stdin.take();
        let lines = Arc::new(Lines::default());
        if let Some(stdout) = child.stdout.take() {
            let lines = Arc::clone(&lines);
            let path = errors.with_extension("out");
            let kept = OpenOptions::new().create(true).append(true).open(&path).map_err(Trouble::io("open", &path))?;
            std::thread::spawn(move || {
                let mut kept = BufWriter::new(kept);
                for line in BufReader::with_capacity(1 << 16, stdout).lines().map_while(Result::ok) {
                    // For people who look for the reason of a failure; the books are kept in memory.
                    let _ = writeln!(kept, "{line}");
                    lines.push(line);
                }
            });
        }
        Ok(Self { what, child, stdin, lines, errors })
    }

    /// Its pipe; what has taken it owns the end of the input.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// What it printed.
    pub(crate) fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    /// The end of what it wrote to stderr, at most 1,000 bytes.
    pub(crate) fn said(&self) -> String {
        let bytes = std::fs::read(&self.errors).unwrap_or_default();
        text(bytes.get(bytes.len().saturating_sub(1_000)..).unwrap_or_default())
    }

    fn signal(&self, signal: Signal, op: &'static str) -> Outcome<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let Some(pid) = pid else { return Err(Trouble::broken("a process without a number")) };
        kill_process(pid, signal).map_err(|source| Trouble::Io {
            op,
            path: self.what.clone().into(),
            source: source.into(),
        })
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Outcome<()> {
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(Trouble::io("kill", &self.what))
    }

    /// SIGSTOP.
    pub(crate) fn stop(&self) -> Outcome<()> {
        self.signal(Signal::STOP, "stop")
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) -> Outcome<()> {
        self.signal(Signal::CONT, "continue")
    }

    /// SIGTERM.
    pub(crate) fn ask_to_end(&self) -> Outcome<()> {
        self.signal(Signal::TERM, "end")
    }

    /// How it ended, waiting for at most `limit`.
    pub(crate) fn ended(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        let ended = clock::until(limit, || self.child.try_wait().ok().flatten());
        ended.ok_or_else(|| Trouble::Late { what: format!("the end of {}: {}", self.what, self.said()), after: limit })
    }

    /// Whether it is still there.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Memory that it holds in RAM, in KiB.
    pub(crate) fn resident_kib(&self) -> Outcome<u64> {
        let path = PathBuf::from(format!("/proc/{}/status", self.child.id()));
        let status = std::fs::read_to_string(&path).map_err(Trouble::io("read", &path))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse().ok());
        number.ok_or_else(|| Trouble::broken(format!("no VmRSS in {}", path.display())))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Either it has ended already, or this ends it: both are what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
