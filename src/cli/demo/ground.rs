//! Where a demo stands: a net, a port and a directory that nothing else uses.

use crate::cli::config::{Origin, Setting, Settings};
use crate::cli::failure::{Code, Failure};
use crate::cli::values::{Name, Span};
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file that tells a demo's directory from any other: what stands beside it may be removed.
pub(super) const MARK: &str = ".ringtalk-demo";
/// How long a demo's client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The ground of one demo. Dropped, its directory is gone.
#[derive(Debug)]
pub(super) struct Ground {
    /// The net's name, drawn at random unless asked for.
    pub(super) net: String,
    /// The UDP port.
    pub(super) port: u16,
    /// The interfaces to use when others may join; `None` on this machine alone.
    lan: Option<Vec<String>>,
    dir: PathBuf,
}

/// Where a demo is wanted.
#[derive(Debug, Default)]
pub(super) struct Place {
    net: Option<String>,
    port: Option<u16>,
    lan: Option<Vec<String>>,
}

impl Place {
    /// What the command line says, and for a classroom the port and the interfaces that these settings name. A net that is the
    /// user's own by habit is not the demo's.
    pub(super) fn of(own: &Settings, is_classroom: bool) -> Self {
        let is_port_asked = is_classroom || own.port.origin == Origin::Flag;
        Self {
            net: is_net_asked(own).then(|| own.net.value.as_str().to_owned()),
            port: is_port_asked.then_some(own.port.value),
            lan: is_classroom.then(|| own.iface.value.clone()),
        }
    }
}

/// Whether the command line names the net.
pub(super) fn is_net_asked(own: &Settings) -> bool {
    own.net.origin == Origin::Flag
}

impl Ground {
    /// Makes the directory, and draws what was not asked for: a net, and a port that nobody held.
    ///
    /// # Errors
    /// [`Code::Io`], [`Code::NoSpace`].
    pub(super) fn new(place: Place) -> Result<Self, Failure> {
        let Place { net, port, lan } = place;
        let drawn = getrandom::u64().map_err(|error| Failure::new(Code::Failed, format!("no randomness: {error}")))?;
        // Students type the net's name: that of a classroom is short.
        let net = net.unwrap_or_else(|| match lan {
            Some(_) => format!("demo-{:04x}", drawn >> 48),
            None => format!("demo-{:012x}", drawn >> 16),
        });
        let dir = std::env::temp_dir().join(format!("ringtalk-demo-{:012x}", drawn >> 16));
        fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|error| Failure::io("make", &dir, &error))?;
        let port = port.map_or_else(free_port, Ok)?;
        let ground = Self { net, port, lan, dir };
        let mark = ground.dir.join(MARK);
        fs::write(&mark, "").map_err(|error| Failure::io("write", &mark, &error))?;
        Ok(ground)
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A server's data directory.
    pub(super) fn data_of(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Arguments that put a server on this ground.
    pub(super) fn place(&self) -> Vec<String> {
        let mut args = vec!["--net".to_owned(), self.net.clone(), "--port".to_owned(), self.port.to_string()];
        match &self.lan {
            None => args.push("--local".to_owned()),
            Some(interfaces) => args.extend(interfaces.iter().flat_map(|name| ["--iface".to_owned(), name.clone()])),
        }
        args
    }

    /// The settings of a demo's clients: nothing of the user's own but how to speak.
    pub(super) fn settings(&self, own: &Settings) -> Result<Settings, Failure> {
        Ok(Settings {
            net: set(self.net.parse::<Name>()?),
            local: set(self.lan.is_none()),
            port: set(self.port),
            iface: set(self.lan.clone().unwrap_or_default()),
            peer: set(Vec::new()),
            group: set(None),
            server: set(None),
            timeout: set(Span(PATIENCE)),
            ..own.clone()
        })
    }
}

/// A setting that the demo chose.
pub(super) fn set<T>(value: T) -> Setting<T> {
    Setting { value, origin: Origin::BuiltIn }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Servers that still end may be writing; the keeper removes what they leave.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn free_port() -> Result<u16, Failure> {
    let port = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| socket.local_addr());
    port.map(|addr| addr.port()).map_err(|error| {
        Failure::new(Code::Failed, format!("no UDP port to be had: {}", crate::cli::failure::plain(&error)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_ends_with_its_ground() {
        let (one, other) = (Ground::new(Place::default()).unwrap(), Ground::new(Place::default()).unwrap());
        assert_ne!(one.net, other.net);
        let dir = other.dir().to_path_buf();
        fs::create_dir(other.data_of("oak")).unwrap();
        drop(other);
        assert!(!dir.exists() && one.dir().exists());
    }
}
