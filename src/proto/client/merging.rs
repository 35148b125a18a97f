//! What comes late, from the other side of a cut or from a catch-up, told together once nothing more of it comes.

use super::io::Event;
use crate::record::{Kind, Submission};
use crate::time::Time;
use std::time::Duration;

/// So long after the last of it a merge is over.
const QUIET: Duration = Duration::from_millis(250);

/// Late messages that were shown and not told of yet.
#[derive(Debug)]
pub(super) struct Merging {
    late: Option<Late>,
    /// Whether it grew since its time was set.
    grew: bool,
    due: Time,
}

#[derive(Clone, Copy, Debug)]
struct Late {
    messages: u64,
    from_ms: u64,
    until_ms: u64,
}

impl Merging {
    /// Nothing late.
    pub(super) fn new() -> Self {
        Self { late: None, grew: false, due: Time::NEVER }
    }

    /// A late message of that time was shown; who comes and goes is none.
    pub(super) fn add(&mut self, message: &Submission, at_ms: u64) {
        if matches!(message.kind, Kind::Text | Kind::Action | Kind::Topic | Kind::Direct { .. }) {
            let late = self.late.get_or_insert(Late { messages: 0, from_ms: at_ms, until_ms: at_ms });
            late.messages += 1;
            late.from_ms = late.from_ms.min(at_ms);
            late.until_ms = late.until_ms.max(at_ms);
            self.grew = true;
        }
    }

    /// What was late, if anything: something that is not comes next.
    pub(super) fn take(&mut self) -> Option<Event> {
        (self.grew, self.due) = (false, Time::NEVER);
        self.late.take().map(|Late { messages, from_ms, until_ms }| Event::Merged { messages, from_ms, until_ms })
    }

    /// What was late, once nothing more comes.
    pub(super) fn due(&mut self, now: Time) -> Option<Event> {
        if std::mem::take(&mut self.grew) {
            self.due = now + QUIET;
        }
        if now >= self.due { self.take() } else { None }
    }

    /// When [`Merging::due`] has something.
    pub(super) fn next_timeout(&self) -> Time {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::message;

    const fn at(ms: u64) -> Time {
        Time(ms * 1000)
    }

    #[test]
    fn what_comes_late_is_told_once_when_no_more_comes_or_something_else_does() {
        let mut merging = Merging::new();
        assert_eq!((merging.due(at(1)), merging.take(), merging.next_timeout()), (None, None, Time::NEVER));
        for (ms, said_ms) in [(10, 7), (20, 5), (30, 9)] {
            merging.add(&message(1, ms, "x"), said_ms);
            assert_eq!(merging.due(at(ms)), None);
        }
        let mut join = message(1, 40, "");
        join.kind = Kind::Join;
        merging.add(&join, 1);
        assert_eq!((merging.due(at(279)), merging.next_timeout()), (None, at(280)));
        assert_eq!(merging.due(at(280)), Some(Event::Merged { messages: 3, from_ms: 5, until_ms: 9 }));
        assert_eq!(merging.due(at(999)), None);
        merging.add(&message(1, 50, "x"), 3);
        assert_eq!(merging.take(), Some(Event::Merged { messages: 1, from_ms: 3, until_ms: 3 }));
        assert_eq!(merging.next_timeout(), Time::NEVER);
    }
}
