//! The view change, wired: what its steps do to the log, the data path and the clients.

use super::Node;
use super::disk::Pending;
use crate::ids::{ClientId, EpochId, Pid};
use crate::proto::bugs::Bug;
use crate::proto::event::Event;
use crate::proto::io::Write;
use crate::proto::live::{Acked, Live, Opening};
use crate::proto::sequencer::Sequencer;
use crate::proto::settings::PREPARED_REPEAT;
use crate::proto::table;
use crate::proto::view_change::Step;
use crate::record::Member;
use crate::seq::RangeSet;
use crate::time::Hlc;
use crate::wire::message::{Commit, Message, State, Then};
use std::time::Duration;

/// A member whose table was asked for offers it again after this long without another question.
const TABLE_AGAIN: Duration = Duration::from_secs(1);

impl Node {
    /// Proposes a view of these members, who are ascending and include this process.
    pub(super) fn propose(&mut self, members: Vec<Member>) {
        let view = self.view_epoch().map_or(0, |epoch| epoch.num);
        let seen = self.epochs.max_num().max(self.view_change.promised().num).max(view).max(self.peers.max_num());
        let num = seen.saturating_add(1);
        self.epochs.saw(num);
        let lasts: Vec<EpochId> =
            members.iter().filter_map(|member| self.peers.last_epoch(member.pid)).chain(self.epochs.last()).collect();
        self.proposed = members.iter().map(|member| member.pid).collect();
        self.event(Event::Proposed { epoch: EpochId { num, leader: self.me }, members: members.len() });
        let allowances = self.proposed.iter().map(|pid| (*pid, self.membership.allowance(*pid))).collect();
        let steps = self.view_change.propose(self.now.mono, num, members, lasts);
        self.view_change.begin_at(Hlc::from_wall_ms(self.now.wall_ms), self.boundaries(&self.proposed));
        if !self.settings.bugs.has(Bug::NoAllowance) {
            self.view_change.allow(allowances);
        }
        self.take_steps(steps);
    }

    pub(super) fn tick_view_change(&mut self) {
        if self.now.mono >= self.view_change.next_timeout() {
            let steps = self.view_change.on_timeout(self.now.mono);
            self.take_steps(steps);
        }
        self.tick_opening();
    }

    pub(super) fn take_steps(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send(to, message) => self.send(to, message),
                Step::Freeze => self.freeze(),
                Step::Write(write, milestone) => {
                    if let Write::Seen { num } = &write {
                        self.epochs.saw(*num);
                    }
                    let closures = match &write {
                        Write::Close { epoch, cut } => vec![(*epoch, *cut)],
                        Write::Install { view } => view.parents.clone(),
                        _ => Vec::new(),
                    };
                    self.write(write, Pending::Milestone { milestone, closures });
                }
                Step::Report { to, epoch, about } => self.report_state(to, epoch, &about),
                Step::Closed(epoch, cut) => self.epochs.close(epoch, cut),
                Step::AtWork => {
                    self.membership.still_promised(self.now.mono, self.detector.alive().len() + 1, &mut self.rng);
                    self.wait_with_election();
                }
                Step::Install(commit) => self.install(*commit),
                Step::Abandoned { epoch, reason, silent } => self.on_abandoned(epoch, reason, &silent),
            }
        }
    }

    fn freeze(&mut self) {
        self.membership.promised(self.now.mono, self.detector.alive().len() + 1, &mut self.rng);
        self.wait_with_election();
    }

    fn report_state(&mut self, to: Pid, epoch: EpochId, about: &[EpochId]) {
        let last = self.epochs.last();
        let last_members = last
            .and_then(|last| self.epochs.get(last))
            .map(|log| log.view.members.iter().map(|member| member.pid).collect())
            .unwrap_or_default();
        let mut asked: Vec<EpochId> = about.iter().copied().chain(last).collect();
        asked.sort_unstable();
        asked.dedup();
        let logs = asked.into_iter().map(|epoch| self.epochs.state_of(epoch)).collect();
        let state = State {
            epoch,
            last,
            last_members,
            logs,
            hlc: self.hlc,
            damaged: self.damaged,
            horizon: self.epochs.horizon(),
            lets_go: self.lets_go(),
        };
        self.send(to, Message::State(state));
    }

    fn install(&mut self, commit: Commit) {
        let view = commit.view;
        let epoch = view.epoch;
        if !self.settings.bugs.has(Bug::NoFlush) {
            let me = self.me;
            for limit in commit.limits.iter().filter(|limit| limit.group.contains(&me)) {
                self.flush(limit.epoch, limit.upto, limit.group.len(), view.members.len());
            }
        }
        self.left = self.live.as_ref().map(|live| (live.view.epoch, live.delivered));
        if self.settings.bugs.has(Bug::TableUncommitted) {
            self.count_what_is_cut_off();
        }
        self.epochs.install(&view);
        let joins = self.live.is_none() || view.parents.len() > 1;
        if !(joins && self.settings.bugs.has(Bug::HorizonUnheeded)) {
            self.epochs.raise_horizon(view.horizon);
        }
        if epoch.leader != self.me {
            let early = self.settings.bugs.has(Bug::HeardEarly);
            let pending = if early { Pending::Nothing } else { Pending::Installed };
            self.write(Write::Install { view: view.clone() }, pending);
        }
        if !self.settings.bugs.has(Bug::StartHlcOwn) {
            self.hlc = self.hlc.max(view.began);
        }
        let previous = self.live.replace(Live::new(view.clone(), self.me, self.now.mono, self.settings.bugs));
        self.origin.begin_view(self.now.mono);
        self.catch_up.begin_view();
        self.pruning.begin_view();
        self.compare_at = self.now.mono;
        let reason = self.membership.installed(self.now.mono, previous.as_ref().map(|live| &live.view), &view);
        let running = self.election.running();
        self.election.on_view(self.now, epoch);
        if running.is_some() {
            self.tell_election(epoch);
        }
        self.tell_view(reason, previous.as_ref().map(|live| &live.view));
        self.read_uncounted();
        self.open_when_read();
    }

    /// What a broken server does: it takes for history what it holds of the old view, and tells the leader so.
    fn count_what_is_cut_off(&mut self) {
        let entries = self.live.iter().flat_map(|live| &live.undelivered);
        let ids: Vec<_> = entries.flat_map(|(_, entry)| entry.messages()).map(|(_, message)| message.id).collect();
        for id in ids {
            self.ids.insert(id);
        }
    }

    /// The leader is told which ids are in this member's history, once all that the view's parents closed has been read.
    pub(super) fn open_when_read(&mut self) {
        if self.is_reading() {
            return;
        }
        let hlc = self.hlc;
        let bugs = self.settings.bugs;
        let me = self.me;
        let Some(live) = self.live.as_mut().filter(|live| live.opening == Opening::Reading) else {
            return;
        };
        if live.view.epoch.leader != me {
            live.opening = Opening::Told(self.now.mono);
            self.tick_opening();
            return;
        }
        live.opening = Opening::Open;
        let members = live.view.members.iter().map(|member| member.pid);
        let mut sequencer = Sequencer::new(members, hlc, self.ids.clone(), bugs);
        sequencer.open(me);
        live.sequencer = Some(sequencer);
        live.opened = self.now.mono;
        let early = std::mem::take(&mut live.early);
        let epoch = live.view.epoch;
        for (from, hashes) in early {
            self.on_opened(from, epoch, hashes);
        }
    }

    fn tick_opening(&mut self) {
        let now = self.now.mono;
        if !self.is_active() {
            return;
        }
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let Opening::Told(at) = live.opening else {
            return;
        };
        if now >= at {
            live.opening = Opening::Told(now + PREPARED_REPEAT);
            let epoch = live.view.epoch;
            let hashes = self.ids.hashes().to_vec();
            self.send(epoch.leader, Message::Opened { epoch, hashes });
        }
    }

    pub(super) fn on_opened(&mut self, from: Pid, epoch: EpochId, hashes: Vec<u64>) {
        let Some(live) = self.live.as_mut().filter(|live| live.view.epoch == epoch && live.view.has(from)) else {
            return;
        };
        let Some(sequencer) = &mut live.sequencer else {
            live.early.insert(from, hashes);
            return;
        };
        let buckets = if sequencer.has_opened(from) { 0 } else { sequencer.differing(&hashes) };
        if buckets == 0 {
            sequencer.open(from);
        }
        live.acks
            .entry(from)
            .and_modify(|acked| acked.since = self.now.mono)
            .or_insert(Acked { have: 0, since: self.now.mono });
        self.send(from, Message::WantTable { epoch, buckets, above: None });
    }

    pub(super) fn on_want_table(&mut self, from: Pid, epoch: EpochId, buckets: u32, above: Option<ClientId>) {
        let Some(live) = self.live.as_mut().filter(|live| live.view.epoch == epoch && epoch.leader == from) else {
            return;
        };
        if buckets == 0 {
            live.opening = Opening::Open;
            return;
        }
        if let Opening::Told(at) = &mut live.opening {
            *at = self.now.mono + TABLE_AGAIN;
        }
        self.send_table(from, epoch, buckets, above);
    }

    /// Sends the next portion of what is wanted; the leader asks for what is above it.
    fn send_table(&mut self, to: Pid, epoch: EpochId, buckets: u32, above: Option<ClientId>) {
        let Some(addr) = self.detector.addr(to) else {
            return;
        };
        let portion = table::portion(&self.ids, buckets, above, self.settings.portions);
        for (piece, (clients, then)) in (0..).zip(portion) {
            self.out.send_by_link(to, addr, Message::Table { epoch, buckets, piece, clients, then });
        }
    }

    pub(super) fn on_table(
        &mut self,
        from: Pid,
        epoch: EpochId,
        buckets: u32,
        piece: u32,
        clients: &[(ClientId, RangeSet)],
        then: Then,
    ) {
        let Some(live) = self.live.as_mut().filter(|live| live.view.epoch == epoch && live.view.has(from)) else {
            return;
        };
        let gaps = self.settings.bugs.has(Bug::PieceMissed);
        let Some(sequencer) =
            live.sequencer.as_mut().filter(|_| gaps || live.pieces.follows(from, buckets, piece, then))
        else {
            return;
        };
        for (client, numbers) in clients {
            sequencer.learn(*client, numbers);
        }
        match then {
            Then::Piece => {}
            Then::Above(client) => {
                self.send(from, Message::WantTable { epoch, buckets, above: Some(client) });
            }
            Then::Nothing => {
                sequencer.open(from);
                self.send(from, Message::WantTable { epoch, buckets: 0, above: None });
            }
        }
    }
}
