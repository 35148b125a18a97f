//! The demo, driven from its page.

use crate::browser::Browser;
use crate::page::Page;
use crate::support::{Home, Lines, Program};
use serde_json::Value;

/// A demo with a page. Dropped, it is killed, and its servers end with it.
pub(crate) struct Demo {
    _child: Program,
    pub(crate) url: String,
    _home: Home,
}

impl Demo {
    /// Starts it, and waits until people talk.
    pub(crate) fn start() -> Self {
        let home = Home::new();
        let mut command = home.command(&["demo", "--servers", "5", "--web", "127.0.0.1:0", "--json"]);
        let mut child = command.env("TMPDIR", home.path()).spawn().expect("it starts");
        let lines = Lines::of(child.stdout.take().expect("a pipe"));
        let wait_for = |event: &str| loop {
            let line = lines.next().expect("it goes on");
            let told: Value = serde_json::from_str(&line).expect("JSON");
            if told["event"] == event {
                return told;
            }
        };
        let url = wait_for("started")["page"].as_str().expect("an address").to_owned();
        wait_for("talkers");
        Self { _child: Program(child), url, _home: home }
    }
}

/// The condition that this many servers are in the ring, under one leader, with equal histories and digests that show it, and
/// nothing lost.
fn is_whole(servers: usize) -> String {
    format!(
        "document.querySelector('#proof[data-equal=true][data-lost=\"0\"]') \
         && document.querySelectorAll('.servers .digest[data-same=true]').length === {servers} \
         && document.querySelectorAll('.servers tr[data-leader=true]').length === 1 \
         && document.querySelectorAll('.servers tr:is([data-state=leader], [data-state=member])').length === {servers}"
    )
}

/// The condition that the ring shows a leader on each side of a cut, and none of the five as gone.
const TWO_RINGS: &str = "document.querySelectorAll('#ring [data-server][data-leader=true]').length === 2 \
     && document.querySelectorAll('#ring [data-server]:is([data-state=leader], [data-state=member])').length === 5";

fn acknowledged(page: &mut Page) -> u64 {
    let count = page.eval("Number(document.querySelector('#proof').dataset.acknowledged)");
    count.as_f64().expect("a number") as u64
}

/// Keeps what the token does; it may be gone before anybody looks.
const WATCH_TOKEN: &str = "window.hops = [];
    let last = (({ from, to } = {}) => `${from} ${to}`)(document.querySelector('#ring .token')?.dataset);
    new MutationObserver(() => {
      const token = document.querySelector('#ring .token[data-from]');
      const hop = token && `${token.dataset.from} ${token.dataset.to}`;
      if (hop && hop !== last) hops.push(last = hop);
    }).observe(document.querySelector('#ring'), { attributes: true, childList: true, subtree: true }); true";

#[test]
fn leader_is_crashed_and_comes_back_and_a_split_heals_with_equal_histories() {
    let Some(mut browser) = Browser::start() else { return };
    let demo = Demo::start();
    let mut page = browser.open(&demo.url);
    page.wait_for("#ring");
    page.wait_until(&is_whole(5));
    let leader = page.wait_until("document.querySelector('#ring').dataset.leader");
    let leader = leader.as_str().expect("a name").to_owned();

    // Those who talk are in the room, and called by their nicks.
    page.click("#tab-chat");
    for nick in ["ana", "bob", "cem", "dia"] {
        page.wait_for(&format!("#people-list [data-person={nick}]"));
    }
    page.click("#tab-ring");

    page.eval(WATCH_TOKEN);
    page.click("#tab-faults");
    page.click("[data-do=crash][data-server=leader]");
    page.wait_until(&format!(
        "((now) => now && now !== '{leader}' && document.querySelector(`#ring [data-server='${{now}}'][data-leader=true]`))\
         (document.querySelector('#ring').dataset.leader)"
    ));
    page.wait_until(&format!("hops.some((hop) => !hop.split(' ').includes('{leader}'))"));
    page.click("#tab-servers");
    // What is said of it is what holds while it is dead.
    page.wait_until(&format!("document.querySelector('tr[data-server={leader}] td.clients').textContent === ''"));
    page.wait_until("document.querySelector('#ring-caption').textContent.includes(', 4 servers')");
    page.wait_for(".servers th.lag");
    page.keep_shot("lesson-1-crashed");
    page.click(&format!("tr[data-server={leader}] [data-do=restart]"));
    page.wait_for(&format!("tr[data-server={leader}] [data-do=crash]"));
    page.wait_until(&is_whole(5));
    page.keep_shot("lesson-2-caught-up");

    page.click("#tab-faults");
    page.click("[data-do=cut][data-way=groups]");
    page.wait_until("document.querySelectorAll('#ring .cut').length === 6");
    page.wait_until(TWO_RINGS);
    let before = acknowledged(&mut page);
    page.click("[data-do=burst]");
    page.wait_until(&format!("Number(document.querySelector('#proof').dataset.acknowledged) >= {}", before + 200));
    page.wait_for("#proof[data-equal=false]");
    // It stays so while the cut lasts: each side has told the host often by now that the other is gone.
    let since = page.eval("performance.now()");
    page.wait_until(&format!("performance.now() > {since} + 3000 && {TWO_RINGS}"));
    // And both sides are read: the page draws what happens on each.
    page.wait_until(&format!("ringtalkStats().servers === 5 && {TWO_RINGS}"));
    page.keep_shot("lesson-3-cut");
    page.click("[data-do=heal]");
    page.click("#tab-servers");
    page.wait_until(&is_whole(5));
    page.keep_shot("lesson-4-healed");
    assert!(page.count("#tale li") > 5, "it is told in words");
    page.assert_sound();
}
