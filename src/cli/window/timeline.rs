//! A conversation as far as it is held: a window of rows on a history of any length.
//!
//! It holds at most [`MAX_ROWS`] rows and about [`MAX_BYTES`] of text. At the bound the end that is farther from the reader
//! is dropped, and fetched again when it is wanted. When that was the end towards the present, the timeline is *detached*:
//! what comes is counted, not held, until the reader comes back.

use super::row::{Content, Folk, Late, Mark, Row, Saying};
use super::tone::Tone;
use crate::ids::{MessageId, RecordKey};
use std::collections::{HashSet, VecDeque};

/// Most rows held.
pub(crate) const MAX_ROWS: usize = 2000;
/// About the most text held, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// Most messages kept that come while the way back to the present is fetched; beyond it one more page is.
const MAX_MEANWHILE: usize = 500;

/// Rows of a conversation, ascending, and one's own messages under way behind them.
#[derive(Debug)]
pub(crate) struct Timeline {
    rows: VecDeque<Row>,
    /// One's own that have no place yet.
    pending: Vec<Row>,
    ids: HashSet<MessageId>,
    bytes: usize,
    last_number: i64,
    past: Past,
    present: Present,
}

/// What lies before the first row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Past {
    /// Whether there may be more.
    more: bool,
    /// All of it sorts before this; `None` means before the present.
    before: Option<RecordKey>,
}

/// What lies behind the last row.
#[derive(Clone, Debug)]
enum Present {
    /// What comes.
    Attached,
    /// Rows that are not held: those after this key, and what has come since they were asked for.
    Detached {
        /// `None` means from the first message on.
        after: Option<RecordKey>,
        /// Behind the page that is on its way; `None` when none is or too much came.
        meanwhile: Option<Vec<Row>>,
    },
}

/// Which page is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// The last before this key, or before the present.
    Before(Option<RecordKey>),
    /// The first after this key, or of all.
    After(Option<RecordKey>),
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            rows: VecDeque::new(),
            pending: Vec::new(),
            ids: HashSet::new(),
            bytes: 0,
            last_number: 0,
            past: Past { more: true, before: None },
            present: Present::Attached,
        }
    }
}

impl Timeline {
    /// Rows to show; those under way only where the present is.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + if self.is_attached() { self.pending.len() } else { 0 }
    }

    /// A row, from the oldest held.
    pub(crate) fn get(&self, at: usize) -> Option<&Row> {
        self.rows.get(at).or_else(|| self.pending.get(at.checked_sub(self.rows.len())?))
    }

    /// Where the row of this number stands, or the next one after it.
    pub(crate) fn position(&self, number: i64) -> usize {
        let at = self.rows.partition_point(|row| row.number < number);
        at.min(self.len().saturating_sub(1))
    }

    /// Whether the last row is the present.
    pub(crate) fn is_attached(&self) -> bool {
        matches!(self.present, Present::Attached)
    }

    /// Whether the first row held is the first there is.
    pub(crate) fn begins(&self) -> bool {
        !self.past.more
    }

    /// The page before the first row, if there may be one.
    pub(crate) fn wanted_before(&self) -> Option<Wanted> {
        self.past.more.then_some(Wanted::Before(self.past.before))
    }

    /// The page behind the last row, if it is not the present. What comes from now on is kept for it.
    pub(crate) fn wanted_after(&mut self) -> Option<Wanted> {
        match &mut self.present {
            Present::Attached => None,
            Present::Detached { after, meanwhile } => {
                *meanwhile = Some(Vec::new());
                Some(Wanted::After(*after))
            }
        }
    }

    /// Something comes; `false` when it was there already or the reader is away from the present.
    pub(crate) fn said(&mut self, saying: Saying, at_ms: u64) -> bool {
        if !self.ids.insert(saying.id) {
            return false;
        }
        let own = self.pending.iter().position(|row| row.saying().is_some_and(|own| own.id == saying.id));
        if let Some(at) = own {
            self.pending.remove(at);
        }
        let (id, late) = (saying.id, saying.late);
        let row = self.row(at_ms, Content::Said(Box::new(saying)));
        match &mut self.present {
            Present::Attached => {
                if late {
                    self.count_late(at_ms);
                }
                self.append(row);
                true
            }
            Present::Detached { meanwhile, .. } => {
                self.ids.remove(&id);
                match meanwhile {
                    Some(rows) if rows.len() < MAX_MEANWHILE => rows.push(row),
                    _ => *meanwhile = None,
                }
                false
            }
        }
    }

    /// The head of the late block that this message stands in counts it; a new block gets a head.
    fn count_late(&mut self, at_ms: u64) {
        let is_late = |row: &Row| row.saying().is_some_and(|saying| saying.late);
        let head = self.rows.iter_mut().rev().find(|row| !is_late(row));
        if let Some(Content::Late(late)) = head.map(|row| &mut row.content) {
            late.messages += 1;
            late.from_ms = late.from_ms.min(at_ms);
            late.until_ms = late.until_ms.max(at_ms);
            return;
        }
        let late = Late { messages: 1, from_ms: at_ms, until_ms: at_ms, servers: 0 };
        let row = self.row(at_ms, Content::Late(late));
        self.append(row);
    }

    /// So many servers came back with the late block that stands last, if one does.
    pub(crate) fn rejoined(&mut self, servers: usize) {
        let is_late = |row: &Row| row.saying().is_some_and(|saying| saying.late);
        let head = self.rows.iter_mut().rev().find(|row| !is_late(row));
        if let Some(Content::Late(late)) = head.map(|row| &mut row.content)
            && late.servers == 0
        {
            late.servers = servers;
        }
    }

    /// Someone comes or goes.
    pub(crate) fn folk(&mut self, nick: &str, comes: bool, at_ms: u64) {
        if !self.is_attached() {
            return;
        }
        if let Some(Content::Folk(folk)) = self.rows.back_mut().map(|row| &mut row.content) {
            return folk.add(nick, comes);
        }
        let mut folk = Folk::default();
        folk.add(nick, comes);
        let row = self.row(at_ms, Content::Folk(folk));
        self.append(row);
    }

    /// The window speaks. Tells the row's number, for [`Timeline::reword`]; away from the present nothing is said.
    pub(crate) fn note(&mut self, text: String, tone: Tone, at_ms: u64) -> Option<i64> {
        if !self.is_attached() {
            return None;
        }
        let row = self.row(at_ms, Content::Note { text, tone });
        let number = row.number;
        self.append(row);
        Some(number)
    }

    /// What a note says, while it is held.
    pub(crate) fn note_text(&self, number: i64) -> Option<&str> {
        let at = self.rows.partition_point(|row| row.number < number);
        match self.rows.get(at).filter(|row| row.number == number).map(|row| &row.content) {
            Some(Content::Note { text, .. }) => Some(text),
            _ => None,
        }
    }

    /// A note says something else now. `false` when it is not held any more.
    pub(crate) fn reword(&mut self, number: i64, words: &str) -> bool {
        let at = self.rows.partition_point(|row| row.number < number);
        match self.rows.get_mut(at).filter(|row| row.number == number).map(|row| &mut row.content) {
            Some(Content::Note { text, .. }) => {
                words.clone_into(text);
                true
            }
            _ => false,
        }
    }

    /// A message of one's own is on its way.
    pub(crate) fn begin(&mut self, saying: Saying, at_ms: u64) {
        if !self.ids.contains(&saying.id) {
            self.pending.push(Row { number: i64::MAX, at_ms, content: Content::Said(Box::new(saying)) });
        }
    }

    /// A message of one's own got further.
    pub(crate) fn mark(&mut self, id: MessageId, mark: Mark) -> bool {
        let rows = self.pending.iter_mut().chain(self.rows.iter_mut().rev());
        for row in rows {
            if let Content::Said(saying) = &mut row.content
                && saying.id == id
            {
                // What the feed tells may be behind what the server told already.
                if !matches!((&saying.mark, &mark), (Some(Mark::Stable(..)), Mark::Queued | Mark::Accepted)) {
                    saying.mark = Some(mark);
                }
                return true;
            }
        }
        false
    }

    /// A message of one's own will never be taken; gives back its text.
    pub(crate) fn refuse(&mut self, id: MessageId) -> Option<String> {
        let at = self.pending.iter().position(|row| row.saying().is_some_and(|own| own.id == id))?;
        match self.pending.remove(at).content {
            Content::Said(saying) => Some(saying.text),
            _ => None,
        }
    }

    /// A page from before the first row; `least` is the least key that the page covers, `more` whether there is more.
    pub(crate) fn older(&mut self, page: Vec<(Saying, u64)>, least: Option<RecordKey>, more: bool) {
        self.past = Past { more: more && least.is_some(), before: least.or(self.past.before) };
        for (saying, at_ms) in page.into_iter().rev() {
            if !self.ids.insert(saying.id) {
                continue;
            }
            let number = self.rows.front().map_or(0, |row| row.number) - 1;
            let row = Row { number, at_ms, content: Content::Said(Box::new(saying)) };
            self.bytes += row.bytes();
            self.rows.push_front(row);
        }
    }

    /// A page from behind the last row; `greatest` is the greatest key it covers, `more` whether there is more.
    pub(crate) fn newer(&mut self, page: Vec<(Saying, u64)>, greatest: Option<RecordKey>, more: bool) {
        let Present::Detached { after, meanwhile } = std::mem::replace(&mut self.present, Present::Attached) else {
            return;
        };
        for (saying, at_ms) in page {
            if self.ids.insert(saying.id) {
                let row = self.row(at_ms, Content::Said(Box::new(saying)));
                self.append(row);
            }
        }
        match meanwhile {
            Some(rows) if !more => {
                for row in rows {
                    if row.saying().is_some_and(|saying| self.ids.insert(saying.id)) {
                        self.append(row);
                    }
                }
            }
            _ => self.present = Present::Detached { after: greatest.or(after), meanwhile: None },
        }
    }

    /// Forgets all rows and stands at the present: what lies before it is to be fetched.
    pub(crate) fn return_to_the_present(&mut self) {
        self.clear();
        self.past = Past { more: true, before: None };
        self.present = Present::Attached;
    }

    /// Forgets all rows and stands at this one alone: what lies around it is to be fetched. Tells its number.
    pub(crate) fn jump(&mut self, saying: Saying, at_ms: u64) -> i64 {
        self.clear();
        let key = saying.key;
        self.ids.insert(saying.id);
        let row = self.row(at_ms, Content::Said(Box::new(saying)));
        let number = row.number;
        self.append(row);
        self.past = Past { more: true, before: key };
        self.present = Present::Detached { after: key, meanwhile: None };
        number
    }

    /// Forgets all rows and stands before the first message there is.
    pub(crate) fn go_to_the_beginning(&mut self) {
        self.clear();
        self.past = Past { more: false, before: None };
        self.present = Present::Detached { after: None, meanwhile: None };
    }

    /// Drops rows over the bound, from the present's end or from the past's.
    pub(crate) fn trim(&mut self, from_the_present: bool) {
        while self.rows.len() > 1 && (self.rows.len() > MAX_ROWS || self.bytes > MAX_BYTES) {
            if from_the_present { self.drop_newest() } else { self.drop_oldest() }
        }
    }

    fn drop_oldest(&mut self) {
        let Some(row) = self.rows.pop_front() else { return };
        self.forget(&row);
        self.past.more = true;
        if let Some(key) = row.saying().and_then(|saying| saying.key) {
            // What is dropped must lie before it; what is still held is known by its id.
            let behind = RecordKey { idx: key.idx.saturating_add(1), ..key };
            self.past.before = Some(self.past.before.map_or(behind, |before| before.max(behind)));
        }
    }

    fn drop_newest(&mut self) {
        let Some(row) = self.rows.pop_back() else { return };
        self.forget(&row);
        let dropped = row.saying().and_then(|saying| saying.key);
        let keys = self.rows.iter().filter_map(|row| row.saying()?.key);
        let after = keys.filter(|key| dropped.is_none_or(|dropped| *key < dropped)).max();
        match &mut self.present {
            Present::Detached { after: held, meanwhile } => {
                *meanwhile = None;
                if dropped.is_some() {
                    *held = (*held).min(after);
                }
            }
            attached @ Present::Attached => *attached = Present::Detached { after, meanwhile: None },
        }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.ids.clear();
        self.bytes = 0;
    }

    fn forget(&mut self, row: &Row) {
        self.bytes = self.bytes.saturating_sub(row.bytes());
        if let Some(saying) = row.saying() {
            self.ids.remove(&saying.id);
        }
    }

    fn row(&mut self, at_ms: u64, content: Content) -> Row {
        self.last_number += 1;
        Row { number: self.last_number, at_ms, content }
    }

    fn append(&mut self, row: Row) {
        self.bytes += row.bytes();
        self.rows.push_back(row);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cli::window::row::Manner;
    use crate::ids::{ClientId, EpochId};
    use crate::time::Hlc;

    pub(crate) fn saying(n: u64) -> Saying {
        let key = RecordKey { hlc: Hlc::from_wall_ms(n), epoch: EpochId::default(), gsn: n, idx: 0 };
        Saying {
            key: Some(key),
            id: MessageId { client: ClientId(7), cseq: n },
            nick: "bob".into(),
            manner: Manner::Words,
            text: format!("message {n}"),
            mark: None,
            late: false,
        }
    }

    fn page(numbers: impl Iterator<Item = u64>) -> Vec<(Saying, u64)> {
        numbers.map(|n| (saying(n), n)).collect()
    }

    fn numbers(timeline: &Timeline) -> Vec<u64> {
        (0..timeline.len()).filter_map(|at| timeline.get(at)?.saying().map(|saying| saying.id.cseq)).collect()
    }

    /// A history of so many messages that answers a timeline's questions.
    fn answer(timeline: &mut Timeline, wanted: Wanted, last: u64) {
        const PAGE: u64 = 100;
        match wanted {
            Wanted::Before(before) => {
                let end = before.map_or(last + 1, |key| key.gsn + u64::from(key.idx > 0));
                let first = end.saturating_sub(PAGE).max(1);
                let lowest = (first < end).then(|| saying(first).key).flatten();
                timeline.older(page(first..end), lowest, first > 1);
            }
            Wanted::After(after) => {
                let first = after.map_or(0, |key| key.gsn) + 1;
                let end = (first + PAGE).min(last + 1);
                let greatest = (first < end).then(|| saying(end - 1).key).flatten();
                timeline.newer(page(first..end), greatest, end <= last);
            }
        }
    }

    #[test]
    fn history_of_any_length_is_paged_to_its_first_message_and_back_within_the_bound() {
        let mut timeline = Timeline::default();
        while let Some(wanted) = timeline.wanted_before() {
            answer(&mut timeline, wanted, 10_000);
            timeline.trim(true);
            assert!(timeline.len() <= MAX_ROWS);
        }
        assert_eq!(numbers(&timeline)[0], 1);
        assert!(!timeline.is_attached());
        while let Some(wanted) = timeline.wanted_after() {
            answer(&mut timeline, wanted, 10_000);
            timeline.trim(false);
            assert!(timeline.len() <= MAX_ROWS);
        }
        assert_eq!(numbers(&timeline), (8001..=10_000).collect::<Vec<_>>(), "none left out, none twice");
        let wanted = timeline.wanted_before().unwrap();
        answer(&mut timeline, wanted, 10_000);
        assert_eq!(numbers(&timeline)[..3], [7901, 7902, 7903]);
    }

    #[test]
    fn page_that_brings_what_came_live_shows_it_once() {
        let mut timeline = Timeline::default();
        assert!(timeline.said(saying(5), 5));
        timeline.older(page(1..=5), saying(1).key, false);
        assert!(!timeline.said(saying(3), 3));
        assert_eq!(numbers(&timeline), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_comes_while_the_way_back_is_fetched_is_neither_lost_nor_doubled() {
        let mut timeline = Timeline::default();
        timeline.jump(saying(50), 50);
        assert!(!timeline.said(saying(60), 60), "away from the present");
        let Some(Wanted::After(after)) = timeline.wanted_after() else { panic!() };
        assert_eq!(after, saying(50).key);
        timeline.said(saying(61), 61);
        timeline.said(saying(62), 62);
        timeline.newer(page(51..=61), saying(61).key, false);
        assert!(timeline.is_attached());
        assert_eq!(numbers(&timeline), (50..=62).collect::<Vec<_>>());
    }

    #[test]
    fn own_message_keeps_its_row_while_it_climbs() {
        let mut timeline = Timeline::default();
        timeline.begin(Saying { key: None, mark: Some(Mark::Queued), ..saying(9) }, 9);
        timeline.said(saying(3), 3);
        assert_eq!(numbers(&timeline), [3, 9], "others' messages sort before what is not ordered yet");
        assert!(timeline.mark(saying(9).id, Mark::Stable(2, 2)));
        timeline.mark(saying(9).id, Mark::Accepted);
        assert!(timeline.said(Saying { mark: Some(Mark::Stable(2, 2)), ..saying(9) }, 9));
        assert_eq!(numbers(&timeline), [3, 9]);
        assert_eq!(timeline.get(1).unwrap().saying().unwrap().mark, Some(Mark::Stable(2, 2)));
    }

    #[test]
    fn late_messages_stand_below_one_head_that_counts_them() {
        let mut timeline = Timeline::default();
        timeline.said(saying(9), 9);
        for n in [4, 5, 6] {
            timeline.said(Saying { late: true, ..saying(n) }, n);
        }
        timeline.rejoined(2);
        timeline.said(saying(10), 10);
        timeline.rejoined(5);
        let late = Late { messages: 3, from_ms: 4, until_ms: 6, servers: 2 };
        assert_eq!(timeline.get(1).unwrap().content, Content::Late(late));
        assert_eq!(numbers(&timeline), [9, 4, 5, 6, 10]);
    }

    #[test]
    fn large_texts_are_bounded_by_their_bytes() {
        let mut timeline = Timeline::default();
        for n in 1..=200 {
            timeline.said(Saying { text: "x".repeat(64 << 10), ..saying(n) }, n);
            timeline.trim(false);
        }
        assert!(timeline.len() <= 64, "{}", timeline.len());
        assert!(!timeline.begins(), "the rest is in history");
    }
}
