//! ringtalk: chat for a local network with nothing to set up.
//!
//! Servers find each other by multicast, stand in a ring, and carry every room message in one reliable, totally ordered
//! multicast. The layers, each naming only those above it: the vocabulary ([`ids`], [`time`], [`seq`], [`name`],
//! [`record`]), [`wire`], [`proto`], [`store`], then `net` and [`sim`], `runtime`, `server` and `client`, `web`, `cli`.
//! `docs/ARCHITECTURE.md` draws the house; `docs/PROTOCOL.md` is the protocol.

#[cfg(all(feature = "bugs", feature = "host", not(debug_assertions)))]
compile_error!("with a host, planted bugs are for builds with debug assertions only");

pub mod ids;
pub mod name;
pub mod proto;
pub mod record;
pub mod seq;
pub mod sim;
pub mod store;
pub mod time;
pub mod wire;

#[cfg(feature = "host")]
pub mod cli;
#[cfg(feature = "host")]
pub mod client;
#[cfg(feature = "host")]
pub mod net;
#[cfg(feature = "host")]
pub mod runtime;
#[cfg(feature = "host")]
pub mod server;
#[cfg(feature = "host")]
pub mod web;
