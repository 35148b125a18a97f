//! The terminal while it is a full screen: taken over, given back whatever happens, and what comes from it.

use super::model::Input;
use crate::cli::failure::{Code, Failure, plain};
use crate::cli::keys::{Chord, Key};
use crossbeam_channel::{Receiver, bounded};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event, KeyCode, KeyEvent,
    KeyEventKind, KeyModifiers, MouseEventKind, read,
};
use ratatui::crossterm::style::Colored;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{cursor, execute};
use ratatui::layout::{Position, Rect};
use std::io::{self, IsTerminal, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Keys read ahead; the reader then waits.
const AHEAD: usize = 1024;

/// Whether the terminal is ours now.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// A terminal that is a full screen until this is dropped.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    inputs: Receiver<io::Result<Input>>,
    /// Whether the mouse is ours, too.
    has_mouse: bool,
}

/// Whether there is a terminal to be a full screen: both ways, and one that can more than lines.
pub(crate) fn is_there() -> bool {
    let can = std::env::var_os("TERM").is_none_or(|term| term != "dumb" && !term.is_empty());
    can && io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Screen {
    /// Takes the terminal over, with colours or without.
    pub(crate) fn open(color: bool) -> Result<Self, Failure> {
        Colored::set_ansi_color_disabled(!color);
        give_back_after_a_panic();
        take().map_err(|error| unusable(&error))?;
        let opened = Terminal::new(CrosstermBackend::new(io::stdout())).map_err(|error| unusable(&error));
        let inputs = opened.and_then(|terminal| Ok((terminal, read_inputs()?)));
        match inputs {
            Ok((terminal, inputs)) => {
                let mut screen = Self { terminal, inputs, has_mouse: false };
                // The other screen may have been in use already, by who was killed there.
                screen.redraw()?;
                Ok(screen)
            }
            Err(failure) => {
                give_back();
                Err(failure)
            }
        }
    }

    /// What comes from the terminal; disconnected when it is gone.
    pub(crate) fn inputs(&self) -> &Receiver<io::Result<Input>> {
        &self.inputs
    }

    /// Columns and lines.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.terminal.size().map_or((80, 24), |size| (size.width, size.height))
    }

    /// Draws a frame; the cursor stands where the drawing says, or is hidden.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Buffer) -> Option<Position>) -> Result<(), Failure> {
        let drawn = self.terminal.draw(|frame| {
            if let Some(at) = draw(frame.buffer_mut()) {
                frame.set_cursor_position(at);
            }
        });
        drawn.map(drop).map_err(|error| unusable(&error))
    }

    /// Draws everything anew at the next frame. `Terminal::clear` would ask the terminal where the cursor is, and the answer come
    /// to the thread that reads what comes from it.
    pub(crate) fn redraw(&mut self) -> Result<(), Failure> {
        let cleared = self.terminal.size().and_then(|size| self.terminal.resize(Rect::from((Position::ORIGIN, size))));
        cleared.map_err(|error| unusable(&error))
    }

    /// Rings the bell.
    #[expect(clippy::unused_self, reason = "only who holds the terminal may ring")]
    pub(crate) fn bell(&mut self) {
        let mut out = io::stdout().lock();
        // A bell that is not heard is no failure.
        let _ = out.write_all(b"\x07").and_then(|()| out.flush());
    }

    /// Takes the mouse, so that its wheel comes as input, or gives it back.
    pub(crate) fn mouse(&mut self, wanted: bool) -> Result<(), Failure> {
        self.has_mouse = wanted;
        let done = if wanted {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        };
        done.map_err(|error| unusable(&error))
    }

    /// Stops the program until `fg`, with the terminal as it was before.
    pub(crate) fn suspend(&mut self) -> Result<(), Failure> {
        give_back();
        let stopped = signal_hook::low_level::raise(signal_hook::consts::SIGTSTP);
        take().and(stopped).map_err(|error| unusable(&error))?;
        if self.has_mouse {
            self.mouse(true)?;
        }
        self.redraw()
    }

    /// Whether the terminal is still there.
    #[expect(clippy::unused_self, reason = "only who holds the terminal asks")]
    pub(crate) fn is_alive(&self) -> bool {
        rustix::termios::tcgetattr(io::stdin()).is_ok()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)
}

/// Makes the terminal what it was. Does nothing when it is that already: may be called from anywhere, at any time.
pub(crate) fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        // It may be gone.
        let _ = execute!(io::stdout(), DisableMouseCapture, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

fn give_back_after_a_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}

fn read_inputs() -> Result<Receiver<io::Result<Input>>, Failure> {
    let (to, inputs) = bounded(AHEAD);
    let run = move || {
        loop {
            let came = match read() {
                Ok(event) => match input(event) {
                    Some(input) => Ok(input),
                    None => continue,
                },
                Err(error) => Err(error),
            };
            let failed = came.is_err();
            if to.send(came).is_err() || failed {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("terminal".to_owned())
        .spawn(run)
        .map_err(|error| Failure::new(Code::Failed, format!("cannot start a thread: {}", plain(&error))))?;
    Ok(inputs)
}

fn input(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => chord(key).map(Input::Typed),
        Event::Paste(text) => Some(Input::Pasted(text)),
        Event::Mouse(event) if event.kind == MouseEventKind::ScrollUp => Some(Input::Wheel { back: true }),
        Event::Mouse(event) if event.kind == MouseEventKind::ScrollDown => Some(Input::Wheel { back: false }),
        Event::Resize(width, height) => Some(Input::Resized(width, height)),
        _ => None,
    }
}

fn chord(event: KeyEvent) -> Option<Chord> {
    let held = |modifier| event.modifiers.contains(modifier);
    let (ctrl, alt, mut shift) = (held(KeyModifiers::CONTROL), held(KeyModifiers::ALT), held(KeyModifiers::SHIFT));
    let key = match event.code {
        KeyCode::Char(c) => {
            shift = false;
            Key::Char(if ctrl || alt { c.to_lowercase().next().unwrap_or(c) } else { c })
        }
        KeyCode::BackTab => {
            shift = true;
            Key::Tab
        }
        KeyCode::F(number) => Key::Function(number),
        KeyCode::Enter => Key::Enter,
        KeyCode::Tab => Key::Tab,
        KeyCode::Esc => Key::Esc,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Insert => Key::Insert,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        _ => return None,
    };
    Some(Chord { key, ctrl, alt, shift })
}

fn unusable(error: &io::Error) -> Failure {
    Failure::new(Code::Io, format!("cannot use the terminal: {}", plain(error))).hint("ringtalk chat --plain")
}

#[cfg(test)]
#[path = "../../../tests/cli/pty.rs"]
#[expect(dead_code, reason = "the tests of the program need more of it")]
mod pty;

#[cfg(test)]
mod tests {
    use super::pty::Window;
    use super::*;
    use std::process::Command;

    /// Set for the process that is to panic.
    const ON_PURPOSE: &str = "RINGTALK_TEST_PANICS";

    #[test]
    fn terminal_is_given_back_after_a_panic_whose_words_are_read() {
        if std::env::var_os(ON_PURPOSE).is_some() {
            let mut screen = Screen::open(true).unwrap();
            screen.draw(|_| None).unwrap();
            panic!("on purpose");
        }
        let name = "cli::window::terminal::tests::terminal_is_given_back_after_a_panic_whose_words_are_read";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(ON_PURPOSE, "1");
        let mut window = Window::open(command, 80, 24);
        window.until_shown("on purpose");
        assert_eq!(window.wait(), 101);
        let written = String::from_utf8_lossy(&window.written).into_owned();
        assert!(written.contains("\u{1b}[?1049h"), "it was a full screen: {written:?}");
        assert!(window.is_given_back(), "{written:?}");
        let (_, after) = written.rsplit_once("\u{1b}[?1049l").unwrap();
        assert!(after.contains("on purpose"), "where it can be read: {written:?}");
    }
}
