//! What a store knows of its history as it is opened: what the index covers, and what was let go of.

use super::{Recovery, each_row};
use crate::ids::{ClientId, EpochId};
use crate::record::Entry;
use crate::seq::RangeSet;
use crate::store::engine::{Engine, Row, Table};
use crate::store::error::StoreError;
use crate::store::gists::Count;
use crate::store::log::Log;
use crate::store::revision::common;
use crate::store::rows::{Totals, entry_key, epoch_of, unseal_row, word};

impl<E: Engine> Recovery<E> {
    /// Which messages were let go of. Where a row is lost, what it kept out of the index is history until another server
    /// tells of it again.
    pub(super) fn load_pruned(&mut self) -> Result<(), StoreError> {
        let mut bad = Vec::new();
        let pruned = &mut self.pruned;
        each_row(&self.engine, Table::Pruned, &[], &[0xff; 9], |row| match numbers_of(Table::Pruned, &row) {
            Some((client, set)) => _ = pruned.union(client, &set),
            None => bad.push(row),
        })?;
        // With a row of whatever kind that is lost it may be lost, too, what is still to be taken out of history.
        self.recover_index |= !bad.is_empty() || self.damaged && !self.pruned.is_empty();
        for row in bad {
            self.set_aside(Table::Pruned, row);
        }
        Ok(())
    }

    /// What the index covers, and the ids that are in it.
    pub(super) fn load_covered(&mut self) -> Result<(), StoreError> {
        let mut sound = !self.recover_index;
        let mut covered = Vec::new();
        each_row(&self.engine, Table::Covered, &[], &[0xff; 25], |row| {
            match (epoch_of(&row.0), unseal_row::<u64>(Table::Covered, &row)) {
                (Some(epoch), Some(upto)) => covered.push((epoch, upto)),
                _ => sound = false,
            }
        })?;
        let mut numbers = Vec::new();
        each_row(&self.engine, Table::Ids, &[], &[0xff; 9], |row| match numbers_of(Table::Ids, &row) {
            Some(found) => numbers.push(found),
            None => sound = false,
        })?;
        let mut gists = Count::default();
        each_row(&self.engine, Table::Gists, &[], &[0xff; 25], |row| gists.add(&row))?;
        sound &= gists.is_whole(&self.logs, &covered);
        let totals = self.single::<Totals>(word::TOTALS)?;
        self.totals = totals.unwrap_or_default();
        self.forget_history = totals.is_none();
        sound &= covered.is_empty() || totals.is_some();
        sound &= covered.iter().all(|(epoch, upto)| self.logs.get(epoch).is_some_and(|log| log.head.len >= *upto));
        if sound {
            for (client, set) in &numbers {
                self.ids.union(*client, set);
            }
            for (epoch, upto) in covered {
                if let Some(log) = self.logs.get_mut(&epoch) {
                    log.covered = upto;
                }
            }
        }
        self.hlc = self.hlc.max(self.totals.hlc);
        self.recover_index |= !sound;
        // Of what was let go of some may be in the index, where its entry is not any more.
        let has_pruned = !self.pruned.is_empty() || self.logs.values().any(Log::is_pruned);
        self.forget_history |= self.recover_index && has_pruned;
        Ok(())
    }

    /// Reads what is left of a log that is being let go of. A bad row is in nobody's way until that comes upon it.
    pub(super) fn check_rest(&mut self, epoch: EpochId, log: &Log) -> Result<(), StoreError> {
        let mut bad = Vec::new();
        let (from, to) = (entry_key(epoch, log.covered + 1), entry_key(epoch, u64::MAX));
        let (mut hlc, suspect) = (self.hlc, self.suspect);
        each_row(&self.engine, Table::Entries, &from, &to, |row| match unseal_row::<Entry>(Table::Entries, &row) {
            Some(entry) => hlc = hlc.max(entry.hlc.0),
            None if suspect => bad.push(row),
            None => {}
        })?;
        self.hlc = hlc;
        for row in bad {
            self.findings.note(format!("an entry of epoch {}, which was let go of", epoch.num));
            self.set_aside(Table::Entries, row);
        }
        Ok(())
    }

    /// How many messages are history: of the ids those that were not let go of.
    pub(super) fn messages(&self) -> u64 {
        let kept = |(client, numbers): (ClientId, &RangeSet)| {
            let pruned = self.pruned.of(client).map_or(&[][..], RangeSet::ranges);
            let size = |(low, high): (u64, u64)| (high - low).saturating_add(1);
            let gone = common(numbers.ranges(), pruned).into_iter().map(size).fold(0, u64::saturating_add);
            numbers.len().saturating_sub(gone)
        };
        self.ids.iter().map(kept).fold(0, u64::saturating_add)
    }
}

/// A client and its numbers, as one row has them.
fn numbers_of(table: Table, row: &Row) -> Option<(ClientId, RangeSet)> {
    let client = row.0.as_slice().try_into().map(u64::from_be_bytes).ok()?;
    let numbers = unseal_row::<RangeSet>(table, row).filter(RangeSet::is_valid)?;
    Some((ClientId(client), numbers))
}
