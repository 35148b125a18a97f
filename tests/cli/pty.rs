//! A real terminal: a pty, the program on it, and what a person would see there.

use rustix::process::{Pid, Signal, ioctl_tiocsctty, kill_process, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Nothing that a test waits for takes this long.
const LIMIT: Duration = Duration::from_mins(1);

/// A person's terminal with the program on it. Dropped, the program is killed.
pub(crate) struct Window {
    keys: File,
    /// Keeps the terminal's side open, to look at its modes.
    side: File,
    before: Termios,
    child: Child,
    came: Receiver<Vec<u8>>,
    /// What the program wrote, whole.
    pub(crate) written: Vec<u8>,
    parser: vt100::Parser,
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The clock.
#[expect(clippy::disallowed_methods, reason = "a test waits in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Window {
    /// Starts the program on a terminal of this size.
    pub(crate) fn open(command: Command, columns: u16, rows: u16) -> Self {
        Self::open_on("", command, columns, rows)
    }

    /// Starts the program on a terminal that was shown this before.
    #[expect(unsafe_code, reason = "the terminal must be the child's own, which only the child can say")]
    pub(crate) fn open_on(shown: &str, mut command: Command, columns: u16, rows: u16) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty");
        grantpt(&keys).and_then(|()| unlockpt(&keys)).expect("its side may be opened");
        let name = ptsname(&keys, Vec::new()).expect("it has a name").into_string().expect("text");
        let side = OpenOptions::new().read(true).write(true).open(name).expect("its side");
        tcsetwinsize(&side, size(columns, rows)).expect("it has a size");
        let before = tcgetattr(&side).expect("it has modes");
        let end = || side.try_clone().expect("a descriptor");
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color");
        let own_terminal = || {
            setsid()?;
            ioctl_tiocsctty(std::io::stdin().as_fd())?;
            Ok(())
        };
        // SAFETY: two system calls, which are safe between fork and exec.
        unsafe { command.pre_exec(own_terminal) };
        let child = command.spawn().expect("it starts");
        let keys = File::from(keys);
        let mut from = keys.try_clone().expect("a descriptor");
        // A program that nobody looks at waits, as on a terminal.
        let (to, came) = sync_channel(1024);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                if to.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut parser = vt100::Parser::new(rows, columns, 0);
        parser.process(shown.as_bytes());
        Self { keys, side, before, child, came, written: Vec::new(), parser }
    }

    /// What stands on the screen.
    pub(crate) fn text(&self) -> String {
        let contents = self.parser.screen().contents();
        contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// The screen with its colours.
    #[allow(dead_code, reason = "for the pictures of the browser's tests")]
    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// Something else writes on the screen.
    pub(crate) fn spoil(&mut self) {
        self.parser.process(b"\x1b7\x1b[5;20Hleft over\x1b8");
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the program reads");
    }

    /// Types a line.
    pub(crate) fn say(&mut self, line: &str) {
        self.press(&format!("{line}\r"));
    }

    /// Waits until the screen is so.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = now() + LIMIT;
        while !is_so(&self.text()) {
            match self.came.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(bytes) => self.show(&bytes),
                Err(RecvTimeoutError::Timeout) => unreachable!("never {what}:\n{}", self.text()),
                Err(RecvTimeoutError::Disconnected) => unreachable!("ended before {what}:\n{}", self.text()),
            }
        }
    }

    /// Waits until this stands on the screen.
    pub(crate) fn until_shown(&mut self, text: &str) {
        self.until(text, |screen| screen.contains(text));
    }

    /// The terminal has another size now.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.parser.screen_mut().set_size(rows, columns);
        tcsetwinsize(&self.side, size(columns, rows)).expect("it takes the size");
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for its end; its exit status.
    pub(crate) fn wait(&mut self) -> i32 {
        let status = self.child.wait().expect("it ends");
        while let Ok(bytes) = self.came.recv_timeout(Duration::from_millis(100)) {
            self.show(&bytes);
        }
        status.code().unwrap_or(-1)
    }

    /// Whether the terminal is what it was before the program started: its modes, its screen, its cursor.
    pub(crate) fn is_given_back(&self) -> bool {
        let now = tcgetattr(&self.side).expect("it has modes");
        let screen = self.parser.screen();
        now.local_modes == self.before.local_modes
            && now.input_modes == self.before.input_modes
            && !screen.alternate_screen()
            && !screen.hide_cursor()
            && !screen.bracketed_paste()
    }

    fn show(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        self.parser.process(bytes);
    }
}
