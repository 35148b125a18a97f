//! Sending: bursts of datagrams to one destination leave in one call where the system can cut them up (GSO).

use super::FaultSwitch;
use quinn_udp::{Transmit, UdpSocketState};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

/// Most destinations that are collected for at once; one more sends everything collected so far.
const MAX_BURSTS: usize = 8;
/// Most destinations whose errors are remembered as told: more than a ring has servers. Beyond, one may be told again.
const MAX_TOLD: usize = 64;
/// Longest burst: an IPv4 datagram with its headers is not longer, even when the network card cuts it up.
const MAX_BURST_BYTES: usize = 65_000;

/// What became of what was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SendCounts {
    /// Datagrams that the system took.
    pub sent: u64,
    /// Datagrams that the system refused, or had no room for in time. They are lost, as on the wire.
    pub failed: u64,
    /// Of those, refused by this machine's firewall.
    pub forbidden: u64,
    /// Datagrams that a planted fault dropped.
    pub dropped: u64,
}

/// Sends datagrams from this process's own socket.
///
/// What is sent to one destination keeps its order; nothing leaves later than the next [`Sender::flush`].
pub struct Sender {
    socket: Arc<UdpSocket>,
    state: Option<Arc<UdpSocketState>>,
    faults: FaultSwitch,
    bursts: Vec<Burst>,
    counts: SendCounts,
    /// Where nothing can be sent to, and why, as it was told; at most [`MAX_TOLD`].
    told: Vec<(SocketAddr, io::ErrorKind)>,
}

/// Datagrams of one size to one destination; only the last may be shorter.
struct Burst {
    to: SocketAddr,
    segment_bytes: usize,
    bytes: Vec<u8>,
}

impl Burst {
    fn fits(&self, datagram: &[u8], max_segments: usize) -> bool {
        let is_full = self.bytes.len() + datagram.len() > MAX_BURST_BYTES.min(self.segment_bytes * max_segments);
        self.bytes.is_empty()
            || datagram.len() <= self.segment_bytes && self.bytes.len().is_multiple_of(self.segment_bytes) && !is_full
    }

    fn push(&mut self, datagram: &[u8]) {
        if self.bytes.is_empty() {
            self.segment_bytes = datagram.len();
        }
        self.bytes.extend_from_slice(datagram);
    }
}

impl Sender {
    pub(crate) fn new(socket: Arc<UdpSocket>, state: Option<Arc<UdpSocketState>>, faults: FaultSwitch) -> Self {
        let counts = SendCounts::default();
        Self { socket, state, faults, bursts: Vec::new(), counts, told: Vec::new() }
    }

    /// Takes a datagram to be sent by the next flush at the latest. An empty one is passed over.
    pub fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        if datagram.is_empty() {
            return;
        }
        if self.faults.drops_departure(to) {
            self.counts.dropped += 1;
            return;
        }
        let max_segments = self.state.as_ref().map_or(1, |state| state.max_gso_segments());
        let at = self.burst_to(to);
        if !self.bursts[at].fits(datagram, max_segments) {
            self.send_burst(at);
        }
        self.bursts[at].push(datagram);
    }

    /// Sends everything that was taken.
    pub fn flush(&mut self) {
        for at in 0..self.bursts.len() {
            self.send_burst(at);
        }
    }

    /// What became of everything so far.
    pub fn counts(&self) -> SendCounts {
        self.counts
    }

    /// The place of the burst to this destination, which is made when there is none.
    fn burst_to(&mut self, to: SocketAddr) -> usize {
        if let Some(at) = self.bursts.iter().position(|burst| burst.to == to) {
            return at;
        }
        if let Some(at) = self.bursts.iter().position(|burst| burst.bytes.is_empty()) {
            self.bursts[at].to = to;
            return at;
        }
        if self.bursts.len() >= MAX_BURSTS {
            self.flush();
            self.bursts[0].to = to;
            return 0;
        }
        self.bursts.push(Burst { to, segment_bytes: 0, bytes: Vec::new() });
        self.bursts.len() - 1
    }

    fn send_burst(&mut self, at: usize) {
        let Burst { to, segment_bytes, ref mut bytes } = self.bursts[at];
        let bytes = std::mem::take(bytes);
        if !bytes.is_empty() && !self.send_at_once(to, &bytes, segment_bytes) {
            for datagram in bytes.chunks(segment_bytes) {
                let outcome = self.send_one(to, datagram);
                self.count(to, outcome);
            }
        }
        self.bursts[at].bytes = bytes;
        self.bursts[at].bytes.clear();
    }

    /// Whether the whole burst left in one call. A device that refuses is not asked again.
    fn send_at_once(&mut self, to: SocketAddr, bytes: &[u8], segment_bytes: usize) -> bool {
        let Some(state) = self.state.as_ref().filter(|_| bytes.len() > segment_bytes) else { return false };
        let transmit =
            Transmit { destination: to, ecn: None, contents: bytes, segment_size: Some(segment_bytes), src_ip: None };
        let sent = state.try_send((&*self.socket).into(), &transmit).is_ok();
        if sent {
            self.counts.sent += bytes.len().div_ceil(segment_bytes) as u64;
        }
        sent
    }

    fn send_one(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.socket.send_to(datagram, to).map(|_| ())
    }

    /// Counts, and tells of an error the first time and whenever it is another one for this destination.
    fn count(&mut self, to: SocketAddr, outcome: io::Result<()>) {
        let Err(error) = outcome else {
            self.counts.sent += 1;
            self.told.retain(|(whom, _)| *whom != to);
            return;
        };
        self.counts.failed += 1;
        self.counts.forbidden += u64::from(error.kind() == io::ErrorKind::PermissionDenied);
        if !self.told.contains(&(to, error.kind())) {
            log::warn!("cannot send to {to}: {error}");
            self.told.retain(|(whom, _)| *whom != to);
            self.told.truncate(MAX_TOLD - 1);
            self.told.push((to, error.kind()));
        }
    }
}
