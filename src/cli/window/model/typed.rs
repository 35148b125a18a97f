//! What the keys do.

use super::{Asked, Effect, Model};
use crate::cli::keys::{Action, Chord};
use crate::cli::said::Said;
use crate::cli::window::completion::{Completion, Vocabulary};
use crate::cli::window::panel::Choice;
use crate::cli::window::place::{Where, saying};
use crate::cli::window::scroll::Scroll;
use crate::record::{MAX_BODY_BYTES, Record};

/// Lines for a notch of the wheel.
const WHEEL_LINES: usize = 3;

impl Model {
    pub(super) fn typed(&mut self, chord: Chord) {
        self.flash = None;
        if let Some(place) = self.places.get_mut(self.here) {
            place.has_failed = false;
            place.owed = 0;
        }
        let action = self.person.keymap.action(chord);
        if !matches!(action, Some(Action::Complete | Action::CompleteBack)) {
            self.completion = None;
        }
        match (action, chord.typed()) {
            (Some(action), _) => self.act(action),
            (None, Some(c)) => self.insert(c.encode_utf8(&mut [0; 4])),
            (None, None) => {}
        }
    }

    /// A paste of several lines is one message, until it is sent.
    pub(super) fn pasted(&mut self, text: &str) {
        self.flash = None;
        self.completion = None;
        self.insert(&text.replace("\r\n", "\n").replace('\r', "\n"));
    }

    fn insert(&mut self, text: &str) {
        if !self.input.insert(text) {
            self.flash = Some("That is far too long; the limit is 64 KiB.".to_owned());
        } else if self.input.text().len() > MAX_BODY_BYTES {
            self.flash = Some(too_long(self.input.text().len()));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send => self.send(),
            Action::Newline => self.insert("\n"),
            Action::Complete => self.complete(true),
            Action::CompleteBack => self.complete(false),
            Action::Earlier => self.up(),
            Action::Later => self.down(),
            Action::PageUp => self.page(true),
            Action::PageDown => self.page(false),
            Action::LineUp => self.scroll(1, true),
            Action::LineDown => self.scroll(1, false),
            Action::First => self.first(),
            Action::Last => self.last(),
            Action::Search => self.input.begin("/search "),
            Action::NextRoom => self.go_round(1),
            Action::PreviousRoom => self.go_round(self.places.len().saturating_sub(1)),
            Action::Unread => self.go_to_unread(),
            Action::Left => self.input.left(),
            Action::Right => self.input.right(),
            Action::WordLeft => self.input.word_left(),
            Action::WordRight => self.input.word_right(),
            Action::LineStart => self.input.line_start(),
            Action::LineEnd => self.input.line_end(),
            Action::Backspace => self.input.backspace(),
            Action::DeleteWord => self.input.delete_word(),
            Action::DeleteAll => self.input.delete_all(),
            Action::Close => self.close(),
            Action::Help => self.help(),
            Action::Mouse => self.take_or_give_the_mouse(),
            Action::Redraw => self.effects.push(Effect::Redraw),
            Action::Suspend => self.effects.push(Effect::Suspend),
            Action::Leave if self.input.is_empty() => self.leave_all(),
            Action::Delete | Action::Leave => self.input.delete(),
            Action::Quit => self.effects.push(Effect::Quit),
        }
    }

    /// A terminal that gives its mouse away selects no text by itself (most do while Shift is held): it is for the asking.
    fn take_or_give_the_mouse(&mut self) {
        self.has_mouse = !self.has_mouse;
        self.effects.push(Effect::Mouse(self.has_mouse));
        let words = if self.has_mouse {
            "The wheel scrolls. Shift selects text, or the same key again."
        } else {
            "The mouse selects text again."
        };
        self.flash = Some(words.to_owned());
    }

    /// A notch of the wheel: some lines, or one line of a list.
    pub(super) fn wheel(&mut self, back: bool) {
        match (self.panel.is_some(), back) {
            (true, true) => self.up(),
            (true, false) => self.down(),
            (false, back) => self.scroll(WHEEL_LINES, back),
        }
    }

    fn send(&mut self) {
        if self.input.is_empty() {
            return self.choose();
        }
        if self.input.text().len() > MAX_BODY_BYTES {
            self.flash = Some(too_long(self.input.text().len()));
            return;
        }
        self.panel = None;
        let text = self.input.take();
        self.said(Said::parse(&text));
    }

    fn choose(&mut self) {
        let Some(choice) = self.panel.as_ref().and_then(|panel| panel.choice().cloned()) else { return };
        self.panel = None;
        match choice {
            Choice::Message(record) => self.jump(&record),
            Choice::Room(room) => self.enter(&room),
            Choice::Person(client, nick) => self.talk_to(client, &nick),
        }
    }

    /// Goes to a message of the past, and what surrounds it.
    fn jump(&mut self, record: &Record) {
        let me = self.person.id;
        let at = match record.message.partner(me) {
            Some(client) => Where::Person(client),
            None => Where::Room(record.message.room.clone()),
        };
        match at {
            Where::Room(room) => self.enter(&room),
            Where::Person(client) => self.talk_to(client, &record.message.nick),
        }
        let (here, at_ms) = (self.here, record.key.hlc.wall_ms());
        let Some(saying) = saying(record, me, self.settled(), false) else { return };
        let place = &mut self.places[here];
        place.found = Some(saying.id);
        let number = place.timeline.jump(saying, at_ms);
        place.asked = (None, None);
        place.scroll = Scroll::Middle(number);
    }

    fn complete(&mut self, forward: bool) {
        if let Some(completion) = &mut self.completion {
            completion.turn(forward);
        } else {
            let here = self.places.get(self.here);
            let mut rooms: Vec<String> = self
                .places
                .iter()
                .filter(|place| matches!(place.at, Where::Room(_)))
                .map(|place| place.name.clone())
                .collect();
            let others = self.known_rooms.iter().filter(|room| !rooms.iter().any(|own| crate::name::same(own, room)));
            let others: Vec<String> = others.cloned().collect();
            rooms.extend(others);
            let mut nicks: Vec<String> = here.iter().flat_map(|place| place.people.values().cloned()).collect();
            nicks.extend(self.places.iter().flat_map(|place| place.people.values().cloned()));
            let mut seen = std::collections::HashSet::new();
            nicks.retain(|nick| *nick != self.person.nick && seen.insert(nick.clone()));
            let words = Vocabulary { rooms: &rooms, nicks: &nicks };
            self.completion = Completion::begin(self.input.text(), self.input.cursor(), words);
        }
        if let Some(completion) = &self.completion {
            self.input.replace(completion.start, completion.way());
            if completion.ways.len() == 1 {
                self.completion = None;
            }
        }
    }

    fn up(&mut self) {
        if self.panel.is_some() {
            self.go_in_list(-1);
        } else if !self.input.up() {
            self.input.earlier();
        }
    }

    fn down(&mut self) {
        if self.panel.is_some() {
            self.go_in_list(1);
        } else if !self.input.down() {
            self.input.later();
        }
    }

    fn page(&mut self, earlier: bool) {
        let height = usize::from(self.layout().body.height).saturating_sub(1).max(1);
        if self.panel.is_some() {
            let by = height as isize;
            return self.go_in_list(if earlier { -by } else { by });
        }
        self.scroll(height.saturating_sub(1).max(1), earlier);
    }

    pub(super) fn scroll(&mut self, lines: usize, earlier: bool) {
        let Some(sheet) = self.sheet() else { return };
        let place = &self.places[self.here];
        let (scroll, left) =
            if earlier { sheet.earlier(place.scroll, lines) } else { (sheet.later(place.scroll, lines), 0) };
        let place = &mut self.places[self.here];
        place.scroll = scroll;
        place.owed = if place.timeline.begins() { 0 } else { left };
    }

    fn go_in_list(&mut self, by: isize) {
        let Some(panel) = &mut self.panel else { return };
        panel.go(by);
        let is_asked = self.asked.values().any(|asked| *asked == Asked::OlderHits);
        let search = panel.search.as_ref().filter(|search| search.more && !is_asked && panel.is_at_top());
        if let Some(words) = search.map(|search| search.words.clone())
            && let Some(first) = panel.first_hit().map(|record| record.key)
        {
            self.search(&words, Some(first));
        }
    }

    fn first(&mut self) {
        if let Some(panel) = &mut self.panel {
            return panel.go_to_end(false);
        }
        let Some(place) = self.places.get_mut(self.here) else { return };
        if !place.timeline.begins() {
            place.timeline.go_to_the_beginning();
            place.asked = (None, None);
        }
        place.scroll = Scroll::Top { number: i64::MIN, line: 0 };
    }

    fn last(&mut self) {
        if let Some(panel) = &mut self.panel {
            return panel.go_to_end(true);
        }
        if let Some(place) = self.places.get_mut(self.here) {
            place.return_to_the_present();
        }
    }

    fn close(&mut self) {
        if self.panel.take().is_none()
            && let Some(place) = self.places.get_mut(self.here)
        {
            place.return_to_the_present();
        }
    }

    fn go_round(&mut self, steps: usize) {
        if !self.places.is_empty() {
            self.go_to((self.here + steps) % self.places.len());
        }
    }

    fn go_to_unread(&mut self) {
        let count = self.places.len();
        let round = |step: usize| (self.here + step) % count;
        let is_called = |at: &usize| self.places[*at].is_called;
        let is_unread = |at: &usize| self.places[*at].unread > 0;
        let next = (1..count).map(round).find(is_called).or_else(|| (1..count).map(round).find(is_unread));
        match next {
            Some(at) => self.go_to(at),
            None => self.flash = Some("nothing is unread elsewhere".to_owned()),
        }
    }

    pub(super) fn go_to(&mut self, at: usize) {
        self.panel = None;
        if at < self.places.len() {
            self.here = at;
        }
    }
}

fn too_long(bytes: usize) -> String {
    format!("That is {} KiB; the limit is 64 KiB.", bytes.div_ceil(1024))
}
