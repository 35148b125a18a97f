//! Where chat's lines go and where what is typed comes from: an input line that messages do not disturb, or plain pipes.

use crate::cli::failure::{Code, Failure, plain};
use crate::cli::lines::Lines;
use crate::cli::output::Output;
use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};
use std::io::{self, IsTerminal, Write};
use unicode_width::UnicodeWidthStr;

/// Lines that were typed and are not yet taken.
const TYPED: usize = 16;
/// What stands before the input line.
const PROMPT: &str = "> ";

/// A terminal with an input line, or a pipe.
pub(super) struct Screen {
    typed: Receiver<io::Result<String>>,
    printer: Option<Box<dyn ExternalPrinter + Send>>,
    output: Output,
    /// How the terminal was; it is so again at the end.
    before: Option<Termios>,
}

impl Screen {
    /// Takes over the terminal, when stdin and stdout are one and nobody wants plain pipes.
    pub(super) fn open(output: &Output, is_plain: bool) -> Result<Self, Failure> {
        if is_plain || output.json || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            let typed = Lines::of_stdin()?.into_channel();
            return Ok(Self { typed, printer: None, output: output.clone(), before: None });
        }
        let before = tcgetattr(io::stdin()).ok();
        let mut editor = DefaultEditor::with_config(Config::builder().auto_add_history(true).build())
            .map_err(|error| terminal_failure(&error))?;
        let printer = editor.create_external_printer().map_err(|error| terminal_failure(&error))?;
        let (to, typed) = bounded(TYPED);
        std::thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || read_lines(editor, &to))
            .map_err(|error| Failure::new(Code::Failed, format!("cannot start a thread: {}", plain(&error))))?;
        Ok(Self { typed, printer: Some(Box::new(printer)), output: output.clone(), before })
    }

    /// What is typed; disconnected at its end.
    pub(super) fn typed(&self) -> &Receiver<io::Result<String>> {
        &self.typed
    }

    /// Whether a person sits before it.
    pub(super) fn is_terminal(&self) -> bool {
        self.printer.is_some()
    }

    /// Shows a line, above the input line where there is one.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        match &mut self.printer {
            Some(printer) => printer.print(format!("{text}\n")).map_err(|error| terminal_failure(&error)),
            None => self.output.line(text),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The input thread may still wait in raw mode.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
            let _ = writeln!(io::stdout());
        }
    }
}

fn read_lines(mut editor: DefaultEditor, to: &Sender<io::Result<String>>) {
    loop {
        match editor.readline(PROMPT) {
            Ok(line) => {
                take_back(&line);
                if to.send(Ok(line)).is_err() {
                    return;
                }
            }
            // Ctrl-C and Ctrl-D both end the chat.
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => return,
            Err(error) => {
                let _ = to.send(Err(io::Error::other(error.to_string())));
                return;
            }
        }
    }
}

/// Removes the line that was typed from the screen: it comes back as a message, with its place and time.
fn take_back(line: &str) {
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| size.ws_col);
    if PROMPT.len() + line.width() < usize::from(columns) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(b"\x1b[1A\r\x1b[2K").and_then(|()| out.flush());
    }
}

fn terminal_failure(error: &ReadlineError) -> Failure {
    Failure::new(Code::Io, format!("cannot use the terminal: {error}")).hint("ringtalk chat --plain < /dev/tty")
}
