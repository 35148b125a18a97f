//! A message as people and scripts see it.

use super::output::{Output, Style};
use super::shown::shown;
use super::times::{date_and_time, time_of_day};
use crate::ids::ClientId;
use crate::record::{Kind, Record};
pub(crate) use crate::web::document::Live;
use crate::web::document::Message;

/// A record with what belongs to it, wherever it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    /// The record.
    pub(crate) record: &'a Record,
    /// The name of the leader that ordered it, as stored with the view.
    pub(crate) leader: &'a str,
    /// How it came; `None` from history, which is the same for every reader.
    pub(crate) live: Option<Live>,
}

impl Told<'_> {
    /// Whether a person said it; joins, leaves and the like are events.
    pub(crate) fn is_from_a_person(&self) -> bool {
        matches!(self.record.message.kind, Kind::Text | Kind::Action | Kind::Topic | Kind::Direct { .. })
    }

    /// When it was ordered, in milliseconds since 1970.
    pub(crate) fn at_ms(&self) -> u64 {
        self.record.key.hlc.wall_ms()
    }

    /// The line of JSON.
    pub(crate) fn json(&self) -> String {
        super::output::to_json(&Message::of(self.record, self.leader, self.live))
    }

    /// The line of a live feed: `14:01:03 #lobby <bob> can everyone see this?`
    pub(crate) fn live_line(&self, reader: Option<ClientId>, output: &Output) -> String {
        self.line(&time_of_day(self.at_ms()), reader, output)
    }

    /// The line of history, with its date.
    pub(crate) fn dated_line(&self, reader: Option<ClientId>, output: &Output) -> String {
        self.line(&date_and_time(self.at_ms()), reader, output)
    }

    /// The line of one's own one-to-one message, to this person: `14:01:03 (to ana) <bob> lunch?`
    pub(crate) fn line_to(&self, to: &str, output: &Output) -> String {
        let message = &self.record.message;
        let at = output.paint(Style::Dim, &time_of_day(self.at_ms()));
        let nick = output.paint(Style::Bold, &shown(&message.nick));
        let to = private(&format!("to {}", shown(to)), output);
        format!("{at} {to} <{nick}> {}", shown(&message.body))
    }

    fn line(&self, at: &str, reader: Option<ClientId>, output: &Output) -> String {
        let message = &self.record.message;
        let at = output.paint(Style::Dim, at);
        let nick = output.paint(Style::Bold, &shown(&message.nick));
        let room = output.paint(Style::Cyan, &format!("#{}", shown(&message.room)));
        let text = shown(&message.body);
        match &message.kind {
            Kind::Text => format!("{at} {room} <{nick}> {text}"),
            Kind::Action => format!("{at} {room} * {nick} {text}"),
            Kind::Topic => format!("{at} {room} -- {nick} sets the topic: {text}"),
            Kind::Direct { to } if Some(*to) == reader => format!("{at} {} <{nick}> {text}", private("to you", output)),
            Kind::Direct { .. } => format!("{at} {} <{nick}> {text}", private("private", output)),
            Kind::Join => format!("{at} {room} -- {nick} joined"),
            Kind::Leave if message.room.is_empty() => format!("{at} -- {nick} left"),
            Kind::Leave => format!("{at} {room} -- {nick} left"),
            Kind::Nick if !message.room.is_empty() => format!("{at} {room} -- {nick} is still here"),
            Kind::Nick if message.body.is_empty() => format!("{at} -- {nick} came to another server"),
            Kind::Nick => format!("{at} -- {nick} is the name of {}", message.id.client),
            Kind::Gone { client } if message.nick.is_empty() => format!("{at} -- {client} is gone"),
            Kind::Gone { .. } => format!("{at} -- {nick} is gone"),
        }
    }
}

fn private(text: &str, output: &Output) -> String {
    output.paint(Style::Yellow, &format!("({text})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{EpochId, MessageId, RecordKey};
    use crate::record::Submission;
    use crate::time::Hlc;

    fn record(room: &str, nick: &str, kind: Kind, body: &str) -> Record {
        let epoch = EpochId { num: 13, ..EpochId::default() };
        let message = Submission {
            id: MessageId { client: ClientId(0xfeed), cseq: 7 },
            acked_upto: 6,
            floor: Hlc(0),
            room: room.into(),
            nick: nick.into(),
            kind,
            body: body.into(),
        };
        let key = RecordKey { hlc: Hlc::from_wall_ms(1_795_183_501_220), epoch, gsn: 42, idx: 0 };
        Record { key, message }
    }

    #[test]
    fn message_is_the_document_of_the_contract() {
        let record = record("lobby", "ana", Kind::Text, "hi");
        let live = Some(Live { copies: 3, of: 3, late: false });
        let key = record.key;
        assert_eq!(
            Told { record: &record, leader: "oak", live }.json(),
            format!(
                "{{\"event\":\"message\",\"room\":\"lobby\",\"id\":\"000000000000feed-7\",\"nick\":\"ana\",\
                 \"text\":\"hi\",\"at\":\"2026-11-20T14:05:01.220Z\",\"epoch\":13,\"leader\":\"oak\",\"gsn\":42,\
                 \"idx\":0,\"key\":\"{key}\",\"copies\":3,\"of\":3,\"late\":false}}"
            )
        );
        let plain = Told { record: &record, leader: "oak", live: None }.json();
        assert!(plain.ends_with(&format!("\"key\":\"{key}\"}}")), "history tells the same to every reader");
    }

    #[test]
    fn plain_lines_are_as_promised() {
        let output = Output::default();
        let line = |kind, reader| {
            let record = record("lobby", "bob", kind, "can everyone see this?");
            Told { record: &record, leader: "oak", live: None }.line("14:01:03", reader, &output)
        };
        let to = ClientId(9);
        assert_eq!(line(Kind::Text, None), "14:01:03 #lobby <bob> can everyone see this?");
        assert_eq!(line(Kind::Action, None), "14:01:03 #lobby * bob can everyone see this?");
        assert_eq!(line(Kind::Direct { to }, Some(to)), "14:01:03 (to you) <bob> can everyone see this?");
        assert_eq!(line(Kind::Join, None), "14:01:03 #lobby -- bob joined");
        assert_eq!(line(Kind::Gone { client: to }, None), "14:01:03 -- bob is gone");
    }

    #[test]
    fn hostile_messages_reach_neither_terminal_nor_reading_direction() {
        let long = "\u{1b}[31m".repeat(13_107);
        let bodies =
            ["\u{1b}]52;c;ZXZpbA==\u{7}", "\u{202e}evil", "nul\0", "a\n14:01:03 #lobby <root> b", "\u{9b}2J", &long];
        for body in bodies {
            for name in ["lobby", "\u{1b}[2J", "\u{202e}x\n"] {
                let record = record(name, name, Kind::Text, body);
                let told = Told { record: &record, leader: name, live: None };
                for text in [told.json(), told.dated_line(None, &Output::default())] {
                    assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
                }
                let back: serde_json::Value = serde_json::from_str(&told.json()).unwrap();
                assert_eq!((&back["text"], &back["room"]), (&body.into(), &name.into()), "scripts get the exact text");
            }
        }
    }
}
