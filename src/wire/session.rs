//! What a client and its server say over their connection (TCP; frames are a length of 4 bytes and a postcard body).
//!
//! The client speaks first ([`Request::Hello`]); the server answers [`Reply::Welcome`] or [`Reply::Refused`]. Submits are
//! answered twice: accepted, then stable. Queries carry a tag that their answers repeat.

use crate::ids::{ClientId, EpochId, MessageId, Pid, RecordKey, ViewTag};
use crate::record::{Entry, Kind, Record, View};
use crate::time::Hlc;
use crate::wire::message::{are_entries, are_numbers, is_view};
use crate::wire::trace::RecordPage;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use crate::wire::status::{ElectionInfo, RingInfo, ServerState, ServerStatus, Status};

/// Longest frame of a session: one message of the greatest size, or one page of history.
pub const MAX_FRAME_BYTES: usize = 1 << 20;
/// Most epochs in a [`Cursor`].
pub const MAX_CURSOR_EPOCHS: usize = 256;
/// What a feed did not know when it began is shown, as late, if it was said this long before at most.
pub const NEWS: Duration = Duration::from_hours(24);

/// From the client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// First of all.
    Hello(Hello),
    /// A message for history. Answered by [`Reply::Accepted`], [`Reply::Stable`], [`Reply::Busy`] or [`Reply::Rejected`].
    Submit(Submit),
    /// Are you there? Answered by [`Reply::Pong`].
    Ping,
    /// Multicast reaches me (or no longer does): send me the feed over this connection only when it does not.
    Hearing {
        /// Whether multicast arrives.
        multicast: bool,
    },
    /// Entries of the current view that the client missed. Answered by [`Reply::Entries`].
    Fetch {
        /// The view.
        view: ViewTag,
        /// First gsn.
        first: u64,
        /// Last gsn.
        last: u64,
    },
    /// A question about history or the ring. Answered by [`Reply::Answer`] with the same tag.
    Query {
        /// Comes back in the answer.
        tag: u64,
        /// What.
        query: Query,
    },
    /// The client goes.
    Bye,
    /// Begin my feed anew from here, over this connection, as a hello does, whatever [`Request::Hearing`] said before: the
    /// multicast failed, or left a gap that a fetch does not reach. Answered by feed blocks.
    Follow(Cursor),
}

/// Who comes, and where its feed goes on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The client's net.
    pub net: u32,
    /// The protocol's version.
    pub version: u8,
    /// The client.
    pub client: ClientId,
    /// The name it goes by.
    pub nick: String,
    /// The feed it wants, if any.
    pub follow: Option<Follow>,
    /// All its numbers up to this one are acknowledged.
    pub acked_upto: u64,
}

/// Where a feed begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Follow {
    /// With what becomes stable from now on.
    Now,
    /// After what this cursor has seen.
    From(Cursor),
}

/// What a client has been shown: lengths of the latest epochs, and the greatest key that was there when its feed began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct Cursor {
    /// Lengths seen of the latest epochs; at most [`MAX_CURSOR_EPOCHS`].
    pub epochs: Vec<(EpochId, u64)>,
    /// The greatest key that was there when the feed began; of epochs that are not listed, see [`floor_of`](Self::floor_of).
    pub floor: RecordKey,
}

impl Cursor {
    /// Of an epoch that is not listed, what sorts up to here is not shown. Its server did not know it: it came since, from the other
    /// side of a cut, and is news if it is not older than [`NEWS`]. Only a list that is full left out old ones, that were there before.
    pub fn floor_of(&self, epoch: EpochId) -> RecordKey {
        let is_full = self.epochs.len() >= MAX_CURSOR_EPOCHS;
        let least = self.epochs.iter().map(|(epoch, _)| *epoch).min().filter(|_| is_full);
        if least.is_some_and(|least| epoch < least) {
            return self.floor;
        }
        let hlc = Hlc(self.floor.hlc.0.saturating_sub(Hlc::from_wall_ms(NEWS.as_millis() as u64).0));
        RecordKey { hlc, ..RecordKey::default() }
    }
}

/// A message for history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Submit {
    /// The client's number, from 1.
    pub cseq: u64,
    /// All numbers up to this one are acknowledged.
    pub acked_upto: u64,
    /// The greatest HLC the client has been shown by now.
    pub floor: Hlc,
    /// The room, or empty.
    pub room: String,
    /// What it is.
    pub kind: Kind,
    /// The text.
    pub body: String,
}

/// From the server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The session stands.
    Welcome(Box<Welcome>),
    /// It does not, and why; the server closes.
    Refused(Refusal),
    /// The server has the message.
    Accepted {
        /// The client's number.
        cseq: u64,
    },
    /// The message is history, on the disks of `copies` of `of` servers.
    Stable {
        /// The client's number.
        cseq: u64,
        /// Its place, as far as this server knows.
        key: RecordKey,
        /// Servers known to have it on disk.
        copies: u16,
        /// Servers in the view.
        of: u16,
    },
    /// The window is full: send it again after this many milliseconds.
    Busy {
        /// The client's number.
        cseq: u64,
        /// How long to wait.
        retry_ms: u32,
    },
    /// The message will never be taken.
    Rejected {
        /// The client's number.
        cseq: u64,
        /// Why.
        why: Refusal,
    },
    /// Messages that became history: in the order of their keys unless `late`.
    Feed {
        /// The records; one list for all sessions that are shown the same.
        records: Arc<Vec<Record>>,
        /// Whether they come from a merge or a catch-up, behind what was shown before.
        late: bool,
        /// Servers known to have them on disk.
        copies: u16,
        /// Servers in the view.
        of: u16,
        /// The first gsn that this block accounts for: the client has a gap when it lies beyond its place.
        first: u64,
        /// The feed has now shown this epoch up to this gsn. Every record is of this epoch.
        upto: (EpochId, u64),
        /// The name of that epoch's leader.
        leader: String,
    },
    /// A view begins.
    View(Box<ViewNote>),
    /// Answers a fetch; also pushed for entries below the client's place when multicast fails it.
    Entries {
        /// The view.
        view: ViewTag,
        /// The gsn of the first entry.
        first: u64,
        /// Stable entries.
        entries: Vec<Entry>,
    },
    /// Answers a ping.
    Pong,
    /// Answers a query.
    Answer {
        /// The query's.
        tag: u64,
        /// The answer.
        answer: Answer,
    },
    /// The server leaves on purpose: go to another.
    Bye,
}

/// What a server tells a client that comes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The server.
    pub server: Pid,
    /// Its name.
    pub name: String,
    /// How many messages may be unacknowledged at once.
    pub window: u32,
    /// The view.
    pub view: Option<ViewNote>,
    /// Where the feed begins, when the client asked for one.
    pub cursor: Option<Cursor>,
    /// Other servers with room for clients, for the day this one dies.
    pub others: Vec<SocketAddr>,
    /// Its disk takes nothing: it answers questions, and nothing else. There is no view and no feed; the session ends when
    /// its disk works again.
    pub read_only: bool,
}

/// A view, as a client follows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ViewNote {
    /// The view.
    pub view: View,
    /// Where its feed begins: the client has been sent everything of the parents that counts.
    pub from: u64,
    /// The epoch that the server leaves, and how far it has delivered it: a client that hears the multicast completes it
    /// up to here before it shows the new one. `None` in a [`Welcome`].
    pub left: Option<(EpochId, u64)>,
    /// Why it began, in a word or two.
    pub reason: String,
}

/// Why something was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// Another net's client.
    Net,
    /// Another protocol version's client; this is the server's.
    Version(u8),
    /// The server is not ready: it is still catching up.
    NotReady,
    /// The server has its greatest number of sessions.
    Full,
    /// The nick belongs to another client; this one is free.
    NickTaken(String),
    /// No such person.
    NoSuchNick,
    /// Over the greatest length.
    TooLong,
    /// A name breaks the rules.
    BadName,
    /// The server's disk takes nothing any more.
    ReadOnly,
    /// The request makes no sense.
    Malformed,
}

/// A question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Query {
    /// A page of history.
    History(HistoryQuery),
    /// Messages with these words.
    Search {
        /// The words, all of which must be in the text.
        words: String,
        /// Narrowed to these.
        within: HistoryQuery,
    },
    /// Every room, with its counts.
    Rooms,
    /// Who is where; all rooms when `None`.
    Who(Option<String>),
    /// Every server as this one sees it.
    Status,
    /// The ring and the last elections.
    Ring,
    /// To whom this nick belongs, here or away.
    Nick(String),
    /// A page of the server's own event record.
    Record {
        /// Events after this number; 0 for the oldest.
        after: u64,
        /// At most this many; the server may send fewer.
        limit: u32,
    },
    /// Where history has this message. Answered by a page of it alone, without its words, or of nothing.
    Place(MessageId),
}

/// Which part of history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct HistoryQuery {
    /// Only these rooms; none means every room.
    pub rooms: Vec<String>,
    /// Only by this writer.
    pub from: Option<String>,
    /// Not before this time.
    pub since_ms: Option<u64>,
    /// Not after this time.
    pub until_ms: Option<u64>,
    /// Only what sorts after this.
    pub after: Option<RecordKey>,
    /// Only what sorts before this.
    pub before: Option<RecordKey>,
    /// At most this many; the server may send fewer, and says whether there are more.
    pub limit: u32,
    /// Whether the page is the last part that matches, rather than the first. Either way it is ascending.
    pub newest: bool,
    /// Whether joins, leaves and the like are wanted too.
    pub events: bool,
    /// The reader, to whom its one-to-one messages are shown.
    pub reader: Option<ClientId>,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// A page, ascending, and whether more matches beyond it.
    Page {
        /// Each with the name of the leader that ordered it.
        records: Vec<(Record, String)>,
        /// Whether there is more.
        more: bool,
    },
    /// Rooms, ascending by name.
    Rooms(Vec<RoomInfo>),
    /// People, ascending by room, then nick.
    Who(Vec<Presence>),
    /// The ring as the server sees it.
    Status(Box<Status>),
    /// The ring's shape and its last elections.
    Ring(Box<RingInfo>),
    /// The question could not be answered; for people.
    Failed(String),
    /// To whom the nick belongs; `None` when nobody claimed it.
    Nick(Option<ClientId>),
    /// A page of the record.
    Record(Box<RecordPage>),
}

/// One room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
pub struct RoomInfo {
    /// Its name.
    pub room: String,
    /// Messages in it.
    pub messages: u64,
    /// People in it now.
    pub people: u32,
    /// When the last message was ordered, in milliseconds since 1970.
    pub last_ms: u64,
    /// Its topic.
    pub topic: String,
}

/// One person in one room.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Presence {
    /// The room.
    pub room: String,
    /// The name.
    pub nick: String,
    /// The client.
    pub client: ClientId,
    /// The name of the server it is at.
    pub server: String,
}

/// Encodes one frame, length first.
pub fn encode<T: Serialize>(frame: &T) -> Vec<u8> {
    let mut bytes = postcard::to_extend(frame, vec![0; 4]).unwrap_or_else(|error| {
        log::error!("a frame could not be encoded: {error}");
        vec![0; 4]
    });
    let length = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// What a decoder checks of a stranger's frame: numbers may be counted on from, lists are no longer than agreed.
pub trait Bounded {
    /// Whether lists and numbers are within the protocol's bounds.
    fn is_within_bounds(&self) -> bool;
}

impl Bounded for Request {
    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Hello(Hello { follow: Some(Follow::From(cursor)), acked_upto, .. }) => {
                are_numbers([*acked_upto]) && is_cursor(cursor)
            }
            Self::Hello(hello) => are_numbers([hello.acked_upto]),
            Self::Submit(submit) => are_numbers([submit.cseq, submit.acked_upto]),
            Self::Fetch { first, last, .. } => are_numbers([*first, *last]),
            Self::Follow(cursor) => is_cursor(cursor),
            Self::Ping | Self::Hearing { .. } | Self::Query { .. } | Self::Bye => true,
        }
    }
}

impl Bounded for Reply {
    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Welcome(welcome) => welcome.view.iter().all(is_note) && welcome.cursor.iter().all(is_cursor),
            Self::Accepted { cseq }
            | Self::Stable { cseq, .. }
            | Self::Busy { cseq, .. }
            | Self::Rejected { cseq, .. } => are_numbers([*cseq]),
            Self::Feed { first, upto, .. } => *first > 0 && are_numbers([*first, upto.0.num, upto.1]),
            Self::View(note) => is_note(note),
            Self::Entries { first, entries, .. } => are_entries(*first, entries),
            Self::Answer { answer: Answer::Record(page), .. } => page.is_within_bounds(),
            Self::Refused(_) | Self::Pong | Self::Answer { .. } | Self::Bye => true,
        }
    }
}

/// Whether a cursor is within the protocol's bounds.
pub(crate) fn is_cursor(cursor: &Cursor) -> bool {
    let sound = |(epoch, length): &(EpochId, u64)| are_numbers([epoch.num, *length]);
    cursor.epochs.len() <= MAX_CURSOR_EPOCHS && cursor.epochs.iter().all(sound)
}

fn is_note(note: &ViewNote) -> bool {
    let (left, upto) = note.left.unwrap_or_default();
    is_view(&note.view) && are_numbers([note.from, left.num, upto])
}

/// Decodes the body of one frame; `None` when it is not exactly one, or breaks a bound.
pub fn decode<T: serde::de::DeserializeOwned + Bounded>(body: &[u8]) -> Option<T> {
    match postcard::take_from_bytes::<T>(body) {
        Ok((frame, [])) if frame.is_within_bounds() => Some(frame),
        _ => None,
    }
}
