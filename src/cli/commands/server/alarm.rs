//! A disk that takes nothing: told on stderr once, however often the server tries it again.

use crate::cli::failure::{Code, Failure};
use crate::cli::output::tell;
use crate::time::Time;
use std::path::Path;
use std::time::Duration;

/// A disk that was well for so long is told of anew when it fails again.
const WELL: Duration = Duration::from_mins(1);

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    last: Option<(Time, bool)>,
}

impl Alarm {
    /// Whether this is news: the disk worked before, or failed in another way.
    pub(super) fn is_news(&mut self, now: Time, full: bool) -> bool {
        let last = self.last.replace((now, full));
        last.is_none_or(|(at, same)| same != full || now.since(at) > WELL)
    }
}

/// What is wrong, and where clients go on.
pub(super) fn failure(dir: &Path, full: bool, goes_on_at: Option<&str>) -> Failure {
    let what = if full { "No space in" } else { "The disk fails:" };
    let there = goes_on_at.map_or_else(
        || "no other is there to go on".to_owned(),
        |name| format!("history works, sending goes to {name}"),
    );
    let text = format!("{what} {}. This server is read-only; {there}.", dir.display());
    let code = if full { Code::NoSpace } else { Code::StoreIo };
    let hint = if full { "Make room" } else { "Mend the disk" };
    Failure::new(code, text).hint(format!("{hint}: the server goes on by itself, and nothing acknowledged is lost."))
}

/// Tells it where whoever looks after the machine looks, also when quiet.
pub(super) fn sound(failure: &Failure, json: bool) {
    tell(failure.render(json).trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_that_stays_full_is_told_once_and_again_when_it_was_well() {
        let mut alarm = Alarm::default();
        let at = |second: u64| Time(second * 1_000_000);
        let news = [(1, true), (2, true), (3, true), (60, true), (61, false), (62, true), (63, true), (200, true)];
        let told: Vec<u64> =
            news.into_iter().filter(|(s, full)| alarm.is_news(at(*s), *full)).map(|(s, _)| s).collect();
        assert_eq!(told, [1, 61, 62, 200]);
    }

    #[test]
    fn full_disk_is_told_as_promised() {
        let told = failure(Path::new("/data"), true, Some("elm"));
        assert_eq!(told.message, "No space in /data. This server is read-only; history works, sending goes to elm.");
        assert_eq!((told.code, told.code.exit() as u8), (Code::NoSpace, 7));
        let alone = failure(Path::new("/data"), true, None);
        assert_eq!(alone.message, "No space in /data. This server is read-only; no other is there to go on.");
    }
}
