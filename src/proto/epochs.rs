//! What this server knows of every epoch: its view, how long its log is here, what of it is history.
//!
//! A log of an epoch has one writer, so that its length says everything: `{epoch → length}` is a version vector
//! (`PROTOCOL.md` §9).

use crate::ids::EpochId;
use crate::proto::io::Recovered;
use crate::record::View;
use crate::time::Hlc;
use crate::wire::message::{EpochDigest, LogState, StretchDigest};
use std::collections::{BTreeMap, BTreeSet};

/// One epoch's log, as it is here.
#[derive(Clone, Debug)]
pub struct EpochLog {
    /// Who was in it, and what it follows.
    pub view: View,
    /// Length, writes under way included.
    pub appended: u64,
    /// Length on disk.
    pub durable: u64,
    /// Length known to be on every member's disk.
    pub stable: u64,
    /// Greatest cut at which some view is known to have closed it.
    pub closure: Option<u64>,
    /// Length whose messages are in this server's ids and were shown.
    pub delivered: u64,
    /// Length whose messages are being read back from the store, at least [`EpochLog::delivered`].
    pub reading: u64,
    /// What its entries take on the disk, about, in bytes.
    pub bytes: u64,
    /// What becomes of it.
    pub kept: Kept,
    /// What [`Epochs::digest_hash`] holds of it.
    hashed: u64,
}

/// What becomes of an epoch's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It is history.
    Whole,
    /// It is below the horizon: its messages are still to be let go of.
    Due,
    /// Only the view and the lengths are kept.
    Lengths,
}

impl EpochLog {
    fn new(view: View) -> Self {
        let kept = Kept::Whole;
        let numbers = (0, 0, 0, 0, 0);
        let (appended, durable, stable, delivered, reading) = numbers;
        Self { view, appended, durable, stable, closure: None, delivered, reading, bytes: 0, kept, hashed: 0 }
    }

    /// Whether its messages are history.
    pub fn is_kept(&self) -> bool {
        self.kept == Kept::Whole
    }

    /// Length of what is history: on disk here, and stable or closed by a later view.
    pub fn committed(&self) -> u64 {
        self.durable.min(self.stable.max(self.closure.unwrap_or(0)))
    }

    /// Its part of a hash of histories. Epochs with nothing committed do not count: whether a server has heard of them makes
    /// no history; nor do those below the horizon.
    fn hash(&self) -> u64 {
        let committed = self.committed();
        if committed == 0 || !self.is_kept() {
            return 0;
        }
        let mut bytes = [0; 32];
        bytes[..24].copy_from_slice(&self.view.epoch.to_bytes());
        bytes[24..].copy_from_slice(&committed.to_be_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    fn digest(&self) -> EpochDigest {
        EpochDigest { epoch: self.view.epoch, committed: self.committed(), closure: self.closure }
    }
}

/// All epochs this server knows. Grows by one for each view change that its history went through.
#[derive(Clone, Debug, Default)]
pub struct Epochs {
    logs: BTreeMap<EpochId, EpochLog>,
    last: Option<EpochId>,
    max_num: u64,
    /// The greatest that a view tells: epochs that began before it are not history.
    horizon: Hlc,
    /// Those below it that are still to be let go of.
    due: BTreeSet<EpochId>,
    /// How many others are below it.
    let_go: usize,
    /// Of each epoch that a known view follows, known or not: the greatest cut at which one closed it.
    cuts: BTreeMap<EpochId, u64>,
    /// All of [`EpochLog::hash`], but for what has changed since, which is in `changed`.
    hash: u64,
    changed: BTreeSet<EpochId>,
}

impl Epochs {
    /// What the store held.
    pub fn recovered(recovered: &Recovered) -> Self {
        let mut epochs = Self { last: recovered.last, max_num: recovered.max_num, ..Self::default() };
        for epoch in &recovered.epochs {
            let mut log = EpochLog::new(epoch.view.clone());
            log.appended = epoch.len;
            log.durable = epoch.len;
            log.stable = epoch.stable;
            log.closure = epoch.closure;
            log.delivered = log.committed();
            log.reading = log.delivered;
            log.bytes = epoch.bytes;
            if epoch.pruned {
                log.kept = Kept::Lengths;
                epochs.let_go += 1;
            }
            epochs.max_num = epochs.max_num.max(epoch.view.epoch.num);
            epochs.note_cuts(&epoch.view);
            epochs.changed.insert(epoch.view.epoch);
            epochs.logs.insert(epoch.view.epoch, log);
        }
        // Of all views: a restored copy has installed none of them.
        let horizon = recovered.epochs.iter().map(|epoch| epoch.view.horizon).max();
        epochs.raise_horizon(horizon.unwrap_or(Hlc(0)));
        epochs
    }

    /// One epoch's log.
    pub fn get(&self, epoch: EpochId) -> Option<&EpochLog> {
        self.logs.get(&epoch)
    }

    /// One epoch's log, to change.
    pub fn get_mut(&mut self, epoch: EpochId) -> Option<&mut EpochLog> {
        let log = self.logs.get_mut(&epoch)?;
        self.changed.insert(epoch);
        Some(log)
    }

    /// All logs, ascending by epoch.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (EpochId, &EpochLog)> {
        self.logs.iter().map(|(epoch, log)| (*epoch, log))
    }

    /// The last epoch this server installed, in this life or an earlier one.
    pub fn last(&self) -> Option<EpochId> {
        self.last
    }

    /// The greatest epoch number seen.
    pub fn max_num(&self) -> u64 {
        self.max_num
    }

    /// Epochs that began before this are not history.
    pub fn horizon(&self) -> Hlc {
        self.horizon
    }

    /// What is below this horizon is history no more; whether it is greater than all before.
    pub fn raise_horizon(&mut self, horizon: Hlc) -> bool {
        let is_new = horizon > self.horizon;
        if is_new {
            self.horizon = horizon;
            for (epoch, log) in &mut self.logs {
                if log.is_kept() && log.view.is_below(horizon) {
                    log.kept = Kept::Due;
                    self.due.insert(*epoch);
                    self.changed.insert(*epoch);
                }
            }
        }
        is_new
    }

    /// Epochs below the horizon that are still to be let go of, ascending.
    pub fn due(&self) -> impl Iterator<Item = EpochId> {
        self.due.iter().copied()
    }

    /// An epoch below the horizon was let go of.
    pub fn let_go(&mut self, epoch: EpochId) {
        if self.due.remove(&epoch)
            && let Some(log) = self.logs.get_mut(&epoch)
        {
            log.kept = Kept::Lengths;
            self.let_go += 1;
        }
    }

    /// Notes an epoch number; whether it is greater than all before.
    pub fn saw(&mut self, num: u64) -> bool {
        let new = num > self.max_num;
        self.max_num = self.max_num.max(num);
        new
    }

    /// Adds an epoch that others went through; known ones stay as they are.
    pub fn learn(&mut self, view: &View) {
        self.saw(view.epoch.num);
        if self.logs.contains_key(&view.epoch) {
            return;
        }
        // Views that followed may be known longer than this one: what they closed stands on the disk already.
        let closure = self.cuts.get(&view.epoch).copied();
        self.note_cuts(view);
        let kept = if view.is_below(self.horizon) { Kept::Due } else { Kept::Whole };
        if kept == Kept::Due {
            self.due.insert(view.epoch);
        }
        self.logs.insert(view.epoch, EpochLog { closure, kept, ..EpochLog::new(view.clone()) });
    }

    fn note_cuts(&mut self, view: &View) {
        for &(parent, cut) in &view.parents {
            let known = self.cuts.entry(parent).or_insert(cut);
            *known = cut.max(*known);
        }
    }

    /// Makes this view the last one, and its parents closed.
    pub fn install(&mut self, view: &View) {
        self.learn(view);
        self.close_parents(view);
        self.last = Some(view.epoch);
    }

    /// Records the cuts at which a view closed its parents.
    pub fn close_parents(&mut self, view: &View) {
        for &(parent, cut) in &view.parents {
            self.close(parent, cut);
        }
    }

    /// Records what the view of a known epoch closed; whether more of some epoch is history for it.
    pub fn close_parents_of(&mut self, epoch: EpochId) -> bool {
        let Some(view) = self.get(epoch).map(|log| log.view.clone()) else {
            return false;
        };
        let committed = |epochs: &Self| -> Vec<u64> {
            let of = |(parent, _): &(EpochId, u64)| epochs.get(*parent).map_or(0, EpochLog::committed);
            view.parents.iter().map(of).collect()
        };
        let before = committed(self);
        self.close_parents(&view);
        committed(self) != before
    }

    /// Records that some view closed `epoch` at `cut`; of several cuts the greatest counts. An unknown epoch is left
    /// alone: [`Epochs::learn`] looks for what was closed of it.
    pub fn close(&mut self, epoch: EpochId, cut: u64) {
        if let Some(log) = self.get_mut(epoch) {
            log.closure = Some(log.closure.map_or(cut, |known| known.max(cut)));
        }
    }

    /// Another server counts so much of an epoch as history, and the disk here knows.
    pub fn hear_stable(&mut self, epoch: EpochId, upto: u64) {
        if let Some(log) = self.get_mut(epoch) {
            log.stable = log.stable.max(upto);
        }
    }

    /// What `State` says of one epoch; an unknown one has length 0.
    pub fn state_of(&self, epoch: EpochId) -> LogState {
        self.logs.get(&epoch).map_or(LogState { epoch, len: 0, stable: 0, closure: None }, |log| LogState {
            epoch,
            len: log.durable,
            stable: log.stable,
            closure: log.closure,
        })
    }

    /// Committed length of every epoch that is history but `current`, newest first, for comparing with another server.
    pub fn digest(&self, current: Option<EpochId>) -> Vec<EpochDigest> {
        let told = self.logs.iter().rev().filter(|(epoch, log)| Some(**epoch) != current && log.is_kept());
        told.map(|(_, log)| log.digest()).collect()
    }

    /// [`Epochs::digest`] of some stretches, each of so many numbers.
    pub fn digest_of(&self, current: Option<EpochId>, stretches: &[u64], length: u64) -> Vec<EpochDigest> {
        let of = |number: u64| {
            let first = EpochId { num: number.saturating_mul(length), ..EpochId::default() };
            let end = EpochId { num: first.num.saturating_add(length), ..EpochId::default() };
            self.logs.range(first..end)
        };
        let logs = stretches.iter().flat_map(|number| of(*number));
        let logs = logs.filter(|(epoch, log)| Some(**epoch) != current && log.is_kept());
        logs.map(|(_, log)| log.digest()).collect()
    }

    /// Every stretch of so many numbers in which an epoch but `current` is known that is history, ascending.
    pub fn summary(&self, current: Option<EpochId>, length: u64) -> Vec<StretchDigest> {
        let mut stretches: Vec<StretchDigest> = Vec::new();
        let told = self.logs.iter().filter(|(epoch, log)| Some(**epoch) != current && log.is_kept());
        for (epoch, log) in told {
            let number = epoch.num / length;
            match stretches.last_mut() {
                Some(stretch) if stretch.number == number => {
                    stretch.epochs += 1;
                    stretch.hash ^= log.hash();
                }
                _ => stretches.push(StretchDigest { number, epochs: 1, hash: log.hash() }),
            }
        }
        stretches
    }

    /// A hash of [`Epochs::digest`]: equal here and there means that neither lacks anything of the other. Takes a look at
    /// each epoch that was changed since [`Epochs::settle`].
    pub fn digest_hash(&self, current: Option<EpochId>) -> u64 {
        let changed = self.changed.iter().filter_map(|epoch| self.get(*epoch));
        let hash = changed.fold(self.hash, |hash, log| hash ^ log.hashed ^ log.hash());
        hash ^ current.and_then(|current| self.get(current)).map_or(0, EpochLog::hash)
    }

    /// Takes what was changed into the hash of all.
    pub fn settle(&mut self) {
        while let Some(epoch) = self.changed.pop_first() {
            if let Some(log) = self.logs.get_mut(&epoch) {
                let hash = log.hash();
                self.hash ^= std::mem::replace(&mut log.hashed, hash) ^ hash;
            }
        }
    }

    /// How many epochs, those that were let go of apart.
    pub fn len(&self) -> usize {
        self.logs.len() - self.let_go
    }

    /// Whether no epoch is known.
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(num: u64, parents: Vec<(EpochId, u64)>) -> View {
        View { epoch: EpochId { num, ..EpochId::default() }, parents, ..View::default() }
    }

    /// Seed 107 of the simulator, `--people`: a restart found a closure that the running server did not know.
    #[test]
    fn what_a_view_closed_is_known_also_when_that_epoch_is_learnt_later() {
        let old = view(1, Vec::new());
        let mut epochs = Epochs::default();
        epochs.install(&view(3, vec![(old.epoch, 26)]));
        epochs.learn(&view(2, vec![(old.epoch, 14)]));
        epochs.learn(&old);
        assert_eq!(epochs.get(old.epoch).and_then(|log| log.closure), Some(26));
    }

    #[test]
    fn hash_follows_every_change_and_leaves_the_current_epoch_out() {
        let (mut epochs, mut again) = (Epochs::default(), Epochs::default());
        for num in 1..=300 {
            epochs.learn(&view(num, Vec::new()));
            again.learn(&view(301 - num, Vec::new()));
        }
        for num in 1..=300 {
            let epoch = EpochId { num, ..EpochId::default() };
            for (epochs, steps) in [(&mut epochs, 3), (&mut again, 1)] {
                for step in (0..steps).rev() {
                    let log = epochs.get_mut(epoch).unwrap();
                    (log.durable, log.stable) = (num - step % num, num);
                    if num % 7 == step {
                        epochs.settle();
                    }
                }
            }
        }
        let forty = EpochId { num: 40, ..EpochId::default() };
        let current = Some(forty);
        assert_eq!(epochs.digest_hash(None), again.digest_hash(None));
        assert_ne!(epochs.digest_hash(None), epochs.digest_hash(current));
        again.get_mut(forty).unwrap().durable = 1;
        assert_ne!(epochs.digest_hash(None), again.digest_hash(None));
        assert_eq!(epochs.digest_hash(current), again.digest_hash(current));
        again.settle();
        assert_eq!(epochs.digest_hash(current), again.digest_hash(current));
    }

    #[test]
    fn summary_tells_which_stretches_differ_and_a_digest_has_no_others() {
        let (mut epochs, length) = (Epochs::default(), 256);
        for num in [1, 255, 256, 600, u64::MAX] {
            epochs.learn(&view(num, Vec::new()));
        }
        let before = epochs.summary(None, length);
        let log = epochs.get_mut(EpochId { num: 256, ..EpochId::default() }).unwrap();
        (log.durable, log.stable) = (5, 5);
        let after = epochs.summary(None, length);
        let told: Vec<_> = after.iter().map(|stretch| (stretch.number, stretch.epochs)).collect();
        assert_eq!(told, [(0, 2), (1, 1), (2, 1), (u64::MAX / 256, 1)]);
        let differ: Vec<_> = after.iter().zip(&before).filter(|(a, b)| a != b).map(|(a, _)| a.number).collect();
        assert_eq!(differ, [1]);
        let digest = |of: &[u64]| epochs.digest_of(None, of, length).iter().map(|d| d.epoch.num).collect::<Vec<_>>();
        assert_eq!((digest(&[1]), digest(&[2, 0]), digest(&[7])), (vec![256], vec![600, 1, 255], vec![]));
    }

    #[test]
    fn what_is_below_the_horizon_is_told_to_nobody_and_due_until_it_has_gone() {
        let mut epochs = Epochs::default();
        for num in 1..=3 {
            epochs.learn(&View { began: Hlc(10 * num), ..view(num, Vec::new()) });
            let log = epochs.get_mut(EpochId { num, ..EpochId::default() }).unwrap();
            (log.durable, log.stable) = (5, 5);
        }
        epochs.settle();
        let whole = epochs.digest_hash(None);
        assert!(epochs.raise_horizon(Hlc(25)) && !epochs.raise_horizon(Hlc(20)));
        assert_eq!(epochs.horizon(), Hlc(25));
        let told = |epochs: &Epochs| epochs.digest(None).iter().map(|digest| digest.epoch.num).collect::<Vec<_>>();
        let due = |epochs: &Epochs| epochs.due().map(|epoch| epoch.num).collect::<Vec<_>>();
        assert_eq!((told(&epochs), due(&epochs)), (vec![3], vec![1, 2]));
        let mut alone = Epochs::default();
        alone.learn(&View { began: Hlc(30), ..view(3, Vec::new()) });
        let log = alone.get_mut(EpochId { num: 3, ..EpochId::default() }).unwrap();
        (log.durable, log.stable) = (5, 5);
        assert_ne!(epochs.digest_hash(None), whole);
        assert_eq!(epochs.digest_hash(None), alone.digest_hash(None), "as one who never had them");
        epochs.let_go(EpochId { num: 1, ..EpochId::default() });
        assert_eq!(epochs.len(), 2);
        epochs.learn(&View { began: Hlc(7), ..view(4, Vec::new()) });
        assert_eq!((told(&epochs), due(&epochs)), (vec![3], vec![2, 4]), "one that is learnt later, too");
    }

    #[test]
    fn view_that_came_by_a_fill_closes_its_parents_once_it_is_on_disk() {
        let old = view(1, Vec::new());
        let mut epochs = Epochs::default();
        epochs.learn(&old);
        epochs.get_mut(old.epoch).unwrap().durable = 40;
        epochs.learn(&view(2, vec![(old.epoch, 42)]));
        assert_eq!(epochs.get(old.epoch).map(EpochLog::committed), Some(0));
        assert!(epochs.close_parents_of(EpochId { num: 2, ..EpochId::default() }));
        assert_eq!(epochs.get(old.epoch).map(EpochLog::committed), Some(40));
        assert!(!epochs.close_parents_of(EpochId { num: 2, ..EpochId::default() }));
    }
}
