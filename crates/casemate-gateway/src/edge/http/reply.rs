//! Deliveries and refusals as HTTP answers.

use bytes::Bytes;
use casemate_mcp::frame::error_text;
use casemate_mcp::json::Raw;
use casemate_transport::http::Reply;
use casemate_transport::http::head::SESSION_ID;
use http::header::{ALLOW, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use crate::gate::Gate;
use crate::journey::Delivery;
use crate::ports::CallId;
use crate::refusal::{Code, Refusal};
use crate::upstream::State;

/// The id of a refusal, for the caller to quote.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The answer to a body: nothing but an acknowledgment when it asked for nothing.
pub(super) fn of_deliveries(mut deliveries: Vec<Delivery>) -> Reply {
    match deliveries.len() {
        0 => Reply::empty(StatusCode::ACCEPTED),
        1 => deliveries.pop().map_or_else(|| Reply::empty(StatusCode::ACCEPTED), of_delivery),
        _ => {
            let texts: Vec<Bytes> = deliveries.iter().map(Delivery::joined).collect();
            let mut batch = vec![b'['];
            for text in &texts {
                if batch.len() > 1 {
                    batch.push(b',');
                }
                batch.extend_from_slice(text);
            }
            batch.push(b']');
            Reply::json(StatusCode::OK, batch.into())
        }
    }
}

fn of_delivery(delivery: Delivery) -> Reply {
    let mut reply = Reply::json_parts(delivery.status, delivery.parts);
    if let Some(value) = delivery.opened.and_then(|session| HeaderValue::from_str(&session.id).ok()) {
        reply = reply.with(SESSION_ID, value);
    }
    named(with_retry(reply, delivery.retry_after_s), delivery.refused)
}

/// The answer to a request that could not even be read.
pub(super) fn of_refusal(refusal: &Refusal) -> Reply {
    let wire = refusal.wire();
    let reply = Reply::json(wire.status, error_text(None, &wire.error));
    let reply = match refusal.code {
        Code::BadHttpMethod => match refusal.allow().as_str() {
            Some(methods) => reply.with(ALLOW, HeaderValue::from_static(methods)),
            None => reply,
        },
        Code::NoWebSocket => reply
            .with(UPGRADE, HeaderValue::from_static("websocket"))
            .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        _ => reply,
    };
    named(with_retry(reply, wire.retry_after_s), refusal.call())
}

/// Quotes the id that the log and the records have a refusal under.
fn named(reply: Reply, call: Option<CallId>) -> Reply {
    match call.and_then(|call| HeaderValue::from_str(&call.to_string()).ok()) {
        Some(id) => reply.with(REQUEST_ID, id),
        None => reply,
    }
}

fn with_retry(reply: Reply, seconds: Option<u64>) -> Reply {
    match seconds {
        Some(seconds) => reply.with(RETRY_AFTER, HeaderValue::from(seconds)),
        None => reply,
    }
}

/// We are alive.
pub(super) fn health() -> Reply {
    Reply::json(StatusCode::OK, Bytes::from_static(b"{\"status\":\"ok\"}"))
}

/// Longest answer of an authorization server that is shown, in bytes. Codes are short.
const ANSWER_BYTES_MAX: usize = 8 << 10;

/// The answer of an authorization server, for the person whose browser brings it to take to the terminal in which
/// `casemate login` waits. Nothing is kept of it: it belongs to a login that only that terminal knows, and whoever was
/// sent here by somebody else is told so.
pub(super) fn landing(query: Option<&str>) -> Reply {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%&=+:/".contains(&byte);
    let answer = query.filter(|query| {
        query.len() <= ANSWER_BYTES_MAX && query.bytes().all(is_plain) && query.contains("state=")
    });
    let text = match answer {
        Some(answer) => format!(
            "Copy the line below into the terminal in which `casemate login` waits.\nIf you did not start that yourself, \
             close this page and give the line to nobody: whoever has it uses your login.\n\n{answer}\n"
        ),
        None => "No login has ended here.\n".to_owned(),
    };
    Reply::text(StatusCode::OK, text)
}

/// Who wants to know whether calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// Somebody who may look at how the gateway is administered.
    Operator,
    /// Anybody else: what servers there are, and how they are, is none of their business.
    Stranger,
}

/// Whether calls are taken, and for those who may know it, what is not as it should be.
pub(super) fn readiness(gate: &Gate, asker: Asker) -> Reply {
    let ready = !gate.is_stopping();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if asker == Asker::Stranger {
        return Reply::json(status, Raw::of(&json!({ "ready": ready })).bytes());
    }
    let mut reasons = Vec::new();
    if !ready {
        reasons.push("the gateway is stopping".to_owned());
    }
    for shelf in gate.catalog().shelves().values() {
        let server = shelf.server();
        if matches!(server.status().state, State::Backoff { .. } | State::CircuitOpen { .. }) {
            reasons.push(format!("the server {} fails and is being restarted", server.entry().name));
        }
    }
    Reply::json(status, Raw::of(&json!({ "ready": ready, "reasons": reasons })).bytes())
}
