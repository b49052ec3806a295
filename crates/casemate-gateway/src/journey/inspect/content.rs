//! What a server's messages hold: hidden text is removed, secrets are masked, and what is found is told.

use casemate_inspect::{Finding, Findings, Measure, Place, Severity};
use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::names::ServerName;

use crate::catalog::{Kind, noted};
use crate::journey::receive::Received;
use crate::journey::route::Target;
use crate::refusal::{Code, Refusal};
use crate::snapshot::Snapshot;

/// A result as it may pass; the same bytes when there is nothing to change or to tell.
///
/// # Errors
/// [`Code::AnswerBlocked`].
pub(super) fn result(received: &Received, target: &Target, result: Raw) -> Result<Raw, Refusal> {
    // What we wrote ourselves was judged when it was put together, and so are definitions, one by one.
    let Some(shelf) = target.shelf().filter(|_| Kind::of(&received.call.method).is_none()) else {
        return Ok(result);
    };
    let snapshot = &received.passage.identified.snapshot;
    let server = &shelf.server().entry().name;
    let measures = snapshot.inspecting.measures(server, Place::Result);
    let outcome = snapshot.inspecting.inspection.message(&result, &measures);
    judge(server, &outcome.findings)?;
    Ok(noted(outcome.message, &outcome.findings))
}

/// An error of a server as it may pass.
///
/// # Errors
/// [`Code::AnswerBlocked`].
pub(super) fn error(
    received: &Received,
    target: &Target,
    error: ErrorObject,
) -> Result<ErrorObject, Refusal> {
    let Some(shelf) = target.shelf() else { return Ok(error) };
    let snapshot = &received.passage.identified.snapshot;
    let server = &shelf.server().entry().name;
    let inspection = &snapshot.inspecting.inspection;
    let measures = snapshot.inspecting.measures(server, Place::Result);
    let message = inspection.text(&error.message, &measures);
    let data = error.data.as_ref().map(|data| inspection.message(data, &measures));
    let mut findings = message.findings;
    if let Some(data) = &data {
        findings.extend(data.findings.clone());
    }
    judge(server, &findings)?;
    let message = message.message.into_owned();
    Ok(ErrorObject { message, data: data.map(|data| data.message), ..error })
}

/// What a server says in mid-call, a notice or a question, as it may pass; `None` when it may not.
pub(in crate::journey) fn told(
    snapshot: &Snapshot,
    server: &ServerName,
    params: Option<Members>,
) -> Option<Option<Members>> {
    let Some(params) = params else { return Some(None) };
    let measures = snapshot.inspecting.measures(server, Place::Result);
    let outcome = snapshot.inspecting.inspection.message(params.raw(), &measures);
    if outcome.findings.is_empty() {
        return Some(Some(params));
    }
    judge(server, &outcome.findings).ok()?;
    outcome.message.members().map(Some)
}

/// The params of a call as they may go to its server.
///
/// # Errors
/// [`Code::ArgumentsBlocked`].
pub(in crate::journey) fn arguments(
    snapshot: &Snapshot,
    server: &ServerName,
    params: &Members,
) -> Result<Option<Members>, Refusal> {
    let measures = snapshot.inspecting.measures(server, Place::Arguments);
    let outcome = snapshot.inspecting.inspection.message(params.raw(), &measures);
    if outcome.findings.is_empty() {
        return Ok(None);
    }
    let line = outcome.findings.line();
    if let Some(blocking) = outcome.findings.blocking() {
        let message = format!(
            "The arguments hold what may not go to the server {server} ({}): leave it out.",
            blocking.rule
        );
        return Err(Refusal::new(Code::ArgumentsBlocked, message).with_detail(line));
    }
    tracing::info!(server = %server, found = %line, "arguments");
    Ok(outcome.message.members())
}

fn judge(server: &ServerName, findings: &Findings) -> Result<(), Refusal> {
    if findings.is_empty() {
        return Ok(());
    }
    let line = findings.line();
    if let Some(blocking) = findings.blocking() {
        let message = format!(
            "The answer of the server {server} does not pass: it holds what a rule blocks ({}).",
            blocking.rule
        );
        return Err(Refusal::new(Code::AnswerBlocked, message).with_detail(line));
    }
    if findings.iter().any(is_loud) {
        tracing::warn!(server = %server, found = %line, "an answer was not left as it was, or should not be trusted");
    } else {
        tracing::debug!(server = %server, found = %line, "an answer is flagged");
    }
    Ok(())
}

fn is_loud(finding: &Finding) -> bool {
    finding.measure == Measure::Clean || finding.severity == Severity::High
}
