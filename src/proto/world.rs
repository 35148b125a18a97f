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
    /// Who is not heard here and alive, as others say.
    pub by_word: &'a [Pid],
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
        self.peers.beacon(pid).is_some_and(|beacon| beacon.hears(self.me))
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

    /// Whether the leader of this process's view is not heard here, and lives: a member that hears both relays what it says.
    pub(super) fn has_leader_by_word(&self, view: &View) -> bool {
        self.by_word.contains(&view.epoch.leader) && self.has_relay(self.me, view.epoch, |_| true)
    }

    /// Whether a member of this view hears its leader and `pid`, and `pid` hears that member.
    fn has_relay(&self, pid: Pid, view: EpochId, hears: impl Fn(Pid) -> bool) -> bool {
        let beacons = self.heard.iter().filter(|other| hears(**other)).filter_map(|other| self.peers.beacon(*other));
        let mut in_it = beacons.filter(|beacon| beacon.view == Some(view) && beacon.promised <= view);
        in_it.any(|beacon| beacon.hears(view.leader) && beacon.hears(pid))
    }

    /// Whether someone else is changing the view that `pid` is in: it has promised a later one.
    pub(super) fn is_changing(&self, pid: Pid) -> bool {
        let beacon = self.peers.beacon(pid);
        let promised = beacon.filter(|beacon| beacon.view.is_some_and(|view| view < beacon.promised));
        promised.is_some_and(|beacon| beacon.promised.leader != self.me)
    }

    /// Whether `pid` is in a view whose leader it hears, itself or by a relay, as their beacons tell.
    pub(super) fn is_led(&self, pid: Pid) -> bool {
        self.peers.beacon(pid).is_some_and(|beacon| {
            let settled = beacon.view.filter(|view| beacon.promised <= *view);
            let hears = |view: EpochId| view.leader == pid || beacon.hears(view.leader);
            settled.is_some_and(|view| hears(view) || self.has_relay(pid, view, |other| beacon.hears(other)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, ServerId};
    use crate::time::Time;
    use crate::wire::message::{Beacon, Hearing};
    use std::net::SocketAddr;

    fn pid(server: u64) -> Pid {
        Pid { server: ServerId(server), incarnation: Incarnation { boot: 1, random: 0 } }
    }

    const fn epoch(num: u64, leader: Pid) -> EpochId {
        EpochId { num, leader }
    }

    /// A beacon out of a view, from one that hears these.
    fn beacon(view: EpochId, servers: &[u64]) -> Beacon {
        let addr = SocketAddr::from(([10, 0, 0, 1], 8285));
        let heard = servers.iter().map(|server| Hearing { pid: pid(*server), addr, multicast: true }).collect();
        Beacon { view: Some(view), promised: view, heard, ..Beacon::default() }
    }

    /// Looks at the world as server 1 does, in a view that server 4 leads and whose members told this.
    fn look<T>(told: &[(u64, Beacon)], heard: &[u64], by_word: &[u64], at: impl Fn(&World<'_>) -> T) -> T {
        let mut peers = Peers::default();
        for (server, beacon) in told {
            peers.hear(Time(0), pid(*server), beacon.clone());
        }
        let view = View { epoch: epoch(3, pid(4)), ..View::default() };
        let pids = |servers: &[u64]| servers.iter().map(|server| pid(*server)).collect::<Vec<Pid>>();
        let (heard, by_word) = (pids(heard), pids(by_word));
        let world = World {
            me: pid(1),
            view: Some(&view),
            promised: view.epoch,
            is_busy: false,
            heard: &heard,
            by_word: &by_word,
            peers: &peers,
            stalled: &[],
            renews: false,
            resigns: false,
        };
        at(&world)
    }

    #[test]
    fn leader_that_another_member_hears_leads_one_that_does_not_hear_it() {
        let mine = epoch(3, pid(4));
        let is_led = |two: Beacon, by_word: &[u64]| {
            look(&[(2, two)], &[2], by_word, |world| world.view.is_some_and(|view| world.has_leader_by_word(view)))
        };
        assert!(is_led(beacon(mine, &[1, 4]), &[4]));
        assert!(!is_led(beacon(mine, &[1, 4]), &[]), "dead");
        assert!(!is_led(beacon(mine, &[1]), &[4]), "not heard there");
        assert!(!is_led(beacon(mine, &[4]), &[4]), "what is asked for is not heard there");
        assert!(!is_led(beacon(epoch(2, pid(4)), &[1, 4]), &[4]), "of another view");
        let promised = Beacon { promised: epoch(4, pid(4)), ..beacon(mine, &[1, 4]) };
        assert!(!is_led(promised, &[4]), "on its way to another view");
    }

    #[test]
    fn nobody_is_free_to_be_taken_whose_leader_is_heard_by_one_that_it_hears() {
        let theirs = epoch(7, pid(4));
        let is_led =
            |five: Beacon, two: Beacon| look(&[(5, five), (2, two)], &[2, 5], &[], |world| world.is_led(pid(5)));
        assert!(is_led(beacon(theirs, &[4]), beacon(theirs, &[])));
        assert!(is_led(beacon(theirs, &[2]), beacon(theirs, &[4, 5])));
        assert!(!is_led(beacon(theirs, &[2]), beacon(theirs, &[4])));
        assert!(!is_led(beacon(theirs, &[]), beacon(theirs, &[4, 5])));
        assert!(!is_led(beacon(theirs, &[2]), beacon(theirs, &[5])));
    }

    #[test]
    fn who_has_promised_beyond_its_view_is_being_led_elsewhere_unless_it_is_here() {
        let changing = |promised: EpochId| {
            let two = Beacon { promised, ..beacon(epoch(3, pid(4)), &[1]) };
            look(&[(2, two)], &[2], &[], |world| (world.is_changing(pid(2)), world.is_led(pid(2))))
        };
        assert_eq!(changing(epoch(4, pid(5))), (true, false));
        assert_eq!(changing(epoch(4, pid(1))), (false, false), "this server's own proposal");
        assert!(!changing(epoch(3, pid(4))).0);
    }
}
