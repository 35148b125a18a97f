//! Histories as positions: a message is history on a disk when a committed log there reaches one of its places.

use super::{Checker, Verdict, Violation, hold};
use crate::ids::{ClientId, EpochId, MessageId, RecordKey};
use crate::seq::IdSet;
use crate::sim::image::Image;
use crate::sim::world::Server;

/// How far each epoch is history on a disk; epochs without any are left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Extents {
    epochs: Vec<(EpochId, u64)>,
    /// Messages that were let go of: no copy of them is history.
    pruned: IdSet,
}

impl Extents {
    pub(super) fn of(image: &Image) -> Self {
        let mut whole = Self::whole(image);
        whole.epochs.retain(|(epoch, _)| !image.pruned.contains(epoch));
        whole.pruned = image.pruned_ids.clone();
        whole
    }

    /// The same with what was let go of.
    pub(super) fn whole(image: &Image) -> Self {
        let committed = image.logs.keys().map(|&epoch| (epoch, image.committed(epoch)));
        let epochs = committed.filter(|(_, committed)| *committed > 0).collect();
        Self { epochs, pruned: IdSet::default() }
    }

    /// All that is on this disk: no less than what its server knows.
    pub(super) fn durable(image: &Image) -> Self {
        let epochs = image.logs.keys().map(|&epoch| (epoch, image.len(epoch))).collect();
        Self { epochs, pruned: IdSet::default() }
    }

    /// The place of a message in history.
    pub(super) fn place_of(&self, id: MessageId, places: &[RecordKey], choose: Choose) -> Option<RecordKey> {
        self.place(places, choose).filter(|_| !self.pruned.contains(id))
    }

    /// Whether a place is history there.
    pub(super) fn reach(&self, place: &RecordKey) -> bool {
        let at = self.epochs.binary_search_by_key(&place.epoch, |(epoch, _)| *epoch);
        at.is_ok_and(|at| place.gsn <= self.epochs[at].1)
    }

    /// The place that counts of those that a message has.
    pub(super) fn place(&self, places: &[RecordKey], choose: Choose) -> Option<RecordKey> {
        places.iter().copied().filter(|place| self.reach(place)).reduce(choose)
    }
}

/// Which of two places of a message counts: the least, or what a planted bug makes of that.
pub(super) type Choose = fn(RecordKey, RecordKey) -> RecordKey;

impl Checker {
    /// Every message that was ordered, and everywhere it was.
    pub(super) fn ordered(&self) -> impl Iterator<Item = (MessageId, &[RecordKey])> {
        let of_client = |(at, facts)| {
            let client = self.clients[at];
            let ids = (1..).map(move |cseq| MessageId { client, cseq });
            ids.zip(facts).map(|(id, fact): (_, &super::Fact)| (id, &fact.places[..]))
        };
        let of_clients = self.facts.iter().enumerate().flat_map(of_client);
        of_clients.chain(self.others.iter().map(|(&id, places)| (id, &places[..])))
    }

    /// The same without these messages. Nearly all are among them: only the gaps of each client's numbers are gone through.
    pub(super) fn not_in<'a>(&'a self, ids: &'a IdSet) -> impl Iterator<Item = (MessageId, &'a [RecordKey])> {
        let of_client = |(&client, facts): (&'a ClientId, &'a Vec<super::Fact>)| {
            let last = facts.len() as u64;
            let gaps = ids.of(client).map_or_else(|| vec![(1, last)], |shown| shown.missing(1, last, usize::MAX));
            let numbers = gaps.into_iter().flat_map(|(first, last)| first..=last);
            numbers.map(move |cseq| (MessageId { client, cseq }, &facts[cseq as usize - 1].places[..]))
        };
        let others = self.others.iter().filter(|(id, _)| !ids.contains(**id));
        let of_clients = self.clients.iter().zip(&self.facts).flat_map(of_client);
        of_clients.chain(others.map(|(&id, places)| (id, &places[..])))
    }

    /// History in canonical order, as far as it goes on one disk.
    pub(super) fn history(&self, extents: &Extents, choose: Choose) -> Vec<(RecordKey, MessageId)> {
        let placed = self.ordered().filter_map(|(id, places)| Some((extents.place_of(id, places, choose)?, id)));
        let mut history: Vec<_> = placed.collect();
        history.sort_unstable();
        history
    }

    /// 2, 16: whether the committed logs on a server's disk are what was seen to be written.
    pub(super) fn as_written(&self, at: usize, server: &Server) -> Verdict {
        let image = server.disk.live();
        for (epoch, log) in &image.logs {
            let committed = image.committed(*epoch) as usize;
            let written = self.epochs.get(epoch).into_iter().flat_map(|known| known.entries.iter());
            let equal = log.entries.iter().take(committed).eq(written.take(committed));
            hold!(16, equal, "s{} holds other entries of {epoch} than were written", at + 1);
        }
        Ok(())
    }
}
