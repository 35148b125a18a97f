//! What goes over the network: bounded, not repeated for nothing, and control before data (21, 24).

use super::{Checker, Verdict, Violation, hold};
use crate::ids::ViewTag;
use crate::proto::io::Route;
use crate::proto::repair::LINGER;
use crate::sim::world::message_name;
use crate::time::Time;
use crate::wire::datagram::{self, HEADER_BYTES, MAX_DATAGRAM_BYTES};
use crate::wire::message::Message;
use std::collections::HashMap;
use std::time::Duration;

/// Most datagrams that one input may cause: a full burst of orders, of an origin's window and of repairs, and what the
/// clocks want sent meanwhile.
const MOST_A_STEP: usize = 1536;
/// How often one number may be asked for again by one server within [`ASKING`]: with back-off it is fifteen times at most.
const MOST_ASKED: u32 = 20;
/// See [`MOST_ASKED`].
const ASKING: Duration = Duration::from_secs(1);
/// The original and one repair: within [`LINGER`] no third copy of a datagram is multicast.
const MOST_COPIES: u32 = 2;
/// Notes older than they count are dropped when there are more than this.
const MANY: usize = 20_000;

/// When something was first done, and how often since.
type Often = (Time, u32);

/// What was said lately.
#[derive(Default)]
pub(super) struct Traffic {
    /// By server, view, stream and first number: what was asked for.
    asked: HashMap<(usize, ViewTag, u16, u64), Often>,
    /// By server and checksum: data that was multicast.
    multicast: HashMap<(usize, u32), Often>,
}

/// Counts one more; how often within `span`.
fn again<K: std::hash::Hash + Eq>(seen: &mut HashMap<K, Often>, key: K, now: Time, span: Duration) -> u32 {
    if seen.len() > MANY {
        seen.retain(|_, (since, _)| now.since(*since) < span);
    }
    let often = seen.entry(key).or_insert((now, 0));
    if now.since(often.0) >= span {
        *often = (now, 0);
    }
    often.1 += 1;
    often.1
}

impl Checker {
    /// All that one input made a server send, in its order: 21, 24.
    pub fn sent_in_a_step<'a>(&self, at: usize, sent: impl Iterator<Item = (&'a Route, &'a [u8])>) -> Verdict {
        let (mut count, mut data) = (0, None);
        for (route, bytes) in sent {
            count += 1;
            if matches!(route, Route::Link(..)) {
                continue;
            }
            let (name, long) = (message_name(bytes), bytes.len());
            hold!(21, long <= MAX_DATAGRAM_BYTES, "s{} sends a datagram of {long} bytes: {name}", at + 1);
            match name {
                "data" | "order" => data = Some(name),
                name => hold!(24, data.is_none(), "s{} lets {name} wait for {}", at + 1, data.unwrap_or_default()),
            }
        }
        hold!(21, count <= MOST_A_STEP, "s{} sends {count} datagrams for one input", at + 1);
        Ok(())
    }

    /// One datagram: whether it is repeated for nothing (21).
    pub fn said(&mut self, at: usize, now: Time, route: Route, bytes: &[u8]) -> Verdict {
        match (message_name(bytes), route) {
            ("data", Route::Multicast) => {
                let sum = bytes.get(HEADER_BYTES - 4..HEADER_BYTES).and_then(|sum| <[u8; 4]>::try_from(sum).ok());
                let key = (at, u32::from_le_bytes(sum.unwrap_or_default()));
                let copies = again(&mut self.traffic.multicast, key, now, LINGER);
                hold!(21, copies <= MOST_COPIES, "s{} multicasts the same data {copies} times", at + 1);
            }
            ("nack", _) => {
                let Ok(Message::Nack(nack)) = datagram::open(bytes).and_then(|(_, body)| datagram::decode(body)) else {
                    return Ok(());
                };
                let data = nack.data.iter().map(|&(origin, first, _)| (u16::from(origin), first));
                let order = nack.order.iter().map(|&(first, _)| (u16::MAX, first));
                for (stream, first) in data.chain(order) {
                    let key = (at, nack.view, stream, first);
                    let times = again(&mut self.traffic.asked, key, now, ASKING);
                    hold!(21, times <= MOST_ASKED, "s{} asks {times} times for {stream}:{first}", at + 1);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
