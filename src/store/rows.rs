//! How rows are written: keys that sort, bodies in postcard, each behind a hash of table, key and body.

use super::engine::{Row, Table};
use crate::ids::{EpochId, ServerId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The format this program writes, and the newest it reads.
pub(super) const FORMAT: u32 = 3;

/// Words that key the single rows of [`Table::Meta`].
pub(super) mod word {
    /// The format.
    pub(in crate::store) const FORMAT: &[u8] = b"format";
    /// [`Identity`](super::Identity). Written twice, so that one flipped bit makes no new server.
    pub(in crate::store) const IDENTITY: [&[u8]; 2] = [b"identity", b"identity copy"];
    /// The greatest epoch number seen.
    pub(in crate::store) const SEEN: &[u8] = b"seen";
    /// [`Totals`](super::Totals).
    pub(in crate::store) const TOTALS: &[u8] = b"totals";
    /// Present when a read met a bad row: the next start checks every row.
    pub(in crate::store) const SUSPECT: &[u8] = b"suspect";
}

/// Who this store belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The server.
    pub(super) server: ServerId,
    /// How often it was started.
    pub(super) boot: u32,
    /// The epochs it knows.
    pub(super) census: Census,
}

/// How many epochs there are, and which: so that one that vanished without a trace is missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Census {
    count: u64,
    sum: u64,
}

impl Census {
    /// Counts one epoch.
    pub(super) fn add(&mut self, epoch: EpochId) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(epoch.tag().0);
    }
}

/// What the index holds in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Totals {
    /// Messages.
    pub(super) messages: u64,
    /// Sum of their hashes.
    pub(super) sum: u128,
    /// The greatest HLC covered.
    pub(super) hlc: u64,
}

/// The row of [`Table::Heads`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Head {
    /// Whether this server installed the view.
    pub(super) installed: bool,
    /// Length of the log.
    pub(super) len: u64,
    /// Length known to be stable.
    pub(super) stable: u64,
    /// Greatest closure known.
    pub(super) closure: Option<u64>,
    /// The length before something was lost; 0 when nothing is missing.
    pub(super) lost: u64,
    /// What the rows of its entries take, in bytes; about, where something was lost.
    pub(super) bytes: u64,
    /// Whether it was let go of.
    pub(super) pruned: Pruned,
}

/// How far an epoch is let go of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) enum Pruned {
    /// It is history.
    #[default]
    No,
    /// It is history no more; entries of it may still be there, and their messages in the index.
    UnderWay,
    /// The same, and its entries stay.
    Stays,
    /// Nothing but its view and its lengths counts.
    Done,
}

impl Pruned {
    /// Whether some of its messages may still be in the index.
    pub(super) fn is_under_way(self) -> bool {
        matches!(self, Self::UnderWay | Self::Stays)
    }
}

/// The key of an entry.
pub(super) fn entry_key(epoch: EpochId, gsn: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[..24].copy_from_slice(&epoch.to_bytes());
    key[24..].copy_from_slice(&gsn.to_be_bytes());
    key
}

/// The gsn in an entry's key.
pub(super) fn gsn_of(key: &[u8]) -> Option<u64> {
    key.get(24..).and_then(|gsn| Some(u64::from_be_bytes(gsn.try_into().ok()?)))
}

/// The epoch that is the key of a row.
pub(super) fn epoch_of(key: &[u8]) -> Option<EpochId> {
    Some(EpochId::from_bytes(key.try_into().ok()?))
}

/// The row's value: the hash, then the body.
pub(super) fn seal<T: Serialize>(table: Table, key: &[u8], body: &T) -> Vec<u8> {
    let mut value = postcard::to_extend(body, vec![0; 8]).unwrap_or_else(|error| {
        log::error!("a row could not be encoded: {error}");
        vec![0; 8]
    });
    let hash = hash(table, key, &value[8..]);
    value[..8].copy_from_slice(&hash.to_le_bytes());
    value
}

/// The body of a row; `None` when it is not what was written.
pub(super) fn unseal<T: DeserializeOwned>(table: Table, key: &[u8], value: &[u8]) -> Option<T> {
    let (sealed, body) = value.split_first_chunk::<8>()?;
    if u64::from_le_bytes(*sealed) != hash(table, key, body) {
        return None;
    }
    match postcard::take_from_bytes(body) {
        Ok((body, [])) => Some(body),
        _ => None,
    }
}

/// Whether a row is what was written.
#[cfg(feature = "host")]
pub(super) fn is_sealed(table: Table, key: &[u8], value: &[u8]) -> bool {
    let sealed = value.split_first_chunk::<8>();
    sealed.is_some_and(|(sealed, body)| u64::from_le_bytes(*sealed) == hash(table, key, body))
}

/// [`unseal`] of a whole row.
pub(super) fn unseal_row<T: DeserializeOwned>(table: Table, row: &Row) -> Option<T> {
    unseal(table, &row.0, &row.1)
}

fn hash(table: Table, key: &[u8], body: &[u8]) -> u64 {
    let mut hash = xxhash_rust::xxh3::Xxh3::with_seed(u64::from(table as u8) << 32 | key.len() as u64);
    hash.update(key);
    hash.update(body);
    hash.digest()
}
