//! Looks whether the index serves what it should, all the time and a little at a time, on a thread and a connection of its own.
//!
//! A message that is not found is looked for once more through a new connection. If it is not found then either, the disk makes
//! the index anew from the log. Where that does not help for long it is not done again: an index that lacks something is better
//! than a server that is opened anew for ever.

use super::archive::OpenArchive;
use super::backlog::Backlog;
use super::clock::Clock;
use super::index_line::IndexLine;
use crate::ids::MessageId;
use crate::store::StoreError;
use crate::time::Time;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How long after a start the first look begins, and the first at an index that is made anew: others have more to do then.
const FIRST: Duration = Duration::from_secs(5);
/// From the end of one look at all of the index to the next. What wears out does so over days; and what was read within the
/// hour would most often come from memory again, not from the disk.
const EACH: Duration = Duration::from_hours(1);
/// Messages that are looked for in one read transaction: about a millisecond, for which the write-ahead log cannot begin anew.
const SLICE: usize = 128;
/// Of so many parts of the time one is spent looking: 0.4 % of a core at most, and as little of a slow disk.
const SHARE: u32 = 256;
/// Least pause between two slices: with few messages in each the wakes would cost more than they.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
/// Most pause between two slices, and the pause after an error: a machine that stood still is no reason to stop looking.
const MOST_PAUSE: Duration = Duration::from_mins(1);
/// An index that lacks something so soon after it was made anew for it is left as it is.
const AGAIN: Duration = Duration::from_hours(24);

/// When to look, and how soon an index is not made anew again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Until the first look.
    pub(crate) first: Duration,
    /// From one look to the next.
    pub(crate) each: Duration,
    /// Least pause between two slices.
    pub(crate) pause: Duration,
    /// The index is made anew once in this time.
    pub(crate) again: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: FIRST, each: EACH, pause: LEAST_PAUSE, again: AGAIN }
    }
}

/// What the check works with.
pub(crate) struct IndexCheck {
    /// Opens what reads the index.
    pub(crate) open: OpenArchive,
    /// Whom to tell of damage.
    pub(crate) index: IndexLine,
    /// Where people are told.
    pub(crate) backlog: Backlog,
    /// The clocks.
    pub(crate) clock: Clock,
    /// Disconnected when there is nothing to look after any more.
    pub(crate) stopped: Receiver<()>,
    /// When to look.
    pub(crate) pace: Pace,
}

/// There is nothing to look after any more.
struct Stopped;

impl IndexCheck {
    /// Looks until it is stopped: run it on a thread of its own.
    pub(crate) fn run(self) {
        let mut asked = None;
        let mut pause = self.pace.first;
        while self.rest(pause).is_ok() {
            pause = match self.look_at_all() {
                Err(Stopped) => return,
                Ok(None) => {
                    self.backlog.note_short(false);
                    self.pace.each
                }
                Ok(Some((life, damage))) => self.tell(life, damage, &mut asked),
            }
        }
    }

    /// Looks at all of the index: what is wrong, and in which of the store's lives.
    fn look_at_all(&self) -> Result<Option<(u64, StoreError)>, Stopped> {
        let mut from = MessageId::default();
        let mut archive = None;
        let mut opened_in = self.index.life();
        loop {
            let life = self.index.life();
            if life != opened_in {
                (archive, opened_in) = (None, life);
            }
            let began = self.clock.now().mono;
            let mut look = || {
                let archive = match &mut archive {
                    Some(archive) => archive,
                    none => none.insert((self.open)()?),
                };
                archive.check(from, SLICE)
            };
            let mut found = look();
            if found.as_ref().is_err_and(StoreError::is_damage) {
                // Once more and from the beginning: what was read may have been a file on its way out.
                archive = None;
                found = (self.open)().and_then(|archive| archive.check(from, SLICE));
            }
            let pause = match found {
                Ok(None) => return Ok(None),
                Ok(Some(next)) => {
                    from = next;
                    self.pause_since(began)
                }
                Err(damage) if damage.is_damage() && self.index.life() == life => return Ok(Some((life, damage))),
                Err(error) => {
                    // It says nothing about the index; those who work with the store tell it.
                    log::debug!("the index was not looked at: {error}");
                    archive = None;
                    MOST_PAUSE
                }
            };
            self.rest(pause)?;
        }
    }

    fn pause_since(&self, began: Time) -> Duration {
        let took = self.clock.now().mono.since(began);
        took.saturating_mul(SHARE - 1).clamp(self.pace.pause, MOST_PAUSE)
    }

    /// Has the index made anew, unless that did not help; until when to look again.
    fn tell(&self, life: u64, damage: StoreError, asked: &mut Option<(Time, u64)>) -> Duration {
        self.backlog.note_short(true);
        let now = self.clock.now().mono;
        // While the store is in the life in which that was asked for, nothing was made anew: it was busy, or had no room.
        let was_made = asked.is_some_and(|(at, in_life)| in_life != life && now.since(at) < self.pace.again);
        if was_made {
            log::error!("{damage}; it was made anew for that less than a day ago, and is left as it is");
            return self.pace.each;
        }
        log::error!("{damage}");
        let again = asked.replace((now, life)).is_some_and(|(_, in_life)| in_life == life);
        self.index.make_anew(life, damage);
        if again { self.pace.each } else { self.pace.first }
    }

    /// Lets a pause pass.
    fn rest(&self, pause: Duration) -> Result<(), Stopped> {
        match self.stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClientId;
    use crate::record::Record;
    use crate::runtime::disk::Disk;
    use crate::runtime::disk_line::DiskLine;
    use crate::store::Store;
    use crate::store::engine::{Archive, Page};
    use crate::store::memory::MemoryEngine;
    use crate::wire::session::{Answer, HistoryQuery, RoomInfo, Status};
    use crossbeam_channel::{Sender, bounded};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Looks that fail yet: each at the second of two slices.
    #[derive(Clone, Default)]
    struct Hiding(Arc<AtomicU32>);

    impl Archive for Hiding {
        fn history(&self, _: &HistoryQuery) -> Result<Page, StoreError> {
            Ok(Page::default())
        }

        fn search(&self, _: &str, _: &HistoryQuery) -> Result<Page, StoreError> {
            Ok(Page::default())
        }

        fn rooms(&self) -> Result<Vec<RoomInfo>, StoreError> {
            Ok(Vec::new())
        }

        fn place(&self, _: MessageId) -> Result<Option<(Record, String)>, StoreError> {
            Ok(None)
        }

        fn check(&self, from: MessageId, _: usize) -> Result<Option<MessageId>, StoreError> {
            let second = MessageId { client: ClientId(7), cseq: 0 };
            let fails = |left: u32| left.checked_sub(1);
            if from == MessageId::default() {
                Ok(Some(second))
            } else if self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails).is_ok() {
                Err(StoreError::DamagedIndex { what: "a message".to_owned() })
            } else {
                Ok(None)
            }
        }
    }

    /// A check of an index that hides something in so many looks, and the disk beside it. Each look and each opening is told.
    struct Stage {
        backlog: Backlog,
        looks: Receiver<()>,
        openings: Receiver<()>,
        _line: DiskLine,
        _stop: Sender<()>,
    }

    impl Stage {
        fn new(failing: u32, again: Duration) -> Self {
            let (opened, openings) = bounded(1000);
            let open = move || {
                opened.send(()).unwrap();
                Store::open(MemoryEngine::new(), 1)
            };
            let (store, _) = open().unwrap();
            openings.recv().unwrap();
            let (disk, line) = Disk::new(Box::new(open), store, false);
            let backlog = disk.backlog();
            std::thread::spawn(move || disk.run());
            let hiding = Hiding(Arc::new(AtomicU32::new(failing)));
            let (looked, looks) = bounded(0);
            let open: OpenArchive = Arc::new(move || {
                // Nobody hears of it any more when the test is over.
                let _ = looked.send(());
                Ok(Box::new(hiding.clone()))
            });
            let (stop, stopped) = bounded(0);
            let short = Duration::from_millis(2);
            let pace = Pace { first: short, each: short, pause: short, again };
            let (index, backlog_told, clock) = (line.index(), backlog.clone(), Clock::start());
            let check = IndexCheck { open, index, backlog: backlog_told, clock, stopped, pace };
            std::thread::spawn(move || check.run());
            Self { backlog, looks, openings, _line: line, _stop: stop }
        }

        fn look(&self, times: u32) {
            (0..times).for_each(|_| self.looks.recv_timeout(Duration::from_secs(10)).unwrap());
        }

        fn problems(&self) -> String {
            let Answer::Status(status) = self.backlog.told_in(Answer::Status(Box::<Status>::default())) else {
                unreachable!("it was one")
            };
            status.problems.concat()
        }
    }

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn index_that_hides_something_is_made_anew_once() {
        // Two looks: the second is to be sure.
        let stage = Stage::new(2, DAY);
        stage.look(12);
        assert_eq!((stage.openings.len(), stage.problems()), (1, String::new()));
    }

    #[test]
    fn what_a_second_look_finds_was_not_hidden() {
        let stage = Stage::new(1, DAY);
        stage.look(12);
        assert_eq!((stage.openings.len(), stage.problems()), (0, String::new()));
    }

    #[test]
    fn index_that_hides_something_again_at_once_is_left_as_it_is_and_that_is_told() {
        let stage = Stage::new(u32::MAX, DAY);
        stage.look(30);
        assert_eq!(stage.openings.len(), 1);
        assert!(stage.problems().contains("'s index of history is damaged; until it is made anew"));
    }
}
