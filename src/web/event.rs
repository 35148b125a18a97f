//! A server's events as JSON: the same objects in `server --json`, in event records and on the page.

use crate::ids::Pid;
use crate::proto::event::Event;
use crate::record::{Member, View};
use crate::web::document::time::rfc3339;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// The event's word, and its fields.
pub fn document(event: &Event) -> (&'static str, Value) {
    match event {
        Event::View { view, addrs, reason } => ("view", view_fields(view, addrs, reason)),
        Event::Ready => ("ready", json!({})),
        Event::Suspected { pid, name } => ("suspected", json!({ "server": name, "id": id(*pid) })),
        Event::Failed { pid, name, proven } => ("failed", json!({ "server": name, "id": id(*pid), "proven": proven })),
        Event::Goodbye { pid, name } => ("goodbye", json!({ "server": name, "id": id(*pid) })),
        Event::Rejoined { pid, name, missing } => {
            ("rejoined", json!({ "server": name, "id": id(*pid), "missing": missing }))
        }
        Event::CaughtUp { messages, took } => ("caught_up", json!({ "messages": messages, "ms": ms(*took) })),
        Event::Merged { messages } => ("merged", json!({ "messages": messages })),
        Event::Election { num, started_by, winner, took } => {
            ("election", json!({ "num": num, "started_by": started_by, "winner": winner, "ms": ms(*took) }))
        }
        Event::Proposed { epoch, members } => ("proposed", json!({ "epoch": epoch.num, "members": members })),
        Event::Abandoned { epoch, reason } => ("abandoned", json!({ "epoch": epoch.num, "reason": reason })),
        Event::Cloned { pid, addr } => ("cloned", json!({ "id": id(*pid), "addr": addr.to_string() })),
        Event::Replaced { pid, addr } => ("replaced", json!({ "id": id(*pid), "addr": addr.to_string() })),
        Event::Mended => ("mended", json!({})),
        Event::Damaged { what, aside, lost } => ("damaged", json!({ "what": what, "aside": aside, "lost": lost })),
        Event::LetGo { messages, horizon } => {
            ("let_go", json!({ "messages": messages, "before": rfc3339(horizon.wall_ms()) }))
        }
        Event::ReadOnly { full } => ("read_only", json!({ "full": full })),
        Event::OtherVersion { addr, version } => {
            ("other_version", json!({ "addr": addr.to_string(), "version": version }))
        }
    }
}

/// A server's id as scripts see it: all of it, in hexadecimal.
pub fn id(pid: Pid) -> String {
    format!("{:016x}", pid.server.0)
}

fn view_fields(view: &View, addrs: &[Option<SocketAddr>], reason: &str) -> Value {
    let member = |(at, member): (usize, &Member)| {
        let addr = addrs.get(at).copied().flatten().map(|addr| addr.to_string());
        json!({ "name": member.name, "id": id(member.pid), "addr": addr })
    };
    let members: Vec<Value> = view.members.iter().enumerate().map(member).collect();
    json!({ "leader": view.leader_name(), "members": members, "reason": reason })
}

fn ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
