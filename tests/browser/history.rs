//! A long history, in the page.

use crate::browser::Browser;
use crate::chat::{WITH_PAGE, enter};
use crate::ring::Ring;

#[test]
fn history_is_paged_to_its_first_message_and_a_search_goes_to_what_it_found() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&[]);
    ring.add_with("oak", &WITH_PAGE);
    let lines: Vec<String> = (1..=3000).map(|n| format!("line {n} of many")).collect();
    assert_eq!(ring.run_with_input(&["send", "lobby"], lines.join("\n").as_bytes()).code, 0);
    ring.until_history_has("line 3000 of many");
    let url = ring.page("oak");
    let mut eva = enter(&mut browser, &url, "oak", "eva");
    eva.wait_until("document.querySelector('#messages').textContent.includes('line 3000 of many')");

    // Up and up; each page must begin before the last one, with no line between them left out.
    eva.eval(
        "window.missing = []; window.seen = (box) => {
           const numbers = [...box.querySelectorAll('[data-id] .text')].map((text) => Number(text.textContent.split(' ')[1]));
           numbers.forEach((number, at) => at && number !== numbers[at - 1] + 1 && missing.push(number));
           return numbers[0];
         }",
    );
    eva.wait_until(
        "((box) => { seen(box); box.scrollTop = 0; return box.querySelector('.beginning') && seen(box) === 1; })\
         (document.querySelector('#messages'))",
    );
    assert_eq!(eva.eval("missing"), serde_json::json!([]));
    assert!(eva.count("#messages > *") <= 310, "what is out of sight is no element");

    eva.type_in("#words", "line 1234");
    eva.press("Enter");
    eva.wait_for("#found [data-hit]");
    assert_eq!(eva.count("#found [data-hit]"), 1);
    eva.click("#found [data-hit]");
    eva.wait_until(
        "((hit) => hit?.querySelector('.text').textContent === 'line 1234 of many' && hit.getBoundingClientRect().top > 0 \
         && hit.getBoundingClientRect().bottom < innerHeight)(document.querySelector('#messages .hit'))",
    );
    assert!(eva.text("#messages").contains("line 1230 of many"));
    eva.click("#newest");
    eva.wait_until(
        "((all) => all.at(-1)?.textContent.includes('line 3000 of many'))\
         ([...document.querySelectorAll('#messages [data-id]')])",
    );
    eva.assert_sound();
}
