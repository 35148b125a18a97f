//! Wrong usage, help, completions, the manual: texts, streams and exit statuses.

use crate::support::Home;

#[test]
fn wrong_usage_is_exit_2_with_a_line_and_a_hint() {
    let home = Home::new();
    for args in [
        &["nonsense"][..],
        &["--port", "0", "rooms"],
        &["--port", "x", "rooms"],
        &["-n", "a b", "rooms"],
        &["--nick", "#ana", "rooms"],
        &["--group", "10.0.0.1", "rooms"],
        &["--timeout", "5 parsecs", "rooms"],
        &["send", "a b", "hello"],
        &["send", "@", "hello"],
        &["send", "#lobby", "hello"],
        &["send", "lobby", ""],
        &["send", "lobby", " ", ""],
        &["tail", "#lobby"],
        &["history", "#lobby"],
        &["tail"],
        &["tail", "room\u{202e}"],
        &["history", "--last", "3", "--all"],
        &["history", "--last", "-1"],
        &["config"],
        &["demo", "--servers", "1"],
        &["sim", "--seeds", "9..3"],
        &["server", "--no-such-flag"],
        &[],
    ] {
        let ran = home.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.starts_with("ringtalk: "), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("\nhint: "), "{args:?}: {ran:?}");
        assert!(ran.stderr.chars().all(|c| c == '\n' || !c.is_control()), "{args:?}: {ran:?}");
    }
}

#[test]
fn room_with_a_hash_is_refused_with_how_to_write_it() {
    let home = Home::new();
    for args in [&["send", "#lobby", "hello"][..], &["tail", "#lobby"], &["history", "#lobby"], &["who", "#lobby"]] {
        let ran = home.run(args);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains("a name does not begin with #, @ or -: write lobby\n"), "{ran:?}");
    }
}

#[test]
fn wrong_usage_with_json_is_one_document_with_a_code() {
    let home = Home::new();
    let ran = home.run(&["tail", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&ran.stderr).expect("one document");
    assert_eq!(document["error"]["code"], "usage");
    assert_eq!(ran.code, 2);
}

#[test]
fn help_names_only_commands_that_exist() {
    let home = Home::new();
    let ran = home.run(&["--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let commands = [
        "server", "chat", "send", "tail", "history", "search", "rooms", "who", "status", "ring", "explain", "record",
        "replay", "web", "backup", "demo",
    ];
    for command in commands {
        assert!(ran.stdout.contains(&format!("\n  {command} ")), "{command}");
    }
    for absent in ["doctor", "bench", "key-file"] {
        assert!(!ran.stdout.contains(absent), "{absent}");
    }
    assert_eq!(home.run(&["--version"]).stdout, format!("ringtalk {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_shell_gets_completions() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = home.run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("ringtalk") && ran.stdout.contains("outbox"), "{shell}");
    }
}

#[test]
fn manual_has_the_program_and_a_page_for_each_command() {
    let home = Home::new();
    let page = home.run(&["man"]).stdout;
    assert!(page.contains(".TH ringtalk 1") && page.contains("Exit status"), "{page}");
    let dir = home.path().join("man/man1");
    let ran = home.run(&["man", "--dir", dir.to_str().expect("text")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for page in ["ringtalk.1", "ringtalk-server.1", "ringtalk-send.1"] {
        assert!(dir.join(page).is_file(), "{page}");
    }
}

#[test]
fn directory_that_cannot_be_made_is_told_by_name() {
    let home = Home::new();
    let file = home.path().join("file");
    std::fs::write(&file, "").expect("written");
    let ran = home.run(&["man", "--dir", file.to_str().expect("text")]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("cannot make") && ran.stderr.contains("/file"), "{ran:?}");
}

#[test]
fn reader_that_goes_away_is_no_failure() {
    let home = Home::new();
    let mut child = home.command(&["completions", "zsh"]).spawn().expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn wrong_value_is_told_with_where_it_came_from() {
    let home = Home::new();
    let port = "a port is a number from 1 to 65535";
    let ran = home.run_with(&["status"], ("RINGTALK_PORT", "abc"));
    assert!(ran.stderr.starts_with(&format!("ringtalk: invalid value 'abc' for RINGTALK_PORT: {port}\n")), "{ran:?}");
    let ran = home.run_with(&["status", "--port", "abc"], ("RINGTALK_PORT", "abc"));
    assert!(ran.stderr.contains(&format!("'abc' for '--port <N>': {port}\n")), "{ran:?}");
    let ran = home.run(&["history", "--last", "-1"]);
    assert!(ran.stderr.contains("'--last <N>': not a count") && !ran.stderr.contains("-- -1"), "{ran:?}");
    let ran = home.run(&["config"]);
    assert!(ran.stderr.contains("requires a subcommand") && ran.stderr.contains("show, path"), "{ran:?}");
}

#[test]
fn variable_of_a_switch_that_says_neither_yes_nor_no_is_refused_with_how_to_write_it() {
    let home = Home::new();
    let ran = home.run_with(&["config", "show"], ("RINGTALK_JSON", "maybe"));
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(
        ran.stderr.starts_with("ringtalk: invalid value 'maybe' for RINGTALK_JSON: write true or false\n"),
        "{ran:?}"
    );
    let ran = home.run_with(&["config", "show"], ("RINGTALK_JSON", "no"));
    assert_eq!((ran.code, ran.stdout.starts_with('{')), (0, false), "{ran:?}");
}

#[test]
fn flag_is_taken_whatever_its_variable_holds() {
    let home = Home::new();
    for (variable, wrong, flag) in [
        ("RINGTALK_NET", "a b", &["--net", "lab"][..]),
        ("RINGTALK_LOCAL", "maybe", &["--local"]),
        ("RINGTALK_PEER", "oak:x", &["--peer", "oak"]),
        ("RINGTALK_GROUP", "10.0.0.1", &["--group", "239.255.1.2"]),
        ("RINGTALK_PORT", "0", &["--port", "9000"]),
        ("RINGTALK_DATA", "", &["--data", "/nowhere"]),
        ("RINGTALK_NICK", "#", &["--nick", "ana"]),
        ("RINGTALK_JSON", "maybe", &["--json"]),
        ("RINGTALK_TIMEOUT", "zz", &["--timeout", "1s"]),
        ("RINGTALK_COLOR", "blue", &["--color", "never"]),
        ("RINGTALK_CONFIG", "", &["--config", "/dev/null"]),
    ] {
        let show = &["config", "show"][..];
        for args in [[flag, show].concat(), [show, flag].concat()] {
            let ran = home.run_with(&args, (variable, wrong));
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{variable}: {ran:?}");
        }
        let ran = home.run_with(show, (variable, wrong));
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{variable}: {ran:?}");
        assert!(ran.stderr.contains(&format!(" for {variable}: ")), "{ran:?}");
    }
}
