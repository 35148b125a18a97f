//! The installed view while this process lives in it: everything that ends with the view.

use crate::ids::{Pid, ViewTag};
use crate::proto::bugs::Bugs;
use crate::proto::hold_back::{HoldBack, Placed};
use crate::proto::loss_detector::LossDetector;
use crate::proto::repair::Repairs;
use crate::proto::ring::Ring;
use crate::proto::sequencer::Sequencer;
use crate::proto::settings::{COALESCE, TAIL};
use crate::proto::table::Pieces;
use crate::record::{Entry, View};
use crate::time::{Hlc, Time};
use crate::wire::message::{Order, Run, RunKind};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Most runs in one order datagram, so that it fits whatever the runs are.
const RUNS_A_DATAGRAM: usize = 56;

/// Per-view state. A view's numbers die with the view: all of this is dropped at once.
#[derive(Clone, Debug)]
pub struct Live {
    /// The view.
    pub view: View,
    /// Its stand-in on the data path.
    pub tag: ViewTag,
    /// This process' index in the view.
    pub index: usize,
    /// The member that stands behind this process in the ring; `None` when alone.
    pub successor: Option<Pid>,
    /// When it was installed here.
    pub since: Time,
    /// When its leader began to take members' ids; the leader's only.
    pub opened: Time,
    /// Data and order on their way into the log.
    pub hold_back: HoldBack,
    /// The leader's part; `None` in other members.
    pub sequencer: Option<Sequencer>,
    /// How far the pieces of members' tables have come.
    pub pieces: Pieces,
    /// Entries handed to the disk and not delivered yet, with their gsn.
    pub undelivered: VecDeque<(u64, Entry)>,
    /// Stable length, as far as known here; may be ahead of the log.
    pub stable: u64,
    /// Delivered length.
    pub delivered: u64,
    /// Members' durable lengths, and when each last grew; the leader's only.
    pub acks: BTreeMap<Pid, Acked>,
    /// By member: the first of its datagrams that is missing, and since when; the leader's only.
    pub gaps: BTreeMap<Pid, (u64, Time)>,
    /// Gaps in the order.
    pub order_loss: LossDetector,
    /// Gaps in each origin's data.
    pub data_loss: Vec<LossDetector>,
    /// Repairs that others asked for.
    pub repairs: Repairs<Pid>,
    /// Places given and not told yet.
    pub order_out: OrderOut,
    /// The acknowledgement that is owed to the leader.
    pub ack_out: AckOut,
    /// The repetition of heads after a pause.
    pub tail: Tail,
    /// Whether the leader knows this member's ids.
    pub opening: Opening,
    /// What members told before the leader's own history was complete.
    pub early: BTreeMap<Pid, Vec<u64>>,
}

/// How far a member's log has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acked {
    /// Durable length.
    pub have: u64,
    /// When it last grew.
    pub since: Time,
}

/// How far a member is with telling the leader its ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// Its own history is still being read from its disk.
    Reading,
    /// Told; to be told again at this time.
    Told(Time),
    /// The leader has said that it knows.
    Open,
}

impl Live {
    /// The first moment of a view in which `me` is a member.
    pub fn new(view: View, me: Pid, now: Time, bugs: Bugs) -> Self {
        let index = view.index_of(me).unwrap_or(0);
        let members = view.members.len();
        let mut repairs = Repairs::new(2);
        repairs.set_audience(members.saturating_sub(1));
        let acks = view.members.iter().map(|member| (member.pid, Acked { have: 0, since: now })).collect();
        Self {
            tag: view.epoch.tag(),
            index,
            successor: Ring::of(view.members.iter().map(|member| member.pid)).successor(me.server),
            since: now,
            opened: now,
            hold_back: HoldBack::new(view.clone(), bugs),
            sequencer: None,
            pieces: Pieces::default(),
            undelivered: VecDeque::new(),
            stable: 0,
            delivered: 0,
            acks,
            gaps: BTreeMap::new(),
            order_loss: LossDetector::new(bugs),
            data_loss: vec![LossDetector::new(bugs); members],
            repairs,
            order_out: OrderOut::default(),
            ack_out: AckOut::default(),
            tail: Tail::default(),
            opening: Opening::Reading,
            early: BTreeMap::new(),
            view,
        }
    }

    /// The other members.
    pub fn others(&self, me: Pid) -> impl Iterator<Item = Pid> {
        self.view.members.iter().map(|member| member.pid).filter(move |pid| *pid != me)
    }

    /// When something missing is to be asked for.
    pub fn next_loss(&self) -> Time {
        let losses = self.data_loss.iter().chain([&self.order_loss]);
        losses.map(LossDetector::next_timeout).min().unwrap_or(Time::NEVER)
    }

    /// When something here falls due, if the rate lets no repair go before `repairs_at`.
    pub fn next_timeout(&self, repairs_at: Time) -> Time {
        let opening = if let Opening::Told(at) = self.opening { at } else { Time::NEVER };
        [
            opening,
            self.next_loss(),
            self.repairs.next_timeout().max(repairs_at),
            self.order_out.due_at,
            self.ack_out.due_at,
            self.tail.due_at,
        ]
        .into_iter()
        .min()
        .unwrap_or(Time::NEVER)
    }
}

/// Places that the leader gave and has not multicast yet, collected for [`COALESCE`].
#[derive(Clone, Debug)]
pub struct OrderOut {
    places: VecDeque<(u64, Placed)>,
    stable_told: u64,
    last_sent: Time,
    /// When they are to be sent.
    pub due_at: Time,
}

impl Default for OrderOut {
    fn default() -> Self {
        Self { places: VecDeque::new(), stable_told: 0, last_sent: Time(0), due_at: Time::NEVER }
    }
}

impl OrderOut {
    /// A place was given.
    pub fn push(&mut self, now: Time, gsn: u64, placed: Placed) {
        self.places.push_back((gsn, placed));
        self.fall_due(now);
    }

    /// The stable length grew.
    pub fn stable_grew(&mut self, now: Time) {
        self.fall_due(now);
    }

    fn fall_due(&mut self, now: Time) {
        self.due_at = self.due_at.min((self.last_sent + COALESCE).max(now));
    }

    /// What is to be multicast now.
    pub fn take_due(&mut self, now: Time, tag: ViewTag, stable: u64) -> Vec<Order> {
        if now < self.due_at {
            return Vec::new();
        }
        self.due_at = Time::NEVER;
        self.last_sent = now;
        let places: Vec<(u64, Placed)> = self.places.drain(..).collect();
        if places.is_empty() && stable == self.stable_told {
            return Vec::new();
        }
        self.stable_told = stable;
        orders_of(tag, stable, &places)
    }
}

/// The fewest order messages that tell these places; one without runs when there are none.
pub fn orders_of(view: ViewTag, stable: u64, places: &[(u64, Placed)]) -> Vec<Order> {
    let empty = |first, hlc| Order { view, stable, first, hlc, runs: Vec::new() };
    let mut orders: Vec<Order> = Vec::new();
    let mut next: Option<(u64, Hlc)> = None;
    for (gsn, placed) in places {
        if next != Some((*gsn, placed.hlc)) || orders.last().is_none_or(|order| order.runs.len() >= RUNS_A_DATAGRAM) {
            orders.push(empty(*gsn, placed.hlc));
        }
        next = Some((gsn + 1, placed.hlc.next()));
        if let Some(order) = orders.last_mut() {
            add_run(&mut order.runs, placed.run());
        }
    }
    if orders.is_empty() {
        orders.push(empty(1, Hlc(0)));
    }
    orders
}

fn add_run(runs: &mut Vec<Run>, run: Run) {
    if let (Some(Run { origin, oseq, kind: RunKind::Whole(count) }), RunKind::Whole(1)) = (runs.last_mut(), run.kind)
        && *origin == run.origin
        && *oseq + u64::from(*count) == run.oseq
        && *count < u16::MAX
    {
        *count += 1;
        return;
    }
    runs.push(run);
}

/// The acknowledgement that a member owes the leader, collected for [`COALESCE`].
#[derive(Clone, Debug)]
pub struct AckOut {
    last_sent: Time,
    /// One that was told, and when: how long it takes until that is stable.
    sample: Option<(u64, Time)>,
    /// How long it took lately, rather too short than too long: a lost one takes longer.
    round: Duration,
    /// When it is to be sent.
    pub due_at: Time,
}

impl Default for AckOut {
    fn default() -> Self {
        Self { last_sent: Time(0), sample: None, round: Duration::ZERO, due_at: Time::NEVER }
    }
}

impl AckOut {
    /// The leader seems not to know the durable length: it is told again, unless the answer to the last time may still be on
    /// its way.
    pub fn repeat(&mut self, now: Time) {
        if now >= self.last_sent + self.round {
            self.owe(now);
        }
    }

    /// So much is stable.
    pub fn answered(&mut self, now: Time, stable: u64) {
        if let Some((_, since)) = self.sample.take_if(|(have, _)| *have <= stable) {
            let took = now.since(since);
            self.round = took.min(self.round + took / 8);
        }
    }

    /// The durable length grew, or the leader wants to know it.
    pub fn owe(&mut self, now: Time) {
        self.due_at = self.due_at.min((self.last_sent + COALESCE).max(now));
    }

    /// Whether `have` is to be told now; so much is `stable` already. Of that no answer tells how long it took.
    pub fn take_due(&mut self, now: Time, have: u64, stable: u64) -> bool {
        if now < self.due_at {
            return false;
        }
        self.due_at = Time::NEVER;
        self.last_sent = now;
        self.sample = self.sample.or((have > stable).then_some((have, now)));
        true
    }
}

/// The repetition of heads at [`TAIL`] after the last datagram of data or order, so that the loss of a burst's last one is
/// seen at once. Where a member does not hear the leader, the others tell it how far the order goes: they repeat their heads after what
/// they hear of the order, too, and without waiting for a pause.
#[derive(Clone, Debug)]
pub struct Tail {
    since: Time,
    step: usize,
    /// Whether some member does not hear the leader.
    pub relays: bool,
    /// When the heads are to be repeated.
    pub due_at: Time,
}

impl Default for Tail {
    fn default() -> Self {
        Self { since: Time(0), step: TAIL.len(), relays: false, due_at: Time::NEVER }
    }
}

impl Tail {
    /// Something was sent whose loss nothing later would show.
    pub fn sent(&mut self, now: Time) {
        self.since = now;
        self.step = 0;
        let due_at = now + TAIL[0];
        self.due_at = if self.relays { self.due_at.min(due_at) } else { due_at };
    }

    /// More of the order is known here.
    pub fn heard_order(&mut self, now: Time) {
        if self.relays {
            self.sent(now);
        }
    }

    /// Whether the heads are to be repeated now.
    pub fn take_due(&mut self, now: Time) -> bool {
        if now < self.due_at {
            return false;
        }
        self.step += 1;
        self.due_at = TAIL.get(self.step).map_or(Time::NEVER, |after| self.since + *after);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Taken;

    fn placed(origin: u8, oseq: u64, hlc: u64) -> Placed {
        Placed { origin, oseq, parts: 1, taken: None, hlc: Hlc(hlc) }
    }

    #[test]
    fn orders_tell_every_place_in_the_fewest_runs() {
        let places = [(1, placed(0, 1, 10)), (2, placed(0, 2, 11)), (3, placed(1, 1, 12)), (4, placed(1, 2, 90))];
        let orders = orders_of(ViewTag(7), 0, &places);
        assert_eq!(orders.len(), 2);
        assert_eq!(
            orders[0].runs.iter().map(|run| run.kind).collect::<Vec<_>>(),
            [RunKind::Whole(2), RunKind::Whole(1)]
        );
        assert_eq!((orders[1].first, orders[1].hlc), (4, Hlc(90)));
    }

    #[test]
    fn batch_with_duplicates_is_a_run_of_its_own() {
        let some = Placed { taken: Some(Taken(2)), ..placed(0, 2, 11) };
        let orders = orders_of(ViewTag(7), 0, &[(1, placed(0, 1, 10)), (2, some), (3, placed(0, 3, 12))]);
        assert_eq!(orders[0].runs.len(), 3);
    }

    #[test]
    fn acknowledgement_is_repeated_when_an_answer_could_have_come() {
        let ms = |ms: u64| Time(ms * 1000);
        let mut ack = AckOut::default();
        for have in 1..=40 {
            let at = ms(1000 * have);
            ack.owe(at);
            assert!(ack.take_due(at, have, have - 1));
            ack.answered(at + Duration::from_millis(300), have);
        }
        ack.owe(ms(50_000));
        assert!(ack.take_due(ms(50_000), 41, 40));
        ack.repeat(ms(50_160));
        assert_eq!(ack.due_at, Time::NEVER, "under way");
        ack.repeat(ms(50_300));
        assert!(ack.take_due(ms(50_300), 41, 40), "lost");
        ack.answered(ms(50_301), 41);
        ack.owe(ms(51_000));
        assert!(ack.take_due(ms(51_000), 42, 41));
        ack.answered(ms(51_001), 42);
        ack.repeat(ms(51_010));
        assert!(ack.take_due(ms(51_010), 42, 41), "the link is fast again");
    }

    /// Each beacon of the leader asks what a member has, also when all of it is stable: the pauses of those who talk were taken
    /// for the time that an answer takes, and a lost acknowledgement waited for the next beacon.
    #[test]
    fn pauses_of_those_who_talk_are_no_round_trips() {
        let ms = |ms: u64| Time(ms * 1000);
        let mut ack = AckOut::default();
        for have in 1..=20 {
            let at = ms(10_000 * have);
            ack.owe(at);
            assert!(ack.take_due(at, have, have - 1));
            ack.answered(at + Duration::from_millis(2), have);
            ack.owe(at + Duration::from_millis(250));
            assert!(ack.take_due(at + Duration::from_millis(250), have, have), "a beacon asks");
        }
        ack.owe(ms(300_000));
        assert!(ack.take_due(ms(300_000), 21, 20));
        ack.repeat(ms(300_010));
        assert!(ack.take_due(ms(300_010), 21, 20), "lost");
    }

    #[test]
    fn heads_are_repeated_five_times_after_the_last_datagram() {
        let mut tail = Tail::default();
        tail.sent(Time(0));
        let mut times = Vec::new();
        while tail.due_at != Time::NEVER {
            let at = tail.due_at;
            times.push(at.0 / 1000);
            assert!(tail.take_due(at));
        }
        assert_eq!(times, [10, 20, 40, 80, 160]);
    }

    #[test]
    fn heads_wait_for_no_pause_where_someone_does_not_hear_the_leader() {
        let times = |relays: bool| {
            let mut tail = Tail { relays, ..Tail::default() };
            let heard = |at: &u64| {
                tail.heard_order(Time(at * 1000));
                tail.take_due(Time(at * 1000))
            };
            (0..=40).step_by(5).filter(heard).collect::<Vec<u64>>()
        };
        assert_eq!(times(true), [10, 25, 40]);
        assert_eq!(times(false), [] as [u64; 0]);
    }
}
