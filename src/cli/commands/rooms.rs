//! `rooms`: every room, with its counts and topic.

use crate::cli::Run;
use crate::cli::contact::Contact;
use crate::cli::failure::Failure;
use crate::cli::shown::shown;
use crate::cli::signals::Interrupt;
use crate::cli::table::Table;
use crate::cli::times::{date_and_time, rfc3339};
use crate::wire::session::{Answer, Query, RoomInfo};
use serde_json::{Value, json};

/// Runs the command.
pub(super) fn run(run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let mut contact = Contact::open(run, &interrupt)?;
    let rooms = match contact.ask(Query::Rooms)? {
        Answer::Rooms(rooms) => rooms,
        other => return Err(contact.nonsense(&other)),
    };
    if run.output.json {
        return run.output.document(&document(&rooms));
    }
    lines(&rooms).iter().try_for_each(|line| run.output.line(line))
}

/// The document for scripts.
pub(crate) fn document(rooms: &[RoomInfo]) -> Value {
    let one = |room: &RoomInfo| {
        json!({
            "room": room.room,
            "messages": room.messages,
            "people": room.people,
            "last": (room.last_ms > 0).then(|| rfc3339(room.last_ms)),
            "topic": room.topic,
        })
    };
    json!({ "rooms": rooms.iter().map(one).collect::<Vec<_>>() })
}

/// The lines for people.
pub(crate) fn lines(rooms: &[RoomInfo]) -> Vec<String> {
    if rooms.is_empty() {
        return vec!["no rooms yet: whoever joins one makes it".to_owned()];
    }
    let mut table = Table::new(&["room", "messages", "people", "last message", "topic"]);
    for room in rooms {
        let last = if room.last_ms == 0 { String::new() } else { date_and_time(room.last_ms) };
        table.row([
            format!("#{}", shown(&room.room)),
            room.messages.to_string(),
            room.people.to_string(),
            last,
            shown(&room.topic).into_owned(),
        ]);
    }
    table.lines()
}
