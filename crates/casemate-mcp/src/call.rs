//! What the gateway works with: requests, answers and notices free of protocol versions.

use crate::frame::ErrorObject;
use crate::json::{Members, Raw};
use crate::method::Method;
use crate::revision::Revision;

/// A request, whatever dialect it came in.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is asked.
    pub method: Method,
    /// The params as they came, `_meta` included; [`crate::dialect`] replaces what belongs to the dialect when it
    /// writes them for a server.
    pub params: Members,
    /// What the dialects write in different places.
    pub meta: Meta,
}

/// What a request says about its caller and about how it wants to be answered.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The revision that the caller speaks.
    pub revision: Revision,
    /// Reports of progress are wanted, under this token.
    pub progress: Option<Raw>,
    /// What the caller can do for a server: an object.
    pub capabilities: Members,
    /// What the caller says it is. Unverified: never decide by it.
    pub client_info: Option<Raw>,
    /// Log messages are wanted from this level on (`debug` … `emergency`).
    pub log_level: Option<Box<str>>,
}

impl Meta {
    /// The same in memory of its own, for whoever keeps it longer than the message that it came with.
    #[must_use]
    pub fn detached(&self) -> Meta {
        Meta {
            revision: self.revision,
            progress: self.progress.as_ref().map(Raw::detached),
            capabilities: self.capabilities.detached(),
            client_info: self.client_info.as_ref().map(Raw::detached),
            log_level: self.log_level.clone(),
        }
    }
}

/// The answer to a [`Call`].
#[derive(Debug, Clone)]
pub enum Answer {
    /// The result, as the server wrote it.
    Result(Raw),
    /// The error, as the server wrote it.
    Error(ErrorObject),
}

/// A notification, whatever dialect it came in.
#[derive(Debug, Clone)]
pub struct Notice {
    /// What is told.
    pub method: Method,
    /// Its params.
    pub params: Option<Members>,
}
