//! `demo`: plays lessons, proves that nothing was lost, and leaves nothing behind.

use crate::support::Home;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// How long a demo may take, beside other tests on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

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

/// Plays a lesson to its end; what it told.
fn play(servers: &str, script: &str) -> Vec<Value> {
    let home = Home::new();
    let output =
        command(&home, &["demo", "--servers", servers, "--script", script, "--json"]).output().expect("it runs");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{out}{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.lines().last().is_some_and(|line| line.contains("\"equal\":true,\"lost\":0")), "{out}");
    assert_eq!(entries(&home), 0, "its directory is gone");
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn count(told: &[Value], event: &str) -> usize {
    told.iter().filter(|line| line["event"] == event).count()
}

/// A demo that runs, with its lines as they come.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut child = command(home, args).stdin(Stdio::null()).spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, out }
    }

    fn wait_for(&mut self, event: &str) -> Value {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.out.read_line(&mut line).expect("readable") > 0, "the demo ended before {event}");
            let told: Value = serde_json::from_str(&line).expect("JSON");
            if told["event"] == event {
                return told;
            }
        }
    }

    /// `kill -9`; then every server must end and remove what it kept, the last one the demo's directory.
    #[expect(clippy::disallowed_methods, reason = "a test's deadline")]
    fn kill_and_wait_until_nothing_is_left(mut self, home: &Home) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
        let killed = Instant::now();
        while entries(home) > 0 {
            assert!(killed.elapsed() < LIMIT, "servers outlive their demo");
            std::thread::yield_now();
        }
    }
}

#[test]
fn leader_crash_ends_with_equal_histories_and_nothing_lost() {
    let told = play("3", "leader-crash");
    assert_eq!((count(&told, "crashed"), count(&told, "restarted")), (1, 1));
    let words: Vec<&str> =
        told.iter().filter(|line| line["event"] == "tale").filter_map(|l| l["text"].as_str()).collect();
    assert!(words.iter().any(|words| words.contains("leads, epoch")), "{words:?}");
    assert!(words.iter().any(|words| words.contains("Messages were missing")), "{words:?}");
}

#[test]
fn halves_of_a_split_go_on_and_merge() {
    let told = play("5", "split-and-merge");
    let cut = told.iter().find(|line| line["event"] == "cut").expect("a cut");
    assert_eq!(cut["sides"].as_array().map(Vec::len), Some(2));
    assert!(told.iter().any(|line| line["event"] == "demo" && line["equal"] == false), "they differed meanwhile");
}

#[test]
fn lost_datagrams_lose_no_message() {
    let told = play("3", "lost-datagrams");
    let lossy = told.iter().filter(|line| line["event"] == "demo" && line["servers"][0]["loss"] == 20);
    assert!(lossy.clone().count() > 0, "the document has the loss");
    assert!(told.iter().any(|line| line["event"] == "demo" && line["servers"][0]["dropped"].as_u64() > Some(0)));
}

#[test]
fn slow_server_is_left_behind_and_comes_back() {
    let told = play("3", "slow-server");
    assert_eq!((count(&told, "paused"), count(&told, "resumed")), (1, 1));
    assert!(told.iter().any(|line| line["event"] == "demo" && line.to_string().contains("\"paused\"")));
}

#[test]
fn twenty_crashes_lose_nothing() {
    let told = play("3", "twenty-crashes");
    assert_eq!((count(&told, "crashed"), count(&told, "restarted")), (20, 20));
}

#[test]
fn power_cut_and_one_way_silence_lose_nothing() {
    std::thread::scope(|threads| {
        let power = threads.spawn(|| play("3", "power-cut"));
        let silence = threads.spawn(|| play("3", "one-way"));
        assert_eq!(count(&power.join().expect("played"), "crashed"), 1);
        assert_eq!(count(&silence.join().expect("played"), "muted"), 1);
    });
}

#[test]
fn servers_end_with_a_demo_that_is_killed() {
    let home = Home::new();
    let mut demo = Running::start(&home, &["demo", "--servers", "2", "--script", "loss", "--json"]);
    demo.wait_for("talkers");
    demo.kill_and_wait_until_nothing_is_left(&home);
}

#[test]
fn stopped_server_ends_too_when_its_demo_is_killed() {
    let home = Home::new();
    let mut demo = Running::start(&home, &["demo", "--servers", "3", "--script", "slow-server", "--json"]);
    demo.wait_for("paused");
    demo.kill_and_wait_until_nothing_is_left(&home);
}

#[test]
fn name_of_no_script_lists_them() {
    let home = Home::new();
    let ran = home.run(&["demo", "--script", "nonsense"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("leader-crash") && ran.stderr.contains("split-and-merge"), "{ran:?}");
}

#[test]
fn list_of_scripts_is_no_failure() {
    let home = Home::new();
    let ran = home.run(&["demo", "--script", "list"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for name in
        ["tour", "leader-crash", "split-and-merge", "lost-datagrams", "slow-server", "twenty-crashes", "one-way"]
    {
        assert!(ran.stdout.lines().any(|line| line.starts_with(name)), "{name}: {}", ran.stdout);
    }
}

#[test]
fn steps_want_a_terminal() {
    let home = Home::new();
    let ran = home.run(&["demo", "--script", "tour", "--step"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}
