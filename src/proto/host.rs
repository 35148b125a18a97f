//! The one loop that drives a state machine: give it what happened, take out everything it wants done.
//!
//! There is no thread and no clock here; whoever has them implements [`Host`].

use super::io::{Action, Input, Route};
use crate::time::{Now, Time};

/// A state machine that keeps the calling contract of [`io`](super::io).
pub trait Machine {
    /// Something happened.
    fn handle(&mut self, now: Now, input: Input<'_>);
    /// Clears `buf` and fills it with one datagram or frame; `None` when there is nothing to send.
    fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Route>;
    /// The next thing to do; `None` when there is none.
    fn poll_action(&mut self) -> Option<Action>;
    /// When to call with [`Input::Timeout`] at the latest; [`Time::NEVER`] when there is no need.
    fn next_timeout(&self) -> Time;
}

/// What a state machine lives on: a network, a disk and sessions.
pub trait Host {
    /// Sends one datagram or frame. What cannot be sent is lost, as on any network.
    fn transmit(&mut self, route: Route, bytes: &[u8]);
    /// Does one thing. What takes time is only begun here and told of by a later input.
    fn act(&mut self, action: Action);
}

/// Gives `machine` one input and does all that comes out of it; `buf` is scratch space.
pub fn step(machine: &mut impl Machine, host: &mut impl Host, now: Now, input: Input<'_>, buf: &mut Vec<u8>) {
    machine.handle(now, input);
    drain(machine, host, buf);
}

/// Does all that `machine` wants done.
pub fn drain(machine: &mut impl Machine, host: &mut impl Host, buf: &mut Vec<u8>) {
    while let Some(route) = machine.poll_transmit(buf) {
        host.transmit(route, buf);
    }
    while let Some(action) = machine.poll_action() {
        host.act(action);
    }
}
