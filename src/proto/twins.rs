//! Other processes with this very server's id: older lives of it, and copies of its data directory.

use crate::ids::Pid;
use crate::proto::rng::Rng;
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Most processes that are asked, and most places that are told of.
const MAX_TWINS: usize = 16;
/// A process is asked at most this often.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Tells a copy of this server that lives from the late words of a life that has ended (`PROTOCOL.md` §5).
///
/// Everyone who hears two lives of one server takes the lesser for dead, so that of two that live the lesser has lost its
/// place already. It ends only by proof: the greater must answer a question that was asked after it was heard. A datagram
/// that comes late, twice or from nowhere answers nothing.
#[derive(Clone, Debug)]
pub struct Twins {
    me: Pid,
    asked: BTreeMap<Pid, Asked>,
    told: BTreeSet<(Pid, SocketAddr)>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Time,
    nonce: u64,
}

impl Twins {
    /// None are known.
    pub fn new(me: Pid) -> Self {
        Self { me, asked: BTreeMap::new(), told: BTreeSet::new() }
    }

    /// A process with this server's id was heard: the number to ask it with, if it would take this one's place and it is
    /// time to ask.
    pub fn heard(&mut self, now: Time, pid: Pid, rng: &mut Rng) -> Option<u64> {
        if pid <= self.me || self.asked.len() >= MAX_TWINS && !self.asked.contains_key(&pid) {
            return None;
        }
        match self.asked.get_mut(&pid) {
            Some(asked) if now.since(asked.at) < ASK_EVERY => None,
            // The number stays: an answer counts whenever it comes.
            Some(asked) => {
                asked.at = now;
                Some(asked.nonce)
            }
            None => {
                let nonce = rng.next_u64();
                self.asked.insert(pid, Asked { at: now, nonce });
                Some(nonce)
            }
        }
    }

    /// Whether this answer proves that `pid` lives and has this one's place.
    pub fn answered(&self, pid: Pid, nonce: u64) -> bool {
        self.asked.get(&pid).is_some_and(|asked| asked.nonce == nonce)
    }

    /// Whether it was not told before that this process is there.
    pub fn is_news(&mut self, pid: Pid, addr: SocketAddr) -> bool {
        self.told.len() < MAX_TWINS && self.told.insert((pid, addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, ServerId};

    fn pid(boot: u32) -> Pid {
        Pid { server: ServerId(1), incarnation: Incarnation { boot, random: 7 } }
    }

    #[test]
    fn only_a_greater_life_is_asked_and_not_at_every_word() {
        let (mut twins, mut rng) = (Twins::new(pid(5)), Rng::new(1));
        assert_eq!(twins.heard(Time(0), pid(4), &mut rng), None);
        let nonce = twins.heard(Time(0), pid(6), &mut rng).unwrap();
        assert_eq!(twins.heard(Time(99_000), pid(6), &mut rng), None);
        assert_eq!(twins.heard(Time(100_000), pid(6), &mut rng), Some(nonce));
        assert!(twins.answered(pid(6), nonce) && !twins.answered(pid(6), nonce ^ 1) && !twins.answered(pid(7), nonce));
    }

    #[test]
    fn flood_of_lives_is_not_remembered_beyond_the_bound() {
        let (mut twins, mut rng) = (Twins::new(pid(5)), Rng::new(1));
        let asked = (6..1000).filter(|boot| twins.heard(Time(0), pid(*boot), &mut rng).is_some());
        assert_eq!(asked.count(), MAX_TWINS);
        let addr = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert_eq!((1..1000).filter(|port| twins.is_news(pid(6), addr(*port))).count(), MAX_TWINS);
    }
}
