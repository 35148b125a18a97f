//! The simulator: servers and clients of the real protocol on a LAN, disks and clocks that misbehave, all from one seed.
//!
//! [`lan`], [`disk`] and [`clock`] are what machines stand on; [`world`] runs the nodes on them; [`fault`] says what goes
//! wrong; [`checker`] watches every step.

mod archive;
pub mod checker;
pub mod client;
pub mod clock;
pub mod disk;
pub mod expect;
pub mod fault;
pub mod hunt;
pub mod image;
pub mod known;
pub mod lan;
pub mod plan;
pub mod port;
pub mod queue;
pub mod rng;
pub mod scenario;
pub mod swarm;
pub mod timeline;
pub mod world;

pub use hunt::{Catch, hunt, replay};
pub use known::{KNOWN, Known};
pub use plan::{Options, Plan};
pub use scenario::Scenario;
pub use swarm::{Outcome, Sweep, run, shrink};

#[cfg(test)]
mod record;
