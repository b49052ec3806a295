//! Whether a tool's result is what the tool declared that it would be.
//!
//! The protocol says that servers MUST keep to their output schemas, and programs read structured content without looking.

use casemate_inspect::{Class, Finding, Findings, Measure, Severity};
use casemate_mcp::json::Members;
use casemate_mcp::method::Method;

use crate::catalog::Kind;
use crate::journey::receive::Received;
use crate::journey::route::Target;
use crate::refusal::{Code, Refusal, Retry};

/// Holds a result against the output schema of its tool. What a setting only tells of is found.
///
/// # Errors
/// [`Code::BadStructure`], [`Code::NoStructure`].
pub(in crate::journey) fn judged(
    received: &Received,
    target: &Target,
    result: &Members,
) -> Result<Findings, Refusal> {
    let mut findings = Findings::default();
    let fetched;
    let (shelf, item, result) = match target {
        Target::Item { shelf, kind: Kind::Tools, item, .. } => (shelf, item, result),
        Target::Task { shelf, item: Some(item), .. } => {
            let Some(found) = late(received, result) else { return Ok(findings) };
            fetched = found;
            (shelf, item, &fetched)
        }
        _ => return Ok(findings),
    };
    let server = &shelf.server().entry().name;
    let measure = received.passage.identified.snapshot.inspecting.output(server);
    let Some(schema) = item.output().filter(|_| measure > Measure::Off) else {
        return Ok(findings);
    };
    let (code, rule, why) = match (result.get("structuredContent"), schema) {
        // The protocol has no word for it, and clients judge it all the same.
        (Some(content), Ok(schema)) => match schema.check_result(&content) {
            Ok(()) => return Ok(findings),
            Err(misfit) => (Code::BadStructure, "structured-content-misfit", misfit.0),
        },
        (None, Ok(_)) if says_error(result) || !is_final(result) => return Ok(findings),
        (None, Ok(_)) => {
            let why = "It has no structured content, which the tool's output schema promises.";
            (Code::NoStructure, "structured-content-missing", why.to_owned())
        }
        // With `block` the call was refused before it was made.
        (None, Err(_)) if !is_final(result) => return Ok(findings),
        (_, Err(why)) => (Code::BadStructure, "output-schema-unusable", why.clone()),
    };
    if measure == Measure::Block {
        let message = format!("The answer of {:?} on the server {server} does not pass. {why}", item.name);
        return Err(Refusal::new(code, message).with_retry(Retry::Check));
    }
    findings.add(Finding {
        class: Class::Form,
        rule: rule.into(),
        severity: Severity::Medium,
        measure: Measure::Flag,
        count: 1,
        decoy: None,
    });
    Ok(findings)
}

/// The result of a tool in the answer to a request about its task.
fn late(received: &Received, answer: &Members) -> Option<Members> {
    match received.call.method {
        Method::TasksResult => Some(answer.clone()),
        Method::TasksGet => answer.object("result"),
        _ => None,
    }
}

/// An answer about a task without what the server says in our name in the result that is in it.
pub(super) fn unclaimed_late(received: &Received, answer: Members) -> Members {
    let result = match received.call.method {
        Method::TasksGet => answer.object("result"),
        _ => None,
    };
    let Some(result) = result.filter(|result| result.has("_meta")) else { return answer };
    let bare = super::content::unclaimed(result).raw().clone();
    answer.edit().set("result", bare).members()
}

/// Whether it is the tool's result, and neither a question nor the beginning of a task. Content that is there is judged
/// whatever a result says that it is.
fn is_final(result: &Members) -> bool {
    let is_other = result.string("resultType").is_some_and(|kind| kind == "input_required" || kind == "task");
    !is_other && result.object("task").is_none()
}

/// Whether a tool's result says of itself that the tool failed.
pub(in crate::journey) fn says_error(result: &Members) -> bool {
    result.get("isError").is_some_and(|raw| raw.as_str() == "true")
}
