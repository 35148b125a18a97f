//! Writes on their way into one batch: each is checked against what is on disk and what was staged before it.

use super::engine::{Batch, Engine, Table};
use super::error::StoreError;
use super::log::{Log, Store};
use super::revision::Revision;
use super::rows::{Census, Identity, Pruned, Totals, entry_key, seal, unseal, word};
use crate::ids::{ClientId, EpochId, Incarnation, Pid};
use crate::proto::io::Write;
use crate::record::{Entry, View};
use crate::seq::RangeSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A group of writes being put together.
pub(super) struct Staged<'a, E> {
    store: &'a Store<E>,
    change: Change,
    /// What is let go of.
    revision: Revision<'a, E>,
    /// Hashes of entries in the batch: a second fill of the same part must equal the first.
    fresh: BTreeMap<(EpochId, u64), u64>,
}

/// What a group of writes comes to.
pub(super) struct Change {
    pub(super) batch: Batch,
    pub(super) logs: BTreeMap<EpochId, Log>,
    pub(super) max_num: u64,
    pub(super) census: Census,
    pub(super) asides: u64,
    pub(super) totals: Totals,
    /// Whether messages are let go of.
    pub(super) has_pruned: bool,
}

impl<'a, E: Engine> Staged<'a, E> {
    pub(super) fn new(store: &'a Store<E>) -> Self {
        let change = Change {
            batch: Batch::default(),
            logs: BTreeMap::new(),
            max_num: store.max_num,
            census: store.census,
            asides: store.asides,
            totals: store.totals,
            has_pruned: false,
        };
        let revision = Revision::new(&store.engine, store.totals);
        Self { store, change, revision, fresh: BTreeMap::new() }
    }

    /// Adds one write.
    pub(super) fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        match write {
            Write::Seen { num } => self.see(*num),
            Write::Append { epoch, first, entries } => self.append(*epoch, *first, entries)?,
            Write::Close { epoch, cut } => self.log(*epoch).close(*cut),
            Write::Install { view } => self.install(view)?,
            Write::Commit { epoch, upto } => {
                let stable = &mut self.log(*epoch).head.stable;
                *stable = (*stable).max(*upto);
            }
            Write::Prune { epoch, ids, stays } => self.prune(*epoch, ids, *stays)?,
            Write::Fill { view, first, entries, closure, committed } => {
                self.fill(view, *first, entries)?;
                let log = self.log(view.epoch);
                log.head.stable = log.head.stable.max(*committed);
                if let Some(cut) = *closure {
                    log.close(cut);
                }
            }
        }
        Ok(())
    }

    /// The batch, with the heads last: what a head says is there was written before it.
    pub(super) fn finish(mut self) -> Change {
        let census = self.change.census;
        let seen = self.change.max_num;
        if self.change.has_pruned {
            let (mut batch, totals) = self.revision.finish();
            self.change.batch.0.append(&mut batch.0);
            self.change.totals = totals;
        }
        for (epoch, log) in &mut self.change.logs {
            let before = self.store.logs.get(epoch);
            if before.is_none() {
                self.change.census.add(*epoch);
            }
            if log.head.len >= log.head.lost {
                log.head.lost = 0;
            }
            if before.is_none_or(|before| before.head != log.head) {
                let key = epoch.to_bytes();
                self.change.batch.put(Table::Heads, key, seal(Table::Heads, &key, &log.head));
            }
        }
        if self.change.census != census {
            let Pid { server, incarnation } = self.store.pid;
            let identity = Identity { server, boot: incarnation.boot, census: self.change.census };
            for word in word::IDENTITY {
                self.change.batch.put(Table::Meta, word, seal(Table::Meta, word, &identity));
            }
        }
        if seen != self.store.max_num {
            self.change.batch.put(Table::Meta, word::SEEN, seal(Table::Meta, word::SEEN, &seen));
        }
        self.change
    }

    fn see(&mut self, num: u64) {
        self.change.max_num = self.change.max_num.max(num);
    }

    fn append(&mut self, epoch: EpochId, first: u64, entries: &[Entry]) -> Result<(), StoreError> {
        let log = self.log(epoch);
        if log.is_pruned() {
            return Ok(());
        }
        if log.view.is_none() {
            return Err(StoreError::NoView { epoch });
        }
        let len = log.head.len;
        if len.checked_add(1) != Some(first) {
            return Err(StoreError::Misplaced { epoch, first, len });
        }
        for (entry, gsn) in entries.iter().zip(first..) {
            self.put(epoch, gsn, entry);
        }
        Ok(())
    }

    fn install(&mut self, view: &View) -> Result<(), StoreError> {
        self.learn(view)?;
        self.log(view.epoch).head.installed = true;
        self.see(view.epoch.num);
        for &(parent, cut) in &view.parents {
            self.log(parent).close(cut);
        }
        Ok(())
    }

    fn fill(&mut self, view: &View, first: u64, entries: &[Entry]) -> Result<(), StoreError> {
        self.learn(view)?;
        let epoch = view.epoch;
        let log = self.log(epoch);
        if log.is_pruned() {
            return Ok(());
        }
        let len = log.head.len;
        if first == 0 || len.checked_add(1).is_none_or(|next| first > next) {
            return Err(StoreError::Misplaced { epoch, first, len });
        }
        for (entry, gsn) in entries.iter().zip(first..) {
            if gsn > len {
                self.put(epoch, gsn, entry);
            } else {
                self.compare(epoch, gsn, entry)?;
            }
        }
        Ok(())
    }

    /// Lets go of messages. Those of an epoch that is there go out of history with its entries, in the background; others
    /// at once.
    fn prune(&mut self, epoch: Option<EpochId>, ids: &[(ClientId, RangeSet)], stays: bool) -> Result<(), StoreError> {
        let how = if stays { Pruned::Stays } else { Pruned::UnderWay };
        let goes = epoch.is_some_and(|epoch| self.begin_pruning(epoch, how));
        for (client, numbers) in ids {
            self.change.has_pruned = true;
            if goes {
                self.revision.prune_later(*client, numbers)?;
            } else {
                self.revision.prune_now(*client, numbers)?;
            }
        }
        Ok(())
    }

    /// Lets go of an epoch; `false` when it is not known, or was let go of before.
    fn begin_pruning(&mut self, epoch: EpochId, how: Pruned) -> bool {
        let is_known = self.store.logs.contains_key(&epoch) || self.change.logs.contains_key(&epoch);
        let goes = is_known && !self.log(epoch).is_pruned();
        if goes {
            self.log(epoch).head.pruned = how;
        }
        goes
    }

    /// Learns a view; a different one of the same epoch is refused.
    fn learn(&mut self, view: &View) -> Result<(), StoreError> {
        let epoch = view.epoch;
        let log = self.log(epoch);
        match &log.view {
            Some(known) if **known == *view => {}
            Some(_) => return Err(StoreError::Conflict { epoch, gsn: 0 }),
            None => {
                log.view = Some(Arc::new(view.clone()));
                let key = epoch.to_bytes();
                self.change.batch.put(Table::Views, key, seal(Table::Views, &key, view));
            }
        }
        Ok(())
    }

    /// An entry that is there already must be this one. One that is there but bad is set aside and replaced.
    fn compare(&mut self, epoch: EpochId, gsn: u64, entry: &Entry) -> Result<(), StoreError> {
        if let Some(&hash) = self.fresh.get(&(epoch, gsn)) {
            return if hash == entry.hash() { Ok(()) } else { Err(StoreError::Conflict { epoch, gsn }) };
        }
        let key = entry_key(epoch, gsn);
        let stored = self.store.engine.get(Table::Entries, &key)?;
        match stored.as_ref().and_then(|value| unseal::<Entry>(Table::Entries, &key, value)) {
            Some(known) if known == *entry => Ok(()),
            Some(_) => Err(StoreError::Conflict { epoch, gsn }),
            None => {
                if let Some(value) = stored {
                    self.change.asides += 1;
                    let aside = aside_key(self.store.pid.incarnation, self.change.asides, Table::Entries, &key);
                    self.change.batch.put(Table::Aside, aside, value);
                }
                self.put(epoch, gsn, entry);
                Ok(())
            }
        }
    }

    fn put(&mut self, epoch: EpochId, gsn: u64, entry: &Entry) {
        let key = entry_key(epoch, gsn);
        let value = seal(Table::Entries, &key, entry);
        let head = &mut self.log(epoch).head;
        head.len = head.len.max(gsn);
        head.bytes = head.bytes.saturating_add(value.len() as u64);
        self.change.batch.put(Table::Entries, key, value);
        self.fresh.insert((epoch, gsn), entry.hash());
    }

    fn log(&mut self, epoch: EpochId) -> &mut Log {
        let known = &self.store.logs;
        self.change.logs.entry(epoch).or_insert_with(|| known.get(&epoch).cloned().unwrap_or_default())
    }
}

/// The key of a row that is set aside: in which life, the how many-th, and where it was.
pub(super) fn aside_key(life: Incarnation, number: u64, table: Table, key: &[u8]) -> Vec<u8> {
    [&life.boot.to_be_bytes()[..], &life.random.to_be_bytes(), &number.to_be_bytes(), &[table as u8], key].concat()
}
