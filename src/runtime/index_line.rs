//! The way to the disk of those who read the index beside it.

use super::disk_line::{Job, What};
use crate::store::StoreError;
use crossbeam_channel::{Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a question about history waits for the index: then it is answered with what is there.
const INDEX_PATIENCE: Duration = Duration::from_secs(2);

/// In which of its lives the store is: it was opened anew so often. What was opened to read it in an earlier one may be a file
/// that was set aside.
#[derive(Clone, Debug, Default)]
pub(super) struct Life(Arc<AtomicU64>);

impl Life {
    /// Now.
    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The store was opened anew.
    pub(super) fn begin(&self, life: u64) {
        self.0.store(life, Ordering::Release);
    }
}

/// A way to wait until the index, which runs behind, has come to the end of history; and to tell of damage to it.
#[derive(Clone)]
pub(crate) struct IndexLine {
    jobs: Sender<Job>,
    life: Life,
}

impl IndexLine {
    pub(super) fn new(jobs: Sender<Job>, life: Life) -> Self {
        Self { jobs, life }
    }

    /// Waits until what is history by now can be found in the index, or for [`INDEX_PATIENCE`].
    pub(crate) fn wait(&self) {
        let (done, indexed) = bounded(1);
        // Asked in every life: what is history is in the index of whichever store is open.
        if self.jobs.try_send(Job { life: u64::MAX, what: What::Index(done) }).is_ok() {
            let _ = indexed.recv_timeout(INDEX_PATIENCE);
        }
    }

    /// Tells the disk of damage that was met while reading beside it; then waits as [`IndexLine::wait`] does.
    pub(crate) fn mend(&self, damage: StoreError) {
        if self.jobs.try_send(Job { life: u64::MAX, what: What::Mend(damage) }).is_ok() {
            self.wait();
        }
    }

    /// Asks the disk to make the index anew, unless the store is in another life by then than this one, in which that was
    /// found to be wanted. Does not wait; where the disk has too much to do it is not even asked.
    pub(crate) fn make_anew(&self, life: u64, damage: StoreError) {
        // Who asked finds out by looking again.
        let _ = self.jobs.try_send(Job { life, what: What::MakeAnew(damage) });
    }

    /// In which of its lives the store is.
    pub(crate) fn life(&self) -> u64 {
        self.life.now()
    }
}
