//! Who should be in the view: joins, failures, merges, and what to do when there is no leader.
//!
//! The leader heals membership; whoever has no live leader starts an election, or, heard one way only, a view of those it
//! hears both ways. None of it matters to safety: any process may propose any membership at any time.

use crate::ids::{EpochId, Pid, ServerId};
use crate::proto::bugs::{Bug, Bugs};
use crate::proto::probes::Probes;
use crate::proto::rng::Rng;
use crate::proto::settings::{
    ALONE_AFTER, COORDINATOR_WAIT, EVICTED, EVICTED_MOST, HOLD_DOWN, HOLD_DOWN_MOST, JOIN_BATCH, MERGE_AFTER,
    MERGE_OTHER_AFTER, STALLED, VIEW_WAIT_RANDOM, view_wait,
};
use crate::proto::world::World;
use crate::record::{MAX_SERVERS, View};
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Who hears a leader but is not proposed by it for this long proposes itself.
const UNHEARD: Duration = Duration::from_secs(3);
/// Who hears that others went on to a view whose leader cannot take it in, not hearing it or not being heard, waits no longer than this.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// Those who answered a probe wait this much longer for those who have not.
const PROBED: Duration = Duration::from_millis(500);
/// Who was silent in a proposal is left out of the next ones for this long.
const SHUNNED: Duration = Duration::from_secs(2);
/// A decision is looked at this often when nothing else happens.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Repairs asked for are counted over this time.
const MINUTE: Duration = Duration::from_mins(1);
/// Why a view is without some who are alive.
const ONE_WAY: &str = "heard one way only";
/// Why a view is followed by another of the same members.
const RENEWED: &str = "begun anew";
/// Most repairs remembered for the count of a minute.
const MAX_NACKS: usize = 10_000;

/// What to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing for now.
    Wait,
    /// There is no leader: start an election.
    Elect,
    /// Propose a view of these, who include this process.
    Propose(BTreeSet<Pid>, &'static str),
}

/// Memory of what was seen and tried.
#[derive(Clone, Debug)]
pub struct Membership {
    started: Time,
    ready: bool,
    look_at: Time,
    joining_since: Option<Time>,
    /// Since when someone else changes the view that they are in.
    changing_since: BTreeMap<Pid, Time>,
    foreign_since: BTreeMap<EpochId, Time>,
    merge_tries: BTreeMap<Pid, (u32, Time)>,
    orphan_since: Option<Time>,
    promised_until: Option<Time>,
    promised_since: Time,
    retry: Option<(Time, BTreeSet<Pid>)>,
    refusals: u32,
    shunned: BTreeMap<Pid, Time>,
    evicted: BTreeMap<ServerId, (u32, Time)>,
    probes: Probes,
    /// Probes to be sent: to whom, and their nonces.
    asks: Vec<(Pid, u64)>,
    reason: &'static str,
    nacks: VecDeque<Time>,
    bugs: Bugs,
}

impl Membership {
    /// A server that has just started.
    pub fn new(now: Time) -> Self {
        Self {
            started: now,
            ready: false,
            look_at: now,
            joining_since: None,
            changing_since: BTreeMap::new(),
            foreign_since: BTreeMap::new(),
            merge_tries: BTreeMap::new(),
            orphan_since: None,
            promised_until: None,
            promised_since: Time(0),
            retry: None,
            refusals: 0,
            shunned: BTreeMap::new(),
            evicted: BTreeMap::new(),
            probes: Probes::default(),
            asks: Vec::new(),
            reason: "",
            nacks: VecDeque::new(),
            bugs: Bugs::NONE,
        }
    }

    /// The same with planted bugs.
    #[must_use]
    pub fn with(self, bugs: Bugs) -> Self {
        Self { bugs, ..self }
    }

    /// Whether this server may lead and takes clients.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Its history is complete; whether it was not before.
    pub fn become_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.ready, true)
    }

    /// A view was installed; why, for people.
    pub fn installed(&mut self, now: Time, previous: Option<&View>, view: &View) -> &'static str {
        let epoch = view.epoch;
        self.merge_tries.retain(|pid, (_, until)| !view.has(*pid) && now < *until + HOLD_DOWN_MOST);
        self.orphan_since = None;
        self.promised_until = None;
        self.retry = None;
        self.refusals = 0;
        self.joining_since = None;
        self.foreign_since.clear();
        self.shunned.retain(|_, until| *until > now);
        let reason = std::mem::take(&mut self.reason);
        match (reason, previous) {
            (reason, _) if epoch.leader == Pid::default() || !reason.is_empty() => reason,
            (_, None) => "joined",
            (_, Some(previous)) if previous.epoch.leader == epoch.leader => "members changed",
            _ => "new leader",
        }
    }

    /// An epoch was promised: its view is waited for, for a time.
    pub fn promised(&mut self, now: Time, servers: usize, rng: &mut Rng) {
        self.promised_since = now;
        self.promised_until = Some(patience(now, servers, rng));
        // Someone is doing something about it.
        self.orphan_since = self.orphan_since.map(|_| now);
    }

    /// The coordinator that this server waits for is at work, and so is waited for longer: as long as disks may stand still,
    /// each of which has three writes to do, one after the other. Nor is this server without a leader while it waits.
    pub fn still_promised(&mut self, now: Time, servers: usize, rng: &mut Rng) {
        if self.promised_until.is_some() && now < self.promised_since + STALLED * 3 {
            self.promised_until = self.promised_until.max(Some(patience(now, servers, rng)));
            if !self.bugs.has(Bug::WaitsAsOrphan) {
                self.orphan_since = self.orphan_since.map(|since| since.max(now));
            }
        }
    }

    /// A proposal of this server came to nothing.
    pub fn abandoned(&mut self, now: Time, members: BTreeSet<Pid>, silent: &[Pid], refused: bool, rng: &mut Rng) {
        for pid in silent {
            self.shunned.insert(*pid, now + SHUNNED);
        }
        for pid in &members {
            let tries = self.merge_tries.get(pid).map_or(0, |(tries, _)| *tries);
            let wait = (HOLD_DOWN * 2_u32.pow(tries.min(3))).min(HOLD_DOWN_MOST);
            self.merge_tries.insert(*pid, (tries + 1, now + wait));
        }
        self.refusals = if refused { self.refusals + 1 } else { 0 };
        let pause = if refused {
            rng.between(HOLD_DOWN / 5, HOLD_DOWN) * 2_u32.pow(self.refusals.min(3) - 1)
        } else {
            Duration::ZERO
        };
        let left: BTreeSet<Pid> = members.into_iter().filter(|pid| !silent.contains(pid)).collect();
        self.retry = Some((now + pause, left));
    }

    /// Another coordinator's epoch was promised: one's own failed proposal is not tried again.
    pub fn yielded(&mut self) {
        self.retry = None;
    }

    /// Something happened that may call for a decision: looks at the world at once.
    pub fn look(&mut self) {
        self.look_at = Time(0);
    }

    /// Those who may be in a view now: not such as were silent a moment ago or wait for having been evicted.
    pub fn without_unfit(&self, now: Time, pids: BTreeSet<Pid>, me: Pid) -> BTreeSet<Pid> {
        let waits = |pid: &Pid| self.evicted.get(&pid.server).is_some_and(|(_, until)| now < *until);
        let fit = pids.into_iter().filter(|pid| *pid == me || !self.shunned.contains_key(pid) && !waits(pid)).collect();
        bounded(fit, me)
    }

    /// Who was evicted may come back at once: what a broken server does.
    pub fn pardon(&mut self) {
        self.evicted.clear();
    }

    /// The probes to send after a decision: to whom, and their nonces.
    pub fn take_asks(&mut self) -> Vec<(Pid, u64)> {
        std::mem::take(&mut self.asks)
    }

    /// Asks a server for an echo.
    pub fn ask(&mut self, now: Time, pid: Pid, rng: &mut Rng) {
        self.asks.extend(self.probes.ask(now, pid, rng).map(|nonce| (pid, nonce)));
    }

    /// Whether a server answered a probe lately.
    pub fn has_passed(&self, now: Time, pid: Pid) -> bool {
        self.probes.has_passed(now, pid)
    }

    /// How much longer than others a server is waited for in a view change: twice what its last answer to a probe took, where
    /// that is more than everyone has.
    pub fn allowance(&self, pid: Pid) -> Duration {
        (self.probes.took(pid) * 2).saturating_sub(COORDINATOR_WAIT)
    }

    /// A server answered a probe.
    pub fn on_echo(&mut self, now: Time, pid: Pid, nonce: u64) {
        self.probes.on_echo(now, pid, nonce);
    }

    /// A repair was asked for.
    pub fn nacked(&mut self, now: Time) {
        self.nacks.push_back(now);
        while self.nacks.len() > MAX_NACKS || self.nacks.front().is_some_and(|at| now.since(*at) > MINUTE) {
            self.nacks.pop_front();
        }
    }

    /// Repairs asked for within the last minute.
    pub fn nacks_per_min(&self, now: Time) -> u16 {
        self.nacks.iter().filter(|at| now.since(**at) <= MINUTE).count() as u16
    }

    /// When [`Membership::decide`] wants to be called again.
    pub fn next_timeout(&self) -> Time {
        self.look_at
    }

    /// What to do now.
    pub fn decide(&mut self, now: Time, world: &World<'_>, rng: &mut Rng) -> Decision {
        if now < self.look_at {
            return Decision::Wait;
        }
        self.look_at = now + LOOK_EVERY;
        self.shunned.retain(|_, until| *until > now);
        if world.is_busy {
            return Decision::Wait;
        }
        if let Some(decision) = self.try_again(now, world) {
            return decision;
        }
        let leads = world.view.is_some_and(|view| view.epoch.leader == world.me && view.epoch == world.promised);
        if leads && !world.resigns {
            self.orphan_since = None;
            return self.decide_as_leader(now, world, rng);
        }
        self.decide_as_member(now, world, rng)
    }

    fn try_again(&mut self, now: Time, world: &World<'_>) -> Option<Decision> {
        let (at, _) = self.retry.as_ref()?;
        if now < *at {
            return Some(Decision::Wait);
        }
        let (_, members) = self.retry.take()?;
        let alive: BTreeSet<Pid> =
            members.into_iter().filter(|pid| world.heard.contains(pid) || *pid == world.me).collect();
        alive.contains(&world.me).then_some(Decision::Propose(alive, "tried again"))
    }

    fn decide_as_leader(&mut self, now: Time, world: &World<'_>, rng: &mut Rng) -> Decision {
        let Some(view) = world.view else {
            return Decision::Wait;
        };
        let members: BTreeSet<Pid> = view.members.iter().map(|member| member.pid).collect();
        let stays = |pid: &Pid| !world.stalled.contains(pid) && !world.has_strayed(*pid, view.epoch);
        let fit = |pid: &Pid| *pid == world.me || world.heard.contains(pid) && stays(pid);
        let kept: BTreeSet<Pid> = members.iter().filter(|pid| fit(pid)).copied().collect();
        let mut wanted = kept.clone();
        if kept.len() < members.len() {
            self.reason = self.evict(now, world, &members, &kept);
        }
        let joiners = self.joiners(now, world, view);
        let joiners = self.probed(now, &joiners, self.joining_since.map(|since| since + JOIN_BATCH), rng);
        let merged = self.merged(now, world, view, rng);
        if !joiners.is_empty() {
            wanted.extend(joiners);
            self.reason = if self.reason.is_empty() { "joined" } else { self.reason };
        }
        // Also with those who are members here and went on under another leader.
        let is_merge = !merged.is_empty();
        if is_merge {
            wanted.extend(merged);
            self.reason = "merged";
        }
        if wanted == members && !is_merge && world.renews {
            self.reason = RENEWED;
            Decision::Propose(wanted, self.reason)
        } else if wanted == members && !is_merge {
            Decision::Wait
        } else {
            Decision::Propose(bounded(wanted, world.me), self.reason)
        }
    }

    fn evict(&mut self, now: Time, world: &World<'_>, members: &BTreeSet<Pid>, kept: &BTreeSet<Pid>) -> &'static str {
        let is_heard = |pid: &Pid| world.heard.contains(pid) && !world.stalled.contains(pid);
        let mut reason = if members.difference(kept).any(is_heard) { ONE_WAY } else { "failed" };
        for pid in members.difference(kept).filter(|pid| world.stalled.contains(pid)) {
            let (times, _) = self.evicted.get(&pid.server).copied().unwrap_or((0, now));
            let wait = (EVICTED * 2_u32.pow(times.min(5))).min(EVICTED_MOST);
            self.evicted.insert(pid.server, (times + 1, now + wait));
            reason = "stalled";
        }
        self.evicted.retain(|_, (_, until)| now < *until + EVICTED_MOST);
        reason
    }

    /// Servers heard both ways that are in nobody's living view, while the first of them has waited for a batch.
    fn joiners(&mut self, now: Time, world: &World<'_>, view: &View) -> BTreeSet<Pid> {
        self.changing_since.retain(|pid, _| world.is_changing(*pid));
        for pid in world.heard.iter().filter(|pid| world.is_changing(**pid)) {
            self.changing_since.entry(*pid).or_insert(now);
        }
        // Its coordinator leads it, until that has taken longer than anyone waits without a leader.
        let takes_all = self.bugs.has(Bug::TakesTheChanging);
        let is_free = |pid: Pid| takes_all || self.changing_since.get(&pid).is_none_or(|since| now >= *since + UNHEARD);
        let joiners: BTreeSet<Pid> = world
            .heard
            .iter()
            .filter(|pid| !view.has(**pid) && self.may_join(now, world, **pid) && !world.is_led(**pid))
            .filter(|pid| is_free(**pid))
            .filter(|pid| self.merge_tries.get(pid).is_none_or(|(_, until)| now >= *until))
            .copied()
            .collect();
        if joiners.is_empty() {
            self.joining_since = None;
        } else {
            self.joining_since.get_or_insert(now);
        }
        joiners
    }

    fn may_join(&self, now: Time, world: &World<'_>, pid: Pid) -> bool {
        let waits = self.evicted.get(&pid.server).is_some_and(|(_, until)| now < *until);
        let leaves = world.resigns(pid);
        !waits && !leaves && !self.shunned.contains_key(&pid) && world.hears_me(pid)
    }

    /// Those of `wanted` who answered probes, from `at` on: all of them, or some a while later. Asks who has not.
    fn probed(&mut self, now: Time, wanted: &BTreeSet<Pid>, at: Option<Time>, rng: &mut Rng) -> BTreeSet<Pid> {
        let passed: BTreeSet<Pid> = wanted.iter().copied().filter(|pid| self.probes.has_passed(now, *pid)).collect();
        for pid in wanted.difference(&passed) {
            self.ask(now, *pid, rng);
        }
        let is_whole = passed.len() == wanted.len();
        let is_time = at.is_some_and(|at| now >= at + if is_whole { Duration::ZERO } else { PROBED });
        if is_time { passed } else { BTreeSet::new() }
    }

    /// Everyone of other leaders' views whose turn to be merged has come.
    fn merged(&mut self, now: Time, world: &World<'_>, view: &View, rng: &mut Rng) -> BTreeSet<Pid> {
        let foreign: Vec<(EpochId, Pid)> = world
            .heard
            .iter()
            .filter(|pid| world.leads_elsewhere(**pid, view) && self.may_join(now, world, **pid))
            .filter_map(|pid| world.peers.beacon(*pid).and_then(|beacon| beacon.view).map(|epoch| (epoch, *pid)))
            .collect();
        self.foreign_since.retain(|epoch, _| foreign.iter().any(|(other, _)| other == epoch));
        let mut merged = BTreeSet::new();
        for (epoch, leader) in foreign {
            let since = *self.foreign_since.entry(epoch).or_insert(now);
            let theirs: BTreeSet<Pid> = world.followers(epoch).filter(|pid| self.may_join(now, world, *pid)).collect();
            let greater = (view.members.len(), world.me) > (theirs.len(), leader);
            let wait = if greater { MERGE_AFTER } else { MERGE_OTHER_AFTER };
            let held = self.merge_tries.get(&leader).is_some_and(|(_, until)| now < *until);
            // Also itself: who takes others to a disk that hangs makes them wait for it, and nobody else asks it.
            let asked = theirs.iter().copied().chain([world.me]).collect();
            let passed = self.probed(now, &asked, (!held).then_some(since + wait), rng);
            if passed.contains(&leader) && passed.contains(&world.me) {
                merged.extend(passed);
            }
        }
        merged
    }

    fn decide_as_member(&mut self, now: Time, world: &World<'_>, rng: &mut Rng) -> Decision {
        let settled = world.view.filter(|view| view.epoch == world.promised);
        let leader = settled.map(|view| view.epoch.leader);
        let leaves = self.bugs.has(Bug::LeavesTheUnheard);
        let is_served = |view: &View| {
            world.is_live_leader(view.epoch.leader, Some(view.epoch)) || !leaves && world.has_leader_by_word(view)
        };
        if settled.is_some_and(is_served) {
            self.orphan_since = None;
            return Decision::Wait;
        }
        let since = *self.orphan_since.get_or_insert(now);
        let elsewhere = world.heard.iter().any(|pid| world.is_live_leader(*pid, None) && world.hears_me(*pid));
        let is_waiting = self.promised_until.is_none_or(|until| now < until);
        if elsewhere && !is_waiting {
            // Promised to a coordinator that is gone: frozen here, this server holds up everyone, whoever leads them.
            return self.propose_those_who_hear(now, world, rng, |_| true);
        }
        let led = |pid: &Pid| world.is_led(*pid);
        let went_on = |pid: &Pid| settled.is_some_and(|view| world.has_strayed(*pid, view.epoch));
        let is_left_behind = !elsewhere && world.heard.iter().any(went_on) && !self.bugs.has(Bug::WaitsForTheGone);
        let wait = if is_left_behind {
            LEFT_BEHIND
        } else if elsewhere || world.heard.iter().any(led) {
            UNHEARD
        } else {
            UNHEARD + STALLED
        };
        if now >= since + wait {
            // Nobody is taken away from a leader that this server does not hear, or that does not want it: A hears B, B
            // hears C, not A C; each of A and C took B from the other, for ever, and one of them served nobody (story s25).
            return self.propose_those_who_hear(now, world, rng, |pid| !led(pid));
        }
        if elsewhere || now < self.patience(since, world, leader, rng) { Decision::Wait } else { Decision::Elect }
    }

    /// Until when nothing is done about having no leader.
    fn patience(&self, since: Time, world: &World<'_>, leader: Option<Pid>, rng: &mut Rng) -> Time {
        if let Some(until) = self.promised_until {
            return until;
        }
        match leader {
            // A leader in the middle of a view change has told that it promised more.
            Some(leader) if world.heard.contains(&leader) && !world.resigns(leader) => {
                patience(since, world.heard.len() + 1, rng)
            }
            Some(_) => since,
            None => self.started + ALONE_AFTER,
        }
    }

    /// A view of such as are heard both ways, this server alone if need be.
    fn propose_those_who_hear(
        &mut self,
        now: Time,
        world: &World<'_>,
        rng: &mut Rng,
        such: impl Fn(&Pid) -> bool,
    ) -> Decision {
        // Two that propose each other in step would freeze each other for ever.
        self.orphan_since = Some(now + rng.between(Duration::ZERO, UNHEARD / 3));
        self.promised_until = None;
        let heard: BTreeSet<Pid> = world
            .heard
            .iter()
            .filter(|pid| such(pid) && self.may_join(now, world, **pid))
            .copied()
            .chain([world.me])
            .collect();
        self.reason = ONE_WAY;
        Decision::Propose(bounded(heard, world.me), self.reason)
    }
}

/// At most [`MAX_SERVERS`], this process among them: a ring has no more.
fn bounded(members: BTreeSet<Pid>, me: Pid) -> BTreeSet<Pid> {
    let others = members.into_iter().filter(|pid| *pid != me).take(MAX_SERVERS - 1);
    others.chain([me]).collect()
}

/// How long a view is waited for that was promised then.
fn patience(since: Time, servers: usize, rng: &mut Rng) -> Time {
    since + view_wait(servers) + rng.between(Duration::ZERO, VIEW_WAIT_RANDOM)
}
