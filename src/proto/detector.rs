//! Who lives, as far as can be heard from here.

use crate::ids::{Incarnation, Pid, ServerId};
use crate::proto::beacon_gaps::{BEACON_PAUSE, BeaconGaps};
use crate::proto::bugs::{Bug, Bugs};
use crate::time::Time;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Most servers known at a time; of more, the longest dead make room, and living strangers are passed over.
pub const MAX_SERVERS_KNOWN: usize = 64;
/// A loop that is later than this says nothing about others' silence.
pub const LATE: Duration = Duration::from_millis(250);
/// After this long without being late, a detector accuses a step faster again.
pub const CLEAN: Duration = Duration::from_secs(5);
/// Most steps by which own lateness slows accusations.
pub const MAX_SLOWNESS: u32 = 8;
/// Pause between the three pings of a verification.
const PING_PAUSE: Duration = Duration::from_millis(100);
/// Pings of a verification.
const PINGS: u32 = 3;
/// How long a suspect has to be heard by anyone.
const VERIFY: Duration = Duration::from_millis(500);
/// Suspects whose time is up within this of the first one's fail together: one view change, not several.
const BATCH: Duration = Duration::from_millis(200);
/// For how long after a proof of death the dead one's datagrams count as sent before it.
const TOMB: Duration = Duration::from_secs(3);

/// Notices silence, verifies it, and tells the dead from those that only this server cannot hear (`PROTOCOL.md` §5).
///
/// Any datagram proves life; statistics come from beacon gaps. Silence beyond `clamp(mean + 6·deviation, 1 s, 5 s)`, times
/// `1 + slowness`, makes a suspect: three pings, and a question to all others. Nothing within 500 ms: failed. Heard by another:
/// not dead, asked about again after the same patience. Own lateness starts all clocks anew and raises the slowness
/// (Lifeguard; Dadgar et al., 2017). Of each server only the newest life is kept: it proves the older ones dead.
///
/// After each call, ask [`poll`](Self::poll).
#[derive(Clone, Debug)]
pub struct Detector {
    me: Pid,
    peers: BTreeMap<ServerId, Peer>,
    slowness: u32,
    clean_since: Time,
    strangers: u64,
    /// Before this there is nothing to tell, unless something is found out otherwise than by silence.
    quiet_until: Time,
    bugs: Bugs,
}

#[derive(Clone, Debug)]
struct Peer {
    incarnation: Incarnation,
    addr: SocketAddr,
    /// When it was last heard, by whatever datagram.
    heard: Time,
    /// From when silence is measured: `heard`, or when the clocks were started anew.
    silent_since: Time,
    gaps: BeaconGaps,
    life: Life,
    /// Others have vouched for it since it was last heard here.
    by_word: bool,
    /// Told as suspected, and not yet as cleared or failed.
    doubted: bool,
    /// What [`Detector::poll`] has yet to tell.
    untold: Untold,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Alive,
    Verifying { since: Time, pings: u32 },
    Vouched { at: Time },
    Dead { at: Time, proven: bool },
}

#[derive(Clone, Copy, Debug, Default)]
struct Untold {
    cleared: bool,
    asymmetric: bool,
    /// A life that is proven dead: this one, or an older one.
    proven: Option<Incarnation>,
}

/// What a datagram says of its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// Of one known to live.
    Known,
    /// The first from this process.
    New,
    /// Of one taken for dead: it is back.
    Returned,
    /// From an older life, from one with this very server's id, or sent before a death that is proven: pass the datagram
    /// over.
    Stale,
    /// There is no room for one more server: pass the datagram over.
    Stranger,
}

/// What the detector has found out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Send it a ping.
    Ping(Pid),
    /// Ask all others whether they heard these.
    AskOthers(Vec<Pid>),
    /// It is silent; told once until it is cleared or failed.
    Suspected(Pid),
    /// It was heard again.
    Cleared(Pid),
    /// Others hear it, this server does not.
    Asymmetric(Pid),
    /// They are taken for dead.
    Failed {
        /// Which; ascending.
        pids: Vec<Pid>,
        /// Whether there is proof, rather than silence: tell everyone.
        proven: bool,
    },
}

impl Detector {
    /// A detector that knows nobody.
    pub fn new(me: Pid) -> Self {
        let (peers, bugs) = (BTreeMap::new(), Bugs::NONE);
        Self { me, peers, slowness: 0, clean_since: Time(0), strangers: 0, quiet_until: Time(0), bugs }
    }

    /// The same with planted bugs.
    #[must_use]
    pub fn with(self, bugs: Bugs) -> Self {
        Self { bugs, quiet_until: Time(0), ..self }
    }

    /// A datagram of `pid` came from `addr`; `multicast` tells whether it came to the group.
    pub fn heard(&mut self, now: Time, pid: Pid, addr: SocketAddr, beacon: bool, multicast: bool) -> Sign {
        if pid.server == self.me.server {
            return Sign::Stale;
        }
        if !self.peers.contains_key(&pid.server) && !self.make_room() {
            self.strangers = self.strangers.saturating_add(1);
            return Sign::Stranger;
        }
        let sign = match self.peers.get(&pid.server) {
            Some(peer) if peer.incarnation >= pid.incarnation => peer.sign(now, pid.incarnation, beacon),
            _ => Sign::New,
        };
        match sign {
            Sign::Stale => return sign,
            Sign::New => self.welcome(now, pid, addr),
            _ => {}
        }
        if let Some(peer) = self.peers.get_mut(&pid.server) {
            let is_news = sign != Sign::Known || peer.life != Life::Alive;
            peer.note(now, addr, beacon, multicast);
            let patient_until = peer.suspect_at(self.slowness, self.bugs);
            self.quiet_until = if is_news { Time(0) } else { self.quiet_until.min(patient_until) };
        }
        sign
    }

    /// Another server says that it heard `pid` within the last half second.
    pub fn vouched(&mut self, now: Time, pid: Pid) {
        if let Some(peer) = self.peer_mut(pid)
            && let Life::Verifying { .. } = peer.life
        {
            peer.life = Life::Vouched { at: now };
            peer.by_word = true;
            peer.untold.asymmetric = true;
            self.quiet_until = Time(0);
        }
    }

    /// There is proof that `pid` is dead: its host said so, it said goodbye, or one who has proof tells.
    pub fn proven_dead(&mut self, now: Time, pid: Pid) {
        if let Some(peer) = self.peer_mut(pid)
            && !matches!(peer.life, Life::Dead { .. })
        {
            peer.life = Life::Dead { at: now, proven: true };
            peer.doubted = false;
            peer.untold = Untold { proven: Some(pid.incarnation), ..Untold::default() };
            self.quiet_until = Time(0);
        }
    }

    /// This process ran `by` later than it should have. Beyond [`LATE`] nobody's silence means anything until now: first
    /// take in all that waits in the sockets, then call this, then [`poll`](Self::poll).
    pub fn late(&mut self, now: Time, by: Duration) {
        if by <= LATE {
            return;
        }
        self.slowness = (self.slowness + 1).min(MAX_SLOWNESS);
        self.clean_since = now;
        self.quiet_until = Time(0);
        for peer in self.peers.values_mut() {
            peer.start_anew(now);
        }
    }

    /// What has become clear by now. Spurious calls do nothing.
    pub fn poll(&mut self, now: Time) -> Vec<Verdict> {
        if now < self.quiet_until && self.slowness == 0 {
            return Vec::new();
        }
        self.recover(now);
        let mut out = Vec::new();
        let (mut ask, mut proven, mut verifies) = (Vec::new(), Vec::new(), false);
        let (slowness, bugs) = (self.slowness, self.bugs);
        for (&server, peer) in &mut self.peers {
            let pid = Pid { server, incarnation: peer.incarnation };
            if let Some(incarnation) = peer.untold.proven.take() {
                proven.push(Pid { server, incarnation });
            }
            peer.tell(pid, &mut out);
            if now >= peer.suspect_at(slowness, bugs) && peer.suspect(now) {
                out.push(Verdict::Suspected(pid));
            }
            if let Some(asks) = peer.verify(now) {
                out.push(Verdict::Ping(pid));
                ask.extend(asks.then_some(pid));
            }
            verifies |= peer.verified_at().is_some();
        }
        if !ask.is_empty() {
            out.push(Verdict::AskOthers(ask));
        }
        if !proven.is_empty() {
            out.push(Verdict::Failed { pids: proven, proven: true });
        }
        let failed = if verifies { self.fail(now) } else { Vec::new() };
        if !failed.is_empty() {
            out.push(Verdict::Failed { pids: failed, proven: false });
        }
        self.quiet_until = self.next_timeout();
        out
    }

    /// Before this [`poll`](Self::poll) has nothing to say, if nothing is heard: never later than what
    /// [`next_timeout`](Self::next_timeout) finds out.
    pub fn quiet_until(&self) -> Time {
        self.quiet_until
    }

    /// When [`poll`](Self::poll) has something to say, if nothing is heard before; [`Time::NEVER`] when it has not.
    pub fn next_timeout(&self) -> Time {
        let (mut next, mut verifies) = (Time::NEVER, false);
        for peer in self.peers.values() {
            next = next.min(peer.next_timeout(self.slowness, self.bugs));
            verifies |= peer.verified_at().is_some();
        }
        if verifies { next.min(self.batch_at().unwrap_or(Time::NEVER)) } else { next }
    }

    /// Whether `pid`, in this very life, is known and not taken for dead.
    pub fn is_alive(&self, pid: Pid) -> bool {
        self.peer(pid).is_some_and(Peer::is_alive)
    }

    /// All that are not taken for dead, ascending; without this server.
    pub fn alive(&self) -> Vec<Pid> {
        self.living_such(|_| true)
    }

    /// All that live and are heard here, not by others' word only; ascending, without this server.
    pub fn in_earshot(&self) -> Vec<Pid> {
        self.living_such(|peer| !peer.by_word)
    }

    /// All that live by others' word only, ascending: this server does not hear them.
    pub fn by_word(&self) -> Vec<Pid> {
        self.living_such(|peer| peer.by_word)
    }

    fn living_such(&self, such: impl Fn(&Peer) -> bool) -> Vec<Pid> {
        let alive = self.peers.iter().filter(|(_, peer)| peer.is_alive() && such(peer));
        alive.map(|(&server, peer)| Pid { server, incarnation: peer.incarnation }).collect()
    }

    /// Whether a datagram of `pid` itself came within this time: what one may vouch for, and build views on.
    pub fn heard_directly(&self, pid: Pid, now: Time, within: Duration) -> bool {
        self.peer(pid).is_some_and(|peer| peer.is_alive() && now.since(peer.heard) <= within)
    }

    /// Whether its multicast arrives here well enough: what the own beacon says of it (`PROTOCOL.md` §4, unicast fallback).
    pub fn multicast_heard(&self, pid: Pid, now: Time) -> bool {
        self.peer(pid).is_some_and(|peer| peer.gaps.multicast_heard(now))
    }

    /// Beacons lost on the way here, of 1000: the last 64, multicast or unicast ones.
    pub fn loss_per_mille(&self, pid: Pid, multicast: bool) -> u32 {
        self.peer(pid).map_or(0, |peer| peer.gaps.loss_per_mille(multicast))
    }

    /// Where the last datagram of one that lives came from.
    pub fn living(&self, pid: Pid) -> Option<SocketAddr> {
        self.peer(pid).filter(|peer| peer.is_alive()).map(|peer| peer.addr)
    }

    /// Where its last datagram came from.
    pub fn addr(&self, pid: Pid) -> Option<SocketAddr> {
        self.peer(pid).map(|peer| peer.addr)
    }

    /// The newest life known of a server, dead or alive.
    pub fn pid_of(&self, server: ServerId) -> Option<Pid> {
        self.peers.get(&server).map(|peer| Pid { server, incarnation: peer.incarnation })
    }

    /// By how many steps own lateness slows accusations now: 0 to [`MAX_SLOWNESS`].
    pub fn slowness(&self) -> u32 {
        self.slowness
    }

    /// Datagrams passed over because [`MAX_SERVERS_KNOWN`] others live.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }

    fn peer(&self, pid: Pid) -> Option<&Peer> {
        self.peers.get(&pid.server).filter(|peer| peer.incarnation == pid.incarnation)
    }

    fn peer_mut(&mut self, pid: Pid) -> Option<&mut Peer> {
        self.peers.get_mut(&pid.server).filter(|peer| peer.incarnation == pid.incarnation)
    }

    /// Takes up a process in place of the server's older life, which is thereby proven dead.
    fn welcome(&mut self, now: Time, pid: Pid, addr: SocketAddr) {
        let mut peer = Peer::new(now, pid.incarnation, addr);
        if let Some(older) = self.peers.get(&pid.server) {
            let known_dead = matches!(older.life, Life::Dead { .. });
            peer.untold.proven = older.untold.proven.or((!known_dead).then_some(older.incarnation));
        }
        self.peers.insert(pid.server, peer);
    }

    /// Whether one more server fits, if need be in place of the longest dead.
    fn make_room(&mut self) -> bool {
        if self.peers.len() < MAX_SERVERS_KNOWN {
            return true;
        }
        let dead = |(&server, peer): (&ServerId, &Peer)| match peer.life {
            Life::Dead { at, .. } if peer.untold.proven.is_none() => Some((at, server)),
            _ => None,
        };
        let Some((_, server)) = self.peers.iter().filter_map(dead).min() else { return false };
        self.peers.remove(&server);
        true
    }

    /// One step faster for each clean time without lateness.
    fn recover(&mut self, now: Time) {
        while self.slowness > 0 && now.since(self.clean_since) >= CLEAN {
            self.slowness -= 1;
            self.clean_since = self.clean_since + CLEAN;
        }
    }

    /// When the suspects whose time is up fail together.
    fn batch_at(&self) -> Option<Time> {
        let ends = || self.peers.values().filter_map(Peer::verified_at);
        let first = ends().min()?;
        ends().filter(|&end| end <= first + BATCH).max()
    }

    fn fail(&mut self, now: Time) -> Vec<Pid> {
        if self.batch_at().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut failed = Vec::new();
        for (&server, peer) in &mut self.peers {
            if peer.verified_at().is_some_and(|end| end <= now) {
                if self.bugs.has(Bug::Trusting) {
                    peer.life = Life::Vouched { at: now };
                    continue;
                }
                peer.life = Life::Dead { at: now, proven: false };
                peer.doubted = false;
                failed.push(Pid { server, incarnation: peer.incarnation });
            }
        }
        failed
    }
}

impl Peer {
    fn new(now: Time, incarnation: Incarnation, addr: SocketAddr) -> Self {
        Self {
            incarnation,
            addr,
            heard: now,
            silent_since: now,
            gaps: BeaconGaps::new(),
            life: Life::Alive,
            by_word: false,
            doubted: false,
            untold: Untold::default(),
        }
    }

    fn is_alive(&self) -> bool {
        !matches!(self.life, Life::Dead { .. })
    }

    fn sign(&self, now: Time, incarnation: Incarnation, beacon: bool) -> Sign {
        match self.life {
            // A disk that came back older counts its lives anew: its process looks older than the one that is gone.
            Life::Dead { at, .. } if incarnation < self.incarnation && beacon && now.since(at) >= TOMB => Sign::New,
            _ if incarnation < self.incarnation => Sign::Stale,
            // Sent before the death; a beacon long after it says that the proof was wrong.
            Life::Dead { at, proven: true } if !beacon || now.since(at) < TOMB => Sign::Stale,
            Life::Dead { .. } => Sign::Returned,
            _ => Sign::Known,
        }
    }

    fn note(&mut self, now: Time, addr: SocketAddr, beacon: bool, multicast: bool) {
        self.addr = addr;
        self.heard = now;
        self.silent_since = now;
        if !self.is_alive() {
            self.gaps.forget_pause();
        }
        self.gaps.note(now, beacon, multicast);
        self.clear();
    }

    fn start_anew(&mut self, now: Time) {
        self.silent_since = now;
        self.gaps.start_anew(now);
        if self.is_alive() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.life = Life::Alive;
        self.by_word = false;
        self.untold.asymmetric = false;
        self.untold.cleared |= std::mem::take(&mut self.doubted);
    }

    /// Tells what was heard since the last time.
    fn tell(&mut self, pid: Pid, out: &mut Vec<Verdict>) {
        if std::mem::take(&mut self.untold.asymmetric) {
            out.push(Verdict::Asymmetric(pid));
        }
        if std::mem::take(&mut self.untold.cleared) {
            out.push(Verdict::Cleared(pid));
        }
    }

    /// When silence becomes suspicious; never while it is verified, or dead.
    fn suspect_at(&self, slowness: u32, bugs: Bugs) -> Time {
        let hasty = bugs.has(Bug::Hasty);
        let patience = if hasty { BEACON_PAUSE * 6 / 5 } else { self.gaps.patience() * (1 + slowness) };
        match self.life {
            Life::Alive => self.silent_since + patience,
            Life::Vouched { at } => at + patience,
            Life::Verifying { .. } | Life::Dead { .. } => Time::NEVER,
        }
    }

    /// Begins a verification; whether it is news that this one is suspected.
    fn suspect(&mut self, now: Time) -> bool {
        self.life = Life::Verifying { since: now, pings: 0 };
        !std::mem::replace(&mut self.doubted, true)
    }

    /// Whether a ping is due, and with it a question to all others: with the first and the last ping.
    fn verify(&mut self, now: Time) -> Option<bool> {
        let Life::Verifying { since, pings } = &mut self.life else { return None };
        if *pings >= PINGS || now < *since + PING_PAUSE * *pings {
            return None;
        }
        *pings += 1;
        Some(*pings == 1 || *pings == PINGS)
    }

    /// When the verification is over, if it goes on.
    fn verified_at(&self) -> Option<Time> {
        match self.life {
            Life::Verifying { since, .. } => Some(since + VERIFY),
            _ => None,
        }
    }

    fn next_timeout(&self, slowness: u32, bugs: Bugs) -> Time {
        let untold = self.untold.cleared || self.untold.asymmetric || self.untold.proven.is_some();
        match self.life {
            _ if untold => Time(0),
            Life::Verifying { since, pings } if pings < PINGS => since + PING_PAUSE * pings,
            _ => self.suspect_at(slowness, bugs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Pid = pid(1, 1);

    const fn pid(server: u64, boot: u32) -> Pid {
        Pid { server: ServerId(server), incarnation: Incarnation { boot, random: 0 } }
    }

    fn ms(ms: u64) -> Time {
        Time(ms * 1000)
    }

    fn addr() -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], 8285))
    }

    /// A detector that hears beacons of these servers each 250 ms until `until_ms`.
    fn hearing(servers: &[u64], until_ms: u64) -> Detector {
        let mut detector = Detector::new(ME);
        for at in (0..=until_ms).step_by(250) {
            for &server in servers {
                detector.heard(ms(at), pid(server, 1), addr(), true, true);
            }
            assert_eq!(detector.poll(ms(at)), []);
        }
        detector
    }

    /// All that is found out until `until`, each with its time, polling only when asked to.
    fn run(detector: &mut Detector, until: Time) -> Vec<(u64, Verdict)> {
        let mut found = Vec::new();
        loop {
            let next = detector.next_timeout();
            if next > until {
                return found;
            }
            let verdicts = detector.poll(next);
            assert!(
                !verdicts.is_empty() || detector.next_timeout() > next,
                "the timeout at {next:?} does nothing, again and again"
            );
            found.extend(verdicts.into_iter().map(|verdict| (next.0 / 1000, verdict)));
        }
    }

    fn failed(servers: &[u64], proven: bool) -> Verdict {
        Verdict::Failed { pids: servers.iter().map(|&server| pid(server, 1)).collect(), proven }
    }

    #[test]
    fn silent_server_is_suspected_after_a_second_verified_and_failed_after_another_half() {
        let mut detector = hearing(&[2], 5000);
        let two = pid(2, 1);
        assert_eq!(
            run(&mut detector, ms(20_000)),
            [
                (6000, Verdict::Suspected(two)),
                (6000, Verdict::Ping(two)),
                (6000, Verdict::AskOthers(vec![two])),
                (6100, Verdict::Ping(two)),
                (6200, Verdict::Ping(two)),
                (6200, Verdict::AskOthers(vec![two])),
                (6500, failed(&[2], false)),
            ]
        );
        assert!(!detector.is_alive(two));
        assert_eq!(detector.next_timeout(), Time::NEVER);
    }

    #[test]
    fn outages_do_not_slow_the_notice_of_the_next() {
        let mut detector = hearing(&[2], 5000);
        for outage in 1..=5 {
            let back = outage * 20_000;
            run(&mut detector, ms(back));
            assert!(!detector.is_alive(pid(2, 1)));
            for at in (back..=back + 5000).step_by(250) {
                detector.heard(ms(at), pid(2, 1), addr(), true, true);
            }
            let found = run(&mut detector, ms(back + 19_000));
            assert_eq!(found.first(), Some(&(back + 6000, Verdict::Suspected(pid(2, 1)))), "outage {outage}");
        }
    }

    #[test]
    fn pong_clears_the_suspect() {
        let mut detector = hearing(&[2], 5000);
        run(&mut detector, ms(6300));
        assert_eq!(detector.heard(ms(6300), pid(2, 1), addr(), false, false), Sign::Known);
        assert_eq!(detector.poll(ms(6300)), [Verdict::Cleared(pid(2, 1))]);
        assert_eq!(detector.next_timeout(), ms(7300));
    }

    #[test]
    fn server_that_others_hear_is_asymmetric_and_not_dead() {
        let mut detector = hearing(&[2], 5000);
        run(&mut detector, ms(6400));
        detector.vouched(ms(6400), pid(2, 1));
        assert_eq!(detector.poll(ms(6400)), [Verdict::Asymmetric(pid(2, 1))]);
        assert!(detector.is_alive(pid(2, 1)));
        assert!(!detector.heard_directly(pid(2, 1), ms(6400), Duration::from_secs(1)));
        let later = run(&mut detector, ms(7800));
        assert_eq!(later.first(), Some(&(7400, Verdict::Ping(pid(2, 1)))), "asked about again, but not told again");
        assert_eq!(run(&mut detector, ms(9000)), [(7900, failed(&[2], false))]);
    }

    #[test]
    fn suspects_whose_time_is_up_within_the_batch_fail_together() {
        let mut detector = hearing(&[2, 3, 4], 5000);
        detector.heard(ms(5150), pid(3, 1), addr(), true, true);
        detector.heard(ms(5400), pid(4, 1), addr(), true, true);
        let fails: Vec<_> = run(&mut detector, ms(20_000))
            .into_iter()
            .filter(|(_, verdict)| matches!(verdict, Verdict::Failed { .. }))
            .collect();
        assert_eq!(fails, [(6650, failed(&[2, 3], false)), (6900, failed(&[4], false))]);
    }

    #[test]
    fn proof_of_death_skips_verification_and_late_datagrams_do_not_undo_it() {
        let mut detector = hearing(&[2], 5000);
        detector.proven_dead(ms(5100), pid(2, 1));
        detector.proven_dead(ms(5100), pid(2, 1));
        assert_eq!(detector.poll(ms(5100)), [failed(&[2], true)]);
        assert_eq!(detector.heard(ms(5200), pid(2, 1), addr(), true, true), Sign::Stale);
        assert!(!detector.is_alive(pid(2, 1)));
        assert_eq!(run(&mut detector, ms(20_000)), []);
        assert_eq!(detector.heard(ms(20_000), pid(2, 1), addr(), true, true), Sign::Returned, "the proof was wrong");
        assert!(detector.is_alive(pid(2, 1)));
    }

    #[test]
    fn life_that_looks_older_is_taken_up_once_the_newer_one_is_long_dead() {
        let mut detector = hearing(&[2], 1000);
        let (older, newer) = (pid(2, 1), pid(2, 2));
        assert_eq!(detector.heard(ms(1100), newer, addr(), true, true), Sign::New);
        assert_eq!(detector.heard(ms(1200), older, addr(), true, true), Sign::Stale);
        detector.proven_dead(ms(1300), newer);
        assert_eq!(detector.heard(ms(1400), older, addr(), true, true), Sign::Stale);
        assert_eq!(detector.heard(ms(1300) + TOMB, older, addr(), true, true), Sign::New);
        assert!(detector.is_alive(older));
    }

    #[test]
    fn newer_life_proves_the_older_dead() {
        let mut detector = hearing(&[2], 5000);
        assert_eq!(detector.heard(ms(5100), pid(2, 2), addr(), true, true), Sign::New);
        assert_eq!(detector.poll(ms(5100)), [failed(&[2], true)]);
        assert_eq!(detector.heard(ms(5200), pid(2, 1), addr(), true, true), Sign::Stale);
        assert_eq!(detector.heard(ms(60_000), pid(2, 1), addr(), true, true), Sign::Stale);
        assert!(detector.is_alive(pid(2, 2)) && !detector.is_alive(pid(2, 1)));
        assert_eq!(detector.alive(), [pid(2, 2)]);
    }

    #[test]
    fn two_restarts_between_polls_tell_of_the_life_that_was_known() {
        let mut detector = hearing(&[2], 5000);
        detector.heard(ms(5100), pid(2, 2), addr(), true, true);
        detector.heard(ms(5200), pid(2, 3), addr(), true, true);
        assert_eq!(detector.poll(ms(5200)), [failed(&[2], true)]);
    }

    #[test]
    fn failed_server_that_is_heard_again_is_back() {
        let mut detector = hearing(&[2], 5000);
        run(&mut detector, ms(7000));
        assert_eq!(detector.heard(ms(8000), pid(2, 1), addr(), false, true), Sign::Returned);
        assert_eq!(detector.poll(ms(8000)), []);
        assert!(detector.is_alive(pid(2, 1)));
        assert_eq!(run(&mut detector, ms(9000)).first(), Some(&(9000, Verdict::Suspected(pid(2, 1)))));
    }

    #[test]
    fn who_was_late_itself_accuses_nobody_and_is_slower_for_a_while() {
        let mut detector = hearing(&[2], 5000);
        detector.late(ms(15_000), Duration::from_secs(10));
        assert_eq!(detector.poll(ms(15_000)), []);
        assert_eq!((detector.slowness(), detector.next_timeout()), (1, ms(17_000)));
        detector.late(ms(15_100), Duration::from_millis(250));
        assert_eq!(detector.slowness(), 1, "a quarter of a second is not late");
        for _ in 0..20 {
            detector.late(ms(15_200), Duration::from_millis(251));
        }
        assert_eq!(detector.slowness(), MAX_SLOWNESS);
        detector.poll(ms(20_200));
        assert_eq!(detector.slowness(), 7);
        detector.poll(ms(100_000));
        assert_eq!(detector.slowness(), 0);
    }

    #[test]
    fn lateness_during_a_verification_ends_it() {
        let mut detector = hearing(&[2], 5000);
        run(&mut detector, ms(6100));
        detector.late(ms(8000), Duration::from_secs(2));
        assert_eq!(detector.poll(ms(8000)), [Verdict::Cleared(pid(2, 1))]);
        assert!(detector.is_alive(pid(2, 1)));
    }

    #[test]
    fn own_id_is_never_a_peer() {
        let mut detector = Detector::new(pid(1, 5));
        assert_eq!(detector.heard(ms(0), pid(1, 6), addr(), true, true), Sign::Stale);
        assert_eq!(detector.heard(ms(0), pid(1, 5), addr(), true, true), Sign::Stale);
        assert_eq!(detector.heard(ms(0), pid(1, 4), addr(), true, true), Sign::Stale);
        assert_eq!(detector.alive(), []);
    }

    #[test]
    fn strangers_beyond_the_bound_are_passed_over_until_someone_dies() {
        let mut detector = Detector::new(ME);
        for server in 2..66 {
            assert_eq!(detector.heard(ms(0), pid(server, 1), addr(), true, true), Sign::New);
        }
        assert_eq!(detector.heard(ms(0), pid(99, 1), addr(), true, true), Sign::Stranger);
        assert_eq!((detector.alive().len(), detector.strangers()), (64, 1));
        detector.proven_dead(ms(1), pid(9, 1));
        assert_eq!(detector.heard(ms(1), pid(99, 1), addr(), true, true), Sign::Stranger, "not before it is told");
        detector.poll(ms(1));
        assert_eq!(detector.heard(ms(1), pid(99, 1), addr(), true, true), Sign::New);
    }

    #[test]
    fn a_server_that_beacons_in_bursts_is_given_more_time() {
        let mut detector = Detector::new(ME);
        for burst in 0..40 {
            detector.heard(ms(burst * 900), pid(2, 1), addr(), true, true);
            detector.heard(ms(burst * 900 + 250), pid(2, 1), addr(), true, true);
        }
        let last = ms(39 * 900 + 250);
        let patience = detector.next_timeout().since(last).as_millis();
        assert!((1500..2500).contains(&patience), "{patience}");
    }

    #[cfg(feature = "bugs")]
    #[test]
    fn planted_bugs_accuse_too_early_or_never() {
        let mut hasty = hearing(&[2], 5000).with(Bugs::NONE.with(Bug::Hasty));
        assert_eq!(run(&mut hasty, ms(5300)).first(), Some(&(5300, Verdict::Suspected(pid(2, 1)))));
        let mut trusting = hearing(&[2], 5000).with(Bugs::NONE.with(Bug::Trusting));
        let found = run(&mut trusting, ms(60_000));
        assert!(found.len() > 5 && !found.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed { .. })));
    }

    /// A LAN as one server hears it: beacons with jitter and loss, deaths, restarts, own pauses, and polls only when due.
    fn life(seed: u64) {
        let mut rng = crate::proto::rng::Rng::new(seed);
        let mut detector = Detector::new(ME);
        let loss = rng.below(4) * 100;
        let mut boots = [1_u32; 6];
        let mut up = [true; 6];
        let mut next_beacon = [Time(0); 6];
        let mut told_alive = BTreeMap::new();
        let (mut now, end) = (Time(0), ms(120_000));
        let faults_end = ms(50_000);
        while now < end {
            let beacon = (0..6).min_by_key(|&at| next_beacon[at]).unwrap_or(0);
            let due = detector.next_timeout();
            now = due.min(next_beacon[beacon]).max(now);
            if next_beacon[beacon] <= now {
                next_beacon[beacon] = now + rng.jitter(Duration::from_millis(250), 10);
                let faulty = now < faults_end;
                match rng.below(100) {
                    0 if faulty => up[beacon] = false,
                    1..=3 if faulty && !up[beacon] => (up[beacon], boots[beacon]) = (true, boots[beacon] + 1),
                    4 if faulty && rng.below(20) == 0 => {
                        let pause = Duration::from_millis(rng.below(8000));
                        now = now + pause;
                        detector.late(now, pause);
                    }
                    5 if faulty => detector.proven_dead(now, pid(10 + beacon as u64, boots[beacon].saturating_sub(1))),
                    _ => {}
                }
                if up[beacon] && !(faulty && rng.below(1000) < loss) {
                    let pid = pid(10 + beacon as u64, boots[beacon]);
                    let sign = detector.heard(now, pid, addr(), true, rng.below(4) > 0);
                    assert!(matches!(sign, Sign::Known | Sign::New | Sign::Returned), "seed {seed}: {sign:?}");
                    told_alive.insert(pid, true);
                }
            }
            let polled = detector.poll(now);
            for verdict in &polled {
                if let Verdict::Failed { pids, .. } = verdict {
                    for pid in pids {
                        assert_eq!(
                            told_alive.insert(*pid, false),
                            Some(true),
                            "seed {seed}: {pid} died twice, or never lived"
                        );
                    }
                }
            }
            assert!(detector.next_timeout() > now, "seed {seed}: a poll left something to do");
            assert!(
                now < faults_end + Duration::from_secs(6) || polled.is_empty() || !up.iter().all(|up| *up),
                "seed {seed}: {polled:?}"
            );
        }
        for at in 0..6 {
            let pid = pid(10 + at as u64, boots[at]);
            assert_eq!(detector.is_alive(pid), up[at] && told_alive.contains_key(&pid), "seed {seed}: {pid}");
            assert_eq!(told_alive.get(&pid).copied().unwrap_or(false), detector.is_alive(pid), "seed {seed}: {pid}");
        }
        let older = told_alive.iter().filter(|(pid, _)| !detector.alive().contains(pid));
        assert!(older.into_iter().all(|(_, alive)| !alive), "seed {seed}: an older life was never told to be dead");
    }

    #[test]
    fn whatever_happens_the_living_are_alive_the_dead_are_told_once_and_no_poll_spins() {
        for seed in 0..40 {
            life(seed);
        }
    }
}
