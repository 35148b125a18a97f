//! What the demo tells while it goes on: plain words for people and for pages, an object a line for scripts.

use crate::cli::failure::Failure;
use crate::cli::output::{Output, Style, to_json};
use crate::cli::shown::shown;
use crate::cli::times::{clock, now_ms, rfc3339};
use crate::web::control::Controls;
use rustix::termios::tcgetwinsize;
use serde_json::{Value, json};
use std::cell::Cell;
use std::time::Instant;
use unicode_width::UnicodeWidthStr;

/// Columns before the words.
const MARGIN: usize = 10;
/// A terminal that is narrower breaks lines as it likes.
const LEAST_COLUMNS: usize = 40;

/// A running commentary, timed from its beginning.
#[derive(Debug)]
pub(super) struct Tale {
    output: Output,
    begun: Instant,
    /// The moment of the last line: none after it is told of an earlier one.
    last: Cell<Instant>,
    /// The pages that are told too.
    pages: Option<Controls>,
}

impl Tale {
    /// Begins now.
    pub(super) fn new(output: &Output, pages: Option<Controls>) -> Self {
        let begun = clock();
        Self { output: output.clone(), begun, last: Cell::new(begun), pages }
    }

    /// What pages ask for, if there are any.
    pub(super) fn pages(&self) -> Option<&Controls> {
        self.pages.as_ref()
    }

    /// Tells one thing.
    pub(super) fn tell(&self, event: &str, fields: Value, words: &str) -> Result<(), Failure> {
        self.tell_of(clock(), event, fields, words)
    }

    /// Tells one thing that happened at this moment, or at the last line's if that is later.
    pub(super) fn tell_of(&self, when: Instant, event: &str, fields: Value, words: &str) -> Result<(), Failure> {
        let when = when.max(self.last.get());
        self.last.set(when);
        let at = rfc3339(now_ms().saturating_sub(millis(when.elapsed())));
        let ms = millis(when.saturating_duration_since(self.begun));
        if let Some(pages) = &self.pages {
            pages.show(&json!({ "event": "tale", "at": at, "ms": ms, "text": words }));
        }
        if self.output.json {
            let mut document = json!({ "event": event, "at": at, "ms": ms });
            if let (Value::Object(document), Value::Object(fields)) = (&mut document, fields) {
                document.extend(fields);
                document.insert("text".to_owned(), words.into());
            }
            return self.output.line(&to_json(&document));
        }
        let at = self.output.paint(Style::Dim, &format!("{:>4}.{} s ", ms / 1000, ms % 1000 / 100));
        let words = shown(words);
        wrapped(&words, columns().saturating_sub(MARGIN)).iter().enumerate().try_for_each(|(number, line)| {
            let margin = if number == 0 { &at } else { &" ".repeat(MARGIN - 1) };
            self.output.line(&format!("{margin} {line}"))
        })
    }

    /// Shows a document to pages.
    pub(super) fn show_pages(&self, document: &Value) {
        if let Some(pages) = &self.pages {
            pages.show(document);
        }
    }

    /// Shows a document to scripts; people at the terminal have the words.
    pub(super) fn show_scripts(&self, document: &Value) -> Result<(), Failure> {
        if self.output.json { self.output.line(&to_json(document)) } else { Ok(()) }
    }

    /// A few lines for people only, without a time.
    pub(super) fn say(&self, text: &str) -> Result<(), Failure> {
        let lines: Vec<String> = text.split('\n').flat_map(|line| wrapped(line, columns())).collect();
        self.draw(&lines.join("\n"))
    }

    /// Lines for people only, which stay as they are.
    pub(super) fn draw(&self, lines: &str) -> Result<(), Failure> {
        if self.output.json { Ok(()) } else { self.output.raw(format!("{lines}\n").as_bytes()) }
    }
}

/// Columns of the terminal; none to keep to where there is no terminal.
fn columns() -> usize {
    let columns = tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    if columns > LEAST_COLUMNS { columns } else { usize::MAX }
}

/// Lines of at most so many columns, broken between words. Space where a line is broken is gone, other space stays.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_first = lines.is_empty();
        match lines.last_mut().filter(|line| line.width() + 1 + word.width() <= columns) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None if word.is_empty() && !is_first => {}
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_of_an_earlier_moment_than_the_one_before() {
        let (controls, _) = crate::web::control::channel();
        let tale = Tale::new(&Output { json: true, ..Output::default() }, Some(controls));
        let earlier = clock();
        let later = earlier + std::time::Duration::from_secs(9);
        tale.tell_of(later, "step", json!({}), "Step 5").unwrap();
        tale.tell_of(earlier, "tale", json!({}), "heard before").unwrap();
        assert_eq!(tale.last.get(), later);
    }

    #[test]
    fn long_lines_break_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("→ unbreakable →", 4), ["→", "unbreakable", "→"]);
        assert_eq!(wrapped("as it is", usize::MAX), ["as it is"]);
        assert_eq!(wrapped("", 7), [""]);
        assert_eq!(wrapped("  c crash    k kill", 9), ["  c crash", "k kill"]);
    }
}
