//! Stage 10: the answer in the words of the client's dialect.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use casemate_mcp::call::Answer;
use casemate_mcp::dialect::{legacy, modern};
use casemate_mcp::frame::{ErrorObject, Id, code, error_text, response_parts};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use casemate_policy::SubjectId;
use http::StatusCode;
use serde_json::json;

use super::inspect::Cleared;
use crate::client::Session;
use crate::ports::CallId;
use crate::refusal::{Code, Refusal};

/// What is needed to answer a request, kept apart from its journey.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) id: Id,
    pub(super) method: Method,
    pub(super) revision: Revision,
    /// Who can be asked to open an address on this machine, if anybody can.
    pub(super) opener: Option<SubjectId>,
    /// Where the request came from.
    pub(super) address: Option<IpAddr>,
}

/// The answer to one request, ready to be written.
#[derive(Debug)]
pub struct Delivery {
    /// The frame, in parts so that a large result is not copied.
    pub parts: Vec<Bytes>,
    /// The HTTP status, where there is HTTP.
    pub status: StatusCode,
    /// Seconds for a `Retry-After` header.
    pub retry_after_s: Option<u64>,
    /// The scopes that a token needs for it.
    pub scopes: Vec<String>,
    /// The session that this request opened.
    pub opened: Option<Arc<Session>>,
    /// The client gave the call up: where an answer is not owed to a transport, none is sent.
    pub canceled: bool,
    /// The id that the log and the records have a refusal under.
    pub refused: Option<CallId>,
}

/// Writes the outcome of a journey for the client.
pub(super) fn deliver(ticket: &Ticket, outcome: Result<Cleared, Refusal>) -> Delivery {
    let refusal = match outcome {
        Ok(Cleared { answer: Answer::Result(result), is_worded: true, .. }) => {
            return worded(ticket, &result, None);
        }
        Ok(Cleared { answer: Answer::Result(result), members, opened, .. }) => {
            return result_of(ticket, (result, members), opened);
        }
        Ok(Cleared { answer: Answer::Error(error), .. }) => return error_of(ticket, error),
        Err(refusal) => refusal,
    };
    let is_told = refusal.code == Code::BadArguments || refusal.denial.is_some();
    if is_told && ticket.method == Method::ToolsCall {
        // SEP-1303: what a model got wrong it is told as a result, so that it can do better. SEP-2643: so is what it
        // was not allowed.
        return result_of(ticket, (tool_error(&refusal), None), None);
    }
    if let Some(question) = refusal.login.as_ref().and_then(|login| login.question.as_ref()) {
        return worded(ticket, question, None);
    }
    let wire = refusal.wire();
    let (error, status) = if ticket.revision.is_modern() {
        let status = modern_status(wire.error.code, wire.status);
        (wire.error, status)
    } else {
        (legacy::error(&ticket.method, wire.error), wire.status)
    };
    Delivery {
        parts: vec![error_text(Some(&ticket.id), &error)],
        status,
        retry_after_s: wire.retry_after_s,
        opened: None,
        canceled: refusal.code == Code::Canceled,
        refused: refusal.call(),
        scopes: refusal.scopes.into_vec(),
    }
}

fn result_of(
    ticket: &Ticket,
    (result, members): (Raw, Option<Members>),
    opened: Option<Arc<Session>>,
) -> Delivery {
    let result = match (ticket.revision.is_modern(), members) {
        (true, Some(members)) => modern::result_of(&ticket.method, &members),
        (true, None) => modern::result(&ticket.method, result),
        (false, Some(members)) => legacy::result_of(&members),
        (false, None) => legacy::result(result),
    };
    worded(ticket, &result, opened)
}

fn worded(ticket: &Ticket, result: &Raw, opened: Option<Arc<Session>>) -> Delivery {
    let parts = response_parts(&ticket.id, result).to_vec();
    Delivery {
        parts,
        status: StatusCode::OK,
        retry_after_s: None,
        scopes: Vec::new(),
        opened,
        canceled: false,
        refused: None,
    }
}

fn error_of(ticket: &Ticket, error: ErrorObject) -> Delivery {
    let (error, status) = if ticket.revision.is_modern() {
        let error = modern::error(error);
        let status = modern_status(error.code, StatusCode::OK);
        (error, status)
    } else {
        (legacy::error(&ticket.method, error), StatusCode::OK)
    };
    Delivery {
        parts: vec![error_text(Some(&ticket.id), &error)],
        status,
        retry_after_s: None,
        scopes: Vec::new(),
        opened: None,
        canceled: false,
        refused: None,
    }
}

/// The HTTP status that the modern dialect prescribes for an error.
fn modern_status(error: i64, otherwise: StatusCode) -> StatusCode {
    match error {
        code::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION => {
            StatusCode::BAD_REQUEST
        }
        _ => otherwise,
    }
}

fn tool_error(refusal: &Refusal) -> Raw {
    let mut meta = refusal.denial_meta().unwrap_or_else(|| json!({}));
    if let Some(meta) = meta.as_object_mut() {
        meta.insert("io.casemate/refusal".to_owned(), refusal.code.as_str().into());
    }
    Raw::of(&json!({
        "content": [{ "type": "text", "text": refusal.message }],
        "isError": true,
        "_meta": meta,
    }))
}

impl Delivery {
    /// The frame in one piece.
    #[must_use]
    pub fn joined(&self) -> Bytes {
        match self.parts.as_slice() {
            [only] => only.clone(),
            parts => parts.concat().into(),
        }
    }
}
