//! Runs drawn from seeds: what the world is made of, which faults strike it, and what must be true once they are over.
//!
//! A run has a safety phase full of faults, then a healing: first a core of the servers is healed while the rest stays
//! broken, then everything. Each time the healed ones must come together.

use super::checker::{CONTRACT, LIVENESS, Violation};
use super::client::Client;
use super::disk::Manner;
use super::fault::Fault;
use super::lan::{Cut, Quality, Station};
use super::plan::{Options, Plan, ms, secs};
use super::world::{Counts, World};
use crate::proto::settings::FLOOR_AHEAD;
use crate::time::{Hlc, Time};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// How long the healed may take to come together, before the time that missing history takes.
pub const HEALING: Duration = Duration::from_secs(30);
/// Datagrams that each server of an idle ring may send in a second: beacons and little else.
const IDLE_MOST: u64 = 20;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was violated, if anything.
    pub violation: Option<Violation>,
    /// When, or when the run ended.
    pub at: Time,
    /// What was counted.
    pub counts: Counts,
    /// Records that clients were shown.
    pub shown: u64,
    /// The timeline, when it was kept.
    pub timeline: Vec<String>,
}

/// Runs one seed.
pub fn run(seed: u64, options: &Options) -> Outcome {
    let plan = Plan::draw(seed, options).only(options.only.as_deref());
    run_plan(&plan)
}

/// Runs one plan. A panic of what is simulated is a violation like any other.
pub fn run_plan(plan: &Plan) -> Outcome {
    let mut world = None;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let world = world.insert(World::new(&plan.shape));
        for (at, fault) in &plan.faults {
            world.plan(*at, fault.clone());
        }
        play(world, plan)
    }));
    let violation = match ended {
        Ok(verdict) => verdict.err(),
        Err(panic) => Some(Violation { property: CONTRACT, text: panic_text(&*panic) }),
    };
    let seed = plan.shape.seed;
    let Some(mut world) = world else {
        return Outcome { seed, violation, at: Time(0), counts: Counts::default(), shown: 0, timeline: Vec::new() };
    };
    let duplicates = world.checker.duplicates();
    if duplicates > 0 {
        world.counts.rare.insert("duplicate orders", duplicates);
    }
    if world.lan.overflowed > 0 {
        world.counts.rare.insert("datagrams that found a port full", world.lan.overflowed);
    }
    Outcome {
        seed,
        violation,
        at: world.time,
        shown: world.checker.shown,
        timeline: world.timeline.lines().map(str::to_owned).collect(),
        counts: world.counts,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("without a word"))
}

fn play(world: &mut World, plan: &Plan) -> Result<(), Violation> {
    world.run_until(plan.safety_ends)?;
    if plan.core.len() > 1 && plan.core.len() < world.servers.len() {
        heal_core(world, &plan.core)?;
    }
    world.strike(&Fault::HealAll);
    let last_pause = world.servers.iter().filter_map(|server| server.paused).max();
    let healed = last_pause.unwrap_or(world.time).max(world.last_arrival);
    let everyone: Vec<usize> = (0..world.servers.len()).collect();
    world.run_until(healed)?;
    converge(world, &everyone, HEALING)?;
    world.counts.rare("healed and equal");
    Ok(())
}

/// The core hears only itself and its disks are good; the rest stays as it is.
fn heal_core(world: &mut World, core: &[usize]) -> Result<(), Violation> {
    let servers = world.servers.len();
    world.disarm();
    for station in 0..world.lan.stations() {
        for &server in core {
            let (a, b) = (Station(station), Station(server));
            let apart = station < servers && !core.contains(&station);
            for (from, to) in [(a, b), (b, a)] {
                world.lan.set_quality(from, to, Quality::GOOD);
                world.lan.set_cut(from, to, if apart { Cut::All } else { Cut::None });
            }
        }
    }
    world.lan.widen();
    let mut healed = world.last_arrival.max(world.time);
    for &server in core {
        world.strike(&Fault::Disk(server, Box::new(Manner::GOOD)));
        world.strike(&Fault::Start(server));
        healed = healed.max(world.servers[server].paused.unwrap_or(healed));
    }
    world.run_until(healed)?;
    let end = world.time + HEALING;
    while world.time < end {
        world.run_until(world.time + ms(250))?;
        if united(world, core).is_ok() {
            world.counts.rare("healed cores");
            return Ok(());
        }
    }
    united(world, core)
}

/// Lets these servers come together and fall quiet, whatever the others do.
pub(super) fn come_together(world: &mut World, servers: &[usize]) -> Result<(), Violation> {
    let habits: Vec<_> = world.clients.iter().map(|client| client.habit().clone()).collect();
    let verdict = converge(world, servers, HEALING);
    for (client, habit) in world.clients.iter_mut().zip(habits) {
        *client.habit_mut() = habit;
    }
    verdict
}

/// Lets time pass until all is well, and it stays so for a while; after the limit the reason is the violation.
fn converge(world: &mut World, servers: &[usize], limit: Duration) -> Result<(), Violation> {
    let end = world.time + limit;
    while world.time < end && united(world, servers).is_err() {
        world.run_until(world.time + ms(250))?;
    }
    for client in &mut world.clients {
        client.habit_mut().silent = true;
    }
    settle(world, servers, end + secs(5))?;
    everything_shown(world, servers)?;
    if world.checker.has_people() {
        everyone_seated(world, servers)?;
        settle(world, servers, world.time + secs(5))?;
    }
    until_written(world, servers)?;
    world.checker.finish(&world.servers, servers)?;
    everything_found(world, servers)?;
    idle(world)
}

/// What lies below the horizon may be on its way out at any moment: waits for one at which nothing is.
fn until_written(world: &mut World, servers: &[usize]) -> Result<(), Violation> {
    let end = world.time + secs(1);
    while world.time < end && world.checker.same_histories(&world.servers, servers).is_err() {
        world.run_until(world.time + ms(5))?;
    }
    Ok(())
}

/// Whether who walks through all of history finds all of it.
fn everything_found(world: &mut World, servers: &[usize]) -> Result<(), Violation> {
    let is_at = |client: &dyn Client| client.home().is_some_and(|home| servers.contains(&home.0));
    let here: Vec<usize> = (0..world.clients.len()).filter(|at| is_at(&*world.clients[*at])).collect();
    let walks: Vec<_> = here.into_iter().filter_map(|at| Some((at, world.study(at)?))).collect();
    for (at, query) in walks {
        let end = world.time + HEALING;
        while world.time < end && world.clients[at].unanswered().is_some() {
            world.run_until(world.time + ms(50))?;
        }
        let home = world.clients[at].home().map_or(servers[0], |home| home.0);
        world.checker.walked(at, &query, home, &world.servers)?;
        world.counts.rare("walks through history");
    }
    Ok(())
}

/// Lets time pass until all is well, and still is half a second later. The last late datagram of the faults may come just
/// before the healing begins, and what it sets off just after (seed 1000806: one of a greater life of a restored server).
fn settle(world: &mut World, servers: &[usize], end: Time) -> Result<(), Violation> {
    let calm = |world: &World| united(world, servers).and_then(|()| quiet(world, servers));
    loop {
        let before = calm(world);
        world.run_until(world.time + ms(500))?;
        let after = before.and_then(|()| calm(world));
        if after.is_ok() || world.time >= end {
            return after;
        }
    }
}

fn broken(text: String) -> Violation {
    Violation { property: LIVENESS, text }
}

/// Whether these servers are in one view of exactly themselves.
fn united(world: &World, servers: &[usize]) -> Result<(), Violation> {
    let seen: Vec<_> = servers.iter().map(|&at| world.checker.seen(at)).collect();
    let Some(first) = seen.first() else { return Ok(()) };
    for (one, &at) in seen.iter().zip(servers) {
        if one.view.is_none() || one.view != first.view || Some(one.promised) > one.view {
            let views: Vec<String> =
                seen.iter().map(|one| format!("{:?}/{}", one.view.map(|v| v.to_string()), one.promised)).collect();
            return Err(broken(format!("not one view (s{}): {}", at + 1, views.join(", "))));
        }
    }
    let members = first.view.and_then(|view| world.checker.members(view));
    match members {
        Some(members) if members == servers.len() => Ok(()),
        members => Err(broken(format!("the view has {members:?} members of {}", servers.len()))),
    }
}

/// Whether a client was shown a clock that is a day ahead of all that these servers know: it waits, as it was promised
/// (`PROTOCOL.md` §8), until those come who showed it.
fn is_from_tomorrow(world: &World, floor: Hlc, servers: &[usize]) -> bool {
    let day = Hlc::from_wall_ms(FLOOR_AHEAD.as_millis() as u64).0;
    let known = |at: &usize| {
        let server = &world.servers[*at];
        let hlc = server.node.as_ref().map_or(Hlc(0), |node| node.inspect().hlc);
        hlc.max(Hlc::from_wall_ms(server.clock.now(world.time).wall_ms))
    };
    servers.iter().map(known).all(|known| floor > known.plus(day))
}

/// Whether every message is acknowledged and every history equal.
fn quiet(world: &World, servers: &[usize]) -> Result<(), Violation> {
    // A client that is not at one of them may be cut off from all of them.
    let counts =
        |home: Option<Station>| servers.len() == world.servers.len() || home.is_some_and(|at| servers.contains(&at.0));
    for (at, client) in world.clients.iter().enumerate().filter(|(_, client)| counts(client.home())) {
        if let Some(cseq) = client.oldest_unacked().filter(|_| !is_from_tomorrow(world, client.floor(), servers)) {
            let id = crate::ids::MessageId { client: client.id(), cseq };
            let home = client.home();
            return Err(broken(format!("c{} at {home:?} waits for {cseq}: {}", at + 1, world.checker.story(id))));
        }
    }
    let mut asking = world.clients.iter().enumerate().filter(|(_, client)| counts(client.home()));
    if let Some((at, query)) = asking.find_map(|(at, client)| Some((at, client.unanswered()?))) {
        return Err(broken(format!("c{} waits for an answer: {query:?}", at + 1)));
    }
    for at in servers.iter().copied().filter(|_| world.clients.iter().all(|client| client.unacked() == 0)) {
        let held = world.servers[at].node.as_ref().map_or(0, |node| node.inspect().pending);
        if held > 0 {
            return Err(broken(format!("s{} still holds {held} messages of its clients", at + 1)));
        }
    }
    world.checker.same_histories(&world.servers, servers)
}

/// Whether each client has been shown all that became history since it began to follow.
fn everything_shown(world: &mut World, servers: &[usize]) -> Result<(), Violation> {
    let missing = |world: &World| {
        let clients = world.clients.iter().enumerate();
        let mut homes = clients.filter_map(|(at, client)| Some((at, client, client.home()?.0)));
        homes.find_map(|(at, client, home)| {
            let unshown = world.checker.unshown(&world.servers[home], &**client)?;
            servers.contains(&home).then(|| (at, home, world.checker.story(unshown)))
        })
    };
    // Who moved a moment ago is still being sent what it missed.
    let Some((client, home, story)) = lasts(world, missing)? else { return Ok(()) };
    Err(broken(format!("c{} at s{} was never shown what was {story}", client + 1, home + 1)))
}

/// What is missing still when the time to heal is over; nothing as soon as nothing is.
fn lasts<T>(world: &mut World, missing: impl Fn(&World) -> Option<T>) -> Result<Option<T>, Violation> {
    for _ in 0..HEALING.as_secs() {
        if missing(world).is_none() {
            return Ok(None);
        }
        world.run_until(world.time + secs(1))?;
    }
    Ok(missing(world))
}

/// Whether everyone is in the rooms that he entered and did not leave, whatever servers thought of him meanwhile.
fn everyone_seated(world: &mut World, servers: &[usize]) -> Result<(), Violation> {
    let missing = |world: &World| {
        let clients = world.clients.iter().enumerate();
        let mut homes = clients.filter_map(|(at, client)| Some((at, client.home()?.0)));
        homes.find_map(|(at, home)| {
            let room = world.checker.unseated(at, &world.servers[home])?;
            servers.contains(&home).then_some((at, home, room))
        })
    };
    let Some((client, home, room)) = lasts(world, missing)? else { return Ok(()) };
    Err(broken(format!("c{} at s{} has entered #{room}, and is not there", client + 1, home + 1)))
}

/// Whether traffic goes back to beacons: the fallbacks that the faults made necessary end after a while.
fn idle(world: &mut World) -> Result<(), Violation> {
    let most = IDLE_MOST * world.servers.len() as u64;
    let mut sent = 0;
    for _ in 0..HEALING.as_secs() {
        let before = world.counts.sent;
        world.run_until(world.time + secs(1))?;
        sent = world.counts.sent - before;
        if sent <= most {
            return Ok(());
        }
    }
    Err(broken(format!("{sent} datagrams in an idle second: {:?}", world.counts.messages)))
}

/// Many seeds one after the other, and what they reached.
#[derive(Default)]
pub struct Sweep {
    /// Seeds that were run.
    pub runs: u64,
    /// Simulated time in all.
    pub simulated: Duration,
    /// Steps in all.
    pub steps: u64,
    /// Messages acknowledged in all.
    pub acked: u64,
    /// Records shown in all.
    pub shown: u64,
    /// Rare states, and how often they were there.
    pub rare: BTreeMap<&'static str, u64>,
    /// The seeds that failed, each with what was violated.
    pub failures: Vec<(u64, Violation)>,
}

impl Sweep {
    /// Runs one more seed.
    pub fn run(&mut self, seed: u64, options: &Options) -> Outcome {
        let outcome = run(seed, options);
        self.runs += 1;
        self.simulated += outcome.at.since(Time(0));
        self.steps += outcome.counts.steps;
        self.acked += outcome.counts.acked;
        self.shown += outcome.shown;
        for (name, count) in &outcome.counts.rare {
            *self.rare.entry(name).or_default() += count;
        }
        if let Some(violation) = &outcome.violation {
            self.failures.push((seed, violation.clone()));
        }
        outcome
    }
}

/// The fewest faults of a failing seed with which it still fails in the same way, by their places in its plan.
pub fn shrink(seed: u64, options: &Options, property: u8) -> Vec<usize> {
    let plan = Plan::draw(seed, options);
    let mut kept: Vec<usize> = (0..plan.faults.len()).collect();
    let fails = |kept: &[usize]| {
        let outcome = run_plan(&plan.clone().only(Some(kept)));
        outcome.violation.is_some_and(|violation| violation.property == property)
    };
    let mut chunk = kept.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let before = kept.len();
        while at < kept.len() {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + chunk).min(fewer.len()));
            if fails(&fewer) {
                kept = fewer;
            } else {
                at += chunk;
            }
        }
        if chunk == 1 && kept.len() == before {
            return kept;
        }
        chunk = (chunk / 2).max(1);
    }
}
