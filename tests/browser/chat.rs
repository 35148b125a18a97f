//! People in a browser and at a terminal, whose server dies, whose net splits.

use crate::browser::Browser;
use crate::page::{LIMIT, Page, quoted};
use crate::past;
use crate::pty::{Window, now};
use crate::ring::{Ring, documents};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// With a page, on a port of its own.
pub(crate) const WITH_PAGE: [&str; 2] = ["--web", "127.0.0.1:0"];

pub(crate) fn window(ring: &Ring, nick: &str, server: &str) -> Window {
    let args = ring.args(&["chat", "--nick", nick]);
    let command = ring.home().command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let mut window = Window::open(command, 80, 24);
    window.until_shown(&format!("at {server}"));
    window
}

/// Waits until the page at `url` may reach all these others: its policy names those that its host has heard of.
pub(crate) fn until_it_knows(url: &str, others: &[String]) {
    let addr = url.trim_start_matches("http://");
    let deadline = now() + LIMIT;
    loop {
        let (mut stream, mut answer) = (TcpStream::connect(addr).expect("it listens"), String::new());
        write!(stream, "GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").expect("it listens");
        stream.read_to_string(&mut answer).expect("a page");
        if others.iter().all(|other| answer.contains(&other.replace("http:", "ws:"))) {
            return;
        }
        assert!(now() < deadline, "never heard of {others:?}: {answer}");
    }
}

/// Opens the chat at this server's page, as this person.
pub(crate) fn enter(browser: &mut Browser, url: &str, server: &str, nick: &str) -> Page {
    let mut page = browser.open(url);
    page.wait_for(&format!("#where[data-state=open][data-server={server}]"));
    page.say(&format!("/nick {nick}"));
    page.wait_until(&format!("document.querySelector('#nick').textContent === {}", quoted(nick)));
    page
}

/// The condition that a message with this text is shown once, and, of one's own, has got so far.
pub(crate) fn is_shown(text: &str, ladder: &str) -> String {
    format!(
        "((all) => all.length === 1 && all[0].textContent.includes({}))([...document.querySelectorAll('#messages \
         [data-id]')].filter((line) => line.querySelector('.text').textContent === {}))",
        quoted(ladder),
        quoted(text)
    )
}

/// The server that both use is killed, and both go on talking: until the last of it is stable, and for how many seconds the page
/// says that it was nowhere.
pub(crate) fn talk_while_oak_dies(ring: &mut Ring, ana: &mut Window, eva: &mut Page) -> (Duration, f32) {
    let killed = now();
    ring.kill("oak");
    for n in 1..=5 {
        eva.say(&format!("from eva {n}"));
        ana.say(&format!("from ana {n}"));
    }
    for n in 1..=5 {
        eva.wait_until(&is_shown(&format!("from eva {n}"), "✓"));
        eva.wait_until(&is_shown(&format!("from ana {n}"), ""));
        ana.until_shown(&format!("eva  from eva {n}"));
    }
    let took = killed.elapsed();
    let moved = "[...document.querySelectorAll('#messages .notice')].map((line) => line.textContent)\
                 .find((text) => /^oak is gone. Moving to (elm|ash) … done/.test(text))";
    let moved = eva.wait_until(moved);
    let moved = moved.as_str().expect("text");
    assert!(moved.ends_with("othing lost."), "{moved}");
    (took, seconds_away(moved))
}

/// The seconds without a server, in the line that tells of the move.
pub(crate) fn seconds_away(text: &str) -> f32 {
    let away = text.split("done (").nth(1).and_then(|rest| rest.split(' ').next()).expect("a time");
    away.parse().expect("seconds")
}

fn ids_on(page: &mut Page) -> Vec<Value> {
    let ids = page.eval("[...document.querySelectorAll('#messages [data-id]')].map((line) => line.dataset.id)");
    ids.as_array().expect("a list").clone()
}

#[test]
fn browser_and_terminal_talk_and_survive_the_server_both_use() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&[]);
    ring.add_with("oak", &WITH_PAGE);
    let mut ana = window(&ring, "ana", "oak");
    ring.add_with("elm", &WITH_PAGE);
    ring.add_with("ash", &WITH_PAGE);
    ring.until_one_view();
    ana.until_shown("3 servers");
    let others = [ring.page("elm"), ring.page("ash")];
    let url = ring.page("oak");
    let mut eva = enter(&mut browser, &url, "oak", "eva");
    until_it_knows(&url, &others);
    eva.navigate(&url);
    eva.wait_for("#where[data-state=open][data-server=oak]");

    eva.say("can the terminal see this?");
    ana.until_shown("eva  can the terminal see this?");
    eva.wait_until(&is_shown("can the terminal see this?", "✓✓"));
    ana.say("yes, eva");
    eva.wait_until(&is_shown("yes, eva", ""));

    let (took, away) = talk_while_oak_dies(&mut ring, &mut ana, &mut eva);
    say_measured(&format!("the page was nowhere for {away} s, the last of 10 messages was stable after {took:.2?}"));
    // Within a second on a machine that does nothing else; this one builds and tests beside it.
    assert!(away < 10.0, "{away}");

    ana.until_shown("from ana 5");
    for n in 1..=5 {
        assert_eq!(ana.text().matches(&format!("from eva {n}")).count(), 1, "{}", ana.text());
        ring.until_history_of_has("elm", &format!("from ana {n}"));
        ring.until_history_of_has("elm", &format!("from eva {n}"));
    }
    let history = documents(&ring.run(&["history", "--all", "--json", "--server", "elm"]).stdout);
    let ids: Vec<Value> = history.iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids.len(), 12);
    assert_eq!(ids_on(&mut eva), ids, "the page shows what history is, each once, in its order");
    eva.assert_sound();
}

#[test]
fn messages_from_the_other_side_of_a_healed_cut_are_a_marked_block_on_the_page() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&[]);
    for name in ["oak", "elm"] {
        ring.add_with(name, &[&WITH_PAGE[..], &["--faults"]].concat());
    }
    ring.until_one_view();
    let url = ring.page("oak");
    let mut eva = enter(&mut browser, &url, "oak", "eva");
    eva.say("before");
    eva.wait_until(&is_shown("before", "✓✓"));
    let elm = ring.addr("elm");
    ring.fault("oak", &format!("cut {elm} both"));
    eva.wait_until("document.querySelector('#messages').textContent.includes(', 1 server)')");
    let there: Vec<String> = (1..=3).map(|n| format!("over there {n}")).collect();
    let sent = ring.run_with_input(&["send", "lobby", "--server", "elm"], there.join("\n").as_bytes());
    assert_eq!(sent.code, 0, "{sent:?}");
    eva.say("over here");
    eva.wait_until(&is_shown("over here", "✓"));
    assert!(!eva.text("#messages").contains("over there"));

    ring.fault("oak", "heal");
    for text in &there {
        eva.wait_until(&is_shown(text, ""));
    }
    eva.wait_until("document.querySelector('.late-head')?.textContent.includes('3 messages from the other side')");
    assert_eq!((eva.count("#messages .late-head"), eva.count("#messages .late[data-id]")), (1, 3));
    eva.say("together again");
    eva.wait_until(&is_shown("together again", "✓✓"));
    eva.wait_until(&is_shown("over here", ""));
    let ids = ids_on(&mut eva);
    let once: std::collections::BTreeSet<String> = ids.iter().map(Value::to_string).collect();
    assert_eq!((ids.len(), once.len()), (6, 6));
    eva.assert_sound();
}

#[test]
fn talk_of_two_is_there_again_after_a_reload() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&[]);
    ring.add_with("oak", &WITH_PAGE);
    let url = ring.page("oak");
    let mut bob = window(&ring, "bob", "oak");
    let mut eva = enter(&mut browser, &url, "oak", "eva");
    bob.until_shown("eva");
    eva.say("/msg bob lunch?");
    eva.wait_until(&is_shown("lunch?", "✓"));
    bob.until_shown("@eva");
    bob.say("/msg eva at noon");
    eva.wait_until(&is_shown("at noon", ""));
    // A deed, which goes as words.
    eva.say("/me waves");
    bob.until("it is a deed", |screen| screen.contains("* eva waves") && !screen.contains("/me"));
    bob.say("/me nods");

    eva.navigate(&url);
    eva.wait_for("#where[data-state=open]");
    eva.click("#peers [data-peer=bob]");
    eva.wait_until(&is_shown("lunch?", "✓"));
    eva.wait_until(&is_shown("at noon", ""));
    eva.wait_for("#messages .beginning");
    for deed in ["waves", "nods"] {
        let deed = quoted(deed);
        let all = "[...document.querySelectorAll('#messages .deed .text')]";
        eva.wait_until(&format!("{all}.filter((text) => text.textContent.endsWith({deed})).length === 1"));
    }
    // It goes on where it was.
    bob.say("/msg eva or later");
    eva.wait_until(&is_shown("or later", ""));
    assert_eq!(eva.count("#messages [data-id]"), 5);
    // And what a search finds of it is shown there.
    eva.click("#rooms [data-room=lobby]");
    eva.type_in("#words", "lunch");
    eva.press("Enter");
    eva.click("#found [data-hit]");
    eva.wait_until("document.querySelector('#messages .hit .text')?.textContent === 'lunch?'");
    eva.assert_sound();
}

#[test]
fn found_message_stands_in_the_middle_with_what_followed_it() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&[]);
    past::write(&ring.home().path().join("oak"), 1, "lobby", 2000, past::a_minute_ago());
    ring.add_with("oak", &WITH_PAGE);
    let mut eva = enter(&mut browser, &ring.page("oak"), "oak", "eva");
    for number in [1234, 1300] {
        eva.eval("document.querySelector('#words').value = ''; true");
        eva.type_in("#words", &format!("line {number} many"));
        eva.press("Enter");
        let hit = quoted(&format!("line {number} of many"));
        eva.wait_until(&format!("document.querySelector('#found [data-hit]')?.textContent.includes({hit})"));
        eva.click("#found [data-hit]");
        let place = "((hit, box) => (hit.top + hit.height / 2 - box.top) / box.height)(document.querySelector('#messages \
                     .hit').getBoundingClientRect(), document.querySelector('#messages').getBoundingClientRect())";
        let text = "document.querySelector('#messages .hit .text')?.textContent";
        eva.wait_until(&format!("{text} === {hit}"));
        let place = eva.eval(place).as_f64().expect("a number");
        assert!((0.3..0.7).contains(&place), "{number}: {place}");
        assert!(eva.text("#messages").contains(&format!("line {} of many", number + 5)));
        eva.keep_shot("found");
    }
    eva.assert_sound();
}

/// Tells what was measured, also where the harness keeps a test's output.
pub(crate) fn say_measured(words: &str) {
    writeln!(std::io::stderr(), "measured: {words}").expect("standard error");
}
