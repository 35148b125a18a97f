//! One browser's WebSocket: its hello, what it says, what it is told.

use super::begin;
use super::document::to_json;
use super::host::Shared;
use super::outlet::{Drain, Outlet};
use super::request::{self, Hello, Request, Said};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use crossbeam_channel::{Sender, bounded};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Longest message of a browser, in bytes: words of the greatest length, each byte of which JSON may write as six …
pub(super) const MAX_BYTES: usize = 448 << 10;
/// … but for the hello, which brings an outbox.
pub(super) const MAX_HELLO_BYTES: usize = 4 << 20;
/// Length of a token.
const TOKEN_CHARS: usize = 16;
/// How long a browser may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// A browser that takes nothing for this long is behind for good: closed, it comes again and goes on from its cursor.
const STALL: Duration = Duration::from_secs(5);
/// How often a browser is asked whether it lives.
const PING: Duration = Duration::from_secs(15);
/// Requests of one browser that wait; beyond it nothing more is read from it.
const MAX_REQUESTS: usize = 256;
/// How soon there may be room for one more.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Serves one browser. `place` is its place among the host's browsers, held until its client has ended.
pub(super) async fn converse(socket: WebSocket, shared: Arc<Shared>, place: OwnedSemaphorePermit) {
    let (mut sink, mut stream) = socket.split();
    let hello = match timeout(HELLO, first(&mut stream)).await {
        Ok(Some(hello)) if is_known(&shared, &hello.token).await => hello,
        Ok(Some(_)) => return turn_away(&mut sink, "wrong_token", "Reload the page: its token is another's.").await,
        Ok(None) => return turn_away(&mut sink, "malformed", "A hello was expected.").await,
        Err(_) => return turn_away(&mut sink, "timed_out", "No hello came.").await,
    };
    let (outlet, drain) = Outlet::new(shared.runtime.clone());
    // Ends the session's thread, whatever it waits for, also when the host ends.
    let _end = End(outlet.clone());
    let (said, heard) = bounded(MAX_REQUESTS);
    let own = outlet.clone();
    let serve = move || {
        begin::serve(&shared, &hello, &own, &heard);
        own.close("ended");
        drop(place);
    };
    if let Err(error) = std::thread::Builder::new().name("web-browser".to_owned()).spawn(serve) {
        log::warn!("a browser cannot be served: {error}");
        return turn_away(&mut sink, "failed", "The host has no thread left.").await;
    }
    tokio::select! {
        () = write(&mut sink, drain) => {}
        why = read(&mut stream, &said, &outlet) => {
            if let Some((code, why)) = why {
                close(&mut sink, code, why).await;
            }
        }
    }
}

/// Closes an outlet when the connection is over.
struct End(Outlet);

impl Drop for End {
    fn drop(&mut self) {
        self.0.close("gone");
    }
}

/// Whether the token is one of the ring's, which is asked when it is not known yet.
async fn is_known(shared: &Arc<Shared>, token: &str) -> bool {
    if !shared.pages.accept(token) && token.len() == TOKEN_CHARS {
        shared.look_around().await;
    }
    shared.pages.accept(token)
}

/// The browser's hello; `None` when it says something else.
async fn first(stream: &mut SplitStream<WebSocket>) -> Option<Hello> {
    loop {
        match stream.next().await?.ok()? {
            Message::Text(text) => match request::parse(&text) {
                Ok(Said::Request(Request::Hello(hello))) => return Some(hello),
                _ => return None,
            },
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Close(_) => return None,
        }
    }
}

/// Reads until the browser is gone, or says what ends the connection.
async fn read(
    stream: &mut SplitStream<WebSocket>,
    said: &Sender<Said>,
    outlet: &Outlet,
) -> Option<(u16, &'static str)> {
    let mut silent = 0;
    loop {
        // Every ping is answered: two without a word are too many.
        let message = match timeout(PING, stream.next()).await {
            Ok(message) => message?.ok()?,
            Err(_) if silent == 2 => return Some((close_code::AWAY, "silent")),
            Err(_) => {
                silent += 1;
                continue;
            }
        };
        silent = 0;
        match message {
            Message::Text(text) if text.len() > MAX_BYTES => return Some((close_code::SIZE, "too long")),
            Message::Text(text) => match request::parse(&text) {
                Ok(asked) => put(said, asked).await?,
                Err(tag) => _ = outlet.try_tell(malformed(&tag)),
            },
            Message::Binary(_) => return Some((close_code::UNSUPPORTED, "text only")),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return None,
        }
    }
}

/// Waits for room, so that a browser cannot say more than is seen to.
async fn put(to: &Sender<Said>, said: Said) -> Option<()> {
    while to.is_full() {
        // The session's thread cannot wake a task: it is looked at again.
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    // Nobody else puts anything there: it fails only when the session is over.
    to.try_send(said).ok()
}

/// Writes what waits, and pings, until the connection is to end or the browser takes nothing any more.
async fn write(sink: &mut SplitSink<WebSocket, Message>, mut drain: Drain) {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            biased;
            frame = drain.frames.recv() => match frame {
                Some(frame) => {
                    let sent = timeout(STALL, sink.send(Message::Text(frame.text.clone()))).await;
                    match sent {
                        Ok(Ok(())) => continue,
                        _ => return,
                    }
                }
                None => return,
            },
            why = closing(&mut drain.closing) => return close(sink, close_code::NORMAL, why).await,
            _ = pings.tick() => Message::Ping(axum::body::Bytes::new()),
        };
        if !matches!(timeout(STALL, sink.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn closing(closing: &mut watch::Receiver<Option<&'static str>>) -> &'static str {
    match closing.wait_for(Option::is_some).await {
        Ok(why) => why.unwrap_or("ended"),
        Err(_) => "ended",
    }
}

async fn turn_away(sink: &mut SplitSink<WebSocket, Message>, code: &str, message: &str) {
    let document = json!({ "event": "error", "tag": null, "code": code, "message": message, "hint": "" });
    // The connection ends either way.
    _ = timeout(STALL, sink.send(Message::Text(to_json(&document).into()))).await;
    close(sink, close_code::POLICY, "refused").await;
}

async fn close(sink: &mut SplitSink<WebSocket, Message>, code: u16, why: &'static str) {
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(why) };
    // The connection ends either way.
    _ = timeout(STALL, sink.send(Message::Close(Some(frame)))).await;
}

fn malformed(tag: &Value) -> Utf8Bytes {
    let message = "That could not be understood.";
    to_json(&json!({ "event": "error", "tag": tag, "code": "malformed", "message": message, "hint": "" })).into()
}
