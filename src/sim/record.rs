//! Event records of simulated servers: what they keep agrees with what went over the LAN.

use crate::ids::MessageId;
use crate::proto::bugs::Bugs;
use crate::sim::scenario::Scenario;
use crate::sim::world::World;
use crate::wire::sketch::Sketch;
use crate::wire::trace::{TraceEvent, What};

/// Worlds of this seed keep records.
const SEED: u64 = 8;

fn play(text: &str) -> World {
    let scenario = Scenario::read(text).unwrap();
    let mut world = scenario.world(SEED, Bugs::NONE, false);
    scenario.play_in(&mut world).unwrap();
    world
}

/// Everything that a server still has in its record.
fn record(world: &World, at: usize) -> Vec<TraceEvent> {
    let node = world.servers[at].node.as_ref().unwrap();
    let mut events = Vec::new();
    loop {
        let page = node.record_page(events.last().map_or(0, |event: &TraceEvent| event.seq), u32::MAX);
        if page.events.is_empty() {
            return events;
        }
        events.extend(page.events);
    }
}

fn whats(events: &[TraceEvent]) -> impl Iterator<Item = &What> {
    events.iter().map(|event| &event.what)
}

/// The checksums of data with this message that went out, and that came in.
fn data_sums(events: &[TraceEvent], id: MessageId) -> (Vec<u32>, Vec<u32>) {
    let (mut out, mut came) = (Vec::new(), Vec::new());
    for what in whats(events) {
        match what {
            What::Sent { sum, repair: false, sketch: Sketch::Data { ids, .. }, .. } if ids.contains(&id) => {
                out.push(*sum);
            }
            What::Received { sum, sketch: Sketch::Data { ids, .. }, .. } if ids.contains(&id) => came.push(*sum),
            _ => {}
        }
    }
    (out, came)
}

fn place_of(events: &[TraceEvent], id: MessageId) -> Option<(u64, u64)> {
    whats(events).find_map(|what| match what {
        What::Delivered { epoch, gsn, ids, .. } if ids.contains(&id) => Some((*epoch, *gsn)),
        _ => None,
    })
}

#[test]
fn life_of_a_message_is_in_the_records_of_all_servers() {
    let world = play("servers 3; clients 3; wait 20s");
    let records: Vec<Vec<TraceEvent>> = (0..3).map(|at| record(&world, at)).collect();
    let mut followed = 0;
    for (home, events) in records.iter().enumerate() {
        let accepted = whats(events).filter_map(|what| match what {
            What::Accepted { id, .. } => Some(*id),
            _ => None,
        });
        for id in accepted.take(5) {
            let place = place_of(events, id).expect("it is delivered at home");
            let (out, came) = data_sums(events, id);
            assert_eq!((out.len(), came.len()), (1, 0));
            for other in (0..3).filter(|other| *other != home) {
                assert_eq!(data_sums(&records[other], id), (Vec::new(), out.clone()));
                assert_eq!(place_of(&records[other], id), Some(place));
            }
            let (epoch, gsn) = place;
            let reached = |what: &What| matches!(what, What::Stable { epoch: e, upto } if *e == epoch && *upto >= gsn);
            assert!(records.iter().all(|events| whats(events).any(reached)));
            followed += 1;
        }
    }
    assert!(followed > 5);
}

#[test]
fn lost_datagrams_are_seen_in_nacks_and_repairs() {
    let world = play("servers 3; clients 3; loss 20%; wait 20s");
    let records: Vec<Vec<TraceEvent>> = (0..3).map(|at| record(&world, at)).collect();
    let nacks = |what: &&What| matches!(what, What::Sent { sketch: Sketch::Nack { .. }, .. });
    let repairs = |what: &&What| matches!(what, What::Sent { repair: true, .. });
    assert!(records.iter().any(|events| whats(events).any(|what| nacks(&what))));
    assert!(records.iter().any(|events| whats(events).any(|what| repairs(&what))));
}

#[test]
fn numbers_and_times_of_a_record_ascend() {
    let world = play("servers 2; clients 2; wait 10s");
    let events = record(&world, 0);
    assert!(events.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq && pair[0].at_us <= pair[1].at_us));
}
