//! A disk that is full: what a server says that runs on it, and one that is to start there.

use crate::ring::Ring;
use crate::support::{Home, Lines, Program, Ran};
use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};

/// Set within a mount namespace of the test's own, whose `/mnt` is a small disk.
const INSIDE: &str = "RINGTALK_TEST_FULL_DISK";

/// Runs a test of this file in a namespace with a small disk; skipped where the system gives none.
#[expect(clippy::print_stdout, clippy::panic, reason = "says that it was skipped, fails otherwise")]
fn on_a_small_disk(test: &str) {
    let script = format!("mount -t tmpfs -o size=4m none /mnt && {INSIDE}=1 exec \"$0\" \"$@\"");
    let program = std::env::current_exe().expect("a path");
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-c", &script])
        .arg(program)
        .args([&format!("full::{test}"), "--exact", "--nocapture"])
        .output();
    let Ok(output) = output else { return println!("skipped: no unshare here") };
    let told = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    } else if told.contains("unshare:") || told.contains("mount:") {
        println!("skipped: no private mount namespace here");
    } else {
        panic!("{told}{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Fills what is left of the small disk.
fn fill() {
    let mut file = OpenOptions::new().create(true).append(true).open("/mnt/ballast").expect("a file");
    for bytes in [64 << 10, 4 << 10, 512, 1] {
        while file.write_all(&vec![0; bytes]).is_ok() {}
    }
}

#[test]
fn full_disk_of_a_running_server_is_told_once_with_where_sending_goes() {
    if !is_inside() {
        return on_a_small_disk("full_disk_of_a_running_server_is_told_once_with_where_sending_goes");
    }
    let mut ring = Ring::start(&["elm"]);
    let args = ring.args(&["server", "--name", "oak", "--data", "/mnt/oak", "--web", "off", "--quiet"]);
    let log = ring.home().path().join("oak.log");
    let told = std::fs::File::create(&log).expect("a file");
    let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let oak = Program(command.stdout(Stdio::null()).stderr(told).spawn().expect("it starts"));
    ring.until_one_view_of(2);
    fill();
    let lines = format!("{}\n", "x".repeat(9_000)).repeat(300);
    let sent = ring.run_with_input(&["send", "lobby"], lines.as_bytes());
    assert_eq!(sent.code, 0, "what oak cannot take goes to elm: {sent:?}");
    ring.told("elm", "view", |view| {
        view["epoch"].as_u64() > Some(1) && view["members"].as_array().map(Vec::len) == Some(1)
    });
    // It tries again every second.
    let args = ring.args(&["status", "--watch", "--json"]);
    let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut watching = Program(command.spawn().expect("it starts"));
    let statuses = Lines::of(watching.stdout.take().expect("a pipe"));
    for _ in 0..3 {
        statuses.next().expect("a status a second");
    }
    drop(oak);
    let told = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(
        told,
        "ringtalk: No space in /mnt/oak. This server is read-only; history works, sending goes to elm.\n\
         hint: Make room: the server goes on by itself, and nothing acknowledged is lost.\n"
    );
}

/// A lone server refused everyone once its disk was full: its history could not be read.
#[test]
fn only_server_is_read_while_its_disk_is_full_and_takes_what_waited_when_there_is_room() {
    if !is_inside() {
        return on_a_small_disk("only_server_is_read_while_its_disk_is_full_and_takes_what_waited_when_there_is_room");
    }
    let ring = Ring::start(&[]);
    let args = ring.args(&["server", "--name", "oak", "--data", "/mnt/oak", "--web", "off", "--quiet"]);
    let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let _oak = Program(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
    assert_eq!(ring.run(&["send", "lobby", "before it was full"]).code, 0);
    // What is asked for waits for the index, which has it from then on.
    assert!(ring.run(&["history", "lobby"]).stdout.contains("before it was full"));
    fill();
    let lines = format!("{}\n", "x".repeat(9_000)).repeat(300);
    let outbox = ring.home().path().join("outbox");
    let args = ["send", "lobby", "--timeout", "3s", "--outbox", outbox.to_str().expect("text")];
    let refused = ring.run_with_input(&args, lines.as_bytes());
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(refused.stderr.contains("No space at oak: it is read-only."), "{refused:?}");

    let read = ring.run(&["history", "lobby"]);
    assert_eq!(read.code, 0, "{read:?}");
    assert!(read.stdout.contains("before it was full"), "{read:?}");
    assert!(read.stderr.contains("oak is read-only, its disk takes nothing"), "{read:?}");
    let status = ring.run(&["status"]);
    assert_eq!(status.code, 4, "{status:?}");
    assert!(status.stdout.contains("oak is read-only"), "{status:?}");

    let args = ring.args(&["send", "lobby", "was said while it was full", "--timeout", "60s"]);
    let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let waits = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    std::fs::remove_file("/mnt/ballast").expect("it is there");
    let sent = waits.wait_with_output().expect("it ends");
    assert!(sent.status.success(), "{sent:?}");
    let read = ring.run(&["history", "lobby"]);
    assert!(read.stdout.contains("was said while it was full"), "{read:?}");
}

#[test]
fn server_that_is_to_start_on_a_full_disk_says_so_and_exits_with_7() {
    if !is_inside() {
        return on_a_small_disk("server_that_is_to_start_on_a_full_disk_says_so_and_exits_with_7");
    }
    let ring = Ring::start(&[]);
    // One that has a history there, and a new one.
    let args = ring.args(&["server", "--name", "elm", "--data", "/mnt/elm", "--web", "off", "--quiet"]);
    let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let elm = Program(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
    assert_eq!(ring.run(&["send", "lobby", "before it was full"]).code, 0);
    drop(elm);
    fill();
    let home = Home::new();
    for dir in ["/mnt/oak", "/mnt/elm"] {
        let Ran { code, stderr, .. } = home.run(&["server", "--local", "--web", "off", "--data", dir]);
        assert_eq!(code, 7, "{stderr}");
        assert!(stderr.contains(&format!("ringtalk: No space in {dir}.\nhint: make room")), "{stderr}");
    }
}
