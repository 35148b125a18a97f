//! Who of a view cannot do its part: disks that hang, and links that let only small datagrams pass.

use super::Node;
use super::disk::{Disk, Pending};
use crate::ids::Pid;
use crate::proto::bugs::Bug;
use crate::proto::io::Write;
use crate::proto::settings::STALLED;
use crate::record::MAX_SERVERS;
use crate::wire::datagram::{HEADER_BYTES, MAX_DATAGRAM_BYTES};
use crate::wire::message::Message;
use std::collections::BTreeSet;
use std::time::Duration;

/// Makes a probe as long as datagrams get: beside it are an envelope, a nonce and a length.
const PAD_BYTES: usize = MAX_DATAGRAM_BYTES - HEADER_BYTES - 16;
/// How long members are asked for an echo before anyone is taken to be at fault.
const ASKED: Duration = Duration::from_secs(1);

impl Node {
    pub(super) fn send_probes(&mut self) {
        for (pid, nonce) in self.membership.take_asks() {
            let bugs = self.settings.bugs;
            if bugs.has(Bug::NoProbe) || bugs.has(Bug::NoOwnProbe) && pid == self.me {
                self.membership.on_echo(self.now.mono, pid, nonce);
            }
            let pad = vec![0; PAD_BYTES];
            if pid == self.me {
                self.on_probe(pid, nonce, pad);
            } else {
                self.send(pid, Message::Probe { nonce, pad });
            }
        }
    }

    /// Answered when the disk has done what it was asked before: a server whose disk hangs is no member.
    pub(super) fn on_probe(&mut self, from: Pid, nonce: u64, pad: Vec<u8>) {
        let waiting = self.writes.iter().filter(|(_, pending)| matches!(pending, Pending::Echo { .. })).count();
        if self.disk == Disk::Works && waiting < MAX_SERVERS {
            let num = self.epochs.max_num();
            self.write(Write::Seen { num }, Pending::Echo { to: from, nonce, pad });
        }
    }

    pub(super) fn on_echo(&mut self, from: Pid, nonce: u64, pad: &[u8]) {
        if pad.len() >= PAD_BYTES {
            self.membership.on_echo(self.now.mono, from, nonce);
            self.membership.look();
        }
    }

    /// Members whose logs have stood still while the order went on.
    pub(super) fn stalled_members(&self) -> Vec<Pid> {
        let Some(live) = self.live.as_ref().filter(|live| live.view.epoch.leader == self.me) else {
            return Vec::new();
        };
        if self.settings.bugs.has(Bug::NoEvict) {
            return Vec::new();
        }
        let head = live.hold_back.taken_out();
        let now = self.now.mono;
        let stalled = |pid: &Pid| {
            let acked = live.acks.get(pid);
            let behind = acked.is_some_and(|acked| acked.have < head && now.since(acked.since) > STALLED);
            let closed = live.sequencer.as_ref().is_some_and(|sequencer| !sequencer.has_opened(*pid));
            behind || closed && now.since(live.opened) > STALLED
        };
        let gone: Vec<Pid> = live.others(self.me).filter(stalled).collect();
        let silent = self.silenced(STALLED + ASKED);
        // Where nobody gets through to this server, it is at fault itself.
        let others_get_through = live.others(self.me).any(|pid| self.membership.has_passed(now, pid));
        let cut_off = silent.into_iter().filter(|pid| others_get_through && !self.membership.has_passed(now, *pid));
        cut_off.chain(gone).collect::<BTreeSet<Pid>>().into_iter().collect()
    }

    /// Whether this server's disk stands still; a leader's, while others' logs grew.
    pub(super) fn resigns(&self) -> bool {
        let Some(live) = self.live.as_ref().filter(|live| live.view.epoch.leader == self.me) else {
            return self.is_disk_slow() && !self.settings.bugs.has(Bug::NoResign);
        };
        if self.is_cut_off() && !self.settings.bugs.has(Bug::NoResign) {
            return true;
        }
        let own = live.acks.get(&self.me);
        let appended = live.hold_back.taken_out();
        own.filter(|_| !self.settings.bugs.has(Bug::NoResign)).is_some_and(|own| {
            let others_moved = live.acks.values().any(|acked| acked.have > own.have && acked.since > own.since);
            own.have < appended && self.now.mono.since(own.since) > STALLED && others_moved
        })
    }

    /// As leader: notes what of each member's data is missing here, and since when. Asks everyone for an echo when something
    /// has been missing for long: beacons and heads are small, data is not.
    pub(super) fn watch_gaps(&mut self) {
        let now = self.now.mono;
        let Some(live) = self.live.as_mut().filter(|live| live.view.epoch.leader == self.me) else {
            return;
        };
        for (index, member) in live.view.members.iter().enumerate() {
            let first = live.hold_back.missing_data(index).first().map(|(first, _)| *first);
            match first {
                Some(first) if live.gaps.get(&member.pid).is_none_or(|(known, _)| *known != first) => {
                    live.gaps.insert(member.pid, (first, now));
                }
                Some(_) => {}
                None => {
                    live.gaps.remove(&member.pid);
                }
            }
        }
        if !self.silenced(STALLED).is_empty() {
            let others: Vec<Pid> = self.live.iter().flat_map(|live| live.others(self.me)).collect();
            for pid in others {
                self.membership.ask(now, pid, &mut self.rng);
            }
        }
    }

    /// As leader: members of whose data the same part has been missing for so long, in whatever way it was asked for.
    fn silenced(&self, span: Duration) -> Vec<Pid> {
        let now = self.now.mono;
        let gaps = self.live.iter().flat_map(|live| &live.gaps);
        gaps.filter(|(_, (_, since))| now.since(*since) > span).map(|(pid, _)| *pid).collect()
    }

    /// As leader: whether data has been missing for long and no other member gets a full-sized datagram through to here.
    fn is_cut_off(&self) -> bool {
        let now = self.now.mono;
        let Some(live) = self.live.as_ref() else { return false };
        let is_silent = !self.silenced(STALLED + ASKED).is_empty();
        is_silent && !live.others(self.me).any(|pid| self.membership.has_passed(now, pid))
    }
}
