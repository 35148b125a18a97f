//! Who is where and whose a nick is, wired: made anew from the store at a start, and when something is history no more; and who
//! turns out to be without his nick.

use super::Node;
use crate::ids::{ClientId, EpochId};
use crate::proto::bugs::Bug;
use crate::proto::gist::{Gists, Subject};
use crate::proto::io::{Action, ReadFor};
use crate::proto::replay::{Replay, Step};
use crate::proto::rooms::Rooms;
use crate::proto::settings::FILL_BYTES;
use crate::record::Entry;
use crate::wire::session::Refusal;
use std::time::Duration;

/// So many times the bounds of rooms and clients are known while they are put together: of an epoch its rooms come before the
/// people in them.
const LOOSE: usize = 4;
/// A server that has just started is not ready before it knows who is where, but for no longer than this.
const ROOMS_WAIT: Duration = Duration::from_secs(3);

impl Node {
    /// Who is where follows from what is history (`PROTOCOL.md` §8). Until all of it is read what was known before is told.
    pub(super) fn rebuild_rooms(&mut self) {
        self.rebuilt = Some(Rooms::loose(self.settings.bugs));
        self.replay = Replay::default();
        self.replay_rooms();
    }

    /// Whether who is where has been found out since the start, or clients wait for it no longer: all of a history that is not indexed
    /// may take minutes to read.
    pub(super) fn knows_rooms(&self) -> bool {
        self.knows_rooms || self.now.mono.since(self.began) > ROOMS_WAIT
    }

    pub(super) fn replay_rooms(&mut self) {
        match self.replay.next(&self.epochs) {
            Some(Step::Gists(epoch, after)) => {
                self.out.act(Action::ReadGists { epoch, after, budget_bytes: FILL_BYTES });
            }
            Some(Step::Entries(epoch, first, last)) => {
                let purpose = ReadFor::Rooms;
                self.out.act(Action::Read { epoch, first, last, budget_bytes: FILL_BYTES, purpose });
            }
            None => {
                if let Some(rebuilt) = self.rebuilt.take() {
                    self.rooms = rebuilt.bounded();
                    self.dismiss_all_losers();
                }
                if !std::mem::replace(&mut self.knows_rooms, true) {
                    // The view may have begun before anyone was known.
                    self.part_homeless();
                }
            }
        }
    }

    /// Gists of an epoch were read.
    pub(super) fn on_gists(&mut self, epoch: EpochId, after: Option<Subject>, gists: Gists) {
        let step = Step::Gists(epoch, after);
        let Some(rooms) = self.rebuilt.as_mut().filter(|_| self.replay.awaits(&step)) else { return };
        for gist in gists.gists {
            rooms.absorb(gist, self.pruning.ids());
        }
        rooms.trim(LOOSE);
        let upto = if self.settings.bugs.has(Bug::GistAlone) { u64::MAX } else { gists.upto };
        self.replay.read_gists(epoch, upto, gists.more);
        self.replay_rooms();
    }

    /// A stretch for [`ReadFor::Rooms`] was read.
    pub(super) fn on_rooms_read(&mut self, epoch: EpochId, first: u64, entries: &[Entry]) {
        let step = Step::Entries(epoch, first, first);
        let Some(rooms) = self.rebuilt.as_mut().filter(|_| self.replay.awaits(&step)) else { return };
        let view = self.epochs.get(epoch).map(|log| log.view.clone()).unwrap_or_default();
        let upto = (!entries.is_empty()).then(|| first + entries.len() as u64 - 1);
        let kept = self.replay.read_entries(epoch, upto);
        for (gsn, entry) in (first..).zip(entries.iter().chain(&kept)) {
            for record in entry.records(epoch, gsn) {
                rooms.enter(&record, entry.origin, view.name_of(entry.origin), self.pruning.ids());
            }
        }
        rooms.trim(LOOSE);
        self.replay_rooms();
    }

    /// An entry is shown while rooms are made anew: it is taken in there, too, once what comes before it in its epoch was.
    pub(super) fn enter_rebuilt(&mut self, epoch: EpochId, gsn: u64, entry: &Entry, home: &str) {
        let Some(rooms) = self.rebuilt.as_mut().filter(|_| self.replay.follows(epoch, gsn, entry)) else { return };
        for record in entry.records(epoch, gsn) {
            rooms.enter(&record, entry.origin, home, self.pruning.ids());
        }
    }

    /// Two people were given one nick, at once (simulator seed 902000142) or on two sides of a cut: who is without it is told, with
    /// one that is free.
    pub(super) fn dismiss_losers(&mut self, losers: Vec<ClientId>) {
        if self.settings.bugs.has(Bug::NickShared) {
            return;
        }
        for client in losers {
            let Some(id) = self.sessions.of(client) else { continue };
            let Some(nick) = self.sessions.get(id).map(|session| session.nick.clone()) else { continue };
            let offered = self.rooms.offer(&nick, client, self.hlc);
            if offered != nick {
                self.refuse(id, Refusal::NickTaken(offered));
                self.on_session_ended(id);
            }
        }
    }

    /// Who is where was made anew. Without the claims that were let go of, whoever had the earlier one may have lost it (simulator
    /// seed 974000194, `--let-go`).
    fn dismiss_all_losers(&mut self) {
        let clients = self.sessions.iter_mut().map(|(_, session)| session.client).collect();
        self.dismiss_losers(clients);
    }
}
