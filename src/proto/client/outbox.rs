//! What the client has said and no acknowledgement covers yet: sent again until one does.

use super::io::Draft;
use crate::ids::RecordKey;
use crate::proto::bugs::{Bug, Bugs, bug};
use crate::time::{Hlc, Time};
use crate::wire::session::Submit;
use std::collections::VecDeque;
use std::time::Duration;

/// Messages in it at most; beyond it the user waits.
pub const MAX_MESSAGES: usize = 4096;
/// Numbers beyond the acknowledged prefix that may be under way (`W`), or fewer if the server says so.
pub(super) const WINDOW: u64 = 32;
/// Bytes of texts that the server has not said it has may be under way in a session, beside the last one: more would lie in the
/// way of pings and questions, for seconds where the wire is narrow.
const UNHEARD_BYTES: usize = 64 << 10;
/// The first that is unacknowledged is sent again after this long without progress, doubled each time …
const RESEND: Duration = Duration::from_millis(250);
/// … to at most this …
const RESEND_MOST: Duration = Duration::from_secs(4);
/// … and not before it has had so long for each of its bytes: a fourth of a megabit a second. A session loses nothing, and a long
/// message that is said again while the first copy is under way only lies in the way.
const RESEND_A_BYTE: Duration = Duration::from_micros(32);

/// The outbox: messages in the order of their numbers, from the first that is not done with.
#[derive(Debug)]
pub(super) struct Outbox {
    items: VecDeque<Item>,
    last_cseq: u64,
    acked_upto: u64,
    floor: Hlc,
    /// Durable in the outbox file up to here.
    saved_upto: u64,
    /// Sent over this session up to here.
    sent_upto: u64,
    /// Sent over any session up to here, as far as is known: an earlier process may have sent all that it left.
    ever_sent: u64,
    window: u64,
    session: bool,
    wait: Duration,
    resend_at: Time,
    /// The server was busy: nothing goes out before this.
    pause: Time,
    pub(super) bugs: Bugs,
}

#[derive(Debug)]
struct Item {
    cseq: u64,
    draft: Draft,
    accepted: bool,
    done: bool,
}

impl Outbox {
    /// What an earlier life left, all of it durable: numbers within [`MAX_MESSAGES`] of the last.
    pub(super) fn new(last_cseq: u64, acked_upto: u64, floor: Hlc, messages: Vec<(u64, Draft)>) -> Self {
        let mut left = messages.into_iter().filter(|(cseq, _)| *cseq > acked_upto).peekable();
        let last_cseq = last_cseq.max(acked_upto);
        let acked_upto = acked_upto.max(last_cseq.saturating_sub(MAX_MESSAGES as u64));
        let mut items = VecDeque::new();
        // A number that is done with between others that are not leaves a hole: it keeps its place.
        for cseq in acked_upto + 1..=last_cseq {
            let draft = left.next_if(|(number, _)| *number == cseq).map(|(_, draft)| draft);
            let done = draft.is_none();
            items.push_back(Item { cseq, draft: draft.unwrap_or_else(Draft::empty), accepted: false, done });
        }
        let mut outbox = Self {
            items,
            last_cseq,
            acked_upto,
            floor,
            saved_upto: last_cseq,
            sent_upto: 0,
            ever_sent: last_cseq,
            window: WINDOW,
            session: false,
            wait: RESEND,
            resend_at: Time::NEVER,
            pause: Time(0),
            bugs: Bugs::NONE,
        };
        outbox.forget_prefix();
        outbox
    }

    /// Takes a message and gives it its number; `None` when the outbox is full.
    pub(super) fn submit(&mut self, draft: Draft) -> Option<u64> {
        if self.items.len() >= MAX_MESSAGES {
            return None;
        }
        self.last_cseq += 1;
        self.items.push_back(Item { cseq: self.last_cseq, draft, accepted: false, done: false });
        Some(self.last_cseq)
    }

    /// Everything up to this number is on the client's disk.
    pub(super) fn saved(&mut self, cseq: u64) {
        self.saved_upto = self.saved_upto.max(cseq.min(self.last_cseq));
    }

    /// A session stands; tells how many messages will go out that went out before.
    pub(super) fn connected(&mut self, window: u32) -> u64 {
        self.session = true;
        self.window = WINDOW.min(u64::from(window)).max(1);
        self.sent_upto = self.acked_upto;
        self.items.iter_mut().for_each(|item| item.accepted = false);
        self.wait = RESEND;
        self.pause = Time(0);
        self.items.iter().filter(|item| !item.done && item.cseq <= self.ever_sent).count() as u64
    }

    /// The session is no more.
    pub(super) fn disconnected(&mut self) {
        self.session = false;
        self.resend_at = Time::NEVER;
    }

    /// The server has it; `false` when that is no news.
    pub(super) fn accepted(&mut self, now: Time, cseq: u64) -> bool {
        let Some(item) = self.unfinished(cseq) else {
            return false;
        };
        let news = !std::mem::replace(&mut item.accepted, true);
        if news {
            self.progressed(now);
        }
        news
    }

    /// It is history; `false` when that is no news.
    pub(super) fn stable(&mut self, now: Time, cseq: u64, key: RecordKey) -> bool {
        self.floor = self.floor.max(key.hlc);
        self.finish(now, cseq)
    }

    /// It will never be taken; `false` when that is no news.
    pub(super) fn rejected(&mut self, now: Time, cseq: u64) -> bool {
        self.finish(now, cseq)
    }

    /// The server took neither this one nor those behind it: they go again, in order, after the pause.
    pub(super) fn busy(&mut self, now: Time, cseq: u64, pause: Duration) {
        if self.unfinished(cseq).is_some() {
            let first = cseq - self.acked_upto - 1;
            self.items.iter_mut().skip(first as usize).for_each(|item| item.accepted = false);
            self.sent_upto = self.sent_upto.min(cseq - 1);
            self.pause = self.pause.max(now + pause.min(RESEND_MOST));
        }
    }

    /// The greatest HLC that the client was shown, or that an acknowledgement carried.
    pub(super) fn floor(&self) -> Hlc {
        self.floor
    }

    /// The client was shown something.
    pub(super) fn raise_floor(&mut self, hlc: Hlc) {
        self.floor = self.floor.max(hlc);
    }

    /// All numbers up to this one are done with.
    pub(super) fn acked_upto(&self) -> u64 {
        self.acked_upto
    }

    /// How many messages are not done with.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.items.iter().filter(|item| !item.done).count() as u64
    }

    /// Whether everything is done with.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether something was said, and all of it may be history already.
    pub(super) fn has_said_all(&self) -> bool {
        self.last_cseq > 0 && self.last_cseq <= self.ever_sent
    }

    /// Whether the server owes an acknowledgement.
    pub(super) fn is_expecting(&self) -> bool {
        self.session && self.between(self.acked_upto, self.sent_upto).any(|item| !item.done)
    }

    /// What to send now, in order: what was never sent over this session, or everything again when its time has come.
    pub(super) fn due(&mut self, now: Time) -> Vec<Submit> {
        if !self.session || now < self.pause {
            return Vec::new();
        }
        let again = now >= self.resend_at;
        let kept = if bug!(self, Bug::SaysUnsaved) { self.last_cseq } else { self.saved_upto };
        let credit = self.acked_upto.saturating_add(self.window).min(kept);
        let says_once = bug!(self, Bug::SaysOnce);
        let from = if says_once { self.sent_upto.max(self.ever_sent) } else { self.sent_upto };
        let upto = self.room_upto(credit);
        // A session loses nothing on the way: one message asks whether the server still has them.
        let first = self.between(self.acked_upto, self.sent_upto).find(|item| again && !says_once && !item.done);
        let fresh = self.between(from, upto).filter(|item| !item.done);
        let due = first.into_iter().chain(fresh).map(|item| self.as_submit(item)).collect();
        self.sent_upto = self.sent_upto.max(upto);
        self.ever_sent = self.ever_sent.max(self.sent_upto);
        if again {
            self.wait = (self.wait * 2).min(RESEND_MOST);
            self.resend_at = Time::NEVER;
        }
        if !self.is_expecting() {
            self.resend_at = Time::NEVER;
        } else if self.resend_at == Time::NEVER {
            self.resend_at = now + self.wait.max(self.least_wait());
        }
        due
    }

    /// How long the first that is unacknowledged has at least.
    fn least_wait(&self) -> Duration {
        let first = self.between(self.acked_upto, self.sent_upto).find(|item| !item.done);
        first.map_or(Duration::ZERO, |item| RESEND_A_BYTE * item.draft.body.len() as u32)
    }

    /// How far may be sent now: up to this number, as long as little is under way of which the server has said nothing.
    fn room_upto(&self, credit: u64) -> u64 {
        let unheard = |item: &&Item| !item.accepted && !item.done;
        let under_way = self.between(self.acked_upto, self.sent_upto).filter(unheard);
        let mut bytes: usize = under_way.map(|item| item.draft.body.len()).sum();
        let mut upto = self.sent_upto;
        for item in self.between(self.sent_upto, credit) {
            if bytes > UNHEARD_BYTES {
                break;
            }
            bytes += item.draft.body.len();
            upto = item.cseq;
        }
        upto
    }

    /// When [`Outbox::due`] has something again though nothing happens.
    pub(super) fn next_timeout(&self, now: Time) -> Time {
        if !self.session {
            Time::NEVER
        } else if self.pause > now {
            self.pause
        } else {
            self.resend_at
        }
    }

    /// Messages with numbers above `after` and up to `upto`.
    fn between(&self, after: u64, upto: u64) -> impl Iterator<Item = &Item> {
        let place = |cseq: u64| (cseq.saturating_sub(self.acked_upto) as usize).min(self.items.len());
        let (first, end) = (place(after), place(upto));
        self.items.range(first..end.max(first))
    }

    fn as_submit(&self, item: &Item) -> Submit {
        let Draft { room, kind, body } = item.draft.clone();
        Submit { cseq: item.cseq, acked_upto: self.acked_upto, floor: self.floor, room, kind, body }
    }

    fn unfinished(&mut self, cseq: u64) -> Option<&mut Item> {
        let at = cseq.checked_sub(self.acked_upto + 1)?;
        self.items.get_mut(usize::try_from(at).ok()?).filter(|item| !item.done)
    }

    fn finish(&mut self, now: Time, cseq: u64) -> bool {
        let Some(item) = self.unfinished(cseq) else {
            return false;
        };
        item.done = true;
        item.draft = Draft::empty();
        self.forget_prefix();
        self.progressed(now);
        true
    }

    fn forget_prefix(&mut self) {
        while let Some(first) = self.items.front().filter(|item| item.done) {
            self.acked_upto = first.cseq;
            self.items.pop_front();
        }
    }

    fn progressed(&mut self, now: Time) {
        self.wait = RESEND;
        self.resend_at = if self.is_expecting() { now + RESEND.max(self.least_wait()) } else { Time::NEVER };
    }
}

impl Draft {
    /// What stands in the place of a message that is done with.
    fn empty() -> Self {
        Self { room: String::new(), kind: crate::record::Kind::Text, body: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Time {
        Time(ms * 1000)
    }

    fn draft(body: &str) -> Draft {
        Draft { room: "lobby".into(), kind: crate::record::Kind::Text, body: body.into() }
    }

    fn key(ms: u64) -> RecordKey {
        RecordKey { hlc: Hlc::from_wall_ms(ms), ..RecordKey::default() }
    }

    fn with(count: u64) -> Outbox {
        let mut outbox = Outbox::new(0, 0, Hlc(0), Vec::new());
        for n in 1..=count {
            assert_eq!(outbox.submit(draft(&n.to_string())), Some(n));
        }
        outbox.saved(count);
        outbox
    }

    fn numbers(submits: &[Submit]) -> Vec<u64> {
        submits.iter().map(|submit| submit.cseq).collect()
    }

    #[test]
    fn nothing_is_sent_before_it_is_saved() {
        let mut outbox = Outbox::new(0, 0, Hlc(0), Vec::new());
        outbox.submit(draft("a"));
        outbox.submit(draft("b"));
        outbox.connected(32);
        assert!(outbox.due(at(0)).is_empty());
        outbox.saved(1);
        assert_eq!(numbers(&outbox.due(at(0))), [1]);
        outbox.saved(2);
        assert_eq!(numbers(&outbox.due(at(0))), [2]);
    }

    #[test]
    fn window_moves_with_the_acknowledged_prefix_only() {
        let mut outbox = with(40);
        outbox.connected(4096);
        assert_eq!(numbers(&outbox.due(at(0))), (1..=32).collect::<Vec<_>>());
        assert!(outbox.stable(at(1), 2, key(1)));
        assert!(outbox.due(at(1)).is_empty(), "1 is not acknowledged");
        assert!(outbox.stable(at(2), 1, key(1)));
        assert_eq!(numbers(&outbox.due(at(2))), [33, 34]);
        assert_eq!(outbox.acked_upto(), 2);
    }

    #[test]
    fn first_unacknowledged_goes_again_less_and_less_often_until_progress() {
        let mut outbox = with(3);
        outbox.connected(32);
        assert_eq!(numbers(&outbox.due(at(0))), [1, 2, 3]);
        let mut sent = Vec::new();
        for _ in 0..6 {
            let now = outbox.next_timeout(at(0));
            assert_eq!(numbers(&outbox.due(now)), [1]);
            sent.push(now.0 / 1000);
        }
        assert_eq!(sent, [250, 750, 1750, 3750, 7750, 11_750]);
        outbox.stable(at(12_000), 2, key(1));
        assert_eq!(outbox.next_timeout(at(12_000)), at(12_250));
        assert_eq!(numbers(&outbox.due(at(12_250))), [1]);
    }

    #[test]
    fn long_messages_wait_until_the_server_has_those_before_them() {
        let mut outbox = Outbox::new(0, 0, Hlc(0), Vec::new());
        for _ in 0..4 {
            outbox.submit(draft(&"x".repeat(UNHEARD_BYTES / 2 + 1)));
        }
        outbox.saved(4);
        outbox.connected(32);
        assert_eq!(numbers(&outbox.due(at(0))), [1, 2]);
        assert!(outbox.due(at(1)).is_empty());
        assert!(outbox.accepted(at(2), 1));
        assert_eq!(numbers(&outbox.due(at(2))), [3]);
        outbox.busy(at(3), 2, Duration::from_millis(10));
        assert_eq!(numbers(&outbox.due(at(13))), [2, 3]);
    }

    #[test]
    fn long_message_has_the_time_that_a_narrow_wire_takes_for_it() {
        let mut outbox = Outbox::new(0, 0, Hlc(0), Vec::new());
        outbox.submit(draft(&"x".repeat(62_500)));
        outbox.submit(draft("short"));
        outbox.saved(2);
        outbox.connected(32);
        assert_eq!(numbers(&outbox.due(at(0))), [1, 2]);
        assert_eq!(outbox.next_timeout(at(0)), at(2_000));
        outbox.accepted(at(600), 1);
        assert_eq!(outbox.next_timeout(at(600)), at(2_600));
        assert_eq!(numbers(&outbox.due(at(2_600))), [1]);
        outbox.stable(at(3_000), 1, key(1));
        assert_eq!(outbox.next_timeout(at(3_000)), at(3_250));
    }

    #[test]
    fn resend_carries_the_floor_of_now_and_the_acknowledged_prefix() {
        let mut outbox = with(2);
        outbox.connected(32);
        assert_eq!(outbox.due(at(0))[1].floor, Hlc(0));
        outbox.stable(at(1), 1, key(7));
        outbox.raise_floor(Hlc::from_wall_ms(9));
        let again = outbox.due(at(251));
        assert_eq!((again[0].cseq, again[0].acked_upto, again[0].floor), (2, 1, Hlc::from_wall_ms(9)));
    }

    #[test]
    fn busy_server_gets_the_refused_and_later_ones_in_order_after_the_pause() {
        let mut outbox = with(4);
        outbox.connected(32);
        outbox.due(at(0));
        outbox.busy(at(10), 3, Duration::from_millis(100));
        outbox.busy(at(10), 4, Duration::from_millis(100));
        assert!(outbox.due(at(50)).is_empty());
        assert_eq!(outbox.next_timeout(at(50)), at(110));
        assert_eq!(numbers(&outbox.due(at(110))), [3, 4]);
    }

    #[test]
    fn next_server_gets_everything_again_and_duplicates_of_acknowledgements_change_nothing() {
        let mut outbox = with(3);
        assert_eq!(outbox.connected(32), 0);
        outbox.due(at(0));
        assert!(outbox.accepted(at(1), 1) && !outbox.accepted(at(1), 1));
        assert!(outbox.stable(at(2), 1, key(1)) && !outbox.stable(at(2), 1, key(1)));
        outbox.disconnected();
        assert_eq!(outbox.next_timeout(at(3)), Time::NEVER);
        outbox.submit(draft("new"));
        outbox.saved(4);
        assert_eq!(outbox.connected(32), 2);
        assert_eq!(numbers(&outbox.due(at(3))), [2, 3, 4]);
        assert!(!outbox.accepted(at(4), 99) && !outbox.stable(at(4), 99, key(1)));
    }

    #[test]
    fn outbox_of_an_earlier_life_goes_on_where_it_stopped() {
        let left = vec![(5, draft("five")), (7, draft("seven"))];
        let mut outbox = Outbox::new(7, 4, Hlc(3), left);
        outbox.connected(32);
        assert_eq!(numbers(&outbox.due(at(0))), [5, 7]);
        assert_eq!(outbox.submit(draft("eight")), Some(8));
        outbox.stable(at(1), 5, key(1));
        assert_eq!(outbox.acked_upto(), 6, "6 was done with before");
    }

    #[test]
    fn full_outbox_takes_no_more() {
        let mut outbox = with(MAX_MESSAGES as u64);
        assert_eq!(outbox.submit(draft("one too many")), None);
    }
}
