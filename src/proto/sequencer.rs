//! The leader's part: giving each batch its place (`PROTOCOL.md` §6).
//!
//! The leader orders ids, not payloads: a place costs a few bytes whatever the batch holds. It takes each origin's batches
//! in their own sequence, the origins in turn, and its own clients' like any other's.

use crate::ids::{ClientId, Pid};
use crate::proto::bugs::{Bug, Bugs};
use crate::proto::hold_back::{HoldBack, Placed};
use crate::proto::settings::{ORDER_WINDOW, ORDER_WINDOW_BYTES};
use crate::record::{Lent, Taken, lent_batch};
use crate::seq::{IdSet, RangeSet};
use crate::time::Hlc;
use std::collections::{BTreeSet, VecDeque};

/// What the leader of a view knows beyond any member.
#[derive(Clone, Debug)]
pub struct Sequencer {
    bugs: Bugs,
    closed: BTreeSet<Pid>,
    next: Vec<u64>,
    turn: usize,
    gsn: u64,
    hlc: Hlc,
    ids: IdSet,
    unstable_bytes: usize,
    unstable: VecDeque<(u64, usize)>,
}

impl Sequencer {
    /// The leader of a view of `members`, whose history has `ids`. It orders nothing before every member has opened.
    pub fn new(members: impl IntoIterator<Item = Pid>, hlc: Hlc, ids: IdSet, bugs: Bugs) -> Self {
        let closed: BTreeSet<Pid> = members.into_iter().collect();
        Self {
            bugs,
            next: vec![1; closed.len()],
            closed,
            turn: 0,
            gsn: 0,
            hlc,
            ids,
            unstable_bytes: 0,
            unstable: VecDeque::new(),
        }
    }

    /// The buckets of ids in which a member's history differs from what the leader knows.
    pub fn differing(&self, hashes: &[u64]) -> u32 {
        let own = self.ids.hashes();
        let differs = |(bucket, hash): (usize, &u64)| u32::from(own.get(bucket) != Some(hash)) << bucket;
        hashes.iter().enumerate().take(IdSet::BUCKETS).map(differs).sum()
    }

    /// Ids of a member's history.
    pub fn learn(&mut self, client: ClientId, numbers: &RangeSet) {
        self.ids.union(client, numbers);
    }

    /// A member has told all ids of its history.
    pub fn open(&mut self, member: Pid) {
        self.closed.remove(&member);
    }

    /// Whether every member has opened.
    pub fn is_open(&self) -> bool {
        self.closed.is_empty()
    }

    /// Whether this member has opened.
    pub fn has_opened(&self, member: Pid) -> bool {
        !self.closed.contains(&member)
    }

    /// The last gsn given.
    pub fn head(&self) -> u64 {
        self.gsn
    }

    /// The clock of the last place given.
    pub fn hlc(&self) -> Hlc {
        self.hlc
    }

    /// How far an origin's datagrams are ordered.
    pub fn ordered_upto(&self, origin: usize) -> u64 {
        self.next.get(origin).map_or(0, |next| next - 1)
    }

    /// Gives the next place, if some origin's next batch is whole and the window has room. `None`: nothing to order now.
    pub fn order_one(&mut self, hold_back: &HoldBack, wall_ms: u64, stable: u64) -> Option<(u64, Placed)> {
        if !self.is_open() || !self.has_room(stable) {
            return None;
        }
        let origins = self.next.len();
        for step in 0..origins {
            let origin = (self.turn + step) % origins;
            let next = self.next[origin];
            let arrived = |oseq: &u64| hold_back.batch_at(origin, *oseq, None).is_some();
            let unordered = self.bugs.has(Bug::OriginUnordered);
            let oseq = if unordered { (next..next + 8).find(arrived).unwrap_or(next) } else { next };
            if let Some((parts, batch)) = hold_back.batch_at(origin, oseq, None) {
                self.turn = (origin + 1) % origins;
                self.next[origin] = oseq + u64::from(parts);
                let messages = lent_batch(batch.as_slice()).unwrap_or_default();
                let placed = self.place(origin as u8, oseq, parts, &messages, wall_ms);
                self.unstable.push_back((self.gsn, batch.len()));
                self.unstable_bytes += batch.len();
                return Some((self.gsn, placed));
            }
        }
        None
    }

    /// Everything up to here is stable: the window has room again.
    pub fn settle(&mut self, stable: u64) {
        while let Some(&(gsn, bytes)) = self.unstable.front()
            && gsn <= stable
        {
            self.unstable.pop_front();
            self.unstable_bytes -= bytes;
        }
    }

    /// Bytes of ordered batches that are not stable.
    pub fn unstable_bytes(&self) -> usize {
        self.unstable_bytes
    }

    /// How many ordered batches are not stable.
    pub fn unstable(&self) -> usize {
        self.unstable.len()
    }

    fn has_room(&self, stable: u64) -> bool {
        let room = self.gsn < stable + ORDER_WINDOW && self.unstable_bytes < ORDER_WINDOW_BYTES;
        room || self.bugs.has(Bug::NoWindow)
    }

    fn place(&mut self, origin: u8, oseq: u64, parts: u16, messages: &[Lent<'_>], wall_ms: u64) -> Placed {
        let mut taken = 0;
        let mut floor = Hlc(0);
        for (idx, message) in messages.iter().enumerate() {
            if self.ids.insert(message.id) || self.bugs.has(Bug::OrderTwice) {
                taken |= 1 << idx;
                floor = floor.max(message.floor);
            }
        }
        if self.bugs.has(Bug::NoFloor) {
            floor = Hlc(0);
        }
        self.gsn += 1;
        self.hlc = if self.bugs.has(Bug::HlcStandsStill) {
            Hlc::from_wall_ms(wall_ms)
        } else {
            Hlc::issue(wall_ms, self.hlc, floor)
        };
        let whole = !messages.is_empty() && taken == Taken::first(messages.len()).0;
        Placed { origin, oseq, parts, taken: (!whole).then_some(Taken(taken)), hlc: self.hlc }
    }
}
