//! Two servers with one id: directories that are copies of each other.

use crate::past;
use crate::ring::{Ring, documents};
use crate::support::{Lines, Program, Ran};
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;

/// The directory of one server, made as often as asked: each a copy of the other.
fn copies(ring: &Ring, names: &[&str]) {
    let until = past::a_minute_ago();
    for name in names {
        past::write(&ring.home.path().join(name), 0x7001, "lobby", 3, until);
    }
}

fn server<'a>(data: &'a Path, name: &'a str) -> [&'a str; 5] {
    ["server", "--name", name, "--data", data.to_str().expect("text")]
}

#[test]
fn copy_of_a_server_that_works_does_not_start_and_says_what_to_do() {
    let mut ring = Ring::start(&[]);
    copies(&ring, &["oak", "copy"]);
    ring.add("oak");
    let data = ring.home.path().join("copy");
    let ran = ring.run(&server(&data, "elm"));
    assert_eq!(ran.code, 6, "{ran:?}");
    assert_eq!(ran.stdout, "", "it never was a server");
    let told = "is also at 127.0.0.1 (a cloned machine?). This server did not start; that one goes on.\n";
    assert!(ran.stderr.starts_with("ringtalk: Server id ") && ran.stderr.contains(told), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: ") && ran.stderr.contains("--data DIR"), "{}", ran.stderr);
    assert_eq!(ring.told("oak", "cloned", |_| true)["id"], "0000000000007001");
    let scripts = ring.run(&[&server(&data, "elm")[..], &["--json"]].concat());
    assert_eq!((scripts.code, documents(&scripts.stderr)[0]["error"]["code"].as_str()), (6, Some("id_in_use")));
    assert_eq!(ring.run(&["status"]).code, 0, "the one that works is undisturbed");
}

#[test]
fn of_two_copies_that_start_at_once_one_goes_on() {
    let ring = Ring::start(&[]);
    copies(&ring, &["oak", "elm"]);
    let start = |name: &str| {
        let args = ring.args(&server(&ring.home.path().join(name), name));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Program(ring.home.command(&args).spawn().expect("it starts"))
    };
    let mut both = [start("oak"), start("elm")];
    let lines = both.each_mut().map(|one| Lines::of(one.stdout.take().expect("a pipe")));
    let (ended, at) = until_one_has_ended(&lines);
    let mut stderr = String::new();
    both[ended].stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("text");
    assert_eq!(both[ended].wait().expect("it has ended").code(), Some(6), "{at:?}: {stderr}");
    assert!(stderr.contains("(a cloned machine?)"), "{stderr}");
    let other: Ran = ring.run(&["send", "lobby", "still here"]);
    assert_eq!(other.code, 0, "{other:?}");
    assert!(both[1 - ended].try_wait().expect("a child").is_none());
}

/// Which of two programs ends first, and what it wrote. Each is listened to while the other has nothing to say.
fn until_one_has_ended(lines: &[Lines; 2]) -> (usize, Vec<String>) {
    let mut wrote = [Vec::new(), Vec::new()];
    loop {
        for (at, lines) in lines.iter().enumerate() {
            match lines.soon() {
                Ok(line) => wrote[at].push(line),
                Err(RecvTimeoutError::Disconnected) => return (at, std::mem::take(&mut wrote[at])),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
