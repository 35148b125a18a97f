//! What clients are told and shown: the truth about copies, in order, once.

use super::history::Extents;
use super::{Checker, Fact, Fed, Screen, Session, Verdict, Violation, hold};
use crate::ids::{ClientId, EpochId, MessageId, Pid, RecordKey};
use crate::proto::io::SessionId;
use crate::record::{Kind, Record, Submission};
use crate::seq::IdSet;
use crate::sim::disk::Disk;
use crate::sim::world::{Counts, Server};
use crate::time::Hlc;
use crate::wire::session::Reply;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Checker {
    /// A client's connection is accepted.
    pub fn session_opened(&mut self, at: usize, session: SessionId, client: usize) {
        let sent = vec![Vec::new(); self.clients.len()];
        let fresh = Session { client, sent, others: BTreeMap::new(), last: RecordKey::default(), asked: false };
        self.sessions.insert((at, session), fresh);
    }

    /// A client asks for what it misses, perhaps more than once: from now on only what it shows tells of order.
    pub fn asked_again(&mut self, at: usize, session: SessionId) {
        if let Some(session) = self.sessions.get_mut(&(at, session)) {
            session.asked = true;
        }
    }

    /// A client's connection is over.
    pub fn session_ended(&mut self, at: usize, session: SessionId) {
        self.sessions.remove(&(at, session));
    }

    /// A server says something to a client: 1, 10, 13.
    pub fn replied(
        &mut self,
        at: usize,
        session: SessionId,
        client: usize,
        reply: &Reply,
        servers: &[Server],
        counts: &mut Counts,
    ) -> Verdict {
        match reply {
            Reply::Stable { cseq, copies, key, .. } => self.told_stable(at, client, *cseq, *copies, *key, servers),
            Reply::Feed { records, late, .. } => {
                if *late {
                    counts.rare("late records");
                }
                self.fed(at, session, records, *late)
            }
            Reply::Welcome(_) | Reply::Refused(_) => self.answered_hello(at, session, client, reply, servers),
            _ => Ok(()),
        }
    }

    pub(super) fn told_stable(
        &mut self,
        at: usize,
        client: usize,
        cseq: u64,
        copies: u16,
        key: RecordKey,
        servers: &[Server],
    ) -> Verdict {
        let Some(fact) = self.facts[client].get_mut(cseq.saturating_sub(1) as usize) else {
            return Err(Violation { property: 10, text: format!("c{}'s {cseq} was never made", client + 1) });
        };
        // A copy above the cut of its epoch is on its disk only until that one hears of it (seeds 8000643, 7001801: the
        // message was ordered again, acknowledged with one copy, and that disk destroyed). One that was stable stays,
        // wherever a disk that came back older made the cut (seed 477449089); and what is told was stable just now, where a
        // clone of the server closed the epoch meanwhile.
        let stable = |place: &RecordKey| self.epochs.get(&place.epoch).map_or(0, |epoch| epoch.stable);
        let counts =
            |place: &RecordKey| self.cuts.get(&place.epoch).is_none_or(|cut| place.gsn <= (*cut).max(stable(place)));
        let is_held = |disk: &Disk, place: &RecordKey| disk.durable().len(place.epoch) >= place.gsn;
        let holds =
            |disk: &Disk| fact.places.iter().any(|place| (*place == key || counts(place)) && is_held(disk, place));
        let held = servers.iter().filter(|server| holds(&server.disk)).count() as u32;
        let lost = servers.iter().filter(|server| server.unsound && !holds(&server.disk)).count() as u32;
        hold!(
            10,
            held + lost >= u32::from(copies),
            "s{} tells c{} of {copies} copies of {cseq}, and there are {held}",
            at + 1,
            client + 1
        );
        hold!(10, held > 0, "s{} tells c{} that {cseq} is stable, and nobody has it", at + 1, client + 1);
        // What counts as history by a closure, or by what another server told, must count on this disk, too: who told of it may
        // be lost with its own. What was stable in the view that stands is on all of its members' disks.
        let view = servers[at].node.as_ref().and_then(|node| node.inspect().view);
        let is_known = key.gsn == 0 || view == Some(key.epoch);
        let known = servers[at].disk.durable().committed(key.epoch);
        hold!(
            10,
            is_known || known >= key.gsn,
            "s{} tells c{} that {cseq} is stable at {key:?}, and its disk knows of {known}",
            at + 1,
            client + 1
        );
        // What is promised leans on the place that was told. Of a message that was ordered twice another place may be above
        // a cut that is yet to be made (seed 620000791: on the disk of a dead server, in an epoch that nobody had closed).
        // And who is not in the view holds what nobody counts on: it does not know that it is history (seed 770002339: it
        // had left, and the one that told of one copy, its own, was destroyed). A server that knows only that the message is
        // history tells no place: then it leans on the one that it has (seed 940000694: it passed for one that all have).
        let own_place = || Extents::whole(servers[at].disk.durable()).place(&fact.places, RecordKey::min);
        let place = if key.gsn > 0 { Some(key) } else { own_place() };
        let members = view.and_then(|view| self.epochs.get(&view)).map(|known| &known.view);
        let is_counted = |bit: usize| bit == at || members.is_some_and(|view| view.has(servers[bit].pid));
        let is_leaned_on = |server: &Server| place.is_some_and(|place| is_held(&server.disk, &place));
        let leaned_on = servers.iter().enumerate().filter(|(bit, server)| is_counted(*bit) && is_leaned_on(server));
        let holders = leaned_on.fold(0_u64, |holders, (bit, _)| holders | 1 << bit);
        fact.holders = Some(fact.holders.unwrap_or(0) | holders);
        Ok(())
    }

    pub(super) fn fed(&mut self, at: usize, session: SessionId, records: &Arc<Vec<Record>>, late: bool) -> Verdict {
        let fed = match self.fed_before.take().filter(|before| before.block.as_ptr() == Arc::as_ptr(records)) {
            Some(before) => before,
            None => Fed {
                block: Arc::downgrade(records),
                places: self.fed_places(at, records)?,
                letters: records.iter().any(|record| matches!(record.message.kind, Kind::Direct { .. })),
            },
        };
        let fed = self.fed_before.insert(fed);
        if let Some(session) = self.sessions.get(&(at, session)).filter(|_| fed.letters) {
            let reader = self.clients[session.client];
            let others = records.iter().find(|record| !is_for(&record.message, reader));
            hold!(27, others.is_none(), "s{} feeds c{} {others:?}", at + 1, session.client + 1);
        }
        let Some(session) = self.sessions.get_mut(&(at, session)).filter(|session| !session.asked) else {
            return Ok(());
        };
        for (record, &place) in records.iter().zip(&fed.places) {
            let (id, key, client) = (record.message.id, record.key, session.client + 1);
            // A message that was ordered twice is in two logs, and a client that reads behind passes over the second.
            let again = session.send(id, key, place, late);
            hold!(1, !again, "s{} feeds {id} to c{client} twice, at last at {key:?} late {late}", at + 1);
            if !late {
                hold!(13, key > session.last, "s{} feeds {id} to c{client} out of order", at + 1);
                session.last = key;
            }
        }
        Ok(())
    }

    /// Who wrote what is fed, and which of its places that is: all of it unchanged, and where it was ordered.
    fn fed_places(&mut self, at: usize, records: &[Record]) -> Result<Vec<Option<(usize, u16)>>, Violation> {
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            let (id, key) = (record.message.id, record.key);
            let Some((writer, fact)) = self.sound(&record.message.lent())? else {
                places.push(None);
                continue;
            };
            let place = fact.places.iter().position(|place| *place == key);
            hold!(1, place.is_some(), "s{} feeds {id} at {key:?}, where it is not", at + 1);
            places.push(place.map(|place| (writer, place as u16)));
        }
        Ok(places)
    }

    /// A client made a message.
    pub fn made(&mut self, client: usize, cseq: u64, after: Hlc) {
        let facts = &mut self.facts[client];
        let made = Fact { after, ..Fact::default() };
        if let Some(lost) = facts.get_mut((cseq - 1) as usize) {
            // What the process before had made of this number did not reach the disk, and so nobody else.
            *lost = made;
            self.forget_aside(client, cseq);
        } else {
            assert_eq!(facts.len() as u64 + 1, cseq, "clients number without gaps");
            facts.push(made);
        }
    }

    /// A client's message was refused for ever.
    pub fn refused(&mut self, client: usize, cseq: u64) {
        if let Some(fact) = self.facts[client].get_mut(cseq.saturating_sub(1) as usize) {
            fact.refused = true;
        }
    }

    /// A client was shown this.
    pub fn shown(&mut self, id: MessageId) {
        self.shown += 1;
        if let Some(writer) = self.writer(id.client)
            && let Some(fact) = self.facts[writer].get_mut(id.cseq.saturating_sub(1) as usize)
        {
            fact.shown = true;
        }
    }

    /// A client that owes its user order showed this: 1, what its writer said; once; 13, what is not marked as late after all
    /// before it.
    pub fn shown_in_order(&mut self, client: usize, record: &Record, late: bool) -> Verdict {
        let (id, key) = (record.message.id, record.key);
        hold!(27, is_for(&record.message, self.clients[client]), "c{} shows {id}, which is for others", client + 1);
        let mut places = 1;
        if let Some((_, fact)) = self.sound(&record.message.lent())? {
            hold!(1, fact.places.contains(&key), "c{} shows {id} at {key:?}, where it is not", client + 1);
            places = fact.places.len();
        } else if let Some(known) = self.others.get(&id) {
            // A server's own words, that a client is gone, may be ordered on both sides of a cut as well (seed 730009966).
            places = known.len();
        }
        let (epoch, gsn) = (key.epoch, key.gsn);
        let stable = self.epochs.get(&epoch).map_or(0, |known| known.stable.max(known.closed));
        hold!(9, gsn <= stable, "c{} shows {id} at {epoch}:{gsn}, and {stable} are stable", client + 1);
        self.shown(id);
        let screen = self.screens.entry(client).or_default();
        let again = !screen.shown.insert(id) || places == 1 && screen.before.contains(id);
        hold!(1, !again, "c{} shows {id} twice, at last at {key:?} late {late}", client + 1);
        hold!(13, late || screen.last < key, "c{} shows {id} at {key:?} after {:?}", client + 1, screen.last);
        screen.last = screen.last.max(key);
        Ok(())
    }

    /// Another process of a client goes on, told what had been shown or not.
    pub fn client_anew(&mut self, client: usize, told: bool) {
        self.begins_anew(client);
        let Screen { shown, mut before, last } = self.screens.remove(&client).unwrap_or_default();
        if told {
            // It knows how far each epoch was shown, and no ids of what two epochs have.
            shown.iter().for_each(|(client, ids)| {
                before.union(client, ids);
            });
            self.screens.insert(client, Screen { shown: IdSet::default(), before, last });
        }
    }

    /// What a message's writer and the world did to it, for people.
    pub fn story(&self, id: MessageId) -> String {
        let told = |(_, fact): (_, &Fact)| format!("ordered at {:?}, holders {:?}", fact.places, fact.holders);
        self.fact(id).map(told).unwrap_or_default()
    }

    /// How many views there were.
    pub fn views(&self) -> usize {
        self.epochs.len()
    }

    /// The greatest member of a view.
    pub fn greatest(&self, view: EpochId) -> Option<Pid> {
        self.epochs.get(&view).and_then(|known| known.view.members.iter().map(|member| member.pid).max())
    }

    /// How many members a view has; `None` when nobody installed it.
    pub fn members(&self, view: EpochId) -> Option<usize> {
        self.epochs.get(&view).map(|known| known.view.members.len())
    }
}

/// Whether a client may see this: what is for one is for him and his writer only.
fn is_for(message: &Submission, reader: ClientId) -> bool {
    !matches!(message.kind, Kind::Direct { .. }) || message.partner(reader).is_some()
}

impl Session {
    /// Notes that a message is sent, a client's with the client and which of its places it is; whether that is once too
    /// often.
    fn send(&mut self, id: MessageId, key: RecordKey, place: Option<(usize, u16)>, late: bool) -> bool {
        let Some((writer, place)) = place else {
            let before = self.others.insert(id, (key, late));
            return before.is_some_and(|before| before.0 == key || !before.1 && !late);
        };
        let (sent, at) = (&mut self.sent[writer], (id.cseq - 1) as usize);
        if sent.len() <= at {
            sent.resize(at + 1, None);
        }
        let before = sent[at].replace((place, late));
        before.is_some_and(|before| before.0 == place || !before.1 && !late)
    }
}
