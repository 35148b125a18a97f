//! Which repairs go out, to whom, and which requests are passed over. Modelled on Aeron's `RetransmitHandler`.

use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a request waits for others that want the same, so that one multicast serves them all.
pub const GATHER: Duration = Duration::from_millis(2);
/// For how long after a repair another request for it is taken for one that crossed it on the way. With [`GATHER`] it is less
/// than an asker's shortest wait: who asks the same server again has lost the repair.
pub const LINGER: Duration = Duration::from_micros(1_500);
/// Most requests that wait; one more is dropped, and its asker asks again.
pub const MAX_PENDING: usize = 4096;
/// Most repairs remembered for [`LINGER`]; beyond, the oldest is forgotten and may be sent once too often.
pub const MAX_LINGERING: usize = 4096;

/// What can be asked for: one datagram of a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Item {
    /// The stream: an origin's index in the view, or whatever else the caller gives the order.
    pub stream: u16,
    /// The number in the stream.
    pub seq: u64,
}

/// Answers requests for what was lost (`PROTOCOL.md` §6, NACK); `A` names who asks: a server, or a client's session.
///
/// Says what to send, not when the rate allows it: take no more from [`due`](Self::due) than the pacer gives.
#[derive(Clone, Debug)]
pub struct Repairs<A> {
    multicast_at: usize,
    audience: usize,
    pending: BTreeMap<Item, Pending<A>>,
    /// The pending ones by when they are due; same size.
    queue: BTreeSet<(Time, Item)>,
    lingering: BTreeMap<Item, Sent<A>>,
    /// The lingering ones by when they were sent; same size.
    sent: BTreeSet<(Time, Item)>,
}

#[derive(Clone, Debug)]
struct Pending<A> {
    due: Time,
    /// At most `multicast_at`.
    askers: Vec<A>,
}

#[derive(Clone, Debug)]
struct Sent<A> {
    /// The last time.
    at: Time,
    /// When everyone got it.
    multicast: Option<Time>,
    /// Who got it by unicast, and when; those of the last [`LINGER`] only.
    askers: Vec<(A, Time)>,
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// It will be answered by [`Repairs::due`].
    Queued,
    /// The same asker waits for it already.
    Repeated,
    /// A repair that reaches the asker went out less than [`LINGER`] ago.
    Lingering,
    /// [`MAX_PENDING`] others wait: dropped; the asker asks again.
    Full,
}

/// One repair to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RepairOut<A> {
    /// What.
    pub item: Item,
    /// To whom.
    pub to: RepairTo<A>,
}

/// Where a repair goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RepairTo<A> {
    /// To the one who asked.
    Asker(A),
    /// To the group: enough asked for it.
    Multicast,
}

impl<A: Copy + Ord> Repairs<A> {
    /// Repairs that become one multicast when `multicast_at` askers (two servers, three clients) want the same within
    /// [`GATHER`]. Begins with an audience without bound.
    pub fn new(multicast_at: usize) -> Self {
        Self {
            multicast_at: multicast_at.max(1),
            audience: usize::MAX,
            pending: BTreeMap::new(),
            queue: BTreeSet::new(),
            lingering: BTreeMap::new(),
            sent: BTreeSet::new(),
        }
    }

    /// How many could ask at all. When they are too few to make a multicast, requests do not wait for each other.
    pub fn set_audience(&mut self, audience: usize) {
        self.audience = audience;
    }

    /// `from` asks for `item`.
    pub fn asked(&mut self, now: Time, from: A, item: Item) -> Asked {
        self.forget_sent(now);
        if let Some(sent) = self.lingering.get(&item)
            && sent.has_reached(now, from)
        {
            return Asked::Lingering;
        }
        if let Some(pending) = self.pending.get_mut(&item) {
            if pending.askers.contains(&from) || pending.askers.len() >= self.multicast_at {
                return Asked::Repeated;
            }
            pending.askers.push(from);
            if pending.askers.len() >= self.multicast_at && pending.due > now {
                self.queue.remove(&(pending.due, item));
                self.queue.insert((now, item));
                pending.due = now;
            }
            return Asked::Queued;
        }
        if self.pending.len() >= MAX_PENDING {
            return Asked::Full;
        }
        let gathers = self.multicast_at > 1 && self.audience >= self.multicast_at;
        let due = if gathers { now + GATHER } else { now };
        self.queue.insert((due, item));
        self.pending.insert(item, Pending { due, askers: vec![from] });
        Asked::Queued
    }

    /// The repairs to send now, those that waited longest first; about `most` of them (one item's askers stay together).
    /// What did not fit stays due.
    pub fn due(&mut self, now: Time, most: usize) -> Vec<RepairOut<A>> {
        self.forget_sent(now);
        let mut out = Vec::new();
        while out.len() < most {
            let Some(&(due, item)) = self.queue.first().filter(|(due, _)| *due <= now) else { break };
            self.queue.remove(&(due, item));
            let Some(pending) = self.pending.remove(&item) else { continue };
            let everyone = pending.askers.len() >= self.multicast_at && self.multicast_at > 1;
            if everyone {
                out.push(RepairOut { item, to: RepairTo::Multicast });
                self.linger(now, item, &[]);
            } else {
                out.extend(pending.askers.iter().map(|&asker| RepairOut { item, to: RepairTo::Asker(asker) }));
                self.linger(now, item, &pending.askers);
            }
        }
        out
    }

    /// When [`due`](Self::due) has something to send; [`Time::NEVER`] when nobody waits.
    pub fn next_timeout(&self) -> Time {
        self.queue.first().map_or(Time::NEVER, |(due, _)| *due)
    }

    /// Forgets everything: the view is over.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.queue.clear();
        self.lingering.clear();
        self.sent.clear();
    }

    /// Remembers a repair to these, or to everyone when they are none.
    fn linger(&mut self, now: Time, item: Item, askers: &[A]) {
        let sent = self.lingering.entry(item).or_insert(Sent { at: now, multicast: None, askers: Vec::new() });
        self.sent.remove(&(sent.at, item));
        sent.at = now;
        sent.askers.retain(|(_, at)| now.since(*at) < LINGER);
        sent.askers.extend(askers.iter().map(|&asker| (asker, now)));
        if askers.is_empty() {
            sent.multicast = Some(now);
        }
        self.sent.insert((now, item));
        if self.sent.len() > MAX_LINGERING
            && let Some((_, oldest)) = self.sent.pop_first()
        {
            self.lingering.remove(&oldest);
        }
    }

    fn forget_sent(&mut self, now: Time) {
        while let Some(&(at, item)) = self.sent.first().filter(|(at, _)| now.since(*at) >= LINGER) {
            self.sent.remove(&(at, item));
            self.lingering.remove(&item);
        }
    }
}

impl<A: Copy + Ord> Sent<A> {
    /// Whether a repair that reaches `asker` is on its way.
    fn has_reached(&self, now: Time, asker: A) -> bool {
        let lately = |at: Time| now.since(at) < LINGER;
        self.multicast.is_some_and(lately) || self.askers.iter().any(|&(to, at)| to == asker && lately(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: Item = Item { stream: 1, seq: 42 };

    fn ms(ms: u64) -> Time {
        Time(ms * 1000)
    }

    fn to(asker: u8) -> RepairOut<u8> {
        RepairOut { item: ITEM, to: RepairTo::Asker(asker) }
    }

    #[test]
    fn lone_asker_gets_a_unicast_after_the_gathering_time() {
        let mut repairs = Repairs::new(2);
        assert_eq!(repairs.asked(ms(0), 1, ITEM), Asked::Queued);
        assert_eq!(repairs.next_timeout(), ms(2));
        assert!(repairs.due(Time(1999), 9).is_empty());
        assert_eq!(repairs.due(ms(2), 9), [to(1)]);
        assert_eq!(repairs.next_timeout(), Time::NEVER);
    }

    #[test]
    fn second_asker_makes_it_one_multicast_at_once() {
        let mut repairs = Repairs::new(2);
        repairs.asked(ms(0), 1, ITEM);
        assert_eq!(repairs.asked(ms(1), 1, ITEM), Asked::Repeated);
        assert!(repairs.due(ms(1), 9).is_empty());
        assert_eq!(repairs.asked(ms(2), 2, ITEM), Asked::Queued);
        assert_eq!(repairs.next_timeout(), ms(2));
        assert_eq!(repairs.due(ms(2), 9), [RepairOut { item: ITEM, to: RepairTo::Multicast }]);
        assert_eq!(repairs.asked(ms(3), 3, ITEM), Asked::Lingering);
    }

    #[test]
    fn where_only_one_can_ask_nothing_waits() {
        let mut repairs = Repairs::new(2);
        repairs.set_audience(1);
        repairs.asked(ms(0), 1, ITEM);
        assert_eq!(repairs.due(ms(0), 9), [to(1)]);
    }

    #[test]
    fn request_that_crossed_its_repair_is_passed_over_but_another_asker_is_served() {
        let mut repairs = Repairs::new(2);
        repairs.asked(ms(0), 1, ITEM);
        repairs.due(ms(2), 9);
        assert_eq!(repairs.asked(ms(3), 1, ITEM), Asked::Lingering);
        assert_eq!(repairs.asked(ms(3), 2, ITEM), Asked::Queued);
        assert_eq!(repairs.due(ms(5), 9), [to(2)]);
        assert_eq!(repairs.asked(ms(5), 1, ITEM), Asked::Queued, "its own repair was 3 ms ago: lost");
        assert_eq!(repairs.asked(ms(6), 2, ITEM), Asked::Lingering);
    }

    #[test]
    fn who_asks_again_as_early_as_can_be_is_answered_again() {
        let retry = crate::proto::loss_detector::RETRY_MIN * 3 / 4;
        let mut repairs = Repairs::new(2);
        repairs.asked(ms(0), 1, ITEM);
        assert_eq!(repairs.due(ms(0) + GATHER, 9), [to(1)]);
        assert_eq!(repairs.asked(ms(0) + retry, 1, ITEM), Asked::Queued);
    }

    #[test]
    fn three_clients_make_a_multicast_and_two_do_not() {
        let mut repairs = Repairs::new(3);
        repairs.asked(ms(0), 1, ITEM);
        repairs.asked(ms(0), 2, ITEM);
        assert_eq!(repairs.due(ms(5), 9), [to(1), to(2)]);
        let other = Item { stream: 1, seq: 43 };
        for asker in 1..=3 {
            repairs.asked(ms(6), asker, other);
        }
        assert_eq!(repairs.due(ms(6), 9), [RepairOut { item: other, to: RepairTo::Multicast }]);
    }

    #[test]
    fn two_hundred_askers_of_one_datagram_cost_one_datagram() {
        let mut repairs = Repairs::new(3);
        let sent: usize = (0..200_u16)
            .map(|asker| {
                let now = Time(u64::from(asker) * 7);
                repairs.asked(now, asker, ITEM);
                repairs.due(now, 9).len()
            })
            .sum();
        assert_eq!(sent, 1);
    }

    #[test]
    fn beyond_the_bound_requests_are_dropped_and_what_waited_is_sent_in_order() {
        let mut repairs = Repairs::new(2);
        for seq in 0..MAX_PENDING as u64 {
            assert_eq!(repairs.asked(Time(seq), 1, Item { stream: 0, seq }), Asked::Queued);
        }
        assert_eq!(repairs.asked(ms(5), 1, ITEM), Asked::Full);
        assert_eq!(repairs.due(ms(10), 2).iter().map(|out| out.item.seq).collect::<Vec<_>>(), [0, 1]);
        assert!(repairs.next_timeout() <= ms(10));
        assert_eq!(repairs.due(ms(10), usize::MAX).len(), MAX_PENDING - 2);
        assert_eq!(repairs.asked(ms(10), 1, ITEM), Asked::Queued);
        assert!(repairs.lingering.len() <= MAX_LINGERING && repairs.lingering.len() == repairs.sent.len());
    }
}
