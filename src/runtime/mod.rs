//! What makes the state machine run on a real machine: threads, channels, clocks, connections.
//!
//! | thread | does | waits for |
//! |---|---|---|
//! | `protocol` | owns the state machine | inputs, its next timeout |
//! | `receive-own`, `receive-group` | one socket each | datagrams |
//! | `disk` | owns the store: group commits, reads, the index | jobs |
//! | `archive-0`, `archive-1` | questions about history | questions |
//! | `index-check` | looks whether the index serves what it should | its next slice |
//! | `tcp` | links and sessions, on one tokio runtime | connections |
//!
//! Every queue between them is bounded, and says where it is made what happens at its bound. Nothing that a client or the
//! disk does can hold up a heartbeat.

mod accept;
pub(crate) mod archive;
mod backlog;
pub mod clock;
pub(crate) mod disk;
pub(crate) mod disk_line;
pub(crate) mod frame;
pub(crate) mod host;
mod inbox;
mod index_check;
mod index_line;
mod link;
mod outlets;
pub(crate) mod own_id;
pub(crate) mod protocol;
mod receive;
mod session;
#[cfg(test)]
mod tests;
