//! What history is made of: submissions, the batches that carry them, entries of the log, views, and records.

use crate::ids::{ClientId, EpochId, MessageId, Pid, RecordKey};
use crate::seq::MAX_NUMBER;
use crate::time::Hlc;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// Most messages in one batch: the width of [`Taken`].
pub const MAX_BATCH: usize = 64;
/// Longest text of one message, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// About how many bytes of an encoded message its numbers take, beside its texts.
const NUMBERS_BYTES: usize = 48;
/// Most servers in a ring.
pub const MAX_SERVERS: usize = 32;

/// About how many bytes an entry takes on a disk beside its batch.
const ENTRY_BYTES: u64 = 100;

/// Bytes that are shared, not copied, between the network, the log and the clients.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Payload;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Payload, E> {
                Ok(bytes.into())
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

/// What a message is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// A person's words to a room.
    Text,
    /// What a person does (`/me`).
    Action,
    /// A room's topic.
    Topic,
    /// Words to one client only; the room is empty.
    Direct {
        /// Who may read it.
        to: ClientId,
    },
    /// The client entered the room.
    Join,
    /// The client left the room; an empty room means every room.
    Leave,
    /// The client claims the nick it carries; in a room, also the seat that it has there already. Nobody is told.
    Nick,
    /// A server saw its client go, or found another's clients without a server; the client left every room.
    Gone {
        /// The client that is gone.
        client: ClientId,
    },
}

/// One message as its client made it: what a batch is a list of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Submission {
    /// The same in every retry.
    pub id: MessageId,
    /// All numbers up to this one are acknowledged: the client will not send them again.
    pub acked_upto: u64,
    /// The greatest HLC the client has seen by now; renewed at every resend.
    pub floor: Hlc,
    /// The room, or empty.
    pub room: String,
    /// The name the writer went by.
    pub nick: String,
    /// What it is.
    pub kind: Kind,
    /// The text; at most [`MAX_BODY_BYTES`].
    pub body: String,
}

/// A [`Submission`] whose texts lie elsewhere, in the bytes of a batch or in the queue of its origin: for whoever needs no
/// copy of them. The same on the wire.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lent<'a> {
    /// See [`Submission::id`].
    pub id: MessageId,
    /// See [`Submission::acked_upto`].
    pub acked_upto: u64,
    /// See [`Submission::floor`].
    pub floor: Hlc,
    /// See [`Submission::room`].
    pub room: &'a str,
    /// See [`Submission::nick`].
    pub nick: &'a str,
    /// See [`Submission::kind`].
    pub kind: Kind,
    /// See [`Submission::body`].
    pub body: &'a str,
}

impl Submission {
    /// The message without a copy of its texts.
    pub fn lent(&self) -> Lent<'_> {
        let Self { id, acked_upto, floor, ref room, ref nick, ref kind, ref body } = *self;
        Lent { id, acked_upto, floor, room, nick, kind: kind.clone(), body }
    }

    /// With whom a client has this one-to-one message: its addressee, or who wrote it. `None` when it is not that client's.
    pub fn partner(&self, me: ClientId) -> Option<ClientId> {
        match self.kind {
            Kind::Direct { to } if self.id.client == me => Some(to),
            Kind::Direct { to } if to == me => Some(self.id.client),
            _ => None,
        }
    }
}

impl Lent<'_> {
    /// A copy of the message.
    pub fn to_submission(&self) -> Submission {
        let Self { id, acked_upto, floor, room, nick, ref kind, body } = *self;
        let (room, nick, body) = (room.to_owned(), nick.to_owned(), body.to_owned());
        Submission { id, acked_upto, floor, room, nick, kind: kind.clone(), body }
    }
}

/// Which messages of a batch were taken into history: bit `i` for message `i`.
///
/// The others were there already: a client had sent them again on another way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Default)]
pub struct Taken(pub u64);

impl Taken {
    /// The first `count` messages, at most [`MAX_BATCH`].
    pub fn first(count: usize) -> Self {
        Self(if count >= MAX_BATCH { u64::MAX } else { (1 << count) - 1 })
    }

    /// Whether message `idx` was taken.
    pub fn has(self, idx: usize) -> bool {
        idx < MAX_BATCH && self.0 >> idx & 1 == 1
    }
}

/// A batch with its place: one row of the log of an epoch.
///
/// The single writer of `(epoch, gsn)` is the epoch's leader; every holder has the same bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The server whose client wrote it.
    pub origin: Pid,
    /// The origin's number of the batch's first datagram in this view.
    pub oseq: u64,
    /// The place in time that the leader gave.
    pub hlc: Hlc,
    /// Which messages count.
    pub taken: Taken,
    /// The batch, as the origin encoded it; empty when nothing was taken.
    pub batch: Payload,
}

impl Entry {
    /// The messages that count, each with its place in the batch. A batch that does not decode has none.
    pub fn messages(&self) -> impl Iterator<Item = (u32, Lent<'_>)> {
        let all = lent_batch(self.batch.as_slice()).unwrap_or_default();
        (0..).zip(all).filter(|(idx, _)| self.taken.has(*idx as usize))
    }

    /// What it takes on a disk, about, in bytes.
    pub fn bytes(&self) -> u64 {
        self.batch.len() as u64 + ENTRY_BYTES
    }

    /// The same messages as records of `epoch` at `gsn`.
    pub fn records(&self, epoch: EpochId, gsn: u64) -> Vec<Record> {
        let place = |idx| RecordKey { hlc: self.hlc, epoch, gsn, idx };
        let messages = self.messages();
        let mut records = Vec::with_capacity(messages.size_hint().1.unwrap_or(0));
        records.extend(messages.map(|(idx, message)| Record { key: place(idx), message: message.to_submission() }));
        records
    }

    /// 64-bit hash of everything in it, kept beside it in the store (XXH3).
    pub fn hash(&self) -> u64 {
        let numbers = [
            self.origin.server.0,
            u64::from(self.origin.incarnation.boot),
            u64::from(self.origin.incarnation.random),
            self.oseq,
            self.hlc.0,
            self.taken.0,
        ];
        let mut head = [0; 48];
        for (bytes, number) in head.chunks_exact_mut(8).zip(numbers) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        hash_of(&head, self.batch.as_slice())
    }
}

/// XXH3-64 of two pieces in order. What is short is joined first, for a state to hash in pieces is larger than it.
pub(crate) fn hash_of(head: &[u8], body: &[u8]) -> u64 {
    let mut joined = [0; 512];
    let length = head.len() + body.len();
    if let Some(joined) = joined.get_mut(..length) {
        joined[..head.len()].copy_from_slice(head);
        joined[head.len()..].copy_from_slice(body);
        return xxhash_rust::xxh3::xxh3_64(joined);
    }
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    hash.update(head);
    hash.update(body);
    hash.digest()
}

/// Encodes a list of messages.
pub fn encode_batch(messages: &[Submission]) -> Payload {
    postcard::to_stdvec(messages).unwrap_or_default().into()
}

/// Encodes a list of messages whose texts lie elsewhere: the same bytes.
pub fn encode_lent(messages: &[Lent<'_>]) -> Payload {
    let texts = |message: &Lent<'_>| message.room.len() + message.nick.len() + message.body.len();
    let room_bytes = messages.iter().map(|message| texts(message) + NUMBERS_BYTES).sum();
    postcard::to_extend(messages, Vec::with_capacity(room_bytes)).unwrap_or_default().into()
}

/// The messages of a batch; `None` when the bytes are not exactly one batch within the bounds.
pub fn decode_batch(bytes: &[u8]) -> Option<Vec<Submission>> {
    Some(lent_batch(bytes)?.iter().map(Lent::to_submission).collect())
}

/// The same with the texts where they are.
pub fn lent_batch(bytes: &[u8]) -> Option<Vec<Lent<'_>>> {
    let (messages, rest) = postcard::take_from_bytes::<Vec<Lent<'_>>>(bytes).ok()?;
    let sound = rest.is_empty()
        && messages.len() <= MAX_BATCH
        && messages.iter().all(|message| {
            message.body.len() <= MAX_BODY_BYTES
                && message.room.len() <= crate::name::MAX_BYTES
                && message.nick.len() <= crate::name::MAX_BYTES
                && [message.id.cseq, message.acked_upto].iter().all(|number| *number <= MAX_NUMBER)
        });
    sound.then_some(messages)
}

/// One message with its place in history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The canonical place.
    pub key: RecordKey,
    /// What the client made.
    pub message: Submission,
}

/// A member of a view: the process, and the name it went by when the view was made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The process.
    pub pid: Pid,
    /// For people, stored so that it is never looked up later.
    pub name: String,
}

/// A view as the store keeps it: who was in it, and which epochs it follows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct View {
    /// Its epoch, which names its leader.
    pub epoch: EpochId,
    /// Members, ascending by [`Pid`]; at most [`MAX_SERVERS`].
    pub members: Vec<Member>,
    /// The epochs it follows, each with the cut where it was closed.
    pub parents: Vec<(EpochId, u64)>,
    /// The ring's clock when it was made: whatever its members had stored sorts before, and all of it after.
    pub began: Hlc,
    /// Epochs that began before this are no history any more (`PROTOCOL.md` §9); 0 while all is kept.
    pub horizon: Hlc,
}

impl View {
    /// Whether its epoch is no history for those who know this horizon.
    pub fn is_below(&self, horizon: Hlc) -> bool {
        self.began < horizon
    }

    /// Whether `pid` is a member with this very incarnation.
    pub fn has(&self, pid: Pid) -> bool {
        self.index_of(pid).is_some()
    }

    /// The member's place in [`View::members`]: its stand-in on the data path.
    pub fn index_of(&self, pid: Pid) -> Option<usize> {
        self.members.binary_search_by(|member| member.pid.cmp(&pid)).ok()
    }

    /// The name of the leader; empty when the leader is not a member, which no valid view has.
    pub fn leader_name(&self) -> &str {
        self.name_of(self.epoch.leader)
    }

    /// The name of a member; empty for a stranger.
    pub fn name_of(&self, pid: Pid) -> &str {
        self.index_of(pid).map_or("", |at| &self.members[at].name)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message for tests.
    pub(crate) fn message(client: u64, cseq: u64, body: &str) -> Submission {
        Submission {
            id: MessageId { client: ClientId(client), cseq },
            acked_upto: cseq.saturating_sub(1),
            floor: Hlc(0),
            room: "lobby".into(),
            nick: "ana".into(),
            kind: Kind::Text,
            body: body.into(),
        }
    }

    #[test]
    fn entry_gives_only_the_messages_that_were_taken() {
        let batch = encode_batch(&[message(1, 1, "a"), message(1, 2, "b"), message(2, 1, "c")]);
        let entry = Entry { origin: Pid::default(), oseq: 1, hlc: Hlc(5), taken: Taken(0b101), batch };
        let bodies: Vec<_> = entry.messages().map(|(idx, message)| (idx, message.body)).collect();
        assert_eq!(bodies, [(0, "a"), (2, "c")]);
    }

    #[test]
    fn lent_messages_are_the_same_on_the_wire() {
        let messages = [message(1, 1, "a"), message(2, u64::from(u32::MAX), "")];
        let lent = messages.each_ref().map(Submission::lent);
        let batch = encode_batch(&messages);
        assert_eq!(encode_lent(&lent), batch);
        assert_eq!(lent_batch(batch.as_slice()).as_deref(), Some(&lent[..]));
        assert_eq!(decode_batch(batch.as_slice()).as_deref(), Some(&messages[..]));
    }

    #[test]
    fn batch_that_is_cut_longer_or_noise_does_not_decode() {
        let bytes = encode_batch(&[message(1, 1, "hello")]);
        let bytes = bytes.as_slice();
        assert!(decode_batch(bytes).is_some());
        assert!(decode_batch(&bytes[..bytes.len() - 1]).is_none());
        assert!(decode_batch(&[bytes, &[0]].concat()).is_none());
        assert!(decode_batch(&[0xff; 40]).is_none());
    }

    #[test]
    fn batch_beyond_a_bound_does_not_decode() {
        let sound = message(1, MAX_NUMBER, "hello");
        assert!(decode_batch(encode_batch(std::slice::from_ref(&sound)).as_slice()).is_some());
        let breaches: [fn(&mut Submission); 5] = [
            |message| message.id.cseq = MAX_NUMBER + 1,
            |message| message.acked_upto = u64::MAX,
            |message| message.body = "x".repeat(MAX_BODY_BYTES + 1),
            |message| message.room = "x".repeat(crate::name::MAX_BYTES + 1),
            |message| message.nick = "x".repeat(crate::name::MAX_BYTES + 1),
        ];
        for breach in breaches {
            let mut message = sound.clone();
            breach(&mut message);
            assert_eq!(decode_batch(encode_batch(&[message]).as_slice()), None);
        }
        assert!(decode_batch(encode_batch(&vec![sound.clone(); MAX_BATCH]).as_slice()).is_some());
        assert_eq!(decode_batch(encode_batch(&vec![sound; MAX_BATCH + 1]).as_slice()), None);
    }

    #[test]
    fn hash_of_two_pieces_is_that_of_the_whole() {
        let bytes: Vec<u8> = (0..2000_u32).map(|at| (at * 7) as u8).collect();
        for length in [0, 1, 48, 488, 511, 512, 513, 2000] {
            let whole = xxhash_rust::xxh3::xxh3_64(&bytes[..length]);
            let (head, body) = bytes[..length].split_at(length.min(48));
            assert_eq!(hash_of(head, body), whole);
        }
    }

    #[test]
    fn entry_hash_sees_every_field() {
        let entry = Entry {
            origin: Pid::default(),
            oseq: 1,
            hlc: Hlc(5),
            taken: Taken(1),
            batch: encode_batch(&[message(1, 1, "a")]),
        };
        let mut others = vec![entry.clone(); 4];
        others[0].oseq = 2;
        others[1].hlc = Hlc(6);
        others[2].taken = Taken(3);
        others[3].batch = encode_batch(&[message(1, 1, "b")]);
        for other in others {
            assert_ne!(entry.hash(), other.hash());
        }
    }
}
