//! Histories compared, wired: what members tell each other of the lengths of their logs.

use super::Node;
use super::disk::Pending;
use crate::ids::{EpochId, Pid};
use crate::proto::bugs::Bug;
use crate::proto::epochs::EpochLog;
use crate::proto::io::Write;
use crate::wire::message::{Digest, EpochDigest, Message, StretchDigest};
use std::collections::BTreeMap;

impl Node {
    /// Tells another member, whose history is not the same, what this one has: all of it, or where to look.
    pub(super) fn tell_digest(&mut self, to: Pid) {
        let message = if self.is_summed_up() {
            Message::Summary { stretches: self.epochs.summary(self.view_epoch(), self.settings.portions.stretch) }
        } else {
            let epochs = self.epochs.digest(self.view_epoch());
            Message::Digest(Digest { of: Vec::new(), epochs, whole: true, answer: true })
        };
        self.send_digest(to, message);
    }

    /// Of the stretches that differ the newest are told of, as many as go into one message, and the rest when these are the
    /// same. Now and then others come first: what stays different for ever hides nothing that is older.
    pub(super) fn on_summary(&mut self, from: Pid, theirs: &[StretchDigest]) {
        if !self.is_in_view(from) || self.settings.bugs.has(Bug::SummaryUnanswered) {
            return;
        }
        let differing = self.differing(theirs);
        let Some(last) = differing.len().checked_sub(1) else {
            return;
        };
        let first = if last > 0 && self.rng.below(2) == 0 { self.rng.below(last as u64 + 1) as usize } else { 0 };
        let mut budget = self.settings.portions.epochs;
        let mut of = Vec::new();
        for &(number, epochs) in &differing[first..] {
            if epochs > budget && !of.is_empty() {
                break;
            }
            budget = budget.saturating_sub(epochs);
            of.push(number);
        }
        let whole = of.len() == differing.len();
        self.send_digest_of(from, of, whole, true);
    }

    pub(super) fn on_digest(&mut self, from: Pid, digest: &Digest) {
        if !self.is_in_view(from) {
            return;
        }
        for epoch in &digest.epochs {
            let known = self.epochs.get(epoch.epoch).map(|log| log.closure);
            if let (Some(known), Some(closure)) = (known, epoch.closure)
                && known < Some(closure)
                && !self.is_closing(epoch.epoch, closure)
            {
                self.write(Write::Close { epoch: epoch.epoch, cut: closure }, Pending::Closed(epoch.epoch, closure));
            }
            self.hear_committed(epoch);
        }
        self.catch_up.offered(from, digest);
        self.compare_at = self.now.mono;
        if !digest.answer {
            return;
        }
        if !digest.of.is_empty() {
            self.send_digest_of(from, digest.of.clone(), digest.whole, false);
        } else if self.is_summed_up() {
            self.tell_digest(from);
        } else {
            let epochs = self.epochs.digest(self.view_epoch());
            self.send_digest(from, Message::Digest(Digest { of: Vec::new(), epochs, whole: true, answer: false }));
        }
    }

    /// Whether a digest of all would be too long.
    fn is_summed_up(&self) -> bool {
        self.epochs.len() > self.settings.portions.epochs
    }

    /// The stretches of which the hashes differ, newest first, and how many epochs one of the two knows there.
    fn differing(&self, theirs: &[StretchDigest]) -> Vec<(u64, usize)> {
        let theirs: BTreeMap<u64, StretchDigest> = theirs.iter().map(|stretch| (stretch.number, *stretch)).collect();
        let ours = self.epochs.summary(self.view_epoch(), self.settings.portions.stretch);
        let ours: BTreeMap<u64, StretchDigest> = ours.into_iter().map(|stretch| (stretch.number, stretch)).collect();
        let mut numbers: Vec<u64> = ours.keys().chain(theirs.keys()).copied().collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.dedup();
        let both = |number: &u64| [ours.get(number), theirs.get(number)];
        let hash = |stretch: Option<&StretchDigest>| stretch.map_or(0, |stretch| stretch.hash);
        numbers.retain(|number| {
            let [ours, theirs] = both(number);
            hash(ours) != hash(theirs)
        });
        let epochs = |number: &u64| both(number).into_iter().flatten().map(|stretch| stretch.epochs as usize).max();
        numbers.iter().map(|number| (*number, epochs(number).unwrap_or(0))).collect()
    }

    fn send_digest_of(&mut self, to: Pid, of: Vec<u64>, whole: bool, answer: bool) {
        let epochs = self.epochs.digest_of(self.view_epoch(), &of, self.settings.portions.stretch);
        self.send_digest(to, Message::Digest(Digest { of, epochs, whole, answer }));
    }

    fn send_digest(&mut self, to: Pid, message: Message) {
        if let Some(addr) = self.detector.addr(to) {
            self.out.send_by_link(to, addr, message);
        }
    }

    pub(super) fn is_in_view(&self, pid: Pid) -> bool {
        self.live.as_ref().is_some_and(|live| live.view.has(pid))
    }

    /// Whether this closure is being written already.
    fn is_closing(&self, epoch: EpochId, cut: u64) -> bool {
        let closes = |pending: &Pending| matches!(pending, Pending::Closed(of, known) if *of == epoch && *known >= cut);
        self.writes.iter().any(|(_, pending)| closes(pending))
    }

    /// Another server counts more of an epoch as history than this one does, which has the entries too.
    fn hear_committed(&mut self, digest: &EpochDigest) {
        let EpochDigest { epoch, committed, .. } = *digest;
        let is_past = |log: &&EpochLog| log.is_kept() && self.epochs.last() != Some(epoch);
        let Some(log) = self.epochs.get(epoch).filter(is_past) else {
            return;
        };
        let upto = committed.min(log.durable);
        let is_heard =
            |pending: &Pending| matches!(pending, Pending::Heard(of, known) if *of == epoch && *known >= upto);
        if upto > log.committed() && self.settings.bugs.has(Bug::HeardEarly) {
            self.epochs.hear_stable(epoch, upto);
            self.read_uncounted();
        } else if upto > log.committed() && !self.writes.iter().any(|(_, pending)| is_heard(pending)) {
            // Clients are told only of what is on the disk: that this is history, too. Who told of it may be lost with its own.
            self.commit(epoch, upto);
            self.write(Write::Seen { num: self.epochs.max_num() }, Pending::Heard(epoch, upto));
        }
    }
}
