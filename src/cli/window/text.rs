//! Text made safe and broken into lines, measured as the screen measures it.

use super::tone::Tone;
use crate::cli::shown::shown;
use ratatui::buffer::CellWidth;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Most code points that one place on the screen takes; a pile of marks higher than this is cut, a family of emoji fits.
const MAX_CLUSTER: usize = 16;

/// A run of text of one look. Its text is safe to show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    /// The text.
    pub(crate) text: String,
    /// Its look.
    pub(crate) tone: Tone,
}

/// One line of pieces.
pub(crate) type Line = Vec<Piece>;

impl Piece {
    /// Text that is ours, or went through [`safe`].
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

/// The text on one line as it may go to a terminal: escapes written out, composed, piles of marks cut.
pub(crate) fn safe(text: &str) -> String {
    let shown = shown(text);
    if shown.is_ascii() {
        return shown.into_owned();
    }
    let composed: String = shown.nfc().collect();
    composed.graphemes(true).flat_map(|cluster| cluster.chars().take(MAX_CLUSTER)).collect()
}

/// How many columns the text takes.
pub(crate) fn width(text: &str) -> usize {
    text.graphemes(true).map(cluster_width).sum()
}

/// How many columns the pieces take.
pub(crate) fn line_width(line: &[Piece]) -> usize {
    line.iter().map(|piece| width(&piece.text)).sum()
}

fn cluster_width(cluster: &str) -> usize {
    usize::from(cluster.cell_width())
}

/// The text cut to so many columns, with `…` when something is missing.
pub(crate) fn fitted(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut taken = String::new();
    let mut left = columns.saturating_sub(1);
    for cluster in text.graphemes(true) {
        match left.checked_sub(cluster_width(cluster)) {
            Some(rest) => left = rest,
            None => break,
        }
        taken.push_str(cluster);
    }
    if columns > 0 {
        taken.push('…');
    }
    taken
}

/// Breaks pieces into lines of so many columns, at blanks where there are some. Clusters stay whole.
pub(crate) fn wrap(pieces: &[Piece], columns: usize) -> Vec<Line> {
    let mut wrapper = Wrapper { columns: columns.max(2), ..Wrapper::default() };
    for piece in pieces {
        for cluster in piece.text.graphemes(true) {
            wrapper.take(cluster, piece.tone);
        }
    }
    wrapper.finish()
}

/// A line under way.
#[derive(Default)]
struct Wrapper<'a> {
    columns: usize,
    lines: Vec<Line>,
    line: Vec<(&'a str, Tone, usize)>,
    width: usize,
    /// Behind the last blank of the line.
    blank: Option<usize>,
}

impl<'a> Wrapper<'a> {
    fn take(&mut self, cluster: &'a str, tone: Tone) {
        let width = cluster_width(cluster);
        if self.width + width > self.columns {
            if cluster == " " {
                return self.break_at(self.line.len());
            }
            self.break_at(self.blank.unwrap_or(self.line.len()));
        }
        self.line.push((cluster, tone, width));
        self.width += width;
        if cluster == " " {
            self.blank = Some(self.line.len());
        }
    }

    fn break_at(&mut self, at: usize) {
        let rest = self.line.split_off(at);
        let line = std::mem::replace(&mut self.line, rest);
        self.lines.push(joined(&line));
        self.width = self.line.iter().map(|(_, _, width)| width).sum();
        self.blank = None;
    }

    fn finish(mut self) -> Vec<Line> {
        if !self.line.is_empty() || self.lines.is_empty() {
            self.break_at(self.line.len());
        }
        self.lines
    }
}

fn joined(line: &[(&str, Tone, usize)]) -> Line {
    let mut pieces: Line = Vec::new();
    for (cluster, tone, _) in line {
        match pieces.last_mut().filter(|piece| piece.tone == *tone) {
            Some(piece) => piece.text.push_str(cluster),
            None => pieces.push(Piece::new(*cluster, *tone)),
        }
    }
    pieces
}

/// Where the reader's name stands in a text as a word of its own, as ranges of bytes.
pub(crate) fn mentions(text: &str, nick: &str) -> Vec<std::ops::Range<usize>> {
    let folded = crate::name::fold(nick);
    if folded.is_empty() {
        return Vec::new();
    }
    let letters = nick.chars().count();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut before = ' ';
    let mut skip_to = 0;
    for (at, c) in text.char_indices() {
        let starts = at >= skip_to && !is_word(before);
        before = c;
        if !starts {
            continue;
        }
        let end = text[at..].char_indices().nth(letters).map_or(text.len(), |(length, _)| at + length);
        let is_whole = text[end..].chars().next().is_none_or(|next| !is_word(next));
        if is_whole && crate::name::fold(&text[at..end]) == folded {
            found.push(at..end);
            skip_to = end;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, columns: usize) -> Vec<String> {
        let wrapped = wrap(&[Piece::new(text, Tone::Plain)], columns);
        wrapped.iter().map(|line| line.iter().map(|piece| piece.text.as_str()).collect()).collect()
    }

    #[test]
    fn text_breaks_at_blanks_and_long_words_anywhere() {
        assert_eq!(lines("the ring goes round", 9), ["the ring ", "goes ", "round"]);
        assert_eq!(lines("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(lines("abcd efgh", 4), ["abcd", "efgh"]);
        assert_eq!(lines("", 4), [""]);
    }

    #[test]
    fn wide_characters_and_clusters_stay_whole_and_inside() {
        for text in
            ["日本語のテキスト", "👩\u{200d}🚀👩\u{200d}🚀👩\u{200d}🚀", "e\u{301}e\u{301}e\u{301}", "שלום עולם", "ｶﾞｶﾞｶﾞ"]
        {
            for columns in 4..9 {
                for line in lines(&safe(text), columns) {
                    assert!(width(&line) <= columns, "{line:?} in {columns}");
                    assert!(!line.starts_with(['\u{200d}', '\u{301}']), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn piles_of_marks_are_cut_and_hostile_text_is_written_out() {
        let pile = format!("a{}", "\u{336}".repeat(5000));
        assert!(safe(&pile).chars().count() <= MAX_CLUSTER);
        let text = safe("\u{1b}[2J\u{202e}x\0\u{9b}31m");
        assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
    }

    #[test]
    fn text_of_64_kib_without_a_blank_is_broken_in_one_pass() {
        let text = "x".repeat(64 * 1024);
        assert_eq!(lines(&text, 64).len(), 1024);
    }

    #[test]
    fn name_is_a_mention_only_as_a_word_of_its_own() {
        assert_eq!(mentions("Ana, and banana and @ANA.", "ana"), [0..3, 21..24]);
        assert!(mentions("anabel banana", "ana").is_empty());
        assert!(mentions("anything", "").is_empty());
    }

    #[test]
    fn fitted_text_is_never_wider_than_its_place() {
        for columns in 0..8 {
            assert!(width(&fitted("日本語abc", columns)) <= columns);
        }
        assert_eq!(fitted("kitchen", 5), "kitc…");
    }
}
