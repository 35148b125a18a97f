//! The protocol as state machines without I/O: time and randomness are arguments, what to send and do comes out.
//!
//! Start at [`io`] for the calling contract, then [`node`], which wires the parts of a server, and [`client`].

pub mod absent;
pub mod announcements;
pub mod beacon_gaps;
pub mod bugs;
pub mod catch_up;
pub mod client;
mod coordinator;
pub mod cut;
pub mod detector;
pub mod election;
pub mod epochs;
pub mod fills;
pub mod gist;
pub mod hold_back;
pub mod host;
pub mod inspect;
pub mod io;
pub mod live;
pub mod loss_detector;
pub mod membership;
pub mod nicks;
pub mod node;
pub mod origin;
pub mod outgoing;
pub mod pacing;
pub mod peers;
mod person;
pub mod probes;
pub mod pruning;
pub mod recent;
pub mod repair;
pub mod replay;
pub mod ring;
pub mod rng;
pub mod rooms;
pub mod sequencer;
pub mod session_table;
pub mod settings;
pub mod table;
pub mod trace;
pub mod twins;
pub mod view_change;
pub mod world;

pub use crate::wire::event;
