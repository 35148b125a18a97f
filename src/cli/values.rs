//! Values of flags and settings, checked once where they come in, whether from a flag, the environment or a file.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// A name of a room, person, server or net, in its normal form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(String);

impl Name {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = crate::name::BadName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        crate::name::parse(text).map(Self)
    }
}

impl TryFrom<String> for Name {
    type Error = crate::name::BadName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&super::shown::shown(&self.0))
    }
}

/// A room's name on a command line. A `#` before it is no part of it, and begins a comment in most shells.
pub(crate) fn room(text: &str) -> Result<Name, String> {
    text.parse().map_err(|why: crate::name::BadName| match typed_room(text) {
        Ok(name) => format!("{why}: write {name}"),
        Err(_) => why.to_string(),
    })
}

/// A room's name as people type it where they talk: a leading `#` is left out.
pub(crate) fn typed_room(text: &str) -> Result<Name, crate::name::BadName> {
    text.strip_prefix('#').unwrap_or(text).parse()
}

/// A port of UDP and TCP.
pub(crate) fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().ok().filter(|port| *port > 0).ok_or("a port is a number from 1 to 65535")
}

/// How much a server wants to lead.
pub(crate) fn priority(text: &str) -> Result<u8, &'static str> {
    text.parse().map_err(|_| "a priority is a number from 0 to 255")
}

/// What a variable of a flag without a value says.
pub(crate) fn switch(text: &str) -> Result<bool, &'static str> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("write true or false"),
    }
}

/// One of a few words.
pub(crate) fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let words = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        format!("write one of {}", words.map(|word| word.get_name().to_owned()).collect::<Vec<_>>().join(", "))
    })
}

/// How many: `--last -1` is no flag, and no number either.
pub(crate) fn count<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "not a count: write a whole number, as in 20")
}

/// Where a message goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// To everyone in a room.
    Room(Name),
    /// To one person.
    Person(Name),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('@') {
            Some(nick) => nick.parse().map(Self::Person).map_err(|why: crate::name::BadName| why.to_string()),
            None => room(text).map(Self::Room),
        }
    }
}

/// A length of time: `500ms`, `5s`, `2m`, `1h`, `7d`, `2w`, or a number of seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// As in a sentence: `5 s`.
    pub(crate) fn words(self) -> String {
        let text = self.to_string();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        format!("{} {}", &text[..digits], &text[digits..])
    }
}

/// A text that is no length of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadSpan;

impl fmt::Display for BadSpan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a length of time is a number and a unit: 500ms, 5s, 2m, 1h, 7d or 2w")
    }
}

impl std::error::Error for BadSpan {}

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let count: u64 = text[..digits].parse().map_err(|_| BadSpan)?;
        let unit_ms: u64 = match text[digits..].trim() {
            "ms" => 1,
            "" | "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(BadSpan),
        };
        count.checked_mul(unit_ms).map(|ms| Self(Duration::from_millis(ms))).ok_or(BadSpan)
    }
}

impl TryFrom<String> for Span {
    type Error = BadSpan;

    fn try_from(text: String) -> Result<Self, BadSpan> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
            if ms >= unit_ms && ms.is_multiple_of(unit_ms) {
                return write!(out, "{}{unit}", ms / unit_ms);
            }
        }
        write!(out, "{ms}ms")
    }
}

/// A machine to ask directly: a name or address, and a port unless it is the usual one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Peer {
    /// Name or address; an IPv6 address without its brackets.
    pub(crate) host: String,
    /// The port, when it was given.
    pub(crate) port: Option<u16>,
}

/// A text that is no `HOST[:PORT]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadPeer;

impl fmt::Display for BadPeer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a peer is HOST or HOST:PORT, with a port from 1 to 65535")
    }
}

impl std::error::Error for BadPeer {}

impl FromStr for Peer {
    type Err = BadPeer;

    fn from_str(text: &str) -> Result<Self, BadPeer> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(BadPeer)?)),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|&port: &u16| port > 0).ok_or(BadPeer)?),
            None => None,
        };
        let sound = !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        if sound { Ok(Self { host: host.to_owned(), port }) } else { Err(BadPeer) }
    }
}

impl TryFrom<String> for Peer {
    type Error = BadPeer;

    fn try_from(text: String) -> Result<Self, BadPeer> {
        text.parse()
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        peer.to_string()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) => write!(out, "{host}:{port}"),
            None => out.write_str(&host),
        }
    }
}

/// An IPv4 multicast group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Group(pub(crate) Ipv4Addr);

/// A text that is no multicast group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadGroup;

impl fmt::Display for BadGroup {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a group is an IPv4 multicast address, such as 239.255.82.84")
    }
}

impl std::error::Error for BadGroup {}

impl FromStr for Group {
    type Err = BadGroup;

    fn from_str(text: &str) -> Result<Self, BadGroup> {
        text.parse().ok().filter(Ipv4Addr::is_multicast).map(Self).ok_or(BadGroup)
    }
}

impl TryFrom<String> for Group {
    type Error = BadGroup;

    fn try_from(text: String) -> Result<Self, BadGroup> {
        text.parse()
    }
}

impl From<Group> for String {
    fn from(group: Group) -> Self {
        group.0.to_string()
    }
}

/// Where the page is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Web {
    /// Nowhere.
    Off,
    /// Here.
    At(SocketAddr),
}

/// A text that is no place for a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadWeb;

impl fmt::Display for BadWeb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the page is at an address, such as 127.0.0.1:8284 or 0.0.0.0, or off")
    }
}

impl std::error::Error for BadWeb {}

impl Default for Web {
    fn default() -> Self {
        Self::At(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), crate::web::PORT))
    }
}

impl FromStr for Web {
    type Err = BadWeb;

    fn from_str(text: &str) -> Result<Self, BadWeb> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self::Off);
        }
        let alone = || text.parse().map(|ip: IpAddr| SocketAddr::new(ip, crate::web::PORT));
        text.parse().or_else(|_| alone()).map(Self::At).map_err(|_| BadWeb)
    }
}

impl TryFrom<String> for Web {
    type Error = BadWeb;

    fn try_from(text: String) -> Result<Self, BadWeb> {
        text.parse()
    }
}

impl From<Web> for String {
    fn from(web: Web) -> Self {
        web.to_string()
    }
}

impl fmt::Display for Web {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => out.write_str("off"),
            Self::At(addr) => addr.fmt(out),
        }
    }
}

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// On every server's disk.
    #[default]
    Disk,
    /// In every server's memory; on disk soon after.
    Memory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_what_they_write_and_refuse_the_rest() {
        for (text, ms) in
            [("500ms", 500), ("5s", 5000), ("5", 5000), ("2m", 120_000), ("1h", 3_600_000), ("2w", 1_209_600_000)]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0, Duration::from_millis(ms));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        assert_eq!(Span(Duration::from_millis(2500)).words(), "2500 ms");
        assert_eq!(Span(Duration::from_secs(5)).words(), "5 s");
        for text in ["", "s", "-1s", "5y", "1.5s", "99999999999999999999w", "18446744073709551615w"] {
            assert_eq!(text.parse::<Span>(), Err(BadSpan), "{text}");
        }
    }

    #[test]
    fn peers_read_hosts_addresses_and_ports() {
        let peer = |host: &str, port| Ok(Peer { host: host.into(), port });
        assert_eq!("oak".parse(), peer("oak", None));
        assert_eq!("oak:9000".parse(), peer("oak", Some(9000)));
        assert_eq!("[fe80::1]:9000".parse(), peer("fe80::1", Some(9000)));
        for text in ["", ":1", "oak:", "oak:0", "oak:70000", "a b", "oak:1:2", "[::1", "a/b", "\u{1b}x"] {
            assert_eq!(text.parse::<Peer>(), Err(BadPeer), "{text:?}");
        }
    }

    #[test]
    fn targets_are_rooms_and_people() {
        assert_eq!("lobby".parse(), Ok(Target::Room("lobby".parse().unwrap())));
        let told = "a name does not begin with #, @ or -: write lobby".to_owned();
        assert_eq!("#lobby".parse::<Target>(), Err(told));
        assert_eq!("@bob".parse(), Ok(Target::Person("bob".parse().unwrap())));
        assert!("##x".parse::<Target>().is_err());
        assert!("@".parse::<Target>().is_err());
    }

    #[test]
    fn page_is_at_an_address_with_the_usual_port_unless_told_or_off() {
        for (text, page) in
            [("off", "off"), ("0.0.0.0", "0.0.0.0:8284"), ("127.0.0.1:9000", "127.0.0.1:9000"), ("[::1]:1", "[::1]:1")]
        {
            assert_eq!(text.parse::<Web>().unwrap().to_string(), page);
        }
        for text in ["", "on", "oak:8284", "127.0.0.1:", "8284", "127.0.0.1:70000"] {
            assert_eq!(text.parse::<Web>(), Err(BadWeb), "{text}");
        }
    }

    #[test]
    fn switch_is_on_or_off_and_nothing_else() {
        assert!(["1", "true", "Yes", "on"].iter().all(|text| switch(text) == Ok(true)));
        assert!(["", "0", "false", "no", "OFF"].iter().all(|text| switch(text) == Ok(false)));
        assert!(["maybe", "2", "ja"].iter().all(|text| switch(text).is_err()));
    }

    #[test]
    fn choice_is_one_of_the_words_or_refused_with_all_of_them() {
        assert_eq!(choice("never"), Ok(Color::Never));
        assert_eq!(choice::<Color>("blue"), Err("write one of auto, always, never".to_owned()));
    }

    #[test]
    fn groups_are_multicast() {
        assert!("239.255.1.2".parse::<Group>().is_ok());
        assert!("192.168.1.1".parse::<Group>().is_err());
    }
}
