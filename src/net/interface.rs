//! Which interfaces are used: discovery on all that are fit, data on the best.

use super::NetError;
use netdev::interface::types::InterfaceType;
use std::net::Ipv4Addr;

/// How names of virtual interfaces begin: used only when `--iface` names them.
const VIRTUAL: [&str; 22] = [
    "docker",
    "veth",
    "virbr",
    "br-",
    "tun",
    "tap",
    "tailscale",
    "wg",
    "utun",
    "vmnet",
    "vboxnet",
    "podman",
    "cni",
    "flannel",
    "cali",
    "lxc",
    "lxd",
    "zt",
    "awdl",
    "llw",
    "ifb",
    "dummy",
];

/// An interface with the address it is used by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its name: `eth0`.
    pub name: String,
    /// The system's number; changes when the interface is made anew.
    pub index: u32,
    /// Its first IPv4 address.
    pub addr: Ipv4Addr,
    /// Length of the address's prefix, in bits.
    pub prefix: u8,
    /// Longest packet, in bytes, where known.
    pub mtu: Option<u32>,
    /// Whether it reaches this machine only.
    pub loopback: bool,
    score: u32,
}

/// The interfaces that were chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Everything is sent here; also in `listen`, as its first.
    pub data: Interface,
    /// The group is joined on these.
    pub listen: Vec<Interface>,
    /// Names of those that are up and were left out.
    pub ignored: Vec<String>,
}

/// Chooses among the system's interfaces.
///
/// `wanted` names the only ones to use, the best of them for data; empty means all that are fit. `local` means loopback.
///
/// # Errors
/// [`NetError::NoInterface`] when one that was named cannot be used, [`NetError::NoInterfaces`] when none can.
pub fn choose(wanted: &[String], local: bool) -> Result<Choice, NetError> {
    let found = netdev::get_interfaces().into_iter().filter(netdev::Interface::is_up);
    pick(found.filter_map(|found| candidate(&found)).collect(), wanted, local)
}

/// An interface that is up, and whether it is used without being named.
struct Candidate {
    interface: Interface,
    fit: bool,
}

fn candidate(found: &netdev::Interface) -> Option<Candidate> {
    let net = found.ipv4.first()?;
    let loopback = found.is_loopback();
    let is_virtual = VIRTUAL.iter().any(|start| found.name.starts_with(start));
    let interface = Interface {
        name: found.name.clone(),
        index: found.index,
        addr: if loopback { Ipv4Addr::LOCALHOST } else { net.addr() },
        prefix: net.prefix_len(),
        mtu: found.mtu,
        loopback,
        score: score(found, net.addr()),
    };
    Some(Candidate { interface, fit: found.is_multicast() && !loopback && !is_virtual && !found.is_tun() })
}

/// More is better: physical, then with the default route, then wired, then private.
fn score(found: &netdev::Interface, addr: Ipv4Addr) -> u32 {
    let wired = found.if_type != InterfaceType::Wireless80211;
    let ranks = [(8, found.is_physical()), (4, found.default), (2, wired), (1, addr.is_private())];
    ranks.iter().filter(|rank| rank.1).map(|rank| rank.0).sum()
}

fn pick(found: Vec<Candidate>, wanted: &[String], local: bool) -> Result<Choice, NetError> {
    let usable = || found.iter().map(|candidate| candidate.interface.name.clone()).collect::<Vec<_>>();
    if let Some(name) = wanted.iter().find(|name| !usable().contains(name)) {
        return Err(NetError::NoInterface { name: name.clone(), usable: usable() });
    }
    let is_chosen = |candidate: &Candidate| match (local, wanted) {
        (true, _) => candidate.interface.loopback,
        (false, []) => candidate.fit,
        (false, wanted) => wanted.contains(&candidate.interface.name),
    };
    let nothing = !found.iter().any(is_chosen);
    let (chosen, left): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|candidate| if nothing { candidate.interface.loopback } else { is_chosen(candidate) });
    let mut listen: Vec<Interface> = chosen.into_iter().map(|candidate| candidate.interface).collect();
    listen.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.index.cmp(&b.index)));
    let ignored = left.into_iter().filter(|left| !left.interface.loopback).map(|left| left.interface.name).collect();
    let data = listen.first().cloned().ok_or(NetError::NoInterfaces)?;
    Ok(Choice { data, listen, ignored })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(name: &str, index: u32, score: u32, fit: bool) -> Candidate {
        let loopback = name == "lo";
        let addr = if loopback { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(192, 168, 1, index as u8) };
        let interface = Interface { name: name.into(), index, addr, prefix: 24, mtu: Some(1500), loopback, score };
        Candidate { interface, fit }
    }

    fn machine() -> Vec<Candidate> {
        vec![
            up("lo", 1, 0, false),
            up("wlan0", 2, 9, true),
            up("eth0", 3, 15, true),
            up("docker0", 4, 3, false),
            up("tailscale0", 5, 2, false),
        ]
    }

    fn names(listen: &[Interface]) -> Vec<&str> {
        listen.iter().map(|interface| interface.name.as_str()).collect()
    }

    #[test]
    fn data_goes_out_on_the_best_and_discovery_listens_on_all_that_are_fit() {
        let choice = pick(machine(), &[], false).unwrap();
        assert_eq!(choice.data.name, "eth0");
        assert_eq!(names(&choice.listen), ["eth0", "wlan0"]);
        assert_eq!(choice.ignored, ["docker0", "tailscale0"]);
    }

    #[test]
    fn named_interfaces_are_used_whatever_they_are() {
        let choice = pick(machine(), &["docker0".to_owned()], false).unwrap();
        assert_eq!(names(&choice.listen), ["docker0"]);
        assert_eq!(choice.ignored, ["wlan0", "eth0", "tailscale0"]);
    }

    #[test]
    fn named_interface_that_is_not_there_is_an_error_that_lists_those_that_are() {
        let error = pick(machine(), &["eth7".to_owned()], false).unwrap_err();
        assert_eq!(error.hint(), "usable here: lo, wlan0, eth0, docker0, tailscale0.");
    }

    #[test]
    fn loopback_serves_when_asked_for_and_when_nothing_else_does() {
        assert_eq!(names(&pick(machine(), &[], true).unwrap().listen), ["lo"]);
        let alone = vec![up("lo", 1, 0, false), up("docker0", 4, 3, false)];
        let choice = pick(alone, &[], false).unwrap();
        assert!(choice.data.loopback);
        assert_eq!(choice.ignored, ["docker0"]);
        assert!(matches!(pick(vec![], &[], false), Err(NetError::NoInterfaces)));
    }
}
