//! Parts of history that others asked this server for: answered one after another, as the rate allows.

use crate::ids::{EpochId, Pid};
use std::collections::VecDeque;

/// Most askers that wait: as many as a view has servers. One more is dropped, and asks again.
pub const MAX_ASKERS: usize = crate::record::MAX_SERVERS;

/// A part that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// By whom.
    pub by: Pid,
    /// Of which epoch.
    pub epoch: EpochId,
    /// From this gsn.
    pub first: u64,
}

/// Who waits for a part of history (`PROTOCOL.md` §9). The disk reads one part at a time: how large it is, and so what it
/// costs, is known when it is there.
#[derive(Clone, Debug, Default)]
pub struct Fills {
    waiting: VecDeque<Asked>,
    reading: bool,
}

impl Fills {
    /// Somebody asks. Who waits already asks for something else now, and keeps its place.
    pub fn ask(&mut self, asked: Asked) {
        if let Some(known) = self.waiting.iter_mut().find(|known| known.by == asked.by) {
            *known = asked;
        } else if self.waiting.len() < MAX_ASKERS {
            self.waiting.push_back(asked);
        }
    }

    /// Whether someone waits and nothing is being read.
    pub fn is_due(&self) -> bool {
        !self.reading && !self.waiting.is_empty()
    }

    /// The next part to read; nothing while one is being read.
    pub fn begin(&mut self) -> Option<Asked> {
        let next = if self.reading { None } else { self.waiting.pop_front() };
        self.reading |= next.is_some();
        next
    }

    /// What was being read is there, or will not be.
    pub fn done(&mut self) {
        self.reading = false;
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, ServerId};

    fn asked(by: u64, first: u64) -> Asked {
        let by = Pid { server: ServerId(by), incarnation: Incarnation::default() };
        Asked { by, epoch: EpochId::default(), first }
    }

    #[test]
    fn one_part_is_read_at_a_time_and_everyone_has_its_turn() {
        let mut fills = Fills::default();
        assert!(!fills.is_due() && fills.begin().is_none());
        for (by, first) in [(1, 1), (2, 1), (1, 5)] {
            fills.ask(asked(by, first));
        }
        assert_eq!(fills.begin(), Some(asked(1, 5)), "what it asked for last");
        fills.ask(asked(1, 9));
        assert!(!fills.is_due());
        assert_eq!(fills.begin(), None, "one is being read");
        fills.done();
        assert_eq!(fills.begin(), Some(asked(2, 1)));
        fills.done();
        assert_eq!(fills.begin(), Some(asked(1, 9)));
        assert!(fills.is_empty());
    }

    #[test]
    fn no_more_wait_than_a_view_has_servers() {
        let mut fills = Fills::default();
        for by in 0..1000 {
            fills.ask(asked(by, 1));
        }
        assert_eq!(fills.len(), MAX_ASKERS);
    }
}
