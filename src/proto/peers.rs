//! What other servers last told of themselves.

use crate::ids::{EpochId, Pid, ServerId};
use crate::record::Member;
use crate::time::Time;
use crate::wire::message::Beacon;
use std::collections::BTreeMap;

/// Most servers remembered; of more, the one unheard for longest is forgotten.
const MAX_PEERS: usize = 64;
/// No real net reaches this epoch number: a greater one is noise, and does not move anyone's.
const MAX_NUM: u64 = 1 << 62;

/// The last beacon of each server.
#[derive(Clone, Debug, Default)]
pub struct Peers(BTreeMap<ServerId, Peer>);

#[derive(Clone, Debug)]
struct Peer {
    pid: Pid,
    beacon: Beacon,
    at: Time,
}

impl Peers {
    /// A beacon came.
    pub fn hear(&mut self, now: Time, pid: Pid, beacon: Beacon) {
        self.0.insert(pid.server, Peer { pid, beacon, at: now });
        if self.0.len() > MAX_PEERS
            && let Some(oldest) =
                self.0.iter().min_by_key(|(server, peer)| (peer.at, **server)).map(|(server, _)| *server)
        {
            self.0.remove(&oldest);
        }
    }

    /// The last beacon of a process, in this very life.
    pub fn beacon(&self, pid: Pid) -> Option<&Beacon> {
        self.0.get(&pid.server).filter(|peer| peer.pid == pid).map(|peer| &peer.beacon)
    }

    /// The last epoch that a process says it installed.
    pub fn last_epoch(&self, pid: Pid) -> Option<EpochId> {
        self.beacon(pid)?.last
    }

    /// The greatest epoch number that anyone told of.
    pub fn max_num(&self) -> u64 {
        let nums = self.0.values().map(|peer| peer.beacon.max_num.max(peer.beacon.promised.num));
        nums.filter(|num| *num < MAX_NUM).max().unwrap_or(0)
    }

    /// The digest of a process' history, when it is in this view: only then it speaks of the same epochs.
    pub fn digest_in_view(&self, pid: Pid, view: EpochId) -> Option<u64> {
        self.beacon(pid).filter(|beacon| beacon.view == Some(view)).map(|beacon| beacon.digest)
    }

    /// A server's name; empty for a stranger.
    pub fn name(&self, server: ServerId) -> &str {
        self.0.get(&server).map_or("", |peer| &peer.beacon.name)
    }

    /// The process as a member of a view; `None` for who never sent a beacon.
    pub fn member(&self, pid: Pid) -> Option<Member> {
        self.beacon(pid).map(|beacon| Member { pid, name: beacon.name.clone() })
    }

    /// All processes, ascending, with their last beacons.
    pub fn iter(&self) -> impl Iterator<Item = (Pid, &Beacon)> {
        self.0.values().map(|peer| (peer.pid, &peer.beacon))
    }
}
