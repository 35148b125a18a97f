//! Who sits in the rooms that are followed: whoever leaves them all at once names none of them.

use super::values::Name;
use crate::ids::ClientId;
use crate::record::{Kind, Submission};
use crate::wire::session::Presence;
use std::collections::{BTreeMap, BTreeSet};

/// Clients in some rooms, as records tell of them. As many as the ring has people.
#[derive(Debug)]
pub(crate) struct Seats {
    rooms: Vec<Name>,
    taken: BTreeMap<ClientId, BTreeSet<String>>,
}

impl Seats {
    /// Nobody in these rooms.
    pub(crate) fn new(rooms: &[Name]) -> Self {
        Self { rooms: rooms.to_vec(), taken: BTreeMap::new() }
    }

    /// Who was there before anything was heard.
    pub(crate) fn fill(&mut self, people: &[Presence]) {
        for person in people {
            self.take(person.client, &person.room);
        }
    }

    /// Whether a room is among those that are followed.
    pub(crate) fn has(&self, room: &str) -> bool {
        self.rooms.iter().any(|one| crate::name::same(one.as_str(), room))
    }

    /// Takes a message that was shown; the rooms that somebody left by it who left all.
    pub(crate) fn heard(&mut self, message: &Submission) -> BTreeSet<String> {
        let client = message.id.client;
        match message.kind {
            Kind::Leave if message.room.is_empty() => self.taken.remove(&client).unwrap_or_default(),
            Kind::Gone { client } => self.taken.remove(&client).unwrap_or_default(),
            Kind::Leave => {
                if let Some(rooms) = self.taken.get_mut(&client) {
                    rooms.retain(|room| !crate::name::same(room, &message.room));
                }
                BTreeSet::new()
            }
            Kind::Join | Kind::Nick => {
                self.take(client, &message.room);
                BTreeSet::new()
            }
            _ => BTreeSet::new(),
        }
    }

    fn take(&mut self, client: ClientId, room: &str) {
        let room = self.rooms.iter().find(|one| crate::name::same(one.as_str(), room));
        if let Some(room) = room {
            self.taken.entry(client).or_default().insert(room.as_str().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::message;

    fn said(client: u64, kind: Kind, room: &str) -> Submission {
        Submission { kind, room: room.into(), ..message(client, 1, "") }
    }

    #[test]
    fn who_leaves_all_rooms_leaves_those_that_are_followed() {
        let mut seats = Seats::new(&["lobby".parse().unwrap(), "build".parse().unwrap()]);
        let person = |client, room: &str| Presence {
            room: room.into(),
            nick: "ana".into(),
            client: ClientId(client),
            server: "oak".into(),
        };
        seats.fill(&[person(1, "Lobby"), person(1, "kitchen"), person(2, "lobby")]);
        let join = |client, room| said(client, Kind::Join, room);
        assert!(seats.heard(&join(1, "BUILD")).is_empty() && seats.heard(&said(3, Kind::Join, "lobby")).is_empty());
        assert!(seats.heard(&said(3, Kind::Leave, "lobby")).is_empty());
        assert!(seats.heard(&said(4, Kind::Text, "lobby")).is_empty(), "who only says something is in no room");
        let all = said(1, Kind::Leave, "");
        assert_eq!(seats.heard(&all), BTreeSet::from(["build".into(), "lobby".into()]));
        assert!(seats.heard(&all).is_empty() && seats.heard(&said(3, Kind::Leave, "")).is_empty());
        assert!(seats.heard(&said(4, Kind::Leave, "")).is_empty());
        let gone = said(9, Kind::Gone { client: ClientId(2) }, "");
        assert_eq!(seats.heard(&gone), BTreeSet::from(["lobby".into()]));
    }
}
