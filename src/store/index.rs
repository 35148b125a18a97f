//! The index of committed messages, filled behind the log: of a message that was ordered twice the least key counts.

use super::engine::{Batch, Engine, HistoryRow, Op, Table};
use super::error::StoreError;
use super::log::Store;
use super::rows::{Totals, seal, unseal, word};
use crate::ids::{ClientId, EpochId, MessageId};
use crate::proto::bugs::{Bug, bug};
use crate::record::Record;
use crate::seq::RangeSet;
use crate::time::Hlc;
use std::collections::BTreeMap;

/// Bytes of entries that one call reads at most, beside the first entry.
const BUDGET_BYTES: usize = 1 << 20;

/// What the whole history comes to: equal on two stores exactly when their indexed histories are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest {
    /// Messages in it.
    pub messages: u64,
    /// Sum of the 128-bit hashes of all rows: any order of learning gives the same.
    pub sum: u128,
}

impl<E: Engine> Store<E> {
    /// Indexes committed entries that are not indexed yet, at most `budget` of them; whether there are more.
    ///
    /// # Errors
    /// Any error of the engine; the index then is as it was, or the whole step on.
    pub fn index_some(&mut self, budget: usize) -> Result<bool, StoreError> {
        let Some(&epoch) = self.behind.first() else { return Ok(false) };
        let (first, last) = match self.logs.get(&epoch) {
            Some(log) => (log.covered + 1, log.committed().min(log.covered.saturating_add(budget.max(1) as u64))),
            None => return Ok(false),
        };
        let entries = self.read(epoch, first, last, BUDGET_BYTES)?;
        if entries.is_empty() {
            // The part behind a damaged entry waits until recovery has set that aside.
            self.behind.remove(&epoch);
            return Ok(!self.behind.is_empty());
        }
        let leader = self.view(epoch).map(|view| view.leader_name().to_owned()).unwrap_or_default();
        let mut step = Step::new(self);
        for (entry, gsn) in entries.iter().zip(first..) {
            step.totals.hlc = step.totals.hlc.max(entry.hlc.0);
            for record in entry.records(epoch, gsn) {
                step.add(shown(record, &leader))?;
            }
        }
        let covered = first + entries.len() as u64 - 1;
        let (batch, totals) = step.finish(epoch, covered);
        self.engine.commit(batch)?;
        self.totals = totals;
        if let Some(log) = self.logs.get_mut(&epoch) {
            log.covered = covered;
            if !log.is_behind() {
                self.behind.remove(&epoch);
            }
        }
        Ok(!self.behind.is_empty())
    }

    /// What the indexed history comes to.
    pub fn digest(&self) -> Digest {
        Digest { messages: self.totals.messages, sum: self.totals.sum }
    }
}

/// A message as history shows it: what the client said of its own state is no part of it.
pub(super) fn shown(mut record: Record, leader: &str) -> HistoryRow {
    record.message.acked_upto = 0;
    record.message.floor = Hlc(0);
    HistoryRow { record, leader: leader.to_owned() }
}

/// One step of the index on its way into one batch.
struct Step<'a, E> {
    store: &'a Store<E>,
    batch: Batch,
    totals: Totals,
    ids: BTreeMap<ClientId, RangeSet>,
    /// Messages of this batch.
    fresh: BTreeMap<MessageId, HistoryRow>,
}

impl<'a, E: Engine> Step<'a, E> {
    fn new(store: &'a Store<E>) -> Self {
        Self { store, batch: Batch::default(), totals: store.totals, ids: BTreeMap::new(), fresh: BTreeMap::new() }
    }

    /// Adds a message, unless history has it at a lesser key, or at this one.
    fn add(&mut self, row: HistoryRow) -> Result<(), StoreError> {
        let id = row.record.message.id;
        self.count(id)?;
        let known = match self.fresh.get(&id) {
            Some(known) => Some(known.clone()),
            None => self.store.engine.message(id)?,
        };
        if let Some(known) = known {
            if known.record.key <= row.record.key || bug!(self.store, Bug::IndexesFirst) {
                return Ok(());
            }
            self.totals.messages -= 1;
            self.totals.sum = self.totals.sum.wrapping_sub(hash(&known));
            self.batch.0.push(Op::Forget(known.record.key));
        }
        self.totals.messages += 1;
        self.totals.sum = self.totals.sum.wrapping_add(hash(&row));
        self.batch.0.push(Op::Remember(Box::new(row.clone())));
        self.fresh.insert(id, row);
        Ok(())
    }

    /// Adds the id to the client's numbers.
    fn count(&mut self, id: MessageId) -> Result<(), StoreError> {
        if !self.ids.contains_key(&id.client) {
            let key = id.client.0.to_be_bytes();
            let stored = self.store.engine.get(Table::Ids, &key)?;
            let numbers = stored.and_then(|value| unseal(Table::Ids, &key, &value)).unwrap_or_default();
            self.ids.insert(id.client, numbers);
        }
        if let Some(numbers) = self.ids.get_mut(&id.client) {
            self.totals.ids += u64::from(numbers.insert(id.cseq));
        }
        Ok(())
    }

    fn finish(mut self, epoch: EpochId, covered: u64) -> (Batch, Totals) {
        for (client, numbers) in &self.ids {
            let key = client.0.to_be_bytes();
            self.batch.put(Table::Ids, key, seal(Table::Ids, &key, numbers));
        }
        let key = epoch.to_bytes();
        self.batch.put(Table::Covered, key, seal(Table::Covered, &key, &covered));
        self.batch.put(Table::Meta, word::TOTALS, seal(Table::Meta, word::TOTALS, &self.totals));
        (self.batch, self.totals)
    }
}

fn hash(row: &HistoryRow) -> u128 {
    xxhash_rust::xxh3::xxh3_128(&postcard::to_stdvec(row).unwrap_or_default())
}
