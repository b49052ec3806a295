//! A refusal on the wire: the one place that maps codes to HTTP and JSON-RPC.

use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::Raw;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::{Code, Party, Refusal, Retry};

/// A refusal as it is sent.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The HTTP status, where there is HTTP.
    pub status: StatusCode,
    /// The JSON-RPC error.
    pub error: ErrorObject,
    /// Seconds for a `Retry-After` header.
    pub retry_after_s: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    code: &'a str,
    fault: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'a str>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<Value>,
}

impl Refusal {
    /// The refusal as it is sent.
    #[must_use]
    pub fn wire(&self) -> Wire {
        let (status, rpc) = mapping(self.code);
        // Clients take 403 for the want of another token, and this is none.
        let status = if self.denial.is_some() { StatusCode::OK } else { status };
        let after = match self.retry {
            Retry::After(after) => Some(after),
            Retry::Never | Retry::Check => None,
        };
        let data = Raw::of(&Data {
            code: self.code.as_str(),
            fault: party(self.code.party()),
            call: self.call().map(|call| call.to_string()),
            retry_after_ms: after.map(|after| after.as_millis()),
            approval: self.approval.as_deref(),
            meta: self.denial_meta(),
        });
        let error = match self.prescribed.as_deref().cloned() {
            // What the protocol prescribes as data stands alone.
            Some(error) if error.data.is_some() => error,
            Some(error) => ErrorObject { data: Some(data), ..error },
            None => ErrorObject { code: rpc, message: self.message.clone(), data: Some(data) },
        };
        // Rounded up: whoever comes a moment too early is refused again.
        let retry_after_s =
            after.map(|after| after.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX));
        Wire { status, error, retry_after_s }
    }
}

fn mapping(refused: Code) -> (StatusCode, i64) {
    match refused {
        Code::ForeignOrigin | Code::Plaintext => (StatusCode::FORBIDDEN, code::INVALID_REQUEST),
        Code::BadHeader | Code::HeaderMismatch | Code::BadHandshake => {
            (StatusCode::BAD_REQUEST, code::HEADER_MISMATCH)
        }
        Code::NoWebSocket => (StatusCode::UPGRADE_REQUIRED, code::INVALID_REQUEST),
        Code::NoEndpoint => (StatusCode::NOT_FOUND, code::INVALID_REQUEST),
        Code::BadHttpMethod => (StatusCode::METHOD_NOT_ALLOWED, code::INVALID_REQUEST),
        Code::TooManyConnections | Code::Stopping => (StatusCode::SERVICE_UNAVAILABLE, code::INTERNAL),
        Code::NoCredential | Code::BadCredential => (StatusCode::UNAUTHORIZED, code::INVALID_REQUEST),
        Code::TooManyCalls | Code::TooOften | Code::BudgetSpent | Code::TooManyAttempts => {
            (StatusCode::TOO_MANY_REQUESTS, code::INVALID_REQUEST)
        }
        Code::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, code::INVALID_REQUEST),
        Code::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, code::INVALID_REQUEST),
        Code::BadJson => (StatusCode::BAD_REQUEST, code::PARSE),
        Code::BadMessage => (StatusCode::BAD_REQUEST, code::INVALID_REQUEST),
        Code::UnknownRevision => (StatusCode::BAD_REQUEST, code::UNSUPPORTED_VERSION),
        Code::NoSession => (StatusCode::NOT_FOUND, code::INVALID_REQUEST),
        Code::Unknown
        | Code::BadParams
        | Code::ResultGone
        | Code::BadArguments
        | Code::Guarded
        | Code::ArgumentsBlocked
        | Code::BadState
        | Code::ForeignState
        | Code::NotWaiting
        | Code::Resumed => (StatusCode::OK, code::INVALID_PARAMS),
        Code::NeedsApproval | Code::NotApproved | Code::FlowDenied | Code::Intercepted => {
            (StatusCode::OK, code::INVALID_REQUEST)
        }
        Code::Denied | Code::InsufficientScope | Code::SubjectQuarantined => {
            (StatusCode::FORBIDDEN, code::INVALID_REQUEST)
        }
        Code::BadSchema
        | Code::Unapproved
        | Code::Quarantined
        | Code::ServerDown
        | Code::Timeout
        | Code::AnswerTooLarge
        | Code::CircuitOpen
        | Code::BadAnswer
        | Code::CallLost
        | Code::OverLimit
        | Code::DefinitionBlocked
        | Code::NameRefused
        | Code::Unlocked
        | Code::AnswerBlocked
        | Code::Unjudged
        | Code::BadStructure
        | Code::NoStructure
        | Code::NeedsSecret
        | Code::NeedsLogin
        | Code::CannotAsk
        | Code::TooManyQuestions
        | Code::Canceled => (StatusCode::OK, code::INTERNAL),
        Code::Internal | Code::NotRecorded => (StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL),
    }
}

fn party(party: Party) -> &'static str {
    match party {
        Party::Caller => "caller",
        Party::Upstream => "upstream",
        Party::Policy => "policy",
        Party::Us => "gateway",
    }
}
