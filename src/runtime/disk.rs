//! The disk's thread: writes in groups, reads in between, and the index of history when there is nothing else to do.

use super::backlog::Backlog;
use super::disk_line::{DiskLine, Job, What};
use super::index_line::Life;
use crate::ids::EpochId;
use crate::proto::gist::{Gists, Subject};
use crate::proto::io::{Input, ReadFor, Recovered, Ticket, Trouble, Write};
use crate::store::engine::Engine;
use crate::store::{Store, StoreError};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, select};
use std::time::{Duration, Instant};

/// Jobs that wait for the disk. The protocol bounds what it has not seen acknowledged far below this; at the bound its
/// thread waits, and takes in what the disk has done meanwhile.
const JOBS: usize = 16 << 10;
/// Completions that wait for the protocol.
const DONE: usize = 1024;
/// Most writes in one group.
const GROUP: usize = 1024;
/// Entries indexed in one step: a few milliseconds, for which a write may have to wait.
const INDEX_STEP: usize = 128;
/// Jobs in a row after which the index takes one step even while others wait.
const INDEX_EVERY: u32 = 16;
/// How long nothing is asked for before what nobody waits for is done: a write that comes meanwhile does not find the disk
/// at a sync for it, and most often takes it along. Nothing waits longer, however much is read meanwhile.
pub(crate) const QUIET: Duration = Duration::from_millis(200);
/// Questions that wait for the index.
const INDEX_WAITERS: usize = 64;
/// Pause before a store that failed is opened again.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);
/// Least time between two openings for damage that readers met.
const MEND_PAUSE: Duration = Duration::from_secs(10);

/// Opens the store, also anew after it failed.
pub(crate) type Open<E> = Box<dyn FnMut() -> Result<(Store<E>, Recovered), StoreError> + Send>;

/// Tells whether a disk that was full has room again.
pub(crate) type HasRoom = Box<dyn Fn() -> bool + Send>;

/// The disk's side: run it on a thread of its own.
pub(crate) struct Disk<E> {
    open: Open<E>,
    has_room: HasRoom,
    store: Option<Store<E>>,
    jobs: Receiver<Job>,
    done: Sender<Input<'static>>,
    /// Whether writes are acknowledged at receipt (`--durability memory`).
    acks_at_once: bool,
    life: u64,
    /// The same, for those who read beside it.
    store_life: Life,
    /// Jobs since the index was last worked on.
    done_since: u32,
    /// Entries written since the index last came to the end of history; at least [`INDEX_STEP`] while it is known not to be there.
    unindexed: usize,
    /// Nothing was asked for since a while.
    is_quiet: bool,
    /// Writes that nobody waits for, to be done with the next that somebody does. At most [`GROUP`].
    lazy: Vec<Write>,
    /// Runs out when they are to be done at the latest.
    flush_at: Option<Receiver<Instant>>,
    held: Option<Job>,
    /// Who waits for the index.
    waiters: Vec<Sender<()>>,
    /// Runs out some time after the store was last opened anew for a reader.
    mended: Option<Receiver<Instant>>,
    backlog: Backlog,
}

/// Nothing is to be done any more.
struct Stopped;

impl<E: Engine> Disk<E> {
    /// A disk with an open store, and the protocol's way to it.
    pub(crate) fn new(open: Open<E>, store: Store<E>, acks_at_once: bool) -> (Self, DiskLine) {
        let (jobs, next_job) = bounded(JOBS);
        let (done, completions) = bounded(DONE);
        let store = Some(store);
        let disk = Self {
            open,
            has_room: Box::new(|| true),
            store,
            jobs: next_job,
            done,
            acks_at_once,
            life: 0,
            store_life: Life::default(),
            done_since: 0,
            unindexed: 0,
            is_quiet: false,
            lazy: Vec::new(),
            flush_at: None,
            held: None,
            waiters: Vec::new(),
            mended: None,
            backlog: Backlog::none(),
        };
        disk.note_backlog();
        let store_life = disk.store_life.clone();
        (disk, DiskLine::new(jobs, completions, store_life))
    }

    /// The same; after it was full it is opened again only when this says that there is room.
    pub(crate) fn with_room(self, has_room: HasRoom) -> Self {
        Self { has_room, ..self }
    }

    /// How far the index is behind.
    pub(crate) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }

    fn note_backlog(&self) {
        if let Some(store) = &self.store {
            self.backlog.note(store);
        }
    }

    /// Works until told to stop, or until nobody can ask any more; then keeps the store until nobody reads beside it.
    pub(crate) fn run(mut self) {
        self.work();
        self.outlast_readers();
    }

    /// The last to close the store's file empties the write-ahead log into it. Of several that close it at once each may
    /// find another still there, and the log stays: so the writer is the last.
    fn outlast_readers(&mut self) {
        self.held = None;
        self.waiters.clear();
        while self.jobs.recv().is_ok() {}
    }

    fn work(&mut self) {
        while let Ok(job) = self.next_job() {
            self.done_since += 1;
            // Asked for in an earlier life of the store: who asked is no more.
            if job.life < self.life && !matches!(job.what, What::Stop) {
                continue;
            }
            let outcome = match job.what {
                What::Write(ticket, write) => self.write_group(ticket, write),
                What::Read { epoch, first, last, budget_bytes, purpose } => {
                    self.read(epoch, first, last, budget_bytes, purpose)
                }
                What::ReadGists { epoch, after, budget_bytes } => self.read_gists(epoch, after, budget_bytes),
                What::Index(done) => {
                    if self.waiters.len() < INDEX_WAITERS {
                        self.waiters.push(done);
                    }
                    Ok(())
                }
                What::Mend(damage) => self.mend(&damage),
                What::MakeAnew(damage) => self.make_anew(&damage),
                What::Stop => {
                    // Whether it fails or not, nothing follows: a failure has been told.
                    let _ = self.flush();
                    return;
                }
            };
            if outcome.is_err() {
                return;
            }
        }
    }

    /// The next job. What nobody waits for goes on when none came for a while, when there is much of it and no job waits, and
    /// now and then before one that does.
    fn next_job(&mut self) -> Result<Job, Stopped> {
        if let Some(job) = self.held.take() {
            return Ok(job);
        }
        loop {
            let behind = !self.is_index_due() || self.index()?;
            match self.jobs.try_recv() {
                Ok(job) => return Ok(job),
                Err(TryRecvError::Disconnected) => return Err(Stopped),
                Err(TryRecvError::Empty) if !behind => return self.jobs.recv().map_err(|_| Stopped),
                Err(TryRecvError::Empty) if self.is_index_due() => {}
                Err(TryRecvError::Empty) => match self.jobs.recv_timeout(QUIET) {
                    Ok(job) => return Ok(job),
                    Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
                    Err(RecvTimeoutError::Timeout) => self.is_quiet = true,
                },
            }
        }
    }

    fn is_index_due(&self) -> bool {
        let is_late = self.flush_at.as_ref().is_some_and(|late| !late.is_empty());
        let is_asked_for = self.done_since >= INDEX_EVERY || !self.waiters.is_empty();
        is_late || is_asked_for || self.jobs.is_empty() && (self.is_quiet || self.unindexed >= INDEX_STEP)
    }

    /// One step of the index; whether there is more.
    fn index(&mut self) -> Result<bool, Stopped> {
        self.done_since = 0;
        self.flush()?;
        match self.store.as_mut().map_or(Ok(false), |store| store.index_some(INDEX_STEP)) {
            Ok(_) if self.is_damaged() => {
                self.fail(&StoreError::Corrupt { what: "an entry that the index wants".to_owned() }).map(|()| true)
            }
            Ok(more) => {
                self.note_backlog();
                self.unindexed = if more { self.unindexed.max(INDEX_STEP) } else { 0 };
                if self.store.as_ref().is_none_or(Store::is_indexed) {
                    for waiter in self.waiters.drain(..) {
                        // Who gave up waiting is not missed.
                        let _ = waiter.try_send(());
                    }
                }
                Ok(more)
            }
            Err(error) => self.fail(&error).map(|()| true),
        }
    }

    /// Does what nobody waits for.
    fn flush(&mut self) -> Result<(), Stopped> {
        self.flush_at = None;
        if self.lazy.is_empty() {
            return Ok(());
        }
        let lazy = std::mem::take(&mut self.lazy);
        let outcome = self.store.as_mut().map_or(Ok(()), |store| apply(store, &lazy));
        outcome.or_else(|error| self.fail(&error))
    }

    /// Writes everything that waits as one group, then acknowledges its last, unless nobody waits for any of it.
    fn write_group(&mut self, ticket: Ticket, write: Write) -> Result<(), Stopped> {
        self.is_quiet = false;
        self.unindexed += write.entries();
        let mut upto = ticket;
        let mut group = std::mem::take(&mut self.lazy);
        group.push(write);
        while group.len() < GROUP {
            match self.jobs.try_recv() {
                Ok(Job { life, what: What::Write(ticket, write) }) if life == self.life => {
                    upto = ticket;
                    self.unindexed += write.entries();
                    group.push(write);
                }
                Ok(other) => {
                    self.held = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        if group.len() < GROUP && group.iter().all(Write::is_lazy) {
            self.lazy = group;
            self.flush_at.get_or_insert_with(|| crossbeam_channel::after(QUIET));
            return Ok(());
        }
        self.flush_at = None;
        if self.acks_at_once {
            self.tell(Input::Written { upto })?;
        }
        let outcome = self.store.as_mut().map_or(Ok(()), |store| apply(store, &group));
        match outcome {
            Err(error) => self.fail(&error),
            Ok(()) if self.acks_at_once => Ok(()),
            Ok(()) => self.tell(Input::Written { upto }),
        }
    }

    fn read(
        &mut self,
        epoch: EpochId,
        first: u64,
        last: u64,
        budget_bytes: usize,
        purpose: ReadFor,
    ) -> Result<(), Stopped> {
        let outcome = self.store.as_mut().map_or(Ok(Vec::new()), |store| store.read(epoch, first, last, budget_bytes));
        let (entries, error) = match outcome {
            Ok(entries) => (entries, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        self.tell(Input::Read { epoch, first, entries, purpose })?;
        match error {
            Some(error) => self.fail(&error),
            None if self.is_damaged() => self.fail(&StoreError::Corrupt { what: format!("an entry of epoch {epoch}") }),
            None => Ok(()),
        }
    }

    fn read_gists(&mut self, epoch: EpochId, after: Option<Subject>, budget_bytes: usize) -> Result<(), Stopped> {
        let store = self.store.as_ref();
        let outcome = store.map_or(Ok(Gists::default()), |store| store.gists(epoch, after.as_ref(), budget_bytes));
        match outcome {
            Ok(gists) => self.tell(Input::Gists { epoch, after, gists }),
            Err(error) => self.fail(&error),
        }
    }

    fn is_damaged(&self) -> bool {
        self.store.as_ref().is_some_and(Store::is_damaged)
    }

    /// Opens the store anew for damage that a reader met; not again at once, where that did not help.
    fn mend(&mut self, damage: &StoreError) -> Result<(), Stopped> {
        if self.mended.as_ref().is_some_and(Receiver::is_empty) {
            return Ok(());
        }
        let outcome = self.fail(damage);
        self.mended = Some(crossbeam_channel::after(MEND_PAUSE));
        outcome
    }

    /// Makes the index anew by opening the store anew, if there is room for that. Else all goes on with the index that is there.
    fn make_anew(&mut self, damage: &StoreError) -> Result<(), Stopped> {
        match self.store.as_ref().map_or(Ok(()), |store| store.engine().condemn_index()) {
            Ok(()) => self.mend(damage),
            Err(error) => {
                log::error!("the index of history cannot be made anew: {error}");
                Ok(())
            }
        }
    }

    /// Says that the disk failed, closes the store and opens it anew, however long that takes. Never tries again on the
    /// same handle: what a failed sync left behind is known only by reading it.
    fn fail(&mut self, error: &StoreError) -> Result<(), Stopped> {
        let mut trouble = trouble_of(error);
        // The others are told by their events, which say more.
        let level = if trouble == Trouble::Broken { log::Level::Error } else { log::Level::Info };
        log::log!(level, "{error}");
        self.tell(Input::WriteFailed { trouble })?;
        if let Some(store) = self.store.take() {
            self.backlog.note_stopped(&store);
        }
        self.lazy.clear();
        let mut told = error.to_string();
        loop {
            if trouble == Trouble::Full && !(self.has_room)() {
                self.wait_for_reopening()?;
                continue;
            }
            match (self.open)() {
                Ok((store, recovered)) => {
                    self.store = Some(store);
                    self.life += 1;
                    self.store_life.begin(self.life);
                    self.backlog.note_short(false);
                    self.note_backlog();
                    return self.tell(Input::Reopened { recovered: Box::new(recovered) });
                }
                Err(error) => {
                    let why = error.to_string();
                    if why != told {
                        log::warn!("still no store: {why}");
                        told = why;
                    }
                    // Damage is told with the store that has set it aside. There is none: what now?
                    let now = if error.is_damage() { Trouble::Broken } else { trouble_of(&error) };
                    if now != std::mem::replace(&mut trouble, now) {
                        self.tell(Input::WriteFailed { trouble })?;
                    }
                }
            }
            self.wait_for_reopening()?;
        }
    }

    /// Lets a pause pass in which every job is void.
    fn wait_for_reopening(&mut self) -> Result<(), Stopped> {
        let pause = crossbeam_channel::after(REOPEN_PAUSE);
        loop {
            select! {
                recv(self.jobs) -> job => match job {
                    Ok(Job { what: What::Stop, .. }) | Err(_) => return Err(Stopped),
                    Ok(_) => {}
                },
                recv(pause) -> _ => return Ok(()),
            }
        }
    }

    fn tell(&self, input: Input<'static>) -> Result<(), Stopped> {
        self.done.send(input).map_err(|_| Stopped)
    }
}

/// What an error is to those who wait for the disk.
fn trouble_of(error: &StoreError) -> Trouble {
    match error {
        StoreError::Full { .. } => Trouble::Full,
        error if error.is_damage() => Trouble::Damaged,
        _ => Trouble::Broken,
    }
}

/// Applies a group; where the store's own rules refuse it, each write by itself, leaving out what another server filled in
/// wrongly: one bad part of someone's history is no fault of this disk.
fn apply<E: Engine>(store: &mut Store<E>, group: &[Write]) -> Result<(), StoreError> {
    match store.apply(group) {
        Err(error) if error.is_harmless() => {}
        outcome => return outcome,
    }
    for write in group {
        match store.apply(std::slice::from_ref(write)) {
            Err(error) if error.is_harmless() && matches!(write, Write::Fill { .. }) => {
                log::error!("a part of history from another server is left out: {error}");
            }
            outcome => outcome?,
        }
    }
    Ok(())
}
