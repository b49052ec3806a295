//! What all servers of one gateway share.

use std::fmt;
use std::sync::Arc;

use casemate_mcp::json::Raw;
use casemate_transport::http::Client;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Alarm, Credentials, Launcher, Masks, ServerNotice};

/// What all servers of one gateway share.
pub struct Host {
    /// Starts processes.
    pub launcher: Arc<dyn Launcher>,
    /// Dials; one pool of connections for each HTTP server. Its times and sizes must not be shorter than what entries may
    /// ask for (`timeouts.hard`) and [`Host::result_bytes_max`]: the bounds of this room are the ones that name a fault.
    pub http: Client,
    /// Tokens for servers that want a login.
    pub credentials: Arc<dyn Credentials>,
    /// Every task of this room runs on it.
    pub tracker: TaskTracker,
    /// Ends everything.
    pub stop: CancellationToken,
    /// Takes what servers tell outside of calls.
    pub notices: mpsc::Sender<ServerNotice>,
    /// Told of what no honest server does.
    pub alarms: mpsc::Sender<Alarm>,
    /// What we say we are: `{"name":"casemate","version":…}`.
    pub client_info: Raw,
    /// The secrets that are kept out of what servers write down.
    pub masks: Arc<Masks>,
    /// Largest answer that is taken from a server, in bytes.
    pub result_bytes_max: usize,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("launcher", &self.launcher).finish_non_exhaustive()
    }
}
