//! What a store holds, as a plain value: what a simulated disk is made of, and what the real store is compared with.

use crate::ids::{EpochId, Pid};
use crate::proto::gist::{Gist, Gists, Subject};
use crate::proto::io::{Recovered, RecoveredEpoch, Write};
use crate::record::{Entry, View};
use crate::seq::IdSet;
use crate::time::Hlc;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Entries after which the index makes its next step.
const INDEX_STEP: u64 = 32;
/// Gists in one page.
const GIST_PAGE: usize = 5;

/// The log of one epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// Its view.
    pub view: View,
    /// Entries from gsn 1.
    pub entries: Entries,
    /// Greatest length told to be history.
    pub stable: u64,
}

/// Entries of a log, in pieces: a long log grows without being moved. What is the same everywhere is kept once, not on
/// each disk.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entries(Vec<Vec<Arc<Entry>>>);

/// Gives the entry at a place, where one is kept elsewhere already.
pub type Kept<'a> = &'a dyn Fn(EpochId, u64) -> Option<Arc<Entry>>;

impl Entries {
    /// Entries in each piece but the last.
    const PIECE: usize = 512;

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * Self::PIECE + last.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One, from 0.
    pub fn get(&self, at: usize) -> Option<&Arc<Entry>> {
        self.0.get(at / Self::PIECE)?.get(at % Self::PIECE)
    }

    /// The last one.
    pub fn last(&self) -> Option<&Arc<Entry>> {
        self.0.last()?.last()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.iter().flatten()
    }

    /// Adds one at the end.
    pub fn push(&mut self, entry: Arc<Entry>) {
        match self.0.last_mut().filter(|last| last.len() < Self::PIECE) {
            Some(last) => last.push(entry),
            None => self.0.push(vec![entry]),
        }
    }

    /// Keeps the first ones only.
    pub fn truncate(&mut self, kept: usize) {
        self.0.truncate(kept.div_ceil(Self::PIECE));
        if let Some(last) = self.0.last_mut().filter(|_| !kept.is_multiple_of(Self::PIECE)) {
            last.truncate(kept % Self::PIECE);
        }
    }
}

/// The contents of a store.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Image {
    /// How often it was started.
    pub boot: u32,
    /// Greatest epoch number seen.
    pub max_num: u64,
    /// The last epoch installed.
    pub last: Option<EpochId>,
    /// Every epoch it has a view of.
    pub logs: BTreeMap<EpochId, Log>,
    /// Greatest closure known of each epoch, also of such as it has no log of.
    pub closures: BTreeMap<EpochId, u64>,
    /// Epochs that were let go of.
    pub pruned: BTreeSet<EpochId>,
    /// Messages that were history in them, and such as others told of.
    pub pruned_ids: IdSet,
    /// Whether something was set aside.
    pub damaged: bool,
}

/// A write that breaks the store's contract, told as the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misuse(pub String);

impl Image {
    /// Does one write.
    ///
    /// # Errors
    /// [`Misuse`] when the write does not follow on what is there; nothing is changed then.
    pub fn apply(&mut self, write: &Write) -> Result<(), Misuse> {
        self.apply_sharing(write, &|_, _| None)
    }

    /// The same; an entry that is the same where `kept` finds one is shared with that.
    ///
    /// # Errors
    /// See [`Image::apply`].
    pub fn apply_sharing(&mut self, write: &Write, kept: Kept<'_>) -> Result<(), Misuse> {
        match write {
            Write::Seen { num } => self.max_num = self.max_num.max(*num),
            Write::Append { epoch, first, entries } => self.append(*epoch, *first, entries, kept)?,
            Write::Close { epoch, cut } => self.close(*epoch, *cut),
            Write::Install { view } => self.install(view)?,
            Write::Commit { epoch, upto } => self.commit(*epoch, *upto)?,
            Write::Fill { view, first, entries, closure, committed } => {
                self.fill(view, *first, entries, *closure, *committed, kept)?;
            }
            Write::Prune { epoch, ids, .. } => {
                self.pruned.extend(epoch);
                for (client, numbers) in ids {
                    self.pruned_ids.union(*client, numbers);
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, epoch: EpochId, first: u64, entries: &[Entry], kept: Kept<'_>) -> Result<(), Misuse> {
        let Some(log) = self.logs.get_mut(&epoch) else {
            return Err(Misuse(format!("append to {epoch}, which is not installed")));
        };
        let next = log.entries.len() as u64 + 1;
        if first != next {
            return Err(Misuse(format!("append to {epoch} at {first}, where {next} comes next")));
        }
        for (gsn, entry) in (first..).zip(entries) {
            log.entries.push(shared(kept(epoch, gsn), entry));
        }
        Ok(())
    }

    fn close(&mut self, epoch: EpochId, cut: u64) {
        let closure = self.closures.entry(epoch).or_default();
        *closure = (*closure).max(cut);
    }

    fn install(&mut self, view: &View) -> Result<(), Misuse> {
        if self.last.is_some_and(|last| last >= view.epoch) {
            return Err(Misuse(format!("install of {} after {:?}", view.epoch, self.last)));
        }
        self.know(view)?;
        self.last = Some(view.epoch);
        self.max_num = self.max_num.max(view.epoch.num);
        for &(parent, cut) in &view.parents {
            self.close(parent, cut);
        }
        Ok(())
    }

    fn know(&mut self, view: &View) -> Result<&mut Log, Misuse> {
        let fresh = || Log { view: view.clone(), entries: Entries::default(), stable: 0 };
        let log = self.logs.entry(view.epoch).or_insert_with(fresh);
        if log.view != *view {
            return Err(Misuse(format!("two views of {}", view.epoch)));
        }
        Ok(log)
    }

    fn commit(&mut self, epoch: EpochId, upto: u64) -> Result<(), Misuse> {
        let Some(log) = self.logs.get_mut(&epoch) else {
            return Err(Misuse(format!("commit of {epoch}, which is unknown")));
        };
        if upto > log.entries.len() as u64 {
            return Err(Misuse(format!("commit of {epoch} to {upto}, beyond {}", log.entries.len())));
        }
        log.stable = log.stable.max(upto);
        Ok(())
    }

    fn fill(
        &mut self,
        view: &View,
        first: u64,
        entries: &[Entry],
        closure: Option<u64>,
        committed: u64,
        kept: Kept<'_>,
    ) -> Result<(), Misuse> {
        for &(parent, cut) in &view.parents {
            self.close(parent, cut);
        }
        if let Some(cut) = closure {
            self.close(view.epoch, cut);
        }
        self.max_num = self.max_num.max(view.epoch.num);
        let log = self.know(view)?;
        let len = log.entries.len() as u64;
        if first > len + 1 {
            return Err(Misuse(format!("fill of {} at {first} leaves a hole after {len}", view.epoch)));
        }
        for (at, entry) in (first..).zip(entries) {
            match log.entries.get((at - 1) as usize) {
                Some(there) if **there != *entry => {
                    return Err(Misuse(format!("fill of {} differs at {at}", view.epoch)));
                }
                Some(_) => {}
                None => log.entries.push(shared(kept(view.epoch, at), entry)),
            }
        }
        log.stable = log.stable.max(committed.min(log.entries.len() as u64));
        Ok(())
    }

    /// The entry of an epoch's log at `gsn`.
    pub fn entry(&self, epoch: EpochId, gsn: u64) -> Option<Arc<Entry>> {
        self.logs.get(&epoch)?.entries.get((gsn as usize).checked_sub(1)?).cloned()
    }

    /// Length of an epoch's log; 0 when there is none.
    pub fn len(&self, epoch: EpochId) -> u64 {
        self.logs.get(&epoch).map_or(0, |log| log.entries.len() as u64)
    }

    /// Whether it knows no epoch.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Length of an epoch that is history, or was before it was let go of.
    pub fn committed(&self, epoch: EpochId) -> u64 {
        let Some(log) = self.logs.get(&epoch) else { return 0 };
        let closure = self.closures.get(&epoch).copied().unwrap_or(0);
        log.stable.max(closure).min(log.entries.len() as u64)
    }

    /// Entries `first..=last` as far as they are there, at least one and then no more than the budget.
    pub fn read(&self, epoch: EpochId, first: u64, last: u64, budget_bytes: usize) -> Vec<Entry> {
        let Some(log) = self.logs.get(&epoch).filter(|_| !self.pruned.contains(&epoch)) else { return Vec::new() };
        let upto = (last as usize).min(log.entries.len());
        let from = (first.max(1) - 1) as usize;
        let mut spent = 0;
        let fits = |entry: &&Entry| {
            let begins = spent == 0;
            spent += entry.batch.len() + 64;
            begins || spent <= budget_bytes
        };
        let stretch = (from..upto).filter_map(|at| log.entries.get(at)).map(AsRef::as_ref);
        stretch.take_while(fits).cloned().collect()
    }

    /// A page of what an index that is somewhat behind says of an epoch.
    pub fn gists(&self, epoch: EpochId, after: Option<&Subject>) -> Gists {
        let Some(log) = self.logs.get(&epoch).filter(|_| !self.pruned.contains(&epoch)) else {
            return Gists::default();
        };
        let indexed = log.stable.min(self.committed(epoch)) / INDEX_STEP * INDEX_STEP;
        let mut gists = Gists::of(&log.view, log.entries.iter().take(indexed as usize).map(AsRef::as_ref));
        gists.gists.retain(|gist| after.is_none_or(|after| gist.subject() > *after));
        if gists.gists.len() > GIST_PAGE {
            gists.gists.truncate(GIST_PAGE);
            gists.more = gists.gists.last().map(Gist::subject);
        }
        gists
    }

    /// What a start finds, for a life of this name.
    pub fn recover(&self, pid: Pid) -> Recovered {
        let mut ids = self.pruned_ids.clone();
        let mut messages = 0;
        for (&epoch, log) in self.logs.iter().filter(|(epoch, _)| !self.pruned.contains(epoch)) {
            for entry in log.entries.iter().take(self.committed(epoch) as usize) {
                messages += entry.messages().map(|(_, message)| u64::from(ids.insert(message.id))).sum::<u64>();
            }
        }
        let hlcs = self.logs.values().filter_map(|log| log.entries.last()).map(|entry| entry.hlc);
        let epochs = self.logs.iter().map(|(epoch, log)| RecoveredEpoch {
            view: log.view.clone(),
            len: log.entries.len() as u64,
            stable: log.stable,
            closure: self.closures.get(epoch).copied(),
            bytes: log.entries.iter().map(|entry| entry.bytes()).sum(),
            pruned: self.pruned.contains(epoch),
        });
        Recovered {
            pid,
            max_num: self.max_num,
            last: self.last,
            epochs: epochs.collect(),
            ids,
            pruned: self.pruned_ids.clone(),
            hlc: hlcs.max().unwrap_or(Hlc(0)),
            messages,
            damaged: self.damaged,
            damage: None,
        }
    }
}

fn shared(kept: Option<Arc<Entry>>, entry: &Entry) -> Arc<Entry> {
    kept.filter(|kept| **kept == *entry).unwrap_or_else(|| Arc::new(entry.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Payload, Taken};

    #[test]
    fn entries_in_pieces_are_those_that_were_added() {
        let (origin, hlc, taken, batch) = (Pid::default(), Hlc(0), Taken(0), Payload::default());
        let entry = |oseq| Entry { origin, oseq, hlc, taken, batch: batch.clone() };
        let mut entries = Entries::default();
        assert!(entries.is_empty() && entries.last().is_none());
        for oseq in 0..1500 {
            entries.push(Arc::new(entry(oseq)));
        }
        for kept in [1500, 1024, 1023, 513, 512, 1, 0] {
            entries.truncate(kept);
            assert_eq!((entries.len(), entries.is_empty()), (kept, kept == 0));
            assert!(entries.iter().map(|entry| entry.oseq).eq(0..kept as u64));
            assert_eq!(entries.get(kept), None);
            assert_eq!(entries.last(), kept.checked_sub(1).and_then(|last| entries.get(last)));
        }
    }
}
