//! What the window promises, told to its model as events and keys.

use super::*;
use crate::cli::keys::Key;
use crate::cli::window::row::{Content, Row};
use crate::cli::window::timeline::MAX_ROWS;
use crate::client::{Message, Notice, Progress};
use crate::ids::{EpochId, RecordKey, ServerId};
use crate::record::{Member, Record, Submission, View};
use crate::time::Hlc;
use crate::wire::session::{Answer, Refusal, RoomInfo};
use std::time::Duration;

const ME: ClientId = ClientId(1);
const BOB: ClientId = ClientId(2);
/// Noon of some day.
const NOON: u64 = 1_795_176_000_000;

/// A window at a ring that does what a test says.
pub(crate) struct Bench {
    pub(crate) model: Model,
    last_cseq: u64,
    /// Questions that nobody answered yet.
    questions: Vec<(u64, Query)>,
    done: Vec<Effect>,
    now_ms: u64,
}

impl Bench {
    pub(crate) fn new(size: (u16, u16)) -> Self {
        let person = Person { id: ME, nick: "ana".into(), keymap: Keymap::default(), bell: false, patience_ms: 5000 };
        let model = Model::new(person, size);
        let mut bench = Self { model, last_cseq: 0, questions: Vec::new(), done: Vec::new(), now_ms: NOON };
        let effects = bench.model.begin(&["lobby".to_owned()], NOON);
        bench.perform(effects);
        let addr = "127.0.0.1:1".parse().unwrap();
        bench.hear(Event::Notice(Notice::Home { server: "oak".into(), addr }));
        bench.hear(view(12, &["oak", "elm"]));
        bench
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Submit { tag, .. } => {
                    self.last_cseq += 1;
                    let id = MessageId { client: ME, cseq: self.last_cseq };
                    let more = self.model.handle(Input::Submitted { tag, outcome: Ok(id) }, self.now_ms);
                    self.done.push(effect);
                    self.perform(more);
                }
                Effect::Ask { tag, query } => self.questions.push((tag, query)),
                other => self.done.push(other),
            }
        }
    }

    pub(crate) fn hear(&mut self, event: Event) {
        let effects = self.model.handle(Input::Heard(event), self.now_ms);
        self.perform(effects);
    }

    fn tick(&mut self, ms: u64) {
        self.now_ms += ms;
        let effects = self.model.handle(Input::Tick, self.now_ms);
        self.perform(effects);
    }

    pub(crate) fn press(&mut self, keys: &str) {
        for key in keys.split(' ') {
            let chord = key.parse().unwrap();
            let effects = self.model.handle(Input::Typed(chord), self.now_ms);
            self.perform(effects);
        }
    }

    pub(crate) fn write(&mut self, text: &str) {
        for c in text.chars() {
            let effects = self.model.handle(Input::Typed(Chord::plain(Key::Char(c))), self.now_ms);
            self.perform(effects);
        }
    }

    fn paste(&mut self, text: &str) {
        let effects = self.model.handle(Input::Pasted(text.into()), self.now_ms);
        self.perform(effects);
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.write(line);
        self.press("enter");
    }

    /// Someone says something.
    pub(crate) fn said(&mut self, n: u64, kind: Kind, body: &str) {
        self.message(BOB, n, "lobby", "bob", kind, body, false);
    }

    #[expect(clippy::too_many_arguments, reason = "a record has as many fields")]
    pub(crate) fn message(
        &mut self,
        from: ClientId,
        n: u64,
        room: &str,
        nick: &str,
        kind: Kind,
        body: &str,
        late: bool,
    ) {
        let mut record = record(n, kind, body);
        record.message.id.client = from;
        record.message.room = room.into();
        record.message.nick = nick.into();
        self.hear(Event::Message(Message { record, leader: "oak".into(), copies: 2, of: 2, late }));
    }

    /// The first question of this kind that nobody answered; it is taken.
    fn question(&mut self, wanted: impl Fn(&Query) -> bool) -> Option<(u64, Query)> {
        let at = self.questions.iter().position(|(_, query)| wanted(query))?;
        Some(self.questions.remove(at))
    }

    fn answer(&mut self, tag: u64, answer: Answer) {
        self.hear(Event::Answer { tag, answer });
    }

    /// Answers every question about the lobby's history from one of so many messages.
    pub(crate) fn serve_history(&mut self, last: u64) -> usize {
        let mut pages = 0;
        let is_page = |query: &Query| matches!(query, Query::History(within) if within.rooms == ["lobby"]);
        while let Some((tag, Query::History(within))) = self.question(is_page) {
            let after = within.after.map_or(0, |key| key.gsn);
            let end = within.before.map_or(last + 1, |key| key.gsn + u64::from(key.idx > 0));
            let all: Vec<u64> = (after + 1..end).collect();
            let limit = within.limit as usize;
            let more = all.len() > limit;
            let page =
                if within.newest { &all[all.len().saturating_sub(limit)..] } else { &all[..limit.min(all.len())] };
            let records =
                page.iter().map(|&n| (record(n, Kind::Text, &format!("message {n}")), "oak".into())).collect();
            self.answer(tag, Answer::Page { records, more });
            pages += 1;
            assert!(self.model.places[0].timeline.len() <= MAX_ROWS);
        }
        pages
    }

    pub(crate) fn rows(&self) -> Vec<&Row> {
        let timeline = &self.model.places[self.model.here].timeline;
        (0..timeline.len()).filter_map(|at| timeline.get(at)).collect()
    }

    fn texts(&self) -> Vec<String> {
        let text = |row: &&Row| match &row.content {
            Content::Said(saying) => saying.text.clone(),
            Content::Note { text, .. } => format!("-- {text}"),
            other => format!("{other:?}"),
        };
        self.rows().iter().map(text).collect()
    }

    fn screen(&self) -> Vec<String> {
        let sheet = self.model.sheet().unwrap();
        let shown = sheet.shown(self.model.places[self.model.here].scroll);
        let text = |line: &crate::cli::window::row::RowLine| {
            line.pieces.iter().map(|piece| piece.text.as_str()).collect::<String>()
        };
        shown.lines.iter().map(text).collect()
    }

    fn mark_of(&self, text: &str) -> Option<String> {
        let saying =
            self.rows().into_iter().find_map(|row| row.saying().filter(|saying| saying.text == text).cloned())?;
        saying.mark.map(|mark| mark.piece().text)
    }

    fn last_id(&self) -> MessageId {
        MessageId { client: ME, cseq: self.last_cseq }
    }

    fn progress(&mut self, id: MessageId, progress: Progress) {
        self.hear(Event::Progress { id, progress });
    }
}

fn key(n: u64) -> RecordKey {
    RecordKey { hlc: Hlc::from_wall_ms(NOON + n), epoch: EpochId { num: 12, ..EpochId::default() }, gsn: n, idx: 0 }
}

fn record(n: u64, kind: Kind, body: &str) -> Record {
    let message = Submission {
        id: MessageId { client: BOB, cseq: n },
        acked_upto: 0,
        floor: Hlc(0),
        room: "lobby".into(),
        nick: "bob".into(),
        kind,
        body: body.into(),
    };
    Record { key: key(n), message }
}

pub(crate) fn view(num: u64, names: &[&str]) -> Event {
    let pid = |name: &str| Pid { server: ServerId(xxhash_rust::xxh3::xxh3_64(name.as_bytes())), ..Pid::default() };
    let mut members: Vec<Member> =
        names.iter().map(|name| Member { pid: pid(name), name: (*name).to_owned() }).collect();
    members.sort();
    let epoch = EpochId { num, leader: pid(names[0]) };
    Event::View { view: View { epoch, members, ..View::default() }, reason: "test".into(), took: None }
}

#[test]
fn own_message_climbs_the_ladder_in_its_place() {
    let mut bench = Bench::new((80, 24));
    bench.serve_history(0);
    bench.say("hello");
    let id = bench.last_id();
    assert_eq!(bench.mark_of("hello").as_deref(), Some("·"));
    bench.progress(id, Progress::Accepted);
    assert_eq!(bench.mark_of("hello").as_deref(), Some("↑"));
    bench.progress(id, Progress::Stable { key: key(5), copies: 2, of: 2 });
    assert_eq!(bench.mark_of("hello").as_deref(), Some("✓✓"));
    bench.message(ME, id.cseq, "lobby", "ana", Kind::Text, "hello", false);
    assert_eq!(bench.mark_of("hello").as_deref(), Some("✓✓"));
    assert_eq!(bench.texts().iter().filter(|text| *text == "hello").count(), 1);
}

#[test]
fn stable_on_the_only_server_is_one_tick() {
    let mut bench = Bench::new((80, 24));
    bench.say("alone");
    bench.progress(bench.last_id(), Progress::Stable { key: key(5), copies: 1, of: 1 });
    assert_eq!(bench.mark_of("alone").as_deref(), Some("✓"));
}

#[test]
fn refused_message_says_why_and_is_no_longer_waited_for() {
    let mut bench = Bench::new((80, 24));
    bench.say("hello");
    let waiting = bench.model.words_under_way();
    bench.progress(bench.last_id(), Progress::Rejected(Refusal::ReadOnly));
    assert_eq!(bench.model.words_under_way(), waiting - 1);
    assert!(bench.texts().iter().any(|text| text.contains("✗ hello") && text.contains("read-only")));
}

#[test]
fn wheel_scrolls_the_room_and_moves_in_a_list_and_the_mouse_is_for_the_asking() {
    let mut bench = Bench::new((80, 24));
    bench.serve_history(300);
    let present = bench.screen();
    bench.model.handle(Input::Wheel { back: true }, bench.now_ms);
    let past = bench.screen();
    assert_ne!(past, present);
    bench.model.handle(Input::Wheel { back: false }, bench.now_ms);
    assert_eq!(bench.screen(), present);
    let mut press = || bench.model.handle(Input::Typed("f2".parse().unwrap()), bench.now_ms);
    assert_eq!(press(), [Effect::Mouse(true)]);
    assert_eq!(press(), [Effect::Mouse(false)]);
}

#[test]
fn scrolled_up_view_and_input_stay_when_messages_come() {
    let mut bench = Bench::new((80, 24));
    bench.serve_history(300);
    bench.press("pageup pageup");
    bench.serve_history(300);
    bench.write("half a sen");
    let (screen, cursor) = (bench.screen(), bench.model.input().cursor());
    for n in 301..400 {
        bench.said(n, Kind::Text, "more");
    }
    assert_eq!(bench.screen(), screen);
    assert_eq!((bench.model.input().text(), bench.model.input().cursor()), ("half a sen", cursor));
    assert_eq!(bench.model.places()[0].below, 99);
    bench.press("end");
    assert!(bench.screen().last().unwrap().ends_with("more"));
    assert_eq!(bench.model.places()[0].below, 0);
}

#[test]
fn history_of_ten_thousand_is_paged_to_its_first_message_with_bounded_memory() {
    let mut bench = Bench::new((80, 24));
    bench.serve_history(10_000);
    let mut pages = 0;
    while !bench.screen().iter().any(|line| line.ends_with("  message 1")) {
        bench.press("pageup");
        pages += bench.serve_history(10_000);
        assert!(pages < 60);
    }
    assert!(pages >= 10_000 / 200 - 1, "by pages: {pages}");
    bench.press("end");
    bench.serve_history(10_000);
    assert!(bench.screen().last().unwrap().ends_with("message 10000"));
}

#[test]
fn page_up_that_is_ahead_of_the_history_goes_on_when_it_comes() {
    let mut bench = Bench::new((80, 24));
    bench.serve_history(1000);
    bench.press("pageup pageup pageup pageup pageup pageup pageup pageup pageup pageup pageup pageup");
    assert!(bench.screen()[0].ends_with("message 801"), "{:?}", bench.screen());
    bench.serve_history(1000);
    let first = bench.screen()[0].clone();
    assert!(first.ends_with("message 782"), "a page, not twelve: {first}");
}

#[test]
fn first_message_is_one_key_away() {
    let mut bench = Bench::new((60, 15));
    bench.serve_history(100_000);
    bench.press("home");
    assert!(bench.serve_history(100_000) <= 2);
    assert!(bench.screen()[1].ends_with("message 1"), "{:?}", bench.screen());
    bench.press("pagedown end");
    bench.serve_history(100_000);
    assert!(bench.screen().last().unwrap().ends_with("message 100000"));
}

#[test]
fn nothing_is_asked_again_and_again_after_a_failure() {
    let mut bench = Bench::new((80, 24));
    let (tag, _) =
        bench.question(|query| matches!(query, Query::History(within) if within.rooms == ["lobby"])).unwrap();
    bench.answer(tag, Answer::Failed("the disk is slow".into()));
    bench.tick(1000);
    assert!(bench.question(|query| matches!(query, Query::History(within) if within.rooms == ["lobby"])).is_none());
    bench.press("pageup");
    assert!(bench.question(|query| matches!(query, Query::History(within) if within.rooms == ["lobby"])).is_some());
}

#[test]
fn found_message_is_gone_to_with_what_surrounds_it() {
    let mut bench = Bench::new((80, 24));
    bench.serve_history(10_000);
    bench.press("ctrl-f");
    bench.say("lost key");
    let (tag, query) = bench.question(|query| matches!(query, Query::Search { .. })).unwrap();
    assert!(
        matches!(&query, Query::Search { words, within } if words == "lost key" && within.rooms.contains(&"lobby".into()))
    );
    let hits = [40, 5000].map(|n| (record(n, Kind::Text, &format!("message {n}")), "oak".to_owned()));
    bench.answer(tag, Answer::Page { records: hits.into(), more: false });
    bench.press("up enter");
    bench.serve_history(10_000);
    let screen = bench.screen();
    let at = screen.iter().position(|line| line.ends_with("message 40")).expect("it is on the screen");
    assert!((8..15).contains(&at), "in the middle: {at}");
    assert!(screen[at + 1].ends_with("message 41"));
    bench.press("esc");
    bench.serve_history(10_000);
    assert!(bench.screen().last().unwrap().ends_with("message 10000"));
}

#[test]
fn server_that_dies_is_told_in_one_line_with_where_one_is_now() {
    let mut bench = Bench::new((80, 24));
    bench.hear(Event::Notice(Notice::Gone { server: "oak".into(), left: false }));
    assert!(bench.texts().contains(&"-- oak is gone.".to_owned()));
    let took = Duration::from_millis(400);
    bench.hear(Event::Notice(Notice::Moved { from: "oak".into(), to: "elm".into(), took, resent: 1 }));
    let line = "-- oak is gone. Moving to elm … done (0.4 s). 1 message sent again, nothing lost.";
    assert_eq!(bench.texts().iter().filter(|text| text.contains("oak is gone")).collect::<Vec<_>>(), [line]);
    assert_eq!(bench.model.ring().home.as_deref(), Some("elm"));
}

#[test]
fn merge_is_a_marked_block_that_says_how_many_servers_came_back() {
    let mut bench = Bench::new((80, 24));
    bench.serve_history(0);
    bench.said(90, Kind::Text, "here");
    bench.hear(view(13, &["oak"]));
    bench.hear(view(14, &["oak", "elm", "ash"]));
    for n in 1..=7 {
        bench.message(BOB, n, "lobby", "bob", Kind::Text, "there", true);
    }
    bench.hear(Event::Merged { messages: 7, from_ms: NOON, until_ms: NOON });
    let block = bench.screen().into_iter().find(|line| line.contains("rejoined")).expect("a block");
    assert!(block.contains("2 servers rejoined: 7 messages from the other side, "), "{block}");
}

#[test]
fn comings_and_goings_fold_and_moves_of_clients_make_none() {
    let mut bench = Bench::new((80, 24));
    bench.serve_history(0);
    for n in 10..15 {
        bench.message(ClientId(n), n, "lobby", &format!("p{n}"), Kind::Join, "", false);
        bench.message(ClientId(n), n + 100, "lobby", &format!("p{n}"), Kind::Join, "", false);
    }
    bench.message(ClientId(10), 300, "", "p10", Kind::Leave, "", false);
    bench.hear(Event::Message(Message {
        record: record(400, Kind::Gone { client: ClientId(11) }, ""),
        leader: "oak".into(),
        copies: 2,
        of: 2,
        late: false,
    }));
    let folded: Vec<String> = bench.screen().into_iter().filter(|line| line.contains("came")).collect();
    assert_eq!(folded.len(), 1, "{folded:?}");
    assert!(folded[0].ends_with("p12, p13 and p14 came; p10 and p11 left"), "{folded:?}");
}

#[test]
fn unread_and_mentions_are_counted_elsewhere_and_read_when_one_goes_there() {
    let mut bench = Bench::new((80, 24));
    bench.say("/join kitchen");
    assert_eq!(bench.model.places()[bench.model.here()].name, "kitchen");
    bench.said(1, Kind::Text, "anyone?");
    assert_eq!((bench.model.places()[0].unread, bench.model.places()[0].is_called), (1, false));
    bench.said(2, Kind::Text, "Ana?");
    assert_eq!((bench.model.places()[0].unread, bench.model.places()[0].is_called), (2, true));
    assert!(!bench.done.contains(&Effect::Bell), "off unless asked for");
    bench.model.person.bell = true;
    bench.said(3, Kind::Text, "banana");
    assert!(!bench.done.contains(&Effect::Bell));
    bench.said(4, Kind::Text, "@ana");
    assert!(bench.done.contains(&Effect::Bell));
    bench.press("alt-a");
    assert_eq!((bench.model.here(), bench.model.places()[0].unread), (0, 0));
}

#[test]
fn one_to_one_messages_have_a_place_of_their_own() {
    let mut bench = Bench::new((80, 24));
    bench.message(BOB, 7, "", "bob", Kind::Direct { to: ME }, "psst", false);
    assert_eq!(bench.model.places()[1].label(), "@bob");
    assert!(bench.model.places()[1].is_called);
    bench.press("ctrl-n");
    bench.say("yes?");
    let draft = Draft { room: String::new(), kind: Kind::Direct { to: BOB }, body: "yes?".into() };
    assert!(bench.done.iter().any(|effect| matches!(effect, Effect::Submit { draft: of, .. } if *of == draft)));
    assert_eq!(bench.texts().last().map(String::as_str), Some("yes?"));
}

#[test]
fn pasted_lines_are_one_message_and_one_that_is_too_long_is_told_and_kept() {
    let mut bench = Bench::new((80, 24));
    bench.paste("one\r\ntwo\rthree");
    assert_eq!(bench.model.layout().input.height, 3);
    bench.press("enter");
    assert_eq!(bench.texts().last().map(String::as_str), Some("one\ntwo\nthree"));
    bench.paste(&"y".repeat(72 << 10));
    assert_eq!(bench.model.flash(), Some("That is 72 KiB; the limit is 64 KiB."));
    let made = bench.last_cseq;
    bench.press("enter");
    assert_eq!((bench.last_cseq, bench.model.input().text().len()), (made, 72 << 10));
}

#[test]
fn unknown_command_gets_a_clear_line_and_help_lists_commands_and_keys() {
    let mut bench = Bench::new((80, 24));
    bench.say("/dance");
    assert_eq!(bench.model.flash(), Some("there is no /dance; /help lists what there is"));
    bench.say("/help");
    let (lines, _) = bench.model.panel().unwrap().lines(80, 100);
    let text: String = lines.iter().flatten().map(|piece| piece.text.as_str()).collect();
    assert!(text.contains("/join ROOM") && text.contains("ctrl-j, alt-enter") && text.contains("✓✓"));
    bench.press("esc");
    assert!(bench.model.panel().is_none());
}

#[test]
fn tab_completes_and_goes_on() {
    let mut bench = Bench::new((80, 24));
    let (tag, _) = bench.question(|query| *query == Query::Rooms).unwrap();
    let rooms = ["lobby", "kitchen", "kiosk"].map(|room| RoomInfo { room: room.into(), ..RoomInfo::default() });
    bench.answer(tag, Answer::Rooms(rooms.into()));
    bench.write("/j");
    bench.press("tab");
    bench.write("ki");
    bench.press("tab tab");
    assert_eq!(bench.model.input().text(), "/join kitchen");
    bench.press("tab shift-tab enter");
    assert_eq!(bench.model.places()[1].name, "kitchen");
}

#[test]
fn leaving_waits_until_everything_is_stable_and_tells_what_is_not_when_patience_ends() {
    let mut bench = Bench::new((80, 24));
    bench.say("/quit");
    assert!(!bench.done.iter().any(|effect| matches!(effect, Effect::Leave(_))));
    for cseq in 1..=bench.last_cseq {
        bench.progress(MessageId { client: ME, cseq }, Progress::Stable { key: key(cseq), copies: 1, of: 1 });
    }
    assert!(bench.done.contains(&Effect::Leave(0)));
    let mut bench = Bench::new((80, 24));
    bench.press("ctrl-d");
    bench.tick(5000);
    assert_eq!(bench.done.last(), Some(&Effect::Leave(bench.last_cseq as usize)));
}

#[test]
fn taken_nick_is_told_with_one_that_is_free() {
    let mut bench = Bench::new((80, 24));
    bench.say("/nick bob");
    assert!(bench.done.contains(&Effect::Rename("bob".into())));
    let why = Refusal::NickTaken("bob2".into());
    bench.hear(Event::Notice(Notice::Refused { server: "oak".into(), why }));
    assert!(bench.texts().iter().any(|text| text.contains("/nick bob2")));
    assert_eq!(bench.model.person().nick, "ana");
    // Not asked for: two sides of a cut met. The loser's window told so once a second, for ever.
    bench.done.clear();
    let why = Refusal::NickTaken("ana2".into());
    bench.hear(Event::Notice(Notice::Refused { server: "oak".into(), why }));
    assert!(bench.done.contains(&Effect::Rename("ana2".into())));
    assert!(
        bench
            .texts()
            .iter()
            .any(|text| text.contains("ana is someone else's, who had it first; ana2 is free and yours"))
    );
}
