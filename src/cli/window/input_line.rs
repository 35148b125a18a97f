//! What is being typed: a text of one or more lines, a cursor, and what was typed before.

use super::text::{safe, width};
use crate::record::MAX_BODY_BYTES;
use std::collections::VecDeque;
use unicode_segmentation::UnicodeSegmentation;

/// Most lines remembered.
const REMEMBERED: usize = 200;
/// The most that can be typed, in bytes: enough to see by how much it is too long.
const MOST: usize = 4 * MAX_BODY_BYTES;

/// The input line.
#[derive(Clone, Debug, Default)]
pub(crate) struct InputLine {
    text: String,
    /// In bytes, between two clusters.
    cursor: usize,
    before: VecDeque<String>,
    /// Which of those is shown, from the end; 0 is what is being typed.
    back: usize,
    /// What was being typed when one went back.
    kept: String,
}

/// What the input looks like in a place of some size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Look {
    /// Lines, as many as fit, those around the cursor.
    pub(crate) lines: Vec<String>,
    /// Column and line of the cursor in it.
    pub(crate) cursor: (usize, usize),
}

impl InputLine {
    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Bytes before the cursor.
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether nothing is typed.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Types a text. `false` when it is over all bounds, and is left out.
    pub(crate) fn insert(&mut self, text: &str) -> bool {
        if self.text.len() + text.len() > MOST {
            return false;
        }
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
        true
    }

    /// Puts another text in the place of a range before the cursor.
    pub(crate) fn replace(&mut self, start: usize, text: &str) {
        if self.text.is_char_boundary(start) && start <= self.cursor {
            self.text.replace_range(start..self.cursor, text);
            self.cursor = start + text.len();
        }
    }

    /// The text, which is remembered; nothing is typed then.
    pub(crate) fn take(&mut self) -> String {
        let text = std::mem::take(&mut self.text);
        self.cursor = 0;
        self.back = 0;
        self.kept.clear();
        if !text.trim().is_empty() && text.len() <= MAX_BODY_BYTES && self.before.back() != Some(&text) {
            self.before.push_back(text.clone());
            if self.before.len() > REMEMBERED {
                self.before.pop_front();
            }
        }
        text
    }

    /// Begins anew with this; what was typed is remembered.
    pub(crate) fn begin(&mut self, text: &str) {
        self.take();
        self.set(text.to_owned());
    }

    /// What was typed before that.
    pub(crate) fn earlier(&mut self) {
        if self.back < self.before.len() {
            if self.back == 0 {
                self.kept = self.text.clone();
            }
            self.back += 1;
            self.set(self.before[self.before.len() - self.back].clone());
        }
    }

    /// What was typed after that.
    pub(crate) fn later(&mut self) {
        match self.back {
            0 => {}
            1 => {
                self.back = 0;
                let kept = std::mem::take(&mut self.kept);
                self.set(kept);
            }
            _ => {
                self.back -= 1;
                self.set(self.before[self.before.len() - self.back].clone());
            }
        }
    }

    /// The cursor a cluster to the left.
    pub(crate) fn left(&mut self) {
        self.cursor -= self.text[..self.cursor].graphemes(true).next_back().map_or(0, str::len);
    }

    /// The cursor a cluster to the right.
    pub(crate) fn right(&mut self) {
        self.cursor += self.text[self.cursor..].graphemes(true).next().map_or(0, str::len);
    }

    /// The cursor to the begin of the word before it.
    pub(crate) fn word_left(&mut self) {
        let last = self.text[..self.cursor].unicode_word_indices().next_back();
        self.cursor = last.map_or(0, |(at, _)| at);
    }

    /// The cursor to the end of the word behind it.
    pub(crate) fn word_right(&mut self) {
        let word = self.text[self.cursor..].unicode_word_indices().next();
        self.cursor = word.map_or(self.text.len(), |(at, word)| self.cursor + at + word.len());
    }

    /// The cursor to the begin of its line.
    pub(crate) fn line_start(&mut self) {
        self.cursor = self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1);
    }

    /// The cursor to the end of its line.
    pub(crate) fn line_end(&mut self) {
        self.cursor = self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at);
    }

    /// The cursor to the line above, if there is one.
    pub(crate) fn up(&mut self) -> bool {
        let start = self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1);
        let Some(end) = start.checked_sub(1) else { return false };
        let column = self.text[start..self.cursor].graphemes(true).count();
        let above = self.text[..end].rfind('\n').map_or(0, |at| at + 1);
        self.cursor = above + self.text[above..end].graphemes(true).take(column).map(str::len).sum::<usize>();
        true
    }

    /// The cursor to the line below, if there is one.
    pub(crate) fn down(&mut self) -> bool {
        let start = self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1);
        let column = self.text[start..self.cursor].graphemes(true).count();
        let Some(below) = self.text[self.cursor..].find('\n').map(|at| self.cursor + at + 1) else { return false };
        let end = self.text[below..].find('\n').map_or(self.text.len(), |at| below + at);
        self.cursor = below + self.text[below..end].graphemes(true).take(column).map(str::len).sum::<usize>();
        true
    }

    /// Deletes the cluster before the cursor.
    pub(crate) fn backspace(&mut self) {
        let end = self.cursor;
        self.left();
        self.text.replace_range(self.cursor..end, "");
    }

    /// Deletes the cluster at the cursor.
    pub(crate) fn delete(&mut self) {
        let length = self.text[self.cursor..].graphemes(true).next().map_or(0, str::len);
        self.text.replace_range(self.cursor..self.cursor + length, "");
    }

    /// Deletes the word before the cursor.
    pub(crate) fn delete_word(&mut self) {
        let end = self.cursor;
        self.word_left();
        self.text.replace_range(self.cursor..end, "");
    }

    /// Deletes everything; it is remembered.
    pub(crate) fn delete_all(&mut self) {
        self.take();
    }

    /// How it looks in so many columns and at most so many lines.
    pub(crate) fn look(&self, columns: usize, most: usize) -> Look {
        let columns = columns.max(4);
        let mut lines = vec![String::new()];
        let (mut column, mut cursor) = (0, None);
        for (at, cluster) in self.text.grapheme_indices(true) {
            if at >= self.cursor && cursor.is_none() {
                cursor = Some((column, lines.len() - 1));
            }
            if cluster == "\n" || cluster == "\r\n" {
                lines.push(String::new());
                column = 0;
                continue;
            }
            let cluster = safe(cluster);
            // The last column stays free for the cursor.
            if column + width(&cluster) >= columns && column > 0 {
                lines.push(String::new());
                column = 0;
            }
            column += width(&cluster);
            if let Some(line) = lines.last_mut() {
                line.push_str(&cluster);
            }
        }
        let (column, line) = cursor.unwrap_or((column, lines.len() - 1));
        let first = (line + 1).saturating_sub(most.max(1));
        let lines: Vec<String> = lines.into_iter().skip(first).take(most.max(1)).collect();
        Look { lines, cursor: (column.min(columns - 1), line - first) }
    }

    fn set(&mut self, text: String) {
        self.text = text;
        self.cursor = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> InputLine {
        let mut input = InputLine::default();
        assert!(input.insert(text));
        input
    }

    #[test]
    fn cursor_moves_by_what_people_see_as_one_character() {
        let mut input = typed("a👩\u{200d}🚀e\u{301}");
        input.backspace();
        assert_eq!(input.text(), "a👩\u{200d}🚀");
        input.left();
        input.insert("b");
        assert_eq!(input.text(), "ab👩\u{200d}🚀");
        input.delete();
        assert_eq!(input.text(), "ab");
    }

    #[test]
    fn what_was_typed_comes_back_and_what_is_being_typed_is_kept() {
        let mut input = typed("one");
        input.take();
        input.insert("two");
        input.take();
        input.insert("under way");
        input.earlier();
        input.earlier();
        input.earlier();
        assert_eq!(input.text(), "one");
        input.later();
        assert_eq!(input.text(), "two");
        input.later();
        input.later();
        assert_eq!(input.text(), "under way");
    }

    #[test]
    fn look_keeps_the_cursor_in_sight() {
        let mut input = typed("first\nsecond\nthird");
        assert_eq!(input.look(20, 2), Look { lines: vec!["second".into(), "third".into()], cursor: (5, 1) });
        input.cursor = 2;
        assert_eq!(input.look(20, 2), Look { lines: vec!["first".into(), "second".into()], cursor: (2, 0) });
        let long = typed(&"日".repeat(30));
        let look = long.look(11, 3);
        assert!(look.lines.iter().all(|line| width(line) < 11), "{look:?}");
        assert_eq!(look.cursor.1, 2);
    }

    #[test]
    fn hostile_paste_is_kept_and_shown_harmless() {
        let input = typed("\u{1b}[2J\u{202e}\0");
        let text = input.look(60, 1).lines.concat();
        assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
        assert!(!typed("x").insert(&"y".repeat(MOST)), "bounded");
    }

    #[test]
    fn words_are_crossed_and_deleted_whole() {
        let mut input = typed("lost the key");
        input.delete_word();
        assert_eq!(input.text(), "lost the ");
        input.word_left();
        input.word_left();
        input.word_right();
        input.insert("!");
        assert_eq!(input.text(), "lost! the ");
    }
}
