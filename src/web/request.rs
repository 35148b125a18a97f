//! What a browser says.

use serde::Deserialize;
use serde_json::Value;

/// Messages in an outbox that a browser brings; more is refused.
pub(super) const MAX_OUTBOX: usize = 4096;
/// Rooms that a browser is in; more is refused.
pub(super) const MAX_ROOMS: usize = 256;

/// One message from a browser.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum Request {
    /// First of all.
    Hello(Hello),
    /// Words for a room.
    Say {
        #[serde(default)]
        tag: Value,
        room: String,
        text: String,
        /// `action` for what `/me` says.
        #[serde(default)]
        kind: Option<String>,
    },
    /// Words for one person.
    Tell {
        #[serde(default)]
        tag: Value,
        nick: String,
        text: String,
    },
    /// Enter a room.
    Join { room: String },
    /// Leave one.
    Leave { room: String },
    /// Go by another name.
    Nick {
        #[serde(default)]
        tag: Value,
        nick: String,
    },
    /// Say what a room is about.
    Topic {
        #[serde(default)]
        tag: Value,
        room: String,
        text: String,
    },
    /// A page of history.
    History {
        #[serde(default)]
        tag: Value,
        #[serde(default)]
        rooms: Vec<String>,
        /// Instead of rooms: the talk with the person of this nick.
        #[serde(default)]
        with: Option<String>,
        #[serde(default)]
        before: Option<String>,
        /// Instead of `before`: the page that begins behind this key.
        #[serde(default)]
        after: Option<String>,
        #[serde(default)]
        limit: Option<u32>,
    },
    /// Messages with these words.
    Search {
        #[serde(default)]
        tag: Value,
        words: String,
        #[serde(default)]
        room: Option<String>,
        #[serde(default)]
        before: Option<String>,
    },
    /// Who is where.
    Who {
        #[serde(default)]
        tag: Value,
        #[serde(default)]
        room: Option<String>,
    },
    /// Every room.
    Rooms {
        #[serde(default)]
        tag: Value,
    },
    /// What to be told of the ring.
    Watch {
        #[serde(default)]
        status: bool,
        #[serde(default)]
        trace: bool,
    },
    /// A `queued` message with `"save":true` is kept by the browser: now it may go to a server.
    Saved { cseq: u64 },
    /// The file's events.
    Replay,
}

/// Who comes, and what it kept.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub(super) struct Hello {
    /// The page's.
    #[serde(default)]
    pub(super) token: String,
    /// The name it wants.
    #[serde(default)]
    pub(super) nick: Option<String>,
    /// Its client id, in hexadecimal, when it had one.
    #[serde(default)]
    pub(super) client: Option<String>,
    /// All its numbers up to this one are acknowledged.
    #[serde(default)]
    pub(super) acked_upto: u64,
    /// What is not.
    #[serde(default)]
    pub(super) outbox: Vec<Kept>,
    /// Where its feed goes on, as a `cursor` event told it.
    #[serde(default)]
    pub(super) cursor: Option<String>,
    /// The rooms it is in.
    #[serde(default)]
    pub(super) rooms: Vec<String>,
}

/// One message of a browser's outbox.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
pub(super) struct Kept {
    /// Its number.
    pub(super) cseq: u64,
    /// The room, or empty.
    #[serde(default)]
    pub(super) room: String,
    /// The text.
    #[serde(default)]
    pub(super) text: String,
    /// To whom, when it is one-to-one: a nick.
    #[serde(default)]
    pub(super) to: Option<String>,
    /// What it is, as `queued` told it; words when absent.
    #[serde(default)]
    pub(super) kind: Option<String>,
}

/// What is asked for, and the tag of who asks.
pub(super) fn parse(text: &str) -> Result<Said, Value> {
    let value: Value = serde_json::from_str(text).map_err(|_| Value::Null)?;
    if value["do"] == "control" {
        return Ok(Said::Control(value));
    }
    let tag = value["tag"].clone();
    Request::deserialize(value).map(Said::Request).map_err(|_| tag)
}

/// A message from a browser: what the host understands, or what a demo does.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    /// For the host.
    Request(Request),
    /// For the demo: all of it.
    Control(Value),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_the_contract_are_read() {
        for text in [
            r#"{"do":"hello","token":"t","nick":"ana","client":null,"acked_upto":0,"outbox":[{"cseq":7,"room":"lobby","text":"hi","to":null}],"cursor":null,"rooms":["lobby"]}"#,
            r#"{"do":"say","tag":1,"room":"lobby","text":"hi"}"#,
            r#"{"do":"tell","tag":2,"nick":"bob","text":"x"}"#,
            r#"{"do":"join","room":"x"}"#,
            r#"{"do":"leave","room":"x"}"#,
            r#"{"do":"nick","nick":"eva"}"#,
            r#"{"do":"topic","room":"x","text":"y"}"#,
            r#"{"do":"history","tag":3,"rooms":["lobby"],"before":null,"limit":50}"#,
            r#"{"do":"history","tag":3,"rooms":["lobby"],"after":"00","limit":50}"#,
            r#"{"do":"history","tag":3,"with":"bob","before":null,"limit":50}"#,
            r#"{"do":"search","tag":4,"words":"w","room":null}"#,
            r#"{"do":"who","tag":5,"room":null}"#,
            r#"{"do":"rooms","tag":6}"#,
            r#"{"do":"watch","status":true,"trace":true}"#,
            r#"{"do":"saved","cseq":8}"#,
            r#"{"do":"replay"}"#,
            r#"{"do":"control","tag":9,"action":"crash","server":"oak"}"#,
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_request_is_told_with_its_tag() {
        assert_eq!(parse("no"), Err(Value::Null));
        assert_eq!(parse(r#"{"do":"fly","tag":3}"#), Err(3.into()));
        assert_eq!(parse(r#"{"do":"say","tag":4}"#), Err(4.into()));
        assert_eq!(parse(&"[".repeat(100_000)), Err(Value::Null));
    }
}
