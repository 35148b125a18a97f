//! Where the last messages of history are, by id: what a repeated submit is answered with.

use crate::ids::{ClientId, MessageId, RecordKey};
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
    /// By client, ascending by number: nearly always the next one comes.
    known: BTreeMap<ClientId, VecDeque<(u64, Known)>>,
    order: VecDeque<MessageId>,
}

impl Recent {
    /// A message became history. Of two places the least counts, of two counts of copies the greater.
    pub fn note(&mut self, id: MessageId, key: RecordKey, copies: u16) {
        let of_client = self.known.entry(id.client).or_default();
        match place(of_client, id.cseq) {
            Ok(at) => {
                let known = &mut of_client[at].1;
                known.key = known.key.min(key);
                known.copies = known.copies.max(copies);
                return;
            }
            Err(at) => of_client.insert(at, (id.cseq, Known { key, copies })),
        }
        self.order.push_back(id);
        if self.order.len() > MAX_RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// What is known of a message.
    pub fn get(&self, id: MessageId) -> Option<Known> {
        let of_client = self.known.get(&id.client)?;
        place(of_client, id.cseq).ok().map(|at| of_client[at].1)
    }

    fn forget(&mut self, id: MessageId) {
        let Some(of_client) = self.known.get_mut(&id.client) else { return };
        if let Ok(at) = place(of_client, id.cseq) {
            of_client.remove(at);
        }
        if of_client.is_empty() {
            self.known.remove(&id.client);
        }
    }
}

/// Where a number is, or would be.
fn place(of_client: &VecDeque<(u64, Known)>, cseq: u64) -> Result<usize, usize> {
    match of_client.back() {
        Some((last, _)) if *last >= cseq => of_client.binary_search_by_key(&cseq, |(cseq, _)| *cseq),
        _ => Err(of_client.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Hlc;

    fn id(client: u64, cseq: u64) -> MessageId {
        MessageId { client: ClientId(client), cseq }
    }

    fn key(hlc: u64) -> RecordKey {
        RecordKey { hlc: Hlc(hlc), ..RecordKey::default() }
    }

    #[test]
    fn least_place_and_most_copies_count_in_whatever_order_they_come() {
        let mut recent = Recent::default();
        for (cseq, hlc, copies) in [(2, 20, 1), (1, 10, 2), (3, 30, 3), (2, 15, 2), (2, 25, 1)] {
            recent.note(id(7, cseq), key(hlc), copies);
        }
        assert_eq!(recent.get(id(7, 1)), Some(Known { key: key(10), copies: 2 }));
        assert_eq!(recent.get(id(7, 2)), Some(Known { key: key(15), copies: 2 }));
        assert_eq!(recent.get(id(7, 4)), None);
        assert_eq!(recent.get(id(8, 1)), None);
    }

    #[test]
    fn oldest_are_forgotten_at_the_bound() {
        let mut recent = Recent::default();
        recent.note(id(1, 1), key(1), 1);
        for cseq in 1..=MAX_RECENT as u64 {
            recent.note(id(2, cseq), key(cseq), 1);
        }
        assert_eq!((recent.get(id(1, 1)), recent.known.len()), (None, 1));
        assert!(recent.get(id(2, 1)).is_some());
        recent.note(id(3, 1), key(1), 1);
        assert_eq!(recent.get(id(2, 1)), None);
        assert!(recent.get(id(2, 2)).is_some() && recent.order.len() == MAX_RECENT);
    }
}
