//! What this server has let go of, and what it is letting go of: epochs below the horizon (`PROTOCOL.md` §9).
//!
//! Of such an epoch it is kept which messages were history in it: a later copy of one, ordered beyond a cut that is still to
//! heal, is no history either. Members tell each other these ids, so that a newcomer passes over the same copies.

use crate::ids::{ClientId, EpochId, Pid};
use crate::proto::settings::WANT_AGAIN;
use crate::proto::table::Pieces;
use crate::record::Entry;
use crate::seq::{IdSet, RangeSet};
use crate::time::Time;
use std::collections::BTreeMap;

/// The ids of what was let go of, the epoch that is read to be let go of, and what others told.
#[derive(Clone, Debug)]
pub struct Pruning {
    ids: IdSet,
    /// Of the ids; `None` since some were added.
    hash: Option<u64>,
    reading: Option<Reading>,
    /// Of members, the hash of the ids they told of: all of these are known here.
    merged: BTreeMap<Pid, u64>,
    /// When members were asked for theirs, or told the last of them, and the hash that they began with.
    asked: BTreeMap<Pid, (Time, Option<u64>)>,
    /// How far the pieces of their answers have come.
    pub(super) pieces: Pieces,
    /// Messages that left history since [`Pruning::finish`].
    gone: u64,
    /// Some epoch was let go of since.
    is_less: bool,
}

/// An epoch that is read, and what was history in it.
#[derive(Clone, Debug)]
struct Reading {
    epoch: EpochId,
    next: u64,
    upto: u64,
    ids: IdSet,
}

/// What to do next about an epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Read these entries.
    Read {
        /// The epoch.
        epoch: EpochId,
        /// First gsn.
        first: u64,
        /// Last gsn.
        last: u64,
    },
    /// All of it was read: these were its messages.
    LetGo {
        /// The epoch.
        epoch: EpochId,
        /// Of each client its numbers.
        ids: Vec<(ClientId, RangeSet)>,
    },
}

impl Pruning {
    /// What the store had let go of.
    pub fn recovered(ids: IdSet) -> Self {
        let hash = Some(hash(&ids));
        Self {
            ids,
            hash,
            reading: None,
            merged: BTreeMap::new(),
            asked: BTreeMap::new(),
            pieces: Pieces::default(),
            gone: 0,
            is_less: false,
        }
    }

    /// The ids of what was let go of.
    pub fn ids(&self) -> &IdSet {
        &self.ids
    }

    /// A hash of them, never 0; none until what was added has settled.
    pub fn hash(&self) -> Option<u64> {
        self.hash
    }

    /// Makes the hash anew after ids were added.
    pub fn settle(&mut self) {
        if self.hash.is_none() {
            self.hash = Some(hash(&self.ids));
        }
    }

    /// Whether an epoch is being read.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Begins with an epoch of which so much was history.
    pub fn begin(&mut self, epoch: EpochId, upto: u64) -> Step {
        self.reading = Some(Reading { epoch, next: 1, upto, ids: IdSet::default() });
        self.step().unwrap_or(Step::LetGo { epoch, ids: Vec::new() })
    }

    /// Entries of the epoch from `first` on were read; what next. None that were not asked for count. Where nothing comes, there
    /// is no more.
    pub fn read(&mut self, epoch: EpochId, first: u64, entries: &[Entry]) -> Option<Step> {
        let reading = self.reading.as_mut().filter(|reading| reading.epoch == epoch && reading.next == first)?;
        if entries.is_empty() {
            reading.upto = first - 1;
        }
        let wanted = (first..=reading.upto).zip(entries);
        for (_, entry) in wanted {
            for (_, message) in entry.messages() {
                reading.ids.insert(message.id);
            }
            reading.next += 1;
        }
        self.step()
    }

    fn step(&self) -> Option<Step> {
        let Reading { epoch, next, upto, ids } = self.reading.as_ref()?;
        let epoch = *epoch;
        Some(if next <= upto {
            Step::Read { epoch, first: *next, last: *upto }
        } else {
            let ids = ids.iter().map(|(client, numbers)| (client, numbers.clone())).collect();
            Step::LetGo { epoch, ids }
        })
    }

    /// These messages were let go of, durably; of how many that is news.
    pub fn let_go(&mut self, epoch: Option<EpochId>, ids: &[(ClientId, RangeSet)]) -> u64 {
        self.reading.take_if(|reading| Some(reading.epoch) == epoch);
        self.is_less |= epoch.is_some();
        let new = ids.iter().map(|(client, numbers)| self.ids.union(*client, numbers)).sum();
        if new > 0 {
            self.hash = None;
        }
        new
    }

    /// Messages left history.
    pub fn note_gone(&mut self, messages: u64) {
        self.gone += messages;
    }

    /// Nothing is left to be let go of: how many messages left history since this was asked last, if an epoch or a message did.
    /// Messages may have left it earlier than their last epoch.
    pub fn finish(&mut self) -> Option<u64> {
        let gone = std::mem::take(&mut self.gone);
        let is_less = std::mem::take(&mut self.is_less) || gone > 0;
        is_less.then_some(gone)
    }

    /// A new view: members are asked anew.
    pub fn begin_view(&mut self) {
        self.merged.clear();
        self.asked.clear();
        self.pieces = Pieces::default();
    }

    /// Whether all is known here of what a member has let go of, as its beacon tells.
    pub fn agrees(&self, pid: Pid, theirs: u64) -> bool {
        theirs == 0 || Some(theirs) == self.hash || self.merged.get(&pid) == Some(&theirs)
    }

    /// Whether it is time to ask a member for what it has let go of.
    pub fn ask(&mut self, now: Time, pid: Pid) -> bool {
        let due = self.asked.get(&pid).is_none_or(|(at, _)| now >= *at + WANT_AGAIN);
        if due {
            self.asked.insert(pid, (now, None));
        }
        due
    }

    /// A part of it came, told with this hash of the whole.
    pub fn told(&mut self, now: Time, pid: Pid, hash: u64) {
        let (at, first) = self.asked.entry(pid).or_insert((now, None));
        *at = now;
        first.get_or_insert(hash);
    }

    /// The last part of it came. Where the whole has changed meanwhile it is asked for once more.
    pub fn told_all(&mut self, pid: Pid, hash: u64) {
        let first = self.asked.remove(&pid).and_then(|(_, first)| first);
        if first.is_none_or(|first| first == hash) {
            self.merged.insert(pid, hash);
        }
    }
}

fn hash(ids: &IdSet) -> u64 {
    let bytes: Vec<u8> = ids.hashes().iter().flat_map(|hash| hash.to_le_bytes()).collect();
    xxhash_rust::xxh3::xxh3_64(&bytes).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MessageId;
    use crate::record::tests::message;
    use crate::record::{Taken, encode_batch};
    use crate::time::Hlc;

    fn entry(cseq: u64) -> Entry {
        let batch = encode_batch(&[message(7, cseq, "x")]);
        Entry { origin: Pid::default(), oseq: cseq, hlc: Hlc(cseq), taken: Taken(1), batch }
    }

    #[test]
    fn epoch_is_read_to_its_end_and_its_messages_are_known_then() {
        let (epoch, mut pruning) = (EpochId::default(), Pruning::recovered(IdSet::default()));
        let before = pruning.hash();
        assert_eq!(pruning.begin(epoch, 3), Step::Read { epoch, first: 1, last: 3 });
        let two = [entry(1), entry(2)];
        assert_eq!(pruning.read(epoch, 1, &two), Some(Step::Read { epoch, first: 3, last: 3 }));
        assert_eq!(pruning.read(epoch, 1, &two), None, "it came already");
        let ids = vec![(ClientId(7), RangeSet::of(1, 3))];
        let further = [entry(3), entry(4)];
        assert_eq!(pruning.read(epoch, 3, &further), Some(Step::LetGo { epoch, ids: ids.clone() }), "4 is no history");
        assert_eq!((pruning.let_go(Some(epoch), &ids), pruning.let_go(None, &ids)), (3, 0));
        assert!(!pruning.is_reading() && pruning.ids().contains(MessageId { client: ClientId(7), cseq: 3 }));
        assert_eq!(pruning.hash(), None);
        pruning.settle();
        assert_ne!(pruning.hash(), before);
        assert_eq!(pruning.begin(epoch, 0), Step::LetGo { epoch, ids: Vec::new() });
    }

    #[test]
    fn epoch_that_goes_after_all_of_its_messages_makes_history_less_once() {
        let mut pruning = Pruning::recovered(IdSet::default());
        assert_eq!(pruning.finish(), None);
        let ids = vec![(ClientId(7), RangeSet::of(1, 3))];
        assert_eq!(pruning.let_go(None, &ids), 3, "earlier copies of them went elsewhere");
        assert_eq!(pruning.finish(), None, "they were no history here");
        assert_eq!(pruning.let_go(Some(EpochId::default()), &ids), 0);
        assert_eq!((pruning.finish(), pruning.finish()), (Some(0), None));
    }

    #[test]
    fn member_that_tells_another_hash_is_asked_until_it_has_told_all() {
        let (oak, mut pruning) = (Pid::default(), Pruning::recovered(IdSet::default()));
        assert!(pruning.agrees(oak, 0) && pruning.agrees(oak, pruning.hash().unwrap()) && !pruning.agrees(oak, 9));
        assert!(pruning.ask(Time(0), oak) && !pruning.ask(Time(1), oak));
        assert!(pruning.ask(Time(0) + WANT_AGAIN, oak));
        pruning.told_all(oak, 9);
        assert!(pruning.agrees(oak, 9) && !pruning.agrees(oak, 8));
        pruning.begin_view();
        assert!(!pruning.agrees(oak, 9));
        pruning.told(Time(0), oak, 7);
        pruning.told_all(oak, 9);
        assert!(!pruning.agrees(oak, 9), "its ids have changed while it told them");
    }
}
