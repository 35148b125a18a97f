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

/// Two lessons side by side: they mostly wait.
fn play_both(one: (&str, &str), other: (&str, &str)) -> (Vec<Value>, Vec<Value>) {
    std::thread::scope(|threads| {
        let first = threads.spawn(|| play(one.0, one.1));
        let second = play(other.0, other.1);
        (first.join().expect("played"), second)
    })
}

#[test]
fn leader_crash_and_split_end_with_equal_histories_and_nothing_lost() {
    let (crash, split) = play_both(("3", "leader-crash"), ("5", "split-and-merge"));
    assert_eq!((count(&crash, "crashed"), count(&crash, "restarted")), (1, 1));
    let tales = crash.iter().filter(|line| line["event"] == "tale");
    let words: Vec<&str> = tales.filter_map(|line| line["text"].as_str()).collect();
    assert!(words.iter().any(|words| words.contains("leads, epoch")), "{words:?}");
    assert!(words.iter().any(|words| words.contains("Messages were missing")), "{words:?}");
    let cut = split.iter().find(|line| line["event"] == "cut").expect("a cut");
    assert_eq!(cut["sides"].as_array().map(Vec::len), Some(2));
    assert!(split.iter().any(|line| line["event"] == "demo" && line["equal"] == false), "they differed meanwhile");
}

#[test]
fn lost_datagrams_and_a_slow_server_lose_no_message() {
    let (loss, slow) = play_both(("3", "lost-datagrams"), ("3", "slow-server"));
    let document = |told: &[Value], is_it: &dyn Fn(&Value) -> bool| {
        told.iter()
            .any(|line| line["event"] == "demo" && line["servers"].as_array().is_some_and(|all| all.iter().any(is_it)))
    };
    assert!(document(&loss, &|server| server["loss"] == 20 && server["dropped"].as_u64() > Some(0)));
    assert!(document(&slow, &|server| server["state"] == "paused"));
    assert_eq!((count(&slow, "paused"), count(&slow, "resumed")), (1, 1));
}

#[test]
fn twenty_crashes_and_a_power_cut_lose_nothing() {
    let (twenty, power) = play_both(("3", "twenty-crashes"), ("3", "power-cut"));
    assert_eq!((count(&twenty, "crashed"), count(&twenty, "restarted")), (20, 20));
    assert_eq!((count(&power, "crashed"), count(&power, "restarted")), (1, 1));
}

#[test]
fn leader_that_nobody_hears_is_left_out_until_it_is_heard_again() {
    let told = play("3", "one-way");
    assert_eq!((count(&told, "muted"), count(&told, "healed")), (1, 1));
    assert!(count(&told, "ring") >= 3, "all, the others, all again");
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
