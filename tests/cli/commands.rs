//! The commands of a person or a script, at a ring of real servers.

use crate::ring::{Ring, documents};
use crate::support::{Home, Lines};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

#[test]
fn lines_that_were_sent_are_history_in_their_order_on_every_server() {
    let ring = Ring::start(&["oak", "elm", "ash"]);
    let input = (1..=100).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
    let sent = ring.run_with_input(&["send", "lobby", "--json"], input.as_bytes());
    assert_eq!(sent.code, 0, "{sent:?}");
    let stable = documents(&sent.stdout);
    assert_eq!(stable.len(), 100);
    for line in &stable {
        assert_eq!((&line["event"], &line["copies"], &line["of"]), (&"stable".into(), &3.into(), &3.into()));
    }
    for name in ["oak", "elm", "ash"] {
        ring.until_history_of_has(name, "line 100");
    }
    let histories: Vec<String> =
        ["oak", "elm", "ash"].map(|name| ring.run(&["history", "--all", "--json", "--server", name]).stdout).into();
    assert_eq!(histories[0], histories[1]);
    assert_eq!(histories[0], histories[2]);
    let texts: Vec<Value> = documents(&histories[0]).into_iter().map(|line| line["text"].clone()).collect();
    assert_eq!(texts, (1..=100).map(|n| Value::from(format!("line {n}"))).collect::<Vec<_>>());
    let last = ring.run(&["history", "lobby", "--last", "2"]);
    assert!(last.stdout.lines().last().is_some_and(|line| line.ends_with("#lobby <ana> line 100")), "{last:?}");
    let found = ring.run(&["search", "line", "77", "--json"]);
    assert_eq!(documents(&found.stdout)[0]["text"], "line 77");
}

#[test]
fn hostile_text_reaches_scripts_whole_and_terminals_harmless() {
    let ring = Ring::start(&["oak"]);
    let hostile = "\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}\u{202e}x\0\u{9b}31m";
    let long = "y".repeat(64 * 1024);
    let sent = ring.run_with_input(&["send", "lobby"], format!("{hostile}\n{long}\n").as_bytes());
    assert_eq!(sent.code, 0, "{sent:?}");
    ring.until_history_has("yyyy");
    let json = ring.run(&["history", "--all", "--json"]);
    let lines = documents(&json.stdout);
    assert_eq!((lines[0]["text"].as_str(), lines[1]["text"].as_str()), (Some(hostile), Some(long.as_str())));
    let plain = ring.run(&["history", "--all", "--color", "never"]);
    for text in [&json.stdout, &plain.stdout] {
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }
    let over = ring.run_with_input(&["send", "lobby"], format!("{long}{}\n", "y".repeat(8 * 1024)).as_bytes());
    assert_eq!(over.code, 2);
    assert!(over.stderr.starts_with("ringtalk: That is 72 KiB; the limit is 64 KiB."), "{over:?}");
}

#[test]
fn tail_shows_what_was_said_before_and_what_comes_and_ends_at_its_count() {
    let ring = Ring::start(&["oak"]);
    assert_eq!(ring.run(&["send", "lobby", "before"]).code, 0);
    let args = ring.args(&["tail", "lobby", "--last", "1", "--count", "2", "--json"]);
    let mut tail =
        ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>()).spawn().expect("it starts");
    let mut out = BufReader::new(tail.stdout.take().expect("a pipe"));
    let mut message = || loop {
        let mut line = String::new();
        assert!(out.read_line(&mut line).expect("readable") > 0, "tail ended");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        if event["event"] == "message" {
            assert_eq!((&event["copies"], &event["of"], &event["late"]), (&1.into(), &1.into(), &false.into()));
            return event["text"].clone();
        }
    };
    assert_eq!(message(), "before");
    assert_eq!(ring.run(&["send", "garden", "elsewhere"]).code, 0);
    assert_eq!(ring.run(&["send", "lobby", "after"]).code, 0);
    assert_eq!(message(), "after");
    assert_eq!(tail.wait().expect("it ends").code(), Some(0));
}

#[test]
fn status_is_healthy_with_exit_0_and_names_the_leader() {
    let ring = Ring::start(&["oak", "elm"]);
    let ran = ring.run(&["status", "--json"]);
    let status = &documents(&ran.stdout)[0];
    assert_eq!((ran.code, &status["healthy"]), (0, &true.into()), "{ran:?}");
    assert_eq!(status["servers"].as_array().map(Vec::len), Some(2));
    let leader = status["leader"]["name"].as_str().expect("a name").to_owned();
    assert!(["oak", "elm"].contains(&leader.as_str()));
    assert!(ring.run(&["ring"]).stdout.contains(&format!("{leader} leads")));
    assert!(ring.run(&["status"]).stdout.contains(&format!("{leader} leads")));
}

#[test]
fn chat_in_a_pipe_joins_says_and_leaves() {
    let ring = Ring::start(&["oak"]);
    let ran = ring.run_with_input(&["chat", "garden", "--nick", "ana"], b"hello\n/me waves\n/nonsense\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("#garden <ana> hello ✓"), "{ran:?}");
    assert!(ran.stdout.contains("#garden * ana waves ✓"), "{ran:?}");
    assert!(ran.stderr.contains("there is no /nonsense"), "{ran:?}");
    let ran = ring.run_with_input(&["chat", "garden", "--nick", "ben"], b"/nick ana\nstill ben\n");
    assert!(ran.stdout.contains("#garden <ben> still ben ✓"), "{ran:?}");
    assert!(ran.stderr.contains("that nick is someone else's; ana2 is free"), "{ran:?}");
    let events = documents(&ring.run(&["history", "--events", "--all", "--json"]).stdout);
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert!(kinds.contains(&"joined") && kinds.contains(&"left"), "{kinds:?}");
}

#[test]
fn second_server_on_one_directory_and_unknown_server_are_told() {
    let ring = Ring::start(&["oak"]);
    let data = ring.home.path().join("oak");
    let second = ring.run(&["server", "--name", "elm", "--data", data.to_str().expect("text")]);
    assert_eq!(second.code, 7, "{second:?}");
    assert!(second.stderr.contains("nother server (pid") && second.stderr.contains("--data"), "{second:?}");
    let unknown = ring.run(&["rooms", "--server", "fir", "--timeout", "1s"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.stderr.contains("No ringtalk server named fir answered on lo"), "{unknown:?}");
    assert!(unknown.stderr.ends_with("hint: Others did: oak.\n"), "{unknown:?}");
}

#[test]
fn backup_of_a_running_server_restores_as_a_new_one() {
    let mut ring = Ring::start(&["oak"]);
    assert_eq!(ring.run(&["send", "lobby", "kept"]).code, 0);
    ring.until_history_has("kept");
    let data = ring.home.path().join("oak");
    let copy = ring.home.path().join("copy.db");
    let (data, copy) = (data.to_str().expect("text").to_owned(), copy.to_str().expect("text").to_owned());
    let ran = ring.run(&["backup", &copy, "--data", &data]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ring.servers.clear();
    let again = ring.run(&["restore", &copy, "--data", &data]);
    assert_eq!(again.code, 7, "{again:?}");
    let new = ring.home.path().join("elm");
    let ran = ring.run(&["restore", &copy, "--data", new.to_str().expect("text")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ring.add("elm");
    ring.until_history_has("kept");
}

#[test]
fn nobody_there_is_exit_3_with_what_to_do() {
    let home = Home::new();
    let ran = home.run(&["rooms", "--local", "--net", "nobody", "--port", "9", "--timeout", "300ms"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "ringtalk: No ringtalk server answered on lo (net \"nobody\", 300 ms).\n\
         hint: Start one: ringtalk --local -n nobody --port 9 server · Other subnet: --peer HOST\n"
    );
}

#[test]
fn words_that_found_no_server_are_said_once_when_they_are_tried_again() {
    let mut ring = Ring::start(&["oak"]);
    assert_eq!(ring.run(&["send", "lobby", "first"]).code, 0);
    ring.kill("oak");
    let tried = ring.run(&["send", "lobby", "from-the-terminal", "--timeout", "300ms"]);
    assert_eq!(tried.code, 3, "{tried:?}");
    assert!(tried.stderr.starts_with("ringtalk: No ringtalk server answered"), "{tried:?}");
    ring.add("oak");
    assert_eq!(ring.run(&["send", "lobby", "from-the-terminal"]).code, 0);
    assert_eq!(ring.run(&["send", "lobby", "last"]).code, 0);
    ring.until_history_has("last");
    let told = documents(&ring.run(&["history", "--all", "--json"]).stdout);
    let texts: Vec<&str> = told.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(texts, ["first", "from-the-terminal", "last"]);
}

#[test]
fn people_in_a_room_are_counted_while_they_are_there() {
    let ring = Ring::start(&["oak"]);
    assert_eq!(ring.run(&["send", "garden", "hello", "--nick", "bob"]).code, 0);
    ring.until_history_has("hello");
    let people = || documents(&ring.run(&["rooms", "--json"]).stdout)[0]["rooms"][0]["people"].clone();
    assert_eq!(people(), 0);
    let args = ring.args(&["chat", "garden", "--nick", "ana", "--plain", "--json"]);
    let mut command = ring.home.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut chat = command.stdin(Stdio::piped()).spawn().expect("it starts");
    let mut said = chat.stdin.take().expect("a pipe");
    writeln!(said, "here").expect("it reads");
    ring.until_history_has("here");
    assert_eq!(people(), 1);
    drop(said);
    assert_eq!(chat.wait().expect("it ends").code(), Some(0));
}

#[test]
fn what_is_found_tells_its_copies_and_nothing_found_is_told() {
    let ring = Ring::start(&["oak"]);
    assert_eq!(ring.run(&["send", "lobby", "needle"]).code, 0);
    ring.until_history_has("needle");
    let found = documents(&ring.run(&["search", "needle", "--json"]).stdout);
    assert_eq!((&found[0]["copies"], &found[0]["of"], &found[0]["late"]), (&1.into(), &1.into(), &false.into()));
    let history = documents(&ring.run(&["history", "--json"]).stdout);
    assert!(history[0].get("copies").is_none(), "the same bytes on every server");
    for (args, words) in [(&["history", "nowhere"][..], "no messages\n"), (&["search", "straw"], "nothing found\n")] {
        let ran = ring.run(args);
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", words));
        let ran = ring.run(&[args, &["--json"]].concat());
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""));
    }
}

#[test]
fn file_that_cannot_be_used_is_told_by_name_with_what_to_do() {
    let ring = Ring::start(&["oak"]);
    let home = ring.home.path();
    let path = |name: &str| home.join(name).to_str().expect("text").to_owned();
    std::fs::write(home.join("junk"), [7; 10_000]).expect("written");
    let (data, junk, nowhere, new) = (path("oak"), path("junk"), path("nowhere/x"), path("new"));
    for (args, code, named) in [
        (&["server", "--data", &junk][..], 7, &junk),
        (&["backup", &nowhere, "--data", &data], 7, &nowhere),
        (&["record", &nowhere], 1, &nowhere),
        (&["replay", &nowhere], 1, &nowhere),
        (&["restore", &nowhere, "--data", &new], 1, &nowhere),
        (&["restore", &junk, "--data", &new], 7, &junk),
    ] {
        let ran = ring.run(args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(named) && ran.stderr.contains("\nhint: "), "{args:?}: {ran:?}");
    }
    assert!(!home.join("new").exists(), "nothing is left behind");
}

/// `/who` and the like printed tables among the lines of JSON, and what could not be done as plain text.
#[test]
fn chat_for_scripts_answers_slash_commands_with_documents_too() {
    let ring = Ring::start(&["oak"]);
    let long = "x".repeat(70_000);
    let typed = format!("hi\n/who\n/rooms\n/status\n/topic\n/search hi\n/nosuch\n/msg nobody hi\n{long}\n");
    let args = ring.args(&["chat", "lobby", "--nick", "ana", "--json"]);
    let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut typing = child.stdin.take().expect("a pipe");
    let said = Lines::of(child.stdout.take().expect("a pipe"));
    let told = Lines::of(child.stderr.take().expect("a pipe"));
    writeln!(typing, "first").and_then(|()| typing.flush()).expect("it reads");
    let mut lines = Vec::new();
    let until = |lines: &mut Vec<Value>, is_it: &dyn Fn(&Value) -> bool| {
        while lines.last().is_none_or(|line| !is_it(line)) {
            lines.push(serde_json::from_str(&said.next().expect("it goes on")).expect("JSON"));
        }
    };
    until(&mut lines, &|line| line["event"] == "message" && line["text"] == "first");
    write!(typing, "{typed}").and_then(|()| typing.flush()).expect("it reads");
    // Answers come in any sequence.
    let is_topic = |line: &Value| line["room"] == "lobby" && line["topic"] == "";
    let is_all_there = |lines: &[Value]| {
        let has = |document: &str| lines.iter().any(|line| line[document].is_array());
        has("people") && has("rooms") && has("servers") && lines.iter().any(is_topic)
    };
    while !is_all_there(&lines) {
        lines.push(serde_json::from_str(&said.next().expect("it goes on")).expect("JSON"));
    }
    drop(typing);
    let codes: Vec<Value> = std::iter::from_fn(|| told.next())
        .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
        .map(|line| line["error"]["code"].clone())
        .collect();
    for code in ["usage", "no_such_nick", "too_long"] {
        assert!(codes.iter().any(|told| told == code), "{code}: {codes:?}");
    }
    child.wait().expect("it ends");
}
