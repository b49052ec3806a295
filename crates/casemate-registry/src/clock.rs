//! The one place of this crate that reads the clock.

use std::time::SystemTime;

use jiff::Timestamp;

/// The wall clock in whole seconds, as RFC 3339 writes it.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let second = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX).to_string()
}
