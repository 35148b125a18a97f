//! Clients' sessions at one server: who they are, what of their numbers is here, how far their feeds are.

use crate::ids::{ClientId, EpochId, MessageId, Pid, RecordKey};
use crate::proto::epochs::Epochs;
use crate::proto::io::SessionId;
use crate::proto::settings::{CLIENT_WINDOW, GONE_AFTER, MAX_SESSIONS};
use crate::time::Time;
use crate::wire::session::{Cursor, MAX_CURSOR_EPOCHS};
use std::collections::{BTreeMap, VecDeque};

/// Most stretches asked for by fetches at a time; a client with more goes back to its cursor.
pub const MAX_STRETCHES: usize = 64;
/// Most clients whose departure is still to be told.
const MAX_DEPARTED: usize = 2 * MAX_SESSIONS;

/// One client's connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// The client.
    pub client: ClientId,
    /// The name it goes by.
    pub nick: String,
    /// The next number of it that is offered to the ring.
    pub next: u64,
    /// Its feed, if it wants one.
    pub feed: Option<Feed>,
}

/// How far a client's feed is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Feed {
    /// Whether multicast reaches the client: what is new in the view is not sent over the session.
    pub multicast: bool,
    /// Stretches of epochs to be read for it before it is live; one is being read at a time.
    pub backlog: VecDeque<Stretch>,
    /// Whether the first stretch is being read.
    pub reading: bool,
    /// By older epoch, from where on its last entries had nothing new for the client, and nothing was sent: of several, since
    /// they are read side by side; of as many as a cursor lists.
    pub passed_over: BTreeMap<EpochId, u64>,
}

/// Entries of one epoch that a client has not been sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// The epoch.
    pub epoch: EpochId,
    /// The next gsn.
    pub next: u64,
    /// The last one.
    pub last: u64,
    /// Only what sorts from here on is wanted: the rest was there before the feed began.
    pub floor: RecordKey,
}

impl Feed {
    /// Whether what becomes history is to be sent at once.
    pub fn is_live(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Whether all of these entries are to be read anyway.
    pub fn will_read(&self, epoch: EpochId, first: u64, last: u64) -> bool {
        let holds = |one: &Stretch| one.epoch == epoch && one.next <= first && last <= one.last;
        self.backlog.iter().any(|one| holds(one) && one.floor == RecordKey::default())
    }

    /// An entry has nothing for the client.
    pub fn pass_over(&mut self, epoch: EpochId, gsn: u64) {
        self.passed_over.entry(epoch).or_insert(gsn);
        if self.passed_over.len() > MAX_CURSOR_EPOCHS {
            self.passed_over.pop_first();
        }
    }

    /// From where on a block that begins with this entry accounts for its epoch. A client that is not told of what was passed
    /// over takes it for missing, and its cursor stays before it: the next server would send all of it again.
    pub fn accounts_from(&mut self, epoch: EpochId, gsn: u64) -> u64 {
        self.passed_over.remove(&epoch).map_or(gsn, |first| first.min(gsn))
    }

    /// The feed goes on from a cursor: what was delivered here beyond it is to be read, oldest epoch first.
    pub fn resume(&mut self, cursor: &Cursor, epochs: &Epochs) {
        let listed: BTreeMap<EpochId, u64> = cursor.epochs.iter().copied().collect();
        self.reading = false;
        self.passed_over.clear();
        self.backlog = epochs
            .iter()
            .filter(|(_, log)| log.is_kept())
            .filter_map(|(epoch, log)| {
                let seen = listed.get(&epoch).copied();
                let next = seen.unwrap_or(0) + 1;
                let floor =
                    if seen.is_some() || listed.is_empty() { RecordKey::default() } else { cursor.floor_of(epoch) };
                (log.delivered >= next).then_some(Stretch { epoch, next, last: log.delivered, floor })
            })
            .collect();
    }
}

/// All sessions, and the clients that went.
#[derive(Clone, Debug)]
pub struct SessionTable {
    sessions: BTreeMap<SessionId, Session>,
    by_client: BTreeMap<ClientId, SessionId>,
    departed: BTreeMap<ClientId, Time>,
    /// This server as a client: for what it tells of clients that are gone.
    own: ClientId,
    own_seq: u64,
}

impl SessionTable {
    /// No sessions. In each life the server is another client, so that its numbers begin at 1.
    pub fn new(me: Pid) -> Self {
        let own = crate::ids::EpochId { num: u64::MAX, leader: me }.tag().0;
        Self {
            sessions: BTreeMap::new(),
            by_client: BTreeMap::new(),
            departed: BTreeMap::new(),
            own: ClientId(own),
            own_seq: 0,
        }
    }

    /// Whether one more fits.
    pub fn has_room(&self) -> bool {
        self.sessions.len() < MAX_SESSIONS
    }

    /// A client said hello; the session it had before, if any, which is to be ended.
    pub fn begin(&mut self, id: SessionId, session: Session) -> Option<SessionId> {
        self.departed.remove(&session.client);
        let before = self.by_client.insert(session.client, id).filter(|before| *before != id);
        if let Some(before) = before {
            self.sessions.remove(&before);
        }
        self.sessions.insert(id, session);
        before
    }

    /// A session ended; its client is gone unless it comes back within [`GONE_AFTER`].
    pub fn end(&mut self, now: Time, id: SessionId) {
        if let Some(session) = self.sessions.remove(&id)
            && self.by_client.get(&session.client) == Some(&id)
        {
            self.by_client.remove(&session.client);
            self.part(now + GONE_AFTER, session.client);
        }
    }

    /// A client without a session, here or where it was, is gone unless it comes back until then.
    pub fn part(&mut self, until: Time, client: ClientId) {
        if self.departed.len() < MAX_DEPARTED && !self.by_client.contains_key(&client) {
            self.departed.entry(client).or_insert(until);
        }
    }

    /// Clients whose time to come back is over.
    pub fn take_gone(&mut self, now: Time) -> Vec<ClientId> {
        if now < self.next_timeout() {
            return Vec::new();
        }
        let gone: Vec<ClientId> =
            self.departed.iter().filter(|(_, at)| now >= **at).map(|(client, _)| *client).collect();
        self.departed.retain(|_, at| now < *at);
        gone
    }

    /// The id of the next message of this server's own.
    pub fn own_id(&mut self) -> MessageId {
        self.own_seq += 1;
        MessageId { client: self.own, cseq: self.own_seq }
    }

    /// One session.
    pub fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// One session, to change.
    pub fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    /// The session of a client.
    pub fn of(&self, client: ClientId) -> Option<SessionId> {
        self.by_client.get(&client).copied()
    }

    /// All sessions, ascending.
    pub fn ids(&self) -> Vec<SessionId> {
        self.sessions.keys().copied().collect()
    }

    /// All sessions.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (SessionId, &mut Session)> {
        self.sessions.iter_mut().map(|(id, session)| (*id, session))
    }

    /// How many clients.
    pub fn clients(&self) -> usize {
        self.sessions.len()
    }

    /// When a client's time to come back is over.
    pub fn next_timeout(&self) -> Time {
        self.departed.values().copied().min().unwrap_or(Time::NEVER)
    }

    /// Whether a number is within the window of a client that has acknowledged up to here.
    pub fn in_window(cseq: u64, acked_upto: u64) -> bool {
        cseq > 0 && cseq <= acked_upto.saturating_add(CLIENT_WINDOW)
    }
}

/// Where a feed that begins now begins: the latest epochs with what was delivered of them.
pub fn cursor_of(epochs: &Epochs, floor: RecordKey) -> Cursor {
    let latest = epochs.iter().rev().take(MAX_CURSOR_EPOCHS);
    Cursor { epochs: latest.map(|(epoch, log)| (epoch, log.delivered)).collect(), floor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(num: u64) -> EpochId {
        EpochId { num, ..EpochId::default() }
    }

    #[test]
    fn what_waits_to_be_read_need_not_be_asked_for_again() {
        let mut feed = Feed::default();
        let stretch = |num, next, last| Stretch { epoch: epoch(num), next, last, floor: RecordKey::default() };
        feed.backlog.extend([stretch(1, 5, 9), stretch(2, 1, 4)]);
        let will = |num, first, last| feed.will_read(epoch(num), first, last);
        assert!(will(1, 5, 9) && will(1, 6, 6) && will(2, 1, 4));
        assert!(!will(1, 4, 9) && !will(1, 5, 10) && !will(3, 1, 1));
    }

    /// Seed 190 of the simulator, `--people`: the first entry of a merge was known already, the second came with a hole
    /// before it, and the client's cursor stayed before both.
    #[test]
    fn block_accounts_for_what_was_passed_over_before_it_in_its_epoch() {
        let mut feed = Feed::default();
        feed.pass_over(epoch(1), 3);
        feed.pass_over(epoch(1), 4);
        assert_eq!(feed.accounts_from(epoch(1), 5), 3);
        assert_eq!(feed.accounts_from(epoch(1), 6), 6);
        // Seed 23000451: a second epoch's were read in between.
        feed.pass_over(epoch(1), 7);
        feed.pass_over(epoch(2), 1);
        assert_eq!(feed.accounts_from(epoch(2), 2), 1);
        assert_eq!(feed.accounts_from(epoch(1), 8), 7);
        assert_eq!(feed.accounts_from(epoch(3), 9), 9);
        (10..400).for_each(|num| feed.pass_over(epoch(num), 1));
        assert_eq!(feed.passed_over.len(), MAX_CURSOR_EPOCHS);
    }
}
