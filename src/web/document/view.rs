//! A view as scripts and pages see it.

use super::time::{now_ms, rfc3339};
use crate::record::{Member, View};
use crate::web::event::id as server_id;
use serde_json::{Value, json};

/// The document of `CLI.md`, as of now.
pub fn view(view: &View, reason: &str) -> Value {
    let member = |member: &Member| json!({ "name": member.name, "id": server_id(member.pid) });
    json!({
        "event": "view",
        "at": rfc3339(now_ms()),
        "epoch": view.epoch.num,
        "leader": view.leader_name(),
        "members": view.members.iter().map(member).collect::<Vec<_>>(),
        "reason": reason,
    })
}
