//! A seed's expansion: what the world is made of, and which faults strike it when.

use super::client::Habit;
use super::disk::Manner;
use super::fault::{Fault, Trigger};
use super::lan::{Cut, Quality};
use super::port::Bandwidth;
use super::rng::Rng;
use super::world::Shape;
use crate::proto::bugs::Bugs;
use crate::proto::settings::{Keep, Retention};
use crate::time::Time;
use std::time::Duration;

/// In one of so many seeds history is let go of.
const LETTING_GO: u64 = 8;
/// In so many of a thousand seeds the LAN is narrow.
const NARROW: u32 = 100;
/// In one of so many seeds the clients are those that people have.
const PEOPLE: u64 = 4;

/// What of a run is not drawn from its seed.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what may be asked of a run, each apart from the others")]
pub struct Options {
    /// Planted bugs.
    pub bugs: Bugs,
    /// Whether a timeline is kept.
    pub timeline: bool,
    /// Only these faults of the plan, by their place in it; all when `None`.
    pub only: Option<Vec<usize>>,
    /// This many servers and clients rather than drawn ones.
    pub size: Option<(usize, usize)>,
    /// The clients are those that people have, in every run.
    pub people: bool,
    /// History is let go of in every run.
    pub lets_go: bool,
    /// The LAN is narrow in every run.
    pub narrow: bool,
    /// Disks are lost and power fails in every run, again and again.
    pub harsh: bool,
    /// No faults at all, and this long.
    pub calm: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bugs: Bugs::NONE,
            timeline: false,
            only: None,
            size: None,
            people: false,
            lets_go: false,
            narrow: false,
            harsh: false,
            calm: None,
        }
    }
}

impl Options {
    /// The flags that run a seed with these options again, planted bugs apart.
    pub fn flags(&self, seed: u64) -> String {
        let only = self.only.as_ref().map_or_else(String::new, |which| {
            let which: Vec<String> = which.iter().map(usize::to_string).collect();
            format!(" --only {}", which.join(","))
        });
        let size = self.size.map_or_else(String::new, |(servers, clients)| format!(" --size {servers},{clients}"));
        let people = if self.people { " --people" } else { "" };
        let lets_go = if self.lets_go { " --let-go" } else { "" };
        let narrow = if self.narrow { " --narrow" } else { "" };
        let harsh = if self.harsh { " --harsh" } else { "" };
        let calm = self.calm.map_or_else(String::new, |calm| format!(" --calm {}", calm.as_secs()));
        format!("--seed {seed}{only}{size}{people}{lets_go}{narrow}{harsh}{calm}")
    }
}

/// A seed's whole expansion.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the world is made of.
    pub shape: Shape,
    /// What strikes it, and when.
    pub faults: Vec<(Time, Fault)>,
    /// When the safety phase ends.
    pub safety_ends: Time,
    /// The servers that are healed first.
    pub core: Vec<usize>,
}

pub(super) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Plan {
    /// The expansion of a seed.
    pub fn draw(seed: u64, options: &Options) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let (servers, clients) = match options.size {
            Some(size) => size,
            None => (rng.between(2, 7) as usize, rng.between(2, 8) as usize),
        };
        let busy = rng.chance(300);
        let habit = Habit {
            pause: if busy { ms(2) } else { ms(50) },
            pause_jitter: if busy { ms(20) } else { ms(700) },
            window: rng.between(1, 32),
            long: *rng.pick(&[0, 0, 20, 100]).unwrap_or(&0),
            silent: false,
        };
        let absent = (0..servers).filter(|_| rng.chance(100)).collect();
        let shape = Shape {
            seed,
            servers,
            clients,
            absent,
            other_net: Vec::new(),
            habit,
            retention: retention(seed, servers, options.lets_go),
            people: options.people || seed % PEOPLE == PEOPLE - 2,
            bugs: options.bugs,
            drift: rng.chance(500),
            timeline: options.timeline,
        };
        if let Some(length) = options.calm {
            let shape = Shape { absent: Vec::new(), ..shape };
            return Self { shape, faults: Vec::new(), safety_ends: Time(0) + length, core: Vec::new() };
        }
        let length = rng.wait(secs(5), secs(40));
        let mut faults = Vec::new();
        let harsh = options.harsh;
        Drawing { rng: &mut rng, servers, stations: servers + clients, clients, harsh }.draw(length, &mut faults);
        if shape.people {
            // Drawn apart, so that these seeds' other faults are what they would be with plain clients.
            faults_of_people(&mut Rng::new(seed ^ 0xc11e), clients, length, &mut faults);
        }
        narrow(seed, servers + clients, length, options.narrow, &mut faults);
        let core = (0..servers).filter(|_| rng.chance(600)).collect();
        faults.retain(|fault| fault.0 < Time(0) + length);
        faults.sort_by_key(|fault| fault.0);
        Self { shape, faults, safety_ends: Time(0) + length, core }
    }

    /// All of it, for people: who is there, every fault with its number and time, how it ends.
    pub fn lines(&self) -> Vec<String> {
        let Self { shape, faults, safety_ends, core } = self;
        let mut lines = vec![format!(
            "seed {}: {} servers, {} clients, absent {:?}, {:?}",
            shape.seed, shape.servers, shape.clients, shape.absent, shape.habit
        )];
        lines.extend(
            faults
                .iter()
                .enumerate()
                .map(|(number, (at, fault))| format!("{number:>4} {:>8}.{:03} ms {fault:?}", at.0 / 1000, at.0 % 1000)),
        );
        lines.push(format!("safety phase until {} ms, then {core:?} heal first", safety_ends.0 / 1000));
        lines
    }

    /// The plan with only some of its faults.
    #[must_use]
    pub fn only(mut self, which: Option<&[usize]>) -> Self {
        if let Some(which) = which {
            let faults = self.faults.into_iter().enumerate();
            self.faults = faults.filter(|(at, _)| which.contains(at)).map(|(_, fault)| fault).collect();
        }
        self
    }
}

/// In every eighth run history is let go of. Drawn apart, so that faults are what they would be without.
fn retention(seed: u64, servers: usize, always: bool) -> Vec<Retention> {
    let mut rng = Rng::new(seed ^ 0x4ee9);
    if seed % LETTING_GO != LETTING_GO - 1 && !always {
        return Vec::new();
    }
    let times = Retention {
        keep: Keep::All,
        view_lasts: rng.wait(secs(2), secs(8)),
        view_holds: rng.between(20, 400),
        absent_for: rng.wait(secs(2), secs(30)),
    };
    let one = rng.between(1, 5);
    let mut draw = || match rng.below(20) {
        0 if one == 1 => Keep::All,
        1 => Keep::Bytes(rng.between(4_000, 100_000)),
        _ => Keep::For(rng.wait(secs(1), secs(20))),
    };
    (0..servers).map(|_| Retention { keep: draw(), ..times }).collect()
}

/// Wires that take on little, in some runs: all of them, and then one or another that takes on less, or more. Drawn apart, as
/// above.
fn narrow(seed: u64, stations: usize, length: Duration, always: bool, faults: &mut Vec<(Time, Fault)>) {
    let mut rng = Rng::new(seed ^ 0xba4d);
    if !rng.chance(NARROW) && !always {
        return;
    }
    let widths = [1_000_000, 2_000_000, 5_000_000, 10_000_000];
    let bandwidth = |rng: &mut Rng| Bandwidth {
        bits: rng.pick(&widths).copied().unwrap_or(1_000_000),
        queue_bytes: rng.pick(&[32_000, 64_000, 256_000]).copied().unwrap_or(64_000),
    };
    let begins = Time(0) + rng.wait(Duration::ZERO, secs(3));
    faults.push((begins, Fault::BandwidthOfAll(Some(bandwidth(&mut rng)))));
    for _ in 0..rng.below(6) {
        let at = begins + rng.wait(ms(1), length);
        let of = if rng.chance(200) { None } else { Some(bandwidth(&mut rng)) };
        faults.push((at, Fault::Bandwidth(rng.index(stations), of)));
    }
}

/// What befalls the processes of clients.
fn faults_of_people(rng: &mut Rng, clients: usize, length: Duration, faults: &mut Vec<(Time, Fault)>) {
    let count = if rng.chance(300) { 0 } else { rng.between(1, 12) };
    for _ in 0..count {
        let at = Time(0) + rng.wait(Duration::ZERO, length);
        let client = rng.index(clients.max(1));
        let most = *rng.pick(&[ms(30), ms(900), secs(4), secs(20)]).unwrap_or(&secs(1));
        let wait = rng.wait(ms(1), most);
        let pause = rng.chance(400);
        faults.push((at, if pause { Fault::PauseClient(client, wait) } else { Fault::RestartClient(client, wait) }));
    }
}

/// What faults are drawn for.
struct Drawing<'a> {
    rng: &'a mut Rng,
    servers: usize,
    stations: usize,
    clients: usize,
    harsh: bool,
}

impl Drawing<'_> {
    fn draw(mut self, length: Duration, faults: &mut Vec<(Time, Fault)>) {
        // Each run has its own mixture: some kinds of fault are left out altogether.
        let mut kinds: Vec<u32> = (0..12).filter(|_| self.rng.chance(450)).collect();
        if self.rng.chance(200) {
            kinds.push(12);
        }
        if self.harsh {
            kinds.extend([2, 12, 12, 13]);
        }
        if self.rng.chance(600) {
            let quality = self.quality();
            faults.push((Time(0) + self.rng.wait(Duration::ZERO, secs(3)), Fault::QualityOfAll(Box::new(quality))));
        }
        let pause = *self.rng.pick(&[ms(150), ms(600), ms(2500)]).unwrap_or(&secs(1));
        let mut at = Time(0) + self.rng.wait(ms(100), secs(3));
        let end = Time(0) + length;
        while at < end && !kinds.is_empty() {
            let kind = self.rng.pick(&kinds).copied().unwrap_or(0);
            self.fault(kind, at, faults);
            at = at + self.rng.wait(Duration::ZERO, 2 * pause);
        }
    }

    fn server(&mut self) -> usize {
        self.rng.index(self.servers)
    }

    fn fault(&mut self, kind: u32, at: Time, faults: &mut Vec<(Time, Fault)>) {
        let server = self.server();
        let later = |rng: &mut Rng, most| at + rng.wait(ms(1), most);
        match kind {
            0 | 1 => {
                let power = self.rng.chance(300);
                faults.push((at, if power { Fault::PowerOff(server) } else { Fault::Kill(server) }));
                let most = *self.rng.pick(&[ms(2), ms(300), secs(8)]).unwrap_or(&secs(1));
                faults.push((later(self.rng, most), Fault::Start(server)));
            }
            2 => {
                faults.push((at, Fault::KillLeader));
                for server in 0..self.servers {
                    faults.push((later(self.rng, secs(5)), Fault::Start(server)));
                }
            }
            3 => {
                faults.push((at, Fault::Groups(self.groups())));
                faults.push((later(self.rng, secs(8)), Fault::HealNet));
            }
            4 => {
                let other = self.server();
                let cut = match self.rng.below(10) {
                    0..3 => Cut::Multicast,
                    3..5 => Cut::Unicast,
                    _ => Cut::All,
                };
                faults.push((at, Fault::Cut(server, other, cut)));
                if self.rng.chance(400) {
                    faults.push((at, Fault::Cut(other, server, cut)));
                }
                let healed = later(self.rng, secs(6));
                faults.push((healed, Fault::Cut(server, other, Cut::None)));
                faults.push((healed, Fault::Cut(other, server, Cut::None)));
            }
            5 => {
                let most = *self.rng.pick(&[ms(50), secs(1), secs(10), secs(180)]).unwrap_or(&secs(1));
                let wait = self.rng.wait(ms(1), most);
                faults.push((at, Fault::Pause(server, wait)));
            }
            6 => {
                let manner = self.manner();
                faults.push((at, Fault::Disk(server, Box::new(manner))));
                faults.push((later(self.rng, secs(6)), Fault::Disk(server, Box::new(Manner::GOOD))));
            }
            7 => {
                let jump = *self.rng.pick(&[-86_400_000, -3000, 50, 4000, 86_400_000]).unwrap_or(&0);
                faults.push((at, Fault::ClockJump(server, jump)));
            }
            8 => {
                let quality = self.quality();
                faults.push((at, Fault::QualityAround(server, Box::new(quality))));
            }
            9 => self.at_a_moment(at, faults),
            10 => faults.push((at, Fault::MoveClient(self.rng.index(self.clients.max(1))))),
            11 => {
                faults.push((at, Fault::Leave(server)));
                faults.push((later(self.rng, secs(5)), Fault::Start(server)));
            }
            12 => self.lost_disk(server, at, faults),
            _ => self.power_of_all(at, faults),
        }
    }

    /// The power of all fails within a moment; they come back one after another, some of them late.
    fn power_of_all(&mut self, at: Time, faults: &mut Vec<(Time, Fault)>) {
        for server in 0..self.servers {
            faults.push((at + self.rng.wait(Duration::ZERO, ms(2)), Fault::PowerOff(server)));
            faults.push((at + self.rng.wait(ms(100), secs(6)), Fault::Start(server)));
        }
    }

    /// A disk that forgets: destroyed, harmed, or put back from a copy.
    fn lost_disk(&mut self, server: usize, at: Time, faults: &mut Vec<(Time, Fault)>) {
        let lost = at + self.rng.wait(ms(1), secs(5));
        match self.rng.below(3) {
            0 => faults.push((lost, Fault::Destroy(server))),
            1 => faults.push((lost, Fault::Damage(server))),
            _ => {
                faults.push((at, Fault::BackUp(server)));
                faults.push((lost, Fault::Restore(server)));
            }
        }
        faults.push((lost + self.rng.wait(ms(1), secs(4)), Fault::Start(server)));
    }

    /// A fault at the moment that a certain message is sent.
    fn at_a_moment(&mut self, at: Time, faults: &mut Vec<(Time, Fault)>) {
        const MOMENTS: [&str; 17] = [
            "propose",
            "state",
            "commit",
            "prepared",
            "install",
            "opened",
            "want-table",
            "table",
            "elect",
            "order",
            "ack",
            "data",
            "fill",
            "digest",
            "summary",
            "refuse",
            "want",
        ];
        let message = *self.rng.pick(&MOMENTS).unwrap_or(&"commit");
        let fault = match self.rng.below(4) {
            0 => Fault::KillSender,
            1 => Fault::PauseSender(self.rng.wait(ms(1), secs(3))),
            _ => Fault::Lose,
        };
        let kills = fault == Fault::KillSender;
        let count = self.rng.between(1, 6) as u32;
        faults.push((at, Fault::On(Trigger { message, from: None }, count, Box::new(fault))));
        for server in 0..self.servers {
            if kills {
                let back = at + self.rng.wait(ms(500), secs(6));
                faults.push((back, Fault::Start(server)));
            }
        }
    }

    fn groups(&mut self) -> Vec<Vec<usize>> {
        let count = self.rng.between(2, 3) as usize;
        let mut groups = vec![Vec::new(); count];
        for station in 0..self.stations {
            let group = self.rng.index(count);
            groups[group].push(station);
        }
        groups
    }

    fn quality(&mut self) -> Quality {
        let mut quality = Quality::GOOD;
        let rng = &mut *self.rng;
        if rng.chance(500) {
            quality.loss = *rng.pick(&[10, 50, 200, 500]).unwrap_or(&0);
        }
        if rng.chance(250) {
            quality.burst = 10;
            quality.burst_len = 40;
        }
        if rng.chance(350) {
            quality.duplicate = 50;
            quality.duplicate_late = *rng.pick(&[ms(2), secs(1), secs(60)]).unwrap_or(&ms(1));
        }
        if rng.chance(350) {
            quality.reorder = 100;
            quality.reorder_late = *rng.pick(&[ms(1), ms(20), ms(300)]).unwrap_or(&ms(1));
        }
        if rng.chance(250) {
            quality.corrupt = 20;
        }
        if rng.chance(250) {
            quality.latency = ms(3);
            quality.jitter = *rng.pick(&[ms(1), ms(30), ms(150)]).unwrap_or(&ms(1));
        }
        if rng.chance(80) {
            quality.lost_above = Some(rng.between(200, 1300) as usize);
        }
        quality
    }

    fn manner(&mut self) -> Manner {
        let rng = &mut *self.rng;
        match rng.below(5) {
            0 => Manner { broken: true, ..Manner::GOOD },
            1 => Manner { full: true, ..Manner::GOOD },
            2 => Manner { sync: secs(1), sync_jitter: secs(5), ..Manner::GOOD },
            _ => Manner { sync: ms(2), sync_jitter: ms(80), ..Manner::GOOD },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansion_has_every_fault_and_the_flags_run_it_again() {
        let options = Options { only: Some(vec![0, 2]), size: Some((3, 4)), ..Options::default() };
        let plan = Plan::draw(7, &options);
        let lines = plan.lines();
        assert_eq!(lines.len(), plan.faults.len() + 2);
        assert!(lines[0].starts_with("seed 7: 3 servers, 4 clients, "), "{}", lines[0]);
        assert!(lines.last().is_some_and(|line| line.starts_with("safety phase until ")));
        assert_eq!(options.flags(7), "--seed 7 --only 0,2 --size 3,4");
        let narrow = Plan::draw(7, &Options { narrow: true, ..options.clone() });
        let widths = |plan: &Plan| plan.lines().iter().filter(|line| line.contains("Bandwidth")).count();
        assert!(widths(&narrow) > 0 && widths(&plan) == 0);
        assert_eq!(narrow.faults.len() - widths(&narrow), plan.faults.len(), "the other faults are what they were");
        let lost = |plan: &Plan| plan.lines().iter().filter(|line| line.contains("PowerOff")).count();
        let harsh = Options { harsh: true, ..Options::default() };
        assert!(lost(&Plan::draw(7, &harsh)) > lost(&Plan::draw(7, &Options::default())) + 7);
        assert_eq!(harsh.flags(8), "--seed 8 --harsh");
        let calm = Options { people: true, calm: Some(secs(9)), ..Options::default() };
        assert_eq!(calm.flags(8), "--seed 8 --people --calm 9");
    }
}
