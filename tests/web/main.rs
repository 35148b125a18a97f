//! The web host, with browsers that are WebSocket clients, on real servers of the loopback interface.

mod chat;
mod moving;
mod security;
mod support;
mod watching;
