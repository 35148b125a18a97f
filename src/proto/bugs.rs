//! Planted bugs: each one breaks a single rule, so that the simulator can prove that it would notice.
//!
//! Code that follows a rule asks `bug!(self, Bug::X)` where the rule could be forgotten; `self` carries its [`Bugs`] in a
//! field of that name. Without the feature `bugs` the set has no size and the answer is `false` at compile time.

/// One rule that can be left out. The name tells what the broken code does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Bug {
    // The mutants of the abstract model.
    /// The home server acknowledges when a message is ordered, not when it is stable.
    AckEarly,
    /// Messages are delivered when they are durable here, not when they are stable.
    DeliverEarly,
    /// A promise does not freeze the old view: its data, order and acks are still taken.
    NoFreeze,
    /// The leader gives places without looking at a message's floor.
    NoFloor,
    /// A client's later sends of a message do not renew its floor.
    OldFloor,
    /// Of a message that was ordered twice the greatest key counts.
    GreatestKey,
    /// The cut of an epoch is the greatest durable length of its witnesses, not the least.
    CutMax,
    /// A prepared commit is not kept as a closure of the epoch it ends.
    NoPrepared,
    /// The coordinator installs before every member has prepared.
    InstallEarly,

    // View change and membership.
    /// `State` is composed before earlier writes are on disk.
    StateEarly,
    /// `Prepared` is said before the commit is on disk.
    PreparedEarly,
    /// A completed write has its effect although a greater epoch was promised meanwhile.
    StaleCompletion,
    /// A closure on disk is forgotten when a greater epoch was promised while it was written.
    StaleForgotten,
    /// A proposal below the promise is accepted.
    LowerEpoch,
    /// Members are compared by server, not by life: a restarted server passes for the one before.
    ForgottenIncarnation,
    /// `cut` ignores known closures.
    NoClosure,
    /// Who restarted since counts in the cut even where a survivor's exact process is there.
    InexactPid,
    /// Where all have restarted the cut is the least length, not the greatest.
    RestartedLeast,
    /// A known closure is the cut, whatever those have who still come from the epoch.
    ClosureBinds,
    /// Nobody proposes once a coordinator has died: who has promised beyond its view waits for ever.
    NoEscape,
    /// A prepared member says so once only.
    PreparedOnce,
    /// An installed coordinator does not answer `Prepared`.
    InstallOnce,
    /// The old epoch is not delivered up to the limit before the new view begins.
    NoFlush,
    /// Data that the old view did not commit is not sent again in the new one.
    NoResend,
    /// Buffers of the old view are kept: its data is taken for the new one's.
    StaleBuffers,
    /// The leader orders on after it has promised a greater epoch.
    OrderAfterFreeze,
    /// A member tells the leader ids of what the view change cut off, as if they were history.
    TableUncommitted,
    /// A coordinator does not tell the members that it waits for someone's disk.
    WorksInSilence,
    /// A coordinator whose token comes home drops its view and proposes another.
    WonAnew,
    /// Who waits for a view that is being made counts as one without a leader all the while.
    WaitsAsOrphan,
    /// A server whose every write takes too long takes others to its disk.
    SlowTakesAll,
    /// A member that does not hear its leader leaves it, although another does.
    LeavesTheUnheard,
    /// A leader takes members of another's view while that one changes it.
    TakesTheChanging,
    /// Who was left behind by a leader that cannot take it in waits as long as for one that can.
    WaitsForTheGone,
    /// A coordinator waits for ever for who is silent.
    WaitsForSilent,
    /// The boot counter is not raised at a start, nor the random half drawn anew.
    SameIncarnation,

    // Data path.
    /// An append is acknowledged before it is synced.
    SkipSync,
    /// A NACK asks for a range that ends one short.
    NackShort,
    /// NACKs repeat without backing off.
    NoBackoff,
    /// No more gaps are tracked than are asked for: the back-off of one that is beyond reach for a while begins anew.
    BackOffAnew,
    /// The time that an answer takes counts from the first request, also where that went to one that is not heard.
    DeafTimed,
    /// What was lost before the rate fell lowers it again when it is asked for.
    SlowedTwice,
    /// Who is not heard is asked first all the same, and a leader alone for the order.
    AsksTheUnheard,
    /// A repair answers every asker by a multicast of its own.
    NoSuppression,
    /// Data ahead of the order is kept without a bound.
    UnboundedPending,
    /// The leader orders without a window above what is stable.
    NoWindow,
    /// Stable is the greatest of the acks, not the least.
    StableMax,
    /// Stable leaves out the slowest member.
    StableMajority,
    /// The head is not repeated after a pause, in beacons either: the tail's loss is not seen.
    NoHeads,
    /// A fragmented message gets its place before every fragment is here.
    PartsEarly,
    /// A duplicate is given a second place in the same view.
    OrderTwice,
    /// The order's clock does not go past the last one given.
    HlcStandsStill,
    /// The clock of a new view starts from the leader's own clock only.
    StartHlcOwn,
    /// The checksum of a datagram is not looked at.
    NoChecksum,
    /// Another net's datagrams are taken.
    ForeignNet,
    /// Data of one origin is ordered as it arrives, not in its own sequence.
    OriginUnordered,
    /// Members are not told which messages of a batch are left out.
    SkipUntold,
    /// The batches of a run all get the clock of its first one.
    RunSameHlc,
    /// Messages of clients are taken without a bound.
    OriginUnbounded,
    /// Control waits until all data has gone out.
    DataFirst,

    // Clients.
    /// A client's messages are offered as they arrive, not in its own sequence.
    CseqUnordered,
    /// A duplicate submit is never acknowledged.
    DuplicateSilent,
    /// A server new to a client waits for the client's number 1.
    SessionFromOne,
    /// What a fill brings is not told to the server's own client that said it.
    SkippedSilent,
    /// Rooms go by the copy of a message that came first, whichever is history.
    FirstCopySeats,
    /// Of a table that comes in pieces the next one is taken, also where one before it is missing.
    PieceMissed,
    /// What another server counts as history, and what the view that a member installs closes, is told to clients before it is on
    /// the disk that it is history.
    HeardEarly,
    /// Who is where is known as far as the index tells, and no further.
    GistAlone,
    /// Who leaves all rooms at once stays in those that he is in.
    LeavesNothing,
    /// A nick belongs to whose claim is heard of first, whichever sorts first.
    FirstClaimHeard,
    /// An acknowledgement counts every member of the view, whoever holds the message.
    CopiesGuessed,
    /// What is in the feed already is shown again when it arrives by another way.
    FeedTwice,
    /// Records of a merge are put into the live feed as if they were new.
    LateAsLive,
    /// A view change ends the client's feed before the limit.
    FeedSkipsFlush,
    /// What a merge left out of a feed is not accounted for: a client takes it for missing.
    PassedOverUntold,

    // The clients that people have.
    /// A client tries again and again those that it does not hear any more.
    ChasesSilent,
    /// A client says what is not on its disk yet.
    SaysUnsaved,
    /// A client's disk does not know what the writer of a message had seen.
    FloorUnsaved,
    /// A client sends nothing a second time.
    SaysOnce,
    /// A client shows what comes to it, be it for the second time.
    ShowsTwice,
    /// A client on the multicast shows what is ordered, stable or not.
    ShowsEarly,
    /// A client goes on behind what it misses.
    ShowsPastGap,
    /// A client takes for old whatever sorts before its beginning, also what its server did not know.
    NewsLost,
    /// A client believes in its server for ever.
    Faithful,
    /// A client shows what comes by multicast whomever it is for.
    ShowsLetters,
    /// A question that its server did not answer is not asked again at the next one.
    AsksOnce,
    /// Who hears late that servers took him for gone does not enter his rooms again.
    StaysGone,

    // The store.
    /// Of a message that was ordered twice the index of history keeps the copy that it came upon first.
    IndexesFirst,

    // Catch-up.
    /// Entries above the committed length are sent as history.
    FillUncommitted,
    /// History is asked for from one too far, and taken with the hole.
    FillGap,
    /// Catch-up stops at the first epoch that is complete.
    FillShort,
    /// A server takes itself for ready while history that came is on its way to the disk.
    ReadyEarly,
    /// Where two long histories differ is not told.
    SummaryUnanswered,
    /// A record that comes by a fill is delivered although history has its id.
    FillTwice,
    /// A fill counts before it is on disk.
    FillRace,

    // Failure detection and election.
    /// One silent beacon makes a suspect.
    Hasty,
    /// A suspect is never taken for dead.
    Trusting,
    /// A worse candidate's token is passed on.
    ElectWorst,
    /// A joiner with a greater id deposes the leader.
    Usurper,
    /// Two leaders that hear each other do not merge.
    NoMerge,
    /// A leader whose own disk stands still goes on leading.
    NoResign,
    /// A member whose log stands still stays in the view.
    NoEvict,
    /// An evicted server is taken back at once.
    NoPenalty,
    /// Who lets only small datagrams pass joins all the same.
    NoProbe,
    /// A leader takes others to its own disk without asking that.
    NoOwnProbe,
    /// A view change waits for a server far away no longer than for others.
    NoAllowance,
    /// Who does not get a server's multicasts does not get its beacons either.
    NoUnicastBeacon,

    // Retention.
    /// History is let go of as soon as one member would, whatever the others keep.
    LetsGoAlone,
    /// A view does not begin with the horizon that its members know.
    HorizonBack,
    /// History is let go of although a server that was there a moment ago has not agreed.
    AbsentForgotten,
    /// Who joins a ring goes by its own horizon.
    HorizonUnheeded,
    /// Which messages were let go of is forgotten: later copies of them are history.
    CopyAgain,
    /// Members do not tell each other which messages were let go of.
    PrunedUntold,
    /// Also messages that never became history in an epoch count as let go of with it.
    PruneUncommitted,
    /// A client whose joins are history no more does not take its seats again.
    Unseated,
    /// Who is without its nick is not told: two people go by one.
    NickShared,
}

impl Bug {
    /// Every bug.
    pub const ALL: &'static [Self] = &[
        Self::AckEarly,
        Self::DeliverEarly,
        Self::NoFreeze,
        Self::NoFloor,
        Self::OldFloor,
        Self::GreatestKey,
        Self::CutMax,
        Self::NoPrepared,
        Self::InstallEarly,
        Self::StateEarly,
        Self::PreparedEarly,
        Self::StaleCompletion,
        Self::StaleForgotten,
        Self::LowerEpoch,
        Self::ForgottenIncarnation,
        Self::NoClosure,
        Self::InexactPid,
        Self::RestartedLeast,
        Self::ClosureBinds,
        Self::NoEscape,
        Self::PreparedOnce,
        Self::InstallOnce,
        Self::NoFlush,
        Self::NoResend,
        Self::StaleBuffers,
        Self::OrderAfterFreeze,
        Self::TableUncommitted,
        Self::WorksInSilence,
        Self::WonAnew,
        Self::WaitsAsOrphan,
        Self::SlowTakesAll,
        Self::LeavesTheUnheard,
        Self::TakesTheChanging,
        Self::WaitsForTheGone,
        Self::WaitsForSilent,
        Self::SameIncarnation,
        Self::SkipSync,
        Self::NackShort,
        Self::NoBackoff,
        Self::BackOffAnew,
        Self::DeafTimed,
        Self::SlowedTwice,
        Self::AsksTheUnheard,
        Self::NoSuppression,
        Self::UnboundedPending,
        Self::NoWindow,
        Self::StableMax,
        Self::StableMajority,
        Self::NoHeads,
        Self::PartsEarly,
        Self::OrderTwice,
        Self::HlcStandsStill,
        Self::StartHlcOwn,
        Self::NoChecksum,
        Self::ForeignNet,
        Self::OriginUnordered,
        Self::SkipUntold,
        Self::RunSameHlc,
        Self::OriginUnbounded,
        Self::DataFirst,
        Self::CseqUnordered,
        Self::DuplicateSilent,
        Self::SessionFromOne,
        Self::SkippedSilent,
        Self::FirstCopySeats,
        Self::PieceMissed,
        Self::HeardEarly,
        Self::GistAlone,
        Self::LeavesNothing,
        Self::FirstClaimHeard,
        Self::CopiesGuessed,
        Self::FeedTwice,
        Self::LateAsLive,
        Self::FeedSkipsFlush,
        Self::PassedOverUntold,
        Self::ChasesSilent,
        Self::SaysUnsaved,
        Self::FloorUnsaved,
        Self::SaysOnce,
        Self::ShowsTwice,
        Self::ShowsEarly,
        Self::ShowsPastGap,
        Self::NewsLost,
        Self::Faithful,
        Self::ShowsLetters,
        Self::AsksOnce,
        Self::StaysGone,
        Self::IndexesFirst,
        Self::FillUncommitted,
        Self::FillGap,
        Self::FillShort,
        Self::ReadyEarly,
        Self::SummaryUnanswered,
        Self::FillTwice,
        Self::FillRace,
        Self::Hasty,
        Self::Trusting,
        Self::ElectWorst,
        Self::Usurper,
        Self::NoMerge,
        Self::NoResign,
        Self::NoEvict,
        Self::NoPenalty,
        Self::NoProbe,
        Self::NoOwnProbe,
        Self::NoAllowance,
        Self::NoUnicastBeacon,
        Self::LetsGoAlone,
        Self::HorizonBack,
        Self::AbsentForgotten,
        Self::HorizonUnheeded,
        Self::CopyAgain,
        Self::PrunedUntold,
        Self::PruneUncommitted,
        Self::Unseated,
        Self::NickShared,
    ];

    /// The bug of this name, as `{:?}` writes it; `None` when there is none.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| format!("{bug:?}").eq_ignore_ascii_case(name))
    }
}

/// The bugs that a state machine carries: none, except in builds with the feature `bugs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bugs {
    #[cfg(feature = "bugs")]
    bits: u128,
}

impl Bugs {
    /// No bugs.
    pub const NONE: Self = Self {
        #[cfg(feature = "bugs")]
        bits: 0,
    };

    /// Adds one. Without the feature it stays out.
    #[cfg_attr(not(feature = "bugs"), expect(unused_variables, reason = "without the feature nothing is planted"))]
    #[must_use]
    pub const fn with(self, bug: Bug) -> Self {
        #[cfg(feature = "bugs")]
        return Self { bits: self.bits | 1 << bug as u8 };
        #[cfg(not(feature = "bugs"))]
        self
    }

    /// Whether it is planted. `false` at compile time without the feature.
    #[cfg(feature = "bugs")]
    #[inline]
    pub const fn has(self, bug: Bug) -> bool {
        self.bits >> bug as u8 & 1 == 1
    }

    /// Whether it is planted. `false` at compile time without the feature.
    #[cfg(not(feature = "bugs"))]
    #[inline]
    pub const fn has(self, _: Bug) -> bool {
        false
    }
}

/// Whether the bug is planted in what carries a field `bugs`: `bug!(self, Bug::NoFreeze)`.
#[allow(unused_macros, reason = "used wherever a rule can be left out")]
macro_rules! bug {
    ($carrier:expr, $bug:expr) => {
        $carrier.bugs.has($bug)
    };
}
#[allow(unused_imports, reason = "used wherever a rule can be left out")]
pub(crate) use bug;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_a_bit_and_a_name() {
        assert!(Bug::ALL.len() <= 128);
        for (at, bug) in Bug::ALL.iter().enumerate() {
            assert_eq!(*bug as usize, at);
            assert_eq!(Bug::named(&format!("{bug:?}")), Some(*bug));
        }
    }

    #[test]
    fn planted_bug_is_there_only_with_the_feature() {
        let planted = Bugs::NONE.with(Bug::NoFreeze);
        assert_eq!(planted.has(Bug::NoFreeze), cfg!(feature = "bugs"));
        assert!(!planted.has(Bug::AckEarly));
    }
}
