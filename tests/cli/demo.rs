//! `demo`: plays a script, proves that nothing was lost, and leaves nothing behind.

use crate::support::Home;
use std::process::{Child, Stdio};

fn entries(home: &Home) -> usize {
    std::fs::read_dir(home.path().join("tmp")).map_or(0, Iterator::count)
}

fn command(home: &Home, args: &[&str]) -> std::process::Command {
    let tmp = home.path().join("tmp");
    std::fs::create_dir_all(&tmp).expect("made");
    let mut command = home.command(args);
    command.env("TMPDIR", tmp);
    command
}

#[test]
fn leader_crash_ends_with_equal_histories_and_nothing_lost() {
    let home = Home::new();
    let output =
        command(&home, &["demo", "--servers", "3", "--script", "leader-crash", "--json"]).output().expect("it runs");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{out}{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.lines().last().is_some_and(|line| line.contains("\"equal\":true,\"lost\":0")), "{out}");
    assert_eq!(entries(&home), 0, "its directory is gone");
}

#[test]
fn servers_end_with_a_demo_that_is_killed() {
    let home = Home::new();
    let mut demo: Child = command(&home, &["demo", "--servers", "2", "--script", "loss", "--json"])
        .stdin(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut out = std::io::BufReader::new(demo.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("\"event\":\"talkers\"") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut out, &mut line).expect("readable") > 0, "the demo ended early");
    }
    demo.kill().expect("killed");
    demo.wait().expect("ended");
    // Each server removes what it kept, the last one the demo's directory: then all of them have ended.
    while entries(&home) > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn name_of_no_script_lists_them() {
    let home = Home::new();
    let ran = home.run(&["demo", "--script", "nonsense"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("leader-crash") && ran.stderr.contains("split-and-merge"), "{ran:?}");
}
