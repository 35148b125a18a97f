//! The view change: propose, state, commit, prepared, install (`PROTOCOL.md` §7).
//!
//! ```text
//! coordinator              member
//!     | Propose(e, members)  |
//!     |--------------------->| promises e, freezes; when that is on disk:
//!     |               State  |
//!     |<---------------------|
//!     | Commit(view, limits) |      all states are here
//!     |--------------------->| notes the closure; when that is on disk:
//!     |            Prepared  |
//!     |<---------------------|
//!     | Install              |      all are prepared, and the view is on the coordinator's disk
//!     |--------------------->| delivers up to the limit, installs
//! ```
//! Any process may coordinate at any time with any membership, and any may die anywhere in it: no record that was stable
//! is lost, and no two members that go from one view to the next have delivered different things. Safety rests on the
//! promise and on this order of writes, never on time.

use crate::ids::{EpochId, Pid};
use crate::proto::bugs::{Bug, Bugs};
use crate::proto::coordinator::{Coordinator, Phase};
use crate::proto::io::Write;
use crate::proto::settings::{COORDINATOR_REPEAT, COORDINATOR_WAIT, COORDINATOR_WORKS, PREPARED_REPEAT, STALLED};
use crate::record::{Member, View};
use crate::time::{Hlc, Time};
use crate::wire::message::{Commit, Message, Propose, State};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the node does about it.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send this; to this very process it comes back as if from the network.
    Send(Pid, Message),
    /// Accept nothing of the present view any more.
    Freeze,
    /// Write this, then call [`ViewChange::written`].
    Write(Write, Milestone),
    /// Send the coordinator the state of the logs, which by now are all on disk.
    Report {
        /// The coordinator.
        to: Pid,
        /// Its epoch.
        epoch: EpochId,
        /// Epochs to report on, beside one's own last.
        about: Vec<EpochId>,
    },
    /// This closure is known, and on disk.
    Closed(EpochId, u64),
    /// The view that this process waits for is still being made.
    AtWork,
    /// The view is to be installed now: deliver up to the limit, record the closures, begin anew.
    Install(Box<Commit>),
    /// This process' own proposal came to nothing.
    Abandoned {
        /// Its epoch.
        epoch: EpochId,
        /// Why.
        reason: &'static str,
        /// Who did not answer.
        silent: Vec<Pid>,
    },
}

/// A write of the view change that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Milestone {
    /// The promise of this epoch.
    Promised(EpochId),
    /// The closure that the commit of this epoch tells.
    Prepared(EpochId),
    /// This coordinator's installation.
    Installed(EpochId),
}

/// A commit on its way to the disk, with the closure that it tells of this process' own last epoch.
#[derive(Clone, Debug)]
struct Preparing {
    commit: Box<Commit>,
    closure: Option<(EpochId, u64)>,
}

/// One process' part in view changes: as a member, and as a coordinator of its own.
#[derive(Clone, Debug)]
pub struct ViewChange {
    me: Pid,
    bugs: Bugs,
    promised: EpochId,
    promise_durable: bool,
    about: Vec<EpochId>,
    preparing: Option<Preparing>,
    prepared: Option<Box<Commit>>,
    prepared_repeat_at: Time,
    coordinator: Option<Coordinator>,
}

impl ViewChange {
    /// Nothing promised: a process of a new incarnation is in nobody's view yet.
    pub fn new(me: Pid, bugs: Bugs) -> Self {
        Self {
            me,
            bugs,
            promised: EpochId::default(),
            promise_durable: false,
            about: Vec::new(),
            preparing: None,
            prepared: None,
            prepared_repeat_at: Time::NEVER,
            coordinator: None,
        }
    }

    /// The greatest epoch promised.
    pub fn promised(&self) -> EpochId {
        self.promised
    }

    /// The epoch this process is coordinating, if any.
    pub fn coordinating(&self) -> Option<EpochId> {
        self.coordinator.as_ref().map(|coordinator| coordinator.epoch)
    }

    /// The epoch that is prepared here and not installed, if any.
    pub fn prepared(&self) -> Option<EpochId> {
        self.prepared.as_ref().map(|commit| commit.view.epoch)
    }

    /// Begins a view change of its own. `num` is greater than every epoch number seen, `members` are ascending and include
    /// this process; `about` names the epochs they are believed to come from.
    pub fn propose(
        &mut self,
        now: Time,
        num: u64,
        members: Vec<Member>,
        about: impl IntoIterator<Item = EpochId>,
    ) -> Vec<Step> {
        let epoch = EpochId { num, leader: self.me };
        let mut steps = Vec::new();
        self.drop_coordinator("another proposal", &mut steps);
        let phase = Phase::Proposing { states: BTreeMap::new(), about: about.into_iter().collect() };
        let mut coordinator = Coordinator {
            epoch,
            members,
            phase,
            since: now,
            repeat_at: Time::NEVER,
            give_up_at: Time::NEVER,
            allowances: BTreeMap::new(),
            at_work: BTreeMap::new(),
            tell_at: now + COORDINATOR_WORKS,
            clock: Hlc(0),
            boundaries: Vec::new(),
        };
        coordinator.progress(now);
        coordinator.say(coordinator.everyone(), &mut steps);
        self.coordinator = Some(coordinator);
        steps
    }

    /// The view that is being made waits that much longer for these.
    pub fn allow(&mut self, allowances: BTreeMap<Pid, Duration>) {
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.allowances = allowances;
        }
    }

    /// The view that is being made begins no earlier than this clock; history may be kept from one of these boundaries on.
    pub fn begin_at(&mut self, clock: Hlc, boundaries: Vec<Hlc>) {
        if let Some(coordinator) = &mut self.coordinator {
            (coordinator.clock, coordinator.boundaries) = (clock, boundaries);
        }
    }

    /// A proposal came. `view` is the epoch of the installed view.
    pub fn on_propose(&mut self, from: Pid, propose: Propose, view: Option<EpochId>) -> Vec<Step> {
        let epoch = propose.epoch;
        let mine = propose.members.iter().any(|member| self.is_me(member.pid));
        if from != epoch.leader || !mine || view == Some(epoch) {
            return Vec::new();
        }
        let floor = self.promised.max(view.unwrap_or_default());
        if epoch < floor && !self.bugs.has(Bug::LowerEpoch) {
            return vec![Step::Send(from, Message::Refuse { epoch, promised: floor })];
        }
        self.about = propose.about;
        if epoch == self.promised {
            return vec![if self.promise_durable {
                self.report()
            } else {
                Step::Send(from, Message::Working { epoch })
            }];
        }
        self.promised = epoch;
        self.promise_durable = false;
        let installs = |one: &Coordinator| matches!(one.phase, Phase::Installing { .. });
        let goes_on = self.bugs.has(Bug::StaleCompletion) && self.coordinator.as_ref().is_some_and(installs);
        self.preparing = None;
        self.prepared = None;
        let mut steps = vec![Step::Freeze];
        if self.coordinating() != Some(epoch) && !goes_on {
            self.drop_coordinator("promised another epoch", &mut steps);
        }
        steps.push(Step::Write(Write::Seen { num: epoch.num }, Milestone::Promised(epoch)));
        if self.bugs.has(Bug::StateEarly) {
            steps.push(self.report());
        }
        steps
    }

    fn is_me(&self, pid: Pid) -> bool {
        pid == self.me || self.bugs.has(Bug::ForgottenIncarnation) && pid.server == self.me.server
    }

    fn is_listed(&self, view: &View) -> bool {
        view.members.iter().any(|member| self.is_me(member.pid))
    }

    /// A participant's state came.
    pub fn on_state(&mut self, now: Time, from: Pid, state: State) -> Vec<Step> {
        let mut steps = Vec::new();
        let bugs = self.bugs;
        let Some(coordinator) = self.coordinator.as_mut().filter(|coordinator| coordinator.epoch == state.epoch) else {
            return steps;
        };
        let alike = |pid: Pid| bugs.has(Bug::ForgottenIncarnation) && pid.server == from.server;
        if !coordinator.members.iter().any(|member| member.pid == from || alike(member.pid)) {
            return steps;
        }
        match &mut coordinator.phase {
            Phase::Proposing { states, .. } => {
                states.insert(from, state);
                coordinator.progress(now);
                coordinator.close_when_complete(now, bugs, &mut steps);
            }
            Phase::Committing { .. } => coordinator.say([from], &mut steps),
            Phase::Installing { .. } => {}
        }
        steps
    }

    /// A participant's disk is at work on its answer: it is waited for, for as long as a disk may stand still. Or the
    /// coordinator says it of another's: then its view is waited for.
    pub fn on_working(&mut self, now: Time, from: Pid, epoch: EpochId) -> Vec<Step> {
        let Some(coordinator) = self.coordinator.as_mut().filter(|coordinator| coordinator.epoch == epoch) else {
            let is_awaited = epoch == self.promised && epoch.leader == from && from != self.me;
            return if is_awaited { vec![Step::AtWork] } else { Vec::new() };
        };
        if coordinator.members.iter().any(|member| member.pid == from) {
            let until = (now + COORDINATOR_WAIT).min(coordinator.since + STALLED);
            coordinator.at_work.insert(from, until);
        }
        Vec::new()
    }

    /// A participant had promised more; returns what it had promised.
    pub fn on_refuse(&mut self, epoch: EpochId) -> Vec<Step> {
        let mut steps = Vec::new();
        let committing = |coordinator: &Coordinator| !matches!(coordinator.phase, Phase::Installing { .. });
        if self.coordinator.as_ref().is_some_and(|coordinator| coordinator.epoch == epoch && committing(coordinator)) {
            self.drop_coordinator("refused", &mut steps);
        }
        steps
    }

    /// A commit came. `last` is the last epoch this process installed, `view` the installed view's.
    pub fn on_commit(&mut self, from: Pid, commit: Commit, last: Option<EpochId>, view: Option<EpochId>) -> Vec<Step> {
        let epoch = commit.view.epoch;
        if from != epoch.leader || epoch != self.promised || view == Some(epoch) || !self.is_listed(&commit.view) {
            return Vec::new();
        }
        if self.prepared.is_some() {
            return vec![Step::Send(from, Message::Prepared { epoch })];
        }
        if self.preparing.is_some() || !self.promise_durable {
            return vec![Step::Send(from, Message::Working { epoch })];
        }
        let binds = epoch.leader != self.me && !self.bugs.has(Bug::NoPrepared);
        let closure = commit.view.parents.iter().find(|(parent, _)| binds && Some(*parent) == last).copied();
        let write = match closure {
            Some((parent, cut)) => Write::Close { epoch: parent, cut },
            None => Write::Seen { num: epoch.num },
        };
        self.preparing = Some(Preparing { commit: Box::new(commit), closure });
        let early = self.bugs.has(Bug::PreparedEarly).then_some(Step::Send(from, Message::Prepared { epoch }));
        early.into_iter().chain([Step::Write(write, Milestone::Prepared(epoch))]).collect()
    }

    /// A participant is prepared. `view` is the epoch of the installed view.
    pub fn on_prepared(&mut self, now: Time, from: Pid, epoch: EpochId, view: Option<EpochId>) -> Vec<Step> {
        if view == Some(epoch) && epoch.leader == self.me && !self.bugs.has(Bug::InstallOnce) {
            return vec![Step::Send(from, Message::Install { epoch })];
        }
        let Some(coordinator) = self.coordinator.as_mut().filter(|coordinator| coordinator.epoch == epoch) else {
            return Vec::new();
        };
        let Phase::Committing { commit, prepared } = &mut coordinator.phase else {
            return Vec::new();
        };
        let alike = |pid: Pid| self.bugs.has(Bug::ForgottenIncarnation) && pid.server == from.server;
        if !commit.view.has(from) && !commit.view.members.iter().any(|member| alike(member.pid)) {
            return Vec::new();
        }
        prepared.insert(from);
        let enough = if self.bugs.has(Bug::InstallEarly) { 1 } else { commit.view.members.len() };
        let complete = prepared.len() >= enough && prepared.contains(&self.me);
        let commit = commit.clone();
        coordinator.progress(now);
        if !complete || self.promised != epoch {
            return Vec::new();
        }
        let write = Write::Install { view: commit.view.clone() };
        coordinator.begin(now, Phase::Installing { commit });
        vec![Step::Write(write, Milestone::Installed(epoch))]
    }

    /// The coordinator says that the view is installed.
    pub fn on_install(&mut self, from: Pid, epoch: EpochId) -> Vec<Step> {
        let expected = from == epoch.leader && self.promised == epoch && self.prepared() == Some(epoch);
        if !expected || self.me == epoch.leader {
            return Vec::new();
        }
        self.prepared_repeat_at = Time::NEVER;
        self.prepared.take().map(Step::Install).into_iter().collect()
    }

    /// A write that a step asked for is on disk. It has effect only if nothing greater was promised since.
    pub fn written(&mut self, now: Time, milestone: Milestone) -> Vec<Step> {
        let stale = self.bugs.has(Bug::StaleCompletion);
        match milestone {
            Milestone::Promised(epoch) if epoch == self.promised => {
                self.promise_durable = true;
                vec![self.report()]
            }
            Milestone::Prepared(epoch) if epoch == self.promised || stale => self.note_prepared(now),
            Milestone::Installed(epoch) if epoch == self.promised || stale => self.install_own(epoch),
            _ => Vec::new(),
        }
    }

    /// The next timeout has come.
    pub fn on_timeout(&mut self, now: Time) -> Vec<Step> {
        let mut steps = Vec::new();
        if now >= self.prepared_repeat_at {
            self.repeat_prepared(now, &mut steps);
        }
        if let Some(coordinator) = &mut self.coordinator {
            if now >= coordinator.tell_at && !self.bugs.has(Bug::WorksInSilence) {
                coordinator.tell_those_who_wait(now, self.me, &mut steps);
            }
            if self.bugs.has(Bug::WaitsForSilent) {
                coordinator.give_up_at = now + COORDINATOR_WAIT;
            }
            let overdue = coordinator.overdue(now, self.me);
            if !overdue.is_empty() {
                self.abandon("some were silent", overdue, &mut steps);
            } else if now >= coordinator.repeat_at {
                coordinator.repeat_at = now + COORDINATOR_REPEAT;
                coordinator.say(coordinator.silent(), &mut steps);
            }
        }
        steps
    }

    /// When [`ViewChange::on_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Time {
        let coordinator = match &self.coordinator {
            Some(coordinator) if !matches!(coordinator.phase, Phase::Installing { .. }) => {
                coordinator.repeat_at.min(coordinator.overdue_at(self.me)).min(coordinator.tell_at)
            }
            Some(coordinator) => coordinator.tell_at,
            None => Time::NEVER,
        };
        coordinator.min(self.prepared_repeat_at)
    }

    fn report(&self) -> Step {
        Step::Report { to: self.promised.leader, epoch: self.promised, about: self.about.clone() }
    }

    fn note_prepared(&mut self, now: Time) -> Vec<Step> {
        let Some(Preparing { commit, closure }) = self.preparing.take() else {
            return Vec::new();
        };
        let epoch = commit.view.epoch;
        if epoch.leader != self.me && !self.bugs.has(Bug::PreparedOnce) {
            self.prepared_repeat_at = now + PREPARED_REPEAT;
        }
        self.prepared = Some(commit);
        let closed = closure.map(|(parent, cut)| Step::Closed(parent, cut));
        closed.into_iter().chain([Step::Send(epoch.leader, Message::Prepared { epoch })]).collect()
    }

    fn install_own(&mut self, epoch: EpochId) -> Vec<Step> {
        let Some(coordinator) = self.coordinator.take_if(|coordinator| coordinator.epoch == epoch) else {
            return Vec::new();
        };
        let others: Vec<Pid> = coordinator.everyone().into_iter().filter(|pid| *pid != self.me).collect();
        let Phase::Installing { commit } = coordinator.phase else {
            return Vec::new();
        };
        self.prepared = None;
        let mut steps = vec![Step::Install(commit)];
        steps.extend(others.into_iter().map(|pid| Step::Send(pid, Message::Install { epoch })));
        steps
    }

    fn repeat_prepared(&mut self, now: Time, steps: &mut Vec<Step>) {
        match self.prepared() {
            Some(epoch) => {
                self.prepared_repeat_at = now + PREPARED_REPEAT;
                steps.push(Step::Send(epoch.leader, Message::Prepared { epoch }));
            }
            None => self.prepared_repeat_at = Time::NEVER,
        }
    }

    fn drop_coordinator(&mut self, reason: &'static str, steps: &mut Vec<Step>) {
        let silent = self.coordinator.as_ref().map(Coordinator::silent);
        self.abandon(reason, silent.unwrap_or_default(), steps);
    }

    fn abandon(&mut self, reason: &'static str, silent: Vec<Pid>, steps: &mut Vec<Step>) {
        if let Some(coordinator) = self.coordinator.take() {
            steps.push(Step::Abandoned { epoch: coordinator.epoch, reason, silent });
        }
    }
}
