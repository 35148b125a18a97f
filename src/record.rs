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
/// Most servers in a ring.
pub const MAX_SERVERS: usize = 32;

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
    /// The client claims the nick it carries.
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

impl Submission {
    /// With whom a client has this one-to-one message: its addressee, or who wrote it. `None` when it is not that client's.
    pub fn partner(&self, me: ClientId) -> Option<ClientId> {
        match self.kind {
            Kind::Direct { to } if self.id.client == me => Some(to),
            Kind::Direct { to } if to == me => Some(self.id.client),
            _ => None,
        }
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
    pub fn messages(&self) -> Vec<(u32, Submission)> {
        let all = decode_batch(self.batch.as_slice()).unwrap_or_default();
        all.into_iter()
            .enumerate()
            .filter(|(idx, _)| self.taken.has(*idx))
            .map(|(idx, message)| (idx as u32, message))
            .collect()
    }

    /// The same messages as records of `epoch` at `gsn`.
    pub fn records(&self, epoch: EpochId, gsn: u64) -> Vec<Record> {
        let place = |idx| RecordKey { hlc: self.hlc, epoch, gsn, idx };
        self.messages().into_iter().map(|(idx, message)| Record { key: place(idx), message }).collect()
    }

    /// 64-bit hash of everything in it, kept beside it in the store (XXH3).
    pub fn hash(&self) -> u64 {
        let mut hash = xxhash_rust::xxh3::Xxh3::new();
        for number in [
            self.origin.server.0,
            u64::from(self.origin.incarnation.boot),
            u64::from(self.origin.incarnation.random),
            self.oseq,
            self.hlc.0,
            self.taken.0,
        ] {
            hash.update(&number.to_le_bytes());
        }
        hash.update(self.batch.as_slice());
        hash.digest()
    }
}

/// Encodes a list of messages.
pub fn encode_batch(messages: &[Submission]) -> Payload {
    postcard::to_stdvec(messages).unwrap_or_default().into()
}

/// The messages of a batch; `None` when the bytes are not exactly one batch within the bounds.
pub fn decode_batch(bytes: &[u8]) -> Option<Vec<Submission>> {
    let (messages, rest) = postcard::take_from_bytes::<Vec<Submission>>(bytes).ok()?;
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct View {
    /// Its epoch, which names its leader.
    pub epoch: EpochId,
    /// Members, ascending by [`Pid`]; at most [`MAX_SERVERS`].
    pub members: Vec<Member>,
    /// The epochs it follows, each with the cut where it was closed.
    pub parents: Vec<(EpochId, u64)>,
}

impl View {
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
        let bodies: Vec<_> = entry.messages().into_iter().map(|(idx, message)| (idx, message.body)).collect();
        assert_eq!(bodies, [(0, "a".to_owned()), (2, "c".to_owned())]);
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
