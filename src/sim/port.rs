//! Where a station meets the LAN: a wire that takes its time for each byte, and a queue before it that may be full.
//!
//! Datagrams leave in the order in which they came; who finds the queue full is lost (drop-tail). Streams wait instead, as
//! their senders do, and have half of the wire while datagrams want it, too: so a host's queues share between flows, and so
//! neither starves the other.

use crate::time::Time;

/// What a port takes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bandwidth {
    /// Bits that pass in a second.
    pub bits: u64,
    /// Bytes of datagrams that wait, at most.
    pub queue_bytes: usize,
}

/// What passes a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Datagrams.
    Datagrams,
    /// Links and sessions.
    Streams,
}

/// One direction of a station's connection to the LAN. What waits is counted in millionths of a bit, of which a microsecond
/// takes as many as a second takes bits.
#[derive(Clone, Debug, Default)]
pub struct Port {
    bandwidth: Option<Bandwidth>,
    datagrams: u128,
    streams: u128,
    at: Time,
    /// When the last byte of a stream is through: what comes later overtakes nothing, however wide the port is by then.
    streams_until: Time,
}

impl Port {
    /// Changes it. What waits already keeps its time.
    pub fn set(&mut self, bandwidth: Option<Bandwidth>) {
        self.bandwidth = bandwidth;
        (self.datagrams, self.streams) = (0, 0);
    }

    /// What it takes on, if that is bounded.
    pub fn bandwidth(&self) -> Option<Bandwidth> {
        self.bandwidth
    }

    /// When `bytes` that come now are through; `None` when they are lost.
    pub fn pass(&mut self, now: Time, flow: Flow, bytes: usize) -> Option<Time> {
        self.drain(now);
        let through = match (self.bandwidth, flow) {
            (None, _) => now,
            (Some(bandwidth), flow) => self.queue(now, bandwidth, flow, bytes)?,
        };
        if flow == Flow::Datagrams {
            return Some(through);
        }
        self.streams_until = self.streams_until.max(through);
        Some(self.streams_until)
    }

    fn queue(&mut self, now: Time, bandwidth: Bandwidth, flow: Flow, bytes: usize) -> Option<Time> {
        let (own, other) = match flow {
            Flow::Datagrams => (&mut self.datagrams, self.streams),
            Flow::Streams => (&mut self.streams, self.datagrams),
        };
        let grown = *own + micro(bytes);
        if flow == Flow::Datagrams && grown > micro(bandwidth.queue_bytes) {
            return None;
        }
        *own = grown;
        let wait = (grown + grown.min(other)).div_ceil(u128::from(bandwidth.bits.max(1)));
        Some(Time(now.0.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))))
    }

    /// What has left since: half of each while both wait, then all of one.
    fn drain(&mut self, now: Time) {
        let passed = u128::from(now.0.saturating_sub(self.at.0));
        self.at = self.at.max(now);
        let Some(Bandwidth { bits, .. }) = self.bandwidth else { return };
        let left = passed * u128::from(bits);
        let each = self.datagrams.min(self.streams).min(left / 2);
        self.datagrams -= each;
        self.streams -= each;
        let rest = left - 2 * each;
        if self.streams == 0 {
            self.datagrams = self.datagrams.saturating_sub(rest);
        } else if self.datagrams == 0 {
            self.streams = self.streams.saturating_sub(rest);
        }
    }
}

fn micro(bytes: usize) -> u128 {
    bytes as u128 * 8_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A megabit a second, four datagrams of a thousand bytes in the queue: eight milliseconds for each.
    fn narrow() -> Port {
        let mut port = Port::default();
        port.set(Some(Bandwidth { bits: 1_000_000, queue_bytes: 4000 }));
        port
    }

    fn ms(ms: u64) -> Time {
        Time(ms * 1000)
    }

    #[test]
    fn datagrams_leave_one_after_the_other_and_the_fifth_finds_the_queue_full() {
        let mut port = narrow();
        for n in 1..=4 {
            assert_eq!(port.pass(ms(0), Flow::Datagrams, 1000), Some(ms(8 * n)));
        }
        assert_eq!(port.pass(ms(7), Flow::Datagrams, 1000), None);
        assert_eq!(port.pass(ms(8), Flow::Datagrams, 1000), Some(ms(40)));
        assert_eq!(port.pass(ms(100), Flow::Datagrams, 1000), Some(ms(108)));
    }

    #[test]
    fn streams_wait_and_have_half_while_datagrams_want_the_rest() {
        let mut port = narrow();
        assert_eq!(port.pass(ms(0), Flow::Streams, 100_000), Some(ms(800)));
        assert_eq!(port.pass(ms(0), Flow::Datagrams, 1000), Some(ms(16)));
        assert_eq!(port.pass(ms(16), Flow::Datagrams, 1000), Some(ms(32)));
        assert_eq!(port.pass(ms(32), Flow::Streams, 1000), Some(ms(832 - 8)));
    }

    #[test]
    fn stream_overtakes_nothing_when_the_port_is_wide_again() {
        let mut port = narrow();
        assert_eq!(port.pass(ms(0), Flow::Streams, 10_000), Some(ms(80)));
        port.set(None);
        assert_eq!(port.pass(ms(1), Flow::Streams, 10), Some(ms(80)));
        assert_eq!(port.pass(ms(1), Flow::Datagrams, 10), Some(ms(1)));
    }
}
