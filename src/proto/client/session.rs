//! The client's side of a session: from the connection to the goodbye.

use super::core::Client;
use super::directory::Choice;
use super::feed::Feed;
use super::io::{Action, ConnectionId, Draft, Event, Notice, Progress, Save};
use super::liveness::Liveness;
use super::reception::FeedBlock;
use super::stage::{Home, Stage};
use crate::ids::{EpochId, MessageId, RecordKey};
use crate::proto::bugs::{Bug, bug};
use crate::record::{Kind, Record};
use crate::time::Time;
use crate::wire::datagram::VERSION;
use crate::wire::session::{Cursor, Follow, Hello, Refusal, Reply, Request, ViewNote, Welcome};
use std::sync::Arc;
use std::time::Duration;

impl Client {
    /// The host has connected: say hello.
    pub(super) fn connected(&mut self, now: Time, connection: ConnectionId) {
        let stage = std::mem::replace(&mut self.stage, Stage::NOBODY);
        self.stage = match stage {
            Stage::Connecting(mut attempt) if attempt.connection == connection => {
                attempt.until = Stage::deadline(now);
                Stage::Greeting(attempt)
            }
            other => {
                self.stage = other;
                return;
            }
        };
        let follow = match &self.feed {
            Some(feed) => Some(Follow::From(feed.cursor())),
            None => self.settings.follow.then_some(Follow::Now),
        };
        self.send(Request::Hello(Hello {
            net: self.settings.net.0,
            version: VERSION,
            client: self.me,
            nick: self.settings.nick.clone(),
            follow,
            acked_upto: self.outbox.acked_upto(),
        }));
    }

    /// The connection is no more, or never came to be.
    pub(super) fn broken(&mut self, now: Time, connection: ConnectionId) {
        if self.stage.connection() != Some(connection) {
            return;
        }
        if self.stage.home().is_some() {
            self.lose_home(now, false);
        } else {
            self.abandon(now);
        }
    }

    /// Nothing came of the attempt: the next, please.
    pub(super) fn abandon(&mut self, now: Time) {
        let stage = std::mem::replace(&mut self.stage, Stage::NEXT);
        if let Stage::Connecting(attempt) | Stage::Greeting(attempt) = stage {
            self.directory.failed(now, attempt.choice.addr);
            self.act(Action::Disconnect(attempt.connection));
        }
    }

    /// The home is gone, or `left` with a goodbye: the next, please.
    pub(super) fn lose_home(&mut self, now: Time, left: bool) {
        let Some(home) = self.end_home(now) else {
            return;
        };
        if home.read_only {
            // It was a makeshift, and its end is no news.
            return;
        }
        if left {
            self.directory.left(home.addr);
        } else {
            self.directory.failed(now, home.addr);
        }
        self.tell(Event::Notice(Notice::Gone { server: home.name, left }));
    }

    /// Ends the session that stands, and searches.
    fn end_home(&mut self, now: Time) -> Option<Home> {
        let stage = std::mem::replace(&mut self.stage, Stage::NOBODY);
        let Stage::Home(home) = stage else {
            self.stage = stage;
            return None;
        };
        self.act(Action::Disconnect(home.connection));
        self.outbox.disconnected();
        self.reception.moved(now);
        self.search.start(now);
        self.gone.get_or_insert_with(|| (home.name.clone(), now));
        Some(home)
    }

    /// A home that takes nothing is left as soon as there is another that does.
    pub(super) fn leave_a_makeshift(&mut self, now: Time) {
        if self.stage.home().is_some_and(|home| home.read_only) && self.directory.has_able(now) {
            self.lose_home(now, false);
            self.stage = Stage::NEXT;
        }
    }

    /// Takes another nick, and tells the same server with a new session.
    pub(super) fn rename(&mut self, now: Time, nick: String) {
        let old = std::mem::replace(&mut self.settings.nick, nick);
        self.old_nick.get_or_insert(old);
        let (connection, choice) = match std::mem::replace(&mut self.stage, Stage::NEXT) {
            Stage::Searching { .. } => return,
            Stage::Connecting(attempt) | Stage::Greeting(attempt) => (attempt.connection, attempt.choice),
            Stage::Home(Home { connection, pid, name, addr, live: _, read_only }) => {
                if !read_only {
                    self.renamed_at.get_or_insert_with(|| (name.clone(), now));
                }
                (connection, Choice { name, server: Some(pid.server), addr })
            }
        };
        self.act(Action::Disconnect(connection));
        self.outbox.disconnected();
        self.reception.moved(now);
        self.search.start(now);
        self.connect(now, choice);
    }

    /// The user wants no more of it.
    pub(super) fn close(&mut self) {
        if let Some(connection) = self.stage.connection() {
            self.send(Request::Bye);
            self.act(Action::Disconnect(connection));
        }
        self.search.stop();
        self.closed = true;
        if let Some(merged) = self.merging.take() {
            self.tell(merged);
        }
        self.act(Action::Closed);
    }

    /// The session brought something.
    pub(super) fn hear_home(&mut self, now: Time) {
        if let Some(home) = self.stage.home_mut() {
            home.live.spoke(now);
        }
    }

    /// The server speaks.
    pub(super) fn reply(&mut self, now: Time, reply: Reply) {
        self.hear_home(now);
        match reply {
            Reply::Welcome(welcome) => self.welcome(now, *welcome),
            Reply::Refused(why) => self.refused(now, why),
            _ if self.stage.home().is_none() => self.abandon(now),
            Reply::Accepted { cseq } => self.accepted(now, cseq),
            Reply::Stable { cseq, key, copies, of } => self.stable(now, cseq, key, copies, of),
            Reply::Busy { cseq, retry_ms } => self.outbox.busy(now, cseq, Duration::from_millis(retry_ms.into())),
            Reply::Rejected { cseq, why } => self.rejected(now, cseq, why),
            Reply::Feed { records, late, copies, of, first, upto, leader } => {
                let block = FeedBlock { records: Arc::unwrap_or_clone(records), copies, of, late };
                self.feed_block(now, (upto.0, first, upto.1), block, &leader);
            }
            Reply::View(note) => self.view(now, *note),
            Reply::Entries { view, first, entries } => self.reception.entries(now, view, first, &entries),
            Reply::Answer { tag, answer } => {
                if self.queries.remove(&tag).is_some() {
                    self.tell(Event::Answer { tag, answer });
                }
            }
            Reply::Pong => {}
            Reply::Bye => self.lose_home(now, true),
        }
    }

    fn welcome(&mut self, now: Time, welcome: Welcome) {
        let stage = std::mem::replace(&mut self.stage, Stage::NOBODY);
        let Stage::Greeting(attempt) = stage else {
            self.stage = stage;
            return;
        };
        let addr = attempt.choice.addr;
        let Welcome { server: pid, name, window, view, cursor, others, read_only } = welcome;
        self.old_nick = None;
        self.directory.succeeded(addr);
        self.directory.told(&others);
        let live = Liveness::new(now);
        self.stage = Stage::Home(Home { connection: attempt.connection, pid, name, addr, live, read_only });
        if read_only {
            let server = self.home().unwrap_or_default().to_owned();
            self.tell(Event::Notice(Notice::ReadOnly { server }));
        } else {
            self.search.stop();
            let resent = self.outbox.connected(window);
            self.tell_of_the_new_home(now, addr, resent);
            self.begin_feed(now, view.as_ref(), cursor);
            if let Some(note) = view {
                self.enter(now, note);
            }
        }
        self.ask_again();
    }

    /// What another home did not answer.
    fn ask_again(&mut self) {
        let asks_again = !bug!(self.settings, Bug::AsksOnce);
        for (tag, query) in self.queries.clone().into_iter().filter(|_| asks_again) {
            self.send(Request::Query { tag, query });
        }
    }

    fn tell_of_the_new_home(&mut self, now: Time, addr: std::net::SocketAddr, resent: u64) {
        let to = self.home().unwrap_or_default().to_owned();
        let renamed_at = self.renamed_at.take().filter(|(from, _)| *from != to);
        let notice = match self.gone.take().or(renamed_at) {
            Some((from, since)) => Notice::Moved { from, to, took: now.since(since), resent },
            None => Notice::Home { server: to, addr },
        };
        let has_moved = resent == 0 && matches!(notice, Notice::Moved { .. }) && !self.rooms.is_empty();
        // Also in no room that this process knows of: what an earlier one entered it may still be in (seed 910000850, `--people`).
        let is_misnamed = std::mem::take(&mut self.is_misnamed) && self.outbox.has_said_all();
        if has_moved || is_misnamed {
            self.say_where();
        }
        self.tell(Event::Notice(notice));
    }

    /// Claims its nick anew, without a word of it: whoever looks finds this client at its new server, and not at one that is
    /// gone, or under its new nick, and not under another's. Words that are sent say as much; words that are sent again may be
    /// history under the old nick.
    fn say_where(&mut self) {
        let draft = Draft { room: String::new(), kind: Kind::Nick, body: String::new() };
        if let Some(cseq) = self.outbox.submit(draft.clone()) {
            self.save(cseq, draft);
        }
    }

    /// What seated it may be no history any more: it takes its seats once more, without a word of it.
    fn stay(&mut self) {
        for room in self.rooms.clone() {
            let draft = Draft { room, kind: Kind::Nick, body: String::new() };
            if let Some(cseq) = self.outbox.submit(draft.clone()) {
                self.save(cseq, draft);
            }
        }
    }

    /// The first session's cursor is where the feed begins; later ones go on.
    fn begin_feed(&mut self, now: Time, view: Option<&ViewNote>, cursor: Option<Cursor>) {
        if !self.settings.follow || self.feed.is_some() {
            return;
        }
        let mut cursor = cursor.unwrap_or_default();
        if let Some(note) = view
            && !cursor.epochs.iter().any(|(epoch, _)| *epoch == note.view.epoch)
        {
            cursor.epochs.push((note.view.epoch, note.from));
        }
        let mut feed = Feed::new(self.me, &cursor);
        feed.bugs = self.settings.bugs;
        self.feed = Some(feed);
        self.reception.begins_now(now);
    }

    fn refused(&mut self, now: Time, why: Refusal) {
        // By a server that is well: the nick turned out to be someone else's, or what was said made no sense to it.
        if let Some(home) = self.end_home(now) {
            self.directory.failed(now, home.addr);
            self.is_misnamed |= matches!(why, Refusal::NickTaken(_));
            return self.tell(Event::Notice(Notice::Refused { server: home.name, why }));
        }
        if let Stage::Greeting(attempt) = &self.stage {
            let server = attempt.choice.name.clone();
            let taken = matches!(why, Refusal::NickTaken(_) | Refusal::BadName);
            let old = self.old_nick.take_if(|_| taken);
            self.is_misnamed |= old.is_none() && matches!(why, Refusal::NickTaken(_));
            let choice = attempt.choice.clone();
            let connection = attempt.connection;
            self.tell(Event::Notice(Notice::Refused { server, why }));
            if let Some(old) = old {
                self.settings.nick = old;
                // The server is well: it had taken the old nick, and does so again.
                if self.renamed_at.is_some() {
                    self.act(Action::Disconnect(connection));
                    return self.connect(now, choice);
                }
            }
        }
        self.abandon(now);
    }

    fn accepted(&mut self, now: Time, cseq: u64) {
        if self.outbox.accepted(now, cseq) {
            self.progress(cseq, Progress::Accepted);
        }
    }

    fn stable(&mut self, now: Time, cseq: u64, key: RecordKey, copies: u16, of: u16) {
        if self.outbox.stable(now, cseq, key) {
            self.done(cseq, Progress::Stable { key, copies, of });
        }
    }

    /// A refusal that another server need not repeat makes the client go there; others are for good.
    fn rejected(&mut self, now: Time, cseq: u64, why: Refusal) {
        if matches!(why, Refusal::ReadOnly | Refusal::NotReady | Refusal::Full) {
            let server = self.home().unwrap_or_default().to_owned();
            self.tell(Event::Notice(Notice::Refused { server, why }));
            self.lose_home(now, false);
        } else if self.outbox.rejected(now, cseq) {
            self.done(cseq, Progress::Rejected(why));
        }
    }

    fn done(&mut self, cseq: u64, progress: Progress) {
        let floor = self.outbox.floor();
        self.act(Action::Save(Save::Done { cseq, floor }));
        self.progress(cseq, progress);
    }

    fn progress(&mut self, cseq: u64, progress: Progress) {
        self.unacknowledged.rest();
        let id = MessageId { client: self.me, cseq };
        self.tell(Event::Progress { id, progress });
    }

    fn view(&mut self, now: Time, note: ViewNote) {
        if let Some((epoch, upto)) = note.left {
            self.reception.delivered(epoch, upto);
            self.show_in_order();
            let complete = self.feed.as_ref().is_none_or(|feed| feed.length(epoch) >= upto);
            if !complete {
                self.reception.begin_anew(now, false);
                self.ask_for_the_feed();
            }
        }
        self.enter(now, note);
    }

    /// The servers took this client for gone: it enters its rooms again.
    pub(super) fn come_back(&mut self) {
        for room in self.rooms.clone() {
            let draft = Draft { room, kind: Kind::Join, body: String::new() };
            if let Some(cseq) = self.outbox.submit(draft.clone()) {
                self.save(cseq, draft);
            }
        }
    }

    fn enter(&mut self, now: Time, note: ViewNote) {
        let ViewNote { view, from, left: _, reason } = note;
        // Above the one it was shown last, also where that lies below an earlier one: the servers that had that may have lost their
        // disks, and its claims with them (simulator seed 995500121, `--people --let-go`).
        let has_risen = view.horizon > self.horizon;
        self.horizon = view.horizon;
        // Before its first view it has no seat that could be history.
        if has_risen && self.told_view.is_some() && !bug!(self.settings, Bug::Unseated) {
            self.stay();
        }
        if let Some(feed) = &self.feed {
            self.reception.enter(view.clone(), feed.length(view.epoch), from);
        }
        if self.told_view.as_ref() != Some(&view) {
            let before = self.told_view.replace(view.clone()).map(|before| before.epoch.leader);
            let took =
                before.filter(|leader| !view.has(*leader)).and_then(|leader| self.directory.silence(now, leader));
            self.tell(Event::View { view, reason, took });
        }
    }

    /// A block of the session's feed: in its place when it is of the current view, at once when it is of another.
    fn feed_block(&mut self, now: Time, place: (EpochId, u64, u64), block: FeedBlock, leader: &str) {
        let (epoch, first, last) = place;
        let is_of_epoch = |record: &Record| record.key.epoch == epoch;
        let Some(feed) = self.feed.as_ref().filter(|_| block.records.iter().all(is_of_epoch)) else {
            return;
        };
        let contiguous = first <= feed.length(epoch) + 1;
        let Some(block) = self.reception.feed(now, epoch, first, last, block) else {
            return;
        };
        self.show(block, leader);
        if let Some(feed) = self.feed.as_mut().filter(|_| contiguous) {
            feed.advance(epoch, last);
        }
    }
}
