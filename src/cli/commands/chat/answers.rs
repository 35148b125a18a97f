//! What servers answered to a slash command, as lines.

use crate::cli::commands::{rooms, status, who};
use crate::cli::message::Told;
use crate::cli::output::{Output, to_json};
use crate::cli::shown::shown;
use crate::ids::ClientId;
use crate::record::Record;
use crate::web::document::status::Document;
use crate::wire::session::Answer;
use serde_json::json;

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

/// The documents for scripts: what the command of the same name prints; of a topic, the room and what it is about.
pub(super) fn documents(asked: &Asked, answer: &Answer, room: &str) -> Vec<String> {
    let document = match (asked, answer) {
        (Asked::Topic, Answer::Rooms(rooms)) => {
            let found = rooms.iter().find(|info| crate::name::same(&info.room, room));
            json!({ "room": room, "topic": found.map_or("", |info| &info.topic) })
        }
        (_, Answer::Rooms(found)) => rooms::document(found),
        (_, Answer::Who(people)) => who::document(people),
        (_, Answer::Status(found)) => return vec![to_json(&Document::of(found))],
        (_, Answer::Page { records, .. }) => return records.iter().map(message).collect(),
        (_, Answer::Failed(_) | Answer::Ring(_) | Answer::Nick(_) | Answer::Record(_)) => return Vec::new(),
    };
    vec![to_json(&document)]
}

fn message((record, leader): &(Record, String)) -> String {
    Told { record, leader, live: None }.json()
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
    let line =
        |(record, leader): &(Record, String)| Told { record, leader, live: None }.dated_line(Some(reader), output);
    records.iter().map(line).collect()
}
