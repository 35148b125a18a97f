//! `tail`: follows rooms without writing.

use crate::cli::Run;
use crate::cli::args;
use crate::cli::client::Kind as ClientKind;
use crate::cli::contact::{Contact, Next};
use crate::cli::failure::Failure;
use crate::cli::message::{Live, Told};
use crate::cli::output::{Output, Style, to_json};
use crate::cli::page::Pages;
use crate::cli::seats::Seats;
use crate::cli::shown::{counted, shown};
use crate::cli::signals::Interrupt;
use crate::cli::times::{clock, now_ms, rfc3339, time_of_day};
use crate::cli::values::Name;
use crate::client::{Event, Message};
use crate::ids::{ClientId, MessageId};
use crate::record::{Kind, View};
pub(crate) use crate::web::document::view as view_document;
use crate::wire::session::{Answer, HistoryQuery, Query};
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

/// Runs the command.
pub(super) fn run(args: &args::Tail, run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut contact = Contact::start(run, &interrupt, &ClientKind::default().following())?;
    let mut tail = Tail {
        rooms: &args.rooms,
        seats: Seats::new(&args.rooms),
        left: args.count,
        late: args.late,
        output: &run.output,
        reader: contact.id(),
        shown_before: HashSet::new(),
        leader: None,
    };
    tail.begin(u64::from(args.last), &mut contact)?;
    tail.follow(&mut contact)
}

struct Tail<'a> {
    rooms: &'a [Name],
    seats: Seats,
    /// How many messages to show yet; `None` means no end.
    left: Option<u64>,
    late: bool,
    output: &'a Output,
    reader: ClientId,
    /// What `--last` showed: the feed may bring it again.
    shown_before: HashSet<MessageId>,
    leader: Option<crate::ids::Pid>,
}

impl Tail<'_> {
    /// Waits for a server, then shows what was said last.
    fn begin(&mut self, last: u64, contact: &mut Contact) -> Result<(), Failure> {
        let within = HistoryQuery {
            rooms: self.rooms.iter().map(|room| room.as_str().to_owned()).collect(),
            reader: Some(self.reader),
            ..HistoryQuery::default()
        };
        if let Answer::Who(people) = contact.ask(Query::Who(None))? {
            self.seats.fill(&people);
        }
        // One message is asked for even when none is wanted: an answer tells that somebody is there.
        let live = if self.output.json && last > 0 { Some(contact.settled()?) } else { None };
        let (rows, _) = Pages { contact, words: None, within }.last(last.max(1))?;
        for (record, leader) in rows.iter().filter(|_| last > 0) {
            self.shown_before.insert(record.message.id);
            self.show(&Told { record, leader, live })?;
        }
        Ok(())
    }

    fn follow(&mut self, contact: &mut Contact) -> Result<(), Failure> {
        let far = std::time::Duration::from_hours(1);
        while self.left != Some(0) {
            match contact.next(Some(clock() + far))? {
                Next::Event(event) => self.take(&event)?,
                Next::TimeLimit => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::Message(message) => self.message(message),
            Event::View { view, reason, took } => self.view(view, reason, *took),
            Event::Merged { messages, from_ms, until_ms } => merged(*messages, *from_ms, *until_ms, self.output),
            Event::Progress { .. } | Event::Answer { .. } | Event::Notice(_) | Event::Cursor { .. } => Ok(()),
        }
    }

    fn message(&mut self, message: &Message) -> Result<(), Failure> {
        let record = &message.record;
        let left = if message.late { BTreeSet::new() } else { self.seats.heard(&record.message) };
        for room in left {
            let mut left = record.clone();
            (left.message.room, left.message.kind) = (room, Kind::Leave);
            if left.message.nick.is_empty() {
                let is_gone = if let Kind::Gone { client } = record.message.kind { Some(client) } else { None };
                left.message.nick = is_gone.unwrap_or(record.message.id.client).to_string();
            }
            self.notice(&Told { record: &left, leader: &message.leader, live: None })?;
        }
        let is_wanted = self.seats.has(&record.message.room);
        if !is_wanted || (message.late && !self.late) || self.shown_before.remove(&record.message.id) {
            return Ok(());
        }
        let live = Some(Live { copies: message.copies, of: message.of, late: message.late });
        let told = Told { record, leader: &message.leader, live };
        if told.is_from_a_person() { self.show(&told) } else { self.notice(&told) }
    }

    fn show(&mut self, told: &Told) -> Result<(), Failure> {
        if self.left == Some(0) {
            return Ok(());
        }
        let text = match told.live {
            _ if self.output.json => told.json(),
            Some(Live { late: true, .. }) => {
                let line = told.live_line(Some(self.reader), self.output);
                format!("{line} {}", self.output.paint(Style::Dim, "(late)"))
            }
            _ => told.live_line(Some(self.reader), self.output),
        };
        self.output.line(&text)?;
        self.left = self.left.map(|left| left - 1);
        Ok(())
    }

    /// Joins and leaves; they don't count as messages.
    fn notice(&self, told: &Told) -> Result<(), Failure> {
        let message = &told.record.message;
        // One who moved tells where it is now: nobody came or went.
        let is_news = message.kind != Kind::Nick || !message.body.is_empty();
        if !self.output.json {
            return if is_news { self.output.line(&told.live_line(Some(self.reader), self.output)) } else { Ok(()) };
        }
        match message.kind {
            Kind::Join | Kind::Leave => {
                let event = if message.kind == Kind::Join { "joined" } else { "left" };
                self.output.line(&to_json(&json!({ "event": event, "room": message.room, "nick": message.nick })))
            }
            _ => Ok(()),
        }
    }

    fn view(&mut self, view: &View, reason: &str, took: Option<Duration>) -> Result<(), Failure> {
        let is_new_leader = self.leader.replace(view.epoch.leader) != Some(view.epoch.leader);
        if self.output.json {
            return self.output.document(&view_document(view, reason));
        }
        if is_new_leader { self.output.line(&leads_line(view, took, self.output)) } else { Ok(()) }
    }
}

/// `14:04:12 -- oak leads now (epoch 13, 380 ms)`: how long there was no leader, where one is gone.
pub(crate) fn leads_line(view: &View, took: Option<Duration>, output: &Output) -> String {
    let took = took.map_or_else(String::new, |took| format!(", {} ms", took.as_millis()));
    let text = format!("-- {} leads now (epoch {}{took})", shown(view.leader_name()), view.epoch.num);
    format!("{} {text}", output.paint(Style::Dim, &time_of_day(now_ms())))
}

/// Messages from the other side of a healed cut came.
pub(crate) fn merged(messages: u64, from_ms: u64, until_ms: u64, output: &Output) -> Result<(), Failure> {
    if output.json {
        let (from, until) = (rfc3339(from_ms), rfc3339(until_ms));
        return output.document(&json!({ "event": "merged", "messages": messages, "from": from, "until": until }));
    }
    output.line(&merged_line(messages, from_ms, until_ms, output))
}

/// `14:06:00 -- 7 messages from the other side, 12:03:00 to 12:05:00`
pub(crate) fn merged_line(messages: u64, from_ms: u64, until_ms: u64, output: &Output) -> String {
    let count = counted(messages, "message");
    let (from, until) = (time_of_day(from_ms), time_of_day(until_ms));
    let at = output.paint(Style::Dim, &time_of_day(now_ms()));
    format!("{at} -- {count} from the other side, {from} to {until}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EpochId, Pid, ServerId};
    use crate::record::Member;

    #[test]
    fn new_leader_is_told_with_how_long_there_was_none() {
        let leader = Pid { server: ServerId(7), ..Pid::default() };
        let members = vec![Member { pid: leader, name: "oak".into() }];
        let view = View { epoch: EpochId { num: 13, leader }, members, ..View::default() };
        let line = |took| leads_line(&view, took, &Output::default());
        assert!(line(Some(Duration::from_millis(380))).ends_with(" -- oak leads now (epoch 13, 380 ms)"));
        assert!(line(None).ends_with(" -- oak leads now (epoch 13)"));
    }
}
