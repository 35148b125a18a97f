//! How far the index of history is behind it, when people should know.

use crate::store::Store;
use crate::store::engine::Engine;
use crate::wire::session::Answer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Entries that are not indexed, from which on people are told: fewer are as a rule within the time that a question waits.
const FAR: u64 = 10_000;
/// The index is not far behind.
const NONE: u64 = u64::MAX;

/// What is told of the index: by the disk, to all who answer for history. The index falls far behind when it is made anew from the
/// log, and after much of a history was fetched at once.
#[derive(Clone, Debug)]
pub(crate) struct Backlog(Arc<Told>);

#[derive(Debug)]
struct Told {
    /// Messages that are in the index; [`NONE`] unless it is far behind.
    indexed: AtomicU64,
    /// The same while the disk takes nothing; [`NONE`] when it does.
    stopped: AtomicU64,
    /// Whether it lacks messages that should be there.
    is_short: AtomicBool,
}

impl Backlog {
    /// The index is not far behind.
    pub(crate) fn none() -> Self {
        Self(Arc::new(Told {
            indexed: AtomicU64::new(NONE),
            stopped: AtomicU64::new(NONE),
            is_short: AtomicBool::new(false),
        }))
    }

    /// Takes note of where the index is. Once it was far behind, that is told until it has come to the end.
    pub(crate) fn note<E: Engine>(&self, store: &Store<E>) {
        let left = store.unindexed();
        let is_far = left >= FAR || left > 0 && self.indexed().is_some();
        self.0.indexed.store(if is_far { store.digest().messages } else { NONE }, Ordering::Relaxed);
        self.0.stopped.store(NONE, Ordering::Relaxed);
    }

    /// The index goes no further: the disk takes nothing. Then all that it lacks is told of.
    pub(crate) fn note_stopped<E: Engine>(&self, store: &Store<E>) {
        self.0.stopped.store(store.digest().messages, Ordering::Relaxed);
    }

    /// Messages that are in the index, while it is far behind.
    pub(crate) fn indexed(&self) -> Option<u64> {
        Some(self.0.indexed.load(Ordering::Relaxed)).filter(|indexed| *indexed != NONE)
    }

    /// Takes note of whether the index lacks messages that should be there.
    pub(crate) fn note_short(&self, is_short: bool) {
        self.0.is_short.store(is_short, Ordering::Relaxed);
    }

    /// The ring's state with what is wrong with the index.
    pub(crate) fn told_in(&self, answer: Answer) -> Answer {
        let Answer::Status(mut status) = answer else { return answer };
        let me = status.servers.iter().find(|server| server.pid == status.answered_by);
        let name = me.map_or_else(|| "this server".to_owned(), |me| me.name.clone());
        let stopped = self.0.stopped.load(Ordering::Relaxed);
        if let Some(indexed) = self.indexed().or((stopped < status.messages).then_some(stopped)) {
            let (messages, only) = (status.messages, "history and search show only what is indexed");
            let problem = format!("{name} indexes its history: {indexed} of {messages} messages; until then {only}");
            status.problems.push(problem);
            status.indexed = indexed;
        }
        if self.0.is_short.load(Ordering::Relaxed) {
            let only = "until it is made anew history and search do not show all";
            status.problems.push(format!("{name}'s index of history is damaged; {only}"));
        }
        Answer::Status(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::{entries, view};
    use crate::store::memory::MemoryEngine;
    use crate::wire::session::Status;

    #[test]
    fn index_that_is_far_behind_is_told_until_it_has_come_to_the_end() {
        let backlog = Backlog::none();
        let told = |messages| {
            let status = Status { messages, indexed: messages, ..Status::default() };
            let Answer::Status(status) = backlog.told_in(Answer::Status(Box::new(status))) else { unreachable!() };
            (status.indexed, status.problems.concat())
        };
        assert_eq!(told(9), (9, String::new()));
        let (mut store, _) = Store::open(MemoryEngine::new(), 1).unwrap();
        let learn = |first: u64, last: u64| crate::proto::io::Write::Fill {
            view: view(1, &[]),
            first,
            entries: entries(first, last),
            closure: None,
            committed: last,
        };
        store.apply(&[learn(1, FAR - 1)]).unwrap();
        backlog.note(&store);
        assert_eq!(backlog.indexed(), None, "what a question waits for is not told");
        backlog.note_stopped(&store);
        assert_eq!(told(FAR - 1).0, 0, "there is nothing to wait for");
        assert_eq!(told(0), (0, String::new()), "nothing is missing");
        store.apply(&[learn(FAR, FAR)]).unwrap();
        backlog.note(&store);
        assert_eq!(told(FAR).0, 0);
        for step in 1..=99 {
            assert!(store.index_some(100).unwrap());
            backlog.note(&store);
            assert_eq!(backlog.indexed(), Some(100 * step));
        }
        let (indexed, problem) = told(FAR);
        assert_eq!(indexed, 9900);
        assert!(problem.contains("9900 of 10000 messages"), "{problem}");
        assert!(!store.index_some(100).unwrap());
        backlog.note(&store);
        assert_eq!((backlog.indexed(), told(FAR)), (None, (FAR, String::new())));
    }
}
