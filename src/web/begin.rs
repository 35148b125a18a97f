//! From a browser's hello to its session.

use super::cursor;
use super::document::escape::escaped;
use super::document::{refusal::Words, to_json};
use super::host::{Mode, Shared};
use super::outbox::{Restored, addressees, restore};
use super::outlet::Outlet;
use super::people::People;
use super::request::{Hello, MAX_ROOMS, Request, Said};
use super::session::Session;
use super::watcher::Watcher;
use crate::client::Resume;
use crate::ids::ClientId;
use crate::name;
use crate::wire::session::{Answer, Query};
use crossbeam_channel::{Receiver, bounded};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long looking up addressees of an outbox may take.
const LOOK_UP: Duration = Duration::from_secs(5);
/// Changes of an outbox that wait for the browser to be told: more than an outbox holds, each made and done with.
const MAX_SAVES: usize = 16_384;
/// Events of a file that go in one batch.
const BATCH: usize = 2000;

/// Serves one browser that said hello, until it is gone. On a thread of its own.
pub(super) fn serve(shared: &Arc<Shared>, hello: &Hello, outlet: &Outlet, said: &Receiver<Said>) {
    if let Some(controller) = &shared.controller {
        controller.attach(outlet);
    }
    if shared.mode == Mode::Replay {
        return replay(shared, outlet, said);
    }
    if let Err((code, message, hint)) = chat(shared, hello, outlet, said) {
        let document = json!({ "event": "error", "tag": null, "code": code, "message": message, "hint": hint });
        outlet.tell(to_json(&document));
    }
}

fn chat(shared: &Arc<Shared>, hello: &Hello, outlet: &Outlet, said: &Receiver<Said>) -> Result<(), Words> {
    let nick = hello.nick.as_deref().and_then(|nick| name::parse(nick).ok()).unwrap_or_else(guest);
    let rooms: Vec<String> = hello.rooms.iter().take(MAX_ROOMS).filter_map(|room| name::parse(room).ok()).collect();
    let ids = look_up(shared, hello)?;
    let Restored { client, acked_upto, unacked, undeliverable } = restore(hello, &nick, &ids)?;
    let client = client.unwrap_or_else(|| ClientId(getrandom::u64().unwrap_or_default()));
    let cursor = hello.cursor.as_deref().and_then(cursor::read);
    let busy = || ("replaced", "This chat goes on in another tab.".to_owned(), String::new());
    let _place = shared.here.enter(client, outlet).ok_or_else(busy)?;
    let (keeper, saves) = bounded(MAX_SAVES);
    let failed = |error: crate::client::OpenError| ("failed", format!("No client can start: {error}."), String::new());
    let last_cseq = unacked.last().map_or(acked_upto, |(cseq, _)| *cseq);
    let resume = Resume { client, acked_upto, unacked, cursor };
    let client = shared.person(&nick).follow(true).keeper(keeper).resume(resume).start().map_err(failed)?;
    let mut people = People::default();
    people.met(client.id(), &nick);
    for (nick, id) in &ids {
        people.met(*id, nick);
    }
    Watcher::join(shared, outlet);
    let session = Session {
        shared: shared.clone(),
        outlet: outlet.clone(),
        client,
        saves,
        nick,
        rooms,
        acked_upto,
        next_cseq: last_cseq + 1,
        people,
        tags: BTreeMap::new(),
        asked: BTreeMap::new(),
        last_question: 0,
        undeliverable,
        renaming: None,
        home: None,
        is_welcomed: false,
        view: None,
        cursor: None,
        is_cursor_told: true,
    };
    session.run(said);
    Ok(())
}

fn guest() -> String {
    format!("guest-{:04}", getrandom::u32().unwrap_or_default() % 10_000)
}

/// To whom the one-to-one messages of the outbox go.
fn look_up(shared: &Shared, hello: &Hello) -> Result<BTreeMap<String, ClientId>, Words> {
    let mut ids = BTreeMap::new();
    let nicks = addressees(hello);
    if nicks.is_empty() {
        return Ok(ids);
    }
    let failed = |why: String| ("no_server", format!("The outbox cannot be sent yet: {why}."), String::new());
    let client = shared.client("reader").start().map_err(|error| failed(error.to_string()))?;
    for nick in nicks {
        let answer = client.ask(Query::Nick(nick.to_owned()), LOOK_UP).map_err(|error| failed(error.to_string()))?;
        if let Answer::Nick(Some(id)) = answer {
            ids.insert(nick.to_owned(), id);
        }
    }
    Ok(ids)
}

/// Shows a file's events, as often as the browser asks.
fn replay(shared: &Shared, outlet: &Outlet, said: &Receiver<Said>) {
    let welcome = json!({
        "event": "welcome", "server": null, "client": null, "nick": null, "next_cseq": 1,
        "pages": shared.urls(), "mode": shared.mode.word(), "net": shared.net,
        "nicks": shared.nicks,
    });
    let mut open = outlet.tell(to_json(&welcome));
    while open && let Ok(asked) = said.recv() {
        if asked == Said::Request(Request::Replay) {
            // Lines of a file were parsed when it was read: they are documents, put together as they are.
            let batches = shared.events.chunks(BATCH);
            open = batches.into_iter().all(|batch| {
                let document = format!("{{\"event\":\"trace\",\"events\":[{}],\"lost\":{{}}}}", batch.join(","));
                outlet.tell(escaped(&document).into_owned())
            }) && outlet.tell(to_json(&json!({ "event": "replayed" })));
        }
    }
}
