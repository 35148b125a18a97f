//! The last stretch of history, read back at a start: who was in which room is not stored, it follows from the log.

use crate::ids::EpochId;
use crate::proto::epochs::Epochs;
use std::collections::VecDeque;

/// Entries read back at most, the newest: who entered a room before them, and has been silent since, is not known.
const MAX_ENTRIES: u64 = 100_000;

/// Stretches of committed entries still to be read back, newest epoch first.
#[derive(Clone, Debug, Default)]
pub struct Replay(VecDeque<(EpochId, u64, u64)>);

impl Replay {
    /// The last [`MAX_ENTRIES`] committed entries.
    pub fn of(epochs: &Epochs) -> Self {
        let mut left = MAX_ENTRIES;
        let mut stretches = VecDeque::new();
        for (epoch, log) in epochs.iter().rev().filter(|(_, log)| log.is_kept()) {
            let last = log.committed();
            let count = last.min(left);
            if count > 0 {
                stretches.push_back((epoch, last - count + 1, last));
            }
            left -= count;
        }
        Self(stretches)
    }

    /// The stretch to read next.
    pub fn next(&self) -> Option<(EpochId, u64, u64)> {
        self.0.front().copied()
    }

    /// Entries of `epoch` up to `upto` were read, none when what follows cannot be read.
    pub fn read(&mut self, epoch: EpochId, upto: Option<u64>) {
        let Some((_, first, last)) = self.0.front_mut().filter(|(reading, ..)| *reading == epoch) else {
            return;
        };
        match upto {
            Some(upto) if upto < *last => *first = upto + 1,
            _ => {
                self.0.pop_front();
            }
        }
    }
}
