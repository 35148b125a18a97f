//! The standing proof: each second every server is asked what is new in its history, and the histories are compared.
//!
//! Asked for is only what sorts after the last message known, so that a check costs what was said in a second. What a merge
//! or a catch-up puts between older messages is found by reading a history anew: when its server tells of such a thing, when
//! it is another process, and as long as histories differ; then no more often than a tenth of the time goes into it.

use super::Happening;
use super::proof::Line;
use super::repairs::{Found, RecordReader};
use super::talker::Ledger;
use crate::cli::Run;
use crate::cli::config::Settings;
use crate::cli::contact::Contact;
use crate::cli::demo::ground::set;
use crate::cli::failure::{Code, Failure, plain};
use crate::cli::output::Output;
use crate::cli::page::{Pages, Part};
use crate::cli::signals::Interrupt;
use crate::cli::times::clock;
use crate::cli::values::Span;
use crate::ids::{MessageId, RecordKey};
use crate::wire::session::{Answer, HistoryQuery, Query};
use crate::wire::trace::MAX_PAGE_EVENTS;
use crossbeam_channel::{Receiver, Sender, after, bounded, select};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::Xxh3;

/// The time between two checks.
const EVERY: Duration = Duration::from_secs(1);
/// How long a server may take to answer one.
const PATIENCE: Duration = Duration::from_secs(2);
/// Messages back from its end at which a history's digest is remembered.
const MARKS: usize = 20_000;
/// Of the time, at most one part in so many goes into reading histories anew.
const SHARE: u32 = 10;
/// Pages of a server's event record that one check reads; the rest is read by the next.
const RECORD_PAGES: usize = 8;
/// A server's index runs behind its log: after a merge its history is read once more, this much later.
const INDEXED: Duration = Duration::from_secs(2);
/// What was acknowledged and is nowhere is lost after this time.
const LOST: Duration = Duration::from_secs(5);

/// What the checks know of the servers, as the stage tells them. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Roster(Arc<Mutex<Vec<Entry>>>);

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    life: u32,
    can_be_asked: bool,
    was_merged: bool,
    /// From when on repairs are looked for, in microseconds since 1970; never if `None`.
    repairs_since_us: Option<u64>,
}

impl Roster {
    /// So many servers that cannot be asked yet.
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![Entry::default(); count])))
    }

    /// Which life a server is in, and whether it runs and takes clients.
    pub(super) fn note(&self, at: usize, life: u32, can_be_asked: bool) {
        self.open(|entries| (entries[at].life, entries[at].can_be_asked) = (life, can_be_asked));
    }

    /// Something was put between a server's older messages.
    pub(super) fn note_merge(&self, at: usize) {
        self.open(|entries| entries[at].was_merged = true);
    }

    /// Repairs are looked for from this moment on, or not any more.
    pub(super) fn look_for_repairs(&self, since_us: Option<u64>) {
        self.open(|entries| entries.iter_mut().for_each(|entry| entry.repairs_since_us = since_us));
    }

    /// What is known of a server; that something was merged is told once.
    fn take(&self, at: usize) -> Entry {
        self.open(|entries| {
            let entry = entries[at];
            entries[at].was_merged = false;
            entry
        })
    }

    fn open<T>(&self, read: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What one check found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Report {
    /// Of each server: its history's digest, up to where it is compared, and its messages, as last read.
    pub(super) copies: Vec<(u64, u64)>,
    /// Whether all that run have the same history, and have what any of them had a second ago.
    pub(super) equal: bool,
    /// Messages acknowledged so far.
    pub(super) acknowledged: u64,
    /// Acknowledged messages that are in no history, or twice in one.
    pub(super) lost: u64,
    /// How many checks were made before.
    pub(super) number: u64,
    /// What the servers' records said of repairs since the check before.
    pub(super) found: Vec<Found>,
}

/// The thread that checks. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Standing {
    enough: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Standing {
    /// Begins to check the servers of these names, with these clients' settings.
    pub(super) fn start(
        names: &[&'static str],
        roster: &Roster,
        ledger: &Ledger,
        settings: &Settings,
        interrupt: &Interrupt,
        told: &Sender<Happening>,
    ) -> Result<Self, Failure> {
        let (enough, is_enough) = bounded(0);
        let mut copies = Vec::new();
        for name in names {
            let server = set(Some(name.parse()?));
            let settings = Settings { server, timeout: set(Span(PATIENCE)), ..settings.clone() };
            copies.push(Reading::new(Run { settings, output: Output { quiet: true, ..Output::default() } }));
        }
        let (told, interrupt) = (told.clone(), interrupt.clone());
        let mut checker = Checker {
            copies,
            roster: roster.clone(),
            ledger: ledger.clone(),
            places: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            nowhere: BTreeMap::new(),
            newest: None,
            number: 0,
        };
        let thread = std::thread::Builder::new()
            .name("proof".to_owned())
            .spawn(move || checker.go(&is_enough, &interrupt, &told))
            .map_err(|error| Failure::new(Code::Failed, format!("cannot start a thread: {}", plain(&error))))?;
        Ok(Self { enough: Some(enough), thread: Some(thread) })
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.enough = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// One server's history, as far as it was read.
struct Reading {
    run: Run,
    contact: Option<Contact>,
    life: u32,
    hash: Xxh3,
    messages: u64,
    doubled: u64,
    /// The digest behind each of the last messages.
    marks: VecDeque<(RecordKey, u64)>,
    read_whole: Option<(Instant, Duration)>,
    again_at: Option<Instant>,
    is_fresh: bool,
    record: RecordReader,
    found: Found,
}

impl Reading {
    fn new(run: Run) -> Self {
        Self {
            run,
            contact: None,
            life: 0,
            hash: Xxh3::new(),
            messages: 0,
            doubled: 0,
            marks: VecDeque::new(),
            read_whole: None,
            again_at: None,
            is_fresh: false,
            record: RecordReader::default(),
            found: Found::default(),
        }
    }

    /// Reads on in the server's event record; what cannot be read now is read later.
    fn read_record(&mut self, since_us: u64) {
        let Some(contact) = &mut self.contact else { return };
        for _ in 0..RECORD_PAGES {
            let query = Query::Record { after: self.record.after, limit: MAX_PAGE_EVENTS as u32 };
            match contact.ask(query) {
                Ok(Answer::Record(page)) if self.record.read(&page, since_us, &mut self.found) => {}
                _ => return,
            }
        }
    }

    fn last(&self) -> Option<RecordKey> {
        self.marks.back().map(|(key, _)| *key)
    }

    /// The digest of everything up to this key; `None` when that lies too far back.
    fn digest_at(&self, key: RecordKey) -> Option<u64> {
        let behind = self.marks.partition_point(|(mark, _)| *mark <= key);
        behind.checked_sub(1).and_then(|at| self.marks.get(at)).map(|(_, digest)| *digest)
    }

    fn forget(&mut self) {
        (self.messages, self.doubled) = (0, 0);
        self.hash = Xxh3::new();
        self.marks.clear();
    }

    /// Whether enough time has passed since the history was last read whole.
    fn may_read_whole(&self, now: Instant) -> bool {
        self.read_whole.is_none_or(|(when, took)| now.saturating_duration_since(when) >= (took * SHARE).max(EVERY / 2))
    }

    fn take(&mut self, line: &Line, is_new: bool) {
        line.hash(&mut self.hash);
        self.messages += 1;
        self.doubled += u64::from(!is_new);
        if self.marks.len() >= MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back((line.key(), self.hash.digest()));
    }
}

struct Checker {
    copies: Vec<Reading>,
    roster: Roster,
    ledger: Ledger,
    /// Whose histories have a message, a bit each. Grows with the demo's history.
    places: BTreeMap<MessageId, u16>,
    acknowledged: BTreeSet<MessageId>,
    /// What was acknowledged and was in no history yet, and since when.
    nowhere: BTreeMap<MessageId, Instant>,
    /// The newest message that any server had at the last check.
    newest: Option<RecordKey>,
    number: u64,
}

impl Checker {
    fn go(&mut self, is_enough: &Receiver<Infallible>, interrupt: &Interrupt, told: &Sender<Happening>) {
        let mut wait = Duration::ZERO;
        loop {
            select! {
                recv(is_enough) -> _ => return,
                recv(interrupt.channel()) -> _ => return,
                recv(after(wait)) -> _ => {}
            }
            let begun = clock();
            let report = self.check(interrupt);
            let _ = told.try_send(Happening::Proof(report));
            wait = EVERY.saturating_sub(begun.elapsed()).max(EVERY / 4);
        }
    }

    fn check(&mut self, interrupt: &Interrupt) -> Report {
        let now = clock();
        for id in self.ledger.take_fresh() {
            self.acknowledged.insert(id);
            self.nowhere.insert(id, now);
        }
        let asked: Vec<Entry> = (0..self.copies.len()).map(|at| self.roster.take(at)).collect();
        for (at, entry) in asked.iter().enumerate() {
            self.copies[at].is_fresh = false;
            if entry.can_be_asked {
                self.visit(at, *entry, interrupt);
            }
        }
        let mut equal = self.are_equal(&asked);
        if !equal {
            for (at, entry) in asked.iter().enumerate() {
                if entry.can_be_asked && self.copies[at].may_read_whole(clock()) {
                    self.read(at, true, interrupt);
                }
            }
            equal = self.are_equal(&asked);
        }
        self.newest = self.copies.iter().filter_map(Reading::last).max();
        self.report(equal, asked.iter().all(|entry| entry.can_be_asked))
    }

    fn visit(&mut self, at: usize, entry: Entry, interrupt: &Interrupt) {
        let copy = &mut self.copies[at];
        let is_other = copy.life != entry.life;
        if is_other {
            copy.contact = None;
            copy.life = entry.life;
        }
        let now = clock();
        let is_late = copy.again_at.is_some_and(|at| now >= at);
        if entry.was_merged {
            copy.again_at = Some(now + INDEXED);
        } else if is_late {
            copy.again_at = None;
        }
        let whole = is_other || ((entry.was_merged || is_late) && copy.may_read_whole(now));
        self.read(at, whole, interrupt);
        if let Some(since_us) = entry.repairs_since_us {
            self.copies[at].read_record(since_us);
        }
    }

    /// Reads what is new in a history, or all of it.
    fn read(&mut self, at: usize, whole: bool, interrupt: &Interrupt) {
        let begun = clock();
        let bit = 1_u16 << at;
        if whole {
            self.copies[at].forget();
            self.places.values_mut().for_each(|holders| *holders &= !bit);
        }
        let copy = &mut self.copies[at];
        copy.is_fresh = false;
        let Some(mut contact) = copy.contact.take().or_else(|| Contact::open(&copy.run, interrupt).ok()) else {
            return;
        };
        let within = HistoryQuery { after: copy.last(), ..HistoryQuery::default() };
        let places = &mut self.places;
        let read = Pages { contact: &mut contact, words: None, within }.read(Part::All, |row| {
            let line = Line::of(row);
            let holders = places.entry(line.id()).or_default();
            copy.take(&line, *holders & bit == 0);
            *holders |= bit;
            Ok(())
        });
        copy.contact = Some(contact);
        copy.is_fresh = read.is_ok();
        if whole {
            copy.read_whole = Some((clock(), begun.elapsed()));
            let lacking = self.acknowledged.iter().filter(|id| places.get(id).is_none_or(|holders| *holders == 0));
            for id in lacking {
                self.nowhere.entry(*id).or_insert(begun);
            }
        }
        self.nowhere.retain(|id, _| places.get(id).is_none_or(|holders| *holders == 0));
    }

    fn are_equal(&self, asked: &[Entry]) -> bool {
        let there: Vec<&Reading> =
            self.copies.iter().zip(asked).filter(|(_, entry)| entry.can_be_asked).map(|(copy, _)| copy).collect();
        if there.is_empty() || there.iter().any(|copy| !copy.is_fresh) {
            return false;
        }
        let shortest = there.iter().map(|copy| copy.last()).min().flatten();
        let Some(upto) = shortest else { return there.iter().all(|copy| copy.messages == 0) };
        let digest = there[0].digest_at(upto);
        Some(upto) >= self.newest && digest.is_some() && there.iter().all(|copy| copy.digest_at(upto) == digest)
    }

    fn report(&mut self, equal: bool, all_there: bool) -> Report {
        let doubled: u64 = self.copies.iter().map(|copy| copy.doubled).sum();
        // While some server is away, it may have what the others lack.
        let gone =
            if equal && all_there { self.nowhere.values().filter(|since| since.elapsed() > LOST).count() } else { 0 };
        let fresh = self.copies.iter().filter(|copy| copy.is_fresh).filter_map(Reading::last);
        let upto = if equal { fresh.min() } else { None };
        let digest = |copy: &Reading| match upto {
            Some(upto) if copy.is_fresh => copy.digest_at(upto).unwrap_or_default(),
            _ => copy.hash.digest(),
        };
        self.number += 1;
        Report {
            copies: self.copies.iter().map(|copy| (digest(copy), copy.messages)).collect(),
            equal,
            acknowledged: self.acknowledged.len() as u64,
            lost: gone as u64 + doubled,
            number: self.number,
            found: self.copies.iter_mut().map(|copy| std::mem::take(&mut copy.found)).collect(),
        }
    }
}
