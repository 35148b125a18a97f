//! Which seed finds which planted bug: the table that CI replays. `cargo run --profile sim --no-default-features --features
//! bugs --example sim -- --hunt 60` searches anew and prints it.

use crate::proto::bugs::Bug;

/// How a planted bug is found.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The bug.
    pub bug: Bug,
    /// The seed that finds it.
    pub seed: u64,
    /// The scenario that is played with it, for a bug that random runs rarely meet.
    pub scenario: Option<&'static str>,
}

const fn by_chance(bug: Bug, seed: u64) -> Known {
    Known { bug, seed, scenario: None }
}

const fn directed(bug: Bug, seed: u64, scenario: &'static str) -> Known {
    Known { bug, seed, scenario: Some(scenario) }
}

/// Every planted bug.
pub const KNOWN: &[Known] = &[
    by_chance(Bug::AckEarly, 1),
    by_chance(Bug::DeliverEarly, 1),
    by_chance(Bug::NoFreeze, 1),
    by_chance(Bug::NoFloor, 5),
    directed(
        Bug::OldFloor,
        1,
        "servers 2; clients 6; talk fast; cut 1|2; clock 1 600000; wait 3s; disk 1 slow 30ms; wait 1s; kill 1; wait 2s; heal; \
         start 1; settle",
    ),
    by_chance(Bug::GreatestKey, 3),
    by_chance(Bug::CutMax, 1),
    by_chance(Bug::NoPrepared, 1),
    by_chance(Bug::InstallEarly, 1),
    by_chance(Bug::StateEarly, 1),
    by_chance(Bug::PreparedEarly, 1),
    directed(
        Bug::StaleCompletion,
        5,
        "servers 4; clients 6; talk fast; wait 3s; disk 1 slow 200ms; disk 2 slow 200ms; disk 3 slow 200ms; disk 4 slow 200ms; \
         cut 1,2|3,4; wait 2s; heal; wait 1s; cut 1,3|2,4; wait 2s; heal; wait 1s; cut 1,4|2,3; wait 2s; heal; wait 3s",
    ),
    directed(
        Bug::StaleForgotten,
        1,
        "servers 4; talk fast; wait 3s; on 1 commit: pause 2s; kill leader; wait 4s; start all; wait 4s; settle",
    ),
    by_chance(Bug::LowerEpoch, 1),
    directed(
        Bug::ForgottenIncarnation,
        3,
        "servers 4; talk fast; wait 3s; on 1 propose: kill 2; on 2 propose: start 2; kill leader; wait 3s; settle",
    ),
    directed(
        Bug::NoClosure,
        1,
        "servers 4; talk fast; wait 3s; cut 4|1,2,3,5,6; on 1 install: kill; wait 1700ms; heal; wait 4s; start all; settle",
    ),
    directed(
        Bug::InexactPid,
        1,
        "servers 3; talk fast; wait 3s; backup 2; wait 2s; restore 2; start 2; wait 3s; settle",
    ),
    directed(
        Bug::RestartedLeast,
        1,
        "servers 3; talk fast; wait 3s; power-off 1; power-off 2; power-off 3; damage 2; start all; wait 3s; settle",
    ),
    directed(
        Bug::ClosureBinds,
        1,
        "servers 2; clients 4; talk fast; wait 4s; power-off 2; power-off 1; damage 1; start 1; wait 3s; start 2; wait 3s; settle",
    ),
    by_chance(Bug::NoEscape, 6),
    directed(Bug::PreparedOnce, 1, "servers 4; absent 4; wait 3s; mark; on 1 install: lose; start 4; wait 3s; views 1"),
    directed(Bug::InstallOnce, 1, "servers 4; absent 4; wait 3s; mark; on 1 install: lose; start 4; wait 3s; views 1"),
    by_chance(Bug::NoFlush, 10),
    by_chance(Bug::NoResend, 1),
    by_chance(Bug::StaleBuffers, 1),
    by_chance(Bug::OrderAfterFreeze, 47),
    by_chance(Bug::TableUncommitted, 1),
    directed(
        Bug::WorksInSilence,
        1,
        "servers 4; clients 6; absent 4; wait 3s; disk 4 slow 800ms; start 4; wait 8s; mark; wait 20s; views 1; everyone 6s",
    ),
    directed(
        Bug::WonAnew,
        1,
        "servers 4; clients 8; talk long; wait 3s; around 1 narrow 1300; disk 2 slow 900ms; wait 30s; everyone 15s",
    ),
    directed(
        Bug::WaitsAsOrphan,
        1,
        "servers 3; clients 6; talk slow; wait 3s; cut 1>2; cut 2>1; disk 3 slow 3s; wait 60s; everyone 30s",
    ),
    directed(
        Bug::SlowTakesAll,
        4,
        "servers 3; clients 6; talk slow; wait 3s; cut 1>2; cut 2>1; disk 3 slow 6s; wait 60s; everyone 30s",
    ),
    directed(
        Bug::LeavesTheUnheard,
        3,
        "servers 5; clients 10; talk slow; wait 3s; cut 1>2; mark; wait 12s; everyone 1s; views 0",
    ),
    directed(
        Bug::TakesTheChanging,
        2,
        "servers 5; clients 8; absent 5; talk slow; wait 3s; cut 1>2; wait 6s; mark; disk 5 slow 400ms; start 5; wait 10s;
         views 2",
    ),
    directed(
        Bug::WaitsForTheGone,
        1,
        "servers 4; clients 8; talk slow; wait 3s; cut 1>2; wait 2500ms; serves 1 600ms",
    ),
    directed(Bug::WaitsForSilent, 1, "servers 2; absent 2; wait 3s; on 1 propose: kill 2; start 2; wait 3s; settle 1"),
    by_chance(Bug::SameIncarnation, 1),
    by_chance(Bug::SkipSync, 1),
    directed(Bug::NackShort, 1, "servers 3; clients 1; talk fast; wait 3s; on 5 data: lose; wait 1s; acked 1s"),
    directed(
        Bug::NoBackoff,
        5,
        "servers 4; talk fast; wait 3s; loss 30%; wait 300ms; on 1 order: pause 2s; wait 2s; heal; wait 2s; settle",
    ),
    directed(
        Bug::BackOffAnew,
        6,
        "people; clients 6; talk not; wait 3s; bandwidth all 10mbit; talk huge; wait 5s; talk not; wait 5s; bandwidth all free; settle",
    ),
    directed(Bug::DeafTimed, 12, "servers 3; clients 6; talk fast; wait 3s; cut 1>2; wait 300ms; everyone 90ms"),
    directed(
        Bug::SlowedTwice,
        2,
        "people; servers 3; clients 6; talk not; wait 3s; bandwidth all 10mbit; mark; talk huge; wait 22s; views 0",
    ),
    directed(
        Bug::AsksTheUnheard,
        3,
        "servers 4; clients 8; talk fast; wait 3s; cut 1>2; wait 300ms; acked 300ms",
    ),
    by_chance(Bug::NoSuppression, 3),
    directed(Bug::UnboundedPending, 1, "servers 3; talk fast; wait 3s; flood 1; wait 2s; settle"),
    directed(
        Bug::NoWindow,
        1,
        "servers 3; clients 5; wait 3s; talk huge; disk 2 slow 2s; wait 700ms; talk not; wait 2s; disk 2 good; wait 2s; settle",
    ),
    by_chance(Bug::StableMax, 1),
    by_chance(Bug::StableMajority, 1),
    directed(Bug::NoHeads, 1, "servers 3; clients 1; wait 3s; on 1 data: lose; wait 100ms; talk not; settle"),
    by_chance(Bug::PartsEarly, 3),
    by_chance(Bug::OrderTwice, 2),
    by_chance(Bug::HlcStandsStill, 3),
    by_chance(Bug::StartHlcOwn, 5),
    by_chance(Bug::NoChecksum, 2),
    directed(Bug::ForeignNet, 1, "servers 4; other-net 3,4; wait 4s; settle 1,2; settle 3,4"),
    by_chance(Bug::OriginUnordered, 1),
    by_chance(Bug::SkipUntold, 2),
    by_chance(Bug::RunSameHlc, 1),
    directed(Bug::OriginUnbounded, 1, "servers 1; clients 270; talk not; wait 3s; disk 1 slow 9s; talk fast; wait 1s"),
    by_chance(Bug::DataFirst, 1),
    by_chance(Bug::CseqUnordered, 9),
    by_chance(Bug::DuplicateSilent, 2),
    by_chance(Bug::SessionFromOne, 1),
    by_chance(Bug::SkippedSilent, 13),
    directed(
        Bug::FirstCopySeats,
        1,
        "servers 4; clients 12; people; talk fast; wait 3s; disk 3 slow 300ms; disk 1 slow 300ms; cut 1,2|3,4; wait 1s; talk not; \
         move 1; move 2; move 3; move 4; move 5; move 6; move 7; move 8; move 9; move 10; move 11; move 12; wait 2s; heal; \
         wait 2s; settle",
    ),
    directed(
        Bug::PieceMissed,
        31,
        "servers 2; clients 8; talk fast; wait 3s; cut 1|2; wait 2s; on 1 table: lose; heal; slow 20ms; wait 420ms; \
         move 1; move 2; move 3; move 4; move 5; move 6; move 7; move 8; wait 3s; settle",
    ),
    by_chance(Bug::HeardEarly, 304),
    by_chance(Bug::GistAlone, 6),
    by_chance(Bug::LeavesNothing, 6),
    by_chance(Bug::FirstClaimHeard, 2),
    by_chance(Bug::CopiesGuessed, 43),
    by_chance(Bug::FeedTwice, 1),
    by_chance(Bug::LateAsLive, 1),
    by_chance(Bug::FeedSkipsFlush, 1),
    directed(
        Bug::PassedOverUntold,
        1,
        "servers 4; clients 6; people; talk fast; wait 3s; cut 1,2|3,4; wait 600ms; move 1; move 2; move 3; wait 400ms; move 4; \
         move 5; move 6; wait 600ms; move 1; move 2; wait 500ms; heal; wait 2s; restart-client 1 30ms; restart-client 2 30ms; \
         restart-client 3 30ms; restart-client 4 30ms; restart-client 5 30ms; restart-client 6 30ms; wait 2s; settle",
    ),
    directed(
        Bug::ChasesSilent,
        1,
        "servers 5; clients 8; people; wait 4s; cut 1,2,6,7,8,9|3,4,5,10,11,12,13; wait 1s; everyone 5s; wait 5s; heal; wait 3s; settle",
    ),
    by_chance(Bug::SaysUnsaved, 2),
    directed(
        Bug::FloorUnsaved,
        4,
        "servers 2; clients 6; people; talk fast; cut 1|2; clock 1 600000; wait 3s; disk 1 slow 30ms; wait 1s; kill 1; \
         restart-client 1 50ms; restart-client 2 50ms; restart-client 3 50ms; restart-client 4 50ms; restart-client 5 50ms; \
         restart-client 6 50ms; wait 2s; heal; start 1; settle",
    ),
    by_chance(Bug::SaysOnce, 2),
    by_chance(Bug::ShowsTwice, 2),
    by_chance(Bug::ShowsEarly, 2),
    by_chance(Bug::ShowsPastGap, 10),
    by_chance(Bug::NewsLost, 6),
    by_chance(Bug::Faithful, 22),
    by_chance(Bug::ShowsLetters, 2),
    by_chance(Bug::AsksOnce, 6),
    directed(
        Bug::StaysGone,
        2,
        "servers 4; clients 8; people; talk slow; wait 5s; cut 1,2,5,6,7,8|3,4,9,10,11,12; wait 20s; heal; wait 10s; settle",
    ),
    directed(
        Bug::IndexesFirst,
        3,
        "servers 4; clients 12; people; talk fast; wait 3s; cut 1,2|3,4; wait 600ms; move 1; move 2; move 3; move 4; move 5; \
         move 6; wait 1s; move 7; move 8; move 9; move 10; move 11; move 12; wait 1s; heal; wait 2s; talk slow; settle",
    ),
    by_chance(Bug::FillUncommitted, 2),
    by_chance(Bug::FillGap, 1),
    by_chance(Bug::FillShort, 1),
    by_chance(Bug::ReadyEarly, 2),
    by_chance(Bug::SummaryUnanswered, 3),
    by_chance(Bug::FillTwice, 1),
    by_chance(Bug::FillRace, 1),
    directed(Bug::Hasty, 1, "servers 4; talk not; wait 3s; loss 3%; wait 10s; never suspicions"),
    by_chance(Bug::Trusting, 1),
    directed(Bug::ElectWorst, 3, "servers 4; wait 4s; kill leader; wait 3s; leader greatest"),
    directed(Bug::Usurper, 9, "servers 4; absent 4; wait 3s; mark; start 4; wait 4s; leader same"),
    by_chance(Bug::NoMerge, 1),
    directed(Bug::NoResign, 1, "servers 3; talk fast; wait 3s; disk leader slow 60s; wait 15s; acked 10s"),
    directed(Bug::NoEvict, 3, "servers 3; talk fast; wait 3s; disk 2 slow 60s; wait 15s; acked 10s"),
    directed(
        Bug::NoPenalty,
        3,
        "servers 3; clients 2; wait 3s; mark; disk 2 slow 7s; wait 1s; disk 2 good; wait 8s; disk 2 slow 7s; wait 1s; \
         disk 2 good; wait 8s; disk 2 slow 7s; wait 1s; disk 2 good; wait 8s; disk 2 slow 7s; wait 1s; disk 2 good; wait 8s; \
         views 9",
    ),
    directed(
        Bug::NoProbe,
        1,
        "servers 4; talk long; wait 3s; around 2 narrow 600; wait 20s; acked 10s; mark; wait 40s; views 0",
    ),
    directed(
        Bug::NoOwnProbe,
        1,
        "servers 4; clients 6; absent 4; wait 3s; disk 4 slow 3s; start 4; wait 8s; mark; wait 20s; views 1; everyone 6s",
    ),
    directed(
        Bug::NoAllowance,
        1,
        "servers 3; clients 4; talk slow; wait 3s; around 2 slow 150ms; kill 2; wait 1s; start 2; wait 10s; mark; wait 20s; \
         views 3",
    ),
    directed(Bug::NoUnicastBeacon, 1, "servers 3; wait 3s; mute 1>2; mute 2>1; wait 12s; settle"),
    directed(Bug::LetsGoAlone, 1, "clients 3; keep 5s,all,5s; wait 30s; settle"),
    directed(Bug::HorizonBack, 1, "clients 3; keep 5s; wait 20s; kill leader; wait 5s; start all; wait 5s; settle"),
    directed(Bug::AbsentForgotten, 1, "clients 3; keep 5s; wait 12s; kill 3; wait 12s; start 3; settle"),
    directed(Bug::HorizonUnheeded, 1, "clients 3; keep 5s; wait 12s; kill 3; wait 40s; start 3; wait 5s; settle"),
    directed(Bug::CopyAgain, 1, "clients 3; keep 5s; wait 30s; settle"),
    directed(Bug::PrunedUntold, 1, "clients 3; keep 5s; absent 3; wait 30s; start 3; wait 5s; settle"),
    directed(
        Bug::PruneUncommitted,
        12,
        "servers 4; clients 6; talk fast; keep 5s; wait 5s; cut 1,2|3,4; wait 3s; heal; wait 20s; settle",
    ),
    directed(Bug::Unseated, 1, "people; clients 3; keep 5s; wait 30s; settle"),
    directed(
        Bug::NickShared,
        3,
        "servers 2; clients 8; people; talk slow; cut 1,3,4,5,6|2,7,8,9,10; wait 4s; talk not; heal; wait 3s; settle",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Scenario;

    #[test]
    fn every_bug_has_one_row_in_its_order_and_every_scenario_reads() {
        let rows: Vec<Bug> = KNOWN.iter().map(|known| known.bug).collect();
        assert_eq!(rows, Bug::ALL);
        for text in KNOWN.iter().filter_map(|known| known.scenario) {
            assert!(Scenario::read(text).is_ok(), "{text}");
        }
    }
}
