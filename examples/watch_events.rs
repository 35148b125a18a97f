//! Three servers find each other, and say what happens to them: the first views, then the leader leaves, and the two that
//! stay elect another.
//!
//! The same events are what `ringtalk server --json` prints.
#![expect(clippy::print_stdout, reason = "a program for people")]

use crossbeam_channel::Select;
use ringtalk::proto::event::Event;
use ringtalk::record::View;
use ringtalk::server::Server;
use ringtalk::time::Now;
use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Nothing here takes as long as this.
const LIMIT: Duration = Duration::from_secs(20);

/// A server, and what its events have told so far.
struct Watched {
    server: Server,
    view: Option<View>,
    is_ready: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let net = format!("watch-{:08x}", RandomState::new().hash_one("net") as u32);
    let start = |name| Server::builder(name).net(&net).local(true).start();
    let watched = |name| start(name).map(|server| Watched { server, view: None, is_ready: false });
    let mut ring = vec![watched("oak")?, watched("elm")?, watched("ash")?];
    let mut began_ms = None;

    let first = watch(&mut ring, &mut began_ms)?;
    let leads = |watched: &Watched| watched.server.pid() == first.epoch.leader;
    let leader = ring.remove(ring.iter().position(leads).ok_or("none of these leads")?);
    println!("-- {} leaves", first.leader_name());
    if !leader.server.leave() {
        return Err("its goodbye was not said".into());
    }
    let second = watch(&mut ring, &mut began_ms)?;
    println!("-- {} leads now", second.leader_name());
    if second.has(first.epoch.leader) || second.epoch <= first.epoch {
        return Err("the leader left, and is in the view".into());
    }
    ring.into_iter().all(|watched| watched.server.leave()).then_some(()).ok_or_else(|| "no goodbye was said".into())
}

/// Prints what happens, in time since the first event, until all of them are ready and they, and nobody else, stand in
/// one view.
fn watch(ring: &mut [Watched], began_ms: &mut Option<u64>) -> Result<View, Box<dyn Error>> {
    loop {
        let (at, (now, event)) = next(ring)?;
        // Each server's monotonic clock begins with it; the wall clock is the one they share.
        let after_ms = now.wall_ms.saturating_sub(*began_ms.get_or_insert(now.wall_ms));
        println!("{after_ms:>6} ms  {:<4} {}", ring[at].server.about().name, words(&event));
        match event {
            Event::View { view, .. } => ring[at].view = Some(view),
            Event::Ready => ring[at].is_ready = true,
            _ => {}
        }
        if let Some(view) = ring[0].view.as_ref().filter(|view| view.members.len() == ring.len())
            && ring.iter().all(|watched| watched.is_ready && watched.view.as_ref() == Some(view))
        {
            return Ok(view.clone());
        }
    }
}

/// The next event of any of them.
fn next(ring: &[Watched]) -> Result<(usize, (Now, Event)), Box<dyn Error>> {
    let mut select = Select::new();
    for watched in ring {
        select.recv(watched.server.events());
    }
    let ready = select.select_timeout(LIMIT)?;
    let at = ready.index();
    Ok((at, ready.recv(ring[at].server.events())?))
}

fn words(event: &Event) -> String {
    match event {
        Event::View { view, reason, .. } => {
            let names: Vec<&str> = view.members.iter().map(|member| member.name.as_str()).collect();
            format!("view {} led by {}: {} ({reason})", view.epoch.num, view.leader_name(), names.join(" "))
        }
        Event::Ready => "ready".into(),
        Event::Suspected { name, .. } => format!("{name} is silent"),
        Event::Failed { name, .. } => format!("{name} is gone"),
        Event::Rejoined { name, .. } => format!("{name} is here"),
        Event::Election { num, started_by, winner: None, .. } => format!("election {num}, started by {started_by}"),
        Event::Election { num, winner: Some(winner), took, .. } => {
            format!("election {num} won by {winner} in {took:.1?}")
        }
        Event::Proposed { epoch, members } => format!("proposes view {} of {members}", epoch.num),
        Event::Abandoned { epoch, reason } => format!("gives view {} up: {reason}", epoch.num),
        other => format!("{other:?}"),
    }
}
