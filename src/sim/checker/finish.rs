//! When all is healed: equal histories, nothing lost, everything in order.

use super::{Checker, LIVENESS, Verdict, Violation, hold};
use crate::ids::{ClientId, EpochId, MessageId, RecordKey};
use crate::proto::bugs::Bug;
use crate::proto::inspect::Inspection;
use crate::seq::IdSet;
use crate::sim::client::Client;
use crate::sim::world::Server;
use crate::time::Hlc;
use std::collections::{BTreeMap, HashMap};

impl Checker {
    /// 16: whether all that run hold the same committed logs, as far as they count.
    pub fn same_histories(&self, servers: &[Server], among: &[usize]) -> Verdict {
        let mut running = running(servers, among);
        let extents = |server: &Server| -> Vec<(EpochId, u64)> {
            let image = server.disk.live();
            let committed = image.logs.keys().map(|&epoch| (epoch, image.committed(epoch)));
            committed.filter(|(_, committed)| *committed > 0).collect()
        };
        let Some((first, one)) = running.next() else { return Ok(()) };
        let known = extents(one);
        for (at, other) in running {
            let others = extents(other);
            hold!(LIVENESS, others == known, "s{} has {known:?} and s{} {others:?}", first + 1, at + 1);
        }
        Ok(())
    }

    /// When all is healed and quiet: 11, 12, 14, 15, 16, 19 of the histories of those that run.
    pub fn finish(&self, servers: &[Server], among: &[usize]) -> Verdict {
        let choose = if self.bugs.has(Bug::GreatestKey) { RecordKey::max } else { RecordKey::min };
        let histories: Vec<_> =
            running(servers, among).map(|(at, server)| (at, server.disk.live().history_by(choose))).collect();
        let Some(((first, history), others)) = histories.split_first() else { return Ok(()) };
        for (at, other) in others {
            hold!(16, other == history, "s{} and s{} differ: {}", first + 1, at + 1, difference(history, other));
        }
        for (at, server) in running(servers, among) {
            self.counted(at, server, history.len() as u64)?;
        }
        if among.len() == servers.len() {
            self.kept(history, servers)?;
        }
        self.in_order(history)
    }

    /// 14 and 19: a server counts each message of its history once, and its clock is past all of it.
    fn counted(&self, at: usize, server: &Server, history: u64) -> Verdict {
        let Inspection { messages, hlc, .. } = self.seen[at];
        hold!(19, messages == history, "s{} counts {messages} messages, and {history} are history", at + 1);
        let image = server.disk.live();
        for (epoch, log) in &image.logs {
            let committed = image.committed(*epoch) as usize;
            let last = log.entries.get(committed.wrapping_sub(1)).map_or(Hlc(0), |entry| entry.hlc);
            hold!(14, hlc >= last, "s{} is at {hlc} and has {last} in its history of {epoch}", at + 1);
        }
        Ok(())
    }

    /// A message of a server's history that a client follows and has not been shown: every feed is complete.
    pub fn unshown(&self, server: &Server, client: &Client) -> Option<MessageId> {
        let floor = client.began()?;
        let history = server.disk.live().history();
        history.range(floor..).map(|(_, id)| *id).find(|id| !client.has_shown(*id))
    }

    /// 11 and 12: what was acknowledged or shown is there, unless every disk that held it is gone.
    fn kept(&self, history: &BTreeMap<RecordKey, MessageId>, servers: &[Server]) -> Verdict {
        let mut there = IdSet::default();
        for &id in history.values() {
            hold!(19, there.insert(id), "{id} is in history twice");
        }
        let running =
            (0..servers.len()).filter(|at| servers[*at].node.is_some()).fold(0_u64, |bits, at| bits | 1 << at);
        for (&client, &at) in &self.clients {
            for (number, fact) in self.facts[at].iter().enumerate() {
                let id = MessageId { client, cseq: number as u64 + 1 };
                if there.contains(id) {
                    continue;
                }
                let held = fact.holders.is_some_and(|holders| holders & running != 0);
                hold!(11, !held || self.older, "{id} was acknowledged and is lost: {}", self.story(id));
                hold!(12, !fact.shown || self.unsound != 0, "{id} was shown and is lost: {}", self.story(id));
            }
        }
        Ok(())
    }

    /// 14 and 15: after what its writer had seen, and in its writer's order.
    fn in_order(&self, history: &BTreeMap<RecordKey, MessageId>) -> Verdict {
        let mut last: HashMap<ClientId, u64> = HashMap::new();
        for (key, id) in history {
            let Some(&client) = self.clients.get(&id.client) else { continue };
            let fact = self.facts[client].get((id.cseq - 1) as usize).cloned().unwrap_or_default();
            if fact.refused {
                continue;
            }
            let before = last.insert(id.client, id.cseq).unwrap_or(0);
            hold!(
                15,
                before < id.cseq || self.unsound != 0,
                "{id} sorts after number {before}: {}; {}",
                self.story(*id),
                self.story(MessageId { client: id.client, cseq: before })
            );
            hold!(14, key.hlc > fact.after, "{id} at {} was made after {}", key.hlc, fact.after);
        }
        Ok(())
    }
}

fn running<'a>(servers: &'a [Server], among: &'a [usize]) -> impl Iterator<Item = (usize, &'a Server)> {
    among
        .iter()
        .filter_map(|&at| servers.get(at).map(|server| (at, server)))
        .filter(|(_, server)| server.node.is_some())
}

fn difference(one: &BTreeMap<RecordKey, MessageId>, other: &BTreeMap<RecordKey, MessageId>) -> String {
    let only = |a: &BTreeMap<RecordKey, MessageId>, b: &BTreeMap<RecordKey, MessageId>| -> Vec<String> {
        let lacking = a.iter().filter(|(key, id)| b.get(key) != Some(id));
        lacking.take(4).map(|(key, id)| format!("{id} at {}:{}", key.epoch, key.gsn)).collect()
    };
    format!(
        "{} and {} records; first only {:?}, second only {:?}",
        one.len(),
        other.len(),
        only(one, other),
        only(other, one)
    )
}
