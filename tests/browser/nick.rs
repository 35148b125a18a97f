//! A nick that is asked for and refused, and names that are completed.

use crate::browser::Browser;
use crate::chat::{WITH_PAGE, enter, is_shown, window};
use crate::ring::Ring;

#[test]
fn refused_nick_is_a_passing_notice_and_no_lost_server() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&[]);
    ring.add_with("oak", &WITH_PAGE);
    let mut ana = window(&ring, "ana", "oak");
    ring.add("elm");
    ring.until_one_view();
    ana.until_shown("2 servers");
    let mut eva = enter(&mut browser, &ring.page("oak"), "oak", "eva");
    eva.say("before");
    eva.wait_until(&is_shown("before", "✓✓"));
    let views = "[...document.querySelectorAll('#messages .notice')].filter((line) => /leads now/.test(line.textContent)).length";
    let told = eva.eval(views);

    eva.say("/nick ana");
    eva.wait_until("document.querySelector('#hint').textContent.includes('ana2')");
    eva.say("still here");
    eva.wait_until(&is_shown("still here", "✓✓"));
    eva.wait_for("#where[data-state=open][data-server=oak]");
    assert_eq!(eva.count("#notice:not([hidden])"), 0);
    assert_eq!(eva.text("#hint"), "");
    assert_eq!((eva.eval(views), eva.text("#nick")), (told, "eva".to_owned()));
    ana.until_shown("eva  still here");

    eva.say("/nick eve");
    eva.wait_until("document.querySelector('#nick').textContent === 'eve'");
    eva.say("renamed");
    eva.wait_until(&is_shown("renamed", "✓✓"));
    eva.wait_for("#where[data-state=open][data-server=oak]");
    eva.assert_sound();
}

#[test]
fn tab_completes_rooms_and_nicks_where_they_fit() {
    let Some(mut browser) = Browser::start() else { return };
    let mut ring = Ring::start(&[]);
    ring.add_with("oak", &WITH_PAGE);
    let _cleo = window(&ring, "cleo", "oak");
    let mut eva = enter(&mut browser, &ring.page("oak"), "oak", "eva");
    eva.wait_for("#people-list [data-person=cleo]");
    for (typed, completed) in [
        ("#lo", "#lobby "),
        ("see #LO", "see #lobby "),
        ("@cl", "@cleo "),
        ("ask @cl", "ask @cleo "),
        ("cl", "cleo: "),
        ("ask cl", "ask cleo "),
        ("/msg cl", "/msg cleo "),
        ("/join #lo", "/join lobby"),
        ("/jo", "/join "),
    ] {
        eva.type_in("#say", typed);
        eva.press("Tab");
        assert_eq!(eva.eval("document.querySelector('#say').value"), completed, "{typed}");
        eva.eval("document.querySelector('#say').value = ''; true");
    }
    eva.assert_sound();
}
