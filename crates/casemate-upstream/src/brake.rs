//! Reads a server that floods us more slowly.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Messages per [`WINDOW`] that nobody asked for and that are read at full speed.
const UNASKED_MAX: u32 = 10_000;
const WINDOW: Duration = Duration::from_secs(1);

/// Counts what nobody asked for.
#[derive(Debug)]
pub(super) struct Brake {
    since: Instant,
    unasked: u32,
}

impl Brake {
    pub(super) fn new() -> Brake {
        Brake { since: Instant::now(), unasked: 0 }
    }

    /// Counts one message.
    pub(super) fn count(&mut self) {
        self.unasked = self.unasked.saturating_add(1);
    }

    /// Waits when there were too many: the pipe fills up, and the server has to wait, too.
    pub(super) async fn hold(&mut self) {
        if self.unasked > UNASKED_MAX {
            // When the window is long over, this returns at once.
            sleep_until(self.since + WINDOW).await;
            *self = Brake::new();
        }
    }
}
