//! Real sockets: which interfaces, which group, which ports, and what goes wrong with them.
//!
//! One process has two UDP sockets. The **shared** one is bound to the well-known port, together with every other
//! ringtalk process of this machine, and joins the groups: nothing is sent from it, and unicast to it would reach whoever
//! bound last. The **unicast** one has a port of its own; everything is sent from it, so that a datagram's source is the
//! address to answer to. A server's TCP listener has the same number. `docs/PROTOCOL.md` §4.

mod delay;
mod error;
mod faults;
mod group;
mod holder;
mod interface;
mod receiver;
mod sender;
mod socket;
mod transport;

pub use error::NetError;
pub use faults::{BadCommand, Direction, FaultSwitch};
pub use group::{ANY_NET, group_of};
pub use interface::{Choice, Interface, choose};
pub use receiver::{Arrival, Receiver};
pub use sender::{SendCounts, Sender};
pub use transport::{Options, Role, Transport};

use std::ops::RangeInclusive;

/// The well-known UDP port, which all processes of a machine share.
pub const PORT: u16 = 8284;
/// The ports of one's own that are tried first, so that a firewall can name them.
pub const OWN_PORTS: RangeInclusive<u16> = 8285..=8299;
