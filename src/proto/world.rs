//! The world as one server sees it at one moment: who leads, who is led, who hears whom.

use crate::ids::{EpochId, Pid};
use crate::proto::peers::Peers;
use crate::record::View;

/// The world as this server sees it at one moment.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// This process.
    pub me: Pid,
    /// Its view.
    pub view: Option<&'a View>,
    /// What it promised.
    pub promised: EpochId,
    /// Whether a proposal of its own, or an election, is under way.
    pub is_busy: bool,
    /// Who is heard here, ascending, without this process: no view can work with one that only others hear.
    pub heard: &'a [Pid],
    /// What they told.
    pub peers: &'a Peers,
    /// Members whose logs stand still while others' grow.
    pub stalled: &'a [Pid],
    /// Whether this leader's view has lasted long enough.
    pub renews: bool,
    /// Whether this leader's own disk hangs.
    pub resigns: bool,
}

impl World<'_> {
    /// Whether anyone who lives, this process among them, leads a view it has not promised beyond.
    pub fn has_leader(&self) -> bool {
        let leads = self.view.is_some_and(|view| view.epoch.leader == self.me && view.epoch == self.promised);
        leads && !self.resigns || self.heard.iter().any(|pid| self.is_live_leader(*pid, None) && self.hears_me(*pid))
    }

    /// Whether `pid` told that it hears this process.
    pub(super) fn hears_me(&self, pid: Pid) -> bool {
        self.peers.beacon(pid).is_some_and(|beacon| beacon.heard.iter().any(|heard| heard.pid == self.me))
    }

    /// Whether `pid` does not lead, whatever its view says: its disk hangs, it leaves, or nothing of it was heard.
    pub(super) fn resigns(&self, pid: Pid) -> bool {
        self.peers.beacon(pid).is_none_or(|beacon| beacon.resigns || beacon.leaving)
    }

    /// Whether `pid` lives and leads: `epoch`, or any view. One that promised more than its view is no live leader.
    pub(super) fn is_live_leader(&self, pid: Pid, epoch: Option<EpochId>) -> bool {
        if pid == self.me {
            return false;
        }
        let leads = self.peers.beacon(pid).and_then(|beacon| {
            let view = beacon.view?;
            Some(view.leader == pid && beacon.promised <= view && epoch.is_none_or(|epoch| epoch == view))
        });
        leads == Some(true) && self.heard.contains(&pid) && !self.resigns(pid)
    }

    /// Whether a member of the view `mine` went on to a later one under a leader that this one cannot merge with, not being heard
    /// there or not hearing it.
    pub(super) fn has_strayed(&self, pid: Pid, mine: EpochId) -> bool {
        let later = self.peers.beacon(pid).and_then(|beacon| beacon.view).filter(|view| *view > mine);
        let is_within_reach = |leader: Pid| self.heard.contains(&leader) && self.hears_me(leader);
        later.is_some_and(|view| self.is_led(pid) && view.leader != self.me && !is_within_reach(view.leader))
    }

    /// Whether `pid` is in a view whose leader it hears, as its beacon tells.
    pub(super) fn is_led(&self, pid: Pid) -> bool {
        self.peers.beacon(pid).is_some_and(|beacon| {
            let leader = beacon.view.filter(|view| beacon.promised <= *view).map(|view| view.leader);
            leader.is_some_and(|leader| leader == pid || beacon.heard.iter().any(|heard| heard.pid == leader))
        })
    }

    /// Whether `pid` leads another view than this one: a later one, where it is a member here. What the last beacon of a new
    /// member told before it entered is no other view.
    pub(super) fn leads_elsewhere(&self, pid: Pid, view: &View) -> bool {
        let theirs = self.peers.beacon(pid).and_then(|beacon| beacon.view);
        let is_other = theirs.is_some_and(|epoch| epoch > view.epoch || epoch < view.epoch && !view.has(pid));
        is_other && self.is_live_leader(pid, None)
    }

    /// Those who are heard and in this view.
    pub(super) fn followers(&self, epoch: EpochId) -> impl Iterator<Item = Pid> + '_ {
        let in_it = move |pid: &&Pid| self.peers.beacon(**pid).is_some_and(|beacon| beacon.view == Some(epoch));
        self.heard.iter().filter(in_it).copied()
    }
}
