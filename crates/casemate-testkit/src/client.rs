//! Small clients that show every message, for journey and end-to-end tests.
//!
//! They hide nothing and retry nothing: a test reads statuses, headers and messages as they came.

mod http;
mod stdio;

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::rpc::RpcError;

pub use http::{Exchange, McpHttp};
pub use stdio::McpStdio;

/// Why a client got no result.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The server answered with an error.
    #[error("the server refused: {0}")]
    Rpc(RpcError),
    /// The server answered with an HTTP status and no JSON-RPC message.
    #[error("HTTP status {status}: {body}")]
    Status {
        /// The status.
        status: u16,
        /// What came with it.
        body: String,
    },
    /// The connection ended before the answer came.
    #[error("the connection ended early")]
    Closed,
    /// What came is not JSON.
    #[error("this is no message: {text}")]
    Malformed {
        /// What came.
        text: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The transport failed.
    #[error("the transport failed")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ClientError {
    /// The JSON-RPC error code, where there is one.
    pub fn code(&self) -> Option<i64> {
        match self {
            ClientError::Rpc(error) => Some(error.code),
            _ => None,
        }
    }

    pub(crate) fn transport(fault: impl std::error::Error + Send + Sync + 'static) -> ClientError {
        ClientError::Transport(Box::new(fault))
    }
}

/// The modern revision that the clients speak.
pub const MODERN_REVISION: &str = "2026-07-28";

/// The newest legacy revision.
pub const LEGACY_REVISION: &str = "2025-11-25";

/// Adds the `_meta` of the modern era; members that `_meta` already has stay.
pub fn with_meta(params: Value, capabilities: &Value) -> Value {
    let mut params = if let Value::Object(params) = params { params } else { Map::new() };
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN_REVISION,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "casemate-testkit", "version": "0"},
    });
    if let (Some(meta), Some(Value::Object(given))) = (meta.as_object_mut(), params.remove("_meta")) {
        meta.extend(given);
    }
    params.insert("_meta".into(), meta);
    Value::Object(params)
}

fn initialize_params(revision: &str, capabilities: &Value) -> Value {
    json!({
        "protocolVersion": revision,
        "capabilities": capabilities,
        "clientInfo": {"name": "casemate-testkit", "version": "0"},
    })
}

fn read(text: &str) -> Result<Value, ClientError> {
    serde_json::from_str(text).map_err(|source| ClientError::Malformed { text: text.to_owned(), source })
}

/// The outcome, if the message is the response to this id.
fn outcome(message: &Value, id: &Value) -> Option<Result<Value, ClientError>> {
    if message.get("method").is_some() || message.get("id") != Some(id) {
        return None;
    }
    Some(match message.get("error") {
        Some(error) => Err(ClientError::Rpc(RpcError::from_value(error))),
        None => Ok(message.get("result").cloned().unwrap_or_default()),
    })
}
