//! `record`: the event records of all servers that answer, in a file.

use crate::cli::Run;
use crate::cli::args;
use crate::cli::contact::Contact;
use crate::cli::failure::{Code, Failure};
use crate::cli::output::to_json;
use crate::cli::records::{Records, collect};
use crate::cli::shown::shown;
use crate::cli::signals::Interrupt;
use crate::cli::times::{rfc3339, time_of_day};
use crate::web::record_file::{self, Header, Line, RecordFileError, Server};
use crate::web::trace;
use crate::wire::session::{Answer, HistoryQuery, Query};
use serde_json::json;
use std::collections::BTreeMap;

/// Messages whose writers are named, and people in rooms, at most.
const MAX_NICKS: u32 = 500;

/// Runs the command.
pub(super) fn run(args: &args::Record, run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut contact = Contact::open(run, &interrupt)?;
    let records = collect(&mut contact, run, &interrupt)?;
    let lines = lines(&records);
    let header = Header { nicks: nicks(&mut contact)?, ..header(&records, &lines) };
    record_file::write(&args.file, &header, &lines).map_err(|error| failure(&error))?;
    let file = args.file.display().to_string();
    if run.output.json {
        return run.output.document(&json!({
            "event": "recorded", "file": file, "net": header.net, "from": header.from, "until": header.until,
            "servers": header.servers, "events": lines.len(), "missing": records.missing,
        }));
    }
    let names: Vec<&str> = header.servers.iter().map(|server| server.name.as_str()).collect();
    let span = match (lines.first(), lines.last()) {
        (Some(first), Some(last)) => {
            format!(" from {} to {}", time_of_day(first.at_us / 1000), time_of_day(last.at_us / 1000))
        }
        _ => String::new(),
    };
    run.output.line(&shown(&format!("{file} has {} events of {}{span}", lines.len(), names.join(", "))))
}

/// Who spoke lately and who is in a room. A server that does not answer leaves them unnamed.
fn nicks(contact: &mut Contact) -> Result<BTreeMap<String, String>, Failure> {
    let mut nicks = BTreeMap::new();
    let newest = HistoryQuery { limit: MAX_NICKS, newest: true, ..HistoryQuery::default() };
    for query in [Query::History(newest), Query::Who(None)] {
        match contact.ask(query) {
            Ok(Answer::Page { records, .. }) => nicks.extend(
                records.into_iter().map(|(record, _)| (record.message.id.client.to_string(), record.message.nick)),
            ),
            Ok(Answer::Who(people)) => {
                let people = people.into_iter().take(MAX_NICKS as usize);
                nicks.extend(people.map(|person| (person.client.to_string(), person.nick)));
            }
            Err(failure) if failure.code == Code::Interrupted => return Err(failure),
            _ => {}
        }
    }
    Ok(nicks)
}

fn lines(records: &Records) -> Vec<Line> {
    let line = |(server, event): (crate::ids::ServerId, &crate::wire::trace::TraceEvent)| Line {
        at_us: event.at_us,
        json: to_json(&trace::document(server, event, &records.names)).into(),
    };
    records.merged().into_iter().map(line).collect()
}

fn header(records: &Records, lines: &[Line]) -> Header {
    let server = |record: &crate::cli::records::ServerRecord| Server {
        name: records.names.of(record.server),
        id: format!("{:016x}", record.server.0),
        addr: record.addr.to_string(),
        lost: record.lost,
    };
    let at = |line: Option<&Line>| rfc3339(line.map_or(0, |line| line.at_us / 1000));
    Header {
        net: records.net.clone(),
        from: at(lines.first()),
        until: at(lines.last()),
        servers: records.servers.iter().map(server).collect(),
        ..Header::default()
    }
}

fn failure(error: &RecordFileError) -> Failure {
    match error {
        RecordFileError::Io { op, path, source } => Failure::io(op, path, source),
        other => Failure::new(Code::Io, other.to_string()),
    }
}
