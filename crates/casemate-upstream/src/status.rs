//! What `casemate list` and the console show of a server.

use std::sync::Arc;

use casemate_mcp::revision::Revision;
use casemate_policy::SubjectId;
use tokio::time::Instant;

use crate::report::CellReport;

/// How a server is.
#[derive(Debug, Clone)]
pub struct Status {
    /// The one word for it.
    pub state: State,
    /// Its instances, oldest first.
    pub instances: Vec<InstanceStatus>,
    /// How often an instance was started to replace one that was lost.
    pub restarts: u64,
    /// The last failure, for a person.
    pub last_error: Option<String>,
    /// Progress, log messages and notices that were dropped because their reader was too slow.
    pub dropped: u64,
}

/// The one word for how a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing runs; the next call starts it.
    Idle,
    /// A person stopped it: calls are refused until it is started again.
    Stopped,
    /// Nothing runs, since it failed the last time; the next call tries again.
    Failed,
    /// Its first instance is being started.
    Starting,
    /// At least one instance runs.
    Running,
    /// It failed and is not started again before then.
    Backoff {
        /// When it is tried again.
        until: Instant,
    },
    /// It failed repeatedly; calls are refused until then.
    CircuitOpen {
        /// When one call is let through again.
        until: Instant,
    },
    /// The configuration has it switched off.
    Disabled,
}

/// One instance.
#[derive(Debug, Clone)]
pub struct InstanceStatus {
    /// Its process, for stdio.
    pub pid: Option<u32>,
    /// Whose it is; nobody's when shared.
    pub subject: Option<SubjectId>,
    /// What it speaks.
    pub revision: Revision,
    /// When its handshake was done.
    pub started: Instant,
    /// Tools called, prompts gotten and resources read so far; what we ask on our own account is not counted.
    pub calls: u64,
    /// Calls that wait for its answer now.
    pub in_flight: usize,
    /// What of the cell is in fact enforced, for stdio.
    pub report: Option<Arc<CellReport>>,
}
