//! A modern server answers a legacy client's call with questions: they travel to the client as requests on the stream of
//! its call, and the call is sent again with the replies, until there is an answer.

use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::call::{Answer, Call};
use casemate_mcp::dialect::modern;
use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;

use super::{Refusal, ask, relay};
use crate::catalog::Shelf;
use crate::clock;
use crate::gate::Gate;
use crate::journey::admit::stopping;
use crate::journey::flow;
use crate::journey::inspect::content;
use crate::journey::intercept::{self, About};
use crate::journey::receive::Received;
use crate::journey::route::Target;
use crate::refusal::Code;
use crate::upstream::Caller;

/// The first and the longest pause before a server that asks nothing and answers nothing is asked again.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Asks and sends the call again, until it is answered.
///
/// # Errors
/// [`Code::CannotAsk`] when the client cannot be asked or does not reply, [`Code::TooManyQuestions`] when the server asks
/// on and on.
pub(super) async fn follow(
    gate: &Arc<Gate>,
    received: &Received,
    (target, shelf): (&Target, &Arc<Shelf>),
    (caller, mut asked): (&Caller, Members),
) -> Result<Answer, Refusal> {
    let server = &shelf.server().entry().name;
    if !modern::may_be_asked(&received.call.method) {
        let message = format!("The server {server} answered {} with questions.", received.call.method);
        return Err(Refusal::new(Code::BadAnswer, message));
    }
    let limits = received.passage.identified.snapshot.limits.questions;
    let mut pause = PAUSE_MIN;
    flow::seen(gate, received, target);
    for _ in 0..limits.rounds_max {
        let replies = match asked.object("inputRequests").filter(|requests| !requests.is_empty()) {
            Some(requests) => Some(replies(gate, received, (shelf, &requests)).await?),
            None => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                None
            }
        };
        let call = again(&received.call, replies, asked.get("requestState"));
        let answer = relay::exchange(gate, received, (target, shelf), (caller, &call)).await?;
        match relay::asks(&answer) {
            Some(more) => asked = more,
            None => return Ok(answer),
        }
    }
    Err(super::too_often(server, limits.rounds_max))
}

/// The call as it is sent with the replies, and with the server's state untouched.
fn again(call: &Call, replies: Option<Raw>, state: Option<Raw>) -> Call {
    let members = [("inputResponses", replies), ("requestState", state)];
    let edit = members.into_iter().fold(call.params.edit(), |edit, (name, value)| match value {
        Some(value) => edit.set(name, value),
        None => edit,
    });
    Call { params: edit.members(), ..call.clone() }
}

/// Puts all questions to the client and gathers its replies.
pub(super) async fn replies(
    gate: &Arc<Gate>,
    received: &Received,
    (shelf, requests): (&Shelf, &Members),
) -> Result<Raw, Refusal> {
    let identified = &received.passage.identified;
    let server = &shelf.server().entry().name;
    let unclear = || Refusal::new(Code::BadAnswer, format!("The server {server} asked something unclear."));
    let mut open = Vec::new();
    for (key, request) in requests.iter() {
        let request = request.members().ok_or_else(unclear)?;
        let method = Method::parse(&request.string("method").ok_or_else(unclear)?);
        let params = adapted(&method, request.object("params"));
        let put = ask::put(gate, (received, shelf), (&method, params)).await;
        let (_, reply) = put.map_err(|error| unanswered(shelf, &error))?;
        open.push((key.into_owned(), method, reply));
    }
    let until = clock::instant() + identified.snapshot.limits.questions.time_max;
    let empty = Members::empty();
    let mut replies = empty.edit();
    let about = About::of(received, server);
    for (key, method, reply) in open {
        let reply = tokio::select! {
            reply = reply => reply,
            () = tokio::time::sleep_until(until) => return Err(late(shelf)),
            () = ended(received) => return Err(Refusal::new(Code::Canceled, "The session has ended.")),
            () = gate.stopping() => return Err(stopping()),
        };
        let reply = reply.map_err(|_| late(shelf))?;
        let from = (shelf, &identified.subject.id);
        let reply = match reply.and_then(|reply| content::replied(&identified.snapshot, from, reply)) {
            Ok(reply) => intercept::replied(gate, (&about, shelf), (&method, reply)).await,
            Err(error) => Err(error),
        };
        replies = replies.set(key, reply.map_err(|error| unanswered(shelf, &error))?);
    }
    Ok(replies.finish())
}

/// A modern question in the words of a legacy request: there, opening an address has an id.
fn adapted(method: &Method, params: Option<Members>) -> Option<Members> {
    let params = params?;
    let is_url = *method == Method::ElicitationCreate && params.string("mode").as_deref() == Some("url");
    if !is_url || params.has("elicitationId") {
        return Some(params);
    }
    let mut id = [0; 16];
    // Without randomness the id is one of many equal ones; it opens nothing.
    _ = getrandom::fill(&mut id);
    let id = format!("{:032x}", u128::from_be_bytes(id));
    Some(params.edit().set("elicitationId", Raw::string_of(&id)).members())
}

async fn ended(received: &Received) {
    match &received.session {
        Some(session) => session.ended.cancelled().await,
        None => std::future::pending().await,
    }
}

fn unanswered(shelf: &Shelf, error: &ErrorObject) -> Refusal {
    let server = &shelf.server().entry().name;
    let message = format!(
        "The server {server} asked something in mid-call, and this client did not answer it: {} ({}).",
        error.message, error.code
    );
    Refusal::new(Code::CannotAsk, message)
}

fn late(shelf: &Shelf) -> Refusal {
    let server = &shelf.server().entry().name;
    let message = format!(
        "The server {server} asked something in mid-call, and no reply came in time (questions.time)."
    );
    Refusal::new(Code::CannotAsk, message)
}
