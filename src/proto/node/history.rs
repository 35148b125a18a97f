//! Delivery, wired: what becomes history, who is told, and what is learnt late.

use super::Node;
use super::flow::take_upto;
use crate::ids::EpochId;
use crate::proto::bugs::Bug;
use crate::proto::epochs::EpochLog;
use crate::proto::io::{Action, ReadFor, Write};
use crate::proto::rooms::Change;
use crate::proto::settings::FILL_BYTES;
use crate::record::Entry;

/// How a stretch of entries became history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct How {
    /// Whether it comes from a merge or a catch-up.
    pub(super) late: bool,
    /// Servers known to have it on disk.
    pub(super) copies: u16,
    /// Servers in the view.
    pub(super) of: u16,
}

impl Node {
    /// Delivers what is stable and on disk here.
    pub(super) fn deliver_stable(&mut self) {
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let epoch = live.view.epoch;
        let durable = self.epochs.get(epoch).map_or(0, |log| log.durable);
        let early = self.settings.bugs.has(Bug::DeliverEarly);
        let upto = if early { durable } else { live.stable.min(durable) };
        let copies = live.view.members.len() as u16;
        self.deliver_live(epoch, upto, How { late: false, copies, of: copies });
    }

    /// Before the next view: what its coordinator found durable at all survivors of `epoch`.
    pub(super) fn flush(&mut self, epoch: EpochId, upto: u64, group: usize, members: usize) {
        if self.view_epoch() == Some(epoch) {
            let how = How { late: false, copies: group as u16, of: members.max(group) as u16 };
            self.deliver_live(epoch, upto, how);
        }
    }

    fn deliver_live(&mut self, epoch: EpochId, upto: u64, how: How) {
        let Some(live) = self.live.as_mut() else {
            return;
        };
        let entries = take_upto(live, upto);
        let Some(&(last, _)) = entries.last() else {
            return;
        };
        live.delivered = last;
        if let Some(log) = self.epochs.get_mut(epoch) {
            log.stable = log.stable.max(last);
            log.delivered = log.delivered.max(last);
            log.reading = log.reading.max(last);
        }
        self.commit(epoch, last);
        for (gsn, entry) in entries {
            self.trace_delivered(epoch, gsn, &entry, how);
            self.enter_history(epoch, gsn, &entry, how);
        }
    }

    /// Lets the store know what is history: for its index, and so that less is open after a restart. What is said to others
    /// never depends on it, so that it is not waited for.
    pub(super) fn commit(&mut self, epoch: EpochId, upto: u64) {
        self.out.write(Write::Commit { epoch, upto });
    }

    /// Asks the disk for committed entries whose messages this server has not counted: it has had them since an earlier
    /// life, or beyond what it delivered before a view change.
    pub(super) fn read_uncounted(&mut self) {
        if self.is_installing() {
            return;
        }
        let current = self.view_epoch();
        let mut reads = Vec::new();
        for (epoch, log) in self.epochs.iter() {
            if log.is_kept() && Some(epoch) != current && log.reading < log.committed() && log.reading == log.delivered
            {
                reads.push((epoch, log.delivered + 1, log.committed()));
            }
        }
        for (epoch, first, last) in reads {
            if let Some(log) = self.epochs.get_mut(epoch) {
                log.reading = last;
            }
            let purpose = ReadFor::Commit;
            self.out.act(Action::Read { epoch, first, last, budget_bytes: FILL_BYTES, purpose });
        }
    }

    /// Whether entries are still being read that this server counts as history.
    pub(super) fn is_reading(&self) -> bool {
        let current = self.view_epoch();
        let upto = |log: &EpochLog| if self.is_installing() { log.committed() } else { log.reading };
        let reads = |epoch, log: &EpochLog| log.is_kept() && Some(epoch) != current && log.delivered < upto(log);
        self.epochs.iter().any(|(epoch, log)| reads(epoch, log))
    }

    /// Entries of an epoch that is not the current one are history: `first` is at most one above what was delivered of it.
    pub(super) fn deliver_late(&mut self, epoch: EpochId, first: u64, entries: &[Entry]) {
        let log = self.epochs.get(epoch).filter(|log| log.is_kept());
        let Some((delivered, committed)) = log.map(|log| (log.delivered, log.committed())) else {
            return;
        };
        let how = How {
            late: !self.settings.bugs.has(Bug::LateAsLive),
            copies: 1,
            of: self.live.as_ref().map_or(1, |live| live.view.members.len() as u16),
        };
        let mut upto = delivered;
        for (gsn, entry) in (first..).zip(entries) {
            if gsn == upto + 1 && gsn <= committed {
                upto = gsn;
                self.enter_history(epoch, gsn, entry, how);
            }
        }
        if let Some(log) = self.epochs.get_mut(epoch) {
            log.delivered = upto;
            log.reading = log.reading.max(upto);
        }
        if upto > delivered {
            self.trace_delivered_late(epoch, delivered + 1, upto);
            self.commit(epoch, upto);
        }
    }

    /// A read for [`ReadFor::Commit`] came back; a short one is read on.
    pub(super) fn on_commit_read(&mut self, epoch: EpochId, first: u64, entries: &[Entry]) {
        self.deliver_late(epoch, first, entries);
        if let Some(log) = self.epochs.get_mut(epoch) {
            // What could not be read is damaged, and will be fetched from others.
            log.reading = log.delivered;
        }
        if !entries.is_empty() {
            self.read_uncounted();
        }
        self.open_when_read();
    }

    pub(super) fn enter_history(&mut self, epoch: EpochId, gsn: u64, entry: &Entry, how: How) {
        self.hlc = self.hlc.max(entry.hlc);
        let again = self.settings.bugs.has(Bug::FeedTwice) || how.late && self.settings.bugs.has(Bug::FillTwice);
        // By the name that the epoch's view has: what is known of the server now is not the same everywhere (seed 740000490).
        let view = self.epochs.get(epoch).map(|log| &log.view);
        let home = view.map_or_else(String::new, |view| view.name_of(entry.origin).to_owned());
        self.enter_rebuilt(epoch, gsn, entry, &home);
        let (mut records, mut losers) = (entry.records(epoch, gsn), Vec::new());
        records.retain(|record| {
            let is_new = self.ids.insert(record.message.id);
            if !(how.late && self.settings.bugs.has(Bug::SkippedSilent)) {
                self.acknowledge_client(record, how);
            }
            // Copies too: rooms know them by the client's count, and the lesser key is the one that counts.
            if is_new || !self.settings.bugs.has(Bug::FirstCopySeats) {
                let changes = self.rooms.enter(record, entry.origin, &home, self.pruning.ids());
                losers.extend(changes.into_iter().filter_map(Change::loser));
            }
            self.messages += u64::from(is_new || again);
            is_new || again
        });
        self.feed(epoch, gsn, records, how);
        self.dismiss_losers(losers);
    }
}
