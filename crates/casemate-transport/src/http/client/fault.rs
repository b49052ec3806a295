//! What can go wrong in an exchange.

use std::error::Error as StdError;

use thiserror::Error;

use super::EndpointFault;
use crate::http::events::EventFault;
use crate::http::inbound::BodyFault;

/// Why an exchange failed.
#[derive(Debug, Error)]
pub enum ClientFault {
    /// No connection could be made.
    #[error("cannot connect")]
    Connect {
        /// What the system, the resolver or TLS said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No connection was made in time.
    #[error("connecting took too long")]
    ConnectTime,
    /// A new connection closed before it took the request.
    #[error("the connection closed before the request was sent")]
    Unsent {
        /// What hyper said.
        source: hyper::Error,
    },
    /// The connection broke after the request, or a part of it, may have been sent.
    #[error("the connection broke before the answer was there")]
    Lost {
        /// What hyper said.
        source: hyper::Error,
    },
    /// The answer did not begin in time.
    #[error("the server did not begin to answer in time")]
    HeadTime,
    /// The body of the answer is too long, too late, or broke off.
    #[error("the answer cannot be used")]
    Body {
        /// Which of the three.
        #[from]
        source: BodyFault,
    },
    /// An event is too long.
    #[error("the stream of events cannot be used")]
    Event {
        /// How long it may be.
        #[from]
        source: EventFault,
    },
    /// A stream of events was asked for again and the server gave something else.
    #[error("the server does not resume the stream: it answered with status {status}")]
    NotResumed {
        /// Its status.
        status: http::StatusCode,
    },
    /// The address cannot be called.
    #[error(transparent)]
    Endpoint(#[from] EndpointFault),
}

impl ClientFault {
    /// Whether no part of the request can have reached the server, so that repeating it is safe whatever it does.
    #[must_use]
    pub fn never_sent(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::ConnectTime | Self::Unsent { .. } | Self::Endpoint(_) => true,
            Self::Lost { .. }
            | Self::HeadTime
            | Self::Body { .. }
            | Self::Event { .. }
            | Self::NotResumed { .. } => false,
        }
    }

    /// Whether the server may have received the request, and may have acted on it.
    #[must_use]
    pub fn may_have_been_sent(&self) -> bool {
        !self.never_sent()
    }
}
