//! What the chat window knows, without terminal, clock or network: [`Model::handle`] takes what happened and gives back
//! what is to be done.

mod answered;
mod commands;
mod heard;
#[cfg(test)]
pub(crate) mod tests;
mod typed;

use super::completion::Completion;
use super::input_line::InputLine;
use super::layout::{Layout, most_input};
use super::panel::Panel;
use super::place::{Place, Where, manner_of};
use super::row::{Manner, Manuscript, Mark, Saying};
use super::scroll::{NEAR, Scroll, Sheet};
use super::tone::Tone;
use crate::cli::keys::{Chord, Keymap};
use crate::client::{Draft, Event, SubmitError};
use crate::ids::{ClientId, MessageId, Pid};
use crate::record::Kind;
use crate::wire::session::Query;
use std::collections::{BTreeMap, BTreeSet};

/// Columns of the sign before the input.
pub(crate) const PROMPT: &str = "> ";

/// Something happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A key.
    Typed(Chord),
    /// A text that was pasted.
    Pasted(String),
    /// The wheel was turned, towards the past or the present.
    Wheel {
        /// Towards the past.
        back: bool,
    },
    /// The terminal has this size.
    Resized(u16, u16),
    /// The ring.
    Heard(Event),
    /// A message that an effect asked for was made, or not.
    Submitted {
        /// The effect's.
        tag: u64,
        /// Its id.
        outcome: Result<MessageId, SubmitError>,
    },
    /// No server was found in time: why, and what to do.
    Nobody(String),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Make a message; answer with [`Input::Submitted`].
    Submit {
        /// Comes back.
        tag: u64,
        /// The message.
        draft: Draft,
    },
    /// Ask; the answer comes as an event with this tag.
    Ask {
        /// Comes back.
        tag: u64,
        /// What.
        query: Query,
    },
    /// Go by another name.
    Rename(String),
    /// Ring the bell.
    Bell,
    /// Take the mouse, so that its wheel comes here, or give it back.
    Mouse(bool),
    /// Draw everything anew.
    Redraw,
    /// Stop until `fg`.
    Suspend,
    /// End, with so many messages not acknowledged.
    Leave(usize),
    /// End at once.
    Quit,
}

/// Whose window, and how it is to be.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// The client.
    pub(crate) id: ClientId,
    /// Its name.
    pub(crate) nick: String,
    /// Which key does what.
    pub(crate) keymap: Keymap,
    /// Whether a mention rings the bell.
    pub(crate) bell: bool,
    /// How long to wait for acknowledgements at the end, in milliseconds.
    pub(crate) patience_ms: u64,
}

/// What is known of the ring.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ring {
    /// The server one is at, or was.
    pub(crate) home: Option<String>,
    /// Whether it is gone, and no other was found yet.
    pub(crate) is_lost: bool,
    /// What is waited for.
    pub(crate) waiting: Option<String>,
    /// The epoch's number, once there is a view.
    pub(crate) epoch: Option<u64>,
    /// The leader's name.
    pub(crate) leader: String,
    /// Servers in the view.
    pub(crate) members: BTreeSet<Pid>,
}

/// What was asked, and for what.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Asked {
    Page(Where),
    People(String),
    Topics,
    RoomList,
    PeopleList,
    Status,
    Servers,
    Nick { nick: String, text: String },
    Search { words: String },
    OlderHits,
    Letters,
}

/// What a person sees of an own message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sort {
    /// All of it: it was typed.
    Words,
    /// Nothing: a claim on a nick, a join, a leave.
    Claim,
}

/// A message that was given to the client and has no id yet.
#[derive(Debug)]
struct Submitting {
    to: Option<Where>,
    manner: Manner,
    text: String,
    at_ms: u64,
}

/// The state of the window.
#[derive(Debug)]
pub(crate) struct Model {
    person: Person,
    /// Whether another nick was asked for, and nothing was heard of it yet.
    is_renaming: bool,
    places: Vec<Place>,
    here: usize,
    input: InputLine,
    completion: Option<Completion>,
    panel: Option<Panel>,
    ring: Ring,
    /// Servers that the last view brought back.
    rejoined: usize,
    /// The note in each place that tells of the move to another server.
    moving: Vec<(Where, i64)>,
    asked: BTreeMap<u64, Asked>,
    submitting: BTreeMap<u64, Submitting>,
    last_tag: u64,
    /// Own messages of any kind that are not stable.
    unsettled: BTreeMap<MessageId, Sort>,
    known_rooms: BTreeSet<String>,
    size: (u16, u16),
    /// A word to the person, until the next key.
    flash: Option<String>,
    /// Whether the terminal was asked for its mouse.
    has_mouse: bool,
    /// Since when one waits to go.
    leaving: Option<u64>,
    now_ms: u64,
    effects: Vec<Effect>,
}

impl Model {
    /// A window of this size for someone who enters these rooms; then [`Model::begin`].
    pub(crate) fn new(person: Person, size: (u16, u16)) -> Self {
        Self {
            person,
            is_renaming: false,
            places: Vec::new(),
            here: 0,
            input: InputLine::default(),
            completion: None,
            panel: None,
            ring: Ring::default(),
            rejoined: 0,
            moving: Vec::new(),
            asked: BTreeMap::new(),
            submitting: BTreeMap::new(),
            last_tag: 0,
            unsettled: BTreeMap::new(),
            known_rooms: BTreeSet::new(),
            size,
            flash: None,
            has_mouse: false,
            leaving: None,
            now_ms: 0,
            effects: Vec::new(),
        }
    }

    /// Claims the name and enters the rooms.
    pub(crate) fn begin(&mut self, rooms: &[String], now_ms: u64) -> Vec<Effect> {
        self.now_ms = now_ms;
        let nick = self.person.nick.clone();
        self.submit(None, Draft { room: String::new(), kind: Kind::Nick, body: nick });
        for room in rooms {
            self.enter(room);
        }
        self.go_to(0);
        self.ask(Query::Rooms, Asked::Topics);
        self.ask_for_letters();
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// Takes what happened; gives back what is to be done, in order.
    pub(crate) fn handle(&mut self, input: Input, now_ms: u64) -> Vec<Effect> {
        self.now_ms = now_ms;
        match input {
            Input::Typed(chord) => self.typed(chord),
            Input::Pasted(text) => self.pasted(&text),
            Input::Wheel { back } => self.wheel(back),
            Input::Resized(width, height) => self.size = (width, height),
            Input::Heard(event) => self.heard(event),
            Input::Submitted { tag, outcome } => self.submitted(tag, outcome),
            Input::Nobody(why) => self.note(why),
            Input::Tick => {}
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// After everything: what the screen needs is asked for, what one sees is read, and one may go when all is said.
    fn settle(&mut self) {
        self.places.iter_mut().for_each(Place::trim);
        self.fetch();
        let is_read = self.panel.is_none();
        if let Some(place) = self.places.get_mut(self.here) {
            if place.scroll == Scroll::Present {
                place.below = 0;
            }
            if is_read && place.scroll == Scroll::Present {
                (place.unread, place.is_called) = (0, false);
            }
        }
        if let Some(since) = self.leaving {
            let is_said = self.unsettled.is_empty() && self.submitting.is_empty();
            if is_said || self.now_ms.saturating_sub(since) >= self.person.patience_ms {
                self.effects.push(Effect::Leave(self.unsettled.len() + self.submitting.len()));
            }
        }
    }

    /// Asks for the pages that the reader comes near to.
    fn fetch(&mut self) {
        let (me, height) = (self.person.id, usize::from(self.size.1));
        let Some(place) = self.places.get(self.here) else { return };
        let may_ask = (
            !place.has_failed && !place.timeline.begins() && place.asked.0.is_none(),
            !place.has_failed && !place.timeline.is_attached() && place.asked.1.is_none(),
        );
        // Every row has a line: at the present of so many rows the past is far.
        let is_far = place.scroll == Scroll::Present && place.timeline.len() > height + NEAR;
        if may_ask == (false, false) || (is_far && !may_ask.1) {
            return;
        }
        let Some(sheet) = self.sheet() else { return };
        let (near_past, near_present) = sheet.is_near_ends(&sheet.shown(place.scroll));
        let place = &mut self.places[self.here];
        let at = place.at.clone();
        let before = place.timeline.wanted_before().filter(|_| near_past && may_ask.0);
        let after = if near_present && may_ask.1 { place.timeline.wanted_after() } else { None };
        let queries = [before, after].map(|wanted| wanted.map(|wanted| place.query(wanted, me)));
        let mut tags = queries.into_iter().map(|query| Some(self.ask(Query::History(query?), Asked::Page(at.clone()))));
        let (before, after) = (tags.next().flatten(), tags.next().flatten());
        drop(tags);
        let asked = &mut self.places[self.here].asked;
        *asked = (asked.0.or(before), asked.1.or(after));
    }

    /// Columns and lines of the window.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.size
    }

    /// The conversation one is in, as it is laid out.
    pub(crate) fn sheet(&self) -> Option<Sheet<'_>> {
        let place = self.places.get(self.here)?;
        let body = self.layout().body;
        let how = Manuscript { columns: usize::from(body.width), nick: &self.person.nick, found: place.found };
        Some(Sheet::new(&place.timeline, how, usize::from(body.height)))
    }

    /// Where the parts of the window stand.
    pub(crate) fn layout(&self) -> Layout {
        let (width, height) = self.size;
        let columns = usize::from(width).saturating_sub(PROMPT.len());
        let look = self.input.look(columns, usize::from(most_input(height)));
        Layout::new(self.size, look.lines.len() as u16)
    }

    /// Makes a message; `to` is where it is shown, when it is words.
    fn submit(&mut self, to: Option<Where>, draft: Draft) {
        self.last_tag += 1;
        let (manner, text) = manner_of(&draft.kind, &draft.body).unwrap_or((Manner::Words, &draft.body));
        let submitting = Submitting { to, manner, text: text.to_owned(), at_ms: self.now_ms };
        self.submitting.insert(self.last_tag, submitting);
        self.effects.push(Effect::Submit { tag: self.last_tag, draft });
    }

    fn submitted(&mut self, tag: u64, outcome: Result<MessageId, SubmitError>) {
        let Some(Submitting { to, manner, text, at_ms }) = self.submitting.remove(&tag) else { return };
        match outcome {
            Ok(id) => {
                self.unsettled.insert(id, if to.is_some() { Sort::Words } else { Sort::Claim });
                let nick = self.person.nick.clone();
                let mark = Some(Mark::Queued);
                let saying = Saying { key: None, id, nick, manner, text, mark, late: false };
                if let Some(place) = to.and_then(|at| self.place_mut(&at)) {
                    place.timeline.begin(saying, at_ms);
                }
            }
            Err(why) => {
                if to.is_some() {
                    self.input.begin(&text);
                }
                self.flash = Some(why.to_string());
            }
        }
    }

    fn ask(&mut self, query: Query, asked: Asked) -> u64 {
        self.last_tag += 1;
        self.asked.insert(self.last_tag, asked);
        self.effects.push(Effect::Ask { tag: self.last_tag, query });
        self.last_tag
    }

    fn place_mut(&mut self, at: &Where) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| same_place(&place.at, at))
    }

    fn index_of(&self, at: &Where) -> Option<usize> {
        self.places.iter().position(|place| same_place(&place.at, at))
    }

    /// The window speaks where one is.
    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        let now_ms = self.now_ms;
        let noted =
            self.places.get_mut(self.here).and_then(|place| place.timeline.note(text.clone(), Tone::Plain, now_ms));
        if noted.is_none() {
            self.flash = Some(text);
        }
    }
}

fn same_place(one: &Where, other: &Where) -> bool {
    match (one, other) {
        (Where::Room(one), Where::Room(other)) => crate::name::same(one, other),
        (one, other) => one == other,
    }
}

/// What drawing needs.
impl Model {
    /// The places.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The number of the one the person is in.
    pub(crate) fn here(&self) -> usize {
        self.here
    }

    /// What is typed.
    pub(crate) fn input(&self) -> &InputLine {
        &self.input
    }

    /// The ways to complete it.
    pub(crate) fn completion(&self) -> Option<&Completion> {
        self.completion.as_ref()
    }

    /// The list over the conversation.
    pub(crate) fn panel(&self) -> Option<&Panel> {
        self.panel.as_ref()
    }

    /// The ring.
    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Whose window it is.
    pub(crate) fn person(&self) -> &Person {
        &self.person
    }

    /// A word to the person.
    pub(crate) fn flash(&self) -> Option<&str> {
        self.flash.as_deref()
    }

    /// The person's own words that are not stable.
    pub(crate) fn words_under_way(&self) -> usize {
        self.unsettled.values().filter(|sort| **sort == Sort::Words).count()
    }

    /// Whether the person is on the way out.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }
}
