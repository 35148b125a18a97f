//! History on its way into one batch: messages that come and go, what they come to, and which are let go of.

use super::engine::{Batch, Engine, HistoryRow, Op, Table};
use super::error::StoreError;
use super::rows::{Totals, seal, unseal, word};
use crate::ids::{ClientId, MessageId};
use crate::seq::RangeSet;
use std::collections::BTreeMap;

/// Changes of history that are put together.
pub(super) struct Revision<'a, E> {
    engine: &'a E,
    batch: Batch,
    totals: Totals,
    /// Messages of the batch, as they are after it.
    fresh: BTreeMap<MessageId, Option<HistoryRow>>,
    /// Rows of [`Table::Pruned`] that were asked for.
    pruned: BTreeMap<ClientId, PrunedRow>,
}

/// What was let go of one client's messages.
#[derive(Default)]
struct PrunedRow {
    numbers: RangeSet,
    has_more: bool,
}

impl<'a, E: Engine> Revision<'a, E> {
    pub(super) fn new(engine: &'a E, totals: Totals) -> Self {
        let (fresh, pruned) = (BTreeMap::new(), BTreeMap::new());
        Self { engine, batch: Batch::default(), totals, fresh, pruned }
    }

    /// A message of history by its id.
    pub(super) fn message(&self, id: MessageId) -> Result<Option<HistoryRow>, StoreError> {
        match self.fresh.get(&id) {
            Some(known) => Ok(known.clone()),
            None => self.engine.message(id),
        }
    }

    /// Covers an HLC.
    pub(super) fn see(&mut self, hlc: u64) {
        self.totals.hlc = self.totals.hlc.max(hlc);
    }

    /// Adds a message that is not there.
    pub(super) fn remember(&mut self, row: HistoryRow) {
        self.totals.messages += 1;
        self.totals.sum = self.totals.sum.wrapping_add(hash(&row));
        self.batch.0.push(Op::Remember(Box::new(row.clone())));
        self.fresh.insert(row.record.message.id, Some(row));
    }

    /// Takes a message out of history, wherever it has it.
    pub(super) fn forget(&mut self, id: MessageId) -> Result<(), StoreError> {
        if let Some(known) = self.message(id)? {
            self.totals.messages = self.totals.messages.saturating_sub(1);
            self.totals.sum = self.totals.sum.wrapping_sub(hash(&known));
            self.batch.0.push(Op::Forget(known.record.key));
            self.fresh.insert(id, None);
        }
        Ok(())
    }

    /// Whether a message was let go of.
    pub(super) fn is_pruned(&mut self, id: MessageId) -> Result<bool, StoreError> {
        Ok(self.pruned_of(id.client)?.numbers.contains(id.cseq))
    }

    /// Lets go of a message, and takes it out of history.
    pub(super) fn prune(&mut self, id: MessageId) -> Result<(), StoreError> {
        let row = self.pruned_of(id.client)?;
        row.has_more |= row.numbers.insert(id.cseq);
        self.forget(id)
    }

    /// Lets go of messages of a client; tells of which nobody had let go before. They stay in history.
    pub(super) fn prune_later(&mut self, client: ClientId, numbers: &RangeSet) -> Result<Vec<(u64, u64)>, StoreError> {
        let row = self.pruned_of(client)?;
        let missing = |&(low, high): &(u64, u64)| row.numbers.missing(low, high, usize::MAX);
        let more: Vec<(u64, u64)> = numbers.ranges().iter().flat_map(missing).collect();
        for &(low, high) in &more {
            row.numbers.insert_range(low, high);
        }
        row.has_more |= !more.is_empty();
        Ok(more)
    }

    /// Lets go of messages of a client, and takes those that history has out of it.
    pub(super) fn prune_now(&mut self, client: ClientId, numbers: &RangeSet) -> Result<(), StoreError> {
        for (low, high) in self.prune_later(client, numbers)? {
            for cseq in self.engine.numbers(client, low, high)? {
                self.forget(MessageId { client, cseq })?;
            }
        }
        Ok(())
    }

    /// The batch, and what history comes to after it.
    pub(super) fn finish(mut self) -> (Batch, Totals) {
        for (client, row) in self.pruned.iter().filter(|(_, row)| row.has_more) {
            let key = client.0.to_be_bytes();
            self.batch.put(Table::Pruned, key, seal(Table::Pruned, &key, &row.numbers));
        }
        self.batch.put(Table::Meta, word::TOTALS, seal(Table::Meta, word::TOTALS, &self.totals));
        (self.batch, self.totals)
    }

    fn pruned_of(&mut self, client: ClientId) -> Result<&mut PrunedRow, StoreError> {
        use std::collections::btree_map::Entry::{Occupied, Vacant};
        match self.pruned.entry(client) {
            Occupied(known) => Ok(known.into_mut()),
            Vacant(place) => {
                let key = client.0.to_be_bytes();
                let Some(value) = self.engine.get(Table::Pruned, &key)? else {
                    return Ok(place.insert(PrunedRow::default()));
                };
                // Never written over: the next opening sets it aside.
                let damaged =
                    || StoreError::DamagedIndex { what: format!("which messages of {client} were let go of") };
                let numbers = unseal(Table::Pruned, &key, &value).ok_or_else(damaged)?;
                Ok(place.insert(PrunedRow { numbers, has_more: false }))
            }
        }
    }
}

/// What both of two sets have, each as disjoint, ascending ranges.
pub(super) fn common(one: &[(u64, u64)], other: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (one.peek(), other.peek()) {
        let (low, high) = (a.0.max(b.0), a.1.min(b.1));
        if low <= high {
            both.push((low, high));
        }
        if a.1 < b.1 {
            one.next()
        } else {
            other.next()
        };
    }
    both
}

fn hash(row: &HistoryRow) -> u128 {
    xxhash_rust::xxh3::xxh3_128(&postcard::to_stdvec(row).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_sets_have_in_common() {
        let (one, other) = ([(1, 5), (7, 9), (20, u64::MAX)], [(0, 0), (4, 7), (9, 30)]);
        assert_eq!(common(&one, &other), [(4, 5), (7, 7), (9, 9), (20, 30)]);
        assert_eq!(common(&other, &one), [(4, 5), (7, 7), (9, 9), (20, 30)]);
        assert_eq!(common(&one, &[]), []);
    }
}
