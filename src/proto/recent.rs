//! Where the last messages of history are, by id: what a repeated submit is answered with.

use crate::ids::{MessageId, RecordKey};
use std::collections::{BTreeMap, VecDeque};

/// Messages remembered; older ones are answered with what any server can claim: one copy.
const MAX_RECENT: usize = 65_536;

/// Where a message is, and how many disks are known to have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// Its place.
    pub key: RecordKey,
    /// Copies known when it became history here.
    pub copies: u16,
}

/// The last messages that became history here.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    known: BTreeMap<MessageId, Known>,
    order: VecDeque<MessageId>,
}

impl Recent {
    /// A message became history. Of two places the least counts, of two counts of copies the greater.
    pub fn note(&mut self, id: MessageId, key: RecordKey, copies: u16) {
        if let Some(known) = self.known.get_mut(&id) {
            known.key = known.key.min(key);
            known.copies = known.copies.max(copies);
            return;
        }
        self.known.insert(id, Known { key, copies });
        self.order.push_back(id);
        if self.order.len() > MAX_RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// What is known of a message.
    pub fn get(&self, id: MessageId) -> Option<Known> {
        self.known.get(&id).copied()
    }
}
