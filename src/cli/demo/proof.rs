//! The demo's proof: every server's history is the same, and holds everything that was acknowledged, once.

use crate::cli::Run;
use crate::cli::contact::Contact;
use crate::cli::failure::Failure;
use crate::cli::message::Told;
use crate::cli::page::{Pages, Part, Row};
use crate::cli::signals::Interrupt;
use crate::ids::{MessageId, RecordKey};
use crate::wire::session::HistoryQuery;
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::Xxh3;

/// A message as a line of `history --json`: what digests are made of.
pub(super) struct Line<'a>(&'a Row);

impl<'a> Line<'a> {
    /// The line of a record and its leader's name.
    pub(super) fn of(row: &'a Row) -> Self {
        Self(row)
    }

    /// The message's id.
    pub(super) fn id(&self) -> MessageId {
        self.0.0.message.id
    }

    /// Its place in history.
    pub(super) fn key(&self) -> RecordKey {
        self.0.0.key
    }

    /// Goes into a digest.
    pub(super) fn hash(&self, hash: &mut Xxh3) {
        let (record, leader) = self.0;
        hash.update(Told { record, leader, live: None }.json().as_bytes());
        hash.update(b"\n");
    }
}

/// One server's history, read whole.
#[derive(Debug)]
pub(super) struct History {
    /// Hash of the lines of `history --all --json`.
    pub(super) digest: u64,
    /// How many messages.
    pub(super) messages: u64,
    times: BTreeMap<MessageId, u32>,
}

impl History {
    /// Reads the history of the server that these settings name.
    ///
    /// # Errors
    /// Whatever keeps the server from answering.
    pub(super) fn read(run: &Run, interrupt: &Interrupt) -> Result<Self, Failure> {
        let mut contact = Contact::open(run, interrupt)?;
        let mut hash = Xxh3::new();
        let mut copy = Self { digest: 0, messages: 0, times: BTreeMap::new() };
        Pages { contact: &mut contact, words: None, within: HistoryQuery::default() }.read(Part::All, |row| {
            let line = Line::of(row);
            line.hash(&mut hash);
            copy.messages += 1;
            *copy.times.entry(line.id()).or_default() += 1;
            Ok(())
        })?;
        contact.close();
        copy.digest = hash.digest();
        Ok(copy)
    }

    /// How many of these are not in it exactly once.
    fn lost(&self, acknowledged: &BTreeSet<MessageId>) -> usize {
        acknowledged.iter().filter(|id| self.times.get(id) != Some(&1)).count()
    }
}

/// What the copies prove together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    /// Whether all histories are the same.
    pub(super) equal: bool,
    /// Acknowledged messages that some server does not have exactly once.
    pub(super) lost: usize,
}

impl Verdict {
    /// The verdict on these copies.
    pub(super) fn of<'a>(copies: impl IntoIterator<Item = &'a History>, acknowledged: &BTreeSet<MessageId>) -> Self {
        let copies: Vec<&History> = copies.into_iter().collect();
        let equal = copies.windows(2).all(|pair| pair[0].digest == pair[1].digest);
        let lost = copies.iter().map(|copy| copy.lost(acknowledged)).max().unwrap_or(0);
        Self { equal, lost }
    }

    /// Whether nothing is wrong.
    pub(super) fn is_good(self) -> bool {
        self.equal && self.lost == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClientId;

    fn id(cseq: u64) -> MessageId {
        MessageId { client: ClientId(1), cseq }
    }

    fn copy(digest: u64, times: &[(u64, u32)]) -> History {
        let times = times.iter().map(|&(cseq, count)| (id(cseq), count)).collect();
        History { digest, messages: 0, times }
    }

    #[test]
    fn missing_and_doubled_messages_are_lost_and_differing_digests_unequal() {
        let acknowledged = BTreeSet::from([id(1), id(2)]);
        let good = || copy(7, &[(1, 1), (2, 1), (3, 1)]);
        assert!(Verdict::of(&[good(), good()], &acknowledged).is_good());
        let missing = Verdict::of(&[good(), copy(8, &[(1, 1)])], &acknowledged);
        assert_eq!(missing, Verdict { equal: false, lost: 1 });
        let doubled = Verdict::of(&[copy(7, &[(1, 2), (2, 1)])], &acknowledged);
        assert_eq!(doubled, Verdict { equal: true, lost: 1 });
    }
}
