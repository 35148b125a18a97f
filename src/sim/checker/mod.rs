//! Watches a run and tells the first thing that must never happen. The numbers are those of `PROTOCOL.md`'s list of what
//! must always hold.
//!
//! The truth comes from what servers were seen to write, what their disks hold and what they told clients, not from
//! what they believe. History is kept as positions; a message's text is a function of its id.

mod answers;
mod finish;
mod history;
mod pages;
mod people;
mod retention;
mod sessions;
mod talk;
mod traffic;
mod writes;

use super::client::{self, Client};
use super::image::Entries;
use super::world::{Counts, Server};
use crate::ids::{ClientId, EpochId, MessageId, Pid, RecordKey, ServerId, ViewTag};
use crate::proto::bugs::Bugs;
use crate::proto::event::Event;
use crate::proto::inspect::{Gauge, Inspection};
use crate::proto::io::{Recovered, SessionId};
use crate::record::{Record, View};
use crate::seq::IdSet;
use crate::time::Hlc;
use crate::wire::message::LogState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;

/// The number that violations of liveness bear.
pub const LIVENESS: u8 = 25;
/// The number that a panic or a broken calling contract bears.
pub const CONTRACT: u8 = 26;

/// Something that must never happen did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which property, by its number.
    pub property: u8,
    /// What happened.
    pub text: String,
}

type Verdict = Result<(), Violation>;

/// Ends the check with a violation unless something holds.
macro_rules! hold {
    ($property:expr, $holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err(Violation { property: $property, text: format!($($text)*) });
        }
    };
}

use hold;

/// One epoch as the whole world knows it.
struct Epoch {
    view: View,
    /// What was written first at each gsn, from 1. The bytes are the first writer's own.
    entries: Entries,
    /// The greatest length that anyone took for stable.
    stable: u64,
    /// The greatest length at which a view that was prepared or installed closes it.
    closed: u64,
    /// For each epoch that followed: who left this one for it first, and how far it had delivered.
    left: BTreeMap<EpochId, (Pid, u64)>,
}

/// One message as the whole world knows it.
#[derive(Clone, Default)]
struct Fact {
    /// The greatest HLC its writer had been shown when it was made.
    after: Hlc,
    /// Everywhere it was ordered.
    places: Vec<RecordKey>,
    /// The servers, as bits, whose disks held it when its writer was told that it is stable.
    holders: Option<u64>,
    /// Whether some client was shown it.
    shown: bool,
    /// Whether a server refused it for ever: its writer went on without it.
    refused: bool,
}

/// What was sent over a client's connection.
struct Session {
    client: usize,
    /// By writer and number: which of its places a message was sent with, and whether behind the others.
    sent: Vec<Vec<Option<(u16, bool)>>>,
    /// The same of what servers say themselves.
    others: BTreeMap<MessageId, (RecordKey, bool)>,
    last: RecordKey,
    /// The client asked for something once more.
    asked: bool,
}

/// What was fed last: a server's clients are fed the same block one after the other.
struct Fed {
    /// The block itself: while this is kept, no other one lies there.
    block: Weak<Vec<Record>>,
    /// By record: its writer, and which of its places it was fed with.
    places: Vec<Option<(usize, u16)>>,
    /// Whether there is something among it that is not for everyone.
    letters: bool,
}

/// What a client's user has been shown.
#[derive(Default)]
struct Screen {
    /// By the process that runs.
    shown: IdSet,
    /// By those before it, if it was told of what they had shown.
    before: IdSet,
    /// The greatest.
    last: RecordKey,
}

/// What it has seen so far.
pub struct Checker {
    epochs: BTreeMap<EpochId, Epoch>,
    tags: BTreeMap<ViewTag, EpochId>,
    clients: Vec<ClientId>,
    nicks: Vec<String>,
    /// Places among the clients, ascending by client.
    writers: Vec<(ClientId, usize)>,
    /// By client, and by number from 1.
    facts: Vec<Vec<Fact>>,
    /// Everywhere that what servers say themselves was ordered.
    others: BTreeMap<MessageId, Vec<RecordKey>>,
    servers: BTreeMap<ServerId, usize>,
    seen: Vec<Inspection>,
    sessions: BTreeMap<(usize, SessionId), Session>,
    fed_before: Option<Fed>,
    /// Of the clients that owe their users order.
    screens: BTreeMap<usize, Screen>,
    /// Greatest cut at which an installed view closed each epoch: what lies above it, and was never stable, may not become
    /// history.
    cuts: BTreeMap<EpochId, u64>,
    /// Servers, as bits, whose disk was destroyed, harmed or came back older.
    unsound: u64,
    /// Views that were proposed for installation, and who said that it is prepared.
    commits: BTreeMap<EpochId, Proposal>,
    /// What each participant first told of each epoch, by the epoch that was proposed.
    told: BTreeMap<EpochId, BTreeMap<Pid, Vec<LogState>>>,
    /// Of which epochs someone told more later, by the epoch that was proposed.
    told_more: BTreeSet<(EpochId, EpochId)>,
    /// Every process there was.
    lives: BTreeSet<Pid>,
    /// How much of each epoch was history at each member, by its place among the servers, when it installed a view.
    began: BTreeMap<EpochId, BTreeMap<usize, BTreeMap<EpochId, u64>>>,
    asked: retention::Asked,
    traffic: traffic::Traffic,
    talk: talk::Talk,
    /// Of clients that go through all of history.
    walks: BTreeMap<usize, pages::Walk>,
    bugs: Bugs,
    /// Records that clients were shown.
    pub shown: u64,
}

/// A view whose commit was sent.
#[derive(Default)]
struct Proposal {
    parents: Vec<(EpochId, u64)>,
    prepared: BTreeSet<Pid>,
}

impl Checker {
    /// A checker of a world with these.
    pub fn new(servers: &[Server], clients: &[Box<dyn Client>], bugs: Bugs) -> Self {
        let mut writers: Vec<_> = clients.iter().map(|client| client.id()).zip(0..).collect();
        writers.sort_unstable();
        let people = clients.iter().any(|client| client.overhears());
        Self {
            epochs: BTreeMap::new(),
            tags: BTreeMap::new(),
            clients: clients.iter().map(|client| client.id()).collect(),
            nicks: clients.iter().map(|one| client::nick(one.id())).collect(),
            writers,
            others: BTreeMap::new(),
            facts: vec![Vec::new(); clients.len()],
            servers: servers.iter().enumerate().map(|(at, server)| (server.id, at)).collect(),
            seen: vec![Inspection::default(); servers.len()],
            sessions: BTreeMap::new(),
            fed_before: None,
            screens: BTreeMap::new(),
            cuts: BTreeMap::new(),
            unsound: 0,
            commits: BTreeMap::new(),
            told: BTreeMap::new(),
            told_more: BTreeSet::new(),
            lives: BTreeSet::new(),
            began: BTreeMap::new(),
            asked: retention::Asked::default(),
            traffic: traffic::Traffic::default(),
            talk: talk::Talk::new(people, clients.len()),
            walks: BTreeMap::new(),
            bugs,
            shown: 0,
        }
    }

    /// A server as it was after its last step; default when it does not run.
    pub fn seen(&self, at: usize) -> &Inspection {
        &self.seen[at]
    }

    /// Whether some disk lost what it had acknowledged.
    pub fn any_unsound(&self) -> bool {
        self.unsound != 0
    }

    /// How often any message was ordered beyond its first time.
    pub fn duplicates(&self) -> u64 {
        self.facts.iter().flatten().map(|fact| fact.places.len().saturating_sub(1) as u64).sum()
    }

    /// A client's place among them.
    fn writer(&self, client: ClientId) -> Option<usize> {
        let at = self.writers.binary_search_by_key(&client, |(client, _)| *client).ok()?;
        Some(self.writers[at].1)
    }

    /// A client's message, with the client's place.
    fn fact(&self, id: MessageId) -> Option<(usize, &Fact)> {
        let writer = self.writer(id.client)?;
        Some((writer, self.facts[writer].get(id.cseq.checked_sub(1)? as usize)?))
    }

    // Lives and disks.

    /// A server begins a life with what it found: 23, a restart equals what was synced.
    pub fn started(&mut self, at: usize, server: &Server, recovered: &Recovered) -> Verdict {
        self.seen[at] = Inspection { pid: server.pid, last: recovered.last, ..Inspection::default() };
        hold!(4, self.lives.insert(server.pid), "s{} lives again as {}", at + 1, server.pid);
        let durable = server.disk.durable();
        for epoch in &recovered.epochs {
            let there = durable.len(epoch.view.epoch);
            hold!(23, epoch.len == there, "s{} found {} of {there} entries of {}", at + 1, epoch.len, epoch.view.epoch);
        }
        Ok(())
    }

    /// A server's process is gone.
    pub fn crashed(&mut self, at: usize) {
        self.seen[at] = Inspection::default();
        self.sessions.retain(|key, _| key.0 != at);
    }

    /// A server's disk is another, or an older one: it holds nothing of what it held, also where its log happens to reach that.
    pub fn lost(&mut self, at: usize, server: &mut Server) {
        self.lets_go_of(at, |_| true);
        self.harmed(at, server);
    }

    /// A server's disk lost the ends of some logs. What it still has it holds as before, but for what lies above its epoch's closure:
    /// that is history by another place, or not at all (seed 996100259).
    pub fn harmed(&mut self, at: usize, server: &mut Server) {
        server.unsound = true;
        self.unsound |= 1 << at;
        let disk = server.disk.durable();
        let reach = |epoch: EpochId| disk.len(epoch).min(disk.closures.get(&epoch).copied().unwrap_or(u64::MAX));
        self.lets_go_of(at, |places| !places.iter().any(|place| reach(place.epoch) >= place.gsn));
    }

    fn lets_go_of(&mut self, at: usize, is_lost: impl Fn(&[RecordKey]) -> bool) {
        for fact in self.facts.iter_mut().flatten() {
            if let Some(holders) = fact.holders.as_mut().filter(|_| is_lost(&fact.places)) {
                *holders &= !(1 << at);
            }
        }
    }

    /// A server comes back under another id.
    pub fn renamed(&mut self, at: usize, id: ServerId) {
        self.servers.insert(id, at);
    }

    // Steps.

    /// After every step of a server: 5, 6, 7, 9, 18.
    pub fn after_step(&mut self, at: usize, now: &Inspection, servers: &[Server], counts: &mut Counts) -> Verdict {
        if self.seen[at] == *now {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.seen[at], *now);
        hold!(6, now.promised >= before.promised, "s{} promised {} after {}", at + 1, now.promised, before.promised);
        hold!(5, now.last >= before.last, "s{} went back from {:?} to {:?}", at + 1, before.last, now.last);
        self.count_rare(&before, now, counts);
        if now.view == before.view {
            hold!(18, now.delivered >= before.delivered, "s{} went back in delivery to {}", at + 1, now.delivered);
        } else {
            self.changed_view(at, &before, now)?;
        }
        let Some(epoch) = now.view else { return Ok(()) };
        hold!(3, now.delivered <= now.len, "s{} delivered {} of {}", at + 1, now.delivered, now.len);
        hold!(9, now.delivered <= now.stable, "s{} delivered {} and {} are stable", at + 1, now.delivered, now.stable);
        // A disk keeps what it has while its server lives.
        if (now.view, now.durable) != (before.view, before.durable) {
            let durable = servers[at].disk.durable().len(epoch);
            hold!(9, now.durable <= durable, "s{} takes {} of {epoch} for durable, not {durable}", at + 1, now.durable);
        }
        if (now.view, now.stable) == (before.view, before.stable) {
            return Ok(());
        }
        self.stable(at, epoch, now.stable, servers)
    }

    /// 9: stable means durable at every member.
    fn stable(&mut self, at: usize, epoch: EpochId, stable: u64, servers: &[Server]) -> Verdict {
        let Some(known) = self.epochs.get_mut(&epoch) else { return Ok(()) };
        if stable <= known.stable {
            return Ok(());
        }
        known.stable = stable;
        for member in &known.view.members {
            // Of two machines with one id the one that is the member, not its copy.
            let member_itself = servers.iter().position(|server| server.pid == member.pid);
            let Some(holder) = member_itself.or_else(|| self.servers.get(&member.pid.server).copied()) else {
                continue;
            };
            let there = servers[holder].disk.durable().len(epoch);
            hold!(
                9,
                there >= stable || servers[holder].unsound,
                "s{} takes {epoch}:{stable} for stable, and s{} has {there} on disk",
                at + 1,
                holder + 1
            );
        }
        Ok(())
    }

    /// 7: who goes from v to w together delivered the same of v.
    fn changed_view(&mut self, at: usize, before: &Inspection, now: &Inspection) -> Verdict {
        let (Some(old), Some(new)) = (before.view, now.view) else { return Ok(()) };
        hold!(5, new > old, "s{} goes from {old} to {new}", at + 1);
        hold!(6, new >= before.promised, "s{} enters {new} after it promised {}", at + 1, before.promised);
        let Some((left, upto)) = now.left.filter(|left| left.0 == old) else { return Ok(()) };
        let Some(known) = self.epochs.get_mut(&left) else { return Ok(()) };
        let first = *known.left.entry(new).or_insert((now.pid, upto));
        hold!(7, first.1 == upto, "of {left}, {} delivered {} and {} {upto}, before {new}", first.0, first.1, now.pid);
        Ok(())
    }

    fn count_rare(&self, before: &Inspection, now: &Inspection, counts: &mut Counts) {
        if now.electing && !before.electing && self.seen.iter().filter(|one| one.electing).count() > 1 {
            counts.rare("two elections at once");
        }
        if now.coordinating.is_some() && now.coordinating != before.coordinating {
            counts.rare("proposals");
            if self.seen.iter().filter(|one| one.coordinating.is_some()).count() > 1 {
                counts.rare("two coordinators at once");
            }
        }
        if before.coordinating.is_some() && now.coordinating.is_none() && now.view == before.view {
            counts.rare("proposals abandoned");
        }
        if before.prepared.is_some() && before.prepared != now.prepared && now.view != before.prepared {
            counts.rare("commit without install");
        }
        if now.promised > before.promised && before.view.is_some() && before.delivered < before.len {
            counts.rare("freeze with messages under way");
        }
    }

    /// 20: every buffer is within its bound.
    pub fn gauges(&self, at: usize, gauges: &[Gauge]) -> Verdict {
        for gauge in gauges {
            let Gauge { name, level, bound } = *gauge;
            hold!(20, level <= bound, "s{} holds {level} {name}, and {bound} is the bound", at + 1);
        }
        Ok(())
    }

    /// 23: a server knows of its disk what it would find after a restart.
    pub fn knows_its_disk(
        &self,
        at: usize,
        known: impl Iterator<Item = (EpochId, u64, Option<u64>)>,
        server: &Server,
    ) -> Verdict {
        let disk = server.disk.durable();
        for (epoch, len, closure) in known {
            let there = (disk.len(epoch), disk.closures.get(&epoch).copied());
            let agree = there == (len, closure);
            hold!(23, agree, "s{} takes {epoch} for {:?} on its disk, and that has {there:?}", at + 1, (len, closure));
        }
        Ok(())
    }

    /// 16: who says that nothing of the past is missing has it on its disk, and so in its history.
    fn has_caught_up(&self, at: usize, server: &Server) -> Verdict {
        let (live, durable) = (server.disk.live(), server.disk.durable());
        let of_the_past = live.logs.iter().filter(|(epoch, _)| Some(**epoch) != self.seen[at].view);
        for (epoch, log) in of_the_past {
            let there = durable.len(*epoch);
            hold!(
                16,
                there == log.entries.len() as u64,
                "s{} is ready, and {epoch} is on its disk to {there} only",
                at + 1
            );
        }
        Ok(())
    }

    /// Counts what events tell of rare states; 4, 5, 16.
    pub fn event(&mut self, at: usize, event: &Event, servers: &[Server], counts: &mut Counts) -> Verdict {
        match event {
            Event::View { view, .. } => {
                hold!(4, view.has(self.seen[at].pid), "s{} is told of a view without it: {view:?}", at + 1);
            }
            Event::Merged { .. } => counts.rare("merges with messages"),
            Event::CaughtUp { .. } => {
                counts.rare("catch-ups");
                self.has_caught_up(at, &servers[at])?;
            }
            Event::Ready => self.has_caught_up(at, &servers[at])?,
            Event::Suspected { .. } => counts.rare("suspicions"),
            Event::Failed { proven: true, .. } => counts.rare("deaths proven"),
            Event::Failed { .. } => counts.rare("deaths by silence"),
            Event::ReadOnly { .. } => counts.rare("read-only"),
            Event::Cloned { .. } => counts.rare("clones heard"),
            Event::Replaced { .. } => counts.rare("clones gone"),
            _ => {}
        }
        Ok(())
    }
}
