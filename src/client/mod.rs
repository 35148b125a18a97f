//! A chat client on real sockets: what the commands, bots and examples talk through.
//!
//! ```no_run
//! use ringtalk::client::Client;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder().nick("ana").connect(Duration::from_secs(5))?;
//! let stable = client.say("lobby", "hello")?.wait(Duration::from_secs(5))?;
//! println!("stored on {} of {} servers", stable.copies, stable.of);
//! # Ok(()) }
//! ```
//!
//! The protocol is [`proto::client`](crate::proto::client); here are its threads:
//!
//! | thread | does | waits for |
//! |---|---|---|
//! | `client` | owns the state machine | commands, inputs, its next timeout, room for events |
//! | `client-own`, `client-group` | one UDP socket each | datagrams |
//! | `client-read`, `client-write` | one session's connection | replies, requests |
//! | `client-outbox` | the outbox file | changes to save |
//!
//! Everything that happens comes out of [`Client::events`]. Who does not read them stops the client's ears, not the ring's:
//! the home cuts it off, and it goes on from its place when there is room again.

mod builder;
mod connection;
mod driver;
mod error;
mod handle;
mod outbox;
mod resume;
#[cfg(test)]
mod tests;

pub use crate::proto::client::{
    Command, Draft, Event, FeedCursor, Message, Notice, Progress, Save, SubmitError, Waiting, words,
};
pub use builder::Builder;
pub use error::{AskError, ConnectError, OpenError, SendError};
pub use handle::{Client, Receipt, Stable};
pub use resume::{BadResume, Resume};
