//! The only place where the clocks are read.

use crate::time::{Now, Time};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clocks of this process. Copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    #[expect(clippy::disallowed_methods, reason = "the runtime's clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Both clocks. A wall clock before 1970 reads as 1970.
    #[expect(clippy::disallowed_methods, reason = "the runtime's clock")]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Time::default() + self.0.elapsed(), wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
    }

    /// The instant at which the monotonic clock reads `time`; `None` for [`Time::NEVER`] and what lies a year ahead.
    pub fn instant(&self, time: Time) -> Option<Instant> {
        const YEAR: Duration = Duration::from_hours(8760);
        let after = Duration::from_micros(time.0);
        (after < YEAR).then(|| self.0 + after)
    }
}
