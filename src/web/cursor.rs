//! Where a browser's feed stands, as a text that only hosts read.

use super::answers::from_hex;
use crate::client::FeedCursor;
use std::fmt::Write;

/// Longest cursor, in bytes: the epochs that it lists are bounded.
const MAX_BYTES: usize = 4 << 10;

/// The text of a cursor.
pub(super) fn write(cursor: &FeedCursor) -> String {
    let mut text = String::new();
    for byte in postcard::to_stdvec(cursor).unwrap_or_default() {
        // Writing to a text never fails.
        _ = write!(text, "{byte:02x}");
    }
    text
}

/// The cursor of a text; `None` when it is none: the feed begins now then.
pub(super) fn read(text: &str) -> Option<FeedCursor> {
    if text.len() > 2 * MAX_BYTES {
        return None;
    }
    let bytes = from_hex(text)?;
    postcard::from_bytes(&bytes).ok().filter(FeedCursor::is_within_bounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EpochId;
    use crate::time::Hlc;
    use crate::wire::session::Cursor;

    #[test]
    fn cursor_reads_what_it_wrote_and_nothing_else() {
        let seen = Cursor { epochs: vec![(EpochId::default(), 7)], ..Cursor::default() };
        let cursor = FeedCursor { seen: Some(seen), floor: Hlc(9), ..FeedCursor::default() };
        assert_eq!(read(&write(&cursor)), Some(cursor));
        for text in ["zz", "0", "01ff", &"00".repeat(MAX_BYTES + 1)] {
            assert_eq!(read(text), None);
        }
    }
}
