//! The index of committed messages, filled behind the log: of a message that was ordered twice the least key counts.

use super::engine::{Batch, Engine, HistoryRow, Table};
use super::error::StoreError;
use super::gists::GistStep;
use super::log::Store;
use super::revision::Revision;
use super::rows::{Totals, seal, unseal};
use crate::ids::{ClientId, EpochId, MessageId};
use crate::proto::bugs::{Bug, bug};
use crate::record::Record;
use crate::seq::RangeSet;
use crate::time::Hlc;
use std::collections::BTreeMap;

/// Bytes of entries that one call reads at most, beside the first entry.
pub(super) const BUDGET_BYTES: usize = 1 << 20;

/// What the whole history comes to: equal on two stores exactly when their indexed histories are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest {
    /// Messages in it.
    pub messages: u64,
    /// Sum of the 128-bit hashes of all rows: any order of learning gives the same.
    pub sum: u128,
}

impl<E: Engine> Store<E> {
    /// Indexes committed entries that are not indexed yet; where there are none, takes away what was let go of. At most
    /// `budget` entries; whether there are more.
    ///
    /// # Errors
    /// Any error of the engine; the index then is as it was, or the whole step on.
    pub fn index_some(&mut self, budget: usize) -> Result<bool, StoreError> {
        match self.behind.first() {
            Some(&epoch) => self.index_epoch(epoch, budget)?,
            None => self.prune_some(budget)?,
        }
        Ok(self.has_work())
    }

    /// Whether all of history is in the index.
    pub fn is_indexed(&self) -> bool {
        self.behind.is_empty()
    }

    /// Entries that are history and not in the index yet.
    pub fn unindexed(&self) -> u64 {
        let logs = self.behind.iter().filter_map(|epoch| self.logs.get(epoch));
        logs.map(|log| log.committed().saturating_sub(log.covered)).fold(0, u64::saturating_add)
    }

    fn index_epoch(&mut self, epoch: EpochId, budget: usize) -> Result<(), StoreError> {
        let Some(log) = self.logs.get(&epoch) else { return Ok(()) };
        let view = log.view.clone().unwrap_or_default();
        let (first, last) = (log.covered + 1, log.committed().min(log.covered.saturating_add(budget.max(1) as u64)));
        let entries = self.read(epoch, first, last, BUDGET_BYTES)?;
        if entries.is_empty() {
            // The part behind a damaged entry waits until recovery has set that aside.
            self.behind.remove(&epoch);
            return Ok(());
        }
        let leader = view.leader_name().to_owned();
        let mut step = Step::new(self);
        let mut gists = GistStep::new(&self.engine, epoch);
        for (entry, gsn) in entries.iter().zip(first..) {
            step.revision.see(entry.hlc.0);
            for record in entry.records(epoch, gsn) {
                gists.add(&record, &view, entry.origin)?;
                step.add(shown(record, &leader))?;
            }
        }
        let covered = first + entries.len() as u64 - 1;
        let (mut batch, totals) = step.finish(epoch, covered);
        gists.finish(&mut batch)?;
        self.engine.commit(batch)?;
        self.totals = totals;
        if let Some(log) = self.logs.get_mut(&epoch) {
            log.covered = covered;
            if !log.is_behind() {
                self.behind.remove(&epoch);
            }
        }
        Ok(())
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
    revision: Revision<'a, E>,
    ids: BTreeMap<ClientId, RangeSet>,
}

impl<'a, E: Engine> Step<'a, E> {
    fn new(store: &'a Store<E>) -> Self {
        Self { store, revision: Revision::new(&store.engine, store.totals), ids: BTreeMap::new() }
    }

    /// Adds a message, unless it was let go of or history has it at a lesser key, or at this one.
    fn add(&mut self, row: HistoryRow) -> Result<(), StoreError> {
        let id = row.record.message.id;
        if self.is_pruned(id)? {
            return Ok(());
        }
        self.count(id)?;
        if let Some(known) = self.revision.message(id)? {
            if known.record.key <= row.record.key || bug!(self.store, Bug::IndexesFirst) {
                return Ok(());
            }
            self.revision.forget(id)?;
        }
        self.revision.remember(row);
        Ok(())
    }

    fn is_pruned(&mut self, id: MessageId) -> Result<bool, StoreError> {
        Ok(self.store.has_pruned && !bug!(self.store, Bug::CopyAgain) && self.revision.is_pruned(id)?)
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
            numbers.insert(id.cseq);
        }
        Ok(())
    }

    fn finish(self, epoch: EpochId, covered: u64) -> (Batch, Totals) {
        let (mut batch, totals) = self.revision.finish();
        for (client, numbers) in &self.ids {
            let key = client.0.to_be_bytes();
            batch.put(Table::Ids, key, seal(Table::Ids, &key, numbers));
        }
        let key = epoch.to_bytes();
        batch.put(Table::Covered, key, seal(Table::Covered, &key, &covered));
        (batch, totals)
    }
}
