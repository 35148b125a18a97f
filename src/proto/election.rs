//! The ring's election of a nominee (Chang and Roberts, 1979), made crash-safe. It nominates; the view change decides.

use crate::ids::{EpochId, Pid};
use crate::proto::bugs::{Bug, Bugs};
use crate::proto::ring::Ring;
use crate::proto::rng::Rng;
use crate::record::MAX_SERVERS;
use crate::time::{Now, Time};
use crate::wire::message::{Elect, Rank};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// How long each try of a hop waits for its acknowledgement; after the last one the successor is skipped.
pub const HOP_WAITS: [Duration; 3] = [Duration::from_millis(30), Duration::from_millis(45), Duration::from_millis(60)];
/// Elections remembered.
pub const REMEMBERED: usize = 16;
/// A token that came while there seemed to be a leader is taken up when that turns out to be dead within this time.
const EARLY: Duration = Duration::from_millis(450);
/// A participant starts anew after this much …
const VIEW_WAIT: Duration = Duration::from_millis(450);
/// … and this much more for each server in the ring …
const VIEW_WAIT_EACH: Duration = Duration::from_millis(50);
/// … and at random up to this much more, without a view.
const VIEW_WAIT_RANDOM: Duration = Duration::from_millis(250);

/// What an election must know of the world; the caller's truth at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// By what this server compares.
    pub rank: Rank,
    /// Who lives, with this server or without.
    pub ring: &'a Ring,
    /// The greatest epoch number seen anywhere.
    pub max_num: u64,
    /// Whether there is a live leader: tokens are acknowledged and passed over.
    pub settled: bool,
}

/// What to do, and what came to light, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send the token to this server, by unicast.
    Send {
        /// The successor.
        to: Pid,
        /// The token.
        elect: Elect,
    },
    /// Acknowledge a hop.
    Ack {
        /// To whom the token came from.
        to: Pid,
        /// Its hop.
        hop: u64,
    },
    /// This server takes part in an election that it did not know.
    Begun {
        /// Its number.
        num: u64,
        /// Who started it, as far as is known here.
        started_by: Pid,
    },
    /// A successor did not acknowledge three tries and is skipped in this election.
    Skipped(Pid),
    /// A token was passed over.
    PassedOver {
        /// Its election.
        num: u64,
        /// Why.
        why: PassedOver,
    },
    /// This server's own token came home: propose the epoch `(num, me)` to these and to all lately heard.
    Won {
        /// The election's number.
        num: u64,
        /// The token's way, this server first.
        path: Vec<Pid>,
    },
}

/// Why a token was passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PassedOver {
    /// Its election is over, or a greater number goes round.
    Old,
    /// As good a candidate's token has gone out already: this one is worse, or a copy.
    NotBetter,
    /// There is a live leader.
    Settled,
    /// It names this server's older life as candidate.
    Stale,
}

/// One election that this server saw, for `ringtalk ring`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Past {
    /// Its number.
    pub num: u64,
    /// When it was first seen here.
    pub at: Now,
    /// Who started it, as far as is known here: of another's token the candidate.
    pub started_by: Pid,
    /// The leader of the view that ended it.
    pub winner: Option<Pid>,
    /// From when it was seen until that view.
    pub took: Option<Duration>,
    /// The way of the best token, as far as it was seen here.
    pub path: Vec<Pid>,
}

/// One server's part in elections (`PROTOCOL.md` §5). Safety never rests on it: two nominees of one number are possible under
/// loss, and only one of their views can come to be.
///
/// Holds one token at most, and one that came early: a better one replaces it.
#[derive(Clone, Debug)]
pub struct Election {
    me: Pid,
    /// The election taken part in, if one runs.
    round: Option<Round>,
    /// The best token that came while there was a leader, and when: word of its death may still be on the way.
    early: Option<(Time, Elect)>,
    /// Elections up to this number are over.
    over: u64,
    next_hop: u64,
    past: VecDeque<Past>,
    bugs: Bugs,
}

#[derive(Clone, Debug)]
struct Round {
    num: u64,
    /// The best candidate whose token went out from here.
    best: Rank,
    /// Whether the own token came home.
    won: bool,
    /// When to start anew.
    deadline: Time,
    /// Who did not acknowledge.
    skipped: BTreeSet<Pid>,
    hop: Option<Hop>,
}

#[derive(Clone, Debug)]
struct Hop {
    to: Pid,
    elect: Elect,
    tries: usize,
    due: Time,
}

impl Election {
    /// No election yet.
    pub fn new(me: Pid) -> Self {
        Self { me, round: None, early: None, over: 0, next_hop: 0, past: VecDeque::new(), bugs: Bugs::NONE }
    }

    /// The same with planted bugs.
    #[must_use]
    pub fn with(self, bugs: Bugs) -> Self {
        Self { bugs, ..self }
    }

    /// There is no live leader: starts an election, above every number seen. Does nothing while one runs.
    pub fn start(&mut self, now: Now, rng: &mut Rng, around: &Around<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.round.is_some() {
            return steps;
        }
        let early = self.early.take().filter(|(at, elect)| now.mono.since(*at) <= EARLY && elect.num > around.max_num);
        if let Some((_, elect)) = early {
            self.take(now, rng, &elect, around, &mut steps);
        }
        // Without an early token, or with one of an election that is over meanwhile.
        if self.round.is_none() {
            self.start_above(now, rng, around, around.max_num, &mut steps);
        }
        steps
    }

    /// A token came.
    pub fn on_elect(&mut self, now: Now, rng: &mut Rng, from: Pid, elect: &Elect, around: &Around<'_>) -> Vec<Step> {
        let mut steps = vec![Step::Ack { to: from, hop: elect.hop }];
        self.take(now, rng, elect, around, &mut steps);
        steps
    }

    fn take(&mut self, now: Now, rng: &mut Rng, elect: &Elect, around: &Around<'_>, steps: &mut Vec<Step>) {
        if let Some(why) = self.passes_over(elect, around) {
            if why == PassedOver::Settled {
                self.keep_early(now.mono, elect);
            }
            steps.push(Step::PassedOver { num: elect.num, why });
            return;
        }
        let candidate = elect.candidate;
        if self.round.as_ref().is_none_or(|round| round.num < elect.num) {
            let best = if self.bugs.has(Bug::ElectWorst) { candidate } else { candidate.max(around.rank) };
            steps.push(self.join(now, rng, around, elect.num, candidate.pid, best));
            if best == candidate && candidate.pid != self.me {
                self.pass_on(now, elect, around, steps);
            } else {
                self.own_lap(now, around, steps);
            }
        } else if candidate.pid == self.me {
            self.home(&elect.path, steps);
        } else {
            self.pass_on(now, elect, around, steps);
        }
    }

    /// A token may overtake the word of the leader's death. Dropped then, the best candidate's was lost in nearly half of all
    /// elections, and the ring stood still until the next one, 0.7 s later.
    fn keep_early(&mut self, now: Time, elect: &Elect) {
        let better = |(at, known): &(Time, Elect)| {
            now.since(*at) > EARLY || (elect.num, elect.candidate) > (known.num, known.candidate)
        };
        if self.early.as_ref().is_none_or(better) {
            self.early = Some((now, elect.clone()));
        }
    }

    /// A hop was acknowledged.
    pub fn on_ack(&mut self, from: Pid, hop: u64) {
        if let Some(round) = &mut self.round {
            round.hop.take_if(|sent| sent.to == from && sent.elect.hop == hop);
        }
    }

    /// A server is known to be dead: the token does not wait for it.
    pub fn on_death(&mut self, now: Now, dead: Pid, around: &Around<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(round) = &mut self.round else { return steps };
        round.skipped.insert(dead);
        if let Some(hop) = round.hop.take_if(|hop| hop.to == dead) {
            self.send(now, hop.elect, around, &mut steps);
        }
        steps
    }

    /// A view was installed here: the election is over, and so is every one up to its number.
    pub fn on_view(&mut self, now: Now, epoch: EpochId) {
        let num = self.round.take().map_or(0, |round| round.num);
        self.over = self.over.max(num).max(epoch.num);
        if let Some(past) = self.past.back_mut().filter(|past| past.winner.is_none() && num > 0) {
            past.winner = Some(epoch.leader);
            past.took = Some(now.mono.since(past.at.mono));
        }
    }

    /// A view change is on its way (this server promised an epoch): waits for it before it starts anew.
    pub fn on_promise(&mut self, now: Now, rng: &mut Rng, around: &Around<'_>) {
        let deadline = view_deadline(now.mono, rng, around);
        if let Some(round) = &mut self.round {
            round.deadline = round.deadline.max(deadline);
        }
    }

    /// The next timeout has come: sends the token again, skips who does not answer, or starts anew with a higher number.
    pub fn timeout(&mut self, now: Now, rng: &mut Rng, around: &Around<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(round) = &mut self.round else { return steps };
        if round.deadline <= now.mono && around.settled {
            // There is a leader again: nobody needs this one's token.
            self.round = None;
        } else if round.deadline <= now.mono {
            let num = round.num.max(around.max_num);
            self.start_above(now, rng, around, num, &mut steps);
        } else if let Some(hop) = round.hop.as_mut().filter(|hop| hop.due <= now.mono) {
            if let Some(&wait) = HOP_WAITS.get(hop.tries) {
                hop.tries += 1;
                hop.due = now.mono + wait;
                steps.push(Step::Send { to: hop.to, elect: hop.elect.clone() });
            } else {
                let Hop { to, elect, .. } = hop.clone();
                round.skipped.insert(to);
                steps.push(Step::Skipped(to));
                self.send(now, elect, around, &mut steps);
            }
        }
        steps
    }

    /// When [`timeout`](Self::timeout) has something to do; [`Time::NEVER`] when no election runs.
    pub fn next_timeout(&self) -> Time {
        let Some(round) = &self.round else { return Time::NEVER };
        round.hop.as_ref().map_or(round.deadline, |hop| hop.due.min(round.deadline))
    }

    /// The number of the election that runs.
    pub fn running(&self) -> Option<u64> {
        self.round.as_ref().map(|round| round.num)
    }

    /// The last [`REMEMBERED`] elections, oldest first.
    pub fn past(&self) -> impl DoubleEndedIterator<Item = &Past> {
        self.past.iter()
    }

    /// Why a token is not worth a thought, if so.
    fn passes_over(&self, elect: &Elect, around: &Around<'_>) -> Option<PassedOver> {
        let running = self.round.as_ref().filter(|round| round.num >= elect.num);
        let candidate = elect.candidate.pid;
        if elect.num <= self.over || running.is_some_and(|round| round.num > elect.num) {
            return Some(PassedOver::Old);
        }
        if around.settled {
            return Some(PassedOver::Settled);
        }
        if candidate.server == self.me.server && candidate != self.me {
            return Some(PassedOver::Stale);
        }
        let round = running?;
        let beaten =
            if candidate == self.me { round.won || round.best.pid != self.me } else { elect.candidate <= round.best };
        beaten.then_some(PassedOver::NotBetter)
    }

    /// Starts a round of its own with the number after `num`.
    fn start_above(&mut self, now: Now, rng: &mut Rng, around: &Around<'_>, num: u64, steps: &mut Vec<Step>) {
        let num = num.max(self.over).saturating_add(1);
        steps.push(self.join(now, rng, around, num, self.me, around.rank));
        self.own_lap(now, around, steps);
    }

    fn join(&mut self, now: Now, rng: &mut Rng, around: &Around<'_>, num: u64, started_by: Pid, best: Rank) -> Step {
        let deadline = view_deadline(now.mono, rng, around);
        self.round = Some(Round { num, best, won: false, deadline, skipped: BTreeSet::new(), hop: None });
        self.past.push_back(Past { num, at: now, started_by, winner: None, took: None, path: Vec::new() });
        if self.past.len() > REMEMBERED {
            self.past.pop_front();
        }
        Step::Begun { num, started_by }
    }

    /// Sends the own token on its way.
    fn own_lap(&mut self, now: Now, around: &Around<'_>, steps: &mut Vec<Step>) {
        let Some(round) = &mut self.round else { return };
        round.best = around.rank;
        let elect = Elect { num: round.num, candidate: around.rank, path: vec![self.me], hop: 0 };
        self.send(now, elect, around, steps);
    }

    /// Sends a better candidate's token on, with this server on its path.
    fn pass_on(&mut self, now: Now, elect: &Elect, around: &Around<'_>, steps: &mut Vec<Step>) {
        let Some(round) = &mut self.round else { return };
        round.best = elect.candidate;
        let mut elect = elect.clone();
        if elect.path.len() < MAX_SERVERS && !elect.path.contains(&self.me) {
            elect.path.push(self.me);
        }
        self.send(now, elect, around, steps);
    }

    /// Sends a token to the next server that has not been skipped, in place of any other token.
    fn send(&mut self, now: Now, elect: Elect, around: &Around<'_>, steps: &mut Vec<Step>) {
        self.remember_path(&elect);
        let Some(round) = &mut self.round else { return };
        round.hop = None;
        let Some(to) = around.ring.after(self.me.server).find(|pid| !round.skipped.contains(pid)) else {
            // Nobody else answers: an own lap is over before it began, another's ends here.
            if elect.candidate.pid == self.me {
                self.home(&elect.path, steps);
            }
            return;
        };
        self.next_hop += 1;
        let elect = Elect { hop: self.next_hop, ..elect };
        steps.push(Step::Send { to, elect: elect.clone() });
        round.hop = Some(Hop { to, elect, tries: 1, due: now.mono + HOP_WAITS[0] });
    }

    /// The own token came home.
    fn home(&mut self, path: &[Pid], steps: &mut Vec<Step>) {
        let Some(round) = &mut self.round else { return };
        round.won = true;
        let num = round.num;
        let others = path.iter().copied().filter(|&pid| pid != self.me);
        let path: Vec<Pid> = std::iter::once(self.me).chain(others).collect();
        if let Some(past) = self.past.back_mut() {
            past.path.clone_from(&path);
        }
        steps.push(Step::Won { num, path });
    }

    fn remember_path(&mut self, elect: &Elect) {
        if let Some(past) = self.past.back_mut().filter(|past| past.num == elect.num) {
            past.path.clone_from(&elect.path);
        }
    }
}

/// 450 ms and 50 ms for each server and at random up to 250 ms from now.
fn view_deadline(now: Time, rng: &mut Rng, around: &Around<'_>) -> Time {
    let servers = around.ring.len().min(MAX_SERVERS) as u32;
    now + VIEW_WAIT + VIEW_WAIT_EACH * servers + rng.between(Duration::ZERO, VIEW_WAIT_RANDOM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, ServerId};
    use std::collections::BTreeMap;

    const fn pid(server: u64) -> Pid {
        Pid { server: ServerId(server), incarnation: Incarnation { boot: 1, random: 0 } }
    }

    fn rank(pid: Pid) -> Rank {
        Rank { ready: true, priority: 0, pid }
    }

    fn at(ms: u64) -> Now {
        Now { mono: Time(ms * 1000), wall_ms: ms }
    }

    fn around(me: u64, ring: &Ring) -> Around<'_> {
        Around { rank: rank(pid(me)), ring, max_num: 4, settled: false }
    }

    fn token(num: u64, candidate: u64, path: &[u64]) -> Elect {
        let path = path.iter().map(|&server| pid(server)).collect();
        Elect { num, candidate: rank(pid(candidate)), path, hop: 9 }
    }

    fn sent(steps: &[Step]) -> Vec<(Pid, u64, Pid)> {
        let sends = steps.iter().filter_map(|step| match step {
            Step::Send { to, elect } => Some((*to, elect.num, elect.candidate.pid)),
            _ => None,
        });
        sends.collect()
    }

    fn passed_over(steps: &[Step]) -> Option<PassedOver> {
        steps.iter().find_map(|step| match step {
            Step::PassedOver { why, .. } => Some(*why),
            _ => None,
        })
    }

    #[test]
    fn ring_of_one_wins_at_once() {
        let mut election = Election::new(pid(7));
        let ring = Ring::of([pid(7)]);
        let steps = election.start(at(0), &mut Rng::new(1), &around(7, &ring));
        assert_eq!(steps, [Step::Begun { num: 5, started_by: pid(7) }, Step::Won { num: 5, path: vec![pid(7)] }]);
        assert_eq!(election.start(at(1), &mut Rng::new(1), &around(7, &ring)), [], "one election at a time");
    }

    #[test]
    fn better_candidate_is_passed_on_with_the_path_and_a_worse_one_is_answered_with_an_own_lap() {
        let ring = Ring::of([pid(1), pid(2), pid(3)]);
        let mut election = Election::new(pid(2));
        let steps = election.on_elect(at(0), &mut Rng::new(1), pid(1), &token(5, 3, &[3, 1]), &around(2, &ring));
        assert_eq!(steps[..2], [Step::Ack { to: pid(1), hop: 9 }, Step::Begun { num: 5, started_by: pid(3) }]);
        let Some(Step::Send { to, elect }) = steps.get(2) else { panic!("{steps:?}") };
        assert_eq!((*to, elect.path.clone()), (pid(3), vec![pid(3), pid(1), pid(2)]));

        let mut election = Election::new(pid(2));
        let steps = election.on_elect(at(0), &mut Rng::new(1), pid(1), &token(5, 1, &[1]), &around(2, &ring));
        assert_eq!(sent(&steps), [(pid(3), 5, pid(2))]);
    }

    #[test]
    fn readiness_and_priority_come_before_the_id() {
        let ring = Ring::of([pid(1), pid(2)]);
        for better in [Rank { priority: 1, ..rank(pid(1)) }, rank(pid(1))] {
            let mine = Rank { ready: better.priority > 0, ..rank(pid(2)) };
            let mut election = Election::new(pid(2));
            let around = Around { rank: mine, ..around(2, &ring) };
            let elect = Elect { candidate: better, ..token(5, 1, &[1]) };
            let steps = election.on_elect(at(0), &mut Rng::new(1), pid(1), &elect, &around);
            assert_eq!(sent(&steps), [(pid(1), 5, pid(1))]);
        }
    }

    #[test]
    fn copies_worse_candidates_and_old_numbers_are_acknowledged_and_passed_over() {
        let ring = Ring::of([pid(1), pid(2), pid(3)]);
        let mut random = Rng::new(1);
        let mut election = Election::new(pid(2));
        let mut come = |election: &mut Election, elect: &Elect| {
            let steps = election.on_elect(at(0), &mut random, pid(1), elect, &around(2, &ring));
            assert_eq!(steps[0], Step::Ack { to: pid(1), hop: 9 });
            (sent(&steps).len(), passed_over(&steps))
        };
        assert_eq!(come(&mut election, &token(5, 3, &[3, 1])), (1, None));
        assert_eq!(come(&mut election, &token(5, 3, &[3, 1])), (0, Some(PassedOver::NotBetter)));
        assert_eq!(come(&mut election, &token(5, 1, &[1])), (0, Some(PassedOver::NotBetter)));
        assert_eq!(come(&mut election, &token(4, 9, &[9, 1])), (0, Some(PassedOver::Old)));
        assert_eq!(come(&mut election, &token(5, 2, &[2, 3, 1])), (0, Some(PassedOver::NotBetter)), "beaten meanwhile");
        election.on_view(at(0), EpochId { num: 6, leader: pid(3) });
        assert_eq!(come(&mut election, &token(6, 9, &[9, 1])), (0, Some(PassedOver::Old)));
        assert_eq!(election.running(), None);
    }

    #[test]
    fn token_that_overtakes_the_word_of_the_leaders_death_is_taken_up_when_that_comes() {
        let ring = Ring::of([pid(1), pid(2), pid(3)]);
        let settled = Around { settled: true, ..around(2, &ring) };
        let early = |after: u64, tokens: &[Elect]| {
            let (mut election, mut random) = (Election::new(pid(2)), Rng::new(1));
            for elect in tokens {
                let steps = election.on_elect(at(0), &mut random, pid(1), elect, &settled);
                assert_eq!(passed_over(&steps), Some(PassedOver::Settled));
            }
            sent(&election.start(at(after), &mut random, &around(2, &ring)))
        };
        assert_eq!(
            early(1, &[token(5, 3, &[3, 1]), token(5, 1, &[1])]),
            [(pid(3), 5, pid(3))],
            "the better one goes on"
        );
        assert_eq!(early(1, &[token(5, 1, &[1])]), [(pid(3), 5, pid(2))], "a worse one than this server");
        assert_eq!(early(500, &[token(5, 3, &[3, 1])]), [(pid(3), 5, pid(2))], "too long ago");
        assert_eq!(early(1, &[token(4, 3, &[3, 1])]), [(pid(3), 5, pid(2))], "of an election that is over");

        let (mut election, mut random) = (Election::new(pid(2)), Rng::new(1));
        election.on_elect(at(0), &mut random, pid(1), &token(5, 3, &[3, 1]), &settled);
        election.on_view(at(0), EpochId { num: 6, leader: pid(1) });
        let steps = election.start(at(1), &mut random, &around(2, &ring));
        assert_eq!(sent(&steps), [(pid(3), 7, pid(2))], "over, though the number is not known elsewhere yet");
    }

    #[test]
    fn token_of_an_older_life_of_this_server_stops_here() {
        let ring = Ring::of([pid(1), pid(2)]);
        let reborn = Pid { incarnation: Incarnation { boot: 2, random: 0 }, ..pid(2) };
        let mut election = Election::new(reborn);
        let around = Around { rank: rank(reborn), ..around(2, &ring) };
        let steps = election.on_elect(at(0), &mut Rng::new(1), pid(1), &token(5, 2, &[2, 1]), &around);
        assert_eq!(passed_over(&steps), Some(PassedOver::Stale));
    }

    #[cfg(feature = "bugs")]
    #[test]
    fn planted_bug_passes_a_worse_candidate_on() {
        let ring = Ring::of([pid(1), pid(2), pid(3)]);
        let mut election = Election::new(pid(2)).with(Bugs::NONE.with(Bug::ElectWorst));
        let steps = election.on_elect(at(0), &mut Rng::new(1), pid(1), &token(5, 1, &[1]), &around(2, &ring));
        assert_eq!(sent(&steps), [(pid(3), 5, pid(1))]);
    }

    #[test]
    fn own_token_that_comes_home_twice_wins_once() {
        let ring = Ring::of([pid(1), pid(2)]);
        let mut random = Rng::new(1);
        let mut election = Election::new(pid(2));
        election.start(at(0), &mut random, &around(2, &ring));
        let home = token(5, 2, &[2, 1]);
        let steps = election.on_elect(at(1), &mut random, pid(1), &home, &around(2, &ring));
        assert_eq!(steps[1], Step::Won { num: 5, path: vec![pid(2), pid(1)] });
        let again = election.on_elect(at(9000), &mut random, pid(1), &home, &around(2, &ring));
        assert_eq!(passed_over(&again), Some(PassedOver::NotBetter));
    }

    #[test]
    fn hop_is_tried_three_times_and_then_skipped_for_this_election() {
        let ring = Ring::of([pid(1), pid(2), pid(3)]);
        let mut random = Rng::new(1);
        let mut election = Election::new(pid(1));
        let first = election.start(at(0), &mut random, &around(1, &ring));
        assert_eq!(sent(&first), [(pid(2), 5, pid(1))]);
        let mut tries = Vec::new();
        while election.next_timeout() < at(135).mono {
            let due = election.next_timeout();
            let now = Now { mono: due, wall_ms: 0 };
            tries.push((due.0 / 1000, sent(&election.timeout(now, &mut random, &around(1, &ring)))));
        }
        assert_eq!(tries, [(30, vec![(pid(2), 5, pid(1))]), (75, vec![(pid(2), 5, pid(1))])]);
        let steps = election.timeout(at(135), &mut random, &around(1, &ring));
        assert_eq!(steps[0], Step::Skipped(pid(2)));
        assert_eq!(sent(&steps), [(pid(3), 5, pid(1))]);
        let Some(Step::Send { elect, .. }) = steps.get(1) else { panic!("{steps:?}") };
        election.on_ack(pid(2), elect.hop);
        assert_eq!(election.next_timeout(), at(165).mono, "only the one it went to can acknowledge it");
        election.on_ack(pid(3), elect.hop);
        assert!(election.next_timeout() > at(450).mono);
    }

    #[test]
    fn token_does_not_wait_for_a_successor_whose_death_is_proven() {
        let ring = Ring::of([pid(1), pid(2), pid(3)]);
        let mut election = Election::new(pid(1));
        election.start(at(0), &mut Rng::new(1), &around(1, &ring));
        let steps = election.on_death(at(1), pid(2), &around(1, &ring));
        assert_eq!(sent(&steps), [(pid(3), 5, pid(1))]);
        assert_eq!(election.on_death(at(1), pid(2), &around(1, &ring)), []);
    }

    #[test]
    fn participant_without_a_view_starts_anew_above_every_number_seen() {
        let ring = Ring::of([pid(1), pid(2), pid(3)]);
        let mut random = Rng::new(1);
        let mut election = Election::new(pid(2));
        let steps = election.on_elect(at(0), &mut random, pid(1), &token(5, 3, &[3, 1]), &around(2, &ring));
        let Some(Step::Send { to, elect }) = steps.last() else { panic!("{steps:?}") };
        election.on_ack(*to, elect.hop);
        let deadline = election.next_timeout();
        assert!((at(600).mono..=at(850).mono).contains(&deadline), "{deadline:?}");
        election.on_promise(at(400), &mut random, &around(2, &ring));
        assert!(election.next_timeout() >= at(1000).mono, "a view change on its way is waited for");
        let now = Now { mono: election.next_timeout(), wall_ms: 0 };
        let steps = election.timeout(now, &mut random, &Around { max_num: 17, ..around(2, &ring) });
        assert_eq!(sent(&steps), [(pid(3), 18, pid(2))]);
    }

    #[test]
    fn live_leader_s_servers_pass_tokens_over() {
        let ring = Ring::of([pid(1), pid(2)]);
        let mut election = Election::new(pid(2));
        let around = Around { settled: true, ..around(2, &ring) };
        let steps = election.on_elect(at(0), &mut Rng::new(1), pid(1), &token(50, 1, &[1]), &around);
        assert_eq!(passed_over(&steps), Some(PassedOver::Settled));
        assert_eq!(election.next_timeout(), Time::NEVER);
    }

    #[test]
    fn last_sixteen_elections_are_remembered_with_winner_time_and_way() {
        let ring = Ring::of([pid(1), pid(2)]);
        let mut random = Rng::new(1);
        let mut election = Election::new(pid(1));
        for num in 5..25 {
            let elect = token(num, 2, &[2]);
            election.on_elect(at(num * 1000), &mut random, pid(2), &elect, &around(1, &ring));
            election.on_view(at(num * 1000 + 7), EpochId { num, leader: pid(2) });
        }
        assert_eq!(election.past().count(), REMEMBERED);
        let last = election.past().next_back().cloned();
        assert_eq!(
            last,
            Some(Past {
                num: 24,
                at: at(24_000),
                started_by: pid(2),
                winner: Some(pid(2)),
                took: Some(Duration::from_millis(7)),
                path: vec![pid(2), pid(1)],
            })
        );
        election.on_view(at(90_000), EpochId { num: 99, leader: pid(1) });
        assert_eq!(election.past().next_back().cloned(), last, "a view without an election changes no record");
    }

    /// A LAN of servers that know nothing but elections, and a view change that always succeeds.
    struct Lan {
        now: Time,
        rng: Rng,
        servers: Vec<Server>,
        /// What is on its way or will happen; by time, then in order of making.
        queue: BTreeMap<(Time, u64), Happening>,
        made: u64,
        loss_per_mille: u64,
        copies_per_mille: u64,
        tokens: usize,
        /// Nominees of each number.
        nominees: BTreeMap<u64, BTreeSet<Pid>>,
    }

    struct Server {
        pid: Pid,
        up: bool,
        election: Election,
        known_dead: BTreeSet<Pid>,
        /// The greatest view installed.
        view: EpochId,
        /// Whether its leader lives, as far as is known here.
        led: bool,
        max_num: u64,
    }

    #[derive(Clone, Debug)]
    enum Happening {
        Arrives { from: Pid, to: usize, what: Arrival },
        Starts(usize),
        Crashes(usize),
        Restarts(usize),
        Noticed { by: usize, dead: Pid },
        Installs(usize, EpochId),
        Beacons(usize),
        FaultsEnd,
    }

    #[derive(Clone, Debug)]
    enum Arrival {
        Token(Elect),
        Ack(u64),
        /// The view that the sender is in.
        Beacon(EpochId),
    }

    impl Lan {
        fn new(seed: u64, count: usize) -> Self {
            let mut rng = Rng::new(seed);
            let servers = (0..count).map(|_| Server {
                pid: pid(rng.next_u64()),
                up: true,
                election: Election::new(Pid::default()),
                known_dead: BTreeSet::new(),
                view: EpochId::default(),
                led: false,
                max_num: 0,
            });
            let mut servers: Vec<Server> = servers.collect();
            for server in &mut servers {
                server.election = Election::new(server.pid);
            }
            let mut lan = Self {
                now: Time(0),
                rng,
                servers,
                queue: BTreeMap::new(),
                made: 0,
                loss_per_mille: 0,
                copies_per_mille: 0,
                tokens: 0,
                nominees: BTreeMap::new(),
            };
            for server in 0..count {
                lan.at(Time(0), Happening::Beacons(server));
            }
            lan
        }

        fn at(&mut self, at: Time, happening: Happening) {
            self.made += 1;
            self.queue.insert((at, self.made), happening);
        }

        fn after_ms(&mut self, ms: u64, happening: Happening) {
            self.at(self.now + Duration::from_millis(ms), happening);
        }

        fn send(&mut self, from: Pid, to: Pid, what: &Arrival) {
            let Some(to) = self.servers.iter().position(|server| server.pid == to) else { return };
            if self.rng.below(1000) >= self.loss_per_mille {
                let delay = Duration::from_micros(100 + self.rng.below(500));
                self.at(self.now + delay, Happening::Arrives { from, to, what: what.clone() });
            }
            if self.rng.below(1000) < self.copies_per_mille {
                let delay = Duration::from_micros(self.rng.below(10_000_000));
                self.at(self.now + delay, Happening::Arrives { from, to, what: what.clone() });
            }
        }

        /// Calls a server's election with the world around it, and does what it says.
        fn call(&mut self, at: usize, call: impl FnOnce(&mut Election, Now, &mut Rng, &Around<'_>) -> Vec<Step>) {
            let now = Now { mono: self.now, wall_ms: 0 };
            let alive = self.servers.iter().map(|server| server.pid);
            let ring = Ring::of(alive.filter(|pid| !self.servers[at].known_dead.contains(pid)));
            let server = &mut self.servers[at];
            let (me, view) = (server.pid, server.view);
            let settled = server.led;
            let around = Around { rank: rank(me), ring: &ring, max_num: server.max_num.max(view.num), settled };
            let steps = call(&mut server.election, now, &mut self.rng, &around);
            for step in steps {
                match step {
                    Step::Send { to, elect } => {
                        self.tokens += 1;
                        self.send(me, to, &Arrival::Token(elect));
                    }
                    Step::Ack { to, hop } => self.send(me, to, &Arrival::Ack(hop)),
                    Step::Won { num, .. } => {
                        self.nominees.entry(num).or_default().insert(me);
                        self.after_ms(3, Happening::Installs(at, EpochId { num, leader: me }));
                    }
                    Step::Begun { num, .. } => self.servers[at].max_num = self.servers[at].max_num.max(num),
                    Step::Skipped(_) | Step::PassedOver { .. } => {}
                }
            }
        }

        fn install(&mut self, at: usize, epoch: EpochId) {
            let now = Now { mono: self.now, wall_ms: 0 };
            // A late copy of a dead leader's view is the detector's to tell, which is not here.
            let lives = self.servers.iter().any(|server| server.up && server.pid == epoch.leader);
            let server = &mut self.servers[at];
            if lives && epoch > server.view && !server.known_dead.contains(&epoch.leader) {
                server.view = epoch;
                server.led = true;
                server.election.on_view(now, epoch);
            }
        }

        /// A leader's beacon brings its view; one that tells of another view leads no more.
        fn on_beacon(&mut self, from: Pid, to: usize, view: EpochId) {
            if view.leader == from {
                self.install(to, view);
            }
            let server = &mut self.servers[to];
            if server.view.leader == from && view > server.view {
                server.led = false;
                self.happen(Happening::Starts(to));
            }
        }

        fn happen(&mut self, happening: Happening) {
            match happening {
                Happening::Arrives { from, to, what } if self.servers[to].up => match what {
                    Arrival::Token(elect) => {
                        self.call(to, |election, now, rng, around| election.on_elect(now, rng, from, &elect, around));
                    }
                    Arrival::Ack(hop) => self.servers[to].election.on_ack(from, hop),
                    Arrival::Beacon(view) => self.on_beacon(from, to, view),
                },
                Happening::Starts(at) if self.servers[at].up && !self.servers[at].led => {
                    self.call(at, Election::start);
                }
                Happening::Crashes(at) if self.servers[at].up => {
                    self.servers[at].up = false;
                    let dead = self.servers[at].pid;
                    for by in 0..self.servers.len() {
                        let ms = if self.rng.below(3) == 0 { self.rng.below(5) } else { 1500 + self.rng.below(300) };
                        self.after_ms(ms, Happening::Noticed { by, dead });
                    }
                }
                Happening::Restarts(at) if !self.servers[at].up => self.restart(at),
                Happening::Noticed { by, dead } if self.servers[by].up && self.servers[by].pid != dead => {
                    self.servers[by].known_dead.insert(dead);
                    self.call(by, |election, now, _, around| election.on_death(now, dead, around));
                    if self.servers[by].view.leader == dead {
                        self.servers[by].led = false;
                        self.happen(Happening::Starts(by));
                    }
                }
                Happening::Installs(at, epoch) if self.servers[at].pid == epoch.leader && self.servers[at].up => {
                    self.install(at, epoch);
                }
                Happening::Beacons(at) => {
                    self.after_ms(250, Happening::Beacons(at));
                    let Server { pid: me, up, view, .. } = self.servers[at];
                    for to in self.servers.iter().map(|server| server.pid).collect::<Vec<_>>() {
                        if up {
                            self.send(me, to, &Arrival::Beacon(view));
                        }
                    }
                }
                Happening::FaultsEnd => (self.loss_per_mille, self.copies_per_mille) = (0, 0),
                _ => {}
            }
        }

        /// A new life: others know at once that the old one is over, and it learns of their leader from beacons.
        fn restart(&mut self, at: usize) {
            let old = self.servers[at].pid;
            let incarnation = Incarnation { boot: old.incarnation.boot + 1, random: 0 };
            let reborn = Pid { server: old.server, incarnation };
            let max_num = self.servers[at].max_num;
            self.servers[at] = Server {
                pid: reborn,
                up: true,
                election: Election::new(reborn),
                known_dead: BTreeSet::new(),
                view: EpochId::default(),
                led: false,
                max_num,
            };
            for by in 0..self.servers.len() {
                self.after_ms(1, Happening::Noticed { by, dead: old });
            }
            self.after_ms(1000, Happening::Starts(at));
        }

        fn run_until(&mut self, until: Time) {
            loop {
                let queued = self.queue.first_key_value().map_or(Time::NEVER, |(&(at, _), _)| at);
                let up = self.servers.iter().enumerate().filter(|(_, server)| server.up);
                let timer = up.map(|(at, server)| (server.election.next_timeout(), at)).min();
                let timer = timer.filter(|(due, _)| *due < queued);
                let next = timer.map_or(queued, |(due, _)| due);
                if next > until {
                    self.now = until;
                    return;
                }
                self.now = self.now.max(next);
                if let Some((_, at)) = timer {
                    self.call(at, Election::timeout);
                    assert!(
                        self.servers[at].election.next_timeout() > self.now,
                        "the timer does nothing, again and again"
                    );
                } else if let Some((_, happening)) = self.queue.pop_first() {
                    self.happen(happening);
                }
            }
        }

        /// The one view that all live servers are in.
        fn agreed(&self) -> Option<EpochId> {
            let up: Vec<&Server> = self.servers.iter().filter(|server| server.up).collect();
            let view = up.first()?.view;
            let is_led = up.iter().any(|server| server.pid == view.leader);
            let is_agreed =
                up.iter().all(|server| server.view == view && server.led && server.election.running().is_none());
            (is_led && is_agreed).then_some(view)
        }
    }

    #[test]
    fn servers_that_start_in_one_millisecond_agree_on_the_greatest_within_one_lap() {
        for seed in 0..300 {
            let count = 1 + (seed % 32) as usize;
            let mut lan = Lan::new(seed, count);
            for server in 0..count {
                let at = Time(lan.rng.below(1000));
                lan.at(at, Happening::Starts(server));
            }
            lan.run_until(Time(400_000));
            let greatest = lan.servers.iter().map(|server| server.pid).max();
            assert_eq!(lan.agreed().map(|view| view.leader), greatest, "seed {seed}");
            assert_eq!(lan.nominees.values().map(BTreeSet::len).sum::<usize>(), 1, "seed {seed}");
            assert!(lan.tokens <= count * count + count, "seed {seed}: {} tokens for {count} servers", lan.tokens);
        }
    }

    #[test]
    fn whatever_is_lost_copied_late_or_dies_one_leader_remains_afterwards() {
        let mut rivals = 0;
        for seed in 0..400 {
            let mut lan = Lan::new(seed, 2 + (seed % 8) as usize);
            let count = lan.servers.len();
            lan.loss_per_mille = lan.rng.below(4) * 100;
            lan.copies_per_mille = lan.rng.below(3) * 50;
            for server in 0..count {
                let at = Time(lan.rng.below(300_000));
                lan.at(at, Happening::Starts(server));
            }
            for _ in 0..lan.rng.below(6) {
                let at = lan.rng.below(count as u64) as usize;
                let crash = Time(lan.rng.below(3_000_000));
                lan.at(crash, Happening::Crashes(at));
                if lan.rng.below(3) > 0 {
                    let pause = Duration::from_micros(lan.rng.below(3_000_000));
                    lan.at(crash + pause, Happening::Restarts(at));
                }
            }
            lan.at(Time(6_000_000), Happening::FaultsEnd);
            lan.run_until(Time(14_000_000));
            let agreed = lan.agreed();
            if lan.servers.iter().any(|server| server.up) {
                assert!(agreed.is_some(), "seed {seed}: no leader, or several");
            }
            lan.run_until(Time(20_000_000));
            assert_eq!(lan.agreed(), agreed, "seed {seed}: a late token changed the leader");
            rivals += lan.nominees.values().filter(|nominees| nominees.len() > 1).count();
        }
        assert!(rivals > 0, "the harness is too kind: two nominees of one number never happened");
    }

    #[test]
    fn nominee_that_dies_with_its_token_half_way_is_replaced() {
        for seed in 0..200 {
            let mut lan = Lan::new(seed, 6);
            let greatest = (0..6).max_by_key(|&at| lan.servers[at].pid).unwrap_or(0);
            for server in 0..6 {
                lan.at(Time(0), Happening::Starts(server));
            }
            let crash = Time(lan.rng.below(4_000));
            lan.at(crash, Happening::Crashes(greatest));
            lan.run_until(Time(6_000_000));
            let second = (0..6).filter(|&at| at != greatest).map(|at| lan.servers[at].pid).max();
            assert_eq!(lan.agreed().map(|view| view.leader), second, "seed {seed}");
        }
    }
}
