//! Bounds on what servers ask in mid-call.

use std::time::Duration;

/// Bounds on what servers ask in mid-call.
#[derive(Debug, Clone, Copy)]
pub struct QuestionLimits {
    /// How long a client may take to come back with an answer. Default 5 min.
    pub time_max: Duration,
    /// Calls of one subject that may wait for its answers, where its clients come back with them. Default 16.
    pub parked_max: usize,
    /// The same for all subjects together. Default 1024.
    pub parked_all_max: usize,
    /// How often a server may ask in one call. Default 16.
    pub rounds_max: u32,
}

impl Default for QuestionLimits {
    fn default() -> Self {
        QuestionLimits {
            time_max: Duration::from_secs(300),
            parked_max: 16,
            parked_all_max: 1024,
            rounds_max: 16,
        }
    }
}
