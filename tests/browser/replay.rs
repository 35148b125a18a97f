//! A file of events: the ring at the moment that is shown, and what servers and people are called.

use crate::browser::Browser;
use crate::ring::Ring;
use crate::support::{Home, Lines, Program};
use serde_json::Value;

fn replay(home: &Home, file: &str) -> (Program, String) {
    let mut child = home.command(&["replay", file, "--web", "127.0.0.1:0", "--json"]).spawn().expect("it starts");
    let line = Lines::of(child.stdout.take().expect("a pipe")).next().expect("it starts");
    let started: Value = serde_json::from_str(&line).expect("JSON");
    (Program(child), started["page"].as_str().expect("an address").to_owned())
}

#[test]
fn replay_opens_with_the_ring_of_the_moment_it_shows_and_knows_names() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&["oak", "elm", "ash"]);
    let sent = ring.run(&["send", "lobby", "hello", "--nick", "cleo"]);
    assert_eq!(sent.code, 0, "{sent:?}");
    ring.until_history_has("hello");
    ring.kill("ash");
    ring.until_one_view();
    let file = ring.home().path().join("les.record");
    let path = file.to_str().expect("text");
    let ran = ring.run(&["record", path]);
    assert_eq!(ran.code, 0, "{ran:?}");

    let (_replay, url) = replay(ring.home(), path);
    let mut page = browser.open(&url);
    page.wait_until("document.querySelector('#pause').textContent === 'Play'");
    page.wait_until("document.querySelectorAll('#ring [data-server]').length >= 2");
    assert!(page.count(".servers tr[data-server]") >= 2);
    // At the end of it oak or elm leads, as all say, and the third is known by its name.
    page.eval("document.querySelector('#scrub').value = 1000; document.querySelector('#scrub').dispatchEvent(new Event('input'))");
    page.wait_for(".servers tr[data-leader=true][data-state=leader]");
    page.wait_for("#ring [data-server=ash][data-state=failed]");
    let names =
        page.eval("[...document.querySelectorAll('.servers tr[data-server]')].map((row) => row.dataset.server).sort()");
    assert_eq!(names, serde_json::json!(["ash", "elm", "oak"]));
    page.wait_until(
        "document.querySelector('#ring-caption').textContent.includes('leads, epoch') \
                     && document.querySelector('#ring-caption').textContent.includes(', 2 servers')",
    );
    page.keep_shot("replay");
    // Of who tells nothing itself the others' views tell.
    let told = page.eval(
        "import('/app/picture.js').then(({ Picture, stateOf }) => {
           const picture = new Picture();
           const members = ['ash', 'elm', 'oak'].map((name, at) => ({ name, id: `${at}` }));
           const view = (epoch, leader) => picture.trace({ server: 'oak', at_us: epoch, what: 'event',
             fields: { event: 'view', epoch, leader, members } });
           const all = () => picture.ring.map((server) => `${server.name} ${stateOf(server)}`).join(', ');
           view(1, 'ash');
           const first = all();
           view(2, 'oak');
           return [first, all()];
         })",
    );
    let states = ["ash leader, elm member, oak member", "ash member, elm member, oak leader"];
    assert_eq!(told, serde_json::json!(states));
    let record = ringtalk::web::record_file::read(&file).expect("a record");
    assert!(record.header.nicks.values().any(|nick| nick == "cleo"), "{:?}", record.header.nicks);
    page.assert_sound();
}
