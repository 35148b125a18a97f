//! What this server knows of every epoch: its view, how long its log is here, what of it is history.
//!
//! A log of an epoch has one writer, so that its length says everything: `{epoch → length}` is a version vector
//! (`PROTOCOL.md` §9).

use crate::ids::EpochId;
use crate::proto::io::Recovered;
use crate::record::View;
use crate::wire::message::{EpochDigest, LogState};
use std::collections::BTreeMap;

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
}

impl EpochLog {
    fn new(view: View) -> Self {
        Self { view, appended: 0, durable: 0, stable: 0, closure: None, delivered: 0, reading: 0 }
    }

    /// Length of what is history: on disk here, and stable or closed by a later view.
    pub fn committed(&self) -> u64 {
        self.durable.min(self.stable.max(self.closure.unwrap_or(0)))
    }
}

/// All epochs this server knows. Grows by one for each view change that its history went through.
#[derive(Clone, Debug, Default)]
pub struct Epochs {
    logs: BTreeMap<EpochId, EpochLog>,
    last: Option<EpochId>,
    max_num: u64,
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
            epochs.max_num = epochs.max_num.max(epoch.view.epoch.num);
            epochs.logs.insert(epoch.view.epoch, log);
        }
        epochs
    }

    /// One epoch's log.
    pub fn get(&self, epoch: EpochId) -> Option<&EpochLog> {
        self.logs.get(&epoch)
    }

    /// One epoch's log, to change.
    pub fn get_mut(&mut self, epoch: EpochId) -> Option<&mut EpochLog> {
        self.logs.get_mut(&epoch)
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
        let cuts = self.logs.values().flat_map(|log| &log.view.parents);
        let closure = cuts.filter(|(parent, _)| *parent == view.epoch).map(|(_, cut)| *cut).max();
        self.logs.insert(view.epoch, EpochLog { closure, ..EpochLog::new(view.clone()) });
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
        if let Some(log) = self.logs.get_mut(&epoch) {
            log.closure = Some(log.closure.map_or(cut, |known| known.max(cut)));
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

    /// Committed length of every epoch but `current`, newest first, for comparing with another server.
    pub fn digest(&self, current: Option<EpochId>) -> Vec<EpochDigest> {
        self.logs
            .iter()
            .rev()
            .filter(|(epoch, _)| Some(**epoch) != current)
            .map(|(&epoch, log)| EpochDigest { epoch, committed: log.committed(), closure: log.closure })
            .collect()
    }

    /// A hash of [`Epochs::digest`]: equal here and there means that neither lacks anything of the other.
    ///
    /// Epochs with nothing committed do not count: whether a server has heard of them makes no history.
    pub fn digest_hash(&self, current: Option<EpochId>) -> u64 {
        let mut hash = 0;
        for (epoch, log) in &self.logs {
            let committed = log.committed();
            if Some(*epoch) == current || committed == 0 {
                continue;
            }
            let mut bytes = [0; 32];
            bytes[..24].copy_from_slice(&epoch.to_bytes());
            bytes[24..].copy_from_slice(&committed.to_be_bytes());
            hash ^= xxhash_rust::xxh3::xxh3_64(&bytes);
        }
        hash
    }

    /// How many epochs.
    pub fn len(&self) -> usize {
        self.logs.len()
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
        View { epoch: EpochId { num, ..EpochId::default() }, members: Vec::new(), parents }
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
