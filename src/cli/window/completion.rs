//! Completion of commands, rooms and nicks at the cursor.

use crate::cli::said::HELP;

/// Most ways offered.
const MOST: usize = 200;

/// What words there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vocabulary<'a> {
    /// Rooms, the nearest first.
    pub(crate) rooms: &'a [String],
    /// Nicks, those of the room first.
    pub(crate) nicks: &'a [String],
}

/// A completion under way: the next key brings the next way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Completion {
    /// Where the word begins.
    pub(crate) start: usize,
    /// The ways, each a whole word.
    pub(crate) ways: Vec<String>,
    /// Which of them stands there.
    pub(crate) at: usize,
}

impl Completion {
    /// The ways to complete what stands before the cursor; `None` when there is none.
    pub(crate) fn begin(text: &str, cursor: usize, words: Vocabulary) -> Option<Self> {
        let before = text.get(..cursor)?;
        let start = before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
        let word = &before[start..];
        let command = before.strip_prefix('/').and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
        let ways: Vec<String> = match (start, command) {
            (0, _) if word.starts_with('/') => complete(word, "", commands(), " "),
            (0, _) => at_the_begin(word, words),
            (_, "join" | "leave" | "who") => {
                complete(word.strip_prefix('#').unwrap_or(word), "", words.rooms.iter().cloned(), "")
            }
            (_, "msg") => {
                let nick = word.strip_prefix('@').unwrap_or(word);
                complete(nick, "", words.nicks.iter().cloned(), " ")
            }
            _ => in_words(word, words),
        };
        (!ways.is_empty()).then_some(Self { start, ways, at: 0 })
    }

    /// The way that stands there.
    pub(crate) fn way(&self) -> &str {
        self.ways.get(self.at).map_or("", String::as_str)
    }

    /// The next way, or the one before.
    pub(crate) fn turn(&mut self, forward: bool) {
        let count = self.ways.len();
        self.at = if forward { self.at + 1 } else { self.at + count - 1 } % count;
    }
}

/// Every command, as it is typed.
pub(crate) fn commands() -> impl Iterator<Item = String> {
    HELP.iter()
        .filter(|line| !line.starts_with("//"))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
}

/// A nick that begins a message addresses someone.
fn at_the_begin(word: &str, words: Vocabulary) -> Vec<String> {
    match word.strip_prefix('@') {
        Some(nick) if !nick.is_empty() => complete(nick, "@", words.nicks.iter().cloned(), " "),
        None if !word.is_empty() && !word.starts_with('#') => complete(word, "", words.nicks.iter().cloned(), ": "),
        _ => in_words(word, words),
    }
}

fn in_words(word: &str, words: Vocabulary) -> Vec<String> {
    if let Some(room) = word.strip_prefix('#') {
        return complete(room, "#", words.rooms.iter().cloned(), " ");
    }
    match word.strip_prefix('@') {
        Some(nick) => complete(nick, "@", words.nicks.iter().cloned(), " "),
        None if word.is_empty() => Vec::new(),
        None => complete(word, "", words.nicks.iter().cloned(), " "),
    }
}

fn complete(word: &str, sign: &str, all: impl Iterator<Item = String>, after: &str) -> Vec<String> {
    let folded = crate::name::fold(word);
    all.filter(|way| crate::name::fold(way).starts_with(&folded))
        .take(MOST)
        .map(|way| format!("{sign}{way}{after}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(text: &str) -> Vec<String> {
        let rooms = ["lobby", "kitchen", "lab"].map(str::to_owned);
        let nicks = ["ana", "Anton", "bob"].map(str::to_owned);
        let words = Vocabulary { rooms: &rooms, nicks: &nicks };
        Completion::begin(text, text.len(), words).map(|found| found.ways).unwrap_or_default()
    }

    #[test]
    fn commands_rooms_and_nicks_are_completed_where_they_fit() {
        assert_eq!(ways("/jo"), ["/join "]);
        assert_eq!(ways("/who l"), ["lobby", "lab"]);
        assert_eq!(ways("/join #k"), ["kitchen"]);
        assert_eq!(ways("/msg an"), ["ana ", "Anton "]);
        assert_eq!(ways("an"), ["ana: ", "Anton: "]);
        assert_eq!(ways("ask @b"), ["@bob "]);
        assert_eq!(ways("see #la"), ["#lab "]);
        assert_eq!(ways("/me greets bo"), ["bob "]);
        assert!(ways("hello ").is_empty());
        assert!(ways("").is_empty());
        assert!(ways("/dance").is_empty());
    }

    #[test]
    fn ways_go_round_in_both_directions() {
        let mut found = Completion { start: 0, ways: vec!["a".into(), "b".into()], at: 0 };
        found.turn(true);
        found.turn(true);
        assert_eq!(found.way(), "a");
        found.turn(false);
        assert_eq!(found.way(), "b");
    }
}
