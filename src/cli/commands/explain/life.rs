//! What the servers' records tell of one message: its datagrams, its place, and where it got when.

use crate::cli::records::Records;
use crate::ids::{MessageId, ServerId};
use crate::wire::sketch::Sketch;
use crate::wire::trace::{TraceEvent, What, Whom};
use std::collections::{BTreeMap, BTreeSet};

/// The life of a message, as far as it is remembered.
#[derive(Debug)]
pub(super) struct Life<'a> {
    /// The places it was given, by epoch: one, or several when it was ordered again.
    pub(super) places: BTreeMap<u64, u64>,
    /// What happened to it, by time.
    pub(super) moments: Vec<Moment<'a>>,
}

/// Something that happened to the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    /// Where.
    pub(super) server: ServerId,
    /// The event of that server's record.
    pub(super) event: &'a TraceEvent,
    /// In which epoch; 0 before it had one.
    pub(super) epoch: u64,
    /// What it was to the message.
    pub(super) step: Step,
}

/// What an event was to a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Step {
    /// A server took it from its client.
    Accepted,
    /// Its origin told it to all.
    Multicast,
    /// A server got it, or a piece of it.
    Received,
    /// A server missed it and asked this one for it.
    AskedData(Option<ServerId>),
    /// A server that had it sent it again.
    Repaired,
    /// The leader gave it its place.
    Placed,
    /// A server missed its place and asked for it.
    AskedOrder(Option<ServerId>),
    /// Its place was told again.
    OrderRepaired,
    /// It was on this server's disk.
    Durable,
    /// It was known here to be on every disk.
    Stable,
    /// It was history here, with so many copies known.
    Delivered {
        /// Copies; 0 when nobody told.
        copies: u16,
        /// Servers in the view.
        of: u16,
    },
}

impl Step {
    /// The word in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Multicast => "multicast",
            Self::Received => "received",
            Self::AskedData(_) => "asked",
            Self::Repaired => "repaired",
            Self::Placed => "placed",
            Self::AskedOrder(_) => "asked_for_its_place",
            Self::OrderRepaired => "place_told_again",
            Self::Durable => "durable",
            Self::Stable => "stable",
            Self::Delivered { .. } => "delivered",
        }
    }
}

/// A batch that carried the message: epoch, origin, and its datagrams' numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Carrier {
    epoch: u64,
    origin: ServerId,
    first: u64,
    last: u64,
}

impl Carrier {
    fn is(&self, epoch: u64, origin: Option<ServerId>, first: u64, last: u64) -> bool {
        self.epoch == epoch && Some(self.origin) == origin && first <= self.last && last >= self.first
    }
}

impl<'a> Life<'a> {
    /// What `records` tell of a message, of which history may know a place (epoch and gsn).
    pub(super) fn of(id: MessageId, records: &'a Records, known: Option<(u64, u64)>) -> Self {
        let events = || records.servers.iter().flat_map(|one| one.events.iter().map(|event| (one.server, event)));
        let carriers: BTreeSet<Carrier> = events().filter_map(|(_, event)| carrier(id, &event.what)).collect();
        let mut places: BTreeMap<u64, u64> = known.into_iter().collect();
        for (_, event) in events() {
            places.extend(place(id, &carriers, &event.what));
        }
        let reader = Reader { id, carriers, places };
        let mut once = BTreeSet::new();
        let mut moments: Vec<Moment<'a>> = Vec::new();
        for (server, event) in events() {
            let Some((epoch, step)) = reader.step(&event.what) else { continue };
            // That it is durable or stable is news once; its place, until it is asked for again.
            let is_state = matches!(step, Step::Durable | Step::Stable | Step::Placed);
            if !is_state || once.insert((server, epoch, step)) {
                moments.push(Moment { server, event, epoch, step });
            }
        }
        moments.sort_by_key(|moment| (moment.event.at_us, moment.server, moment.event.seq));
        Self { places: reader.places, moments }
    }

    /// Whether anyone remembers more than that it is on a disk.
    pub(super) fn is_remembered(&self) -> bool {
        self.moments.iter().any(|moment| !matches!(moment.step, Step::Durable | Step::Stable))
    }
}

fn carrier(id: MessageId, what: &What) -> Option<Carrier> {
    match what {
        What::Sent { sketch, .. } | What::Received { sketch, .. } => match sketch {
            Sketch::Data { epoch, origin: Some(origin), oseq, part, parts, ids } if ids.contains(&id) => {
                let first = oseq.saturating_sub(u64::from(*part));
                let last = first.saturating_add(u64::from(*parts).saturating_sub(1));
                Some(Carrier { epoch: *epoch, origin: *origin, first, last })
            }
            _ => None,
        },
        _ => None,
    }
}

/// A place that this event says the message has.
fn place(id: MessageId, carriers: &BTreeSet<Carrier>, what: &What) -> Option<(u64, u64)> {
    match what {
        What::Delivered { epoch, gsn, ids, .. } if ids.contains(&id) => Some((*epoch, *gsn)),
        What::Sent { sketch, .. } | What::Received { sketch, .. } => ordered(carriers, sketch),
        _ => None,
    }
}

/// The place that an order gives to one of the batches.
fn ordered(carriers: &BTreeSet<Carrier>, sketch: &Sketch) -> Option<(u64, u64)> {
    let Sketch::Order { epoch, runs, .. } = sketch else { return None };
    runs.iter().find_map(|run| {
        let last = run.oseq.saturating_add(u64::from(run.datagrams).saturating_sub(1));
        let carrier = carriers.iter().find(|carrier| carrier.is(*epoch, run.origin, run.oseq, last))?;
        let ahead = if run.batches > 1 { carrier.first.saturating_sub(run.oseq) } else { 0 };
        Some((*epoch, run.gsn.saturating_add(ahead)))
    })
}

struct Reader {
    id: MessageId,
    carriers: BTreeSet<Carrier>,
    places: BTreeMap<u64, u64>,
}

impl Reader {
    fn step(&self, what: &What) -> Option<(u64, Step)> {
        match what {
            What::Accepted { id, .. } => (*id == self.id).then_some((0, Step::Accepted)),
            What::Sent { to, repair, sketch, .. } => self.sent(*to, *repair, sketch),
            What::Received { sketch: Sketch::Data { epoch, origin, oseq, .. }, .. } => {
                self.carries(*epoch, *origin, *oseq, *oseq).then_some((*epoch, Step::Received))
            }
            What::Durable { epoch, upto } => self.reaches(*epoch, *upto).then_some((*epoch, Step::Durable)),
            What::Stable { epoch, upto } => self.reaches(*epoch, *upto).then_some((*epoch, Step::Stable)),
            What::Delivered { epoch, copies, of, ids, .. } => {
                let step = Step::Delivered { copies: *copies, of: *of };
                ids.contains(&self.id).then_some((*epoch, step))
            }
            What::DeliveredLate { epoch, gsn, upto } => {
                let is_in = self.places.get(epoch).is_some_and(|place| (gsn..=upto).contains(&place));
                is_in.then_some((*epoch, Step::Delivered { copies: 0, of: 0 }))
            }
            What::Received { .. } | What::Dropped { .. } | What::Event(_) => None,
        }
    }

    fn sent(&self, to: Whom, repair: bool, sketch: &Sketch) -> Option<(u64, Step)> {
        match sketch {
            Sketch::Data { epoch, origin, oseq, .. } if self.carries(*epoch, *origin, *oseq, *oseq) => {
                Some((*epoch, if repair { Step::Repaired } else { Step::Multicast }))
            }
            Sketch::Order { .. } => {
                let (epoch, _) = ordered(&self.carriers, sketch)?;
                Some((epoch, if repair { Step::OrderRepaired } else { Step::Placed }))
            }
            Sketch::Nack { epoch, order, data } => {
                let whom = if let Whom::Server(server) = to { Some(server) } else { None };
                if data.iter().any(|&(origin, first, last)| self.carries(*epoch, origin, first, last)) {
                    return Some((*epoch, Step::AskedData(whom)));
                }
                let place = self.places.get(epoch)?;
                order
                    .iter()
                    .any(|range| (range.0..=range.1).contains(place))
                    .then_some((*epoch, Step::AskedOrder(whom)))
            }
            _ => None,
        }
    }

    fn carries(&self, epoch: u64, origin: Option<ServerId>, first: u64, last: u64) -> bool {
        self.carriers.iter().any(|carrier| carrier.is(epoch, origin, first, last))
    }

    fn reaches(&self, epoch: u64, upto: u64) -> bool {
        self.places.get(&epoch).is_some_and(|place| *place <= upto)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::records::ServerRecord;
    use crate::ids::ClientId;
    use crate::web::trace::Names;
    use crate::wire::sketch::RunSketch;
    use crate::wire::trace::Via;

    pub(in crate::cli::commands::explain) const ID: MessageId = MessageId { client: ClientId(0xfeed), cseq: 7 };
    const OAK: ServerId = ServerId(1);
    const ELM: ServerId = ServerId(2);
    const ASH: ServerId = ServerId(3);

    fn data() -> Sketch {
        Sketch::Data { epoch: 13, origin: Some(OAK), oseq: 9, part: 0, parts: 1, ids: vec![ID] }
    }

    fn order() -> Sketch {
        let run = RunSketch { origin: Some(OAK), oseq: 7, gsn: 40, batches: 3, datagrams: 3 };
        Sketch::Order { epoch: 13, stable: 39, first: 40, runs: vec![run] }
    }

    fn sent(to: Whom, repair: bool, sketch: Sketch) -> What {
        let via = if to == Whom::All { Via::Multicast } else { Via::Unicast };
        What::Sent { to, via, sum: 5, bytes: 100, repair, sketch }
    }

    fn received(via: Via, sketch: Sketch) -> What {
        What::Received { from: Whom::Server(OAK), via, sum: 5, bytes: 100, sketch }
    }

    fn delivered() -> What {
        What::Delivered { epoch: 13, gsn: 42, origin: OAK, oseq: 9, copies: 3, of: 3, ids: vec![ID] }
    }

    /// Oak takes the message, elm leads, ash misses the datagram and asks for it.
    pub(in crate::cli::commands::explain) fn records() -> Records {
        let nack = Sketch::Nack { epoch: 13, order: Vec::new(), data: vec![(Some(OAK), 8, 10)] };
        let other = Sketch::Data { epoch: 13, origin: Some(ELM), oseq: 9, part: 0, parts: 1, ids: Vec::new() };
        let state = |upto| What::Durable { epoch: 13, upto };
        let oak = vec![
            (1000, What::Accepted { id: ID, room: "lobby".into() }),
            (1100, sent(Whom::All, false, data())),
            (4000, sent(Whom::Server(ASH), true, data())),
            (5000, state(41)),
            (5500, state(44)),
            (9000, What::Stable { epoch: 13, upto: 50 }),
            (9001, delivered()),
        ];
        let elm = vec![
            (1300, received(Via::Multicast, data())),
            (1400, sent(Whom::All, false, order())),
            (1500, received(Via::Multicast, other)),
            (6000, state(42)),
            (6100, state(43)),
        ];
        let ash = vec![
            (3900, sent(Whom::Server(OAK), false, nack)),
            (4300, received(Via::Unicast, data())),
            (8000, state(42)),
            (9100, What::DeliveredLate { epoch: 13, gsn: 30, upto: 60 }),
        ];
        let record = |server, events: Vec<(u64, What)>| ServerRecord {
            elections: Vec::new(),
            server,
            addr: "10.0.0.1:8285".parse().unwrap(),
            lost: 0,
            events: (1..).zip(events).map(|(seq, (at_us, what))| TraceEvent { seq, at_us, what }).collect(),
        };
        let mut names = Names::default();
        names.learn(&[(OAK, "oak".to_owned()), (ELM, "elm".to_owned()), (ASH, "ash".to_owned())]);
        let servers = vec![record(OAK, oak), record(ELM, elm), record(ASH, ash)];
        Records { net: "home".into(), servers, names, missing: Vec::new() }
    }

    #[test]
    fn life_has_the_way_the_place_who_missed_it_and_each_disk_once() {
        let records = records();
        let life = Life::of(ID, &records, None);
        assert_eq!(life.places, BTreeMap::from([(13, 42)]));
        let told: Vec<(u64, ServerId, &str)> =
            life.moments.iter().map(|one| (one.event.at_us, one.server, one.step.word())).collect();
        assert_eq!(
            told,
            [
                (1000, OAK, "accepted"),
                (1100, OAK, "multicast"),
                (1300, ELM, "received"),
                (1400, ELM, "placed"),
                (3900, ASH, "asked"),
                (4000, OAK, "repaired"),
                (4300, ASH, "received"),
                (5500, OAK, "durable"),
                (6000, ELM, "durable"),
                (8000, ASH, "durable"),
                (9000, OAK, "stable"),
                (9001, OAK, "delivered"),
                (9100, ASH, "delivered"),
            ]
        );
        assert!(life.is_remembered());
    }

    #[test]
    fn message_that_only_history_has_is_not_remembered() {
        let records = records();
        let other = MessageId { client: ClientId(1), cseq: 1 };
        assert!(!Life::of(other, &records, Some((13, 20))).is_remembered());
        assert!(Life::of(other, &records, None).moments.is_empty());
        assert!(Life::of(other, &records, Some((13, 31))).is_remembered(), "it came late to ash");
    }
}
