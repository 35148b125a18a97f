//! The chat window on a real terminal, at real servers.

use crate::past;
use crate::pty::{Window, now};
use crate::ring::Ring;
use rustix::process::Signal;

/// Messages of a long history.
const MANY: u64 = 100_000;

fn open(ring: &Ring, nick: &str, args: &[&str], (columns, rows): (u16, u16)) -> Window {
    let args = ring.args(&[args, &["--nick", nick]].concat());
    let command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut window = Window::open(command, columns, rows);
    window.until_shown("leads");
    window
}

/// The line that this message stands on.
fn line_of(screen: &str, text: &str) -> String {
    screen.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned()
}

#[test]
fn two_windows_go_on_when_their_server_is_killed_and_nothing_is_lost_or_doubled() {
    let mut ring = Ring::start(&["oak"]);
    let mut ana = open(&ring, "ana", &["chat"], (80, 24));
    let mut bob = open(&ring, "bob", &["chat", "lobby"], (60, 24));
    ana.until_shown("at oak");
    bob.until_shown("at oak");
    ring.add("elm");
    for window in [&mut ana, &mut bob] {
        window.until_shown("2 servers");
    }
    ana.say("can everyone see this?");
    bob.until_shown("ana  can everyone see this?");
    ana.until("it is on every disk", |screen| line_of(screen, "see this?").contains("✓✓"));
    bob.say("yes, ana");
    ana.until_shown("bob  yes, ana");
    bob.until("it is on every disk", |screen| line_of(screen, "bob  yes").contains("✓✓"));

    let killed = now();
    ring.kill("oak");
    for n in 1..=5 {
        ana.say(&format!("from ana {n}"));
        bob.say(&format!("from bob {n}"));
    }
    for window in [&mut ana, &mut bob] {
        window.until_shown("oak is gone. Moving to elm … done (");
        window.until("nothing was lost", |screen| screen.contains("othing lost.") || screen.contains("      lost."));
        let screen = window.text();
        let away = screen.split("done (").nth(1).and_then(|rest| rest.split(' ').next()).expect("a time");
        assert!(away.parse::<f32>().expect("seconds") <= 1.0, "{screen}");
    }
    let took = killed.elapsed();
    for n in 1..=5 {
        bob.until_shown(&format!("ana  from ana {n}"));
        ana.until_shown(&format!("bob  from bob {n}"));
        ana.until("it is stable", |screen| line_of(screen, &format!("from ana {n}")).contains('✓'));
    }
    // This machine's load counts too; the windows say themselves how long they were nowhere.
    assert!(took.as_secs() < 10, "{took:?}");
    for (window, other) in [(&ana, "bob"), (&bob, "ana")] {
        let screen = window.text();
        for n in 1..=5 {
            assert_eq!(screen.matches(&format!("from {other} {n}")).count(), 1, "{screen}");
        }
    }
    let history = ring.run(&["history", "--all", "--server", "elm"]).stdout;
    assert_eq!(history.matches("from ana").count() + history.matches("from bob").count(), 10, "{history}");

    ana.say("/quit");
    assert_eq!(ana.wait(), 0);
    assert!(ana.is_given_back());
    bob.until_shown("ana left");
    bob.press("\u{3}");
    assert_eq!(bob.wait(), 130);
    assert!(bob.is_given_back());
}

#[test]
fn messages_from_the_other_side_of_a_healed_cut_are_a_marked_block() {
    let mut ring = Ring::start(&[]);
    ring.add_faulty("oak");
    ring.add_faulty("elm");
    let mut ana = open(&ring, "ana", &["chat", "--server", "oak"], (80, 24));
    let mut bob = open(&ring, "bob", &["chat", "--server", "elm"], (60, 15));
    for window in [&mut ana, &mut bob] {
        window.until_shown("2 servers");
        window.until_shown("2 here");
    }
    let elm = ring.addr("elm");
    ring.fault("oak", &format!("cut {elm} both"));
    for window in [&mut ana, &mut bob] {
        window.until_shown("1 server ");
    }
    for n in 1..=3 {
        bob.say(&format!("over there {n}"));
        bob.until("it is stable there", |screen| line_of(screen, &format!("over there {n}")).contains('✓'));
    }
    ana.say("over here");
    ana.until("it is stable here", |screen| line_of(screen, "over here").contains('✓'));
    assert!(!ana.text().contains("over there"));
    ring.fault("oak", "heal");
    ana.until_shown("1 server rejoined: 3 messages from the other side");
    ana.until_shown("bob  over there 3");
    bob.until_shown("ana  over here");
    for (window, text) in [(&ana, "over there 2"), (&bob, "over here")] {
        assert_eq!(window.text().matches(text).count(), 1, "{}", window.text());
    }
}

#[test]
fn history_is_paged_to_its_first_message_and_a_search_goes_to_what_it_found() {
    let mut ring = Ring::start(&[]);
    past::write(&ring.home().path().join("oak"), 1, "lobby", MANY, past::a_minute_ago());
    ring.add("oak");
    // High enough that all of it is read in some hundred pages.
    let mut ana = open(&ring, "ana", &["chat"], (80, 190));
    past::page_to_the_first(&mut ana, MANY);
    ana.press("\u{1b}[F");
    ana.until_shown(&format!("line {MANY} of many"));
    ana.resize(80, 24);
    // Keys that come in the same moment as a size wait, in crossterm, for the next key.
    ana.until("it fits", |screen| screen.lines().count() == 24 && screen.ends_with("\n>"));
    ana.press("\u{6}");
    ana.say("line 1234");
    ana.until_shown("search: line 1234");
    ana.until_shown("line 1234 of many");
    ana.press("\r");
    ana.until_shown("line 1230 of many");
    ana.until_shown("line 1238 of many");
    ana.press("\u{1b}[H");
    ana.until_shown("line 1 of many");
    ana.until("the frame is whole", |screen| screen.contains("line 20 of many"));
    // What comes does not move what one reads.
    let screen = ana.text();
    assert_eq!(ring.run(&["send", "lobby", "meanwhile"]).code, 0);
    ana.until_shown("1 new below");
    let conversation = |line: &str| line.split('│').next_back().unwrap_or_default().to_owned();
    let body = |text: &str| text.lines().take(22).map(conversation).collect::<Vec<_>>();
    assert_eq!(body(&ana.text()), body(&screen));
}

#[test]
fn terminal_is_given_back_after_sigterm_and_follows_its_size() {
    let ring = Ring::start(&["oak"]);
    let mut ana = open(&ring, "ana", &["chat"], (80, 24));
    ana.say("hello");
    ana.until_shown("ana  hello");
    ana.resize(60, 15);
    ana.until("it fits", |screen| {
        let lines: Vec<&str> = screen.lines().collect();
        lines.len() == 15 && lines[14].trim_end() == ">" && screen.contains("ana  hello")
    });
    ana.press("\u{1b}[200~one\ntwo\u{1b}[201~");
    ana.until_shown("> one\n  two");
    ana.signal(Signal::TERM);
    assert_eq!(ana.wait(), 130);
    assert!(ana.is_given_back());
}

#[test]
fn hostile_text_reaches_the_terminal_written_out_and_without_colours_when_none_are_wanted() {
    let ring = Ring::start(&["oak"]);
    let hostile = "\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}\u{202e}evil\0\u{9b}31m";
    let long = "z".repeat(64 * 1024);
    let sent =
        ring.run_with_input(&["send", "lobby", "--nick", "eve"], format!("{hostile}\n{long}\nlast\n").as_bytes());
    assert_eq!(sent.code, 0);
    ring.until_history_has("last");
    let mut ana = open(&ring, "ana", &["chat", "--color", "never"], (80, 24));
    ana.until_shown("eve  last");
    ana.press("\u{1b}[H");
    ana.until_shown("evil");
    let written = String::from_utf8_lossy(&ana.written).into_owned();
    assert!(!written.contains("]52;c") || written.contains("\\u{1b}]52;c"), "{written:?}");
    assert!(!written.contains("\u{1b}]52") && !written.contains('\u{202e}') && !written.contains('\0'));
    let colours = written.split("\u{1b}[").skip(1).filter(|code| {
        let (parameters, _) = code.split_once('m').unwrap_or(("", ""));
        parameters.split(';').any(|one| matches!(one.parse::<u32>(), Ok(30..=38 | 40..=48 | 90..=107)))
    });
    assert_eq!(colours.count(), 0, "no colour");
}

#[test]
fn servers_are_watched_live_until_q() {
    let mut ring = Ring::start(&["oak"]);
    let mut watch = open(&ring, "ana", &["status", "--watch"], (80, 24));
    watch.until_shown("healthy");
    ring.add("elm");
    watch.until("both are members", |screen| screen.contains("elm") && screen.contains("member"));
    ring.kill("elm");
    watch.until("elm is missed", |screen| screen.contains("unreachable") && screen.contains("degraded"));
    ring.add("elm");
    watch.until("elm is back", |screen| screen.contains("healthy") && !screen.contains("unreachable"));
    watch.press("q");
    assert_eq!(watch.wait(), 0);
    assert!(watch.is_given_back());
}

#[test]
fn window_without_a_server_says_what_to_do_and_goes_on_looking() {
    let mut ring = Ring::start(&[]);
    let args = ring.args(&["chat", "--nick", "ana", "--timeout", "500ms"]);
    let command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut ana = Window::open(command, 160, 24);
    ana.until_shown("Start one: ringtalk --local -n ");
    ana.until_shown("Still looking");
    assert!(!ana.text().contains("under way"), "{}", ana.text());
    ring.add("oak");
    ana.until_shown("at oak");
}

/// Drawing anew used to ask the terminal where the cursor is; who reads the keys took the answer, and the window ended.
#[test]
fn what_is_being_typed_stands_when_everything_is_drawn_anew_and_after_a_stop() {
    let ring = Ring::start(&["oak"]);
    let mut ana = open(&ring, "ana", &["chat"], (80, 24));
    ana.until_shown("at oak");
    for (nth, key) in ["\u{c}", "\u{1a}", "\u{c}"].into_iter().enumerate() {
        ana.press(&format!("{nth} not sent yet"));
        ana.until_shown(&format!("{nth} not sent yet"));
        ana.spoil();
        ana.press(key);
        ana.until("it is drawn anew", |screen| screen.contains("at oak") && !screen.contains("left over"));
        ana.until_shown(&format!("{nth} not sent yet"));
    }
    ana.press("\r");
    ana.until("it is sent", |screen| line_of(screen, "ana  0 not sent yet").contains("1 not sent yet"));
}

#[test]
fn window_begins_with_an_empty_screen_also_where_somebody_was_killed_on_the_other_one() {
    let ring = Ring::start(&["oak"]);
    let args = ring.args(&["chat", "--nick", "ana"]);
    let command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut window = Window::open_on("\u{1b}[?1049h\u{1b}[3;20Hleft over", command, 80, 24);
    window.until_shown("at oak");
    assert!(!window.text().contains("left over"), "{}", window.text());
}
