//! Questions in an answer (`input_required`): a server may ask only what the client declared that it can be asked.

use std::collections::BTreeSet;

use casemate_mcp::call::Meta;
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use serde_json::{Map, Value, json};

use crate::refusal::{Code, Refusal};

/// The client's capability without which it cannot be asked such a thing.
pub(in crate::journey) fn capability(method: &Method) -> Option<&'static str> {
    match method {
        Method::ElicitationCreate => Some("elicitation"),
        Method::SamplingCreate => Some("sampling"),
        Method::RootsList => Some("roots"),
        _ => None,
    }
}

/// Lets an answer pass that asks nothing, or only what this client can be asked.
///
/// # Errors
/// [`Code::CannotAsk`], in the form that the protocol prescribes.
pub(super) fn allowed(meta: &Meta, result: &Members) -> Result<(), Refusal> {
    if result.string("resultType").as_deref() != Some("input_required") {
        return Ok(());
    }
    if !meta.revision.is_modern() {
        let message = "The server asked something in mid-call, in a form that this client's protocol revision does not have.";
        return Err(Refusal::new(Code::CannotAsk, message));
    }
    let Some(requests) = result.object("inputRequests") else { return Ok(()) };
    let mut missing = BTreeSet::new();
    for (_, request) in requests.iter() {
        let method =
            request.members().and_then(|request| request.string("method")).map(|text| Method::parse(&text));
        match method.as_ref().and_then(capability) {
            Some(name) if meta.capabilities.has(name) => {}
            Some(name) => _ = missing.insert(name),
            None => {
                return Err(Refusal::new(
                    Code::BadAnswer,
                    "The server asked something that the protocol does not know.",
                ));
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(undeclared(&missing)) }
}

fn undeclared(missing: &BTreeSet<&'static str>) -> Refusal {
    let required: Map<String, Value> = missing.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    let names: Vec<&str> = missing.iter().copied().collect();
    let message = format!("The server needs to ask something: declare the capability {}.", names.join(", "));
    let error = ErrorObject {
        data: Some(Raw::of(&json!({ "requiredCapabilities": required }))),
        ..ErrorObject::new(code::MISSING_CAPABILITY, message.clone())
    };
    Refusal::new(Code::CannotAsk, message).prescribed(error)
}

#[cfg(test)]
mod tests {
    use super::*;
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
        allowed(&meta, &members(result)).err().map(|refusal| refusal.wire().error.code)
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
