//! The hold-back queue of one view: data and order as they come, entries of the log as they go.
//!
//! Data travels once, from its origin; the order of ids comes from the leader. An entry leaves the queue when both are
//! here and everything before it has left (`PROTOCOL.md` §6). Pieces and places are kept until they are stable, so that
//! whoever lacks them can be repaired.

use crate::proto::bugs::{Bug, Bugs};
use crate::proto::loss_detector::MAX_TRACKED;
use crate::proto::settings::ORDER_WINDOW;
use crate::record::{Entry, Payload, Taken, View};
use crate::seq::RangeSet;
use crate::time::{Hlc, Time};
use crate::wire::message::{Data, Order, Run, RunKind};
use std::collections::BTreeMap;

/// How far above what is settled an origin's numbers are taken: the leader's window, and the origin's own.
pub const MAX_AHEAD: u64 = 2 * ORDER_WINDOW;
/// Most pieces in all (about 45 MB). At the bound only what the order waits for is taken; the rest is asked for again.
pub const MAX_PIECES: usize = 32_768;
/// Most places kept: none further above what is settled is taken.
pub const MAX_PLACES: usize = MAX_AHEAD as usize;
/// Most ranges reported as missing of each stream: as many as are tracked.
const MAX_GAPS: usize = MAX_TRACKED;

/// One datagram of an origin.
#[derive(Clone, Debug)]
struct Piece {
    part: u16,
    parts: u16,
    payload: Payload,
    /// When this server sent it last, if it did.
    left: Time,
}

/// The place that the leader gave a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The origin's index in the view.
    pub origin: u8,
    /// The number of the batch's first datagram.
    pub oseq: u64,
    /// How many datagrams it has.
    pub parts: u16,
    /// Which of its messages count; `None` for all.
    pub taken: Option<Taken>,
    /// When.
    pub hlc: Hlc,
}

impl Placed {
    /// This place as a run of one.
    pub fn run(&self) -> Run {
        let kind = match self.taken {
            Some(taken) => RunKind::Some(self.parts, taken),
            None if self.parts == 1 => RunKind::Whole(1),
            None => RunKind::Parts(self.parts),
        };
        Run { origin: self.origin, oseq: self.oseq, kind }
    }
}

#[derive(Clone, Debug, Default)]
struct Incoming {
    pieces: BTreeMap<u64, Piece>,
    have: RangeSet,
    /// Numbers up to here are stable: nobody needs them any more.
    settled: u64,
    head: u64,
    /// Whether what is missing may be other than when it was last looked at.
    moved: bool,
}

/// Data and order of one view.
#[derive(Clone, Debug)]
pub struct HoldBack {
    bugs: Bugs,
    view: View,
    origins: Vec<Incoming>,
    pieces: usize,
    places: BTreeMap<u64, Placed>,
    ordered: RangeSet,
    head: u64,
    taken_out: u64,
    settled: u64,
    /// The same of the order.
    moved: bool,
}

impl HoldBack {
    /// An empty queue for `view`.
    pub fn new(view: View, bugs: Bugs) -> Self {
        let origins = vec![Incoming { moved: true, ..Incoming::default() }; view.members.len()];
        Self {
            bugs,
            view,
            origins,
            pieces: 0,
            places: BTreeMap::new(),
            ordered: RangeSet::default(),
            head: 0,
            taken_out: 0,
            settled: 0,
            moved: true,
        }
    }

    /// Takes a datagram of data; whether it was new and wanted.
    pub fn accept_data(&mut self, data: &Data) -> bool {
        let next_out = self.places.get(&(self.taken_out + 1)).map(|place| (place.origin, place.oseq, place.parts));
        let unbounded = self.bugs.has(Bug::UnboundedPending);
        let Some(incoming) = self.origins.get_mut(usize::from(data.origin)) else {
            return false;
        };
        let in_window = data.oseq <= incoming.settled.saturating_add(MAX_AHEAD) || unbounded;
        if data.oseq <= incoming.settled || !in_window {
            return false;
        }
        incoming.moved = true;
        incoming.head = incoming.head.max(data.oseq);
        let urgent = next_out.is_some_and(|(origin, first, parts)| {
            origin == data.origin && (first..first + u64::from(parts)).contains(&data.oseq)
        });
        if self.pieces >= MAX_PIECES && !urgent && !unbounded || incoming.have.contains(data.oseq) {
            return false;
        }
        incoming.have.insert(data.oseq);
        let piece = Piece { part: data.part, parts: data.parts, payload: data.payload.clone(), left: Time(0) };
        incoming.pieces.insert(data.oseq, piece);
        self.pieces += 1;
        true
    }

    /// Takes the places that the leader gave.
    pub fn accept_order(&mut self, order: &Order) {
        let mut gsn = order.first;
        let mut hlc = order.hlc;
        for run in &order.runs {
            let batches = run.kind.batches();
            let parts = (run.kind.datagrams() / batches) as u16;
            let taken = if let RunKind::Some(_, taken) = run.kind { Some(taken) } else { None };
            for at in 0..batches {
                let oseq = run.oseq.saturating_add(at * u64::from(parts));
                self.place(gsn, Placed { origin: run.origin, oseq, parts, taken, hlc });
                gsn += 1;
                hlc = if self.bugs.has(Bug::RunSameHlc) { hlc } else { hlc.next() };
            }
        }
    }

    /// Records one place.
    pub fn place(&mut self, gsn: u64, placed: Placed) {
        self.moved = true;
        let in_window = gsn > self.settled && gsn <= self.settled + MAX_AHEAD;
        let Some(incoming) = self.origins.get_mut(usize::from(placed.origin)) else {
            return;
        };
        if !in_window || !self.ordered.insert(gsn) {
            return;
        }
        let last = placed.oseq + u64::from(placed.parts) - 1;
        incoming.moved = true;
        incoming.head = incoming.head.max(last);
        if placed.taken == Some(Taken(0)) {
            incoming.have.insert_range(placed.oseq, last);
        }
        self.head = self.head.max(gsn);
        self.places.insert(gsn, placed);
    }

    /// Notes how far the order goes.
    pub fn hear_order_head(&mut self, gsn: u64) {
        let head = self.head.max(gsn.min(self.settled + MAX_AHEAD));
        self.moved |= head > self.head;
        self.head = head;
    }

    /// Notes how far an origin's data goes.
    pub fn hear_data_head(&mut self, origin: usize, oseq: u64) {
        if let Some(incoming) = self.origins.get_mut(origin) {
            let head = incoming.head.max(oseq.min(incoming.settled + MAX_AHEAD));
            incoming.moved |= head > incoming.head;
            incoming.head = head;
        }
    }

    /// The entries whose turn has come, in gsn order; the first one's gsn is one more than all given out before.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        while let Some(entry) = self.entry_at(self.taken_out + 1) {
            entries.push(entry);
            self.taken_out += 1;
        }
        entries
    }

    /// The entry at `gsn`, when its place and its data are here.
    pub fn entry_at(&self, gsn: u64) -> Option<Entry> {
        let place = self.places.get(&gsn)?;
        let batch = match place.taken {
            Some(Taken(0)) => Payload::default(),
            _ => self.batch_at(usize::from(place.origin), place.oseq, Some(place.parts))?.1,
        };
        let origin = self.view.members.get(usize::from(place.origin))?.pid;
        let taken = place.taken.unwrap_or(Taken(u64::MAX));
        Some(Entry { origin, oseq: place.oseq, hlc: place.hlc, taken, batch })
    }

    /// The batch that begins with datagram `oseq`, and how many datagrams it has, when all of it is here.
    pub fn batch_at(&self, origin: usize, oseq: u64, parts: Option<u16>) -> Option<(u16, Payload)> {
        let pieces = &self.origins.get(origin)?.pieces;
        let first = pieces.get(&oseq)?;
        let count = parts.unwrap_or(first.parts);
        if first.part != 0 || first.parts != count {
            return None;
        }
        if count == 1 {
            return Some((1, first.payload.clone()));
        }
        if self.bugs.has(Bug::PartsEarly) && parts.is_none() {
            return Some((count, first.payload.clone()));
        }
        let mut joined = Vec::with_capacity(usize::from(count) * first.payload.len());
        for part in 0..count {
            let piece = pieces.get(&(oseq + u64::from(part)))?;
            if piece.part != part || piece.parts != count {
                return None;
            }
            joined.extend_from_slice(piece.payload.as_slice());
        }
        Some((count, joined.into()))
    }

    /// Everything up to `gsn` is stable: what of it has left the queue is needed no more.
    pub fn settle(&mut self, gsn: u64) {
        let gsn = gsn.min(self.taken_out);
        if gsn <= self.settled {
            return;
        }
        self.moved = true;
        while let Some(entry) = self.places.first_entry().filter(|entry| *entry.key() <= gsn) {
            let place = entry.remove();
            let last = place.oseq + u64::from(place.parts) - 1;
            let Some(incoming) = self.origins.get_mut(usize::from(place.origin)) else {
                continue;
            };
            incoming.moved = true;
            incoming.settled = incoming.settled.max(last);
            while incoming.pieces.first_key_value().is_some_and(|(oseq, _)| *oseq <= last) {
                incoming.pieces.pop_first();
                self.pieces -= 1;
            }
        }
        self.settled = gsn;
    }

    /// [`Self::missing_order`], unless it must be what it was when this was asked last.
    pub fn look_at_order(&mut self) -> Option<Vec<(u64, u64)>> {
        std::mem::take(&mut self.moved).then(|| self.missing_order())
    }

    /// [`Self::missing_data`], unless it must be what it was when this was asked last.
    pub fn look_at_data(&mut self, origin: usize) -> Option<Vec<(u64, u64)>> {
        let moved = self.origins.get_mut(origin).is_some_and(|incoming| std::mem::take(&mut incoming.moved));
        moved.then(|| self.missing_data(origin))
    }

    /// Ranges of gsn whose places are missing.
    pub fn missing_order(&self) -> Vec<(u64, u64)> {
        self.ordered.missing(self.settled + 1, self.head, MAX_GAPS)
    }

    /// Ranges of one origin's datagrams that are missing.
    pub fn missing_data(&self, origin: usize) -> Vec<(u64, u64)> {
        let Some(incoming) = self.origins.get(origin) else {
            return Vec::new();
        };
        incoming.have.missing(incoming.settled + 1, incoming.head, MAX_GAPS)
    }

    /// A datagram of data, to repair who lacks it.
    pub fn data(&self, origin: usize, oseq: u64) -> Option<Data> {
        let piece = self.origins.get(origin)?.pieces.get(&oseq)?;
        Some(Data {
            view: self.view.epoch.tag(),
            origin: origin as u8,
            oseq,
            part: piece.part,
            parts: piece.parts,
            payload: piece.payload.clone(),
        })
    }

    /// A datagram of data leaves this server now; when it did before, [`Time`] 0 if never.
    pub fn leaves(&mut self, now: Time, origin: usize, oseq: u64) -> Time {
        let piece = self.origins.get_mut(origin).and_then(|incoming| incoming.pieces.get_mut(&oseq));
        piece.map_or(Time(0), |piece| std::mem::replace(&mut piece.left, now))
    }

    /// A place that is not settled, to repair who lacks it.
    pub fn placed(&self, gsn: u64) -> Option<Placed> {
        self.places.get(&gsn).copied()
    }

    /// The greatest gsn heard of.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Everything up to here has been given out.
    pub fn taken_out(&self) -> u64 {
        self.taken_out
    }

    /// How many pieces are kept.
    pub fn pieces(&self) -> usize {
        self.pieces
    }

    /// How far above what is settled the furthest piece is.
    pub fn ahead(&self) -> u64 {
        let furthest =
            |one: &Incoming| one.pieces.last_key_value().map_or(0, |(oseq, _)| oseq.saturating_sub(one.settled));
        self.origins.iter().map(furthest).max().unwrap_or(0)
    }

    /// How many places are kept.
    pub fn places(&self) -> usize {
        self.places.len()
    }
}
