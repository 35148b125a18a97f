//! The commentary: what servers and talkers tell, put into plain words.
//!
//! Several tell of the same thing within a moment. What is heard within [`TOGETHER`] is told together, once for each thing,
//! in the order in which one thing leads to the next: who fell silent, who was elected, who leads, who moved, what was filled.

use super::fleet::Fleet;
use super::view::View;
use crate::client::Notice;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long is listened before what was heard is told.
const TOGETHER: Duration = Duration::from_millis(150);
/// When no more missing messages came for this time, it is told how many did.
const CATCH_UP: Duration = Duration::from_millis(400);
/// Most things that are heard together; beyond, they are left out.
const MAX_HEARD: usize = 64;
/// Digits of a server's id that are shown: enough to compare nine of them by.
const ID_DIGITS: usize = 4;

/// One thing that was heard of; the order is that of telling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Topic {
    Suspected(String),
    Proven(String),
    GivenUp(String),
    Election(u64),
    View(u64, String),
    Gone(String),
    Moved(String),
    Ready,
    Other(String),
}

/// What was heard of it.
#[derive(Clone, Debug)]
struct Heard {
    first: Instant,
    /// By whom, in that order, each with a number that goes with it.
    by: Vec<(String, u64)>,
    words: String,
}

/// Missing messages that came.
#[derive(Clone, Debug)]
struct Filled {
    first: Instant,
    last: Instant,
    /// How many, to whom.
    at: Vec<(String, u64)>,
}

/// Listens, and tells a moment later.
#[derive(Debug, Default)]
pub(super) struct Commentary {
    heard: BTreeMap<Topic, Heard>,
    since: Option<Instant>,
    left_out: u64,
    /// Messages that were missing, until no more come.
    filled: Option<Filled>,
    /// Elections and views that were told already.
    last_election: u64,
    last_views: Vec<(u64, String)>,
}

impl Commentary {
    /// A server told something; `before` is the view that it was in.
    pub(super) fn hear(&mut self, now: Instant, by: &str, event: &Value, before: Option<&View>, fleet: &Fleet) {
        let name = || event["server"].as_str().unwrap_or_default().to_owned();
        let number = |field: &str| event[field].as_u64().unwrap_or(0);
        match event["event"].as_str() {
            Some("suspected") => self.note(now, Topic::Suspected(name()), by, 0, String::new()),
            Some("failed") => {
                let is_proven = event["proven"].as_bool().unwrap_or(false);
                let topic = if is_proven { Topic::Proven(name()) } else { Topic::GivenUp(name()) };
                self.note(now, topic, by, 0, String::new());
            }
            Some("election") => {
                let words = election_words(event);
                if number("num") > self.last_election && !words.is_empty() {
                    self.last_election = number("num");
                    self.note(now, Topic::Election(number("num")), by, 0, words);
                }
            }
            Some("view") => self.hear_view(now, by, event, before, fleet),
            Some("merged") => {
                let filled = self.filled.get_or_insert_with(|| Filled { first: now, last: now, at: Vec::new() });
                filled.last = now;
                match filled.at.iter_mut().find(|(who, _)| who == by) {
                    Some((_, sum)) => *sum += number("messages"),
                    None => filled.at.push((by.to_owned(), number("messages"))),
                }
            }
            Some("ready") => self.note(now, Topic::Ready, by, 0, String::new()),
            Some("cloned") => self.other(now, by, format!("{by} hears another server with its own id.")),
            Some("replaced") => self.other(now, by, format!("{by} gives way to another server with its own id.")),
            Some("mended") => self.other(now, by, format!("{by}'s store is whole again.")),
            Some("read_only") => self.other(now, by, format!("{by}'s disk takes nothing: it is read-only.")),
            _ => {}
        }
    }

    /// A talker told something of its servers.
    pub(super) fn hear_person(&mut self, now: Instant, nick: &str, notice: &Notice) {
        match notice {
            Notice::Gone { server, .. } => self.note(now, Topic::Gone(server.clone()), nick, 0, String::new()),
            Notice::Moved { from, to, took, resent } => {
                let again = match resent {
                    0 => "nothing had to be sent again".to_owned(),
                    count => format!("{} sent again, each kept once", messages(*count)),
                };
                let ms = span(*took);
                let words = if from == to {
                    format!("{nick} was without {from} for {ms} and is there again: {again}.")
                } else {
                    format!("{nick} was at {from} and is at {to} after {ms}: {again}.")
                };
                self.note(now, Topic::Moved(nick.to_owned()), nick, 0, words);
            }
            _ => {}
        }
    }

    /// When there is something to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        let filled = self.filled.as_ref().map(|filled| filled.last + CATCH_UP);
        self.since.map(|since| since + TOGETHER).into_iter().chain(filled).min()
    }

    /// Whether something was heard that is about to be told.
    pub(super) fn is_busy(&self) -> bool {
        self.since.is_some()
    }

    /// What is to be told, each with its moment.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(Instant, String)> {
        if self.due().is_none_or(|due| now < due) {
            return Vec::new();
        }
        let mut lines = Vec::new();
        if self.since.is_some_and(|since| now >= since + TOGETHER) {
            self.since = None;
            lines = told(std::mem::take(&mut self.heard));
        }
        if let Some(filled) = self.filled.take_if(|filled| now >= filled.last + CATCH_UP) {
            let took = filled.last.duration_since(filled.first);
            let how_soon = if took.as_millis() == 0 { "at once".to_owned() } else { format!("within {}", span(took)) };
            let words = format!("Messages were missing, and others filled them in {how_soon}: {}.", each(&filled.at));
            lines.push((filled.last, words));
        }
        if self.left_out > 0 {
            lines.push((now, format!("… and {} more things happened at once.", std::mem::take(&mut self.left_out))));
        }
        lines
    }

    fn hear_view(&mut self, now: Instant, by: &str, event: &Value, before: Option<&View>, fleet: &Fleet) {
        let Some(view) = View::read(event) else { return };
        let epoch = (view.epoch, view.leader_id.clone());
        if self.last_views.contains(&epoch) {
            return;
        }
        if self.last_views.len() >= 8 {
            self.last_views.remove(0);
        }
        self.last_views.push(epoch);
        let words = view_words(&view, before, |id| fleet.is_ready(id));
        self.note(now, Topic::View(view.epoch, view.leader_id.clone()), by, 0, words);
    }

    fn other(&mut self, now: Instant, by: &str, words: String) {
        self.note(now, Topic::Other(words.clone()), by, 0, words);
    }

    fn note(&mut self, now: Instant, topic: Topic, by: &str, number: u64, words: String) {
        if self.heard.len() >= MAX_HEARD && !self.heard.contains_key(&topic) {
            self.left_out += 1;
            return;
        }
        self.since.get_or_insert(now);
        let heard = self.heard.entry(topic).or_insert_with(|| Heard { first: now, by: Vec::new(), words });
        match heard.by.iter_mut().find(|(who, _)| who == by) {
            Some((_, sum)) => *sum += number,
            None => heard.by.push((by.to_owned(), number)),
        }
    }
}

/// The lines of what was heard. Who accuses the same servers of the same is told of together.
fn told(heard: BTreeMap<Topic, Heard>) -> Vec<(Instant, String)> {
    let (mut silent, mut given_up) = (Accused::default(), Accused::default());
    let mut lines = Vec::new();
    for (topic, heard) in heard {
        match &topic {
            Topic::Suspected(server) => silent.add(server, heard),
            Topic::GivenUp(server) => given_up.add(server, heard),
            _ => lines.push((heard.first, words(&topic, &heard))),
        }
    }
    let silent = silent.lines(|who, whom| format!("{who} heard nothing of {whom} for too long and asked the others."));
    let given_up =
        given_up.lines(|who, whom| format!("{who} gave {whom} up: no answer, and nobody else heard anything."));
    let mut all = silent;
    all.extend(given_up);
    all.extend(lines.into_iter().filter(|(_, words)| !words.is_empty()));
    all
}

/// Who accuses whom.
#[derive(Default)]
struct Accused {
    first: Option<Instant>,
    by: BTreeMap<String, BTreeSet<String>>,
}

impl Accused {
    fn add(&mut self, server: &str, heard: Heard) {
        self.first = Some(self.first.map_or(heard.first, |first| first.min(heard.first)));
        for (who, _) in heard.by {
            self.by.entry(who).or_default().insert(server.to_owned());
        }
    }

    fn lines(self, words: impl Fn(&str, &str) -> String) -> Vec<(Instant, String)> {
        let mut groups: BTreeMap<BTreeSet<String>, Vec<String>> = BTreeMap::new();
        for (who, whom) in self.by {
            groups.entry(whom).or_default().push(who);
        }
        let Some(first) = self.first else { return Vec::new() };
        let line = |(whom, who): (BTreeSet<String>, Vec<String>)| {
            (first, words(&list(&who), &list(&whom.into_iter().collect::<Vec<_>>())))
        };
        groups.into_iter().map(line).collect()
    }
}

/// The line of one thing.
fn words(topic: &Topic, heard: &Heard) -> String {
    let names: Vec<&str> = heard.by.iter().map(|(who, _)| who.as_str()).collect();
    let (first, others) = names.split_first().map_or(("", &[][..]), |(first, others)| (*first, others));
    match topic {
        Topic::Proven(server) if others.is_empty() => {
            format!("{first} noticed at once that {server} is gone: its port refuses connections.")
        }
        Topic::Proven(server) => format!(
            "{first} noticed first that {server} is gone: its port refuses connections. It told {}.",
            list(others)
        ),
        Topic::Gone(server) if others.is_empty() => format!("{first} lost {server} and looks for another server."),
        Topic::Gone(server) => format!("{} lost {server} and look for another server.", list(&names)),
        Topic::Ready if others.is_empty() => format!("{first} is up to date: it takes people, and may lead."),
        Topic::Ready => format!("{} are up to date: they take people, and may lead.", list(&names)),
        _ => heard.words.clone(),
    }
}

/// `347 at ash, 116 at elm`
fn each(counts: &[(String, u64)]) -> String {
    let each: Vec<String> = counts.iter().map(|(who, count)| format!("{count} at {who}")).collect();
    each.join(", ")
}

/// The words of an election that has ended; none before.
fn election_words(event: &Value) -> String {
    let Some(winner) = event["winner"].as_str() else { return String::new() };
    let begun = match event["started_by"].as_str() {
        Some(who) if !who.is_empty() => format!("{who} sent a token round the ring"),
        _ => "a token went round the ring".to_owned(),
    };
    let num = event["num"].as_u64().unwrap_or(0);
    let ms = span(Duration::from_millis(event["ms"].as_u64().unwrap_or(0)));
    format!("Election {num}: {begun}; everyone put in who is best, and {winner}'s name came home after {ms}.")
}

/// Who leads, and why.
fn view_words(view: &View, before: Option<&View>, is_ready: impl Fn(&str) -> bool) -> String {
    let name = |id: &str| view.members.iter().find(|(of, _)| of == id).map_or("", |(_, name)| name.as_str());
    let leader = &view.leader;
    let ring = match view.members.len() {
        1 => format!("{leader} is alone now (epoch {})", view.epoch),
        _ => format!("{leader} leads, epoch {}: {}", view.epoch, view.ring()),
    };
    let old: BTreeSet<&str> = before.iter().flat_map(|before| &before.members).map(|(id, _)| id.as_str()).collect();
    let came: Vec<&str> =
        view.members.iter().filter(|(id, _)| !old.contains(id.as_str())).map(|(_, name)| name.as_str()).collect();
    let greatest = view.members.last().map_or("", |(id, _)| id.as_str());
    let stays = before.is_some_and(|before| before.leader_id == view.leader_id);
    let why = if stays && greatest != view.leader_id && !came.is_empty() {
        format!(" {} has a greater id, but who leads well is not replaced.", name(greatest))
    } else if stays || view.members.len() == 1 {
        String::new()
    } else {
        format!(" Why {leader}? {}", why_this_leader(view, name(greatest), is_ready))
    };
    format!("{ring}.{why}")
}

fn why_this_leader(view: &View, greatest: &str, is_ready: impl Fn(&str) -> bool) -> String {
    let better: Vec<&(String, String)> = view.members.iter().filter(|(id, _)| *id > view.leader_id).collect();
    let id = short(&view.leader_id);
    match view.reason.as_str() {
        "heard one way only" => "Not all hear each other; it proposed the servers that it hears both ways.".to_owned(),
        "merged" => "Two rings heard each other again, and the leader of the greater one proposed to unite.".to_owned(),
        "joined" => "It was there first, and asked the others in.".to_owned(),
        _ if better.is_empty() => {
            format!("All are up to date and have the same priority; then the greatest id decides, and {id}… is it.")
        }
        _ if better.iter().all(|(id, _)| !is_ready(id)) => {
            format!("Of those that are up to date it has the greatest id ({id}…); {greatest} still lacks messages.")
        }
        _ => "It proposed this view first, and all agreed; who does is not decided by the id alone.".to_owned(),
    }
}

/// The first digits of an id.
pub(super) fn short(id: &str) -> &str {
    id.get(..ID_DIGITS).unwrap_or(id)
}

/// `ash, elm and oak`
pub(super) fn list<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [all @ .., last] => {
            let all: Vec<&str> = all.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", all.join(", "), last.as_ref())
        }
    }
}

/// `7 ms`, and no `0 ms`: everything takes some time.
pub(super) fn span(took: Duration) -> String {
    match took.as_millis() {
        0 => "less than 1 ms".to_owned(),
        ms => format!("{ms} ms"),
    }
}

/// `1 message`, `7 messages`
pub(super) fn messages(count: u64) -> String {
    format!("{count} message{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::times::clock;
    use serde_json::json;

    fn fleet() -> Fleet {
        Fleet::new(3, crossbeam_channel::bounded(1).0)
    }

    fn view(epoch: u64, leader: &str, reason: &str, members: &[&str]) -> Value {
        let members: Vec<Value> =
            members.iter().map(|name| json!({ "name": name, "id": format!("id-{name}") })).collect();
        json!({ "event": "view", "epoch": epoch, "leader": leader, "members": members, "reason": reason })
    }

    fn told(events: &[(&str, Value)], before: Option<&View>) -> Vec<String> {
        let (mut commentary, now, fleet) = (Commentary::default(), clock(), fleet());
        for (by, event) in events {
            commentary.hear(now, by, event, before, &fleet);
        }
        assert!(commentary.take(now).is_empty(), "others may tell of the same thing");
        commentary.take(now + TOGETHER).into_iter().map(|(_, words)| words).collect()
    }

    #[test]
    fn crash_is_told_once_in_the_order_of_cause_and_effect() {
        let before = View::read(&view(3, "oak", "joined", &["ash", "elm", "oak"])).unwrap();
        let after = view(4, "elm", "new leader", &["ash", "elm"]);
        let failed = json!({ "event": "failed", "server": "oak", "proven": true });
        let election = json!({ "event": "election", "num": 4, "started_by": "ash", "winner": "elm", "ms": 12 });
        let events = [
            ("elm", after.clone()),
            ("elm", election.clone()),
            ("ash", failed.clone()),
            ("elm", failed),
            ("ash", after),
        ];
        let lines = told(&events, Some(&before));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "ash noticed first that oak is gone: its port refuses connections. It told elm.");
        assert!(lines[1].starts_with("Election 4: ash sent a token round the ring;"), "{lines:?}");
        assert!(lines[2].starts_with("elm leads, epoch 4: ash → elm → ash. Why elm?"), "{lines:?}");
        assert!(lines[2].contains("greatest id"), "{lines:?}");
    }

    #[test]
    fn greater_id_that_comes_back_is_explained() {
        let before = View::read(&view(4, "elm", "", &["ash", "elm"])).unwrap();
        let lines = told(&[("ash", view(5, "elm", "joined", &["ash", "elm", "oak"]))], Some(&before));
        assert!(lines[0].ends_with("oak has a greater id, but who leads well is not replaced."), "{lines:?}");
    }

    #[test]
    fn missing_messages_are_counted_until_no_more_come() {
        let (mut commentary, now, fleet) = (Commentary::default(), clock(), fleet());
        for (by, messages) in [("ash", 3), ("elm", 4), ("ash", 5)] {
            commentary.hear(now, by, &json!({ "event": "merged", "messages": messages }), None, &fleet);
        }
        assert!(commentary.take(now + TOGETHER).is_empty() && !commentary.is_busy());
        let lines = commentary.take(now + CATCH_UP);
        assert_eq!(span(Duration::from_micros(1700)), "1 ms");
        assert_eq!(lines[0].1, "Messages were missing, and others filled them in at once: 8 at ash, 4 at elm.");
        assert_eq!(commentary.due(), None);
    }

    #[test]
    fn person_who_comes_back_to_the_same_server_is_there_again() {
        let (mut commentary, now) = (Commentary::default(), clock());
        let took = Duration::from_millis(1288);
        let moved = |to: &str| Notice::Moved { from: "fir".into(), to: to.into(), took, resent: 0 };
        commentary.hear_person(now, "bob", &moved("fir"));
        commentary.hear_person(now, "cem", &moved("oak"));
        let lines: Vec<String> = commentary.take(now + TOGETHER).into_iter().map(|(_, words)| words).collect();
        let again = "nothing had to be sent again.";
        assert_eq!(lines[0], format!("bob was without fir for 1288 ms and is there again: {again}"));
        assert_eq!(lines[1], format!("cem was at fir and is at oak after 1288 ms: {again}"));
    }

    #[test]
    fn accusers_of_the_same_servers_are_told_of_together() {
        let given_up = |server: &str| json!({ "event": "failed", "server": server, "proven": false });
        let events =
            [("ash", given_up("oak")), ("elm", given_up("fir")), ("elm", given_up("oak")), ("ash", given_up("fir"))];
        let lines = told(&events, None);
        assert_eq!(lines, ["ash and elm gave fir and oak up: no answer, and nobody else heard anything."]);
    }

    #[test]
    fn flood_of_things_is_cut_short_and_said_to_be() {
        let (mut commentary, now, fleet) = (Commentary::default(), clock(), fleet());
        for number in 0..1000 {
            let event = json!({ "event": "failed", "proven": true, "server": format!("s{number}") });
            commentary.hear(now, "elm", &event, None, &fleet);
        }
        let lines = commentary.take(now + TOGETHER);
        assert_eq!(lines.len(), MAX_HEARD + 1);
        assert_eq!(lines[MAX_HEARD].1, "… and 936 more things happened at once.");
    }
}
