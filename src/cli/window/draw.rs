//! Draws the window: no state of its own, and nothing that is not in the model.

use super::layout::{Layout, most_input};
use super::model::{Model, PROMPT};
use super::place::{Place, Where};
use super::row::MARGIN;
use super::text::{Line, Piece, fitted, line_width, safe, width};
use super::tone::Tone;
use crate::cli::keys::Action;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// Draws the window; gives back where the cursor stands.
pub(crate) fn window(model: &Model, color: bool, buffer: &mut Buffer) -> Position {
    let layout = model.layout();
    let mut canvas = Canvas { buffer, color };
    canvas.rooms(model, layout.rooms);
    canvas.header(model, layout.header);
    match model.panel() {
        Some(_) => canvas.panel(model, layout.body),
        None => canvas.conversation(model, layout.body),
    }
    canvas.people(model, layout.people);
    canvas.dividers(&layout);
    canvas.status(model, layout.status);
    canvas.input(model, layout.input)
}

/// A buffer with or without colours.
pub(crate) struct Canvas<'a> {
    pub(crate) buffer: &'a mut Buffer,
    pub(crate) color: bool,
}

impl Canvas<'_> {
    /// Puts pieces at a place, cut at its right end; gives back the column behind them.
    pub(crate) fn put(&mut self, area: Rect, row: u16, column: u16, line: &[Piece]) -> u16 {
        let area = area.intersection(self.buffer.area);
        if row >= area.height {
            return column;
        }
        let mut x = area.x + column.min(area.width);
        for piece in line {
            let room = usize::from(area.right().saturating_sub(x));
            x = self.buffer.set_stringn(x, area.y + row, &piece.text, room, piece.tone.style(self.color)).0;
        }
        x - area.x
    }

    fn put_right(&mut self, area: Rect, row: u16, line: &[Piece]) {
        let column = usize::from(area.width).saturating_sub(line_width(line));
        self.put(area, row, column as u16, line);
    }

    fn rooms(&mut self, model: &Model, area: Rect) {
        if area.width == 0 || area.height == 0 {
            return;
        }
        let columns = usize::from(area.width);
        // As many as fit around the one that is shown.
        let first = (model.here() + 1).saturating_sub(usize::from(area.height));
        let places = model.places().iter().enumerate().skip(first).take(usize::from(area.height));
        for (row, (at, place)) in places.enumerate() {
            let count = unread(place);
            let label_width = columns.saturating_sub(if count.is_empty() { 1 } else { width(&count) + 2 });
            let tone = match (at == model.here(), place.unread > 0) {
                (true, _) => Tone::Reverse,
                (false, true) => Tone::Bold,
                (false, false) => Tone::Plain,
            };
            let label = fitted(&safe(&place.label()), label_width);
            let gap = " ".repeat(label_width.saturating_sub(width(&label)));
            self.put(area, row as u16, 0, &[Piece::new(label + &gap, tone)]);
            let count_tone = if place.is_called { Tone::Mention } else { Tone::Bold };
            self.put_right(area, row as u16, &[Piece::new(count, count_tone)]);
        }
    }

    /// The topic, or where there is no room for the rooms at the left, those.
    fn header(&mut self, model: &Model, area: Rect) {
        let Some(place) = model.places().get(model.here()) else { return };
        let mut line = vec![Piece::new(safe(&place.label()), Tone::Room)];
        if !place.topic.is_empty() {
            line.push(Piece::new(format!("  {}", safe(&place.topic)), Tone::Plain));
        }
        let mut right: Line = Vec::new();
        if model.layout().rooms.width == 0 {
            for (at, other) in model.places().iter().enumerate() {
                if at != model.here() && other.unread > 0 {
                    let tone = if other.is_called { Tone::Mention } else { Tone::Bold };
                    right.push(Piece::new(" ", Tone::Plain));
                    right.push(Piece::new(format!("{} {}", safe(&other.label()), unread(other)), tone));
                }
            }
        }
        if model.layout().people.width == 0 && !place.people.is_empty() {
            right.push(Piece::new(format!("  {} here", place.people.len()), Tone::Dim));
        }
        let room = usize::from(area.width).saturating_sub(line_width(&right) + 1);
        let left = Rect { width: (room as u16).max(area.width / 3).min(area.width), ..area };
        self.put(left, 0, 0, &line);
        let rest = Rect { x: left.right(), width: area.width - left.width, ..area };
        self.put_right(rest, 0, &right);
    }

    fn conversation(&mut self, model: &Model, area: Rect) {
        let Some(sheet) = model.sheet() else {
            self.put(area, 0, 0, &[Piece::new("You are in no room. /join one, /rooms lists them.", Tone::Dim)]);
            return;
        };
        let place = &model.places()[model.here()];
        let shown = sheet.shown(place.scroll);
        if shown.lines.is_empty() {
            let text = match (&model.ring().home, place.timeline.begins()) {
                (None, _) => "Waiting for a server to answer …",
                (Some(_), true) => "Nothing was said here yet. Type, and Enter sends.",
                (Some(_), false) => "",
            };
            self.put(area, 0, 0, &[Piece::new(text, Tone::Dim)]);
        }
        for (row, line) in shown.lines.iter().enumerate() {
            self.put(area, row as u16, 0, &line.pieces);
            if let Some(mark) = &line.mark {
                let column = usize::from(area.width).saturating_sub(MARGIN - 1);
                self.put(area, row as u16, column as u16, std::slice::from_ref(mark));
            }
        }
    }

    fn people(&mut self, model: &Model, area: Rect) {
        let here = model.places().get(model.here()).filter(|place| matches!(place.at, Where::Room(_)));
        let Some(place) = here.filter(|_| area.width > 0 && area.height > 0) else {
            return;
        };
        let mut nicks: Vec<&String> = place.people.values().collect();
        nicks.sort_by_cached_key(|nick| crate::name::fold(nick));
        self.put(area, 0, 0, &[Piece::new(format!("{} here", nicks.len()), Tone::Dim)]);
        let room = usize::from(area.height).saturating_sub(1);
        let listed = if nicks.len() > room { room.saturating_sub(1) } else { nicks.len() };
        for (row, nick) in nicks.iter().take(listed).enumerate() {
            let text = fitted(&safe(nick), usize::from(area.width));
            self.put(area, row as u16 + 1, 0, &[Piece::new(text, Tone::of_nick(nick))]);
        }
        if nicks.len() > listed {
            let text = format!("and {} more", nicks.len() - listed);
            self.put(area, area.height - 1, 0, &[Piece::new(text, Tone::Dim)]);
        }
    }

    fn dividers(&mut self, layout: &Layout) {
        let sides = [
            (layout.rooms.width > 0, layout.rooms.right()),
            (layout.people.width > 0, layout.people.x.saturating_sub(1)),
        ];
        for (_, x) in sides.into_iter().filter(|(is_there, _)| *is_there) {
            for y in 0..layout.rooms.height {
                self.put(Rect::new(x, y, 1, 1), 0, 0, &[Piece::new("│", Tone::Dim)]);
            }
        }
    }

    fn panel(&mut self, model: &Model, area: Rect) {
        let Some(panel) = model.panel().filter(|_| area.height > 0) else { return };
        let keys = &model.person().keymap;
        let does =
            if panel.choice().is_some() { format!("{} takes · ", keys.hint(Action::Send)) } else { String::new() };
        let hint = format!("{does}{} closes", keys.hint(Action::Close));
        let columns = usize::from(area.width);
        let title = fitted(&panel.title, columns.saturating_sub(width(&hint) + 5));
        let rule = "─".repeat(columns.saturating_sub(width(&title) + width(&hint) + 5));
        let head = [
            Piece::new("─ ", Tone::Dim),
            Piece::new(title, Tone::Bold),
            Piece::new(format!(" {rule} {hint}"), Tone::Dim),
        ];
        self.put(area, 0, 0, &head);
        let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
        let (lines, chosen) = panel.lines(columns, usize::from(below.height));
        for (row, mut line) in lines.into_iter().enumerate() {
            if chosen == Some(row) {
                line.push(Piece::new(" ".repeat(columns.saturating_sub(line_width(&line))), Tone::Plain));
                for piece in &mut line {
                    piece.tone = Tone::Reverse;
                }
            }
            self.put(below, row as u16, 0, &line);
        }
    }

    fn status(&mut self, model: &Model, area: Rect) {
        if area.height == 0 {
            return;
        }
        let columns = usize::from(area.width);
        let right = self::right_status(model);
        let left = fitted(&self::left_status(model), columns.saturating_sub(width(&right) + 2));
        let gap = " ".repeat(columns.saturating_sub(width(&left) + width(&right) + 2));
        self.put(area, 0, 0, &[Piece::new(format!(" {left}{gap}{right} "), Tone::Reverse)]);
    }

    fn input(&mut self, model: &Model, area: Rect) -> Position {
        let columns = usize::from(area.width).saturating_sub(PROMPT.len());
        let most = usize::from(most_input(self.buffer.area.height)).min(usize::from(area.height).max(1));
        let look = model.input().look(columns, most);
        let indent = PROMPT.len() as u16;
        self.put(area, 0, 0, &[Piece::new(PROMPT, Tone::Bold)]);
        for (row, line) in look.lines.iter().enumerate() {
            self.put(area, row as u16, indent, &[Piece::new(line.as_str(), Tone::Plain)]);
        }
        let (column, row) = look.cursor;
        Position::new((area.x + indent + column as u16).min(area.right().saturating_sub(1)), area.y + row as u16)
    }
}

fn unread(place: &Place) -> String {
    match place.unread {
        0 => String::new(),
        1..=999 => place.unread.to_string(),
        _ => "999+".to_owned(),
    }
}

fn left_status(model: &Model) -> String {
    if let Some(flash) = model.flash() {
        return safe(flash);
    }
    if let Some(completion) = model.completion() {
        let ways: Vec<String> = completion.ways.iter().map(|way| safe(way.trim_end_matches([' ', ':']))).collect();
        let others = ways.iter().cycle().skip(completion.at).take(ways.len());
        return others.map(String::as_str).collect::<Vec<_>>().join("  ");
    }
    let ring = model.ring();
    if model.is_leaving() {
        return "leaving …".to_owned();
    }
    let home = match (&ring.home, ring.is_lost, &ring.waiting) {
        (Some(home), true, _) => format!("{} is gone: looking for another server …", safe(home)),
        (Some(home), false, None) => format!("at {}", safe(home)),
        (_, _, Some(waiting)) => safe(waiting),
        (None, _, None) => "looking for a server …".to_owned(),
    };
    match ring.epoch {
        Some(epoch) if !ring.is_lost => {
            format!("{home} · epoch {epoch} · {} leads · {} servers", safe(&ring.leader), ring.members.len())
                .replace("· 1 servers", "· 1 server")
        }
        _ => home,
    }
}

fn right_status(model: &Model) -> String {
    let keys = &model.person().keymap;
    let mut parts = Vec::new();
    if model.words_under_way() > 0 {
        parts.push(format!("{} under way", model.words_under_way()));
    }
    if let Some(place) = model.places().get(model.here())
        && place.scroll != super::scroll::Scroll::Present
    {
        let last = keys.hint(Action::Last);
        parts.push(match place.below {
            0 => format!("{last}: present"),
            below => format!("{below} new below ({last})"),
        });
    }
    if parts.is_empty() {
        parts.push(format!("{} help", keys.hint(Action::Help)));
    }
    parts.join(" · ")
}
