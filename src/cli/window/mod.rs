//! The chat window: full screen, on a terminal.
//!
//! `model` holds the state and decides, without terminal, clock or network; `draw` shows it; this file is the loop
//! between the two, the terminal and the ring.

mod completion;
mod draw;
mod input_line;
mod layout;
mod model;
mod panel;
mod place;
mod row;
mod scroll;
mod servers;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod tone;
mod watch;

pub(crate) use terminal::{give_back, is_there};
pub(crate) use watch::watch;

use super::Run;
use super::contact::Contact;
use super::failure::{Code, Failure};
use super::signals::Interrupt;
use super::times::{clock, now_ms};
use super::values::Name;
use crate::client::{Command, Event};
use crossbeam_channel::{after, select};
use model::{Effect, Input, Model, Person};
use std::collections::VecDeque;
use std::time::Duration;
use terminal::Screen;

/// How often the clock is looked at when nothing happens.
const TICK: Duration = Duration::from_millis(500);
/// Most events that are taken before the screen is drawn again.
const MOST_AT_ONCE: usize = 1000;

/// Runs the chat window until its person leaves.
pub(crate) fn chat(
    run: &Run,
    contact: Contact,
    interrupt: Interrupt,
    nick: &Name,
    rooms: &[String],
) -> Result<(), Failure> {
    let person = Person {
        id: contact.id(),
        nick: nick.as_str().to_owned(),
        keymap: run.settings.keymap(),
        bell: run.settings.bell.value,
        patience_ms: contact.timeout().as_millis() as u64,
    };
    let screen = Screen::open(run.output.color)?;
    let model = Model::new(person, screen.size());
    let flags = run.settings.net_flags();
    let mut window = Window { contact, interrupt, screen, model, color: run.output.color, flags, end: None };
    let outcome = window.run(rooms);
    if window.model.is_leaving() {
        window.contact.close();
    } else {
        window.contact.leave();
    }
    drop(window.screen);
    outcome
}

/// The window and what it is connected to.
struct Window {
    contact: Contact,
    interrupt: Interrupt,
    screen: Screen,
    model: Model,
    color: bool,
    /// What a command needs to be on this net.
    flags: String,
    end: Option<Result<(), Failure>>,
}

impl Window {
    fn run(&mut self, rooms: &[String]) -> Result<(), Failure> {
        let effects = self.model.begin(rooms, now_ms());
        self.perform(effects)?;
        for event in self.contact.take_kept() {
            self.happened(Input::Heard(event))?;
        }
        if self.contact.home().is_none() {
            let Failure { message, hint, .. } = self.contact.silence().on_net(&self.flags);
            self.happened(Input::Nobody(format!("{message} {hint} · Still looking …")))?;
        }
        let mut checked = clock();
        loop {
            self.draw()?;
            self.wait()?;
            if let Some(end) = self.end.take() {
                return end;
            }
            if checked.elapsed() >= TICK {
                checked = clock();
                if !self.screen.is_alive() {
                    return Err(Failure::silent(Code::Interrupted));
                }
                self.follow_size()?;
            }
        }
    }

    /// The word of a new size may be lost when a key comes at the same moment.
    fn follow_size(&mut self) -> Result<(), Failure> {
        let (width, height) = self.screen.size();
        if self.model.size() == (width, height) {
            return Ok(());
        }
        self.happened(Input::Resized(width, height))
    }

    fn draw(&mut self) -> Result<(), Failure> {
        let (model, color) = (&self.model, self.color);
        self.screen.draw(|buffer| Some(draw::window(model, color, buffer)))
    }

    /// Waits for something to happen, and takes everything else that is here already.
    fn wait(&mut self) -> Result<(), Failure> {
        let input = select! {
            recv(self.interrupt.channel()) -> _ => return Err(Failure::interrupted()),
            recv(self.screen.inputs()) -> input => typed(input)?,
            recv(self.contact.events()) -> event => Input::Heard(event.map_err(|_| self.contact.stopped())?),
            recv(after(TICK)) -> _ => Input::Tick,
        };
        self.happened(input)?;
        for _ in 0..MOST_AT_ONCE {
            if self.end.is_some() {
                return Ok(());
            }
            // What was typed goes before what came.
            let input = match (self.screen.inputs().try_recv(), self.interrupt.is_set()) {
                (_, true) => return Err(Failure::interrupted()),
                (Ok(input), false) => typed(Ok(input))?,
                (Err(_), false) => match self.contact.events().try_recv() {
                    Ok(event) => Input::Heard(event),
                    Err(_) => return Ok(()),
                },
            };
            self.happened(input)?;
        }
        Ok(())
    }

    fn happened(&mut self, input: Input) -> Result<(), Failure> {
        if let Input::Heard(event) = &input {
            self.contact.take_note(event);
            if let Event::Notice(notice) = event {
                log::info!("{notice}");
            }
        }
        let effects = self.model.handle(input, now_ms());
        self.perform(effects)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> Result<(), Failure> {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Submit { tag, draft } => {
                    let outcome = self.contact.submit(draft);
                    effects.extend(self.model.handle(Input::Submitted { tag, outcome }, now_ms()));
                }
                Effect::Ask { tag, query } => self.contact.command(Command::Query { tag, query }),
                Effect::Rename(nick) => self.contact.command(Command::Nick(nick)),
                Effect::Bell => self.screen.bell(),
                Effect::Mouse(wanted) => self.screen.mouse(wanted)?,
                Effect::Redraw => self.screen.redraw()?,
                Effect::Suspend => {
                    self.screen.suspend()?;
                    let (width, height) = self.screen.size();
                    effects.extend(self.model.handle(Input::Resized(width, height), now_ms()));
                }
                Effect::Leave(0) => self.end = Some(Ok(())),
                Effect::Leave(count) => self.end = Some(Err(self.unacknowledged(count))),
                Effect::Quit => return Err(Failure::interrupted()),
            }
        }
        Ok(())
    }

    fn unacknowledged(&self, count: usize) -> Failure {
        if self.contact.home().is_none() || self.contact.is_read_only() {
            return self.contact.silence();
        }
        let text = if count == 1 { "1 message is".to_owned() } else { format!("{count} messages are") };
        Failure::new(Code::TimedOut, format!("{text} not acknowledged."))
            .hint("They are kept: the next chat sends them again.")
    }
}

/// What came from the terminal; that it is gone ends the program without a word.
fn typed(input: Result<std::io::Result<Input>, crossbeam_channel::RecvError>) -> Result<Input, Failure> {
    match input {
        Ok(Ok(input)) => Ok(input),
        Ok(Err(_)) | Err(_) => Err(Failure::silent(Code::Interrupted)),
    }
}
