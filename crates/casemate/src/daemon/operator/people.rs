//! Sessions of clients, and questions to people.

use std::sync::Arc;

use casemate_gateway::approvals::{Answer as Verdict, Approval, Standing, visible};
use casemate_gateway::client::Session;
use casemate_gateway::gate::Gate;
use casemate_store::records::{Act, Record};

use crate::control::wire::{ApprovalState, Ended, Fault, SessionState, Whose};
use crate::output::masked::masked;
use crate::wiring::recorder::{self, Log};

/// The sessions that are open.
pub(super) fn sessions(gate: &Gate) -> Vec<SessionState> {
    gate.sessions().list().iter().map(session).collect()
}

fn session(session: &Arc<Session>) -> SessionState {
    let hello = session.hello();
    let client = hello.as_ref().and_then(|hello| hello.client_info.as_ref()?.members());
    let client = client.map(|about| {
        let member = |name| about.string(name).unwrap_or_default();
        format!("{} {}", member("name"), member("version")).trim().to_owned()
    });
    SessionState {
        id: session.number.to_string(),
        subject: session.subject.to_string(),
        endpoint: session.endpoint.to_string(),
        client,
        revision: hello.map(|hello| hello.revision.as_str().to_owned()),
        opened: session.lease.opened(),
        used: session.lease.used(),
        ends: session.lease.ends(),
        in_flight: session.in_flight(),
    }
}

/// Ends those that are meant, and records each. The next request of such a client is told that there is no such session.
/// A full disk keeps no session alive: what cannot be recorded then is told as an alarm.
pub(super) fn end_sessions((gate, log): (&Gate, &Log), whose: &Whose) -> Result<Ended, Fault> {
    let ended = gate.sessions().revoke(|session| match whose {
        Whose::Session(id) => session.number.to_string() == *id,
        Whose::Subject(subject) => session.subject.as_str() == subject,
    });
    if ended.is_empty() {
        let message = match whose {
            Whose::Session(id) => format!("there is no session {id}"),
            Whose::Subject(subject) => format!("{subject} has no sessions"),
        };
        return Err(Fault {
            message,
            hint: Some("`casemate sessions` lists those that are open".to_owned()),
        });
    }
    // What they were shown the beginnings of is not read after that.
    gate.results().retain(&|subject| !ended.iter().any(|session| session.subject == *subject));
    let by = recorder::by();
    for session in &ended {
        let (object, detail) = (session.subject.as_str(), session.number.to_string());
        log.append(&Record::Act(&Act { by: &by, act: "session revoke", object, detail: Some(&detail) }));
    }
    tracing::info!(?whose, ended = ended.len(), "sessions were ended by the operator");
    Ok(Ended { ended: ended.len() })
}

/// What is asked, and what was approved.
pub(super) fn approvals(gate: &Gate) -> Vec<ApprovalState> {
    gate.approvals().list().into_iter().map(approval).collect()
}

/// Answers a question.
pub(super) async fn decide(gate: &Gate, id: &str, verdict: Verdict) -> Result<ApprovalState, Fault> {
    let expire = gate.snapshot().limits.approvals.expire_after.as_secs();
    let decided = gate.approvals().answer(id, verdict, expire).await;
    decided.map(approval).map_err(|fault| Fault {
        message: fault.to_string(),
        hint: Some("`casemate approvals` lists those that there are".to_owned()),
    })
}

fn approval(approval: Approval) -> ApprovalState {
    ApprovalState {
        expires: (approval.standing != Standing::Always).then_some(approval.expires),
        id: approval.id.into(),
        standing: approval.standing.as_str().to_owned(),
        subject: approval.subject.into(),
        server: approval.server.into(),
        method: approval.method.into(),
        name: visible(&masked("", &approval.name)),
        arguments: visible(&masked_json(&approval.arguments)),
        digest: approval.digest.into(),
        answerer: approval.answerer.into(),
        rules: approval.rules,
        asked: approval.asked,
    }
}

/// JSON text, to the last byte as it is, but for the texts in it that look like secrets. The text was checked when it
/// came in.
fn masked_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    let (mut rest, mut key) = (json, String::new());
    while let Some((plain, quoted)) = rest.split_once('"') {
        shown.push_str(plain);
        let end = end_of_text(quoted);
        let (inner, after) = quoted.split_at_checked(end).unwrap_or((quoted, ""));
        rest = after.strip_prefix('"').unwrap_or_default();
        let text = serde_json::from_str(&format!("\"{inner}\"")).unwrap_or_else(|_| inner.to_owned());
        let is_key = rest.trim_start().starts_with(':');
        let masked = masked(if is_key { "" } else { &key }, &text);
        if masked == text {
            shown.push('"');
            shown.push_str(inner);
            shown.push('"');
        } else {
            shown.push_str(&serde_json::to_string(&masked).unwrap_or_default());
        }
        if is_key {
            key = text;
        }
    }
    shown.push_str(rest);
    shown
}

/// Where a text of JSON ends whose opening quote was just read.
fn end_of_text(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::masked_json;

    #[test]
    fn secrets_are_masked_and_everything_else_is_shown_as_it_is() {
        let plain = r#"{"a": [1e400, "x\"y", {"path":"/etc/\u0070asswd"}],"n":12345678901234567890.10}"#;
        assert_eq!(masked_json(plain), plain);
        let token = format!("ghp_{}", "a1B2c3D4e5".repeat(4).split_at(36).0);
        let shown = masked_json(&format!(r#"{{"token":"{token}","password":"hunter2!x","user":"ann"}}"#));
        assert!(!shown.contains(&token) && !shown.contains("hunter2"), "{shown}");
        assert!(shown.contains(r#""user":"ann""#) && shown.contains("masked"), "{shown}");
        let hidden = masked_json(&format!(r#"{{"t":"{}"}}"#, token.replace('g', "\\u0067")));
        assert!(!hidden.contains("a1B2c3"), "{hidden}");
    }
}
