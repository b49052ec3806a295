//! The wall clock, read here and nowhere else in this crate.

use std::time::{SystemTime, UNIX_EPOCH};

/// This moment, to compare with the times of files.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Seconds since 1970. A clock that stands before that reads zero.
pub fn unix_seconds() -> u64 {
    now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time in seconds since 1970, for people and scripts alike: RFC 3339, in UTC.
pub fn date_time(unix_seconds: u64) -> String {
    let second = i64::try_from(unix_seconds).unwrap_or(i64::MAX);
    // A time beyond the year 9999 has no such form.
    jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// This moment as the stamp of a file name, for example `20261120T150640Z`.
pub fn stamp() -> String {
    let second = i64::try_from(unix_seconds()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(second)
        .unwrap_or(jiff::Timestamp::MAX)
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string()
}
