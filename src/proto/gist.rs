//! The gist of an epoch: what its log says of people, nicks and rooms, without the log.
//!
//! Who is where follows from all of history (`PROTOCOL.md` §8), which no server reads whole at each start: the store keeps
//! the gist of each epoch beside its log, and a server puts them together ([`replay`](super::replay)).

use super::nicks::Claim;
use super::person::Person;
use super::rooms::{Room, Rooms};
use crate::ids::ClientId;
use crate::record::{Entry, Kind, Record, View};
use crate::seq::IdSet;
use serde::{Deserialize, Serialize};

/// What one epoch says of one room, of one client's claim on a nick, or of one client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Gist {
    /// A room, by its folded name.
    Room(String, Room),
    /// A client's claim on a nick, by its folded name.
    Nick(String, Claim),
    /// A client.
    Person(ClientId, Person),
}

/// Whom or what a gist is of. Rooms come first: who is in one is put into it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// A room, by its folded name.
    Room(String),
    /// A client's claim on a nick, by its folded name.
    Nick(ClientId, String),
    /// A client.
    Person(ClientId),
}

/// Gists of an epoch, as a store has them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Gists {
    /// They tell of the log up to here, at least.
    pub upto: u64,
    /// In the order of their subjects.
    pub gists: Vec<Gist>,
    /// The last subject, when there are more behind it.
    pub more: Option<Subject>,
}

impl Subject {
    /// All that a record changes anything about.
    pub fn of(record: &Record) -> impl Iterator<Item = Self> {
        let message = &record.message;
        let named = |name: &str| Some(crate::name::fold(name)).filter(|folded| !folded.is_empty());
        let (room, nick, client) = match message.kind {
            Kind::Gone { client } => (None, None, client),
            _ => (named(&message.room), named(&message.nick), message.id.client),
        };
        let nick = nick.map(|folded| Self::Nick(client, folded));
        [room.map(Self::Room), nick, Some(Self::Person(client))].into_iter().flatten()
    }
}

impl Gist {
    /// Whom or what it is of.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Room(folded, _) => Subject::Room(folded.clone()),
            Self::Nick(folded, claim) => Subject::Nick(claim.owner(), folded.clone()),
            Self::Person(client, _) => Subject::Person(*client),
        }
    }
}

impl Gists {
    /// The gist of a log's first entries.
    pub fn of<'a>(view: &View, entries: impl Iterator<Item = &'a Entry>) -> Self {
        let (mut rooms, mut upto) = (Rooms::of_epoch(), 0);
        for (gsn, entry) in (1..).zip(entries) {
            let home = view.name_of(entry.origin);
            for record in entry.records(view.epoch, gsn) {
                rooms.apply(&record, entry.origin, home);
            }
            upto = gsn;
        }
        Self { upto, gists: rooms.gists().collect(), more: None }
    }
}

impl Rooms {
    /// The gist of the epoch that this is of ([`Rooms::of_epoch`]), in the order of the subjects.
    pub fn gists(&self) -> impl Iterator<Item = Gist> {
        let rooms = self.by_name.iter().map(|(folded, room)| Gist::Room(folded.clone(), room.empty()));
        let claims = self.claims.iter().flatten();
        let nicks = claims.map(|((_, folded), claim)| Gist::Nick(folded.clone(), claim.clone()));
        let people = self.people.iter().map(|(client, person)| Gist::Person(*client, person.clone()));
        rooms.chain(nicks).chain(people)
    }

    /// Takes in what an epoch says: the same as if all its records had been applied, with `pruned` let go of
    /// ([`Rooms::enter`]). Without regard to the bounds: trim it afterwards.
    ///
    /// Of each epoch rooms before people, and its gist before later records of it; older epochs first.
    pub fn absorb(&mut self, gist: Gist, pruned: &IdSet) {
        match gist {
            Gist::Room(folded, room) => match self.by_name.get_mut(&folded) {
                Some(known) => known.absorb(room),
                None => _ = self.by_name.insert(folded, room),
            },
            Gist::Nick(folded, claim) => {
                if let Some(claims) = &mut self.claims {
                    claims.insert((claim.owner(), folded.clone()), claim.clone());
                }
                self.nicks.absorb(&folded, claim);
            }
            Gist::Person(client, person) => {
                self.people.entry(client).or_default().absorb(client, person, pruned);
                self.seat_everywhere(client, &mut Vec::new());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MessageId, Pid};
    use crate::proto::rng::Rng;
    use crate::proto::rooms::tests::{OAK, history};

    fn name(origin: Pid) -> &'static str {
        if origin == OAK { "oak" } else { "elm" }
    }

    fn take_all(rooms: &mut Rooms, records: &[(Record, Pid)], pruned: &IdSet) {
        for (record, origin) in records {
            rooms.enter(record, *origin, name(*origin), pruned);
        }
    }

    fn absorb_all(rooms: &mut Rooms, gists: Vec<Gist>, pruned: &IdSet) {
        for gist in gists {
            rooms.absorb(gist, pruned);
        }
    }

    /// The gists of records, made in steps between which they lie in a store.
    fn stored(records: &[(Record, Pid)], rng: &mut Rng) -> Vec<Gist> {
        let (mut gists, mut rest) = (Vec::new(), records);
        while !rest.is_empty() {
            let (step, behind) = rest.split_at((1 + rng.below(30) as usize).min(rest.len()));
            let mut rooms = Rooms::of_epoch();
            absorb_all(&mut rooms, gists, &IdSet::default());
            take_all(&mut rooms, step, &IdSet::default());
            gists = postcard::from_bytes(&postcard::to_stdvec(&rooms.gists().collect::<Vec<_>>()).unwrap()).unwrap();
            rest = behind;
        }
        gists
    }

    #[test]
    fn gists_and_what_follows_them_say_what_all_of_history_says() {
        for seed in 0..500 {
            let mut rng = Rng::new(seed);
            let history = history(&mut rng);
            let mut pruned = IdSet::default();
            for (record, _) in &history {
                if rng.below(8) == 0 && seed % 2 == 0 {
                    pruned.insert(record.message.id);
                }
            }
            let (mut whole, mut made_of_gists) = (Rooms::default(), Rooms::default());
            take_all(&mut whole, &history, &pruned);
            for epoch in [2, 3, 1] {
                let log: Vec<_> = history.iter().filter(|(record, _)| record.key.epoch.num == epoch).cloned().collect();
                let (told, rest) = log.split_at(rng.below(log.len() as u64 + 1) as usize);
                absorb_all(&mut made_of_gists, stored(told, &mut rng), &pruned);
                // Some of what the gist tells of comes again: the index goes on while it is read.
                let again = told.len() - rng.below(told.len().min(10) as u64 + 1) as usize;
                take_all(&mut made_of_gists, &told[again..], &pruned);
                take_all(&mut made_of_gists, rest, &pruned);
            }
            assert_eq!(made_of_gists.who(None), whole.who(None), "seed {seed}");
            for nick in (0..6).map(|nick| format!("n{nick}")) {
                assert_eq!(made_of_gists.resolve(&nick), whole.resolve(&nick), "seed {seed}");
            }
            let rooms = |rooms: &Rooms| {
                rooms.count().into_iter().map(|room| (rooms.topic(&room.room).to_owned(), room)).collect::<Vec<_>>()
            };
            assert_eq!(rooms(&made_of_gists), rooms(&whole), "seed {seed}");
        }
    }

    #[test]
    fn copy_of_what_was_let_go_of_unseats_who_left_and_seats_nobody() {
        let history = history(&mut Rng::new(1));
        let of = |kind: Kind, cseq| {
            let (mut record, origin) = history[0].clone();
            record.message.id = MessageId { client: ClientId(1), cseq };
            (record.message.kind, record.message.room) = (kind, "tea".to_owned());
            (record, origin)
        };
        for (last, pruned_cseq, seated) in [(Kind::Leave, 6, false), (Kind::Join, 6, false), (Kind::Join, 5, true)] {
            let mut pruned = IdSet::default();
            pruned.insert(MessageId { client: ClientId(1), cseq: pruned_cseq });
            let log = [of(Kind::Join, 5), of(last, 6)];
            let (mut rooms, mut made_of_gists) = (Rooms::default(), Rooms::default());
            take_all(&mut rooms, &log, &pruned);
            absorb_all(&mut made_of_gists, stored(&log, &mut Rng::new(1)), &pruned);
            for rooms in [&rooms, &made_of_gists] {
                assert_eq!(rooms.is_in("tea", ClientId(1)), seated, "{pruned_cseq}");
            }
        }
    }

    /// A record of a client under a nick, so many days after the first.
    fn said(client: u64, nick: &str, day: u64, epoch: u64, room: &str) -> (Record, Pid) {
        let (mut record, origin) = history(&mut Rng::new(1))[0].clone();
        record.key.hlc = crate::time::Hlc::from_wall_ms(day * 24 * 60 * 60 * 1000);
        (record.key.epoch.num, record.key.gsn) = (epoch, day);
        record.message.id = MessageId { client: ClientId(client), cseq: day + 1 };
        (record.message.kind, record.message.nick, record.message.room) = (Kind::Join, nick.into(), room.into());
        (record, origin)
    }

    #[test]
    fn nicks_whose_time_is_over_are_whose_they_were_where_nobody_restarted() {
        let lives = [
            // The second claim loses, beyond a cut; the first is over when the third comes.
            vec![said(1, "sam", 0, 1, "tea"), said(2, "sam", 20, 2, "tea"), said(3, "sam", 45, 3, "tea")],
            // An epoch begins with somebody else's losing claim: that the owner was seen in it is known all the same.
            vec![
                said(1, "sam", 0, 1, "tea"),
                said(2, "sam", 5, 2, "tea"),
                said(1, "sam", 28, 2, "tea"),
                said(3, "sam", 40, 3, "tea"),
            ],
        ];
        for (life, owner) in lives.iter().zip([3, 1]) {
            let (mut whole, mut made_of_gists, none) = (Rooms::default(), Rooms::default(), IdSet::default());
            take_all(&mut whole, life, &none);
            for epoch in 1..=3 {
                let log: Vec<_> = life.iter().filter(|(record, _)| record.key.epoch.num == epoch).cloned().collect();
                absorb_all(&mut made_of_gists, stored(&log, &mut Rng::new(epoch)), &none);
            }
            for rooms in [&whole, &made_of_gists] {
                assert_eq!(rooms.resolve("sam"), Some(ClientId(owner)));
            }
        }
    }

    #[test]
    fn room_with_people_stays_whatever_others_its_epoch_has() {
        let many = crate::proto::rooms::MAX_ROOMS as u64 + 100;
        let mut log = vec![said(1, "ana", 0, 1, "lobby")];
        log.extend((1..=many).map(|n| {
            let (mut record, origin) = said(2, "bob", n, 1, &format!("r{n}"));
            record.message.kind = Kind::Text;
            (record, origin)
        }));
        let (mut whole, mut loose, none) =
            (Rooms::default(), Rooms::loose(crate::proto::bugs::Bugs::NONE), IdSet::default());
        take_all(&mut whole, &log, &none);
        absorb_all(&mut loose, stored(&log, &mut Rng::new(1)), &none);
        assert!(loose.len() as u64 > many);
        let bounded = loose.bounded();
        for rooms in [&whole, &bounded] {
            assert!(rooms.is_in("lobby", ClientId(1)) && rooms.len() <= crate::proto::rooms::MAX_ROOMS);
        }
    }
}
