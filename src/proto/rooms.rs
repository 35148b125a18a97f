//! Who is in which room and what rooms are about: the state that follows from the ordered log.

use crate::ids::{ClientId, MessageId, Pid, RecordKey};
use crate::name;
use crate::proto::bugs::{Bug, Bugs, bug};
use crate::proto::nicks::{Claim, Nicks};
use crate::proto::person::Person;
use crate::record::{Kind, Record, View};
use crate::seq::IdSet;
use crate::time::Hlc;
use crate::wire::session::{Presence, RoomInfo};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most rooms. At the bound rooms that nobody is in make way, the longest unused first; then no new one is made.
pub const MAX_ROOMS: usize = 4096;
/// Most clients known. At the bound those who are in no room make way, the longest silent first; then no new one is known.
pub const MAX_CLIENTS: usize = 65_536;
/// Most rooms that one client is in at a time.
pub const MAX_ROOMS_EACH: usize = 128;

/// Rooms, people and nicks (`PROTOCOL.md` §8): the same records give the same state, in whichever order their epochs come.
///
/// Of topics the record with the greatest key counts, of nicks the one with the least, and of a client's own what it said
/// last, so that records which a merge brings late change what they would have changed in their place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rooms {
    /// By folded name.
    pub(super) by_name: BTreeMap<String, Room>,
    pub(super) people: BTreeMap<ClientId, Person>,
    pub(super) nicks: Nicks,
    /// Of an epoch's gist: every client's claims.
    pub(super) claims: Option<BTreeMap<(ClientId, String), Claim>>,
    /// Whether there may be more than the bounds allow, until [`Rooms::trim`].
    is_loose: bool,
    bugs: Bugs,
}

/// What is known of one room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Room {
    name: String,
    /// The record that gave the name: the least that is known.
    named: RecordKey,
    /// The last record that was for it.
    used: RecordKey,
    topic: String,
    topic_set: RecordKey,
    #[serde(skip)]
    people: BTreeSet<ClientId>,
}

/// What a record changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A client entered a room.
    Joined {
        /// The room.
        room: String,
        /// Who.
        client: ClientId,
        /// The name it goes by.
        nick: String,
    },
    /// A client left a room, or is gone.
    Left {
        /// The room.
        room: String,
        /// Who.
        client: ClientId,
        /// The name it goes by.
        nick: String,
    },
    /// A client goes by another name.
    Renamed {
        /// Who.
        client: ClientId,
        /// The name it went by.
        from: String,
        /// The name it goes by now.
        to: String,
    },
    /// A nick is another client's: that one's claim was earlier, whichever of the two came here first; or it was kept long enough.
    NickLost {
        /// The nick.
        nick: String,
        /// Who is without it.
        client: ClientId,
    },
    /// A room has a new topic.
    Topic {
        /// The room.
        room: String,
        /// Its topic.
        topic: String,
    },
    /// A client is at another server.
    Moved {
        /// Who.
        client: ClientId,
        /// The server it is at.
        to: Pid,
    },
}

impl Change {
    /// Who is without its nick.
    pub fn loser(self) -> Option<ClientId> {
        if let Self::NickLost { client, .. } = self { Some(client) } else { None }
    }
}

impl Rooms {
    /// Nobody anywhere.
    pub fn new(bugs: Bugs) -> Self {
        Self { bugs, ..Self::default() }
    }

    /// Nobody anywhere, and room for more than the bounds allow: what history says is put together, and cut to the bounds when it is
    /// whole ([`Rooms::trim`]).
    pub fn loose(bugs: Bugs) -> Self {
        Self { is_loose: true, ..Self::new(bugs) }
    }

    /// What one epoch says, to be made its gist ([`Rooms::gists`]).
    pub fn of_epoch() -> Self {
        Self { claims: Some(BTreeMap::new()), ..Self::loose(Bugs::NONE) }
    }

    /// Lets go of rooms and clients beyond so many times the bounds: of rooms that nobody is in, and clients in none, the longest
    /// unused, and of the others where that is not enough.
    pub fn trim(&mut self, times: usize) {
        let rooms = self.by_name.len().saturating_sub(MAX_ROOMS * times);
        self.let_go_of_rooms(rooms, true);
        let clients = self.people.len().saturating_sub(MAX_CLIENTS * times);
        self.let_go_of_clients(clients, true);
    }

    /// Cuts to the bounds what was put together without them.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.trim(1);
        self.is_loose = false;
        self
    }

    /// Takes in a record that became history, where `pruned` was let go of: [`apply`](Self::apply)s it, unless it is a copy of a message
    /// that was let go of, or its writer said it before one that was. Such a one tells where he was, under which name, and what he left,
    /// but seats nobody and takes nobody for gone: what came between, or after, may have been let go of with it (simulator seeds 3262,
    /// `--let-go`, and 992003042, `--people --let-go`).
    pub fn enter(&mut self, record: &Record, origin: Pid, server: &str, pruned: &IdSet) -> Vec<Change> {
        let (id, is_gone) = (record.message.id, matches!(record.message.kind, Kind::Gone { .. }));
        let is_old = if is_gone { pruned.contains(id) } else { pruned.reaches(id) };
        self.take_in(record, origin, server, !is_old)
    }

    /// Takes in a record that became history; `origin` is the server it came from, `server` that one's name in the view.
    /// What has no room under the bounds is passed over.
    pub fn apply(&mut self, record: &Record, origin: Pid, server: &str) -> Vec<Change> {
        self.take_in(record, origin, server, true)
    }

    fn take_in(&mut self, record: &Record, origin: Pid, server: &str, seats: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        let (key, message) = (record.key, &record.message);
        if let Kind::Gone { client } = message.kind {
            if seats {
                self.gone(client, origin, record, &mut changes);
            }
            return changes;
        }
        let MessageId { client, cseq } = message.id;
        if !self.heard(record, origin, server, &mut changes) {
            return changes;
        }
        if !message.room.is_empty() && !self.used(&message.room, key) {
            return changes;
        }
        match &message.kind {
            Kind::Leave if message.room.is_empty() && bug!(self, Bug::LeavesNothing) => {}
            Kind::Leave if message.room.is_empty() => self.leave_all(client, cseq, &mut changes),
            Kind::Nick if message.room.is_empty() => {}
            Kind::Join | Kind::Leave | Kind::Nick => {
                let folded = name::fold(&message.room);
                if let Some(person) = self.people.get_mut(&client) {
                    person.sit(&folded, cseq, key, seats && message.kind != Kind::Leave);
                }
                self.seat(&folded, client, &mut changes);
            }
            Kind::Topic => self.set_topic(&message.room, &message.body, key, &mut changes),
            Kind::Text | Kind::Action | Kind::Direct { .. } | Kind::Gone { .. } => {}
        }
        changes
    }

    /// Who is in this room, or in any; ascending by room, then nick.
    pub fn who(&self, room: Option<&str>) -> Vec<Presence> {
        let wanted = room.map(name::fold);
        let rooms = self.by_name.iter().filter(|(folded, _)| wanted.as_ref().is_none_or(|wanted| wanted == *folded));
        let mut who: Vec<Presence> = rooms
            .flat_map(|(_, room)| room.people.iter().filter_map(|client| self.presence(&room.name, *client)))
            .collect();
        who.sort_unstable();
        who
    }

    /// Every room with how many people are in it, in the order of the folded names; history has its messages and topic.
    pub fn count(&self) -> Vec<RoomInfo> {
        let info = |room: &Room| {
            let people = u32::try_from(room.people.len()).unwrap_or(u32::MAX);
            RoomInfo { room: room.name.clone(), people, ..RoomInfo::default() }
        };
        self.by_name.values().map(info).collect()
    }

    /// The clients in a room, ascending.
    pub fn people(&self, room: &str) -> Vec<ClientId> {
        self.room(room).map_or_else(Vec::new, |room| room.people.iter().copied().collect())
    }

    /// Whether a client is in a room.
    pub fn is_in(&self, room: &str, client: ClientId) -> bool {
        self.room(room).is_some_and(|room| room.people.contains(&client))
    }

    /// The rooms that a client is in, by their names, in the order of the folded ones.
    pub fn rooms_of(&self, client: ClientId) -> Vec<String> {
        let rooms = self.people.get(&client).into_iter().flat_map(Person::rooms);
        rooms.filter_map(|folded| self.by_name.get(folded)).map(|room| room.name.clone()).collect()
    }

    /// A room's topic; empty when it has none.
    pub fn topic(&self, room: &str) -> &str {
        self.room(room).map_or("", |room| &room.topic)
    }

    /// How many rooms are known.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The name a client went by in its last record.
    pub fn nick_of(&self, client: ClientId) -> Option<&str> {
        self.person(client).map(|person| person.nick.as_str())
    }

    /// The server that a client's last record came from.
    pub fn home_of(&self, client: ClientId) -> Option<Pid> {
        self.person(client).map(|person| person.home)
    }

    /// Whom a message to this nick reaches.
    pub fn resolve(&self, nick: &str) -> Option<ClientId> {
        self.nicks.resolve(nick)
    }

    /// Who holds the nick at this time: nobody else may have it.
    pub fn owner(&self, nick: &str, at: Hlc) -> Option<ClientId> {
        self.nicks.owner(nick, at)
    }

    /// The nick itself when `client` may have it at this time, else one like it that is free: `ana2`.
    pub fn offer(&self, nick: &str, client: ClientId, at: Hlc) -> String {
        self.nicks.offer(nick, client, at)
    }

    /// Clients in some room whose last record came from this server, ascending: when it left the view they are gone, unless
    /// they write at another.
    pub fn without_server(&self, server: Pid) -> Vec<ClientId> {
        self.present_where(|home| home == server)
    }

    /// Clients in some room whose last record came from no member of this view, ascending.
    pub fn homeless(&self, view: &View) -> Vec<ClientId> {
        self.present_where(|home| !view.has(home))
    }

    fn person(&self, client: ClientId) -> Option<&Person> {
        self.people.get(&client).filter(|person| !person.is_new())
    }

    fn room(&self, room: &str) -> Option<&Room> {
        self.by_name.get(&name::fold(room))
    }

    fn presence(&self, room: &str, client: ClientId) -> Option<Presence> {
        let person = self.people.get(&client)?;
        Some(Presence { room: room.to_owned(), nick: person.nick.clone(), client, server: person.server.clone() })
    }

    fn present_where(&self, at: impl Fn(Pid) -> bool) -> Vec<ClientId> {
        let people = self.people.iter().filter(|(_, person)| at(person.home) && !person.is_absent());
        people.map(|(&client, _)| client).collect()
    }

    /// Notes who wrote, from where and under which name; `false` when there is no room for one more client.
    fn heard(&mut self, record: &Record, origin: Pid, server: &str, changes: &mut Vec<Change>) -> bool {
        let (key, nick, MessageId { client, cseq }) = (record.key, &record.message.nick, record.message.id);
        if !self.people.contains_key(&client) && !self.make_room_for_client() {
            return false;
        }
        if let Some(claims) = self.claims.as_mut().filter(|_| !nick.is_empty()) {
            let claim = claims.entry((client, name::fold(nick))).or_insert_with(|| Claim::new(client, key));
            claim.keep_up(key, key.hlc);
        }
        let passed_over = bug!(self, Bug::FirstClaimHeard) && self.nicks.resolve(nick).is_some();
        if !nick.is_empty()
            && !passed_over
            && let Some(loser) = self.nicks.claim(nick, client, key)
        {
            changes.push(Change::NickLost { nick: nick.clone(), client: loser });
        }
        let person = self.people.entry(client).or_default();
        let is_known = !person.is_new();
        if !person.wrote(cseq, key, origin) {
            return true;
        }
        if is_known && person.home != origin {
            changes.push(Change::Moved { client, to: origin });
        }
        if !nick.is_empty() && person.nick != *nick {
            let from = std::mem::replace(&mut person.nick, nick.clone());
            if is_known && !from.is_empty() {
                changes.push(Change::Renamed { client, from, to: nick.clone() });
            }
        }
        person.home = origin;
        server.clone_into(&mut person.server);
        true
    }

    /// Notes that a record was for this room; `false` when there is no room for one more.
    fn used(&mut self, room: &str, key: RecordKey) -> bool {
        let folded = name::folded(room);
        if !self.by_name.contains_key(&*folded) {
            if !self.make_room_for_room() {
                return false;
            }
            self.by_name.insert(folded.clone().into_owned(), Room::new(room, key));
        }
        let Some(known) = self.by_name.get_mut(&*folded) else { return false };
        known.used = known.used.max(key);
        if key < known.named {
            room.clone_into(&mut known.name);
            known.named = key;
        }
        true
    }

    /// Brings a room's people up to what is known of this one.
    fn seat(&mut self, folded: &str, client: ClientId, changes: &mut Vec<Change>) {
        let (Some(person), Some(known)) = (self.people.get(&client), self.by_name.get_mut(folded)) else { return };
        let is_in = person.is_in(folded);
        let is_news = if is_in { known.people.insert(client) } else { known.people.remove(&client) };
        if is_news {
            let (room, nick) = (known.name.clone(), person.nick.clone());
            changes.push(if is_in {
                Change::Joined { room, client, nick }
            } else {
                Change::Left { room, client, nick }
            });
        }
    }

    /// Brings every room that a client is or was in up to what is known of it.
    pub(super) fn seat_everywhere(&mut self, client: ClientId, changes: &mut Vec<Change>) {
        for folded in self.people.get(&client).map_or_else(Vec::new, Person::all_rooms) {
            self.seat(&folded, client, changes);
        }
    }

    fn leave_all(&mut self, client: ClientId, cseq: u64, changes: &mut Vec<Change>) {
        if let Some(person) = self.people.get_mut(&client) {
            person.leave_all(cseq);
        }
        self.seat_everywhere(client, changes);
    }

    fn gone(&mut self, client: ClientId, origin: Pid, record: &Record, changes: &mut Vec<Change>) {
        // One that is not known yet may be once a merge has brought what it wrote before.
        if self.people.contains_key(&client) || self.make_room_for_client() {
            self.people.entry(client).or_default().gone(record.message.id, record.key, origin);
            self.seat_everywhere(client, changes);
        }
    }

    fn set_topic(&mut self, room: &str, topic: &str, key: RecordKey, changes: &mut Vec<Change>) {
        let Some(known) = self.by_name.get_mut(&name::fold(room)) else { return };
        if key < known.topic_set {
            return;
        }
        known.topic_set = key;
        if known.topic != topic {
            topic.clone_into(&mut known.topic);
            changes.push(Change::Topic { room: known.name.clone(), topic: topic.to_owned() });
        }
    }

    fn make_room_for_room(&mut self) -> bool {
        if self.by_name.len() >= MAX_ROOMS && !self.is_loose {
            self.let_go_of_rooms(MAX_ROOMS / 16, false);
        }
        self.by_name.len() < MAX_ROOMS || self.is_loose
    }

    /// Lets go of so many rooms, if there are: first of those that nobody is in, and of others only if `any` may go.
    fn let_go_of_rooms(&mut self, count: usize, any: bool) {
        if count > 0 {
            let rooms = self.by_name.iter().map(|(folded, room)| (!room.people.is_empty(), room.used, folded.clone()));
            for folded in first(rooms.filter(|room| any || !room.0), count) {
                self.by_name.remove(&folded);
            }
        }
    }

    fn make_room_for_client(&mut self) -> bool {
        if self.people.len() >= MAX_CLIENTS && !self.is_loose {
            self.let_go_of_clients(MAX_CLIENTS / 16, false);
        }
        self.people.len() < MAX_CLIENTS || self.is_loose
    }

    /// Lets go of so many clients, if there are: first of those who are in no room, and of others only if `any` may go.
    fn let_go_of_clients(&mut self, count: usize, any: bool) {
        if count > 0 {
            let people = self.people.iter().map(|(client, person)| (!person.is_absent(), person.last(), *client));
            for client in first(people.filter(|person| any || !person.0), count) {
                let rooms = self.people.remove(&client).map_or_else(Vec::new, |person| person.all_rooms());
                for folded in rooms {
                    self.by_name.get_mut(&folded).map(|room| room.people.remove(&client));
                }
            }
        }
    }
}

/// The first `count`: those that nobody needs, then those that were used longest ago.
fn first<T: Ord>(all: impl Iterator<Item = (bool, RecordKey, T)>, count: usize) -> Vec<T> {
    let mut all: Vec<(bool, RecordKey, T)> = all.collect();
    all.sort_unstable();
    all.into_iter().take(count).map(|(.., one)| one).collect()
}

impl Room {
    fn new(name: &str, key: RecordKey) -> Self {
        Self {
            name: name.to_owned(),
            named: key,
            used: key,
            topic: String::new(),
            topic_set: RecordKey::default(),
            people: BTreeSet::new(),
        }
    }

    /// The same without its people.
    pub(super) fn empty(&self) -> Self {
        Self { people: BTreeSet::new(), name: self.name.clone(), topic: self.topic.clone(), ..*self }
    }

    /// Takes in what another epoch says of it. Its people follow from theirs.
    pub(super) fn absorb(&mut self, other: Self) {
        self.used = self.used.max(other.used);
        if other.named < self.named {
            (self.name, self.named) = (other.name, other.named);
        }
        if other.topic_set > self.topic_set {
            (self.topic, self.topic_set) = (other.topic, other.topic_set);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ids::{EpochId, Incarnation, MessageId, ServerId};
    use crate::proto::rng::Rng;
    use crate::record::{Member, Submission};

    const ANA: u64 = 1;
    const BOB: u64 = 2;
    pub(in crate::proto) const OAK: Pid = pid(1);
    const ELM: Pid = pid(2);

    const fn pid(server: u64) -> Pid {
        Pid { server: ServerId(server), incarnation: Incarnation { boot: 1, random: 0 } }
    }

    /// A record of `client` under the nick `n<client>`, at this time in epoch 1.
    fn record(ms: u64, client: u64, room: &str, kind: Kind) -> Record {
        let epoch = EpochId { num: 1, leader: OAK };
        let message = Submission {
            id: MessageId { client: ClientId(client), cseq: ms + 1 },
            acked_upto: 0,
            floor: Hlc(0),
            room: room.into(),
            nick: format!("n{client}"),
            kind,
            body: format!("text {ms}"),
        };
        Record { key: RecordKey { hlc: Hlc::from_wall_ms(ms), epoch, gsn: ms, idx: 0 }, message }
    }

    fn apply(rooms: &mut Rooms, at: Pid, ms: u64, client: u64, room: &str, kind: Kind) -> Vec<Change> {
        rooms.apply(&record(ms, client, room, kind), at, if at == OAK { "oak" } else { "elm" })
    }

    fn gone(client: u64) -> Kind {
        Kind::Gone { client: ClientId(client) }
    }

    fn people(rooms: &Rooms, room: &str) -> Vec<u64> {
        rooms.people(room).into_iter().map(|client| client.0).collect()
    }

    #[test]
    fn who_joined_is_in_the_room_until_it_leaves_it_or_all() {
        let mut rooms = Rooms::default();
        let joined = Change::Joined { room: "Lobby".into(), client: ClientId(ANA), nick: "n1".into() };
        assert_eq!(apply(&mut rooms, OAK, 1, ANA, "Lobby", Kind::Join), [joined]);
        assert_eq!(apply(&mut rooms, OAK, 2, ANA, "LOBBY", Kind::Join), [], "a room has one name without case");
        apply(&mut rooms, OAK, 3, ANA, "dev", Kind::Join);
        apply(&mut rooms, ELM, 4, BOB, "lobby", Kind::Join);
        assert_eq!((people(&rooms, "lobby"), people(&rooms, "dev")), (vec![ANA, BOB], vec![ANA]));
        assert_eq!(rooms.rooms_of(ClientId(ANA)), ["dev", "Lobby"]);
        let left = |room: &str| Change::Left { room: room.into(), client: ClientId(ANA), nick: "n1".into() };
        assert_eq!(apply(&mut rooms, OAK, 5, ANA, "dev", Kind::Leave), [left("dev")]);
        assert_eq!(apply(&mut rooms, OAK, 6, ANA, "dev", Kind::Leave), []);
        assert_eq!(apply(&mut rooms, OAK, 7, ANA, "", Kind::Leave), [left("Lobby")]);
        assert_eq!(people(&rooms, "lobby"), [BOB]);
    }

    #[test]
    fn words_into_a_room_are_no_entry_to_it() {
        let mut rooms = Rooms::default();
        assert_eq!(apply(&mut rooms, OAK, 1, ANA, "lobby", Kind::Text), []);
        assert_eq!((people(&rooms, "lobby"), rooms.len()), (vec![], 1));
    }

    #[test]
    fn who_tells_the_server_of_each_person_s_last_record() {
        let mut rooms = Rooms::default();
        apply(&mut rooms, OAK, 1, ANA, "lobby", Kind::Join);
        apply(&mut rooms, OAK, 2, BOB, "lobby", Kind::Join);
        let moved = apply(&mut rooms, ELM, 3, ANA, "", Kind::Direct { to: ClientId(BOB) });
        assert_eq!(moved, [Change::Moved { client: ClientId(ANA), to: ELM }]);
        let who: Vec<_> = rooms.who(Some("LOBBY")).into_iter().map(|one| (one.room, one.nick, one.server)).collect();
        let one = |nick: &str, server: &str| ("lobby".to_owned(), nick.to_owned(), server.to_owned());
        assert_eq!(who, [one("n1", "elm"), one("n2", "oak")]);
        assert_eq!((rooms.who(None).len(), rooms.who(Some("dev")).len()), (2, 0));
    }

    #[test]
    fn gone_counts_from_the_client_s_own_server_and_not_from_the_one_it_left_in_time() {
        let mut rooms = Rooms::default();
        apply(&mut rooms, OAK, 1, ANA, "lobby", Kind::Join);
        apply(&mut rooms, ELM, 2, ANA, "lobby", Kind::Join);
        assert_eq!(apply(&mut rooms, OAK, 3, 99, "", gone(ANA)), []);
        assert_eq!(people(&rooms, "lobby"), [ANA]);
        assert_eq!(apply(&mut rooms, ELM, 4, 98, "", gone(ANA)).len(), 1);
        assert_eq!(people(&rooms, "lobby"), [] as [u64; 0]);
        assert_eq!(apply(&mut rooms, ELM, 5, 98, "", gone(77)), [], "nobody knows that one");
    }

    /// Seed 2326, `--let-go`: a word was ordered on both sides of a cut, its client was shown it and came back in between.
    #[test]
    fn later_copy_of_a_word_that_a_client_is_gone_does_not_unseat_who_came_back() {
        for copies in [[3, 6], [6, 3]] {
            let mut rooms = Rooms::default();
            apply(&mut rooms, OAK, 1, ANA, "lobby", Kind::Join);
            apply(&mut rooms, OAK, 5, ANA, "lobby", Kind::Join);
            for ms in copies {
                let mut word = record(ms, 99, "", gone(ANA));
                (word.message.id.cseq, word.key.epoch.num) = (1, ms);
                rooms.apply(&word, ELM, "elm");
            }
            assert_eq!(people(&rooms, "lobby"), [ANA], "{copies:?}");
        }
    }

    /// He left on one side of a cut, in an epoch that was let go of before the one, on the other side, in which he had entered (simulator
    /// seed 992003042, `--people --let-go`).
    #[test]
    fn who_entered_before_what_was_let_go_of_is_not_there_until_he_enters_again() {
        let (mut rooms, mut pruned) = (Rooms::default(), IdSet::default());
        let joins = |ms: u64, cseq: u64| {
            let mut joins = record(ms, ANA, "lobby", Kind::Join);
            joins.message.id.cseq = cseq;
            joins
        };
        pruned.insert(MessageId { client: ClientId(BOB), cseq: 12 });
        pruned.insert(MessageId { client: ClientId(ANA), cseq: 5 });
        rooms.enter(&joins(9, 4), OAK, "oak", &pruned);
        assert!(people(&rooms, "lobby").is_empty() && rooms.nick_of(ClientId(ANA)).is_some());
        rooms.enter(&joins(8, 6), OAK, "oak", &pruned);
        assert_eq!(people(&rooms, "lobby"), [ANA]);
        rooms.enter(&record(10, BOB, "", gone(ANA)), OAK, "oak", &pruned);
        assert!(people(&rooms, "lobby").is_empty(), "what a server said before one of its words went still counts");
    }

    #[test]
    fn clients_of_a_server_that_left_are_found_and_any_member_may_say_that_they_are_gone() {
        let mut rooms = Rooms::default();
        apply(&mut rooms, OAK, 1, ANA, "lobby", Kind::Join);
        apply(&mut rooms, ELM, 2, BOB, "lobby", Kind::Join);
        apply(&mut rooms, ELM, 3, 3, "lobby", Kind::Text);
        assert_eq!(rooms.without_server(ELM), [ClientId(BOB)]);
        let member = Member { pid: OAK, name: "oak".into() };
        let view = View { epoch: EpochId { num: 2, leader: OAK }, members: vec![member], ..View::default() };
        assert_eq!(rooms.homeless(&view), [ClientId(BOB)]);
        let mut record = record(4, 99, "", gone(BOB));
        record.key.epoch = view.epoch;
        assert_eq!(rooms.apply(&record, OAK, "oak").len(), 1);
        assert_eq!((rooms.homeless(&view), people(&rooms, "lobby")), (vec![], vec![ANA]));
    }

    #[test]
    fn renamed_client_is_told_by_both_names_and_a_late_record_renames_nobody() {
        let mut rooms = Rooms::default();
        apply(&mut rooms, OAK, 5, ANA, "lobby", Kind::Join);
        let mut renamed = record(6, ANA, "", Kind::Nick);
        renamed.message.nick = "anastasia".into();
        assert_eq!(
            rooms.apply(&renamed, OAK, "oak"),
            [Change::Renamed { client: ClientId(ANA), from: "n1".into(), to: "anastasia".into() }]
        );
        assert_eq!(apply(&mut rooms, ELM, 4, ANA, "lobby", Kind::Text), []);
        assert_eq!(rooms.nick_of(ClientId(ANA)), Some("anastasia"));
        assert_eq!(rooms.resolve("n1"), Some(ClientId(ANA)), "the old name is kept for its owner");
    }

    #[test]
    fn nick_of_both_sides_of_a_cut_goes_to_the_least_key() {
        let mut rooms = Rooms::default();
        let mut theirs = record(9, BOB, "lobby", Kind::Join);
        theirs.message.nick = "sam".into();
        rooms.apply(&theirs, ELM, "elm");
        let mut ours = record(8, ANA, "lobby", Kind::Join);
        ours.message.nick = "Sam".into();
        let lost = Change::NickLost { nick: "Sam".into(), client: ClientId(BOB) };
        assert_eq!(rooms.apply(&ours, OAK, "oak")[0], lost);
        assert_eq!(rooms.owner("sam", Hlc(0)), Some(ClientId(ANA)));
        assert_eq!(rooms.offer("sam", ClientId(BOB), Hlc(0)), "sam2");
    }

    #[test]
    fn topic_is_the_last_one_in_the_order() {
        let mut rooms = Rooms::default();
        apply(&mut rooms, OAK, 5, ANA, "lobby", Kind::Topic);
        assert_eq!(apply(&mut rooms, OAK, 4, BOB, "lobby", Kind::Topic), []);
        assert_eq!((rooms.topic("Lobby"), rooms.topic("dev")), ("text 5", ""));
    }

    #[test]
    fn client_enters_no_more_rooms_than_its_bound() {
        let mut rooms = Rooms::default();
        for room in 0..MAX_ROOMS_EACH as u64 + 5 {
            apply(&mut rooms, OAK, room, ANA, &format!("r{room}"), Kind::Join);
        }
        assert_eq!(rooms.rooms_of(ClientId(ANA)).len(), MAX_ROOMS_EACH);
        apply(&mut rooms, OAK, 1 + MAX_ROOMS_EACH as u64 + 5, ANA, "other", Kind::Join);
        assert!(!rooms.is_in("other", ClientId(ANA)) && rooms.is_in("r0", ClientId(ANA)));
        for room in 0..3 * MAX_ROOMS_EACH as u64 {
            apply(&mut rooms, OAK, 1000 + room, BOB, &format!("r{room}"), Kind::Leave);
        }
        assert!(rooms.people.values().all(|person| person.all_rooms().len() <= 2 * MAX_ROOMS_EACH));
    }

    #[test]
    fn at_the_bound_empty_rooms_make_way_and_full_ones_do_not() {
        let mut rooms = Rooms::default();
        let ms = MAX_ROOMS as u64;
        for room in 0..ms {
            apply(&mut rooms, OAK, room, room / 100, &format!("r{room}"), Kind::Join);
        }
        apply(&mut rooms, OAK, ms, 7777, "one-more", Kind::Join);
        assert_eq!((rooms.len(), rooms.is_in("one-more", ClientId(7777))), (MAX_ROOMS, false));
        apply(&mut rooms, OAK, ms + 1, 0, "r5", Kind::Leave);
        apply(&mut rooms, OAK, ms + 2, 7777, "one-more", Kind::Join);
        assert!(rooms.is_in("one-more", ClientId(7777)) && rooms.room("r5").is_none());
    }

    #[test]
    fn what_was_put_together_is_cut_to_the_bounds_also_where_every_room_has_people() {
        let mut rooms = Rooms::loose(Bugs::NONE);
        let ms = MAX_ROOMS as u64 + 300;
        for room in 0..ms {
            apply(&mut rooms, OAK, room, room / 100, &format!("r{room}"), Kind::Join);
        }
        assert_eq!(rooms.len() as u64, ms);
        apply(&mut rooms, OAK, ms, 3, "r350", Kind::Leave);
        let bounded = rooms.bounded();
        assert_eq!(
            (bounded.len(), bounded.room("r350").is_none(), bounded.room("r0").is_none()),
            (MAX_ROOMS, true, true)
        );
        assert!(bounded.is_in("r4000", ClientId(40)) && bounded.room("r299").is_some());
        let mut crowd = Rooms::loose(Bugs::NONE);
        for client in 0..MAX_CLIENTS as u64 + 5 {
            apply(&mut crowd, OAK, client, client, "lobby", Kind::Join);
        }
        let crowd = crowd.bounded();
        assert_eq!((crowd.people.len(), crowd.people("lobby").len()), (MAX_CLIENTS, MAX_CLIENTS));
        assert!(!crowd.is_in("lobby", ClientId(4)) && crowd.is_in("lobby", ClientId(5)));
    }

    #[test]
    fn at_the_bound_clients_in_no_room_make_way() {
        let mut rooms = Rooms::default();
        apply(&mut rooms, OAK, 0, 0, "lobby", Kind::Join);
        for client in 1..=MAX_CLIENTS as u64 {
            apply(&mut rooms, OAK, client, client, "lobby", Kind::Text);
        }
        assert!(rooms.people.len() <= MAX_CLIENTS);
        assert_eq!((rooms.nick_of(ClientId(1)), people(&rooms, "lobby")), (None, vec![0]));
    }

    /// A few hundred records of a few clients in a few rooms, ascending, each with its origin, in three epochs side by side.
    /// Some messages are ordered in two of them, as both sides of a cut do, and servers say of clients that they are gone.
    pub(in crate::proto) fn history(rng: &mut Rng) -> Vec<(Record, Pid)> {
        let mut made = Vec::new();
        let mut messages: Vec<Record> = Vec::new();
        for ms in 0..400 {
            let room = ["a", "A", "b", "c"][rng.below(4) as usize];
            let client = rng.below(5);
            let (room, kind) = match rng.below(10) {
                0..=2 => (room, Kind::Join),
                3 => (room, Kind::Leave),
                4 => ("", Kind::Leave),
                5 => (room, Kind::Topic),
                6 => ("", Kind::Nick),
                7 => ("", gone(rng.below(5))),
                _ => (room, Kind::Text),
            };
            let client = if matches!(kind, Kind::Gone { .. }) { 100 } else { client };
            let mut made_now = record(ms, client, room, kind);
            made_now.message.nick = format!("n{}", rng.below(6));
            if let Some(copy) = messages.last().filter(|_| rng.below(4) == 0) {
                made_now.message = copy.message.clone();
            }
            made_now.key.epoch.num = 1 + rng.below(3);
            messages.push(made_now.clone());
            made.push((made_now, if rng.below(2) == 0 { OAK } else { ELM }));
        }
        made
    }

    /// The records with the epochs mixed anew, each of them in its own order.
    fn mixed(history: &[(Record, Pid)], rng: &mut Rng) -> Vec<(Record, Pid)> {
        let mut epochs: [Vec<_>; 3] = Default::default();
        for one in history.iter().rev() {
            epochs[one.0.key.epoch.num as usize - 1].push(one.clone());
        }
        let mut mixed = Vec::new();
        while mixed.len() < history.len() {
            let from = rng.below(3) as usize;
            let count = rng.below(20);
            mixed.extend((0..count).map_while(|_| epochs[from].pop()));
        }
        mixed
    }

    #[test]
    fn whichever_epoch_comes_first_the_state_is_the_same() {
        let mut told_to_be_gone = 0;
        for seed in 0..500 {
            let mut rng = Rng::new(seed);
            let history = history(&mut rng);
            let (mut canonical, mut merged) = (Rooms::default(), Rooms::default());
            for (record, origin) in &history {
                let changes = canonical.apply(record, *origin, if *origin == OAK { "oak" } else { "elm" });
                let is_gone = matches!(record.message.kind, Kind::Gone { .. });
                told_to_be_gone += usize::from(is_gone && !changes.is_empty());
            }
            for (record, origin) in mixed(&history, &mut rng) {
                merged.apply(&record, origin, if origin == OAK { "oak" } else { "elm" });
            }
            assert_eq!(merged.who(None), canonical.who(None), "seed {seed}");
            let names = |rooms: &Rooms| (0..6).map(|nick| rooms.resolve(&format!("n{nick}"))).collect::<Vec<_>>();
            assert_eq!(names(&merged), names(&canonical), "seed {seed}");
            for room in ["a", "b", "c"] {
                assert_eq!(merged.topic(room), canonical.topic(room), "seed {seed}");
            }
        }
        assert!(told_to_be_gone > 1000, "{told_to_be_gone}");
    }

    #[test]
    fn same_records_in_the_same_order_give_the_same_state() {
        let history = history(&mut Rng::new(5));
        let (mut one, mut other) = (Rooms::default(), Rooms::default());
        for (record, origin) in &history {
            assert_eq!(one.apply(record, *origin, "s"), other.apply(record, *origin, "s"));
        }
        assert_eq!(one, other);
    }
}
