//! `who`: who is where.

use crate::cli::Run;
use crate::cli::args;
use crate::cli::contact::Contact;
use crate::cli::failure::Failure;
use crate::cli::shown::shown;
use crate::cli::signals::Interrupt;
use crate::cli::table::Table;
use crate::wire::session::{Answer, Presence, Query};
use serde_json::{Value, json};

/// Runs the command.
pub(super) fn run(args: &args::Who, run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut contact = Contact::open(run, &interrupt)?;
    let room = args.room.as_ref().map(|room| room.as_str().to_owned());
    let people = match contact.ask(Query::Who(room))? {
        Answer::Who(people) => people,
        other => return Err(contact.nonsense(&other)),
    };
    if run.output.json {
        return run.output.document(&document(&people));
    }
    lines(&people).iter().try_for_each(|line| run.output.line(line))
}

/// The document for scripts.
pub(crate) fn document(people: &[Presence]) -> Value {
    let one = |person: &Presence| {
        json!({
            "room": person.room,
            "nick": person.nick,
            "client": person.client.to_string(),
            "server": person.server,
        })
    };
    json!({ "people": people.iter().map(one).collect::<Vec<_>>() })
}

/// The lines for people.
pub(crate) fn lines(people: &[Presence]) -> Vec<String> {
    if people.is_empty() {
        return vec!["nobody is here".to_owned()];
    }
    let mut table = Table::new(&["room", "nick", "server"]);
    for person in people {
        table.row([
            format!("#{}", shown(&person.room)),
            shown(&person.nick).into_owned(),
            shown(&person.server).into_owned(),
        ]);
    }
    table.lines()
}
