//! The client's half of the protocol, as a state machine without I/O.
//!
//! [`Client`] keeps the calling contract of [`proto::io`](crate::proto::io): `handle` each [`Input`], then drain
//! `poll_transmit` and `poll_action`, and come back at `next_timeout`. Its parts know nothing of each other: `directory`
//! which servers there are, `search` when to scout for them, `liveness` whether the home still lives, `outbox` what is not
//! acknowledged yet, `feed` what was shown, `reception` the current view's entries in order (with `assembly`, the pieces
//! that came by multicast, and `hearing`, whether that is good enough), `patience` what takes long, `stage` where the client
//! stands with a server. `core` and `session` wire them.

mod assembly;
mod beginning;
mod core;
mod directory;
mod feed;
mod hearing;
mod io;
mod liveness;
mod merging;
mod outbox;
mod patience;
mod reception;
mod search;
mod session;
mod stage;
#[cfg(test)]
mod tests;

pub use self::beginning::Beginning;
pub use self::core::Client;
pub use io::{
    Action, Command, ConnectionId, Draft, Event, FeedCursor, Input, Loaded, Message, Notice, Progress, Save, Settings,
    SubmitError, Waiting, words,
};
pub use outbox::MAX_MESSAGES;
