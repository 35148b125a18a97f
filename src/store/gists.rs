//! The gists of epochs, kept behind their logs with the index: what each says of people, nicks and rooms.

use super::engine::{Batch, Direction, Engine, Row, Table};
use super::error::StoreError;
use super::log::{CHUNK, Log, Store};
use super::rows::{epoch_of, seal, unseal, unseal_row};
use crate::ids::EpochId;
use crate::proto::gist::{Gist, Gists, Subject};
use crate::proto::rooms::Rooms;
use crate::record::{Record, View};
use crate::seq::IdSet;
use std::collections::BTreeMap;

impl<E: Engine> Store<E> {
    /// Gists of an epoch behind a subject, at least one if there is one, then no more than `budget_bytes`. None of one that was let
    /// go of.
    ///
    /// # Errors
    /// [`StoreError::DamagedIndex`] when a row is not what was written; any error of the engine.
    pub fn gists(&self, epoch: EpochId, after: Option<&Subject>, budget_bytes: usize) -> Result<Gists, StoreError> {
        let Some(log) = self.logs.get(&epoch).filter(|log| !log.is_pruned()) else { return Ok(Gists::default()) };
        let mut found = Gists { upto: log.covered, ..Gists::default() };
        let mut from = after.map_or_else(|| first_key(epoch), |after| behind(&row_key(epoch, after)));
        let mut spent_bytes = 0;
        loop {
            let rows = self.engine.scan(Table::Gists, &from, &last_key(epoch), CHUNK, Direction::Up)?;
            let Some(last) = rows.last() else { return Ok(found) };
            from = behind(&last.0);
            for row in &rows {
                let gist = gist_of(row).ok_or_else(|| damaged(epoch))?;
                spent_bytes += row.1.len();
                if spent_bytes > budget_bytes
                    && let Some(last) = found.gists.last()
                {
                    found.more = Some(last.subject());
                    return Ok(found);
                }
                found.gists.push(gist);
            }
        }
    }

    /// Takes the first gists that are left of an epoch that is let go of; whether there were any.
    pub(super) fn forget_gists(&mut self, epoch: EpochId, budget: usize) -> Result<bool, StoreError> {
        let mut batch = Batch::default();
        let rows = self.engine.scan(Table::Gists, &epoch.to_bytes(), &last_key(epoch), budget.max(1), Direction::Up)?;
        let is_last = rows.is_empty();
        for (key, _) in rows {
            batch.delete(Table::Gists, key);
        }
        if !is_last {
            self.engine.commit(batch)?;
        }
        Ok(!is_last)
    }
}

/// The gist of an epoch on its way from one step of the index to the next.
pub(super) struct GistStep<'a, E> {
    engine: &'a E,
    epoch: EpochId,
    rooms: Rooms,
    /// What was asked for in the store, and is there.
    asked: BTreeMap<Subject, bool>,
}

impl<'a, E: Engine> GistStep<'a, E> {
    pub(super) fn new(engine: &'a E, epoch: EpochId) -> Self {
        Self { engine, epoch, rooms: Rooms::of_epoch(), asked: BTreeMap::new() }
    }

    /// Adds the records of an entry, in the order of the log.
    pub(super) fn add(&mut self, record: &Record, view: &View, origin: crate::ids::Pid) -> Result<(), StoreError> {
        for subject in Subject::of(record) {
            if self.asked.contains_key(&subject) {
                continue;
            }
            let key = row_key(self.epoch, &subject);
            let stored = self.engine.get(Table::Gists, &key)?;
            self.asked.insert(subject, stored.is_some());
            if let Some(value) = stored {
                let gist = gist_of(&(key, value)).ok_or_else(|| damaged(self.epoch))?;
                self.rooms.absorb(gist, &IdSet::default());
            }
        }
        self.rooms.apply(record, origin, view.name_of(origin));
        Ok(())
    }

    /// Adds what changed to the batch, and how many rows there are then.
    pub(super) fn finish(self, batch: &mut Batch) -> Result<(), StoreError> {
        let mut new = 0;
        for gist in self.rooms.gists() {
            let subject = gist.subject();
            new += u64::from(!self.asked.get(&subject).copied().unwrap_or(false));
            let key = row_key(self.epoch, &subject);
            let value = seal(Table::Gists, &key, &gist);
            batch.put(Table::Gists, key, value);
        }
        let key = self.epoch.to_bytes();
        let stored = self.engine.get(Table::Gists, &key)?;
        let known: u64 =
            stored.map_or(Some(0), |value| unseal(Table::Gists, &key, &value)).ok_or_else(|| damaged(self.epoch))?;
        batch.put(Table::Gists, key, seal(Table::Gists, &key, &(known + new)));
        Ok(())
    }
}

/// The gists of all epochs, as they are counted when a store is opened.
#[derive(Default)]
pub(super) struct Count {
    /// How many there are of each epoch, and how many there ought to be, as far as that is told.
    rows: BTreeMap<EpochId, (u64, Option<u64>)>,
    is_bad: bool,
}

impl Count {
    /// Counts a row.
    pub(super) fn add(&mut self, row: &Row) {
        let of_epoch = row.0.get(..24).and_then(epoch_of).map(|epoch| self.rows.entry(epoch).or_default());
        let told = || unseal_row::<u64>(Table::Gists, row);
        match of_epoch {
            Some((found, _)) if gist_of(row).is_some() => *found += 1,
            Some((_, ought)) if row.0.len() == 24 && told().is_some() => *ought = told(),
            _ => self.is_bad = true,
        }
    }

    /// Whether every epoch has as many as it ought to have, those that are indexed among them.
    pub(super) fn is_whole(&self, logs: &BTreeMap<EpochId, Log>, covered: &[(EpochId, u64)]) -> bool {
        let is_kept = |epoch: &EpochId| logs.get(epoch).is_none_or(|log| !log.is_pruned());
        let is_sound = |epoch: &EpochId| self.rows.get(epoch).is_some_and(|(found, ought)| Some(*found) == *ought);
        let indexed = covered.iter().filter(|(_, upto)| *upto > 0).map(|(epoch, _)| epoch);
        !self.is_bad && self.rows.keys().chain(indexed).filter(|epoch| is_kept(epoch)).all(is_sound)
    }
}

/// Where a gist's row is: ascending as the subjects are. Behind the row that counts them, whose key is the epoch alone.
fn row_key(epoch: EpochId, subject: &Subject) -> Vec<u8> {
    let (kind, name) = match subject {
        Subject::Room(folded) => (1, folded.as_bytes().to_vec()),
        Subject::Nick(client, folded) => (2, [&client.0.to_be_bytes()[..], folded.as_bytes()].concat()),
        Subject::Person(client) => (3, client.0.to_be_bytes().to_vec()),
    };
    [&epoch.to_bytes()[..], &[kind], &name].concat()
}

fn first_key(epoch: EpochId) -> Vec<u8> {
    behind(&epoch.to_bytes())
}

fn last_key(epoch: EpochId) -> Vec<u8> {
    [&epoch.to_bytes()[..], &[0xff]].concat()
}

/// The least key behind this one.
fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// The gist in a row; `None` when it is not what was written, or elsewhere than it ought to be.
fn gist_of(row: &Row) -> Option<Gist> {
    let gist: Gist = unseal_row(Table::Gists, row)?;
    let epoch = row.0.get(..24).and_then(epoch_of)?;
    (row_key(epoch, &gist.subject()) == row.0).then_some(gist)
}

fn damaged(epoch: EpochId) -> StoreError {
    StoreError::DamagedIndex { what: format!("what epoch {} says of people and rooms", epoch.num) }
}
