//! `config`: layers, origins, and files that are wrong.

use crate::support::Home;
use serde_json::Value;

fn setting(home: &Home, args: &[&str], variable: (&str, &str), key: &str) -> (Value, String) {
    let ran = home.run_with(&[&["config", "show", "--json"], args].concat(), variable);
    assert_eq!(ran.code, 0, "{ran:?}");
    let shown: Value = serde_json::from_str(&ran.stdout).expect("one document");
    (shown[key]["value"].clone(), shown[key]["origin"].as_str().expect("an origin").to_owned())
}

#[test]
fn flag_beats_environment_beats_file_beats_built_in() {
    let home = Home::new();
    let none = ("X", "");
    assert_eq!(setting(&home, &[], none, "net"), ("default".into(), "built in".into()));
    home.configure("net = 'filed'\nport = 9001\n");
    let (value, origin) = setting(&home, &[], none, "net");
    assert_eq!(value, "filed");
    assert!(origin.ends_with("/.config/ringtalk/config.toml"), "{origin}");
    let environment = ("RINGTALK_NET", "around");
    assert_eq!(setting(&home, &[], environment, "net"), ("around".into(), "RINGTALK_NET".into()));
    assert_eq!(setting(&home, &["-n", "said"], environment, "net"), ("said".into(), "--net".into()));
    assert_eq!(setting(&home, &["--port", "9002"], environment, "port"), (9002.into(), "--port".into()));
}

#[test]
fn variables_of_a_server_and_of_the_window_are_shown_and_wrong_ones_are_refused() {
    let home = Home::new();
    home.configure("priority = 1\nbell = false\n");
    for (variable, text, value, wrong) in [
        ("RINGTALK_EPHEMERAL", "true", Value::from(true), "maybe"),
        ("RINGTALK_DURABILITY", "memory", "memory".into(), "paper"),
        ("RINGTALK_KEEP", "90d", "90d".into(), "5s"),
        ("RINGTALK_PRIORITY", "3", 3.into(), "256"),
        ("RINGTALK_WEB", "off", "off".into(), "on"),
        ("RINGTALK_BELL", "true", true.into(), "maybe"),
    ] {
        let key = variable.trim_start_matches("RINGTALK_").to_lowercase();
        assert_eq!(setting(&home, &[], (variable, text), &key), (value, variable.into()));
        let ran = home.run_with(&["config", "show"], (variable, wrong));
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("ringtalk: invalid value '{wrong}' for {variable}: ")), "{ran:?}");
    }
}

#[test]
fn global_flags_count_before_and_after_the_command() {
    let home = Home::new();
    for args in [["--net", "lab", "config", "show", "--json"], ["config", "show", "--json", "--net", "lab"]] {
        let ran = home.run(&args);
        assert!(ran.stdout.contains("\"net\":{\"value\":\"lab\",\"origin\":\"--net\"}"), "{ran:?}");
    }
}

#[test]
fn chosen_file_is_read_alone_and_must_exist() {
    let home = Home::new();
    home.configure("net = 'filed'\nnick = 'bob'\n");
    let file = home.path().join("other.toml");
    std::fs::write(&file, "net = 'other'\n").expect("written");
    let file = file.to_str().expect("a path of text");
    let (net, _) = setting(&home, &["--config", file], ("X", ""), "net");
    let (nick, origin) = setting(&home, &["--config", file], ("X", ""), "nick");
    assert_eq!((net, nick, &*origin), ("other".into(), "ana".into(), "built in"));
    let ran = home.run(&["--config", "/nowhere/x.toml", "config", "show"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("ringtalk: /nowhere/x.toml cannot be read: no such file"), "{ran:?}");
}

#[test]
fn wrong_file_is_told_with_its_line_and_what_to_do() {
    let home = Home::new();
    home.configure("net = 'a'\nnic = 'bob'\n");
    let ran = home.run(&["config", "show"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("config.toml, line 2: unknown field `nic`"), "{ran:?}");
    assert!(ran.stderr.contains("\nhint: "), "{ran:?}");
    let ran = home.run(&["config", "show", "--json"]);
    assert!(ran.stderr.starts_with("{\"error\":{\"code\":\"bad_config\",\"message\":"), "{ran:?}");
}

#[test]
fn path_is_told_whether_the_file_exists_or_not() {
    let home = Home::new();
    let ran = home.run(&["config", "path"]);
    let expected = home.path().join(".config/ringtalk/config.toml");
    assert_eq!((ran.code, ran.stdout), (0, format!("{}\n", expected.display())));
    let ran = home.run_with(&["config", "path"], ("XDG_CONFIG_HOME", "/elsewhere"));
    assert_eq!(ran.stdout, "/elsewhere/ringtalk/config.toml\n");
}

#[test]
fn path_is_that_of_the_chosen_file() {
    let home = Home::new();
    home.configure("net = 'filed'\n");
    let file = home.path().join("other.toml").display().to_string();
    let line = format!("{file}\n");
    let document = format!("{}\n", serde_json::json!({ "path": file }));
    for exists in [false, true] {
        if exists {
            std::fs::write(&file, "net = 'other'\n").expect("written");
        }
        let ran = home.run(&["--config", &file, "config", "path"]);
        assert_eq!((ran.code, &ran.stdout), (0, &line), "{ran:?}");
        let ran = home.run(&["config", "path", "--json", "--config", &file]);
        assert_eq!((ran.code, &ran.stdout), (0, &document), "{ran:?}");
        let ran = home.run_with(&["config", "path"], ("RINGTALK_CONFIG", &file));
        assert_eq!((ran.code, &ran.stdout), (0, &line), "{ran:?}");
    }
}

#[test]
fn color_follows_the_flag_and_is_off_in_a_pipe() {
    let home = Home::new();
    assert!(!home.run(&["config", "show"]).stdout.contains('\u{1b}'));
    assert!(home.run(&["config", "show", "--color", "always"]).stdout.contains("\u{1b}[2m"));
    let asked = home.run_with(&["config", "show", "--color", "always"], ("NO_COLOR", "1"));
    assert!(asked.stdout.contains("\u{1b}[2m"), "a flag beats NO_COLOR");
}

#[test]
fn switches_in_the_environment_are_read_as_people_write_them() {
    let home = Home::new();
    for (value, on) in [("1", true), ("true", true), ("yes", true), ("0", false), ("false", false)] {
        assert_eq!(setting(&home, &[], ("RINGTALK_LOCAL", value), "local").0, on, "{value}");
    }
}

#[test]
fn keys_of_the_chat_window_are_shown_and_wrong_ones_are_refused() {
    let home = Home::new();
    home.configure("[keys]\nsearch = ['ctrl-s', 'f3']\n");
    let none = ("X", "");
    let (value, origin) = setting(&home, &[], none, "keys.search");
    assert_eq!(value, serde_json::json!(["ctrl-s", "f3"]));
    assert!(origin.ends_with("/config.toml"), "{origin}");
    assert_eq!(setting(&home, &[], none, "keys.send"), (serde_json::json!(["enter"]), "built in".into()));
    for (text, words) in [
        ("[keys]\nsned = 'enter'", "there is no key action \"sned\""),
        ("[keys]\nsearch = 'x'", "alone is for typing"),
        ("[keys]\nsearch = 'ctrl-t'\nfirst = 'ctrl-t'", "ctrl-t is given to both first and search"),
    ] {
        home.configure(text);
        let ran = home.run(&["config", "show"]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(words) && ran.stderr.contains("config.toml"), "{ran:?}");
    }
}
