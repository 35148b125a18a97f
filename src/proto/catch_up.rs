//! Who offers what this server lacks, and what it has asked for (`PROTOCOL.md` §9).
//!
//! Lengths are compared by hash in every beacon and in full when the hashes differ. The newest epoch is asked for first,
//! one part at a time of each source; a part that does not come is asked of another.

use crate::ids::{EpochId, Pid};
use crate::proto::settings::{DIGEST_EVERY, WANT_AGAIN, WANT_LATEST};
use crate::time::Time;
use crate::wire::message::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What others offer, and what is under way.
#[derive(Clone, Debug, Default)]
pub struct CatchUp {
    offers: BTreeMap<Pid, BTreeMap<EpochId, u64>>,
    /// Who has told all that it has, or of all that differs.
    heard: BTreeSet<Pid>,
    asked: BTreeMap<Pid, Asked>,
    /// How long a source is given; [`WANT_AGAIN`] before it was asked for anything.
    patience: BTreeMap<Pid, Duration>,
    /// Who did not answer for which epoch: others are asked first.
    deaf: BTreeSet<(Pid, EpochId)>,
    told: BTreeMap<Pid, Time>,
    began: Option<Time>,
    messages: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    epoch: EpochId,
    at: Time,
    again_at: Time,
}

/// A part of history to ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Want {
    /// Of whom.
    pub from: Pid,
    /// The epoch.
    pub epoch: EpochId,
    /// From this gsn.
    pub first: u64,
}

impl CatchUp {
    /// A new view: old questions are void, offers are made anew.
    pub fn begin_view(&mut self) {
        self.offers.clear();
        self.heard.clear();
        self.asked.clear();
        self.patience.clear();
        self.deaf.clear();
        self.told.clear();
    }

    /// Whether it is time to tell `to` one's own digest, which differs from theirs.
    pub fn tell_digest(&mut self, now: Time, to: Pid) -> bool {
        let due = self.told.get(&to).is_none_or(|told| now >= *told + DIGEST_EVERY);
        if due {
            self.told.insert(to, now);
        }
        due
    }

    /// `from` has this much of each epoch that is told of, in place of what it said before.
    pub fn offered(&mut self, from: Pid, digest: &Digest) {
        let committed = digest.epochs.iter().filter(|digest| digest.committed > 0);
        self.offers.insert(from, committed.map(|digest| (digest.epoch, digest.committed)).collect());
        if digest.whole {
            self.heard.insert(from);
        }
    }

    /// `from`'s history is the same as this server's: it offers nothing.
    pub fn agrees(&mut self, from: Pid) {
        self.offers.insert(from, BTreeMap::new());
        self.heard.insert(from);
        self.asked.remove(&from);
    }

    /// Whether `from` has said all that it has.
    pub fn has_heard(&self, from: Pid) -> bool {
        self.heard.contains(&from)
    }

    /// Whether anyone offers something that `lacks` says is missing here.
    pub fn is_lacking(&self, lacks: impl Fn(EpochId, u64) -> Option<u64>) -> bool {
        self.offers.values().flatten().any(|(epoch, committed)| lacks(*epoch, *committed).is_some())
    }

    /// What to ask for now: of each source that is not busy the newest epoch that nobody else is asked for.
    /// `lacks(epoch, offered)` gives the first gsn that is missing here of an epoch that is offered up to `offered`.
    pub fn wants(&mut self, now: Time, lacks: impl Fn(EpochId, u64) -> Option<u64>) -> Vec<Want> {
        for (from, asked) in self.asked.extract_if(.., |_, asked| asked.again_at <= now) {
            self.deaf.insert((from, asked.epoch));
            self.patience.insert(from, (asked.again_at.since(asked.at) * 2).min(WANT_LATEST));
        }
        let mut wants = self.ask(now, &lacks);
        if wants.is_empty() && self.asked.is_empty() && !self.deaf.is_empty() {
            self.deaf.clear();
            wants = self.ask(now, &lacks);
        }
        wants
    }

    fn ask(&mut self, now: Time, lacks: &impl Fn(EpochId, u64) -> Option<u64>) -> Vec<Want> {
        let mut wants = Vec::new();
        for (from, offer) in &self.offers {
            if self.asked.contains_key(from) {
                continue;
            }
            let is_free = |epoch: EpochId| self.asked.values().all(|asked| asked.epoch != epoch);
            let want = offer.iter().rev().find_map(|(epoch, committed)| {
                lacks(*epoch, *committed)
                    .filter(|_| is_free(*epoch) && !self.deaf.contains(&(*from, *epoch)))
                    .map(|first| Want { from: *from, epoch: *epoch, first })
            });
            if let Some(want) = want {
                let patience = self.patience.get(from).copied().unwrap_or(WANT_AGAIN);
                self.asked.insert(*from, Asked { epoch: want.epoch, at: now, again_at: now + patience });
                self.began.get_or_insert(now);
                wants.push(want);
            }
        }
        wants
    }

    /// A part of `epoch` came from `from`: the next is given twice as long as this one took.
    pub fn filled(&mut self, now: Time, from: Pid, epoch: EpochId) {
        if let Some(asked) = self.asked.get(&from).filter(|asked| asked.epoch == epoch) {
            self.patience.insert(from, (now.since(asked.at) * 2).clamp(WANT_AGAIN, WANT_LATEST));
            self.asked.remove(&from);
        }
    }

    /// So many messages that came this way are history here now.
    pub fn came(&mut self, messages: u64) {
        self.messages += messages;
    }

    /// Nothing is missing any more: how many messages came, and since when, if any did.
    pub fn finish(&mut self) -> Option<(u64, Time)> {
        let began = self.began.take()?;
        Some((std::mem::take(&mut self.messages), began))
    }

    /// When a part that did not come is to be asked for again.
    pub fn next_timeout(&self) -> Time {
        self.asked.values().map(|asked| asked.again_at).min().unwrap_or(Time::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, ServerId};
    use crate::wire::message::EpochDigest;

    fn pid(server: u64) -> Pid {
        Pid { server: ServerId(server), incarnation: Incarnation::default() }
    }

    fn epoch(num: u64) -> EpochId {
        EpochId { num, leader: pid(1) }
    }

    fn all(epochs: &[(u64, u64)]) -> Digest {
        let digest = |&(num, committed): &(u64, u64)| EpochDigest { epoch: epoch(num), committed, closure: None };
        Digest { of: Vec::new(), epochs: epochs.iter().map(digest).collect(), whole: true, answer: false }
    }

    #[test]
    fn newest_epoch_is_asked_for_first_and_each_source_for_another() {
        let mut catch_up = CatchUp::default();
        catch_up.offered(pid(1), &all(&[(1, 10), (2, 10)]));
        catch_up.offered(pid(2), &all(&[(1, 10), (2, 10)]));
        let wants = catch_up.wants(Time(0), |_, _| Some(1));
        assert_eq!(wants.iter().map(|want| want.epoch.num).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(catch_up.wants(Time(1), |_, _| Some(1)), []);
    }

    #[test]
    fn part_that_does_not_come_is_asked_for_again() {
        let mut catch_up = CatchUp::default();
        catch_up.offered(pid(1), &all(&[(1, 10)]));
        assert_eq!(catch_up.wants(Time(0), |_, _| Some(1)).len(), 1);
        let again = catch_up.next_timeout();
        assert_eq!(catch_up.wants(again, |_, _| Some(4))[0].first, 4);
        catch_up.filled(again, pid(1), epoch(1));
        catch_up.came(3);
        assert_eq!(catch_up.next_timeout(), Time::NEVER);
        assert_eq!(catch_up.finish(), Some((3, Time(0))));
    }

    #[test]
    fn source_is_given_twice_as_long_as_it_took_last_and_longer_each_time_that_it_is_late() {
        let mut catch_up = CatchUp::default();
        let mut now = Time(0);
        catch_up.offered(pid(1), &all(&[(1, 1000)]));
        let given = |catch_up: &mut CatchUp, now: Time| {
            assert_eq!(catch_up.wants(now, |_, _| Some(1)).len(), 1);
            catch_up.next_timeout().since(now).as_millis()
        };
        for expected in [500, 1000, 2000, 2000] {
            assert_eq!(given(&mut catch_up, now), expected);
            now = catch_up.next_timeout();
        }
        given(&mut catch_up, now);
        now = now + Duration::from_millis(700);
        catch_up.filled(now, pid(1), epoch(1));
        assert_eq!(given(&mut catch_up, now), 1400);
        now = now + Duration::from_millis(10);
        catch_up.filled(now, pid(1), epoch(1));
        assert_eq!(given(&mut catch_up, now), 500);
    }
}
