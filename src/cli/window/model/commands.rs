//! What is said and what slash commands do.

use super::{Asked, Effect, Model};
use crate::cli::keys::Action;
use crate::cli::said::{HELP, Said};
use crate::cli::shown::shown;
use crate::cli::window::panel::{Entry, Panel};
use crate::cli::window::place::{DEED, Place, Where};
use crate::cli::window::text::width;
use crate::client::Draft;
use crate::ids::{ClientId, RecordKey};
use crate::record::Kind;
use crate::wire::session::{HistoryQuery, Query};

/// Most hits asked for at once.
const HITS: u32 = 100;
/// Most rooms that a question may name.
const MAX_ROOMS: usize = crate::store::engine::MAX_ROOMS;
/// Most conversations at a time: anyone can begin one.
const MAX_CONVERSATIONS: usize = 64;
/// One-to-one messages that are looked at for conversations to list, at the start.
const LETTERS: u32 = 50;

impl Model {
    pub(super) fn said(&mut self, said: Said) {
        match said {
            Said::Nothing => {}
            Said::Text(text) => self.speak(Kind::Text, text),
            Said::Me(text) => self.speak(Kind::Action, text),
            Said::Topic(Some(text)) => self.speak(Kind::Topic, text),
            Said::Topic(None) => self.tell_topic(),
            Said::Msg(nick, text) => {
                let nick = nick.as_str().to_owned();
                self.ask(Query::Nick(nick.clone()), Asked::Nick { nick, text });
            }
            Said::Join(room) => self.enter(room.as_str()),
            Said::Leave(room) => self.leave(room.as_ref().map(crate::cli::values::Name::as_str)),
            Said::Nick(nick) => self.rename(nick.as_str()),
            Said::Rooms => _ = self.ask(Query::Rooms, Asked::RoomList),
            Said::Who(room) => {
                let room = room.map(|room| room.as_str().to_owned());
                self.ask(Query::Who(room), Asked::PeopleList);
            }
            Said::View => _ = self.ask(Query::Status, Asked::Servers),
            Said::Status => _ = self.ask(Query::Status, Asked::Status),
            Said::History(count) => self.scroll(count as usize, true),
            Said::Search(words) => self.search(&words, None),
            Said::Help => self.help(),
            Said::Quit => self.leave_all(),
            Said::Wrong(why) => self.flash = Some(shown(&why).into_owned()),
        }
    }

    /// Words to the place one is in; the reader is at the present then, where they appear.
    fn speak(&mut self, kind: Kind, mut text: String) {
        let Some(place) = self.places.get_mut(self.here) else {
            self.flash = Some("you are in no room: /join one".to_owned());
            return;
        };
        let at = place.at.clone();
        let (room, kind) = match (&at, kind) {
            (Where::Room(room), kind) => (room.clone(), kind),
            (Where::Person(to), Kind::Text) => (String::new(), Kind::Direct { to: *to }),
            (Where::Person(to), Kind::Action) => {
                text.insert_str(0, DEED);
                (String::new(), Kind::Direct { to: *to })
            }
            (Where::Person(_), _) => {
                self.flash = Some("only rooms have a topic; here you talk to one person".to_owned());
                return;
            }
        };
        place.return_to_the_present();
        self.submit(Some(at), Draft { room, kind, body: text });
    }

    fn tell_topic(&mut self) {
        let Some(place) = self.places.get(self.here) else { return };
        let text = match (&place.at, place.topic.as_str()) {
            (Where::Person(_), _) => "only rooms have a topic".to_owned(),
            (Where::Room(_), "") => format!("{} has no topic", place.label()),
            (Where::Room(_), topic) => format!("{} is about: {topic}", place.label()),
        };
        self.note(text);
    }

    /// Enters a room, or goes there when one is in it.
    pub(super) fn enter(&mut self, room: &str) {
        if let Some(at) = self.places.iter().position(|place| place.is_room(room)) {
            return self.go_to(at);
        }
        self.places.push(Place::new(Where::Room(room.to_owned()), room.to_owned()));
        self.go_to(self.places.len() - 1);
        self.submit(None, Draft { room: room.to_owned(), kind: Kind::Join, body: String::new() });
        self.ask(Query::Who(Some(room.to_owned())), Asked::People(room.to_owned()));
        if !self.known_rooms.is_empty() {
            self.ask(Query::Rooms, Asked::Topics);
        }
    }

    /// The conversation with a person, which is begun when there is none.
    pub(super) fn talk_to(&mut self, client: ClientId, nick: &str) {
        let at = self.conversation(client, nick);
        self.go_to(at);
    }

    pub(super) fn conversation(&mut self, client: ClientId, nick: &str) -> usize {
        let at = Where::Person(client);
        if let Some(found) = self.index_of(&at) {
            return found;
        }
        self.make_room();
        self.places.push(Place::new(at, nick.to_owned()));
        self.places.len() - 1
    }

    /// At the bound the oldest conversation that one is not in makes way; history has it.
    fn make_room(&mut self) {
        let is_conversation = |place: &Place| matches!(place.at, Where::Person(_));
        if self.places.iter().filter(|place| is_conversation(place)).count() < MAX_CONVERSATIONS {
            return;
        }
        let oldest = (0..self.places.len()).find(|at| *at != self.here && is_conversation(&self.places[*at]));
        if let Some(at) = oldest {
            self.places.remove(at);
            self.here -= usize::from(at < self.here);
        }
    }

    fn leave(&mut self, room: Option<&str>) {
        let at = match room {
            Some(room) => self.places.iter().position(|place| place.is_room(room)),
            None => (!self.places.is_empty()).then_some(self.here),
        };
        let Some(at) = at else {
            self.flash = Some("you are not there".to_owned());
            return;
        };
        let place = self.places.remove(at);
        if let Where::Room(room) = place.at {
            self.submit(None, Draft { room, kind: Kind::Leave, body: String::new() });
        }
        let here = if at < self.here { self.here - 1 } else { self.here };
        self.here = here.min(self.places.len().saturating_sub(1));
    }

    pub(super) fn rename(&mut self, nick: &str) {
        self.is_renaming = true;
        self.effects.push(Effect::Rename(nick.to_owned()));
        self.submit(None, Draft { room: String::new(), kind: Kind::Nick, body: nick.to_owned() });
    }

    /// Messages with these words in the places one is in; those before a key.
    pub(super) fn search(&mut self, words: &str, before: Option<RecordKey>) {
        let is_room = |place: &&Place| matches!(place.at, Where::Room(_));
        let mut rooms: Vec<String> = self.places.iter().filter(is_room).map(|place| place.name.clone()).collect();
        rooms.truncate(MAX_ROOMS - 1);
        // One-to-one messages have no room.
        rooms.push(String::new());
        let reader = Some(self.person.id);
        let within = HistoryQuery { rooms, before, limit: HITS, newest: true, reader, ..HistoryQuery::default() };
        let asked = if before.is_some() { Asked::OlderHits } else { Asked::Search { words: words.to_owned() } };
        self.ask(Query::Search { words: words.to_owned(), within }, asked);
    }

    /// Asks with whom one talked alone last.
    pub(super) fn ask_for_letters(&mut self) {
        let (rooms, reader) = (vec![String::new()], Some(self.person.id));
        let query = HistoryQuery { rooms, limit: LETTERS, newest: true, reader, ..HistoryQuery::default() };
        self.ask(Query::History(query), Asked::Letters);
    }

    pub(super) fn help(&mut self) {
        let mut entries: Vec<Entry> = HELP.iter().copied().map(Entry::text).collect();
        entries.push(Entry::text(""));
        entries.push(Entry::heading("Keys ([keys] of config.toml changes them; ringtalk config show)"));
        for action in Action::all() {
            let keys = self.person.keymap.keys(action);
            let keys = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let gap = " ".repeat(26_usize.saturating_sub(width(&keys)));
            entries.push(Entry::text(format!("{keys}{gap} {}", action.what())));
        }
        entries.push(Entry::text(""));
        entries.push(Entry::heading("Your messages"));
        entries.push(Entry::text("·  queued    ↑  a server has it    ✓  stable on one disk    ✓✓  on every server's"));
        self.panel = Some(Panel::new("help", entries));
    }

    /// Leaves every room, and goes when all that was said is stable.
    pub(super) fn leave_all(&mut self) {
        if self.leaving.is_none() {
            self.leaving = Some(self.now_ms);
            self.submit(None, Draft { room: String::new(), kind: Kind::Leave, body: String::new() });
        }
    }
}
