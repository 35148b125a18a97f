//! Receiving: one blocking call gives one datagram, or many that the system had joined (GRO).

use super::FaultSwitch;
use super::delay::{DelayLine, now};
use super::socket::RECEIVE_PAUSE;
use quinn_udp::{RecvMeta, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// The shortest wait for a socket while something waits to be due: none at all would mean for ever.
const LEAST_WAIT: Duration = Duration::from_millis(1);
/// Room for the longest joined burst.
const BUFFER_BYTES: usize = 1 << 16;

/// A datagram that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival<'a> {
    /// From where.
    pub from: SocketAddr,
    /// Whether it was sent to a group.
    pub multicast: bool,
    /// All of it.
    pub bytes: &'a [u8],
}

/// Receives from one socket.
pub struct Receiver {
    socket: Arc<UdpSocket>,
    state: Option<Arc<UdpSocketState>>,
    shared: bool,
    faults: FaultSwitch,
    buffer: Vec<u8>,
    delayed: DelayLine<Delayed>,
}

/// A datagram that came and is not taken yet: a demo's slow motion.
#[derive(Debug)]
struct Delayed {
    from: SocketAddr,
    multicast: bool,
    bytes: Vec<u8>,
}

impl Receiver {
    pub(crate) fn new(
        socket: Arc<UdpSocket>,
        state: Option<Arc<UdpSocketState>>,
        shared: bool,
        faults: FaultSwitch,
    ) -> Self {
        Self { socket, state, shared, faults, buffer: vec![0; BUFFER_BYTES], delayed: DelayLine::new() }
    }

    /// Waits up to 200 ms for datagrams and gives each to `take`. Nothing came: `take` is not called.
    ///
    /// # Errors
    /// What the system says of the socket; the next call may succeed (an interface that came back).
    pub fn receive(&mut self, mut take: impl FnMut(Arrival<'_>)) -> io::Result<()> {
        if !self.delayed.is_empty() || !self.faults.delay().is_zero() {
            return self.receive_slowly(take);
        }
        let (from, multicast, len, stride) = match self.wait() {
            Ok(came) => came,
            Err(error) if is_nothing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        for bytes in self.buffer[..len].chunks(stride.max(1)) {
            if !self.faults.drops_arrival(from) {
                take(Arrival { from, multicast, bytes });
            }
        }
        Ok(())
    }

    /// The same, and waits only so long, at most 200 ms.
    ///
    /// # Errors
    /// As [`Receiver::receive`].
    pub fn receive_within(&mut self, wait: Duration, take: impl FnMut(Arrival<'_>)) -> io::Result<()> {
        self.socket.set_read_timeout(Some(wait.clamp(LEAST_WAIT, RECEIVE_PAUSE)))?;
        let came = self.receive(take);
        self.socket.set_read_timeout(Some(RECEIVE_PAUSE))?;
        came
    }

    /// The same in slow motion: what comes waits, and what has waited long enough is taken.
    fn receive_slowly(&mut self, mut take: impl FnMut(Arrival<'_>)) -> io::Result<()> {
        let wait = self.delayed.next_due().map_or(RECEIVE_PAUSE, |due| due.saturating_duration_since(now()));
        self.socket.set_read_timeout(Some(wait.clamp(LEAST_WAIT, RECEIVE_PAUSE)))?;
        let came = self.wait();
        if let Ok((from, multicast, len, stride)) = came {
            let (now, delay) = (now(), self.faults.delay());
            for bytes in self.buffer[..len].chunks(stride.max(1)) {
                if !self.faults.drops_arrival(from) {
                    self.delayed.push(now, delay, Delayed { from, multicast, bytes: bytes.to_vec() });
                }
            }
        }
        let now = now();
        while let Some(Delayed { from, multicast, bytes }) = self.delayed.pop_due(now) {
            take(Arrival { from, multicast, bytes: &bytes });
        }
        if self.delayed.is_empty() {
            self.socket.set_read_timeout(Some(RECEIVE_PAUSE))?;
        }
        came.map(|_| ()).or_else(|error| if is_nothing(&error) { Ok(()) } else { Err(error) })
    }

    fn wait(&mut self) -> io::Result<(SocketAddr, bool, usize, usize)> {
        let Some(state) = &self.state else {
            let (len, from) = self.socket.recv_from(&mut self.buffer)?;
            return Ok((from, self.shared, len, len));
        };
        let mut meta = [RecvMeta::default()];
        let mut buffers = [IoSliceMut::new(&mut self.buffer)];
        state.recv((&*self.socket).into(), &mut buffers, &mut meta)?;
        let [meta] = meta;
        let multicast = meta.dst_ip.map_or(self.shared, |to| to.is_multicast());
        Ok((meta.addr, multicast, meta.len, meta.stride))
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
