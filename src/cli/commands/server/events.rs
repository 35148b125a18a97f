//! A server's events as lines: JSON for scripts, a few words for people.

use crate::cli::output::to_json;
use crate::cli::shown::{counted, shown};
use crate::cli::times::{date_and_time, rfc3339};
use crate::ids::ServerId;
use crate::proto::event::Event;
use crate::record::View;
use serde_json::{Value, json};
use std::time::Duration;

/// Turns events into lines; knows the epoch that each of them carries.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    view: Option<View>,
    /// Whether it was ready in this life: what comes then is another side's, and no longer what it missed.
    ready: bool,
}

impl Teller {
    /// The line of JSON, for events that scripts are promised.
    pub(crate) fn json(&mut self, event: &Event, at_ms: u64) -> Option<String> {
        self.note(event);
        if matches!(event, Event::Proposed { .. } | Event::Abandoned { .. }) {
            return None;
        }
        let (word, fields) = crate::web::event::document(event);
        Some(self.document(word, fields, at_ms))
    }

    /// The line of an event with these fields.
    pub(crate) fn document(&self, word: &str, fields: Value, at_ms: u64) -> String {
        let mut document = json!({ "event": word, "at": rfc3339(at_ms), "epoch": self.epoch() });
        if let (Value::Object(document), Value::Object(fields)) = (&mut document, fields) {
            document.extend(fields);
        }
        to_json(&document)
    }

    fn epoch(&self) -> Option<u64> {
        self.view.as_ref().map(|view| view.epoch.num)
    }

    /// The name of another server of the last view, of the leader if it is another: clients of this one go on there.
    pub(crate) fn goes_on_at(&self, me: ServerId) -> Option<&str> {
        let view = self.view.as_ref()?;
        let others = view.members.iter().filter(|member| member.pid.server != me);
        others.min_by_key(|member| member.pid != view.epoch.leader).map(|member| member.name.as_str())
    }

    /// It begins anew with what is on the disk.
    pub(crate) fn begin_anew(&mut self) {
        self.ready = false;
    }

    /// The line for people.
    pub(crate) fn text(&mut self, event: &Event) -> Option<String> {
        let leader = self.view.as_ref().map(|view| view.epoch.leader);
        self.note(event);
        let line = match event {
            Event::View { view, reason, .. } => ring_line(view, leader == Some(view.epoch.leader), reason),
            Event::Ready => "ready  clients can come".to_owned(),
            Event::Suspected { name, .. } => format!("ring   {} is silent", shown(name)),
            Event::Failed { name, proven: true, .. } => format!("ring   {} is gone", shown(name)),
            Event::Goodbye { name, .. } => format!("ring   {} has left", shown(name)),
            Event::Failed { name, proven: false, .. } => {
                format!("ring   {} does not answer: taken for dead", shown(name))
            }
            Event::Rejoined { name, missing: Some(missing @ 1..), .. } => {
                format!("ring   {} is here and lacks {}", shown(name), counted(*missing, "message"))
            }
            Event::Rejoined { name, .. } => format!("ring   {} is here", shown(name)),
            Event::CaughtUp { messages, took } if self.ready => {
                format!("store  merged {} from the other side in {} ms", counted(*messages, "message"), ms(*took))
            }
            Event::CaughtUp { messages, took } => {
                format!("store  caught up {} in {} ms", counted(*messages, "message"), ms(*took))
            }
            Event::Election { num, winner: Some(winner), took, .. } => {
                format!("ring   election {num}: {} won in {} ms", shown(winner), ms(*took))
            }
            // Of what is merged people are told the sum, of a greater life why the server ends, of a disk what else is true.
            Event::Merged { .. }
            | Event::ReadOnly { .. }
            | Event::Replaced { .. }
            | Event::Election { winner: None, .. }
            | Event::Proposed { .. }
            | Event::Abandoned { .. } => return None,
            Event::Cloned { pid, addr } => {
                format!("alert  server id {} is also at {} (a cloned machine?)", pid.server, addr.ip())
            }
            Event::Mended => "store  whole again: nothing is missing here that the other servers have".to_owned(),
            Event::LetGo { messages, horizon } => {
                let before = date_and_time(horizon.wall_ms());
                format!("store  let go of {} from before {before}, as all servers would", counted(*messages, "message"))
            }
            Event::Damaged { what, aside, lost } => super::banner::damaged(what, aside, *lost),
            Event::OtherVersion { addr, version } => {
                format!("alert  {addr} speaks protocol {version}, this program {}", crate::wire::datagram::VERSION)
            }
        };
        Some(line)
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::View { view, .. } => self.view = Some(view.clone()),
            Event::Ready => self.ready = true,
            Event::Damaged { .. } => self.begin_anew(),
            _ => {}
        }
    }
}

/// How far the index is, while that is not the end.
pub(super) fn indexing(indexed: Option<u64>) -> String {
    match indexed {
        Some(messages) => format!(
            "store  history is being indexed, {} so far: history and search show only what is indexed",
            counted(messages, "message")
        ),
        None => "store  all of history is indexed".to_owned(),
    }
}

/// `ring   leader is elm (epoch 12): ash → elm → oak → ash`
fn ring_line(view: &View, is_same_leader: bool, reason: &str) -> String {
    let mut names: Vec<_> = view.members.iter().map(|member| shown(&member.name)).collect();
    names.extend(names.first().cloned());
    let leads = if is_same_leader { "still leads" } else { "leads" };
    let why = if reason.is_empty() { String::new() } else { format!(" · {}", shown(reason)) };
    format!("ring   {} {leads} (epoch {}): {}{why}", shown(view.leader_name()), view.epoch.num, names.join(" → "))
}

fn ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EpochId, Pid};
    use crate::record::Member;

    fn pid(id: u64) -> Pid {
        Pid { server: ServerId(id), ..Pid::default() }
    }

    fn view_of(names: &[&str]) -> Event {
        let member = |(at, name): (usize, &&str)| Member { pid: pid(at as u64 + 1), name: (*name).to_owned() };
        let members = names.iter().enumerate().map(member).collect();
        let view = View { epoch: EpochId { num: 12, leader: pid(2) }, members, ..View::default() };
        Event::View { view, addrs: vec![None, "10.0.0.2:8285".parse().ok()], reason: "join".into() }
    }

    #[test]
    fn view_is_told_to_scripts_and_people() {
        let mut teller = Teller::default();
        assert_eq!(
            teller.json(&view_of(&["ash", "elm"]), 0).unwrap(),
            "{\"event\":\"view\",\"at\":\"1970-01-01T00:00:00.000Z\",\"epoch\":12,\"leader\":\"elm\",\"members\":[\
             {\"name\":\"ash\",\"id\":\"0000000000000001\",\"addr\":null},\
             {\"name\":\"elm\",\"id\":\"0000000000000002\",\"addr\":\"10.0.0.2:8285\"}],\"reason\":\"join\"}"
        );
        let mut teller = Teller::default();
        let first = teller.text(&view_of(&["ash", "elm"])).unwrap();
        assert_eq!(first, "ring   elm leads (epoch 12): ash → elm → ash · join");
    }

    #[test]
    fn later_events_carry_the_epoch_of_the_last_view() {
        let mut teller = Teller::default();
        assert!(teller.json(&Event::Ready, 0).unwrap().contains("\"epoch\":null"));
        teller.json(&view_of(&["ash", "elm"]), 0).unwrap();
        assert_eq!(
            teller.json(&Event::Merged { messages: 7 }, 0).unwrap(),
            "{\"event\":\"merged\",\"at\":\"1970-01-01T00:00:00.000Z\",\"epoch\":12,\"messages\":7}"
        );
    }

    #[test]
    fn what_was_missed_is_one_line_for_people_and_one_event_an_epoch_for_scripts() {
        let mut teller = Teller::default();
        let took = Duration::from_millis(90);
        for (ready, line) in [
            (Event::Goodbye { pid: pid(1), name: "elm".into() }, "store  caught up 212 messages in 90 ms"),
            (Event::Ready, "store  merged 212 messages from the other side in 90 ms"),
        ] {
            teller.text(&ready);
            let came = [Event::Merged { messages: 200 }, Event::Merged { messages: 12 }];
            assert_eq!(came.iter().find_map(|event| teller.text(event)), None);
            assert!(came.iter().all(|event| teller.json(event, 0).is_some()));
            assert_eq!(teller.text(&Event::CaughtUp { messages: 212, took }).as_deref(), Some(line));
        }
    }

    #[test]
    fn clients_of_a_server_that_fails_go_on_at_another_of_its_view() {
        let mut teller = Teller::default();
        assert_eq!(teller.goes_on_at(ServerId(1)), None);
        teller.text(&view_of(&["ash", "elm", "oak"]));
        assert_eq!(teller.goes_on_at(ServerId(1)), Some("elm"), "who leads");
        assert_eq!(teller.goes_on_at(ServerId(2)), Some("ash"));
        teller.text(&view_of(&["ash"]));
        assert_eq!(teller.goes_on_at(ServerId(1)), None);
    }

    #[test]
    fn damage_is_told_with_what_was_set_aside_and_what_becomes_of_it() {
        let damage =
            |aside: &str, lost| Event::Damaged { what: "epoch 3 from entry 7 on".into(), aside: aside.into(), lost };
        let mut teller = Teller::default();
        assert_eq!(
            teller.text(&damage("2 rows, in the table \"aside\"", true)).unwrap(),
            "store  damaged: epoch 3 from entry 7 on; set aside: 2 rows, in the table \"aside\"; it is fetched from other \
             servers"
        );
        assert_eq!(
            teller.text(&damage("", false)).unwrap(),
            "store  damaged: epoch 3 from entry 7 on; nothing is lost"
        );
        let json = teller.json(&damage("2 rows", true), 0).unwrap();
        assert!(json.ends_with("\"what\":\"epoch 3 from entry 7 on\",\"aside\":\"2 rows\",\"lost\":true}"), "{json}");
    }

    #[test]
    fn server_that_is_back_is_told_with_what_it_lacks() {
        let back = |missing| Event::Rejoined { pid: pid(1), name: "elm".into(), missing };
        let mut teller = Teller::default();
        assert_eq!(teller.text(&back(Some(212))).unwrap(), "ring   elm is here and lacks 212 messages");
        assert_eq!(teller.text(&back(Some(1))).unwrap(), "ring   elm is here and lacks 1 message");
        assert_eq!(teller.text(&back(Some(0))).unwrap(), "ring   elm is here");
        assert!(teller.json(&back(Some(212)), 0).unwrap().ends_with("\"missing\":212}"));
        assert!(teller.json(&back(None), 0).unwrap().ends_with("\"missing\":null}"));
    }

    #[test]
    fn healed_store_is_told_to_scripts_and_people() {
        let mut teller = Teller::default();
        assert!(teller.json(&Event::Mended, 0).unwrap().contains("\"event\":\"mended\""));
        assert!(teller.text(&Event::Mended).unwrap().starts_with("store  whole again"));
    }

    #[test]
    fn hostile_server_names_are_escaped() {
        let event = view_of(&["\u{1b}]52;c;x\u{7}", "\u{202e}elm"]);
        for line in [Teller::default().json(&event, 0), Teller::default().text(&event)] {
            let line = line.unwrap();
            assert!(line.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{line:?}");
        }
    }
}
