//! Times as people write and read them; the only clocks the commands read.

use super::failure::{Code, Failure};
use super::values::Span;
pub(crate) use crate::web::document::time::{now_ms, rfc3339};
use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use std::time::Instant;

/// A monotonic clock, for waits.
#[expect(clippy::disallowed_methods, reason = "commands wait in real time")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// The time of day here, as in chat.
pub(crate) fn time_of_day(ms: u64) -> String {
    local(ms).strftime("%H:%M:%S").to_string()
}

/// The time of day here to the microsecond, as in explanations.
pub(crate) fn time_of_day_us(us: u64) -> String {
    format!("{}.{:06}", time_of_day(us / 1000), us % 1_000_000)
}

/// Date and time of day here, as in history.
pub(crate) fn date_and_time(ms: u64) -> String {
    local(ms).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The time of day here in minutes, as in the chat window.
pub(crate) fn hour_and_minute(ms: u64) -> String {
    local(ms).strftime("%H:%M").to_string()
}

/// The day here, as in the chat window.
pub(crate) fn day(ms: u64) -> String {
    local(ms).strftime("%A, %-d %B %Y").to_string()
}

/// The moment that a text means, in milliseconds since 1970.
///
/// A length of time is that long ago; a time of day is today; a date is its midnight; all here unless RFC 3339 says
/// otherwise.
///
/// # Errors
/// [`Code::Usage`].
pub(crate) fn moment(text: &str, now: &Zoned) -> Result<u64, Failure> {
    parse(text.trim(), now).and_then(|at| u64::try_from(at.as_millisecond()).ok()).ok_or_else(|| {
        Failure::new(Code::Usage, format!("\"{text}\" is no time"))
            .hint("write 2h (ago), 14:05 (today), 2026-11-20, \"2026-11-20 14:05\" or 2026-11-20T14:05:00Z")
    })
}

fn parse(text: &str, now: &Zoned) -> Option<Timestamp> {
    let here = |at: civil::DateTime| at.to_zoned(now.time_zone().clone()).ok().map(|zoned| zoned.timestamp());
    if let Ok(Span(ago)) = text.parse::<Span>() {
        let ago = i64::try_from(ago.as_millis()).ok()?;
        return now.timestamp().checked_sub(SignedDuration::from_millis(ago)).ok();
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    match text {
        "today" => return here(now.date().to_datetime(civil::Time::midnight())),
        "yesterday" => return here(now.date().yesterday().ok()?.to_datetime(civil::Time::midnight())),
        _ => {}
    }
    if let Ok(at) = text.parse::<civil::DateTime>() {
        return here(at);
    }
    text.parse::<civil::Time>().ok().and_then(|time| here(now.date().to_datetime(time)))
}

fn timestamp(ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}

fn local(ms: u64) -> Zoned {
    timestamp(ms).to_zoned(TimeZone::system())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now: Zoned = "2026-11-21T10:00:00+01:00[Europe/Berlin]".parse().unwrap();
        for (text, utc) in [
            ("2h", "2026-11-21T07:00:00.000Z"),
            ("90s", "2026-11-21T08:58:30.000Z"),
            ("08:30", "2026-11-21T07:30:00.000Z"),
            ("today", "2026-11-20T23:00:00.000Z"),
            ("yesterday", "2026-11-19T23:00:00.000Z"),
            ("2026-11-20", "2026-11-19T23:00:00.000Z"),
            ("2026-11-20 14:05", "2026-11-20T13:05:00.000Z"),
            ("2026-11-20T14:05:01.220Z", "2026-11-20T14:05:01.220Z"),
        ] {
            let ms = moment(text, &now).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(rfc3339(ms), utc, "{text}");
        }
        for text in ["", "soon", "2026-13-01", "25:00", "1969-01-01T00:00:00Z", "9999999w"] {
            assert_eq!(moment(text, &now).unwrap_err().code, Code::Usage, "{text}");
        }
    }

    #[test]
    fn times_beyond_the_calendar_are_held_at_its_end() {
        assert!(rfc3339(u64::MAX).starts_with("9999-"));
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    }
}
