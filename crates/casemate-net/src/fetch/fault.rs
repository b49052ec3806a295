//! Why a fetch failed.

use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::net::IpAddr;

use thiserror::Error;

use super::url::Url;
use crate::attempt::Reason;

/// Why a fetch failed, and of what. It holds nothing that may be a secret: no query, no header, no body.
#[derive(Debug, Error)]
#[error("cannot fetch {place}: {cause}")]
pub struct FetchFault {
    place: Url,
    cause: FetchCause,
}

/// What went wrong.
#[derive(Debug)]
pub enum FetchCause {
    /// It is `http`, which is for this machine alone and has to be allowed.
    Plain,
    /// No connection: the address is of a class that may not be reached, or there is none, or nobody listens.
    Dial {
        /// Why.
        reason: Reason,
        /// The address that it failed with.
        address: Option<IpAddr>,
    },
    /// TLS did not come about: a certificate that is not trusted, most of the time.
    Tls(Box<dyn StdError + Send + Sync>),
    /// The connection broke, or what came is not HTTP, or its head is too large.
    Broken(Box<dyn StdError + Send + Sync>),
    /// It took longer than it may.
    Time,
    /// The body is longer than it may be.
    TooLarge {
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// The answer is of a type that was not asked for, or is packed.
    ContentType(String),
    /// There were more redirects than that.
    Redirects(u8),
    /// A redirect that is not followed.
    Pointer(&'static str),
}

impl FetchFault {
    pub(super) fn new(place: &Url, cause: FetchCause) -> FetchFault {
        FetchFault { place: place.clone(), cause }
    }

    /// What went wrong.
    #[must_use]
    pub fn cause(&self) -> &FetchCause {
        &self.cause
    }

    /// Whether no part of the request can have reached the server, so that repeating it is safe whatever it does.
    #[must_use]
    pub fn never_sent(&self) -> bool {
        match self.cause {
            FetchCause::Plain | FetchCause::Dial { .. } | FetchCause::Tls(_) => true,
            FetchCause::Broken(_)
            | FetchCause::Time
            | FetchCause::TooLarge { .. }
            | FetchCause::ContentType(_)
            | FetchCause::Redirects(_)
            | FetchCause::Pointer(_) => false,
        }
    }
}

impl Display for FetchCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchCause::Plain => {
                f.write_str("plain http is for this machine alone, and only where that is allowed")
            }
            FetchCause::Dial { reason, address: Some(address) } => write!(f, "{reason} ({address})"),
            FetchCause::Dial { reason, address: None } => reason.fmt(f),
            FetchCause::Tls(why) => write!(f, "no trusted TLS connection: {why}"),
            FetchCause::Broken(why) => write!(f, "the exchange broke: {why}"),
            FetchCause::Time => f.write_str("it took too long"),
            FetchCause::TooLarge { limit } => write!(f, "the answer is longer than {limit} bytes"),
            FetchCause::ContentType(kind) => {
                write!(f, "the answer is of another type than asked for, {kind}")
            }
            FetchCause::Redirects(max) => write!(f, "more than {max} redirects"),
            FetchCause::Pointer(why) => write!(f, "a redirect that is not followed: {why}"),
        }
    }
}
