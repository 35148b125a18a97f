//! Names of rooms, people, servers and nets: what they may hold, and how they compare.

use std::borrow::Cow;
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// Longest name, in characters.
pub const MAX_CHARS: usize = 32;
/// Longest name, in bytes of UTF-8.
pub const MAX_BYTES: usize = 64;

/// Why a text is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadName {
    /// Nothing in it.
    Empty,
    /// Over [`MAX_CHARS`] characters or [`MAX_BYTES`] bytes.
    TooLong,
    /// A space, a control character, or a character that changes how the text around it is shown.
    Unprintable,
    /// Begins with `#`, `@` or `-`.
    BadStart,
}

impl fmt::Display for BadName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Empty => "a name needs at least one character",
            Self::TooLong => "a name has at most 32 characters and 64 bytes",
            Self::Unprintable => "a name has no spaces and no control characters",
            Self::BadStart => "a name does not begin with #, @ or -",
        })
    }
}

impl std::error::Error for BadName {}

/// The name in its normal form (NFC).
///
/// # Errors
/// [`BadName`] says which rule the text breaks.
pub fn parse(text: &str) -> Result<String, BadName> {
    if text.len() > 4 * MAX_BYTES {
        return Err(BadName::TooLong);
    }
    let name: String = text.nfc().collect();
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.chars().count() > MAX_CHARS || name.len() > MAX_BYTES {
        return Err(BadName::TooLong);
    }
    if name.chars().any(is_unprintable) {
        return Err(BadName::Unprintable);
    }
    if name.starts_with(['#', '@', '-']) {
        return Err(BadName::BadStart);
    }
    Ok(name)
}

/// Whether two names are the same name: compared without case.
pub fn same(one: &str, other: &str) -> bool {
    one == other || fold(one) == fold(other)
}

/// The form that names are compared in.
pub fn fold(name: &str) -> String {
    folded(name).into_owned()
}

/// The form that names are compared in; no copy of a name that has it already, as most have, and each message is folded.
pub fn folded(name: &str) -> Cow<'_, str> {
    if !name.is_ascii() {
        name.to_lowercase().nfc().collect()
    } else if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

/// Whether a character can break a line, a terminal or the reading direction of the text around it.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(c, '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_and_compared_without_case() {
        assert_eq!(parse("Zoe\u{308}").as_deref(), Ok("Zo\u{eb}"));
        assert!(same("ANA", "ana"));
        assert!(same("ÉMILE", "émile"));
        assert!(!same("ana", "anna"));
    }

    #[test]
    fn bad_names_are_refused_with_the_rule_they_break() {
        let long = "x".repeat(33);
        let wide = "\u{1f980}".repeat(17);
        for (text, why) in [
            ("", BadName::Empty),
            (long.as_str(), BadName::TooLong),
            (wide.as_str(), BadName::TooLong),
            ("a b", BadName::Unprintable),
            ("a\u{1b}[31m", BadName::Unprintable),
            ("a\u{202e}b", BadName::Unprintable),
            ("#lobby", BadName::BadStart),
            ("@ana", BadName::BadStart),
            ("-n", BadName::BadStart),
        ] {
            assert_eq!(parse(text), Err(why), "{text:?}");
        }
        assert!(parse(&"x".repeat(32)).is_ok());
    }
}
