//! One stroke: a key and what is held down with it, as people write it: `ctrl-f`, `alt-enter`, `pageup`.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A key and what is held down with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Chord {
    /// The key.
    pub(crate) key: Key,
    /// With Ctrl.
    pub(crate) ctrl: bool,
    /// With Alt.
    pub(crate) alt: bool,
    /// With Shift; of characters it is part of the character.
    pub(crate) shift: bool,
}

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Key {
    /// A character.
    Char(char),
    /// `f1` to `f24`.
    Function(u8),
    /// `enter`.
    Enter,
    /// `tab`.
    Tab,
    /// `esc`.
    Esc,
    /// `backspace`.
    Backspace,
    /// `delete`.
    Delete,
    /// `insert`.
    Insert,
    /// `home`.
    Home,
    /// `end`.
    End,
    /// `pageup`.
    PageUp,
    /// `pagedown`.
    PageDown,
    /// `up`.
    Up,
    /// `down`.
    Down,
    /// `left`.
    Left,
    /// `right`.
    Right,
}

const NAMES: &[(Key, &str)] = &[
    (Key::Enter, "enter"),
    (Key::Tab, "tab"),
    (Key::Esc, "esc"),
    (Key::Backspace, "backspace"),
    (Key::Delete, "delete"),
    (Key::Insert, "insert"),
    (Key::Home, "home"),
    (Key::End, "end"),
    (Key::PageUp, "pageup"),
    (Key::PageDown, "pagedown"),
    (Key::Up, "up"),
    (Key::Down, "down"),
    (Key::Left, "left"),
    (Key::Right, "right"),
    (Key::Char(' '), "space"),
];

impl Chord {
    /// The key alone.
    pub(crate) fn plain(key: Key) -> Self {
        Self { key, ctrl: false, alt: false, shift: false }
    }

    /// The character that it types, if it does.
    pub(crate) fn typed(self) -> Option<char> {
        match self.key {
            Key::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, word) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if held {
                out.write_str(word)?;
            }
        }
        match (NAMES.iter().find(|(key, _)| *key == self.key), self.key) {
            (Some((_, name)), _) => out.write_str(name),
            (None, Key::Function(number)) => write!(out, "f{number}"),
            (None, Key::Char(c)) => write!(out, "{c}"),
            (None, _) => Ok(()),
        }
    }
}

impl Serialize for Chord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl FromStr for Chord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!("\"{}\" is no key: write ctrl-f, alt-enter, shift-up, pageup, f1 and the like", text.escape_debug())
        };
        let lower = text.trim().to_lowercase();
        let mut chord = Self::plain(Key::Esc);
        let mut rest = lower.as_str();
        loop {
            let (held, after) = match rest.split_once('-') {
                Some(("ctrl", after)) => (&mut chord.ctrl, after),
                Some(("alt", after)) => (&mut chord.alt, after),
                Some(("shift", after)) => (&mut chord.shift, after),
                _ => break,
            };
            if std::mem::replace(held, true) {
                return Err(bad());
            }
            rest = after;
        }
        chord.key = key(rest).ok_or_else(bad)?;
        if matches!(chord.key, Key::Char(_)) {
            if !chord.ctrl && !chord.alt {
                return Err(format!("\"{}\" alone is for typing: add ctrl- or alt-", text.escape_debug()));
            }
            if chord.shift {
                return Err(format!("terminals do not tell \"{}\" from the same without shift", text.escape_debug()));
            }
        }
        Ok(chord)
    }
}

fn key(text: &str) -> Option<Key> {
    if let Some((key, _)) = NAMES.iter().find(|(_, name)| *name == text) {
        return Some(*key);
    }
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(c), None) if !c.is_control() && !c.is_whitespace() => Some(Key::Char(c)),
        (Some('f'), Some(_)) => {
            let number = text[1..].parse().ok().filter(|number| (1..=24).contains(number))?;
            Some(Key::Function(number))
        }
        _ => None,
    }
}
