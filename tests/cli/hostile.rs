//! Names, rooms and texts that want to be more than that, in everything that the program writes.

use crate::pty::Window;
use crate::ring::{Ring, documents};
use crate::support::{Home, Ran};
use serde_json::Value;
use std::fs::{File, read_to_string};
use std::process::Stdio;

/// They are names: nothing that a terminal acts on is in them, nor a space.
const NICK: &str = "<img/src=x/onerror=alert(1)>";
const ROOM: &str = "$(reboot);\"><svg/onload=1>%s%n'";
/// None of these is a name.
const NO_NAMES: [&str; 6] =
    ["\u{1b}[2J", "\u{1b}]52;c;ZXZpbA==\u{7}", "\u{202e}eve", "a\u{200b}b", "two\nlines", "@ana"];
/// HTML, escape sequences (erase, clipboard, colours as one character), texts that turn around, an end that is none.
const TEXTS: [&str; 5] = [
    "<script>alert(1)</script>",
    "\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}31m",
    "\u{202e}txt.exe\u{2066}\u{200b}\u{feff}",
    "nul\0inside\u{8}\u{8}\rover",
    "%s%n$(reboot)`reboot`",
];

/// Nothing that a terminal or an eye could be fooled by.
fn assert_harmless(what: &str, text: &str) {
    let harmful = |c: &char| {
        c.is_control() && *c != '\n'
            || matches!(*c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let found: Vec<char> = text.chars().filter(harmful).collect();
    assert!(found.is_empty(), "{what}: {found:?} in {text:?}");
}

fn assert_harmless_run(what: &str, ran: &Ran) {
    assert_eq!(ran.code, 0, "{what}: {ran:?}");
    assert_harmless(what, &ran.stdout);
    assert_harmless(what, &ran.stderr);
}

/// Says all of it; the longest line last.
fn say_all(ring: &Ring) -> Vec<String> {
    let lines: Vec<String> = TEXTS.iter().map(|&text| text.to_owned()).chain(["x\u{1b}[31m".repeat(10_000)]).collect();
    let sent = ring.run_with_input(&["send", ROOM, "--nick", NICK], lines.join("\n").as_bytes());
    assert_eq!(sent.code, 0, "{sent:?}");
    lines
}

#[test]
fn commands_write_everything_out_and_json_has_it_whole() {
    let ring = Ring::start(&["oak"]);
    // A line of input ends where the line does; all else comes back as it was said.
    let lines = say_all(&ring);
    let plain: [&[&str]; 9] = [
        &["history", ROOM, "--all"],
        &["history", "--all", "--from", NICK],
        &["search", "reboot"],
        &["search", "inside", "--room", ROOM],
        &["tail", ROOM, "--last", "6", "--count", "6"],
        &["rooms"],
        &["who", ROOM],
        &["ring"],
        &["status"],
    ];
    for command in plain {
        assert_harmless_run(&command.join(" "), &ring.run(command));
        let ran = ring.run(&[command, &["--json"]].concat());
        assert_harmless_run(&format!("{} --json", command.join(" ")), &ran);
        documents(&ran.stdout);
    }
    let history = documents(&ring.run(&["history", ROOM, "--all", "--json"]).stdout);
    let said: Vec<&Value> = history.iter().map(|line| &line["text"]).collect();
    assert_eq!(said, lines.iter().collect::<Vec<_>>());
    assert!(history.iter().all(|line| line["nick"] == NICK && line["room"] == ROOM));
    let id = history[1]["id"].as_str().expect("text");
    for json in [&[][..], &["--json"]] {
        assert_harmless_run("explain", &ring.run(&[&["explain", id], json].concat()));
    }
}

#[test]
fn plain_chat_writes_everything_out_in_both_manners() {
    let ring = Ring::start(&["oak"]);
    say_all(&ring);
    for json in [&[][..], &["--json"]] {
        let typed =
            format!("/topic {}\n{}\n/history 9\n/search inside\n/who\n/rooms\n/view\n/quit\n", TEXTS[1], TEXTS[2]);
        let args = [&["chat", ROOM, "--plain", "--nick", "ana"], json].concat();
        let ran = ring.run_with_input(&args, typed.as_bytes());
        assert_harmless_run("chat", &ran);
        assert!(ran.stdout.contains("script") && ran.stdout.contains("inside"), "{ran:?}");
    }
}

#[test]
fn what_is_no_name_is_refused_everywhere_and_told_harmlessly() {
    let home = Home::new();
    for name in NO_NAMES {
        for args in [
            ["send", name, "x", "--local"],
            ["send", "lobby", "--nick", name],
            ["tail", name, "--local", "--json"],
            ["chat", "--plain", "--nick", name],
            ["server", "--local", "--name", name],
            ["status", "--local", "--net", name],
        ] {
            // `@ana` is a person where a room may be one.
            if name == "@ana" && args[1] == name {
                continue;
            }
            let ran = home.run(&args);
            assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
            assert_harmless(&format!("{args:?}"), &ran.stderr);
        }
    }
}

#[test]
fn logs_have_nothing_that_a_terminal_acts_on() {
    let mut ring = Ring::start(&["oak"]);
    let path = ring.home().path().join("log");
    let args = ring.args(&["server", "--name", NICK, "--web", "off", "--data", "b", "-vvv"]);
    let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let log = File::create(&path).expect("a file");
    command.current_dir(ring.home().path()).env("RINGTALK_LOG", "trace");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
    let mut child = command.spawn().expect("it starts");
    ring.until_one_view_of(2);
    let lines = say_all(&ring);
    // Strangers' datagrams: noise, a name of another net that wants to be seen, and a text that is none.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let addr = ring.addr("oak");
    for text in &lines {
        let bytes = &text.as_bytes()[..text.len().min(1200)];
        socket.send_to(bytes, &addr).expect("sent");
    }
    ring.until_history_has("reboot");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let log = read_to_string(&path).expect("UTF-8");
    assert!(log.lines().count() > 5, "{log}");
    assert_harmless("log", &log);
}

#[test]
fn window_shows_names_and_topics_of_strangers_written_out() {
    let ring = Ring::start(&["oak"]);
    say_all(&ring);
    let args = ring.args(&["chat", ROOM, "--nick", "ana", "--color", "never"]);
    let command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut ana = Window::open(command, 100, 24);
    ana.until_shown("oak leads");
    ana.press("\u{1b}[H");
    ana.until_shown("<script>alert(1)</script>");
    ana.until_shown("\\u{1b}[2J\\u{1b}]52;c;ZXZpbA==\\u{7}\\u{9b}31m");
    ana.until_shown("\\u{202e}txt.exe");
    ana.until_shown("nul\\u{0}inside");
    // A paste brings what keys cannot type.
    ana.press(&format!("\u{1b}[200~/topic {}\u{1b}[201~\r", "bad\u{202e}\u{9b}topic"));
    ana.until_shown("bad\\u{202e}");
    ana.say("/quit");
    assert_eq!(ana.wait(), 0);
    let written = String::from_utf8_lossy(&ana.written).into_owned();
    for harmful in ["\u{1b}]52", "\u{202e}", "\u{2066}", "\0", "\u{9b}", "\u{7}"] {
        assert!(!written.contains(harmful), "{harmful:?}");
    }
}
