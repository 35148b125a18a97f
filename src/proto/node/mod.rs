//! A server's state machine: it turns one component's change into another's call, and holds no algorithm of its own.
//!
//! | file | wires |
//! |---|---|
//! | `mod.rs` | inputs and outputs, timeouts |
//! | `disk.rs` | writes and what each is for, a disk that hangs or fails |
//! | `receive.rs` | datagrams and frames, to whoever they concern |
//! | `view.rs` | the view change: freezing, reporting, installing, flushing |
//! | `flow.rs` | the data path: packing, ordering, appending, acknowledging |
//! | `loss.rs` | gaps, NACKs, repairs, heads |
//! | `history.rs` | delivery: ids, acknowledgements to clients, feeds, late records |
//! | `people.rs` | who is where, made anew from the store |
//! | `catch_up.rs`, `digest.rs` | wants, fills; what is asked for of what others have, and how histories are compared |
//! | `retention.rs` | what is let go of, and when |
//! | `ring.rs` | beacons, suspicion, election, joins, merges |
//! | `sessions.rs` | clients |
//! | `trace.rs` | the event record |
//! | `report.rs` | status, ring, who, and what the simulator's checker sees |

mod catch_up;
mod digest;
mod disk;
mod flow;
mod health;
mod history;
mod loss;
mod people;
mod receive;
mod report;
mod retention;
mod ring;
mod sessions;
mod trace;
mod view;

use self::disk::{Disk, Pending};
use crate::ids::{EpochId, Pid};
use crate::proto::absent::Absent;
use crate::proto::announcements::Announcements;
use crate::proto::bugs::Bug;
use crate::proto::catch_up::CatchUp;
use crate::proto::detector::Detector;
use crate::proto::election::Election;
use crate::proto::epochs::Epochs;
use crate::proto::event::Event;
use crate::proto::fills::Fills;
use crate::proto::host::Machine;
use crate::proto::io::{Action, Input, Recovered, Route, Ticket};
use crate::proto::live::Live;
use crate::proto::membership::Membership;
use crate::proto::origin::Origin;
use crate::proto::outgoing::Outgoing;
use crate::proto::pacing::{Lane, Pacer};
use crate::proto::peers::Peers;
use crate::proto::pruning::Pruning;
use crate::proto::recent::Recent;
use crate::proto::replay::Replay;
use crate::proto::rng::Rng;
use crate::proto::rooms::Rooms;
use crate::proto::session_table::SessionTable;
use crate::proto::settings::{BURST_BYTES, BYES, RATE_BYTES, Settings};
use crate::proto::trace::Trace;
use crate::proto::twins::Twins;
use crate::proto::view_change::ViewChange;
use crate::seq::IdSet;
use crate::time::{Hlc, Now, Time};
use crate::wire::datagram::{Header, MAX_DATAGRAM_BYTES};
use crate::wire::message::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// A server, without its sockets, its disk and its clock. The calling contract is [`io`](super::io)'s.
#[derive(Debug)]
pub struct Node {
    settings: Settings,
    me: Pid,
    now: Now,
    rng: Rng,
    out: Outgoing,
    writes: VecDeque<(Ticket, Pending)>,
    /// Since when the disk owes the oldest of them.
    writing_since: Time,
    /// How long the last one took.
    wrote_in: Duration,
    epochs: Epochs,
    ids: IdSet,
    hlc: Hlc,
    messages: u64,
    /// The store was damaged, and nobody has been there since who could have what is missing.
    damaged: bool,
    view_change: ViewChange,
    live: Option<Live>,
    left: Option<(EpochId, u64)>,
    origin: Origin,
    catch_up: CatchUp,
    fills: Fills,
    pruning: Pruning,
    peers: Peers,
    announcements: Announcements,
    detector: Detector,
    election: Election,
    membership: Membership,
    proposed: BTreeSet<Pid>,
    watched: Option<(Pid, SocketAddr)>,
    sessions: SessionTable,
    recent: Recent,
    rooms: Rooms,
    /// Rooms while they are made anew from the store: after a start, and when something is below the horizon.
    rebuilt: Option<Rooms>,
    replay: Replay,
    /// When this life began.
    began: Time,
    /// Who is where was found out since then.
    knows_rooms: bool,
    /// When this server's history is compared with others' again.
    compare_at: Time,
    pacer: Pacer,
    drops: BTreeMap<&'static str, u64>,
    absent: Absent,
    twins: Twins,
    trace: Trace,
    disk: Disk,
    leaving: bool,
    /// When this machine wanted to be called at the latest.
    expected: Time,
    /// When it wants to be called at the latest: what follows from its state after an input, asked for more than once.
    due: Time,
}

impl Node {
    /// A server that has just started; `seed` makes its random waits.
    pub fn new(settings: Settings, recovered: Recovered, now: Now, seed: u64) -> Self {
        let header = Header { net: settings.net, sender: recovered.pid, client: false };
        let mut out = Outgoing::new(header);
        out.data_first = settings.bugs.has(Bug::DataFirst);
        Self::with_outgoing(settings, recovered, now, seed, out)
    }

    fn with_outgoing(settings: Settings, recovered: Recovered, now: Now, seed: u64, out: Outgoing) -> Self {
        let me = recovered.pid;
        let bugs = settings.bugs;
        let mut node = Self {
            me,
            now,
            rng: Rng::new(seed),
            out,
            writes: VecDeque::new(),
            writing_since: now.mono,
            wrote_in: Duration::ZERO,
            epochs: Epochs::recovered(&recovered),
            hlc: recovered.hlc,
            messages: recovered.messages,
            damaged: recovered.damaged,
            ids: recovered.ids,
            view_change: ViewChange::new(me, bugs),
            live: None,
            left: None,
            origin: Origin::new(bugs),
            catch_up: CatchUp::default(),
            fills: Fills::default(),
            pruning: Pruning::recovered(recovered.pruned),
            peers: Peers::default(),
            announcements: Announcements::new(now.mono),
            detector: Detector::new(me).with(bugs),
            election: Election::new(me).with(bugs),
            membership: Membership::new(now.mono).with(bugs),
            proposed: BTreeSet::new(),
            watched: None,
            sessions: SessionTable::new(me),
            recent: Recent::default(),
            rooms: Rooms::new(bugs),
            rebuilt: None,
            replay: Replay::default(),
            began: now.mono,
            knows_rooms: false,
            compare_at: now.mono,
            pacer: Pacer::new(RATE_BYTES, BURST_BYTES),
            drops: BTreeMap::new(),
            absent: Absent::default(),
            twins: Twins::new(me),
            trace: Trace::new(now, settings.record),
            disk: Disk::Works,
            leaving: false,
            expected: Time::NEVER,
            due: Time::NEVER,
            settings,
        };
        node.read_uncounted();
        node.rebuild_rooms();
        node.due = node.next_due();
        node
    }

    /// Who it is, in this life.
    pub fn pid(&self) -> Pid {
        self.me
    }

    /// Something happened.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.now = Now { mono: now.mono.max(self.now.mono), wall_ms: now.wall_ms };
        self.note_lateness();
        self.trace.arrives(None);
        match input {
            Input::Datagram { from, multicast, bytes } => {
                if !self.on_datagram(from, multicast, bytes) && self.is_idle() {
                    self.expected = self.due;
                    return;
                }
            }
            Input::Frame { from, bytes } => self.on_frame(from, bytes),
            Input::LinkReset { pid } => self.on_link_reset(pid),
            Input::Written { upto } => self.on_written(upto),
            Input::WriteFailed { trouble } => self.on_write_failed(trouble),
            Input::Reopened { recovered } => self.begin_anew(*recovered),
            Input::Read { epoch, first, entries, purpose } => self.on_read(epoch, first, entries, purpose),
            Input::Gists { epoch, after, gists } => self.on_gists(epoch, after, gists),
            Input::Session { session, request } => self.on_request(session, *request),
            Input::SessionEnded { session } => self.on_session_ended(session),
            Input::Timeout => {}
            Input::Leave => self.leave(),
        }
        self.trace.arrives(None);
        self.run();
        self.due = self.next_due();
        self.expected = self.due;
    }

    /// Whether time alone has made nothing due: neither a timeout nor what is looked at whenever there is an input.
    fn is_idle(&self) -> bool {
        self.now.mono < self.due.min(self.compare_at) && !self.disk_hangs()
    }

    /// Who was late itself accuses nobody: what others sent in the meantime still waits in the sockets.
    fn note_lateness(&mut self) {
        let late = self.now.mono.since(self.expected);
        self.expected = Time::NEVER;
        self.writing_since = (self.writing_since + late).min(self.now.mono);
        self.detector.late(self.now.mono, late);
    }

    /// Clears `buf` and fills it with one datagram or frame; `None` when there is nothing to send.
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Route> {
        let letter = self.out.pop_datagram(buf)?;
        let route = letter.route;
        self.trace_sent(&letter, buf);
        Some(route)
    }

    /// The next thing for the host to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.pop_action()
    }

    /// When [`Input::Timeout`] is due at the latest.
    pub fn next_timeout(&self) -> Time {
        self.due
    }

    fn next_due(&self) -> Time {
        if self.leaving {
            return Time::NEVER;
        }
        if self.disk == Disk::Failed {
            return self.announcements.next_answer();
        }
        let next = [
            self.view_change.next_timeout(),
            self.data_path_timeout(),
            self.catch_up.next_timeout().max(self.compare_at),
            self.fills_timeout(),
            self.announcements.next_timeout(),
            self.election.next_timeout(),
            self.membership.next_timeout(),
            self.sessions.next_timeout(),
        ]
        .into_iter()
        .min()
        .unwrap_or(Time::NEVER);
        // Nearly always something else comes first: then its peers need not be gone through.
        if next <= self.detector.quiet_until() { next } else { next.min(self.detector.next_timeout()) }
    }

    /// A frozen view has nothing to do: its timers wait for nothing.
    fn data_path_timeout(&self) -> Time {
        let live = self.live.as_ref().filter(|_| self.is_active());
        let allowed_at = |lane| self.pacer.next_timeout(lane, MAX_DATAGRAM_BYTES as u64);
        let data_at = self.origin.next_timeout().max(allowed_at(Lane::Data));
        live.map_or(Time::NEVER, |live| live.next_timeout(allowed_at(Lane::Repair)).min(data_at))
    }

    /// Everything that the input, or time, has made due.
    fn run(&mut self) {
        if self.leaving {
            return;
        }
        if self.disk == Disk::Failed {
            return self.answer_scouts_alone();
        }
        self.handle_own();
        self.tick_view_change();
        self.tick_ring();
        self.handle_own();
        self.send_fills();
        self.tick_catch_up();
        self.tick_pruning();
        self.tick_sessions();
        self.flow();
        self.tick_loss();
        self.handle_own();
    }

    fn handle_own(&mut self) {
        while let Some(message) = self.out.pop_own() {
            self.on_message(self.me, message);
        }
    }

    /// Whether the installed view is the one promised: data is taken, ordered, acknowledged.
    fn is_active(&self) -> bool {
        let promised = self.view_change.promised();
        self.live.as_ref().is_some_and(|live| live.view.epoch == promised || self.settings.bugs.has(Bug::NoFreeze))
    }

    fn view_epoch(&self) -> Option<EpochId> {
        self.live.as_ref().map(|live| live.view.epoch)
    }

    fn is_leader(&self) -> bool {
        self.view_epoch().is_some_and(|epoch| epoch.leader == self.me)
    }

    fn send(&mut self, to: Pid, message: Message) {
        let mut addr = self.detector.addr(to);
        if self.settings.bugs.has(Bug::ForgottenIncarnation) && addr.is_none() {
            let alike = self.detector.alive().into_iter().find(|pid| pid.server == to.server);
            addr = alike.and_then(|pid| self.detector.addr(pid));
        }
        self.out.send(to, addr, message);
    }

    fn event(&mut self, event: Event) {
        self.trace_event(&event);
        self.out.act(Action::Event(event));
    }

    fn drop_because(&mut self, reason: &'static str) {
        *self.drops.entry(reason).or_default() += 1;
        self.trace_dropped(reason);
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.leaving, true) {
            return;
        }
        for _ in 0..BYES {
            self.out.multicast(Message::Bye);
        }
        self.end_all_sessions();
        self.out.act(Action::Left);
    }
}

impl Machine for Node {
    fn handle(&mut self, now: Now, input: Input<'_>) {
        Self::handle(self, now, input);
    }

    fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Route> {
        Self::poll_transmit(self, buf)
    }

    fn poll_action(&mut self) -> Option<Action> {
        Self::poll_action(self)
    }

    fn next_timeout(&self) -> Time {
        Self::next_timeout(self)
    }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod naming;
#[cfg(test)]
mod pace;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod reading;
