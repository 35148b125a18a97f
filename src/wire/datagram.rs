//! The envelope of every datagram and link frame.
//!
//! ```text
//!  0      2   3     4        8              16             24          28
//!  +------+---+-----+--------+--------------+--------------+-----------+----------------
//!  | 'rt' | v |flags| net    | server id    | incarnation  | checksum  | message (postcard)
//!  +------+---+-----+--------+--------------+--------------+-----------+----------------
//! ```
//! Numbers are little endian. The checksum is the low half of XXH3-64 over everything else, in order; with a key it
//! will be the head of an AEAD tag, of which the message then carries the rest.

use crate::ids::{Incarnation, Pid, ServerId};
use crate::wire::message::Message;
use std::fmt;

/// Longest datagram: below every Ethernet, Wi-Fi and VPN MTU in use, so that IP never fragments.
pub const MAX_DATAGRAM_BYTES: usize = 1400;
/// Longest frame on a link between servers.
pub const MAX_FRAME_BYTES: usize = 1 << 20;
/// Bytes of the envelope.
pub const HEADER_BYTES: usize = 28;
/// The protocol's version; a peer of another one is told so and not understood.
pub const VERSION: u8 = 3;
const MAGIC: [u8; 2] = *b"rt";

/// Which net a datagram belongs to: 32 bits of its name's hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NetTag(pub u32);

impl NetTag {
    /// The tag of a net's name, compared without case.
    pub fn of(name: &str) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(crate::name::fold(name).as_bytes()) as u32)
    }
}

/// What the envelope tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The net.
    pub net: NetTag,
    /// The process that sent it; a client uses its [`ClientId`](crate::ids::ClientId) and sets [`Header::client`].
    pub sender: Pid,
    /// Whether a client sent it.
    pub client: bool,
}

/// Why a datagram was dropped. None of these changes any state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Malformed {
    /// Shorter than the envelope, or longer than a frame may be.
    Length,
    /// Another program's.
    Magic,
    /// Of another version of this protocol.
    Version(u8),
    /// Bits were harmed on the way.
    Checksum,
    /// The message does not decode, leaves bytes over, or breaks a bound.
    Message,
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => out.write_str("length"),
            Self::Magic => out.write_str("not ringtalk's"),
            Self::Version(version) => write!(out, "protocol version {version}"),
            Self::Checksum => out.write_str("checksum"),
            Self::Message => out.write_str("message"),
        }
    }
}

const CLIENT: u8 = 1;

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    crate::record::hash_of(head, body) as u32
}

/// Writes the datagram into `buf`, which is cleared first.
pub fn encode(header: &Header, message: &Message, buf: &mut Vec<u8>) {
    buf.clear();
    buf.extend_from_slice(&MAGIC);
    buf.push(VERSION);
    buf.push(if header.client { CLIENT } else { 0 });
    buf.extend_from_slice(&header.net.0.to_le_bytes());
    buf.extend_from_slice(&header.sender.server.0.to_le_bytes());
    buf.extend_from_slice(&header.sender.incarnation.boot.to_le_bytes());
    buf.extend_from_slice(&header.sender.incarnation.random.to_le_bytes());
    buf.extend_from_slice(&[0; 4]);
    match postcard::to_extend(message, std::mem::take(buf)) {
        Ok(written) => *buf = written,
        Err(error) => log::error!("a message could not be encoded: {error}"),
    }
    seal(buf);
}

/// Writes the checksum that the other bytes want; what is too short for a datagram stays as it is.
pub fn seal(bytes: &mut [u8]) {
    if let Some((head, body)) = bytes.split_at_checked(HEADER_BYTES) {
        let sum = checksum(&head[..HEADER_BYTES - 4], body);
        bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    }
}

/// The checksum that a datagram's envelope bears; 0 when there is no whole envelope.
pub fn sum(bytes: &[u8]) -> u32 {
    let bytes = bytes.get(HEADER_BYTES - 4..HEADER_BYTES).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The envelope of a datagram whose checksum holds, and the bytes of its message.
///
/// # Errors
/// [`Malformed`]; nothing of it may then be believed.
pub fn open(bytes: &[u8]) -> Result<(Header, &[u8]), Malformed> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(Malformed::Length);
    }
    let Some((head, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Malformed::Length);
    };
    if head[..2] != MAGIC {
        return Err(Malformed::Magic);
    }
    if head[2] != VERSION {
        return Err(Malformed::Version(head[2]));
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if word(24) != checksum(&head[..HEADER_BYTES - 4], body) {
        return Err(Malformed::Checksum);
    }
    let server = ServerId(u64::from(word(8)) | u64::from(word(12)) << 32);
    let incarnation = Incarnation { boot: word(16), random: word(20) };
    let sender = Pid { server, incarnation };
    Ok((Header { net: NetTag(word(4)), sender, client: head[3] & CLIENT != 0 }, body))
}

/// The message of an opened datagram.
///
/// # Errors
/// [`Malformed::Message`].
pub fn decode(body: &[u8]) -> Result<Message, Malformed> {
    match postcard::take_from_bytes::<Message>(body) {
        Ok((message, [])) if message.is_within_bounds() => Ok(message),
        _ => Err(Malformed::Message),
    }
}
