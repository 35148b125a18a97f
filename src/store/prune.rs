//! Taking away what was let go of: of an epoch below the horizon the entries, and from history what they brought.

use super::engine::{Batch, Direction, Engine, Row, Table};
use super::error::StoreError;
use super::index::BUDGET_BYTES;
use super::log::{CHUNK, Store};
use super::revision::Revision;
use super::rows::{Pruned, entry_key, gsn_of, seal, unseal_row};
use crate::ids::{EpochId, MessageId};
use crate::record::Entry;

impl<E: Engine> Store<E> {
    /// Takes the first entries that are left of an epoch that is let go of, at most `budget` of them.
    ///
    /// Each step is one batch, and what is still there tells the next where to go on: also after a crash.
    pub(super) fn prune_some(&mut self, budget: usize) -> Result<(), StoreError> {
        let Some((&epoch, &from)) = self.pruning.first_key_value() else { return Ok(()) };
        let (from_key, to) = (entry_key(epoch, from), entry_key(epoch, u64::MAX));
        let rows = self.engine.scan(Table::Entries, &from_key, &to, budget.clamp(1, CHUNK), Direction::Up)?;
        if rows.is_empty() {
            return if self.forget_gists(epoch, CHUNK)? { Ok(()) } else { self.end_pruning(epoch) };
        }
        self.has_pruned = true;
        let committed = self.committed(epoch);
        let stays = self.logs.get(&epoch).is_some_and(|log| log.head.pruned == Pruned::Stays);
        let mut revision = Revision::new(&self.engine, self.totals);
        let mut gone = Batch::default();
        let (mut bytes, mut last) = (0, None);
        for row in rows {
            bytes += row.1.len();
            if bytes > BUDGET_BYTES && last.is_some() {
                break;
            }
            let Some((entry, gsn)) = entry_of(&row) else { break };
            revision.see(entry.hlc.0);
            for id in ids(&entry) {
                // Others, too, have let go of what was history here. What never was may be history elsewhere.
                if gsn <= committed || revision.is_pruned(id)? {
                    revision.prune(id)?;
                }
            }
            if !stays {
                gone.delete(Table::Entries, row.0);
            }
            last = Some(gsn);
        }
        let Some(last) = last else {
            // What it brought is found by making history anew, which the next opening does.
            self.pruning.remove(&epoch);
            self.suspect(epoch, from);
            return Ok(());
        };
        let (mut batch, totals) = revision.finish();
        batch.0.append(&mut gone.0);
        self.engine.commit(batch)?;
        self.totals = totals;
        // Never back: a rotten medium may still show what was taken away.
        self.pruning.insert(epoch, last.saturating_add(1));
        Ok(())
    }

    /// Nothing is left of the epoch's entries.
    fn end_pruning(&mut self, epoch: EpochId) -> Result<(), StoreError> {
        let mut log = self.logs.get(&epoch).cloned().unwrap_or_default();
        log.covered = 0;
        log.head.bytes = 0;
        log.head.pruned = Pruned::Done;
        let key = epoch.to_bytes();
        let mut batch = Batch::default();
        batch.delete(Table::Covered, key);
        batch.put(Table::Heads, key, seal(Table::Heads, &key, &log.head));
        self.engine.commit(batch)?;
        self.logs.insert(epoch, log);
        self.pruning.remove(&epoch);
        Ok(())
    }

    /// Whether there is something to index or to take away.
    pub(super) fn has_work(&self) -> bool {
        !self.behind.is_empty() || !self.pruning.is_empty()
    }
}

fn entry_of(row: &Row) -> Option<(Entry, u64)> {
    Some((unseal_row(Table::Entries, row)?, gsn_of(&row.0)?))
}

fn ids(entry: &Entry) -> Vec<MessageId> {
    entry.messages().map(|(_, message)| message.id).collect()
}
