//! How much of its quotas a cell has used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::quotas::{Quota, Quotas};

/// How long the beginnings of connections are counted for.
const MINUTE: Duration = Duration::from_secs(60);

/// How much of its quotas a cell has used.
#[derive(Debug)]
pub(super) struct Usage {
    quotas: Quotas,
    places: Arc<Semaphore>,
    begun: Mutex<Begun>,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

/// How many connections were begun since when.
#[derive(Debug)]
struct Begun {
    since: Instant,
    connections: u32,
}

/// One of the connections that may be open at once.
#[derive(Debug)]
pub(super) struct Place(
    #[expect(dead_code, reason = "it is held, and given back when it is dropped")] OwnedSemaphorePermit,
);

impl Usage {
    pub(super) fn new(quotas: Quotas) -> Usage {
        Usage {
            places: Arc::new(Semaphore::new(quotas.connections_max.min(Semaphore::MAX_PERMITS))),
            begun: Mutex::new(Begun { since: Instant::now(), connections: 0 }),
            bytes_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            quotas,
        }
    }

    pub(super) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// A place for one more connection.
    pub(super) fn begin(&self) -> Result<Place, Quota> {
        if self.is_too_fast() {
            return Err(Quota::ConnectionsPerMinute);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Quota::Connections)?;
        self.count_out(0)?;
        self.count_in(0)?;
        Ok(Place(place))
    }

    /// Counts bytes that are about to leave.
    pub(super) fn count_out(&self, bytes: u64) -> Result<(), Quota> {
        count(&self.bytes_out, bytes, self.quotas.bytes_out_max).ok_or(Quota::BytesOut)
    }

    /// Counts bytes that have come.
    pub(super) fn count_in(&self, bytes: u64) -> Result<(), Quota> {
        count(&self.bytes_in, bytes, self.quotas.bytes_in_max).ok_or(Quota::BytesIn)
    }

    /// A new hour has begun.
    pub(super) fn renew(&self) {
        self.bytes_out.store(0, Ordering::Relaxed);
        self.bytes_in.store(0, Ordering::Relaxed);
    }

    fn is_too_fast(&self) -> bool {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.since.elapsed() >= MINUTE {
            *begun = Begun { since: Instant::now(), connections: 0 };
        }
        let is_too_fast = begun.connections >= self.quotas.connections_per_minute_max;
        begun.connections = begun.connections.saturating_add(1);
        is_too_fast
    }
}

/// Adds to a counter, unless it is full: with nothing to add, it tells whether it is.
fn count(counter: &AtomicU64, bytes: u64, max: u64) -> Option<()> {
    let before = counter.fetch_add(bytes, Ordering::Relaxed);
    let after = before.saturating_add(bytes);
    (before < max && after <= max).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(quotas: Quotas) -> Usage {
        Usage::new(quotas)
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_given_back() {
        let usage = usage(Quotas { connections_max: 2, ..Quotas::default() });
        let first = usage.begin().expect("a place");
        let _second = usage.begin().expect("a place");
        assert_eq!(usage.begin().map(|_| ()), Err(Quota::Connections));
        drop(first);
        assert!(usage.begin().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_count_within_a_minute_also_those_that_were_refused() {
        let usage = usage(Quotas { connections_per_minute_max: 3, connections_max: 1, ..Quotas::default() });
        let place = usage.begin().expect("a place");
        assert_eq!(usage.begin().map(|_| ()), Err(Quota::Connections));
        assert_eq!(usage.begin().map(|_| ()), Err(Quota::Connections));
        drop(place);
        assert_eq!(usage.begin().map(|_| ()), Err(Quota::ConnectionsPerMinute));
        tokio::time::advance(MINUTE).await;
        assert!(usage.begin().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_count_until_the_hour_is_over() {
        let usage = usage(Quotas { bytes_out_max: 10, bytes_in_max: 5, ..Quotas::default() });
        assert_eq!(usage.count_out(10), Ok(()));
        assert_eq!(usage.count_out(1), Err(Quota::BytesOut));
        assert_eq!(usage.begin().map(|_| ()), Err(Quota::BytesOut));
        assert_eq!(usage.count_in(6), Err(Quota::BytesIn));
        usage.renew();
        assert_eq!(usage.count_in(5), Ok(()));
        assert_eq!(usage.begin().map(|_| ()), Err(Quota::BytesIn));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_of_nothing_allows_nothing() {
        let none = Quotas { connections_max: 0, ..Quotas::default() };
        assert_eq!(usage(none).begin().map(|_| ()), Err(Quota::Connections));
        let none = Quotas { bytes_out_max: 0, ..Quotas::default() };
        assert_eq!(usage(none).begin().map(|_| ()), Err(Quota::BytesOut));
    }
}
