//! The event record: what this server did and saw lately, in a bounded ring of small typed entries. Nothing is formatted
//! and no batch is read until someone asks.

use crate::record::{Payload, Taken};
use crate::time::{Now, Time};
use crate::wire::sketch::{Sketch, ids_in};
use crate::wire::trace::{MAX_PAGE_BYTES, MAX_PAGE_EVENTS, RecordPage, TraceEvent, What, Whom};
use std::collections::VecDeque;
use std::time::Duration;

/// Events kept; of more the oldest are forgotten, and counted. A minute or two of a busy ring, hours of a quiet one.
pub const MAX_EVENTS: usize = 16_384;
/// Bytes of events kept, with the batches that they hold on to; of more the oldest are forgotten.
pub const MAX_BYTES: usize = 8 << 20;
/// When the two clocks have drifted apart this much, the wall clock counts.
const DRIFT: Duration = Duration::from_millis(2);

/// A server's event record.
#[derive(Debug)]
pub struct Trace {
    on: bool,
    kept: VecDeque<Kept>,
    /// The number of the oldest event kept.
    first: u64,
    bytes: usize,
    began_us: u64,
    anchor: Anchor,
    /// What is being handled: whom what is dropped came from, and its checksum.
    arrival: Option<(Whom, u32)>,
}

#[derive(Clone, Debug)]
struct Kept {
    at_us: u64,
    what: What,
    /// Where the ids are found that the event has.
    batch: Option<(Payload, Taken)>,
}

impl Kept {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.what.heap_bytes() + self.batch.as_ref().map_or(0, |(batch, _)| batch.len())
    }

    fn told(&self, seq: u64) -> TraceEvent {
        let mut what = self.what.clone();
        if let Some((batch, taken)) = &self.batch {
            let all = ids_in(batch.as_slice()).into_iter().enumerate();
            let found = all.filter(|(idx, _)| taken.has(*idx)).map(|(_, id)| id).collect();
            match &mut what {
                What::Sent { sketch: Sketch::Data { ids, .. }, .. }
                | What::Received { sketch: Sketch::Data { ids, .. }, .. }
                | What::Delivered { ids, .. } => *ids = found,
                _ => {}
            }
        }
        TraceEvent { seq, at_us: self.at_us, what }
    }
}

/// A moment on both clocks: the wall clock tells milliseconds only, and what happens within one keeps its order and its
/// distance by the other.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    mono: Time,
    wall_us: u64,
}

impl Anchor {
    fn at(now: Now) -> Self {
        Self { mono: now.mono, wall_us: now.wall_ms.saturating_mul(1000) }
    }

    /// The moment in microseconds since 1970. Moves the anchor when the wall clock went its own way.
    fn read(&mut self, now: Now) -> u64 {
        let since = now.mono.0.saturating_sub(self.mono.0);
        let reckoned = self.wall_us.saturating_add(since);
        if reckoned.abs_diff(now.wall_ms.saturating_mul(1000)) <= DRIFT.as_micros() as u64 {
            return reckoned;
        }
        *self = Self::at(now);
        self.wall_us
    }
}

impl Trace {
    /// An empty record that begins now; one that is not `on` stays empty.
    pub fn new(now: Now, on: bool) -> Self {
        let anchor = Anchor::at(now);
        Self { on, kept: VecDeque::new(), first: 1, bytes: 0, began_us: anchor.wall_us, anchor, arrival: None }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Something happened; where it has ids of messages, they are in `batch`.
    pub fn note(&mut self, now: Now, what: What, batch: Option<(Payload, Taken)>) {
        if !self.on {
            return;
        }
        let kept = Kept { at_us: self.anchor.read(now), what, batch };
        self.bytes += kept.bytes();
        self.kept.push_back(kept);
        while self.kept.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.first += 1;
        }
    }

    /// This is being handled from now on; `None` when it is something that did not come over the network.
    pub fn arrives(&mut self, arrival: Option<(Whom, u32)>) {
        self.arrival = arrival;
    }

    /// What is being handled.
    pub fn arrival(&self) -> Option<(Whom, u32)> {
        self.arrival
    }

    /// The number of the newest event; 0 before the first.
    fn last(&self) -> u64 {
        self.first + self.kept.len() as u64 - 1
    }

    /// Events after number `after`, oldest first, at most `limit` and what a page takes. A number beyond the newest one is
    /// another record's: the page then begins at the oldest.
    pub fn page(&self, after: u64, limit: u32) -> RecordPage {
        let after = if after > self.last() { 0 } else { after };
        let skipped = (after + 1).saturating_sub(self.first) as usize;
        let limit = (limit as usize).min(MAX_PAGE_EVENTS);
        let mut page = RecordPage { began_us: self.began_us, next: after, ..RecordPage::default() };
        page.lost = self.first.saturating_sub(after + 1);
        let mut bytes = 0;
        for (seq, kept) in (self.first..).zip(&self.kept).skip(skipped).take(limit) {
            let event = kept.told(seq);
            bytes += postcard::experimental::serialized_size(&event).unwrap_or(MAX_PAGE_BYTES);
            if bytes > MAX_PAGE_BYTES && !page.events.is_empty() {
                break;
            }
            page.next = seq;
            page.events.push(event);
        }
        page
    }

    /// Events and bytes kept.
    pub fn level(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::encode_batch;
    use crate::record::tests::message;

    fn at(us: u64) -> Now {
        Now { mono: Time(us), wall_ms: 1_000_000 + us / 1000 }
    }

    fn full() -> Trace {
        let mut trace = Trace::new(at(0), true);
        for n in 0..MAX_EVENTS as u64 + 10 {
            trace.note(at(n), What::Durable { epoch: 1, upto: n + 1 }, None);
        }
        trace
    }

    #[test]
    fn a_full_record_forgets_the_oldest_and_says_how_many() {
        let trace = full();
        assert_eq!(trace.level().0, MAX_EVENTS);
        let page = trace.page(0, u32::MAX);
        assert_eq!((page.lost, page.events.len(), page.events[0].seq), (10, MAX_PAGE_EVENTS, 11));
        let page = trace.page(page.next, 5);
        assert_eq!((page.lost, page.events.len(), page.next), (0, 5, 10 + MAX_PAGE_EVENTS as u64 + 5));
    }

    #[test]
    fn pages_join_without_gap_or_double_up_to_the_newest() {
        let trace = full();
        let mut seqs = Vec::new();
        let mut after = 0;
        loop {
            let page = trace.page(after, 1000);
            if page.next == after {
                break;
            }
            after = page.next;
            seqs.extend(page.events.iter().map(|event| event.seq));
        }
        assert!(seqs.iter().copied().eq(11..=MAX_EVENTS as u64 + 10));
    }

    #[test]
    fn number_of_another_record_begins_at_the_oldest_event() {
        let mut trace = Trace::new(at(0), true);
        assert_eq!(trace.page(500, 10), RecordPage { began_us: 1_000_000_000, ..RecordPage::default() });
        trace.note(at(0), What::Durable { epoch: 1, upto: 1 }, None);
        assert_eq!(trace.page(500, 10).events.len(), 1);
        assert_eq!(trace.page(u64::MAX, 10).events.len(), 1);
        assert_eq!(trace.page(1, 10).events.len(), 0);
    }

    #[test]
    fn batches_count_against_the_bytes_and_tell_their_ids_when_asked() {
        let mut trace = Trace::new(at(0), true);
        let batch = encode_batch(&[message(1, 1, &"x".repeat(60_000)), message(1, 2, "y")]);
        let origin = crate::ids::ServerId(1);
        for gsn in 1..=1000 {
            let what = What::Delivered { epoch: 1, gsn, origin, oseq: gsn, copies: 2, of: 2, ids: Vec::new() };
            trace.note(at(gsn), what, Some((batch.clone(), Taken(0b10))));
        }
        assert!(trace.level().1 <= MAX_BYTES && trace.level().0 > 100);
        let page = trace.page(0, 1);
        let What::Delivered { ids, .. } = &page.events[0].what else { panic!("{page:?}") };
        assert_eq!(ids.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0000000000000001-2"]);
    }

    #[test]
    fn moments_within_a_millisecond_keep_their_order_and_follow_a_clock_that_is_set() {
        let mut trace = Trace::new(at(100), true);
        let mut note = |now| trace.note(now, What::Durable { epoch: 1, upto: 1 }, None);
        note(at(150));
        note(at(151));
        note(at(2100));
        note(Now { mono: Time(2200), wall_ms: 5 });
        note(Now { mono: Time(2300), wall_ms: 5 });
        let at_us: Vec<u64> = trace.page(0, 10).events.iter().map(|event| event.at_us).collect();
        assert_eq!(at_us, [1_000_000_050, 1_000_000_051, 1_000_002_000, 5000, 5100]);
    }

    #[test]
    fn record_that_is_off_keeps_nothing() {
        let mut trace = Trace::new(at(0), false);
        trace.note(at(1), What::Durable { epoch: 1, upto: 1 }, None);
        assert_eq!(trace.level(), (0, 0));
    }
}
