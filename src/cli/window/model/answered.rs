//! Answers to what was asked.

use super::{Asked, Model};
use crate::cli::commands::status;
use crate::cli::window::panel::{Choice, Entry, Panel, hit};
use crate::cli::window::place::{MAX_PEOPLE, Where, saying};
use crate::cli::window::row::Saying;
use crate::cli::window::servers;
use crate::cli::window::text::{Piece, safe};
use crate::cli::window::tone::Tone;
use crate::client::Draft;
use crate::ids::ClientId;
use crate::record::{Kind, Record};
use crate::wire::session::{Answer, Presence, RoomInfo, Status};

/// Most conversations that are listed at the start.
const MAX_CONVERSATIONS: usize = 8;

/// Records with the names of the leaders that ordered them.
type Records = Vec<(Record, String)>;

impl Model {
    pub(super) fn answered(&mut self, tag: u64, answer: Answer) {
        let Some(asked) = self.asked.remove(&tag) else { return };
        match (asked, answer) {
            (Asked::Page(at), Answer::Page { records, more }) => self.page_came(tag, &at, &records, more),
            (Asked::Page(at), answer) => self.page_failed(tag, &at, answer),
            (Asked::People(room), Answer::Who(people)) => self.people(&room, people),
            (Asked::Topics, Answer::Rooms(rooms)) => self.topics(rooms),
            (Asked::RoomList, Answer::Rooms(rooms)) => self.panel = Some(room_list(&rooms)),
            (Asked::PeopleList, Answer::Who(people)) => self.panel = Some(people_list(&people, self.person.id)),
            (Asked::Status, Answer::Status(found)) => self.panel = Some(status_list(&found)),
            (Asked::Servers, Answer::Status(found)) => self.panel = Some(server_list(&found)),
            (Asked::Nick { nick, text }, Answer::Nick(found)) => self.addressed(&nick, text, found),
            (Asked::Search { words }, Answer::Page { records, more }) => {
                let panel = Panel::of_hits(&words, self.hits(&records), more);
                if panel.is_empty() {
                    self.flash = Some(format!("nothing found: {}", safe(&words)));
                } else {
                    self.panel = Some(panel);
                }
            }
            (Asked::OlderHits, Answer::Page { records, more }) => {
                let hits = self.hits(&records);
                if let Some(panel) = self.panel.as_mut().filter(|panel| panel.search.is_some()) {
                    panel.add_before(hits, more);
                }
            }
            (Asked::Letters, Answer::Page { records, .. }) => self.letters(&records),
            (_, Answer::Failed(why)) => self.flash = Some(safe(&why)),
            _ => {}
        }
    }

    fn page_came(&mut self, tag: u64, at: &Where, records: &Records, more: bool) {
        let (me, settled) = (self.person.id, self.settled());
        let Some(place) = self.place_mut(at) else { return };
        let keys = (records.first().map(|found| found.0.key), records.last().map(|found| found.0.key));
        let is_ours = |record: &Record| match at {
            Where::Room(_) => true,
            Where::Person(person) => record.message.partner(me) == Some(*person),
        };
        let page: Vec<(Saying, u64)> = records
            .iter()
            .filter(|(record, _)| is_ours(record))
            .filter_map(|(record, _)| Some((saying(record, me, settled, false)?, record.key.hlc.wall_ms())))
            .collect();
        if place.asked.0 == Some(tag) {
            place.asked.0 = None;
            place.timeline.older(page, keys.0, more);
            let owed = place.owed;
            if owed > 0 && self.places.get(self.here).is_some_and(|here| here.at == *at) {
                self.scroll(owed, true);
            }
        } else if place.asked.1 == Some(tag) {
            place.asked.1 = None;
            place.timeline.newer(page, keys.1, more);
        }
    }

    /// How many have what is history: it was on every disk of its view, and who came later has it before it takes people.
    pub(super) fn settled(&self) -> (u16, u16) {
        let servers = u16::try_from(self.ring.members.len().max(1)).unwrap_or(u16::MAX);
        (servers, servers)
    }

    fn page_failed(&mut self, tag: u64, at: &Where, answer: Answer) {
        if let Some(place) = self.place_mut(at) {
            let asked = &mut place.asked;
            for side in [&mut asked.0, &mut asked.1] {
                side.take_if(|asked| *asked == tag);
            }
            place.has_failed = true;
        }
        if let Answer::Failed(why) = answer {
            self.flash = Some(safe(&why));
        }
    }

    fn people(&mut self, room: &str, people: Vec<Presence>) {
        if let Some(place) = self.places.iter_mut().find(|place| place.is_room(room)) {
            place.people = people.into_iter().take(MAX_PEOPLE).map(|one| (one.client, one.nick)).collect();
        }
    }

    fn topics(&mut self, rooms: Vec<RoomInfo>) {
        for info in rooms {
            self.learn_room(&info.room);
            if let Some(place) = self.places.iter_mut().find(|place| place.is_room(&info.room)) {
                place.topic = info.topic;
            }
        }
    }

    fn addressed(&mut self, nick: &str, text: String, found: Option<ClientId>) {
        match found {
            Some(to) => {
                self.talk_to(to, nick);
                let draft = Draft { room: String::new(), kind: Kind::Direct { to }, body: text };
                self.submit(Some(Where::Person(to)), draft);
            }
            None => self.flash = Some(format!("nobody goes by the nick {}", safe(nick))),
        }
    }

    fn hits(&self, records: &Records) -> Vec<Entry> {
        let entry = |(record, _): &(Record, String)| {
            let saying = saying(record, self.person.id, self.settled(), false)?;
            let place = match record.message.partner(self.person.id) {
                Some(_) => "(private)".to_owned(),
                None => format!("#{}", record.message.room),
            };
            Some(hit(record, &saying, &place))
        };
        records.iter().filter_map(entry).collect()
    }

    /// Lists those with whom one talked alone last, in whatever life.
    fn letters(&mut self, records: &Records) {
        let mut found = 0;
        for (record, _) in records.iter().rev() {
            let Some(client) = record.message.partner(self.person.id) else { continue };
            // One's own letters do not tell the other's name.
            let is_theirs = record.message.id.client == client;
            if is_theirs && self.index_of(&Where::Person(client)).is_none() && found < MAX_CONVERSATIONS {
                self.conversation(client, &record.message.nick);
                found += 1;
            }
        }
    }
}

fn room_list(rooms: &[RoomInfo]) -> Panel {
    let entry = |info: &RoomInfo| {
        let count = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        // A server that does not count them says 0.
        let people = match info.people {
            0 => String::new(),
            1 => "1 person · ".to_owned(),
            many => format!("{many} people · "),
        };
        let line = vec![
            Piece::new(format!("#{}", safe(&info.room)), Tone::Room),
            Piece::new(format!("  {people}{}", count(info.messages, "message")), Tone::Plain),
            Piece::new(format!("  {}", safe(&info.topic)), Tone::Dim),
        ];
        Entry { line, choice: Some(Choice::Room(info.room.clone())) }
    };
    Panel::new("rooms", rooms.iter().map(entry).collect())
}

fn people_list(people: &[Presence], me: ClientId) -> Panel {
    let entry = |one: &Presence| {
        let line = vec![
            Piece::new(format!("#{} ", safe(&one.room)), Tone::Room),
            Piece::new(safe(&one.nick), Tone::of_nick(&one.nick)),
            Piece::new(format!("  at {}", safe(&one.server)), Tone::Dim),
        ];
        let choice = (one.client != me).then(|| Choice::Person(one.client, one.nick.clone()));
        Entry { line, choice }
    };
    Panel::new("who is where", people.iter().map(entry).collect())
}

fn status_list(found: &Status) -> Panel {
    let mut entries = vec![Entry { line: servers::summary(found), choice: None }];
    entries.extend(servers::lines(found, false).into_iter().map(|line| Entry { line, choice: None }));
    Panel::new("status", entries)
}

/// `/view`: name, id, address, transport, role and lag of each.
fn server_list(found: &Status) -> Panel {
    let mut entries = Vec::new();
    for server in &found.servers {
        let (state, via) = (status::state(server.state).replace('_', " "), status::via(server));
        entries.push(Entry { line: servers::name(server), choice: None });
        entries.push(Entry::text(format!(
            "  id {} · {} · {via} · {state} · lag {}",
            server.pid.server, server.addr, server.lag
        )));
    }
    Panel::new("servers", entries)
}
