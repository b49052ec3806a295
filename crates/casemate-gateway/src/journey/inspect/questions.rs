//! Questions in an answer (`input_required`): a server may ask only what the client declared that it can be asked.

use std::collections::BTreeSet;

use casemate_mcp::call::Call;
use casemate_mcp::dialect::modern;
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_mcp::question::Need;
use serde_json::{Map, Value, json};

use crate::endpoint::Endpoint;
use crate::refusal::{Code, Refusal};

/// The member of a question's `_meta` that says which server asks.
const SERVER: &str = "io.casemate/server";

/// Members that only the questions of legacy servers have.
const LEGACY: [&str; 2] = ["elicitationId", "task"];

/// Lets an answer pass that asks nothing, or only what this client can be asked.
///
/// # Errors
/// [`Code::CannotAsk`], in the form that the protocol prescribes.
pub(super) fn allowed(call: &Call, result: &Members) -> Result<(), Refusal> {
    let meta = &call.meta;
    if call.method == Method::TasksGet && meta.revision.is_modern() {
        return declared(call, result);
    }
    if !modern::asks(result) {
        return Ok(());
    }
    if !meta.revision.is_modern() {
        let message = "The server asked something in mid-call, in a form that this client's protocol revision does not have.";
        return Err(Refusal::new(Code::CannotAsk, message));
    }
    if !modern::may_be_asked(&call.method) {
        let message = format!("The server answered {} with questions.", call.method);
        return Err(Refusal::new(Code::BadAnswer, message));
    }
    declared(call, result)
}

/// Whether all questions of an answer are such as the client declared.
fn declared(call: &Call, result: &Members) -> Result<(), Refusal> {
    let Some(requests) = result.get("inputRequests").filter(|requests| *requests != Raw::NULL) else {
        return Ok(());
    };
    let Some(requests) = requests.members() else {
        let message = "The server asked something in a form that the protocol does not have.";
        return Err(Refusal::new(Code::BadAnswer, message));
    };
    let mut needs = BTreeSet::new();
    for (_, request) in requests.iter() {
        let need = request.members().and_then(|request| {
            Need::of(&Method::parse(&request.string("method")?), request.object("params").as_ref())
        });
        needs.insert(need.ok_or_else(|| {
            Refusal::new(Code::BadAnswer, "The server asked something that the protocol does not know.")
        })?);
    }
    let missing = needs.into_iter().filter(|need| !need.is_met(&call.meta.capabilities));
    undeclared(missing).map_or(Ok(()), Err)
}

/// The refusal for what a client did not declare, in the form that the protocol prescribes; `None` when it is nothing.
pub(in crate::journey) fn undeclared(missing: impl IntoIterator<Item = Need>) -> Option<Refusal> {
    let mut required = Map::new();
    let mut names = Vec::new();
    for need in missing {
        let (name, part) = need.capability();
        names.push(part.map_or_else(|| name.to_owned(), |part| format!("{name}.{part}")));
        let parts = required.entry(name).or_insert_with(|| json!({}));
        if let (Some(part), Value::Object(parts)) = (part, parts) {
            parts.insert(part.to_owned(), json!({}));
        }
    }
    if names.is_empty() {
        return None;
    }
    let message = format!("The server needs to ask something: declare the capability {}.", names.join(", "));
    let error = ErrorObject {
        data: Some(Raw::of(&json!({ "requiredCapabilities": required }))),
        ..ErrorObject::new(code::MISSING_CAPABILITY, message.clone())
    };
    Some(Refusal::new(Code::CannotAsk, message).prescribed(error))
}

/// A legacy server's question as one of those in a result.
pub(in crate::journey) fn request(
    endpoint: &Endpoint,
    server: &ServerName,
    (method, params): (&Method, Option<Members>),
) -> Raw {
    let params = params.unwrap_or_else(Members::empty);
    let bare = LEGACY.into_iter().fold(params.edit(), |edit, name| edit.remove(name)).members();
    let bare = match bare.object("_meta") {
        Some(meta) if meta.has("progressToken") => {
            bare.edit().set("_meta", meta.edit().remove("progressToken").finish()).members()
        }
        _ => bare,
    };
    let params = signed(endpoint, server, (method, Some(bare))).unwrap_or_else(Members::empty);
    let empty = Members::empty();
    empty.edit().set("method", Raw::string_of(method.as_str())).set("params", params.raw().clone()).finish()
}

/// The result that asks.
pub(in crate::journey) fn input_required(requests: Raw, state: Option<&str>) -> Raw {
    let empty = Members::empty();
    let result = empty.edit().set("resultType", Raw::of("input_required")).set("inputRequests", requests);
    match state {
        Some(state) => result.set("requestState", Raw::string_of(state)).finish(),
        None => result.finish(),
    }
}

/// A question that says which server asks, where a client could not know: at an endpoint that joins several. A person reads
/// it before anything that the server wrote.
pub(in crate::journey) fn signed(
    endpoint: &Endpoint,
    server: &ServerName,
    (method, params): (&Method, Option<Members>),
) -> Option<Members> {
    if !endpoint.joins() {
        return params;
    }
    let params = params.unwrap_or_else(Members::empty);
    let meta = params.object("_meta").unwrap_or_else(Members::empty);
    let meta = meta.edit().set(SERVER, Raw::string_of(server.as_str())).finish();
    let edit = params.edit().set("_meta", meta);
    Some(match params.string("message").filter(|_| *method == Method::ElicitationCreate) {
        Some(message) => edit.set("message", Raw::string_of(&format!("{server} asks: {message}"))).members(),
        None => edit.members(),
    })
}

/// A server's result with its questions signed: those of a call, and those of a task.
pub(super) fn all_signed(endpoint: &Endpoint, server: &ServerName, result: Raw) -> Raw {
    if !endpoint.joins() || memchr::memmem::find(result.as_bytes(), b"inputRequests").is_none() {
        return result;
    }
    let Some(members) = result.members() else { return result };
    let Some(requests) = members.object("inputRequests") else { return result };
    let sign = |request: &Members| {
        let method = Method::parse(&request.string("method")?);
        let params = signed(endpoint, server, (&method, request.object("params")))?;
        Some(request.edit().set("params", params.raw().clone()).finish())
    };
    let empty = Members::empty();
    let all = requests.iter().fold(empty.edit(), |edit, (key, request)| {
        let own = request.members().as_ref().and_then(sign);
        edit.set(key.into_owned(), own.unwrap_or(request))
    });
    members.edit().set("inputRequests", all.finish()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_mcp::call::Meta;
    use casemate_mcp::json::Limits;
    use casemate_mcp::revision::Revision;

    fn members(text: &'static str) -> Members {
        Members::check(text.into(), &Limits::default()).unwrap()
    }

    fn judge(revision: Revision, capabilities: &'static str, result: &'static str) -> Option<i64> {
        let meta = Meta {
            revision,
            progress: None,
            capabilities: members(capabilities),
            client_info: None,
            log_level: None,
        };
        let call = Call { method: Method::ToolsCall, params: Members::empty(), meta };
        allowed(&call, &members(result)).err().map(|refusal| refusal.wire().error.code)
    }

    #[test]
    fn only_declared_questions_pass() {
        let form = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create"},"b":{"method":"roots/list"}}}"#;
        let modern = Revision::V2026_07_28;
        assert_eq!(judge(modern, "{}", r#"{"content":[]}"#), None);
        assert_eq!(judge(modern, r#"{"elicitation":{},"roots":{}}"#, form), None);
        assert_eq!(judge(modern, r#"{"elicitation":{}}"#, form), Some(code::MISSING_CAPABILITY));
        assert_eq!(judge(modern, "{}", form), Some(code::MISSING_CAPABILITY));
        assert_eq!(judge(modern, "{}", r#"{"resultType":"input_required","requestState":"s"}"#), None);
        let other = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"tools/call"}}}"#;
        assert_eq!(judge(modern, r#"{"elicitation":{}}"#, other), Some(code::INTERNAL));
        assert_eq!(
            judge(Revision::V2025_11_25, r#"{"elicitation":{},"roots":{}}"#, form),
            Some(code::INTERNAL)
        );
    }
}
