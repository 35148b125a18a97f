//! The whole way of two people, one at a terminal and one in a browser: they find a server, talk, lose it, are cut apart and come
//! together again, read a long history to its first message, and search in it.

use crate::browser::Browser;
use crate::chat::{
    WITH_PAGE, enter, is_shown, say_measured, seconds_away, talk_while_oak_dies, until_it_knows, window,
};
use crate::page::{Page, quoted};
use crate::past;
use crate::pty::{Window, now};
use crate::ring::{Ring, documents};
use serde_json::json;
use std::collections::BTreeSet;

/// Messages of the history that is there when they come.
const MANY: u64 = 100_000;
/// How long either may be without a server, in seconds, as they say themselves.
const AT_ONCE: f32 = 1.0;

#[test]
fn terminal_and_browser_go_the_whole_way_together() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&[]);
    let until = past::a_minute_ago();
    for (id, name) in (1..).zip(["oak", "elm", "ash"]) {
        past::write(&ring.home().path().join(name), id, "lobby", MANY, until);
    }
    let with_page = [&WITH_PAGE[..], &["--faults"]].concat();
    ring.add_with("oak", &with_page);
    // Joined by discovery: nobody is told where oak is.
    let mut ana = window(&ring, "ana", "oak");
    ring.add_with("elm", &with_page);
    ring.add_with("ash", &with_page);
    ring.until_one_view();
    ana.until_shown("3 servers");
    let url = ring.page("oak");
    let mut eva = enter(&mut browser, &url, "oak", "eva");
    let others = [ring.page("elm"), ring.page("ash")];
    until_it_knows(&url, &others);
    eva.navigate(&url);
    eva.wait_for("#where[data-state=open][data-server=oak]");

    they_talk(&mut ana, &mut eva);
    both_survive(&mut ring, &mut ana, &mut eva);
    a_split_heals(&mut ring, &mut ana, &mut eva);
    eva.keep_shot("session-1-merged");
    the_past_is_read(&mut ana, &mut eva);
    words_are_found(&mut ana, &mut eva);
    eva.assert_sound();
}

fn they_talk(ana: &mut Window, eva: &mut Page) {
    eva.say("can the terminal see this?");
    ana.until_shown("eva  can the terminal see this?");
    eva.wait_until(&is_shown("can the terminal see this?", "✓✓"));
    ana.say("yes, eva");
    eva.wait_until(&is_shown("yes, eva", ""));
}

/// The server that both use is killed while both talk.
fn both_survive(ring: &mut Ring, ana: &mut Window, eva: &mut Page) {
    let (took, page_away) = talk_while_oak_dies(ring, ana, eva);
    ana.until("it says where it is now", |screen| {
        screen.contains("oak is gone. Moving to") && screen.contains("done (")
    });
    let away = [page_away, seconds_away(&ana.text())];
    say_measured(&format!("page and terminal were nowhere for {away:?} s, all was said after {took:.2?}"));
    assert!(away.iter().all(|seconds| *seconds <= AT_ONCE), "{away:?}");

    for n in 1..=5 {
        ring.until_history_of_has("elm", &format!("from ana {n}"));
        ring.until_history_of_has("elm", &format!("from eva {n}"));
    }
    let history = ring.run(&["history", "--last", "12", "--json", "--server", "elm"]);
    let texts: BTreeSet<String> = documents(&history.stdout).iter().map(|line| line["text"].to_string()).collect();
    assert_eq!(texts.iter().filter(|text| text.contains("from ")).count(), 10, "each once: {history:?}");
    for n in 1..=5 {
        assert_eq!(ana.text().matches(&format!("from eva {n}")).count(), 1, "{}", ana.text());
    }
}

/// The two servers that are left are cut apart; each side hears the other's words late, as a block of its own.
fn a_split_heals(ring: &mut Ring, ana: &mut Window, eva: &mut Page) {
    let (elm, ash) = (ring.addr("elm"), ring.addr("ash"));
    ring.fault("elm", &format!("cut {ash} both"));
    ring.fault("ash", &format!("cut {elm} both"));
    eva.wait_until("document.querySelector('#messages').textContent.includes(', 1 server)')");
    ana.until_shown("1 server ");
    for server in ["elm", "ash"] {
        let said: Vec<String> = (1..=3).map(|n| format!("at {server} {n}")).collect();
        let sent = ring.run_with_input(&["send", "lobby", "--server", server], said.join("\n").as_bytes());
        assert_eq!(sent.code, 0, "{sent:?}");
    }
    ana.say("over here, says ana");
    ana.until("it is stable", |screen| screen.lines().any(|line| line.contains("says ana") && line.contains('✓')));
    eva.say("over here, says eva");
    eva.wait_until(&is_shown("over here, says eva", "✓"));
    let (here, there) = if eva.text("#where").contains("elm") { ("elm", "ash") } else { ("ash", "elm") };
    // On one side ana's words, stable before eva's, would have come before them.
    let is_apart = !eva.text("#messages").contains("over here, says ana");
    eva.wait_until(&is_shown(&format!("at {here} 3"), ""));
    assert!(!eva.text("#messages").contains(&format!("at {there}")));

    ring.fault("elm", "heal");
    ring.fault("ash", "heal");
    for n in 1..=3 {
        eva.wait_until(&is_shown(&format!("at {there} {n}"), ""));
    }
    // What eva said last comes to ana in its order; all else was said before what either had read by then.
    let late = if is_apart { 4 } else { 3 };
    let head = format!("1 server rejoined: {late} messages from the other side");
    eva.wait_until(&format!("document.querySelector('.late-head')?.textContent.startsWith({})", quoted(&head)));
    assert_eq!((eva.count("#messages .late-head"), eva.count("#messages .late[data-id]")), (1, late));
    ana.until_shown("1 server rejoined: 3 messages from the other side");
    for n in 1..=3 {
        for server in ["elm", "ash"] {
            ana.until_shown(&format!("at {server} {n}"));
        }
    }
}

/// The terminal goes to the first message at once, the browser by scrolling through all of them.
fn the_past_is_read(ana: &mut Window, eva: &mut Page) {
    ana.press("\u{1b}[H");
    ana.until_shown("past  line 1 of many");
    ana.press("\u{1b}[F");
    ana.until_shown("over here, says ana");

    // Each page must begin before the last one, with no line between them left out.
    eva.eval(
        "window.missing = []; window.seen = (box) => {
           const lines = [...box.querySelectorAll('[data-id] .text')].map((text) => /^line (\\d+) of many$/.exec(text.textContent));
           const numbers = lines.filter(Boolean).map((found) => Number(found[1]));
           numbers.forEach((number, at) => at && number !== numbers[at - 1] + 1 && missing.push(number));
           return numbers[0];
         }",
    );
    let began = now();
    eva.wait_until_within(
        "((box) => { seen(box); box.scrollTop = 0; return box.querySelector('.beginning') && seen(box) === 1; })\
         (document.querySelector('#messages'))",
        5,
    );
    say_measured(&format!("the page was scrolled through {MANY} messages in {:.1?}", began.elapsed()));
    assert_eq!(eva.eval("missing"), json!([]));
    assert!(eva.count("#messages > *") <= 310, "what is out of sight is no element");
    eva.keep_shot("session-2-first");
}

fn words_are_found(ana: &mut Window, eva: &mut Page) {
    eva.type_in("#words", "line 12345 many");
    eva.press("Enter");
    eva.wait_for("#found [data-hit]");
    assert_eq!(eva.count("#found [data-hit]"), 1);
    eva.click("#found [data-hit]");
    eva.wait_until(&format!(
        "((hit) => hit?.querySelector('.text').textContent === {} && hit.getBoundingClientRect().top > 0 \
         && hit.getBoundingClientRect().bottom < innerHeight)(document.querySelector('#messages .hit'))",
        quoted("line 12345 of many")
    ));
    assert!(eva.text("#messages").contains("line 12340 of many"));
    eva.keep_shot("session-3-found");
    eva.click("#newest");
    eva.wait_until(&is_shown("over here, says eva", "✓"));

    ana.press("\u{6}");
    ana.say("line 12345 many");
    ana.until_shown("search: line 12345 many");
    ana.until_shown("line 12345 of many");
    ana.press("\r");
    ana.until_shown("line 12340 of many");
    ana.until_shown("line 12346 of many");
}
