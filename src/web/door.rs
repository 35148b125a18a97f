//! Where browsers come in: the address, and the token that lets them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// The port of a page, when it is free.
pub const PORT: u16 = 8284;
/// The last port that is tried when it is not.
pub const LAST_PORT: u16 = 8299;

/// Why there is no page. Nothing stays open.
#[derive(Debug)]
pub enum WebError {
    /// Every port that was tried is used by another program.
    Taken {
        /// The first.
        addr: SocketAddr,
        /// The last.
        last: u16,
    },
    /// The address cannot be listened to.
    Bind {
        /// Which.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no thread, no runtime or no random numbers.
    System(io::Error),
}

impl WebError {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "--web ADDR:PORT chooses another, --web off none",
            Self::Bind { .. } => "--web 127.0.0.1:8284 is the usual one, --web off none",
            Self::System(_) => "--web off does without",
        }
    }
}

impl fmt::Display for WebError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { addr, last } if *last == addr.port() => write!(out, "port {addr} is taken"),
            Self::Taken { addr, last } => write!(out, "ports {addr} to {last} are all taken"),
            Self::Bind { addr, source } => write!(out, "cannot listen on {addr}: {}", reason(source)),
            Self::System(source) => write!(out, "cannot start: {}", reason(source)),
        }
    }
}

/// The system's words, without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

impl std::error::Error for WebError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Taken { .. } => None,
            Self::Bind { source, .. } | Self::System(source) => Some(source),
        }
    }
}

/// An open door: browsers can knock, and are answered when a [`Host`](super::Host) starts with it.
#[derive(Debug)]
pub struct Door {
    pub(super) listener: TcpListener,
    addr: SocketAddr,
    token: u64,
}

impl Door {
    /// Listens on this address; where the port is one of a page's usual ones and taken, on the next free one. Anything but
    /// a loopback address opens the page to the network: it then wants its token to be loaded.
    ///
    /// # Errors
    /// [`WebError`].
    pub fn open(listen: SocketAddr) -> Result<Self, WebError> {
        let token = getrandom::u64().map_err(|error| WebError::System(io::Error::other(error.to_string())))?;
        let last = if (PORT..=LAST_PORT).contains(&listen.port()) { LAST_PORT } else { listen.port() };
        for port in listen.port()..=last {
            let addr = SocketAddr::new(listen.ip(), port);
            match listen_on(addr) {
                Ok((listener, addr)) => return Ok(Self { listener, addr, token }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(source) => return Err(WebError::Bind { addr, source }),
            }
        }
        Err(WebError::Taken { addr: listen, last })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What lets a browser in; random, for as long as the process lives.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Whether the network can reach it.
    pub fn is_off_host(&self) -> bool {
        !self.addr.ip().is_loopback()
    }

    /// The address that others are told: this machine's on its network, where it listens on all.
    pub fn public_addr(&self) -> SocketAddr {
        let ip = if self.addr.ip().is_unspecified() { routed_ip() } else { self.addr.ip() };
        SocketAddr::new(ip, self.addr.port())
    }

    /// What people open. Holds the token where the page wants it: not for logs.
    pub fn url(&self) -> String {
        if self.is_off_host() {
            return format!("http://{}/?token={}", self.public_addr(), hex(self.token));
        }
        format!("http://{}/", self.addr)
    }
}

/// A token as it is written.
pub(super) fn hex(token: u64) -> String {
    format!("{token:016x}")
}

fn listen_on(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// This machine's address on the network that multicast goes to. Nothing is sent.
fn routed_ip() -> IpAddr {
    let route = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((Ipv4Addr::new(239, 255, 82, 84), PORT))?;
        socket.local_addr()
    };
    route().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |addr: SocketAddr| addr.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_port_outside_the_usual_ones_is_told() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = Door::open(held.local_addr().unwrap()).unwrap_err();
        assert!(matches!(error, WebError::Taken { .. }), "{error}");
    }

    #[test]
    fn only_a_door_to_the_network_shows_its_token() {
        let near = Door::open("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(!near.url().contains("token") && !near.is_off_host());
        let far = Door::open("0.0.0.0:0".parse().unwrap()).unwrap();
        assert!(far.url().ends_with(&hex(far.token())) && far.is_off_host());
        assert!(!far.public_addr().ip().is_unspecified());
    }
}
