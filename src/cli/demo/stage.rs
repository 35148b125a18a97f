//! The demo itself: one loop that hears servers, talkers, the proof, keys and pages, and tells what comes of it.

use super::Happening;
use super::acts::Trouble;
use super::child::Life;
use super::classroom::Invitation;
use super::commentary::{Commentary, short};
use super::fleet::{Fleet, State};
use super::ground::{Ground, set};
use super::play::Play;
use super::proof::{History, Verdict};
use super::repairs::Repairs;
use super::standing::{Report, Roster, Standing};
use super::tale::Tale;
use super::talker::{Company, Ledger, Talker};
use super::view::View;
use crate::cli::Run;
use crate::cli::config::Settings;
use crate::cli::failure::{Code, Failure};
use crate::cli::output::Output;
use crate::cli::signals::Interrupt;
use crate::cli::times::{clock, now_ms};
use crate::client::Notice;
use crate::web::control::{Control, Controls, Refused};
use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What was told and not yet looked at; a server's ear waits beyond that.
const HAPPENINGS: usize = 1024;
/// How long the ring may take to answer what is done to it.
pub(super) const ANSWER: Duration = Duration::from_secs(20);
/// How long histories may take to become equal.
const SETTLE: Duration = Duration::from_secs(20);
/// The time between two looks at histories that differ.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The people who talk.
const PEOPLE: [&str; 4] = ["ana", "bob", "cem", "dia"];
/// How long a talker may take to find a server before the next begins.
const GREETING: Duration = Duration::from_secs(2);
/// The document is shown this often to pages, and at most ten times as often when something has changed; to scripts when
/// something has changed, at most this often.
const SHOW: Duration = Duration::from_secs(1);
/// For so long after datagrams were lost are the records read.
const AFTERMATH: Duration = Duration::from_secs(5);
/// The standing proof is told this often even if nothing changes.
const PROVE: Duration = Duration::from_secs(20);

/// Servers' histories, each with its server's name.
type Named = Vec<(&'static str, History)>;

/// How a demo goes.
pub(super) struct Manner {
    /// How many servers.
    pub(super) servers: usize,
    /// The time between two messages of one talker.
    pub(super) pace: Duration,
    /// Whether keys are listened to.
    pub(super) keys: bool,
    /// Whether a lesson that does not come out as it should ends the demo.
    pub(super) strict: bool,
}

/// A running demo.
pub(super) struct Stage {
    // Fields are dropped in this order: talkers and the proof before servers, servers before the directory.
    pub(super) talkers: Vec<Talker>,
    standing: Option<Standing>,
    pub(super) fleet: Fleet,
    pub(super) ground: Ground,
    happenings: Receiver<Happening>,
    told: Sender<Happening>,
    keys: Receiver<u8>,
    run: Run,
    interrupt: Interrupt,
    pub(super) tale: Tale,
    pub(super) invitation: Invitation,
    pub(super) ledger: Ledger,
    pub(super) manner: Manner,
    commentary: Commentary,
    repairs: Repairs,
    /// When datagrams were lost last, while the records are read.
    lossy: Option<Instant>,
    roster: Roster,
    pub(super) report: Report,
    pub(super) play: Option<Play>,
    /// Whether the play's next step was asked for.
    pub(super) step_asked: bool,
    /// At which server each talker is.
    pub(super) homes: BTreeMap<String, String>,
    /// The servers that a step chose.
    pub(super) chosen: Option<usize>,
    shown: Shown,
}

/// What was last shown and told of the state of things.
struct Shown {
    to_pages: Value,
    at: Instant,
    to_scripts: Value,
    scripts_at: Instant,
    is_stale: bool,
    proof: Option<(bool, u64)>,
    unequal: u32,
    proved_at: Instant,
}

impl Stage {
    /// Prepares the servers; none of them runs yet.
    pub(super) fn open(
        manner: Manner,
        ground: Ground,
        run: &Run,
        interrupt: &Interrupt,
        pages: Option<Controls>,
    ) -> Result<Self, Failure> {
        let (told, happenings) = bounded(HAPPENINGS);
        let settings = ground.settings(&run.settings)?;
        let now = clock();
        Ok(Self {
            talkers: Vec::new(),
            standing: None,
            fleet: Fleet::new(manner.servers, told.clone()),
            ground,
            happenings,
            told,
            keys: never(),
            tale: Tale::new(&run.output, pages),
            invitation: Invitation::default(),
            run: Run { settings, output: Output { quiet: true, ..run.output.clone() } },
            interrupt: interrupt.clone(),
            ledger: Ledger::default(),
            commentary: Commentary::default(),
            repairs: Repairs::new(manner.servers, now),
            lossy: None,
            roster: Roster::new(manner.servers),
            report: Report::default(),
            play: None,
            step_asked: false,
            homes: BTreeMap::new(),
            chosen: None,
            shown: Shown {
                to_pages: Value::Null,
                at: now,
                to_scripts: Value::Null,
                scripts_at: now,
                is_stale: true,
                proof: None,
                unequal: 0,
                proved_at: now,
            },
            manner,
        })
    }

    /// Starts everything and waits for one ring.
    pub(super) fn begin(&mut self, page: Option<&str>) -> Result<(), Failure> {
        if let Some(page) = page {
            self.tale.say(&format!("page   {page}"))?;
        }
        let names = self.fleet.names();
        for at in 0..names.len() {
            self.fleet.start(at, &self.ground)?;
        }
        let words = format!("{} servers start, each a process of its own: {}.", names.len(), names.join(", "));
        let fields = json!({ "servers": names, "net": self.ground.net, "port": self.ground.port, "page": page });
        self.tell("started", fields, &words)?;
        let all: Vec<usize> = (0..names.len()).collect();
        let view = self.until_one_ring(&all)?;
        let ids: Vec<String> = view.members.iter().map(|(id, name)| format!("{name} {}…", short(id))).collect();
        self.tell_ring(&view, "they found each other")?;
        let words =
            format!("Their ids, in the order of the ring: {}. Of equals, the greatest id leads.", ids.join(" → "));
        self.tell("ids", json!({ "ids": view.members }), &words)?;
        self.standing =
            Some(Standing::start(&names, &self.roster, &self.ledger, &self.run.settings, &self.interrupt, &self.told)?);
        self.begin_talk()
    }

    /// The talkers come one after another, so that each sees where the others are and goes elsewhere.
    fn begin_talk(&mut self) -> Result<(), Failure> {
        let company = Company { ledger: self.ledger.clone(), pace: self.manner.pace, told: self.told.clone() };
        for nick in PEOPLE {
            let settings = Settings { nick: set(nick.parse()?), ..self.run.settings.clone() };
            self.talkers.push(Talker::start(&settings, &company)?);
            let limit = clock() + GREETING;
            while !self.homes.contains_key(nick) && clock() < limit {
                self.turn(limit)?;
            }
        }
        let at: Vec<String> = self.homes.iter().map(|(nick, home)| format!("{nick} at {home}")).collect();
        let words = format!("People talk without pause: {}.", at.join(", "));
        self.tell("talkers", json!({ "nicks": PEOPLE, "homes": self.homes }), &words)
    }

    /// Keys come from here on.
    pub(super) fn listen_to(&mut self, keys: Receiver<u8>) {
        self.keys = keys;
    }

    /// Takes note of the next thing that happens, or of nothing until then, and does what is due. A key, if one was pressed.
    pub(super) fn turn(&mut self, until: Instant) -> Result<Option<u8>, Failure> {
        let mut until = until.min(self.shown.at + if self.shown.is_stale { SHOW / 10 } else { SHOW });
        if let Some(due) = self.commentary.due() {
            until = until.min(due);
        }
        let nobody = never();
        let pages = self.tale.pages().map_or(&nobody, Controls::requests);
        let mut key = None;
        let mut asked = None;
        let mut heard = None;
        select! {
            recv(self.interrupt.channel()) -> _ => return Err(Failure::interrupted()),
            recv(self.happenings) -> happening => heard = happening.ok(),
            recv(self.keys) -> pressed => match pressed {
                Ok(pressed) => key = Some(pressed),
                Err(_) => self.keys = never(),
            },
            recv(pages) -> control => asked = control.ok(),
            recv(after(until.saturating_duration_since(clock()))) -> _ => {}
        }
        if let Some(happening) = heard {
            self.take_note(happening)?;
        }
        if let Some(control) = asked {
            self.obey(control)?;
        }
        for (when, words) in self.commentary.take(clock()) {
            self.tale.tell_of(when, "tale", json!({}), &words)?;
        }
        self.watch_repairs();
        self.advance()?;
        self.show_due()?;
        Ok(key)
    }

    fn take_note(&mut self, happening: Happening) -> Result<(), Failure> {
        match happening {
            Happening::Server { life, event } => self.hear_server(life, &event),
            Happening::Ended { life } => return self.hear_end(life),
            Happening::Person { nick, notice } => {
                if let Notice::Home { server, .. } | Notice::Moved { to: server, .. } = &notice {
                    self.homes.insert(nick.clone(), server.clone());
                }
                self.commentary.hear_person(clock(), &nick, &notice);
            }
            Happening::Proof(report) => {
                self.repairs.add(&report.found);
                self.report = report;
                self.tell_repairs()?;
                self.tell_standing()?;
            }
        }
        self.shown.is_stale = true;
        Ok(())
    }

    fn hear_server(&mut self, life: Life, event: &Value) {
        let before = self.fleet.view_at(life.at).cloned();
        if !self.fleet.hear(life, event) {
            return;
        }
        if matches!(event["event"].as_str(), Some("merged" | "caught_up")) {
            self.roster.note_merge(life.at);
        }
        self.note_lives();
        let name = self.fleet.name(life.at);
        // The first ring is told of once it is whole.
        if self.standing.is_some() {
            self.commentary.hear(clock(), name, event, before.as_ref(), &self.fleet);
        }
    }

    fn hear_end(&mut self, life: Life) -> Result<(), Failure> {
        let Some(at) = self.fleet.ended(life) else { return Ok(()) };
        let name = self.fleet.name(at);
        if self.manner.strict || self.standing.is_none() {
            return Err(failed(&format!("server {name} ended by itself")));
        }
        self.fleet.crash(at);
        self.note_lives();
        self.tell("ended", json!({ "server": name }), &format!("{name} ended by itself."))
    }

    /// Tells how lost datagrams were had after all.
    fn tell_repairs(&mut self) -> Result<(), Failure> {
        let names = self.fleet.names();
        let dropped: Vec<u64> = (0..names.len()).map(|at| self.fleet.dropped(at)).collect();
        let words = self.repairs.take(clock(), &names, &dropped);
        words.map_or(Ok(()), |words| self.tell("tale", json!({}), &words))
    }

    /// Has the records read as long as datagrams are lost, and a little longer.
    fn watch_repairs(&mut self) {
        let is_lossy = (0..self.fleet.names().len()).any(|at| self.fleet.wiring().loss_of(at) > 0);
        match (is_lossy, self.lossy) {
            (true, None) => {
                self.roster.look_for_repairs(Some(now_ms() * 1000));
                self.lossy = Some(clock());
            }
            (true, Some(_)) => self.lossy = Some(clock()),
            (false, Some(last)) if last.elapsed() > AFTERMATH => {
                self.roster.look_for_repairs(None);
                self.lossy = None;
            }
            (false, _) => {}
        }
    }

    /// Tells the proof which servers can be asked.
    pub(super) fn note_lives(&mut self) {
        for at in 0..self.fleet.names().len() {
            let (life, can_be_asked) = self.fleet.life(at);
            self.roster.note(at, life, can_be_asked);
        }
        self.shown.is_stale = true;
    }

    fn obey(&mut self, control: Control) -> Result<(), Failure> {
        let action = super::control::read(control.request(), &self.fleet.names());
        match action.map_err(Trouble::Refused).and_then(|action| self.perform(action)) {
            Ok(()) => control.done(),
            Err(Trouble::Refused(refusal)) => {
                control.refuse(Refused::new(refusal.code, refusal.message).hint(refusal.hint));
            }
            Err(Trouble::Failed(failure)) => return Err(failure),
        }
        Ok(())
    }

    fn show_due(&mut self) -> Result<(), Failure> {
        let now = clock();
        let since = now.saturating_duration_since(self.shown.at);
        if since < SHOW && !(self.shown.is_stale && since >= SHOW / 10) {
            return Ok(());
        }
        let document = self.document();
        (self.shown.at, self.shown.is_stale) = (now, false);
        if document != self.shown.to_pages || since >= SHOW {
            self.tale.show_pages(&document);
            self.shown.to_pages.clone_from(&document);
        }
        if document != self.shown.to_scripts && now.saturating_duration_since(self.shown.scripts_at) >= SHOW {
            self.tale.show_scripts(&document)?;
            (self.shown.to_scripts, self.shown.scripts_at) = (document, now);
        }
        Ok(())
    }

    /// Tells of the standing proof when it has changed, and now and then.
    fn tell_standing(&mut self) -> Result<(), Failure> {
        let (equal, lost) = (self.report.equal, self.report.lost);
        self.shown.unequal = if equal { 0 } else { self.shown.unequal + 1 };
        // One check may fall between a message and its arrival at a slow server.
        if self.shown.unequal == 1 && lost == 0 {
            return Ok(());
        }
        let is_news = self.shown.proof != Some((equal, lost));
        if !is_news && self.shown.proved_at.elapsed() < PROVE {
            return Ok(());
        }
        self.shown.proof = Some((equal, lost));
        self.tell_report()
    }

    /// Tells how the standing proof stands.
    pub(super) fn tell_report(&mut self) -> Result<(), Failure> {
        self.shown.proved_at = clock();
        let Report { equal, acknowledged, lost, .. } = self.report;
        let running = self.fleet.in_state(State::Running);
        let digest = running.first().and_then(|&at| self.report.copies.get(at)).map_or(0, |copy| copy.0);
        let how = if equal {
            format!("the histories of {} servers are equal (digest {digest:016x})", running.len())
        } else {
            "the histories are not equal yet".to_owned()
        };
        let words = format!("Proof: {how}; acknowledged so far: {acknowledged}, of these lost: {lost}.");
        self.tell("standing", json!({ "equal": equal, "acknowledged": acknowledged, "lost": lost }), &words)
    }

    /// Whether something was heard that is not told yet.
    pub(super) fn has_words(&self) -> bool {
        self.commentary.is_busy()
    }

    /// Tells of a ring.
    pub(super) fn tell_ring(&self, view: &View, how: &str) -> Result<(), Failure> {
        let fields = json!({ "epoch": view.epoch, "leader": view.leader, "members": view.names() });
        let words = format!("One ring, {how}: {}; {} leads (epoch {}).", view.ring(), view.leader, view.epoch);
        self.tell("ring", fields, &words)
    }

    /// Waits until exactly these are in one ring, ready.
    pub(super) fn until_one_ring(&mut self, these: &[usize]) -> Result<View, Failure> {
        let limit = clock() + ANSWER;
        loop {
            if let Some(view) = self.fleet.view_of(these) {
                return Ok(view.clone());
            }
            if clock() >= limit {
                let names: Vec<&str> = these.iter().map(|&at| self.fleet.name(at)).collect();
                return Err(failed(&format!("{} did not come together", names.join(", "))));
            }
            self.turn(limit)?;
        }
    }

    /// Everyone is quiet; then histories must be equal, and hold everything that was acknowledged.
    ///
    /// # Errors
    /// [`Code::DemoFailed`] when they are not.
    pub(super) fn prove_all(&mut self) -> Result<(), Failure> {
        self.talkers.iter_mut().for_each(Talker::hush);
        let unacknowledged: usize = std::mem::take(&mut self.talkers).into_iter().map(Talker::end).sum();
        self.standing = None;
        let limit = clock() + SETTLE;
        let (mut verdict, mut copies) = self.prove()?;
        while !verdict.is_good() && clock() < limit {
            let again = clock() + LOOK_AGAIN;
            while clock() < again {
                self.turn(again)?;
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
    fn prove(&mut self) -> Result<(Verdict, Named), Failure> {
        let acknowledged = self.ledger.acknowledged();
        let mut named = Vec::new();
        for at in self.fleet.in_state(State::Running) {
            let name = self.fleet.name(at);
            let settings = Settings { server: set(Some(name.parse()?)), ..self.run.settings.clone() };
            let run = Run { settings, output: self.run.output.clone() };
            named.push((name, History::read(&run, &self.interrupt)?));
        }
        let verdict = Verdict::of(named.iter().map(|(_, copy)| copy), &acknowledged);
        Ok((verdict, named))
    }

    /// Tells what the copies prove.
    fn tell_proof(&self, verdict: Verdict, copies: &[(&'static str, History)]) -> Result<(), Failure> {
        for (name, copy) in copies {
            let digest = format!("{:016x}", copy.digest);
            let words = format!("{name}: {} messages, digest {digest}", copy.messages);
            let fields = json!({ "server": name, "messages": copy.messages, "digest": digest });
            self.tell("history", fields, &words)?;
        }
        let equal = if verdict.equal { "All histories are equal" } else { "The histories are not equal" };
        let acknowledged = self.ledger.counts().1;
        let words = format!("{equal}. Acknowledged: {acknowledged}; of these lost: {}.", verdict.lost);
        self.tell(
            "proof",
            json!({ "acknowledged": acknowledged, "equal": verdict.equal, "lost": verdict.lost }),
            &words,
        )
    }

    /// Tells one thing.
    pub(super) fn tell(&self, event: &str, fields: Value, words: &str) -> Result<(), Failure> {
        self.tale.tell(event, fields, words)
    }
}

/// A demo that did not come out as it should.
pub(super) fn failed(what: &str) -> Failure {
    Failure::new(Code::DemoFailed, format!("The demo failed: {what}.")).hint("ringtalk -v demo shows what servers log")
}
