//! The texts of answers, in the words of the client's revision.

use bytes::Bytes;
use casemate_mcp::call::Call;
use casemate_mcp::dialect::modern;
use casemate_mcp::frame::{ErrorObject, Fault, Id, code, error_text, notification_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use serde_json::{Value, json};

use crate::server::Server;
use crate::tool::Tool;

/// How long a client may keep what never changes while we run.
const KEEP_MS: u32 = 3_600_000;

/// The error for a message that is none.
pub(super) fn unreadable(fault: &Fault) -> Bytes {
    error_text(fault.id(), &ErrorObject::new(fault.code(), fault.to_string()))
}

/// The result of `initialize`.
pub(super) fn initialized<S: Server>(revision: Revision) -> Raw {
    Raw::of(&json!({
        "protocolVersion": revision.as_str(),
        "capabilities": { "tools": {} },
        "serverInfo": implementation::<S>(),
        "instructions": S::INSTRUCTIONS,
    }))
}

/// The result of `server/discover`.
pub(super) fn discovered<S: Server>() -> Raw {
    Raw::of(&json!({
        "supportedVersions": [Revision::LATEST.as_str()],
        "capabilities": { "tools": {} },
        "instructions": S::INSTRUCTIONS,
        "ttlMs": KEEP_MS,
        "cacheScope": "public",
    }))
}

/// The result of `tools/list`: one page.
pub(super) fn listed(tools: &[Tool], call: &Call) -> Result<Raw, ErrorObject> {
    if call.params.has("cursor") {
        let message = "Unknown cursor: all tools are on the first page";
        return Err(ErrorObject::new(code::INVALID_PARAMS, message));
    }
    let revision = call.meta.revision;
    let tools: Vec<Value> = tools.iter().map(|tool| tool.definition(revision)).collect();
    let mut result = json!({ "tools": tools });
    if let Some(members) = result.as_object_mut().filter(|_| revision.is_modern()) {
        members.insert("ttlMs".to_owned(), KEEP_MS.into());
        members.insert("cacheScope".to_owned(), "public".into());
    }
    Ok(Raw::of(&result))
}

/// Which tool is called, and with what.
pub(super) fn called(tools: &'static [Tool], call: &Call) -> Result<(&'static Tool, Members), ErrorObject> {
    let invalid = |message: String| ErrorObject::new(code::INVALID_PARAMS, message);
    let name = call.params.string("name");
    let name = name.ok_or_else(|| invalid("`tools/call` needs params.name, a text".to_owned()))?;
    let tool = tools.iter().find(|tool| tool.name == name);
    let tool = tool.ok_or_else(|| invalid(format!("Unknown tool: {name}")))?;
    let arguments = match call.params.get("arguments") {
        None => Members::empty(),
        Some(sent) => {
            sent.members().ok_or_else(|| invalid("params.arguments has to be an object".to_owned()))?
        }
    };
    Ok((tool, arguments))
}

/// The first and only message of a subscription: none of the changes it asks for will ever be reported.
pub(super) fn listening(id: &Id) -> Bytes {
    let params = Raw::of(&json!({
        "_meta": { modern::SUBSCRIPTION_ID: id },
        "notifications": {},
    }));
    notification_text(&Method::ListenAcknowledged, Some(&params))
}

/// Which request a `notifications/cancelled` gives up.
pub(super) fn cancelled_id(params: &Members) -> Option<Id> {
    let id = params.get("requestId")?;
    let text = id.string().map(|text| Id::String(text.into()));
    text.or_else(|| id.as_str().parse().ok().map(Id::Number))
}

/// Adds what a modern client expects of every result.
pub(super) fn dressed<S: Server>(call: &Call, result: Raw) -> Raw {
    if !call.meta.revision.is_modern() {
        return result;
    }
    let result = modern::result(&call.method, result);
    let meta = Raw::of(&json!({ modern::SERVER_INFO: implementation::<S>() }));
    result.members().map_or(Raw::EMPTY_OBJECT, |members| members.edit().set("_meta", meta).finish())
}

fn implementation<S: Server>() -> Value {
    json!({ "name": format!("casemate-{}", S::NAME), "version": env!("CARGO_PKG_VERSION") })
}
