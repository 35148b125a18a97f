//! The disk, wired: writes and what each is for, a disk that hangs or fails, and the store that is opened anew.

use super::Node;
use crate::ids::{ClientId, EpochId, Pid};
use crate::proto::bugs::Bug;
use crate::proto::event::Event;
use crate::proto::io::{Damage, Recovered, Ticket, Trouble, Write};
use crate::proto::outgoing::Outgoing;
use crate::proto::settings::{BYES, STALLED};
use crate::proto::trace::Trace;
use crate::proto::view_change::Milestone;
use crate::record::Entry;
use crate::seq::RangeSet;
use crate::wire::datagram::Header;
use crate::wire::message::Message;

/// What the disk is to the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Disk {
    Works,
    /// Nothing is written until the store is open again; questions are answered.
    Failed,
}

/// What a write is for, until it is on disk.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    /// Of the view change, with the closures that the write brings.
    Milestone {
        milestone: Milestone,
        closures: Vec<(EpochId, u64)>,
    },
    Appended {
        epoch: EpochId,
        len: u64,
    },
    Filled {
        epoch: EpochId,
        first: u64,
        entries: Vec<Entry>,
        closure: Option<u64>,
        committed: u64,
    },
    Closed(EpochId, u64),
    /// Another server counts so much of an epoch as history.
    Heard(EpochId, u64),
    /// This member installed the view: the closures of its parents.
    Installed,
    Pruned {
        epoch: Option<EpochId>,
        ids: Vec<(ClientId, RangeSet)>,
    },
    Echo {
        to: Pid,
        nonce: u64,
        pad: Vec<u8>,
    },
    Nothing,
}

impl Node {
    pub(super) fn write(&mut self, write: Write, pending: Pending) {
        let ticket = self.out.write(write);
        if self.writes.is_empty() {
            self.writing_since = self.now.mono;
        }
        self.writes.push_back((ticket, pending));
    }

    /// Whether the disk has not done a write for so long that nobody should wait for this server.
    pub(super) fn disk_hangs(&self) -> bool {
        !self.writes.is_empty() && self.now.mono.since(self.writing_since) > STALLED
    }

    /// Whether the closures that came with this member's view are still being written.
    pub(super) fn is_installing(&self) -> bool {
        self.writes.iter().any(|(_, pending)| matches!(pending, Pending::Installed))
    }

    /// Whether what is history is being written down by which entries here will count that do not yet.
    pub(super) fn is_learning(&self) -> bool {
        let tells =
            |pending: &Pending| matches!(pending, Pending::Closed(..) | Pending::Heard(..) | Pending::Installed);
        self.writes.iter().any(|(_, pending)| tells(pending))
    }

    /// Whether the disk hangs, or did until its last write: the next one would be waited for as long.
    pub(super) fn is_disk_slow(&self) -> bool {
        self.disk_hangs() || self.wrote_in > STALLED && !self.settings.bugs.has(Bug::SlowTakesAll)
    }

    pub(super) fn on_written(&mut self, upto: Ticket) {
        if !self.writes.is_empty() {
            self.wrote_in = self.now.mono.since(self.writing_since);
        }
        self.writing_since = self.now.mono;
        let mut learns = false;
        while let Some((_, pending)) = self.writes.pop_front_if(|(ticket, _)| *ticket <= upto) {
            match pending {
                Pending::Milestone { milestone, closures } => {
                    let steps = self.view_change.written(self.now.mono, milestone);
                    self.take_steps(steps);
                    // What is on the disk counts, also when a greater promise has overtaken the attempt that wrote it:
                    // the next coordinator must be told what this server would find after a restart.
                    let forgets = self.settings.bugs.has(Bug::StaleForgotten);
                    for (epoch, cut) in closures.into_iter().filter(|_| !forgets) {
                        self.epochs.close(epoch, cut);
                    }
                }
                Pending::Appended { epoch, len } => self.on_appended(epoch, len),
                Pending::Filled { epoch, first, entries, closure, committed } => {
                    self.on_filled(epoch, first, &entries, closure, committed);
                }
                Pending::Closed(epoch, cut) => {
                    self.epochs.close(epoch, cut);
                    learns = true;
                }
                Pending::Heard(epoch, committed) => {
                    self.epochs.hear_stable(epoch, committed);
                    learns = true;
                }
                Pending::Installed => learns = true,
                Pending::Pruned { epoch, ids } => self.on_pruned(epoch, &ids),
                Pending::Echo { to, nonce, pad } if to == self.me => self.on_echo(to, nonce, &pad),
                Pending::Echo { to, nonce, pad } => self.send(to, Message::Echo { nonce, pad }),
                Pending::Nothing => {}
            }
        }
        if learns {
            self.read_uncounted();
            self.open_when_read();
        }
        if self.is_disk_slow() && self.writes.is_empty() {
            // Nobody asks such a disk for anything: whether it works again is found out by this server.
            let num = self.epochs.max_num();
            self.write(Write::Seen { num }, Pending::Nothing);
        }
    }

    /// The disk takes nothing: nothing more is acknowledged, and others are told at once that this process is gone.
    pub(super) fn on_write_failed(&mut self, trouble: Trouble) {
        if self.disk == Disk::Works {
            self.disk = Disk::Failed;
            // No goodbye: it should be here, and people are to be told that it is not.
            for _ in 0..BYES {
                self.out.multicast(Message::Failed { pids: vec![self.me] });
            }
            self.end_all_sessions();
        }
        // What was damaged is told once it is known; that the store does not open after all, once that is.
        if trouble != Trouble::Damaged {
            self.event(Event::ReadOnly { full: trouble == Trouble::Full });
        }
    }

    /// The store is open again, in a new incarnation: the same as a restart.
    pub(super) fn begin_anew(&mut self, mut recovered: Recovered) {
        let damage = recovered.damage.take();
        self.dismiss_readers();
        let mut out = std::mem::replace(&mut self.out, Outgoing::new(Header::default()));
        out.reborn(recovered.pid);
        let seed = self.rng.next_u64();
        let trace = std::mem::replace(&mut self.trace, Trace::new(self.now, false));
        *self = Self::with_outgoing(self.settings.clone(), recovered, self.now, seed, out);
        self.trace = trace;
        if let Some(Damage { what, aside, lost }) = damage {
            self.event(Event::Damaged { what, aside, lost });
        }
    }
}
