//! People in browsers.

use crate::support::Net;
use serde_json::json;

#[test]
fn two_browsers_chat_and_see_how_far_their_words_have_got() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let (mut ana, mut bob) = (page.browser("ana"), page.browser("bob"));
    assert_eq!(ana.kept.welcome["nick"], "ana");
    assert_eq!(ana.kept.welcome["server"]["name"], "oak");
    assert_eq!(ana.kept.welcome["server"]["id"].as_str().unwrap().len(), 16);
    assert_eq!(ana.kept.welcome["mode"], "client");
    bob.wait("joined", |event| event["nick"] == "bob" && event["room"] == "lobby");
    ana.say(&json!({ "do": "say", "tag": 1, "room": "lobby", "text": "hi" }));
    let queued = ana.wait("queued", |event| event["tag"] == 1);
    ana.wait("accepted", |event| event["id"] == queued["id"]);
    let stable = ana.wait("stable", |event| event["id"] == queued["id"]);
    assert_eq!((&stable["copies"], &stable["of"]), (&1.into(), &1.into()));
    let heard = bob.message("hi");
    assert_eq!((&heard["nick"], &heard["room"], &heard["id"]), (&"ana".into(), &"lobby".into(), &queued["id"]));
    assert_eq!(heard["key"], stable["key"]);
    assert_eq!(bob.chat("hello")["of"], 1);
    ana.message("hello");
    ana.say(&json!({ "do": "tell", "tag": 2, "nick": "bob", "text": "psst" }));
    ana.wait("queued", |event| event["tag"] == 2);
    let whisper = bob.message("psst");
    assert_eq!((&whisper["kind"], &whisper["to"], &whisper["nick"]), (&"direct".into(), &"bob".into(), &"ana".into()));
    assert_eq!(ana.message("psst")["to"], "bob");
}

#[test]
fn history_people_rooms_and_words_are_found() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let mut ana = page.browser("ana");
    ana.say(&json!({ "do": "topic", "room": "lobby", "text": "weather" }));
    for n in 0..7 {
        ana.chat(&format!("line {n}"));
    }
    ana.message("line 6");
    let texts = |event: &serde_json::Value| -> Vec<String> {
        let messages = event["messages"].as_array().unwrap().iter();
        messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };
    // The index of messages runs behind: asks until it has the last one.
    let mut tag = 100;
    let last = loop {
        tag += 1;
        ana.say(&json!({ "do": "history", "tag": tag, "rooms": ["lobby"], "limit": 3 }));
        let page = ana.wait("history", |event| event["tag"] == tag);
        if texts(&page).last().is_some_and(|text| text == "line 6") {
            break page;
        }
    };
    assert_eq!(texts(&last), ["line 4", "line 5", "line 6"]);
    assert_eq!(last["more"], true);
    let before = last["messages"][0]["key"].clone();
    ana.say(&json!({ "do": "history", "tag": 2, "rooms": ["lobby"], "before": before, "limit": 3 }));
    assert_eq!(texts(&ana.wait("history", |event| event["tag"] == 2)), ["line 1", "line 2", "line 3"]);
    ana.say(&json!({ "do": "search", "tag": 3, "words": "line 5", "room": null }));
    assert_eq!(texts(&ana.wait("search", |event| event["tag"] == 3)), ["line 5"]);
    ana.say(&json!({ "do": "who", "tag": 4, "room": null }));
    let who = ana.wait("who", |event| event["tag"] == 4);
    assert_eq!(who["people"], json!([{ "room": "lobby", "nick": "ana", "server": "oak" }]));
    ana.say(&json!({ "do": "rooms", "tag": 5 }));
    let rooms = ana.wait("rooms", |event| event["tag"] == 5);
    assert_eq!((&rooms["rooms"][0]["room"], &rooms["rooms"][0]["topic"]), (&"lobby".into(), &"weather".into()));
}

#[test]
fn page_below_a_place_begins_behind_it_and_repeats_its_key() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let mut ana = page.browser("ana");
    let keys: Vec<_> = (0..7).map(|n| ana.chat(&format!("line {n}"))["key"].clone()).collect();
    let mut tag = 0;
    let mut below = |after: &serde_json::Value| {
        tag += 1;
        ana.say(
            &json!({ "do": "history", "tag": tag, "rooms": ["lobby"], "before": null, "after": after, "limit": 3 }),
        );
        ana.wait("history", |event| event["tag"] == tag)
    };
    let texts = |event: &serde_json::Value| -> Vec<String> {
        let messages = event["messages"].as_array().unwrap().iter();
        messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    };
    // The index of messages runs behind: asks until it has the last one.
    while texts(&below(&keys[5])) != ["line 6"] {}
    let middle = below(&keys[1]);
    assert_eq!(texts(&middle), ["line 2", "line 3", "line 4"]);
    assert_eq!((&middle["after"], &middle["more"]), (&keys[1], &true.into()));
    let last = below(&keys[3]);
    assert_eq!((texts(&last).len(), &last["more"]), (3, &false.into()));
    let none = below(&"no key".into());
    assert_eq!((texts(&none).last().map(String::as_str), none.get("after")), (Some("line 6"), None));
}

#[test]
fn talk_of_two_is_read_back_by_both_and_nothing_of_it_by_others() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let (mut ana, mut bob, mut eva) = (page.browser("ana"), page.browser("bob"), page.browser("eva"));
    // Their nicks are theirs once they have said something.
    for who in [&mut ana, &mut bob, &mut eva] {
        who.chat("here");
    }
    let tell = |from: &mut crate::support::Browser, to: &str, text: &str| {
        from.say(&json!({ "do": "tell", "tag": text, "nick": to, "text": text }));
        let id = from.wait("queued", |event| event["tag"] == text)["id"].clone();
        from.wait("stable", |event| event["id"] == id);
    };
    for n in 0..5 {
        tell(&mut ana, "bob", &format!("to bob {n}"));
        tell(&mut bob, "ana", &format!("to ana {n}"));
        for m in 0..3 {
            tell(&mut ana, "eva", &format!("between {n} {m}"));
        }
    }
    // Another host, which has never heard of any of them.
    let elsewhere = net.host();
    let (mut ana, mut eva) = (elsewhere.welcome(&ana.hello()), elsewhere.welcome(&eva.hello()));
    let mut tag = 0;
    let mut talk = |who: &mut crate::support::Browser, with: &str, before: &serde_json::Value| {
        tag += 1;
        who.say(&json!({ "do": "history", "tag": tag, "with": with, "before": before, "limit": 4 }));
        who.wait("history", |event| event["tag"] == tag)
    };
    // From page to page, each going on where the one before ended, though half of the messages are other talks'.
    let (mut texts, mut before) = (Vec::new(), json!(null));
    loop {
        let page = talk(&mut ana, "bob", &before);
        for message in page["messages"].as_array().unwrap().iter().rev() {
            let to = if message["nick"] == "ana" { "bob" } else { "ana" };
            assert_eq!((&message["kind"], &message["to"]), (&"direct".into(), &to.into()));
            texts.push(message["text"].as_str().unwrap().to_owned());
        }
        before = page["edge"].clone();
        if page["more"] == false {
            break;
        }
    }
    let expected: Vec<String> = (0..5).rev().flat_map(|n| [format!("to ana {n}"), format!("to bob {n}")]).collect();
    assert_eq!(texts, expected);
    let others = talk(&mut eva, "bob", &json!(null));
    assert_eq!((&others["messages"], &others["more"]), (&json!([]), &json!(false)));
    let nobody = talk(&mut eva, "nobody", &json!(null));
    assert_eq!(nobody["messages"], json!([]));
}

#[test]
fn nick_of_another_is_replaced_by_the_one_that_is_free() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let mut ana = page.browser("ana");
    ana.chat("mine");
    let mut other = page.browser("ana");
    assert_eq!(other.kept.welcome["nick"], "ana2");
    other.say(&json!({ "do": "nick", "tag": 1, "nick": "ANA" }));
    assert_eq!(other.wait("error", |event| event["tag"] == 1)["code"], "nick_taken");
    other.say(&json!({ "do": "nick", "tag": 2, "nick": "eva" }));
    other.wait("nick", |event| event["nick"] == "eva");
    other.chat("as eva");
    assert_eq!(ana.message("as eva")["nick"], "eva");
}

#[test]
fn hostile_words_are_json_escapes_and_nothing_else() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let (mut ana, mut bob) = (page.browser("<img/src=x>"), page.browser("bob"));
    let texts = [
        "<script>alert(1)</script>",
        "\u{1b}]52;c;ZXZpbA==\u{7}",
        "\u{202e}txt.exe",
        "nul\0inside",
        "two\nlines\u{2028}",
        &"\u{1b}[31m".repeat(13_107),
    ];
    for text in texts {
        ana.chat(text);
        // Every frame was looked at for raw controls as it was read.
        assert_eq!(bob.message(text)["text"], text);
    }
    ana.say(&json!({ "do": "nick", "tag": 1, "nick": "\u{202e}eve" }));
    assert_eq!(ana.wait("error", |event| event["tag"] == 1)["code"], "bad_name");
    ana.say(&json!({ "do": "join", "room": "\u{1b}[2J" }));
    assert_eq!(ana.wait("error", |_| true)["code"], "bad_name");
}

#[test]
fn status_is_told_each_second_while_it_is_watched() {
    let net = Net::new();
    let _oak = net.server("oak");
    let page = net.host();
    let mut ana = page.browser("ana");
    ana.say(&json!({ "do": "watch", "status": true, "trace": false }));
    let status = ana.wait("status", |_| true);
    assert_eq!((&status["healthy"], &status["servers"][0]["name"]), (&true.into(), &"oak".into()));
    ana.wait("status", |_| true);
}
