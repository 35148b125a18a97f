//! The receiving threads: one for each socket, blocking, handing datagrams to the protocol.
//!
//! Payloads and everything else have queues of their own, so that beacons, orders and view changes never wait behind
//! data; a full queue drops what comes, as the wire may, and counts it: what is missing is asked for again.

use super::clock::Clock;
use crate::ids::ViewTag;
use crate::net::{Arrival, Receiver as SocketReceiver, Transport};
use crate::record::Payload;
use crate::time::Time;
use crate::wire::datagram::{HEADER_BYTES, MAX_FRAME_BYTES};
use crate::wire::message::{Data, Message};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Datagrams without payload that wait.
const CONTROL: usize = 4096;
/// Datagrams with payload that wait: some 11 MB.
const BULK: usize = 8192;
/// How often the groups are left and joined anew.
const REJOIN: Duration = Duration::from_mins(1);
/// How often interfaces are looked for while none can be used.
const REJOIN_FAILED: Duration = Duration::from_secs(2);

/// A datagram that came.
pub(crate) struct Came {
    /// From where.
    pub(crate) from: SocketAddr,
    /// Whether to a group.
    pub(crate) multicast: bool,
    /// All of it.
    pub(crate) bytes: Vec<u8>,
}

/// Datagrams that were dropped because the protocol was behind.
#[derive(Debug, Default)]
pub(crate) struct Overflow {
    /// With payload.
    pub(crate) bulk: AtomicU64,
    /// Without.
    pub(crate) control: AtomicU64,
}

/// Where datagrams go. Clones are the same queues.
#[derive(Clone)]
pub(crate) struct Funnel {
    control: Sender<Came>,
    bulk: Sender<Came>,
    overflow: Arc<Overflow>,
    data_tag: u8,
}

/// Where the protocol takes them from.
pub(crate) struct Datagrams {
    /// Everything without payload.
    pub(crate) control: Receiver<Came>,
    /// Payloads.
    pub(crate) bulk: Receiver<Came>,
    /// What was dropped.
    pub(crate) overflow: Arc<Overflow>,
}

impl Funnel {
    /// Two queues and who fills them.
    pub(crate) fn new() -> (Self, Datagrams) {
        let (control, from_control) = bounded(CONTROL);
        let (bulk, from_bulk) = bounded(BULK);
        let overflow = Arc::<Overflow>::default();
        let funnel = Self { control, bulk, overflow: overflow.clone(), data_tag: data_tag() };
        (funnel, Datagrams { control: from_control, bulk: from_bulk, overflow })
    }

    /// Queues a datagram; whether the protocol still listens.
    fn put(&self, arrival: Arrival<'_>) -> bool {
        let bytes = arrival.bytes;
        if bytes.len() <= HEADER_BYTES || bytes.len() > MAX_FRAME_BYTES {
            return true;
        }
        let is_data = bytes[HEADER_BYTES] == self.data_tag;
        let queue = if is_data { &self.bulk } else { &self.control };
        let came = Came { from: arrival.from, multicast: arrival.multicast, bytes: bytes.to_vec() };
        match queue.try_send(came) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                let count = if is_data { &self.overflow.bulk } else { &self.overflow.control };
                count.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// How the encoding of [`Message::Data`] begins.
fn data_tag() -> u8 {
    let data = Data { view: ViewTag(0), origin: 0, oseq: 1, part: 0, parts: 1, payload: Payload::default() };
    postcard::to_stdvec(&Message::Data(data)).ok().and_then(|bytes| bytes.first().copied()).unwrap_or(u8::MAX)
}

/// Receives until told to stop, or until nobody listens.
pub(crate) fn receive(mut socket: SocketReceiver, funnel: &Funnel, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && receive_once(&mut socket, funnel, stop) {}
}

/// The same for the groups, which it also keeps joined.
pub(crate) fn receive_groups(mut transport: Transport, clock: Clock, funnel: &Funnel, stop: &AtomicBool) {
    let mut socket = transport.shared_receiver();
    let mut due: Time = clock.now().mono + REJOIN;
    while !stop.load(Ordering::Relaxed) && receive_once(&mut socket, funnel, stop) {
        let now = clock.now().mono;
        if now >= due {
            due = now + rejoin(&mut transport);
        }
    }
}

/// Joins anew; when to do it again.
fn rejoin(transport: &mut Transport) -> Duration {
    match transport.rejoin() {
        Ok(()) => REJOIN,
        Err(error) => {
            log::warn!("{error}");
            REJOIN_FAILED
        }
    }
}

/// Whether to go on.
fn receive_once(socket: &mut SocketReceiver, funnel: &Funnel, stop: &AtomicBool) -> bool {
    let mut listening = true;
    if let Err(error) = socket.receive(|arrival| listening &= funnel.put(arrival)) {
        log::warn!("cannot receive: {error}");
        // An interface that went down may say so at every call: look again in a moment, without spinning.
        let (_keep, never) = bounded::<()>(0);
        let _ = never.recv_timeout(Duration::from_millis(100));
    }
    listening && !stop.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Pid;
    use crate::wire::datagram::{Header, NetTag, encode};

    fn put(funnel: &Funnel, message: &Message) {
        let header = Header { net: NetTag(7), sender: Pid::default(), client: false };
        let mut bytes = Vec::new();
        encode(&header, message, &mut bytes);
        let from = SocketAddr::from(([127, 0, 0, 1], 8285));
        assert!(funnel.put(Arrival { from, multicast: true, bytes: &bytes }));
    }

    #[test]
    fn flood_of_data_is_dropped_and_counted_and_leaves_room_for_control() {
        let (funnel, datagrams) = Funnel::new();
        let data = Data { view: ViewTag(0), origin: 0, oseq: 9, part: 0, parts: 1, payload: Payload::default() };
        for _ in 0..BULK + 10 {
            put(&funnel, &Message::Data(data.clone()));
        }
        put(&funnel, &Message::Bye);
        assert_eq!(datagrams.overflow.bulk.load(Ordering::Relaxed), 10);
        assert_eq!(datagrams.overflow.control.load(Ordering::Relaxed), 0);
        assert_eq!(datagrams.bulk.len(), BULK);
        assert_eq!(datagrams.control.len(), 1);
    }

    #[test]
    fn nothing_is_queued_of_what_is_too_short_to_be_a_datagram() {
        let (funnel, datagrams) = Funnel::new();
        let from = SocketAddr::from(([127, 0, 0, 1], 8285));
        assert!(funnel.put(Arrival { from, multicast: true, bytes: &[] }));
        assert!(funnel.put(Arrival { from, multicast: true, bytes: &[0; HEADER_BYTES] }));
        assert!(datagrams.control.is_empty() && datagrams.bulk.is_empty());
    }
}
