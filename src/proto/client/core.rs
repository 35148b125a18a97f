//! The client: gives each part what concerns it, and makes one part's change another's call. No algorithm lives here.

use super::directory::{Choice, Directory};
use super::feed::Feed;
use super::io::{
    Action, Command, ConnectionId, Draft, Event, FeedCursor, Input, Loaded, Message, Notice, Progress, Save, Settings,
    SubmitError, Waiting,
};
use super::liveness::{Liveness, Verdict};
use super::merging::Merging;
use super::outbox::Outbox;
use super::patience::Patience;
use super::reception::{FeedBlock, Reception, Want};
use super::search::Search;
use super::stage::{Attempt, Stage};
use crate::ids::{ClientId, MessageId};
use crate::proto::bugs::{Bug, bug};
use crate::proto::io::Route;
use crate::proto::rng::Rng;
use crate::record::{Kind, MAX_BODY_BYTES, View};
use crate::time::{Hlc, Now, Time};
use crate::wire::datagram::{self, Header, Malformed};
use crate::wire::message::{self, Beacon, Scout};
use crate::wire::session::{Answer, Query, Request};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Questions that wait for an answer at most; beyond it they fail at once.
const MAX_QUERIES: usize = 256;
/// Strangers (other nets, other versions) told of at most.
const MAX_STRANGERS: usize = 64;
/// A client that comes this much later than it wanted was late itself, and accuses nobody.
const LATE: Duration = Duration::from_millis(500);

/// A chat client's protocol (`PROTOCOL.md` §8): finds a server, stays with one, submits each message exactly once, shows
/// each message exactly once.
///
/// Calling contract as in [`proto::io`](crate::proto::io): [`handle`](Self::handle) each input with a clock that never goes
/// backwards, then drain [`poll_transmit`](Self::poll_transmit) and [`poll_action`](Self::poll_action), and call with
/// [`Input::Timeout`] at [`next_timeout`](Self::next_timeout). Drain likewise after [`new`](Self::new) and
/// [`submit`](Self::submit).
#[derive(Debug)]
pub struct Client {
    pub(super) settings: Settings,
    pub(super) me: ClientId,
    pub(super) rng: Rng,
    pub(super) directory: Directory,
    pub(super) search: Search,
    pub(super) outbox: Outbox,
    pub(super) feed: Option<Feed>,
    pub(super) reception: Reception,
    pub(super) merging: Merging,
    pub(super) stage: Stage,
    /// The last home's name, and since when it is gone.
    pub(super) gone: Option<(String, Time)>,
    pub(super) queries: BTreeMap<u64, Query>,
    pub(super) rooms: BTreeSet<String>,
    pub(super) homeless: Patience,
    pub(super) unacknowledged: Patience,
    /// The nick it went by before it asked for another, until a server agrees.
    pub(super) old_nick: Option<String>,
    /// Its nick was refused: what it said so far may be history under a nick that is another's.
    pub(super) is_misnamed: bool,
    /// What it was told last to be below which nothing is history.
    pub(super) horizon: Hlc,
    /// The server whose session it ended for another nick, and when, until a session stands.
    pub(super) renamed_at: Option<(String, Time)>,
    /// What [`Event::View`] told last.
    pub(super) told_view: Option<View>,
    /// What [`Event::Cursor`] told last.
    told: Option<(FeedCursor, u64)>,
    /// What was told once of servers that are not for this client.
    strangers: BTreeSet<String>,
    connections: u64,
    pub(super) closed: bool,
    /// What [`Client::next_timeout`] said last.
    expected: Time,
    scouts: VecDeque<(Route, Scout)>,
    actions: VecDeque<Action>,
}

impl Client {
    /// A client that begins its search. Equal arguments and inputs give equal runs.
    pub fn new(settings: Settings, loaded: Loaded, now: Now, seed: u64) -> Self {
        let Loaded { client, last_cseq, acked_upto, floor, messages, seen } = loaded;
        let shown = seen.filter(|_| settings.follow);
        let mut new = Self {
            directory: Directory::new(settings.server.clone(), settings.prefer).only(settings.only),
            search: Search::new(settings.peers.clone()),
            settings,
            me: client,
            rng: Rng::new(seed),
            outbox: Outbox::new(last_cseq, acked_upto, floor, messages),
            feed: shown.map(|(shown, greatest)| Feed::resumed(client, &shown, greatest)),
            reception: Reception::new(),
            merging: Merging::new(),
            stage: Stage::NOBODY,
            gone: None,
            queries: BTreeMap::new(),
            rooms: BTreeSet::new(),
            horizon: Hlc(0),
            homeless: Patience::Idle,
            unacknowledged: Patience::Idle,
            old_nick: None,
            is_misnamed: false,
            renamed_at: None,
            told_view: None,
            told: None,
            strangers: BTreeSet::new(),
            connections: 0,
            closed: false,
            expected: Time::NEVER,
            scouts: VecDeque::new(),
            actions: VecDeque::new(),
        };
        let bugs = new.settings.bugs;
        (new.directory.bugs, new.outbox.bugs, new.reception.bugs) = (bugs, bugs, bugs);
        if let Some(feed) = &mut new.feed {
            feed.bugs = bugs;
            new.reception.moved(now.mono);
        }
        new.search.start(now.mono);
        new.tick(now.mono);
        new
    }

    /// The client's id, kept with its outbox.
    pub fn id(&self) -> ClientId {
        self.me
    }

    /// The name of the server it is at.
    pub fn home(&self) -> Option<&str> {
        self.stage.home().map(|home| home.name.as_str())
    }

    /// How many of its messages are not done with.
    pub fn unacknowledged(&self) -> u64 {
        self.outbox.unacknowledged()
    }

    /// Whether it lives on the multicast rather than on its session's feed.
    pub fn is_on_multicast(&self) -> bool {
        self.reception.is_multicast()
    }

    /// Takes a message, which has its number, and so its id, from now on.
    ///
    /// # Errors
    /// [`SubmitError`]; the message was not taken.
    pub fn submit(&mut self, now: Now, draft: Draft) -> Result<MessageId, SubmitError> {
        if self.closed {
            return Err(SubmitError::Closed);
        }
        if draft.body.len() > MAX_BODY_BYTES {
            return Err(SubmitError::TooLong(draft.body.len()));
        }
        let cseq = self.outbox.submit(draft.clone()).ok_or(SubmitError::Full)?;
        self.note_room(&draft);
        self.save(cseq, draft);
        let id = MessageId { client: self.me, cseq };
        self.tell(Event::Progress { id, progress: Progress::Queued });
        self.tick(now.mono);
        self.tell_cursor();
        Ok(id)
    }

    /// Notes in which rooms it is to be; however a room's name is written, it is the same room.
    fn note_room(&mut self, draft: &Draft) {
        let is_left = draft.kind == Kind::Leave;
        if is_left || draft.kind == Kind::Join {
            let is_all = is_left && draft.room.is_empty();
            self.rooms.retain(|room| !is_all && !crate::name::same(room, &draft.room));
        }
        if draft.kind == Kind::Join {
            self.rooms.insert(draft.room.clone());
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        if self.closed {
            return;
        }
        let now = now.mono;
        if now > self.expected + LATE {
            self.stage.excuse(now);
        }
        match input {
            Input::Datagram { from, multicast, bytes } => self.datagram(now, from, multicast, bytes),
            Input::Connected(connection) => self.connected(now, connection),
            Input::Broken(connection) => self.broken(now, connection),
            Input::Reply(connection, reply) if self.stage.connection() == Some(connection) => self.reply(now, reply),
            Input::Arriving(connection) if self.stage.connection() == Some(connection) => self.hear_home(now),
            Input::Reply(..) | Input::Arriving(_) | Input::Timeout => {}
            Input::Command(command) => self.command(now, command),
            Input::Saved { cseq } => self.outbox.saved(cseq),
        }
        self.tick(now);
        self.tell_cursor();
    }

    fn tell_cursor(&mut self) {
        if !self.settings.cursors {
            return;
        }
        let place = self.feed.as_ref().map(Feed::place);
        let greatest = place.as_ref().map_or_else(Default::default, |(_, greatest)| *greatest);
        let cursor = FeedCursor { seen: place.map(|(seen, _)| seen), greatest, floor: self.outbox.floor() };
        let told = (cursor, self.outbox.acked_upto());
        if self.told.as_ref() != Some(&told) {
            self.tell(Event::Cursor { cursor: told.0.clone(), acked_upto: told.1 });
            self.told = Some(told);
        }
    }

    /// Clears `buf` and fills it with one datagram; `None` when there is nothing to send.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Route> {
        let (route, scout) = self.scouts.pop_front()?;
        let server = crate::ids::ServerId(self.me.0);
        let sender = crate::ids::Pid { server, ..crate::ids::Pid::default() };
        let header = Header { net: self.settings.net, sender, client: true };
        datagram::encode(&header, &message::Message::Scout(scout), buf);
        Some(route)
    }

    /// The next thing to do; `None` when there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call with [`Input::Timeout`] at the latest; [`Time::NEVER`] when there is no need.
    pub fn next_timeout(&self) -> Time {
        self.expected
    }

    /// A message has its number: it is to be kept.
    pub(super) fn save(&mut self, cseq: u64, draft: Draft) {
        let floor = if bug!(self.settings, Bug::FloorUnsaved) { Hlc(0) } else { self.outbox.floor() };
        self.act(Action::Save(Save::Message { cseq, draft, floor }));
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.act(Action::Event(event));
    }

    pub(super) fn send(&mut self, request: Request) {
        if let Some(connection) = self.stage.connection() {
            self.act(Action::Send { connection, request });
        }
    }

    /// Shows a block's records, each once.
    pub(super) fn show(&mut self, block: FeedBlock, leader: &str) {
        let FeedBlock { records, copies, of, late: behind } = block;
        for record in records {
            let Some(late) = self.feed.as_mut().and_then(|feed| feed.show(&record, behind)) else {
                continue;
            };
            self.outbox.raise_floor(record.key.hlc);
            if late {
                self.merging.add(&record.message, record.key.hlc.wall_ms());
            } else if let Some(merged) = self.merging.take() {
                self.tell(merged);
            }
            // Late, too: the other side of a cut saw nothing of this client, and its word empties the seats from before the cut. One
            // from before its feed began empties none that it took since.
            let is_from_before = self.feed.as_ref().is_some_and(|feed| feed.is_from_before(&record.key));
            let heeded = !is_from_before && (!late || !bug!(self.settings, Bug::StaysGone));
            let declared_gone = record.message.kind == Kind::Gone { client: self.me } && heeded;
            self.tell(Event::Message(Message { record, leader: leader.into(), copies, of, late }));
            if declared_gone {
                self.come_back();
            }
        }
    }

    fn command(&mut self, now: Time, command: Command) {
        match command {
            Command::Query { tag, query: _ } if self.queries.len() >= MAX_QUERIES => {
                self.tell(Event::Answer { tag, answer: Answer::Failed("too many questions at once".into()) });
            }
            Command::Query { tag, query } => {
                self.queries.insert(tag, query.clone());
                if self.stage.home().is_some() {
                    self.send(Request::Query { tag, query });
                }
            }
            Command::Forget { tag } => _ = self.queries.remove(&tag),
            Command::Nick(nick) => self.rename(now, nick),
            Command::Close => self.close(),
        }
    }

    fn datagram(&mut self, now: Time, from: SocketAddr, multicast: bool, bytes: &[u8]) {
        let (header, body) = match datagram::open(bytes) {
            Ok(opened) => opened,
            Err(Malformed::Version(version)) => {
                return self.tell_once(Notice::OtherVersion { addr: from, version });
            }
            Err(_) => return,
        };
        if header.client {
            return;
        }
        let Ok(message) = datagram::decode(body) else {
            return;
        };
        match message {
            message::Message::Elsewhere { net, server } => {
                self.tell_once(Notice::Elsewhere { net, server });
            }
            _ if header.net != self.settings.net => {}
            message::Message::Beacon(beacon) => self.beacon(now, header, from, multicast, beacon),
            message if self.feed.is_some() => self.reception.multicast(header.sender, message),
            _ => {}
        }
    }

    fn beacon(&mut self, now: Time, header: Header, from: SocketAddr, multicast: bool, beacon: Box<Beacon>) {
        let pid = header.sender;
        self.directory.heard(now, pid, from, &beacon);
        let asked = self.settings.server.as_ref();
        if asked.is_some_and(|name| !crate::name::same(name, &beacon.name)) && self.stage.home().is_none() {
            self.tell_once(Notice::NotAsked { server: beacon.name.clone() });
        }
        for hearing in beacon.heard.iter().filter(|hearing| !self.directory.knows(hearing.pid.server)) {
            self.search.meet(now, hearing.addr);
        }
        let Some(home) = self.stage.home_mut().filter(|home| home.pid.server == pid.server) else {
            return self.follow_beacon(pid, beacon);
        };
        if pid.incarnation > home.pid.incarnation {
            return self.lose_home(now, false);
        }
        if pid == home.pid && multicast {
            home.live.beacon(now);
            self.reception.home_beacon(now);
        }
        self.follow_beacon(pid, beacon);
    }

    fn follow_beacon(&mut self, pid: crate::ids::Pid, beacon: Box<Beacon>) {
        if self.feed.is_some() {
            self.reception.multicast(pid, message::Message::Beacon(beacon));
        }
    }

    /// Tells of a server that is not for this client, once.
    fn tell_once(&mut self, notice: Notice) {
        if self.strangers.len() < MAX_STRANGERS && self.strangers.insert(format!("{notice:?}")) {
            self.tell(Event::Notice(notice));
        }
    }

    /// Everything that time or the last input made due.
    fn tick(&mut self, now: Time) {
        if self.closed {
            self.expected = Time::NEVER;
            return;
        }
        self.give_up_in_time(now);
        self.seek(now);
        let answered = self.directory.has_heard_anyone(now);
        self.scouts.extend(self.search.scouts(now, answered));
        self.receive(now);
        for submit in self.outbox.due(now) {
            self.send(Request::Submit(submit));
        }
        self.complain(now);
        if let Some(merged) = self.merging.due(now) {
            self.tell(merged);
        }
        self.expected = self.deadline(now);
    }

    fn deadline(&self, now: Time) -> Time {
        let seeking = matches!(self.stage, Stage::Searching { .. });
        let chance = if seeking { self.directory.next_chance(now) } else { Time::NEVER };
        self.stage
            .next_timeout(self.is_expecting())
            .min(chance)
            .min(self.search.next_timeout())
            .min(self.outbox.next_timeout(now))
            .min(self.reception.next_timeout(now))
            .min(self.homeless.next_timeout())
            .min(self.unacknowledged.next_timeout())
            .min(self.merging.next_timeout())
    }

    fn is_expecting(&self) -> bool {
        !self.queries.is_empty() || self.outbox.is_expecting()
    }

    fn give_up_in_time(&mut self, now: Time) {
        let expecting = self.is_expecting();
        match &mut self.stage {
            Stage::Connecting(attempt) | Stage::Greeting(attempt) if now >= attempt.until => self.abandon(now),
            Stage::Home(home) => match home.live.verdict(now, expecting) {
                Verdict::Alive => {}
                Verdict::Ask => self.send(Request::Ping),
                Verdict::Gone if bug!(self.settings, Bug::Faithful) => home.live = Liveness::new(now),
                Verdict::Gone => self.lose_home(now, false),
            },
            _ => {}
        }
    }

    /// Goes to a server when there is one to go to: at once when a home was lost, else after a moment for all to answer.
    fn seek(&mut self, now: Time) {
        self.leave_a_makeshift(now);
        if !matches!(self.stage, Stage::Searching { .. }) {
            return;
        }
        let Some(choice) = self.directory.choose(now, &mut self.rng) else {
            self.stage = Stage::NOBODY;
            return;
        };
        let is_wanted = choice.server.is_some() && choice.server == self.settings.prefer;
        let any = self.settings.server.is_none() && self.settings.only.is_none() && !is_wanted;
        if self.gone.is_none() && any && self.stage.gathers(now) {
            return;
        }
        self.connect(now, choice);
    }

    pub(super) fn connect(&mut self, now: Time, choice: Choice) {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.act(Action::Connect { connection, addr: choice.addr });
        self.stage = Stage::Connecting(Attempt { connection, choice, until: Stage::deadline(now) });
    }

    /// Shows what is next in order, and asks for what is missing.
    fn receive(&mut self, now: Time) {
        self.show_in_order();
        for want in self.reception.due(now, &mut self.rng) {
            match want {
                Want::Fetch { view, first, last } => self.send(Request::Fetch { view, first, last }),
                Want::Silence => self.send(Request::Hearing { multicast: true }),
                Want::Feed => self.ask_for_the_feed(),
            }
        }
        self.show_in_order();
    }

    pub(super) fn ask_for_the_feed(&mut self) {
        if let Some(feed) = &self.feed {
            let cursor = feed.cursor();
            self.send(Request::Follow(cursor));
        }
    }

    pub(super) fn show_in_order(&mut self) {
        while let Some(block) = self.reception.next() {
            let Some(view) = self.reception.view() else {
                return;
            };
            let (epoch, leader) = (view.epoch, view.leader_name().to_owned());
            let (last, block) = block;
            self.show(block, &leader);
            if let Some(feed) = &mut self.feed {
                feed.advance(epoch, last);
            }
        }
    }

    fn complain(&mut self, now: Time) {
        let home = self.stage.home();
        let stores = home.is_some_and(|home| !home.read_only);
        self.homeless.wait_if(home.is_none(), now);
        self.unacknowledged.wait_if(stores && !self.outbox.is_empty(), now);
        if self.homeless.is_over(now) {
            let waiting = match &self.settings.server {
                Some(name) => Waiting::Named(name.clone()),
                None if self.directory.has_heard_anyone(now) => Waiting::Ready,
                None => Waiting::Search,
            };
            self.tell(Event::Notice(Notice::Waiting(waiting)));
        }
        if self.unacknowledged.is_over(now) {
            let (messages, server) = (self.outbox.unacknowledged(), self.home().unwrap_or_default().to_owned());
            self.tell(Event::Notice(Notice::Waiting(Waiting::Acknowledgement { messages, server })));
        }
    }
}
