//! To a server and back, with everything that passes between while the call runs.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::call::{Answer, Notice};
use casemate_mcp::frame::{ErrorObject, code, notification_text, request_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use tokio::sync::{mpsc, oneshot};

use super::{LOG_LEVELS, Refusal, down};
use crate::catalog::Shelf;
use crate::client::{Session, Watch};
use crate::gate::Gate;
use crate::journey::flow;
use crate::journey::inspect::content;
use crate::journey::inspect::questions::capability;
use crate::journey::receive::Received;
use crate::journey::route::{Target, caller};
use crate::upstream::{Caller, Event};

/// Messages of a running call that wait for a slow client.
const EVENTS_MAX: usize = 64;

/// How long a client may take to read a message of a running call before the message is dropped.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest progress token, in bytes.
const TOKEN_MAX: usize = 1024;

/// Sends a request to its server.
pub(super) async fn answer(
    gate: &Gate,
    received: &Received,
    (target, param_headers): (&Target, &[(String, String)]),
) -> Result<Answer, Refusal> {
    let Some(shelf) = target.shelf() else { return Ok(Answer::Result(Raw::EMPTY_OBJECT)) };
    let caller = caller_for(received, target, param_headers);
    let server = shelf.server();
    match (&received.call.method, target) {
        (Method::ResourcesSubscribe, Target::Uri { uri, .. }) => {
            server.watch(&caller, uri).await.map_err(|fault| down(shelf, &fault))?;
            watch(received, Watch::Begin);
            return Ok(Answer::Result(Raw::EMPTY_OBJECT));
        }
        (Method::ResourcesUnsubscribe, Target::Uri { uri, .. }) => {
            server.unwatch(&caller, uri).await;
            watch(received, Watch::End);
            return Ok(Answer::Result(Raw::EMPTY_OBJECT));
        }
        _ => {}
    }
    let (events, mut inbox) = mpsc::channel(EVENTS_MAX);
    let mut call = pin!(server.call(&caller, &received.call, events));
    let answer = loop {
        tokio::select! {
            biased;
            Some(event) = inbox.recv() => {
                flow::seen(gate, received, target);
                pass(gate, (received, shelf), event).await;
            }
            answer = &mut call => break answer,
        }
    };
    // What the server said before its answer reaches the client before it, too.
    while let Ok(event) = inbox.try_recv() {
        pass(gate, (received, shelf), event).await;
    }
    answer.map_err(|fault| down(shelf, &fault))
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
        caller.replay_safe = !matches!(target, Target::Relay { .. }) || is_list(&received.call.method);
    }
    caller
}

fn is_list(method: &Method) -> bool {
    crate::catalog::Kind::of(method).is_some()
}

/// Brings a message of the running call to the client.
async fn pass(gate: &Gate, (received, shelf): (&Received, &Shelf), event: Event) {
    let told = |params| content::told(received, shelf, params);
    match event {
        Event::Notice(Notice { method, params }) => {
            let Some(params) = told(params) else { return };
            let notice = Notice { method, params };
            if let Some(text) = worded(received, &notice) {
                let outlet = &received.passage.identified.head.outlet;
                _ = tokio::time::timeout(PATIENCE, outlet.send(text)).await;
            }
        }
        Event::Question { method, params, answer } => {
            let Some(params) = told(params) else {
                let why = "The question does not pass: it holds what a rule blocks.";
                // The server may have given the question up; nobody misses the refusal then.
                _ = answer.send(Err(ErrorObject::new(code::INTERNAL, why)));
                return;
            };
            ask(gate, received, Question { method, params, answer }).await
        }
    }
}

/// A notification as this client wants it; `None` when it does not.
fn worded(received: &Received, notice: &Notice) -> Option<bytes::Bytes> {
    let meta = &received.call.meta;
    let params = match &notice.method {
        Method::Progress => {
            // It is repeated with every notification, as often as the server likes.
            let token = meta.progress.clone().filter(|token| token.as_bytes().len() <= TOKEN_MAX)?;
            Some(notice.params.as_ref()?.edit().set("progressToken", token).finish())
        }
        Method::Message => {
            let level = notice.params.as_ref()?.string("level")?;
            let wanted = match meta.log_level.as_deref() {
                Some(from) => severity(&level) >= severity(from),
                // A legacy client that set no level gets what the server chooses; a modern one gets nothing.
                None => !meta.revision.is_modern(),
            };
            wanted.then_some(())?;
            notice.params.as_ref().map(|params| params.raw().clone())
        }
        _ => notice.params.as_ref().map(|params| params.raw().clone()),
    };
    Some(notification_text(&notice.method, params.as_ref()))
}

/// The place of a level in RFC 5424's order; unknown ones are as loud as they can be.
fn severity(level: &str) -> usize {
    LOG_LEVELS.iter().position(|known| *known == level).unwrap_or(LOG_LEVELS.len())
}

/// A question of the server in mid-call.
struct Question {
    method: Method,
    params: Option<Members>,
    answer: oneshot::Sender<Result<Raw, ErrorObject>>,
}

/// Asks the client, and brings its reply back to the server while the call goes on.
async fn ask(gate: &Gate, received: &Received, question: Question) {
    let refuse = |question: Question, why: &str| {
        // The server may have given the question up; nobody misses the refusal then.
        _ = question.answer.send(Err(ErrorObject::new(code::METHOD_NOT_FOUND, why)));
    };
    let Some(session) = askable(received, &question.method) else {
        return refuse(question, "This client cannot be asked in mid-call.");
    };
    let Some((id, reply)) = session.questions.open() else {
        return refuse(question, "This client has too many open questions.");
    };
    let text = request_text(&id, &question.method, question.params.as_ref().map(Members::raw));
    // Nothing watches the call's time while we wait here.
    let sent = tokio::time::timeout(PATIENCE, received.passage.identified.head.outlet.send(text)).await;
    if sent != Ok(true) {
        return refuse(question, "The client is gone, or does not read.");
    }
    gate.tracker().spawn(async move {
        let Question { mut answer, .. } = question;
        tokio::select! {
            () = answer.closed() => {}
            reply = reply => if let Ok(reply) = reply { _ = answer.send(reply) },
        }
    });
}

/// The session through which this client can be asked such a question.
fn askable<'a>(received: &'a Received, method: &Method) -> Option<&'a Arc<Session>> {
    let capability = capability(method)?;
    let meta = &received.call.meta;
    let can = !meta.revision.is_modern() && meta.capabilities.has(capability);
    received.session.as_ref().filter(|_| can)
}
