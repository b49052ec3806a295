//! Why a call got no answer from its server.

use std::time::Duration;

use thiserror::Error;

use crate::Overrun;
use crate::entry::Missing;

/// Why a call got no answer from its server. The texts are for the log: they may hold what a server wrote.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The configuration has the server switched off.
    #[error("the server is disabled")]
    Disabled,
    /// The entry names a secret that there is not.
    #[error("the server is not started: {missing}")]
    Withheld {
        /// What is missing first.
        missing: Missing,
    },
    /// The server failed so often that it is left alone for a while.
    #[error("the server failed repeatedly and is left alone for {} ms more", .retry_after.as_millis())]
    CircuitOpen {
        /// When it is tried again.
        retry_after: Duration,
    },
    /// All instances that the server may have are busy.
    #[error("all {instances_max} instances of the server are busy")]
    Busy {
        /// How many it may have ([`crate::entry::Resilience::instances_max`]).
        instances_max: usize,
    },
    /// The server could not be started or reached, or did not finish its handshake.
    #[error("the server did not start: {why}")]
    Start {
        /// What happened.
        why: String,
    },
    /// The server wants a login that only a person can make.
    #[error("the server wants a login")]
    Login,
    /// The instance was lost before it answered.
    #[error("the server was lost {}: {why}", if *.sent { "after the call was sent" } else { "before the call was sent" })]
    Gone {
        /// Whether the server may have seen the call, and so may have acted on it.
        sent: bool,
        /// What happened.
        why: String,
    },
    /// The server was ended while it worked on the call, because it used more than it may.
    #[error("the server was ended, since it was over its limit {overrun}")]
    OverLimit {
        /// The limit.
        overrun: Overrun,
    },
    /// No answer came in time; the call was canceled upstream.
    #[error("no answer within {} ms", .after.as_millis())]
    Timeout {
        /// The time that was exceeded.
        after: Duration,
        /// It was the hard maximum, which progress does not extend.
        hard: bool,
    },
    /// The answer is larger than [`super::Host::answer_size`].
    #[error("the answer is larger than {limit} bytes")]
    TooBig {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The server broke the protocol in a way that leaves no answer.
    #[error("the server broke the protocol: {why}")]
    Protocol {
        /// What it did.
        why: String,
    },
    /// The server was stopped by a person, by a new configuration, or because the gateway is going down.
    #[error("the server is stopped")]
    Stopping,
}
