//! Settings: five layers, each of which may say something, and where each value came from.
//!
//! Flag, then `RINGTALK_*`, then the user's file, then the machine's, then what is built in.

use super::args::{Command, Global, Line};
use super::environment::{Environment, variable};
use super::failure::{Code, Failure};
use super::kept::Kept;
use super::keys::{Action, Bindings, Chord, Keymap};
use super::values::{Color, Durability, Group, Name, Peer, Span, Web, choice, port, priority, switch};
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The net nobody named.
const DEFAULT_NET: &str = "default";
/// How long to wait for a server, or for progress.
const DEFAULT_TIMEOUT: Span = Span(Duration::from_secs(5));
/// The UDP port that every server and client of a net shares.
pub(crate) const DEFAULT_PORT: u16 = 8284;
/// Longest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What one layer says; also the form of the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Layer {
    net: Option<Name>,
    iface: Option<Vec<String>>,
    local: Option<bool>,
    peer: Option<Vec<Peer>>,
    group: Option<Group>,
    #[serde(default, deserialize_with = "filed_port")]
    port: Option<u16>,
    data: Option<PathBuf>,
    name: Option<Name>,
    nick: Option<Name>,
    server: Option<Name>,
    json: Option<bool>,
    timeout: Option<Span>,
    color: Option<Color>,
    ephemeral: Option<bool>,
    durability: Option<Durability>,
    keep: Option<Kept>,
    priority: Option<u8>,
    web: Option<Web>,
    bell: Option<bool>,
    keys: Option<Bindings>,
    /// The file to read; no file says that.
    #[serde(skip)]
    config: Option<PathBuf>,
}

fn filed_port<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    match u16::deserialize(from)? {
        0 => Err(serde::de::Error::custom("a port is a number from 1 to 65535")),
        port => Ok(Some(port)),
    }
}

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// This file.
    File(PathBuf),
    /// Nobody said anything.
    BuiltIn,
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it came from.
    pub(crate) origin: Origin,
}

/// Everything that can be set, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The net.
    pub(crate) net: Setting<Name>,
    /// Interfaces to use; none means all that are fit.
    pub(crate) iface: Setting<Vec<String>>,
    /// Whether to stay on loopback.
    pub(crate) local: Setting<bool>,
    /// Machines to ask directly.
    pub(crate) peer: Setting<Vec<Peer>>,
    /// The group; `None` means the one made from the net's name.
    pub(crate) group: Setting<Option<Group>>,
    /// The shared UDP port.
    pub(crate) port: Setting<u16>,
    /// The data directory.
    pub(crate) data: Setting<PathBuf>,
    /// This server's name.
    pub(crate) name: Setting<Name>,
    /// The person's nick.
    pub(crate) nick: Setting<Name>,
    /// The server to ask; `None` means any.
    pub(crate) server: Setting<Option<Name>>,
    /// Whether to speak JSON.
    pub(crate) json: Setting<bool>,
    /// How long to wait.
    pub(crate) timeout: Setting<Span>,
    /// When to colour.
    pub(crate) color: Setting<Color>,
    /// Whether a server keeps nothing on disk.
    pub(crate) ephemeral: Setting<bool>,
    /// What an acknowledgement promises.
    pub(crate) durability: Setting<Durability>,
    /// How much of history is kept.
    pub(crate) keep: Setting<Kept>,
    /// How much this server wants to lead.
    pub(crate) priority: Setting<u8>,
    /// Where the page is served.
    pub(crate) web: Setting<Web>,
    /// Whether a mention rings the terminal's bell in the chat window.
    pub(crate) bell: Setting<bool>,
    /// The chat window's keys, for each action.
    pub(crate) keys: Vec<(Action, Setting<Option<Vec<Chord>>>)>,
    /// The file that is read first, whether it exists or not.
    pub(crate) config: PathBuf,
}

/// One line of `config show`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    /// The key, as in the file.
    pub(crate) key: &'static str,
    /// The value, as in JSON; null for what is left open.
    pub(crate) value: serde_json::Value,
    /// Where it came from, in words.
    pub(crate) origin: String,
}

impl Settings {
    /// The settings of a command line, its environment and the files.
    ///
    /// # Errors
    /// [`Code::BadConfig`] for a file that cannot be read or understood; [`Code::Usage`] for a variable that holds no value
    /// of its setting, unless a flag gives that.
    pub(crate) fn gather(line: &Line, matches: &ArgMatches) -> Result<Self, Failure> {
        let environment =
            Environment(|key: &str| if is_given(matches, key) { None } else { std::env::var_os(variable(key)) });
        let mut layers =
            vec![(Origin::Flag, Layer::given(line, matches)), (Origin::Environment, Layer::around(&environment)?)];
        let chosen = pick(&layers, |layer| layer.config.clone().map(Some), || None).value;
        let only_asks_where = line.command.as_ref().is_some_and(Command::is_config_path);
        for (path, must_exist) in files(chosen.as_deref()) {
            let must_exist = must_exist && !only_asks_where;
            if let Some(layer) = Layer::read(&path, must_exist)? {
                layers.push((Origin::File(path), layer));
            }
        }
        Ok(Self::resolve(&layers))
    }

    fn resolve(layers: &[(Origin, Layer)]) -> Self {
        let net = pick(layers, |layer| layer.net.clone(), || name_or(DEFAULT_NET, DEFAULT_NET));
        let data_dir = || data_home().join(file_of(&net.value));
        Self {
            iface: pick(layers, |layer| layer.iface.clone(), Vec::new),
            local: pick(layers, |layer| layer.local, || false),
            peer: pick(layers, |layer| layer.peer.clone(), Vec::new),
            group: pick(layers, |layer| layer.group.map(Some), || None),
            port: pick(layers, |layer| layer.port, || DEFAULT_PORT),
            data: pick(layers, |layer| layer.data.clone(), data_dir),
            name: pick(layers, |layer| layer.name.clone(), host_name),
            nick: pick(layers, |layer| layer.nick.clone(), user_name),
            server: pick(layers, |layer| layer.server.clone().map(Some), || None),
            json: pick(layers, |layer| layer.json, || false),
            timeout: pick(layers, |layer| layer.timeout, || DEFAULT_TIMEOUT),
            color: pick(layers, |layer| layer.color, Color::default),
            ephemeral: pick(layers, |layer| layer.ephemeral, || false),
            durability: pick(layers, |layer| layer.durability, Durability::default),
            keep: pick(layers, |layer| layer.keep, Kept::default),
            priority: pick(layers, |layer| layer.priority, || 0),
            web: pick(layers, |layer| layer.web, Web::default),
            bell: pick(layers, |layer| layer.bell, || false),
            keys: Action::all()
                .map(|action| (action, pick(layers, |layer| layer.keys.as_ref()?.of(action).map(Some), || None)))
                .collect(),
            config: pick(layers, |layer| layer.config.clone(), user_file).value,
            net,
        }
    }

    /// Every setting with its origin, in the order of `--help`.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            row("net", &self.net),
            row("iface", &self.iface),
            row("local", &self.local),
            row("peer", &self.peer),
            row("group", &self.group),
            row("port", &self.port),
            row("data", &self.data),
            row("name", &self.name),
            row("nick", &self.nick),
            row("server", &self.server),
            row("json", &self.json),
            row("timeout", &self.timeout),
            row("color", &self.color),
            row("ephemeral", &self.ephemeral),
            row("durability", &self.durability),
            row("keep", &self.keep),
            row("priority", &self.priority),
            row("web", &self.web),
            row("bell", &self.bell),
        ];
        let keymap = self.keymap();
        rows.extend(self.keys.iter().map(|(action, chosen)| {
            row(action.setting(), &Setting { value: keymap.keys(*action), origin: chosen.origin.clone() })
        }));
        rows
    }

    /// The flags that put a command on this net, as they were given: a command that is recommended needs them too.
    pub(crate) fn net_flags(&self) -> String {
        let mut flags = String::new();
        let mut add = |origin: &Origin, flag: String| {
            if *origin == Origin::Flag {
                flags.push(' ');
                flags.push_str(&flag);
            }
        };
        add(&self.local.origin, "--local".to_owned());
        add(&self.net.origin, format!("-n {}", quoted(self.net.value.as_str())));
        add(&self.iface.origin, format!("--iface {}", quoted(&self.iface.value.join(","))));
        if let Some(group) = self.group.value {
            add(&self.group.origin, format!("--group {}", group.0));
        }
        add(&self.port.origin, format!("--port {}", self.port.value));
        flags
    }

    /// Which key does what in the chat window.
    pub(crate) fn keymap(&self) -> Keymap {
        Keymap::new(self.keys.iter().map(|(action, chosen)| (*action, chosen.value.clone())))
    }
}

impl Layer {
    /// What the command line says.
    fn given(line: &Line, matches: &ArgMatches) -> Self {
        let said = |id: &str| is_given(matches, id);
        let Global {
            net, iface, local, peer, group, port, data, name, nick, server, json, timeout, color, config, ..
        } = &line.global;
        let mut layer = Self {
            net: net.clone().filter(|_| said("net")),
            iface: iface.clone().filter(|_| said("iface")),
            local: said("local").then_some(*local),
            peer: peer.clone().filter(|_| said("peer")),
            group: group.filter(|_| said("group")),
            port: port.filter(|_| said("port")),
            data: data.clone().filter(|_| said("data")),
            name: name.clone().filter(|_| said("name")),
            nick: nick.clone().filter(|_| said("nick")),
            server: server.clone().filter(|_| said("server")),
            json: said("json").then_some(*json),
            timeout: timeout.filter(|_| said("timeout")),
            color: color.filter(|_| said("color")),
            config: config.clone().filter(|_| said("config")),
            ..Self::default()
        };
        if let Some(Command::Server(server)) = &line.command {
            layer.ephemeral = said("ephemeral").then_some(server.ephemeral);
            layer.durability = server.durability.filter(|_| said("durability"));
            layer.keep = server.keep.filter(|_| said("keep"));
            layer.priority = server.priority.filter(|_| said("priority"));
        }
        layer.web = line.command.as_ref().and_then(Command::web).filter(|_| said("web"));
        layer
    }

    /// What the environment says.
    fn around(environment: &Environment<impl Fn(&str) -> Option<OsString>>) -> Result<Self, Failure> {
        Ok(Self {
            net: environment.value("net", str::parse)?,
            iface: environment.list("iface", str::parse)?,
            local: environment.value("local", switch)?,
            peer: environment.list("peer", str::parse)?,
            group: environment.value("group", str::parse)?,
            port: environment.value("port", port)?,
            data: environment.path("data")?,
            name: environment.value("name", str::parse)?,
            nick: environment.value("nick", str::parse)?,
            server: environment.value("server", str::parse)?,
            json: environment.value("json", switch)?,
            timeout: environment.value("timeout", str::parse)?,
            color: environment.value("color", choice)?,
            ephemeral: environment.value("ephemeral", switch)?,
            durability: environment.value("durability", choice)?,
            keep: environment.value("keep", str::parse)?,
            priority: environment.value("priority", priority)?,
            web: environment.value("web", str::parse)?,
            bell: environment.value("bell", switch)?,
            keys: None,
            config: environment.path("config")?,
        })
    }

    fn read(path: &Path, must_exist: bool) -> Result<Option<Self>, Failure> {
        let bad = |why: String| {
            Failure::new(Code::BadConfig, format!("{}{why}", path.display()))
                .hint("mend it, or leave it out: ringtalk needs no file")
        };
        match std::fs::metadata(path) {
            Ok(found) if found.len() > MAX_FILE_BYTES => return Err(bad(" is longer than 1 MiB".to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(None),
            Err(error) => return Err(bad(format!(" cannot be read: {}", super::failure::plain(&error)))),
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| bad(format!(" cannot be read: {}", super::failure::plain(&error))))?;
        Self::parse(&text).map(Some).map_err(|(line, why)| match line {
            Some(line) => bad(format!(", line {line}: {why}")),
            None => bad(format!(": {why}")),
        })
    }

    /// A file's text; an error has its line, from 1, and what is wrong there.
    fn parse(text: &str) -> Result<Self, (Option<usize>, String)> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                let upto = &text.as_bytes()[..span.start.min(text.len())];
                upto.split(|&byte| byte == b'\n').count()
            });
            let why = error.message().replace('\n', " ");
            let key = line.and_then(|line| text.lines().nth(line - 1)?.split_once('=')).map(|(key, _)| key.trim());
            match key.filter(|key| !key.is_empty() && !why.contains(key)) {
                Some(key) => (line, format!("{key}: {why}")),
                None => (line, why),
            }
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => out.write_str("flag"),
            Self::Environment => out.write_str("environment"),
            Self::File(path) => write!(out, "{}", path.display()),
            Self::BuiltIn => out.write_str("built in"),
        }
    }
}

/// Whether a flag gives this setting, before the command or after it.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let deepest = matches.subcommand().map_or(matches, |(_, inner)| inner);
    let by = |m: &ArgMatches| m.try_contains_id(id).is_ok() && m.value_source(id) == Some(ValueSource::CommandLine);
    by(matches) || by(deepest)
}

fn pick<T>(layers: &[(Origin, Layer)], get: impl Fn(&Layer) -> Option<T>, built_in: impl FnOnce() -> T) -> Setting<T> {
    for (origin, layer) in layers {
        if let Some(value) = get(layer) {
            return Setting { value, origin: origin.clone() };
        }
    }
    Setting { value: built_in(), origin: Origin::BuiltIn }
}

fn row<T: Serialize>(key: &'static str, setting: &Setting<T>) -> Row {
    let origin = match setting.origin {
        Origin::Flag => format!("--{key}"),
        Origin::Environment => variable(key),
        ref other => other.to_string(),
    };
    Row { key, value: serde_json::to_value(&setting.value).unwrap_or_default(), origin }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.,:/+".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// The files to read, and whether each must be there.
fn files(chosen: Option<&Path>) -> Vec<(PathBuf, bool)> {
    match chosen {
        Some(path) => vec![(path.to_owned(), true)],
        None => vec![(user_file(), false), (PathBuf::from("/etc/ringtalk/config.toml"), false)],
    }
}

/// The user's configuration file, whether it exists or not.
fn user_file() -> PathBuf {
    home("XDG_CONFIG_HOME", ".config").join("ringtalk/config.toml")
}

/// The file of a name: one however it is written, and never outside of its directory.
pub(crate) fn file_of(name: &Name) -> String {
    let file = crate::name::fold(name.as_str()).replace('%', "%25").replace('/', "%2f");
    file.strip_prefix('.').map(|rest| format!("%2e{rest}")).unwrap_or(file)
}

/// Where data directories of nets are made.
pub(crate) fn data_home() -> PathBuf {
    home("XDG_DATA_HOME", ".local/share").join("ringtalk")
}

/// Where a client keeps what it must not lose: its identity and its outbox.
pub(crate) fn state_home() -> PathBuf {
    home("XDG_STATE_HOME", ".local/state").join("ringtalk")
}

/// A base directory by its variable, which counts only when absolute, else below the home directory.
fn home(variable: &str, below: &str) -> PathBuf {
    match std::env::var_os(variable).map(PathBuf::from) {
        Some(path) if path.is_absolute() => path,
        _ => etcetera::home_dir().unwrap_or_else(|_| PathBuf::from("/var/tmp")).join(below),
    }
}

fn host_name() -> Name {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    name_or(host.split('.').next().unwrap_or_default(), "server")
}

fn user_name() -> Name {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|key| std::env::var(key).ok());
    name_or(&user.unwrap_or_default(), "guest")
}

/// A name made of what can be used of a text.
fn name_or(text: &str, otherwise: &str) -> Name {
    let usable: String = text.chars().filter(|&c| !crate::name::is_unprintable(c)).take(16).collect();
    let usable = usable.trim_start_matches(['#', '@', '-']);
    usable.parse().or_else(|_| otherwise.parse()).unwrap_or_else(|_| unreachable_name())
}

#[expect(clippy::panic, reason = "the fallback names are literals of this file, and a test parses them all")]
fn unreachable_name() -> Name {
    panic!("a built-in name is no name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        Layer::parse(text).unwrap()
    }

    /// A net named `..` had its history outside of all nets' directory.
    #[test]
    fn files_of_a_name_are_the_same_in_any_case_and_never_elsewhere() {
        let file = |name: &str| file_of(&name.parse().unwrap());
        assert_eq!(file("Casey"), file("casey"));
        for (name, wanted) in
            [("..", "%2e."), (".", "%2e"), ("../../evil", "%2e.%2f..%2fevil"), ("a/b", "a%2fb"), ("a%2fb", "a%252fb")]
        {
            assert_eq!(file(name), wanted);
        }
    }

    #[test]
    fn first_layer_that_says_something_wins_and_is_named() {
        let user = PathBuf::from("/u");
        let layers = [
            (Origin::Flag, layer("net = 'a'")),
            (Origin::Environment, layer("net = 'b'\nport = 9000")),
            (Origin::File(user.clone()), layer("net = 'c'\nport = 9001\nnick = 'ana'")),
        ];
        let settings = Settings::resolve(&layers);
        assert_eq!((settings.net.value.as_str(), settings.net.origin), ("a", Origin::Flag));
        assert_eq!((settings.port.value, settings.port.origin), (9000, Origin::Environment));
        assert_eq!((settings.nick.value.as_str(), settings.nick.origin), ("ana", Origin::File(user)));
        assert_eq!((settings.timeout.value, settings.timeout.origin), (DEFAULT_TIMEOUT, Origin::BuiltIn));
        assert!(settings.data.value.ends_with("ringtalk/a"));
    }

    #[test]
    fn wrong_file_is_refused_with_the_line_and_the_reason() {
        for (text, line, word) in [
            ("net = 'a'\nnett = 'b'", 2, "nett"),
            ("# c\n\nport = 0", 3, "port"),
            ("port = 70000", 1, "70000"),
            ("nick = 'a b'", 1, "spaces"),
            ("nick = 'a b'", 1, "nick: "),
            ("[keys]\nsearch = 'f3'\nsned = 'f4'", 3, "sned"),
            ("[keys]\nfirst = 'f3'\nsearch = ['f3']", 3, "f3 is given to both first and search"),
            ("net = 'a'\ntimeout = '5 parsecs'", 2, "unit"),
            ("peer = ['oak:x']", 1, "peer"),
            ("group = '10.0.0.1'", 1, "multicast"),
            ("local = 'yes'", 1, "boolean"),
            ("net = ", 1, ""),
        ] {
            let (at, why) = Layer::parse(text).unwrap_err();
            assert_eq!(at, Some(line), "{text}: {why}");
            assert!(why.contains(word), "{text}: {why}");
        }
    }

    #[test]
    fn recommended_command_gets_the_flags_of_this_one() {
        let layers =
            [(Origin::Flag, layer("net = \"it's\"\nport = 9000")), (Origin::Environment, layer("local = true"))];
        assert_eq!(Settings::resolve(&layers).net_flags(), r" -n 'it'\''s' --port 9000");
    }

    #[test]
    fn hosts_and_users_of_any_name_give_names() {
        for (text, name) in [("oak", "oak"), ("-#x", "x"), ("", "server"), ("a b\u{1b}", "ab"), ("@@", "server")] {
            assert_eq!(name_or(text, "server").as_str(), name);
        }
        for fallback in [DEFAULT_NET, "server", "guest"] {
            assert_eq!(name_or("", fallback).as_str(), fallback);
        }
    }
}
