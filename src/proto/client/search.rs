//! When a client without a server asks who is there.

use crate::proto::io::Route;
use crate::time::Time;
use crate::wire::message::Scout;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// A burst of scouts goes out at these times after the search began.
const BURST: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(700)];
/// After the burst scouts go out this often, for ever.
const AGAIN: Duration = Duration::from_secs(5);
/// … or this often when servers answered and none was ready: a client that no multicast reaches has to ask.
const SOON: Duration = Duration::from_secs(1);
/// A search that nobody of the net has answered for this long asks for servers of any net.
const ANY_NET_AFTER: Duration = Duration::from_secs(1);
/// Most addresses scouted by unicast: those the user gave and those servers told of.
const MAX_ADDRESSES: usize = 32;

/// The search for servers: runs while there is no session.
#[derive(Debug)]
pub(super) struct Search {
    /// The user's.
    peers: Vec<SocketAddr>,
    /// Servers that others hear and this client does not, each with the time before which it is not asked again.
    met: BTreeMap<SocketAddr, Time>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    since: Time,
    bursts: usize,
    next: Time,
    any_net: Time,
}

impl Search {
    /// A search that has not begun; of `peers` the first 32 count.
    pub(super) fn new(mut peers: Vec<SocketAddr>) -> Self {
        peers.truncate(MAX_ADDRESSES);
        Self { peers, met: BTreeMap::new(), running: None }
    }

    /// Begins with a burst; a search that runs goes on as it is.
    pub(super) fn start(&mut self, now: Time) {
        self.running.get_or_insert(Running { since: now, bursts: 0, next: now, any_net: now + ANY_NET_AFTER });
    }

    /// Nothing more goes out.
    pub(super) fn stop(&mut self) {
        self.running = None;
    }

    /// A server hears another one at this address: ask there too, when the next round is due, at most once a round.
    pub(super) fn meet(&mut self, now: Time, addr: SocketAddr) {
        if self.running.is_some() && self.met.len() < MAX_ADDRESSES {
            self.met.entry(addr).or_insert(now);
        }
    }

    /// What to send now.
    pub(super) fn scouts(&mut self, now: Time, answered: bool) -> Vec<(Route, Scout)> {
        let Some(running) = &mut self.running else {
            return Vec::new();
        };
        let mut scouts = Vec::new();
        let ours = Scout { any_net: false };
        if now >= running.next {
            running.bursts += 1;
            let again = now + if answered { SOON } else { AGAIN };
            running.next = BURST.get(running.bursts).map_or(again, |&at| (running.since + at).max(now));
            scouts.push((Route::Multicast, ours.clone()));
            scouts.extend(self.peers.iter().map(|&peer| (Route::Unicast(peer), ours.clone())));
        }
        for (addr, not_before) in self.met.iter_mut().filter(|(_, not_before)| **not_before <= now) {
            *not_before = now + AGAIN;
            scouts.push((Route::Unicast(*addr), ours.clone()));
        }
        if now >= running.any_net {
            running.any_net = now + AGAIN;
            if !answered {
                scouts.push((Route::AnyNet, Scout { any_net: true }));
            }
        }
        scouts
    }

    /// When the next scout is due.
    pub(super) fn next_timeout(&self) -> Time {
        let Some(running) = &self.running else {
            return Time::NEVER;
        };
        let met = self.met.values().copied().min().unwrap_or(Time::NEVER);
        running.next.min(running.any_net).min(met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(search: &mut Search, until: Time, answered: bool) -> Vec<(u64, Route)> {
        let mut sent = Vec::new();
        while search.next_timeout() <= until {
            let now = search.next_timeout();
            sent.extend(search.scouts(now, answered).into_iter().map(|(route, _)| (now.0 / 1000, route)));
        }
        sent
    }

    #[test]
    fn search_begins_with_a_burst_and_goes_on_for_ever_asking_every_net_when_nobody_answers() {
        let mut search = Search::new(Vec::new());
        search.start(Time(0));
        let sent = times(&mut search, Time(11_000_000), false);
        let of = |route| sent.iter().filter(|sent| sent.1 == route).map(|sent| sent.0).collect::<Vec<_>>();
        assert_eq!(of(Route::Multicast), [0, 100, 300, 700, 5700, 10_700]);
        assert_eq!(of(Route::AnyNet), [1000, 6000, 11_000]);
    }

    #[test]
    fn search_that_was_answered_asks_sooner_and_leaves_other_nets_alone() {
        let mut search = Search::new(Vec::new());
        search.start(Time(0));
        let sent = times(&mut search, Time(3_000_000), true);
        assert_eq!(sent, [0, 100, 300, 700, 1700, 2700].map(|ms| (ms, Route::Multicast)));
    }

    #[test]
    fn peers_and_servers_that_others_hear_are_asked_by_unicast_and_strangers_once_a_round() {
        let peer = SocketAddr::from(([10, 0, 0, 1], 8285));
        let stranger = SocketAddr::from(([10, 0, 0, 2], 8285));
        let mut search = Search::new(vec![peer]);
        search.start(Time(0));
        assert!(search.scouts(Time(0), false).iter().any(|(route, _)| *route == Route::Unicast(peer)));
        for _ in 0..5 {
            search.meet(Time(10_000), stranger);
        }
        let sent = times(&mut search, Time(4_000_000), true);
        assert_eq!(sent.iter().filter(|sent| sent.1 == Route::Unicast(stranger)).count(), 1);
        search.stop();
        assert_eq!(search.next_timeout(), Time::NEVER);
    }
}
