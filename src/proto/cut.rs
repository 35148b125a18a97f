//! Where a view change closes the epochs it follows: the cut and the limit of `PROTOCOL.md` §7.

use crate::ids::{EpochId, Pid};
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
        let counted = counted(states, epoch, bugs);
        let cut = cut(states, &counted, epoch, bugs);
        let group: Vec<Pid> = counted
            .iter()
            .filter(|pid| states.get(pid).is_some_and(|state| state.last == Some(epoch)))
            .copied()
            .collect();
        let shortest = lengths(states, &group, epoch).min().unwrap_or(0);
        closing.parents.push((epoch, cut));
        closing.limits.push(Limit { epoch, upto: cut.min(shortest), group });
    }
    closing
}

/// The greatest known closure, else the least durable length of those who count; never below what anyone knows to be
/// stable. What a damaged store knows to be closed may be closed at what the damage left: it is no more than a least length.
fn cut(states: &BTreeMap<Pid, State>, counted: &[Pid], epoch: EpochId, bugs: Bugs) -> u64 {
    let all = || states.values().filter_map(|state| log_of(state, epoch));
    let trusted = |state: &State| !state.damaged || bugs.has(Bug::DamagedCloses);
    let closed = |of: &dyn Fn(&State) -> bool| {
        let logs = states.values().filter(|state| of(state)).filter_map(|state| log_of(state, epoch));
        logs.filter_map(|log| log.closure).max().filter(|_| !bugs.has(Bug::NoClosure))
    };
    let least = lengths(states, counted, epoch).min().unwrap_or(0);
    let open = if bugs.has(Bug::CutMax) { lengths(states, counted, epoch).max().unwrap_or(0) } else { least };
    let stable = if bugs.has(Bug::CutBelowStable) { 0 } else { all().map(|log| log.stable).max().unwrap_or(0) };
    let at_least = closed(&|state| !trusted(state)).unwrap_or(0).max(stable);
    closed(&trusted).unwrap_or(open).max(at_least)
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

/// Whose log of `epoch` counts for its cut: if a participant bears a pid that the epoch's view lists, such ones only;
/// otherwise its members by server id, leaving out any whose store was damaged, unless that leaves nobody.
fn counted(states: &BTreeMap<Pid, State>, epoch: EpochId, bugs: Bugs) -> Vec<Pid> {
    let members: BTreeSet<Pid> = states
        .values()
        .filter(|state| state.last == Some(epoch))
        .flat_map(|state| state.last_members.iter().copied())
        .collect();
    let servers: BTreeSet<_> = members.iter().map(|pid| pid.server).collect();
    let exact: Vec<Pid> = states.keys().filter(|pid| members.contains(pid)).copied().collect();
    if !exact.is_empty() && !bugs.has(Bug::InexactPid) {
        return exact;
    }
    let by_server: Vec<Pid> = states.keys().filter(|pid| servers.contains(&pid.server)).copied().collect();
    let sound: Vec<Pid> =
        by_server.iter().filter(|pid| states.get(pid).is_some_and(|state| !state.damaged)).copied().collect();
    if sound.is_empty() || bugs.has(Bug::DamagedCounts) { by_server } else { sound }
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
    use crate::ids::{Incarnation, ServerId};
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

    #[test]
    fn cut_is_never_below_what_anyone_knows_to_be_stable() {
        let members = [pid(1, 1), pid(2, 1)];
        let closing = closing(&[
            (pid(1, 2), state(5, &members, &[(5, 9, 8, None)])),
            (pid(2, 2), state(5, &members, &[(5, 3, 2, None)])),
        ]);
        assert_eq!(closing.parents, [(epoch(5), 8)]);
        assert_eq!(closing.limits[0].upto, 3);
    }

    #[test]
    fn damaged_store_does_not_count() {
        let members = [pid(1, 1), pid(2, 1)];
        let mut damaged = state(5, &members, &[(5, 3, 2, None)]);
        damaged.damaged = true;
        let closing = closing(&[(pid(1, 2), state(5, &members, &[(5, 9, 2, None)])), (pid(2, 2), damaged)]);
        assert_eq!(closing.parents, [(epoch(5), 9)]);
        assert_eq!(closing.limits[0].group, [pid(1, 2)]);
    }

    /// Seed 730002301, `--people`: alone with its damaged log a server closed its epoch at what was left of it.
    #[test]
    fn what_a_damaged_store_says_to_be_closed_takes_nothing_from_a_sound_one() {
        let members = [pid(1, 1), pid(2, 1)];
        let mut damaged = state(6, &[pid(1, 2)], &[(5, 2, 2, Some(2)), (6, 7, 7, None)]);
        damaged.damaged = true;
        let sound = state(5, &members, &[(5, 9, 8, None), (6, 0, 0, None)]);
        let closing = closing(&[(pid(1, 2), damaged.clone()), (pid(2, 2), sound.clone())]);
        assert_eq!(closing.parents, [(epoch(5), 9), (epoch(6), 7)]);
        damaged.logs[0].closure = Some(12);
        let states = [(pid(1, 2), damaged), (pid(2, 2), sound)];
        assert_eq!(super::close(&states.into(), Bugs::NONE).parents[0], (epoch(5), 12));
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
