//! What a server is told at its start, and the constants of the protocol.

use crate::proto::bugs::Bugs;
use crate::wire::datagram::NetTag;
use crate::wire::message::Page;
use std::net::SocketAddr;
use std::time::Duration;

/// What a server is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The tag of the net's name; datagrams with another one are dropped.
    pub net: NetTag,
    /// The net's name, told to scouts of other nets.
    pub net_name: String,
    /// The server's name, for people.
    pub name: String,
    /// Preferred leaders have more; 0 unless asked for.
    pub priority: u8,
    /// Where it sends from, as its host knows: told of itself until someone else says where it is heard.
    pub addr: SocketAddr,
    /// TCP port of links and sessions.
    pub tcp_port: u16,
    /// Addresses to scout by unicast, beside the multicast.
    pub peers: Vec<SocketAddr>,
    /// Where this server's page is, told in beacons; `None` when it serves none.
    pub page: Option<Page>,
    /// Acknowledge at receipt by all, before the disk has it (`--durability memory`). The host acknowledges writes at once.
    pub memory_only: bool,
    /// What of history is let go of, and when.
    pub retention: Retention,
    /// How much of a long list one message carries.
    pub portions: Portions,
    /// Whether an event record is kept: at most 8 MiB, and about a hundredth of the protocol's time.
    pub record: bool,
    /// Planted bugs; none outside the simulator's hunt.
    pub bugs: Bugs,
}

/// How much of history a server would keep. A ring lets go of what all of its servers would let go of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keep {
    /// Everything.
    #[default]
    All,
    /// What is younger than this.
    For(Duration),
    /// The newest, about this many bytes of it on the disk.
    Bytes(u64),
}

/// What of history is let go of, and when: whole epochs, so that a leader begins a new one now and then (`PROTOCOL.md` §9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// What this server would keep.
    pub keep: Keep,
    /// A view this old is followed by another of the same members …
    pub view_lasts: Duration,
    /// … or one with so many batches.
    pub view_holds: u64,
    /// Nothing is let go of before every server that was in a view so lately has agreed.
    pub absent_for: Duration,
}

impl Retention {
    /// So much is kept: views last no longer than a part of that, so that little more is.
    pub fn keeping(keep: Keep) -> Self {
        let all = Self::default();
        let view_lasts = match keep {
            Keep::For(age) => all.view_lasts.min(age / 8),
            Keep::All | Keep::Bytes(_) => all.view_lasts,
        };
        Self { keep, view_lasts, ..all }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep: Keep::All,
            view_lasts: Duration::from_hours(24),
            view_holds: 1_000_000,
            absent_for: Duration::from_hours(30 * 24),
        }
    }
}

/// How much of what grows with a ring's age goes into one message: the rest is asked for, portion by portion.
#[derive(Clone, Copy, Debug)]
pub struct Portions {
    /// Epochs of one digest.
    pub epochs: usize,
    /// Numbers of epochs that are compared by one hash when there are more.
    pub stretch: u64,
    /// Rows of one piece of a table: with as many ranges as one may have, less than a frame.
    pub rows: usize,
    /// Pieces of a table in one answer: what they take of a link's queue leaves room for all else.
    pub pieces: usize,
}

impl Default for Portions {
    fn default() -> Self {
        Self { epochs: 4096, stretch: 256, rows: 512, pieces: 16 }
    }
}

/// Heartbeat and announcement; ±10 %.
pub const BEACON: Duration = Duration::from_millis(250);
/// Who was heard within this time, two beacons, is vouched for to others, and asked for what is missing.
pub const LATELY: Duration = ms(500);
/// A starting process scouts at these times.
pub const SCOUTS: [Duration; 4] = [Duration::ZERO, ms(100), ms(300), ms(700)];
/// … and then this often, for ever, while it knows nobody.
pub const SCOUT_AGAIN: Duration = Duration::from_secs(5);
/// Scouts are answered within this random time.
pub const SCOUT_ANSWER: Duration = ms(50);
/// A starting server that hears no leader for this long starts an election.
pub const ALONE_AFTER: Duration = Duration::from_secs(1);
/// Newcomers are collected this long before a view is proposed for them.
pub const JOIN_BATCH: Duration = ms(200);
/// A coordinator repeats itself this often to those who are silent.
pub const COORDINATOR_REPEAT: Duration = ms(25);
/// … and drops who is silent this long since the last progress.
pub const COORDINATOR_WAIT: Duration = ms(300);
/// A prepared member repeats itself this often until it hears of the installation.
pub const PREPARED_REPEAT: Duration = ms(50);
/// Two leaders hear each other this long before the greater proposes to merge.
pub const MERGE_AFTER: Duration = ms(500);
/// … and this long before the other one does.
pub const MERGE_OTHER_AFTER: Duration = ms(2000);
/// A proposal that failed is not repeated before this long, doubled each time …
pub const HOLD_DOWN: Duration = ms(500);
/// … to at most this.
pub const HOLD_DOWN_MOST: Duration = Duration::from_secs(4);
/// A member whose log stands still this long while others' grow is evicted; so is a leader, by itself.
pub const STALLED: Duration = Duration::from_secs(5);
/// An evicted server waits this long, doubled each time, to [`EVICTED_MOST`].
pub const EVICTED: Duration = Duration::from_secs(2);
/// The longest wait of an evicted server.
pub const EVICTED_MOST: Duration = Duration::from_mins(1);
/// Order, acknowledgements and partial batches are collected this long.
pub const COALESCE: Duration = Duration::from_micros(100);
/// After a pause in sending, heads are repeated at these times.
pub const TAIL: [Duration; 5] = [ms(10), ms(20), ms(40), ms(80), ms(160)];
/// The leader stops ordering at this many batches above stable …
pub const ORDER_WINDOW: u64 = 4096;
/// … or at this many bytes of them.
pub const ORDER_WINDOW_BYTES: usize = 4 << 20;
/// An origin has at most this many datagrams that are not ordered yet.
pub const ORIGIN_WINDOW: u64 = 256;
/// Messages of clients that wait to be sent, at most; beyond it they are told to come again.
pub const ORIGIN_QUEUE: usize = 8192;
/// Unacknowledged messages of one client (`W`).
pub const CLIENT_WINDOW: u64 = 32;
/// How long a busy client is told to wait.
pub const BUSY_RETRY_MS: u32 = 250;
/// How long a client waits whose floor is beyond [`FLOOR_AHEAD`].
pub const FLOOR_RETRY_MS: u32 = 1000;
/// A floor this far above every clock here is not taken yet.
pub const FLOOR_AHEAD: Duration = Duration::from_hours(24);
/// Most bytes of entries in one answer to a want, and in one read of the log for whatever else.
pub const FILL_BYTES: usize = 256 << 10;
/// Bytes of entries in one block of a client's feed. A client takes a home of which nothing whole comes for a second and a half
/// for gone: so much passes a narrow wire, shared with others, in that time.
pub const FEED_BYTES: usize = 16 << 10;
/// With more bytes than this waiting for a client, its host reads nothing more of its backlog: else who reads slower than the disk
/// would be cut off before the end of it, and begin anew at the next server. What it asks for then comes behind all of this: on a narrow
/// wire, a second later for each megabit.
pub const BACKLOG_BYTES: usize = 128 << 10;
/// An answer to a want is no longer than what the rate lets go in this time, or one entry: data waits behind it.
pub const FILL_TIME: Duration = ms(100);
/// A want that nobody answered is sent again after this, or twice what the source took last …
pub const WANT_AGAIN: Duration = ms(500);
/// … and twice as long each time, at most this.
pub const WANT_LATEST: Duration = ms(2000);
/// Histories are compared at most this often: it costs a walk over all epochs.
pub const COMPARE_EVERY: Duration = ms(20);
/// Members tell digests this often while they differ.
pub const DIGEST_EVERY: Duration = ms(250);
/// A client whose session ended is gone for the others after this.
pub const GONE_AFTER: Duration = Duration::from_secs(10);
/// A view that holds much is followed by another after this long at the earliest.
pub const RENEW_LEAST: Duration = Duration::from_secs(10);
/// Sessions at one server.
pub const MAX_SESSIONS: usize = 4096;
/// The rate at which data goes out, and of which repairs and catch-up have their shares, at most: bytes a second, a gigabit's.
pub const RATE_BYTES: u64 = 125_000_000;
/// Bytes that may go at once after a pause.
pub const BURST_BYTES: u64 = 1 << 20;
/// What a goodbye is said thrice in.
pub const BYES: u8 = 3;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A coordinator whose members wait for someone's disk tells them so after this long, and again each time.
pub const COORDINATOR_WORKS: Duration = ms(150);

/// How long a participant waits for a view before it starts an election itself: 450 ms + 50 for each server, and a random
/// part of up to [`VIEW_WAIT_RANDOM`] that the caller adds.
pub fn view_wait(servers: usize) -> Duration {
    ms(450 + 50 * servers as u64)
}

/// The random part of [`view_wait`].
pub const VIEW_WAIT_RANDOM: Duration = ms(250);
