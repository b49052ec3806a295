//! A legacy client is asked on the stream of its call, and its reply goes back to the server.

use std::sync::Arc;

use bytes::Bytes;
use casemate_mcp::frame::{ErrorObject, Id, code, notification_text, request_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::question::Need;
use casemate_mcp::task;
use tokio::sync::oneshot;

use super::notice::PATIENCE;
use crate::catalog::Shelf;
use crate::client::Session;
use crate::gate::Gate;
use crate::journey::inspect::{content, questions};
use crate::journey::intercept::{self, About};
use crate::journey::receive::Received;

/// A question of a legacy server in mid-call.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) params: Option<Members>,
    pub(super) answer: oneshot::Sender<Result<Raw, ErrorObject>>,
}

/// Under which id a client was asked, and where its reply will come.
pub(super) type Answered = (Id, oneshot::Receiver<Result<Raw, ErrorObject>>);

/// Asks the client, and brings its reply back to the server while the call goes on.
pub(super) async fn pass_on(gate: &Arc<Gate>, (received, shelf): (&Received, &Arc<Shelf>), asked: Asked) {
    let Asked { method, params, mut answer } = asked;
    // The server may have given the question up; nobody misses the refusal then.
    let (id, reply) = match put(gate, (received, shelf), (&method, params)).await {
        Ok(put) => put,
        Err(error) => {
            _ = answer.send(Err(error));
            return;
        }
    };
    let snapshot = Arc::clone(&received.passage.identified.snapshot);
    let (shelf, subject) = (Arc::clone(shelf), received.passage.identified.subject.id.clone());
    let (asking, about) = (Arc::clone(gate), About::of(received, &shelf.server().entry().name));
    let outlet = received.passage.identified.head.outlet.clone();
    gate.tracker().spawn(async move {
        tokio::select! {
            () = answer.closed() => { outlet.push(withdrawn(&id)); }
            reply = reply => if let Ok(reply) = reply {
                let reply = match reply.and_then(|reply| content::replied(&snapshot, (&shelf, &subject), reply)) {
                    Ok(reply) => intercept::replied(&asking, (&about, &shelf), (&method, reply)).await,
                    Err(error) => Err(error),
                };
                _ = answer.send(reply);
            },
        }
    });
}

/// Puts a question to the client; where its reply will come.
///
/// # Errors
/// What the server is told when the client cannot be asked.
pub(super) async fn put(
    gate: &Arc<Gate>,
    (received, shelf): (&Received, &Shelf),
    (method, params): (&Method, Option<Members>),
) -> Result<Answered, ErrorObject> {
    let identified = &received.passage.identified;
    let server = &shelf.server().entry().name;
    let params = intercept::asks(gate, (received, shelf), (method, params)).await?;
    let cannot = |why: &str| ErrorObject::new(code::METHOD_NOT_FOUND, why);
    let session = askable(received, (method, params.as_ref()))
        .ok_or_else(|| cannot("This client cannot be asked that in mid-call."))?;
    let (id, reply) =
        session.questions.open().ok_or_else(|| cannot("This client has too many open questions."))?;
    let params = match received.call.method {
        // It belongs to the task that is waited for, under the id that the client knows.
        Method::TasksResult => {
            Some(task::relate(&params.unwrap_or_else(Members::empty), Some(received.asked())))
        }
        _ => params,
    };
    let params = questions::signed(&identified.head.endpoint, server, (method, params));
    let text = request_text(&id, method, params.as_ref().map(Members::raw));
    // Nothing watches the call's time while we wait here.
    let sent = tokio::time::timeout(PATIENCE, identified.head.outlet.send(text)).await;
    if sent == Ok(true) { Ok((id, reply)) } else { Err(cannot("The client is gone, or does not read.")) }
}

/// Nobody wants the answer any more: the client can take its form away.
fn withdrawn(id: &Id) -> Bytes {
    let params = Members::empty().edit().set("requestId", Raw::of(id)).finish();
    notification_text(&Method::Cancelled, Some(&params))
}

/// The session through which this client can be asked such a question.
fn askable<'a>(
    received: &'a Received,
    (method, params): (&Method, Option<&Members>),
) -> Option<&'a Arc<Session>> {
    let meta = &received.call.meta;
    let need = Need::of(method, params)?;
    let can = !meta.revision.is_modern() && need.is_met(&meta.capabilities);
    received.session.as_ref().filter(|_| can)
}
