//! Stores of format 1, in which nothing was ever let go of: their rows, as this program writes them.
//!
//! What the tables hold tells by itself which of the two it is: a row of one format does not decode as one of the other.

use super::engine::{Batch, Engine, Table};
use super::error::StoreError;
use super::recovery::each_row;
use super::rows::{Head, Pruned, Totals, epoch_of, seal, unseal, unseal_row, word};
use crate::ids::EpochId;
use crate::record::{Member, View};
use crate::time::Hlc;
use serde::Deserialize;
use std::collections::BTreeMap;

/// [`View`] without when it began, and without a horizon.
#[derive(Deserialize)]
struct View1 {
    epoch: EpochId,
    members: Vec<Member>,
    parents: Vec<(EpochId, u64)>,
}

/// [`Head`] without the size, and without what was let go of.
#[derive(Deserialize)]
struct Head1 {
    installed: bool,
    len: u64,
    stable: u64,
    closure: Option<u64>,
    lost: u64,
}

/// [`Totals`] with a count that the ids themselves tell.
#[derive(Deserialize)]
struct Totals1 {
    messages: u64,
    _ids: u64,
    sum: u128,
    hlc: u64,
}

/// Writes the rows of format 1 anew, all or none. The store has the new format once its opening is done.
pub(super) fn migrate<E: Engine>(engine: &mut E) -> Result<(), StoreError> {
    let batch = migrated_rows(engine)?;
    if batch.is_empty() {
        return Ok(());
    }
    log::info!("the store is of an older format: {} rows of it are written anew", batch.0.len());
    engine.commit(batch)?;
    engine.sync()
}

/// The rows that have to be written anew: none in a store of this format, and damaged ones stay as they are.
fn migrated_rows<E: Engine>(engine: &E) -> Result<Batch, StoreError> {
    let mut batch = Batch::default();
    each_row(engine, Table::Views, &[], &[0xff; 25], |row| {
        if let Some(View1 { epoch, members, parents }) = unseal_row(Table::Views, &row) {
            let view = View { epoch, members, parents, began: Hlc(0), horizon: Hlc(0) };
            batch.put(Table::Views, row.0.as_slice(), seal(Table::Views, &row.0, &view));
        }
    })?;
    let mut heads: BTreeMap<EpochId, Head1> = BTreeMap::new();
    each_row(engine, Table::Heads, &[], &[0xff; 25], |row| {
        if let (Some(epoch), Some(head)) = (epoch_of(&row.0), unseal_row(Table::Heads, &row)) {
            heads.insert(epoch, head);
        }
    })?;
    let sizes = if heads.is_empty() { BTreeMap::new() } else { sizes(engine)? };
    for (epoch, Head1 { installed, len, stable, closure, lost }) in heads {
        let bytes = sizes.get(&epoch).copied().unwrap_or(0);
        let head = Head { installed, len, stable, closure, lost, bytes, pruned: Pruned::No };
        let key = epoch.to_bytes();
        batch.put(Table::Heads, key, seal(Table::Heads, &key, &head));
    }
    let totals = engine.get(Table::Meta, word::TOTALS)?;
    if let Some(Totals1 { messages, sum, hlc, .. }) = totals.and_then(|value| unseal(Table::Meta, word::TOTALS, &value))
    {
        let totals = Totals { messages, sum, hlc };
        batch.put(Table::Meta, word::TOTALS, seal(Table::Meta, word::TOTALS, &totals));
    }
    Ok(batch)
}

/// What the entries of each epoch take.
fn sizes<E: Engine>(engine: &E) -> Result<BTreeMap<EpochId, u64>, StoreError> {
    let mut sizes: BTreeMap<EpochId, u64> = BTreeMap::new();
    each_row(engine, Table::Entries, &[], &[0xff; 33], |(key, value)| {
        if let Some(epoch) = key.get(..24).and_then(epoch_of) {
            *sizes.entry(epoch).or_default() += value.len() as u64;
        }
    })?;
    Ok(sizes)
}
