//! JSON-RPC 2.0 frames. Params, results and error data stay raw.

mod write;

#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::json::{self, Limits, Members, Raw};
use crate::method::Method;

pub use write::{error_text, notification_text, request_text, response_parts, response_text};

/// The id of a request: unique among its sender's requests in flight.
///
/// The protocol forbids `null` and fractions; so do we.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Id {
    /// An integer.
    Number(i64),
    /// Any string.
    String(Box<str>),
}

impl Id {
    /// Reads an id; `None` when the value is neither a string nor an integer.
    #[must_use]
    pub fn read(raw: &Raw) -> Option<Id> {
        match raw.string() {
            Some(text) => Some(Id::String(text.into())),
            None => raw.as_str().parse().ok().map(Id::Number),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Id::Number(number) => serializer.serialize_i64(*number),
            Id::String(text) => serializer.serialize_str(text),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => write!(f, "{number}"),
            Id::String(text) => write!(f, "{text:?}"),
        }
    }
}

/// One message.
#[derive(Debug, Clone)]
pub enum Frame {
    /// Wants an answer.
    Request {
        /// Under which the answer comes back.
        id: Id,
        /// What is asked.
        method: Method,
        /// An object, if anything.
        params: Option<Members>,
    },
    /// Wants none.
    Notification {
        /// What is told.
        method: Method,
        /// An object, if anything.
        params: Option<Members>,
    },
    /// Answers a request.
    Response {
        /// Which one; absent when the sender could not read the request's id.
        id: Option<Id>,
        /// The result or the error.
        outcome: Result<Raw, ErrorObject>,
    },
}

/// The error of a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorObject {
    /// A number that the protocol or JSON-RPC defines.
    pub code: i64,
    /// A sentence for people.
    pub message: String,
    /// Further detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Raw>,
}

impl ErrorObject {
    /// An error without data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        ErrorObject { code, message: message.into(), data: None }
    }
}

/// Error codes of JSON-RPC and of the protocol.
pub mod code {
    /// The text is not JSON.
    pub const PARSE: i64 = -32700;
    /// The JSON is no request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// No such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The params are wrong; since 2026-07-28 also: no such resource.
    pub const INVALID_PARAMS: i64 = -32602;
    /// Something failed inside.
    pub const INTERNAL: i64 = -32603;
    /// Until 2025-11-25: no such resource.
    pub const RESOURCE_NOT_FOUND: i64 = -32002;
    /// Modern: a header and the body say different things.
    pub const HEADER_MISMATCH: i64 = -32020;
    /// Modern: the client did not declare a capability that this needs.
    pub const MISSING_CAPABILITY: i64 = -32021;
    /// Modern: the server does not speak this revision.
    pub const UNSUPPORTED_VERSION: i64 = -32022;
    /// 2025-11-25: open this page first.
    pub const URL_ELICITATION_REQUIRED: i64 = -32042;
}

/// Why a text is no frame.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The text is not JSON that we accept.
    #[error(transparent)]
    Json(#[from] json::Fault),
    /// A JSON-RPC batch: revision 2025-03-26 alone has them.
    #[error("JSON-RPC batches exist only in revision 2025-03-26; send one message at a time")]
    Batch,
    /// JSON, but no JSON-RPC 2.0 message.
    #[error("this is no JSON-RPC 2.0 message: {why}")]
    Shape {
        /// What is missing or wrong.
        why: &'static str,
        /// The id, when one could be read, so that the answer can carry it.
        id: Option<Id>,
    },
}

impl Fault {
    /// The JSON-RPC error code that tells a sender of this fault.
    #[must_use]
    pub fn code(&self) -> i64 {
        match self {
            Fault::Json(_) => code::PARSE,
            Fault::Batch | Fault::Shape { .. } => code::INVALID_REQUEST,
        }
    }

    /// The id of the request that has the fault, when it could be read.
    #[must_use]
    pub fn id(&self) -> Option<&Id> {
        match self {
            Fault::Shape { id, .. } => id.as_ref(),
            Fault::Json(_) | Fault::Batch => None,
        }
    }
}

impl Frame {
    /// Reads one message in a single pass.
    ///
    /// # Errors
    /// A [`Fault`] that says what is wrong.
    pub fn parse(text: Bytes, limits: &Limits) -> Result<Frame, Fault> {
        let is_batch = text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        if is_batch {
            return Raw::check(text, limits).map_err(Fault::Json).and(Err(Fault::Batch));
        }
        Frame::of(&Members::check(text, limits)?)
    }

    /// Reads the messages of a batch (revision 2025-03-26); a single message is a batch of one.
    ///
    /// # Errors
    /// A [`Fault`] for the first message that is wrong.
    pub fn parse_batch(text: Bytes, limits: &Limits) -> Result<Vec<Frame>, Fault> {
        let whole = Raw::check(text, limits)?;
        let Some(elements) = whole.elements() else {
            let members =
                whole.members().ok_or_else(|| shape("it is neither an object nor a batch", None))?;
            return Ok(vec![Frame::of(&members)?]);
        };
        if elements.is_empty() {
            return Err(shape("a batch cannot be empty", None));
        }
        let read = |raw: Raw| {
            raw.members().ok_or_else(|| shape("a batch holds objects", None)).and_then(|m| Frame::of(&m))
        };
        elements.into_iter().map(read).collect()
    }

    fn of(envelope: &Members) -> Result<Frame, Fault> {
        let (mut version, mut id, mut method, mut params, mut result, mut error) =
            (None, None, None, None, None, None);
        for (name, value) in envelope.iter() {
            match &*name {
                "jsonrpc" => version = Some(value),
                "id" => id = Some(value),
                "method" => method = Some(value),
                "params" => params = Some(value),
                "result" => result = Some(value),
                "error" => error = Some(value),
                _ => {}
            }
        }
        let id = id.map(|raw| read_id(&raw));
        let known = id.clone().and_then(Result::ok).flatten();
        if version.as_ref().map(Raw::as_bytes) != Some(b"\"2.0\"") {
            return Err(shape("`jsonrpc` has to be \"2.0\"", known));
        }
        if let Some(method) = method {
            let name = method.string().ok_or_else(|| shape("`method` has to be a string", known.clone()))?;
            let method = Method::parse(&name);
            let params = params
                .map(|raw| raw.members().ok_or_else(|| shape("`params` has to be an object", known.clone())))
                .transpose()?;
            return match id.transpose()? {
                None => Ok(Frame::Notification { method, params }),
                Some(Some(id)) => Ok(Frame::Request { id, method, params }),
                Some(None) => Err(shape("the `id` of a request cannot be null", None)),
            };
        }
        let id = id.transpose()?.flatten();
        let outcome = match (result, error) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => {
                Err(read_error(&error).ok_or_else(|| shape("`error` has no code or message", known))?)
            }
            _ => return Err(shape("it has neither a `method` nor one of `result` and `error`", known)),
        };
        Ok(Frame::Response { id, outcome })
    }

    /// Writes the message.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Frame::Request { id, method, params } => {
                request_text(id, method, params.as_ref().map(Members::raw))
            }
            Frame::Notification { method, params } => {
                notification_text(method, params.as_ref().map(Members::raw))
            }
            Frame::Response { id: Some(id), outcome: Ok(result) } => response_text(id, result),
            Frame::Response { id, outcome: Err(error) } => error_text(id.as_ref(), error),
            Frame::Response { id: None, outcome: Ok(_) } => {
                error_text(None, &ErrorObject::new(code::INTERNAL, "an answer without an id"))
            }
        }
    }
}

fn shape(why: &'static str, id: Option<Id>) -> Fault {
    Fault::Shape { why, id }
}

/// `Ok(None)` is `null`.
fn read_id(raw: &Raw) -> Result<Option<Id>, Fault> {
    if raw.as_str() == "null" {
        return Ok(None);
    }
    Id::read(raw).map(Some).ok_or_else(|| shape("an `id` is a string or an integer", None))
}

fn read_error(raw: &Raw) -> Option<ErrorObject> {
    let members = raw.members()?;
    Some(ErrorObject {
        code: members.get("code")?.as_str().parse().ok()?,
        message: members.string("message")?,
        data: members.get("data"),
    })
}
