//! Shows the entries of the current view in their order, once each: from the multicast while that is good, from the
//! session's feed otherwise, and asks the home for what is missing.

use super::assembly::Assembly;
use super::hearing::Hearing;
use crate::ids::{EpochId, Pid, ViewTag};
use crate::proto::bugs::{Bug, Bugs};
use crate::proto::rng::Rng;
use crate::record::{Entry, Record, View};
use crate::time::Time;
use crate::wire::message::Message;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Blocks held back before a gap; beyond it the furthest goes, and is fetched later.
const MAX_HELD: usize = 1024;
/// Datagrams of a view that the home has not told of yet; beyond it they are dropped, and fetched later.
const MAX_AHEAD: usize = 512;
/// A client further behind than this lives on its session's feed.
const MAX_BEHIND: u64 = 4096;
/// A client nearer than this to the present may live on the multicast.
const NEAR: u64 = 1024;
/// A gap waits this long for what comes in another sequence …
const REORDER: Duration = Duration::from_millis(2);
/// … and a random time up to this, so that not everyone who lost the same datagram asks at once (RFC 5401 §3.2).
const BACK_OFF: Duration = Duration::from_millis(20);
/// A fetch that brought nothing is repeated after this, doubled each time …
const FETCH_AGAIN: Duration = Duration::from_millis(50);
/// … but of one whose answer has begun the rest is waited for as long as this: a block takes 130 ms on a wire of a megabit …
const FETCH_REST: Duration = Duration::from_millis(300);
/// … and after this many the feed is begun anew.
const MAX_FETCHES: u32 = 4;
/// Entries looked over for gaps at once, and ranges asked for.
const LOOK_AHEAD: u64 = 512;
/// Ranges asked for at once.
const MAX_RANGES: usize = 8;
/// After the feed was begun anew, the multicast waits this long for what the session owes.
const SETTLE: Duration = Duration::from_secs(2);

/// A run of entries that is held back.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Block {
    last: u64,
    content: FeedBlock,
    source: Source,
}

/// How a block came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Multicast,
    Fetch,
    Session,
}

/// What the reception wants from the home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Want {
    /// These entries.
    Fetch {
        /// The view.
        view: ViewTag,
        /// First gsn.
        first: u64,
        /// Last gsn.
        last: u64,
    },
    /// No feed of this view any more: the multicast is good.
    Silence,
    /// The feed anew, from the client's cursor on.
    Feed,
}

/// The reception of one view.
#[derive(Debug)]
pub(super) struct Reception {
    current: Option<Current>,
    hearing: Hearing,
    ahead: VecDeque<(Pid, Message)>,
    /// The session owes what came before; the multicast does not begin before this.
    settle: Time,
    pub(super) bugs: Bugs,
}

#[derive(Debug)]
struct Current {
    tag: ViewTag,
    assembly: Assembly,
    /// Everything up to here was shown.
    place: u64,
    /// Stable, as the multicast tells.
    stable: u64,
    /// The multicast does not begin below this: the session's feed reaches at least to here.
    from: u64,
    held: BTreeMap<u64, Block>,
    gap: Gap,
}

/// The clock of the hole behind the client's place.
#[derive(Clone, Debug)]
struct Gap {
    next: Time,
    tries: u32,
    /// Asked for, and the answer is not all here.
    awaited: Vec<(u64, u64)>,
    /// Asked for up to here.
    asked: u64,
}

impl Gap {
    const NONE: Self = Self { next: Time::NEVER, tries: 0, awaited: Vec::new(), asked: 0 };

    /// What was asked for has come up to `last`, in the sequence in which it was: the next may go at once when it is all here,
    /// and until then the rest is on its way.
    fn answered(&mut self, now: Time, last: u64) {
        if self.next != Time::NEVER {
            self.awaited.retain(|range| range.1 > last);
            self.next = if self.awaited.is_empty() { now } else { now + FETCH_REST };
        }
    }
}

impl Reception {
    /// In no view yet.
    pub(super) fn new() -> Self {
        Self { current: None, hearing: Hearing::new(), ahead: VecDeque::new(), settle: Time(0), bugs: Bugs::NONE }
    }

    /// Whether it lives on the multicast.
    pub(super) fn is_multicast(&self) -> bool {
        self.hearing.is_on()
    }

    /// The current view.
    pub(super) fn view(&self) -> Option<&View> {
        self.current.as_ref().map(|current| current.assembly.view())
    }

    /// The home is another one: until it says so, there is no view.
    pub(super) fn moved(&mut self, now: Time) {
        self.current = None;
        self.hearing.moved();
        self.settle = now + SETTLE;
    }

    /// The session owes nothing: its feed begins now.
    pub(super) fn begins_now(&mut self, now: Time) {
        self.settle = now;
    }

    /// The home's view, of which everything up to `place` was shown, and the session's feed reaches to `from`.
    pub(super) fn enter(&mut self, view: View, place: u64, from: u64) {
        let tag = view.epoch.tag();
        let assembly = Assembly::new(view, place);
        let held = BTreeMap::new();
        self.current = Some(Current { tag, assembly, place, stable: place, from, held, gap: Gap::NONE });
        for (sender, message) in std::mem::take(&mut self.ahead) {
            self.multicast(sender, message);
        }
    }

    /// The home has delivered the current view up to here: so may the client.
    pub(super) fn delivered(&mut self, epoch: EpochId, upto: u64) {
        if let Some(current) = self.current.as_mut().filter(|current| current.assembly.epoch() == epoch) {
            current.stable = current.stable.max(upto);
        }
    }

    /// A beacon of the home came by multicast.
    pub(super) fn home_beacon(&mut self, now: Time) {
        self.hearing.beacon(now);
    }

    /// A message that concerns a view came by multicast.
    pub(super) fn multicast(&mut self, sender: Pid, message: Message) {
        let tag = match &message {
            Message::Data(data) => data.view,
            Message::Order(order) => order.view,
            Message::Heads(heads) => heads.view,
            Message::Beacon(beacon) => beacon.view.unwrap_or_default().tag(),
            _ => return,
        };
        let Some(current) = self.current.as_mut().filter(|current| current.tag == tag) else {
            return self.keep_ahead(sender, message);
        };
        if !current.assembly.view().has(sender) {
            return;
        }
        match message {
            Message::Data(data) => current.assembly.data(data),
            Message::Order(order) => {
                current.assembly.order(sender, &order);
                current.stable = current.stable.max(order.stable);
            }
            Message::Heads(heads) => current.stable = current.stable.max(heads.stable),
            Message::Beacon(beacon) => current.stable = current.stable.max(beacon.stable),
            _ => {}
        }
    }

    /// A block of the session's feed; gives it back when it is not of the current view.
    pub(super) fn feed(
        &mut self,
        now: Time,
        epoch: EpochId,
        first: u64,
        last: u64,
        block: FeedBlock,
    ) -> Option<FeedBlock> {
        let Some(current) = self.current.as_mut().filter(|current| current.assembly.epoch() == epoch) else {
            return Some(block);
        };
        self.settle = self.settle.min(now);
        let source = if self.hearing.is_on() { Source::Fetch } else { Source::Session };
        current.hold(first, Block { last, content: block, source });
        current.gap.answered(now, last);
        None
    }

    /// Entries that were asked for.
    pub(super) fn entries(&mut self, now: Time, tag: ViewTag, first: u64, entries: &[Entry]) {
        let Some(current) = self.current.as_mut().filter(|current| current.tag == tag) else {
            return;
        };
        let (epoch, of) = (current.assembly.epoch(), current.assembly.view().members.len() as u16);
        for (gsn, entry) in (first..).zip(entries) {
            current.assembly.placed(gsn, entry);
            let block = FeedBlock { records: entry.records(epoch, gsn), copies: of, of, late: false };
            current.hold(gsn, Block { last: gsn, content: block, source: Source::Fetch });
        }
        if !entries.is_empty() {
            current.gap.answered(now, first + (entries.len() as u64 - 1));
        }
    }

    /// The next block in the order, and the last gsn it accounts for; `None` when it is not here or not stable.
    pub(super) fn next(&mut self) -> Option<(u64, FeedBlock)> {
        let multicast = self.hearing.is_on();
        let block = self.current.as_mut()?.next(multicast, self.bugs)?;
        if multicast && block.source != Source::Session {
            self.hearing.entry(block.source == Source::Fetch);
        }
        Some((block.last, block.content))
    }

    /// What to ask of the home now.
    pub(super) fn due(&mut self, now: Time, rng: &mut Rng) -> Vec<Want> {
        let failed = self.hearing.has_failed(now);
        let multicast = self.hearing.is_on();
        let Some(current) = &mut self.current else {
            return Vec::new();
        };
        let far = multicast && current.stable.saturating_sub(current.place) > MAX_BEHIND;
        if failed || far || current.gap.tries >= MAX_FETCHES {
            self.begin_anew(now, !far);
            return vec![Want::Feed];
        }
        let near = current.place >= current.from && current.stable.saturating_sub(current.place) <= NEAR;
        if near && current.held.is_empty() && now >= self.settle && self.hearing.may_begin(now) {
            self.hearing.begin(now);
            return vec![Want::Silence];
        }
        current.fetches(now, multicast, rng)
    }

    /// The session is asked for its feed anew; what is held and half assembled comes again.
    pub(super) fn begin_anew(&mut self, now: Time, blame: bool) {
        let blame = blame && self.hearing.is_on();
        self.hearing.off(now, blame);
        self.settle = now + SETTLE;
        if let Some(current) = &mut self.current {
            current.held.clear();
            current.gap = Gap::NONE;
        }
    }

    /// When something is due though nothing comes.
    pub(super) fn next_timeout(&self, now: Time) -> Time {
        let gap = self.current.as_ref().map_or(Time::NEVER, |current| current.gap.next);
        let settle = if self.settle > now && self.hearing.may_begin(now) { self.settle } else { Time::NEVER };
        gap.min(self.hearing.next_timeout()).min(settle)
    }

    fn keep_ahead(&mut self, sender: Pid, message: Message) {
        if matches!(message, Message::Beacon(_)) {
            return;
        }
        if self.ahead.len() >= MAX_AHEAD {
            self.ahead.pop_front();
        }
        self.ahead.push_back((sender, message));
    }
}

/// Records that are shown together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FeedBlock {
    /// The records.
    pub records: Vec<Record>,
    /// Servers known to have them on disk.
    pub copies: u16,
    /// Servers in the view.
    pub of: u16,
    /// Whether they come from a merge or a catch-up.
    pub late: bool,
}

impl Current {
    fn hold(&mut self, first: u64, block: Block) {
        if block.last <= self.place || block.last < first {
            return;
        }
        let longer = self.held.get(&first).is_none_or(|held| held.last < block.last);
        if longer {
            self.held.insert(first, block);
        }
        if self.held.len() > MAX_HELD {
            self.held.pop_last();
        }
    }

    fn next(&mut self, multicast: bool, bugs: Bugs) -> Option<Block> {
        let next = self.place + 1;
        if bugs.has(Bug::ShowsPastGap)
            && let Some(entry) = self.held.first_entry()
        {
            let block = entry.remove();
            self.pass(block.last.max(self.place));
            return Some(block);
        }
        while let Some(entry) = self.held.first_entry().filter(|entry| *entry.key() <= next) {
            let block = entry.remove();
            if block.last >= next {
                self.pass(block.last);
                return Some(block);
            }
        }
        if !multicast || next > self.stable && !bugs.has(Bug::ShowsEarly) {
            return None;
        }
        let records = self.assembly.records(next)?;
        self.pass(next);
        let of = self.assembly.view().members.len() as u16;
        let block = FeedBlock { records, copies: of, of, late: false };
        Some(Block { last: next, content: block, source: Source::Multicast })
    }

    fn pass(&mut self, last: u64) {
        self.place = last;
        self.assembly.forget(last);
        self.gap.tries = 0;
        if self.place >= self.gap.asked {
            self.gap = Gap::NONE;
        }
    }

    fn fetches(&mut self, now: Time, multicast: bool, rng: &mut Rng) -> Vec<Want> {
        let held = self.held.first_key_value().map_or(0, |(&first, _)| first - 1);
        let target = if multicast { self.stable } else { held };
        if target <= self.place {
            self.gap = Gap::NONE;
            return Vec::new();
        }
        if self.gap.next == Time::NEVER {
            self.gap.next = now + REORDER + rng.between(Duration::ZERO, BACK_OFF);
        }
        if now < self.gap.next {
            return Vec::new();
        }
        let ranges = self.missing(target.min(self.place + LOOK_AHEAD));
        self.gap.next = now + FETCH_AGAIN * (1 << self.gap.tries.min(MAX_FETCHES));
        self.gap.tries += 1;
        self.gap.awaited.clone_from(&ranges);
        self.gap.asked = ranges.last().map_or(0, |range| range.1);
        ranges.into_iter().map(|(first, last)| Want::Fetch { view: self.tag, first, last }).collect()
    }

    /// Ranges up to `target` that are neither held nor assembled.
    fn missing(&self, target: u64) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        let mut covered = self.place;
        for gsn in self.place + 1..=target {
            covered = covered.max(self.held.get(&gsn).map_or(0, |block| block.last));
            if gsn <= covered || self.assembly.has(gsn) {
                continue;
            }
            let full = ranges.len() >= MAX_RANGES;
            match ranges.last_mut().filter(|range| range.1 + 1 == gsn) {
                Some(range) => range.1 = gsn,
                None if full => break,
                None => ranges.push((gsn, gsn)),
            }
        }
        ranges
    }
}
