//! One client as the ordered log shows it: under which name, at which server, in which rooms.

use super::rooms::MAX_ROOMS_EACH;
use crate::ids::{ClientId, EpochId, MessageId, Pid, RecordKey};
use crate::seq::IdSet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of how many epochs is kept from where a client last wrote in each: half of them the greatest, which go on, and half those
/// written in last, which a merge or a start brings side by side.
const MAX_EPOCHS: usize = 16;
/// Words of servers that a client is gone, of which is known where they are.
const MAX_GONE: usize = 16;

/// A client, known from its records (`PROTOCOL.md` §8).
///
/// Both sides of a cut may have ordered one message: a client's own records are compared by its own count, which is the same
/// in each copy, and a copy with a lesser key takes the place of one with a greater. So records in whichever order of their
/// epochs, with or without the copies that history passes over, lead to the same state; within an epoch they come in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Person {
    /// The name in its last record.
    pub(super) nick: String,
    /// The server that its last record came from, and its name.
    pub(super) home: Pid,
    pub(super) server: String,
    /// Its last record: the client's count, and the greatest key of it.
    last: (u64, RecordKey),
    /// The count of the last record by which it left every room.
    left_all: u64,
    /// Words of servers that it is gone: the least key of each, and whether it counts. The [`MAX_GONE`] greatest.
    gone: Vec<(MessageId, RecordKey, bool)>,
    /// By folded room. Those it left are kept so that an earlier join which comes late does not bring it back; at most
    /// [`MAX_ROOMS_EACH`] of them.
    seats: BTreeMap<String, Seat>,
    /// Where it last wrote in each of [`MAX_EPOCHS`], the one written in last behind the others.
    homes: Vec<(EpochId, Pid)>,
}

/// The last record by which a client entered or left a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Seat {
    /// The client's count.
    cseq: u64,
    /// The least key of it.
    key: RecordKey,
    /// Whether it entered.
    taken: bool,
}

impl Person {
    /// Notes that it wrote from there; whether that is its last record so far.
    pub(super) fn wrote(&mut self, cseq: u64, key: RecordKey, origin: Pid) -> bool {
        match self.homes.last_mut() {
            Some((epoch, home)) if *epoch == key.epoch => *home = origin,
            _ => self.wrote_in(key.epoch, origin),
        }
        let is_last = self.last <= (cseq, key);
        if is_last {
            self.last = (cseq, key);
        }
        is_last
    }

    fn wrote_in(&mut self, epoch: EpochId, origin: Pid) {
        self.homes.retain(|(known, _)| *known != epoch);
        self.homes.push((epoch, origin));
        if self.homes.len() > MAX_EPOCHS {
            let mut greatest: Vec<EpochId> = self.homes.iter().map(|(epoch, _)| *epoch).collect();
            greatest.sort_unstable();
            let kept = greatest[MAX_EPOCHS / 2];
            let oldest = self.homes.iter().position(|(epoch, _)| *epoch < kept);
            self.homes.remove(oldest.unwrap_or(0));
        }
    }

    /// Takes in what another epoch says of it. Of the copies of messages that were let go of, and of what its writer said before one
    /// of these, it tells no more than
    /// [`Rooms::enter`](super::rooms::Rooms::enter) would.
    pub(super) fn absorb(&mut self, client: ClientId, other: Self, pruned: &IdSet) {
        for (epoch, home) in other.homes {
            self.wrote_in(epoch, home);
        }
        if !other.nick.is_empty() && self.last <= other.last {
            self.nick = other.nick;
        }
        if self.last <= other.last {
            (self.last, self.home, self.server) = (other.last, other.home, other.server);
        }
        self.leave_all(other.left_all);
        for (id, key, counts) in other.gone.into_iter().filter(|(id, ..)| !pruned.contains(*id)) {
            self.heard_gone(id, key, counts);
        }
        for (folded, Seat { cseq, key, taken }) in other.seats {
            self.sit(&folded, cseq, key, taken && !pruned.reaches(MessageId { client, cseq }));
        }
    }

    /// Whether nothing was heard of it before.
    pub(super) fn is_new(&self) -> bool {
        self.last == Default::default()
    }

    /// The key of its last record.
    pub(super) fn last(&self) -> RecordKey {
        self.last.1
    }

    /// It entered (`taken`) or left a room. Entering one more than [`MAX_ROOMS_EACH`] is passed over.
    pub(super) fn sit(&mut self, folded: &str, cseq: u64, key: RecordKey, taken: bool) {
        if taken && !self.is_in(folded) && self.rooms().count() >= MAX_ROOMS_EACH {
            return;
        }
        match self.seats.get_mut(folded) {
            Some(seat) if cseq < seat.cseq => {}
            Some(seat) if cseq == seat.cseq => seat.key = seat.key.min(key),
            _ => {
                self.seats.insert(folded.to_owned(), Seat { cseq, key, taken });
                self.forget_old_seats();
            }
        }
    }

    /// It left every room that it was in.
    pub(super) fn leave_all(&mut self, cseq: u64) {
        self.left_all = self.left_all.max(cseq);
    }

    /// A server says that it is gone. It counts when that is where the client last wrote in this epoch, or when it wrote
    /// nothing in it; otherwise it has moved in time.
    /// Of the copies of one word the least counts, as in history: who was shown it and came back is not gone by a later one
    /// (simulator seed 2326, `--let-go`).
    pub(super) fn gone(&mut self, id: MessageId, key: RecordKey, origin: Pid) {
        let home = self.homes.iter().find(|(epoch, _)| *epoch == key.epoch);
        self.heard_gone(id, key, home.is_none_or(|(_, home)| *home == origin));
    }

    fn heard_gone(&mut self, id: MessageId, key: RecordKey, counts: bool) {
        match self.gone.iter_mut().find(|(known, ..)| *known == id) {
            Some(word) if word.1 <= key => {}
            Some(word) => *word = (id, key, counts),
            None => self.gone.push((id, key, counts)),
        }
        if self.gone.len() > MAX_GONE
            && let Some((least, _)) = self.gone.iter().enumerate().min_by_key(|(_, (_, key, _))| *key)
        {
            self.gone.remove(least);
        }
    }

    /// The greatest word of a server that it is gone, of those that count.
    fn gone_at(&self) -> RecordKey {
        self.gone.iter().filter(|(.., counts)| *counts).map(|(_, key, _)| *key).max().unwrap_or_default()
    }

    /// Whether it is in this room.
    pub(super) fn is_in(&self, folded: &str) -> bool {
        self.seats.get(folded).is_some_and(|seat| self.holds(seat))
    }

    /// Folded names of the rooms it is in, ascending.
    pub(super) fn rooms(&self) -> impl Iterator<Item = &String> {
        self.seats.iter().filter(|(_, seat)| self.holds(seat)).map(|(folded, _)| folded)
    }

    /// Folded names of the rooms that it is or was in, ascending.
    pub(super) fn all_rooms(&self) -> Vec<String> {
        self.seats.keys().cloned().collect()
    }

    /// Whether it is in no room.
    pub(super) fn is_absent(&self) -> bool {
        self.rooms().next().is_none()
    }

    fn holds(&self, seat: &Seat) -> bool {
        seat.taken && seat.cseq > self.left_all && seat.key > self.gone_at()
    }

    /// Keeps the latest of the seats that were left.
    fn forget_old_seats(&mut self) {
        let left = || self.seats.iter().filter(|(_, seat)| !self.holds(seat));
        if left().count() > MAX_ROOMS_EACH
            && let Some((oldest, _)) = left().min_by_key(|(_, seat)| seat.cseq)
        {
            let oldest = oldest.clone();
            self.seats.remove(&oldest);
        }
    }
}
