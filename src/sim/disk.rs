//! A disk that loses what was not synced, is slow, fails, fills up, comes back older, harmed, or not at all.

use super::image::{Image, Kept, Misuse};
use super::rng::Rng;
use crate::ids::EpochId;
use crate::proto::io::{Ticket, Write};
use std::collections::VecDeque;
use std::time::Duration;

/// How a disk behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manner {
    /// Shortest sync.
    pub sync: Duration,
    /// Added at random, up to this.
    pub sync_jitter: Duration,
    /// Syncs fail.
    pub broken: bool,
    /// Syncs that would make it larger fail.
    pub full: bool,
}

impl Manner {
    /// A good SSD.
    pub const GOOD: Self =
        Self { sync: Duration::from_micros(300), sync_jitter: Duration::from_micros(400), broken: false, full: false };
}

/// How a sync ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// Everything up to this write is durable.
    Done(Ticket),
    /// Nothing of it is; whether for want of room.
    Failed {
        /// Whether the disk is full.
        full: bool,
    },
}

/// A server's disk. Writes are done in order; those that wait are synced together.
pub struct Disk {
    manner: Manner,
    live: Image,
    durable: Image,
    waiting: VecDeque<(Ticket, Write)>,
    syncing: Option<usize>,
    backup: Option<Image>,
    rng: Rng,
    /// Syncs that were done.
    pub syncs: u64,
}

impl Disk {
    /// An empty one.
    pub fn new(rng: Rng) -> Self {
        Self {
            manner: Manner::GOOD,
            live: Image::default(),
            durable: Image::default(),
            waiting: VecDeque::new(),
            syncing: None,
            backup: None,
            rng,
            syncs: 0,
        }
    }

    /// Sets how it behaves from now on.
    pub fn set_manner(&mut self, manner: Manner) {
        self.manner = manner;
    }

    /// What a reader sees.
    pub fn live(&self) -> &Image {
        &self.live
    }

    /// What is safe from a crash.
    pub fn durable(&self) -> &Image {
        &self.durable
    }

    /// Takes a write, whose entries may be `kept` elsewhere; when that begins a sync, tells how long it takes.
    ///
    /// # Errors
    /// [`Misuse`], when the write does not follow on what is there.
    pub fn write(&mut self, ticket: Ticket, write: Write, kept: Kept<'_>) -> Result<Option<Duration>, Misuse> {
        self.live.apply_sharing(&write, kept)?;
        self.waiting.push_back((ticket, write));
        Ok(self.begin_sync())
    }

    /// Begins a sync if one is due; what nobody waits for is synced with the next write that somebody does, or never.
    fn begin_sync(&mut self) -> Option<Duration> {
        if self.syncing.is_some() || self.waiting.iter().rev().all(|(_, write)| write.is_lazy()) {
            return None;
        }
        self.syncing = Some(self.waiting.len());
        Some(self.manner.sync + self.rng.wait(Duration::ZERO, self.manner.sync_jitter))
    }

    /// The sync that was begun ends; the next one's length follows when one begins.
    pub fn synced(&mut self) -> (Sync, Option<Duration>) {
        let count = self.syncing.take().unwrap_or(0);
        if self.manner.broken || self.manner.full {
            let full = self.manner.full;
            self.waiting.clear();
            self.live = self.durable.clone();
            return (Sync::Failed { full }, None);
        }
        let mut upto = Ticket(0);
        for (ticket, write) in self.waiting.drain(..count) {
            upto = ticket;
            // It applied to the live image, which is never behind.
            let _ = self.durable.apply_sharing(&write, &|epoch, gsn| self.live.entry(epoch, gsn));
        }
        self.syncs += 1;
        (Sync::Done(upto), self.begin_sync())
    }

    /// The machine or the process dies: of what waits a part may have reached the disk, in order.
    pub fn crash(&mut self) {
        let reached = self.rng.index(self.syncing.unwrap_or(0) + 1);
        for (_, write) in self.waiting.drain(..).take(reached) {
            let _ = self.durable.apply_sharing(&write, &|epoch, gsn| self.live.entry(epoch, gsn));
        }
        self.syncing = None;
        self.live = self.durable.clone();
    }

    /// The store is opened for a new life; its boot number.
    pub fn open(&mut self) -> u32 {
        self.durable.boot += 1;
        self.live = self.durable.clone();
        self.durable.boot
    }

    /// Keeps a copy of what is durable now.
    pub fn back_up(&mut self) {
        self.backup = Some(self.durable.clone());
    }

    /// Puts the copy in place of what is there; `false` when there is none. Only while nobody has it open.
    pub fn restore(&mut self) -> bool {
        let Some(older) = self.backup.clone() else { return false };
        self.durable = older;
        self.live = self.durable.clone();
        true
    }

    /// It becomes a copy of what is durable on another one. Only while nobody has it open.
    pub fn copy(&mut self, durable: &Image) {
        self.durable = durable.clone();
        self.live = self.durable.clone();
    }

    /// Everything on it is gone. Only while nobody has it open.
    pub fn destroy(&mut self) {
        self.backup = None;
        self.durable = Image::default();
        self.live = Image::default();
    }

    /// A bit of one record is flipped: what follows in that epoch is set aside. Only while nobody has it open.
    pub fn damage(&mut self) -> Option<(EpochId, u64)> {
        let epochs: Vec<EpochId> =
            self.durable.logs.iter().filter(|(_, log)| !log.entries.is_empty()).map(|(epoch, _)| *epoch).collect();
        let epoch = *self.rng.pick(&epochs)?;
        let log = self.durable.logs.get_mut(&epoch)?;
        let kept = self.rng.index(log.entries.len());
        log.entries.truncate(kept);
        log.stable = log.stable.min(kept as u64);
        self.durable.damaged = true;
        self.live = self.durable.clone();
        Some((epoch, kept as u64))
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(disk: &mut Disk, number: u64) -> Option<Duration> {
        disk.write(Ticket(number), Write::Seen { num: number }, &|_, _| None).unwrap_or(None)
    }

    #[test]
    fn crash_keeps_what_was_synced_and_a_prefix_of_the_rest() {
        for seed in 0..50 {
            let mut disk = Disk::new(Rng::new(seed));
            assert!(seen(&mut disk, 1).is_some());
            assert_eq!(disk.synced().0, Sync::Done(Ticket(1)));
            assert!(seen(&mut disk, 2).is_some());
            assert!(seen(&mut disk, 3).is_none(), "waits for the sync under way");
            disk.crash();
            assert!((1..=2).contains(&disk.durable().max_num), "3 was not being synced");
            assert_eq!(disk.live(), disk.durable());
        }
    }

    #[test]
    fn writes_that_wait_are_synced_together() {
        let mut disk = Disk::new(Rng::new(1));
        for number in 1..=5 {
            seen(&mut disk, number);
        }
        let (first, next) = disk.synced();
        assert_eq!(first, Sync::Done(Ticket(1)));
        assert!(next.is_some());
        assert_eq!(disk.synced().0, Sync::Done(Ticket(5)));
    }

    #[test]
    fn broken_disk_keeps_nothing_of_the_sync_that_failed() {
        let mut disk = Disk::new(Rng::new(1));
        disk.set_manner(Manner { broken: true, ..Manner::GOOD });
        seen(&mut disk, 1);
        assert_eq!(disk.synced().0, Sync::Failed { full: false });
        assert_eq!(disk.live().max_num, 0);
    }
}
