//! What a directed scenario may demand of a world beside that it comes together.

use super::checker::{LIVENESS, Violation};
use super::plan::ms;
use super::scenario::{number, wait};
use super::world::World;
use crate::ids::Pid;
use std::time::Duration;

/// One demand, or the moment that later ones refer to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// This rare state was never there.
    Never(String),
    /// Some message is acknowledged within this time.
    Acked(Duration),
    /// Every client has a message acknowledged within this time.
    Everyone(Duration),
    /// Some client of this server has a message acknowledged within this time.
    Serves(usize, Duration),
    /// In this time texts are acknowledged that would fill so many per cent of the narrowest wire.
    Carries(u64, Duration),
    /// Since the mark no more bytes have left their senders than this for each byte of a text that was acknowledged.
    Costs(u64),
    /// What is now is remembered.
    Mark,
    /// No more view changes than this were completed since the mark.
    Views(u64),
    /// The leader is the one of the mark.
    SameLeader,
    /// The leader is the greatest member of its view.
    GreatestLeads,
}

/// What was at the mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    views: usize,
    leader: Option<Pid>,
    carried: u64,
    acked_bytes: u64,
}

impl Mark {
    fn of(world: &World) -> Self {
        let leader = world.leader().map(|at| world.checker.seen(at).pid);
        let (carried, acked_bytes) = (world.lan.carried, world.counts.acked_bytes);
        Self { views: world.checker.views(), leader, carried, acked_bytes }
    }
}

impl Expect {
    /// Reads one from its word and what follows it.
    pub fn read(word: &str, rest: &str) -> Option<Self> {
        Some(match (word, rest) {
            ("never", name) => Self::Never(name.to_owned()),
            ("acked", span) => Self::Acked(wait(span)?),
            ("everyone", span) => Self::Everyone(wait(span)?),
            ("serves", rest) => {
                let (at, span) = rest.split_once(' ')?;
                Self::Serves(number(at)?, wait(span)?)
            }
            ("carries", rest) => {
                let (share, span) = rest.split_once("% ")?;
                Self::Carries(share.parse().ok()?, wait(span)?)
            }
            ("costs", times) => Self::Costs(times.parse().ok()?),
            ("mark", "") => Self::Mark,
            ("views", most) => Self::Views(most.parse().ok()?),
            ("leader", "same") => Self::SameLeader,
            ("leader", "greatest") => Self::GreatestLeads,
            _ => return None,
        })
    }

    /// Whether it holds in this world.
    ///
    /// # Errors
    /// What does not hold, as a violation of liveness; or one that was found while it was waited for.
    pub fn look(&self, world: &mut World, mark: &mut Mark) -> Result<(), Violation> {
        let now = Mark::of(world);
        match self {
            Self::Never(name) => {
                demand(!world.counts.rare.contains_key(name.as_str()), || format!("there were {name}"))
            }
            Self::Acked(span) => acked(world, *span),
            Self::Everyone(span) => everyone(world, *span),
            Self::Serves(at, span) => serves(world, *at, *span),
            Self::Carries(share, span) => carries(world, *share, *span),
            Self::Costs(most) => {
                let (sent, said) = (now.carried - mark.carried, now.acked_bytes - mark.acked_bytes);
                demand(sent <= most * said, || format!("{sent} bytes were sent for {said} that were acknowledged"))
            }
            Self::Mark => {
                *mark = now;
                Ok(())
            }
            Self::Views(most) => {
                let views = (now.views - mark.views) as u64;
                demand(views <= *most, || format!("{views} views began since the mark, not {most}"))
            }
            Self::SameLeader => {
                demand(now.leader == mark.leader, || format!("{:?} leads, and {:?} did", now.leader, mark.leader))
            }
            Self::GreatestLeads => {
                let view = now.leader.and_then(|_| world.leader()).and_then(|at| world.checker.seen(at).view);
                let greatest = view.and_then(|view| world.checker.greatest(view));
                demand(greatest == now.leader, || format!("{:?} leads {greatest:?}", now.leader))
            }
        }
    }
}

fn acked(world: &mut World, span: Duration) -> Result<(), Violation> {
    let (before, end) = (world.counts.acked, world.time + span);
    while world.time < end && world.counts.acked == before {
        world.run_until(world.time + ms(100))?;
    }
    demand(world.counts.acked > before, || format!("nothing was acknowledged within {span:?}"))
}

fn everyone(world: &mut World, span: Duration) -> Result<(), Violation> {
    let (before, end) = (world.counts.answered.clone(), world.time + span);
    let waits = |world: &World| {
        let answered = |client: &usize| world.counts.answered.get(client) > before.get(client);
        (0..world.clients.len()).filter(|client| !answered(client)).map(|client| client + 1).collect::<Vec<_>>()
    };
    while world.time < end && !waits(world).is_empty() {
        world.run_until(world.time + ms(100))?;
    }
    let waiting = waits(world);
    demand(waiting.is_empty(), || format!("clients {waiting:?} had nothing acknowledged within {span:?}"))
}

fn serves(world: &mut World, at: usize, span: Duration) -> Result<(), Violation> {
    let served = |world: &World| world.counts.served.get(&at).copied().unwrap_or(0);
    let (before, end) = (served(world), world.time + span);
    while world.time < end && served(world) == before {
        world.run_until(world.time + ms(100))?;
    }
    demand(served(world) > before, || format!("s{} acknowledged nothing within {span:?}", at + 1))
}

fn carries(world: &mut World, share: u64, span: Duration) -> Result<(), Violation> {
    let before = world.counts.acked_bytes;
    world.run_until(world.time + span)?;
    let said = u128::from(world.counts.acked_bytes - before);
    let room = u128::from(world.lan.narrowest().unwrap_or(0)) * span.as_millis() / 8000;
    demand(room > 0 && said * 100 >= room * u128::from(share), || {
        format!("texts of {said} bytes were acknowledged within {span:?}, where {room} have room")
    })
}

fn demand(holds: bool, text: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { property: LIVENESS, text: text() }) }
}
