//! The life of a message for people.

use super::Place;
use super::life::{Life, Moment, Step};
use crate::cli::output::{Output, Style};
use crate::cli::records::Records;
use crate::cli::shown::shown;
use crate::cli::times::{date_and_time, time_of_day_us};
use crate::ids::{MessageId, ServerId};
use crate::record::Kind;
use crate::wire::sketch::Sketch;
use crate::wire::trace::{Via, What};
use std::collections::BTreeSet;

/// Columns before what is told.
const WIDTH: usize = 11;

/// The lines.
pub(super) fn lines(
    id: MessageId,
    place: Option<&Place>,
    records: &Records,
    life: &Life<'_>,
    output: &Output,
) -> Vec<String> {
    let teller = Teller { records, life, output, began_us: life.moments.first().map_or(0, |one| one.event.at_us) };
    let mut lines = vec![heading(id, place, output)];
    if !life.is_remembered() {
        lines.push("no server remembers its way any more: records keep what was lately".to_owned());
        return lines;
    }
    lines.extend(teller.beginning());
    let epochs: BTreeSet<u64> = life.moments.iter().map(|moment| moment.epoch).filter(|epoch| *epoch > 0).collect();
    for &epoch in &epochs {
        if epochs.len() > 1 {
            lines.push(format!("in epoch {epoch}"));
        }
        lines.extend(teller.epoch(epoch));
    }
    lines.extend(teller.forgetful());
    lines
}

fn heading(id: MessageId, place: Option<&Place>, output: &Output) -> String {
    let id = output.paint(Style::Bold, &id.to_string());
    let Some((record, leader)) = place else { return format!("{id} is in no history yet") };
    let (key, message) = (record.key, &record.message);
    let whose = match message.kind {
        Kind::Direct { .. } => "one-to-one".to_owned(),
        _ if message.room.is_empty() => format!("by {}", shown(&message.nick)),
        _ => format!("by {} in #{}", shown(&message.nick), shown(&message.room)),
    };
    let at = date_and_time(key.hlc.wall_ms());
    format!("{id} {whose} · {at} · place {} of epoch {}, led by {}", key.gsn, key.epoch.num, shown(leader))
}

struct Teller<'a> {
    records: &'a Records,
    life: &'a Life<'a>,
    output: &'a Output,
    began_us: u64,
}

impl Teller<'_> {
    /// The clock at the first thing that is known of it, and who took it from its client.
    fn beginning(&self) -> Vec<String> {
        let accepted: Vec<String> = self.told(0, |step| step == Step::Accepted);
        let clock = time_of_day_us(self.began_us);
        let text = if accepted.is_empty() { "nobody remembers by whom".to_owned() } else { accepted.join(", ") };
        vec![self.line("accepted", &format!("{text} · the clock starts at {clock}"))]
    }

    fn epoch(&self, epoch: u64) -> Vec<String> {
        let mut lines = Vec::new();
        let mut put = |word: &str, told: Vec<String>| {
            if !told.is_empty() {
                lines.push(self.line(word, &told.join(", ")));
            }
        };
        put("multicast", self.told(epoch, |step| step == Step::Multicast));
        put("received", self.received(epoch));
        put("missed", self.asked(epoch, |step| matches!(step, Step::AskedData(_))));
        put("sent again", self.told(epoch, |step| step == Step::Repaired));
        put("placed", self.placed(epoch));
        put("no place", self.asked(epoch, |step| matches!(step, Step::AskedOrder(_))));
        put("told again", self.told(epoch, |step| step == Step::OrderRepaired));
        put("durable", self.told(epoch, |step| step == Step::Durable));
        put("stable", self.told(epoch, |step| step == Step::Stable));
        put("history", self.delivered(epoch));
        lines
    }

    fn line(&self, word: &str, text: &str) -> String {
        let padded = format!("{word:WIDTH$}");
        format!("{}{text}", self.output.paint(Style::Dim, &padded))
    }

    fn moments(&self, epoch: u64, is_it: impl Fn(Step) -> bool) -> impl Iterator<Item = &Moment<'_>> {
        self.life.moments.iter().filter(move |moment| moment.epoch == epoch && is_it(moment.step))
    }

    /// Where, and how long after the beginning by that server's clock.
    fn at(&self, moment: &Moment<'_>) -> String {
        let name = self.records.name(moment.server);
        let us = moment.event.at_us as i64 - self.began_us as i64;
        let (sign, us) = (if us < 0 { '-' } else { '+' }, us.unsigned_abs());
        if us == 0 { name } else { format!("{name} {sign}{}.{:02} ms", us / 1000, us % 1000 / 10) }
    }

    fn told(&self, epoch: u64, is_it: impl Fn(Step) -> bool) -> Vec<String> {
        self.moments(epoch, is_it).map(|moment| format!("{}{}", self.at(moment), self.details(moment))).collect()
    }

    fn details(&self, moment: &Moment<'_>) -> String {
        match &moment.event.what {
            What::Sent { sketch: Sketch::Data { oseq, part, parts, .. }, repair: false, .. } if *parts > 1 => {
                format!(" (its datagram {oseq}, piece {} of {parts})", part + 1)
            }
            What::Sent { sketch: Sketch::Data { oseq, .. }, repair: false, .. } => format!(" (its datagram {oseq})"),
            What::Sent { to, via, repair: true, .. } => {
                let to = match to {
                    crate::wire::trace::Whom::Server(server) => self.records.name(*server),
                    crate::wire::trace::Whom::Addr(addr) => addr.to_string(),
                    crate::wire::trace::Whom::All => "all".to_owned(),
                };
                format!(" to {to}{}", if *via == Via::Multicast { " by multicast" } else { "" })
            }
            _ => String::new(),
        }
    }

    /// Each server's first receipt, with how it came when not by the multicast.
    fn received(&self, epoch: u64) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let first: Vec<&Moment<'_>> =
            self.moments(epoch, |step| step == Step::Received).filter(|moment| seen.insert(moment.server)).collect();
        let via = |moment: &Moment<'_>| match moment.event.what {
            What::Received { via: Via::Unicast, .. } => " by unicast",
            What::Received { via: Via::Link, .. } => " over the link",
            _ => "",
        };
        first.into_iter().map(|moment| format!("{}{}", self.at(moment), via(moment))).collect()
    }

    fn asked(&self, epoch: u64, is_it: impl Fn(Step) -> bool) -> Vec<String> {
        let whom = |step| match step {
            Step::AskedData(Some(whom)) | Step::AskedOrder(Some(whom)) => {
                format!(", asked {}", self.records.name(whom))
            }
            _ => String::new(),
        };
        self.moments(epoch, is_it).map(|moment| format!("{}{}", self.at(moment), whom(moment.step))).collect()
    }

    fn placed(&self, epoch: u64) -> Vec<String> {
        let gsn = self.life.places.get(&epoch).copied().unwrap_or_default();
        let by: Vec<String> = self.moments(epoch, |step| step == Step::Placed).map(|moment| self.at(moment)).collect();
        match (gsn, by.is_empty()) {
            (0, _) => Vec::new(),
            (gsn, true) => vec![format!("{gsn} in epoch {epoch}")],
            (gsn, false) => vec![format!("{gsn} in epoch {epoch}, by {}", by.join(", "))],
        }
    }

    fn delivered(&self, epoch: u64) -> Vec<String> {
        let copies = |step| match step {
            Step::Delivered { copies: 0, .. } => " (late)".to_owned(),
            Step::Delivered { copies, of } => format!(" (on {copies} of {of} disks)"),
            _ => String::new(),
        };
        let delivered = self.moments(epoch, |step| matches!(step, Step::Delivered { .. }));
        delivered.map(|moment| format!("{}{}", self.at(moment), copies(moment.step))).collect()
    }

    /// Servers that cannot know: their records begin later, or they did not answer.
    fn forgetful(&self) -> Vec<String> {
        let begins_later = |server: &&crate::cli::records::ServerRecord| {
            server.lost > 0 && server.events.first().is_none_or(|first| first.at_us > self.began_us)
        };
        let forgot: Vec<ServerId> = self.records.servers.iter().filter(begins_later).map(|one| one.server).collect();
        let mut lines = Vec::new();
        if !forgot.is_empty() {
            let names: Vec<String> = forgot.into_iter().map(|server| self.records.name(server)).collect();
            lines.push(self.line("forgotten", &format!("by {}: their records begin later", names.join(", "))));
        }
        if !self.records.missing.is_empty() {
            let names: Vec<_> = self.records.missing.iter().map(|name| shown(name)).collect();
            lines.push(self.line("missing", &format!("{} did not answer", names.join(", "))));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::life::tests::{ID, records};
    use super::*;
    use crate::ids::{EpochId, RecordKey};
    use crate::record::Record;
    use crate::time::Hlc;

    fn place() -> Place {
        let mut message = crate::record::tests::message(ID.client.0, ID.cseq, "");
        (message.room, message.nick) = ("lob\u{1b}[2Jby".into(), "an\u{202e}a".into());
        let epoch = EpochId { num: 13, ..EpochId::default() };
        let key = RecordKey { hlc: Hlc::from_wall_ms(1_795_183_501_220), epoch, gsn: 42, idx: 0 };
        (Record { key, message }, "elm".into())
    }

    #[test]
    fn people_read_the_way_line_by_line() {
        let records = records();
        let life = Life::of(ID, &records, None);
        let lines = lines(ID, Some(&place()), &records, &life, &Output::default());
        assert!(lines[0].starts_with("000000000000feed-7 by an\\u{202e}a in #lob\\u{1b}[2Jby · "), "{}", lines[0]);
        assert!(lines[0].ends_with(" · place 42 of epoch 13, led by elm"), "{}", lines[0]);
        assert!(lines[1].starts_with("accepted   oak · the clock starts at "), "{}", lines[1]);
        assert_eq!(
            lines[2..],
            [
                "multicast  oak +0.10 ms (its datagram 9)",
                "received   elm +0.30 ms, ash +3.30 ms by unicast",
                "missed     ash +2.90 ms, asked oak",
                "sent again oak +3.00 ms to ash",
                "placed     42 in epoch 13, by elm +0.40 ms",
                "durable    oak +4.50 ms, elm +5.00 ms, ash +7.00 ms",
                "stable     oak +8.00 ms",
                "history    oak +8.00 ms (on 3 of 3 disks), ash +8.10 ms (late)",
            ]
        );
    }

    #[test]
    fn message_whose_way_is_forgotten_is_told_from_history() {
        let records = Records::default();
        let life = Life::of(ID, &records, Some((13, 42)));
        let lines = lines(ID, Some(&place()), &records, &life, &Output::default());
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with("no server remembers"), "{lines:?}");
    }
}
