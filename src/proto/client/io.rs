//! What goes into a client's state machine and what comes out of it.

use crate::ids::{ClientId, MessageId, RecordKey, ServerId};
use crate::proto::bugs::Bugs;
use crate::record::{Kind, Record, View};
use crate::time::Hlc;
use crate::wire::datagram::NetTag;
use crate::wire::session::{Answer, Cursor, Query, Refusal, Reply, Request};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// What a client is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The tag of the net's name; datagrams with another one are dropped.
    pub net: NetTag,
    /// The name it goes by.
    pub nick: String,
    /// Only the server of this name will do.
    pub server: Option<String>,
    /// Only the server with this id will do: names are not unique.
    pub only: Option<ServerId>,
    /// This server rather than another, while it takes clients.
    pub prefer: Option<ServerId>,
    /// Addresses to scout by unicast, beside the multicast; at most 32 are used.
    pub peers: Vec<SocketAddr>,
    /// Whether it wants the feed: everything that becomes stable from its first session on.
    pub follow: bool,
    /// Whether it tells [`Event::Cursor`].
    pub cursors: bool,
    /// Planted bugs.
    pub bugs: Bugs,
}

/// Where a client stands: with its id and its unacknowledged messages another process goes on in its place.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FeedCursor {
    /// What it has been shown, as servers are told; `None` when it has no feed.
    pub seen: Option<Cursor>,
    /// The greatest key it has been shown: what sorts before is late.
    pub greatest: RecordKey,
    /// The greatest HLC it has seen, also in acknowledgements.
    pub floor: Hlc,
}

impl FeedCursor {
    /// Whether numbers and lists are within the protocol's bounds: it may come back from anywhere.
    pub fn is_within_bounds(&self) -> bool {
        self.seen.iter().all(crate::wire::session::is_cursor)
    }
}

/// What the outbox held when it was opened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Loaded {
    /// The client, kept with the outbox.
    pub client: ClientId,
    /// The greatest number ever given.
    pub last_cseq: u64,
    /// All numbers up to this one are done with.
    pub acked_upto: u64,
    /// The greatest HLC the client had seen.
    pub floor: Hlc,
    /// What is not acknowledged, ascending.
    pub messages: Vec<(u64, Draft)>,
    /// What it had been shown, when it goes on where another process was.
    pub seen: Option<(Cursor, RecordKey)>,
}

/// A message before it has a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// The room, or empty.
    pub room: String,
    /// What it is.
    pub kind: Kind,
    /// The text.
    pub body: String,
}

/// One attempt at a session; never used twice in one life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ConnectionId(pub u64);

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// From where.
        from: SocketAddr,
        /// Whether it came to the group rather than to this process.
        multicast: bool,
        /// All of it.
        bytes: &'a [u8],
    },
    /// The connection stands.
    Connected(ConnectionId),
    /// The connection could not be made within the host's limit, or broke, or brought what is no reply.
    Broken(ConnectionId),
    /// A server speaks.
    Reply(ConnectionId, Reply),
    /// Part of a long reply has come, and more is coming: the server lives.
    Arriving(ConnectionId),
    /// A user wants something.
    Command(Command),
    /// Everything that [`Action::Save`] asked for up to this message is durable.
    Saved {
        /// The message's number.
        cseq: u64,
    },
    /// The next timeout has come.
    Timeout,
}

/// What a user wants. Messages come through [`Client::submit`](super::Client::submit), which answers at once.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "few at a time: users make them")]
pub enum Command {
    /// A question; [`Event::Answer`] repeats the tag. Asked again at the next server when this one dies.
    Query {
        /// Chosen by the caller.
        tag: u64,
        /// What.
        query: Query,
    },
    /// Nobody waits for the answer any more.
    Forget {
        /// The query's.
        tag: u64,
    },
    /// Go by another name from now on: the session begins anew with it. A server that knows another owner of the nick
    /// refuses it ([`Notice::Refused`] with the nick that is free), and the old one is kept.
    Nick(String),
    /// Say goodbye and stop; [`Action::Closed`] follows at once. What is not acknowledged stays in the outbox.
    Close,
}

/// What the host is to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Connect to a server's session port; answer with [`Input::Connected`] or [`Input::Broken`].
    Connect {
        /// Names the attempt.
        connection: ConnectionId,
        /// Where.
        addr: SocketAddr,
    },
    /// Say this to the server, in order. A connection whose queue is full is broken.
    Send {
        /// Over which connection.
        connection: ConnectionId,
        /// What.
        request: Request,
    },
    /// End a connection, after what was said over it before; nothing more of it is wanted.
    Disconnect(ConnectionId),
    /// Change the outbox on disk; done in order.
    Save(Save),
    /// Something that people and programs want to know.
    Event(Event),
    /// The goodbye is said: the client may end.
    Closed,
}

/// One change of the outbox on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Save {
    /// A message was made: durable before it is sent; answered by [`Input::Saved`].
    Message {
        /// Its number.
        cseq: u64,
        /// What.
        draft: Draft,
        /// The greatest HLC seen by its writer: it sorts after that also when another process sends it.
        floor: Hlc,
    },
    /// A message is done with. Need not be durable by itself: it would be sent once more, and known at once.
    Done {
        /// Its number.
        cseq: u64,
        /// The greatest HLC seen by now.
        floor: Hlc,
    },
}

/// Why a message was not even taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubmitError {
    /// Over [`MAX_BODY_BYTES`](crate::record::MAX_BODY_BYTES). Holds how many bytes it has.
    TooLong(usize),
    /// Too many wait already; again after the next [`Event::Progress`].
    Full,
    /// The client was closed.
    Closed,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(bytes) => write!(out, "That is {} KiB; the limit is 64 KiB.", bytes.div_ceil(1024)),
            Self::Full => out.write_str("too many messages wait to be acknowledged"),
            Self::Closed => out.write_str("the client was closed"),
        }
    }
}

impl std::error::Error for SubmitError {}

/// Something that people and programs want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A record of the feed, of any kind and any room: stable, in the order of its key unless late, once.
    Message(Message),
    /// One of the client's own messages got further.
    Progress {
        /// Which.
        id: MessageId,
        /// How far.
        progress: Progress,
    },
    /// The home is in another view now.
    View {
        /// The view.
        view: View,
        /// Why, in a word or two.
        reason: String,
        /// How long the net was without its leader, as far as this client knows: since the one before it, which is not in this
        /// view, was heard last. A beacon comes each quarter of a second.
        took: Option<Duration>,
    },
    /// Messages from a merge or a catch-up have just been shown as late ones: told once for all that come together.
    Merged {
        /// How many.
        messages: u64,
        /// The first's time, in milliseconds since 1970.
        from_ms: u64,
        /// The last's.
        until_ms: u64,
    },
    /// The answer to a query.
    Answer {
        /// The query's.
        tag: u64,
        /// The answer.
        answer: Answer,
    },
    /// What became of the client itself; `Display` has the words for people.
    Notice(Notice),
    /// Where the client stands after the events before this one. Told only where [`Settings::cursors`] asks for it, after
    /// each input that moved it; a newer one takes the place of all before it.
    Cursor {
        /// Where the feed stands.
        cursor: FeedCursor,
        /// All numbers up to this one are done with.
        acked_upto: u64,
    },
}

/// A record, as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The record: key, id, room, nick, kind and text.
    pub record: Record,
    /// The name of the leader that ordered it.
    pub leader: String,
    /// Servers known to have it on disk.
    pub copies: u16,
    /// Servers in the view.
    pub of: u16,
    /// Whether it sorts before something that was shown already.
    pub late: bool,
}

/// How far a message of one's own has got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It is in the outbox.
    Queued,
    /// A server has it.
    Accepted,
    /// It is history.
    Stable {
        /// Its place.
        key: RecordKey,
        /// Servers known to have it on disk.
        copies: u16,
        /// Servers in the view.
        of: u16,
    },
    /// It will never be taken.
    Rejected(Refusal),
}

/// What became of the client itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A session stands, for the first time.
    Home {
        /// The server's name.
        server: String,
        /// Where it is.
        addr: SocketAddr,
    },
    /// The home does not answer, or said goodbye.
    Gone {
        /// Its name.
        server: String,
        /// Whether it said goodbye.
        left: bool,
    },
    /// A session stands in which only questions are answered: the server's disk takes nothing, and there is no other. What
    /// is said waits until this server or another takes it.
    ReadOnly {
        /// The server's name.
        server: String,
    },
    /// A session stands again.
    Moved {
        /// The old home's name.
        from: String,
        /// The new one's.
        to: String,
        /// Since the old one was found to be gone.
        took: Duration,
        /// Messages that were sent again.
        resent: u64,
    },
    /// A server refused the session; others are tried, then this one again.
    Refused {
        /// The server's name.
        server: String,
        /// Why.
        why: Refusal,
    },
    /// No server of this net has answered, but one of another has. Told once for each.
    Elsewhere {
        /// The other net.
        net: String,
        /// Its server's name.
        server: String,
    },
    /// Only the server of one name will do, and one of this name has answered. Told once for each.
    NotAsked {
        /// Its name.
        server: String,
    },
    /// A server there speaks another version of the protocol. Told once for each.
    OtherVersion {
        /// Where.
        addr: SocketAddr,
        /// Its version.
        version: u8,
    },
    /// Something takes long. Told once each time.
    Waiting(Waiting),
}

/// What a client waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// For any server to answer.
    Search,
    /// For the server of this name.
    Named(String),
    /// For servers that are there to be ready.
    Ready,
    /// For these many messages to be acknowledged, by this server.
    Acknowledgement {
        /// How many.
        messages: u64,
        /// The server's name.
        server: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home { server, .. } => write!(out, "At {server}."),
            Self::Gone { server, left: false } => write!(out, "{server} is gone."),
            Self::Gone { server, left: true } => write!(out, "{server} says goodbye."),
            Self::ReadOnly { server } => {
                write!(out, "{server} is read-only, its disk takes nothing: history works, what you say waits.")
            }
            Self::Moved { from, to, took, resent } => {
                let tenths = took.as_millis().div_ceil(100);
                let again = if from == to { "Back at" } else { "Moving to" };
                write!(out, "{again} {to} … done ({}.{} s).", tenths / 10, tenths % 10)?;
                match resent {
                    0 => out.write_str(" Nothing lost."),
                    1 => out.write_str(" 1 message sent again, nothing lost."),
                    many => write!(out, " {many} messages sent again, nothing lost."),
                }
            }
            Self::Refused { server, why } => write!(out, "{server} refuses: {}.", words(why)),
            Self::Elsewhere { net, server } => write!(out, "There is a server on net \"{net}\" ({server})."),
            Self::NotAsked { server } => write!(out, "{server} is there, but was not asked for."),
            Self::OtherVersion { addr, version } => {
                let here = crate::wire::datagram::VERSION;
                write!(out, "{addr} speaks protocol {version}, this program {here}.")
            }
            Self::Waiting(waiting) => waiting.fmt(out),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search => out.write_str("Waiting for a server to answer …"),
            Self::Named(server) => write!(out, "Waiting for {server} …"),
            Self::Ready => out.write_str("Waiting for a server to be ready …"),
            Self::Acknowledgement { messages: 1, server } => write!(out, "Waiting for {server} to store 1 message …"),
            Self::Acknowledgement { messages, server } => {
                write!(out, "Waiting for {server} to store {messages} messages …")
            }
        }
    }
}

/// A refusal in words that continue a sentence.
pub fn words(why: &Refusal) -> String {
    match why {
        Refusal::Net => "it belongs to another net".into(),
        Refusal::Version(version) => format!("it speaks protocol {version}"),
        Refusal::NotReady => "it is not ready yet".into(),
        Refusal::Full => "it has no room for another client".into(),
        Refusal::NickTaken(free) => format!("that nick is taken, {free} is free"),
        Refusal::NoSuchNick => "nobody goes by that nick".into(),
        Refusal::TooLong => "the message is over 64 KiB".into(),
        Refusal::BadName => "a name breaks the rules".into(),
        Refusal::ReadOnly => "its disk takes nothing any more".into(),
        Refusal::Malformed => "it could not make sense of the request".into(),
    }
}
