//! When a server speaks up without being asked: beacons, scouts, answers to scouts, probes of addresses it was told of.

use crate::ids::Pid;
use crate::proto::rng::Rng;
use crate::proto::settings::{BEACON, SCOUT_AGAIN, SCOUT_ANSWER, SCOUTS};
use crate::time::Time;
use crate::wire::message::Hearing;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Most scouts that wait for an answer; of more, some hear the next multicast beacon instead.
const MAX_ANSWERS: usize = 64;
/// Most addresses that only others named; more are passed over.
const MAX_PROBES: usize = 64;
/// An address that only others named is scouted at most this often.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// Deaths that were told; the oldest is forgotten and might be told once more.
const MAX_DEATHS: usize = 256;

/// The clocks of a server's announcements.
#[derive(Clone, Debug)]
pub struct Announcements {
    beacon_at: Time,
    scout_at: Time,
    scouts: usize,
    answers: BTreeMap<SocketAddr, Time>,
    probes: BTreeMap<SocketAddr, Time>,
    probed: BTreeSet<SocketAddr>,
    deaths: VecDeque<Pid>,
}

/// What is due.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Due {
    /// The beacon.
    pub beacon: bool,
    /// A scout, if nobody is known.
    pub scout: bool,
    /// … which also asks the servers of other nets.
    pub any_net: bool,
    /// Scouts to answer with a beacon.
    pub answers: Vec<SocketAddr>,
    /// Addresses to scout.
    pub probes: Vec<SocketAddr>,
}

impl Announcements {
    /// A server that has just started speaks at once.
    pub fn new(now: Time) -> Self {
        Self {
            beacon_at: now,
            scout_at: now,
            scouts: 0,
            answers: BTreeMap::new(),
            probes: BTreeMap::new(),
            probed: BTreeSet::new(),
            deaths: VecDeque::new(),
        }
    }

    /// The beacon is sent as soon as possible: something changed that others wait for.
    pub fn hasten(&mut self, now: Time) {
        self.beacon_at = self.beacon_at.min(now);
    }

    /// A scout came from this address.
    pub fn scouted(&mut self, now: Time, from: SocketAddr, rng: &mut Rng) {
        if self.answers.len() < MAX_ANSWERS {
            self.answers.entry(from).or_insert_with(|| now + rng.between(Duration::ZERO, SCOUT_ANSWER));
        }
    }

    /// Others hear these; those at new addresses are scouted, for no more than an address is known of them.
    pub fn hear_of(&mut self, heard: &[Hearing], me: Pid) {
        for hearing in heard.iter().filter(|hearing| hearing.pid.server != me.server) {
            if self.probed.len() < MAX_PROBES && self.probed.insert(hearing.addr) {
                self.probes.insert(hearing.addr, Time(0));
            }
        }
    }

    /// A process at this address has been heard: it needs no probe.
    pub fn heard_from(&mut self, addr: SocketAddr) {
        if !self.probes.is_empty() {
            self.probes.remove(&addr);
        }
    }

    /// Whether this death has not been told before.
    pub fn tell_death(&mut self, pid: Pid) -> bool {
        if self.deaths.contains(&pid) {
            return false;
        }
        self.deaths.push_back(pid);
        if self.deaths.len() > MAX_DEATHS {
            self.deaths.pop_front();
        }
        true
    }

    /// What is due now.
    pub fn take_due(&mut self, now: Time, rng: &mut Rng) -> Due {
        let mut due = Due::default();
        if now < self.next_timeout() {
            return due;
        }
        if now >= self.beacon_at {
            self.beacon_at = now + rng.jitter(BEACON, 10);
            due.beacon = true;
        }
        if now >= self.scout_at {
            due.scout = true;
            due.any_net = self.scouts >= SCOUTS.len();
            self.scouts += 1;
            self.scout_at = now + pause_before(self.scouts);
        }
        due.answers = self.take_answers(now);
        for (addr, at) in self.probes.iter_mut().filter(|(_, at)| now >= **at) {
            due.probes.push(*addr);
            *at = now + PROBE_EVERY;
        }
        due
    }

    /// Whom to answer now, and nothing else.
    pub fn take_answers(&mut self, now: Time) -> Vec<SocketAddr> {
        let due = self.answers.iter().filter(|(_, at)| now >= **at).map(|(addr, _)| *addr).collect();
        self.answers.retain(|_, at| now < *at);
        due
    }

    /// When somebody is to be answered.
    pub fn next_answer(&self) -> Time {
        self.answers.values().copied().min().unwrap_or(Time::NEVER)
    }

    /// When something is due.
    pub fn next_timeout(&self) -> Time {
        let own = self.beacon_at.min(self.scout_at);
        if self.answers.is_empty() && self.probes.is_empty() {
            return own;
        }
        self.answers.values().chain(self.probes.values()).fold(own, |next, at| next.min(*at))
    }
}

/// How long after the scout before it this one goes out.
fn pause_before(scout: usize) -> Duration {
    match (SCOUTS.get(scout.wrapping_sub(1)), SCOUTS.get(scout)) {
        (Some(last), Some(next)) => next.saturating_sub(*last),
        _ => SCOUT_AGAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scouts_go_out_at_their_times_and_then_every_five_seconds() {
        let mut announcements = Announcements::new(Time(0));
        let mut rng = Rng::new(1);
        let mut times = Vec::new();
        while times.len() < 6 {
            let at = announcements.next_timeout();
            if announcements.take_due(at, &mut rng).scout {
                times.push(at.0 / 1000);
            }
        }
        assert_eq!(times, [0, 100, 300, 700, 5700, 10_700]);
    }

    #[test]
    fn address_that_others_name_is_probed_rarely_and_not_once_it_is_heard() {
        let mut announcements = Announcements::new(Time(0));
        let addr: SocketAddr = "10.0.0.9:8285".parse().unwrap();
        let other = Pid { server: crate::ids::ServerId(9), ..Pid::default() };
        announcements.hear_of(&[Hearing { pid: other, addr, multicast: true }], Pid::default());
        assert_eq!(announcements.take_due(Time(1), &mut Rng::new(1)).probes, [addr]);
        assert_eq!(announcements.take_due(Time(2), &mut Rng::new(1)).probes, []);
        announcements.heard_from(addr);
        assert_eq!(announcements.take_due(Time(60_000_000), &mut Rng::new(1)).probes, []);
    }
}
