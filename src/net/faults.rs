//! Faults on demand, for the demonstration: a transport that loses and cuts what it is told to.
//!
//! Only who holds the switch can use it: the program that started the server, through a pipe that the server inherited.
//! Nothing that comes over the network reaches it. Commands are lines:
//!
//! ```text
//! loss 20                       drop 20 of 100 datagrams that come, and of those that go by unicast
//! cut 127.0.0.1:8286 both       neither hear nor be heard by that server; also `in`, `out`
//! mend 127.0.0.1:8286           neither direction is cut any more
//! delay 20                      every datagram and link frame waits 20 ms on arrival, in its order; 0 to 500
//! heal                          all as it was
//! ```
//! A multicast cannot be kept from one receiver where it is sent, so `out` stops unicast and links only: to cut one
//! direction wholly, tell the receiver `in`. Links stay connected while they are cut, as over a pulled cable. What waits
//! keeps its order, also when the delay changes; 4,096 datagrams wait at each socket, more are lost, and a link with 16
//! waiting frames is not read further.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Most servers that can be cut at once; more are refused.
const MAX_CUTS: usize = 64;
/// Longest delay, in milliseconds: with more, servers would take each other for dead.
const MAX_DELAY_MS: u32 = 500;

/// Which way a cut goes, as seen by who is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// What comes from the other.
    In,
    /// What goes to the other.
    Out,
    /// Everything.
    Both,
}

impl Direction {
    fn stops(self, way: Self) -> bool {
        self == Self::Both || self == way
    }
}

/// A line that is no command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadCommand;

impl fmt::Display for BadCommand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("commands are: loss PERCENT, cut ADDR:PORT both|in|out, mend ADDR:PORT, delay MS, heal")
    }
}

impl std::error::Error for BadCommand {}

/// Decides what is dropped. Clones are the same switch; off, it costs one relaxed load a datagram.
#[derive(Clone, Default, Debug)]
pub struct FaultSwitch(Arc<Switch>);

#[derive(Default, Debug)]
struct Switch {
    on: AtomicBool,
    loss_percent: AtomicU32,
    delay_ms: AtomicU32,
    drawn: AtomicU64,
    dropped: AtomicU64,
    cuts: RwLock<BTreeMap<SocketAddr, Direction>>,
}

impl FaultSwitch {
    /// Does what one line says.
    ///
    /// # Errors
    /// [`BadCommand`]; nothing was changed.
    pub fn obey(&self, line: &str) -> Result<(), BadCommand> {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["loss", percent] => self.lose(percent.parse().ok().filter(|&n| n <= 100).ok_or(BadCommand)?),
            ["cut", addr, direction] => return self.cut(addr.parse().map_err(|_| BadCommand)?, direction.parse()?),
            ["mend", addr] => self.mend(addr.parse().map_err(|_| BadCommand)?),
            ["delay", ms] => self.slow_down(ms.parse().ok().filter(|&ms| ms <= MAX_DELAY_MS).ok_or(BadCommand)?),
            ["heal"] => self.heal(),
            _ => return Err(BadCommand),
        }
        Ok(())
    }

    /// Drops this many of 100 datagrams.
    pub fn lose(&self, percent: u32) {
        self.0.loss_percent.store(percent, Ordering::Relaxed);
        self.0.on.store(true, Ordering::Relaxed);
    }

    /// Cuts the way between this server and the one that sends from `addr`.
    ///
    /// # Errors
    /// [`BadCommand`] when 64 are cut already.
    pub fn cut(&self, addr: SocketAddr, direction: Direction) -> Result<(), BadCommand> {
        let mut cuts = self.0.cuts.write().unwrap_or_else(PoisonError::into_inner);
        if cuts.len() >= MAX_CUTS && !cuts.contains_key(&addr) {
            return Err(BadCommand);
        }
        cuts.insert(addr, direction);
        self.0.on.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Ends the cut between this server and the one that sends from `addr`.
    pub fn mend(&self, addr: SocketAddr) {
        self.0.cuts.write().unwrap_or_else(PoisonError::into_inner).remove(&addr);
    }

    /// Lets everything that comes wait so many milliseconds, at most 500.
    pub fn slow_down(&self, ms: u32) {
        self.0.delay_ms.store(ms.min(MAX_DELAY_MS), Ordering::Relaxed);
        self.0.on.store(true, Ordering::Relaxed);
    }

    /// How long what comes waits.
    pub fn delay(&self) -> Duration {
        if !self.is_on() {
            return Duration::ZERO;
        }
        Duration::from_millis(self.0.delay_ms.load(Ordering::Relaxed).into())
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.0.on.store(false, Ordering::Relaxed);
        self.0.loss_percent.store(0, Ordering::Relaxed);
        self.0.delay_ms.store(0, Ordering::Relaxed);
        self.0.cuts.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether a datagram from `from` is dropped on arrival.
    pub fn drops_arrival(&self, from: SocketAddr) -> bool {
        self.counted(self.is_on() && (self.is_cut(from, Direction::In) || self.is_lost()))
    }

    /// Whether a datagram to `to` is dropped instead of sent. Multicasts are lost where they arrive.
    pub fn drops_departure(&self, to: SocketAddr) -> bool {
        self.counted(self.is_on() && !to.ip().is_multicast() && (self.is_cut(to, Direction::Out) || self.is_lost()))
    }

    /// How many datagrams were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Whether nothing passes this way between this server and the one at `addr`.
    pub fn is_cut(&self, addr: SocketAddr, way: Direction) -> bool {
        self.is_on()
            && self
                .0
                .cuts
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&addr)
                .is_some_and(|direction| direction.stops(way))
    }

    fn counted(&self, drops: bool) -> bool {
        if drops {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        drops
    }

    fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    fn is_lost(&self) -> bool {
        let percent = self.0.loss_percent.load(Ordering::Relaxed);
        percent > 0 && self.draw() % 100 < u64::from(percent)
    }

    /// The next number of a fixed sequence (splitmix64): good enough to lose datagrams by.
    fn draw(&self) -> u64 {
        let mut n = self.0.drawn.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ n >> 31
    }
}

impl FromStr for Direction {
    type Err = BadCommand;

    fn from_str(text: &str) -> Result<Self, BadCommand> {
        match text {
            "in" => Ok(Self::In),
            "out" => Ok(Self::Out),
            "both" => Ok(Self::Both),
            _ => Err(BadCommand),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn switch_that_nobody_touched_drops_nothing() {
        let switch = FaultSwitch::default();
        assert!((8285..8300).all(|port| !switch.drops_arrival(addr(port)) && !switch.drops_departure(addr(port))));
    }

    #[test]
    fn cut_stops_its_direction_and_its_server_only_until_healed() {
        let switch = FaultSwitch::default();
        switch.obey("cut 127.0.0.1:8286 in").unwrap();
        switch.obey("cut 127.0.0.1:8287 both").unwrap();
        assert!(switch.drops_arrival(addr(8286)) && !switch.drops_departure(addr(8286)));
        assert!(switch.drops_arrival(addr(8287)) && switch.drops_departure(addr(8287)));
        assert!(!switch.drops_arrival(addr(8288)));
        switch.obey("heal").unwrap();
        assert!(!switch.drops_arrival(addr(8286)) && !switch.drops_departure(addr(8287)));
    }

    #[test]
    fn mended_server_is_heard_while_others_stay_cut() {
        let switch = FaultSwitch::default();
        switch.obey("cut 127.0.0.1:8286 both").unwrap();
        switch.obey("cut 127.0.0.1:8287 both").unwrap();
        switch.obey("mend 127.0.0.1:8286").unwrap();
        switch.obey("mend 127.0.0.1:8299").unwrap();
        assert!(!switch.drops_arrival(addr(8286)) && switch.drops_arrival(addr(8287)));
    }

    #[test]
    fn delay_lasts_until_it_is_healed() {
        let switch = FaultSwitch::default();
        switch.obey("delay 40").unwrap();
        assert_eq!(switch.delay(), Duration::from_millis(40));
        switch.obey("heal").unwrap();
        assert_eq!(switch.delay(), Duration::ZERO);
    }

    #[test]
    fn loss_is_about_what_was_asked_for() {
        let switch = FaultSwitch::default();
        switch.obey("loss 20").unwrap();
        let lost = (0..10_000).filter(|_| switch.drops_arrival(addr(8286))).count();
        assert!((1_800..2_200).contains(&lost), "{lost} of 10000");
        assert_eq!(switch.dropped(), lost as u64);
        assert!(!switch.drops_departure(([239, 255, 82, 84], 8284).into()));
    }

    #[test]
    fn nonsense_changes_nothing() {
        let switch = FaultSwitch::default();
        for line in ["", "loss", "loss 101", "loss x", "cut 127.0.0.1 both", "cut 127.0.0.1:1 up", "heal now", "kill"] {
            assert_eq!(switch.obey(line), Err(BadCommand), "{line:?}");
        }
        for line in ["mend", "mend oak", "delay", "delay -1", "delay 501", "delay 1.5", "delay 1 1"] {
            assert_eq!(switch.obey(line), Err(BadCommand), "{line:?}");
        }
        assert_eq!(switch.delay(), Duration::ZERO);
        assert!(!switch.drops_arrival(addr(8286)));
    }
}
