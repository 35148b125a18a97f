//! Answers to questions about history, read beside the log by a few threads: never on the protocol's or the disk's.

use super::disk::IndexLine;
use crate::ids::ClientId;
use crate::record::{Kind, Record};
use crate::store::StoreError;
use crate::store::engine::{Archive, Page};
use crate::wire::session::{Answer, Query};
use crossbeam_channel::{Receiver, Sender, bounded};
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

/// Answers until the last sender is gone: run it on [`THREADS`] threads of their own.
pub(crate) fn answer_all(open: &OpenArchive, index: &IndexLine, questions: &Receiver<Question>) {
    let mut archive = None;
    for question in questions {
        // Who was told that its message is history finds it there.
        index.wait();
        let answer = match answer(open, &mut archive, &question.query) {
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
