//! Who may ask: every request must name this host by an address of its own, and come from a page that is known.

use super::door::{Door, LAST_PORT, PORT, hex};
use super::pages::{Pages, is_same};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The cookie of a page that the network can reach.
const COOKIE: &str = "ringtalk";

/// The rules of one door.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    bound: SocketAddr,
    token: u64,
    off_host: bool,
}

impl Guard {
    /// The rules of this door.
    pub(super) fn of(door: &Door) -> Self {
        Self { bound: door.addr(), token: door.token(), off_host: door.is_off_host() }
    }

    /// Whether the `Host` header names this host: by localhost, or by the very address that the connection came to. A name
    /// that somebody else's DNS points here (DNS rebinding) is none.
    pub(super) fn is_own(&self, host: &str, came_to: IpAddr) -> bool {
        let Some((name, port)) = host.rsplit_once(':') else { return false };
        if port != self.bound.port().to_string() {
            return false;
        }
        let ip = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse::<IpAddr>();
        match ip {
            Ok(ip) => ip == came_to || ip == self.bound.ip() || is_localhost(ip),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether a request from a page of this origin is welcome, at a host that was named so. No origin is no page.
    pub(super) fn allows(origin: Option<&str>, host: &str, pages: &Pages) -> bool {
        let Some(origin) = origin else { return true };
        let Some(authority) = origin.strip_prefix("http://") else { return false };
        authority.eq_ignore_ascii_case(host) || authority.parse().is_ok_and(|addr| pages.has(addr))
    }

    /// Whether the page may be loaded with these: near, always; from the network, with the cookie.
    pub(super) fn admits(&self, cookies: &str) -> bool {
        let told = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        let own = told.filter(|(name, _)| *name == self.cookie_name());
        !self.off_host || own.fold(false, |found, (_, value)| found | is_same(&hex(self.token), value))
    }

    /// The cookie for who brings the right token in the address.
    pub(super) fn cookie_for(&self, query: &str) -> Option<String> {
        let told = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        let cookie = || format!("{}={told}; Path=/; SameSite=Strict; HttpOnly", self.cookie_name());
        is_same(&hex(self.token), told).then(cookie)
    }

    /// Cookies know no ports: each of this machine's pages has its own.
    fn cookie_name(&self) -> String {
        format!("{COOKIE}-{}", self.bound.port())
    }

    /// What the page may load and reach: its own files, this machine's pages and those that are known.
    pub(super) fn content_policy(pages: &Pages) -> String {
        let mut policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'"
            .to_owned();
        let near = (PORT..=LAST_PORT).map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        let mut addrs: Vec<SocketAddr> = near.chain(pages.addrs()).collect();
        addrs.sort_unstable();
        addrs.dedup();
        for addr in addrs {
            let _ = write!(policy, " ws://{addr}");
        }
        policy
    }
}

fn is_localhost(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(bound: &str) -> Guard {
        let bound: SocketAddr = bound.parse().unwrap();
        Guard { bound, token: 7, off_host: !bound.ip().is_loopback() }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn host_is_an_address_of_ones_own_with_the_port() {
        let near = guard("127.0.0.1:8284");
        let came = ip("127.0.0.1");
        for host in ["127.0.0.1:8284", "localhost:8284", "LOCALHOST:8284", "[::1]:8284"] {
            assert!(near.is_own(host, came), "{host}");
        }
        let foreign =
            ["evil.example:8284", "127.0.0.1", "127.0.0.1:80", "localhost", "", "localhost.evil.example:8284", ":8284"];
        for host in foreign {
            assert!(!near.is_own(host, came), "{host}");
        }
        let far = guard("0.0.0.0:8284");
        assert!(far.is_own("192.0.2.7:8284", ip("192.0.2.7")) && !far.is_own("192.0.2.8:8284", ip("192.0.2.7")));
    }

    #[test]
    fn origin_is_the_host_itself_or_a_page_that_is_known() {
        let host = "localhost:8284";
        let pages = Pages::new("127.0.0.1:8284".parse().unwrap(), 7);
        pages.learn(None, crate::wire::message::Page { addr: "127.0.0.1:8285".parse().unwrap(), token: 8 });
        for origin in [None, Some("http://localhost:8284"), Some("http://127.0.0.1:8285")] {
            assert!(Guard::allows(origin, host, &pages), "{origin:?}");
        }
        for origin in ["null", "http://evil.example", "https://127.0.0.1:8285", "http://127.0.0.1:8286", "file://", ""]
        {
            assert!(!Guard::allows(Some(origin), host, &pages), "{origin}");
        }
    }

    #[test]
    fn page_on_the_network_wants_the_token_once_and_then_the_cookie() {
        let far = guard("0.0.0.0:8284");
        let cookie = far.cookie_for(&format!("x=1&token={}", hex(7))).unwrap();
        assert!(cookie.ends_with("; Path=/; SameSite=Strict; HttpOnly"));
        assert!(far.admits(&format!("a=b; {}", cookie.split(';').next().unwrap())));
        assert!(!far.admits("") && !far.admits("ringtalk-8284=0") && far.cookie_for("token=0").is_none());
        assert!(guard("127.0.0.1:8284").admits(""));
    }
}
