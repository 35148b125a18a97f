//! The store: logs of epochs above an engine, changed by the protocol's writes, read by gsn.

use super::engine::{Archive, Batch, Direction, Engine, Page, Table};
use super::error::StoreError;
use super::rows::{Census, Head, Pruned, Totals, entry_key, gsn_of, seal, unseal_row, word};
use super::staged::Staged;
use crate::ids::{EpochId, MessageId, Pid};
use crate::proto::bugs::Bugs;
use crate::proto::io::Write;
use crate::record::{Entry, Record, View};
use crate::wire::session::{HistoryQuery, RoomInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Rows that one scan of a log asks for.
pub(super) const CHUNK: usize = 64;

/// The logs of all epochs, and what is known of each, above an [`Engine`].
///
/// After an error that is not [`StoreError::is_harmless`], drop the store and open it anew: what the disk holds is then
/// found out by reading it. When [`Store::is_damaged`] turns true, do the same: opening sets the damaged part aside, and
/// [`Recovered::damaged`](crate::proto::io::Recovered::damaged) tells the protocol.
#[derive(Debug)]
pub struct Store<E> {
    pub(super) engine: E,
    pub(super) pid: Pid,
    pub(super) max_num: u64,
    pub(super) logs: BTreeMap<EpochId, Log>,
    pub(super) census: Census,
    /// Epochs with committed entries that are not indexed.
    pub(super) behind: BTreeSet<EpochId>,
    /// Epochs whose entries are being taken away, each with the gsn before which none is left.
    pub(super) pruning: BTreeMap<EpochId, u64>,
    /// Whether any message was let go of.
    pub(super) has_pruned: bool,
    pub(super) totals: Totals,
    pub(super) damaged: bool,
    /// Rows set aside in this life: part of their keys.
    pub(super) asides: u64,
    /// Planted bugs.
    pub bugs: Bugs,
}

/// What is known of one epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// `None` while only a closure of it is known, or when the view was lost.
    pub(super) view: Option<Arc<View>>,
    /// Lengths.
    pub(super) head: Head,
    /// Length that the index covers.
    pub(super) covered: u64,
}

impl Log {
    /// Length that is history.
    pub(super) fn committed(&self) -> u64 {
        self.head.len.min(self.head.stable.max(self.head.closure.unwrap_or(0)))
    }

    /// Raises the closure.
    pub(super) fn close(&mut self, cut: u64) {
        self.head.closure = self.head.closure.max(Some(cut));
    }

    /// Whether it was let go of, or is being.
    pub(super) fn is_pruned(&self) -> bool {
        self.head.pruned != Pruned::No
    }

    /// Whether the index has something to do here.
    pub(super) fn is_behind(&self) -> bool {
        !self.is_pruned() && self.view.is_some() && self.committed() > self.covered
    }

    /// Whether what is here says nothing about what was stable: something is missing, and no closure tells how much.
    pub(super) fn is_damaged(&self) -> bool {
        if self.is_pruned() {
            return false;
        }
        let no_view = self.view.is_none() && (self.head.installed || self.head.len > 0);
        self.head.closure.is_none() && (self.head.lost > self.head.len || no_view)
    }
}

impl<E: Engine> Store<E> {
    /// This server, in this life.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Does a group of writes as one atomic batch and returns when it is durable.
    ///
    /// One write that breaks a rule refuses its whole group with a harmless error: then apply each by itself, and leave out
    /// the one that is refused again (a bad fill from another server).
    ///
    /// # Errors
    /// [`StoreError::Misplaced`], [`StoreError::NoView`] and [`StoreError::Conflict`] before anything was written; any
    /// error of the engine.
    pub fn apply(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let mut staged = Staged::new(self);
        for write in writes {
            staged.write(write)?;
        }
        let change = staged.finish();
        if change.batch.is_empty() {
            return Ok(());
        }
        self.engine.commit(change.batch)?;
        self.engine.sync()?;
        self.max_num = change.max_num;
        self.census = change.census;
        self.asides = change.asides;
        self.totals = change.totals;
        self.has_pruned |= change.has_pruned;
        for (epoch, log) in change.logs {
            self.keep(epoch, log);
        }
        Ok(())
    }

    /// Takes in what is known of an epoch now, and what there is to do for it.
    fn keep(&mut self, epoch: EpochId, log: Log) {
        if log.is_behind() {
            self.behind.insert(epoch);
        }
        if log.is_pruned() {
            self.behind.remove(&epoch);
        }
        if log.head.pruned.is_under_way() {
            self.pruning.entry(epoch).or_insert(0);
        }
        self.logs.insert(epoch, log);
    }

    /// Entries `first..=last` of an epoch in gsn order: at least one if there is one, then no more than `budget_bytes`. None of
    /// one that was let go of.
    ///
    /// Each is checked against its hash. A bad or missing one ends the answer and marks the store as damaged.
    ///
    /// # Errors
    /// Any error of the engine.
    pub fn read(
        &mut self,
        epoch: EpochId,
        first: u64,
        last: u64,
        budget_bytes: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        if self.logs.get(&epoch).is_some_and(Log::is_pruned) {
            return Ok(entries);
        }
        let last = last.min(self.len(epoch));
        let mut spent_bytes = 0_usize;
        let mut next = first.max(1);
        while next <= last {
            let rows = self.engine.scan(
                Table::Entries,
                &entry_key(epoch, next),
                &entry_key(epoch, last),
                CHUNK,
                Direction::Up,
            )?;
            for row in &rows {
                let found = (gsn_of(&row.0) == Some(next)).then(|| unseal_row::<Entry>(Table::Entries, row)).flatten();
                let Some(entry) = found else {
                    self.suspect(epoch, next);
                    return Ok(entries);
                };
                spent_bytes += row.1.len();
                if spent_bytes > budget_bytes && !entries.is_empty() {
                    return Ok(entries);
                }
                entries.push(entry);
                next += 1;
            }
            if rows.is_empty() {
                self.suspect(epoch, next);
                break;
            }
        }
        Ok(entries)
    }

    /// Length of an epoch's log, or what it was before it was let go of; 0 when it is not known.
    pub fn len(&self, epoch: EpochId) -> u64 {
        self.logs.get(&epoch).map_or(0, |log| log.head.len)
    }

    /// How much of an epoch's log is history, or was.
    pub fn committed(&self, epoch: EpochId) -> u64 {
        self.logs.get(&epoch).map_or(0, Log::committed)
    }

    /// The view of an epoch.
    pub fn view(&self, epoch: EpochId) -> Option<&View> {
        self.logs.get(&epoch)?.view.as_deref()
    }

    /// Every epoch known, ascending.
    pub fn epochs(&self) -> impl Iterator<Item = EpochId> {
        self.logs.keys().copied()
    }

    /// Whether a read met a row that is not what was written. Drop the store and open it anew.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// The engine.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The engine, for the simulator's faults.
    pub fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    /// Gives the engine back.
    pub fn into_engine(self) -> E {
        self.engine
    }

    /// Notes that an entry is bad, so that the next start checks every row.
    pub(super) fn suspect(&mut self, epoch: EpochId, gsn: u64) {
        log::error!("entry {gsn} of epoch {epoch} is damaged; the next start sets it aside");
        self.damaged = true;
        let mut batch = Batch::default();
        batch.put(Table::Meta, word::SUSPECT, seal(Table::Meta, word::SUSPECT, &gsn));
        if let Err(error) = self.engine.commit(batch).and_then(|()| self.engine.sync()) {
            log::error!("the damage could not be noted: {error}");
        }
    }
}

impl<E: Engine + Archive> Archive for Store<E> {
    fn history(&self, query: &HistoryQuery) -> Result<Page, StoreError> {
        self.engine.history(query)
    }

    fn search(&self, words: &str, within: &HistoryQuery) -> Result<Page, StoreError> {
        self.engine.search(words, within)
    }

    fn rooms(&self) -> Result<Vec<RoomInfo>, StoreError> {
        self.engine.rooms()
    }

    fn place(&self, id: MessageId) -> Result<Option<(Record, String)>, StoreError> {
        self.engine.place(id)
    }

    fn check(&self, from: MessageId, most: usize) -> Result<Option<MessageId>, StoreError> {
        self.engine.check(from, most)
    }
}
