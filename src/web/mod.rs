//! The web host: a page for browsers, and what the page talks to.
//!
//! ```no_run
//! use ringtalk::client::Client;
//! use ringtalk::web::{Door, Host};
//!
//! # fn main() -> Result<(), ringtalk::web::WebError> {
//! let door = Door::open(([127, 0, 0, 1], 8284).into())?;
//! let host = Host::builder(door, Client::builder(), "default").start()?;
//! println!("open {}", host.url());
//! # Ok(()) }
//! ```
//!
//! Each browser is one chat client of the ring, made from its hello. The host keeps nothing for it: the browser has its
//! client id, its outbox and its feed's cursor, so that it can go on at any other host.
//!
//! | file | holds |
//! |---|---|
//! | `door`, `guard`, `pages` | the address; who may ask; other servers' pages and tokens |
//! | `http`, `files`, `page/` | requests; the page |
//! | `socket`, `request`, `outlet` | one browser's WebSocket; what it says; what waits to be written to it |
//! | `begin`, `session`, `answers`, `talk`, `outbox`, `cursor`, `people` | the person behind it |
//! | `watcher`, `recorder` | the ring's state and its servers' event records, asked once for all browsers |
//! | `control` | what a page may ask of a demo |
//! | `trace`, `event`, `record_file` | servers' event records, as JSON and in files |
//! | `document` | JSON |
//!
//! Threads: `web` (one tokio runtime) has all sockets; each browser has `web-browser`, which holds its client and does
//! everything that can wait; `web-watch` runs while there are browsers, and a
//! `web-record` for each server while one of them watches events. Queues are bounded where they are made.

mod answers;
mod begin;
pub mod control;
mod cursor;
pub mod document;
mod door;
pub mod event;
mod files;
mod guard;
mod host;
mod http;
mod outbox;
mod outlet;
mod pages;
mod people;
pub mod record_file;
mod recorder;
mod request;
mod session;
mod socket;
mod talk;
pub mod trace;
mod watcher;

pub use door::{Door, LAST_PORT, PORT, WebError};
pub use host::{Host, HostBuilder, MAX_BROWSERS, Mode};
