//! The protocol's way to the disk's thread: jobs one way, completions the other.

use super::index_line::{IndexLine, Life};
use crate::ids::EpochId;
use crate::proto::gist::Subject;
use crate::proto::io::{Input, ReadFor, Ticket, Write};
use crate::store::StoreError;
use crossbeam_channel::{Receiver, Sender, select};
use std::collections::VecDeque;
use std::time::Duration;

/// What the disk is to do, and in which of the store's lives it was asked for.
pub(super) struct Job {
    /// Jobs asked for before the protocol heard that the store was opened anew are void.
    pub(super) life: u64,
    pub(super) what: What,
}

pub(super) enum What {
    Write(Ticket, Write),
    Read {
        epoch: EpochId,
        first: u64,
        last: u64,
        budget_bytes: usize,
        purpose: ReadFor,
    },
    ReadGists {
        epoch: EpochId,
        after: Option<Subject>,
        budget_bytes: usize,
    },
    /// Say when the index has come to the end of history.
    Index(Sender<()>),
    /// Who reads beside the disk's thread met this damage: open the store anew.
    Mend(StoreError),
    /// Who looks after the index met this damage, which is not noted yet: make the index anew.
    MakeAnew(StoreError),
    /// Everything before it is done; work no more.
    Stop,
}

/// The protocol's way to the disk.
pub(crate) struct DiskLine {
    jobs: Sender<Job>,
    done: Receiver<Input<'static>>,
    /// Completions taken in while a job waited for room.
    early: VecDeque<Input<'static>>,
    life: u64,
    store_life: Life,
}

impl DiskLine {
    /// A way on which jobs go, and completions come.
    pub(super) fn new(jobs: Sender<Job>, done: Receiver<Input<'static>>, store_life: Life) -> Self {
        Self { jobs, done, early: VecDeque::new(), life: 0, store_life }
    }

    /// Asks for a write.
    pub(crate) fn write(&mut self, ticket: Ticket, write: Write) {
        self.put(What::Write(ticket, write));
    }

    /// Asks for a read.
    pub(crate) fn read(&mut self, epoch: EpochId, first: u64, last: u64, budget_bytes: usize, purpose: ReadFor) {
        self.put(What::Read { epoch, first, last, budget_bytes, purpose });
    }

    /// Asks for gists.
    pub(crate) fn read_gists(&mut self, epoch: EpochId, after: Option<Subject>, budget_bytes: usize) {
        self.put(What::ReadGists { epoch, after, budget_bytes });
    }

    /// Asks the disk to work no more once everything before is done.
    pub(crate) fn stop(&mut self) {
        self.put(What::Stop);
    }

    /// The next completion that is here.
    pub(crate) fn done(&mut self) -> Option<Input<'static>> {
        self.early.pop_front().or_else(|| self.done.try_recv().ok())
    }

    /// Where completions come, to be waited for.
    pub(crate) fn completions(&self) -> &Receiver<Input<'static>> {
        &self.done
    }

    /// Whether a completion is here that waiting would not show.
    pub(crate) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// The protocol has heard that the store was opened anew: what it asks for from now on counts.
    pub(crate) fn begin_life(&mut self) {
        self.life += 1;
    }

    /// The way of who reads the index.
    pub(crate) fn index(&self) -> IndexLine {
        IndexLine::new(self.jobs.clone(), self.store_life.clone())
    }

    fn put(&mut self, what: What) {
        let mut job = Job { life: self.life, what };
        while let Err(error) = self.jobs.try_send(job) {
            if error.is_disconnected() {
                return;
            }
            job = error.into_inner();
            // Both sides may be full: whoever waits takes in what the other has to say, so that neither waits for ever.
            select! {
                recv(self.done) -> done => self.early.extend(done.ok()),
                default(Duration::from_millis(1)) => {}
            }
        }
    }
}

/// Waits for a completion, in tests and when there is nothing else to wait for.
#[cfg(test)]
impl DiskLine {
    pub(super) fn wait(&mut self) -> Result<Input<'static>, crossbeam_channel::RecvTimeoutError> {
        self.early.pop_front().map_or_else(|| self.done.recv_timeout(Duration::from_secs(10)), Ok)
    }
}
