//! Judges are asked about what servers ask in mid-call, and about what clients reply.
//!
//! A question reaches a client in one of two ways, and so does its reply a server: by itself, where one of them has sessions, or as a
//! part of a result and of the next request. Both are the same events.

use std::sync::Arc;

use casemate_inspect::Findings;
use casemate_mcp::call::Answer;
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_mcp::question::Need;

use super::question::About;
use super::{Round, not_passing, same};
use crate::catalog::Shelf;
use crate::gate::Gate;
use crate::journey::authorize::Judged;
use crate::journey::forward::Answered;
use crate::journey::inspect::{content, members_of};
use crate::journey::receive::Received;
use crate::journey::state::{Stands, State};
use crate::refusal::Refusal;
use crate::snapshot::{Event, Interceptors, Matter, Phase};

/// What a server asks, as it may go to its client: looked at by us first, so that judges see nothing that is blocked.
///
/// # Errors
/// What the server is told in its place.
pub(in crate::journey) async fn asks(
    gate: &Arc<Gate>,
    (received, shelf): (&Received, &Shelf),
    (method, params): (&Method, Option<Members>),
) -> Result<Option<Members>, ErrorObject> {
    let params = content::told(received, shelf, params).ok_or_else(blocked)?;
    let Some(event) = event(method) else { return Ok(params) };
    if received.passage.identified.snapshot.interceptors.is_empty() {
        return Ok(params);
    }
    let judged = Box::pin(question(gate, (received, shelf), (event, method), params)).await;
    judged.map_err(|refusal| told(&refusal))
}

/// What a server is told in the place of a reply to a question that goes to nobody.
pub(in crate::journey) fn blocked() -> ErrorObject {
    ErrorObject::new(code::INTERNAL, "The question does not pass: it holds what a rule blocks.")
}

/// What a client replied, as it may go to the server that asked.
///
/// # Errors
/// What the server is told in its place.
pub(in crate::journey) async fn replied(
    gate: &Arc<Gate>,
    (about, shelf): (&About, &Shelf),
    (method, reply): (&Method, Raw),
) -> Result<Raw, ErrorObject> {
    let Some(event) = event(method) else { return Ok(reply) };
    if about.interceptors().is_empty() {
        return Ok(reply);
    }
    let again = |raw: Raw| {
        let from = (shelf, about.subject());
        content::replied(about.snapshot(), from, raw).map_err(|error| not_passing(&error.message))
    };
    let judged = Box::pin(reply_of(gate, about, (event, reply), &again)).await;
    judged.map_err(|refusal| told(&refusal))
}

/// The replies that a modern client brings back with its request, before anybody is asked about the request itself.
pub(super) async fn replies(gate: &Arc<Gate>, judged: &mut Judged) -> Result<(), Refusal> {
    let received = &judged.checked().received;
    let Some(given) = received.call.params.object("inputResponses") else { return Ok(()) };
    let Some(shelf) = judged.checked().target.shelf().cloned() else { return Ok(()) };
    let about = About::of(received, &shelf.server().entry().name);
    let again = |raw: Raw| {
        let from = (&*shelf, about.subject());
        content::replied(about.snapshot(), from, raw).map_err(|error| not_passing(&error.message))
    };
    if about.interceptors().is_empty() {
        return Ok(());
    }
    let open = open(gate, received, &shelf).await;
    let mut replies = given.edit();
    for (key, mut reply) in given.iter() {
        // What the question was is known where it waits here. A modern server keeps it for itself.
        let events = match open.iter().find(|(name, _)| **name == *key) {
            Some((_, method)) => event(method).into_iter().collect(),
            None => likenesses(&reply),
        };
        for event in events {
            reply = reply_of(gate, &about, (event, reply), &again).await?;
        }
        replies = replies.set(key.into_owned(), reply);
    }
    let replies = replies.finish();
    if replies != *given.raw() {
        let params = &mut judged.received_mut().call.params;
        *params = params.edit().set("inputResponses", replies).members();
    }
    Ok(())
}

/// The questions that wait here for what a request brings, by their names.
async fn open(gate: &Arc<Gate>, received: &Received, shelf: &Shelf) -> Vec<(Box<str>, Method)> {
    let params = &received.call.params;
    if received.call.method == Method::TasksUpdate {
        let subject = received.passage.identified.subject.id.clone();
        let id = params.string("taskId").unwrap_or_default();
        let key = (subject, shelf.server().entry().name.clone(), id.into());
        let Some(attending) = gate.tasks().attended().find(&key) else { return Vec::new() };
        return attending.look().await.into_iter().map(|open| (open.key, open.method)).collect();
    }
    let state = params.string("requestState").unwrap_or_default();
    match State::of(received, shelf).open(gate, &state) {
        Ok(Stands::ForCall(number, _)) => gate.parked().asked(number),
        _ => Vec::new(),
    }
}

/// The questions that a modern server put into its result.
pub(super) async fn requests(gate: &Arc<Gate>, answered: &mut Answered) -> Result<(), Refusal> {
    let Answer::Result(result) = &answered.answer else { return Ok(()) };
    let members = members_of(result, answered.members.clone());
    let (Some(members), Some(shelf)) = (members, answered.target.shelf()) else { return Ok(()) };
    let Some(asked) = members.object("inputRequests") else { return Ok(()) };
    let received: &Received = &answered.received;
    let mut requests = asked.edit();
    for (key, request) in asked.iter() {
        let Some(request) = request.members() else { continue };
        let Some(method) = request.string("method").map(|method| Method::parse(&method)) else { continue };
        let Some(event) = event(&method) else { continue };
        let params = request.object("params");
        let about = (received, &**shelf);
        let heard = question(gate, about, (event, &method), params.clone()).await?;
        if let Some(heard) = heard.filter(|heard| !same(Some(heard.raw()), params.as_ref().map(Members::raw)))
        {
            let request = request.edit().set("params", heard.raw().clone()).finish();
            requests = requests.set(key.into_owned(), request);
        }
    }
    let requests = requests.finish();
    if requests != *asked.raw() {
        answered.answer = Answer::Result(members.edit().set("inputRequests", requests).finish());
    }
    Ok(())
}

async fn question(
    gate: &Arc<Gate>,
    (received, shelf): (&Received, &Shelf),
    (event, method): (Event, &Method),
    params: Option<Members>,
) -> Result<Option<Members>, Refusal> {
    let about = About::of(received, &shelf.server().entry().name);
    let Some(round) = Round::about(gate, &about, (event, Phase::Request)) else { return Ok(params) };
    let before = params.unwrap_or_else(Members::empty);
    let need = Need::of(method, Some(&before));
    let again = |raw: Raw| {
        let changed = raw.members().ok_or_else(|| not_passing("it is no object"))?;
        if Need::of(method, Some(&changed)) != need {
            return Err(not_passing("it asks for something else"));
        }
        content::told(received, shelf, Some(changed))
            .flatten()
            .map(|params| params.raw().clone())
            .ok_or_else(|| not_passing("it holds what a rule blocks"))
    };
    // As the client would see it: what is blocked goes to nobody.
    let shown = again(before.raw().clone())?;
    let heard = heard(&round, shown.clone(), &|_, changed| again(changed)).await?;
    let is_same = heard == shown;
    Ok(if is_same { Some(before) } else { heard.members() })
}

async fn reply_of(
    gate: &Arc<Gate>,
    about: &About,
    (event, reply): (Event, Raw),
    again: &(dyn Fn(Raw) -> Result<Raw, Refusal> + Sync),
) -> Result<Raw, Refusal> {
    let Some(round) = Round::about(gate, about, (event, Phase::Response)) else { return Ok(reply) };
    heard(&round, reply, &|before: &Raw, changed: Raw| {
        // Whether a person agreed is theirs to say.
        let action = |raw: &Raw| raw.members().and_then(|members| members.get("action"));
        if changed.members().is_none() || !same(action(before).as_ref(), action(&changed).as_ref()) {
            return Err(not_passing("it answers in somebody's place"));
        }
        again(changed)
    })
    .await
}

/// What all who are asked make of it.
async fn heard(
    round: &Round<'_>,
    mut payload: Raw,
    again: &(dyn Fn(&Raw, Raw) -> Result<Raw, Refusal> + Sync),
) -> Result<Raw, Refusal> {
    // A question has no place to tell of it; the records have what was said.
    let mut flagged = Findings::default();
    for mutator in round.mutators() {
        let said = round.ask(mutator, payload.clone()).await;
        if let Some(changed) = round.change(mutator, said, &mut flagged)? {
            payload = again(&payload, changed).map_err(|refusal| round.misled(mutator, &refusal))?;
        }
    }
    round.validate(|_| Ok(payload.clone()), &mut flagged).await?;
    Ok(payload)
}

impl<'a> Round<'a> {
    /// All who are asked about something that is no call; `None` when it is nobody.
    fn about(gate: &'a Arc<Gate>, about: &About, (event, phase): (Event, Phase)) -> Option<Round<'a>> {
        let server: &ServerName = about.server();
        let interceptors: &Interceptors = about.interceptors();
        let chosen = interceptors.about(&Matter { event, phase, server, tool: None });
        (!chosen.is_empty()).then(|| Round { gate, about: about.clone(), event, phase, chosen })
    }
}

fn event(method: &Method) -> Option<Event> {
    match method {
        Method::SamplingCreate => Some(Event::Sampling),
        Method::ElicitationCreate => Some(Event::Elicitation),
        _ => None,
    }
}

/// All that a reply could be one to, by its looks: a modern request does not say. Whoever adds to a reply what belongs to another
/// kind is judged as both.
fn likenesses(reply: &Raw) -> Vec<Event> {
    let Some(reply) = reply.members() else { return Vec::new() };
    let is_block = |content: Raw| {
        content.elements().is_some() || content.members().is_some_and(|content| content.has("type"))
    };
    let is_answer = reply.has("action");
    let is_models = reply.has("role") || reply.has("model") || reply.get("content").is_some_and(is_block);
    let is_roots = reply.has("roots") && !reply.has("content");
    let mut events = Vec::new();
    if is_answer {
        events.push(Event::Elicitation);
    }
    if is_models || !(is_answer || is_roots) {
        events.push(Event::Sampling);
    }
    events
}

fn told(refusal: &Refusal) -> ErrorObject {
    ErrorObject::new(code::INTERNAL, format!("{} ({})", refusal.message, refusal.code))
}
