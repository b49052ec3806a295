//! A call whose answer has become an event stream.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use casemate_mcp::frame::error_text;
use casemate_mcp::revision::Revision;
use casemate_transport::http::Reply;
use casemate_transport::http::events::{Event, EventSender, channel};
use casemate_transport::http::streams::StreamWriter;
use http::StatusCode;
use tokio::sync::mpsc;

use super::{reply, session};
use crate::client::Session;
use crate::gate::Gate;
use crate::journey::{Delivery, Head, SessionRef};
use crate::refusal::Refusal;

/// Events that wait for a client which does not read.
const QUEUE_EVENTS: usize = 16;

/// How a call's messages travel, should there be any before its answer.
pub(super) enum Kind {
    /// The client takes no event streams: messages are dropped, the answer is awaited.
    None,
    /// Modern: the stream is the call; closing it gives the call up.
    Modern,
    /// Legacy: the stream belongs to the session and outlives its connection.
    Legacy(Arc<Session>),
}

impl Kind {
    /// The kind for a call with this head. Whether the session is the subject's own, the journey finds out before it
    /// lets anything be said; a modern call ignores the header, so it must not get at the session through it.
    pub(super) fn of(gate: &Gate, head: &Head, accepts: Accepts) -> Kind {
        let claimed = head.claims.as_ref().and_then(|claims| Revision::parse(claims.revision.as_deref()?));
        match &head.session {
            _ if accepts == Accepts::Json => Kind::None,
            SessionRef::Id(id) if !claimed.is_some_and(Revision::is_modern) => {
                gate.sessions().named(id, &head.endpoint).map_or(Kind::Modern, Kind::Legacy)
            }
            _ => Kind::Modern,
        }
    }
}

/// What a client takes as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    /// JSON alone.
    Json,
    /// Event streams too.
    Events,
}

type Journey = Pin<Box<dyn Future<Output = Result<Vec<Delivery>, Refusal>> + Send>>;

/// A call under way that has said something before its answer.
pub(super) struct Running {
    pub(super) journey: Journey,
    pub(super) inbox: mpsc::Receiver<Bytes>,
    pub(super) first: Bytes,
}

/// Goes on with the call as a stream.
pub(super) async fn begin(gate: &Gate, kind: Kind, running: Running) -> Reply {
    match kind {
        Kind::Modern => {
            let (events, body) = channel(QUEUE_EVENTS);
            gate.tracker().spawn(modern(running, events));
            Reply::events(body)
        }
        Kind::Legacy(owner) => match session::streams_of(&owner) {
            Ok(streams) => {
                let (writer, subscription) = streams.open(session::primes(&owner));
                gate.tracker().spawn(legacy(running, writer));
                Reply::events(subscription)
            }
            Err(refusal) => reply::of_refusal(&refusal),
        },
        Kind::None => match finish(running, |_| async { true }).await {
            Some(Ok(deliveries)) => reply::of_deliveries(deliveries),
            Some(Err(refusal)) => reply::of_refusal(&refusal),
            None => Reply::empty(StatusCode::ACCEPTED),
        },
    }
}

async fn modern(running: Running, events: EventSender) {
    let send = |text| {
        let events = events.clone();
        async move { events.send(Event::message(text)).await.is_ok() }
    };
    let outcome = tokio::select! {
        biased;
        outcome = finish(running, send) => outcome,
        // The client closed the stream: dropping the journey cancels the call upstream.
        () = events.closed() => None,
    };
    for text in texts(outcome) {
        // A client that left before its answer gets none.
        _ = events.send(Event::message(text)).await;
    }
}

async fn legacy(running: Running, writer: StreamWriter) {
    let outcome = finish(running, |text| async { writer.send(text).await.is_ok() }).await;
    let mut texts = texts(outcome);
    let last = texts.pop();
    for text in texts {
        _ = writer.send(text).await;
    }
    if let Some(last) = last {
        // The session ended meanwhile: nobody waits for the answer.
        _ = writer.finish(last).await;
    }
}

/// Runs a call to its end and sends what it says on the way. `None` when nobody listens any more.
async fn finish<F, S>(mut running: Running, send: F) -> Option<Result<Vec<Delivery>, Refusal>>
where
    F: Fn(Bytes) -> S,
    S: Future<Output = bool>,
{
    if !send(running.first).await {
        return None;
    }
    let outcome = loop {
        tokio::select! {
            biased;
            Some(text) = running.inbox.recv() => if !send(text).await { return None },
            outcome = &mut running.journey => break outcome,
        }
    };
    while let Ok(text) = running.inbox.try_recv() {
        if !send(text).await {
            return None;
        }
    }
    Some(outcome)
}

fn texts(outcome: Option<Result<Vec<Delivery>, Refusal>>) -> Vec<Bytes> {
    match outcome {
        None => Vec::new(),
        Some(Ok(deliveries)) => deliveries.iter().map(Delivery::joined).collect(),
        Some(Err(refusal)) => vec![error_text(None, &refusal.wire().error)],
    }
}
