//! Puts the multicast's pieces together: data by their origins' numbers, and the places that the leader gave them.

use crate::ids::{EpochId, Pid};
use crate::record::{Entry, Payload, Record, Taken, View};
use crate::time::Hlc;
use crate::wire::message::{Data, Order, RunKind};
use std::collections::BTreeMap;

/// Datagrams kept; beyond it new ones are dropped and the home is asked for their entries later.
pub(super) const MAX_DATAGRAMS: usize = 8192;
/// Bytes of them.
pub(super) const MAX_BYTES: usize = 8 << 20;
/// Places kept beyond the client's own: an order that reaches further is not for a client this far behind.
pub(super) const MAX_PLACES: u64 = 8192;

/// What came by multicast in one view and is not shown yet.
#[derive(Debug)]
pub(super) struct Assembly {
    view: View,
    /// By place in the order.
    orders: BTreeMap<u64, Placed>,
    /// By origin's index and number.
    data: BTreeMap<(u8, u64), Piece>,
    bytes: usize,
    /// The client has everything up to here.
    done: u64,
}

/// One batch's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Placed {
    origin: u8,
    oseq: u64,
    datagrams: u16,
    hlc: Hlc,
    taken: Taken,
}

#[derive(Debug)]
struct Piece {
    part: u16,
    parts: u16,
    payload: Payload,
}

impl Assembly {
    /// Nothing yet, for a client that has everything of the view up to `done`.
    pub(super) fn new(view: View, done: u64) -> Self {
        Self { view, orders: BTreeMap::new(), data: BTreeMap::new(), bytes: 0, done }
    }

    /// The view's epoch.
    pub(super) fn epoch(&self) -> EpochId {
        self.view.epoch
    }

    /// The view.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// A datagram of an origin.
    pub(super) fn data(&mut self, data: Data) {
        let place = (data.origin, data.oseq);
        let room = self.data.len() < MAX_DATAGRAMS && self.bytes + data.payload.len() <= MAX_BYTES;
        if room && !self.data.contains_key(&place) {
            self.bytes += data.payload.len();
            self.data.insert(place, Piece { part: data.part, parts: data.parts, payload: data.payload });
        }
    }

    /// Places that `sender` gave; only the leader's count.
    pub(super) fn order(&mut self, sender: Pid, order: &Order) {
        if sender != self.view.epoch.leader {
            return;
        }
        let (mut gsn, mut hlc) = (order.first, order.hlc);
        for run in &order.runs {
            let (datagrams, taken) = match run.kind {
                RunKind::Whole(_) => (1, Taken(u64::MAX)),
                RunKind::Parts(count) => (count, Taken(u64::MAX)),
                RunKind::Some(count, taken) => (count, taken),
            };
            for at in 0..run.kind.batches() {
                if gsn > self.done.saturating_add(MAX_PLACES) {
                    return;
                }
                let oseq = run.oseq.saturating_add(at);
                if gsn > self.done {
                    self.orders.insert(gsn, Placed { origin: run.origin, oseq, datagrams, hlc, taken });
                }
                gsn += 1;
                hlc = hlc.next();
            }
        }
    }

    /// Whether [`Assembly::records`] has an answer, much cheaper.
    pub(super) fn has(&self, gsn: u64) -> bool {
        let Some(placed) = self.orders.get(&gsn) else {
            return false;
        };
        let here = |at: u16| self.data.contains_key(&(placed.origin, placed.oseq.saturating_add(u64::from(at))));
        placed.taken == Taken(0) || (0..placed.datagrams).all(here)
    }

    /// The records at a place, when its order and all its data are here.
    pub(super) fn records(&self, gsn: u64) -> Option<Vec<Record>> {
        let placed = self.orders.get(&gsn)?;
        let origin = self.view.members.get(usize::from(placed.origin))?.pid;
        let batch = if placed.taken == Taken(0) { Payload::default() } else { self.batch(placed)? };
        let entry = Entry { origin, oseq: placed.oseq, hlc: placed.hlc, taken: placed.taken, batch };
        Some(entry.records(self.view.epoch, gsn))
    }

    /// The client has everything up to here: what it was made of is dropped, and whatever those origins sent before.
    pub(super) fn forget(&mut self, upto: u64) {
        self.done = self.done.max(upto);
        while let Some(first) = self.orders.first_entry().filter(|first| *first.key() <= upto) {
            let placed = first.remove();
            self.forget_data(placed.origin, placed.oseq.saturating_add(u64::from(placed.datagrams)));
        }
    }

    /// An entry came another way: its origin's data up to it are of no use any more once the client is past it.
    pub(super) fn placed(&mut self, gsn: u64, entry: &Entry) {
        if let Some(origin) = self.view.index_of(entry.origin).filter(|_| gsn > self.done) {
            let known =
                Placed { origin: origin as u8, oseq: entry.oseq, datagrams: 1, hlc: entry.hlc, taken: entry.taken };
            self.orders.entry(gsn).or_insert(known);
        }
    }

    /// What the batch's datagrams hold together; `None` while one is missing or they do not belong together.
    fn batch(&self, placed: &Placed) -> Option<Payload> {
        let piece = |at: u16| {
            let piece = self.data.get(&(placed.origin, placed.oseq.checked_add(u64::from(at))?))?;
            (piece.part == at && piece.parts == placed.datagrams).then_some(&piece.payload)
        };
        if placed.datagrams == 1 {
            return piece(0).cloned();
        }
        let mut bytes = Vec::new();
        for at in 0..placed.datagrams {
            bytes.extend_from_slice(piece(at)?.as_slice());
        }
        Some(bytes.into())
    }

    fn forget_data(&mut self, origin: u8, below: u64) {
        let gone: Vec<(u8, u64)> = self.data.range((origin, 0)..(origin, below)).map(|(&place, _)| place).collect();
        for place in gone {
            if let Some(piece) = self.data.remove(&place) {
                self.bytes -= piece.payload.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{batch, data, order, pid, view};
    use super::*;
    use crate::record::encode_batch;
    use crate::record::tests::message;
    use crate::wire::message::Run;

    fn bodies(records: Option<Vec<Record>>) -> Option<Vec<String>> {
        records.map(|records| records.into_iter().map(|record| record.message.body).collect())
    }

    #[test]
    fn entry_is_there_when_its_order_and_its_data_are_in_whatever_sequence() {
        let mut assembly = Assembly::new(view(1, &[1, 2]), 0);
        assembly.data(data(&view(1, &[1, 2]), 1, 1, &batch(9, 1, "late")));
        assert_eq!(assembly.records(1), None);
        assembly.order(pid(1), &order(&view(1, &[1, 2]), 1, 0, 1, 1, 2));
        assert_eq!(bodies(assembly.records(1)), Some(vec!["late".into()]));
        assert_eq!(assembly.records(2), None);
        assembly.data(data(&view(1, &[1, 2]), 1, 2, &batch(9, 2, "later")));
        let records = assembly.records(2).unwrap();
        assert_eq!(records[0].key.gsn, 2);
        assert_eq!(records[0].key.hlc, assembly.records(1).unwrap()[0].key.hlc.next());
    }

    #[test]
    fn batch_in_parts_is_whole_only_with_every_part() {
        let view = view(1, &[1]);
        let mut assembly = Assembly::new(view.clone(), 0);
        let whole = encode_batch(&[message(9, 1, &"x".repeat(3000))]);
        let parts: Vec<&[u8]> = whole.as_slice().chunks(1300).collect();
        let runs = vec![Run { origin: 0, oseq: 5, kind: RunKind::Parts(3) }];
        assembly.order(pid(1), &Order { runs, ..order(&view, 1, 0, 0, 5, 1) });
        for at in [2, 0, 1] {
            assert_eq!(assembly.records(1), None);
            let part = Data { part: at as u16, parts: 3, ..data(&view, 0, 5 + at as u64, &parts[at].into()) };
            assembly.data(part);
        }
        assert_eq!(assembly.records(1).unwrap()[0].message.body.len(), 3000);
    }

    #[test]
    fn batch_of_duplicates_needs_no_data_and_partial_ones_give_what_was_taken() {
        let view = view(1, &[1]);
        let mut assembly = Assembly::new(view.clone(), 0);
        let runs = vec![
            Run { origin: 0, oseq: 1, kind: RunKind::Some(1, Taken(0)) },
            Run { origin: 0, oseq: 2, kind: RunKind::Some(1, Taken(0b10)) },
        ];
        assembly.order(pid(1), &Order { runs, ..order(&view, 1, 0, 0, 1, 1) });
        assert_eq!(assembly.records(1), Some(Vec::new()));
        assembly.data(data(&view, 0, 2, &encode_batch(&[message(9, 1, "old"), message(9, 2, "new")])));
        assert_eq!(bodies(assembly.records(2)), Some(vec!["new".into()]));
    }

    #[test]
    fn order_of_anyone_but_the_leader_counts_for_nothing() {
        let view = view(1, &[1, 2]);
        let mut assembly = Assembly::new(view.clone(), 0);
        assembly.data(data(&view, 1, 1, &batch(9, 1, "x")));
        assembly.order(pid(2), &order(&view, 1, 0, 1, 1, 1));
        assert_eq!(assembly.records(1), None);
    }

    #[test]
    fn everything_kept_is_bounded_and_goes_once_it_is_behind() {
        let view = view(1, &[1]);
        let mut assembly = Assembly::new(view.clone(), 0);
        for oseq in 1..=2 * MAX_DATAGRAMS as u64 {
            assembly.data(data(&view, 0, oseq, &batch(9, oseq, "x")));
        }
        assert_eq!(assembly.data.len(), MAX_DATAGRAMS);
        let run = Run { origin: 0, oseq: 1, kind: RunKind::Whole(u16::MAX) };
        assembly.order(pid(1), &Order { runs: vec![run; 128], ..order(&view, 1, 0, 0, 1, 1) });
        assert_eq!(assembly.orders.len(), MAX_PLACES as usize);
        assembly.forget(MAX_PLACES);
        assert_eq!((assembly.orders.len(), assembly.data.len(), assembly.bytes), (0, 0, 0));
    }
}
