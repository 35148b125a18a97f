//! Names and texts that want to be more than that.

use crate::browser::Browser;
use crate::chat::{WITH_PAGE, enter, is_shown};
use crate::page::quoted;
use crate::ring::{Ring, documents};
use serde_json::Value;

const ROOM: &str = "<svg/onload=document.title=1>";
const NICK: &str = "<img/src=x>";

/// What a line is, and what the page is to show of it.
const TEXTS: [(&str, &str); 5] = [
    ("<img src=x onerror=\"document.title='owned'\">", "<img src=x onerror=\"document.title='owned'\">"),
    ("</div><script>document.title='owned'</script>", "</div><script>document.title='owned'</script>"),
    ("\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}31m", "\\u{1b}[2J\\u{1b}]52;c;ZXZpbA==\\u{7}\\u{9b}31m"),
    ("\u{202e}txt.exe\u{2066}\u{200b}", "\\u{202e}txt.exe\\u{2066}\\u{200b}"),
    ("nul\0inside", "nul\\u{0}inside"),
];

/// Elements that the page itself never makes, and attributes that run.
const FOREIGN: &str =
    "#chat img, #chat script, #chat iframe, #chat svg, #watch img, #watch script, [onerror], [onload]";

#[test]
fn names_and_texts_stay_text_and_nothing_else() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&[]);
    ring.add_with("oak", &WITH_PAGE);
    let url = ring.page("oak");
    let mut eva = enter(&mut browser, &url, "oak", "eva");
    eva.say(&format!("/join {ROOM}"));
    eva.wait_until(&format!("document.querySelector('#room-name').textContent === {}", quoted(&format!("#{ROOM}"))));
    let long = "y".repeat(64 * 1024);
    let lines: Vec<&str> = TEXTS.iter().map(|(text, _)| *text).chain([long.as_str()]).collect();
    let sent = ring.run_with_input(&["send", ROOM, "--nick", NICK], lines.join("\n").as_bytes());
    assert_eq!(sent.code, 0, "{sent:?}");
    for (_, shown) in TEXTS {
        eva.wait_until(&is_shown(shown, NICK));
    }
    eva.wait_until("document.querySelector('#messages').textContent.includes('show all (64 KiB)')");
    assert_eq!(eva.count(FOREIGN), 0);

    // From the page's own composer too, and back whole.
    eva.say(TEXTS[0].0);
    eva.wait_until("document.querySelector('#messages .own .state[data-state=stable]')");
    eva.say(&format!("/topic {}", TEXTS[1].0));
    eva.wait_until(&format!("document.querySelector('#topic').textContent === {}", quoted(TEXTS[1].1)));
    eva.type_in("#words", "owned");
    eva.press("Enter");
    eva.wait_for("#found [data-hit]");
    eva.click("#tab-ring");
    eva.click("#tab-rooms");
    eva.wait_until(&format!("document.querySelector('#panel-rooms').textContent.includes({})", quoted(ROOM)));

    assert_eq!(eva.count(FOREIGN), 0);
    assert_eq!(eva.eval("document.title"), "ringtalk");
    let body = eva.eval("document.body.textContent");
    let body = body.as_str().expect("text");
    assert!(body.chars().all(|c| c == '\n' || !c.is_control() && !matches!(c, '\u{202e}' | '\u{2066}' | '\u{200b}')));
    ring.until_history_has("<img src=x");
    let history = documents(&ring.run(&["history", ROOM, "--all", "--json"]).stdout);
    let texts: Vec<Value> = history.iter().map(|line| line["text"].clone()).collect();
    for line in lines {
        assert!(texts.contains(&line.into()), "{line:.40}");
    }
    eva.assert_sound();
}
