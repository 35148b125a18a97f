//! A LAN that misbehaves: what becomes of each datagram and each stream between its stations.
//!
//! A station is a machine with an address. Every ordered pair of stations is a [`Path`] with its own latency, loss,
//! duplication, reordering and corruption, and may be cut, for multicast or for everything. Streams (links and sessions)
//! are reliable and in order while their path stands both ways, and break with it. A station may have a bandwidth: then
//! what it sends and what it is sent pass a [`Port`] each, and a datagram that finds one full is lost.

use super::port::{Bandwidth, Flow, Port};
use super::rng::Rng;
use crate::time::Time;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A machine on the LAN, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Station(pub usize);

impl Station {
    /// Its address: 10.0.0.1 for the first, port 8285.
    pub fn addr(self) -> SocketAddr {
        let [.., high, low] = (self.0 as u32 + 1).to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(10, 0, high, low), 8285))
    }

    /// The station of an address; `None` for an address of nobody here.
    pub fn of(addr: SocketAddr, stations: usize) -> Option<Self> {
        let SocketAddr::V4(v4) = addr else { return None };
        let [10, 0, high, low] = v4.ip().octets() else { return None };
        let number = usize::from(high) << 8 | usize::from(low);
        (1..=stations).contains(&number).then(|| Self(number - 1))
    }
}

/// How one station hears another. Chances are per mille of the datagrams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quality {
    /// Shortest latency.
    pub latency: Duration,
    /// Added at random, evenly, up to this.
    pub jitter: Duration,
    /// Lost.
    pub loss: u32,
    /// A burst of losses begins.
    pub burst: u32,
    /// How many datagrams a burst takes at most.
    pub burst_len: u32,
    /// Comes twice.
    pub duplicate: u32,
    /// How late the second copy is at most.
    pub duplicate_late: Duration,
    /// Held back, so that later ones overtake it.
    pub reorder: u32,
    /// For how long at most.
    pub reorder_late: Duration,
    /// Comes with a bit flipped.
    pub corrupt: u32,
    /// Datagrams longer than this are lost, if set.
    pub lost_above: Option<usize>,
}

impl Quality {
    /// A wired LAN with nothing wrong.
    pub const GOOD: Self = Self {
        latency: Duration::from_micros(60),
        jitter: Duration::from_micros(40),
        loss: 0,
        burst: 0,
        burst_len: 0,
        duplicate: 0,
        duplicate_late: Duration::ZERO,
        reorder: 0,
        reorder_late: Duration::ZERO,
        corrupt: 0,
        lost_above: None,
    };
}

/// What passes from one station to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cut {
    /// Everything.
    #[default]
    None,
    /// All but multicast.
    Multicast,
    /// Multicast alone: neither datagrams for one station nor streams.
    Unicast,
    /// Nothing.
    All,
}

impl Cut {
    fn stops(self, cast: Cast) -> bool {
        match self {
            Self::None => false,
            Self::Multicast => cast == Cast::Multi,
            Self::Unicast => cast == Cast::Uni,
            Self::All => true,
        }
    }
}

/// One direction between two stations.
#[derive(Clone, Debug)]
struct Path {
    quality: Quality,
    cut: Cut,
    burst_left: u32,
    /// When the last byte of a stream on this path arrives: the next comes no earlier.
    stream_free: Time,
}

/// What happens to one datagram at one receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// When.
    pub at: Time,
    /// The bit that is flipped on the way, if any.
    pub flipped: Option<usize>,
}

/// How a datagram is addressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cast {
    /// To the group.
    Multi,
    /// To one station.
    Uni,
}

/// A station's two ports.
#[derive(Clone, Debug, Default)]
struct Ports {
    up: Port,
    down: Port,
}

/// All paths between the stations.
pub struct Lan {
    stations: usize,
    paths: Vec<Path>,
    /// By station; empty until some station has a bandwidth: a LAN without costs nothing.
    ports: Vec<Ports>,
    rng: Rng,
    /// Datagrams that were lost, cut ones included.
    pub lost: u64,
    /// Second copies that were made.
    pub duplicated: u64,
    /// Copies that were harmed.
    pub corrupted: u64,
    /// Datagrams that found a port full; they are not among the lost ones.
    pub overflowed: u64,
    /// Bytes that left their senders, of datagrams and streams; counted where there are ports.
    pub carried: u64,
}

impl Lan {
    /// A LAN of so many stations, all of it good.
    pub fn new(stations: usize, rng: Rng) -> Self {
        let path = Path { quality: Quality::GOOD, cut: Cut::None, burst_left: 0, stream_free: Time(0) };
        let paths = vec![path; stations * stations];
        Self {
            stations,
            paths,
            ports: Vec::new(),
            rng,
            lost: 0,
            duplicated: 0,
            corrupted: 0,
            overflowed: 0,
            carried: 0,
        }
    }

    /// How many stations there are.
    pub fn stations(&self) -> usize {
        self.stations
    }

    fn path(&mut self, from: Station, to: Station) -> &mut Path {
        &mut self.paths[from.0 * self.stations + to.0]
    }

    /// Sets how `to` hears `from`.
    pub fn set_quality(&mut self, from: Station, to: Station, quality: Quality) {
        let path = self.path(from, to);
        path.quality = quality;
        path.burst_left = 0;
    }

    /// Sets what passes from one station to another.
    pub fn set_cut(&mut self, from: Station, to: Station, cut: Cut) {
        self.path(from, to).cut = cut;
    }

    /// What passes from one station to another.
    pub fn cut(&self, from: Station, to: Station) -> Cut {
        self.paths[from.0 * self.stations + to.0].cut
    }

    /// Whether a stream between the two stands.
    pub fn connected(&self, a: Station, b: Station) -> bool {
        ![self.cut(a, b), self.cut(b, a)].into_iter().any(|cut| cut.stops(Cast::Uni))
    }

    /// Every pair good and nothing cut.
    pub fn heal(&mut self) {
        for path in &mut self.paths {
            path.quality = Quality::GOOD;
            path.cut = Cut::None;
            path.burst_left = 0;
        }
    }

    /// Gives a station so much bandwidth in each direction, or as much as it wants.
    pub fn set_bandwidth(&mut self, at: Station, bandwidth: Option<Bandwidth>) {
        if self.ports.is_empty() && bandwidth.is_some() {
            self.ports = vec![Ports::default(); self.stations];
        }
        if let Some(ports) = self.ports.get_mut(at.0) {
            ports.up.set(bandwidth);
            ports.down.set(bandwidth);
        }
    }

    /// Gives every station as much bandwidth as it wants.
    pub fn widen(&mut self) {
        for at in 0..self.ports.len() {
            self.set_bandwidth(Station(at), None);
        }
    }

    /// The fewest bits a second that some station takes on, if that is bounded.
    pub fn narrowest(&self) -> Option<u64> {
        self.ports.iter().filter_map(|ports| ports.up.bandwidth()).map(|bandwidth| bandwidth.bits).min()
    }

    /// Whether some station has, or had, a bandwidth: then what arrives has to [`enter`](Self::enter), too.
    pub fn has_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    /// When a datagram has left its sender, for however many it is; `None` when it is lost there.
    pub fn leave(&mut self, now: Time, from: Station, bytes: usize) -> Option<Time> {
        let Some(ports) = self.ports.get_mut(from.0) else { return Some(now) };
        let leaves = ports.up.pass(now, Flow::Datagrams, bytes);
        self.overflowed += u64::from(leaves.is_none());
        self.carried += if leaves.is_some() { bytes as u64 } else { 0 };
        leaves
    }

    /// When what has arrived at a station's port is through; `None` when it is lost there.
    pub fn enter(&mut self, now: Time, to: Station, flow: Flow, bytes: usize) -> Option<Time> {
        let Some(ports) = self.ports.get_mut(to.0) else { return Some(now) };
        let enters = ports.down.pass(now, flow, bytes);
        self.overflowed += u64::from(enters.is_none());
        enters
    }

    /// When the copies of a datagram that leaves its sender now arrive; none when it is lost, at most two.
    pub fn send(&mut self, now: Time, from: Station, to: Station, cast: Cast, bytes: usize) -> [Option<Arrival>; 2] {
        let at = from.0 * self.stations + to.0;
        let path = &mut self.paths[at];
        let cut = path.cut.stops(cast);
        if from != to && (cut || lose(path, bytes, &mut self.rng)) {
            self.lost += 1;
            return [None, None];
        }
        let quality = &path.quality;
        let mut wait = quality.latency + self.rng.wait(Duration::ZERO, quality.jitter);
        if self.rng.chance(quality.reorder) {
            wait += self.rng.wait(Duration::ZERO, quality.reorder_late);
        }
        let first = Arrival { at: now + wait, flipped: flip(quality, bytes, &mut self.rng) };
        if !self.rng.chance(quality.duplicate) {
            self.corrupted += u64::from(first.flipped.is_some());
            return [Some(first), None];
        }
        let late = wait + self.rng.wait(Duration::ZERO, quality.duplicate_late);
        let second = Arrival { at: now + late, flipped: flip(quality, bytes, &mut self.rng) };
        self.duplicated += 1;
        self.corrupted += u64::from(first.flipped.is_some()) + u64::from(second.flipped.is_some());
        [Some(first), Some(second)]
    }

    /// When a piece of a stream arrives; `None` when the stream breaks. Loss only makes it later: it is sent again below.
    pub fn stream(&mut self, now: Time, from: Station, to: Station, bytes: usize) -> Option<Time> {
        if from != to && !self.connected(from, to) {
            return None;
        }
        let leaves = match self.ports.get_mut(from.0).filter(|_| from != to) {
            Some(ports) => {
                self.carried += bytes as u64;
                ports.up.pass(now, Flow::Streams, bytes)?
            }
            None => now,
        };
        let at = from.0 * self.stations + to.0;
        let path = &mut self.paths[at];
        let quality = &path.quality;
        let mut wait = quality.latency + self.rng.wait(Duration::ZERO, quality.jitter);
        while self.rng.chance(quality.loss.min(500)) && wait < Duration::from_secs(2) {
            wait += Duration::from_millis(40);
        }
        // A hundred megabytes a second.
        wait += Duration::from_nanos(10 * bytes as u64);
        let at = (leaves + wait).max(path.stream_free);
        path.stream_free = at;
        Some(at)
    }
}

fn lose(path: &mut Path, bytes: usize, rng: &mut Rng) -> bool {
    if path.quality.lost_above.is_some_and(|most| bytes > most) {
        return true;
    }
    if path.burst_left > 0 {
        path.burst_left -= 1;
        return true;
    }
    if rng.chance(path.quality.burst) {
        path.burst_left = rng.below(u64::from(path.quality.burst_len)) as u32;
        return true;
    }
    rng.chance(path.quality.loss)
}

fn flip(quality: &Quality, bytes: usize, rng: &mut Rng) -> Option<usize> {
    rng.chance(quality.corrupt).then(|| rng.index(bytes.max(1) * 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(lan: &mut Lan, from: usize, to: usize, cast: Cast, bytes: usize) -> usize {
        lan.send(Time(0), Station(from), Station(to), cast, bytes).iter().flatten().count()
    }

    #[test]
    fn addresses_and_stations_stand_for_each_other() {
        for at in [0, 1, 254, 255, 256, 300] {
            assert_eq!(Station::of(Station(at).addr(), 301), Some(Station(at)));
        }
        assert_eq!(Station::of(Station(5).addr(), 5), None);
    }

    #[test]
    fn cut_is_one_way_and_may_take_multicast_or_unicast_only() {
        let mut lan = Lan::new(2, Rng::new(1));
        lan.set_cut(Station(0), Station(1), Cut::Multicast);
        assert_eq!(arrivals(&mut lan, 0, 1, Cast::Multi, 10), 0);
        assert_eq!(arrivals(&mut lan, 0, 1, Cast::Uni, 10), 1);
        lan.set_cut(Station(0), Station(1), Cut::Unicast);
        assert_eq!(arrivals(&mut lan, 0, 1, Cast::Multi, 10), 1);
        assert_eq!(arrivals(&mut lan, 0, 1, Cast::Uni, 10), 0);
        assert_eq!(lan.stream(Time(0), Station(0), Station(1), 1), None);
        lan.set_cut(Station(0), Station(1), Cut::All);
        assert_eq!(arrivals(&mut lan, 0, 1, Cast::Uni, 10), 0);
        assert_eq!(arrivals(&mut lan, 1, 0, Cast::Multi, 10), 1);
        assert_eq!(lan.stream(Time(0), Station(1), Station(0), 1), None);
        lan.heal();
        assert_eq!(arrivals(&mut lan, 0, 1, Cast::Multi, 10), 1);
    }

    #[test]
    fn loss_is_about_what_was_asked_for() {
        let mut lan = Lan::new(2, Rng::new(2));
        lan.set_quality(Station(0), Station(1), Quality { loss: 300, ..Quality::GOOD });
        let came: usize = (0..10_000).map(|_| arrivals(&mut lan, 0, 1, Cast::Multi, 10)).sum();
        assert!((6_800..7_200).contains(&came), "{came}");
    }

    #[test]
    fn only_long_datagrams_are_lost_where_the_path_is_narrow() {
        let mut lan = Lan::new(2, Rng::new(3));
        lan.set_quality(Station(0), Station(1), Quality { lost_above: Some(500), ..Quality::GOOD });
        assert_eq!(arrivals(&mut lan, 0, 1, Cast::Uni, 501), 0);
        assert_eq!(arrivals(&mut lan, 0, 1, Cast::Uni, 500), 1);
    }

    #[test]
    fn datagram_passes_the_sender_once_and_each_receiver_once() {
        let mut lan = Lan::new(3, Rng::new(5));
        assert_eq!(lan.leave(Time(0), Station(0), 1000), Some(Time(0)));
        lan.set_bandwidth(Station(0), Some(Bandwidth { bits: 8_000_000, queue_bytes: 2000 }));
        assert_eq!(lan.leave(Time(0), Station(0), 1000), Some(Time(1000)));
        assert_eq!(lan.leave(Time(0), Station(0), 1000), Some(Time(2000)));
        assert_eq!(lan.leave(Time(0), Station(0), 1000), None);
        assert_eq!(lan.enter(Time(0), Station(0), Flow::Datagrams, 1000), Some(Time(1000)), "the other direction");
        assert_eq!(lan.enter(Time(0), Station(1), Flow::Datagrams, 1000), Some(Time(0)));
        assert_eq!((lan.overflowed, lan.lost), (1, 0));
        lan.widen();
        assert_eq!(lan.leave(Time(0), Station(0), 1000), Some(Time(0)));
    }

    #[test]
    fn streams_arrive_in_order_whatever_the_jitter() {
        let mut lan = Lan::new(2, Rng::new(4));
        let quality = Quality { jitter: Duration::from_millis(50), loss: 400, ..Quality::GOOD };
        lan.set_quality(Station(0), Station(1), quality);
        let mut last = Time(0);
        for at in 0..100 {
            let arrives = lan.stream(Time(at), Station(0), Station(1), 100).unwrap_or(Time(0));
            assert!(arrives >= last);
            last = arrives;
        }
    }
}
