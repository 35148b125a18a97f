//! The demo itself: the servers, the talkers, what is done to them and what they make of it.

use super::Happening;
use super::fleet::{Fleet, View};
use super::ground::Ground;
use super::proof::{History, Verdict};
use super::script::{Script, Step};
use super::tale::Tale;
use super::talker::{Ledger, Talker};
use crate::cli::Run;
use crate::cli::config::{Origin, Setting, Settings};
use crate::cli::failure::{Code, Failure};
use crate::cli::output::Output;
use crate::cli::signals::Interrupt;
use crate::cli::times::clock;
use crate::cli::values::{Name, Span};
use crossbeam_channel::{Receiver, after, bounded, select};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What servers told and was not yet looked at; a server's ear waits beyond that.
const HAPPENINGS: usize = 1024;
/// How long the ring may take to answer what is done to it.
const ANSWER: Duration = Duration::from_secs(15);
/// How long histories may take to become equal.
const SETTLE: Duration = Duration::from_secs(15);
/// The time between two looks at histories that differ.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The people who talk.
const PEOPLE: [&str; 3] = ["ana", "bob", "cem"];

/// Servers' histories, each with its server's name.
type Named = Vec<(&'static str, History)>;

/// A running demo.
pub(super) struct Stage {
    // Fields are dropped in this order: talkers before servers, servers before the directory.
    talkers: Vec<Talker>,
    fleet: Fleet,
    ground: Ground,
    happenings: Receiver<Happening>,
    run: Run,
    interrupt: Interrupt,
    tale: Tale,
    ledger: Ledger,
}

impl Stage {
    /// Prepares so many servers; none of them runs yet.
    pub(super) fn open(servers: usize, run: &Run, interrupt: &Interrupt) -> Result<Self, Failure> {
        let ground = Ground::new()?;
        let (told, happenings) = bounded(HAPPENINGS);
        let settings = demo_settings(&run.settings, &ground)?;
        let quiet = Output { quiet: true, ..run.output.clone() };
        Ok(Self {
            talkers: Vec::new(),
            fleet: Fleet::new(servers, told),
            ground,
            happenings,
            tale: Tale::new(&run.output),
            run: Run { settings, output: quiet },
            interrupt: interrupt.clone(),
            ledger: Ledger::default(),
        })
    }

    /// Starts everything and waits for one ring.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        let names = self.fleet.start(&self.ground)?;
        let words = format!("{} servers start on this machine: {}; nothing leaves it", names.len(), names.join(", "));
        self.tale.tell("started", json!({ "servers": names, "net": self.ground.net }), &words)?;
        let view = self.until_one_ring(&names.clone())?;
        self.tell_ring(&view, "they found each other")?;
        for nick in PEOPLE {
            let settings = Settings { nick: set(nick.parse()?), ..self.run.settings.clone() };
            self.talkers.push(Talker::start(&settings, &self.ledger)?);
        }
        self.tale.tell("talkers", json!({ "nicks": PEOPLE }), "ana, bob and cem talk without pause")
    }

    /// Plays a script.
    pub(super) fn play(&mut self, script: &Script) -> Result<(), Failure> {
        script.steps.iter().try_for_each(|step| self.step(*step))
    }

    /// Does one thing, and waits for what the ring makes of it.
    pub(super) fn step(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Talk(time) => self.talk(time),
            Step::CrashLeader => self.crash_leader(),
            Step::CrashAll => self.crash_all(),
            Step::Restart => self.restart(),
            Step::Cut => self.cut(),
            Step::MuteLeader => self.mute_leader(),
            Step::Lose(percent) => {
                self.fleet.lose(percent);
                let words = format!("every server loses {percent} of 100 datagrams");
                self.tale.tell("loss", json!({ "percent": percent }), &words)
            }
            Step::Heal => self.heal(),
        }
    }

    fn talk(&mut self, time: Duration) -> Result<(), Failure> {
        let end = clock() + time;
        while clock() < end {
            self.hear_until(end)?;
        }
        let (made, stable) = self.ledger.counts();
        let words = format!("{stable} of {made} messages are stable on every server of their view");
        self.tale.tell("talked", json!({ "submitted": made, "acknowledged": stable }), &words)
    }

    fn crash_leader(&mut self) -> Result<(), Failure> {
        let leader = self.leader()?;
        let killed = clock();
        self.fleet.crash(&leader);
        self.tale.tell("crashed", json!({ "server": leader }), &format!("{leader}, who leads, is killed (kill -9)"))?;
        let rest = self.fleet.running();
        let view = self.until_one_ring(&rest)?;
        let took = killed.elapsed();
        self.tell_ring(&view, &format!("after {} ms", took.as_millis()))?;
        self.tell_next_acknowledgement(killed)
    }

    fn crash_all(&mut self) -> Result<(), Failure> {
        let names = self.fleet.running();
        for name in &names {
            self.fleet.crash(name);
        }
        self.tale.tell("crashed", json!({ "servers": names }), "all servers are killed at once (kill -9)")
    }

    fn restart(&mut self) -> Result<(), Failure> {
        let begun = clock();
        let names = self.fleet.start(&self.ground)?;
        self.tale.tell("restarted", json!({ "servers": names }), &format!("started again: {}", names.join(", ")))?;
        let all = self.fleet.running();
        let view = self.until_one_ring(&all)?;
        self.tell_ring(&view, &format!("complete again after {} ms", begun.elapsed().as_millis()))
    }

    fn cut(&mut self) -> Result<(), Failure> {
        let leader = self.leader()?;
        let all = self.fleet.running();
        let mut lesser: Vec<&'static str> = all.iter().copied().filter(|name| *name == leader).collect();
        lesser.extend(all.iter().copied().filter(|name| *name != leader).take((all.len() / 2).saturating_sub(1)));
        lesser.sort_unstable();
        let greater: Vec<&'static str> = all.into_iter().filter(|name| !lesser.contains(name)).collect();
        let begun = clock();
        self.fleet.cut(&lesser);
        let (one, other) = (lesser.join(", "), greater.join(", "));
        let words = format!("the network is cut: {one} on one side, {other} on the other");
        self.tale.tell("cut", json!({ "sides": [lesser, greater] }), &words)?;
        for side in [&greater, &lesser] {
            let view = self.until_one_ring(side)?;
            self.tell_ring(&view, &format!("on its own after {} ms", begun.elapsed().as_millis()))?;
        }
        Ok(())
    }

    fn mute_leader(&mut self) -> Result<(), Failure> {
        let leader = self.leader()?;
        let begun = clock();
        self.fleet.mute(&[&leader]);
        let words = format!("nobody hears {leader} any more; it hears everyone");
        self.tale.tell("muted", json!({ "server": leader }), &words)?;
        let rest: Vec<&'static str> = self.fleet.running().into_iter().filter(|name| *name != leader).collect();
        let view = self.until_one_ring(&rest)?;
        self.tell_ring(&view, &format!("without it after {} ms", begun.elapsed().as_millis()))
    }

    fn heal(&mut self) -> Result<(), Failure> {
        let begun = clock();
        self.fleet.heal();
        self.tale.tell("healed", json!({}), "the network is whole again")?;
        let all = self.fleet.running();
        let view = self.until_one_ring(&all)?;
        self.tell_ring(&view, &format!("one ring after {} ms", begun.elapsed().as_millis()))
    }

    fn tell_ring(&self, view: &View, how: &str) -> Result<(), Failure> {
        let mut names = view.members.clone();
        names.extend(view.members.first().cloned());
        let fields = json!({ "epoch": view.epoch, "leader": view.leader, "members": view.members });
        let words = format!("{} leads ({how}, epoch {}): {}", view.leader, view.epoch, names.join(" → "));
        self.tale.tell("ring", fields, &words)
    }

    /// Waits until something is acknowledged that was not before, and tells how long people had to wait.
    fn tell_next_acknowledgement(&mut self, since: Instant) -> Result<(), Failure> {
        let limit = clock() + ANSWER;
        while self.ledger.last().is_none_or(|last| last <= since) {
            if clock() > limit {
                return Err(failed("nothing was acknowledged any more"));
            }
            self.hear_until(clock() + LOOK_AGAIN / 10)?;
        }
        let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tale.tell("talks_on", json!({ "pause_ms": ms }), &format!("talk goes on {ms} ms after the crash"))
    }

    fn leader(&mut self) -> Result<String, Failure> {
        self.fleet.leader().ok_or_else(|| failed("nobody leads"))
    }

    /// Waits until exactly these are in one ring, ready.
    fn until_one_ring(&mut self, names: &[&'static str]) -> Result<View, Failure> {
        let mut names = names.to_vec();
        names.sort_unstable();
        let limit = clock() + ANSWER;
        loop {
            if let Some(view) = self.fleet.view_of(&names) {
                return Ok(view.clone());
            }
            if clock() >= limit {
                return Err(failed(&format!("{} did not come together", names.join(", "))));
            }
            self.hear_until(limit)?;
        }
    }

    /// Takes note of the next thing that happens, or of nothing until then.
    pub(super) fn hear_until(&mut self, until: Instant) -> Result<(), Failure> {
        select! {
            recv(self.interrupt.channel()) -> _ => return Err(Failure::interrupted()),
            recv(self.happenings) -> happening => match happening {
                Ok(Happening::Server { at, event }) => self.fleet.hear(at, &event),
                Ok(Happening::Ended { at }) => self.fleet.ended(at).map_or(Ok(()), |name| {
                    Err(failed(&format!("server {name} ended by itself")))
                })?,
                Err(_) => return Err(failed("the servers have ended")),
            },
            recv(after(until.saturating_duration_since(clock()))) -> _ => {}
        }
        Ok(())
    }

    /// Everyone is quiet; then histories must be equal, and hold everything that was acknowledged.
    ///
    /// # Errors
    /// [`Code::DemoFailed`] when they are not.
    pub(super) fn prove_all(&mut self) -> Result<(), Failure> {
        self.talkers.iter_mut().for_each(Talker::hush);
        let unacknowledged: usize = std::mem::take(&mut self.talkers).into_iter().map(Talker::end).sum();
        let limit = clock() + SETTLE;
        let (mut verdict, mut copies) = self.prove()?;
        while !verdict.is_good() && clock() < limit {
            let again = clock() + LOOK_AGAIN;
            while clock() < again {
                self.hear_until(again)?;
            }
            (verdict, copies) = self.prove()?;
        }
        self.tell_proof(verdict, &copies)?;
        if verdict.is_good() && unacknowledged == 0 {
            return Ok(());
        }
        let what = match (verdict.equal, verdict.lost) {
            (false, _) => "histories differ".to_owned(),
            (true, 0) => format!("{unacknowledged} messages were never acknowledged"),
            (true, lost) => format!("{lost} acknowledged messages are missing or doubled"),
        };
        Err(failed(&what))
    }

    /// Reads every running server's history as it is now.
    pub(super) fn prove(&mut self) -> Result<(Verdict, Named), Failure> {
        let acknowledged = self.ledger.acknowledged();
        let mut named = Vec::new();
        for name in self.fleet.running() {
            let settings = Settings { server: set(Some(name.parse()?)), ..self.run.settings.clone() };
            let run = Run { settings, output: self.run.output.clone() };
            named.push((name, History::read(&run, &self.interrupt)?));
        }
        let verdict = Verdict::of(named.iter().map(|(_, copy)| copy), &acknowledged);
        Ok((verdict, named))
    }

    /// Tells what the copies prove.
    pub(super) fn tell_proof(&self, verdict: Verdict, copies: &[(&'static str, History)]) -> Result<(), Failure> {
        for (name, copy) in copies {
            let digest = format!("{:016x}", copy.digest);
            let words = format!("{name}: {} messages, digest {digest}", copy.messages);
            let fields = json!({ "server": name, "messages": copy.messages, "digest": digest });
            self.tale.tell("history", fields, &words)?;
        }
        let equal = if verdict.equal { "all histories are equal" } else { "histories are not equal yet" };
        let words = format!("{equal}; acknowledged messages lost: {}", verdict.lost);
        self.tale.tell("proof", json!({ "equal": verdict.equal, "lost": verdict.lost }), &words)
    }

    /// Tells one thing.
    pub(super) fn tell(&self, event: &str, fields: Value, words: &str) -> Result<(), Failure> {
        self.tale.tell(event, fields, words)
    }
}

/// The settings of a demo's clients: nothing of the user's own.
fn demo_settings(own: &Settings, ground: &Ground) -> Result<Settings, Failure> {
    Ok(Settings {
        net: set(ground.net.parse::<Name>()?),
        local: set(true),
        port: set(ground.port),
        iface: set(Vec::new()),
        peer: set(Vec::new()),
        group: set(None),
        server: set(None),
        timeout: set(Span(ANSWER)),
        ..own.clone()
    })
}

fn failed(what: &str) -> Failure {
    Failure::new(Code::DemoFailed, format!("The demo failed: {what}.")).hint("ringtalk -v demo shows what servers log")
}

fn set<T>(value: T) -> Setting<T> {
    Setting { value, origin: Origin::BuiltIn }
}
