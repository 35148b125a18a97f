//! What a client needs to go on where another process was.

use super::driver;
use crate::ids::ClientId;
use crate::proto::client::{Draft, FeedCursor, Loaded, MAX_MESSAGES};
use crate::record::MAX_BODY_BYTES;
use crate::seq::MAX_NUMBER;
use std::fmt;

/// A client as its application remembers it: from [`Event::Cursor`](super::Event::Cursor) and from the messages whose
/// progress has not come to an end. It may have been kept by a stranger (a browser, say): bounds are checked.
///
/// Each message is in history once, and shown once, with one exception: what both sides of a cut network have ordered is
/// known again by its id, and a new process does not remember the ids. It may be shown a second time when the process was
/// changed between the two, marked late unless it sorts after all that was shown. And who stays away for more than 256 views
/// is not shown what merges from before them; history has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resume {
    /// The client; 0 for a new one.
    pub client: ClientId,
    /// All numbers up to this one are done with.
    pub acked_upto: u64,
    /// What is not, with its numbers, in any order.
    pub unacked: Vec<(u64, Draft)>,
    /// Where it stood; `None` begins the feed now.
    pub cursor: Option<FeedCursor>,
}

/// Why something cannot be resumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadResume {
    /// A number is 0, twice there, done with already, or beyond what any client reaches.
    Number(u64),
    /// The first unacknowledged message and the last are more numbers apart than an outbox holds.
    TooMany,
    /// A message is over 64 KiB. Holds how many bytes it has.
    TooLong(usize),
    /// The cursor breaks a bound.
    Cursor,
}

impl fmt::Display for BadResume {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number} is no number of an unacknowledged message"),
            Self::TooMany => write!(out, "the numbers of unacknowledged messages are more than {MAX_MESSAGES} apart"),
            Self::TooLong(bytes) => write!(out, "a message has {} KiB; the limit is 64 KiB", bytes.div_ceil(1024)),
            Self::Cursor => out.write_str("the cursor is not one that a client has told"),
        }
    }
}

impl std::error::Error for BadResume {}

impl Resume {
    /// What the client begins with.
    pub(super) fn loaded(self) -> Result<Loaded, BadResume> {
        let Self { client, acked_upto, unacked: mut messages, cursor } = self;
        messages.sort_by_key(|(cseq, _)| *cseq);
        let last_cseq = messages.last().map_or(acked_upto, |(cseq, _)| *cseq).max(acked_upto);
        if last_cseq > MAX_NUMBER {
            return Err(BadResume::Number(last_cseq));
        }
        let mut before = acked_upto;
        for (cseq, draft) in &messages {
            if *cseq <= before {
                return Err(BadResume::Number(*cseq));
            }
            if draft.body.len() > MAX_BODY_BYTES {
                return Err(BadResume::TooLong(draft.body.len()));
            }
            before = *cseq;
        }
        if last_cseq - acked_upto > MAX_MESSAGES as u64 {
            return Err(BadResume::TooMany);
        }
        let cursor = cursor.unwrap_or_default();
        if !cursor.is_within_bounds() {
            return Err(BadResume::Cursor);
        }
        let client = if client == ClientId(0) { driver::random_client() } else { client };
        let seen = cursor.seen.map(|seen| (seen, cursor.greatest));
        Ok(Loaded { client, last_cseq, acked_upto, floor: cursor.floor, messages, seen })
    }
}

impl From<BadResume> for super::OpenError {
    fn from(why: BadResume) -> Self {
        Self::Resume(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Kind;
    use crate::wire::session::{Cursor, MAX_CURSOR_EPOCHS};

    fn draft(bytes: usize) -> Draft {
        Draft { room: "lobby".into(), kind: Kind::Text, body: "x".repeat(bytes) }
    }

    fn resume(acked_upto: u64, cseqs: &[u64]) -> Resume {
        let unacked = cseqs.iter().map(|&cseq| (cseq, draft(2))).collect();
        Resume { client: ClientId(7), acked_upto, unacked, cursor: None }
    }

    #[test]
    fn messages_go_on_in_their_order_and_the_next_number_follows_them() {
        let loaded = resume(3, &[6, 4]).loaded().unwrap();
        let cseqs: Vec<u64> = loaded.messages.iter().map(|(cseq, _)| *cseq).collect();
        assert_eq!((loaded.client, loaded.acked_upto, loaded.last_cseq, cseqs), (ClientId(7), 3, 6, vec![4, 6]));
        assert_ne!(Resume::default().loaded().unwrap().client, ClientId(0));
    }

    #[test]
    fn what_no_client_has_told_is_refused() {
        let far = MAX_MESSAGES as u64;
        assert!(resume(0, &[far]).loaded().is_ok());
        assert_eq!(resume(0, &[far + 1]).loaded(), Err(BadResume::TooMany));
        for (acked_upto, cseqs, bad) in
            [(3, &[3][..], 3), (0, &[0], 0), (0, &[2, 2], 2), (MAX_NUMBER, &[u64::MAX], u64::MAX)]
        {
            assert_eq!(resume(acked_upto, cseqs).loaded(), Err(BadResume::Number(bad)));
        }
        let long = Resume { unacked: vec![(1, draft(MAX_BODY_BYTES + 1))], ..Resume::default() };
        assert_eq!(long.loaded(), Err(BadResume::TooLong(MAX_BODY_BYTES + 1)));
        let seen = Cursor { epochs: vec![Default::default(); MAX_CURSOR_EPOCHS + 1], ..Cursor::default() };
        let wide =
            Resume { cursor: Some(FeedCursor { seen: Some(seen), ..FeedCursor::default() }), ..Resume::default() };
        assert_eq!(wide.loaded(), Err(BadResume::Cursor));
    }
}
