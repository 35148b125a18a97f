//! When all is healed: equal histories, nothing lost, everything in order.

use super::history::{Choose, Extents};
use super::retention::{all_pruned, horizon_of};
use super::{Checker, LIVENESS, Verdict, Violation, hold};
use crate::ids::{MessageId, RecordKey};
use crate::proto::bugs::Bug;
use crate::proto::inspect::Inspection;
use crate::proto::node::Node;
use crate::sim::client::Client;
use crate::sim::world::Server;
use crate::time::Hlc;

impl Checker {
    /// 16: whether all that run hold the same committed logs, as far as they count.
    pub fn same_histories(&self, servers: &[Server], among: &[usize]) -> Verdict {
        let mut running = running(servers, among);
        let Some((first, one)) = running.next() else { return Ok(()) };
        let known = Extents::of(one.disk.live());
        self.same_pruned((first, one), (first, one))?;
        for (at, other) in running {
            self.same_pruned((first, one), (at, other))?;
            let others = Extents::of(other.disk.live());
            hold!(LIVENESS, others == known, "s{} has {known:?} and s{} {others:?}", first + 1, at + 1);
        }
        Ok(())
    }

    /// When all is healed and quiet: 11, 12, 14, 15, 16, 19 of the histories of those that run, and everyone is in the same
    /// rooms at all of them.
    pub fn finish(&self, servers: &[Server], among: &[usize]) -> Verdict {
        let choose: Choose = if self.bugs.has(Bug::GreatestKey) { RecordKey::max } else { RecordKey::min };
        let Some((first, one)) = running(servers, among).next() else { return Ok(()) };
        let extents = Extents::of(one.disk.live());
        let history = self.history(&extents, choose);
        for (at, server) in running(servers, among) {
            self.as_written(at, server)?;
            all_pruned(at, server)?;
            let others = Extents::of(server.disk.live());
            if others != extents {
                let other = self.history(&others, choose);
                hold!(16, other == history, "s{} and s{} differ: {}", first + 1, at + 1, difference(&history, &other));
            }
            self.counted(at, server, history.len() as u64)?;
            same_people((first, one), (at, server))?;
            self.right_people(at, server)?;
            self.same_nicks(at, server)?;
        }
        if among.len() == servers.len() {
            self.kept(&extents, horizon_of(one.disk.live()), servers)?;
        }
        self.in_order(&history)
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
    pub fn unshown(&self, server: &Server, client: &dyn Client) -> Option<MessageId> {
        let began = client.began()?;
        let extents = Extents::of(server.disk.live());
        // Of a message that has a second place the first may have been there before.
        let hidden = self.not_in(client.shown()).filter(|(_, places)| !places.iter().any(|place| began.hides(place)));
        let missing = hidden.filter_map(|(id, places)| Some((extents.place_of(id, places, RecordKey::min)?, id)));
        missing.filter(|(_, id)| self.talk.is_for(*id, client.id())).min().map(|(_, id)| id)
    }

    /// 11 and 12: what was acknowledged or shown is there, unless every disk that held it is gone, or it was let go of.
    fn kept(&self, history: &Extents, horizon: Hlc, servers: &[Server]) -> Verdict {
        let running =
            (0..servers.len()).filter(|at| servers[*at].node.is_some()).fold(0_u64, |bits, at| bits | 1 << at);
        for (facts, &client) in self.facts.iter().zip(&self.clients) {
            for (fact, cseq) in facts.iter().zip(1..) {
                let id = MessageId { client, cseq };
                let is_there = history.place_of(id, &fact.places, RecordKey::min).is_some();
                if is_there || self.is_below(&fact.places, horizon) {
                    continue;
                }
                let held = fact.holders.is_some_and(|holders| holders & running != 0);
                hold!(11, !held, "{id} was acknowledged and is lost: {}", self.story(id));
                hold!(12, !fact.shown || self.unsound != 0, "{id} was shown and is lost: {}", self.story(id));
            }
        }
        Ok(())
    }

    /// 14 and 15: after what its writer had seen, and in its writer's order.
    fn in_order(&self, history: &[(RecordKey, MessageId)]) -> Verdict {
        let mut last = vec![0; self.clients.len()];
        for (key, id) in history {
            let Some((writer, fact)) = self.fact(*id).filter(|(_, fact)| !fact.refused) else { continue };
            let before = std::mem::replace(&mut last[writer], id.cseq);
            hold!(
                15,
                // The first place of a message may be lost with a disk, and another that sorts later is left (seed 980100140).
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

/// 16: who is where follows from the history, whichever way it came.
fn same_people((first, one): (usize, &Server), (at, other): (usize, &Server)) -> Verdict {
    let who = |server: &Server| server.node.as_ref().map(Node::who);
    let (ours, theirs) = (who(one), who(other));
    hold!(16, ours == theirs, "s{} has {ours:?} and s{} {theirs:?}", first + 1, at + 1);
    Ok(())
}

fn difference(one: &[(RecordKey, MessageId)], other: &[(RecordKey, MessageId)]) -> String {
    let only = |a: &[(RecordKey, MessageId)], b: &[(RecordKey, MessageId)]| -> Vec<String> {
        let lacking = a.iter().filter(|record| b.binary_search(record).is_err());
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
