//! Which part of a conversation is on the screen. A view that is scrolled up hangs on a row, not on a distance from the
//! end: what comes, and what is fetched above, does not move it.

use super::row::{Manuscript, RowLine};
use super::timeline::Timeline;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Rows this near to an end that is not history's own want the next page.
pub(crate) const NEAR: usize = 40;

/// Where the reader is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Scroll {
    /// At the present: the last line is at the bottom.
    #[default]
    Present,
    /// The top line is this one of this row.
    Top {
        /// The row's number.
        number: i64,
        /// The line in it.
        line: usize,
    },
    /// This row is in the middle, for as long as what surrounds it is fetched.
    Middle(i64),
}

/// What is on the screen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shown {
    /// Its lines, from the top.
    pub(crate) lines: Vec<RowLine>,
    /// The row of the first line and the line in it.
    pub(crate) top: (usize, usize),
    /// The row behind the last line.
    pub(crate) end: usize,
    /// Whether the last line of the last row is on it.
    pub(crate) is_at_end: bool,
}

/// A conversation, laid out for a reader. Made for one look at it: each row is laid out once.
#[derive(Clone, Debug)]
pub(crate) struct Sheet<'a> {
    timeline: &'a Timeline,
    how: Manuscript<'a>,
    /// Lines on the screen.
    height: usize,
    laid_out: RefCell<BTreeMap<usize, Rc<[RowLine]>>>,
}

impl<'a> Sheet<'a> {
    /// These rows, on a screen of so many lines.
    pub(crate) fn new(timeline: &'a Timeline, how: Manuscript<'a>, height: usize) -> Self {
        Self { timeline, how, height, laid_out: RefCell::default() }
    }

    /// What is on the screen.
    pub(crate) fn shown(&self, scroll: Scroll) -> Shown {
        if self.timeline.len() == 0 || self.height == 0 {
            return Shown { is_at_end: true, ..Shown::default() };
        }
        let end = self.end();
        let top = match scroll {
            Scroll::Present => end,
            Scroll::Top { number, line } => {
                let at = self.timeline.position(number);
                (at, line.min(self.lines(at).len().saturating_sub(1))).min(end)
            }
            Scroll::Middle(number) => self.up((self.timeline.position(number), 0), self.height / 2).min(end),
        };
        self.from(top)
    }

    /// Where the reader is after so many lines towards the past, and how many of them are not held.
    pub(crate) fn earlier(&self, scroll: Scroll, lines: usize) -> (Scroll, usize) {
        let (top, left) = self.climb(self.shown(scroll).top, lines);
        (self.at(top), left)
    }

    /// Where the reader is after so many lines towards the present.
    pub(crate) fn later(&self, scroll: Scroll, lines: usize) -> Scroll {
        let shown = self.shown(scroll);
        let (mut row, mut line) = shown.top;
        let mut left = lines;
        while left > 0 && row + 1 < self.timeline.len() {
            let rest = self.lines(row).len() - line;
            if rest > left {
                break;
            }
            (row, line, left) = (row + 1, 0, left - rest);
        }
        let top = (row, (line + left).min(self.lines(row).len().saturating_sub(1)));
        if top >= self.end() && self.timeline.is_attached() {
            return Scroll::Present;
        }
        self.at(top.min(self.end()))
    }

    /// Whether a page before is wanted, and one behind.
    pub(crate) fn is_near_ends(&self, shown: &Shown) -> (bool, bool) {
        (shown.top.0 < NEAR, shown.end + NEAR >= self.timeline.len())
    }

    fn at(&self, (row, line): (usize, usize)) -> Scroll {
        self.timeline.get(row).map_or(Scroll::Present, |found| Scroll::Top { number: found.number, line })
    }

    /// The top line when the last line is at the bottom.
    fn end(&self) -> (usize, usize) {
        let last = self.timeline.len() - 1;
        let lines = self.lines(last).len();
        self.up((last, lines), self.height)
    }

    fn up(&self, from: (usize, usize), lines: usize) -> (usize, usize) {
        self.climb(from, lines).0
    }

    /// So many lines up; and how many of them there are not.
    fn climb(&self, (mut row, mut line): (usize, usize), lines: usize) -> ((usize, usize), usize) {
        let mut left = lines;
        while left > line {
            left -= line;
            let Some(above) = row.checked_sub(1) else { return ((0, 0), left) };
            row = above;
            line = self.lines(row).len();
        }
        ((row, line - left), 0)
    }

    fn from(&self, top: (usize, usize)) -> Shown {
        let mut shown = Shown { top, end: top.0, ..Shown::default() };
        let mut skip = top.1;
        let mut is_cut = false;
        while shown.lines.len() < self.height && shown.end < self.timeline.len() {
            shown.lines.extend(self.lines(shown.end).iter().skip(skip).take(self.height).cloned());
            is_cut = self.lines(shown.end).len() > skip + self.height;
            skip = 0;
            shown.end += 1;
        }
        shown.is_at_end = shown.end == self.timeline.len() && shown.lines.len() <= self.height && !is_cut;
        shown.lines.truncate(self.height);
        shown
    }

    fn lines(&self, at: usize) -> Rc<[RowLine]> {
        Rc::clone(self.laid_out.borrow_mut().entry(at).or_insert_with(|| self.lay_out(at).into()))
    }

    fn lay_out(&self, at: usize) -> Vec<RowLine> {
        let before = at.checked_sub(1).and_then(|before| self.timeline.get(before)).map(|row| row.at_ms);
        // The day of a row whose neighbour is not held is told by the page that brings it.
        let before =
            if at == 0 && !self.timeline.begins() { self.timeline.get(0).map(|row| row.at_ms) } else { before };
        self.timeline.get(at).map(|row| row.lines(before, &self.how)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::window::timeline::tests::saying;

    fn timeline(numbers: impl Iterator<Item = u64>) -> Timeline {
        let mut timeline = Timeline::default();
        for n in numbers {
            timeline.said(saying(n), n);
        }
        timeline
    }

    fn sheet(timeline: &Timeline, height: usize) -> Sheet<'_> {
        Sheet::new(timeline, Manuscript { columns: 60, nick: "ana", found: None }, height)
    }

    fn text(shown: &Shown) -> Vec<String> {
        let line = |line: &RowLine| line.pieces.last().map_or(String::new(), |piece| piece.text.trim().to_owned());
        shown.lines.iter().map(line).collect()
    }

    #[test]
    fn scrolled_up_view_stays_when_messages_come_and_pages_are_put_above() {
        let mut timeline = timeline(101..=150);
        let scroll = sheet(&timeline, 5).earlier(Scroll::Present, 20).0;
        let before = text(&sheet(&timeline, 5).shown(scroll));
        for n in 151..300 {
            timeline.said(saying(n), n);
        }
        timeline.older((1..=100).map(|n| (saying(n), n)).collect(), saying(1).key, false);
        let after = sheet(&timeline, 5).shown(scroll);
        assert_eq!(text(&after), before);
        assert!(!after.is_at_end);
    }

    #[test]
    fn going_down_as_far_as_up_is_the_present_again() {
        let timeline = timeline(1..=50);
        let sheet = sheet(&timeline, 7);
        let mut scroll = Scroll::Present;
        for _ in 0..4 {
            scroll = sheet.earlier(scroll, 6).0;
        }
        assert_ne!(scroll, Scroll::Present);
        for _ in 0..4 {
            scroll = sheet.later(scroll, 6);
        }
        assert_eq!(scroll, Scroll::Present);
        assert!(sheet.shown(scroll).is_at_end);
    }

    #[test]
    fn few_rows_and_none_are_shown_from_the_top() {
        assert!(sheet(&Timeline::default(), 9).shown(Scroll::Present).lines.is_empty());
        let timeline = timeline(1..=2);
        let shown = sheet(&timeline, 9).shown(Scroll::Present);
        assert_eq!(text(&shown), ["message 1", "message 2"]);
        assert_eq!(sheet(&timeline, 9).later(Scroll::Present, 3), Scroll::Present);
    }

    #[test]
    fn found_row_stands_in_the_middle() {
        let timeline = timeline(1..=50);
        let number = timeline.get(24).unwrap().number;
        let shown = sheet(&timeline, 9).shown(Scroll::Middle(number));
        assert_eq!(text(&shown)[4], "message 25");
    }
}
