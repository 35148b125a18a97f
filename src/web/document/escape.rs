//! JSON in which nothing can move a cursor, ring, or turn the reading direction, wherever its line ends up.

use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write;

/// One line of JSON without anything that a terminal or a reader's eye obeys.
pub fn to_json<T: Serialize>(document: &T) -> String {
    let text = serde_json::to_string(document).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    match escaped(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(safe) => safe,
    }
}

/// One line of JSON in which what is harmful is escaped as `\uXXXX`: the same document for every reader.
pub fn escaped(document: &str) -> Cow<'_, str> {
    if !document.chars().any(is_harmful) {
        return Cow::Borrowed(document);
    }
    let mut safe = String::with_capacity(document.len() + 16);
    let mut units = [0; 2];
    for c in document.chars() {
        if is_harmful(c) {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Whether a character moves the cursor, rings, hides, or turns the reading direction. Joiners that emoji and Persian need
/// do not.
pub fn is_harmful(c: char) -> bool {
    let joins = matches!(c, '\u{200c}' | '\u{200d}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    let space = c.is_whitespace() && !c.is_control();
    breaks || (crate::name::is_unprintable(c) && !joins && !space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_json_reads_back_as_the_same_text() {
        for text in ["\u{1b}[2J", "\u{1b}]52;c;ZXZpbA==\u{7}", "\u{202e}txt.exe", "nul\0", "\u{2028}", "\u{e0041}tag"] {
            let safe = to_json(&text);
            assert!(safe.chars().all(|c| !c.is_control()), "{safe:?}");
            assert!(!safe.contains(['\u{202e}', '\u{2028}', '\u{e0041}']), "{safe:?}");
            assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }
}
