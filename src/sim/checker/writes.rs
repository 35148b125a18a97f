//! What servers write and send: one history, one view of each epoch, nothing promised away.

use super::{CONTRACT, Checker, Epoch, Fact, Proposal, Verdict, Violation, hold};
use crate::ids::{EpochId, MessageId, Pid, RecordKey};
use crate::proto::inspect::Inspection;
use crate::proto::io::Write;
use crate::record::{Entry, Kind, Lent, Member, View};
use crate::sim::client;
use crate::sim::image::Entries;
use crate::sim::world::{Counts, Server, message_name};
use crate::time::Time;
use crate::wire::datagram;
use crate::wire::message::{Data, Heads, Message, Nack, Order};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Checker {
    /// A server writes: 1, 2, 4, 5, 6, 8, 18.
    pub fn wrote(&mut self, now: Time, at: usize, write: &Write, servers: &[Server], counts: &mut Counts) -> Verdict {
        match write {
            Write::Append { epoch, first, entries } => {
                let Inspection { pid, promised, .. } = self.seen[at];
                hold!(6, promised <= *epoch, "s{} appends to {epoch} after it promised {promised}", at + 1);
                let known = self.epochs.get(epoch).is_some_and(|known| known.view.has(pid));
                hold!(4, known, "s{} appends to {epoch}, of which it is no member", at + 1);
                self.entries(at, *epoch, *first, entries, true)
            }
            Write::Fill { view, first, entries, committed, .. } => {
                self.view(view)?;
                let known = self.epochs.get(&view.epoch).map_or(0, |known| known.stable.max(known.closed));
                hold!(
                    8,
                    *committed <= known,
                    "s{} takes {committed} of {} for history, not {known}",
                    at + 1,
                    view.epoch
                );
                let is_own = servers[at].disk.live().last == Some(view.epoch);
                hold!(7, !is_own || entries.is_empty(), "s{} fills {}, its own last epoch", at + 1, view.epoch);
                self.entries(at, view.epoch, *first, entries, false)
            }
            Write::Install { view } => {
                self.view(view)?;
                self.installs(at, view, servers)?;
                self.horizon(at, view, servers, now, counts)?;
                self.begins(at, view, servers);
                counts.rare("views installed");
                if view.parents.len() > 1 {
                    counts.rare("views with several parents");
                }
                Ok(())
            }
            Write::Commit { .. } | Write::Seen { .. } | Write::Close { .. } => Ok(()),
            Write::Prune { epoch, ids, .. } => self.prunes(at, *epoch, ids, servers),
        }
    }

    fn closed(&mut self, epoch: EpochId, cut: u64) {
        if let Some(known) = self.epochs.get_mut(&epoch) {
            known.closed = known.closed.max(cut);
        }
    }

    pub(super) fn view(&mut self, view: &View) -> Verdict {
        let fresh =
            || Epoch { view: view.clone(), entries: Entries::default(), stable: 0, closed: 0, left: BTreeMap::new() };
        for &(parent, cut) in &view.parents {
            self.closed(parent, cut);
        }
        self.tags.insert(view.epoch.tag(), view.epoch);
        let known = self.epochs.entry(view.epoch).or_insert_with(fresh);
        hold!(5, known.view == *view, "two views of {}: {:?} and {view:?}", view.epoch, known.view);
        Ok(())
    }

    /// Notes what was history at a member when it installed a view: the leader is told its ids.
    fn begins(&mut self, at: usize, view: &View, servers: &[Server]) {
        let image = servers[at].disk.live();
        let committed = image.logs.keys().map(|&epoch| (epoch, image.committed(epoch)));
        let committed = committed.filter(|(_, committed)| *committed > 0).collect();
        self.began.entry(view.epoch).or_default().insert(at, committed);
    }

    pub(super) fn installs(&mut self, at: usize, view: &View, servers: &[Server]) -> Verdict {
        let Inspection { pid, last, promised, .. } = self.seen[at];
        let net = |pid: Pid| self.servers.get(&pid.server).map(|&member| servers[member].net);
        let foreign = view.members.iter().find(|member| net(member.pid).is_some_and(|net| net != servers[at].net));
        hold!(22, foreign.is_none(), "s{} installs a view with {foreign:?} of another net", at + 1);
        hold!(4, view.has(pid), "s{} installs {}, which does not list {pid}", at + 1, view.epoch);
        hold!(5, last.is_none_or(|last| last < view.epoch), "s{} installs {} after {last:?}", at + 1, view.epoch);
        hold!(6, promised <= view.epoch, "s{} installs {} after it promised {promised}", at + 1, view.epoch);
        if let Some(proposal) = self.commits.get(&view.epoch) {
            // The coordinator's own word does not go over the network.
            let ready = |member: &Member| member.pid == view.epoch.leader || proposal.prepared.contains(&member.pid);
            hold!(8, view.members.iter().all(ready), "{} is installed before all are prepared", view.epoch);
        }
        for &(parent, cut) in &view.parents {
            let stable = self.epochs.get(&parent).map_or(0, |epoch| epoch.stable);
            hold!(
                8,
                cut >= stable || self.unsound != 0,
                "{} cuts {parent} at {cut}, where {stable} were stable",
                view.epoch
            );
            let known = self.cuts.entry(parent).or_default();
            *known = cut.max(*known);
        }
        Ok(())
    }

    pub(super) fn entries(
        &mut self,
        at: usize,
        epoch: EpochId,
        first: u64,
        entries: &[Entry],
        may_be_new: bool,
    ) -> Verdict {
        for (gsn, entry) in (first..).zip(entries) {
            let Some(known) = self.epochs.get_mut(&epoch) else { return Ok(()) };
            if let Some(there) = known.entries.get((gsn - 1) as usize) {
                hold!(2, **there == *entry, "s{} writes another entry at {epoch}:{gsn}", at + 1);
                continue;
            }
            let next = known.entries.len() as u64 + 1;
            hold!(3, gsn == next, "s{} writes {epoch}:{gsn}, and nobody wrote {next}", at + 1);
            hold!(2, may_be_new, "s{} fills {epoch}:{gsn}, which nobody wrote", at + 1);
            known.entries.push(Arc::new(entry.clone()));
            self.places(epoch, gsn, entry)?;
        }
        Ok(())
    }

    /// What was written first at a place: all disks may share it.
    pub fn written(&self, epoch: EpochId, gsn: u64) -> Option<Arc<Entry>> {
        self.epochs.get(&epoch)?.entries.get((gsn as usize).checked_sub(1)?).cloned()
    }

    pub(super) fn places(&mut self, epoch: EpochId, gsn: u64, entry: &Entry) -> Verdict {
        for (idx, message) in entry.messages() {
            let (id, key) = (message.id, RecordKey { hlc: entry.hlc, epoch, gsn, idx });
            self.talk.ordered(entry, key, &message);
            if let Some(had) = self.knew(epoch, id) {
                let text = format!("{id} is ordered again in {epoch}, and s{} had it: {}", had + 1, self.story(id));
                return Err(Violation { property: 19, text });
            }
            if let Some((_, fact)) = self.sound(&message)? {
                hold!(
                    19,
                    fact.places.iter().all(|place| place.epoch != epoch),
                    "{id} has two places in {epoch}: {:?} and {gsn}",
                    fact.places
                );
                hold!(14, key.hlc > fact.after, "{id} at {} was made after {}", key.hlc, fact.after);
                // Nearly all have one place, and room for several would be most of what a message costs here.
                fact.places.reserve_exact(1);
                fact.places.push(key);
            } else {
                self.others.entry(id).or_default().push(key);
            }
        }
        Ok(())
    }

    /// The member of a view at which a message was history when it installed it.
    fn knew(&self, epoch: EpochId, id: MessageId) -> Option<usize> {
        let places = self.fact(id).map_or(&[][..], |(_, fact)| &fact.places);
        let mut members = self.began.get(&epoch).into_iter().flatten();
        let had = |history: &BTreeMap<EpochId, u64>, place: &RecordKey| history.get(&place.epoch) >= Some(&place.gsn);
        let knew = members.find(|(_, history)| places.iter().any(|place| had(history, place)));
        knew.map(|(member, _)| *member)
    }

    /// 1: what its writer made, unchanged, with the writer's place. `None` for what servers say of clients that are gone.
    pub(super) fn sound(&mut self, message: &Lent<'_>) -> Result<Option<(usize, &mut Fact)>, Violation> {
        let id = message.id;
        let by_client = self.writer(id.client);
        let (Some(client), true) = (by_client, id.cseq > 0) else {
            let by_server = matches!(message.kind, Kind::Gone { .. });
            hold!(1, by_server, "{id} was made by nobody");
            return Ok(None);
        };
        let by_nick = message.nick == self.nicks[client] || self.talk.goes_by(client, message.nick);
        let unchanged = by_nick && (client::is_said(message) || self.talk.is_made(message));
        let Some(fact) = self.facts[client].get_mut((id.cseq - 1) as usize) else {
            return Err(Violation { property: 1, text: format!("{id} was never submitted") });
        };
        hold!(1, unchanged, "{id} was changed on its way: {message:?}");
        Ok(Some((client, fact)))
    }

    /// A server sends: acknowledgements and states say what is on its disk (9, 10), and nothing is said of a view that was
    /// promised away (6).
    pub fn sent(&mut self, at: usize, bytes: &[u8], servers: &[Server]) -> Verdict {
        let frozen = self.seen[at].view.is_some_and(|view| self.seen[at].promised > view);
        match message_name(bytes) {
            "ack" | "state" | "commit" | "prepared" => {}
            "data" | "order" | "nack" | "heads" if frozen => {}
            _ => return Ok(()),
        }
        let Ok(message) = datagram::open(bytes).and_then(|(_, body)| datagram::decode(body)) else {
            return Err(Violation { property: CONTRACT, text: format!("s{} sends what does not decode", at + 1) });
        };
        let durable = servers[at].disk.durable();
        match message {
            Message::Ack { view, have } => {
                let Some(&epoch) = self.tags.get(&view) else { return Ok(()) };
                let there = durable.len(epoch);
                hold!(9, have <= there, "s{} acknowledges {have} of {epoch} with {there} on disk", at + 1);
                let promised = self.seen[at].promised;
                hold!(6, promised <= epoch, "s{} acknowledges {epoch} after it promised {promised}", at + 1);
            }
            Message::State(state) => {
                let told = self.told.entry(state.epoch).or_default();
                let logs = told.entry(servers[at].pid).or_default();
                for log in &state.logs {
                    match logs.iter().find(|known| known.epoch == log.epoch) {
                        None => logs.push(*log),
                        // A part that came meanwhile is told when the state is asked for again (seed 770000410).
                        Some(known) if known.closure < log.closure || known.stable < log.stable => {
                            self.told_more.insert((state.epoch, log.epoch));
                        }
                        Some(_) => {}
                    }
                }
                hold!(6, durable.max_num >= state.epoch.num, "s{}'s promise of {} is not on disk", at + 1, state.epoch);
                for log in &state.logs {
                    let there = durable.len(log.epoch);
                    // Of other epochs a part that has just come may not be told yet: it was never counted on.
                    let told = log.len == there || log.len < there && state.last != Some(log.epoch);
                    hold!(8, told, "s{} tells {} of {}, not {there}", at + 1, log.len, log.epoch);
                }
            }
            Message::Data(Data { view, .. })
            | Message::Order(Order { view, .. })
            | Message::Nack(Nack { view, .. })
            | Message::Heads(Heads { view, .. }) => {
                let Inspection { promised, .. } = self.seen[at];
                let stale = self.tags.get(&view).is_some_and(|epoch| *epoch < promised);
                hold!(6, !stale, "s{} speaks of {:?} after it promised {promised}", at + 1, self.tags.get(&view));
            }
            Message::Commit(commit) => self.sent_commit(at, &commit.view, servers)?,
            Message::Prepared { epoch } => self.sent_prepared(at, epoch, servers)?,
            _ => {}
        }
        Ok(())
    }

    /// 8: a cut is what those who took part told: a closure, else the least length of the epoch's own processes, and never
    /// below what one knew to be stable.
    pub(super) fn sent_commit(&mut self, at: usize, view: &View, servers: &[Server]) -> Verdict {
        if self.commits.contains_key(&view.epoch) {
            return Ok(());
        }
        let proposal = Proposal { parents: view.parents.clone(), prepared: BTreeSet::new() };
        self.commits.insert(view.epoch, proposal);
        for &(parent, cut) in &view.parents {
            self.closed(parent, cut);
        }
        let Some(told) = self.told.get(&view.epoch) else { return Ok(()) };
        for &(parent, cut) in &view.parents {
            let logs =
                || told.iter().filter_map(|(pid, logs)| Some((pid, logs.iter().find(|log| log.epoch == parent)?)));
            let stable = logs().map(|(_, log)| log.stable).max().unwrap_or(0);
            let closure = logs().filter_map(|(_, log)| log.closure).max();
            let known = closure.unwrap_or(0).max(stable);
            hold!(8, cut >= known, "{} cuts {parent} at {cut}, and one told of {known}", view.epoch);
            let is_exact = |pid: &Pid| self.epochs.get(&parent).is_some_and(|known| known.view.has(*pid));
            let (me, mine) = (servers[at].pid, servers[at].disk.durable());
            let own = is_exact(&me).then(|| mine.len(parent));
            let least = logs().filter(|(pid, _)| is_exact(pid)).map(|(_, log)| log.len).chain(own).min();
            let closure = closure.or(mine.closures.get(&parent).copied());
            let is_known = closure.is_some() || self.told_more.contains(&(view.epoch, parent));
            if let (Some(least), false) = (least, is_known) {
                // What the coordinator knows to be stable may be more than the others told.
                let right = cut == least.max(stable) || cut > least && cut <= mine.committed(parent);
                hold!(8, right, "{} cuts {parent} at {cut}, and {least} is the least length", view.epoch);
            }
        }
        Ok(())
    }

    /// 8: who says that it is prepared has the closure of the epoch it comes from on disk.
    pub(super) fn sent_prepared(&mut self, at: usize, epoch: EpochId, servers: &[Server]) -> Verdict {
        let pid = servers[at].pid;
        let Some(proposal) = self.commits.get_mut(&epoch) else { return Ok(()) };
        proposal.prepared.insert(pid);
        let durable = servers[at].disk.durable();
        let closing = proposal.parents.iter().find(|(parent, _)| durable.last == Some(*parent) && epoch.leader != pid);
        if let Some((parent, cut)) = closing {
            let known = durable.closures.get(parent).copied();
            hold!(
                8,
                known >= Some(*cut),
                "s{} is prepared for {epoch}, and {parent} is not closed on its disk",
                at + 1
            );
        }
        Ok(())
    }
}
