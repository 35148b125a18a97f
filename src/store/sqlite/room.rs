//! Whether a disk that was full has room again.

use std::path::Path;

/// With less than this free, a store that was full is not opened: it would take a few words, fail at the next, and send all
/// its clients away each time.
const ROOM_BYTES: u64 = 1 << 20;

/// What `SQLite` makes its shared memory of.
const LEAST_BYTES: u64 = 32 << 10;

/// Whether a store in this directory could be written to for a while. Where the system does not tell, it is tried.
pub fn has_room(dir: &Path) -> bool {
    has_room_for(dir, 0)
}

/// Whether the disk that this is on has no room at all: less than the least that a store writes at once.
pub(super) fn is_used_up(path: &Path) -> bool {
    let dir = path.ancestors().find(|dir| dir.is_dir()).unwrap_or(path);
    rustix::fs::statvfs(dir).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < LEAST_BYTES)
}

/// The same, with so many bytes written before.
pub(super) fn has_room_for(dir: &Path, bytes: u64) -> bool {
    let wanted = bytes.saturating_add(ROOM_BYTES);
    rustix::fs::statvfs(dir).map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= wanted)
}
