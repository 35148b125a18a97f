//! Whether a disk that was full has room again.

use std::path::Path;

/// With less than this free, a store that was full is not opened: it would take a few words, fail at the next, and send all
/// its clients away each time.
const ROOM_BYTES: u64 = 1 << 20;

/// Whether a store in this directory could be written to for a while. Where the system does not tell, it is tried.
pub fn has_room(dir: &Path) -> bool {
    has_room_for(dir, 0)
}

/// The same, with so many bytes written before.
pub(super) fn has_room_for(dir: &Path, bytes: u64) -> bool {
    let wanted = bytes.saturating_add(ROOM_BYTES);
    rustix::fs::statvfs(dir).map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= wanted)
}
