//! The pages of other servers: where a browser may come from and go to, and which tokens it may bring.

use super::door::hex;
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
    learned: Mutex<BTreeMap<SocketAddr, u64>>,
}

impl Pages {
    /// None but one's own.
    pub(super) fn new(own: SocketAddr, token: u64) -> Self {
        Self { own, token, learned: Mutex::default() }
    }

    /// A server at this address has this page; whether that is news. A page on another machine's loopback is of no use here.
    pub(super) fn learn(&self, server: IpAddr, page: SocketAddr, token: u64) -> bool {
        let is_reachable = !page.ip().is_loopback() || is_here(server);
        if page == self.own || !is_reachable || page.ip().is_unspecified() {
            return false;
        }
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if learned.len() >= MAX_PAGES && !learned.contains_key(&page) {
            return false;
        }
        learned.insert(page, token) != Some(token)
    }

    /// Whether a browser may have loaded its page there.
    pub(super) fn has(&self, origin: SocketAddr) -> bool {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&origin)
    }

    /// Whether this is the token of this host or of a page that was learned.
    pub(super) fn accept(&self, token: &str) -> bool {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        // Every token is compared, and every byte of each: the time tells nothing.
        learned.values().chain([&self.token]).fold(false, |found, known| found | is_same(&hex(*known), token))
    }

    /// The others as a browser opens them, ascending.
    pub(super) fn urls(&self) -> Vec<String> {
        self.addrs().iter().map(|addr| format!("http://{addr}")).collect()
    }

    /// The others' addresses, ascending.
    pub(super) fn addrs(&self) -> Vec<SocketAddr> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
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

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn learned_pages_are_origins_and_their_tokens_count() {
        let pages = Pages::new(addr("127.0.0.1:8284"), 1);
        let here = addr("127.0.0.1:1").ip();
        assert!(pages.learn(here, addr("127.0.0.1:8285"), 2) && !pages.learn(here, addr("127.0.0.1:8285"), 2));
        assert!(pages.has(addr("127.0.0.1:8285")) && !pages.has(addr("127.0.0.1:8286")));
        assert!(pages.accept(&hex(1)) && pages.accept(&hex(2)) && !pages.accept(&hex(3)));
        assert!(!pages.accept("") && !pages.accept(&hex(2)[1..]));
        assert_eq!(pages.urls(), ["http://127.0.0.1:8285"]);
    }

    #[test]
    fn loopback_page_of_another_machine_and_ones_own_are_not_taken() {
        let pages = Pages::new(addr("127.0.0.1:8284"), 1);
        assert!(!pages.learn(addr("192.0.2.7:1").ip(), addr("127.0.0.1:8285"), 2));
        assert!(!pages.learn(addr("127.0.0.1:1").ip(), addr("127.0.0.1:8284"), 2));
        assert!(pages.learn(addr("192.0.2.7:1").ip(), addr("192.0.2.7:8284"), 2));
        for port in 0..200 {
            pages.learn(addr("192.0.2.7:1").ip(), addr(&format!("192.0.2.8:{}", 9000 + port)), 2);
        }
        assert_eq!(pages.addrs().len(), MAX_PAGES);
    }
}
