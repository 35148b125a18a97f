//! What people do beside talking: they change their nicks, also to such as others have or want, enter and leave rooms, write to
//! each other alone, and ask who is where.

use super::{LOBBY, nick, study};
use crate::ids::ClientId;
use crate::proto::client::Draft;
use crate::record::{Kind, Submission};
use crate::sim::rng::Rng;
use crate::time::Time;
use crate::wire::session::{Answer, Query};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Nicks that everyone would like to have; without regard to case the first two are one.
const WANTED: [&str; 4] = ["ana", "ANA", "bob", "eva"];
/// Rooms to enter; the last two are one.
const ROOMS: [&str; 4] = [LOBBY, "ops", "tea", "Tea"];
/// The longest pause between two deeds.
const PAUSE: Duration = Duration::from_secs(5);

/// Per mille of people who look things up in history, where little is said …
const STUDIOUS: u32 = 80;
/// … and where much is: to make an index of it costs as much as a fifth of the run.
const STUDIOUS_IF_BUSY: u32 = 10;

/// What a person does now.
pub(super) enum Deed {
    /// Asks for another nick, and claims it.
    Claim(String),
    /// Takes a nick that a server offers in place of the one that is another's.
    Take(String),
    /// Says this; of words to one client the text is not there yet.
    Say(Draft),
    /// Asks this.
    Ask(Query),
}

/// Nicks of others that a person remembers.
const MET: usize = 4;

/// How a person passes the time.
pub(super) struct Pastime {
    me: ClientId,
    rng: Rng,
    next: Time,
    /// The nick it goes by, or asks for.
    nick: String,
    /// What it goes back to when it is refused that.
    before: Option<String>,
    /// A server's offer.
    offered: Option<String>,
    /// The nicks that others claimed last.
    met: VecDeque<String>,
    /// Whom to write to when there is time.
    owed: VecDeque<ClientId>,
    /// Where it takes itself to be.
    rooms: BTreeSet<&'static str>,
    /// Looks things up in history.
    studious: bool,
}

impl Pastime {
    /// A person who has done nothing yet.
    pub(super) fn new(me: ClientId, is_busy: bool, mut rng: Rng) -> Self {
        let next = Time(0) + rng.wait(Duration::ZERO, PAUSE);
        let studious = rng.chance(if is_busy { STUDIOUS_IF_BUSY } else { STUDIOUS });
        let (before, offered, rooms) = (None, None, BTreeSet::from([LOBBY]));
        let (met, owed) = (VecDeque::new(), VecDeque::new());
        Self { me, rng, next, nick: nick(me), before, offered, met, owed, rooms, studious }
    }

    /// The nick that its next process goes by.
    pub(super) fn nick(&self) -> String {
        self.nick.clone()
    }

    /// Its process is another one.
    pub(super) fn anew(&mut self) {
        (self.before, self.offered) = (None, None);
    }

    /// A session stands.
    pub(super) fn welcomed(&mut self) {
        self.before = None;
    }

    /// Its nick is another's, and this one is free.
    pub(super) fn refused(&mut self, free: &str) {
        match self.before.take() {
            Some(before) => self.nick = before,
            None => self.offered = Some(free.to_owned()),
        }
    }

    /// It was shown this: it remembers who has come under a new nick, and may answer what is for it alone.
    pub(super) fn shown(&mut self, message: &Submission) {
        let writer = message.id.client;
        match message.kind {
            Kind::Nick if writer != self.me => {
                self.met.push_back(message.nick.clone());
                self.met.drain(..self.met.len().saturating_sub(MET));
            }
            Kind::Direct { .. } if writer != self.me && self.rng.chance(400) => self.owed.push_back(writer),
            _ => {}
        }
    }

    /// An answer came: whose nick it is, to him it writes.
    pub(super) fn answered(&mut self, answer: &Answer) {
        if let Answer::Nick(Some(to)) = answer {
            self.owed.push_back(*to);
        }
    }

    /// The question with which it begins to walk through history, if that is its way.
    pub(super) fn study(&mut self) -> Option<Query> {
        self.studious.then(|| study::question(self.me, &mut self.rng))
    }

    /// When there is something to do: an offer is taken also by who is `silent`.
    pub(super) fn next(&self, silent: bool) -> Time {
        match self.offered {
            Some(_) => Time(0),
            None if silent => Time::NEVER,
            None if !self.owed.is_empty() => Time(0),
            None => self.next,
        }
    }

    /// What it does now.
    pub(super) fn due(&mut self, now: Time, silent: bool) -> Option<Deed> {
        if let Some(offered) = self.offered.take() {
            return Some(Deed::Take(self.ask_for(offered)));
        }
        if silent {
            return None;
        }
        if let Some(to) = self.owed.pop_front() {
            return Some(Deed::Say(Draft { room: String::new(), kind: Kind::Direct { to }, body: String::new() }));
        }
        if now < self.next {
            return None;
        }
        self.next = now + self.rng.wait(Duration::from_millis(100), PAUSE);
        Some(match self.rng.below(10) {
            0..2 => {
                let nick = self.another_nick();
                Deed::Claim(self.ask_for(nick))
            }
            2..4 => Deed::Say(self.enter()),
            4..6 => Deed::Say(self.leave()),
            6..9 => Deed::Ask(Query::Nick(self.someone())),
            _ if self.studious => Deed::Ask(study::question(self.me, &mut self.rng)),
            _ => Deed::Ask(Query::Who(self.rng.chance(500).then(|| LOBBY.to_owned()))),
        })
    }

    fn ask_for(&mut self, nick: String) -> String {
        let old = std::mem::replace(&mut self.nick, nick.clone());
        self.before.get_or_insert(old);
        nick
    }

    fn another_nick(&mut self) -> String {
        match self.rng.below(4) {
            0 => nick(self.me),
            1 => self.someone(),
            _ => self.wanted(),
        }
    }

    /// The nick of somebody else.
    fn someone(&mut self) -> String {
        let met = self.rng.index(self.met.len());
        self.met.get(met).cloned().unwrap_or_else(|| self.wanted())
    }

    fn wanted(&mut self) -> String {
        (*self.rng.pick(&WANTED).unwrap_or(&"eva")).to_owned()
    }

    fn enter(&mut self) -> Draft {
        let room = *self.rng.pick(&ROOMS).unwrap_or(&LOBBY);
        self.rooms.insert(room);
        Draft { room: room.to_owned(), kind: Kind::Join, body: String::new() }
    }

    /// Leaves a room, one that it may not be in, or all.
    fn leave(&mut self) -> Draft {
        if self.rng.chance(150) {
            self.rooms.clear();
            return Draft { room: String::new(), kind: Kind::Leave, body: String::new() };
        }
        let here: Vec<&str> = ROOMS.into_iter().filter(|room| self.is_in(room)).collect();
        let room = *self.rng.pick(&here).or(self.rng.pick(&ROOMS)).unwrap_or(&LOBBY);
        self.rooms.retain(|other| !crate::name::same(other, room));
        Draft { room: room.to_owned(), kind: Kind::Leave, body: String::new() }
    }

    fn is_in(&self, room: &str) -> bool {
        self.rooms.iter().any(|other| crate::name::same(other, room))
    }
}
