//! The one clock of the harness. It drives real programs in real time, so unlike the protocol it may read it.

use std::time::{Duration, Instant};

/// Now.
#[expect(clippy::disallowed_methods, reason = "the harness measures real programs")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns at `due`, at once when it is past. Only a timetable is waited for in this way; an event is waited for
/// with [`until`] or [`crate::host::Lines::wait_for`].
#[expect(clippy::disallowed_methods, reason = "a scenario is a timetable: the moment itself is the event")]
pub(crate) fn wait_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(now()));
}

/// Asks `ready` every 20 ms until it answers, for at most `limit`.
pub(crate) fn until<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = now() + limit;
    loop {
        if let Some(found) = ready() {
            return Some(found);
        }
        let at = now();
        if at >= end {
            return None;
        }
        wait_until(end.min(at + Duration::from_millis(20)));
    }
}

/// The median, of an even number the greater of the two in the middle; zero of none.
pub(crate) fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort_unstable();
    spans.get(spans.len() / 2).copied().unwrap_or_default()
}
