//! The way of an election's token, hop by hop, from the servers' records.

use crate::cli::output::{Output, Style};
use crate::cli::records::Records;
use crate::cli::times::time_of_day_us;
use crate::ids::ServerId;
use crate::wire::sketch::Sketch;
use crate::wire::trace::{What, Whom};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One sending of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hop {
    at_us: u64,
    from: ServerId,
    to: ServerId,
    candidate: ServerId,
    /// When it came, by the receiver's clock; `None` when it did not, as far as the receiver remembers.
    came_us: Option<u64>,
    /// Whether the receiver's record is here at all.
    known: bool,
    /// Whether the same hop was sent before.
    again: bool,
}

/// The hops of election `num`, by time.
pub(super) fn hops(num: u64, records: &Records) -> Vec<Hop> {
    let mut hops = Vec::new();
    let mut before = BTreeSet::new();
    for (from, event) in records.merged() {
        let What::Sent { to: Whom::Server(to), sum, sketch, .. } = &event.what else { continue };
        let Sketch::Elect { num: of, candidate, hop, .. } = sketch else { continue };
        if *of != num {
            continue;
        }
        hops.push(Hop {
            at_us: event.at_us,
            from,
            to: *to,
            candidate: *candidate,
            came_us: came(records, from, *to, *sum),
            known: records.servers.iter().any(|record| record.server == *to),
            again: !before.insert((from, *hop)),
        });
    }
    hops
}

/// When the datagram came to its receiver.
fn came(records: &Records, from: ServerId, to: ServerId, sum: u32) -> Option<u64> {
    let events = records.servers.iter().filter(|record| record.server == to).flat_map(|record| &record.events);
    let is_it = |what: &What| matches!(what, What::Received { from: Whom::Server(server), sum: of, sketch: Sketch::Elect { .. }, .. } if *server == from && *of == sum);
    events.filter(|event| is_it(&event.what)).map(|event| event.at_us).next()
}

/// The hops for scripts.
pub(super) fn document(hops: &[Hop], records: &Records) -> Value {
    let hop = |hop: &Hop| {
        json!({
            "at_us": hop.at_us, "from": records.names.of(hop.from), "to": records.names.of(hop.to),
            "candidate": records.names.of(hop.candidate), "came_us": hop.came_us, "again": hop.again,
        })
    };
    hops.iter().map(hop).collect()
}

/// The hops for people.
pub(super) fn lines(hops: &[Hop], records: &Records, output: &Output) -> Vec<String> {
    let line = |hop: &Hop| {
        let outcome = match (hop.came_us, hop.known) {
            (Some(_), _) => "",
            (None, true) => " · did not come",
            (None, false) => " · nobody there tells",
        };
        let again = if hop.again { " · again" } else { "" };
        let (from, to, candidate) = (records.name(hop.from), records.name(hop.to), records.name(hop.candidate));
        let at = output.paint(Style::Dim, &time_of_day_us(hop.at_us));
        format!("  {at} {from} → {to}: {candidate} stands{again}{outcome}")
    };
    hops.iter().map(line).collect()
}
