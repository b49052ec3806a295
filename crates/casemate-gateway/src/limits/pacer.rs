//! One rate, and the buckets of all whom it holds for.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::{Quota, RateLimiter};

use super::buckets::{Buckets, Ticks};
use crate::snapshot::Rate;

/// Waits longer than this are not told: nobody plans for them.
const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// A rate at work.
pub(super) struct Pacer {
    rate: Rate,
    limiter: RateLimiter<u64, Buckets, Ticks, NoOpMiddleware<Nanos>>,
}

impl fmt::Debug for Pacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pacer").field("rate", &self.rate).finish_non_exhaustive()
    }
}

impl Pacer {
    pub(super) fn new(rate: Rate) -> Self {
        let ticks = Ticks::start();
        let apart = (rate.per / rate.count.get()).max(Duration::from_nanos(1));
        // It is none only for a time of zero, which was just excluded.
        let quota = Quota::with_period(apart).unwrap_or_else(|| Quota::per_second(rate.count));
        let limiter = RateLimiter::new(quota.allow_burst(rate.count), Buckets::new(ticks), ticks);
        Pacer { rate, limiter }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// How much it lets pass in the long run, to compare two.
    pub(super) fn generosity(&self) -> f64 {
        f64::from(self.rate.count.get()) / self.rate.per.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Takes from a bucket, or says how long to wait until that can be done. More than the bucket ever holds is taken as
    /// what it holds, so that no body is too large to be let in ever.
    pub(super) fn take(&self, key: u64, count: NonZeroU32) -> Result<(), Duration> {
        let taken = if count == NonZeroU32::MIN {
            self.limiter.check_key(&key)
        } else {
            match self.limiter.check_key_n(&key, count.min(self.rate.count)) {
                Ok(taken) => taken,
                Err(_) => return Err(self.rate.per.min(WAIT_MAX)),
            }
        };
        taken.map_err(|until| until.wait_time_from(self.limiter.clock().now()).min(WAIT_MAX))
    }

    #[cfg(test)]
    pub(super) fn buckets(self) -> Buckets {
        self.limiter.into_state_store()
    }
}
