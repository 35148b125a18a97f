//! Where a view change closes the epochs it follows: the cut and the limit of `PROTOCOL.md` §7.

use crate::ids::{EpochId, Pid, ServerId};
use crate::proto::bugs::{Bug, Bugs};
use crate::time::Hlc;
use crate::wire::message::{Limit, LogState, State};
use std::collections::{BTreeMap, BTreeSet};

/// What a coordinator decides from the states of all participants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Closing {
    /// The epochs that somebody comes from, each with the length at which it is closed.
    pub parents: Vec<(EpochId, u64)>,
    /// For each of them, how far those who come from it deliver before they leave it, and who they are.
    pub limits: Vec<Limit>,
}

/// Epochs that somebody comes from but somebody else has not reported on, if any: the coordinator must ask again.
pub fn unreported(states: &BTreeMap<Pid, State>) -> Vec<EpochId> {
    let lasts = last_epochs(states);
    let reported = |epoch: &EpochId| states.values().all(|state| log_of(state, *epoch).is_some());
    lasts.into_iter().filter(|epoch| !reported(epoch)).collect()
}

/// Participants who have not reported on all of `about`.
pub fn incomplete(states: &BTreeMap<Pid, State>, about: &BTreeSet<EpochId>) -> Vec<Pid> {
    let complete = |state: &State| about.iter().all(|epoch| log_of(state, *epoch).is_some());
    states.iter().filter(|(_, state)| !complete(state)).map(|(pid, _)| *pid).collect()
}

/// The epochs that somebody comes from.
pub fn last_epochs(states: &BTreeMap<Pid, State>) -> BTreeSet<EpochId> {
    states.values().filter_map(|state| state.last).collect()
}

/// Closes every epoch that somebody comes from. All states must report on all of them ([`unreported`] is empty).
pub fn close(states: &BTreeMap<Pid, State>, bugs: Bugs) -> Closing {
    let mut closing = Closing::default();
    for epoch in last_epochs(states) {
        let witnesses = witnesses(states, epoch, bugs);
        let group: Vec<Pid> = witnesses.iter().filter(|pid| comes_from(&states[pid], epoch)).copied().collect();
        let cut = cut(states, epoch, &witnesses, &group, bugs);
        let shortest = lengths(states, &group, epoch).min().unwrap_or(0);
        closing.parents.push((epoch, cut));
        closing.limits.push(Limit { epoch, upto: cut.min(shortest), group });
    }
    closing
}

/// The greatest known closure, and at least what the logs tell of those who come from the epoch. `PROTOCOL.md` §7 tells why
/// nothing that was acknowledged is above it.
fn cut(states: &BTreeMap<Pid, State>, epoch: EpochId, witnesses: &[Pid], group: &[Pid], bugs: Bugs) -> u64 {
    let logs = states.values().filter_map(|state| log_of(state, epoch));
    let closure = logs.filter_map(|log| log.closure).max().filter(|_| !bugs.has(Bug::NoClosure));
    let told = if witnesses.is_empty() {
        longest_of_the_restarted(states, epoch, bugs)
    } else if group.len() < witnesses.len() {
        // A witness left it, and was heard when it was closed; or never entered it, so that nothing of it was stable.
        0
    } else if bugs.has(Bug::CutMax) {
        lengths(states, group, epoch).max().unwrap_or(0)
    } else {
        lengths(states, group, epoch).min().unwrap_or(0)
    };
    let told = if closure.is_some() && bugs.has(Bug::ClosureBinds) { 0 } else { told };
    closure.unwrap_or(0).max(told)
}

/// What the one has who has most: each of their disks may have come back older or harmed, and not know it.
fn longest_of_the_restarted(states: &BTreeMap<Pid, State>, epoch: EpochId, bugs: Bugs) -> u64 {
    let restarted: Vec<Pid> = states.keys().filter(|pid| comes_from(&states[pid], epoch)).copied().collect();
    let lengths = lengths(states, &restarted, epoch);
    if bugs.has(Bug::RestartedLeast) { lengths.min() } else { lengths.max() }.unwrap_or(0)
}

/// From where on history is kept: the greatest horizon that anyone knows, or the last of these boundaries that all would keep
/// no less than.
pub fn horizon(states: &BTreeMap<Pid, State>, boundaries: &[Hlc], bugs: Bugs) -> Hlc {
    let known = states.values().map(|state| state.horizon).max().unwrap_or(Hlc(0));
    let would = states.values().map(|state| state.lets_go);
    let agreed = if bugs.has(Bug::LetsGoAlone) { would.max() } else { would.min() };
    let boundary = boundaries.iter().copied().filter(|began| Some(*began) <= agreed).max();
    boundary.unwrap_or(Hlc(0)).max(if bugs.has(Bug::HorizonBack) { Hlc(0) } else { known })
}

/// Who has run without a stop since `epoch` began: participants with a pid that its view lists. What they say of it is true.
fn witnesses(states: &BTreeMap<Pid, State>, epoch: EpochId, bugs: Bugs) -> Vec<Pid> {
    let from_it = states.values().filter(|state| comes_from(state, epoch));
    let members: BTreeSet<Pid> = from_it.flat_map(|state| state.last_members.iter().copied()).collect();
    let servers: BTreeSet<ServerId> = members.iter().map(|pid| pid.server).collect();
    let by_server = bugs.has(Bug::InexactPid);
    let is_one = |pid: &&Pid| if by_server { servers.contains(&pid.server) } else { members.contains(pid) };
    states.keys().filter(is_one).copied().collect()
}

fn comes_from(state: &State, epoch: EpochId) -> bool {
    state.last == Some(epoch)
}

fn lengths(states: &BTreeMap<Pid, State>, of: &[Pid], epoch: EpochId) -> impl Iterator<Item = u64> {
    of.iter().filter_map(move |pid| states.get(pid)).map(move |state| log_of(state, epoch).map_or(0, |log| log.len))
}

fn log_of(state: &State, epoch: EpochId) -> Option<&LogState> {
    state.logs.iter().find(|log| log.epoch == epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Incarnation;
    use crate::time::Hlc;

    fn pid(server: u64, boot: u32) -> Pid {
        Pid { server: ServerId(server), incarnation: Incarnation { boot, random: 7 } }
    }

    fn epoch(num: u64) -> EpochId {
        EpochId { num, leader: pid(1, 1) }
    }

    fn state(last: u64, members: &[Pid], logs: &[(u64, u64, u64, Option<u64>)]) -> State {
        let log = |&(num, len, stable, closure): &_| LogState { epoch: epoch(num), len, stable, closure };
        State {
            epoch: epoch(99),
            last: Some(epoch(last)),
            last_members: members.to_vec(),
            logs: logs.iter().map(log).collect(),
            hlc: Hlc(0),
            damaged: false,
            horizon: Hlc(0),
            lets_go: Hlc(0),
        }
    }

    fn closing(states: &[(Pid, State)]) -> Closing {
        close(&states.iter().cloned().collect(), Bugs::NONE)
    }

    #[test]
    fn cut_is_the_least_durable_length_of_the_members_who_take_part() {
        let members = [pid(1, 1), pid(2, 1), pid(3, 1)];
        let closing = closing(&[
            (members[0], state(5, &members, &[(5, 9, 4, None)])),
            (members[1], state(5, &members, &[(5, 6, 4, None)])),
        ]);
        assert_eq!(closing.parents, [(epoch(5), 6)]);
        assert_eq!(closing.limits, [Limit { epoch: epoch(5), upto: 6, group: members[..2].to_vec() }]);
    }

    #[test]
    fn known_closure_wins_over_lengths() {
        let members = [pid(1, 1), pid(2, 1)];
        let closing = closing(&[
            (members[0], state(5, &members, &[(5, 9, 4, None)])),
            (members[1], state(6, &members[1..], &[(5, 8, 4, Some(7)), (6, 0, 0, None)])),
            (pid(3, 1), state(5, &members, &[(5, 0, 0, None), (6, 0, 0, None)])),
        ]);
        assert_eq!(closing.parents[0], (epoch(5), 7));
    }

    #[test]
    fn restarted_member_whose_disk_came_back_older_does_not_pull_the_cut_down() {
        let members = [pid(1, 1), pid(2, 1)];
        let closing = closing(&[
            (members[0], state(5, &members, &[(5, 9, 9, None)])),
            (pid(2, 2), state(5, &members, &[(5, 3, 2, None)])),
        ]);
        assert_eq!(closing.parents, [(epoch(5), 9)]);
        assert_eq!(closing.limits[0].group, [members[0]]);
    }

    /// Each may have lost what it had, and only the one with most can show it.
    #[test]
    fn where_all_have_restarted_the_cut_is_what_the_one_with_most_has() {
        let members = [pid(1, 1), pid(2, 1), pid(3, 1)];
        let closing = closing(&[
            (pid(1, 2), state(5, &members, &[(5, 9, 4, None)])),
            (pid(2, 2), state(5, &members, &[(5, 3, 2, None)])),
        ]);
        assert_eq!(closing.parents, [(epoch(5), 9)]);
        assert_eq!(closing.limits, [Limit { epoch: epoch(5), upto: 0, group: vec![] }]);
    }

    /// Seeds 730002301 (`--people`) and 7100056: with nobody who had been there, a server whose store was damaged closed its
    /// epoch at what was left, and others believed it. Seed 477449089: so did one whose disk had come back older.
    #[test]
    fn closure_takes_nothing_from_those_who_still_come_from_the_epoch() {
        let members = [pid(1, 1), pid(2, 1), pid(3, 1)];
        let elsewhere = (pid(1, 2), state(6, &[pid(1, 2)], &[(5, 2, 2, Some(2)), (6, 7, 7, None)]));
        let of = |others: [(Pid, State); 2]| {
            let [one, other] = others;
            closing(&[elsewhere.clone(), one, other]).parents[0]
        };
        let from = |pid, len| (pid, state(5, &members, &[(5, len, 0, None), (6, 0, 0, None)]));
        assert_eq!(of([from(pid(2, 2), 9), from(pid(3, 2), 8)]), (epoch(5), 9), "all have restarted");
        assert_eq!(of([from(pid(2, 1), 9), from(pid(3, 1), 8)]), (epoch(5), 8), "these have not");
        let mut left = state(7, &[pid(3, 1)], &[(5, 8, 8, Some(8)), (6, 0, 0, None), (7, 0, 0, None)]);
        left.logs[0].len = 9;
        assert_eq!(
            of([from(pid(2, 1), 9), (pid(3, 1), left)]),
            (epoch(5), 8),
            "one of these was there when it was closed"
        );
    }

    #[test]
    fn horizon_is_where_the_last_epoch_began_that_all_would_keep_and_never_goes_back() {
        let told = |server, horizon, lets_go| {
            let mut state = state(5, &[pid(1, 1)], &[]);
            (state.horizon, state.lets_go) = (Hlc(horizon), Hlc(lets_go));
            (pid(server, 1), state)
        };
        let boundaries = [10, 20, 30, 40].map(Hlc);
        let of = |states: [(Pid, State); 2], boundaries: &[Hlc]| horizon(&states.into(), boundaries, Bugs::NONE);
        assert_eq!(of([told(1, 0, 35), told(2, 10, 29)], &boundaries), Hlc(20));
        assert_eq!(of([told(1, 0, 35), told(2, 10, 0)], &boundaries), Hlc(10), "one would keep all");
        assert_eq!(of([told(1, 25, 9), told(2, 10, 35)], &boundaries), Hlc(25));
        assert_eq!(of([told(1, 0, 35), told(2, 10, 29)], &[]), Hlc(10), "someone was not asked");
    }

    #[test]
    fn coordinator_asks_again_about_an_epoch_it_had_not_heard_of() {
        let members = [pid(1, 1), pid(2, 1)];
        let states = [
            (members[0], state(5, &members, &[(5, 9, 4, None)])),
            (members[1], state(6, &members[1..], &[(5, 8, 4, Some(7)), (6, 0, 0, None)])),
        ];
        assert_eq!(unreported(&states.into_iter().collect()), [epoch(6)]);
    }
}
