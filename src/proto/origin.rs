//! A server as the origin of its clients' messages: packing, sending, and keeping them until they are history.

use crate::ids::MessageId;
use crate::proto::bugs::{Bug, Bugs};
use crate::proto::settings::{COALESCE, ORIGIN_QUEUE, ORIGIN_WINDOW};
use crate::record::{Lent, MAX_BATCH, Payload, Submission, encode_lent};
use crate::seq::IdSet;
use crate::time::{Hlc, Time};
use std::collections::{BTreeMap, VecDeque};

/// Bytes of a batch that fit one datagram beside the envelope and the fields of `Data`.
pub const PIECE_BYTES: usize = 1340;

/// Most pieces of one batch: the longest message there is.
pub const PIECES_A_BATCH: usize = 64;

/// A piece to be multicast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// The origin's number of this datagram.
    pub oseq: u64,
    /// Which piece of its batch.
    pub part: u16,
    /// Of how many.
    pub parts: u16,
    /// The piece.
    pub payload: Payload,
}

/// Messages of this server's clients that are not history yet. In memory only: the clients keep theirs.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    bugs: Bugs,
    /// Everything accepted, by id, with its place in time of acceptance.
    pending: BTreeMap<MessageId, (u64, Submission)>,
    /// Accepted and not sent in this view, in order of acceptance.
    queue: VecDeque<MessageId>,
    queued_since: Option<Time>,
    /// Of the batch that is being sent, the pieces that are still here.
    pieces: VecDeque<Outgoing>,
    accepted: u64,
    oseq: u64,
    ordered: u64,
}

impl Origin {
    /// Nothing pending.
    pub fn new(bugs: Bugs) -> Self {
        Self { bugs, ..Self::default() }
    }

    /// Takes a message; one that is here already only has its floor raised. `false` when the queue is full.
    pub fn offer(&mut self, now: Time, message: Submission) -> bool {
        if let Some((_, known)) = self.pending.get_mut(&message.id) {
            if !self.bugs.has(Bug::OldFloor) {
                known.floor = known.floor.max(message.floor);
            }
            return true;
        }
        if self.pending.len() >= ORIGIN_QUEUE && !self.bugs.has(Bug::OriginUnbounded) {
            return false;
        }
        self.accepted += 1;
        self.queue.push_back(message.id);
        self.queued_since.get_or_insert(now);
        self.pending.insert(message.id, (self.accepted, message));
        true
    }

    /// Whether the message is pending here.
    pub fn has(&self, id: MessageId) -> bool {
        self.pending.contains_key(&id)
    }

    /// The message is history, by whatever way; what its client made, if it was pending here.
    pub fn settle(&mut self, id: MessageId) -> Option<Submission> {
        self.pending.remove(&id).map(|(_, message)| message)
    }

    /// The leader has given places to this server's datagrams up to `oseq`; what was never sent has none.
    pub fn ordered(&mut self, oseq: u64) {
        self.ordered = self.ordered.max(oseq.min(self.oseq));
    }

    /// The last number that went out in this view.
    pub fn head(&self) -> u64 {
        self.oseq - self.pieces.len() as u64
    }

    /// Pending messages that are among these.
    pub fn among(&self, ids: &IdSet) -> Vec<MessageId> {
        self.pending.keys().copied().filter(|id| ids.contains(*id)).collect()
    }

    /// How many messages are pending.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// A new view: numbers begin anew, and everything pending is sent again, in order of acceptance.
    pub fn begin_view(&mut self, now: Time) {
        self.oseq = 0;
        self.ordered = 0;
        self.pieces.clear();
        let mut order: Vec<(u64, MessageId)> = self.pending.iter().map(|(id, (at, _))| (*at, *id)).collect();
        order.sort_unstable();
        if self.bugs.has(Bug::NoResend) {
            order.clear();
        }
        self.queue = order.into_iter().map(|(_, id)| id).collect();
        self.queued_since = (!self.queue.is_empty()).then_some(now);
    }

    /// The next datagram: the pieces of a long batch go one by one, so that a wire need not take them all at once.
    pub fn next_piece(&mut self, now: Time, hlc: Hlc) -> Option<Outgoing> {
        if self.pieces.is_empty() {
            self.pieces = self.pack(now, hlc)?.into();
        }
        self.pieces.pop_front()
    }

    /// The next batch, cut into its datagrams, if it is time to send one: at once when nothing is on its way, else when it
    /// is full or [`COALESCE`] old; never when [`ORIGIN_WINDOW`] datagrams wait for their places. `hlc` is this server's
    /// clock: nothing it sends sorts below what it has stored.
    fn pack(&mut self, now: Time, hlc: Hlc) -> Option<Vec<Outgoing>> {
        let since = self.queued_since?;
        let in_flight = self.oseq - self.ordered;
        if in_flight >= ORIGIN_WINDOW {
            return None;
        }
        let batch = self.next_batch();
        let due = in_flight == 0 || batch.is_full || now >= since + COALESCE;
        if !due && !batch.ids.is_empty() {
            return None;
        }
        self.queue.drain(..batch.ids.len() + batch.gone);
        self.queued_since = (!self.queue.is_empty()).then_some(now);
        let pending = batch.ids.iter().filter_map(|id| self.pending.get(id));
        let messages: Vec<Lent<'_>> =
            pending.map(|(_, message)| Lent { floor: message.floor.max(hlc), ..message.lent() }).collect();
        if messages.is_empty() {
            return None;
        }
        let bytes = encode_lent(&messages);
        Some(self.cut(&bytes))
    }

    /// When [`Origin::next_piece`] has something, if nothing else happens.
    pub fn next_timeout(&self) -> Time {
        if !self.pieces.is_empty() {
            return Time(0);
        }
        match self.queued_since {
            Some(since) if self.oseq - self.ordered < ORIGIN_WINDOW => since + COALESCE,
            _ => Time::NEVER,
        }
    }

    fn next_batch(&self) -> Batch {
        let mut batch = Batch::default();
        for id in &self.queue {
            let Some((_, message)) = self.pending.get(id) else {
                // Became history by another way while it waited.
                if batch.ids.is_empty() {
                    batch.gone += 1;
                    continue;
                }
                break;
            };
            let size = message.body.len() + message.room.len() + message.nick.len() + 64;
            if !batch.ids.is_empty() && (batch.bytes + size > PIECE_BYTES || batch.ids.len() == MAX_BATCH) {
                batch.is_full = true;
                break;
            }
            batch.bytes += size;
            batch.ids.push(*id);
        }
        batch.is_full |= batch.bytes + 80 > PIECE_BYTES;
        batch
    }

    fn cut(&mut self, bytes: &Payload) -> Vec<Outgoing> {
        let parts = bytes.len().div_ceil(PIECE_BYTES) as u16;
        let pieces = bytes.as_slice().chunks(PIECE_BYTES).zip(0..);
        pieces
            .map(|(piece, part)| {
                self.oseq += 1;
                Outgoing { oseq: self.oseq, part, parts, payload: piece.into() }
            })
            .collect()
    }
}

#[derive(Default)]
struct Batch {
    ids: Vec<MessageId>,
    gone: usize,
    bytes: usize,
    is_full: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decode_batch;
    use crate::record::tests::message;
    use std::time::Duration;

    fn bodies(pieces: &[Outgoing]) -> Vec<String> {
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.payload.as_slice().to_vec()).collect();
        decode_batch(&joined).unwrap().into_iter().map(|message| message.body).collect()
    }

    #[test]
    fn pieces_of_a_long_batch_go_one_by_one_and_the_head_follows_them() {
        let mut origin = Origin::default();
        origin.offer(Time(0), message(1, 1, &"x".repeat(3000)));
        let numbers: Vec<(u64, u16)> = std::iter::from_fn(|| {
            let piece = origin.next_piece(Time(0), Hlc(0))?;
            assert_eq!(origin.head(), piece.oseq);
            Some((piece.oseq, piece.part))
        })
        .collect();
        assert_eq!(numbers, [(1, 0), (2, 1), (3, 2)]);
        origin.offer(Time(1), message(1, 2, &"x".repeat(3000)));
        assert!(origin.next_piece(Time(1000), Hlc(0)).is_some());
        assert_eq!(origin.next_timeout(), Time(0), "two are left");
        origin.begin_view(Time(2000));
        assert_eq!((origin.head(), origin.next_piece(Time(3000), Hlc(0)).unwrap().part), (0, 0));
    }

    #[test]
    fn idle_origin_sends_at_once_and_collects_while_something_is_on_its_way() {
        let mut origin = Origin::new(Bugs::NONE);
        origin.offer(Time(0), message(1, 1, "a"));
        assert_eq!(bodies(&origin.pack(Time(0), Hlc(0)).unwrap()), ["a"]);
        origin.offer(Time(10), message(1, 2, "b"));
        origin.offer(Time(20), message(1, 3, "c"));
        assert_eq!(origin.pack(Time(20), Hlc(0)), None);
        assert_eq!(origin.next_timeout(), Time(10) + COALESCE);
        assert_eq!(bodies(&origin.pack(Time(10) + COALESCE, Hlc(0)).unwrap()), ["b", "c"]);
    }

    #[test]
    fn message_longer_than_a_datagram_goes_out_in_numbered_pieces() {
        let mut origin = Origin::new(Bugs::NONE);
        let long = "x".repeat(5000);
        origin.offer(Time(0), message(1, 1, &long));
        let pieces = origin.pack(Time(0), Hlc(0)).unwrap();
        assert_eq!(pieces.len(), 4);
        assert!(pieces.iter().enumerate().all(|(at, piece)| usize::from(piece.part) == at && piece.parts == 4));
        assert_eq!(pieces.iter().map(|piece| piece.oseq).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(bodies(&pieces), [long]);
    }

    #[test]
    fn new_view_sends_what_is_not_history_again_in_order_of_acceptance() {
        let mut origin = Origin::new(Bugs::NONE);
        for cseq in 1..=3 {
            origin.offer(Time(0), message(2, cseq, &format!("m{cseq}")));
        }
        origin.offer(Time(0), message(1, 1, "other"));
        origin.pack(Time(0) + Duration::from_secs(1), Hlc(0)).unwrap();
        origin.settle(MessageId { client: crate::ids::ClientId(2), cseq: 1 });
        origin.begin_view(Time(9));
        let pieces = origin.pack(Time(9), Hlc(0)).unwrap();
        assert_eq!(pieces[0].oseq, 1);
        assert_eq!(bodies(&pieces), ["m2", "m3", "other"]);
    }

    #[test]
    fn window_of_unordered_datagrams_stops_the_origin() {
        let mut origin = Origin::new(Bugs::NONE);
        for cseq in 1..=ORIGIN_WINDOW + 1 {
            origin.offer(Time(cseq * 1000), message(1, cseq, "m"));
            let sent = origin.pack(Time(cseq * 1000 + 500), Hlc(0)).is_some();
            assert_eq!(sent, cseq <= ORIGIN_WINDOW);
        }
        origin.ordered(1);
        assert!(origin.pack(Time(u64::MAX / 2), Hlc(0)).is_some());
    }

    #[test]
    fn full_queue_refuses_new_messages_and_still_raises_floors() {
        let mut origin = Origin::new(Bugs::NONE);
        for cseq in 1..=ORIGIN_QUEUE as u64 {
            assert!(origin.offer(Time(0), message(1, cseq, "m")));
        }
        assert!(!origin.offer(Time(0), message(2, 1, "m")));
        let mut again = message(1, 7, "m");
        again.floor = Hlc(99);
        assert!(origin.offer(Time(0), again));
    }
}
