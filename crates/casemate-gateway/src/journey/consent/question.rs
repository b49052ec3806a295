//! The question to the subject, through its own client, in either era.

use std::time::Duration;

use casemate_auth::seal::{Bound, Purpose};
use casemate_mcp::frame::request_text;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use serde_json::{Value, json};

use super::{is_current, outcome, rules};
use crate::approvals::{Answer, Claim, visible};
use crate::clock;
use crate::gate::Gate;
use crate::journey::authorize::Asked;
use crate::journey::receive::Received;
use crate::refusal::{Code, Refusal};

/// The name of our question among those of a result.
const KEY: &str = "casemate_approval";

/// Arguments that are longer, in bytes, as they are shown, are no question for a small window: they go into the queue.
const SHOWN_MAX: usize = 4096;

/// How long a client may take to read the question.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of the question.
pub(super) enum Reply {
    /// Yes.
    Yes,
    /// It is on its way with the answer to this request.
    Later(Raw),
    /// Not through this client.
    CannotBeAsked,
}

/// Asks.
///
/// # Errors
/// [`Code::NotApproved`].
pub(super) async fn to_subject(gate: &Gate, claim: &Claim, asked: &Asked) -> Result<Reply, Refusal> {
    let received = &asked.checked.received;
    let Some(form) = form(claim).filter(|_| shows_forms(received)) else { return Ok(Reply::CannotBeAsked) };
    let answer = if received.call.meta.revision.is_modern() {
        if !matches!(received.call.method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead) {
            // Only these can be answered with a question.
            return Ok(Reply::CannotBeAsked);
        }
        match replied(gate, claim, received) {
            Some(answer) => answer,
            None => return later(gate, claim, (received, &form)).map(Reply::Later),
        }
    } else {
        match through_stream(gate, received, &form).await? {
            Some(answer) => answer,
            None => return Ok(Reply::CannotBeAsked),
        }
    };
    let limits = received.passage.identified.snapshot.limits.approvals;
    gate.approvals().answered_by_subject(claim, answer, (rules(asked), &limits)).await?;
    outcome(answer).map(|()| Reply::Yes)
}

fn shows_forms(received: &Received) -> bool {
    let Some(elicitation) = received.call.meta.capabilities.object("elicitation") else { return false };
    // An empty object means forms, as it did before there was anything else.
    elicitation.has("form") || !elicitation.has("url")
}

/// The question; `None` when what it is about is too long to be shown whole.
fn form(claim: &Claim) -> Option<Value> {
    let [name, server, method] = [&claim.name, &claim.server, &claim.method].map(|text| visible(text));
    let arguments = visible(claim.arguments.as_str());
    if name.len() + arguments.len() > SHOWN_MAX {
        return None;
    }
    Some(json!({
        "message": format!(
            "Casemate asks for your approval before it makes this call ({method}).\nServer: {server}\nName: {name}\nArguments: {arguments}"
        ),
        "requestedSchema": {
            "type": "object",
            "properties": { "answer": {
                "type": "string",
                "title": "Make this call?",
                "description": "once: this call. session: this call with these arguments, in this session. deny: not.",
                "enum": ["once", "session", "deny"],
            } },
            "required": ["answer"],
        },
    }))
}

fn bound<'a>(claim: &'a Claim) -> Bound<'a> {
    Bound {
        subject: claim.subject.as_str(),
        server: &claim.server,
        method: &claim.method,
        digest: claim.digest(),
    }
}

/// The question as the answer to a modern request. Its state says which call it is about, and to whom it was put.
fn later(gate: &Gate, claim: &Claim, (received, form): (&Received, &Value)) -> Result<Raw, Refusal> {
    let limits = received.passage.identified.snapshot.limits.approvals;
    let expires = clock::unix_now().as_secs().saturating_add(limits.wait_max.as_secs());
    let mut number = [0; 16];
    // Which numbers were used is known in this run only, so they count in this run only.
    let seal = |number: [u8; 16]| {
        let payload = [&number[..], &gate.run().to_be_bytes()].concat();
        gate.seals().seal(Purpose::State, &bound(claim), (&payload, expires)).ok()
    };
    let sealed = getrandom::fill(&mut number).ok().and_then(|()| seal(number));
    let Some(state) = sealed else {
        return Err(Refusal::new(Code::Internal, "The question could not be put.").with_detail("no seal"));
    };
    Ok(Raw::of(&json!({
        "resultType": "input_required",
        "inputRequests": { KEY: { "method": "elicitation/create", "params": form } },
        "requestState": state,
    })))
}

/// The reply that a modern request brings to our question about this very call. A state that was made for another call,
/// for somebody else, too long ago, or that was used before, is none: the question is put anew.
fn replied(gate: &Gate, claim: &Claim, received: &Received) -> Option<Answer> {
    let params = &received.call.params;
    let state = params.string("requestState")?;
    let reply = params.object("inputResponses")?.object(KEY)?;
    let now = clock::unix_now().as_secs();
    let opened = match gate.seals().open(Purpose::State, &bound(claim), (&state, now)) {
        Ok(opened) => opened,
        Err(why) => {
            tracing::warn!(subject = %claim.subject, %why, "a reply to a question was not accepted");
            return None;
        }
    };
    let (number, run) = opened.payload.split_first_chunk::<16>()?;
    if run != gate.run().to_be_bytes() {
        return None;
    }
    gate.approvals().use_number(*number, opened.expires).then(|| read(&reply))
}

/// Asks a legacy client on the stream of its call and waits for the reply; `None` when it cannot be asked.
async fn through_stream(gate: &Gate, received: &Received, form: &Value) -> Result<Option<Answer>, Refusal> {
    let limits = received.passage.identified.snapshot.limits.approvals;
    let Some(session) = &received.session else { return Ok(None) };
    let Some(_waiting) = gate.approvals().wait(&limits) else { return Ok(None) };
    let Some((id, reply)) = session.questions.open() else { return Ok(None) };
    let text = request_text(&id, &Method::ElicitationCreate, Some(&Raw::of(form)));
    let sent = tokio::time::timeout(PATIENCE, received.passage.identified.head.outlet.send(text)).await;
    if sent != Ok(true) {
        return Ok(None);
    }
    tokio::select! {
        reply = reply => Ok(match reply {
            _ if !is_current(gate, received) => None,
            Ok(Ok(result)) => Some(result.members().map_or(Answer::Deny, |members| read(&members))),
            // The client does not know such questions after all.
            Ok(Err(_)) | Err(_) => None,
        }),
        () = tokio::time::sleep(limits.wait_max) => Ok(None),
        () = session.ended.cancelled() => Err(Refusal::new(Code::Canceled, "The session has ended.")),
        () = gate.stopping() => Err(crate::journey::admit::stopping()),
    }
}

/// Everything that is not a clear yes is a no. A client cannot say "always".
fn read(reply: &Members) -> Answer {
    let answer = reply.object("content").and_then(|content| content.string("answer"));
    match (reply.string("action").as_deref(), answer.as_deref()) {
        (Some("accept"), Some("once")) => Answer::Once,
        (Some("accept"), Some("session")) => Answer::Session,
        _ => Answer::Deny,
    }
}
