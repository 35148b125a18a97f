//! The client in virtual time, against servers that a test plays.

mod bench;
mod hostile;
mod moving;
mod receiving;
mod ringed;
mod submitting;

pub(super) use bench::{batch, data, order, pid, view};
