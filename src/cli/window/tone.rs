//! How parts of the window look: the sixteen colours, bold, dim and reverse, so that it reads on a dark and on a light
//! terminal, and without colours.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Tone {
    /// Words.
    #[default]
    Plain,
    /// What matters least: times, lines between.
    Dim,
    /// Headings.
    Bold,
    /// A person's name, in the colour that is theirs.
    Nick(u8),
    /// A room's name.
    Room,
    /// What is well: a stable message.
    Good,
    /// What is under way.
    Waiting,
    /// What is wrong.
    Bad,
    /// The reader's own name in others' words.
    Mention,
    /// A bar, a chosen line.
    Reverse,
}

/// Colours of names: readable on both, and unlike what warns.
const NICKS: [Color; 5] = [Color::Green, Color::Magenta, Color::Cyan, Color::Blue, Color::Red];

impl Tone {
    /// The tone of a name: the same everywhere and for everyone.
    pub(crate) fn of_nick(nick: &str) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_64(crate::name::fold(nick).as_bytes());
        Self::Nick((hash % NICKS.len() as u64) as u8)
    }

    /// The style, with colours or without.
    pub(crate) fn style(self, color: bool) -> Style {
        let style = Style::new();
        let painted = |style: Style, paint: Color| if color { style.fg(paint) } else { style };
        match self {
            Self::Plain => style,
            Self::Dim => style.add_modifier(Modifier::DIM),
            Self::Bold => style.add_modifier(Modifier::BOLD),
            Self::Nick(of) => painted(style.add_modifier(Modifier::BOLD), NICKS[usize::from(of) % NICKS.len()]),
            Self::Room => painted(style.add_modifier(Modifier::BOLD), Color::Cyan),
            Self::Good => painted(style, Color::Green),
            Self::Waiting => painted(style, Color::Magenta),
            Self::Bad => painted(style.add_modifier(Modifier::BOLD), Color::Red),
            Self::Mention => style.add_modifier(Modifier::BOLD | Modifier::REVERSED),
            Self::Reverse => style.add_modifier(Modifier::REVERSED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_nothing_has_one_and_no_tone_paints_a_background() {
        let tones = [Tone::Plain, Tone::Nick(3), Tone::Room, Tone::Good, Tone::Waiting, Tone::Bad, Tone::Mention];
        for tone in tones {
            assert_eq!((tone.style(false).fg, tone.style(false).bg), (None, None));
            assert_eq!(tone.style(true).bg, None);
        }
    }

    #[test]
    fn name_keeps_its_colour_whatever_its_case() {
        assert_eq!(Tone::of_nick("Ana"), Tone::of_nick("ana"));
    }
}
