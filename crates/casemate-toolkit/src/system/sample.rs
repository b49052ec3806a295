//! Two looks at a counter, and what happened between them.

use std::time::Duration;

use tokio::time::Instant;

use super::Fault;

/// What was read before and after a while, and how long that while really was.
#[derive(Debug)]
pub(super) struct Sample<T> {
    pub(super) before: T,
    pub(super) after: T,
    pub(super) lasted: Duration,
}

impl<T> Sample<T> {
    /// Reads, waits and reads again.
    pub(super) async fn take<F: Future<Output = Result<T, Fault>>>(
        interval: Duration,
        read: impl Fn() -> F,
    ) -> Result<Sample<T>, Fault> {
        let (before, start) = (read().await?, Instant::now());
        tokio::time::sleep(interval).await;
        let lasted = start.elapsed();
        Ok(Sample { before, after: read().await?, lasted })
    }
}

/// A share in percent, with one decimal; 0 of nothing.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { one_decimal(part as f64 * 100.0 / whole as f64) }
}

/// A growth per second, with one decimal. A counter that was reset has not grown.
pub(super) fn per_second(before: u64, after: u64, lasted: Duration) -> f64 {
    let seconds = lasted.as_secs_f64();
    if seconds == 0.0 { 0.0 } else { one_decimal(after.saturating_sub(before) as f64 / seconds) }
}

pub(super) fn one_decimal(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_rates_are_rounded_and_never_divided_by_nothing() {
        assert_eq!(percent(1, 3), 33.3);
        assert_eq!(percent(5, 0), 0.0);
        assert_eq!(percent(u64::MAX, u64::MAX), 100.0);
        assert_eq!(per_second(10, 20, Duration::from_millis(500)), 20.0);
        assert_eq!(per_second(20, 10, Duration::from_millis(500)), 0.0);
        assert_eq!(per_second(10, 20, Duration::ZERO), 0.0);
    }
}
