//! `demo`: plays lessons, proves that nothing was lost, and leaves nothing behind.

use crate::page::Browser;
use crate::pty::Window;
use crate::support::{Home, Lines};
use serde_json::Value;
use serde_json::json;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long a demo may take, beside other tests on a slow machine.
const LIMIT: Duration = Duration::from_mins(2);

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
    out: Lines,
}

impl Running {
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut child = command(home, args).stdin(Stdio::null()).spawn().expect("it starts");
        let out = Lines::of(child.stdout.take().expect("a pipe"));
        Self { child, out }
    }

    fn wait_for(&mut self, event: &str) -> Value {
        loop {
            let Some(line) = self.out.next() else { unreachable!("the demo ended before {event}") };
            let told: Value = serde_json::from_str(&line).expect("JSON");
            if told["event"] == event {
                return told;
            }
        }
    }

    /// `kill -9`; then every server must end, and the keeper remove what they kept.
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
fn each_step_of_a_lesson_waits_for_a_key_and_the_end_is_the_proof() {
    let home = Home::new();
    let args = ["demo", "--servers", "3", "--script", "power-cut", "--step", "--web", "off"];
    let mut window = Window::open(command(&home, &args), 120, 50);
    let step = |number: usize| format!("Step {number}");
    window.until_shown(&step(1));
    let mut number = 1;
    loop {
        window.press(" ");
        number += 1;
        let next = step(number);
        window.until("the next step, or the end", |screen| {
            screen.contains(&next) || screen.contains("All histories are")
        });
        if !window.text().contains(&next) {
            break;
        }
    }
    assert_eq!(window.wait(), 0);
    assert!(number > 3 && window.text().contains("of these lost: 0"), "{}", window.text());
    assert!(window.is_given_back());
    assert_eq!(entries(&home), 0);
}

/// It ended at once, with what was cut still cut, and without the proof.
#[test]
fn lesson_that_is_left_early_is_mended_and_proven_too() {
    let home = Home::new();
    let args = ["demo", "--servers", "3", "--script", "split-and-merge", "--step", "--web", "off"];
    let mut window = Window::open(command(&home, &args), 120, 50);
    window.until_shown("Step 1");
    for number in 2..=3 {
        window.press(" ");
        window.until_shown(&format!("Step {number}"));
    }
    window.press("q");
    window.until_shown("All histories are");
    assert_eq!(window.wait(), 0);
    assert!(window.text().contains("of these lost: 0"), "{}", window.text());
    assert_eq!(entries(&home), 0);
}

/// A UDP port that nobody held.
fn free_port() -> u16 {
    std::net::UdpSocket::bind(("127.0.0.1", 0)).expect("a socket").local_addr().expect("a port").port()
}

#[test]
fn way_to_join_a_classroom_stands_last_and_comes_back_by_a_key() {
    let home = Home::new();
    let port = free_port().to_string();
    let args = ["-n", "class", "--port", &port, "--iface", "lo", "demo", "--classroom", "--servers", "2"];
    let mut window = Window::open(command(&home, &[&args[..], &["--web", "127.0.0.1:0"]].concat()), 80, 24);
    let how = [format!("ringtalk -n class --port {port} chat"), format!("ringtalk -n class --port {port} server")];
    let stands = |screen: &str| how.iter().all(|line| screen.contains(line)) && screen.contains("http://127.0.0.1:");
    window.until("they stand there", stands);
    for key in ["?", "j"] {
        // Lessons, and none of them, until all else has scrolled off.
        window.press(&"s0".repeat(3));
        window.until("they are gone", |screen| !how.iter().any(|line| screen.contains(line)));
        assert!(window.text().contains("and it heals\n"), "lines break between words: {}", window.text());
        window.press(key);
        window.until("they stand there", stands);
    }
}

#[test]
fn net_and_port_that_are_asked_for_are_the_demos_and_a_net_in_use_is_refused() {
    let home = Home::new();
    let port = free_port().to_string();
    let args = ["-n", "class", "--port", &port, "demo", "--servers", "2", "--script", "loss", "--json"];
    let mut demo = Running::start(&home, &args);
    let started = demo.wait_for("started");
    assert_eq!((&started["net"], started["port"].to_string()), (&json!("class"), port.clone()));
    demo.wait_for("talkers");
    let ran = home.run(&args);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("net \\\"class\\\" has servers"), "{ran:?}");
    demo.kill_and_wait_until_nothing_is_left(&home);
}

#[test]
fn steps_want_a_terminal() {
    let home = Home::new();
    let ran = home.run(&["demo", "--script", "tour", "--step"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn page_crashes_pauses_cuts_and_heals_and_is_told_what_it_asks_wrongly() {
    let home = Home::new();
    let mut demo = Running::start(&home, &["demo", "--servers", "3", "--web", "127.0.0.1:0", "--json"]);
    let started = demo.wait_for("started");
    demo.wait_for("talkers");
    let (mut browser, welcome) = Browser::open(started["page"].as_str().expect("a page"));
    assert_eq!(welcome["mode"], "demo");
    browser.control(json!({ "action": "crash", "server": "leader" }));
    browser.wait_for(|event| event["event"] == "tale" && event["text"].to_string().contains("killed (kill -9)"));
    browser.control(json!({ "action": "restart", "server": "all" }));
    browser.wait_for(|event| event["event"] == "tale" && event["text"].to_string().contains("started again"));
    browser.wait_for_state("elm", "running");
    browser.control(json!({ "action": "pause", "server": "elm" }));
    browser.wait_for_state("elm", "paused");
    browser.control(json!({ "action": "resume", "server": "elm" }));
    browser.control(json!({ "action": "cut", "groups": [["ash"], ["elm", "fir"]] }));
    browser.wait_for(|event| event["event"] == "demo" && event["servers"][0]["cut_from"] == json!(["elm", "fir"]));
    browser.control(json!({ "action": "slow", "factor": 3 }));
    browser.wait_for(|event| event["event"] == "demo" && event["slow"] == 3.0);
    browser.control(json!({ "action": "heal" }));
    let whole = |event: &Value| event["servers"][0]["cut_from"] == json!([]) && event["equal"] == true;
    let healed = browser.wait_for(|event| event["event"] == "demo" && whole(event));
    assert_eq!(healed["lost"], 0);
    for (request, code) in [
        (json!({ "action": "crash", "server": "\u{1b}[2J<img src=x>" }), "no_such_server"),
        (json!({ "action": "format", "server": "ash" }), "unknown_action"),
        (json!({ "action": ["crash"] }), "bad_control"),
        (json!({ "action": "burst", "messages": 1e18 }), "bad_control"),
        (json!({ "action": "resume", "server": "ash" }), "not_so"),
        (json!({ "action": "step" }), "no_script"),
    ] {
        let refusal = browser.refusal(request);
        assert_eq!(refusal["code"], code, "{refusal}");
    }
    browser.control(json!({ "action": "script", "name": "power-cut", "stepwise": true }));
    let waiting = browser.wait_for(|event| event["event"] == "demo" && event["script"]["waiting"] == true);
    assert_eq!((&waiting["script"]["name"], &waiting["script"]["step"]), (&json!("power-cut"), &json!(1)));
    browser.control(json!({ "action": "step" }));
    browser.wait_for(|event| event["event"] == "demo" && event["script"]["step"] == 2);
    browser.control(json!({ "action": "stop" }));
    browser.wait_for(|event| event["event"] == "demo" && event["script"].is_null());
    // Nobody is left then but the keeper.
    for name in ["ash", "elm", "fir"] {
        browser.control(json!({ "action": "crash", "server": name }));
        browser.wait_for_state(name, "crashed");
    }
    demo.kill_and_wait_until_nothing_is_left(&home);
}
