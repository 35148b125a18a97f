//! Scripted people: they talk without pause and remember what was acknowledged to them.

use crate::cli::client::{self, Kind as ClientKind};
use crate::cli::config::Settings;
use crate::cli::contact::Talk;
use crate::cli::failure::{Code, Failure, plain};
use crate::cli::times::clock;
use crate::client::{Draft, Event, Progress};
use crate::ids::MessageId;
use crate::record::Kind;
use crossbeam_channel::{Receiver, Sender, after, bounded, select, tick};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often each of them says something.
const EVERY: Duration = Duration::from_millis(50);
/// Most messages that one of them has on their way.
const ON_THEIR_WAY: usize = 24;
/// How long the last acknowledgements are waited for.
const LAST: Duration = Duration::from_secs(15);
/// Where they talk.
const ROOMS: [&str; 2] = ["lobby", "garden"];

/// What was acknowledged to all talkers.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    acknowledged: BTreeSet<MessageId>,
    submitted: u64,
    last: Option<Instant>,
}

impl Ledger {
    /// Ids of everything that was acknowledged.
    pub(super) fn acknowledged(&self) -> BTreeSet<MessageId> {
        self.open(|book| book.acknowledged.clone())
    }

    /// How many messages were made, and how many acknowledged.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.open(|book| (book.submitted, book.acknowledged.len() as u64))
    }

    /// When something was acknowledged last.
    pub(super) fn last(&self) -> Option<Instant> {
        self.open(|book| book.last)
    }

    fn submit(&self) {
        self.open(|book| book.submitted += 1);
    }

    fn acknowledge(&self, id: MessageId) {
        self.open(|book| {
            book.acknowledged.insert(id);
            book.last = Some(clock());
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
    /// Tells how many messages were never acknowledged.
    thread: Option<JoinHandle<usize>>,
}

impl Talker {
    /// Begins to talk, with these settings' nick and at their server.
    pub(super) fn start(settings: &Settings, ledger: &Ledger) -> Result<Self, Failure> {
        let (talk, _) = client::start(settings, &ClientKind::passer_by())?;
        let (enough, is_enough) = bounded(0);
        let (ledger, nick) = (ledger.clone(), settings.nick.value.as_str().to_owned());
        let thread = std::thread::Builder::new()
            .name(format!("talker-{nick}"))
            .spawn(move || Monologue { talk, ledger, pending: BTreeSet::new(), said: 0 }.go(&is_enough))
            .map_err(|error| Failure::new(Code::Failed, format!("cannot start a thread: {}", plain(&error))))?;
        Ok(Self { enough: Some(enough), thread: Some(thread) })
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
    ledger: Ledger,
    pending: BTreeSet<MessageId>,
    said: usize,
}

impl Monologue {
    fn go(mut self, is_enough: &Receiver<Infallible>) -> usize {
        let beat = tick(EVERY);
        loop {
            select! {
                recv(is_enough) -> _ => break,
                recv(beat) -> _ => self.say(),
                recv(self.talk.events()) -> event => match event {
                    Ok(event) => self.hear(&event),
                    Err(_) => return self.pending.len(),
                },
            }
        }
        let limit = after(LAST);
        while !self.pending.is_empty() {
            select! {
                recv(limit) -> _ => break,
                recv(self.talk.events()) -> event => match event {
                    Ok(event) => self.hear(&event),
                    Err(_) => break,
                },
            }
        }
        self.talk.command(crate::client::Command::Close);
        self.pending.len()
    }

    fn say(&mut self) {
        if self.pending.len() >= ON_THEIR_WAY {
            return;
        }
        self.said += 1;
        let room = ROOMS[self.said % ROOMS.len()].to_owned();
        let body = format!("what I say for the {}. time", self.said);
        if let Ok(id) = self.talk.submit(Draft { room, kind: Kind::Text, body }) {
            self.pending.insert(id);
            self.ledger.submit();
        }
    }

    fn hear(&mut self, event: &Event) {
        if let Event::Progress { id, progress: Progress::Stable { .. } } = event {
            self.pending.remove(id);
            self.ledger.acknowledge(*id);
        }
    }
}
