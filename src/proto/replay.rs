//! All of history read back as far as it says who is where: that is not stored as such, it follows from the log.

use crate::ids::EpochId;
use crate::proto::epochs::{EpochLog, Epochs};
use crate::proto::gist::Subject;
use crate::record::Entry;
use std::collections::{BTreeMap, VecDeque};

/// Most entries kept that are shown while those before them are read; beyond, they are read, too.
pub const MAX_KEPT: usize = 4096;

/// Of each epoch first its gist, then the entries behind it, up to what this server has shown by then (`PROTOCOL.md` §8). The
/// oldest epochs first, and of each its entries in their order, as whoever was there from the beginning has taken them in.
///
/// What is shown of an epoch while the last of it is read is kept and follows from memory: it would have to be read for as long as
/// people talk.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Epochs still to be looked at, the oldest first.
    queue: VecDeque<EpochId>,
    read: BTreeMap<EpochId, Progress>,
    /// What was asked for last.
    asked: Option<Step>,
    /// What was shown behind it meanwhile, without a gap.
    kept: VecDeque<Entry>,
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
    /// What to read next; `None` when there is no more.
    pub fn next(&mut self, epochs: &Epochs) -> Option<Step> {
        loop {
            while let Some(&epoch) = self.queue.front() {
                let step = epochs.get(epoch).and_then(|log| self.step(epoch, log));
                if step.is_some() {
                    self.asked.clone_from(&step);
                    return step;
                }
                // It is at an end, or history no more.
                self.queue.pop_front();
                self.asked = None;
                self.kept.clear();
            }
            // Others may have come meanwhile, by a fill, or grown.
            let has_more = |(epoch, log): (EpochId, &EpochLog)| self.step(epoch, log).map(|_| epoch);
            self.queue = epochs.iter().filter_map(has_more).collect();
            if self.queue.is_empty() {
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
            Some(Progress::Entries(upto)) => match self.asked {
                // The rest of what was asked for: what comes behind it is kept.
                Some(Step::Entries(of, _, last)) if of == epoch && *upto < last => {
                    Some(Step::Entries(epoch, upto + 1, last))
                }
                _ => (*upto < log.delivered).then(|| Step::Entries(epoch, upto + 1, log.delivered)),
            },
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

    /// Entries of the epoch were read up to `upto`, `None` when what follows cannot be read. Returns those that follow it and were
    /// kept: with them, too, it is at an end.
    pub fn read_entries(&mut self, epoch: EpochId, upto: Option<u64>) -> VecDeque<Entry> {
        let last = if let Some(Step::Entries(_, _, last)) = self.asked { last } else { 0 };
        let mut kept = VecDeque::new();
        match upto {
            Some(upto) if upto < last => {
                self.read.insert(epoch, Progress::Entries(upto));
                return kept;
            }
            Some(_) => std::mem::swap(&mut kept, &mut self.kept),
            None => self.kept.clear(),
        }
        let upto = upto.unwrap_or(u64::MAX);
        self.read.insert(epoch, Progress::Entries(upto.saturating_add(kept.len() as u64)));
        self.asked = None;
        kept
    }

    /// An entry is shown. Whether it follows what was read of its epoch and may be taken in at once; if what comes before it is being
    /// read, it is kept.
    pub fn follows(&mut self, epoch: EpochId, gsn: u64, entry: &Entry) -> bool {
        if let Some(Step::Entries(of, _, last)) = self.asked
            && of == epoch
        {
            if gsn == last + 1 + self.kept.len() as u64 && self.kept.len() < MAX_KEPT {
                self.kept.push_back(entry.clone());
            }
            return false;
        }
        match self.read.get_mut(&epoch) {
            Some(Progress::Entries(upto)) if gsn == *upto + 1 => {
                *upto = gsn;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Pid;
    use crate::proto::epochs::Kept;
    use crate::proto::io::{Recovered, RecoveredEpoch};
    use crate::record::{Payload, Taken, View};
    use crate::time::Hlc;

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

    fn entry(oseq: u64) -> Entry {
        let (origin, hlc, taken, batch) = (Pid::default(), Hlc(0), Taken(0), Payload::default());
        Entry { origin, oseq, hlc, taken, batch }
    }

    #[test]
    fn gist_of_each_epoch_comes_before_its_entries_and_oldest_epochs_first() {
        let (mut replay, mut epochs) = (Replay::default(), epochs(&[9, 0, 5]));
        assert_eq!(replay.next(&epochs), Some(Step::Gists(epoch(1), None)));
        replay.read_gists(epoch(1), 7, Some(Subject::Room("tea".into())));
        assert_eq!(replay.next(&epochs), Some(Step::Gists(epoch(1), Some(Subject::Room("tea".into())))));
        replay.read_gists(epoch(1), 8, None);
        assert_eq!(replay.next(&epochs), Some(Step::Entries(epoch(1), 8, 9)), "the first page told of 7");
        assert!(replay.awaits(&Step::Entries(epoch(1), 8, 8)) && !replay.awaits(&Step::Gists(epoch(1), None)));
        replay.read_entries(epoch(1), Some(8));
        assert_eq!(replay.next(&epochs), Some(Step::Entries(epoch(1), 9, 9)));
        replay.read_entries(epoch(1), Some(9));
        assert_eq!(replay.next(&epochs), Some(Step::Gists(epoch(3), None)));
        replay.read_gists(epoch(3), 0, None);
        assert_eq!(replay.next(&epochs), Some(Step::Entries(epoch(3), 1, 5)));
        replay.read_entries(epoch(3), None);
        // In `--let-go` seed 973000077 a merge brought an epoch while the last one was read.
        epochs.get_mut(epoch(2)).unwrap().delivered = 3;
        assert_eq!(replay.next(&epochs), Some(Step::Gists(epoch(2), None)));
        replay.read_gists(epoch(2), 3, None);
        assert_eq!(replay.next(&epochs), None, "what could not be read is not asked for again");
    }

    #[test]
    fn what_is_shown_while_the_end_of_an_epoch_is_read_is_taken_from_memory_and_then_at_once() {
        let (mut replay, mut epochs) = (Replay::default(), epochs(&[5]));
        let show = |replay: &mut Replay, epochs: &mut Epochs, gsn| {
            epochs.get_mut(epoch(1)).unwrap().delivered = gsn;
            replay.follows(epoch(1), gsn, &entry(gsn))
        };
        replay.next(&epochs);
        replay.read_gists(epoch(1), 2, None);
        assert_eq!(replay.next(&epochs), Some(Step::Entries(epoch(1), 3, 5)));
        assert!(!show(&mut replay, &mut epochs, 6));
        assert!(replay.read_entries(epoch(1), Some(3)).is_empty());
        assert_eq!(replay.next(&epochs), Some(Step::Entries(epoch(1), 4, 5)), "and no further");
        assert!(!show(&mut replay, &mut epochs, 7));
        let kept: Vec<u64> = replay.read_entries(epoch(1), Some(5)).iter().map(|entry| entry.oseq).collect();
        assert_eq!((kept, replay.next(&epochs)), (vec![6, 7], None));
        assert!(show(&mut replay, &mut epochs, 8));
        assert_eq!(replay.next(&epochs), None);
    }

    #[test]
    fn what_was_kept_of_an_epoch_that_is_history_no_more_is_not_taken_for_another_s() {
        let (mut replay, mut epochs) = (Replay::default(), epochs(&[5, 5]));
        replay.next(&epochs);
        replay.read_gists(epoch(1), 5, None);
        assert_eq!(replay.next(&epochs), Some(Step::Gists(epoch(2), None)));
        replay.read_gists(epoch(2), 0, None);
        replay.next(&epochs);
        assert!(!replay.follows(epoch(2), 6, &entry(6)));
        assert!(replay.read_entries(epoch(2), Some(2)).is_empty());
        epochs.get_mut(epoch(2)).unwrap().kept = Kept::Due;
        epochs.get_mut(epoch(1)).unwrap().delivered = 8;
        assert_eq!(replay.next(&epochs), Some(Step::Entries(epoch(1), 6, 8)));
        assert!(replay.read_entries(epoch(1), Some(8)).is_empty());
    }

    #[test]
    fn beyond_what_may_be_kept_entries_are_read() {
        let (mut replay, mut epochs) = (Replay::default(), epochs(&[5]));
        replay.next(&epochs);
        replay.read_gists(epoch(1), 0, None);
        replay.next(&epochs);
        let most = 5 + MAX_KEPT as u64;
        for gsn in 6..=most + 9 {
            epochs.get_mut(epoch(1)).unwrap().delivered = gsn;
            assert!(!replay.follows(epoch(1), gsn, &entry(gsn)));
        }
        assert_eq!(replay.read_entries(epoch(1), Some(5)).len(), MAX_KEPT);
        assert_eq!(replay.next(&epochs), Some(Step::Entries(epoch(1), most + 1, most + 9)));
    }
}
