//! What goes over the network: datagrams between processes, and the frames of links and sessions.
//!
//! [`datagram`] is the envelope (who, which net, unharmed?), [`message`] what servers say to each other, [`session`] what
//! a client and its server say, [`trace`] what a server remembers. Bodies are postcard; every decoder checks lengths before
//! it allocates, has no recursive and no zero-sized types, and takes all of its input or refuses it. `docs/PROTOCOL.md` §3
//! and §4.

pub mod datagram;
pub mod event;
pub mod message;
pub mod session;
pub mod sketch;
pub mod status;
pub mod trace;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod strangers;
