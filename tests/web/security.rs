//! Who may load the page and talk to the host.

use crate::support::{Browser, Net, Page, get};
use ringtalk::web::{Door, Host, MAX_BROWSERS};
use serde_json::json;

#[test]
fn page_comes_with_a_policy_that_lets_nothing_foreign_in() {
    let page = Net::new().host();
    let host = page.addr().to_string();
    let answer = get(page.addr(), "/", &[("Host", &host)]);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; ",
        "frame-ancestors 'none'",
        "ws://127.0.0.1:8284 ",
        "ws://127.0.0.1:8299",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "content-type: text/html; charset=utf-8",
    ] {
        assert!(answer.contains(header), "{header}: {answer}");
    }
    let script = get(page.addr(), "/app/app.js", &[("Host", &host)]);
    assert!(script.contains("content-type: text/javascript") && script.contains("x-content-type-options: nosniff"));
    assert!(get(page.addr(), "/app/..%2f..%2fCargo.toml", &[("Host", &host)]).starts_with("HTTP/1.1 404"));
}

#[test]
fn name_that_somebody_points_here_is_refused() {
    let page = Net::new().host();
    let port = page.addr().port();
    for host in [format!("evil.example:{port}"), "127.0.0.1".to_owned(), format!("127.0.0.2:{port}"), String::new()] {
        for path in ["/", "/app/app.js", "/ws"] {
            let answer = get(page.addr(), path, &[("Host", &host)]);
            assert!(answer.starts_with("HTTP/1.1 403"), "{host}{path}: {answer}");
            assert!(!answer.contains(&page.token), "{answer}");
        }
    }
    assert!(get(page.addr(), "/", &[("Host", &format!("localhost:{port}"))]).starts_with("HTTP/1.1 200"));
    assert!(get(page.addr(), "/", &[]).starts_with("HTTP/1.1 403"), "no host at all");
}

#[test]
fn foreign_page_is_refused_before_its_first_word() {
    let page = Net::new().host();
    for origin in ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"] {
        assert_eq!(Browser::connect(page.addr(), Some(origin)).err(), Some(403), "{origin}");
    }
    let own = format!("http://{}", page.addr());
    assert!(Browser::connect(page.addr(), Some(&own)).is_ok());
}

#[test]
fn missing_or_wrong_token_is_turned_away_and_told_nothing() {
    let page = Net::new().host();
    for token in [json!(null), json!(""), json!("0000000000000000"), json!(page.token[1..])] {
        let mut browser = page.connect();
        browser.say(&json!({ "do": "hello", "token": token, "nick": "ana" }));
        let events: Vec<_> = std::iter::from_fn(|| browser.next()).collect();
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(["wrong_token", "malformed"].contains(&events[0]["code"].as_str().unwrap()), "{events:?}");
    }
    let mut browser = page.connect();
    browser.say(&json!({ "do": "rooms", "tag": 1 }));
    assert_eq!(browser.next().unwrap()["code"], "malformed");
    assert!(browser.next().is_none());
}

#[test]
fn oversized_message_ends_the_connection_and_nothing_else() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let mut ana = page.browser("ana");
    ana.say(&json!({ "do": "say", "tag": 1, "room": "lobby", "text": "x".repeat(449 << 10) }));
    while ana.next().is_some() {}
    page.browser("bob").chat("all is well");
}

#[test]
fn words_that_are_too_long_or_senseless_are_answered() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let mut ana = page.browser("ana");
    ana.say(&json!({ "do": "say", "tag": 1, "room": "lobby", "text": "x".repeat(70 << 10) }));
    assert_eq!(ana.wait("error", |event| event["tag"] == 1)["code"], "too_long");
    ana.say(&json!({ "do": "say", "tag": 2, "room": "a b", "text": "x" }));
    assert_eq!(ana.wait("error", |event| event["tag"] == 2)["code"], "bad_name");
    ana.say(&json!({ "do": "fly", "tag": 3 }));
    assert_eq!(ana.wait("error", |event| event["tag"] == 3)["code"], "malformed");
    ana.say(&json!({ "do": "control", "tag": 4, "action": "crash", "server": "oak" }));
    assert_eq!(ana.wait("error", |event| event["tag"] == 4)["code"], "no_demo");
    ana.say(&json!({ "do": "tell", "tag": 5, "nick": "nobody", "text": "x" }));
    assert_eq!(ana.wait("rejected", |event| event["tag"] == 5)["code"], "no_such_nick");
    ana.chat("still here");
}

#[test]
fn more_browsers_than_there_is_room_for_are_told_so() {
    let page = Net::new().host();
    let crowd: Vec<Browser> = (0..MAX_BROWSERS).map(|_| page.connect()).collect();
    assert_eq!(Browser::connect(page.addr(), None).err(), Some(503));
    drop(crowd);
    while Browser::connect(page.addr(), None).is_err() {}
}

#[test]
fn page_on_the_network_wants_its_token_first() {
    let net = Net::new();
    let door = Door::open("0.0.0.0:0".parse().unwrap()).unwrap();
    let host = Host::builder(door, net.clients(), &net.name).start().unwrap();
    let addr = ([127, 0, 0, 1], host.addr().port()).into();
    let own = format!("127.0.0.1:{}", host.addr().port());
    for path in ["/", "/app/app.js", "/?token=0000000000000000"] {
        assert!(get(addr, path, &[("Host", &own)]).starts_with("HTTP/1.1 403"), "{path}");
    }
    let query = host.url().split_once("/?").unwrap().1;
    let answer = get(addr, &format!("/?{query}"), &[("Host", &own)]);
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("location: /\r\n"), "{answer}");
    let cookie = answer.split("set-cookie: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    assert!(cookie.contains("SameSite=Strict") && cookie.contains("HttpOnly"), "{cookie}");
    let page = get(addr, "/", &[("Host", &own), ("Cookie", cookie.split(';').next().unwrap())]);
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
}

#[test]
fn host_without_a_server_says_that_it_is_lost() {
    let page = Net::new().host();
    let Page { token, .. } = &page;
    let mut browser = page.connect();
    browser.say(&json!({ "do": "hello", "token": token, "nick": "ana" }));
    browser.wait("lost", |_| true);
}
