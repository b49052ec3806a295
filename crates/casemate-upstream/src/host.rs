//! What all servers of one gateway share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use casemate_mcp::json::Raw;
use casemate_transport::http::Client;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::instance::frame_limits;
use super::{Alarm, Credentials, Launcher, Masks, ServerNotice};

/// What all servers of one gateway share.
pub struct Host {
    /// Starts processes.
    pub launcher: Arc<dyn Launcher>,
    /// Dials; one pool of connections for each HTTP server. Its times must not be shorter than what entries may ask for
    /// (`timeout.hard`): the bounds of this room are the ones that name a fault.
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
    /// Largest answer that is taken from a server; see [`Host::take_answers_up_to`].
    pub answer_size: AnswerSize,
}

/// The largest answer that is taken, in bytes. Clones share it.
#[derive(Debug, Clone)]
pub struct AnswerSize(Arc<AtomicUsize>);

impl AnswerSize {
    /// So many bytes to begin with.
    #[must_use]
    pub fn new(bytes: usize) -> AnswerSize {
        AnswerSize(Arc::new(AtomicUsize::new(bytes)))
    }

    /// As many as at the moment.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Host {
    /// Changes how large an answer may be, in bytes. HTTP servers follow with their next answer, others when they start.
    pub fn take_answers_up_to(&self, bytes: usize) {
        self.answer_size.0.store(bytes, Ordering::Relaxed);
        self.http.take_messages_up_to(frame_limits(bytes).bytes_max);
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("launcher", &self.launcher).finish_non_exhaustive()
    }
}
