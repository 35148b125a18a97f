//! People who come, go, and change their names.

use crate::pty::Window;
use crate::ring::Ring;
use crate::support::{Lines, Program};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::process::{ChildStdin, Stdio};

/// A plain chat whose person types when a test does.
struct Chat {
    child: Program,
    typed: ChildStdin,
    said: Lines,
}

impl Chat {
    fn start(ring: &Ring, nick: &str) -> Self {
        Self::start_at(ring, nick, &[])
    }

    fn start_at(ring: &Ring, nick: &str, args: &[&str]) -> Self {
        let args = ring.args(&[&["chat", "lobby", "--plain", "--nick", nick], args].concat());
        let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let (typed, said) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Self { child: Program(child), typed, said: Lines::of(said) }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.typed, "{line}").and_then(|()| self.typed.flush()).expect("it reads");
    }

    /// The first line with this in it, and those before.
    fn until(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.contains(text)) {
            lines.push(self.said.next().expect("it says so"));
        }
        lines
    }
}

fn people(ring: &Ring) -> String {
    ring.run(&["who"]).stdout
}

#[test]
fn who_is_interrupted_says_goodbye() {
    let ring = Ring::start(&["oak"]);
    let mut ana = Chat::start(&ring, "ana");
    ana.say("here");
    ana.until("<ana> here");
    assert!(people(&ring).contains("ana"));
    kill_process(Pid::from_child(&ana.child), Signal::TERM).expect("it runs");
    assert_eq!(ana.child.wait().expect("it ends").code(), Some(130));
    assert!(!people(&ring).contains("ana"), "{}", people(&ring));

    for how in [Signal::TERM, Signal::INT] {
        let args = ring.args(&["chat", "--nick", "bob"]);
        let command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let mut bob = Window::open(command, 80, 24);
        bob.until_shown("1 here");
        assert!(people(&ring).contains("bob"));
        if how == Signal::INT {
            bob.press("\u{3}");
        } else {
            bob.signal(how);
        }
        assert_eq!(bob.wait(), 130);
        assert!(!people(&ring).contains("bob"), "{}", people(&ring));
    }
}

#[test]
fn who_asks_for_the_nick_of_another_is_told_and_offered_one() {
    let ring = Ring::start(&["oak"]);
    assert_eq!(ring.run(&["send", "lobby", "mine", "--nick", "ana"]).code, 0);
    let dora = ring.run_with_input(&["chat", "--nick", "dora"], b"/nick ana\n");
    assert_eq!(dora.code, 0, "{dora:?}");
    assert!(dora.stderr.contains("that nick is someone else's; ana2 is free: /nick ana2"), "{dora:?}");
    let script = ring.run_with_input(&["chat", "--nick", "dora", "--json"], b"/nick ana\n");
    let refused = script.stderr.lines().find(|line| line.starts_with("{\"error\":")).expect("it is told");
    let refused: serde_json::Value = serde_json::from_str(refused).expect("a document");
    let told = (&refused["error"]["code"], &refused["error"]["hint"]);
    assert_eq!(told, (&"nick_taken".into(), &"ana2 is free: /nick ana2".into()), "{script:?}");
    assert!(!dora.stdout.contains("is the name of"), "{dora:?}");

    let mut dora = Chat::start(&ring, "dora");
    dora.say("/nick flora");
    let lines = dora.until("-- you are flora now");
    assert!(!lines.iter().any(|line| line.contains("you are dora")), "{lines:?}");
}

#[test]
fn send_tells_of_words_that_were_kept_and_of_nothing_else() {
    let mut ring = Ring::start(&["oak"]);
    ring.kill("oak");
    let nobody = ring.run(&["chat", "--plain", "--nick", "kim", "--timeout", "300ms"]);
    assert_eq!(nobody.code, 3, "{nobody:?}");
    ring.add("oak");
    let sent = ring.run(&["send", "lobby", "hello", "--nick", "kim"]);
    assert_eq!((sent.code, sent.stderr.as_str()), (0, "✓ 1 message stable on 1 of 1 server\n"));
}

#[test]
fn send_to_a_server_left_alone_tells_who_is_missed() {
    let mut ring = Ring::start(&["oak", "elm"]);
    ring.kill("elm");
    let sent = ring.run(&["send", "lobby", "hello", "--nick", "kim"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    let told = "Stored on oak only (1 of 1 here). It will spread when elm returns.\n";
    assert!(sent.stderr.ends_with(told), "{sent:?}");
}

#[test]
fn private_words_say_to_whom_they_went() {
    let ring = Ring::start(&["oak"]);
    assert_eq!(ring.run(&["send", "lobby", "mine", "--nick", "ana"]).code, 0);
    let mut dora = Chat::start(&ring, "dora");
    dora.say("/msg ana lunch?");
    dora.until("(to ana) <dora> lunch?");
}

#[test]
fn who_was_away_is_shown_what_was_said_to_them_and_nobody_else_is() {
    let ring = Ring::start(&["oak"]);
    assert_eq!(ring.run_with_input(&["chat", "--plain", "--nick", "ana"], b"here\n").code, 0);
    assert_eq!(ring.run(&["send", "@ana", "lunch?", "--nick", "bob"]).code, 0);
    Chat::start(&ring, "ana").until("(to you) <bob> lunch?");
    let other = ring.run_with_input(&["chat", "--plain", "--nick", "dora"], b"hello\n");
    assert!(other.stdout.contains("<dora> hello") && !other.stdout.contains("lunch?"), "{other:?}");
}

#[test]
fn tail_marks_what_came_late() {
    let mut ring = Ring::start(&[]);
    ring.add_faulty("oak");
    ring.add_faulty("elm");
    ring.until_one_view();
    let args = ring.args(&["tail", "lobby", "--late", "--server", "oak"]);
    let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut tail = command.stderr(Stdio::inherit()).spawn().expect("it starts");
    let shown = Lines::of(tail.stdout.take().expect("a pipe"));
    let until = |text: &str| loop {
        let line = shown.next().expect("it goes on");
        if line.contains(text) {
            return line;
        }
    };
    assert_eq!(ring.run(&["send", "lobby", "before", "--server", "oak"]).code, 0);
    // The tail may be slower to come than who sends: then it has nothing of what was said before.
    let (mut both, mut begun) = (false, false);
    while !both || !begun {
        both |= ring.run(&["send", "lobby", "begin", "--server", "oak"]).stderr.contains("2 of 2");
        begun |= std::iter::from_fn(|| shown.soon().ok()).any(|line| line.contains("begin"));
    }
    let elm = ring.addr("elm");
    ring.fault("oak", &format!("cut {elm} both"));
    while !ring.run(&["send", "lobby", "over there", "--server", "elm"]).stderr.contains("1 of 1") {}
    while !ring.run(&["send", "lobby", "over here", "--server", "oak"]).stderr.contains("1 of 1") {}
    assert!(!until("over here").contains("(late)"));
    ring.fault("oak", "heal");
    assert!(until("over there").ends_with("over there (late)"));
    tail.kill().and_then(|()| tail.wait()).expect("it ends");
}

/// Two servers, oak and elm, that do not hear each other any more, each in a view of its own.
fn cut_in_two() -> Ring {
    let mut ring = Ring::start(&[]);
    ring.add_faulty("oak");
    ring.add_faulty("elm");
    ring.until_one_view();
    let elm = ring.addr("elm");
    ring.fault("oak", &format!("cut {elm} both"));
    for server in ["elm", "oak"] {
        while !ring.run(&["send", "lobby", "before", "--server", server]).stderr.contains("1 of 1") {}
    }
    ring
}

/// A line of a server's history with this in it, once it is there.
fn written(ring: &Ring, server: &str, text: &str) -> String {
    loop {
        let history = ring.run(&["history", "--all", "--server", server]).stdout;
        if let Some(line) = history.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
    }
}

/// Two of one nick, each on a side of a cut: who had it second was told of it once a second, for ever, and got no further.
#[test]
fn who_lost_a_nick_when_two_sides_met_goes_on_under_a_free_one() {
    let mut ring = cut_in_two();
    let mut chats = ["oak", "elm"].map(|server| {
        let mut chat = Chat::start_at(&ring, "sam", &["--server", server]);
        chat.say(&format!("first at {server}"));
        assert!(written(&ring, server, &format!("first at {server}")).contains("sam"));
        chat
    });
    ring.fault("oak", "heal");
    chats[1].until("you are sam2 now");
    chats[1].say("and now");
    assert!(written(&ring, "oak", "and now").contains("sam2"));
    chats[0].say("still");
    assert!(!written(&ring, "elm", "still").contains("sam2"));
}

/// A window, or a tail, that was opened during a cut was never shown what the other side had said before.
#[test]
fn who_comes_during_a_cut_is_shown_what_the_other_side_had_said_before() {
    let mut ring = cut_in_two();
    assert_eq!(ring.run(&["send", "lobby", "over there", "--server", "elm"]).code, 0);
    let mut newcomer = Chat::start_at(&ring, "newcomer", &["--server", "oak"]);
    newcomer.say("here I am");
    newcomer.until("here I am");
    ring.fault("oak", "heal");
    newcomer.until("over there");
}

/// A quit names no room: `tail` said nothing of it.
#[test]
fn tail_tells_who_quits_also_if_he_was_there_before() {
    let ring = Ring::start(&["oak"]);
    let mut ana = Chat::start(&ring, "ana");
    ana.say("hello");
    ana.until("hello");
    let args = ring.args(&["tail", "lobby", "--json", "--last", "1"]);
    let mut command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut tail = Program(command.spawn().expect("it starts"));
    let shown = Lines::of(tail.stdout.take().expect("a pipe"));
    let until = |event: &str, nick: &str| loop {
        let line = shown.next().expect("it goes on");
        if line.contains(&format!("\"event\":\"{event}\"")) && line.contains(&format!("\"nick\":\"{nick}\"")) {
            assert!(line.contains("\"room\":\"lobby\""), "{line}");
            return;
        }
    };
    until("message", "ana");
    let mut bob = Chat::start(&ring, "bob");
    bob.say("hi");
    until("joined", "bob");
    until("message", "bob");
    for (mut chat, nick) in [(ana, "ana"), (bob, "bob")] {
        chat.say("/quit");
        until("left", nick);
    }
}
