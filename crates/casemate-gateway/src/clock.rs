//! The only place of this crate where a clock is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall-clock time since 1970-01-01T00:00:00Z.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in milliseconds.
#[must_use]
pub fn unix_ms() -> u64 {
    u64::try_from(unix_now().as_millis()).unwrap_or(u64::MAX)
}

/// A point in time for measuring how long something takes. Follows tokio's clock, so tests can pause it.
#[must_use]
pub fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}
