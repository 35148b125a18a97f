//! Where words and documents go: stdout for what was asked for, stderr for everything else.

use super::config::Settings;
use super::failure::{Code, Failure, plain};
use super::shown::shown_lines;
use super::values::Color;
pub(crate) use crate::web::document::to_json;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// How this run speaks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    /// Whether stdout carries JSON.
    pub(crate) json: bool,
    /// Whether stdout may carry colours.
    pub(crate) color: bool,
    /// Whether notes and progress are left out.
    pub(crate) quiet: bool,
}

/// Styles of text for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// What matters least.
    Dim,
    /// Names, headings.
    Bold,
    /// What is well.
    Green,
    /// What wants attention.
    Yellow,
    /// What is wrong.
    Red,
    /// Rooms.
    Cyan,
}

impl Output {
    /// As settings and the terminal have it.
    pub(crate) fn new(settings: &Settings, quiet: bool) -> Self {
        let color = match settings.color.value {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => std::io::stdout().is_terminal() && terminal_wants_color(),
        };
        Self { json: settings.json.value, color, quiet }
    }

    /// One line of text, whose untrusted parts went through [`shown`](super::shown::shown).
    #[expect(clippy::unused_self, reason = "commands speak through one thing, whatever its style")]
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        write_out(&[text.as_bytes(), b"\n"])
    }

    /// Text as it is, already safe and complete.
    #[expect(clippy::unused_self, reason = "commands speak through one thing, whatever its style")]
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        write_out(&[bytes])
    }

    /// One document of JSON, on a line.
    #[expect(clippy::unused_self, reason = "commands speak through one thing, whatever its style")]
    pub(crate) fn document<T: Serialize>(&self, document: &T) -> Result<(), Failure> {
        let text = to_json(document);
        write_out(&[text.as_bytes(), b"\n"])
    }

    /// A note for people, on stderr, unless `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            tell(text);
        }
    }

    /// The text in this style, when colours are wanted.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Dim => 2,
            Style::Bold => 1,
            Style::Green => 32,
            Style::Yellow => 33,
            Style::Red => 31,
            Style::Cyan => 36,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// A line on stderr; that nobody reads it is no failure.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown_lines(text));
}

/// Writes to stdout and flushes. A reader that has gone ends the command quietly.
fn write_out(parts: &[&[u8]]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let mut write = || {
        for part in parts {
            out.write_all(part)?;
        }
        out.flush()
    };
    write().map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Failure::silent(Code::Io),
        ErrorKind::StorageFull => Failure::new(Code::NoSpace, "cannot write to stdout: no space"),
        _ => Failure::new(Code::Io, format!("cannot write to stdout: {}", plain(&error))),
    })
}

fn terminal_wants_color() -> bool {
    let set = |key| std::env::var_os(key).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
