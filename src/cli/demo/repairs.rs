//! Lost datagrams and how they were had after all, read from the servers' event records.

use super::commentary::list;
use crate::ids::ServerId;
use crate::wire::sketch::Sketch;
use crate::wire::trace::{RecordPage, What};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Most numbers that a server asked for and that are watched until they come.
const MAX_WATCHED: usize = 4096;
/// Repairs are told of this often at most.
const EVERY: Duration = Duration::from_secs(3);

/// Reads one server's record, page by page.
#[derive(Debug, Default)]
pub(super) struct RecordReader {
    began_us: u64,
    /// The next page is asked for after this number.
    pub(super) after: u64,
    /// What was asked for, since when and of whom: data by its origin, orders by nobody.
    watched: BTreeMap<(Option<ServerId>, u64), (u64, ServerId)>,
}

/// What a server's record said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Found {
    /// How often it asked (NACK).
    pub(super) asked: u64,
    /// For how many numbers.
    pub(super) numbers: u64,
    /// How many of them came.
    pub(super) came: u64,
    /// How many datagrams it sent again because others asked.
    pub(super) sent_again: u64,
    /// The first of those that came, in words.
    pub(super) example: Option<String>,
}

impl RecordReader {
    /// Reads a page; whether there may be another. What happened before `since_us` is passed over.
    pub(super) fn read(&mut self, page: &RecordPage, since_us: u64, found: &mut Found) -> bool {
        if page.began_us != self.began_us {
            *self = Self { began_us: page.began_us, ..Self::default() };
        }
        let name = |id: ServerId| page.names.iter().find(|(of, _)| *of == id).map_or("?", |(_, name)| name.as_str());
        for event in page.events.iter().filter(|event| event.at_us >= since_us) {
            match &event.what {
                What::Sent {
                    to: crate::wire::trace::Whom::Server(to),
                    sketch: Sketch::Nack { order, data, .. },
                    ..
                } => {
                    found.asked += 1;
                    let orders = order.iter().map(|&(first, last)| (None, first, last));
                    for (origin, first, last) in orders.chain(data.iter().copied()) {
                        found.numbers += self.watch(event.at_us, *to, origin, first, last);
                    }
                }
                What::Sent { repair: true, .. } => found.sent_again += 1,
                What::Received { sketch: Sketch::Data { origin: Some(origin), oseq, .. }, .. } => {
                    if let Some((asked_us, of)) = self.watched.remove(&(Some(*origin), *oseq)) {
                        found.came += 1;
                        let ms = event.at_us.saturating_sub(asked_us).div_ceil(1000);
                        let (me, origin, of) = (name(page.server), name(*origin), name(of));
                        found.example.get_or_insert_with(|| {
                            format!("{me} saw that number {oseq} of {origin}'s was missing, asked {of}, and had it {ms} ms later")
                        });
                    }
                }
                What::Received { sketch: Sketch::Order { runs, .. }, .. } => {
                    for gsn in runs.iter().flat_map(|run| run.gsn..run.gsn.saturating_add(run.batches.into())) {
                        found.came += u64::from(self.watched.remove(&(None, gsn)).is_some());
                    }
                }
                // Numbers die with their view.
                What::Sent { sketch: Sketch::Install { .. }, .. }
                | What::Received { sketch: Sketch::Install { .. }, .. } => {
                    self.watched.clear();
                }
                _ => {}
            }
        }
        let more = page.next > self.after && !page.events.is_empty();
        self.after = page.next;
        more
    }

    /// Watches what was asked for; how much of it is asked for the first time.
    fn watch(&mut self, at_us: u64, of: ServerId, origin: Option<ServerId>, first: u64, last: u64) -> u64 {
        let mut new = 0;
        for number in (first..=last).take(MAX_WATCHED) {
            if self.watched.len() >= MAX_WATCHED {
                self.watched.pop_first();
            }
            self.watched.entry((origin, number)).or_insert_with(|| {
                new += 1;
                (at_us, of)
            });
        }
        new
    }
}

/// What was found at all servers, until it is told.
#[derive(Debug)]
pub(super) struct Repairs {
    found: Vec<Found>,
    dropped: Vec<u64>,
    told_at: Instant,
}

impl Repairs {
    /// Nothing yet, at so many servers.
    pub(super) fn new(count: usize, now: Instant) -> Self {
        Self { found: vec![Found::default(); count], dropped: vec![0; count], told_at: now }
    }

    /// Adds what one check found.
    pub(super) fn add(&mut self, found: &[Found]) {
        for (sum, found) in self.found.iter_mut().zip(found) {
            sum.asked += found.asked;
            sum.numbers += found.numbers;
            sum.came += found.came;
            sum.sent_again += found.sent_again;
            sum.example = sum.example.take().or_else(|| found.example.clone());
        }
    }

    /// What is to be told, if enough was found and it is time; `dropped` is what faults have dropped at each server so far.
    pub(super) fn take(&mut self, now: Instant, names: &[&str], dropped: &[u64]) -> Option<String> {
        if now < self.told_at + EVERY || self.found.iter().all(|found| found.asked == 0) {
            return None;
        }
        self.told_at = now;
        let found = std::mem::take(&mut self.found);
        self.found = vec![Found::default(); found.len()];
        let lost: Vec<u64> =
            dropped.iter().zip(&self.dropped).map(|(now, before)| now.saturating_sub(*before)).collect();
        self.dropped = dropped.to_vec();
        let each = |counts: &mut dyn Iterator<Item = u64>| {
            let counts = counts.zip(names).filter(|(count, _)| *count > 0);
            list(&counts.map(|(count, name)| format!("{name} {count}")).collect::<Vec<_>>())
        };
        let (numbers, came): (u64, u64) =
            (found.iter().map(|found| found.numbers).sum(), found.iter().map(|found| found.came).sum());
        let sentence = |before: &str, text: String, after: &str| {
            if text.is_empty() { text } else { format!("{before}{text}{after}") }
        };
        let all = if came >= numbers { "all".to_owned() } else { format!("so far {came}") };
        let lost = sentence("Datagrams were lost: ", each(&mut lost.into_iter()), ". ");
        let asked = each(&mut found.iter().map(|found| found.asked));
        let again = sentence(" Sent again: ", each(&mut found.iter().map(|found| found.sent_again)), ".");
        let example = found.into_iter().find_map(|found| found.example).unwrap_or_default();
        let example = sentence(" For example, ", example, ".");
        Some(format!(
            "{lost}Who saw a gap asked for it (NACK): {asked}, for {numbers} numbers in all; {all} came.{again}{example}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::times::clock;
    use crate::wire::trace::{TraceEvent, Via, Whom};

    const ASH: ServerId = ServerId(1);
    const ELM: ServerId = ServerId(2);

    fn page(began_us: u64, events: Vec<(u64, What)>) -> RecordPage {
        let events: Vec<TraceEvent> =
            events.into_iter().zip(1..).map(|((at_us, what), seq)| TraceEvent { seq, at_us, what }).collect();
        let names = vec![(ASH, "ash".to_owned()), (ELM, "elm".to_owned())];
        RecordPage { server: ASH, began_us, next: events.len() as u64, lost: 0, events, names }
    }

    fn nack(first: u64, last: u64) -> What {
        let sketch = Sketch::Nack { epoch: 1, order: Vec::new(), data: vec![(Some(ELM), first, last)] };
        What::Sent { to: Whom::Server(ELM), via: Via::Unicast, sum: 1, bytes: 50, repair: false, sketch }
    }

    fn data(oseq: u64) -> What {
        let sketch = Sketch::Data { epoch: 1, origin: Some(ELM), oseq, part: 0, parts: 1, ids: Vec::new() };
        What::Received { from: Whom::Server(ELM), via: Via::Unicast, sum: 2, bytes: 50, sketch }
    }

    #[test]
    fn gap_is_followed_from_its_nack_to_its_repair() {
        let (mut reader, mut found) = (RecordReader::default(), Found::default());
        let events =
            vec![(500, nack(7, 7)), (1000, nack(41, 42)), (2000, nack(42, 42)), (7000, data(41)), (7100, data(43))];
        assert!(reader.read(&page(9, events), 1000, &mut found));
        assert_eq!((found.asked, found.numbers, found.came), (2, 2, 1), "what is older does not count");
        let example = "ash saw that number 41 of elm's was missing, asked elm, and had it 6 ms later";
        assert_eq!(found.example.as_deref(), Some(example));
        assert!(!reader.read(&RecordPage { events: Vec::new(), ..page(9, vec![]) }, 0, &mut found));
    }

    #[test]
    fn hostile_ranges_are_watched_within_the_bound() {
        let (mut reader, mut found) = (RecordReader::default(), Found::default());
        reader.read(&page(1, vec![(1, nack(1, u64::MAX)), (2, nack(u64::MAX - 9, u64::MAX))]), 0, &mut found);
        assert!(reader.watched.len() <= MAX_WATCHED);
        reader.read(&page(2, Vec::new()), 0, &mut found);
        assert!(reader.watched.is_empty(), "another record");
    }

    #[test]
    fn repairs_are_told_together_and_not_too_often() {
        let now = clock();
        let mut repairs = Repairs::new(2, now);
        let found = Found { asked: 3, numbers: 5, came: 5, sent_again: 0, example: Some("x".to_owned()) };
        repairs.add(&[found.clone(), Found { sent_again: 5, ..Found::default() }]);
        assert_eq!(repairs.take(now, &["ash", "elm"], &[9, 4]), None);
        let words = repairs.take(now + EVERY, &["ash", "elm"], &[9, 4]).unwrap();
        assert_eq!(
            words,
            "Datagrams were lost: ash 9 and elm 4. Who saw a gap asked for it (NACK): ash 3, for 5 numbers in all; all came. \
             Sent again: elm 5. For example, x."
        );
        repairs.add(&[found]);
        assert_eq!(repairs.take(now + EVERY, &["ash", "elm"], &[9, 4]), None);
    }
}
