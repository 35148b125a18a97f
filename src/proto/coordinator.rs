//! A view that this process makes: who has answered, how long who has not is waited for, what follows from the answers.

use crate::ids::{EpochId, Pid};
use crate::proto::bugs::Bugs;
use crate::proto::cut;
use crate::proto::settings::{COORDINATOR_REPEAT, COORDINATOR_WAIT, COORDINATOR_WORKS, STALLED};
use crate::proto::view_change::Step;
use crate::record::{Member, View};
use crate::time::{Hlc, Time};
use crate::wire::message::{Commit, Message, Propose, State};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How far a view is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Proposing { states: BTreeMap<Pid, State>, about: BTreeSet<EpochId> },
    Committing { commit: Box<Commit>, prepared: BTreeSet<Pid> },
    Installing { commit: Box<Commit> },
}

/// A view that this process makes.
#[derive(Clone, Debug)]
pub(super) struct Coordinator {
    pub(super) epoch: EpochId,
    pub(super) members: Vec<Member>,
    pub(super) phase: Phase,
    /// When this phase began: each takes a write of its own.
    pub(super) since: Time,
    pub(super) repeat_at: Time,
    /// Until when those are waited for who are silent.
    pub(super) give_up_at: Time,
    /// By how much longer those are waited for who are known to be slow.
    pub(super) allowances: BTreeMap<Pid, Duration>,
    /// Until when those are waited for whose disks are at work: one's word is no excuse for another.
    pub(super) at_work: BTreeMap<Pid, Time>,
    /// When everyone is told that a disk is waited for.
    pub(super) tell_at: Time,
    /// The wall clock when this was begun.
    pub(super) clock: Hlc,
    /// When epochs began from which on history may be kept, should all agree; none where that is not to be asked now.
    pub(super) boundaries: Vec<Hlc>,
}

impl Coordinator {
    /// Members that have not answered yet.
    pub(super) fn silent(&self) -> Vec<Pid> {
        let answered = |pid: &Pid| match &self.phase {
            Phase::Proposing { states, .. } => states.contains_key(pid),
            Phase::Committing { prepared, .. } => prepared.contains(pid),
            Phase::Installing { .. } => true,
        };
        self.members.iter().map(|member| member.pid).filter(|pid| !answered(pid)).collect()
    }

    /// Until when this member's answer is waited for.
    pub(super) fn patience(&self, pid: Pid) -> Time {
        let allowance = self.allowances.get(&pid).copied().unwrap_or_default();
        self.at_work.get(&pid).copied().unwrap_or_default().max(self.give_up_at + allowance)
    }

    /// Who should have answered by now. One's own slow disk is nobody's silence.
    pub(super) fn overdue(&self, now: Time, me: Pid) -> Vec<Pid> {
        self.silent().into_iter().filter(|pid| *pid != me && now >= self.patience(*pid)).collect()
    }

    /// When the first is overdue.
    pub(super) fn overdue_at(&self, me: Pid) -> Time {
        let others = self.silent().into_iter().filter(|pid| *pid != me);
        others.map(|pid| self.patience(pid)).min().unwrap_or(Time::NEVER)
    }

    /// The next phase begins: everyone has the time of one more write.
    pub(super) fn begin(&mut self, now: Time, phase: Phase) {
        self.phase = phase;
        self.since = now;
        self.at_work.clear();
        self.tell_at = self.tell_at.min(now + COORDINATOR_WORKS);
        self.progress(now);
    }

    /// What is said to who is silent.
    pub(super) fn message(&self) -> Option<Message> {
        match &self.phase {
            Phase::Proposing { about, .. } => Some(Message::Propose(Propose {
                epoch: self.epoch,
                members: self.members.clone(),
                about: about.iter().copied().collect(),
            })),
            Phase::Committing { commit, .. } => Some(Message::Commit((**commit).clone())),
            Phase::Installing { .. } => None,
        }
    }

    /// All are frozen until the slowest disk is done, and would take this coordinator for gone.
    pub(super) fn tell_those_who_wait(&mut self, now: Time, me: Pid, steps: &mut Vec<Step>) {
        self.tell_at = if now < self.since + STALLED { now + COORDINATOR_WORKS } else { Time::NEVER };
        let others = self.everyone().into_iter().filter(|pid| *pid != me);
        steps.extend(others.map(|pid| Step::Send(pid, Message::Working { epoch: self.epoch })));
        steps.push(Step::AtWork);
    }

    /// Someone has answered: the others have a while from now.
    pub(super) fn progress(&mut self, now: Time) {
        self.repeat_at = now + COORDINATOR_REPEAT;
        self.give_up_at = now + COORDINATOR_WAIT;
    }

    /// Says it to these.
    pub(super) fn say(&self, to: impl IntoIterator<Item = Pid>, steps: &mut Vec<Step>) {
        if let Some(message) = self.message() {
            steps.extend(to.into_iter().map(|pid| Step::Send(pid, message.clone())));
        }
    }

    /// All members, this process among them.
    pub(super) fn everyone(&self) -> Vec<Pid> {
        self.members.iter().map(|member| member.pid).collect()
    }

    /// All have told their states: closes the epochs that they come from, and asks all to prepare.
    pub(super) fn close_when_complete(&mut self, now: Time, bugs: Bugs, steps: &mut Vec<Step>) {
        let Phase::Proposing { states, about } = &mut self.phase else {
            return;
        };
        if states.len() < self.members.len() {
            return;
        }
        let unreported = cut::unreported(states);
        if !unreported.is_empty() {
            about.extend(unreported);
            // Only who has not told of them is asked again, and counts as silent until then.
            let incomplete = cut::incomplete(states, about);
            states.retain(|pid, _| !incomplete.contains(pid));
            self.say(incomplete, steps);
            return;
        }
        let closing = cut::close(states, bugs);
        let began = states.values().map(|state| state.hlc).fold(self.clock, Hlc::max);
        let horizon = cut::horizon(states, &self.boundaries, bugs).min(began);
        let view = View { epoch: self.epoch, members: self.members.clone(), parents: closing.parents, began, horizon };
        let commit = Box::new(Commit { view, limits: closing.limits });
        self.begin(now, Phase::Committing { commit, prepared: BTreeSet::new() });
        self.say(self.everyone(), steps);
    }
}
