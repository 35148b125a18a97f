//! 29: what is let go of was asked of all, is below the horizon, and is the same everywhere.

use super::{Checker, LIVENESS, Verdict, Violation, hold};
use crate::ids::{ClientId, EpochId, MessageId, RecordKey, ServerId};
use crate::proto::settings::Keep;
use crate::record::View;
use crate::seq::RangeSet;
use crate::sim::image::Image;
use crate::sim::world::{Counts, Server};
use crate::time::{Hlc, Time};
use std::collections::BTreeMap;

/// What is known of who was asked.
#[derive(Default)]
pub(super) struct Asked {
    /// The greatest horizon of any view that somebody installed.
    horizon: Hlc,
    /// When each view was last installed by somebody who does not lead it.
    installed: BTreeMap<EpochId, Time>,
    /// Some wall clock jumped: nobody can tell what is old.
    pub(super) jumped: bool,
}

/// The greatest horizon that a disk knows.
pub(super) fn horizon_of(image: &Image) -> Hlc {
    image.logs.values().map(|log| log.view.horizon).max().unwrap_or(Hlc(0))
}

impl Checker {
    /// A wall clock was set to another time.
    pub fn clock_jumped(&mut self) {
        self.asked.jumped = true;
    }

    /// A view is installed: its horizon is no less than any before it, and where it is greater all have agreed.
    pub(super) fn horizon(
        &mut self,
        at: usize,
        view: &View,
        servers: &[Server],
        now: Time,
        counts: &mut Counts,
    ) -> Verdict {
        let known = self.seen[at].horizon;
        hold!(29, view.horizon >= known, "s{} goes back from the horizon {known} to {}", at + 1, view.horizon);
        // What a coordinator writes may be overtaken before it is installed.
        if view.epoch.leader != self.seen[at].pid {
            self.asked.installed.insert(view.epoch, now);
        }
        if view.horizon <= self.asked.horizon {
            return Ok(());
        }
        counts.rare("horizons moved");
        self.walks.clear();
        self.asked.horizon = view.horizon;
        for member in &view.members {
            let keeps = self.servers.get(&member.pid.server).map(|&member| servers[member].retention.keep);
            hold!(29, keeps != Some(Keep::All), "{} lets go of what {} would keep", view.epoch, member.name);
        }
        let here = |server: ServerId| view.members.iter().any(|member| member.pid.server == server);
        let lately = |epoch: &EpochId| {
            let last = self.asked.installed.get(epoch).copied().unwrap_or_default();
            now.since(last) < servers[at].retention.absent_for / 2
        };
        let views = servers[at].disk.live().logs.values().map(|log| &log.view).filter(|view| lately(&view.epoch));
        let away = views.flat_map(|view| &view.members).find(|member| !here(member.pid.server));
        hold!(29, self.asked.jumped || away.is_none(), "{} lets go, and {away:?} was there a moment ago", view.epoch);
        Ok(())
    }

    /// A server lets go: of an epoch below its horizon, and of what was history in one.
    pub(super) fn prunes(
        &self,
        at: usize,
        epoch: Option<EpochId>,
        ids: &[(ClientId, RangeSet)],
        servers: &[Server],
    ) -> Verdict {
        let horizon = horizon_of(servers[at].disk.live());
        let is_below = |epoch: EpochId| self.epochs.get(&epoch).is_some_and(|known| known.view.is_below(horizon));
        if let Some(epoch) = epoch {
            hold!(29, is_below(epoch), "s{} lets go of {epoch}, which is not below {horizon}", at + 1);
        }
        let was_history = |place: &RecordKey| {
            let known = self.epochs.get(&place.epoch).map_or(0, |known| known.stable.max(known.closed));
            is_below(place.epoch) && place.gsn <= known
        };
        for id in each(ids) {
            let of_server = self.others.get(&id).map_or(&[][..], |places| places);
            let places = self.fact(id).map_or(of_server, |(_, fact)| &fact.places);
            let is_right = places.iter().any(was_history);
            hold!(29, is_right, "s{} lets go of {id}, which was history nowhere below {horizon}: {places:?}", at + 1);
        }
        Ok(())
    }

    /// Whether these servers have let go of the same, and of all that is below the horizon.
    pub(super) fn same_pruned(&self, (first, one): (usize, &Server), (at, other): (usize, &Server)) -> Verdict {
        let (ours, theirs) = (one.disk.live(), other.disk.live());
        let horizon = self.seen[at].horizon;
        let same = horizon == self.seen[first].horizon;
        hold!(LIVENESS, same, "s{} and s{} know other horizons", first + 1, at + 1);
        let written =
            other.disk.durable().pruned == theirs.pruned && other.disk.durable().pruned_ids == theirs.pruned_ids;
        hold!(LIVENESS, written, "s{} is letting go", at + 1);
        // A view whose installation was overtaken on its way to the disk is empty, and known only after a restart.
        let is_due = |epoch: &EpochId| {
            theirs.logs[epoch].view.is_below(horizon) && !theirs.pruned.contains(epoch) && theirs.committed(*epoch) > 0
        };
        let due = theirs.logs.keys().find(|epoch| is_due(epoch));
        hold!(LIVENESS, due.is_none(), "s{} still has {due:?}, which is below {horizon}", at + 1);
        let same = ours.pruned_ids == theirs.pruned_ids;
        hold!(LIVENESS, same, "s{} has let go of other messages than s{}", at + 1, first + 1);
        Ok(())
    }

    /// Whether a message has a copy in an epoch that is no history for this disk.
    pub(super) fn is_below(&self, places: &[RecordKey], horizon: Hlc) -> bool {
        let below = |epoch: EpochId| self.epochs.get(&epoch).is_some_and(|known| known.view.is_below(horizon));
        places.iter().any(|place| below(place.epoch))
    }
}

/// All that was history in the epochs that a server has let go of counts as let go of.
pub(super) fn all_pruned(at: usize, server: &Server) -> Verdict {
    let image = server.disk.live();
    for epoch in &image.pruned {
        let Some(log) = image.logs.get(epoch) else { continue };
        for entry in log.entries.iter().take(image.committed(*epoch) as usize) {
            let kept = entry.messages().map(|(_, message)| message.id).find(|id| !image.pruned_ids.contains(*id));
            hold!(29, kept.is_none(), "s{} has let go of {epoch}, and not of {kept:?}", at + 1);
        }
    }
    Ok(())
}

fn each(ids: &[(ClientId, RangeSet)]) -> impl Iterator<Item = MessageId> + '_ {
    let numbers = |ids: &'_ RangeSet| ids.ranges().to_vec().into_iter().flat_map(|(first, last)| first..=last);
    ids.iter().flat_map(move |(client, ids)| numbers(ids).map(|cseq| MessageId { client: *client, cseq }))
}
