//! What comes from the ring: messages, progress, views, and what became of the session.

use super::{Asked, Effect, Model};
use crate::cli::contact::refused;
use crate::cli::window::place::{MAX_PEOPLE, Place, Where, saying};
use crate::cli::window::row::Mark;
use crate::cli::window::scroll::Scroll;
use crate::cli::window::text::mentions;
use crate::cli::window::tone::Tone;
use crate::client::{Event, Message, Notice, Progress};
use crate::ids::{ClientId, MessageId};
use crate::record::{Kind, Submission, View};
use crate::wire::session::{Query, Refusal};
use std::time::Duration;

/// Most rooms that are remembered for completion.
const MAX_KNOWN_ROOMS: usize = 1000;

impl Model {
    pub(super) fn heard(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.message(&message),
            Event::Progress { id, progress } => self.progress(id, progress),
            Event::View { view, took, .. } => self.view(&view, took),
            Event::Merged { .. } => self.merged(),
            Event::Answer { tag, answer } => self.answered(tag, answer),
            Event::Notice(notice) => self.told(&notice),
            Event::Cursor { .. } => {}
        }
    }

    fn message(&mut self, message: &Message) {
        let submission = &message.record.message;
        self.learn_room(&submission.room);
        match submission.kind {
            Kind::Nick => self.renamed(submission, message.late),
            Kind::Gone { client } => self.gone(client, message.late),
            Kind::Leave if submission.room.is_empty() => self.gone(submission.id.client, message.late),
            Kind::Join => self.joined(submission, message.late),
            Kind::Leave => self.left(submission, message.late),
            Kind::Text | Kind::Action | Kind::Topic | Kind::Direct { .. } => self.words(message),
        }
    }

    fn words(&mut self, message: &Message) {
        let (me, submission) = (self.person.id, &message.record.message);
        if let Some(client) = submission.partner(me) {
            let nick = if submission.id.client == me { None } else { Some(submission.nick.as_str()) };
            let at = self.conversation(client, nick.unwrap_or("?"));
            if let Some(nick) = nick {
                nick.clone_into(&mut self.places[at].name);
            }
        }
        let Some(at) = self.places.iter().position(|place| place.takes(submission, me)) else { return };
        let copies = (message.copies, message.of);
        let Some(saying) = saying(&message.record, me, copies, message.late) else { return };
        let is_mine = submission.id.client == me;
        let place = &mut self.places[at];
        if submission.kind == Kind::Topic && !message.late {
            submission.body.clone_into(&mut place.topic);
        }
        let is_new = place.timeline.said(saying, message.record.key.hlc.wall_ms());
        let is_counted = (is_new || !place.timeline.is_attached()) && !is_mine;
        if place.scroll != Scroll::Present {
            place.below += u64::from(is_counted);
        }
        if is_counted {
            place.unread += 1;
            let is_direct = matches!(place.at, Where::Person(_));
            if is_direct || !mentions(&submission.body, &self.person.nick).is_empty() {
                place.is_called = true;
                if self.person.bell {
                    self.effects.push(Effect::Bell);
                }
            }
        }
    }

    fn renamed(&mut self, submission: &Submission, late: bool) {
        let (client, nick) = (submission.id.client, &submission.nick);
        if late {
            return;
        }
        if client == self.person.id && *nick != self.person.nick {
            nick.clone_into(&mut self.person.nick);
            self.is_renaming = false;
            self.note(format!("you are {nick} now"));
        }
        let now_ms = self.now_ms;
        for place in &mut self.places {
            if place.at == Where::Person(client) {
                nick.clone_into(&mut place.name);
            }
            if let Some(old) = place.people.get_mut(&client)
                && old != nick
            {
                let old = std::mem::replace(old, nick.clone());
                if client != self.person.id {
                    place.timeline.note(format!("{old} is {nick} now"), Tone::Dim, now_ms);
                }
            }
        }
    }

    fn joined(&mut self, submission: &Submission, late: bool) {
        let (me, now_ms) = (self.person.id, self.now_ms);
        let (client, nick) = (submission.id.client, &submission.nick);
        for place in self.places.iter_mut().filter(|place| !late && place.takes(submission, me)) {
            // Who comes back after its server died was here all the time.
            let is_new = place.people.len() < MAX_PEOPLE && place.people.insert(client, nick.clone()).is_none();
            if is_new && client != me {
                place.timeline.folk(nick, true, now_ms);
            }
        }
    }

    fn left(&mut self, submission: &Submission, late: bool) {
        let (me, now_ms) = (self.person.id, self.now_ms);
        for place in self.places.iter_mut().filter(|place| !late && place.takes(submission, me)) {
            if let Some(nick) = place.people.remove(&submission.id.client) {
                place.timeline.folk(&nick, false, now_ms);
            }
        }
    }

    fn gone(&mut self, client: ClientId, late: bool) {
        let now_ms = self.now_ms;
        for place in self.places.iter_mut().filter(|_| !late && client != self.person.id) {
            if let Some(nick) = place.people.remove(&client) {
                place.timeline.folk(&nick, false, now_ms);
            }
        }
    }

    pub(super) fn learn_room(&mut self, room: &str) {
        if !room.is_empty() && self.known_rooms.len() < MAX_KNOWN_ROOMS && !self.known_rooms.contains(room) {
            self.known_rooms.insert(room.to_owned());
        }
    }

    fn progress(&mut self, id: MessageId, progress: Progress) {
        if self.ring.home.is_some() && progress != Progress::Queued {
            self.ring.waiting = None;
        }
        let mark = match progress {
            Progress::Queued => Mark::Queued,
            Progress::Accepted => Mark::Accepted,
            Progress::Stable { copies, of, .. } => {
                self.unsettled.remove(&id);
                Mark::Stable(copies, of)
            }
            Progress::Rejected(why) => return self.rejected(id, &why),
        };
        for place in &mut self.places {
            if place.timeline.mark(id, mark.clone()) {
                return;
            }
        }
    }

    fn rejected(&mut self, id: MessageId, why: &Refusal) {
        self.unsettled.remove(&id);
        let server = self.ring.home.clone().unwrap_or_else(|| "the server".to_owned());
        let failure = refused(&server, why, "");
        let hint = failure.hint.replace("--nick", "/nick");
        let now_ms = self.now_ms;
        for place in &mut self.places {
            if let Some(text) = place.timeline.refuse(id) {
                let text: String = text.chars().take(60).collect();
                place.timeline.note(format!("✗ {text}: {} {hint}", failure.message), Tone::Bad, now_ms);
                return;
            }
        }
        self.note(format!("{} {hint}", failure.message));
    }

    fn view(&mut self, view: &View, took: Option<Duration>) {
        let is_new_leader = self.ring.epoch.is_some() && self.ring.leader != view.leader_name();
        let members = view.members.iter().map(|member| member.pid).collect();
        let is_first = self.ring.members.is_empty();
        let came =
            if is_first { 0 } else { view.members.iter().filter(|one| !self.ring.members.contains(&one.pid)).count() };
        if came > 0 {
            self.rejoined = came;
        }
        self.ring.members = members;
        self.ring.epoch = Some(view.epoch.num);
        view.leader_name().clone_into(&mut self.ring.leader);
        if is_new_leader {
            let took = took.map_or_else(String::new, |took| format!(", {} ms", took.as_millis()));
            self.announce(&format!("{} leads now (epoch {}{took})", view.leader_name(), view.epoch.num));
        }
        self.ask_for_people();
    }

    fn merged(&mut self) {
        for place in &mut self.places {
            place.timeline.rejoined(self.rejoined);
        }
        self.ask_for_people();
    }

    fn told(&mut self, notice: &Notice) {
        match notice {
            Notice::Home { server, .. } => {
                self.arrived(server);
                self.ask_for_people();
            }
            Notice::ReadOnly { server } => {
                self.arrived(server);
                self.ring.epoch = None;
                self.ring.waiting = Some(notice.to_string());
            }
            Notice::Gone { .. } => {
                self.ring.is_lost = true;
                self.moving.clear();
                self.announce(&notice.to_string());
            }
            Notice::Moved { to, .. } => {
                self.arrived(to);
                self.moved(&notice.to_string());
                self.ask_for_people();
            }
            Notice::Refused { why: Refusal::NickTaken(free), .. } => {
                if std::mem::take(&mut self.is_renaming) {
                    self.note(format!("that nick is someone else's; {free} is free: /nick {free}"));
                } else {
                    // Two sides of a cut met, or there was no server at the start to say so: to insist would be refused for ever.
                    self.note(format!(
                        "{} is someone else's, who had it first; {free} is free and yours",
                        self.person.nick
                    ));
                    self.rename(free);
                }
            }
            Notice::Refused { .. } | Notice::Elsewhere { .. } | Notice::OtherVersion { .. } => {
                if self.ring.home.is_none() || self.ring.is_lost {
                    self.flash = Some(notice.to_string());
                }
            }
            Notice::NotAsked { .. } => {}
            Notice::Waiting(waiting) => self.ring.waiting = Some(waiting.to_string()),
        }
    }

    fn arrived(&mut self, server: &str) {
        self.ring.home = Some(server.to_owned());
        self.ring.is_lost = false;
        self.ring.waiting = None;
    }

    /// The line that told that the server is gone tells now where one is and that nothing was lost.
    fn moved(&mut self, text: &str) {
        let now_ms = self.now_ms;
        for (at, number) in std::mem::take(&mut self.moving) {
            let Some(place) = self.place_mut(&at) else { continue };
            let gone = place.timeline.note_text(number).map(str::to_owned);
            match gone {
                Some(gone) => _ = place.timeline.reword(number, &format!("{gone} {text}")),
                None => _ = place.timeline.note(text.to_owned(), Tone::Bold, now_ms),
            }
        }
    }

    /// What concerns everyone is told in every place.
    fn announce(&mut self, text: &str) {
        let now_ms = self.now_ms;
        let tell = |place: &mut Place| {
            let number = place.timeline.note(text.to_owned(), Tone::Bold, now_ms)?;
            Some((place.at.clone(), number))
        };
        let told: Vec<_> = self.places.iter_mut().filter_map(tell).collect();
        if self.ring.is_lost && self.moving.is_empty() {
            self.moving = told;
        }
    }

    /// Who is in the rooms may have changed without a word.
    fn ask_for_people(&mut self) {
        let is_asked = |room: &String, model: &Self| {
            model.asked.values().any(|asked| matches!(asked, Asked::People(other) if other == room))
        };
        let is_room = |place: &&Place| matches!(place.at, Where::Room(_));
        let rooms: Vec<String> = self.places.iter().filter(is_room).map(|place| place.name.clone()).collect();
        for room in rooms {
            if !is_asked(&room, self) {
                self.ask(Query::Who(Some(room.clone())), Asked::People(room));
            }
        }
    }
}
