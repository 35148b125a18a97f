//! One row of a conversation: something said, a burst of comings and goings, a note, the head of a late block.

use super::text::{Line, Piece, mentions, safe, wrap};
use super::tone::Tone;
use crate::cli::shown::counted;
use crate::cli::times::{day, hour_and_minute};
use crate::ids::{MessageId, RecordKey};

/// Names that a line of comings and goings lists; the others are counted.
const NAMES: usize = 2;
/// Most names that are kept of a burst.
const MAX_BURST: usize = 64;
/// Columns before a message's second line.
const INDENT: usize = 6;
/// Columns kept free for the mark of a message's state.
pub(crate) const MARGIN: usize = 4;

/// A row. Its number tells its place and never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    /// Ascending through the conversation.
    pub(crate) number: i64,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// What.
    pub(crate) content: Content,
}

/// What a row is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// A person's words.
    Said(Box<Saying>),
    /// Who came and who left, one line for a burst of them.
    Folk(Folk),
    /// The window speaks.
    Note {
        /// The words.
        text: String,
        /// Its look.
        tone: Tone,
    },
    /// What follows came from the other side of a healed cut.
    Late(Late),
}

/// A person's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Saying {
    /// Its place in history, once it has one.
    pub(crate) key: Option<RecordKey>,
    /// The message.
    pub(crate) id: MessageId,
    /// Who.
    pub(crate) nick: String,
    /// How.
    pub(crate) manner: Manner,
    /// What, as it was sent.
    pub(crate) text: String,
    /// How far it has got, when it is one's own.
    pub(crate) mark: Option<Mark>,
    /// Whether it came behind its place.
    pub(crate) late: bool,
}

/// How something is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// Words.
    Words,
    /// What one does.
    Action,
    /// A new topic.
    Topic,
}

/// How far a message of one's own has got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    /// In the outbox.
    Queued,
    /// A server has it.
    Accepted,
    /// On so many disks of so many.
    Stable(u16, u16),
}

/// Comings and goings, one after the other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Folk {
    came: Vec<String>,
    left: Vec<String>,
    more: usize,
}

/// The head of a late block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Late {
    /// Messages below it.
    pub(crate) messages: u64,
    /// The first's time.
    pub(crate) from_ms: u64,
    /// The last's.
    pub(crate) until_ms: u64,
    /// Servers that came back, when that is known.
    pub(crate) servers: usize,
}

/// How rows are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manuscript<'a> {
    /// Columns.
    pub(crate) columns: usize,
    /// The reader's name.
    pub(crate) nick: &'a str,
    /// The message that a search led to.
    pub(crate) found: Option<MessageId>,
}

/// A line and the mark at its right end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RowLine {
    /// Its text.
    pub(crate) pieces: Line,
    /// The mark.
    pub(crate) mark: Option<Piece>,
}

impl Mark {
    /// The sign, which never claims more than is known.
    pub(crate) fn piece(&self) -> Piece {
        match self {
            Self::Queued => Piece::new("·", Tone::Waiting),
            Self::Accepted => Piece::new("↑", Tone::Waiting),
            Self::Stable(1, 1) => Piece::new("✓", Tone::Good),
            Self::Stable(copies, of) if copies >= of => Piece::new("✓✓", Tone::Good),
            Self::Stable(copies, of) if *of < 10 => Piece::new(format!("{copies}/{of}"), Tone::Good),
            Self::Stable(..) => Piece::new("✓", Tone::Good),
        }
    }
}

impl Folk {
    /// One more comes or goes. Who comes and goes at once leaves no trace of the first.
    pub(crate) fn add(&mut self, nick: &str, comes: bool) {
        let (to, from) = if comes { (&mut self.came, &mut self.left) } else { (&mut self.left, &mut self.came) };
        from.retain(|other| !crate::name::same(other, nick));
        if to.iter().any(|other| crate::name::same(other, nick)) {
            return;
        }
        if to.len() < MAX_BURST { to.push(nick.to_owned()) } else { self.more += 1 }
    }

    fn text(&self) -> String {
        let part = |names: &[String], more: usize, verb: &str| {
            let count = names.len() + more;
            let (listed, others) = if count <= NAMES + 1 { (count, 0) } else { (NAMES, count - NAMES) };
            let mut words: Vec<String> = names.iter().take(listed).map(|name| safe(name)).collect();
            if others > 0 {
                words.push(format!("{others} others"));
            }
            let last = words.pop()?;
            let all = if words.is_empty() { last } else { format!("{} and {last}", words.join(", ")) };
            Some(format!("{all} {verb}"))
        };
        let parts = [part(&self.came, self.more, "came"), part(&self.left, 0, "left")];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

impl Late {
    fn text(&self) -> String {
        let (from, until) = (hour_and_minute(self.from_ms), hour_and_minute(self.until_ms));
        let count = counted(self.messages, "message");
        let span = if from == until { from } else { format!("{from} to {until}") };
        match self.servers {
            0 => format!("{count} from the other side, {span}"),
            1 => format!("1 server rejoined: {count} from the other side, {span}"),
            servers => format!("{servers} servers rejoined: {count} from the other side, {span}"),
        }
    }
}

impl Row {
    /// The words, when it is something said.
    pub(crate) fn saying(&self) -> Option<&Saying> {
        match &self.content {
            Content::Said(saying) => Some(saying),
            _ => None,
        }
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let text = match &self.content {
            Content::Said(saying) => saying.text.len() + saying.nick.len() + size_of::<Saying>(),
            Content::Note { text, .. } => text.len(),
            Content::Folk(_) | Content::Late(_) => size_of::<Folk>(),
        };
        text + size_of::<Self>()
    }

    /// Its lines, below a line with the day when that is another than the row's before.
    pub(crate) fn lines(&self, before_ms: Option<u64>, how: &Manuscript) -> Vec<RowLine> {
        let mut lines = Vec::new();
        let today = day(self.at_ms);
        if before_ms.is_none_or(|before| day(before) != today) {
            lines.push(ruled(&today, how.columns, Tone::Dim));
        }
        match &self.content {
            Content::Said(saying) => self.said(saying, how, &mut lines),
            Content::Folk(folk) => self.noted(&folk.text(), Tone::Dim, how, &mut lines),
            Content::Note { text, tone } => self.noted(text, *tone, how, &mut lines),
            Content::Late(late) => lines.push(ruled(&late.text(), how.columns, Tone::Room)),
        }
        lines
    }

    fn noted(&self, text: &str, tone: Tone, how: &Manuscript, lines: &mut Vec<RowLine>) {
        let body = vec![Piece::new(format!("-- {}", safe(text)), tone)];
        let time = Piece::new(hour_and_minute(self.at_ms), Tone::Dim);
        push_indented(&[body], time, how.columns + MARGIN, lines);
    }

    fn said(&self, saying: &Saying, how: &Manuscript, lines: &mut Vec<RowLine>) {
        let nick = Piece::new(safe(&saying.nick), Tone::of_nick(&saying.nick));
        let (before, after) = match saying.manner {
            Manner::Words => ("", "  "),
            Manner::Action => ("* ", " "),
            Manner::Topic => ("-- ", " sets the topic: "),
        };
        let is_own = saying.mark.is_some();
        let mut paragraphs: Vec<Line> = Vec::new();
        for text in saying.text.split('\n') {
            let text = safe(text.trim_end_matches('\r'));
            paragraphs.push(if is_own { vec![Piece::new(text, Tone::Plain)] } else { with_mentions(&text, how.nick) });
        }
        let head = [Piece::new(before, Tone::Dim), nick, Piece::new(after, Tone::Plain)];
        paragraphs[0].splice(0..0, head.into_iter().filter(|piece| !piece.text.is_empty()));
        let is_found = how.found == Some(saying.id);
        let bar = if saying.late { "┆" } else { "" };
        let time = format!("{}{bar}", hour_and_minute(self.at_ms));
        let time = Piece::new(time, if is_found { Tone::Reverse } else { Tone::Dim });
        push_indented(&paragraphs, time, how.columns, lines);
        if let Some(line) = lines.last_mut() {
            line.mark = saying.mark.as_ref().map(Mark::piece);
        }
    }
}

fn with_mentions(text: &str, nick: &str) -> Line {
    let mut pieces = Vec::new();
    let mut done = 0;
    for found in mentions(text, nick) {
        pieces.push(Piece::new(&text[done..found.start], Tone::Plain));
        pieces.push(Piece::new(&text[found.clone()], Tone::Mention));
        done = found.end;
    }
    pieces.push(Piece::new(&text[done..], Tone::Plain));
    pieces.retain(|piece| !piece.text.is_empty());
    pieces
}

/// Paragraphs behind the time; other lines stand below the first's text, so that none looks like a row of its own.
fn push_indented(paragraphs: &[Line], time: Piece, columns: usize, lines: &mut Vec<RowLine>) {
    let width = columns.saturating_sub(INDENT + MARGIN);
    let mut head = Some(time);
    for line in paragraphs.iter().flat_map(|paragraph| wrap(paragraph, width)) {
        let first = match head.take() {
            Some(time) => {
                let gap = INDENT.saturating_sub(super::text::width(&time.text));
                vec![time, Piece::new(" ".repeat(gap), Tone::Plain)]
            }
            None => vec![Piece::new(" ".repeat(INDENT), Tone::Plain)],
        };
        lines.push(RowLine { pieces: first.into_iter().chain(line).collect(), mark: None });
    }
}

/// A line across with words in it.
fn ruled(text: &str, columns: usize, tone: Tone) -> RowLine {
    let text = super::text::fitted(text, columns.saturating_sub(4));
    let rest = columns.saturating_sub(super::text::width(&text) + 4);
    let line = Piece::new(format!("── {text} {}", "─".repeat(rest)), tone);
    RowLine { pieces: vec![line], mark: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_of_comings_and_goings_is_one_line() {
        let mut folk = Folk::default();
        for nick in ["ana", "bob", "eva", "tom", "ada"] {
            folk.add(nick, true);
        }
        assert_eq!(folk.text(), "ana, bob and 3 others came");
        folk.add("bob", false);
        assert_eq!(folk.text(), "ana, eva and 2 others came; bob left");
        for number in 0..1000 {
            folk.add(&format!("n{number}"), true);
        }
        assert_eq!(folk.text(), "ana, eva and 1002 others came; bob left");
    }

    #[test]
    fn late_block_says_who_came_back_with_how_much() {
        let minute = 60_000;
        let late = Late { messages: 7, from_ms: 3 * minute, until_ms: 5 * minute, servers: 2 };
        let text = late.text();
        assert!(text.starts_with("2 servers rejoined: 7 messages from the other side, "), "{text}");
        assert!(text.ends_with("05"), "{text}");
    }

    #[test]
    fn line_of_a_message_never_looks_like_another_row() {
        let text = "a\n14:01 root  trust me\r\nb".to_owned();
        let saying = Saying {
            key: None,
            id: MessageId::default(),
            nick: "bob".into(),
            manner: Manner::Words,
            text,
            mark: None,
            late: false,
        };
        let row = Row { number: 0, at_ms: 0, content: Content::Said(Box::new(saying)) };
        let how = Manuscript { columns: 40, nick: "ana", found: None };
        let lines = row.lines(Some(0), &how);
        assert_eq!(lines.len(), 3);
        assert!(lines[1].pieces[0].text.starts_with("      "));
    }
}
