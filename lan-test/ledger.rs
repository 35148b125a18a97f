//! What every program said, held against each other.
//!
//! Four books: what was given to each `send`, what each `send` called stable, the one history that all servers tell, and
//! what each `tail` showed. [`Ledger::verdicts`] lists what does not agree. What was let go of is no history, and must not be.

use crate::host::Line;
use crate::load::Sender;
use ringtalk::time::Hlc;
use ringtalk::web::document::time::rfc3339;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

/// Pieces of evidence of one kind that are shown; the rest is counted.
const SHOWN: usize = 5;

/// A span in which something was wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
    /// Of a cut: hosts on one side and on the other. People on both must be heard.
    pub(crate) sides: Vec<Vec<u8>>,
}

/// A span in which everyone who talks must have something acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) from: Instant,
    pub(crate) span: Duration,
}

/// One message, as `history` or `tail` printed it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Message {
    id: String,
    room: String,
    text: String,
    key: String,
    late: bool,
}

impl Message {
    fn of(json: &Value) -> Option<Self> {
        let field = |name: &str| json[name].as_str().map(str::to_owned);
        (json["event"] == "message").then_some(())?;
        Some(Self {
            id: field("id")?,
            room: field("room")?,
            text: field("text")?,
            key: field("key")?,
            late: json["late"] == true,
        })
    }
}

/// One `stable` line of a sender.
#[derive(Clone, Debug)]
struct Stable {
    id: String,
    /// The time of its place in history, as events tell times.
    when: String,
    took: Duration,
    at: Instant,
}

impl Stable {
    /// `None` of a line that is none, or that claims more copies than there are servers.
    fn of(line: &Line) -> Option<Self> {
        let json = line.json();
        let (copies, of) = (json["copies"].as_u64()?, json["of"].as_u64()?);
        (json["event"] == "stable" && (1..=of).contains(&copies)).then_some(())?;
        let took = Duration::try_from_secs_f64(json["ms"].as_f64()? / 1_000.0).ok()?;
        let hlc = u64::from_str_radix(json["key"].as_str()?.get(..16)?, 16).ok()?;
        Some(Self { id: json["id"].as_str()?.to_owned(), when: rfc3339(Hlc(hlc).wall_ms()), took, at: line.at })
    }
}

/// What one sender was given and said.
#[derive(Debug)]
pub(crate) struct Account {
    title: String,
    room: String,
    host: u8,
    given: Vec<(Instant, String)>,
    stable: Vec<Stable>,
    odd: Vec<String>,
}

/// The books of a scenario.
#[derive(Debug)]
pub(crate) struct Ledger {
    accounts: Vec<Account>,
    history: Vec<Message>,
    unread: usize,
    /// What was said before is history no more; empty when everything is kept.
    horizon: String,
    tails: Vec<(String, Vec<Message>)>,
    /// What was said from here on every tail must show.
    followed: Instant,
    faults: Vec<Fault>,
    demands: Vec<Demand>,
}

/// Evidence of one kind.
#[derive(Default)]
struct Evidence {
    shown: Vec<String>,
    more: usize,
}

impl Evidence {
    fn add(&mut self, piece: impl fmt::Display) {
        if self.shown.len() < SHOWN {
            self.shown.push(piece.to_string());
        } else {
            self.more += 1;
        }
    }

    fn lines(mut self) -> Vec<String> {
        if self.more > 0 {
            self.shown.push(format!("… and {} more of this kind", self.more));
        }
        self.shown
    }
}

impl Ledger {
    /// Opens the books. `history` is what all servers tell, byte for byte; the tails follow since `followed`.
    pub(crate) fn open(senders: &[Sender], history: &[u8], faults: Vec<Fault>, followed: Instant) -> Self {
        Self::of(senders.iter().map(Account::of).collect(), history, faults, followed)
    }

    /// As [`Ledger::open`], with accounts.
    pub(crate) fn of(accounts: Vec<Account>, history: &[u8], faults: Vec<Fault>, followed: Instant) -> Self {
        let lines: Vec<&[u8]> = history.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let read: Vec<Message> =
            lines.iter().filter_map(|line| Message::of(&serde_json::from_slice(line).ok()?)).collect();
        let unread = lines.len() - read.len();
        let (tails, demands, horizon) = (Vec::new(), Vec::new(), String::new());
        Self { accounts, unread, horizon, history: read, tails, followed, faults, demands }
    }

    /// Adds what a tail showed.
    pub(crate) fn tail(&mut self, title: String, lines: &[Line]) {
        let shown = lines.iter().filter(|line| line.is_event("message")).filter_map(|line| Message::of(&line.json()));
        self.tails.push((title, shown.collect()));
    }

    /// Adds what must have been acknowledged, and when.
    pub(crate) fn demand(&mut self, demands: Vec<Demand>) {
        self.demands.extend(demands);
    }

    /// What was said before this time was let go of.
    pub(crate) fn let_go(&mut self, horizon: String) {
        self.horizon = horizon;
    }

    /// Messages that were called stable and are history no more.
    pub(crate) fn gone(&self) -> usize {
        let stable = self.accounts.iter().flat_map(|account| &account.stable);
        stable.filter(|stable| stable.when < self.horizon).count()
    }

    /// Messages in history.
    pub(crate) fn messages(&self) -> usize {
        self.history.len()
    }

    /// How long messages took to be stable, as the senders measured it: the middle one and the longest.
    pub(crate) fn latency(&self) -> (Duration, Duration) {
        let stable = self.accounts.iter().flat_map(|account| &account.stable);
        let mut all: Vec<Duration> = stable.map(|stable| stable.took).collect();
        all.sort_unstable();
        let at = |index: usize| all.get(index).copied().unwrap_or_default();
        (at(all.len() / 2), at(all.len().saturating_sub(1)))
    }

    /// Everything that does not agree; nothing when the guarantees held.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let kinds = [
            self.unreadable(),
            self.stable_is_in_history_once(),
            self.history_is_what_was_said(),
            self.history_is_in_order(),
            self.tails_repeat_nothing(),
            self.tails_are_in_order(),
            self.tails_show_everything(),
            self.faults_were_lived_through(),
            self.everyone_was_served(),
        ];
        kinds.into_iter().flat_map(Evidence::lines).collect()
    }

    fn unreadable(&self) -> Evidence {
        let mut evidence = Evidence::default();
        if self.unread > 0 {
            evidence.add(format_args!("{} lines of history are no messages", self.unread));
        }
        for account in &self.accounts {
            for line in &account.odd {
                evidence.add(format_args!("{} said {line}", account.title));
            }
        }
        evidence
    }

    /// Every message that a `send` called stable is in history exactly once, unchanged, and each was answered for; but those that
    /// were let go of are not.
    fn stable_is_in_history_once(&self) -> Evidence {
        let mut evidence = Evidence::default();
        let mut by_id: BTreeMap<&str, Vec<&Message>> = BTreeMap::new();
        for message in &self.history {
            by_id.entry(&message.id).or_default().push(message);
        }
        for account in &self.accounts {
            let given: BTreeSet<&str> = account.given.iter().map(|(_, text)| text.as_str()).collect();
            let mut answered = BTreeSet::new();
            for stable in &account.stable {
                if !answered.insert(&stable.id) {
                    evidence.add(format_args!("{} called {} stable twice", account.title, stable.id));
                }
                match by_id.get(stable.id.as_str()).map(Vec::as_slice) {
                    None if stable.when <= self.horizon => {}
                    Some(_) if stable.when < self.horizon => {
                        evidence.add(format_args!("{}: {} was let go of and is in history", account.title, stable.id));
                    }
                    None => evidence.add(format_args!("{}: {} was stable and is lost", account.title, stable.id)),
                    Some([one]) if given.contains(one.text.as_str()) && one.room == account.room => {}
                    Some([one]) => {
                        evidence.add(format_args!("{}: {} came out changed: {one:?}", account.title, one.id));
                    }
                    Some(many) => {
                        evidence.add(format_args!(
                            "{}: {} is in history {} times",
                            account.title,
                            stable.id,
                            many.len()
                        ));
                    }
                }
            }
            if account.stable.len() != account.given.len() {
                let (stable, given) = (account.stable.len(), account.given.len());
                evidence.add(format_args!("{}: {given} lines given, {stable} called stable", account.title));
            }
        }
        evidence
    }

    /// Each text is in history once, under its sender's room, in the order in which the sender was given it; and nothing else.
    fn history_is_what_was_said(&self) -> Evidence {
        let mut evidence = Evidence::default();
        let mut said: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (a, account) in self.accounts.iter().enumerate() {
            for (n, (_, text)) in account.given.iter().enumerate() {
                said.insert(text, (a, n));
            }
        }
        let mut last: Vec<Option<usize>> = vec![None; self.accounts.len()];
        for message in &self.history {
            let Some((a, n)) = said.get(message.text.as_str()).copied() else {
                evidence.add(format_args!("nobody said {message:?}"));
                continue;
            };
            if last[a] == Some(n) {
                evidence.add(format_args!("{:?} is in history twice", message.text));
            } else if last[a].is_some_and(|before| before > n) {
                let before = last[a].unwrap_or_default();
                evidence.add(format_args!("{}: message {n} stands behind {before}", self.accounts[a].title));
            }
            last[a] = last[a].max(Some(n));
        }
        evidence
    }

    fn history_is_in_order(&self) -> Evidence {
        let mut evidence = Evidence::default();
        for pair in self.history.windows(2) {
            if pair[0].key >= pair[1].key {
                evidence.add(format_args!("history has key {} before {}", pair[0].key, pair[1].key));
            }
        }
        evidence
    }

    fn tails_repeat_nothing(&self) -> Evidence {
        let mut evidence = Evidence::default();
        for (title, shown) in &self.tails {
            let mut seen = BTreeSet::new();
            for message in shown {
                if !seen.insert(&message.id) {
                    evidence.add(format_args!("{title} showed {} twice", message.id));
                }
            }
        }
        evidence
    }

    fn tails_are_in_order(&self) -> Evidence {
        let mut evidence = Evidence::default();
        for (title, shown) in &self.tails {
            let mut last = "";
            for message in shown.iter().filter(|message| !message.late) {
                if message.key.as_str() <= last {
                    evidence.add(format_args!("{title} showed key {} after {last}, not marked late", message.key));
                }
                last = &message.key;
            }
        }
        evidence
    }

    /// A tail has shown each message that was said since it followed, changed in nothing.
    fn tails_show_everything(&self) -> Evidence {
        let mut evidence = Evidence::default();
        let given = self.accounts.iter().flat_map(|account| &account.given);
        let due: BTreeSet<&str> = given.filter(|(at, _)| *at >= self.followed).map(|(_, text)| text.as_str()).collect();
        for (title, shown) in &self.tails {
            let shown: BTreeMap<&str, &str> =
                shown.iter().map(|message| (message.id.as_str(), message.text.as_str())).collect();
            let is_missing = |message: &&Message| {
                due.contains(message.text.as_str()) && shown.get(message.id.as_str()) != Some(&message.text.as_str())
            };
            let missing: Vec<&Message> = self.history.iter().filter(is_missing).collect();
            if let Some(first) = missing.first() {
                evidence.add(format_args!("{title} never showed {} messages, first {}", missing.len(), first.id));
            }
        }
        evidence
    }

    /// During each fault someone said something that became stable while the fault lasted; during a cut, on both sides.
    fn faults_were_lived_through(&self) -> Evidence {
        let mut evidence = Evidence::default();
        for fault in &self.faults {
            let sides = if fault.sides.is_empty() { vec![(1..=u8::MAX).collect()] } else { fault.sides.clone() };
            for side in sides.iter().filter(|side| self.accounts.iter().any(|a| side.contains(&a.host))) {
                let heard: usize =
                    self.accounts.iter().filter(|a| side.contains(&a.host)).map(|a| a.during(fault)).sum();
                if heard == 0 {
                    let on = if fault.sides.is_empty() { String::new() } else { format!(" on the side of {side:?}") };
                    evidence.add(format_args!(
                        "during `{}` ({:.1} s) no message was said and called stable{on}",
                        fault.what,
                        (fault.until - fault.from).as_secs_f64()
                    ));
                }
            }
        }
        evidence
    }

    /// Whoever talked before a demand and after it had an acknowledgement in its time.
    fn everyone_was_served(&self) -> Evidence {
        let mut evidence = Evidence::default();
        for demand in &self.demands {
            for account in self.accounts.iter().filter(|account| account.talks_through(demand)) {
                let until = demand.from + demand.span;
                if !account.stable.iter().any(|stable| (demand.from..=until).contains(&stable.at)) {
                    let next = account.stable.iter().find(|stable| stable.at > until);
                    let wait =
                        next.map_or_else(|| "for ever".to_owned(), |next| format!("{:.1?}", next.at - demand.from));
                    evidence.add(format_args!(
                        "{} on h{} waited {wait}, not {:?}",
                        account.title, account.host, demand.span
                    ));
                }
            }
        }
        evidence
    }
}

impl Account {
    fn of(sender: &Sender) -> Self {
        let given = sender.said.iter().map(|said| (said.at, said.text.clone())).collect();
        Self::read(&sender.title, sender.room, sender.host, given, &sender.answers())
    }

    /// The account of a sender that was given these texts and answered these lines.
    pub(crate) fn read(title: &str, room: &str, host: u8, given: Vec<(Instant, String)>, answers: &[Line]) -> Self {
        let (mut stable, mut odd) = (Vec::new(), Vec::new());
        for line in answers {
            match Stable::of(line) {
                Some(said) => stable.push(said),
                None => odd.push(line.text.clone()),
            }
        }
        Self { title: title.to_owned(), room: room.to_owned(), host, given, stable, odd }
    }

    /// Whether it was given something before a demand and something in its time.
    fn talks_through(&self, demand: &Demand) -> bool {
        let until = demand.from + demand.span;
        let given = |test: &dyn Fn(Instant) -> bool| self.given.iter().any(|(at, _)| test(*at));
        given(&|at| at < demand.from) && given(&|at| at >= demand.from && at < until)
    }

    /// Messages that were given and called stable while a fault lasted. Answers come in the order of the lines.
    fn during(&self, fault: &Fault) -> usize {
        let lived =
            |((given, _), stable): &(&(Instant, String), &Stable)| *given >= fault.from && stable.at <= fault.until;
        self.given.iter().zip(&self.stable).filter(lived).count()
    }
}
