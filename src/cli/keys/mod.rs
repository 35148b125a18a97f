//! Keys of the chat window: what each does unless `[keys]` of a configuration file says otherwise.

mod chord;

pub(crate) use chord::{Chord, Key};

use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// What a key can do in the chat window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Action {
    /// Sends what is typed; takes the chosen line of a list.
    Send,
    /// Begins another line of the same message.
    Newline,
    /// Completes the word before the cursor, then the next way.
    Complete,
    /// The way before.
    CompleteBack,
    /// What was typed before; in a list the line above.
    Earlier,
    /// What was typed after it; in a list the line below.
    Later,
    /// A page towards the past.
    PageUp,
    /// A page towards the present.
    PageDown,
    /// A line towards the past.
    LineUp,
    /// A line towards the present.
    LineDown,
    /// The first message there is.
    First,
    /// The present.
    Last,
    /// Begins a search.
    Search,
    /// The room below in the list.
    NextRoom,
    /// The room above.
    PreviousRoom,
    /// The next room with something unread.
    Unread,
    /// The cursor to the left.
    Left,
    /// The cursor to the right.
    Right,
    /// The cursor a word to the left.
    WordLeft,
    /// The cursor a word to the right.
    WordRight,
    /// The cursor to the begin of the line.
    LineStart,
    /// The cursor to the end of the line.
    LineEnd,
    /// Deletes before the cursor.
    Backspace,
    /// Deletes at the cursor.
    Delete,
    /// Deletes the word before the cursor.
    DeleteWord,
    /// Deletes everything typed.
    DeleteAll,
    /// Closes a list; returns to the present.
    Close,
    /// Shows the commands and keys.
    Help,
    /// The wheel scrolls, or the terminal has the mouse again.
    Mouse,
    /// Draws everything anew.
    Redraw,
    /// Stops the program until `fg`.
    Suspend,
    /// Leaves, when nothing is typed.
    Leave,
    /// Says goodbye at once, exit status 130.
    Quit,
}

/// Every action: its name in `config.toml` and in `config show`, its keys unless told otherwise, what it does.
#[rustfmt::skip]
const TABLE: &[(Action, &str, &[&str], &str)] = &[
    (Action::Send, "keys.send", &["enter"], "send; in a list take the chosen line"),
    (Action::Newline, "keys.newline", &["alt-enter", "ctrl-j"], "another line of the same message"),
    (Action::Complete, "keys.complete", &["tab"], "complete a command, room or nick"),
    (Action::CompleteBack, "keys.complete-back", &["shift-tab"], "the way before"),
    (Action::Earlier, "keys.earlier", &["up"], "what you typed before; in a list up"),
    (Action::Later, "keys.later", &["down"], "what you typed after; in a list down"),
    (Action::PageUp, "keys.page-up", &["pageup"], "a page towards the past"),
    (Action::PageDown, "keys.page-down", &["pagedown"], "a page towards the present"),
    (Action::LineUp, "keys.line-up", &["ctrl-up", "shift-up"], "a line towards the past"),
    (Action::LineDown, "keys.line-down", &["ctrl-down", "shift-down"], "a line towards the present"),
    (Action::First, "keys.first", &["home"], "the first message there is"),
    (Action::Last, "keys.last", &["end"], "the present"),
    (Action::Search, "keys.search", &["ctrl-f"], "search"),
    (Action::NextRoom, "keys.next-room", &["ctrl-n", "alt-down"], "the next room"),
    (Action::PreviousRoom, "keys.previous-room", &["ctrl-p", "alt-up"], "the room before"),
    (Action::Unread, "keys.unread", &["alt-a"], "the next room with something unread"),
    (Action::Left, "keys.left", &["left", "ctrl-b"], "left"),
    (Action::Right, "keys.right", &["right"], "right"),
    (Action::WordLeft, "keys.word-left", &["ctrl-left", "alt-b"], "a word to the left"),
    (Action::WordRight, "keys.word-right", &["ctrl-right", "alt-f"], "a word to the right"),
    (Action::LineStart, "keys.line-start", &["ctrl-a"], "begin of the line"),
    (Action::LineEnd, "keys.line-end", &["ctrl-e"], "end of the line"),
    (Action::Backspace, "keys.backspace", &["backspace", "ctrl-h"], "delete before the cursor"),
    (Action::Delete, "keys.delete", &["delete"], "delete at the cursor"),
    (Action::DeleteWord, "keys.delete-word", &["ctrl-w", "alt-backspace"], "delete the word before the cursor"),
    (Action::DeleteAll, "keys.delete-all", &["ctrl-u"], "delete all that is typed"),
    (Action::Close, "keys.close", &["esc"], "close a list; back to the present"),
    (Action::Help, "keys.help", &["f1"], "this help"),
    (Action::Mouse, "keys.mouse", &["f2"], "the wheel scrolls; again: the mouse selects"),
    (Action::Redraw, "keys.redraw", &["ctrl-l"], "draw everything anew"),
    (Action::Suspend, "keys.suspend", &["ctrl-z"], "stop until `fg`"),
    (Action::Leave, "keys.leave", &["ctrl-d"], "leave, when nothing is typed"),
    (Action::Quit, "keys.quit", &["ctrl-c"], "say goodbye at once"),
];

impl Action {
    /// Every action, in the order of the help.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// Its key in `config show`: `keys.send`.
    pub(crate) fn setting(self) -> &'static str {
        self.row().1
    }

    /// What it does, in a few words.
    pub(crate) fn what(self) -> &'static str {
        self.row().3
    }

    /// Its keys unless told otherwise.
    fn usual(self) -> Vec<Chord> {
        self.row().2.iter().filter_map(|text| text.parse().ok()).collect()
    }

    fn row(self) -> &'static (Self, &'static str, &'static [&'static str], &'static str) {
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&TABLE[0])
    }

    fn of_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1.strip_prefix("keys.") == Some(name)).map(|row| row.0)
    }
}

/// What one file says in `[keys]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Bindings(BTreeMap<Action, Vec<Chord>>);

/// One key or a list of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a key such as \"ctrl-f\", or a list of keys")]
enum Chords {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Bindings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Table)
    }
}

/// Reads the table.
struct Table;

impl<'de> Visitor<'de> for Table {
    type Value = Bindings;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a table of actions and their keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Bindings, A::Error> {
        let (mut bindings, mut taken) = (BTreeMap::new(), BTreeMap::new());
        while let Some(name) = table.next_key::<String>()? {
            let (action, keys) = table.next_value_seed(Entry { name, taken: &mut taken })?;
            bindings.insert(action, keys);
        }
        Ok(Bindings(bindings))
    }
}

/// Reads the keys of one action: what is wrong with them is told with their line, not with the table's.
struct Entry<'a> {
    name: String,
    /// What keys do by the lines before.
    taken: &'a mut BTreeMap<Chord, String>,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = (Action, Vec<Chord>);

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let chords = Chords::deserialize(from)?;
        self.read(chords).map_err(D::Error::custom)
    }
}

impl Entry<'_> {
    fn read(self, chords: Chords) -> Result<(Action, Vec<Chord>), String> {
        let Self { name, taken } = self;
        let names = || Action::all().filter_map(|action| action.setting().strip_prefix("keys.")).collect::<Vec<_>>();
        let unknown = || format!("there is no key action \"{name}\"; there are {}", names().join(", "));
        let action = Action::of_name(&name).ok_or_else(unknown)?;
        let texts = match chords {
            Chords::One(text) => vec![text],
            Chords::Many(texts) => texts,
        };
        let mut keys = Vec::new();
        for text in texts {
            let chord: Chord = text.parse().map_err(|why| format!("{name}: {why}"))?;
            if let Some(other) = taken.insert(chord, name.clone()).filter(|other| *other != name) {
                return Err(format!("{chord} is given to both {other} and {name}"));
            }
            keys.push(chord);
        }
        if keys.is_empty() && matches!(action, Action::Send | Action::Quit) {
            return Err(format!("{name} needs at least one key"));
        }
        Ok((action, keys))
    }
}

impl Bindings {
    /// The keys of one action, when this file says something of it.
    pub(crate) fn of(&self, action: Action) -> Option<Vec<Chord>> {
        self.0.get(&action).cloned()
    }
}

/// Which key does what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Keymap {
    actions: BTreeMap<Chord, Action>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::new(Action::all().map(|action| (action, None)))
    }
}

impl Keymap {
    /// The usual keys, changed by what was chosen. A chosen key is no longer what it was.
    pub(crate) fn new(chosen: impl Iterator<Item = (Action, Option<Vec<Chord>>)>) -> Self {
        let chosen: Vec<_> = chosen.collect();
        let mut actions = BTreeMap::new();
        for (action, _) in chosen.iter().filter(|(_, keys)| keys.is_none()) {
            actions.extend(action.usual().into_iter().map(|chord| (chord, *action)));
        }
        for (action, keys) in &chosen {
            actions.extend(keys.iter().flatten().map(|chord| (*chord, *action)));
        }
        Self { actions }
    }

    /// What this key does.
    pub(crate) fn action(&self, chord: Chord) -> Option<Action> {
        self.actions.get(&chord).copied()
    }

    /// The keys that do this.
    pub(crate) fn keys(&self, action: Action) -> Vec<Chord> {
        self.actions.iter().filter(|(_, of)| **of == action).map(|(chord, _)| *chord).collect()
    }

    /// The first key that does this, for a hint; nothing when no key does.
    pub(crate) fn hint(&self, action: Action) -> String {
        let usual = action.usual().into_iter().find(|chord| self.action(*chord) == Some(action));
        let chord = usual.or_else(|| self.keys(action).first().copied());
        chord.map(|chord| capitals(&chord.to_string())).unwrap_or_default()
    }
}

/// As keys are labelled: `Ctrl-F`.
fn capitals(chord: &str) -> String {
    let capital = |part: &str| part.chars().take(1).flat_map(char::to_uppercase).chain(part.chars().skip(1)).collect();
    chord.split('-').map(capital).collect::<Vec<String>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings(text: &str) -> Result<Bindings, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    fn keymap(text: &str) -> Keymap {
        let bindings = bindings(text).unwrap();
        Keymap::new(Action::all().map(|action| (action, bindings.of(action))))
    }

    #[test]
    fn usual_keys_are_keys_and_no_two_actions_share_one() {
        let mut seen = BTreeMap::new();
        for (action, name, keys, _) in TABLE {
            for text in *keys {
                let chord: Chord = text.parse().unwrap_or_else(|why| panic!("{name}: {why}"));
                assert_eq!(chord.to_string(), *text);
                assert_eq!(seen.insert(chord, action), None, "{text}");
            }
        }
    }

    #[test]
    fn chosen_key_takes_the_place_of_what_it_did() {
        let keymap = keymap("search = ['ctrl-s', 'f3']\nnewline = 'ctrl-f'");
        let key = |text: &str| keymap.action(text.parse().unwrap());
        assert_eq!((key("ctrl-s"), key("f3")), (Some(Action::Search), Some(Action::Search)));
        assert_eq!((key("ctrl-f"), key("ctrl-j")), (Some(Action::Newline), None));
        assert_eq!(key("enter"), Some(Action::Send), "what was not chosen stays");
    }

    #[test]
    fn wrong_keys_are_refused_with_what_is_wrong() {
        for (text, words) in [
            ("sned = 'enter'", "there is no key action \"sned\"; there are send, newline"),
            ("search = 'ctrl-'", "search: "),
            ("search = 'hyper-f'", "\"hyper-f\" is no key"),
            ("search = 'f'", "\"f\" alone is for typing"),
            ("search = 'ctrl-t'\nfirst = 'ctrl-t'", "ctrl-t is given to both first and search"),
            ("quit = []", "quit needs at least one key"),
            ("search = 7", "a key such as"),
        ] {
            let why = bindings(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
