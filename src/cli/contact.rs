//! A client of the ring as commands use it: events as they come, questions with a time limit, failures in words.

use super::Run;
use super::failure::{Code, Failure};
use super::message::Live;
use super::output::{Output, tell};
use super::shown::shown;
use super::signals::Interrupt;
use super::times::clock;
use super::values::Name;
use crate::client::{Command, Draft, Event, Notice, Progress, SubmitError, words};
use crate::ids::{ClientId, MessageId};
use crate::record::Kind;
use crate::wire::session::{Answer, Query, Refusal, ServerState};
use crossbeam_channel::{Receiver, TryRecvError, after, never, select};
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Most events that are kept while a question waits for its answer; the feed stops until they are read.
const MAX_KEPT: usize = 65_536;

/// Most nicks that are tried: each may be taken while it is offered.
const MAX_OFFERS: usize = 8;

/// How long who is interrupted waits for its goodbye to be stable.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a command needs of a running client: the real one, or a test's.
pub(crate) trait Talk: std::fmt::Debug {
    /// Who it is.
    fn id(&self) -> ClientId;
    /// Whether this was said before, and kept in the outbox.
    fn was_kept(&self, id: MessageId) -> bool;
    /// Makes a message; it is on its way when this returns.
    fn submit(&self, draft: Draft) -> Result<MessageId, SubmitError>;
    /// Asks for something.
    fn command(&self, command: Command);
    /// What happens; disconnected once the client has ended.
    fn events(&self) -> &Receiver<Event>;
    /// Why it ended by itself, if it did.
    fn failure(&self) -> Option<Failure>;
}

/// A client, and what was learned of the net through it.
#[derive(Debug)]
pub(crate) struct Contact {
    talk: Box<dyn Talk + Send>,
    interrupt: Interrupt,
    output: Output,
    net: String,
    server: Option<String>,
    interface: String,
    timeout: Duration,
    kept: VecDeque<Event>,
    learned: Learned,
    last_tag: u64,
}

/// What notices told, for the words of a failure.
#[derive(Debug, Default)]
struct Learned {
    home: Option<String>,
    /// The home answers questions alone.
    is_read_only: bool,
    elsewhere: BTreeSet<(String, String)>,
    /// Servers that answered, and that were not asked for.
    others: BTreeSet<String>,
    version: Option<(String, u8)>,
    refused: Option<(String, Refusal)>,
}

/// What came first.
#[derive(Debug)]
pub(crate) enum Next {
    /// Something happened.
    Event(Event),
    /// The time limit passed.
    TimeLimit,
}

impl Contact {
    /// Starts a client that asks and does not listen.
    pub(crate) fn open(run: &Run, interrupt: &Interrupt) -> Result<Self, Failure> {
        Self::start(run, interrupt, &super::client::Kind::default())
    }

    /// Starts a client of this kind.
    pub(crate) fn start(run: &Run, interrupt: &Interrupt, kind: &super::client::Kind) -> Result<Self, Failure> {
        let (talk, interface) = super::client::start(&run.settings, kind)?;
        Ok(Self {
            talk,
            interrupt: interrupt.clone(),
            output: run.output.clone(),
            net: run.settings.net.value.as_str().to_owned(),
            server: run.settings.server.value.as_ref().map(|name| name.as_str().to_owned()),
            interface,
            timeout: run.settings.timeout.value.0,
            kept: VecDeque::new(),
            learned: Learned::default(),
            last_tag: 0,
        })
    }

    /// Starts a client that speaks, under the user's nick, or the one that a server offers in its place.
    pub(crate) fn speak(run: &Run, interrupt: &Interrupt, kind: &super::client::Kind) -> Result<(Self, Name), Failure> {
        let mut settings = run.settings.clone();
        for _ in 0..MAX_OFFERS {
            let run = Run { settings: settings.clone(), output: run.output.clone() };
            let mut contact = Self::start(&run, interrupt, kind)?;
            let nick = &mut settings.nick.value;
            match contact.greeted()? {
                Some(offered) => {
                    run.output.note(&format!("{nick} is someone else's nick; you are {} now", shown(&offered)));
                    *nick = offered.parse()?;
                }
                None => return Ok((contact, nick.clone())),
            }
        }
        Err(refused("", &Refusal::NickTaken(settings.nick.value.as_str().to_owned()), ""))
    }

    /// Waits until a session stands or the time limit has passed; the nick that a server offers instead of this one.
    fn greeted(&mut self) -> Result<Option<String>, Failure> {
        let deadline = clock() + self.timeout;
        while self.learned.home.is_none() {
            if let Some((_, Refusal::NickTaken(offered))) = &self.learned.refused {
                return Ok(Some(offered.clone()));
            }
            match self.wait(Some(deadline))? {
                Next::Event(event) if self.kept.len() < MAX_KEPT => self.kept.push_back(event),
                Next::Event(_) => {}
                Next::TimeLimit => break,
            }
        }
        Ok(None)
    }

    /// What was kept while something else was waited for.
    pub(crate) fn take_kept(&mut self) -> VecDeque<Event> {
        std::mem::take(&mut self.kept)
    }

    /// Who this is.
    pub(crate) fn id(&self) -> ClientId {
        self.talk.id()
    }

    /// Whether this was said before, and kept in the outbox.
    pub(crate) fn was_kept(&self, id: MessageId) -> bool {
        self.talk.was_kept(id)
    }

    /// How long to wait for an answer, or for progress.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The server's name, once there is one.
    pub(crate) fn home(&self) -> Option<&str> {
        self.learned.home.as_deref()
    }

    /// Whether the server answers questions alone: its disk takes nothing.
    pub(crate) fn is_read_only(&self) -> bool {
        self.learned.is_read_only
    }

    /// Makes a message.
    pub(crate) fn submit(&self, draft: Draft) -> Result<MessageId, SubmitError> {
        self.talk.submit(draft)
    }

    /// What happens, for `select!`; then tell [`Contact::take_note`].
    pub(crate) fn events(&self) -> &Receiver<Event> {
        self.talk.events()
    }

    /// Asks without waiting; the answer comes as an event with this tag.
    pub(crate) fn query(&mut self, query: Query) -> u64 {
        self.last_tag += 1;
        self.talk.command(Command::Query { tag: self.last_tag, query });
        self.last_tag
    }

    /// The tag of the last question.
    pub(crate) fn last_tag(&self) -> u64 {
        self.last_tag
    }

    /// Gives a command. Tags of questions that are asked so must not be those of [`Contact::query`].
    pub(crate) fn command(&self, command: Command) {
        self.talk.command(command);
    }

    /// Asks and waits for the answer; other events are kept for [`Contact::next`].
    ///
    /// # Errors
    /// Nobody is there, or nobody answers within the time limit; Ctrl-C.
    pub(crate) fn ask(&mut self, query: Query) -> Result<Answer, Failure> {
        let tag = self.query(query);
        let deadline = clock() + self.timeout;
        loop {
            match self.wait(Some(deadline))? {
                Next::Event(Event::Answer { tag: of, answer }) if of == tag => return self.understood(answer),
                Next::Event(Event::Answer { .. }) => {}
                Next::Event(event) if self.kept.len() < MAX_KEPT => self.kept.push_back(event),
                Next::Event(_) => return Err(Failure::new(Code::TimedOut, "more came in than can be kept meanwhile")),
                Next::TimeLimit => {
                    self.talk.command(Command::Forget { tag });
                    return Err(self.silence());
                }
            }
        }
    }

    /// How history came to be: it was on every disk of its view, and who came later has it before it takes people.
    ///
    /// # Errors
    /// As [`Contact::ask`].
    pub(crate) fn settled(&mut self) -> Result<Live, Failure> {
        let status = match self.ask(Query::Status)? {
            Answer::Status(status) => status,
            other => return Err(self.nonsense(&other)),
        };
        let count = |states: &[ServerState]| {
            let servers = status.servers.iter().filter(|server| states.contains(&server.state)).count().max(1);
            u16::try_from(servers).unwrap_or(u16::MAX)
        };
        let full = [ServerState::Leader, ServerState::Member];
        let copies = count(&full);
        Ok(Live { copies, of: copies.max(count(&[full[0], full[1], ServerState::CatchingUp])), late: false })
    }

    /// The next event, or that the deadline has passed.
    ///
    /// # Errors
    /// Ctrl-C; the client has ended.
    pub(crate) fn next(&mut self, deadline: Option<Instant>) -> Result<Next, Failure> {
        match self.kept.pop_front() {
            Some(event) => Ok(Next::Event(event)),
            None => self.wait(deadline),
        }
    }

    /// What has happened already, without waiting for more.
    pub(crate) fn heard(&mut self) -> Result<Option<Event>, Failure> {
        if let Some(event) = self.kept.pop_front() {
            return Ok(Some(event));
        }
        if self.interrupt.channel().try_recv().is_ok() {
            return Err(Failure::interrupted());
        }
        match self.talk.events().try_recv() {
            Ok(event) => {
                self.learn(&event);
                Ok(Some(event))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(self.stopped()),
        }
    }

    /// Lets time pass while events are taken and dropped.
    pub(crate) fn pause(&mut self, wait: Duration) -> Result<(), Failure> {
        let deadline = clock() + wait;
        while let Next::Event(_) = self.next(Some(deadline))? {}
        Ok(())
    }

    fn wait(&mut self, deadline: Option<Instant>) -> Result<Next, Failure> {
        let limit = deadline.map_or_else(never, |at| after(at.saturating_duration_since(clock())));
        select! {
            recv(self.interrupt.channel()) -> _ => Err(Failure::interrupted()),
            recv(self.talk.events()) -> event => match event {
                Ok(event) => {
                    self.learn(&event);
                    Ok(Next::Event(event))
                }
                Err(_) => Err(self.stopped()),
            },
            recv(limit) -> _ => Ok(Next::TimeLimit),
        }
    }

    /// Leaves all rooms, then says goodbye. It may take a moment: others would see this person for seconds more if no
    /// server had the word of it.
    pub(crate) fn leave(&self) {
        let draft = Draft { room: String::new(), kind: Kind::Leave, body: String::new() };
        // Nobody to tell: nobody has seen this person either.
        if self.home().is_some()
            && let Ok(id) = self.talk.submit(draft)
        {
            self.until_settled(id);
        }
        self.close();
    }

    fn until_settled(&self, message: MessageId) {
        let limit = after(GOODBYE);
        loop {
            select! {
                recv(self.talk.events()) -> event => match event {
                    Ok(Event::Progress { id, progress: Progress::Stable { .. } | Progress::Rejected(_) })
                        if id == message => return,
                    Ok(_) => {}
                    Err(_) => return,
                },
                recv(limit) -> _ => return,
            }
        }
    }

    /// Says goodbye; what is not acknowledged stays in the outbox.
    pub(crate) fn close(&self) {
        self.talk.command(Command::Close);
    }

    /// Takes note of what an event tells of the net, and tells people on stderr what they want to know of it.
    fn learn(&mut self, event: &Event) {
        self.take_note(event);
        let Event::Notice(notice) = event else { return };
        let is_news =
            matches!(notice, Notice::Gone { .. } | Notice::Moved { .. } | Notice::ReadOnly { .. } | Notice::Waiting(_));
        if is_news && !self.output.quiet {
            tell(&shown(&notice.to_string()));
        }
    }

    /// Why the client ended by itself.
    pub(crate) fn stopped(&self) -> Failure {
        let unknown = || Failure::new(Code::Failed, "the client has stopped").hint("RINGTALK_LOG=info tells why");
        self.talk.failure().unwrap_or_else(unknown)
    }

    /// Takes note of what an event tells of the net.
    pub(crate) fn take_note(&mut self, event: &Event) {
        let Event::Notice(notice) = event else { return };
        match notice {
            Notice::Home { server, .. } | Notice::Moved { to: server, .. } | Notice::ReadOnly { server } => {
                self.learned.home = Some(server.clone());
                self.learned.is_read_only = matches!(notice, Notice::ReadOnly { .. });
            }
            Notice::Elsewhere { net, server } => {
                self.learned.elsewhere.insert((net.clone(), server.clone()));
            }
            Notice::NotAsked { server } => _ = self.learned.others.insert(server.clone()),
            Notice::OtherVersion { addr, version } => self.learned.version = Some((addr.to_string(), *version)),
            Notice::Refused { server, why } => self.learned.refused = Some((server.clone(), why.clone())),
            Notice::Gone { .. } | Notice::Waiting(_) => {}
        }
    }

    fn understood(&self, answer: Answer) -> Result<Answer, Failure> {
        match answer {
            Answer::Failed(why) => Err(Failure::new(Code::Failed, format!("{} cannot answer: {why}", self.name()))),
            answer => Ok(answer),
        }
    }

    /// An answer to another question than was asked.
    pub(crate) fn nonsense(&self, _answer: &Answer) -> Failure {
        Failure::new(Code::Failed, format!("{} answered another question", self.name()))
            .hint("its version may differ: ringtalk --version")
    }

    fn name(&self) -> &str {
        self.home().unwrap_or("the server")
    }

    /// Why nothing came within the time limit, as far as is known.
    pub(crate) fn silence(&self) -> Failure {
        if let Some(home) = self.home().filter(|_| self.is_read_only()) {
            return refused(home, &Refusal::ReadOnly, &self.net);
        }
        if let Some(home) = self.home() {
            let text = format!("{home} did not answer within {}.", self.span());
            return Failure::new(Code::ConnectionLost, text).hint("ringtalk status · --timeout 20s");
        }
        if let Some((addr, version)) = &self.learned.version {
            return other_version(addr, *version);
        }
        if let Some((server, why)) = &self.learned.refused {
            return refused(server, why, &self.net);
        }
        if !self.learned.elsewhere.is_empty() {
            return self.only_elsewhere();
        }
        let span = self.span();
        let who = match &self.server {
            Some(server) => format!("No ringtalk server named {server} answered"),
            None => "No ringtalk server answered".to_owned(),
        };
        let failure =
            Failure::new(Code::NoServer, format!("{who} on {} (net \"{}\", {span}).", self.interface, self.net));
        if !self.learned.others.is_empty() {
            let others: Vec<&str> = self.learned.others.iter().map(String::as_str).collect();
            return failure.hint(format!("Others did: {}.", others.join(", ")));
        }
        failure.hint("Start one: ringtalk server · Other subnet: --peer HOST")
    }

    fn span(&self) -> String {
        super::values::Span(self.timeout).words()
    }

    fn only_elsewhere(&self) -> Failure {
        let net = self.learned.elsewhere.first().map_or("", |(net, _)| net);
        let of_net = self.learned.elsewhere.iter().filter(|(other, _)| other == net);
        let names: Vec<&str> = of_net.map(|(_, server)| server.as_str()).collect();
        Failure::new(Code::OtherNet, format!("Servers exist, but on net \"{net}\" ({}).", names.join(", ")))
            .hint(format!("Use -n {net}."))
    }
}

fn other_version(who: &str, theirs: u8) -> Failure {
    let ours = crate::wire::datagram::VERSION;
    let place = if theirs > ours { "here" } else { "there" };
    Failure::new(Code::OtherVersion, format!("{who} speaks protocol {theirs}, this program {ours}."))
        .hint(format!("Update ringtalk {place}."))
}

/// A server's refusal as a failure.
pub(crate) fn refused(server: &str, why: &Refusal, net: &str) -> Failure {
    match why {
        Refusal::Version(theirs) => other_version(server, *theirs),
        Refusal::Net => Failure::new(Code::OtherNet, format!("{server} is not on net \"{net}\".")),
        Refusal::NickTaken(free) => Failure::new(Code::NickTaken, "That nick belongs to someone else.".to_owned())
            .hint(format!("{free} is free: --nick {free}")),
        Refusal::NoSuchNick => Failure::new(Code::NoSuchNick, "Nobody goes by that nick.").hint("ringtalk who"),
        Refusal::TooLong => Failure::new(Code::TooLong, "That is over the limit of 64 KiB."),
        Refusal::BadName => Failure::new(Code::BadName, format!("{server} refuses the name.")),
        Refusal::ReadOnly => Failure::new(Code::NoSpace, format!("No space at {server}: it is read-only."))
            .hint("history works; another server takes messages: --server NAME"),
        Refusal::NotReady | Refusal::Full => Failure::new(Code::NoServer, format!("{server} refuses: {}.", words(why)))
            .hint("try again, or ask another: --server NAME"),
        Refusal::Malformed => Failure::new(Code::Refused, format!("{server} refuses: {}.", words(why))),
    }
}
