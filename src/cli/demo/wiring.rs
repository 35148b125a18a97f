//! What is broken between the demo's servers, and the lines that tell their transports.
//!
//! Faults belong to places, not to processes: a server that is started again finds them as they were.

use std::collections::BTreeSet;
use std::net::SocketAddr;

/// What is broken.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Wiring {
    /// Pairs (from, to) between which nothing passes that way.
    cuts: BTreeSet<(usize, usize)>,
    /// Of 100 datagrams that come to each, and that it sends by unicast, so many are lost.
    loss: Vec<u8>,
    /// How long each waits with what comes, in milliseconds.
    delay: Vec<u16>,
}

impl Wiring {
    /// So many servers with nothing broken.
    pub(super) fn new(count: usize) -> Self {
        Self { cuts: BTreeSet::new(), loss: vec![0; count], delay: vec![0; count] }
    }

    /// Nothing passes from one to the other any more.
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        if from != to {
            self.cuts.insert((from, to));
        }
    }

    /// Nothing passes between these groups, and everything within them; who is in none is alone.
    pub(super) fn split(&mut self, groups: &[BTreeSet<usize>]) {
        let group = |at: usize| groups.iter().position(|group| group.contains(&at));
        let together = |from, to| group(from).is_some() && group(from) == group(to);
        let all = 0..self.loss.len();
        let pairs = all.clone().flat_map(|from| all.clone().map(move |to| (from, to)));
        self.cuts = pairs.filter(|&(from, to)| from != to && !together(from, to)).collect();
    }

    /// Loses so many of 100 datagrams at this one.
    pub(super) fn lose(&mut self, at: usize, percent: u8) {
        self.loss[at] = percent;
    }

    /// Lets what comes to this one wait.
    pub(super) fn delay(&mut self, at: usize, ms: u16) {
        self.delay[at] = ms;
    }

    /// Ends cuts and loss.
    pub(super) fn heal(&mut self) {
        self.cuts.clear();
        self.loss.fill(0);
    }

    /// From whom nothing comes to this one.
    pub(super) fn cut_from(&self, at: usize) -> Vec<usize> {
        self.cuts.iter().filter(|(_, to)| *to == at).map(|(from, _)| *from).collect()
    }

    /// How much is lost at this one.
    pub(super) fn loss_of(&self, at: usize) -> u8 {
        self.loss[at]
    }

    /// How long this one waits with what comes.
    pub(super) fn delay_of(&self, at: usize) -> u16 {
        self.delay[at]
    }

    /// Everything that a process which has just started must be told.
    pub(super) fn lines_for(&self, at: usize, addr_of: impl Fn(usize) -> Option<SocketAddr>) -> Vec<String> {
        said(&Self::new(self.loss.len()), self, at, addr_of)
    }

    /// What one must be told of another that is at a new address.
    pub(super) fn lines_about(&self, at: usize, other: usize, addr: Option<SocketAddr>) -> Vec<String> {
        said(
            &Self::new(self.loss.len()),
            &Self { loss: vec![0; self.loss.len()], delay: vec![0; self.loss.len()], ..self.clone() },
            at,
            |who| addr.filter(|_| who == other),
        )
    }

    fn way(&self, at: usize, other: usize) -> Option<&'static str> {
        match (self.cuts.contains(&(other, at)), self.cuts.contains(&(at, other))) {
            (true, true) => Some("both"),
            (true, false) => Some("in"),
            (false, true) => Some("out"),
            (false, false) => None,
        }
    }
}

/// The lines that bring one server's transport from `before` to `after`. Where another is not known yet, nothing is said of
/// it.
pub(super) fn said(
    before: &Wiring,
    after: &Wiring,
    at: usize,
    addr_of: impl Fn(usize) -> Option<SocketAddr>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if before.loss[at] != after.loss[at] {
        lines.push(format!("loss {}", after.loss[at]));
    }
    if before.delay[at] != after.delay[at] {
        lines.push(format!("delay {}", after.delay[at]));
    }
    for other in (0..after.loss.len()).filter(|&other| before.way(at, other) != after.way(at, other)) {
        let Some(addr) = addr_of(other) else { continue };
        lines.push(match after.way(at, other) {
            Some(way) => format!("cut {addr} {way}"),
            None => format!("mend {addr}"),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "all of them are known here")]
    fn addr(at: usize) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, 1], 8285 + at as u16)))
    }

    fn set(these: &[usize]) -> BTreeSet<usize> {
        these.iter().copied().collect()
    }

    #[test]
    fn split_cuts_between_groups_only_and_leaves_the_rest_alone() {
        let mut wiring = Wiring::new(4);
        wiring.split(&[set(&[0, 1]), set(&[2])]);
        assert_eq!([0, 1, 2, 3].map(|at| wiring.cut_from(at)), [vec![2, 3], vec![2, 3], vec![0, 1, 3], vec![0, 1, 2]]);
        wiring.heal();
        assert_eq!(wiring, Wiring::new(4));
    }

    #[test]
    fn change_tells_each_server_only_what_is_new_to_it() {
        let before = Wiring::new(3);
        let mut after = before.clone();
        after.cut(0, 1);
        after.lose(2, 20);
        after.delay(2, 10);
        assert_eq!(said(&before, &after, 0, addr), ["cut 127.0.0.1:8286 out"]);
        assert_eq!(said(&before, &after, 1, addr), ["cut 127.0.0.1:8285 in"]);
        assert_eq!(said(&before, &after, 2, addr), ["loss 20", "delay 10"]);
        let (cut, mut whole) = (after.clone(), after);
        whole.heal();
        assert_eq!(said(&cut, &whole, 1, addr), ["mend 127.0.0.1:8285"]);
        assert_eq!(said(&cut, &whole, 2, addr), ["loss 0"], "slow motion goes on");
    }

    #[test]
    fn server_that_starts_again_finds_the_faults_as_they_were() {
        let mut wiring = Wiring::new(3);
        wiring.split(&[set(&[0]), set(&[1, 2])]);
        wiring.lose(0, 5);
        assert_eq!(wiring.lines_for(0, addr), ["loss 5", "cut 127.0.0.1:8286 both", "cut 127.0.0.1:8287 both"]);
        assert_eq!(wiring.lines_about(1, 0, "127.0.0.1:9000".parse().ok()), ["cut 127.0.0.1:9000 both"]);
        assert!(wiring.lines_about(1, 2, addr(2)).is_empty());
    }
}
