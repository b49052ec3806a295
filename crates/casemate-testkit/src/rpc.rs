//! JSON-RPC 2.0 in its plainest form.

use serde_json::{Map, Value, json};
use thiserror::Error;

pub(crate) const PARSE_ERROR: i64 = -32700;
pub(crate) const INVALID_REQUEST: i64 = -32600;
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const INTERNAL: i64 = -32603;
pub(crate) const LEGACY_RESOURCE_NOT_FOUND: i64 = -32002;
pub(crate) const HEADER_MISMATCH: i64 = -32020;
pub(crate) const MISSING_CAPABILITY: i64 = -32021;
pub(crate) const UNSUPPORTED_VERSION: i64 = -32022;

/// The error member of a JSON-RPC response.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// The code, as in the specification.
    pub code: i64,
    /// What a person reads.
    pub message: String,
    /// Details for a program.
    pub data: Option<Value>,
    /// The HTTP status that goes with it, where the answer travels over HTTP.
    pub status: u16,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> RpcError {
        RpcError { code, message: message.into(), data: None, status: 200 }
    }

    pub(crate) fn with_data(mut self, data: Value) -> RpcError {
        self.data = Some(data);
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> RpcError {
        self.status = status;
        self
    }

    pub(crate) fn invalid_params(message: impl Into<String>) -> RpcError {
        RpcError::new(INVALID_PARAMS, message)
    }

    /// A 404 over HTTP, as the modern revision demands; legacy transports ignore the status.
    pub(crate) fn no_method(method: &str) -> RpcError {
        RpcError::new(METHOD_NOT_FOUND, format!("Method not found: {method}")).with_status(404)
    }

    /// Reads the error member of a response.
    pub fn from_value(value: &Value) -> RpcError {
        RpcError {
            code: value.get("code").and_then(Value::as_i64).unwrap_or(INTERNAL),
            message: value.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            data: value.get("data").cloned(),
            status: 200,
        }
    }

    fn to_value(&self) -> Value {
        let mut object = Map::new();
        object.insert("code".into(), self.code.into());
        object.insert("message".into(), self.message.clone().into());
        if let Some(data) = &self.data {
            object.insert("data".into(), data.clone());
        }
        Value::Object(object)
    }
}

/// One message, told apart by its members.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    Request { id: Value, method: String, params: Value },
    Notification { method: String, params: Value },
    Response { id: Value, outcome: Result<Value, RpcError> },
}

impl Message {
    /// Reads one message. The id travels with the error, so that the refusal can name it.
    #[allow(
        clippy::result_large_err,
        reason = "a JSON value is large only when some crate of the build keeps the order of members"
    )]
    pub(crate) fn parse(bytes: &[u8]) -> Result<Message, (Value, RpcError)> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|fault| (Value::Null, RpcError::new(PARSE_ERROR, format!("Parse error: {fault}"))))?;
        Message::sort(value).map_err(|(id, error)| (id, error.with_status(400)))
    }

    #[allow(
        clippy::result_large_err,
        reason = "a JSON value is large only when some crate of the build keeps the order of members"
    )]
    fn sort(value: Value) -> Result<Message, (Value, RpcError)> {
        let refuse = |id: Value, why: &str| Err((id, RpcError::new(INVALID_REQUEST, why)));
        let Value::Object(mut object) = value else {
            return refuse(Value::Null, "A message is one object");
        };
        let id = object.remove("id");
        let known = id.clone().filter(|id| id.is_string() || id.is_i64() || id.is_u64());
        if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return refuse(known.unwrap_or_default(), "jsonrpc must be 2.0");
        }
        if let Some(method) = object.remove("method") {
            let Value::String(method) = method else {
                return refuse(known.unwrap_or_default(), "method must be a string");
            };
            let params = object.remove("params").unwrap_or(Value::Null);
            return match (id, known) {
                (None, _) => Ok(Message::Notification { method, params }),
                (Some(_), Some(id)) => Ok(Message::Request { id, method, params }),
                (Some(_), None) => refuse(Value::Null, "id must be a string or an integer"),
            };
        }
        let outcome = match (object.remove("result"), object.remove("error")) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(RpcError::from_value(&error)),
            _ => return refuse(known.unwrap_or_default(), "neither a request nor a response"),
        };
        Ok(Message::Response { id: id.unwrap_or_default(), outcome })
    }
}

pub(crate) fn request(id: &Value, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

pub(crate) fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

pub(crate) fn result(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

pub(crate) fn error(id: &Value, error: &RpcError) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": error.to_value()})
}
