//! The names of things: servers, their lives, epochs, clients, messages, and the place of a message in history.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A server, for ever: 64 random bits made once with the data directory (`PROTOCOL.md` §2).
///
/// Losing the directory makes a new server. Names are for people; this is what the protocol compares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct ServerId(pub u64);

/// One life of a server: a boot counter (stored, raised before the first datagram) and 32 random bits.
///
/// Ordered by boot first, so that a newer life compares greater; the random half keeps a cloned disk apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct Incarnation {
    /// How often this data directory was started, from 1.
    pub boot: u32,
    /// Drawn at every start.
    pub random: u32,
}

/// A server in one of its lives. Views list these: a restarted server is not the member it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct Pid {
    /// The server.
    pub server: ServerId,
    /// Which of its lives.
    pub incarnation: Incarnation,
}

/// An epoch: the leadership of one process over one view. Ordered by number, then leader.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct EpochId {
    /// 1 + the greatest number any participant had seen.
    pub num: u64,
    /// The coordinator of the view change and leader of the view.
    pub leader: Pid,
}

/// A short stand-in for an [`EpochId`] on the data path: 64 bits of its hash (`PROTOCOL.md` §3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct ViewTag(pub u64);

/// A client: 64 random bits, kept with its outbox.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct ClientId(pub u64);

/// A message, for ever: made by the client, the same in every retry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct MessageId {
    /// Who made it.
    pub client: ClientId,
    /// The client's own count, from 1.
    pub cseq: u64,
}

/// The canonical place of a message in history: `(hlc, epoch, gsn, idx)`, compared in that order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct RecordKey {
    /// When the leader ordered it.
    pub hlc: crate::time::Hlc,
    /// In which epoch.
    pub epoch: EpochId,
    /// Global sequence number of its batch within the epoch, from 1.
    pub gsn: u64,
    /// Its place in the batch, from 0.
    pub idx: u32,
}

impl EpochId {
    /// The short stand-in that datagrams of the data path carry.
    pub fn tag(&self) -> ViewTag {
        ViewTag(xxhash_rust::xxh3::xxh3_64(&self.to_bytes()))
    }

    /// 24 bytes, big endian, that sort like the epoch.
    pub fn to_bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.num.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.leader.server.0.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.leader.incarnation.boot.to_be_bytes());
        bytes[20..].copy_from_slice(&self.leader.incarnation.random.to_be_bytes());
        bytes
    }

    /// The epoch that [`EpochId::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; 24]) -> Self {
        let word = |at: usize| bytes[at..at + 4].iter().fold(0_u32, |n, &b| n << 8 | u32::from(b));
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        let incarnation = Incarnation { boot: word(16), random: word(20) };
        Self { num: long(0), leader: Pid { server: ServerId(long(8)), incarnation } }
    }
}

impl RecordKey {
    /// Length of [`RecordKey::to_bytes`].
    pub const BYTES: usize = 44;

    /// 44 bytes, big endian, that sort like the key.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.hlc.0.to_be_bytes());
        bytes[8..32].copy_from_slice(&self.epoch.to_bytes());
        bytes[32..40].copy_from_slice(&self.gsn.to_be_bytes());
        bytes[40..].copy_from_slice(&self.idx.to_be_bytes());
        bytes
    }

    /// The key that [`RecordKey::to_bytes`] wrote; `None` when the length is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let (hlc, rest) = bytes.split_first_chunk::<8>()?;
        let (epoch, rest) = rest.split_first_chunk::<24>()?;
        let (gsn, idx) = rest.split_first_chunk::<8>()?;
        Some(Self {
            hlc: crate::time::Hlc(u64::from_be_bytes(*hlc)),
            epoch: EpochId::from_bytes(epoch),
            gsn: u64::from_be_bytes(*gsn),
            idx: u32::from_be_bytes(idx.try_into().ok()?),
        })
    }
}

/// The alphabet of ids that people read: no vowels, no look-alikes.
const LETTERS: &[u8; 32] = b"0123456789bcdfghjkmnpqrstvwxyzAE";

fn letters(out: &mut fmt::Formatter<'_>, bits: u64, count: u32) -> fmt::Result {
    for at in 0..count {
        let letter = LETTERS[(bits >> (59 - 5 * at) & 31) as usize];
        fmt::Write::write_char(out, char::from(letter))?;
    }
    Ok(())
}

/// Four letters, as people see it beside the server's name.
impl fmt::Display for ServerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        letters(out, self.0, 4)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.server, self.incarnation.boot)
    }
}

impl fmt::Display for EpochId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.num, self.leader)
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for ClientId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// `<client>-<cseq>`, as in JSON.
impl fmt::Display for MessageId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.client, self.cseq)
    }
}

/// Text reads `<client>-<cseq>`.
impl std::str::FromStr for MessageId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (client, cseq) = text.split_once('-').ok_or(BadId)?;
        if client.len() != 16 {
            return Err(BadId);
        }
        let client = ClientId(u64::from_str_radix(client, 16).map_err(|_| BadId)?);
        Ok(Self { client, cseq: cseq.parse().map_err(|_| BadId)? })
    }
}

/// A text that is no id of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadId;

impl fmt::Display for BadId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an id of a message has 16 hexadecimal digits, a hyphen and a number")
    }
}

impl std::error::Error for BadId {}

/// Lower-case hexadecimal of the 44 bytes: compares as text in canonical order.
impl fmt::Display for RecordKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Hlc;

    fn key(hlc: u64, num: u64, server: u64, gsn: u64, idx: u32) -> RecordKey {
        let leader = Pid { server: ServerId(server), incarnation: Incarnation { boot: 3, random: 9 } };
        RecordKey { hlc: Hlc(hlc), epoch: EpochId { num, leader }, gsn, idx }
    }

    #[test]
    fn keys_compare_alike_as_values_bytes_and_text() {
        let keys = [
            key(1, 1, 1, 1, 0),
            key(1, 1, 1, 1, 1),
            key(1, 1, 1, 2, 0),
            key(1, 1, u64::MAX, 1, 0),
            key(1, 2, 0, 0, 0),
            key(1 << 40, 0, 0, 0, 0),
            key(u64::MAX, 0, 0, 0, 0),
        ];
        for pair in keys.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
            assert!(pair[0].to_string() < pair[1].to_string());
        }
        for key in keys {
            assert_eq!(RecordKey::from_bytes(&key.to_bytes()), Some(key));
        }
    }

    #[test]
    fn message_id_reads_what_it_writes() {
        let id = MessageId { client: ClientId(0xfeed), cseq: 42 };
        assert_eq!(id.to_string(), "000000000000feed-42");
        assert_eq!("000000000000feed-42".parse(), Ok(id));
        assert_eq!("feed-42".parse::<MessageId>(), Err(BadId));
        assert_eq!("000000000000feed".parse::<MessageId>(), Err(BadId));
    }
}
