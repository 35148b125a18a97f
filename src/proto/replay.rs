//! All of history read back as far as it says who is where: that is not stored as such, it follows from the log.

use crate::ids::EpochId;
use crate::proto::epochs::{EpochLog, Epochs};
use crate::proto::gist::Subject;
use std::collections::BTreeMap;

/// Of each epoch first its gist, then the entries behind it, up to what this server has shown by then (`PROTOCOL.md` §8).
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Epochs still to be looked at, the newest last.
    queue: Vec<EpochId>,
    read: BTreeMap<EpochId, Progress>,
    /// What was asked for last.
    asked: Option<Step>,
}

/// How far an epoch is read.
#[derive(Clone, Debug)]
enum Progress {
    /// Its gists, the last of them this one; they tell of the log up to `upto`.
    Gists { last: Subject, upto: u64 },
    /// Its gists, and its entries up to here.
    Entries(u64),
}

/// What to read next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Gists of an epoch, behind this one.
    Gists(EpochId, Option<Subject>),
    /// Entries of an epoch: the first, and the last.
    Entries(EpochId, u64, u64),
}

impl Replay {
    /// What to read next, newest epochs first; `None` when there is no more.
    pub fn next(&mut self, epochs: &Epochs) -> Option<Step> {
        loop {
            while let Some(&epoch) = self.queue.last() {
                self.asked = epochs.get(epoch).and_then(|log| self.step(epoch, log));
                if self.asked.is_some() {
                    return self.asked.clone();
                }
                self.queue.pop();
            }
            // What was shown while others were read follows, so that each epoch comes in its order.
            let has_more = |(epoch, log): (EpochId, &EpochLog)| self.step(epoch, log).map(|_| epoch);
            self.queue = epochs.iter().filter_map(has_more).collect();
            if self.queue.is_empty() {
                self.asked = None;
                return None;
            }
        }
    }

    fn step(&self, epoch: EpochId, log: &EpochLog) -> Option<Step> {
        if !log.is_kept() || log.delivered == 0 {
            return None;
        }
        match self.read.get(&epoch) {
            None => Some(Step::Gists(epoch, None)),
            Some(Progress::Gists { last, .. }) => Some(Step::Gists(epoch, Some(last.clone()))),
            Some(Progress::Entries(upto)) => {
                (*upto < log.delivered).then(|| Step::Entries(epoch, upto + 1, log.delivered))
            }
        }
    }

    /// Whether this is what was asked for last.
    pub fn awaits(&self, step: &Step) -> bool {
        match (&self.asked, step) {
            (Some(Step::Entries(epoch, first, _)), Step::Entries(of, from, _)) => (epoch, first) == (of, from),
            (asked, step) => asked.as_ref() == Some(step),
        }
    }

    /// Gists of the epoch were read, which tell of its log up to `upto`; `more` is the last of them when others follow.
    pub fn read_gists(&mut self, epoch: EpochId, upto: u64, more: Option<Subject>) {
        // The index may have gone on between the first of them and the last.
        let upto = match self.read.get(&epoch) {
            Some(Progress::Gists { upto: first, .. }) => upto.min(*first),
            _ => upto,
        };
        let progress = more.map_or(Progress::Entries(upto), |last| Progress::Gists { last, upto });
        self.read.insert(epoch, progress);
    }

    /// Entries of the epoch were read up to `upto`; `None` when what follows cannot be read.
    pub fn read_entries(&mut self, epoch: EpochId, upto: Option<u64>) {
        self.read.insert(epoch, Progress::Entries(upto.unwrap_or(u64::MAX)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Pid;
    use crate::proto::io::{Recovered, RecoveredEpoch};
    use crate::record::View;

    fn epoch(num: u64) -> EpochId {
        EpochId { num, leader: Pid::default() }
    }

    fn epochs(stable: &[u64]) -> Epochs {
        let one = |(num, stable): (u64, &u64)| {
            let view = View { epoch: epoch(num), ..View::default() };
            RecoveredEpoch { view, len: *stable, stable: *stable, closure: None, bytes: 0, pruned: false }
        };
        Epochs::recovered(&Recovered { epochs: (1..).zip(stable).map(one).collect(), ..Recovered::default() })
    }

    #[test]
    fn gist_of_each_epoch_comes_before_its_entries_and_newest_epochs_first() {
        let (mut replay, mut epochs) = (Replay::default(), epochs(&[5, 0, 9]));
        assert_eq!(replay.next(&epochs), Some(Step::Gists(epoch(3), None)));
        replay.read_gists(epoch(3), 7, Some(Subject::Room("tea".into())));
        assert_eq!(replay.next(&epochs), Some(Step::Gists(epoch(3), Some(Subject::Room("tea".into())))));
        replay.read_gists(epoch(3), 8, None);
        assert_eq!(replay.next(&epochs), Some(Step::Entries(epoch(3), 8, 9)), "the first page told of 7");
        assert!(replay.awaits(&Step::Entries(epoch(3), 8, 8)) && !replay.awaits(&Step::Gists(epoch(3), None)));
        replay.read_entries(epoch(3), Some(8));
        assert_eq!(replay.next(&epochs), Some(Step::Entries(epoch(3), 9, 9)));
        replay.read_entries(epoch(3), Some(9));
        assert_eq!(replay.next(&epochs), Some(Step::Gists(epoch(1), None)));
        replay.read_gists(epoch(1), 0, None);
        replay.read_entries(epoch(1), None);
        // In `--let-go` seed 973000077 a merge brought an epoch while the last one was read.
        epochs.get_mut(epoch(2)).unwrap().delivered = 3;
        assert_eq!(replay.next(&epochs), Some(Step::Gists(epoch(2), None)));
        replay.read_gists(epoch(2), 3, None);
        assert_eq!(replay.next(&epochs), None, "what could not be read is not asked for again");
    }
}
