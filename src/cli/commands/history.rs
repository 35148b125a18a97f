//! `history` and `search`: what was said, in the one order that all servers agree on.

use crate::cli::Run;
use crate::cli::args;
use crate::cli::client::own_id;
use crate::cli::contact::Contact;
use crate::cli::failure::Failure;
use crate::cli::message::{Live, Told};
use crate::cli::page::{Pages, Part, Row};
use crate::cli::signals::Interrupt;
use crate::cli::times::moment;
use crate::cli::values::Name;
use crate::ids::ClientId;
use crate::wire::session::{Answer, HistoryQuery, Query};
use jiff::Zoned;

/// How many messages are shown when nobody said how many.
const USUAL: u64 = 100;

/// Runs `history`.
pub(super) fn history(args: &args::History, run: &Run) -> Result<(), Failure> {
    let now = Zoned::now();
    let within = HistoryQuery {
        rooms: texts(&args.rooms),
        from: args.from.as_ref().map(|nick| nick.as_str().to_owned()),
        since_ms: args.since.as_deref().map(|text| moment(text, &now)).transpose()?,
        until_ms: args.until.as_deref().map(|text| moment(text, &now)).transpose()?,
        events: args.events,
        ..HistoryQuery::default()
    };
    let part = if args.all { Part::All } else { Part::Last(args.last.unwrap_or(USUAL)) };
    let more = show(None, within, part, run)?;
    if more && args.last.is_none() {
        run.output.note(&format!("the last {USUAL}; --last N for more, --all for everything"));
    }
    Ok(())
}

/// Runs `search`.
pub(super) fn search(args: &args::Search, run: &Run) -> Result<(), Failure> {
    let now = Zoned::now();
    let within = HistoryQuery {
        rooms: texts(&args.room),
        from: args.from.as_ref().map(|nick| nick.as_str().to_owned()),
        since_ms: args.since.as_deref().map(|text| moment(text, &now)).transpose()?,
        until_ms: args.until.as_deref().map(|text| moment(text, &now)).transpose()?,
        ..HistoryQuery::default()
    };
    let part = Part::Last(args.last.unwrap_or(USUAL));
    let more = show(Some(args.words.join(" ")), within, part, run)?;
    if more && args.last.is_none() {
        run.output.note(&format!("the last {USUAL}; --last N for more"));
    }
    Ok(())
}

/// Prints what matches, or that nothing does; tells whether there is more before it.
fn show(words: Option<String>, within: HistoryQuery, part: Part, run: &Run) -> Result<bool, Failure> {
    let nothing = if words.is_some() { "nothing found" } else { "no messages" };
    let interrupt = Interrupt::install()?;
    let mut contact = Contact::open(run, &interrupt)?;
    let reader = own_id(&run.settings).unwrap_or(contact.id());
    let within = HistoryQuery { reader: Some(reader), ..within };
    // History is the same on every server; what is found also tells how it is kept now.
    let live = if run.output.json && words.is_some() { Some(contact.settled()?) } else { None };
    tell_backlog(&mut contact, run)?;
    let mut is_empty = true;
    let more = Pages { contact: &mut contact, words, within }.read(part, |row| {
        is_empty = false;
        line(row, live, reader, run)
    })?;
    if is_empty && !run.output.json {
        run.output.note(nothing);
    }
    Ok(more)
}

/// A part of history is never passed off as the whole. Asked before, since the index may come to its end meanwhile.
fn tell_backlog(contact: &mut Contact, run: &Run) -> Result<(), Failure> {
    let Answer::Status(status) = contact.ask(Query::Status)? else { return Ok(()) };
    let (indexed, messages) = (status.indexed, status.messages);
    if indexed < messages {
        run.output
            .note(&format!("not whole: the server is indexing its history, {indexed} of {messages} messages so far"));
    }
    Ok(())
}

fn line((record, leader): &Row, live: Option<Live>, reader: ClientId, run: &Run) -> Result<(), Failure> {
    let told = Told { record, leader, live };
    let text = if run.output.json { told.json() } else { told.dated_line(Some(reader), &run.output) };
    run.output.line(&text)
}

fn texts(names: &[Name]) -> Vec<String> {
    names.iter().map(|name| name.as_str().to_owned()).collect()
}
