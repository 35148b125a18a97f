//! What people do beside talking to a room: whose word that was, and under which nick it may be known.

use super::history::Extents;
use super::{Checker, Verdict, Violation, hold};
use crate::ids::{ClientId, EpochId, MessageId, Pid, RecordKey};
use crate::name;
use crate::proto::io::SessionId;
use crate::record::{Entry, Kind, Lent};
use crate::sim::client::{self, Aside};
use crate::sim::world::Server;
use crate::wire::session::{Refusal, Reply};
use std::collections::BTreeMap;

/// What is known of people. Nothing in worlds without any.
#[derive(Default)]
pub(super) struct Talk {
    /// Whether there are any.
    people: bool,
    /// What is not words to a room.
    asides: BTreeMap<MessageId, Aside>,
    /// By client: every nick under which a session of it was welcomed.
    welcomed: Vec<Vec<String>>,
    /// By client: how many messages there were when its process began.
    begun: Vec<u64>,
    /// The nick that each session's hello named.
    hellos: BTreeMap<(usize, SessionId), String>,
    /// By folded nick and client: where it first wrote under it in each epoch.
    claims: BTreeMap<String, BTreeMap<ClientId, BTreeMap<EpochId, RecordKey>>>,
    /// By client: where it began to write from another server or under another nick, in the order in which that was seen.
    pub(super) turns: BTreeMap<ClientId, Vec<Turn>>,
    /// What servers said of clients that are gone.
    pub(super) gone: Vec<Gone>,
}

/// From here on in its epoch a client writes from this server under this nick.
pub(super) struct Turn {
    pub(super) key: RecordKey,
    pub(super) origin: Pid,
    pub(super) nick: String,
}

/// A server's word that a client is gone.
pub(super) struct Gone {
    pub(super) id: MessageId,
    pub(super) client: ClientId,
    pub(super) key: RecordKey,
    pub(super) origin: Pid,
}

impl Talk {
    /// What is known at the beginning of so many clients.
    pub(super) fn new(people: bool, clients: usize) -> Self {
        Self { people, welcomed: vec![Vec::new(); clients], begun: vec![0; clients], ..Self::default() }
    }

    /// What a message is that is not words to a room.
    pub(super) fn aside(&self, id: MessageId) -> Option<&Aside> {
        self.asides.get(&id)
    }

    /// What a client made that is not words to a room, by number.
    pub(super) fn asides_of(&self, client: ClientId) -> impl Iterator<Item = (MessageId, &Aside)> {
        let all = MessageId { client, cseq: 0 }..=MessageId { client, cseq: u64::MAX };
        self.asides.range(all).map(|(id, aside)| (*id, aside))
    }

    /// Whether a client may see this message.
    pub(super) fn is_for(&self, id: MessageId, reader: ClientId) -> bool {
        match self.aside(id).map(|aside| &aside.kind) {
            Some(Kind::Direct { to }) => *to == reader || id.client == reader,
            _ => true,
        }
    }

    /// Whether it is what a client made, beside its nick and what follows from the id.
    pub(super) fn is_made(&self, message: &Lent<'_>) -> bool {
        let is_direct = matches!(message.kind, Kind::Direct { .. });
        let is_body =
            |aside: &Aside| aside.body == message.body || is_direct && client::is_body(message.id, message.body);
        let made = |aside: &Aside| aside.kind == message.kind && aside.room == message.room && is_body(aside);
        self.aside(message.id).is_some_and(made)
    }

    /// Whether a server took this client under this nick.
    pub(super) fn goes_by(&self, client: usize, nick: &str) -> bool {
        self.welcomed[client].iter().any(|welcomed| welcomed == nick)
    }

    /// A message was ordered there.
    pub(super) fn ordered(&mut self, entry: &Entry, key: RecordKey, message: &Lent<'_>) {
        if !self.people {
            return;
        }
        let (origin, client) = (entry.origin, message.id.client);
        if let Kind::Gone { client } = message.kind {
            return self.gone.push(Gone { id: message.id, client, key, origin });
        }
        let turns = self.turns.entry(client).or_default();
        let same = |turn: &Turn| turn.key.epoch == key.epoch && turn.origin == origin && turn.nick == message.nick;
        if turns.last().is_some_and(same) {
            return;
        }
        turns.push(Turn { key, origin, nick: message.nick.to_owned() });
        let claims = self.claims.entry(name::fold(message.nick)).or_default();
        claims.entry(client).or_default().entry(key.epoch).or_insert(key);
    }

    /// Who wrote under this folded nick first, as far as these histories go.
    fn owner(&self, folded: &str, extents: &Extents) -> Option<(RecordKey, ClientId)> {
        let claims = self.claims.get(folded)?.iter();
        let reached = |(&client, claims): (_, &BTreeMap<EpochId, RecordKey>)| {
            let keys = claims.values().filter(|key| extents.reach(key));
            Some((*keys.min()?, client))
        };
        claims.filter_map(reached).min()
    }

    /// Whether a client ever wrote under this nick.
    pub(super) fn has_claimed(&self, nick: &str, client: ClientId) -> bool {
        self.claims.get(&name::fold(nick)).is_some_and(|claims| claims.contains_key(&client))
    }

    /// A client that wrote under this nick in this epoch, up to there, before `client` did anywhere.
    fn rival(&self, nick: &str, client: ClientId, (epoch, upto): (EpochId, u64)) -> Option<ClientId> {
        let claims = self.claims.get(&name::fold(nick))?;
        let own = claims.get(&client).and_then(|own| own.values().min());
        let is_before = |key: &RecordKey| key.gsn <= upto && own.is_none_or(|own| key < own);
        let others = claims.iter().filter(|(other, _)| **other != client);
        let mut rivals = others.filter(|(_, claims)| claims.get(&epoch).is_some_and(is_before));
        rivals.next().map(|(rival, _)| *rival)
    }
}

impl Checker {
    /// The message that a client has just made is not words to a room.
    pub fn made_aside(&mut self, client: usize, cseq: u64, aside: Aside) {
        self.talk.asides.insert(MessageId { client: self.clients[client], cseq }, aside);
    }

    /// Another process of a client begins.
    pub(super) fn begins_anew(&mut self, client: usize) {
        self.talk.begun[client] = self.facts[client].len() as u64;
    }

    /// Whether a client's process that runs now made this.
    pub(super) fn is_of_this_process(&self, id: MessageId) -> bool {
        self.writer(id.client).is_some_and(|client| id.cseq > self.talk.begun[client])
    }

    /// Another message has this number: the one before was never on a disk.
    pub(super) fn forget_aside(&mut self, client: usize, cseq: u64) {
        self.talk.asides.remove(&MessageId { client: self.clients[client], cseq });
    }

    /// A client says hello to a server under this nick.
    pub fn greeted(&mut self, at: usize, session: SessionId, nick: &str) {
        if self.talk.people {
            self.talk.hellos.insert((at, session), nick.to_owned());
        }
    }

    /// 28: a server that knows another owner of a client's nick refuses it, and no other does.
    pub(super) fn answered_hello(
        &mut self,
        at: usize,
        session: SessionId,
        client: usize,
        reply: &Reply,
        servers: &[Server],
    ) -> Verdict {
        let Some(nick) = self.talk.hellos.remove(&(at, session)) else { return Ok(()) };
        let (id, number) = (self.clients[client], client + 1);
        if let Reply::Refused(Refusal::NickTaken(offered)) = reply {
            // What it delivered may be history on no disk: that word about it found no room (seed 910000002, `--people`).
            let extents = Extents::durable(servers[at].disk.live());
            let claims = self.talk.claims.get(&name::fold(&nick));
            let mut others = claims.into_iter().flatten().filter(|(other, _)| **other != id);
            let is_taken = others.any(|(_, claims)| claims.values().any(|key| extents.reach(key)));
            hold!(28, is_taken, "s{} refuses c{number} the nick {nick}, which is nobody's", at + 1);
            hold!(28, !name::same(&nick, offered), "s{} offers c{number} what it refuses", at + 1);
        }
        if let Reply::Welcome(_) = reply {
            let seen = servers[at].node.as_ref().map(crate::proto::node::Node::inspect).unwrap_or_default();
            let here = (seen.view.unwrap_or_default(), seen.delivered);
            let rival = self.talk.rival(&nick, id, here);
            hold!(28, rival.is_none(), "s{} takes c{number} as {nick}, which is {rival:?}", at + 1);
            if !self.talk.goes_by(client, &nick) {
                self.talk.welcomed[client].push(nick);
            }
        }
        Ok(())
    }

    /// 16: each nick belongs, at this server, to who first wrote under it.
    pub(super) fn same_nicks(&self, at: usize, server: &Server) -> Verdict {
        let Some(node) = &server.node else { return Ok(()) };
        let extents = Extents::of(server.disk.live());
        for folded in self.talk.claims.keys() {
            let owner = self.talk.owner(folded, &extents);
            let theirs = node.owner_of(folded);
            hold!(16, theirs == owner.map(|owner| owner.1), "{folded} is {theirs:?} at s{}, not {owner:?}", at + 1);
        }
        Ok(())
    }

    /// Whether there are people in this world.
    pub fn has_people(&self) -> bool {
        self.talk.people
    }
}
