//! Retention, wired: what this server would let go of, when a leader asks all, and how what lies below the horizon goes.

use super::Node;
use super::disk::Pending;
use crate::ids::{ClientId, EpochId, Pid, ServerId};
use crate::proto::bugs::Bug;
use crate::proto::epochs::EpochLog;
use crate::proto::event::Event;
use crate::proto::io::{Action, ReadFor, Write};
use crate::proto::pruning::Step;
use crate::proto::settings::{FILL_BYTES, Keep, RENEW_LEAST};
use crate::proto::table;
use crate::record::Entry;
use crate::seq::RangeSet;
use crate::time::Hlc;
use crate::wire::message::{Message, Then};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A view is followed by another when it holds so much of what a server would keep.
const PART: u64 = 8;
/// So many views' time is let go of at once, at most.
const AT_ONCE: u64 = 8;
/// What the store takes for each byte of a log, with its index and the words to search for. Measured: 3.7 (40,000 messages of
/// 170 bytes, each an entry of its own: 10.2 MB of log in a file of 37.3 MB).
const INDEXED: u64 = 4;

impl Node {
    /// Epochs that began before this may go, as far as this server is concerned; 0 when it would keep all.
    pub(super) fn lets_go(&self) -> Hlc {
        match self.settings.retention.keep {
            Keep::All => Hlc(0),
            Keep::For(age) => before(self.now.wall_ms, age),
            Keep::Bytes(most) => {
                let kept = self.epochs.iter().filter(|(_, log)| log.is_kept());
                newest(kept.map(|(_, log)| (log.view.began, log.bytes * INDEXED)).collect(), most)
            }
        }
    }

    /// Whether this leader's view is to be followed by another of the same members: it is old, or holds much, and everyone has
    /// all of history.
    pub(super) fn renews(&self) -> bool {
        let Some(live) = self.live.as_ref().filter(|live| live.view.epoch.leader == self.me && self.is_active()) else {
            return false;
        };
        let retention = self.settings.retention;
        let age = self.now.mono.since(live.opened);
        let much = |log: &EpochLog| match retention.keep {
            Keep::Bytes(most) => log.bytes * INDEXED >= most / PART,
            Keep::All | Keep::For(_) => false,
        };
        let is_full =
            live.hold_back.head() >= retention.view_holds || self.epochs.get(live.view.epoch).is_some_and(much);
        let is_due = age >= retention.view_lasts || is_full && age >= RENEW_LEAST.min(retention.view_lasts);
        is_due && live.hold_back.head() > 0 && !self.is_disk_slow() && self.is_whole()
    }

    /// Whether this server and every other of its view have the same history.
    fn is_whole(&self) -> bool {
        let Some(live) = self.live.as_ref() else { return false };
        let epoch = live.view.epoch;
        let mine = self.epochs.digest_hash(Some(epoch));
        let is_like_me = |pid: Pid| {
            self.peers.digest_in_view(pid, epoch) == Some(mine)
                && self.peers.beacon(pid).is_some_and(|beacon| beacon.ready)
        };
        self.membership.is_ready() && !self.damaged && live.others(self.me).all(is_like_me)
    }

    /// From where on history may be kept, should all members of the view that this leader makes agree: where epochs began. None
    /// while someone has not been asked who was there lately, or is new.
    pub(super) fn boundaries(&self, proposed: &BTreeSet<Pid>) -> Vec<Hlc> {
        let members = self.live.iter().flat_map(|live| &live.view.members);
        let is_same = members.map(|member| member.pid).eq(proposed.iter().copied());
        if !is_same || !self.is_whole() {
            return Vec::new();
        }
        let here: BTreeSet<ServerId> = proposed.iter().map(|pid| pid.server).collect();
        let lately = before(self.now.wall_ms, self.settings.retention.absent_for);
        let is_away = |(server, last): &(ServerId, Hlc)| !here.contains(server) && *last > lately;
        if self.last_seen().iter().any(is_away) && !self.settings.bugs.has(Bug::AbsentForgotten) {
            return Vec::new();
        }
        let kept = self.epochs.iter().filter(|(_, log)| log.is_kept());
        first_of(kept.map(|(_, log)| log.view.began).collect(), self.settings.retention.view_lasts)
    }

    /// When each server was last in a view, at most: when the first view began that follows it.
    fn last_seen(&self) -> Vec<(ServerId, Hlc)> {
        let mut ended: BTreeMap<EpochId, Hlc> = BTreeMap::new();
        for (_, log) in self.epochs.iter().filter(|(_, log)| log.view.began > Hlc(0)) {
            for (parent, _) in &log.view.parents {
                let first = ended.entry(*parent).or_insert(log.view.began);
                *first = log.view.began.min(*first);
            }
        }
        let mut seen: BTreeMap<ServerId, Hlc> = BTreeMap::new();
        for (epoch, log) in self.epochs.iter() {
            let until = ended.get(&epoch).copied().unwrap_or(self.clock());
            for member in &log.view.members {
                let last = seen.entry(member.pid.server).or_default();
                *last = until.max(*last);
            }
        }
        seen.into_iter().collect()
    }

    /// Lets go of what is below the horizon, one epoch after the other.
    pub(super) fn tick_pruning(&mut self) {
        if self.pruning.is_reading() {
            return;
        }
        let fills = |epoch| {
            self.writes.iter().any(|(_, pending)| matches!(pending, Pending::Filled { epoch: of, .. } if *of == epoch))
        };
        let Some(epoch) = self.epochs.due().find(|epoch| !fills(*epoch)) else {
            return self.tell_let_go();
        };
        let uncommitted = self.settings.bugs.has(Bug::PruneUncommitted);
        let upto = self.epochs.get(epoch).map_or(0, |log| if uncommitted { log.durable } else { log.committed() });
        let step = self.pruning.begin(epoch, upto);
        self.take_pruning_step(step);
    }

    /// When nothing is due any more, and something has gone: who is where is made anew, and people are told. Also when an epoch
    /// went of whose messages all had an earlier copy, which went before: who claimed a nick in it does not any more (seed
    /// 925000263, `--people --narrow`).
    fn tell_let_go(&mut self) {
        if !self.is_pruning()
            && let Some(messages) = self.pruning.finish()
        {
            self.rebuild_rooms();
            if messages > 0 {
                self.event(Event::LetGo { messages, horizon: self.epochs.horizon() });
            }
        }
    }

    fn take_pruning_step(&mut self, step: Step) {
        match step {
            Step::Read { epoch, first, last } => {
                self.out.act(Action::Read { epoch, first, last, budget_bytes: FILL_BYTES, purpose: ReadFor::Prune });
            }
            Step::LetGo { epoch, ids } => {
                let ids = if self.settings.bugs.has(Bug::CopyAgain) { Vec::new() } else { ids };
                self.let_go(Some(epoch), ids);
            }
        }
    }

    fn let_go(&mut self, epoch: Option<EpochId>, ids: Vec<(ClientId, RangeSet)>) {
        // What a ring that this server joins has let go of stays in its file, if it would keep it.
        let began = epoch.and_then(|epoch| self.epochs.get(epoch)).map(|log| log.view.began);
        let stays = match self.settings.retention.keep {
            Keep::All => began.is_some(),
            Keep::For(_) => began.is_some_and(|began| began >= self.lets_go()),
            Keep::Bytes(_) => false,
        };
        let write = Write::Prune { epoch, ids: ids.clone(), stays };
        self.write(write, Pending::Pruned { epoch, ids });
    }

    /// A part of an epoch below the horizon was read.
    pub(super) fn on_prune_read(&mut self, epoch: EpochId, first: u64, entries: &[Entry]) {
        if let Some(step) = self.pruning.read(epoch, first, entries) {
            self.take_pruning_step(step);
        }
    }

    /// These messages are history no more, durably.
    pub(super) fn on_pruned(&mut self, epoch: Option<EpochId>, ids: &[(ClientId, RangeSet)]) {
        let pruned = self.pruning.let_go(epoch, ids);
        let unknown: u64 = ids.iter().map(|(client, numbers)| self.ids.union(*client, numbers)).sum();
        let gone = pruned - unknown.min(pruned);
        self.messages = self.messages.saturating_sub(gone);
        self.pruning.note_gone(gone);
        if let Some(epoch) = epoch {
            self.epochs.let_go(epoch);
        }
        self.settle_pruned();
        self.compare_at = self.now.mono;
    }

    /// What clients said here and is history no more elsewhere will not be ordered again: nobody waits for it.
    fn settle_pruned(&mut self) {
        for id in self.origin.among(self.pruning.ids()) {
            self.origin.settle(id);
            if let Some(session) = self.sessions.of(id.client) {
                self.acknowledge_known(session, id);
            }
        }
    }

    /// What this server's beacons tell of what it has let go of.
    pub(super) fn pruned_hash(&self) -> u64 {
        if self.is_pruning() { 0 } else { self.pruning.hash().unwrap_or(0) }
    }

    fn is_pruning(&self) -> bool {
        self.pruning.is_reading() || self.epochs.due().next().is_some()
    }

    /// Asks those members what they have let go of who tell that it is not the same.
    pub(super) fn compare_pruned(&mut self, others: &[Pid]) {
        if self.is_pruning() || self.settings.bugs.has(Bug::PrunedUntold) {
            return;
        }
        self.pruning.settle();
        for other in others.iter().copied() {
            if !self.agrees_with(other) && self.pruning.ask(self.now.mono, other) {
                self.want_pruned(other, None);
            }
        }
    }

    /// Whether all that these members have let go of is known here; while this server is at it itself, that is enough.
    pub(super) fn knows_pruned(&self, others: &[Pid]) -> bool {
        let told = |pending: &Pending| matches!(pending, Pending::Pruned { epoch: None, .. });
        if self.writes.iter().any(|(_, pending)| told(pending)) {
            return false;
        }
        self.is_pruning()
            || self.settings.bugs.has(Bug::PrunedUntold)
            || others.iter().all(|other| self.agrees_with(*other))
    }

    fn agrees_with(&self, other: Pid) -> bool {
        let beacon = self.peers.beacon(other).filter(|beacon| beacon.view == self.view_epoch());
        beacon.is_none_or(|beacon| self.pruning.agrees(other, beacon.pruned))
    }

    fn want_pruned(&mut self, from: Pid, above: Option<ClientId>) {
        if let Some(addr) = self.detector.addr(from) {
            self.pruning.pieces.asked(from);
            let hashes = self.pruning.ids().hashes().to_vec();
            self.out.send_by_link(from, addr, Message::WantPruned { hashes, above });
        }
    }

    /// Another member lacks some of what was let go of here: the next portion of it.
    pub(super) fn on_want_pruned(&mut self, from: Pid, hashes: &[u64], above: Option<ClientId>) {
        let Some(addr) = self.detector.addr(from).filter(|_| self.is_in_view(from)) else { return };
        self.pruning.settle();
        let ours = self.pruning.ids().hashes();
        let differing = ours.iter().zip(hashes).enumerate().filter(|(_, (ours, theirs))| ours != theirs);
        let buckets = differing.fold(0, |buckets, (at, _)| buckets | 1 << at);
        let hash = self.pruned_hash();
        let portion = table::portion(self.pruning.ids(), buckets, above, self.settings.portions);
        for (piece, (clients, then)) in (0..).zip(portion) {
            self.out.send_by_link(from, addr, Message::Pruned { piece, clients, then, hash });
        }
    }

    /// A member tells what it has let go of.
    pub(super) fn on_told_pruned(
        &mut self,
        from: Pid,
        piece: u32,
        clients: Vec<(ClientId, RangeSet)>,
        then: Then,
        hash: u64,
    ) {
        if !self.is_in_view(from) {
            return self.drop_because("ids that were let go of, from outside the view");
        }
        if !self.settings.bugs.has(Bug::PieceMissed) && !self.pruning.pieces.follows(from, 0, piece, then) {
            return self.drop_because("a piece behind one that was lost");
        }
        self.pruning.told(self.now.mono, from, hash);
        if !clients.is_empty() {
            self.let_go(None, clients);
        }
        match then {
            Then::Piece => {}
            Then::Above(client) => self.want_pruned(from, Some(client)),
            Then::Nothing => self.pruning.told_all(from, hash),
        }
    }
}

/// So long before.
fn before(now_ms: u64, age: Duration) -> Hlc {
    Hlc::from_wall_ms(now_ms.saturating_sub(age.as_millis() as u64))
}

/// When the oldest epoch began of the newest that reach this many bytes: one too many rather than one too few. 0 when all are
/// fewer.
fn newest(mut sizes: Vec<(Hlc, u64)>, most: u64) -> Hlc {
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = most;
    for (began, bytes) in sizes {
        if bytes > left {
            return began;
        }
        left -= bytes;
    }
    Hlc(0)
}

/// The boundaries up to which history may go at once: a clock that is far ahead does not end all of it.
fn first_of(began: BTreeSet<Hlc>, view_lasts: Duration) -> Vec<Hlc> {
    let first = began.iter().find(|began| **began > Hlc(0)).map_or(0, |began| began.wall_ms());
    let last = first.saturating_add(view_lasts.as_millis() as u64 * AT_ONCE);
    began.into_iter().filter(|began| began.wall_ms() <= last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Hlc {
        Hlc::from_wall_ms(ms)
    }

    #[test]
    fn size_keeps_one_epoch_too_many_rather_than_one_too_few() {
        let sizes = vec![(at(1), 50), (at(3), 10), (at(2), 20)];
        for (most, kept) in [(9, at(3)), (10, at(2)), (29, at(2)), (30, at(1)), (79, at(1)), (80, at(0))] {
            assert_eq!(newest(sizes.clone(), most), kept, "{most}");
        }
        assert_eq!(
            newest(vec![(Hlc(0), 900), (at(3), 10)], 100),
            Hlc(0),
            "what an earlier version wrote stays as long"
        );
    }

    #[test]
    fn clock_far_ahead_ends_no_more_than_a_few_views() {
        let days = |days: &[u64]| days.iter().map(|day| at(day * 1000)).collect::<BTreeSet<Hlc>>();
        let second = Duration::from_secs(1);
        let all = days(&[0, 10, 11, 18, 19, 400]);
        assert_eq!(first_of(all, second), days(&[0, 10, 11, 18]).into_iter().collect::<Vec<_>>());
        assert_eq!(first_of(BTreeSet::new(), second), []);
    }
}
