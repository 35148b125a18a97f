//! The harness tested by itself: a LAN that does not lose what it should, or loses what it should not, proves nothing.

use crate::clock;
use crate::host::{Host, Line, Running};
use crate::lan::Lan;
use crate::ledger::{Account, Demand, Fault, Ledger};
use crate::scenario::Scenario;
use crate::standin::DATAGRAM_BYTES;
use crate::trouble::{Outcome, Trouble, verdict};
use ringtalk::time::Hlc;
use ringtalk::web::document::time::rfc3339;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Datagrams in one measurement of loss: with 2,000 of them at four hosts, five standard deviations of 20 % are 2.2 points.
const ENOUGH: u32 = 2_000;
const LIMIT: Duration = Duration::from_secs(10);

/// Whether everyone hears everyone, losses lose, cuts cut, and all of it heals.
pub(crate) fn the_lan_does_what_it_is_told(lan: &mut Lan, dir: &Path) -> Outcome<String> {
    let party = Party::gather(lan, dir)?;
    party.expect(1, [2, 3, 4, 5], "a whole LAN")?;
    lan.cut(&[1, 2], &[3, 4, 5])?;
    party.expect(1, [2], "a 2|3 cut, from the two")?;
    party.expect(4, [3, 5], "a 2|3 cut, from the three")?;
    lan.heal()?;
    lan.cut_one_way(&[2], &[4])?;
    party.expect(2, [1, 3, 5], "a one-way cut, from its side")?;
    party.expect(4, [1, 2, 3, 5], "a one-way cut, towards its side")?;
    lan.heal()?;
    party.expect(1, [2, 3, 4, 5], "a healed LAN")?;
    let mut figures = Vec::new();
    for percent in [5, 20] {
        figures.push(party.measure_loss(lan, percent)?);
    }
    party.expect(1, [2, 3, 4, 5], "a LAN without loss again")?;
    figures.push(party.bursts_are_caught(lan)?);
    Ok(figures.join(", "))
}

/// Whether the ledger finds nothing in books that agree, and something in books that do not; and whether a text that is
/// no scenario is refused.
pub(crate) fn the_books_notice_what_is_wrong() -> Outcome<String> {
    let good = [Books::good(), Books::let_go()];
    let found = good.iter().flat_map(Books::verdicts);
    let mut wrong: Vec<String> = found.map(|piece| format!("good books: {piece}")).collect();
    let mut kinds = 0;
    for (what, spoil) in SPOILT {
        let mut books = Books::good();
        spoil(&mut books);
        kinds += 1;
        if books.verdicts().is_empty() {
            wrong.push(format!("not noticed: {what}"));
        }
    }
    for step in ["cut 1|2", "cut 1,6|2,7; cut 6|1; heal", "loss 99%", "clock 1 +5", "kill 1", "seen x", "nonsense"] {
        kinds += 1;
        if Scenario::read("spoilt", &format!("servers 5; clients 4; wait 1s; {step}; wait 1s")).is_ok() {
            wrong.push(format!("taken for a scenario: {step}"));
        }
    }
    verdict(wrong)?;
    Ok(format!("{kinds} kinds of wrong noticed"))
}

/// The books of one sender of two messages and one tail.
struct Books {
    from: Instant,
    answers: Vec<(String, u64)>,
    history: Vec<String>,
    tail: Vec<String>,
    horizon: String,
}

/// Something that can be wrong with them, and how it is made so.
type Spoilt = (&'static str, fn(&mut Books));

/// What can be wrong with them.
const SPOILT: [Spoilt; 16] = [
    ("a stable message that is lost", |books| drop(books.history.pop())),
    ("a message twice in history", |books| books.history.push(message(1, "b", "4"))),
    ("a text twice in history, with two ids", |books| books.history.push(message(3, "b", "4"))),
    ("bytes changed", |books| books.history[1] = message(2, "c", "3")),
    ("a message that nobody said", |books| books.history.push(message(9, "z", "4"))),
    ("a sender's order turned", |books| {
        books.history = vec![message(2, "b", "2"), message(1, "a", "3")];
    }),
    ("keys out of order", |books| books.history[0] = message(1, "a", "9")),
    ("a message without an answer", |books| drop(books.answers.pop())),
    ("more copies than servers", |books| books.answers[0].0 = stable(1).replace("\"copies\":3", "\"copies\":4")),
    ("a tail that repeats", |books| books.tail.push(message(2, "b", "4"))),
    ("a tail out of order, not marked late", |books| books.tail.reverse()),
    ("a tail that misses one", |books| drop(books.tail.pop())),
    ("a fault that nobody talked through", |books| books.answers[1].1 = 9),
    ("an answer later than was demanded", |books| books.answers[1].1 = 4),
    ("a message that was let go of and is there", |books| books.horizon = rfc3339(2)),
    ("a message that was not let go of and is lost", |books| {
        books.horizon = rfc3339(1);
        books.history.pop();
    }),
];

fn stable(cseq: u8) -> String {
    let key = format!("{:016x}", Hlc::from_wall_ms(cseq.into()).0);
    format!(r#"{{"event":"stable","id":"c-{cseq}","room":"red","key":"{key}","copies":3,"of":3,"ms":1}}"#)
}

fn message(cseq: u8, text: &str, key: &str) -> String {
    format!(r#"{{"event":"message","room":"red","id":"c-{cseq}","text":"{text}","key":"{key}"}}"#)
}

impl Books {
    fn good() -> Self {
        let history = vec![message(1, "a", "2"), message(2, "b", "3")];
        let (tail, horizon) = (history.clone(), String::new());
        Self { from: clock::now(), answers: vec![(stable(1), 1), (stable(2), 3)], tail, history, horizon }
    }

    /// The first message was let go of, and is gone.
    fn let_go() -> Self {
        let mut books = Self { horizon: rfc3339(2), ..Self::good() };
        books.history.remove(0);
        books
    }

    /// One message is said a second; the fault lasts from the second one to a second after its answer.
    fn verdicts(&self) -> Vec<String> {
        let at = |seconds: u64| self.from + Duration::from_secs(seconds);
        let line = |(text, seconds): &(String, u64)| Line { at: at(*seconds), text: text.clone() };
        let given = vec![(at(0), "a".to_owned()), (at(2), "b".to_owned())];
        let account = Account::read("c", "red", 1, given, &self.answers.iter().map(line).collect::<Vec<_>>());
        let fault = Fault { what: "kill leader".to_owned(), from: at(2), until: at(4), sides: Vec::new() };
        let mut ledger = Ledger::of(vec![account], self.history.join("\n").as_bytes(), vec![fault], at(0));
        ledger.let_go(self.horizon.clone());
        ledger.demand(vec![Demand { from: at(1) + Duration::from_millis(500), span: Duration::from_millis(1500) }]);
        let shown: Vec<Line> = self.tail.iter().map(|text| Line { at: at(4), text: text.clone() }).collect();
        ledger.tail("the tail".to_owned(), &shown);
        ledger.verdicts()
    }
}

/// Listeners on all hosts.
struct Party {
    harness: PathBuf,
    hosts: Vec<Host>,
    listeners: Vec<Running>,
}

impl Party {
    fn gather(lan: &Lan, dir: &Path) -> Outcome<Self> {
        let harness = std::env::current_exe().map_err(Trouble::io("find", "this program"))?;
        let hosts = (1..=lan.hosts()).map(|i| Host::new(i, dir)).collect::<Outcome<Vec<_>>>()?;
        let listeners = hosts
            .iter()
            .map(|host| host.start(&harness, "listener", &["standin", "hear", "60"]))
            .collect::<Outcome<Vec<_>>>()?;
        for listener in &listeners {
            listener
                .lines()
                .wait_for(0, LIMIT, |line| line.text == "ready")
                .ok_or_else(|| Trouble::broken(format!("a stand-in did not start: {}", listener.said())))?;
        }
        Ok(Self { harness, hosts, listeners })
    }

    /// Host `from` says `count` numbers in bursts of `burst`; answers how many each other host heard once they are quiet.
    fn say(&self, from: u8, count: u32, burst: u32) -> Outcome<Vec<(u8, u32)>> {
        let before: Vec<usize> = self.listeners.iter().map(|listener| listener.lines().count()).collect();
        let args = ["standin".into(), "say".into(), "0".into(), count.to_string(), burst.to_string()];
        let said = self.hosts[usize::from(from) - 1].run(&self.harness, "speaker", &args, LIMIT)?;
        if !said.status.success() {
            return Err(Trouble::broken(format!("a stand-in could not send: {}", said.err)));
        }
        self.quiet();
        let heard = |(i, listener): (usize, &Running)| {
            let numbers: BTreeSet<String> =
                listener.lines().since(before[i]).into_iter().map(|line| line.text).collect();
            (i as u8 + 1, numbers.len() as u32)
        };
        Ok(self.listeners.iter().enumerate().map(heard).filter(|(host, _)| *host != from).collect())
    }

    /// Waits until nobody has heard anything for 100 ms: what is still to come would come at once.
    fn quiet(&self) {
        let total = || self.listeners.iter().map(|listener| listener.lines().count()).sum::<usize>();
        let mut last = (total(), clock::now());
        let _ = clock::until(LIMIT, || {
            if total() != last.0 {
                last = (total(), clock::now());
            }
            (clock::now() - last.1 > Duration::from_millis(100)).then_some(())
        });
    }

    /// Whether exactly the hosts of `to` hear host `from`.
    fn expect<const N: usize>(&self, from: u8, to: [u8; N], when: &str) -> Outcome<()> {
        let heard = self.say(from, 20, 1)?;
        let wrong = heard.iter().filter(|(host, count)| *count != if to.contains(host) { 20 } else { 0 });
        verdict(
            wrong.map(|(host, count)| format!("{when}: h{host} heard {count} of 20 datagrams of h{from}")).collect(),
        )
    }

    fn measure_loss(&self, lan: &mut Lan, percent: u8) -> Outcome<String> {
        lan.lose(percent)?;
        let heard = self.say(1, ENOUGH, 10)?;
        let dropped = lan.dropped()?;
        let sent = u64::from(ENOUGH) * heard.len() as u64;
        let heard: u64 = heard.iter().map(|(_, count)| u64::from(*count)).sum();
        let (asked, lost) = (f64::from(percent), 100.0 * dropped.packets as f64 / sent as f64);
        let spread = (asked * (100.0 - asked) / sent as f64).sqrt();
        let mut wrong = Vec::new();
        if (lost - asked).abs() > 5.0 * spread {
            wrong.push(format!("{percent} % loss asked for, {lost:.1} % lost"));
        }
        // On a busy machine a stand-in's buffer may overflow, so fewer may be heard than the LAN let through.
        if heard + dropped.packets > sent || heard < sent / 2 {
            wrong.push(format!("of {sent} datagrams {} were lost and {heard} heard", dropped.packets));
        }
        if dropped.mean_bytes() != DATAGRAM_BYTES as u64 + 28 {
            wrong.push(format!("{} bytes is the mean size of what was lost", dropped.mean_bytes()));
        }
        verdict(wrong)?;
        Ok(format!("{percent} % asked {lost:.1} % lost"))
    }

    /// With bursts allowed, a loss takes whole bursts: the check of the mean size must say so.
    fn bursts_are_caught(&self, lan: &mut Lan) -> Outcome<String> {
        lan.lose_bursts(20)?;
        self.say(1, ENOUGH, 10)?;
        match lan.dropped() {
            Err(Trouble::Broken(_)) => Ok("lost bursts are noticed".to_owned()),
            Err(other) => Err(other),
            Ok(dropped) => Err(Trouble::broken(format!(
                "whole bursts were lost and not noticed: {} packets of {} bytes",
                dropped.packets,
                dropped.mean_bytes()
            ))),
        }
    }
}
