//! The ring: live servers ascending by id, each one's successor the next, the last one's the first.

use crate::ids::{Pid, ServerId};

/// Live servers in ring order; of each server one life, the newest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ring(Vec<Pid>);

impl Ring {
    /// The ring of these processes, in whatever order they come.
    pub fn of(pids: impl IntoIterator<Item = Pid>) -> Self {
        let mut ring: Vec<Pid> = pids.into_iter().collect();
        ring.sort_unstable_by(|one, other| other.cmp(one));
        ring.dedup_by_key(|pid| pid.server);
        ring.reverse();
        Self(ring)
    }

    /// The processes, ascending.
    pub fn pids(&self) -> &[Pid] {
        &self.0
    }

    /// How many servers stand in it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this very process stands in it.
    pub fn contains(&self, pid: Pid) -> bool {
        self.0.binary_search(&pid).is_ok()
    }

    /// The next server after `of`, which need not stand in the ring; `None` when there is no other.
    pub fn successor(&self, of: ServerId) -> Option<Pid> {
        self.after(of).next()
    }

    /// All other servers in the ring's order, from the successor of `of` on.
    pub fn after(&self, of: ServerId) -> impl Iterator<Item = Pid> + '_ {
        let at = self.0.partition_point(|pid| pid.server <= of);
        self.0[at..].iter().chain(&self.0[..at]).copied().filter(move |pid| pid.server != of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Incarnation;

    fn pid(server: u64, boot: u32) -> Pid {
        Pid { server: ServerId(server), incarnation: Incarnation { boot, random: 0 } }
    }

    #[test]
    fn goes_round_also_above_two_to_the_63() {
        let (low, middle, high) = (pid(1, 1), pid(1 << 63, 1), pid(u64::MAX, 1));
        let ring = Ring::of([high, low, middle]);
        assert_eq!(ring.successor(low.server), Some(middle));
        assert_eq!(ring.successor(middle.server), Some(high));
        assert_eq!(ring.successor(high.server), Some(low));
        assert_eq!(ring.successor(ServerId(7)), Some(middle), "one who left has a successor too");
        assert_eq!(ring.after(middle.server).collect::<Vec<_>>(), [high, low]);
    }

    #[test]
    fn one_alone_has_no_successor() {
        assert_eq!(Ring::of([pid(5, 1)]).successor(ServerId(5)), None);
        assert_eq!(Ring::default().successor(ServerId(5)), None);
        assert!(Ring::default().is_empty());
    }

    #[test]
    fn of_two_lives_the_newer_stands() {
        let ring = Ring::of([pid(2, 3), pid(1, 1), pid(2, 4), pid(2, 1)]);
        assert_eq!(ring.pids(), [pid(1, 1), pid(2, 4)]);
        assert!(ring.contains(pid(2, 4)) && !ring.contains(pid(2, 3)));
        assert_eq!(ring.len(), 2);
    }
}
