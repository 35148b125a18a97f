//! A list over the conversation: help, rooms, people, servers, what a search found.

use super::row::Saying;
use super::text::{Line, Piece, fitted, safe, wrap};
use super::tone::Tone;
use crate::ids::ClientId;
use crate::record::Record;

/// Most lines of a list.
const MAX_LINES: usize = 2000;

/// Columns that a long entry's second line is set in.
const HANG: usize = 4;

/// A list over the conversation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Panel {
    /// What it lists.
    pub(crate) title: String,
    entries: Vec<Entry>,
    /// The chosen entry, when one can be chosen; else the first that is shown.
    at: usize,
    can_choose: bool,
    /// The words, when it is a search, and whether older ones may be asked for.
    pub(crate) search: Option<Search>,
}

/// A search whose hits are listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Search {
    /// The words.
    pub(crate) words: String,
    /// Whether there are hits before the first.
    pub(crate) more: bool,
}

/// One entry: its text, and what choosing it does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Safe text.
    pub(crate) line: Line,
    /// What choosing it does.
    pub(crate) choice: Option<Choice>,
}

/// What choosing an entry does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    /// Goes to a message.
    Message(Box<Record>),
    /// Enters a room.
    Room(String),
    /// Talks to a person.
    Person(ClientId, String),
}

impl Entry {
    /// Lines of safe text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { line: vec![Piece::new(text, Tone::Plain)], choice: None }
    }

    /// A heading.
    pub(crate) fn heading(text: impl Into<String>) -> Self {
        Self { line: vec![Piece::new(text, Tone::Bold)], choice: None }
    }
}

impl Panel {
    /// A list of these.
    pub(crate) fn new(title: impl Into<String>, mut entries: Vec<Entry>) -> Self {
        entries.truncate(MAX_LINES);
        let can_choose = entries.iter().any(|entry| entry.choice.is_some());
        let at = entries.iter().position(|entry| entry.choice.is_some()).unwrap_or(0);
        Self { title: title.into(), entries, at, can_choose, search: None }
    }

    /// A list of hits, oldest first; the newest is chosen.
    pub(crate) fn of_hits(words: &str, hits: Vec<Entry>, more: bool) -> Self {
        let mut panel = Self::new(format!("search: {}", safe(words)), hits);
        panel.at = panel.entries.len().saturating_sub(1);
        panel.search = Some(Search { words: words.to_owned(), more });
        panel
    }

    /// Older hits come before the first; the chosen one stays.
    pub(crate) fn add_before(&mut self, hits: Vec<Entry>, more: bool) {
        let room = MAX_LINES.saturating_sub(self.entries.len());
        let more = more && hits.len() <= room;
        let skipped = hits.len().saturating_sub(room);
        let added = hits.len() - skipped;
        self.entries.splice(0..0, hits.into_iter().skip(skipped));
        self.at += added;
        if let Some(search) = &mut self.search {
            search.more = more;
        }
    }

    /// What choosing does now.
    pub(crate) fn choice(&self) -> Option<&Choice> {
        self.entries.get(self.at).filter(|_| self.can_choose)?.choice.as_ref()
    }

    /// The first message listed, when older ones may be asked for.
    pub(crate) fn first_hit(&self) -> Option<&Record> {
        self.entries.iter().find_map(|entry| match &entry.choice {
            Some(Choice::Message(record)) => Some(&**record),
            _ => None,
        })
    }

    /// Whether the chosen entry is the first.
    pub(crate) fn is_at_top(&self) -> bool {
        self.at == 0
    }

    /// Goes down so many entries, or up.
    pub(crate) fn go(&mut self, by: isize) {
        self.at = self.at.saturating_add_signed(by).min(self.entries.len().saturating_sub(1));
    }

    /// Goes to the first entry, or the last.
    pub(crate) fn go_to_end(&mut self, last: bool) {
        self.at = if last { self.entries.len().saturating_sub(1) } else { 0 };
    }

    /// Its lines in a place of this size, and which of them is chosen.
    pub(crate) fn lines(&self, columns: usize, height: usize) -> (Vec<Line>, Option<usize>) {
        if self.can_choose {
            let first = (self.at + 1).saturating_sub(height);
            let shown = self.entries.iter().skip(first).take(height);
            return (shown.map(|entry| cut(&entry.line, columns)).collect(), Some(self.at - first));
        }
        let mut lines: Vec<Line> = self.entries.iter().flat_map(|entry| hanging(&entry.line, columns)).collect();
        let first = self.at.min(lines.len().saturating_sub(height));
        lines.drain(..first);
        lines.truncate(height);
        (lines, None)
    }

    /// Whether it lists nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Broken into lines, those below the first set in a little.
fn hanging(line: &[Piece], columns: usize) -> Vec<Line> {
    let mut lines = wrap(line, columns);
    if lines.len() > 1 {
        lines = wrap(line, columns.saturating_sub(HANG));
        lines.iter_mut().skip(1).for_each(|line| line.insert(0, Piece::new(" ".repeat(HANG), Tone::Plain)));
    }
    lines
}

fn cut(line: &[Piece], columns: usize) -> Line {
    let mut left = columns;
    let mut pieces = Vec::new();
    for piece in line {
        let text = fitted(&piece.text, left);
        left -= super::text::width(&text).min(left);
        pieces.push(Piece::new(text, piece.tone));
    }
    pieces
}

/// A hit of a search as an entry.
pub(crate) fn hit(record: &Record, saying: &Saying, place: &str) -> Entry {
    let at = crate::cli::times::date_and_time(record.key.hlc.wall_ms());
    let at = at.get(..16).unwrap_or(&at).to_owned();
    let line = vec![
        Piece::new(format!("{at} "), Tone::Dim),
        Piece::new(format!("{} ", safe(place)), Tone::Room),
        Piece::new(safe(&saying.nick), Tone::of_nick(&saying.nick)),
        Piece::new(format!("  {}", safe(&saying.text.chars().take(300).collect::<String>())), Tone::Plain),
    ];
    Entry { line, choice: Some(Choice::Message(Box::new(record.clone()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: usize) -> Vec<Entry> {
        let entry = |n| Entry { choice: Some(Choice::Room(format!("r{n}"))), ..Entry::text(format!("room {n}")) };
        (0..count).map(entry).collect()
    }

    #[test]
    fn chosen_entry_stays_in_sight_and_within_the_list() {
        let mut panel = Panel::new("rooms", entries(20));
        panel.go(100);
        assert_eq!(panel.choice(), Some(&Choice::Room("r19".into())));
        let (lines, chosen) = panel.lines(40, 5);
        assert_eq!((lines.len(), chosen), (5, Some(4)));
        panel.go(-100);
        assert!(panel.is_at_top());
    }

    #[test]
    fn older_hits_do_not_move_the_chosen_one() {
        let mut panel = Panel::of_hits("x", entries(3), true);
        panel.go(-1);
        let chosen = panel.choice().cloned();
        panel.add_before(entries(10), false);
        assert_eq!(panel.choice().cloned(), chosen);
    }

    #[test]
    fn hit_tells_its_whole_date() {
        let id = crate::ids::MessageId { client: crate::ids::ClientId(1), cseq: 1 };
        let record = Record {
            key: crate::ids::RecordKey {
                hlc: crate::time::Hlc::from_wall_ms(1_795_183_501_220),
                ..crate::ids::RecordKey::default()
            },
            message: crate::record::tests::message(1, 1, "hi"),
        };
        let saying = super::super::place::saying(&record, id.client, (1, 1), false).unwrap();
        assert!(hit(&record, &saying, "#lobby").line[0].text.starts_with("2026-11-20 "), "{record:?}");
    }

    #[test]
    fn list_is_bounded() {
        let mut panel = Panel::of_hits("x", entries(MAX_LINES - 5), true);
        panel.add_before(entries(10), true);
        assert_eq!(panel.entries.len(), MAX_LINES);
        assert!(!panel.search.unwrap().more);
    }
}
