//! What answers people's questions about history: the store's own index and queries, above what is on a simulated disk.

use super::image::Image;
use crate::ids::EpochId;
use crate::proto::bugs::Bugs;
use crate::proto::io::Write;
use crate::seq::IdSet;
use crate::store::engine::{Archive as _, Page};
use crate::store::memory::MemoryEngine;
use crate::store::{Store, StoreError};
use crate::wire::session::{Answer, Query};
use std::collections::BTreeSet;

/// Entries that are indexed at once.
const STRETCH: usize = 4096;

/// A store in memory that has of each epoch what is history on a server's disk, as far as somebody has asked.
pub(super) struct Archive {
    store: Store<MemoryEngine>,
    /// What it was told to let go of.
    pruned: (BTreeSet<EpochId>, IdSet),
}

impl Archive {
    /// An empty one.
    pub(super) fn new(bugs: Bugs) -> Result<Self, StoreError> {
        let (mut store, _) = Store::open(MemoryEngine::new(), 1)?;
        store.bugs = bugs;
        Ok(Self { store, pruned: Default::default() })
    }

    /// The answer to a question about history, from all of it that is on this disk.
    pub(super) fn answer(&mut self, disk: &Image, query: &Query) -> Result<Answer, StoreError> {
        self.read_on(disk)?;
        let page = |page: Page| Answer::Page { records: page.records, more: page.more };
        Ok(match query {
            Query::History(within) => page(self.store.history(within)?),
            Query::Search { words, within } => page(self.store.search(words, within)?),
            _ => Answer::Failed("not a question about history".to_owned()),
        })
    }

    fn read_on(&mut self, disk: &Image) -> Result<(), StoreError> {
        self.let_go(disk)?;
        for &epoch in disk.logs.keys().filter(|epoch| !disk.pruned.contains(epoch)) {
            self.read_epoch(disk, epoch)?;
        }
        while self.store.index_some(STRETCH)? {}
        Ok(())
    }

    fn let_go(&mut self, disk: &Image) -> Result<(), StoreError> {
        for &epoch in disk.pruned.difference(&self.pruned.0) {
            self.store.apply(&[Write::Prune { epoch: Some(epoch), ids: Vec::new(), stays: false }])?;
        }
        if disk.pruned_ids != self.pruned.1 {
            let ids = disk.pruned_ids.iter().map(|(client, numbers)| (client, numbers.clone())).collect();
            self.store.apply(&[Write::Prune { epoch: None, ids, stays: false }])?;
        }
        self.pruned = (disk.pruned.clone(), disk.pruned_ids.clone());
        Ok(())
    }

    fn read_epoch(&mut self, disk: &Image, epoch: EpochId) -> Result<(), StoreError> {
        let (had, committed) = (self.store.len(epoch), disk.committed(epoch));
        let Some(log) = disk.logs.get(&epoch).filter(|_| had < committed) else { return Ok(()) };
        let fresh = (had..committed).filter_map(|at| log.entries.get(at as usize));
        let entries = fresh.map(|entry| (**entry).clone()).collect();
        let view = log.view.clone();
        self.store.apply(&[Write::Fill { view, first: had + 1, entries, closure: None, committed }])
    }
}
