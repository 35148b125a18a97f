//! Which servers there are, and which of them a client goes to.

use crate::ids::{Pid, ServerId};
use crate::name;
use crate::proto::bugs::{Bug, Bugs, bug};
use crate::proto::rng::Rng;
use crate::time::Time;
use crate::wire::message::Beacon;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Most servers remembered; the one not heard for longest goes first.
pub(super) const MAX_SERVERS: usize = 32;
/// A server not heard for this long is not chosen.
const STALE: Duration = Duration::from_secs(15);
/// A lesser life of a server is believed when the greater one was not heard for this long.
const OUTLIVED: Duration = Duration::from_secs(5);
/// A server that failed is left alone this long, doubled each time …
const AVOID: Duration = Duration::from_millis(500);
/// … this many times at most.
const MOST_DOUBLINGS: u32 = 4;
/// Failures count until the server was free to be tried again for this long.
const FORGIVEN: Duration = Duration::from_secs(30);
/// Who was heard this much longer ago than another, four beacons, is probably gone: others go first.
const QUIETER: Duration = Duration::from_secs(1);

/// The servers that a client knows of, from their beacons and from what others say.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Only this one will do.
    forced: Option<String>,
    /// Only the one with this id will do.
    only: Option<ServerId>,
    /// This one rather than another.
    preferred: Option<ServerId>,
    servers: BTreeMap<ServerId, Known>,
    /// Session addresses that a server told of, for when no beacon arrives.
    told: BTreeMap<SocketAddr, Trouble>,
    pub(super) bugs: Bugs,
}

/// A server that was heard.
#[derive(Debug)]
struct Known {
    pid: Pid,
    name: String,
    addr: SocketAddr,
    ready: bool,
    read_only: bool,
    clients: u16,
    heard: Time,
    trouble: Trouble,
}

impl Known {
    fn choice(&self) -> Choice {
        Choice { name: self.name.clone(), server: Some(self.pid.server), addr: self.addr }
    }
}

/// How often a server has failed, and how long it is left alone for that.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    times: u32,
    until: Time,
}

impl Trouble {
    fn again(&mut self, now: Time) {
        let times = self.at(now);
        self.until = now + AVOID * (1 << times.min(MOST_DOUBLINGS));
        self.times = times.saturating_add(1);
    }

    /// How often it has failed, as far as that still counts.
    fn at(self, now: Time) -> u32 {
        if now > self.until + FORGIVEN { 0 } else { self.times }
    }
}

/// A server to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Choice {
    /// Its name, or its address when only that is known.
    pub name: String,
    /// Which it is, when more than its address is known.
    pub server: Option<ServerId>,
    /// Its session port.
    pub addr: SocketAddr,
}

impl Directory {
    /// An empty directory; with `forced` only the server of that name is ever chosen, with `preferred` that one whenever it
    /// can be.
    pub(super) fn new(forced: Option<String>, preferred: Option<ServerId>) -> Self {
        Self { forced, preferred, ..Self::default() }
    }

    /// The same, and only the server with this id is ever chosen.
    pub(super) fn only(self, only: Option<ServerId>) -> Self {
        Self { only, ..self }
    }

    /// A server told of itself from this address.
    pub(super) fn heard(&mut self, now: Time, pid: Pid, from: SocketAddr, beacon: &Beacon) {
        let old = self.servers.get(&pid.server);
        // A restored backup begins with a lesser life: the greater one has to be silent for a while first.
        let is_late = |old: &Known| old.pid.incarnation > pid.incarnation && now.since(old.heard) < OUTLIVED;
        if old.is_some_and(is_late) || beacon.tcp_port == 0 {
            return;
        }
        let same_life = old.filter(|old| old.pid == pid);
        let known = Known {
            pid,
            name: beacon.name.clone(),
            addr: SocketAddr::new(from.ip(), beacon.tcp_port),
            ready: beacon.ready && !beacon.leaving,
            read_only: beacon.read_only && !beacon.leaving,
            clients: beacon.clients,
            heard: now,
            trouble: same_life.map_or_else(Trouble::default, |old| old.trouble),
        };
        self.servers.insert(pid.server, known);
        self.forget_the_longest_silent();
    }

    /// How long nothing was heard of a process, if anything ever was.
    pub(super) fn silence(&self, now: Time, pid: Pid) -> Option<Duration> {
        self.servers.get(&pid.server).filter(|known| known.pid == pid).map(|known| now.since(known.heard))
    }

    /// A server told of others' session addresses.
    pub(super) fn told(&mut self, addrs: &[SocketAddr]) {
        for addr in addrs {
            if self.told.len() < MAX_SERVERS {
                self.told.entry(*addr).or_default();
            }
        }
    }

    /// Nothing came of a connection to this address: leave it alone for a while.
    pub(super) fn failed(&mut self, now: Time, addr: SocketAddr) {
        for known in self.servers.values_mut().filter(|known| known.addr == addr) {
            known.trouble.again(now);
        }
        if let Some(trouble) = self.told.get_mut(&addr) {
            trouble.again(now);
        }
    }

    /// A server said goodbye: it takes no clients until its next life says otherwise.
    pub(super) fn left(&mut self, addr: SocketAddr) {
        self.servers.retain(|_, known| known.addr != addr);
        self.told.remove(&addr);
    }

    /// A session stands at this address.
    pub(super) fn succeeded(&mut self, addr: SocketAddr) {
        for known in self.servers.values_mut().filter(|known| known.addr == addr) {
            known.trouble = Trouble::default();
        }
        if let Some(trouble) = self.told.get_mut(&addr) {
            *trouble = Trouble::default();
        }
    }

    /// One of the servers that take messages, or one that can only be asked when there is no other.
    pub(super) fn choose(&self, now: Time, rng: &mut Rng) -> Option<Choice> {
        self.choose_able(now, rng).or_else(|| self.readable(now).next().map(Known::choice))
    }

    /// Whether a server can be chosen that takes messages and was heard just now.
    pub(super) fn has_able(&self, now: Time) -> bool {
        self.candidates(now).any(|known| known.trouble.until <= now && now.since(known.heard) <= QUIETER)
    }

    /// One of the servers with room: among those heard lately the ones that failed least, and of these one at random with
    /// at most a fifth more clients than the one with the fewest. An address that was only told of when no beacon names a
    /// better one.
    fn choose_able(&self, now: Time, rng: &mut Rng) -> Option<Choice> {
        let able = self.best(now);
        let fewest = able.iter().map(|known| u64::from(known.clients)).min().unwrap_or(0);
        let close = |known: &&&Known| self.is_forced() || u64::from(known.clients) * 5 <= fewest * 6;
        let preferred = able.iter().find(|known| self.preferred == Some(known.pid.server));
        let able: Vec<&&Known> = able.iter().filter(close).collect();
        if let Some(known) = preferred.or(able.get(rng.below(able.len() as u64) as usize).copied()) {
            return Some(known.choice());
        }
        let heard = |addr: &SocketAddr| self.servers.values().any(|known| known.addr == *addr);
        let spare: Vec<&SocketAddr> = self
            .told
            .iter()
            .filter(|(addr, trouble)| !self.is_forced() && trouble.until <= now && !heard(addr))
            .map(|(addr, _)| addr)
            .collect();
        let addr = **spare.get(rng.below(spare.len() as u64) as usize)?;
        Some(Choice { name: addr.to_string(), server: None, addr })
    }

    /// When a server that is left alone now may be tried again.
    pub(super) fn next_chance(&self, now: Time) -> Time {
        let able = |known: &&Known| known.ready || known.read_only;
        let heard = self.wanted(now).filter(able).map(|known| known.trouble.until);
        let told = self.told.values().map(|trouble| trouble.until).filter(|_| !self.is_forced());
        heard.chain(told).filter(|&until| until > now).min().unwrap_or(Time::NEVER)
    }

    /// Whether any server of the net has been heard lately, ready or not.
    pub(super) fn has_heard_anyone(&self, now: Time) -> bool {
        self.servers.values().any(|known| now.since(known.heard) < STALE)
    }

    /// Whether this server is known.
    pub(super) fn knows(&self, server: ServerId) -> bool {
        self.servers.contains_key(&server)
    }

    /// Who may be tried now and most probably answers. When half the servers are cut off, each of them would cost a timeout,
    /// and with a timeout each the first is free again before the last has failed.
    fn best(&self, now: Time) -> Vec<&Known> {
        let mut able: Vec<&Known> = self.candidates(now).filter(|known| known.trouble.until <= now).collect();
        if bug!(self, Bug::ChasesSilent) {
            return able;
        }
        let latest = able.iter().map(|known| known.heard).max().unwrap_or(Time(0));
        able.retain(|known| latest.since(known.heard) <= QUIETER);
        let least = able.iter().map(|known| known.trouble.at(now)).min().unwrap_or(0);
        able.retain(|known| known.trouble.at(now) == least);
        able
    }

    fn candidates(&self, now: Time) -> impl Iterator<Item = &Known> {
        self.wanted(now).filter(|known| known.ready)
    }

    /// Those whose disk takes nothing and that may be tried now.
    fn readable(&self, now: Time) -> impl Iterator<Item = &Known> {
        self.wanted(now).filter(move |known| known.read_only && known.trouble.until <= now)
    }

    fn wanted(&self, now: Time) -> impl Iterator<Item = &Known> {
        self.servers.values().filter(move |known| {
            now.since(known.heard) < STALE
                && self.forced.as_ref().is_none_or(|forced| name::same(forced, &known.name))
                && self.only.is_none_or(|only| only == known.pid.server)
        })
    }

    fn is_forced(&self) -> bool {
        self.forced.is_some() || self.only.is_some()
    }

    fn forget_the_longest_silent(&mut self) {
        if self.servers.len() > MAX_SERVERS
            && let Some(oldest) = self.servers.values().min_by_key(|known| (known.heard, known.pid))
        {
            let oldest = oldest.pid.server;
            self.servers.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Incarnation;

    fn beacon(name: &str, clients: u16) -> Beacon {
        Beacon { name: name.into(), tcp_port: 7000, ready: true, clients, ..Beacon::default() }
    }

    fn pid(server: u64, boot: u32) -> Pid {
        Pid { server: ServerId(server), incarnation: Incarnation { boot, random: 0 } }
    }

    fn from(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 8285))
    }

    fn chosen(directory: &Directory, now: Time) -> Vec<String> {
        let mut rng = Rng::new(1);
        let names = (0..200).filter_map(|_| directory.choose(now, &mut rng).map(|choice| choice.name));
        names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    #[test]
    fn any_server_within_a_fifth_of_the_fewest_clients_is_chosen() {
        let mut directory = Directory::new(None, None);
        for (host, name, clients) in [(1, "oak", 10), (2, "elm", 12), (3, "ash", 13)] {
            directory.heard(Time(0), pid(u64::from(host), 1), from(host), &beacon(name, clients));
        }
        assert_eq!(chosen(&directory, Time(0)), ["elm", "oak"]);
    }

    #[test]
    fn server_asked_for_by_name_is_the_only_one_chosen_however_full() {
        let mut directory = Directory::new(Some("ASH".into()), None);
        directory.heard(Time(0), pid(1, 1), from(1), &beacon("oak", 0));
        assert_eq!(chosen(&directory, Time(0)), Vec::<String>::new());
        directory.heard(Time(0), pid(3, 1), from(3), &beacon("ash", 90));
        assert_eq!(chosen(&directory, Time(0)), ["ash"]);
    }

    #[test]
    fn of_two_servers_of_one_name_the_one_with_the_id_is_chosen() {
        let mut directory = Directory::new(Some("oak".into()), None).only(Some(ServerId(2)));
        directory.heard(Time(0), pid(1, 1), from(1), &beacon("oak", 0));
        directory.told(&[from(1)]);
        assert_eq!(directory.choose(Time(0), &mut Rng::new(1)), None);
        directory.heard(Time(0), pid(2, 1), from(2), &beacon("oak", 90));
        assert_eq!(directory.choose(Time(0), &mut Rng::new(1)).and_then(|choice| choice.server), Some(ServerId(2)));
    }

    #[test]
    fn preferred_server_is_chosen_however_full_and_another_when_it_cannot_be() {
        let mut directory = Directory::new(None, Some(ServerId(3)));
        directory.heard(Time(0), pid(1, 1), from(1), &beacon("oak", 0));
        assert_eq!(chosen(&directory, Time(0)), ["oak"]);
        directory.heard(Time(0), pid(3, 1), from(3), &beacon("ash", 90));
        assert_eq!(chosen(&directory, Time(0)), ["ash"]);
        directory.failed(Time(0), SocketAddr::from(([10, 0, 0, 3], 7000)));
        assert_eq!(chosen(&directory, Time(0)), ["oak"]);
    }

    /// Seed 720003872, `--people`: two servers came back from their backups, and no client that knew their later lives ever
    /// believed a word of them.
    #[test]
    fn lesser_life_is_believed_when_the_greater_is_silent_and_not_before() {
        let mut directory = Directory::new(None, None);
        directory.heard(Time(0), pid(1, 5), from(1), &beacon("oak", 0));
        let soon = Time(0) + OUTLIVED / 2;
        directory.heard(soon, pid(1, 3), from(2), &beacon("old", 0));
        assert_eq!(chosen(&directory, soon), ["oak"]);
        directory.heard(Time(0) + OUTLIVED, pid(1, 3), from(2), &beacon("old", 0));
        assert_eq!(chosen(&directory, Time(0) + OUTLIVED), ["old"]);
        directory.heard(Time(0) + OUTLIVED, pid(1, 5), from(1), &beacon("oak", 0));
        assert_eq!(chosen(&directory, Time(0) + OUTLIVED), ["oak"]);
    }

    #[test]
    fn server_that_is_catching_up_leaving_or_long_silent_is_not_chosen() {
        let mut directory = Directory::new(None, None);
        directory.heard(Time(0), pid(1, 1), from(1), &Beacon { ready: false, ..beacon("oak", 0) });
        directory.heard(Time(0), pid(2, 1), from(2), &Beacon { leaving: true, ..beacon("elm", 0) });
        directory.heard(Time(0), pid(3, 1), from(3), &beacon("ash", 0));
        assert_eq!(chosen(&directory, Time(0)), ["ash"]);
        assert_eq!(chosen(&directory, Time(0) + STALE), Vec::<String>::new());
    }

    #[test]
    fn server_that_failed_is_left_alone_longer_each_time_until_it_succeeds_or_restarts() {
        let mut directory = Directory::new(None, None);
        let addr = SocketAddr::from(([10, 0, 0, 1], 7000));
        directory.heard(Time(0), pid(1, 1), from(1), &beacon("oak", 0));
        directory.failed(Time(0), addr);
        assert_eq!(directory.next_chance(Time(0)), Time(0) + AVOID);
        assert!(chosen(&directory, Time(0)).is_empty());
        assert_eq!(chosen(&directory, Time(0) + AVOID), ["oak"]);
        directory.failed(Time(0), addr);
        assert!(chosen(&directory, Time(0) + AVOID).is_empty());
        directory.heard(Time(0), pid(1, 2), from(1), &beacon("oak", 0));
        assert_eq!(chosen(&directory, Time(0)), ["oak"], "a new life owes nothing");
        directory.heard(Time(0), pid(1, 1), from(9), &beacon("oak", 0));
        let choice = directory.choose(Time(0), &mut Rng::new(1)).unwrap();
        assert_eq!(choice.addr, addr, "an old life's beacon came late");
    }

    #[test]
    fn server_that_went_silent_is_not_tried_while_another_is_heard() {
        let mut directory = Directory::new(None, None);
        for host in 1..=4 {
            directory.heard(Time(0), pid(host, 1), from(host as u8), &beacon("gone", 0));
        }
        let later = Time(0) + QUIETER;
        directory.heard(later, pid(5, 1), from(5), &beacon("here", 40));
        assert_eq!(chosen(&directory, later), ["gone"], "four beacons may be lost");
        let later = later + Duration::from_millis(250);
        directory.heard(later, pid(5, 1), from(5), &beacon("here", 40));
        assert_eq!(chosen(&directory, later), ["here"]);
        directory.failed(later, SocketAddr::from(([10, 0, 0, 5], 7000)));
        assert_eq!(chosen(&directory, later), ["gone"], "better than nobody");
    }

    /// A one-way cut: everyone is heard and only one answers. The others' failures must not be forgotten before each of them
    /// has been tried, or the one is never reached.
    #[test]
    fn server_that_failed_less_often_goes_first_until_that_is_forgiven() {
        let mut directory = Directory::new(None, None);
        let hear = |directory: &mut Directory, now| {
            for host in 1..=5 {
                directory.heard(
                    now,
                    pid(host, 1),
                    from(host as u8),
                    &beacon(&format!("h{host}"), (host as u16 - 1) * 9),
                );
            }
        };
        let mut now = Time(0);
        let mut tried = Vec::new();
        for _ in 0..5 {
            hear(&mut directory, now);
            let choice = directory.choose(now, &mut Rng::new(1)).unwrap();
            now = now + Duration::from_secs(1);
            directory.failed(now, choice.addr);
            tried.push(choice.name);
        }
        assert_eq!(tried, ["h1", "h2", "h3", "h4", "h5"]);
        let later = now + FORGIVEN + AVOID + Duration::from_millis(1);
        hear(&mut directory, later);
        assert_eq!(chosen(&directory, later), ["h1"]);
    }

    #[test]
    fn address_that_was_only_told_of_serves_when_no_beacon_arrives() {
        let mut directory = Directory::new(None, None);
        let addr = SocketAddr::from(([10, 0, 0, 7], 7000));
        directory.told(&[addr]);
        assert_eq!(directory.choose(Time(0), &mut Rng::new(1)).unwrap().addr, addr);
        directory.heard(Time(0), pid(1, 1), from(1), &beacon("oak", 0));
        assert_eq!(chosen(&directory, Time(0)), ["oak"]);
    }

    #[test]
    fn directory_keeps_at_most_thirty_two_and_forgets_the_longest_silent() {
        let mut directory = Directory::new(None, None);
        for n in 0..100 {
            directory.heard(Time(n), pid(n, 1), from(n as u8), &beacon("oak", 0));
        }
        assert_eq!(directory.servers.len(), MAX_SERVERS);
        assert!(directory.knows(ServerId(99)) && !directory.knows(ServerId(67)));
    }
}
