//! GET and DELETE: the general stream of a legacy session, and its end.

use std::sync::Arc;

use casemate_mcp::revision::Revision;
use casemate_transport::http::Head as HttpHead;
use casemate_transport::http::Reply;
use casemate_transport::http::streams::{Prime, Streams};
use http::StatusCode;
use tokio::sync::mpsc;

use super::head_of;
use crate::client::{Outlet, Session};
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey;
use crate::refusal::{Allow, Code, Refusal};

/// GET: opens the general stream, or goes on with one that broke.
pub(super) async fn attach(gate: &Gate, head: HttpHead, endpoint: Endpoint) -> Result<Reply, Refusal> {
    if !head.accepts_events() {
        return Err(Refusal::new(
            Code::BadHttpMethod,
            "GET opens an event stream here: accept text/event-stream.",
        ));
    }
    let last = head.last_event_id().map(str::to_owned);
    let session = owned(gate, &head, endpoint).await?;
    let streams = streams_of(&session)?;
    let prime = primes(&session);
    let subscription = match last {
        None => streams.attach_general(prime),
        Some(id) => streams.resume(&id, prime).map_err(|fault| {
            Refusal::new(Code::NoSession, format!("The stream cannot be resumed: {fault}."))
        })?,
    };
    session.touch();
    Ok(Reply::events(subscription))
}

/// DELETE: ends the session.
pub(super) async fn end(gate: &Gate, head: HttpHead, endpoint: Endpoint) -> Result<Reply, Refusal> {
    let session = owned(gate, &head, endpoint).await?;
    gate.sessions().end(&session);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// The session that the request names, if it is the subject's own.
async fn owned(gate: &Gate, head: &HttpHead, endpoint: Endpoint) -> Result<Arc<Session>, Refusal> {
    let modern = head.protocol_version().and_then(Revision::parse).is_some_and(Revision::is_modern);
    if modern {
        let message = "This revision of the protocol has neither GET nor DELETE.";
        return Err(Refusal::new(Code::BadHttpMethod, message).allowing(Allow::Post));
    }
    // The queue is only there to complete the head; nothing is sent on it.
    let (queue, _) = mpsc::channel(1);
    let identified = journey::identify(gate, head_of(head, endpoint.clone(), Outlet::Call(queue))).await?;
    let Some(id) = head.session_id() else {
        return Err(Refusal::new(
            Code::BadHttpMethod,
            "GET and DELETE are for legacy sessions: name one in Mcp-Session-Id.",
        ));
    };
    gate.sessions().find(id, &identified.subject.id, &endpoint).map_err(|why| {
        Refusal::new(
            Code::NoSession,
            "There is no such session (any more): send `initialize` to open a new one.",
        )
        .with_detail(why)
    })
}

/// The streams of an HTTP session.
pub(super) fn streams_of(session: &Session) -> Result<&Streams, Refusal> {
    match &session.outlet {
        Outlet::General(streams) => Ok(streams),
        _ => Err(Refusal::new(Code::NoSession, "This session has no streams.")),
    }
}

/// Whether the client's revision has priming events.
pub(super) fn primes(session: &Session) -> Option<Prime> {
    session.hello().filter(|hello| hello.revision.has_priming_events()).map(|_| Prime { retry: None })
}
