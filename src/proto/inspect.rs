//! What a checker may see inside a server's state machine. Read-only, and cheap enough to ask for after every step.

use crate::ids::{EpochId, Pid};
use crate::time::Hlc;

/// A server's state machine at one moment, as far as safety depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Inspection {
    /// Who.
    pub pid: Pid,
    /// The view it is in, if any.
    pub view: Option<EpochId>,
    /// The greatest epoch it promised in this life; default when none.
    pub promised: EpochId,
    /// The epoch whose commit it has prepared and not installed.
    pub prepared: Option<EpochId>,
    /// The epoch it coordinates a view change for.
    pub coordinating: Option<EpochId>,
    /// What it takes to be below which nothing is history.
    pub horizon: Hlc,
    /// Whether it takes part in an election at this moment.
    pub electing: bool,
    /// The last epoch it installed, in this life or an earlier one.
    pub last: Option<EpochId>,
    /// Length of the current view's log with what is being written.
    pub len: u64,
    /// Durable length of the current view's log, as far as the node was told.
    pub durable: u64,
    /// Stable length of the current view, as far as it knows.
    pub stable: u64,
    /// It has delivered the current view up to this gsn.
    pub delivered: u64,
    /// The view before this one in this life, and the gsn up to which it had delivered that one when it left it.
    pub left: Option<(EpochId, u64)>,
    /// Its hybrid clock.
    pub hlc: Hlc,
    /// Messages of its clients that are not history yet.
    pub pending: usize,
    /// Messages that it counts as history.
    pub messages: u64,
    /// Whether its history is as full as any reachable server's.
    pub ready: bool,
}

/// How full a buffer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gauge {
    /// Which buffer.
    pub name: &'static str,
    /// Entries, or bytes, in it now.
    pub level: usize,
    /// The most it may ever hold.
    pub bound: usize,
}
