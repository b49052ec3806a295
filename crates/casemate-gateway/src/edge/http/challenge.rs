//! How a client learns where to get a token: challenges (RFC 6750), and the metadata of this resource (RFC 9728).
//!
//! Both say the same of every endpoint that has the form of one, whether it exists or not.

use std::sync::Arc;

use casemate_mcp::json::Raw;
use casemate_transport::http::Reply;
use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::routes;
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::refusal::{Code, Refusal};
use crate::snapshot::Snapshot;

/// Where the metadata are: this, and the path of the endpoint that they are about (RFC 9728 section 3.1).
const METADATA: &str = "/.well-known/oauth-protected-resource";

/// What a request for a path without a good credential is told.
#[derive(Debug)]
pub(super) struct Challenge {
    snapshot: Arc<Snapshot>,
    metadata: Option<String>,
}

impl Challenge {
    /// The challenge for a path; of paths that are no endpoint's it names no metadata.
    pub(super) fn of(gate: &Gate, path: &str) -> Challenge {
        let snapshot = gate.snapshot();
        let has_issuers = !snapshot.authorization.issuers.is_empty();
        let endpoint = routes::endpoint(path).filter(|_| has_issuers);
        let metadata =
            endpoint.zip(gate.base(&snapshot)).map(|(endpoint, base)| format!("{base}{METADATA}{endpoint}"));
        Challenge { snapshot, metadata }
    }

    /// The answer, with a challenge where its code asks for one.
    pub(super) fn on(&self, reply: Reply, code: Option<Code>, scopes: &[String]) -> Reply {
        let mut first = Vec::new();
        let (error, scopes) = match code {
            Some(Code::NoCredential | Code::BadCredential) => {
                first.extend(self.snapshot.authorization.first().map(str::to_owned));
                // RFC 6750 section 3.1: who sent nothing is told of no error.
                ((code == Some(Code::BadCredential)).then_some("invalid_token"), first.as_slice())
            }
            _ if !scopes.is_empty() => (Some("insufficient_scope"), scopes),
            _ => return reply,
        };
        let mut text = String::from("Bearer realm=\"casemate\"");
        let mut add = |name: &str, value: &str| text.push_str(&format!(", {name}=\"{value}\""));
        error.into_iter().for_each(|error| add("error", error));
        self.metadata.iter().for_each(|metadata| add("resource_metadata", metadata));
        if !scopes.is_empty() {
            add("scope", &scopes.join(" "));
        }
        match HeaderValue::from_str(&text) {
            Ok(value) => reply.with(WWW_AUTHENTICATE, value),
            Err(_) => reply,
        }
    }
}

/// The metadata that a path leads to.
///
/// # Errors
/// [`Code::NoEndpoint`] where there are none.
pub(super) fn metadata(gate: &Gate, path: &str) -> Result<Reply, Refusal> {
    let rest = path.strip_prefix(METADATA).unwrap_or(path);
    // Clients that find nothing beside the path look here (RFC 9728 section 3), where the joined endpoint is meant.
    let endpoint = if rest.is_empty() { Some(Endpoint::Joined) } else { Endpoint::of_path(rest) };
    let snapshot = gate.snapshot();
    let authorization = &snapshot.authorization;
    let known = endpoint.zip(gate.base(&snapshot)).filter(|_| !authorization.issuers.is_empty());
    let nothing = || Refusal::new(Code::NoEndpoint, "There is nothing at this path.");
    let (endpoint, base) = known.ok_or_else(nothing)?;
    let metadata = Raw::of(&json!({
        "resource": base.of(&endpoint),
        "authorization_servers": authorization.issuers,
        "scopes_supported": authorization.scopes.keys().collect::<Vec<_>>(),
        "bearer_methods_supported": ["header"],
        "resource_name": "Casemate",
    }));
    let reply = Reply::json(StatusCode::OK, metadata.bytes());
    Ok(reply.with(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}
