//! Answers to questions about history, read beside the log by a few threads: never on the protocol's or the disk's.

use super::index_line::IndexLine;
use crate::ids::ClientId;
use crate::name;
use crate::record::{Kind, Record};
use crate::store::StoreError;
use crate::store::engine::{Archive, Page};
use crate::wire::session::{Answer, Query, RoomInfo};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Questions that wait; over it a client is told to ask again.
const QUESTIONS: usize = 64;
/// Threads that answer.
pub(crate) const THREADS: usize = 2;

/// Opens something that reads history.
pub(crate) type OpenArchive = Arc<dyn Fn() -> Result<Box<dyn Archive>, StoreError> + Send + Sync>;

/// A question, and where its answer goes.
pub(crate) struct Question {
    /// One of history, search, rooms or a place.
    pub(crate) query: Query,
    /// Takes the answer; must not block.
    pub(crate) answer: Box<dyn FnOnce(Answer) + Send>,
}

/// A queue of questions.
pub(crate) fn questions() -> (Sender<Question>, Receiver<Question>) {
    bounded(QUESTIONS)
}

/// Puts a question into the queue; when that is full, the answer is that it is.
pub(crate) fn ask(to: &Sender<Question>, query: Query, answer: impl FnOnce(Answer) + Send + 'static) {
    if let Err(refused) = to.try_send(Question { query, answer: Box::new(answer) }) {
        let answer = refused.into_inner().answer;
        answer(Answer::Failed("too many questions at once; ask again".to_owned()));
    }
}

/// Rooms as history has them, with the people who are in them; those in which only people are, and no words yet, are rooms too.
pub(crate) fn with_people(answer: Answer, present: &[RoomInfo]) -> Answer {
    let Answer::Rooms(rooms) = answer else { return answer };
    let mut by_name: BTreeMap<String, RoomInfo> =
        rooms.into_iter().map(|room| (name::fold(&room.room), room)).collect();
    for RoomInfo { room, people, .. } in present.iter().filter(|room| room.people > 0) {
        let nothing_said = || RoomInfo { room: room.clone(), ..RoomInfo::default() };
        by_name.entry(name::fold(room)).or_insert_with(nothing_said).people = *people;
    }
    Answer::Rooms(by_name.into_values().collect())
}

/// Answers until the last sender is gone: run it on [`THREADS`] threads of their own.
pub(crate) fn answer_all(open: &OpenArchive, index: &IndexLine, questions: &Receiver<Question>) {
    let mut archive = None;
    let mut opened_in = index.life();
    for question in questions {
        // Who was told that its message is history finds it there.
        index.wait();
        // A store that was opened anew may be another file: the old one would be read for ever.
        let life = index.life();
        if life != opened_in {
            (archive, opened_in) = (None, life);
        }
        let outcome = match answer(open, &mut archive, &question.query) {
            Err(damage) if damage.is_damage() => {
                archive = None;
                index.mend(damage);
                answer(open, &mut archive, &question.query)
            }
            outcome => outcome,
        };
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                // After an error the next question begins with a new handle.
                archive = None;
                log::warn!("a question about history failed: {error}");
                Answer::Failed(error.to_string())
            }
        };
        (question.answer)(answer);
    }
}

fn answer(open: &OpenArchive, archive: &mut Option<Box<dyn Archive>>, query: &Query) -> Result<Answer, StoreError> {
    let archive = match archive {
        Some(archive) => archive,
        none => none.insert(open()?),
    };
    let page = |page: Page| Answer::Page { records: page.records, more: page.more };
    Ok(match query {
        Query::History(within) => page(archive.history(within)?),
        Query::Search { words, within } => page(archive.search(words, within)?),
        Query::Rooms => Answer::Rooms(archive.rooms()?),
        Query::Place(id) => {
            Answer::Page { records: archive.place(*id)?.map(without_words).into_iter().collect(), more: false }
        }
        Query::Who(_) | Query::Status | Query::Ring | Query::Nick(_) | Query::Record { .. } => {
            Answer::Failed("not a question about history".to_owned())
        }
    })
}

/// The place of a message, for anyone: not what it says and, where it is for one person, not between whom.
fn without_words((mut record, leader): (Record, String)) -> (Record, String) {
    record.message.body.clear();
    if let Kind::Direct { to } = &mut record.message.kind {
        *to = ClientId::default();
        record.message.nick.clear();
    }
    (record, leader)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(room: &str, messages: u64, people: u32) -> RoomInfo {
        RoomInfo { room: room.to_owned(), messages, people, ..RoomInfo::default() }
    }

    #[test]
    fn rooms_have_their_people_whatever_was_said_there() {
        let said = Answer::Rooms(vec![room("Garden", 7, 0), room("lobby", 3, 0)]);
        let present = [room("garden", 0, 2), room("hall", 0, 1), room("cellar", 0, 0)];
        let all = vec![room("Garden", 7, 2), room("hall", 0, 1), room("lobby", 3, 0)];
        assert_eq!(with_people(said, &present), Answer::Rooms(all));
        let failed = Answer::Failed("no".to_owned());
        assert_eq!(with_people(failed.clone(), &present), failed);
    }
}
