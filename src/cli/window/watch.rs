//! `status --watch` on a terminal: the servers, live, on the full screen.

use super::draw::Canvas;
use super::model::Input;
use super::servers;
use super::terminal::Screen;
use super::text::{Piece, line_width, safe};
use super::tone::Tone;
use crate::cli::Run;
use crate::cli::contact::Contact;
use crate::cli::failure::{Code, Failure};
use crate::cli::keys::{Action, Chord, Key, Keymap};
use crate::cli::signals::Interrupt;
use crate::cli::times::{clock, now_ms, time_of_day};
use crate::client::{Command, Event, Notice};
use crate::wire::session::{Answer, Query, Status};
use crossbeam_channel::{after, select};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::time::{Duration, Instant};

/// An answer that is older than this is told to be.
const OLD: Duration = Duration::from_secs(3);

/// What is on the screen.
#[derive(Debug, Default)]
struct Watch {
    status: Option<Status>,
    /// When it came.
    at: Option<(Instant, u64)>,
    /// What became of the session.
    news: String,
}

/// Shows the servers, asked for every so often, until someone presses a key to leave.
pub(crate) fn watch(run: &Run, mut contact: Contact, interrupt: &Interrupt, every: Duration) -> Result<(), Failure> {
    let mut watch = Watch::default();
    if let Answer::Status(status) = contact.ask(Query::Status)? {
        watch.answered(*status);
    }
    for event in contact.take_kept() {
        watch.heard(event);
    }
    let keymap = run.settings.keymap();
    let mut screen = Screen::open(run.output.color)?;
    let mut next = clock() + every;
    loop {
        screen.draw(|buffer| {
            watch.draw(run.output.color, buffer);
            None
        })?;
        select! {
            recv(interrupt.channel()) -> _ => return Err(Failure::interrupted()),
            recv(screen.inputs()) -> input => match input {
                Ok(Ok(Input::Typed(chord))) => match end(&keymap, chord) {
                    Some(end) => return end,
                    None => if keymap.action(chord) == Some(Action::Redraw) { screen.redraw()?; },
                },
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return Err(Failure::silent(Code::Interrupted)),
            },
            recv(contact.events()) -> event => {
                let event = event.map_err(|_| contact.stopped())?;
                contact.take_note(&event);
                watch.heard(event);
            }
            recv(after(next.saturating_duration_since(clock()))) -> _ => {
                contact.command(Command::Forget { tag: contact.last_tag() });
                contact.query(Query::Status);
                next = clock() + every;
                if !screen.is_alive() {
                    return Err(Failure::silent(Code::Interrupted));
                }
            }
        }
    }
}

/// Whether this key ends it, and how.
fn end(keymap: &Keymap, chord: Chord) -> Option<Result<(), Failure>> {
    match (keymap.action(chord), chord.key) {
        (Some(Action::Quit), _) => Some(Err(Failure::interrupted())),
        (Some(Action::Leave | Action::Close), _) | (None, Key::Char('q' | 'Q')) => Some(Ok(())),
        _ => None,
    }
}

impl Watch {
    fn heard(&mut self, event: Event) {
        match event {
            Event::Answer { answer: Answer::Status(status), .. } => self.answered(*status),
            Event::Notice(
                notice @ (Notice::Gone { .. } | Notice::Moved { .. } | Notice::ReadOnly { .. } | Notice::Waiting(_)),
            ) => self.news = notice.to_string(),
            _ => {}
        }
    }

    fn answered(&mut self, status: Status) {
        self.status = Some(status);
        self.at = Some((clock(), now_ms()));
    }

    fn draw(&self, color: bool, buffer: &mut Buffer) {
        let area = buffer.area;
        let mut canvas = Canvas { buffer, color };
        let Some(status) = &self.status else { return };
        let mut row = 0;
        for line in super::text::wrap(&servers::summary(status), usize::from(area.width)) {
            canvas.put(area, row, 0, &line);
            row += 1;
        }
        let wide = servers::lines(status, true);
        let is_wide =
            wide.iter().take(status.servers.len() + 1).all(|line| line_width(line) <= usize::from(area.width) + 2);
        let lines = if is_wide { wide } else { servers::lines(status, false) };
        for line in lines {
            row += 1;
            canvas.put(area, row, 0, &line);
        }
        self.foot(&mut canvas, area);
    }

    fn foot(&self, canvas: &mut Canvas, area: Rect) {
        let Some((came, at_ms)) = self.at.filter(|_| area.height > 0) else { return };
        let age = if came.elapsed() > OLD { format!(" ({} s ago)", came.elapsed().as_secs()) } else { String::new() };
        let text = format!(" as of {}{age} · q leaves · {}", time_of_day(at_ms), safe(&self.news));
        let columns = usize::from(area.width);
        let text = super::text::fitted(text.trim_end_matches([' ', '·']), columns);
        let gap = " ".repeat(columns.saturating_sub(super::text::width(&text)));
        canvas.put(area, area.height - 1, 0, &[Piece::new(text + &gap, Tone::Reverse)]);
    }
}
