//! Catch-up and merge, wired: what is asked for of what others offer, and the parts of history that come of it.

use super::Node;
use super::disk::Pending;
use crate::ids::{EpochId, Pid};
use crate::proto::bugs::Bug;
use crate::proto::catch_up::Want;
use crate::proto::event::Event;
use crate::proto::fills::Asked;
use crate::proto::io::{Action, ReadFor, Write};
use crate::proto::pacing::Lane;
use crate::proto::settings::{COMPARE_EVERY, FILL_BYTES, FILL_TIME};
use crate::record::Entry;
use crate::time::Time;
use crate::wire::datagram::MAX_DATAGRAM_BYTES;
use crate::wire::message::{Fill, Message};

impl Node {
    pub(super) fn tick_catch_up(&mut self) {
        let Some(live) = self.live.as_ref().filter(|_| self.now.mono >= self.compare_at) else {
            return;
        };
        self.compare_at = self.now.mono + COMPARE_EVERY;
        let others: Vec<Pid> = live.others(self.me).filter(|pid| self.detector.is_alive(*pid)).collect();
        let view = live.view.epoch;
        self.epochs.settle();
        let mine = self.epochs.digest_hash(Some(view));
        for other in &others {
            let theirs = self.peers.digest_in_view(*other, view);
            if theirs == Some(mine) {
                self.catch_up.agrees(*other);
            } else if theirs.is_some() && self.catch_up.tell_digest(self.now.mono, *other) {
                self.tell_digest(*other);
            }
        }
        self.compare_pruned(&others);
        self.ask_for_history();
        self.note_completeness(&others);
    }

    fn ask_for_history(&mut self) {
        let last = self.epochs.last();
        let epochs = &self.epochs;
        let short = self.settings.bugs.has(Bug::FillShort);
        let newest = epochs.iter().rev().find(|(epoch, log)| short && Some(*epoch) != last && log.appended > 0);
        let newest = newest.map(|(epoch, _)| epoch);
        let wants = self.catch_up.wants(self.now.mono, |epoch, offered| {
            missing_from(epochs, last, epoch, offered).filter(|_| newest.is_none_or(|newest| epoch >= newest))
        });
        let further = u64::from(self.settings.bugs.has(Bug::FillGap));
        for Want { from, epoch, first } in wants {
            if let Some(addr) = self.detector.addr(from) {
                self.out.send_by_link(from, addr, Message::Want { epoch, from: first + further });
            }
        }
    }

    /// When everyone in the view has said what it has and none of it is missing here, this server is ready.
    fn note_completeness(&mut self, others: &[Pid]) {
        let last = self.epochs.last();
        let epochs = &self.epochs;
        let lacking = self.catch_up.is_lacking(|epoch, offered| missing_from(epochs, last, epoch, offered));
        let heard = others.iter().all(|other| self.catch_up.has_heard(*other));
        if lacking
            || !heard
            || self.is_filling()
            || self.is_reading()
            || self.is_learning()
            || !self.knows_rooms()
            || !self.knows_pruned(others)
        {
            return;
        }
        if let Some((messages, began)) = self.catch_up.finish() {
            self.event(Event::CaughtUp { messages, took: self.now.mono.since(began) });
        }
        // Alone it has all that anyone offers, which tells nothing of what was lost.
        if self.damaged && !others.is_empty() {
            self.damaged = false;
            self.event(Event::Mended);
        }
        if self.membership.become_ready() {
            // Clients and other servers wait for it: they hear of it at once, not with the next beacon.
            self.announcements.hasten(self.now.mono);
            self.event(Event::Ready);
        }
    }

    /// Whether something that came is on its way to the disk: it is history, and counted, once it is there.
    fn is_filling(&self) -> bool {
        let fills = |pending: &Pending| matches!(pending, Pending::Filled { .. });
        !self.settings.bugs.has(Bug::ReadyEarly) && self.writes.iter().any(|(_, pending)| fills(pending))
    }

    pub(super) fn on_want(&mut self, from: Pid, epoch: EpochId, first: u64) {
        self.fills.ask(Asked { by: from, epoch, first });
    }

    /// Reads what others want, as the rate allows.
    pub(super) fn send_fills(&mut self) {
        while self.fills.is_due() && self.pacer.allowance(self.now.mono, Lane::CatchUp) >= MAX_DATAGRAM_BYTES as u64 {
            let Some(Asked { by, epoch, first }) = self.fills.begin() else {
                return;
            };
            let unbounded = self.settings.bugs.has(Bug::FillUncommitted);
            let log = self.epochs.get(epoch).filter(|log| log.is_kept());
            let last = log.map_or(0, |log| if unbounded { log.durable } else { log.committed() });
            if self.view_epoch() == Some(epoch) || first == 0 || first > last {
                self.fills.done();
                continue;
            }
            let budget_bytes = FILL_BYTES.min(self.pacer.bytes_in(FILL_TIME) as usize);
            self.out.act(Action::Read { epoch, first, last, budget_bytes, purpose: ReadFor::Fill(by) });
        }
    }

    /// When the rate allows what others wait for.
    pub(super) fn fills_timeout(&self) -> Time {
        if !self.fills.is_due() {
            return Time::NEVER;
        }
        self.pacer.next_timeout(Lane::CatchUp, MAX_DATAGRAM_BYTES as u64)
    }

    /// A part of this server's log was read to be sent.
    pub(super) fn on_fill_read(&mut self, to: Pid, epoch: EpochId, first: u64, entries: Vec<Entry>) {
        self.fills.done();
        let (Some(log), Some(addr)) = (self.epochs.get(epoch), self.detector.addr(to)) else {
            return;
        };
        if entries.is_empty() {
            return;
        }
        let bytes: usize = entries.iter().map(|entry| entry.batch.len() + size_of::<Entry>()).sum();
        self.pacer.pay(self.now.mono, Lane::CatchUp, bytes as u64);
        let committed = if self.settings.bugs.has(Bug::FillUncommitted) { log.durable } else { log.committed() };
        let fill = Fill { view: log.view.clone(), committed, closure: log.closure, first, entries };
        self.out.send_by_link(to, addr, Message::Fill(Box::new(fill)));
    }

    pub(super) fn on_fill(&mut self, from: Pid, fill: Fill) {
        let epoch = fill.view.epoch;
        let own_last = self.epochs.last() == Some(epoch);
        let in_view = self.live.as_ref().is_some_and(|live| live.view.has(from));
        if own_last || !in_view || self.view_epoch() == Some(epoch) {
            return self.drop_because("a fill of one's own last epoch, or from outside the view");
        }
        if fill.view.is_below(self.epochs.horizon()) {
            self.catch_up.filled(self.now.mono, from, epoch);
            return self.drop_because("a fill of what is below the horizon");
        }
        let end = fill.first.saturating_add(fill.entries.len() as u64);
        if self.epochs.get(epoch).is_some_and(|log| log.view != fill.view) {
            return self.drop_because("a fill of an epoch whose view is another one here");
        }
        self.epochs.learn(&fill.view);
        let Some(log) = self.epochs.get_mut(epoch) else {
            return;
        };
        let have = log.appended;
        let leaves_gap = fill.first > have + 1 && !self.settings.bugs.has(Bug::FillGap);
        if leaves_gap || end <= have + 1 {
            self.catch_up.filled(self.now.mono, from, epoch);
            return self.drop_because("a fill that does not follow on the log");
        }
        let skip = (have + 1).saturating_sub(fill.first) as usize;
        let first = fill.first.max(have + 1);
        log.appended = end - 1;
        let entries: Vec<Entry> = fill.entries.into_iter().skip(skip).collect();
        log.bytes += entries.iter().map(Entry::bytes).sum::<u64>();
        let committed = fill.committed.min(end - 1);
        self.catch_up.filled(self.now.mono, from, epoch);
        let write = Write::Fill { view: fill.view, first, entries: entries.clone(), closure: fill.closure, committed };
        if self.settings.bugs.has(Bug::FillRace) {
            self.on_filled(epoch, first, &entries, fill.closure, committed);
        }
        self.write(write, Pending::Filled { epoch, first, entries, closure: fill.closure, committed });
        self.ask_for_history();
    }

    /// A part of history is on disk here.
    pub(super) fn on_filled(
        &mut self,
        epoch: EpochId,
        first: u64,
        entries: &[Entry],
        closure: Option<u64>,
        committed: u64,
    ) {
        let Some(log) = self.epochs.get_mut(epoch) else {
            return;
        };
        log.durable = log.durable.max(first + entries.len() as u64 - 1);
        log.stable = log.stable.max(committed);
        let follows = log.delivered + 1 >= first;
        if let Some(closure) = closure {
            self.epochs.close(epoch, closure);
        }
        // A view that is history somewhere closes its parents here, too: so it stands on the disk now (seed 9300792,
        // `--people`: a restored disk had more of a parent than its server told, until it was started anew).
        let uncounted = self.epochs.close_parents_of(epoch);
        self.compare_at = self.now.mono;
        let before = self.messages;
        if follows {
            self.deliver_late(epoch, first, entries);
        }
        if !follows || uncounted {
            self.read_uncounted();
        }
        if self.messages > before {
            self.catch_up.came(self.messages - before);
            self.event(Event::Merged { messages: self.messages - before });
        }
    }
}

/// The first gsn that is missing here of an epoch that is offered up to `offered`; never of one's own last epoch, on whose
/// length a view change may be relying.
fn missing_from(
    epochs: &crate::proto::epochs::Epochs,
    last: Option<EpochId>,
    epoch: EpochId,
    offered: u64,
) -> Option<u64> {
    if Some(epoch) == last {
        return None;
    }
    let have = epochs.get(epoch).map_or(0, |log| log.appended);
    (offered > have).then_some(have + 1)
}
