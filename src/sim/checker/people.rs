//! Who is in which room, made anew from what was written: what every server has to come to.

use super::history::Extents;
use super::retention::horizon_of;
use super::talk::{Gone, Turn};
use super::{Checker, Verdict, Violation, hold};
use crate::ids::{ClientId, EpochId, MessageId, RecordKey};
use crate::name;
use crate::proto::node::Node;
use crate::record::Kind;
use crate::seq::IdSet;
use crate::sim::client::Aside;
use crate::sim::image::Image;
use crate::sim::world::Server;
use std::collections::{BTreeMap, BTreeSet};

/// Somebody in a room: the folded room, who, the nick and the server's name.
type Seated = (String, ClientId, String, String);

/// The last word of a client on a room.
struct Seat {
    cseq: u64,
    key: RecordKey,
    taken: bool,
}

/// A nick under which two people are somewhere.
fn shared_nick(seated: &BTreeSet<Seated>) -> Option<&str> {
    let mut owners = BTreeMap::new();
    let other = |(_, client, nick, _): &&Seated| *owners.entry(name::fold(nick)).or_insert(*client) != *client;
    let mut shared = seated.iter().filter(other);
    shared.next().map(|(_, _, nick, _)| nick.as_str())
}

impl Checker {
    /// 16: a server has everyone where his own last words and those of servers that saw him go put him, and nobody is in a
    /// room that he has left himself.
    pub(super) fn right_people(&self, at: usize, server: &Server) -> Verdict {
        let Some(node) = server.node.as_ref().filter(|_| self.has_people()) else { return Ok(()) };
        let image = server.disk.live();
        let extents = Extents::of(image);
        let seats = |client: &ClientId| self.seats_of(*client, &extents, &image.pruned_ids);
        let right: BTreeSet<Seated> = self.clients.iter().flat_map(seats).collect();
        let theirs: BTreeSet<Seated> = seated(node);
        let (lacking, too_many) = (right.difference(&theirs).next(), theirs.difference(&right).next());
        hold!(16, right == theirs, "s{} lacks {lacking:?} and has {too_many:?} besides", at + 1);
        let shared = shared_nick(&theirs);
        hold!(28, shared.is_none(), "s{} has two people under the nick {shared:?}", at + 1);
        let mut unwanted = theirs.iter().filter(|(room, client, ..)| self.has_left(*client, room, image));
        let unwanted = unwanted.next();
        hold!(28, unwanted.is_none(), "s{} has {unwanted:?} where he left for good", at + 1);
        Ok(())
    }

    /// A room that a client's process entered by its user's will and has not left, and in which the server does not have it.
    ///
    /// What was lost with a disk, nobody knows: an entry that was is not asked for. A leave that was lost counts all the same:
    /// its client knows of it, and enters that room no more when servers take it for gone (seed 910000191, `--people`).
    pub fn unseated(&self, client: usize, server: &Server) -> Option<String> {
        let id = self.clients[client];
        let seats = server.node.as_ref().map(seated).unwrap_or_default();
        let sits = |room: &str| seats.iter().any(|(seat, who, ..)| *who == id && seat == room);
        let image = server.disk.live();
        let mut wanted = BTreeSet::new();
        for (id, aside) in self.talk.asides_of(id).filter(|(id, aside)| aside.meant && self.is_of_this_process(*id)) {
            match aside.kind {
                Kind::Join if self.was_history(id, image) => _ = wanted.insert(name::fold(&aside.room)),
                Kind::Leave if aside.room.is_empty() => wanted.clear(),
                Kind::Leave => _ = wanted.remove(&name::fold(&aside.room)),
                _ => {}
            }
        }
        wanted.into_iter().find(|room| !sits(room))
    }

    /// Where a client is. What it said before a message that was let go of seats it nowhere: it may have left in one of these.
    fn seats_of(&self, client: ClientId, extents: &Extents, pruned: &IdSet) -> Vec<Seated> {
        let (mut seats, mut left_all) = (BTreeMap::<String, Seat>::new(), 0);
        for (id, aside) in self.talk.asides_of(client) {
            let known = self.least_place(id, extents);
            // A copy of what was let go of seats nobody, but tells what he left.
            let copy = || self.fact(id).and_then(|(_, fact)| extents.place(&fact.places, RecordKey::min));
            let Some(key) = known.or_else(copy) else { continue };
            match aside.kind {
                Kind::Leave if aside.room.is_empty() => left_all = id.cseq,
                Kind::Nick if aside.room.is_empty() => {}
                Kind::Join | Kind::Leave | Kind::Nick => {
                    let taken = aside.kind != Kind::Leave && known.is_some() && !pruned.reaches(id);
                    seats.insert(name::fold(&aside.room), Seat { cseq: id.cseq, key, taken });
                }
                _ => {}
            }
        }
        let gone = self.gone_at(client, extents);
        let holds = |seat: &Seat| seat.taken && seat.cseq > left_all && Some(seat.key) > gone;
        seats.retain(|_, seat| holds(seat));
        let Some((nick, server)) = self.last_known(client, extents) else { return Vec::new() };
        seats.into_keys().map(|room| (room, client, nick.clone(), server.clone())).collect()
    }

    /// Whether a client's last own word on a room, as far as it was meant by its user, was that it leaves, and is history. Who
    /// entered the room after that is no more held to have left it when the word of it was lost with a disk: it goes back there
    /// when servers take it for gone.
    fn has_left(&self, client: ClientId, room: &str, image: &Image) -> bool {
        let is_of_room = |aside: &Aside| match aside.kind {
            Kind::Leave if aside.room.is_empty() => true,
            Kind::Join | Kind::Leave => name::fold(&aside.room) == room,
            _ => false,
        };
        let asides = self.talk.asides_of(client).filter(|(_, aside)| aside.meant && is_of_room(aside));
        asides.last().is_some_and(|(id, aside)| aside.kind == Kind::Leave && self.was_history(id, image))
    }

    /// The greatest word of a server that this client is gone, of those that count: by where it last wrote in that epoch, or
    /// by anyone when it wrote nothing in it.
    fn gone_at(&self, client: ClientId, extents: &Extents) -> Option<RecordKey> {
        let places = |id: MessageId| self.others.get(&id).map_or(&[][..], |places| places);
        let is_history = |gone: &Gone| extents.place_of(gone.id, places(gone.id), RecordKey::min) == Some(gone.key);
        let words = self.talk.gone.iter().filter(|gone| gone.client == client && is_history(gone));
        let counts = |gone: &&Gone| self.turn(client, gone.key).is_none_or(|turn| turn.origin == gone.origin);
        words.filter(counts).map(|gone| gone.key).max()
    }

    /// From where and under which nick a client wrote last in an epoch, up to this place.
    pub(super) fn turn(&self, client: ClientId, upto: RecordKey) -> Option<&Turn> {
        let mut turns = self.talk.turns.get(&client)?.iter().rev();
        turns.find(|turn| turn.key.epoch == upto.epoch && turn.key <= upto)
    }

    /// The nick and the server of a client's last message, which is the one that it numbered last; of its copies the one that
    /// was ordered last.
    fn last_known(&self, client: ClientId, extents: &Extents) -> Option<(String, String)> {
        let facts = &self.facts[self.writer(client)?];
        let greatest = |places: &[RecordKey]| places.iter().copied().filter(|place| extents.reach(place)).max();
        let key = facts.iter().rev().find_map(|fact| greatest(&fact.places))?;
        let turn = self.turn(client, key)?;
        let server = self.server_name(key.epoch, turn);
        Some((turn.nick.clone(), server))
    }

    fn server_name(&self, epoch: EpochId, turn: &Turn) -> String {
        self.epochs.get(&epoch).map_or_else(String::new, |known| known.view.name_of(turn.origin).to_owned())
    }

    /// Whether a message is history on this disk, or was before it was let go of somewhere.
    fn was_history(&self, id: MessageId, image: &Image) -> bool {
        let is_below = || self.fact(id).is_some_and(|(_, fact)| self.is_below(&fact.places, horizon_of(image)));
        self.least_place(id, &Extents::of(image)).is_some() || is_below()
    }

    fn least_place(&self, id: MessageId, extents: &Extents) -> Option<RecordKey> {
        self.fact(id).and_then(|(_, fact)| extents.place_of(id, &fact.places, RecordKey::min))
    }
}

fn seated(node: &Node) -> BTreeSet<Seated> {
    let who = node.who().into_iter();
    who.map(|one| (name::fold(&one.room), one.client, one.nick, one.server)).collect()
}
