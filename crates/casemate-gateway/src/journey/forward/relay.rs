//! To a server and back, with everything that passes between while the call runs.

use std::pin::pin;
use std::sync::Arc;

use casemate_mcp::call::{Answer, Call};
use casemate_mcp::dialect::modern;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use tokio::sync::mpsc;

use super::{Refusal, Reply, ask, down, notice, park, rounds, task};
use crate::catalog::Shelf;
use crate::client::Watch;
use crate::gate::Gate;
use crate::journey::flow;
use crate::journey::receive::Received;
use crate::journey::route::{Target, caller};
use crate::parked::EVENTS_MAX;
use crate::upstream::{Caller, Event};

/// Sends a request to its server.
pub(super) async fn answer(
    gate: &Arc<Gate>,
    received: &Received,
    (target, param_headers): (&Target, &[(String, String)]),
) -> Result<Reply, Refusal> {
    let Some(shelf) = target.shelf() else { return Ok(Reply::Answer(Answer::Result(Raw::EMPTY_OBJECT))) };
    let caller = caller_for(received, target, param_headers);
    let server = shelf.server();
    match (&received.call.method, target) {
        (Method::ResourcesSubscribe, Target::Uri { uri, .. }) => {
            server.watch(&caller, uri).await.map_err(|fault| down(shelf, &fault))?;
            watch(received, Watch::Begin);
            return Ok(Reply::Answer(Answer::Result(Raw::EMPTY_OBJECT)));
        }
        (Method::ResourcesUnsubscribe, Target::Uri { uri, .. }) => {
            server.unwatch(&caller, uri).await;
            watch(received, Watch::End);
            return Ok(Reply::Answer(Answer::Result(Raw::EMPTY_OBJECT)));
        }
        (_, Target::Task { .. }) => {
            if let Some(answer) = task::answer(gate, received, (target, shelf), &caller).await? {
                return Ok(Reply::Answer(answer));
            }
        }
        _ => {}
    }
    // Both on the heap, so that calls in which nobody asks do not carry the room for it.
    if park::is_for(received) {
        return Box::pin(park::answer(gate, received, (target, shelf, caller))).await;
    }
    let answer = exchange(gate, received, (target, shelf), (&caller, &received.call)).await?;
    if !received.call.meta.revision.is_modern()
        && let Some(asked) = asks(&answer)
    {
        let followed = rounds::follow(gate, received, (target, shelf), (&caller, asked));
        return Box::pin(followed).await.map(Reply::Answer);
    }
    Ok(Reply::Answer(answer))
}

/// Sends a call and passes on what is said before its answer.
pub(super) async fn exchange(
    gate: &Arc<Gate>,
    received: &Received,
    (target, shelf): (&Target, &Arc<Shelf>),
    (caller, call): (&Caller, &Call),
) -> Result<Answer, Refusal> {
    let (events, mut inbox) = mpsc::channel(EVENTS_MAX);
    let mut call = pin!(shelf.server().call(caller, call, events));
    let answer = loop {
        tokio::select! {
            biased;
            Some(event) = inbox.recv() => {
                flow::seen(gate, received, target);
                // On the heap like all that seldom happens: calls in which nothing is said do not carry the room for it.
                Box::pin(pass(gate, (received, shelf), event)).await;
            }
            answer = &mut call => break answer,
        }
    };
    // What the server said before its answer reaches the client before it, too.
    while let Ok(event) = inbox.try_recv() {
        Box::pin(pass(gate, (received, shelf), event)).await;
    }
    answer.map_err(|fault| down(shelf, &fault))
}

/// The questions of an answer that is none yet.
pub(super) fn asks(answer: &Answer) -> Option<Members> {
    let Answer::Result(result) = answer else { return None };
    // Results are large, and nearly all of them are answers: looking for the word is cheaper than finding all members.
    memchr::memmem::find(result.as_bytes(), b"input_required")?;
    result.members().filter(modern::asks)
}

fn watch(received: &Received, wanted: Watch) {
    if let Some(session) = &received.session {
        session.watch(received.asked(), wanted);
    }
}

fn caller_for(received: &Received, target: &Target, param_headers: &[(String, String)]) -> Caller {
    let mut caller = Caller { param_headers: param_headers.to_vec(), ..caller(received) };
    if let Target::Item { shelf, item, .. } = target {
        let entry = shelf.server().entry();
        let tool = entry.tools.iter().find(|(name, _)| name.as_str() == &*item.name).map(|(_, tool)| tool);
        caller.timeout = tool.and_then(|tool| tool.timeout);
        let confirmed = tool.is_some_and(|tool| tool.read_only || tool.idempotent);
        caller.replay_safe = confirmed || item.tool.says_repeatable;
    } else {
        // Prompts, resources, completions and lists change nothing.
        caller.replay_safe =
            !matches!(target, Target::Task { .. } | Target::Relay { .. }) || is_list(&received.call.method);
    }
    caller
}

fn is_list(method: &Method) -> bool {
    crate::catalog::Kind::of(method).is_some()
}

/// Brings a message of the running call to the client.
async fn pass(gate: &Arc<Gate>, (received, shelf): (&Received, &Arc<Shelf>), event: Event) {
    match event {
        Event::Notice(told) => notice::pass(received, shelf, told).await,
        Event::Question { method, params, answer } => {
            ask::pass_on(gate, (received, shelf), ask::Asked { method, params, answer }).await;
        }
        // It was told so, and a legacy client has no words for it.
        Event::Unoffered(_) => {}
    }
}
