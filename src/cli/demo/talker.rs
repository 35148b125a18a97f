//! Scripted people: they talk without pause and remember what was acknowledged to them.

use super::Happening;
use crate::cli::client::{self, Kind as ClientKind};
use crate::cli::config::Settings;
use crate::cli::contact::Talk;
use crate::cli::failure::{Code, Failure, plain};
use crate::cli::times::clock;
use crate::client::{Draft, Event, Notice, Progress};
use crate::ids::MessageId;
use crate::record::Kind;
use crossbeam_channel::{Receiver, Sender, after, bounded, select, tick};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often each of them looks whether it has something to say.
const BEAT: Duration = Duration::from_millis(50);
/// Most messages that one of them has on their way.
const ON_THEIR_WAY: usize = 24;
/// How long the last acknowledgements are waited for.
const LAST: Duration = Duration::from_secs(15);
/// Where they talk.
const ROOMS: [&str; 2] = ["lobby", "garden"];
/// What they say, beside a number.
const WORDS: [&str; 8] = [
    "does everyone see this?",
    "the soup is ready",
    "who has the key?",
    "I am in the garden",
    "the train is late again",
    "look, a heron",
    "see you at four",
    "that was not me",
];

/// What was acknowledged to all talkers.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    acknowledged: BTreeSet<MessageId>,
    /// Acknowledged and not yet taken by who proves.
    fresh: Vec<MessageId>,
    submitted: u64,
    last: Option<Instant>,
    waits: Waits,
}

/// How long acknowledgements took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Waits {
    /// How many came.
    pub(super) count: u32,
    /// All of them together.
    pub(super) sum: Duration,
    /// The longest.
    pub(super) longest: Duration,
}

impl Ledger {
    /// Ids of everything that was acknowledged.
    pub(super) fn acknowledged(&self) -> BTreeSet<MessageId> {
        self.open(|book| book.acknowledged.clone())
    }

    /// What was acknowledged since this was asked last.
    pub(super) fn take_fresh(&self) -> Vec<MessageId> {
        self.open(|book| std::mem::take(&mut book.fresh))
    }

    /// How many messages were made, and how many acknowledged.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.open(|book| (book.submitted, book.acknowledged.len() as u64))
    }

    /// When something was acknowledged last.
    pub(super) fn last(&self) -> Option<Instant> {
        self.open(|book| book.last)
    }

    /// How long acknowledgements took since this was asked last.
    pub(super) fn take_waits(&self) -> Waits {
        self.open(|book| std::mem::take(&mut book.waits))
    }

    fn submit(&self) {
        self.open(|book| book.submitted += 1);
    }

    fn acknowledge(&self, id: MessageId, took: Duration) {
        self.open(|book| {
            if book.acknowledged.insert(id) {
                book.fresh.push(id);
            }
            book.last = Some(clock());
            book.waits.count += 1;
            book.waits.sum += took;
            book.waits.longest = book.waits.longest.max(took);
        });
    }

    fn open<T>(&self, read: impl FnOnce(&mut Book) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A talker on a thread of its own.
#[derive(Debug)]
pub(super) struct Talker {
    enough: Option<Sender<Infallible>>,
    /// What it is still to say at once.
    burst: Arc<AtomicU32>,
    /// Tells how many messages were never acknowledged.
    thread: Option<JoinHandle<usize>>,
}

/// What all talkers have in common.
#[derive(Clone, Debug)]
pub(super) struct Company {
    /// Where acknowledgements are written down.
    pub(super) ledger: Ledger,
    /// The time between two things that one of them says.
    pub(super) pace: Duration,
    /// Where news of their servers are told.
    pub(super) told: Sender<Happening>,
}

impl Talker {
    /// Begins to talk, with these settings' nick and at any server.
    pub(super) fn start(settings: &Settings, company: &Company) -> Result<Self, Failure> {
        let (talk, _) = client::start(settings, &ClientKind::passer_by())?;
        let (enough, is_enough) = bounded(0);
        let burst = Arc::<AtomicU32>::default();
        let monologue = Monologue {
            talk,
            nick: settings.nick.value.as_str().to_owned(),
            company: company.clone(),
            burst: burst.clone(),
            pending: BTreeMap::new(),
            said: 0,
            spoke: clock(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("talker-{}", monologue.nick))
            .spawn(move || monologue.go(&is_enough))
            .map_err(|error| Failure::new(Code::Failed, format!("cannot start a thread: {}", plain(&error))))?;
        Ok(Self { enough: Some(enough), burst, thread: Some(thread) })
    }

    /// Says so many more messages as fast as they are taken.
    pub(super) fn burst(&self, messages: u32) {
        self.burst.fetch_add(messages, Ordering::Relaxed);
    }

    /// How many of a burst are not yet said.
    pub(super) fn unsaid(&self) -> u32 {
        self.burst.load(Ordering::Relaxed)
    }

    /// Says nothing more; the last acknowledgements are waited for by [`Talker::end`].
    pub(super) fn hush(&mut self) {
        self.enough = None;
    }

    /// Waits for the last acknowledgements; how many messages never had one.
    pub(super) fn end(mut self) -> usize {
        self.hush();
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or(0)
    }
}

struct Monologue {
    talk: Box<dyn Talk + Send>,
    nick: String,
    company: Company,
    burst: Arc<AtomicU32>,
    pending: BTreeMap<MessageId, Instant>,
    said: usize,
    spoke: Instant,
}

impl Monologue {
    fn go(mut self, is_enough: &Receiver<Infallible>) -> usize {
        for room in ROOMS {
            // That it is in the room is for others to see; nothing is proved by it.
            let _ = self.talk.submit(Draft { room: room.to_owned(), kind: Kind::Join, body: String::new() });
        }
        let beat = tick(BEAT.min(self.company.pace));
        loop {
            select! {
                recv(is_enough) -> _ => break,
                recv(beat) -> _ => self.speak(),
                recv(self.talk.events()) -> event => match event {
                    Ok(event) => self.hear(event),
                    Err(_) => return self.pending.len(),
                },
            }
            self.speak_on();
        }
        let limit = after(LAST);
        while !self.pending.is_empty() {
            select! {
                recv(limit) -> _ => break,
                recv(self.talk.events()) -> event => match event {
                    Ok(event) => self.hear(event),
                    Err(_) => break,
                },
            }
        }
        self.talk.command(crate::client::Command::Close);
        self.pending.len()
    }

    fn speak(&mut self) {
        if self.spoke.elapsed() >= self.company.pace {
            self.spoke = clock();
            self.say();
        }
    }

    /// Goes on with a burst, as far as the last messages are acknowledged.
    fn speak_on(&mut self) {
        while self.burst.load(Ordering::Relaxed) > 0 && self.say() {
            self.burst.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Says something; not while too much is on its way.
    fn say(&mut self) -> bool {
        if self.pending.len() >= ON_THEIR_WAY {
            return false;
        }
        self.said += 1;
        let room = ROOMS[self.said % ROOMS.len()].to_owned();
        let body = format!("{}: {}", self.said, WORDS[self.said % WORDS.len()]);
        let Ok(id) = self.talk.submit(Draft { room, kind: Kind::Text, body }) else { return false };
        self.pending.insert(id, clock());
        self.company.ledger.submit();
        true
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Progress { id, progress: Progress::Stable { .. } } => {
                if let Some(said) = self.pending.remove(&id) {
                    self.company.ledger.acknowledge(id, said.elapsed());
                }
            }
            Event::Notice(notice @ (Notice::Home { .. } | Notice::Gone { .. } | Notice::Moved { .. })) => {
                // News that nobody has time for are only news.
                let _ = self.company.told.try_send(Happening::Person { nick: self.nick.clone(), notice });
            }
            _ => {}
        }
    }
}
