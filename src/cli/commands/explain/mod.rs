//! `explain`: the life of one message, from the records of all servers that answer.

mod life;
mod text;

use crate::cli::Run;
use crate::cli::args;
use crate::cli::contact::Contact;
use crate::cli::failure::{Code, Failure};
use crate::cli::records::{Records, ServerRecord, collect};
use crate::cli::signals::Interrupt;
use crate::cli::times::rfc3339;
use crate::ids::MessageId;
use crate::record::Record;
use crate::web::trace;
use crate::wire::session::{Answer, Query};
use life::{Life, Moment};
use serde_json::{Value, json};

/// Where history has a message: its record without the words, and who led.
type Place = (Record, String);

/// Runs the command.
pub(super) fn run(args: &args::Explain, run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut contact = Contact::open(run, &interrupt)?;
    let place = place(&mut contact, args.id)?;
    let records = collect(&mut contact, run, &interrupt)?;
    let known = place.as_ref().map(|(record, _)| (record.key.epoch.num, record.key.gsn));
    let life = Life::of(args.id, &records, known);
    if place.is_none() && life.moments.is_empty() {
        let text = format!("No server here knows a message {}.", args.id);
        return Err(Failure::new(Code::NoSuchMessage, text).hint("history --json and send --json print ids"));
    }
    if run.output.json {
        return run.output.document(&document(args.id, place.as_ref(), &records, &life));
    }
    let lines = text::lines(args.id, place.as_ref(), &records, &life, &run.output);
    lines.iter().try_for_each(|line| run.output.line(line))
}

fn place(contact: &mut Contact, id: MessageId) -> Result<Option<Place>, Failure> {
    match contact.ask(Query::Place(id))? {
        Answer::Page { records, .. } => Ok(records.into_iter().next()),
        other => Err(contact.nonsense(&other)),
    }
}

fn document(id: MessageId, place: Option<&Place>, records: &Records, life: &Life<'_>) -> Value {
    let history = place.map(|(record, leader)| {
        let key = record.key;
        json!({
            "room": record.message.room, "nick": record.message.nick, "at": rfc3339(key.hlc.wall_ms()),
            "epoch": key.epoch.num, "leader": leader, "gsn": key.gsn, "idx": key.idx, "key": key.to_string(),
        })
    });
    let event = |moment: &Moment<'_>| {
        let mut event = trace::document(moment.server, moment.event, &records.names);
        if let Value::Object(fields) = &mut event {
            fields.insert("step".to_owned(), moment.step.word().into());
        }
        event
    };
    let server = |record: &ServerRecord| {
        json!({
            "name": records.names.of(record.server), "id": format!("{:016x}", record.server.0),
            "since_us": record.events.first().map(|event| event.at_us), "lost": record.lost,
        })
    };
    let places: Vec<Value> = life.places.iter().map(|(epoch, gsn)| json!({ "epoch": epoch, "gsn": gsn })).collect();
    json!({
        "id": id.to_string(),
        "remembered": life.is_remembered(),
        "history": history,
        "places": places,
        "events": life.moments.iter().map(event).collect::<Vec<_>>(),
        "servers": records.servers.iter().map(server).collect::<Vec<_>>(),
        "missing": records.missing,
    })
}
