//! `send`: one message, or each line of stdin, until all are stable.

use crate::cli::Run;
use crate::cli::args;
use crate::cli::client::Kind as ClientKind;
use crate::cli::contact::{Contact, Next, refused};
use crate::cli::failure::{Code, Failure};
use crate::cli::lines::{Lines, NextLine};
use crate::cli::output::{Output, to_json};
use crate::cli::shown::{counted, shown};
use crate::cli::signals::Interrupt;
use crate::cli::times::clock;
use crate::cli::values::Target;
use crate::client::{Draft, Event, Notice, Progress, SubmitError};
use crate::ids::MessageId;
use crate::record::Kind;
use crate::wire::session::{Answer, Query, ServerState, ServerStatus};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// While stdin is quiet, this often the time limit is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the command.
pub(super) fn run(args: &args::Send, run: &Run) -> Result<(), Failure> {
    if !args.text.is_empty() && args.text.iter().all(|text| text.trim().is_empty()) {
        return Err(Failure::new(Code::Usage, "There is no text to send.")
            .hint("Write it behind the room; without any, each line of stdin is a message."));
    }
    let interrupt = Interrupt::install()?;
    let kind = match &args.outbox {
        Some(file) => ClientKind::with_outbox(file),
        None => ClientKind::person(&run.settings),
    };
    let (mut contact, _) = Contact::speak(run, &interrupt, &kind)?;
    if contact.home().is_none() {
        // Nothing is made yet: who tries again says it once.
        return Err(contact.silence());
    }
    let draft = draft(&args.target, &mut contact)?;
    let source = if args.text.is_empty() { Lines::of_stdin()? } else { Lines::one(args.text.join(" ")) };
    let mut sending = Sending::new(draft, &run.output, args.outbox.as_deref());
    let outcome = sending.go(&mut contact, &source);
    let alone = sending.is_on_one_disk().then(|| alone(&mut contact)).flatten();
    let outcome = sending.close(outcome);
    if let Some(alone) = alone {
        run.output.note(&shown(&alone));
    }
    outcome
}

/// On whose disk alone it is, when others should be here. What cannot be found out is not told.
fn alone(contact: &mut Contact) -> Option<String> {
    let Ok(Answer::Status(status)) = contact.ask(Query::Status) else { return None };
    let (missed, here): (Vec<&ServerStatus>, Vec<&ServerStatus>) =
        status.servers.iter().partition(|server| server.state == ServerState::Unreachable);
    let ([only], [missed @ .., last]) = (here.as_slice(), missed.as_slice()) else { return None };
    let missed: Vec<&str> = missed.iter().map(|server| server.name.as_str()).collect();
    let (missed, verb) = match missed.as_slice() {
        [] => (last.name.clone(), "returns"),
        missed => (format!("{} and {}", missed.join(", "), last.name), "return"),
    };
    Some(format!("Stored on {} only (1 of 1 here). It will spread when {missed} {verb}.", only.name))
}

/// Everything of the messages but their text.
fn draft(target: &Target, contact: &mut Contact) -> Result<Draft, Failure> {
    match target {
        Target::Room(room) => Ok(Draft { room: room.as_str().to_owned(), kind: Kind::Text, body: String::new() }),
        Target::Person(nick) => match contact.ask(Query::Nick(nick.as_str().to_owned()))? {
            Answer::Nick(Some(to)) => Ok(Draft { room: String::new(), kind: Kind::Direct { to }, body: String::new() }),
            Answer::Nick(None) => {
                Err(Failure::new(Code::NoSuchNick, format!("Nobody goes by the nick {nick}.")).hint("ringtalk who"))
            }
            other => Err(contact.nonsense(&other)),
        },
    }
}

/// Messages on their way.
struct Sending<'a> {
    draft: Draft,
    output: &'a Output,
    outbox: Option<&'a Path>,
    /// What is not acknowledged yet, and since when.
    pending: BTreeMap<MessageId, Instant>,
    /// A line that found the outbox full.
    held: Option<String>,
    stable: u64,
    /// Messages of earlier runs, kept in the outbox, that became stable meanwhile.
    earlier: u64,
    /// Copies and servers of the last acknowledgement.
    last: Option<(u16, u16)>,
    /// The first message that can never be taken.
    failure: Option<Failure>,
    progress: Instant,
}

impl<'a> Sending<'a> {
    fn new(draft: Draft, output: &'a Output, outbox: Option<&'a Path>) -> Self {
        Self {
            draft,
            output,
            outbox,
            pending: BTreeMap::new(),
            held: None,
            stable: 0,
            earlier: 0,
            last: None,
            failure: None,
            progress: clock(),
        }
    }

    fn go(&mut self, contact: &mut Contact, source: &Lines) -> Result<(), Failure> {
        let mut is_over = false;
        loop {
            while !is_over && self.held.is_none() && self.failure.is_none() {
                match source.try_next()? {
                    NextLine::Line(line) => {
                        self.submit(line, contact);
                        self.catch_up(contact)?;
                    }
                    NextLine::NotYet => break,
                    NextLine::End => is_over = true,
                }
            }
            if let Some(line) = self.held.take() {
                self.submit(line, contact);
            }
            let is_reading = !is_over && self.failure.is_none();
            if !is_reading && self.held.is_none() && self.pending.is_empty() {
                return self.failure.take().map_or(Ok(()), Err);
            }
            if self.pending.is_empty() && self.held.is_none() {
                self.progress = clock();
            }
            self.wait(contact, is_reading)?;
        }
    }

    /// What happened while lines were kept: where a disk takes long for each, and input never ends, nothing else is waited for.
    fn catch_up(&mut self, contact: &mut Contact) -> Result<(), Failure> {
        while let Some(event) = contact.heard()? {
            self.learn(&event, contact)?;
        }
        Ok(())
    }

    fn wait(&mut self, contact: &mut Contact, is_reading: bool) -> Result<(), Failure> {
        let limit = self.progress + contact.timeout();
        let until = if is_reading { limit.min(clock() + LOOK) } else { limit };
        match contact.next(Some(until))? {
            Next::Event(event) => self.learn(&event, contact),
            Next::TimeLimit if clock() < limit => Ok(()),
            Next::TimeLimit if contact.home().is_none() || contact.is_read_only() => Err(contact.silence()),
            // Both may have come at once.
            Next::TimeLimit => match contact.heard()? {
                Some(event) => self.learn(&event, contact),
                None => Err(self.timed_out(contact)),
            },
        }
    }

    fn submit(&mut self, line: String, contact: &Contact) {
        match contact.submit(Draft { body: line.clone(), ..self.draft.clone() }) {
            Ok(id) => {
                self.pending.insert(id, clock());
            }
            Err(SubmitError::Full) => self.held = Some(line),
            Err(why @ SubmitError::TooLong(_)) => {
                self.failure = Some(Failure::new(Code::TooLong, why.to_string()).hint("send it in parts"));
            }
            Err(why @ SubmitError::Closed) => self.failure = Some(Failure::new(Code::Failed, why.to_string())),
        }
    }

    fn learn(&mut self, event: &Event, contact: &Contact) -> Result<(), Failure> {
        match event {
            Event::Progress { id, progress } => self.got_further(*id, progress, contact),
            Event::Notice(Notice::Home { .. } | Notice::Moved { .. }) => {
                self.progress = clock();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn got_further(&mut self, id: MessageId, progress: &Progress, contact: &Contact) -> Result<(), Failure> {
        match progress {
            Progress::Queued => Ok(()),
            Progress::Accepted => {
                self.progress = clock();
                Ok(())
            }
            Progress::Stable { key, copies, of } => {
                self.progress = clock();
                let Some(since) = self.pending.remove(&id) else {
                    self.earlier += u64::from(contact.was_kept(id));
                    return Ok(());
                };
                self.stable += 1;
                self.last = Some((*copies, *of));
                let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                let (id, room, key) = (id.to_string(), &self.draft.room, key.to_string());
                self.tell(&format!(
                    "{{\"event\":\"stable\",\"id\":{},\"room\":{},\"key\":{},\"copies\":{copies},\"of\":{of},\"ms\":{ms}}}",
                    to_json(&id),
                    to_json(room),
                    to_json(&key)
                ))
            }
            Progress::Rejected(why) => {
                self.progress = clock();
                self.pending.remove(&id);
                let failure = refused(contact.home().unwrap_or("the server"), why, "");
                let line = json!({ "event": "rejected", "id": id.to_string(), "code": failure.code.word() });
                self.failure.get_or_insert(failure);
                self.tell(&to_json(&line))
            }
        }
    }

    /// Whether people are to be told that the last of it is on one disk only.
    fn is_on_one_disk(&self) -> bool {
        !self.output.json && self.stable > 0 && self.last.is_some_and(|(_, of)| of == 1)
    }

    /// A line for scripts.
    fn tell(&self, json: &str) -> Result<(), Failure> {
        if self.output.json { self.output.line(json) } else { Ok(()) }
    }

    fn timed_out(&self, contact: &Contact) -> Failure {
        let count = self.pending.len() + usize::from(self.held.is_some());
        let plural = if count == 1 { "message is" } else { "messages are" };
        let span = crate::cli::values::Span(contact.timeout()).words();
        let hint = format!("They are kept: {} sends them again · ringtalk status tells what is wrong", self.again());
        Failure::new(Code::TimedOut, format!("{count} {plural} not acknowledged, {span} after the last progress."))
            .hint(hint)
    }

    /// What sends again what is kept.
    fn again(&self) -> String {
        self.outbox.map_or_else(|| "the next send or chat".to_owned(), |file| format!("--outbox {}", file.display()))
    }

    /// Tells how it ended; what is still pending is told by name.
    fn close(&self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        for (id, since) in &self.pending {
            let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.tell(&format!(
                "{{\"event\":\"pending\",\"id\":{},\"room\":{},\"ms\":{ms}}}",
                to_json(&id.to_string()),
                to_json(&self.draft.room)
            ))?;
        }
        if self.earlier > 0 {
            let plural = if self.earlier == 1 { "message that was" } else { "messages that were" };
            self.output.note(&format!("Also sent: {} {plural} kept from before.", self.earlier));
        }
        if !self.pending.is_empty() && outcome.as_ref().is_err_and(|failure| failure.code == Code::Interrupted) {
            let plural = if self.pending.len() == 1 { "message is" } else { "messages are" };
            self.output.note(&format!("{} {plural} kept: {} sends them again.", self.pending.len(), self.again()));
        }
        if let (false, Some((copies, of))) = (self.output.json || self.stable == 0, self.last) {
            let mark = if of > 1 && copies == of { "✓✓" } else { "✓" };
            let count = counted(self.stable, "message");
            let servers = if of == 1 { "server" } else { "servers" };
            self.output.note(&shown(&format!("{mark} {count} stable on {copies} of {of} {servers}")));
        }
        outcome
    }
}
