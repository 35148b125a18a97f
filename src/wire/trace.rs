//! The event record: what a server did and saw lately, as it tells it to whoever asks (`PROTOCOL.md` §12).
//!
//! Variants' order is their number on the wire: new ones go to the end.

use crate::ids::{MessageId, ServerId};
use crate::record::MAX_BATCH;
use crate::seq::MAX_NUMBER;
use crate::wire::event::{Event, MAX_WORDS_BYTES};
use crate::wire::message::are_numbers;
use crate::wire::sketch::Sketch;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::SocketAddr;

/// Most events in one page of a record.
pub const MAX_PAGE_EVENTS: usize = 1024;
/// Bytes of events in one page, about: a page is full at this, after at least one event.
pub const MAX_PAGE_BYTES: usize = 256 << 10;
/// Most names in one page.
pub const MAX_PAGE_NAMES: usize = 128;

/// Something that a server did or saw, with its number in that server's record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TraceEvent {
    /// From 1, ascending by one.
    pub seq: u64,
    /// Microseconds since 1970 by the server's wall clock. Within one server they ascend unless that clock is set back.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// What a server did or saw.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum What {
    /// A datagram or frame went out.
    Sent {
        /// To whom.
        to: Whom,
        /// How.
        via: Via,
        /// The envelope's checksum: with the sender it names the datagram, except that a repair has that of what it repeats.
        sum: u32,
        /// All of it.
        bytes: u32,
        /// Whether it answers a NACK.
        repair: bool,
        /// The message.
        sketch: Sketch,
    },
    /// A datagram or frame came that was sound and of this net.
    Received {
        /// From whom.
        from: Whom,
        /// How.
        via: Via,
        /// The envelope's checksum.
        sum: u32,
        /// All of it.
        bytes: u32,
        /// The message.
        sketch: Sketch,
    },
    /// Something was not taken.
    Dropped {
        /// Why, in a few words.
        reason: Cow<'static, str>,
        /// Of what came: from whom.
        from: Option<Whom>,
        /// Of what came: the envelope's checksum; 0 where it does not hold.
        sum: u32,
    },
    /// A client's message was taken, to be sent.
    Accepted {
        /// Which.
        id: MessageId,
        /// Its room; empty for a one-to-one message.
        room: String,
    },
    /// The log of the view is on this server's disk up to here.
    Durable {
        /// The view's number.
        epoch: u64,
        /// The last gsn.
        upto: u64,
    },
    /// The log of the view is known to be on every member's disk up to here.
    Stable {
        /// The view's number.
        epoch: u64,
        /// The last gsn.
        upto: u64,
    },
    /// A batch became history here, in its turn.
    Delivered {
        /// The view's number.
        epoch: u64,
        /// The batch's place.
        gsn: u64,
        /// Its origin.
        origin: ServerId,
        /// The origin's number of its first datagram.
        oseq: u64,
        /// Servers known to have it on disk.
        copies: u16,
        /// Servers in the view.
        of: u16,
        /// The messages in it that count.
        ids: Vec<MessageId>,
    },
    /// A stretch of another view's log became history here: by a merge, a catch-up, or after a view change.
    DeliveredLate {
        /// That view's number.
        epoch: u64,
        /// The first gsn.
        gsn: u64,
        /// The last gsn.
        upto: u64,
    },
    /// What people are told of.
    Event(Box<Event>),
}

/// The other end of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Whom {
    /// Everyone in the group.
    All,
    /// A server.
    Server(ServerId),
    /// An address at which no server is known.
    Addr(SocketAddr),
}

/// How something goes over the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Via {
    /// Once, to the group.
    Multicast,
    /// A datagram to one process.
    Unicast,
    /// A frame over the link between two servers.
    Link,
}

/// A page of a server's record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct RecordPage {
    /// The server whose record it is.
    pub server: ServerId,
    /// When the record began, in microseconds since 1970. When this is another number than in the page before, it is another
    /// record (the process started anew): its numbers begin at 1 again.
    pub began_us: u64,
    /// Ask for the next page after this number. When it is the one asked after, there is nothing more yet.
    pub next: u64,
    /// Events after the number asked for that are forgotten already.
    pub lost: u64,
    /// The events, ascending.
    pub events: Vec<TraceEvent>,
    /// Names of the servers that the events may speak of, as far as they are known.
    pub names: Vec<(ServerId, String)>,
}

impl What {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Sent { sketch, .. } | Self::Received { sketch, .. } => sketch.heap_bytes(),
            Self::Accepted { room, .. } => room.len(),
            Self::Delivered { ids, .. } => size_of_val(&ids[..]),
            Self::Event(event) => size_of_val(&**event) + event_heap_bytes(event),
            Self::Dropped { .. } | Self::Durable { .. } | Self::Stable { .. } | Self::DeliveredLate { .. } => 0,
        }
    }

    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Sent { sketch, .. } | Self::Received { sketch, .. } => sketch.is_within_bounds(),
            Self::Dropped { reason, .. } => reason.len() <= MAX_WORDS_BYTES,
            Self::Accepted { room, .. } => room.len() <= crate::name::MAX_BYTES,
            Self::Delivered { ids, .. } => ids.len() <= MAX_BATCH,
            Self::Event(event) => event.is_within_bounds(),
            Self::Durable { .. } | Self::Stable { .. } | Self::DeliveredLate { .. } => true,
        }
    }
}

fn event_heap_bytes(event: &Event) -> usize {
    match event {
        Event::View { view, addrs, .. } => {
            size_of_val(&view.members[..])
                + view.members.iter().map(|member| member.name.len()).sum::<usize>()
                + size_of_val(&view.parents[..])
                + size_of_val(&addrs[..])
        }
        Event::Damaged { what, aside, .. } => what.len() + aside.len(),
        _ => 2 * crate::name::MAX_BYTES,
    }
}

impl RecordPage {
    /// Whether lists and numbers are within the protocol's bounds, and the events' numbers ascend up to the last.
    pub(super) fn is_within_bounds(&self) -> bool {
        are_numbers([self.next, self.lost])
            && self.events.len() <= MAX_PAGE_EVENTS
            && self.names.len() <= MAX_PAGE_NAMES
            && self.names.iter().all(|(_, name)| name.len() <= MAX_WORDS_BYTES)
            && self.events.windows(2).all(|pair| pair[0].seq < pair[1].seq)
            && self.events.iter().all(|event| event.seq <= MAX_NUMBER && event.what.is_within_bounds())
    }
}
