//! How busy a cell may keep us.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long the steps are counted for.
const WINDOW: Duration = Duration::from_secs(1);

/// How many steps may be taken within it. Each takes some ten microseconds.
const STEPS_MAX: u32 = 1000;

/// Holds all loops that serve one cell to 1,000 steps a second together. What comes faster waits in the kernel's queues,
/// which are bounded, and is lost there.
#[derive(Debug)]
pub(super) struct Pace {
    taken: Mutex<Taken>,
}

/// How many steps were taken since when.
#[derive(Debug)]
struct Taken {
    since: Instant,
    steps: u32,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { taken: Mutex::new(Taken { since: Instant::now(), steps: 0 }) }
    }

    /// Waits until the next step may be taken, and takes it.
    pub(super) async fn step(&self) {
        while let Err(until) = self.try_step() {
            sleep_until(until).await;
        }
    }

    /// Takes a step, or tells when there will be one.
    fn try_step(&self) -> Result<(), Instant> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.since.elapsed() >= WINDOW {
            *taken = Taken { since: Instant::now(), steps: 0 };
        }
        if taken.steps >= STEPS_MAX {
            return Err(taken.since + WINDOW);
        }
        taken.steps += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_thousand_steps_a_second() {
        let begun = Instant::now();
        let pace = Pace::new();
        for _ in 0..STEPS_MAX {
            pace.step().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // Two loops share it.
        tokio::join!(
            async {
                for _ in 0..STEPS_MAX {
                    pace.step().await;
                }
            },
            async {
                for _ in 0..STEPS_MAX {
                    pace.step().await;
                }
            }
        );
        assert_eq!(begun.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn steps_that_are_rare_never_wait() {
        let pace = Pace::new();
        for _ in 0..3 * STEPS_MAX {
            let begun = Instant::now();
            pace.step().await;
            assert_eq!(begun.elapsed(), Duration::ZERO);
            tokio::time::advance(Duration::from_millis(2)).await;
        }
    }
}
