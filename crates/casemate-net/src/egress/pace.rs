//! How fast a cell may keep us busy.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long the steps are counted for.
const WINDOW: Duration = Duration::from_millis(100);

/// How many steps may be taken within it.
const STEPS_MAX: u32 = 100;

/// Holds a loop that serves a cell to 1,000 steps a second, each of which takes some ten microseconds. What comes faster
/// waits in the kernel's queues, which are bounded, and is lost there.
#[derive(Debug)]
pub(super) struct Pace {
    begun: Instant,
    steps: u32,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { begun: Instant::now(), steps: 0 }
    }

    /// Waits until the next step may be taken.
    pub(super) async fn step(&mut self) {
        if self.begun.elapsed() >= WINDOW {
            *self = Pace::new();
        } else if self.steps >= STEPS_MAX {
            sleep_until(self.begun + WINDOW).await;
            *self = Pace::new();
        }
        self.steps += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_thousand_steps_a_second() {
        let begun = Instant::now();
        let mut pace = Pace::new();
        for _ in 0..STEPS_MAX {
            pace.step().await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for _ in 0..9 * STEPS_MAX {
            pace.step().await;
        }
        assert_eq!(begun.elapsed(), Duration::from_millis(900));
    }

    #[tokio::test(start_paused = true)]
    async fn steps_that_are_rare_never_wait() {
        let mut pace = Pace::new();
        for _ in 0..3 * STEPS_MAX {
            let begun = Instant::now();
            pace.step().await;
            assert_eq!(begun.elapsed(), Duration::ZERO);
            tokio::time::advance(Duration::from_millis(2)).await;
        }
    }
}
