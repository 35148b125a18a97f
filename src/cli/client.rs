//! Starts the library's client as settings have it, and puts what keeps it from starting into words.

use super::config::{DEFAULT_PORT, Settings, file_of, state_home};
use super::contact::Talk;
use super::failure::{Code, Failure, plain};
use super::values::Peer;
use crate::client::{Builder, Client, Command, Draft, Event, OpenError, SubmitError};
use crate::ids::{ClientId, MessageId, ServerId};
use crate::net::NetError;
use crossbeam_channel::Receiver;
use std::fs::DirBuilder;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How many chats of one user can go on at once, each with an identity of its own.
const CHATS: usize = 16;

/// What a command wants of its client. Unless told otherwise it reads, under a name that it claims from nobody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kind {
    follow: bool,
    speaks: bool,
    outbox: Option<PathBuf>,
    /// The only server that will do.
    only: Option<ServerId>,
    /// Whether another outbox beside it will do when this one is used.
    or_next: bool,
}

impl Kind {
    /// One that keeps what is not acknowledged in this file.
    pub(crate) fn with_outbox(file: &Path) -> Self {
        Self { outbox: Some(file.to_owned()), speaks: true, ..Self::default() }
    }

    /// One that is the user: the same client every time, who owns the nick.
    pub(crate) fn person(settings: &Settings) -> Self {
        Self { outbox: Some(own_outbox(settings)), or_next: true, speaks: true, ..Self::default() }
    }

    /// One that speaks and is forgotten.
    pub(crate) fn passer_by() -> Self {
        Self { speaks: true, ..Self::default() }
    }

    /// One that asks this server only.
    pub(crate) fn of_server(server: ServerId) -> Self {
        Self { only: Some(server), ..Self::default() }
    }

    /// The same, listening.
    pub(crate) fn following(self) -> Self {
        Self { follow: true, ..self }
    }
}

/// Where the user's identity under this nick is kept.
fn own_outbox(settings: &Settings) -> PathBuf {
    state_home().join(file_of(&settings.net.value)).join(file_of(&settings.nick.value) + ".outbox")
}

/// Who the user is under this nick, if ever: the owner of the outbox, which another process may be using.
pub(crate) fn own_id(settings: &Settings) -> Option<ClientId> {
    let bytes = std::fs::read(own_outbox(settings)).ok()?;
    let id = bytes.strip_prefix(b"rtoutbx1")?.first_chunk::<8>()?;
    Some(ClientId(u64::from_le_bytes(*id)))
}

/// A running client; the name of the interface it talks on.
///
/// # Errors
/// No socket, no outbox, no such peer.
pub(crate) fn start(settings: &Settings, kind: &Kind) -> Result<(Box<dyn Talk + Send>, String), Failure> {
    let client = open(settings, kind)?;
    let interface = client.interface().to_owned();
    Ok((Box::new(client), interface))
}

fn open(settings: &Settings, kind: &Kind) -> Result<Client, Failure> {
    let Some(file) = &kind.outbox else { return begin(settings, kind, None).map_err(open_failure) };
    if let Some(dir) = file.parent().filter(|dir| kind.or_next && !dir.exists()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir).map_err(|error| Failure::io("make", dir, &error))?;
    }
    let mut chat = 1;
    loop {
        let path = if chat == 1 { file.clone() } else { file.with_extension(format!("{chat}.outbox")) };
        match begin(settings, kind, Some(&path)) {
            Err(OpenError::OutboxInUse { .. }) if kind.or_next && chat < CHATS => chat += 1,
            opened => return opened.map_err(open_failure),
        }
    }
}

fn begin(settings: &Settings, kind: &Kind, outbox: Option<&Path>) -> Result<Client, OpenError> {
    let nick = if kind.speaks { settings.nick.value.as_str().to_owned() } else { nobody() };
    let mut builder = template(settings).nick(&nick).follow(kind.follow);
    if let Some(file) = outbox {
        builder = builder.outbox(file);
    }
    if let Some(server) = kind.only {
        builder = builder.only(server);
    }
    builder.start()
}

/// What all clients of these settings have in common.
pub(crate) fn template(settings: &Settings) -> Builder {
    let mut builder =
        Client::builder().net(settings.net.value.as_str()).local(settings.local.value).port(settings.port.value);
    if let Some(server) = &settings.server.value {
        builder = builder.server(server.as_str());
    }
    if let Some(group) = settings.group.value {
        builder = builder.group(group.0);
    }
    for interface in &settings.iface.value {
        builder = builder.interface(interface);
    }
    for addr in peers(&settings.peer.value) {
        builder = builder.peer(addr);
    }
    builder
}

/// A name that nobody has: a server refuses a session under another's nick, also one that says nothing.
fn nobody() -> String {
    format!("reader-{:016x}", getrandom::u64().unwrap_or_default())
}

/// Addresses of peers. A name that is not known is told and left out: others may do.
pub(crate) fn peers(peers: &[Peer]) -> Vec<SocketAddr> {
    let mut addrs = Vec::new();
    for peer in peers {
        match (peer.host.as_str(), peer.port.unwrap_or(DEFAULT_PORT)).to_socket_addrs() {
            Ok(found) => addrs.extend(found.filter(SocketAddr::is_ipv4)),
            Err(error) => log::warn!("--peer {peer} is not known: {}", plain(&error)),
        }
    }
    addrs
}

impl Talk for Client {
    fn id(&self) -> ClientId {
        Self::id(self)
    }

    fn was_kept(&self, id: MessageId) -> bool {
        self.kept().contains(&id)
    }

    fn submit(&self, draft: Draft) -> Result<MessageId, SubmitError> {
        Self::submit(self, draft)
    }

    fn command(&self, command: Command) {
        Self::command(self, command);
    }

    fn events(&self) -> &Receiver<Event> {
        Self::events(self)
    }

    fn failure(&self) -> Option<Failure> {
        Self::failure(self).map(open_failure)
    }
}

fn open_failure(error: OpenError) -> Failure {
    let text = error.to_string();
    match error {
        OpenError::Name { .. } => Failure::new(Code::BadName, text),
        OpenError::Net(error) => net_failure(&error),
        OpenError::Outbox { op, path, source } => Failure::io(op, &path, &source),
        OpenError::OutboxInUse { .. } => {
            Failure::new(Code::OutboxInUse, text).hint("name another file, or wait for the other process")
        }
        OpenError::NoOutbox { .. } => {
            Failure::new(Code::DamagedOutbox, text).hint("it was left as it is: name another file")
        }
        OpenError::OutboxDamaged { .. } => {
            Failure::new(Code::DamagedOutbox, text).hint("it was left as it is: move it away, and a new one is made")
        }
        OpenError::Resume(_) | OpenError::Thread(_) => Failure::new(Code::Failed, text),
    }
}

/// What keeps the network from being used.
pub(crate) fn net_failure(error: &NetError) -> Failure {
    let code = match error {
        NetError::AddrInUse { .. } => Code::PortHeld,
        NetError::Forbidden { .. } => Code::SendForbidden,
        NetError::NoInterface { .. } => Code::NoSuchInterface,
        _ => Code::Network,
    };
    // A hint may end with a command, which people copy.
    Failure::new(code, sentence(&error.to_string())).hint(capital(&error.hint()))
}

/// Begins with a capital and ends with a full stop, as the texts of the contract do.
pub(crate) fn sentence(text: &str) -> String {
    let stop = if text.ends_with(['.', '?', '!']) || text.is_empty() { "" } else { "." };
    capital(text) + stop
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_contract_ends_with_a_full_stop_and_a_command_to_copy_does_not() {
        let failure = net_failure(&NetError::Forbidden { to: "239.255.82.84:8284".parse().unwrap() });
        assert_eq!(failure.message, "The firewall here forbids sending to 239.255.82.84 (EPERM).");
        assert!(failure.hint.starts_with("Allow it: ") && failure.hint.ends_with(" accept"), "{}", failure.hint);
        let held = net_failure(&NetError::AddrInUse { port: 8284, holder: None });
        assert_eq!(held.hint, "Use --port N on every machine, or stop that program.");
    }
}
