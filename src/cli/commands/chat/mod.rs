//! `chat`: the window on a terminal, plain lines in a pipe or when they are asked for.

mod answers;
mod ladder;

use super::tail::{leads_line, merged_line, view_document};
use crate::cli::Run;
use crate::cli::args;
use crate::cli::client::Kind as ClientKind;
use crate::cli::contact::{Contact, refused};
use crate::cli::failure::{Code, Failure};
use crate::cli::lines::{Lines, unreadable};
use crate::cli::message::{Live, Told};
use crate::cli::output::{Output, Style, tell, to_json};
use crate::cli::said::{HELP, Said};
use crate::cli::shown::{counted, shown};
use crate::cli::signals::Interrupt;
use crate::cli::times::{clock, rfc3339, time_of_day};
use crate::cli::values::Name;
use crate::cli::window;
use crate::client::{Command, Draft, Event, Message, Notice, Progress, SubmitError};
use crate::ids::{ClientId, MessageId, Pid};
use crate::record::{Kind, View};
use crate::wire::session::{Answer, HistoryQuery, Query, Refusal};
use answers::Asked;
use crossbeam_channel::{Receiver, after, never, select};
use ladder::{Ladder, stable_mark};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// The room of who names none.
const LOBBY: &str = "lobby";
/// How often slow messages are looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Messages that are shown of a room when one enters it.
const BACKLOG: u32 = 10;

/// Runs the command.
pub(super) fn run(args: &args::Chat, run: &Run) -> Result<(), Failure> {
    let interrupt = Interrupt::install()?;
    let (contact, nick) = Contact::speak(run, &interrupt, &ClientKind::person(&run.settings).following())?;
    let lobby = [LOBBY.parse::<Name>()?];
    let rooms = if args.rooms.is_empty() { &lobby } else { args.rooms.as_slice() };
    if !args.plain && !run.output.json && window::is_there() {
        let rooms: Vec<String> = rooms.iter().map(|room| room.as_str().to_owned()).collect();
        return window::chat(run, contact, interrupt, &nick, &rooms);
    }
    let typed = Lines::of_stdin()?.into_channel();
    let mut chat = Chat::new(contact, typed, interrupt, &nick, run.output.clone());
    chat.begin(rooms);
    chat.go()
}

/// A person at a chat.
struct Chat {
    contact: Contact,
    typed: Receiver<io::Result<String>>,
    interrupt: Interrupt,
    output: Output,
    nick: String,
    /// Whether another nick was asked for, and nothing was heard of it yet.
    is_renaming: bool,
    /// Rooms that were entered; what is typed goes to the last.
    rooms: Vec<Name>,
    ladder: Ladder,
    asked: BTreeMap<u64, Asked>,
    /// Names of people to whom one-to-one messages went.
    people: BTreeMap<ClientId, String>,
    leader: Option<Pid>,
    /// When the input ended, or the person asked to go.
    leaving: Option<Instant>,
}

/// Whether the chat goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    On,
    Over,
}

impl Chat {
    fn new(
        contact: Contact,
        typed: Receiver<io::Result<String>>,
        interrupt: Interrupt,
        nick: &Name,
        output: Output,
    ) -> Self {
        Self {
            contact,
            typed,
            interrupt,
            output,
            nick: nick.as_str().to_owned(),
            is_renaming: false,
            rooms: Vec::new(),
            ladder: Ladder::default(),
            asked: BTreeMap::new(),
            people: BTreeMap::new(),
            leader: None,
            leaving: None,
        }
    }

    /// Claims the nick, asks what was said to this person meanwhile, and enters the rooms; all of it waits until a server is
    /// there.
    fn begin(&mut self, rooms: &[Name]) {
        self.submit("", Kind::Nick, self.nick.clone());
        // One-to-one messages are in no room.
        let private = HistoryQuery { rooms: vec![String::new()], ..self.here(BACKLOG) };
        self.ask(Query::History(private), Asked::Backlog);
        for room in rooms {
            self.enter(room);
        }
    }

    fn go(&mut self) -> Result<(), Failure> {
        for event in self.contact.take_kept() {
            self.happened(&event)?;
        }
        let mut no_server = Some(clock() + self.contact.timeout());
        while self.turn()? == Turn::On {
            if self.contact.home().is_some() {
                no_server = None;
            }
            if no_server.is_some_and(|at| clock() >= at) {
                return Err(self.contact.silence());
            }
        }
        Ok(())
    }

    /// One thing that happens.
    fn turn(&mut self) -> Result<Turn, Failure> {
        let nothing = never();
        let typed = if self.leaving.is_some() { &nothing } else { &self.typed };
        select! {
            recv(self.interrupt.channel()) -> _ => {
                self.leave_at_once();
                return Err(Failure::interrupted());
            }
            recv(self.contact.events()) -> event => {
                let event = event.map_err(|_| self.contact.stopped())?;
                self.happened(&event)?;
            }
            recv(typed) -> line => match line {
                Ok(Ok(line)) => self.said(Said::parse(&line)),
                Ok(Err(error)) => return Err(unreadable(&error)),
                Err(_) => self.leave_all(),
            },
            recv(after(LOOK)) -> _ => self.look(),
        }
        self.is_over()
    }

    /// Whether one may go: everything said is stable, or the time limit has passed.
    fn is_over(&mut self) -> Result<Turn, Failure> {
        let Some(since) = self.leaving else { return Ok(Turn::On) };
        if self.ladder.len() == 0 && self.asked.is_empty() {
            self.say_goodbye();
            return Ok(Turn::Over);
        }
        if since.elapsed() < self.contact.timeout() {
            return Ok(Turn::On);
        }
        let count = self.ladder.len();
        self.say_goodbye();
        if self.contact.home().is_none() {
            return Err(self.contact.silence());
        }
        if count == 0 {
            return Ok(Turn::Over);
        }
        let (verb, hint) = match count {
            1 => ("is", "It is kept: the next chat sends it again."),
            _ => ("are", "They are kept: the next chat sends them again."),
        };
        let text = format!("{} {verb} not acknowledged.", counted(count as u64, "message"));
        Err(Failure::new(Code::TimedOut, text).hint(hint))
    }

    /// The input has ended.
    fn leave_all(&mut self) {
        self.leaving = Some(clock());
        self.submit("", Kind::Leave, String::new());
    }

    /// Does not wait for what was said; it stays in the outbox.
    fn leave_at_once(&self) {
        if self.leaving.is_some() { self.contact.close() } else { self.contact.leave() }
    }

    fn say_goodbye(&mut self) {
        self.contact.close();
    }

    fn look(&mut self) {
        let slow: Vec<String> =
            self.ladder.slow(clock()).into_iter().map(|(mark, text)| format!("{mark} {}", shown(text))).collect();
        for line in slow {
            self.notice(&line);
        }
    }

    fn said(&mut self, said: Said) {
        match said {
            Said::Nothing => {}
            Said::Text(text) => self.speak(Kind::Text, text),
            Said::Me(text) => self.speak(Kind::Action, text),
            Said::Topic(Some(text)) => self.speak(Kind::Topic, text),
            Said::Topic(None) => self.ask(Query::Rooms, Asked::Topic),
            Said::Msg(nick, text) => {
                let nick = nick.as_str().to_owned();
                self.ask(Query::Nick(nick.clone()), Asked::Nick { nick, text });
            }
            Said::Join(room) => self.enter(&room),
            Said::Leave(room) => self.leave(room),
            Said::Nick(nick) => self.rename(nick.as_str()),
            Said::Rooms => self.ask(Query::Rooms, Asked::Rooms),
            Said::Who(room) => self.ask(Query::Who(room.map(|room| room.as_str().to_owned())), Asked::Who),
            Said::View | Said::Status => self.ask(Query::Status, Asked::Status),
            Said::History(count) => self.ask(Query::History(self.here(count)), Asked::Page),
            Said::Search(words) => {
                let within = HistoryQuery { rooms: Vec::new(), ..self.here(BACKLOG) };
                self.ask(Query::Search { words, within }, Asked::Page);
            }
            Said::Help => {
                for line in HELP {
                    self.notice(line);
                }
            }
            Said::Quit => self.leave_all(),
            Said::Wrong(why) => self.complain(Code::Usage, &why),
        }
    }

    /// The last messages of the room one is in.
    fn here(&self, limit: u32) -> HistoryQuery {
        let rooms = self.rooms.last().map(|room| room.as_str().to_owned()).into_iter().collect();
        HistoryQuery { rooms, limit, newest: true, reader: Some(self.contact.id()), ..HistoryQuery::default() }
    }

    fn speak(&mut self, kind: Kind, text: String) {
        match self.rooms.last().cloned() {
            Some(room) => self.submit(room.as_str(), kind, text),
            None => self.complain(Code::Usage, "you are in no room: /join one"),
        }
    }

    fn enter(&mut self, room: &Name) {
        let is_new = !self.rooms.iter().any(|other| crate::name::same(other.as_str(), room.as_str()));
        self.rooms.retain(|other| !crate::name::same(other.as_str(), room.as_str()));
        self.rooms.push(room.clone());
        if !is_new {
            return self.notice(&format!("you talk in #{room} now"));
        }
        self.submit(room.as_str(), Kind::Join, String::new());
        self.ask(Query::History(self.here(BACKLOG)), Asked::Backlog);
    }

    fn leave(&mut self, room: Option<Name>) {
        let Some(room) = room.or_else(|| self.rooms.last().cloned()) else {
            return self.complain(Code::Usage, "you are in no room");
        };
        self.rooms.retain(|other| !crate::name::same(other.as_str(), room.as_str()));
        self.submit(room.as_str(), Kind::Leave, String::new());
    }

    fn submit(&mut self, room: &str, kind: Kind, body: String) {
        let is_words = matches!(kind, Kind::Text | Kind::Action | Kind::Topic | Kind::Direct { .. });
        let text = if is_words { body.clone() } else { String::new() };
        match self.contact.submit(Draft { room: room.to_owned(), kind, body }) {
            // Joins and the like are waited for at the end, but not told about.
            Ok(id) => self.ladder.begin(id, &text, clock()),
            Err(why) => {
                let code = if matches!(why, SubmitError::TooLong(_)) { Code::TooLong } else { Code::Refused };
                self.complain(code, &why.to_string());
            }
        }
    }

    fn ask(&mut self, query: Query, asked: Asked) {
        let tag = self.contact.query(query);
        self.asked.insert(tag, asked);
    }

    fn happened(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::Message(message) => self.message(message),
            Event::Progress { id, progress } => self.progress(*id, progress),
            Event::View { view, reason, took } => self.view(view, reason, *took),
            Event::Merged { messages, from_ms, until_ms } => self.merged(*messages, *from_ms, *until_ms),
            Event::Answer { tag, answer } => self.answer(*tag, answer),
            Event::Notice(notice) => {
                self.told(event, notice);
                Ok(())
            }
            Event::Cursor { .. } => Ok(()),
        }
    }

    fn message(&mut self, message: &Message) -> Result<(), Failure> {
        let record = &message.record;
        let live = Some(Live { copies: message.copies, of: message.of, late: message.late });
        let told = Told { record, leader: &message.leader, live };
        if !self.is_for_me(&told) {
            return Ok(());
        }
        if record.message.kind == Kind::Nick {
            // A late one is of an earlier process, on the other side of a cut.
            let is_new = !message.late && self.renamed(&record.message.nick);
            if !self.output.json {
                return if is_new { self.tell_nick(&told) } else { Ok(()) };
            }
        }
        if self.output.json {
            return self.output.line(&told.json());
        }
        let to = if let Kind::Direct { to } = record.message.kind { self.people.get(&to) } else { None };
        let mut text = match to {
            Some(nick) => told.line_to(nick, &self.output),
            None => told.live_line(Some(self.contact.id()), &self.output),
        };
        if record.message.id.client == self.contact.id() && told.is_from_a_person() {
            let mark = stable_mark(message.copies, message.of);
            text = format!("{text} {}", self.output.paint(Style::Green, &mark));
        } else if message.late {
            text = format!("{text} {}", self.output.paint(Style::Dim, "(late)"));
        }
        self.output.line(&text)
    }

    fn rename(&mut self, nick: &str) {
        self.is_renaming = true;
        self.contact.command(Command::Nick(nick.to_owned()));
        self.submit("", Kind::Nick, nick.to_owned());
    }

    /// A server has it that one goes by this nick; at the start that is no news.
    fn renamed(&mut self, nick: &str) -> bool {
        self.is_renaming = false;
        let is_new = nick != self.nick;
        nick.clone_into(&mut self.nick);
        is_new
    }

    fn tell_nick(&self, told: &Told) -> Result<(), Failure> {
        let at = self.output.paint(Style::Dim, &time_of_day(told.at_ms()));
        self.output.line(&format!("{at} -- you are {} now", shown(&self.nick)))
    }

    /// Words of my rooms, to me or from me; and who comes to and leaves my rooms.
    fn is_for_me(&self, told: &Told) -> bool {
        let message = &told.record.message;
        let me = self.contact.id();
        match message.kind {
            Kind::Direct { to } => to == me || message.id.client == me,
            // Without a word: one who moved tells where it is now.
            Kind::Nick => message.id.client == me && !message.body.is_empty(),
            Kind::Gone { .. } => false,
            Kind::Leave if message.room.is_empty() => message.id.client != me,
            _ => self.rooms.iter().any(|room| crate::name::same(room.as_str(), &message.room)),
        }
    }

    fn progress(&mut self, id: MessageId, progress: &Progress) -> Result<(), Failure> {
        let rejected = self.ladder.climb(id, progress);
        if self.output.json {
            return self.progress_json(id, progress);
        }
        if let (Progress::Rejected(why), Some(text)) = (progress, rejected) {
            let failure = refused(self.contact.home().unwrap_or("the server"), why, "");
            let hint = failure.hint.replace("--nick", "/nick");
            self.notice(&shown(&format!("✗ {text} {} {hint}", failure.message)));
        }
        Ok(())
    }

    fn progress_json(&mut self, id: MessageId, progress: &Progress) -> Result<(), Failure> {
        let id = id.to_string();
        let document = match progress {
            Progress::Queued => json!({ "event": "queued", "id": id }),
            Progress::Accepted => json!({ "event": "accepted", "id": id }),
            Progress::Stable { key, copies, of } => {
                json!({ "event": "stable", "id": id, "key": key.to_string(), "copies": copies, "of": of })
            }
            Progress::Rejected(why) => {
                json!({ "event": "rejected", "id": id, "code": refused("", why, "").code.word() })
            }
        };
        self.output.line(&to_json(&document))
    }

    fn view(&mut self, view: &View, reason: &str, took: Option<Duration>) -> Result<(), Failure> {
        let is_new_leader = self.leader.replace(view.epoch.leader) != Some(view.epoch.leader);
        if self.output.json {
            return self.output.line(&to_json(&view_document(view, reason)));
        }
        if is_new_leader { self.output.line(&leads_line(view, took, &self.output)) } else { Ok(()) }
    }

    fn merged(&mut self, messages: u64, from_ms: u64, until_ms: u64) -> Result<(), Failure> {
        if self.output.json {
            let (from, until) = (rfc3339(from_ms), rfc3339(until_ms));
            let document = json!({ "event": "merged", "messages": messages, "from": from, "until": until });
            return self.output.line(&to_json(&document));
        }
        self.output.line(&merged_line(messages, from_ms, until_ms, &self.output))
    }

    fn answer(&mut self, tag: u64, answer: &Answer) -> Result<(), Failure> {
        let Some(asked) = self.asked.remove(&tag) else { return Ok(()) };
        if let (Asked::Nick { nick, text }, Answer::Nick(found)) = (&asked, answer) {
            match found {
                Some(to) => {
                    self.people.insert(*to, nick.clone());
                    self.submit("", Kind::Direct { to: *to }, text.clone());
                }
                None => self.complain(Code::NoSuchNick, &format!("nobody goes by the nick {nick}")),
            }
            return Ok(());
        }
        if let (true, Answer::Failed(why)) = (self.output.json, answer) {
            self.complain(Code::Refused, why);
        }
        let room = self.rooms.last().map_or("", Name::as_str).to_owned();
        let lines = if self.output.json {
            answers::documents(&asked, answer, &room)
        } else {
            answers::lines(&asked, answer, &room, self.contact.id(), &self.output)
        };
        lines.iter().try_for_each(|line| self.output.line(line))
    }

    fn told(&mut self, event: &Event, news: &Notice) {
        self.contact.take_note(event);
        if let Notice::Refused { why: Refusal::NickTaken(free), .. } = news
            && self.contact.home().is_some()
            && !std::mem::take(&mut self.is_renaming)
        {
            return self.yield_nick(news, free);
        }
        if self.output.json {
            return self.told_json(news);
        }
        match news {
            Notice::Home { .. } | Notice::NotAsked { .. } => {}
            Notice::Refused { why: Refusal::NickTaken(free), .. } if self.contact.home().is_some() => {
                let free = shown(free);
                self.notice(&format!("that nick is someone else's; {free} is free: /nick {free}"));
            }
            Notice::Refused { .. } | Notice::Elsewhere { .. } if self.contact.home().is_some() => {}
            news => self.notice(&shown(&news.to_string())),
        }
    }

    /// What a person asked for cannot be done.
    fn complain(&self, code: Code, why: &str) {
        if self.output.json {
            tell(Failure::new(code, why).render(true).trim_end());
        } else {
            self.notice(&shown(why));
        }
    }

    /// Two sides of a cut met, and someone of the other had the nick first: to insist would be refused again and again.
    fn yield_nick(&mut self, news: &Notice, free: &str) {
        if self.output.json {
            self.told_json(news);
        } else {
            let lost = shown(&self.nick);
            self.notice(&format!("{lost} is someone else's, who had it first; {} is free and yours", shown(free)));
        }
        self.rename(free);
    }

    /// Scripts are told what they asked for and did not get, as of any error.
    fn told_json(&self, news: &Notice) {
        if let Notice::Refused { why: why @ Refusal::NickTaken(_), .. } = news
            && self.contact.home().is_some()
        {
            let failure = refused("", why, "");
            let hint = failure.hint.replace("--nick", "/nick");
            tell(failure.hint(hint).render(true).trim_end());
        }
    }

    /// A line about the chat itself, on stderr.
    fn notice(&self, text: &str) {
        self.output.note(text);
    }
}
