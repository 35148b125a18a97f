//! What goes wrong, as data: a run's faults are a list that can be printed, replayed and made shorter.

use super::disk::Manner;
use super::lan::{Cut, Quality, Station};
use super::port::Bandwidth;
use super::world::World;
use std::time::Duration;

/// One thing that goes wrong, or right again. Servers and stations count from 0; those that do not exist are passed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A server's process is killed.
    Kill(usize),
    /// A server's machine loses power.
    PowerOff(usize),
    /// A server is started, or its machine with it.
    Start(usize),
    /// A server is told to leave.
    Leave(usize),
    /// Whoever leads the greatest view is killed.
    KillLeader,
    /// The sender of the message that this waited for is killed.
    KillSender,
    /// The sender of the message that this waited for is paused.
    PauseSender(Duration),
    /// The datagram that this waited for is lost.
    Lose,
    /// A process does not run for a while.
    Pause(usize, Duration),
    /// Stations of different groups do not hear each other; who is in no group hears everyone.
    Groups(Vec<Vec<usize>>),
    /// What passes from one station to another.
    Cut(usize, usize, Cut),
    /// How one station hears another.
    Quality(usize, usize, Box<Quality>),
    /// How every station hears every other.
    QualityOfAll(Box<Quality>),
    /// How one station hears and is heard by all others.
    QualityAround(usize, Box<Quality>),
    /// How much a station's wire takes on, in each direction; `None` as much as it is given.
    Bandwidth(usize, Option<Bandwidth>),
    /// How much the wire of whoever leads the greatest view takes on.
    LeadersBandwidth(Option<Bandwidth>),
    /// How much every station's wire takes on.
    BandwidthOfAll(Option<Bandwidth>),
    /// Every path is good and nothing is cut. What a wire takes on is left as it is: it is no fault of the paths.
    HealNet,
    /// A wall clock jumps by so many milliseconds.
    ClockJump(usize, i64),
    /// How a disk behaves from now on.
    Disk(usize, Box<Manner>),
    /// How the disk of whoever leads the greatest view behaves from now on.
    LeadersDisk(Box<Manner>),
    /// A server gets data of its view from beyond any window, in another member's name.
    Flood(usize),
    /// Every disk is good again.
    HealDisks,
    /// A copy of the disk is kept.
    BackUp(usize),
    /// The machine loses power and comes back with the copy of its disk.
    Restore(usize),
    /// A machine loses power and comes back with a copy of another one's disk, and so with its id.
    Copy {
        /// The disk that is copied.
        of: usize,
        /// Where the copy goes.
        to: usize,
    },
    /// The machine loses power, its disk and everything on it: it comes back as another server.
    Destroy(usize),
    /// The process is killed, and a record on its disk loses a bit.
    Damage(usize),
    /// A client leaves its server for another.
    MoveClient(usize),
    /// A client's process does not run for a while.
    PauseClient(usize, Duration),
    /// A client's process is killed; another one goes on after a while.
    RestartClient(usize, Duration),
    /// Something waits for the `n`th time that the trigger fires from now on.
    On(Trigger, u32, Box<Fault>),
    /// Everything that can be healed is: network, disks, power, processes; waiting faults are forgotten.
    HealAll,
}

/// That a message is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trigger {
    /// The message's name.
    pub message: &'static str,
    /// By which server; any when `None`.
    pub from: Option<usize>,
}

impl Trigger {
    /// Whether this is what it waits for.
    pub fn is(&self, from: usize, message: &'static str) -> bool {
        self.message == message && self.from.is_none_or(|wanted| wanted == from)
    }
}

impl Fault {
    /// The same with the sender of a message filled in.
    #[must_use]
    pub fn about(self, sender: usize) -> Self {
        match self {
            Self::KillSender => Self::Kill(sender),
            Self::PauseSender(wait) => Self::Pause(sender, wait),
            other => other,
        }
    }
}

impl World {
    /// A fault happens.
    pub fn strike(&mut self, fault: &Fault) {
        self.timeline.note(self.time, || format!("-- {fault:?}"));
        let servers = self.servers.len();
        match fault {
            Fault::Kill(at) if *at < servers => self.crash(*at, false),
            Fault::PowerOff(at) if *at < servers => self.crash(*at, true),
            Fault::Start(at) if *at < servers => self.start(*at),
            Fault::Leave(at) if *at < servers => self.input(*at, crate::proto::io::Input::Leave),
            Fault::KillLeader => self.kill_leader(),
            Fault::Pause(at, wait) if *at < servers => self.pause(*at, *wait),
            Fault::Groups(groups) => self.cut_groups(groups),
            Fault::Cut(from, to, cut) => self.with_paths(&[(*from, *to)], |world, from, to| {
                world.lan.set_cut(from, to, *cut);
            }),
            Fault::Quality(from, to, quality) => self.with_paths(&[(*from, *to)], |world, from, to| {
                world.lan.set_quality(from, to, (**quality).clone());
            }),
            Fault::QualityOfAll(quality) => self.set_quality_where(quality, |_, _| true),
            Fault::QualityAround(at, quality) => self.set_quality_where(quality, |from, to| from == *at || to == *at),
            Fault::Bandwidth(at, bandwidth) if *at < self.lan.stations() => {
                self.lan.set_bandwidth(Station(*at), *bandwidth);
            }
            Fault::LeadersBandwidth(bandwidth) => {
                if let Some(at) = self.leader() {
                    self.lan.set_bandwidth(Station(at), *bandwidth);
                }
            }
            Fault::BandwidthOfAll(bandwidth) => {
                (0..self.lan.stations()).for_each(|at| self.lan.set_bandwidth(Station(at), *bandwidth));
            }
            Fault::HealNet => self.lan.heal(),
            Fault::ClockJump(at, ms) if *at < servers => {
                self.checker.clock_jumped();
                self.servers[*at].clock.jump(*ms);
            }
            Fault::Disk(at, manner) if *at < servers => self.servers[*at].disk.set_manner((**manner).clone()),
            Fault::LeadersDisk(manner) => {
                if let Some(at) = self.leader() {
                    self.servers[at].disk.set_manner((**manner).clone());
                }
            }
            Fault::Flood(at) if *at < servers => self.flood(*at),
            Fault::HealDisks => self.heal_disks(),
            Fault::BackUp(at) if *at < servers => self.servers[*at].disk.back_up(),
            Fault::Restore(at) if *at < servers => self.restore(*at),
            Fault::Copy { of, to } if (*of).max(*to) < servers => self.copy(*of, *to),
            Fault::Destroy(at) if *at < servers => self.destroy(*at),
            Fault::Damage(at) if *at < servers => self.damage(*at),
            Fault::MoveClient(client) if *client < self.clients.len() => self.move_client(*client),
            Fault::PauseClient(client, wait) if *client < self.clients.len() => self.pause_client(*client, *wait),
            Fault::RestartClient(client, wait) if *client < self.clients.len() => self.restart_client(*client, *wait),
            Fault::On(trigger, count, fault) => self.arm(*trigger, *count, (**fault).clone()),
            Fault::HealAll => self.heal_all(),
            _ => {}
        }
    }

    /// Whoever leads the greatest view.
    pub(super) fn leader(&self) -> Option<usize> {
        let leading = |at: &usize| {
            let seen = self.checker.seen(*at);
            seen.view.filter(|view| view.leader == seen.pid)
        };
        (0..self.servers.len()).filter(|at| leading(at).is_some()).max_by_key(leading)
    }

    fn kill_leader(&mut self) {
        if let Some(at) = self.leader() {
            self.crash(at, false);
        }
    }

    fn cut_groups(&mut self, groups: &[Vec<usize>]) {
        let group_of = |station: usize| groups.iter().position(|group| group.contains(&station));
        let stations = self.lan.stations();
        for from in 0..stations {
            for to in 0..stations {
                let apart = matches!((group_of(from), group_of(to)), (Some(a), Some(b)) if a != b);
                self.lan.set_cut(Station(from), Station(to), if apart { Cut::All } else { Cut::None });
            }
        }
    }

    fn with_paths(&mut self, paths: &[(usize, usize)], change: impl Fn(&mut Self, Station, Station)) {
        let stations = self.lan.stations();
        for &(from, to) in paths {
            if from < stations && to < stations {
                change(self, Station(from), Station(to));
            }
        }
    }

    fn set_quality_where(&mut self, quality: &Quality, affected: impl Fn(usize, usize) -> bool) {
        let stations = self.lan.stations();
        for from in 0..stations {
            for to in 0..stations {
                if from != to && affected(from, to) {
                    self.lan.set_quality(Station(from), Station(to), quality.clone());
                }
            }
        }
    }

    fn heal_disks(&mut self) {
        for server in &mut self.servers {
            server.disk.set_manner(Manner::GOOD);
        }
    }

    fn restore(&mut self, at: usize) {
        self.crash(at, true);
        if self.servers[at].disk.restore() {
            self.checker.lost(at, &mut self.servers[at]);
        }
    }

    fn copy(&mut self, of: usize, to: usize) {
        self.crash(to, true);
        let (image, id) = (self.servers[of].disk.durable().clone(), self.servers[of].id);
        let server = &mut self.servers[to];
        server.disk.copy(&image);
        server.id = id;
        self.checker.lost(to, server);
        self.checker.renamed(to, id);
    }

    fn destroy(&mut self, at: usize) {
        self.crash(at, true);
        let id = crate::ids::ServerId(self.rng().draw());
        let server = &mut self.servers[at];
        server.disk.destroy();
        server.id = id;
        self.checker.lost(at, server);
        self.checker.renamed(at, id);
    }

    fn damage(&mut self, at: usize) {
        self.crash(at, false);
        let server = &mut self.servers[at];
        if server.disk.damage().is_some() {
            self.checker.harmed(at, server);
        }
    }

    fn heal_all(&mut self) {
        self.disarm();
        self.lan.heal();
        self.lan.widen();
        self.heal_disks();
        for at in 0..self.servers.len() {
            self.start(at);
        }
        for client in 0..self.clients.len() {
            self.wake_client(client);
        }
    }
}
