//! Receiving: one blocking call gives one datagram, or many that the system had joined (GRO).

use super::FaultSwitch;
use quinn_udp::{RecvMeta, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

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
}

impl Receiver {
    pub(crate) fn new(
        socket: Arc<UdpSocket>,
        state: Option<Arc<UdpSocketState>>,
        shared: bool,
        faults: FaultSwitch,
    ) -> Self {
        Self { socket, state, shared, faults, buffer: vec![0; BUFFER_BYTES] }
    }

    /// Waits up to 200 ms for datagrams and gives each to `take`. Nothing came: `take` is not called.
    ///
    /// # Errors
    /// What the system says of the socket; the next call may succeed (an interface that came back).
    pub fn receive(&mut self, mut take: impl FnMut(Arrival<'_>)) -> io::Result<()> {
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
