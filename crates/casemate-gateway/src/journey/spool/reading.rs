//! Reading what is kept: a resource of ours, for its subject alone.

use casemate_auth::seal::SealFault;
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Limits, Members, Raw};
use casemate_policy::{Action, Effect, Request, Resource};
use serde_json::json;

use super::KEPT;
use super::link::{self, Opened, Origin};
use crate::gate::Gate;
use crate::journey::receive::Received;
use crate::journey::route::{no_resource, string_param};
use crate::journey::{cordon, flow};
use crate::ports::{NotThere, ResultPart};
use crate::refusal::{Code, Refusal};

/// Whether a resource is a result that is kept here. At an endpoint that is one server's, what was not sealed here is that
/// server's: it may be a gateway too.
pub(in crate::journey) fn is_ours(gate: &Gate, received: &Received) -> bool {
    let identified = &received.passage.identified;
    let Some(uri) = received.call.params.string("uri").filter(|uri| link::is_one(uri)) else { return false };
    identified.head.endpoint.joins()
        || !matches!(
            link::open(gate, &identified.subject.id, &uri),
            Err(SealFault::Malformed | SealFault::Misused | SealFault::Stranger)
        )
}

/// A part of a result that is kept for whoever asks.
///
/// # Errors
/// [`Code::Unknown`] for what was never theirs, in the words for what does not exist; [`Code::ResultGone`]; [`Code::Quarantined`].
pub(in crate::journey) async fn read(gate: &Gate, received: &Received) -> Result<Raw, Refusal> {
    let uri = string_param(received, "uri")?;
    let subject = &received.passage.identified.subject.id;
    let Opened { id, part: number } = link::open(gate, subject, &uri).map_err(|fault| match fault {
        SealFault::Late => gone(&uri, "the time for which it was kept is over").with_detail(fault),
        _ => no_resource(&uri).with_detail(fault),
    })?;
    let part = gate.results().part((id, subject), number).await.map_err(|why| match why {
        NotThere::Absent => gone(&uri, "it made room for newer ones, or the gateway was restarted"),
        NotThere::Damaged(why) => {
            tracing::error!(error = why, "what was kept of a result was changed on disk");
            gone(&uri, "what was kept is damaged").with_detail(why)
        }
        NotThere::NoPart { count } => no_part(&uri, count),
    })?;
    allowed(gate, received, (&uri, &part))?;
    let damaged = || gone(&uri, "what was kept is damaged").with_detail("it is no JSON");
    let limits = Limits { bytes_max: part.text.len(), ..Limits::default() };
    let contents = Raw::check(part.text.into(), &limits).map_err(|_| damaged())?;
    let note = json!({ KEPT: { "part": number + 1, "parts": part.count } });
    let empty = Members::empty();
    Ok(empty.edit().set("contents", contents).set("_meta", Raw::of(&note)).finish())
}

/// Whoever may not see the tool any more, or not now, does not see what it answered either.
fn allowed(gate: &Gate, received: &Received, (uri, part): (&str, &ResultPart)) -> Result<(), Refusal> {
    let identified = &received.passage.identified;
    let origin = Origin::parse(&part.label).ok_or_else(|| no_resource(uri))?;
    let Origin { server, tools } = &origin;
    let sources: Vec<Option<&str>> = match &tools[..] {
        [] => vec![None],
        tools => tools.iter().map(|tool| Some(&**tool)).collect(),
    };
    for tool in &sources {
        cordon::of_source(gate.quarantine(), (server, *tool))?;
        let resource = tool.map_or(Resource::Server(server), |tool| Resource::Tool(server, tool));
        let listed = Request::new(Action::List, resource);
        if identified.snapshot.policy.decide(&identified.subject, &listed).effect == Effect::Deny {
            return Err(no_resource(uri).with_detail("the tool is not to be seen any more"));
        }
    }
    sources.into_iter().for_each(|tool| flow::seen_again(gate, received, (server, tool)));
    Ok(())
}

/// The answer for a result that is kept no longer. Only its own subject is told so.
fn gone(uri: &str, why: &str) -> Refusal {
    let message = format!("The result is kept no longer: {why}. Call the tool again for a new one.");
    let error = ErrorObject {
        data: Some(Raw::of(&json!({ "uri": uri, "code": Code::ResultGone.as_str() }))),
        ..ErrorObject::new(code::INVALID_PARAMS, message.clone())
    };
    Refusal::new(Code::ResultGone, message).prescribed(error)
}

fn no_part(uri: &str, count: usize) -> Refusal {
    let message = format!("The result has {count} parts, and none of this number.");
    let error = ErrorObject {
        data: Some(Raw::of(&json!({ "uri": uri, "code": Code::BadParams.as_str() }))),
        ..ErrorObject::new(code::INVALID_PARAMS, message.clone())
    };
    Refusal::new(Code::BadParams, message).prescribed(error)
}
