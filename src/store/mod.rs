//! What a server keeps: the logs of epochs, views, and the history that is made of them.
//!
//! [`Store`] is written once and holds every rule: placement, recovery, setting aside, closures, the index of committed
//! messages. Below it is an [`engine::Engine`]: rows in a few tables, changed by atomic batches. [`memory`] keeps them in
//! memory, `sqlite` (feature `host`) in one file, the simulator on a disk that fails. [`engine::Archive`] answers
//! questions about history. `docs/PROTOCOL.md` tells what the rows are for.
//!
//! | table | key | row |
//! |---|---|---|
//! | `Meta` | a word | format, identity and census of epochs (twice), greatest epoch number, totals of the index |
//! | `Views` | epoch | the view |
//! | `Heads` | epoch | length, stable, closure, what was lost, whether it was let go of |
//! | `Entries` | epoch, gsn | one batch with its place |
//! | `Aside` | incarnation, number, table, key | a row that recovery took out of the way; never deleted |
//! | `Covered` | epoch | how much of it is in `Ids` and in the index |
//! | `Ids` | client | the client's numbers in history, as far as covered |
//! | `Gists` | epoch, whom or what it is of | what the epoch says of a room, a nick or a client, as far as covered |
//! | `Gists` | epoch | how many of these rows it has |
//! | `Pruned` | client | the client's numbers that were let go of: no copy of them is history |
//!
//! Every row carries a hash of its table, key and content (XXH3): engines were seen to serve flipped bytes in silence.

#[cfg(test)]
pub(crate) mod conformance;
pub mod engine;
pub mod error;
mod finding;
mod gists;
mod index;
mod log;
pub mod memory;
mod migration;
mod prune;
mod query;
mod recovery;
mod revision;
mod rows;
#[cfg(feature = "host")]
pub mod sqlite;
mod staged;

pub use error::StoreError;
pub use index::Digest;
pub use log::Store;
