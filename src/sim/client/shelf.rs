//! What a real client's machine keeps when its process dies: the outbox, as far as it was written.

use crate::ids::ClientId;
use crate::proto::client::{Draft, FeedCursor, Loaded};
use crate::sim::rng::Rng;
use crate::time::{Hlc, Time};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The outbox on a disk.
#[derive(Default)]
pub(super) struct Shelf {
    client: ClientId,
    /// Not written yet, and when it will be.
    pending: VecDeque<(Time, u64, Draft, Hlc)>,
    messages: BTreeMap<u64, Draft>,
    last_cseq: u64,
    floor: Hlc,
}

impl Shelf {
    /// An empty one.
    pub(super) fn of(client: ClientId) -> Self {
        Self { client, ..Self::default() }
    }

    /// A message is to be written; mostly that takes a millisecond or two.
    pub(super) fn put(&mut self, now: Time, (cseq, draft, floor): (u64, Draft, Hlc), rng: &mut Rng) {
        let most = if rng.chance(50) { Duration::from_millis(80) } else { Duration::from_millis(2) };
        let last = self.pending.back().map_or(now, |pending| pending.0);
        self.pending.push_back((last.max(now + rng.wait(Duration::from_micros(50), most)), cseq, draft, floor));
    }

    /// A message is done with.
    pub(super) fn done(&mut self, cseq: u64, floor: Hlc) {
        self.messages.remove(&cseq);
        self.floor = self.floor.max(floor);
    }

    /// The next message that is written by now.
    pub(super) fn written(&mut self, now: Time) -> Option<u64> {
        let (_, cseq, draft, floor) = self.pending.pop_front_if(|pending| pending.0 <= now)?;
        self.write(cseq, draft, floor);
        Some(cseq)
    }

    /// When [`Shelf::written`] has something.
    pub(super) fn next_written(&self) -> Time {
        self.pending.front().map_or(Time::NEVER, |pending| pending.0)
    }

    /// Whether a message is safe.
    pub(super) fn holds(&self, cseq: u64) -> bool {
        cseq <= self.last_cseq
    }

    /// The process died: of what was under way a part is there, from the first on.
    pub(super) fn survive(&mut self, rng: &mut Rng) {
        let there = rng.index(self.pending.len() + 1);
        for (_, cseq, draft, floor) in std::mem::take(&mut self.pending).into_iter().take(there) {
            self.write(cseq, draft, floor);
        }
    }

    /// What the next process finds, which is told what the one before it had been shown or not.
    pub(super) fn load(&self, cursor: Option<FeedCursor>) -> Loaded {
        let cursor = cursor.unwrap_or_default();
        Loaded {
            client: self.client,
            last_cseq: self.last_cseq,
            acked_upto: self.messages.keys().next().map_or(self.last_cseq, |first| first - 1),
            floor: self.floor.max(cursor.floor),
            messages: self.messages.clone().into_iter().collect(),
            seen: cursor.seen.map(|seen| (seen, cursor.greatest)),
        }
    }

    fn write(&mut self, cseq: u64, draft: Draft, floor: Hlc) {
        self.last_cseq = cseq;
        self.floor = self.floor.max(floor);
        self.messages.insert(cseq, draft);
    }
}
