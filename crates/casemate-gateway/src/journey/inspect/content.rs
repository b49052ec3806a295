//! What a server's messages hold: hidden text is removed, secrets are masked, and what is found is told.

use casemate_inspect::{Finding, Findings, Inspection, Measure, Place, Severity};
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;

use crate::catalog::{Kind, Shelf, noted};
use crate::journey::receive::Received;
use crate::journey::route::Target;
use crate::refusal::{Code, Refusal};
use crate::snapshot::Snapshot;

/// A result as it may pass, with a note of what was found besides; the same bytes when there is nothing to change or to tell.
///
/// # Errors
/// [`Code::AnswerBlocked`].
pub(in crate::journey) fn result(
    received: &Received,
    (target, found): (&Target, Findings),
    result: Raw,
) -> Result<Raw, Refusal> {
    // What we wrote ourselves was judged when it was put together.
    let Some(shelf) = target.shelf() else { return Ok(result) };
    if let Some((name, items, rest)) = list(received, &result) {
        let passed = looked_at(received, (shelf, found), rest.clone())?;
        if passed.is_same(&rest) {
            return Ok(result);
        }
        let passed = passed.members().unwrap_or_else(Members::empty);
        return Ok(passed.edit().set(name, items).finish());
    }
    looked_at(received, (shelf, found), result)
}

/// The items of a list, by the name of the member that has them, and what the list says besides. Definitions are judged one by
/// one where they are shown, with measures of their own.
fn list(received: &Received, result: &Raw) -> Option<(&'static str, Raw, Raw)> {
    let name = Kind::of(&received.call.method)?.member();
    let members = result.members()?;
    let items = members.get(name).filter(|items| items.elements().is_some())?;
    Some((name, items, members.edit().remove(name).finish()))
}

fn looked_at(received: &Received, (shelf, found): (&Shelf, Findings), result: Raw) -> Result<Raw, Refusal> {
    let snapshot = &received.passage.identified.snapshot;
    let server = &shelf.server().entry().name;
    let measures = snapshot.inspecting.measures(server, Place::Result);
    let mut outcome = snapshot.inspecting.inspection.message(&result, &measures);
    shelf.tell_planted(&outcome.findings, |server| answered(server, received));
    outcome.findings.extend(found);
    judge(server, &outcome.findings)?;
    let message = with_opaque((&snapshot.inspecting.inspection, &result), outcome.message);
    Ok(noted(message, &outcome.findings))
}

/// What the names of our own members of `_meta` begin with.
const OURS: &str = "io.casemate/";

/// A result without what a server says there in our name.
pub(in crate::journey) fn unclaimed(result: Members) -> Members {
    let Some(meta) = result.object("_meta") else { return result };
    let claimed: Vec<String> =
        meta.iter().map(|(name, _)| name.into_owned()).filter(|name| name.starts_with(OURS)).collect();
    if claimed.is_empty() {
        return result;
    }
    let kept = claimed.iter().fold(meta.edit(), |edit, name| edit.remove(name.as_str())).finish();
    result.edit().set("_meta", kept).members()
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
    shelf.tell_planted(&findings, |server| answered(server, received));
    judge(server, &findings)?;
    let message = message.message.into_owned();
    Ok(ErrorObject { message, data: data.map(|data| data.message), ..error })
}

/// What a server says in mid-call, a notice or a question, as it may pass; `None` when it may not.
pub(in crate::journey) fn told(
    received: &Received,
    shelf: &Shelf,
    params: Option<Members>,
) -> Option<Option<Members>> {
    let Some(params) = params else { return Some(None) };
    let (snapshot, server) = (&received.passage.identified.snapshot, &shelf.server().entry().name);
    let measures = snapshot.inspecting.measures(server, Place::Result);
    let outcome = snapshot.inspecting.inspection.message(params.raw(), &measures);
    if outcome.findings.is_empty() {
        return Some(Some(params));
    }
    shelf.tell_planted(&outcome.findings, |server| answered(server, received));
    judge(server, &outcome.findings).ok()?;
    outcome.message.members().map(Some)
}

/// A client's reply to a question as it may go to the server that asked.
///
/// # Errors
/// What the server is told in its place.
pub(in crate::journey) fn replied(
    snapshot: &Snapshot,
    (shelf, subject): (&Shelf, &SubjectId),
    reply: Raw,
) -> Result<Raw, ErrorObject> {
    let server = &shelf.server().entry().name;
    let measures = snapshot.inspecting.measures(server, Place::Arguments);
    let outcome = snapshot.inspecting.inspection.message(&reply, &measures);
    if outcome.findings.is_empty() {
        return Ok(reply);
    }
    shelf.tell_planted(&outcome.findings, |server| format!("what {subject} sent to {server}"));
    let line = outcome.findings.line();
    if outcome.findings.blocking().is_some() {
        tracing::warn!(server = %server, found = %line, "a reply to a question was held back");
        return Err(ErrorObject::new(
            code::INTERNAL,
            "The reply does not pass: it holds what a rule blocks.",
        ));
    }
    tracing::info!(server = %server, found = %line, "a reply to a question");
    Ok(outcome.message)
}

/// The params of a call as they may go to its server.
///
/// # Errors
/// [`Code::ArgumentsBlocked`].
pub(in crate::journey) fn arguments(
    received: &Received,
    shelf: &Shelf,
    params: &Members,
) -> Result<Option<Members>, Refusal> {
    let (snapshot, server) = (&received.passage.identified.snapshot, &shelf.server().entry().name);
    let measures = snapshot.inspecting.measures(server, Place::Arguments);
    let outcome = snapshot.inspecting.inspection.message(params.raw(), &measures);
    if outcome.findings.is_empty() {
        return Ok(None);
    }
    shelf.tell_planted(&outcome.findings, |server| {
        format!("what {} sent to {server}", received.passage.identified.subject.id)
    });
    let line = outcome.findings.line();
    if let Some(blocking) = outcome.findings.blocking() {
        let message = format!(
            "The arguments hold what may not go to the server {server} ({}): leave it out.",
            blocking.rule
        );
        return Err(Refusal::new(Code::ArgumentsBlocked, message).with_detail(line));
    }
    tracing::info!(server = %server, found = %line, "arguments");
    Ok(with_opaque((&snapshot.inspecting.inspection, params.raw()), outcome.message).members())
}

/// Where an answer is found.
pub(in crate::journey) fn answered(server: &ServerName, received: &Received) -> String {
    format!("what {server} answered {}", received.passage.identified.subject.id)
}

/// Members that one side writes for itself and that the other brings back as they are.
const OPAQUE: [&str; 4] = ["requestState", "nextCursor", "cursor", "taskId"];

/// What was changed, with such members as they were, but for secrets of ours: they say nothing to anybody else, and
/// changed they mean nothing to their writer.
pub(in crate::journey) fn with_opaque((inspection, before): (&Inspection, &Raw), after: Raw) -> Raw {
    if before.is_same(&after) {
        return after;
    }
    let (Some(old), Some(new)) = (before.members(), after.members()) else { return after };
    let restored = OPAQUE.iter().fold(new.edit(), |edit, name| match old.string(name) {
        Some(text) => edit.set(*name, Raw::string_of(&inspection.masked(&text))),
        None => edit,
    });
    restored.finish()
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

#[cfg(test)]
mod tests {
    use casemate_inspect::{Policy, Secret};
    use casemate_mcp::json::Limits;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_says_nothing_in_our_name() {
        let members = |text: &'static str| Members::check(text.into(), &Limits::default()).unwrap();
        let forged =
            r#"{"x":1,"_meta":{"io.casemate/inspection":{},"io.casemate/refusal":"CM1601","own":2}}"#;
        assert_eq!(unclaimed(members(forged)).raw().as_str(), r#"{"x":1,"_meta":{"own":2}}"#);
        let honest = r#"{ "_meta" : {"own": 2} }"#;
        assert_eq!(unclaimed(members(honest)).raw().as_str(), honest);
    }

    #[test]
    fn a_state_that_looks_like_a_token_comes_back_as_it_was() {
        let token = concat!("ghp", "_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17");
        let secrets = [Secret::new("given-to-it").unwrap()];
        let inspection = Inspection::new(&secrets, &[]);
        let text =
            json!({"content": token, "requestState": format!("{token} given-to-it"), "x": 1}).to_string();
        let before = Raw::check(text.into(), &Limits::default()).unwrap();
        let policy = Policy::default();
        let after = inspection.message(&before, &policy.at(Place::Result)).message;
        let shown = with_opaque((&inspection, &before), after);
        let expected = json!({
            "content": "[github-token masked]",
            "requestState": format!("{token} [secret masked]"),
            "x": 1,
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(shown.as_str()).unwrap(), expected);
    }
}
