//! The pages of other servers: where a browser may come from and go to, and which tokens it may bring.

use super::door::hex;
use crate::wire::message::Page;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};

/// Pages remembered; later ones are not taken.
const MAX_PAGES: usize = 64;

/// What was learned of other servers' pages. Kept for as long as the host lives: a page outlives its server.
#[derive(Debug)]
pub(super) struct Pages {
    own: SocketAddr,
    token: u64,
    learned: Mutex<BTreeMap<SocketAddr, Learned>>,
}

/// One page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Learned {
    token: u64,
    /// Whether a browser here can load it.
    is_reachable: bool,
}

impl Pages {
    /// None but one's own.
    pub(super) fn new(own: SocketAddr, token: u64) -> Self {
        Self { own, token, learned: Mutex::default() }
    }

    /// There is such a page; whether that is news to browsers. Where its server is known to be elsewhere, or not known, a page
    /// on loopback is of no use to a browser here, though one may have been loaded from it.
    pub(super) fn learn(&self, server: Option<IpAddr>, page: Page) -> bool {
        let is_reachable = !page.addr.ip().is_loopback() || server.is_some_and(is_here);
        if page.addr == self.own || page.addr.ip().is_unspecified() {
            return false;
        }
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.len() >= MAX_PAGES && !learned.contains_key(&page.addr) {
            return false;
        }
        let known = learned.entry(page.addr).or_insert(Learned { token: page.token, is_reachable: false });
        known.token = page.token;
        is_reachable && !std::mem::replace(&mut known.is_reachable, true)
    }

    /// Whether a browser may have loaded its page there.
    pub(super) fn has(&self, origin: SocketAddr) -> bool {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&origin)
    }

    /// Whether this is the token of this host or of a page that was learned.
    pub(super) fn accept(&self, token: &str) -> bool {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        // Every token is compared, and every byte of each: the time tells nothing.
        learned
            .values()
            .map(|page| page.token)
            .chain([self.token])
            .fold(false, |found, known| found | is_same(&hex(known), token))
    }

    /// The others that a browser here can load, ascending.
    pub(super) fn urls(&self) -> Vec<String> {
        self.addrs().iter().map(|addr| format!("http://{addr}")).collect()
    }

    /// Their addresses.
    pub(super) fn addrs(&self) -> Vec<SocketAddr> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.iter().filter(|(_, page)| page.is_reachable).map(|(addr, _)| *addr).collect()
    }
}

/// Compares in a time that depends on lengths alone.
pub(super) fn is_same(known: &str, told: &str) -> bool {
    let differs = known.bytes().zip(told.bytes()).fold(0, |differs, (one, other)| differs | (one ^ other));
    known.len() == told.len() && differs == 0
}

/// Whether this is an address of this machine.
fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(addr: &str, token: u64) -> Page {
        Page { addr: addr.parse().unwrap(), token }
    }

    fn pages() -> Pages {
        Pages::new("127.0.0.1:8284".parse().unwrap(), 1)
    }

    fn from(ip: &str) -> Option<IpAddr> {
        ip.parse().ok()
    }

    #[test]
    fn learned_pages_are_origins_and_their_tokens_count() {
        let pages = pages();
        let other = page("127.0.0.1:8285", 2);
        assert!(pages.learn(from("127.0.0.1"), other) && !pages.learn(from("127.0.0.1"), other));
        assert!(pages.has(other.addr) && !pages.has("127.0.0.1:8286".parse().unwrap()));
        assert!(pages.accept(&hex(1)) && pages.accept(&hex(2)) && !pages.accept(&hex(3)));
        assert!(!pages.accept("") && !pages.accept(&hex(2)[1..]));
        assert_eq!(pages.urls(), ["http://127.0.0.1:8285"]);
    }

    #[test]
    fn loopback_page_of_another_machine_is_not_offered() {
        let pages = pages();
        assert!(!pages.learn(from("192.0.2.7"), page("127.0.0.1:8285", 2)));
        assert!(!pages.learn(None, page("127.0.0.1:8286", 2)));
        assert!(!pages.learn(from("127.0.0.1"), page("127.0.0.1:8284", 2)), "one's own");
        assert!(pages.learn(from("192.0.2.7"), page("192.0.2.7:8284", 2)));
        assert_eq!(pages.urls(), ["http://192.0.2.7:8284"]);
        assert!(pages.has("127.0.0.1:8286".parse().unwrap()), "a browser may have been there");
    }

    #[test]
    fn pages_are_bounded() {
        let pages = pages();
        for port in 0..200 {
            pages.learn(None, page(&format!("192.0.2.8:{}", 9000 + port), 2));
        }
        assert_eq!(pages.addrs().len(), MAX_PAGES);
    }
}
