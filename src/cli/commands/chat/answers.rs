//! What servers answered to a slash command, as lines.

use crate::cli::commands::{rooms, status, who};
use crate::cli::message::Told;
use crate::cli::output::Output;
use crate::cli::shown::shown;
use crate::ids::ClientId;
use crate::record::Record;
use crate::wire::session::Answer;

/// What was asked, and for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// `/rooms`.
    Rooms,
    /// `/who`.
    Who,
    /// `/status`, `/view`.
    Status,
    /// `/topic`.
    Topic,
    /// `/history`, `/search`.
    Page,
    /// What was said last in a room that was just entered.
    Backlog,
    /// `/msg`: to whom the nick belongs.
    Nick {
        /// The nick.
        nick: String,
        /// What to tell them.
        text: String,
    },
}

/// The lines to show.
pub(super) fn lines(asked: &Asked, answer: &Answer, room: &str, reader: ClientId, output: &Output) -> Vec<String> {
    match (asked, answer) {
        (Asked::Topic, Answer::Rooms(rooms)) => {
            let topic = rooms.iter().find(|info| crate::name::same(&info.room, room)).map_or("", |info| &info.topic);
            let topic = if topic.is_empty() { "has no topic".into() } else { format!("is about: {}", shown(topic)) };
            vec![format!("-- #{} {topic}", shown(room))]
        }
        (_, Answer::Rooms(found)) => rooms::lines(found),
        (_, Answer::Who(people)) => who::lines(people),
        (_, Answer::Status(found)) => status::lines(found, output),
        (Asked::Backlog, Answer::Page { records, .. }) => page(records, reader, output),
        (_, Answer::Page { records, .. }) if records.is_empty() => vec!["-- nothing".to_owned()],
        (_, Answer::Page { records, .. }) => page(records, reader, output),
        (_, Answer::Failed(why)) => vec![format!("-- {}", shown(why))],
        (_, Answer::Ring(_) | Answer::Nick(_) | Answer::Record(_)) => Vec::new(),
    }
}

fn page(records: &[(Record, String)], reader: ClientId, output: &Output) -> Vec<String> {
    let line = |(record, leader): &(Record, String)| {
        let told = Told { record, leader, live: None };
        if output.json { told.json() } else { told.dated_line(Some(reader), output) }
    };
    records.iter().map(line).collect()
}
