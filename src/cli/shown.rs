//! Text from others, made safe to show: nothing in it can move the cursor, colour, copy, ring, or turn the reading
//! direction of what stands around it.

use crate::web::document::escape::is_harmful;
use std::borrow::Cow;
use std::fmt::Write;

/// The text as it may go to a terminal or a log, on one line.
///
/// Tabs become spaces, line breaks `\n`; other control characters, ANSI and OSC introducers, bidirectional controls and
/// invisible characters are written out as `\u{1b}`. Joiners that emoji and Persian need stay.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\t' => safe.push(' '),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            c if is_harmful(c) => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// The same for a text whose line breaks are its own, such as a hint of several lines.
pub(crate) fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// `1 message`, `6 messages`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &[&str] = &[
        "\u{1b}[2J\u{1b}[31mred",
        "\u{1b}]52;c;ZXZpbA==\u{7}",
        "\u{9b}31m",
        "\u{202e}txt.exe",
        "\u{2066}isolate",
        "nul\0inside",
        "two\nlines\r",
        "\u{7f}\u{8}\u{8}",
        "\u{2028}line",
        "\u{e0041}tag",
    ];

    #[test]
    fn shown_text_holds_nothing_that_a_terminal_or_reader_obeys() {
        for text in HOSTILE {
            let safe = shown(text);
            assert!(safe.chars().all(|c| !c.is_control()), "{safe:?}");
            assert!(!safe.contains(['\u{202e}', '\u{2066}', '\u{2028}', '\u{e0041}']), "{safe:?}");
        }
        assert_eq!(shown("\u{1b}[31m"), "\\u{1b}[31m");
        assert_eq!(shown("a\tb\nc"), "a b\\nc");
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in ["hello, world", "Grüße", "שלום", "می\u{200c}خواهم", "👩\u{200d}🚀", "a\u{a0}b", "C:\\new"]
        {
            assert!(matches!(shown(text), Cow::Borrowed(_)), "{text}");
        }
    }
}
