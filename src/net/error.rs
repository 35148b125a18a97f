//! What goes wrong with sockets, with what to do about it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

/// Why the network cannot be used. None of these leaves anything behind: no socket stays open.
#[derive(Debug)]
pub enum NetError {
    /// The well-known port is held by a program that does not share it. Choose another port on every machine.
    AddrInUse {
        /// The port.
        port: u16,
        /// The holder's pid and name, where the system shows them.
        holder: Option<(u32, String)>,
    },
    /// The firewall of this machine forbids to send to the group (EPERM). It wants a rule.
    Forbidden {
        /// Where the datagram should have gone.
        to: SocketAddr,
    },
    /// An interface that was asked for is not there, is down, or has no IPv4 address.
    NoInterface {
        /// Its name.
        name: String,
        /// Those that could be used.
        usable: Vec<String>,
    },
    /// The system's interfaces could not be listed, or none can be used, not even loopback.
    NoInterfaces,
    /// The group could not be joined.
    Join {
        /// The group.
        group: Ipv4Addr,
        /// On which interface.
        interface: String,
        /// What the system said. `ENOBUFS`: more groups than `net.ipv4.igmp_max_memberships` allows.
        source: io::Error,
    },
    /// The address that should be the group is none.
    NotMulticast {
        /// The address.
        group: Ipv4Addr,
    },
    /// Any other refusal of the system.
    Socket {
        /// What was tried, as an infinitive: `bind`.
        op: &'static str,
        /// On which address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl NetError {
    /// The stable word for scripts (`error.code` in JSON).
    pub fn code(&self) -> &'static str {
        match self {
            Self::AddrInUse { .. } => "port_in_use",
            Self::Forbidden { .. } => "firewall",
            Self::NoInterface { .. } => "no_such_interface",
            Self::NoInterfaces => "no_interface",
            Self::Join { .. } => "cannot_join",
            Self::NotMulticast { .. } => "not_multicast",
            Self::Socket { .. } => "socket",
        }
    }

    /// What to do about it, in one line for people; a command to copy stands last, without a full stop.
    pub fn hint(&self) -> String {
        match self {
            Self::AddrInUse { .. } => "use --port N on every machine, or stop that program.".to_owned(),
            Self::Forbidden { to } => format!(
                "allow it: ufw allow proto udp to any port {port}:8299 · firewall-cmd --add-port={port}-8299/udp · \
                 nft add rule inet filter output udp dport {port}-8299 accept",
                port = to.port()
            ),
            Self::NoInterface { usable, .. } if usable.is_empty() => "no interface can be used: --local".to_owned(),
            Self::NoInterface { usable, .. } => format!("usable here: {}.", usable.join(", ")),
            Self::NoInterfaces => "bring an interface up: ip link set lo up".to_owned(),
            Self::Join { source, .. } if source.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {
                "too many groups are joined: sysctl net.ipv4.igmp_max_memberships=64".to_owned()
            }
            Self::Join { .. } => "choose another interface with --iface, or --local.".to_owned(),
            Self::NotMulticast { .. } => "a group lies between 224.0.0.0 and 239.255.255.255.".to_owned(),
            Self::Socket { .. } => "choose other ports or another interface: --port, --iface.".to_owned(),
        }
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddrInUse { port, holder: Some((pid, name)) } => {
                write!(out, "UDP {port} is held by pid {pid} ({name}), which does not share it")
            }
            Self::AddrInUse { port, holder: None } => {
                write!(out, "UDP {port} is held by another program, which does not share it")
            }
            Self::Forbidden { to } => write!(out, "the firewall here forbids sending to {} (EPERM)", to.ip()),
            Self::NoInterface { name, .. } => write!(out, "no interface {name} that is up and has an IPv4 address"),
            Self::NoInterfaces => out.write_str("no network interface is up, not even loopback"),
            Self::Join { group, interface, source } => {
                write!(out, "cannot join {group} on {interface}: {}", reason(source))
            }
            Self::NotMulticast { group } => write!(out, "{group} is no multicast group"),
            Self::Socket { op, addr, source } => write!(out, "cannot {op} {addr}: {}", reason(source)),
        }
    }
}

impl std::error::Error for NetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Join { source, .. } | Self::Socket { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The system's words, in lower case and without its number: `no such device`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_what_the_contract_promises() {
        let held = NetError::AddrInUse { port: 8284, holder: Some((812, "zenohd".into())) };
        assert_eq!(held.to_string(), "UDP 8284 is held by pid 812 (zenohd), which does not share it");
        let hidden = NetError::AddrInUse { port: 8284, holder: None };
        assert_eq!(hidden.to_string(), "UDP 8284 is held by another program, which does not share it");
        let firewall = NetError::Forbidden { to: "239.255.82.84:8284".parse().unwrap() };
        assert_eq!(firewall.to_string(), "the firewall here forbids sending to 239.255.82.84 (EPERM)");
        let source = io::Error::from_raw_os_error(rustix::io::Errno::NODEV.raw_os_error());
        let join = NetError::Join { group: Ipv4Addr::new(239, 255, 82, 84), interface: "eth0".into(), source };
        assert_eq!(join.to_string(), "cannot join 239.255.82.84 on eth0: no such device");
    }
}
