//! How much a process may still say.

use std::time::Duration;

use tokio::time::Instant;

use crate::entry::OutputRate;

/// How many parts of the burst may be read between two looks at the clock. A look costs more than most reads.
const LOOKS: u64 = 64;

/// Bytes that may be read, which grow with time up to a burst.
#[derive(Debug)]
pub(super) struct Allowance {
    bytes_per_second: u64,
    burst: u64,
    left: u64,
    /// Read since the last look at the clock.
    unsettled: u64,
    settled: Instant,
}

/// Whether what was read was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    Allowed,
    TooMuch,
}

impl Allowance {
    pub(super) fn new(rate: OutputRate) -> Allowance {
        let burst = rate.bytes_per_second.saturating_mul(OutputRate::BURST_SECONDS);
        let bytes_per_second = rate.bytes_per_second;
        Allowance { bytes_per_second, burst, left: burst, unsettled: 0, settled: Instant::now() }
    }

    /// Takes note of bytes that were read.
    pub(super) fn spend(&mut self, bytes: u64) -> Spent {
        self.unsettled = self.unsettled.saturating_add(bytes);
        if self.unsettled < self.burst / LOOKS {
            return Spent::Allowed;
        }
        let now = Instant::now();
        let grown = self.left.saturating_add(self.grown(now - self.settled)).min(self.burst);
        let spent = std::mem::take(&mut self.unsettled);
        self.settled = now;
        match grown.checked_sub(spent) {
            Some(left) => {
                self.left = left;
                Spent::Allowed
            }
            None => Spent::TooMuch,
        }
    }

    fn grown(&self, time: Duration) -> u64 {
        let bytes = u128::from(self.bytes_per_second) * time.as_micros() / 1_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const RATE: OutputRate = OutputRate { bytes_per_second: 1000 };

    #[tokio::test(start_paused = true)]
    async fn a_burst_may_come_at_once_and_not_one_look_more() {
        let mut allowance = Allowance::new(RATE);
        assert_eq!(allowance.spend(16_000), Spent::Allowed);
        assert_eq!(allowance.spend(16_000 / LOOKS), Spent::TooMuch);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_said_is_not_saved_up_for_ever() {
        let mut allowance = Allowance::new(RATE);
        advance(Duration::from_secs(86_400)).await;
        assert_eq!(allowance.spend(16_000), Spent::Allowed);
        advance(Duration::from_secs(3)).await;
        assert_eq!(allowance.spend(3000), Spent::Allowed);
        assert_eq!(allowance.spend(1000), Spent::TooMuch);
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_stream_below_the_rate_never_ends() {
        let mut allowance = Allowance::new(RATE);
        for _ in 0..10_000 {
            advance(Duration::from_millis(100)).await;
            assert_eq!(allowance.spend(100), Spent::Allowed);
        }
        // Just above it does, once the burst is used up.
        let mut seconds = 0;
        while allowance.spend(1200) == Spent::Allowed {
            advance(Duration::from_secs(1)).await;
            seconds += 1;
        }
        assert!((60..=100).contains(&seconds), "{seconds}");
    }
}
