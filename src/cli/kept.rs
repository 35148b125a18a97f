//! `--keep`: how much of history a server would keep.

use super::values::Span;
use crate::proto::settings::Keep;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The least age: views last at most an eighth of what is kept, and each is agreed on by all.
const LEAST_AGE: Duration = Duration::from_hours(1);
/// The least size, in bytes.
const LEAST_BYTES: u64 = 10 * MB;
const MB: u64 = 1_000_000;
const UNITS: [(&str, u64); 3] = [("TB", 1_000_000 * MB), ("GB", 1000 * MB), ("MB", MB)];

/// How much of history a server would keep, as a flag, a variable or a file has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Kept(pub(crate) Keep);

/// A text that is no amount of history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadKept;

impl fmt::Display for BadKept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("what is kept is all, an age such as 90d (at least 1h), or a size such as 20GB (at least 10MB)")
    }
}

impl std::error::Error for BadKept {}

impl FromStr for Kept {
    type Err = BadKept;

    fn from_str(text: &str) -> Result<Self, BadKept> {
        let text = text.trim();
        if text == "all" {
            return Ok(Self(Keep::All));
        }
        for (unit, bytes) in UNITS {
            if let Some(count) = text.strip_suffix(unit) {
                let count: u64 = count.trim().parse().map_err(|_| BadKept)?;
                let bytes = count.checked_mul(bytes).filter(|bytes| *bytes >= LEAST_BYTES).ok_or(BadKept)?;
                return Ok(Self(Keep::Bytes(bytes)));
            }
        }
        if text.ends_with(|c: char| c.is_ascii_digit()) {
            return Err(BadKept);
        }
        let Span(age) = text.parse().map_err(|_| BadKept)?;
        if age < LEAST_AGE { Err(BadKept) } else { Ok(Self(Keep::For(age))) }
    }
}

impl TryFrom<String> for Kept {
    type Error = BadKept;

    fn try_from(text: String) -> Result<Self, BadKept> {
        text.parse()
    }
}

impl From<Kept> for String {
    fn from(kept: Kept) -> Self {
        kept.to_string()
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Keep::All => out.write_str("all"),
            Keep::For(age) => Span(age).fmt(out),
            Keep::Bytes(bytes) => {
                let fits = |(_, unit): &&(&str, u64)| bytes.is_multiple_of(*unit);
                let (name, unit) = UNITS.iter().find(fits).copied().unwrap_or(("MB", MB));
                write!(out, "{}{name}", bytes / unit)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_what_they_write_and_refuse_the_rest() {
        let day = Duration::from_hours(24);
        for (text, keep) in [
            ("all", Keep::All),
            ("90d", Keep::For(90 * day)),
            ("1h", Keep::For(LEAST_AGE)),
            ("20GB", Keep::Bytes(20_000 * MB)),
            ("1500MB", Keep::Bytes(1500 * MB)),
            ("2TB", Keep::Bytes(2_000_000 * MB)),
        ] {
            let kept: Kept = text.parse().unwrap();
            assert_eq!((kept.0, kept.to_string().as_str()), (keep, text));
        }
        assert_eq!("2w".parse::<Kept>().unwrap().to_string(), "14d");
        for text in ["", "none", "90", "59m", "5s", "9MB", "-1GB", "1.5GB", "20gb", "99999999999999999999TB", "9TBGB"] {
            assert_eq!(text.parse::<Kept>(), Err(BadKept), "{text}");
        }
    }
}
