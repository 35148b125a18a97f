//! What a server tells of itself at its start.

use crate::cli::shown::{counted, shown};
use crate::cli::times::{now_ms, rfc3339};
use crate::proto::io::Damage;
use crate::server::About;
use crate::web::event::id;
use serde_json::{Value, json};
use std::path::Path;

/// What `--durability memory` means.
pub(crate) const ACKS_FROM_MEMORY: &str =
    "durability memory: acknowledges at receipt by all and syncs behind: a power cut can lose what was acknowledged";

/// The `started` event.
pub(super) fn document(about: &About, page: Option<&str>) -> Value {
    json!({
        "event": "started",
        "at": rfc3339(now_ms()),
        "server": about.name,
        "id": id(about.pid),
        "incarnation": about.pid.incarnation.boot,
        "addr": about.addr.to_string(),
        "group": about.group.to_string(),
        "data": about.data.as_ref().map(|data| data.display().to_string()),
        "net": about.net,
        "version": env!("CARGO_PKG_VERSION"),
        "durability": if about.memory_durability { "memory" } else { "disk" },
        "messages": about.messages,
        "rooms": about.rooms,
        "damaged": about.damaged,
        "damage": about.damage.as_ref().map(|Damage { what, aside, lost }| json!({ "what": what, "aside": aside, "lost": lost })),
        "page": page,
    })
}

/// The first lines for people.
pub(super) fn lines(about: &About, page: Option<&str>) -> Vec<String> {
    let data =
        about.data.as_deref().map_or_else(|| "in memory only".to_owned(), |data| format!("data {}", tilde(data)));
    let mut lines = vec![format!(
        "ringtalk {} · net {} · server {} ({}) · {}",
        env!("CARGO_PKG_VERSION"),
        shown(&about.net),
        shown(&about.name),
        about.pid.server,
        shown(&data)
    )];
    let interface = &about.interfaces.data;
    let ignored = match about.interfaces.ignored.as_slice() {
        [] => String::new(),
        names => format!(" · ignoring {}", names.join(", ")),
    };
    lines.push(
        shown(&format!(
            "net    {} {}/{} · group {} · unicast {}{ignored}",
            interface.name,
            interface.addr,
            interface.prefix,
            about.group,
            about.addr.port()
        ))
        .into_owned(),
    );
    lines.push(format!(
        "store  {} in {}, checked in {} ms",
        counted(about.messages, "message"),
        counted(about.rooms as u64, "room"),
        about.check.as_millis()
    ));
    if about.memory_durability {
        lines.push(format!("store  {ACKS_FROM_MEMORY}"));
    }
    match &about.damage {
        Some(Damage { what, aside, lost }) => lines.push(damaged(what, aside, *lost)),
        None if about.damaged => {
            lines.push("store  what was damaged before is still fetched from other servers".to_owned());
        }
        None => {}
    }
    lines.extend(page.map(|page| format!("page   {page}")));
    lines
}

/// `store  damaged: epoch 3 from entry 7 on; set aside: 2 rows, in the table "aside"; it is fetched from other servers`
pub(super) fn damaged(what: &str, aside: &str, lost: bool) -> String {
    let aside = if aside.is_empty() { String::new() } else { format!("; set aside: {aside}") };
    let mended = if lost { "it is fetched from other servers" } else { "nothing is lost" };
    shown(&format!("store  damaged: {what}{aside}; {mended}")).into_owned()
}

/// A path below the home directory as people write it.
fn tilde(path: &Path) -> String {
    let below = etcetera::home_dir().ok().and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned));
    below.map_or_else(|| path.display().to_string(), |below| format!("~/{}", below.display()))
}
