//! Whether a tool's result is what the tool declared that it would be.
//!
//! The protocol says that servers MUST keep to their output schemas, and programs read structured content without looking.

use casemate_inspect::{Class, Finding, Findings, Measure, Severity};
use casemate_mcp::json::Members;
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;

use crate::catalog::{Item, Kind};
use crate::gate::Gate;
use crate::journey::receive::Received;
use crate::journey::route::Target;
use crate::refusal::{Code, Refusal, Retry};

/// Holds a result against the output schema of its tool. What a setting only tells of is found.
///
/// # Errors
/// [`Code::BadStructure`], [`Code::NoStructure`].
pub(in crate::journey) fn judged(
    gate: &Gate,
    received: &Received,
    target: &Target,
    result: &Members,
) -> Result<Findings, Refusal> {
    if let Target::Item { shelf, kind: Kind::Tools, item, .. } = target {
        return held(received, (&shelf.server().entry().name, &**item), result);
    }
    let fetched = match received.call.method {
        Method::TasksResult => Some(result.clone()),
        Method::TasksGet => result.object("result"),
        _ => None,
    };
    let (Some(fetched), Some(shelf)) = (fetched, target.shelf()) else { return Ok(Findings::default()) };
    let (server, subject) = (&shelf.server().entry().name, &received.passage.identified.subject.id);
    let id = received.call.params.string("taskId").unwrap_or_default();
    match gate.tasks().promised((server, &id), subject) {
        Some(item) => held(received, (server, &*item), &fetched),
        None => Ok(Findings::default()),
    }
}

/// Holds a result against what one tool declares.
fn held(
    received: &Received,
    (server, item): (&ServerName, &Item),
    result: &Members,
) -> Result<Findings, Refusal> {
    let mut findings = Findings::default();
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
