//! HTTP with SSE, the transport of 2024-11-05: a stream of events that names an address, and posts to that address. Together
//! they are a link, whose answers go out on the stream alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use casemate_auth::session::SessionNumber;
use casemate_policy::SubjectId;
use casemate_transport::http::events::{Event, EventSender, channel};
use casemate_transport::http::{Head as HttpHead, Inbound, Reply};
use casemate_transport::link::{self, Farewell, LinkReader, Over, Received};
use http::StatusCode;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::head_of;
use crate::client::{Outlet, Way};
use crate::edge::link::{Guest, Papers, Stay, converse};
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey::{self, Identified};
use crate::refusal::{Allow, Code, Refusal};

/// Messages that wait for a client which does not read.
const QUEUE_MESSAGES: usize = 256;
/// Messages that were posted and wait for their turn.
const QUEUE_POSTED: usize = 16;
/// Events on their way out.
const QUEUE_EVENTS: usize = 16;

/// The open streams, by what their posts name them.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams {
    open: Arc<Mutex<HashMap<Box<str>, Open>>>,
}

/// One open stream.
#[derive(Debug, Clone)]
struct Open {
    subject: SubjectId,
    endpoint: Endpoint,
    papers: Arc<Papers>,
    inbox: mpsc::Sender<Bytes>,
}

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// GET: opens a stream.
    pub(super) async fn open(
        &self,
        gate: &Arc<Gate>,
        head: HttpHead,
        endpoint: Endpoint,
    ) -> Result<Reply, Refusal> {
        if !head.accepts_events() {
            let message = "GET opens an event stream here: accept text/event-stream.";
            return Err(Refusal::new(Code::BadHttpMethod, message).allowing(Allow::Events));
        }
        let path = head.path().to_owned();
        let identified = identified(gate, &head, endpoint).await?;
        if gate.is_stopping() {
            return Err(Refusal::new(Code::Stopping, "The gateway is stopping."));
        }
        let papers = Arc::new(Papers::of(&identified.head));
        let (inbox, posted) = mpsc::channel(QUEUE_POSTED);
        let open = Open {
            subject: identified.subject.id.clone(),
            endpoint: identified.head.endpoint.clone(),
            papers: Arc::clone(&papers),
            inbox,
        };
        let name = self.enter(open, identified.snapshot.limits.sessions_max)?;
        let (events, body) = channel(QUEUE_EVENTS);
        // The queue is empty, so there is room.
        _ = events.try_send(Event {
            event: Some("endpoint".into()),
            ..Event::message(format!("{path}?session={}", name.text).into())
        });
        gate.tracker().spawn(serve(Arc::clone(gate), (identified, papers), (events, posted, name)));
        Ok(Reply::events(body))
    }

    /// POST: takes a message.
    pub(super) async fn post(
        &self,
        gate: &Arc<Gate>,
        (head, endpoint): (HttpHead, Endpoint),
        body: Inbound,
    ) -> Result<Reply, Refusal> {
        if !head.content_type_is_json() {
            return Err(Refusal::new(Code::BadHeader, "The Content-Type has to be application/json."));
        }
        let identified = identified(gate, &head, endpoint).await?;
        let named = head.query().and_then(|query| query.strip_prefix("session=")).unwrap_or_default();
        let open = self.lock().get(named).cloned();
        let own = open.filter(|open| {
            open.subject == identified.subject.id && open.endpoint == identified.head.endpoint
        });
        let Some(open) = own else {
            let message = "There is no such stream (any more): GET opens one, and names where to post to.";
            return Err(Refusal::new(Code::NoSession, message));
        };
        let limits = &identified.snapshot.limits;
        let text = body
            .read(limits.request_bytes_max, limits.body_time_max)
            .await
            .map_err(|fault| journey::unread(&fault))?;
        // A token that was renewed meanwhile counts for what comes from here on.
        open.papers.renew(&identified.head);
        match timeout(limits.queue_time_max, open.inbox.send(text)).await {
            Ok(Ok(())) => Ok(Reply::empty(StatusCode::ACCEPTED)),
            Ok(Err(_)) => Err(Refusal::new(Code::NoSession, "The stream has ended: GET opens another.")),
            Err(_) => Err(Refusal::new(Code::TooManyCalls, "Too many messages of this stream wait.")),
        }
    }

    /// Enters a stream among the open ones, for as long as the name is kept.
    fn enter(&self, open: Open, max: usize) -> Result<Name, Refusal> {
        let number = SessionNumber::generate()
            .map_err(|_| Refusal::new(Code::Internal, "There is no randomness to name a stream with."))?;
        let text: Box<str> = number.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut streams = self.lock();
        let own = || streams.values().filter(|other| other.subject == open.subject).count();
        if streams.len() >= max && own() >= max {
            return Err(Refusal::new(Code::TooManyCalls, format!("You have {max} streams open already.")));
        }
        streams.insert(text.clone(), open);
        drop(streams);
        Ok(Name { streams: self.clone(), text })
    }
}

/// What a stream is called by its posts. It is known to whoever opened it, and proves nothing.
#[derive(Debug)]
struct Name {
    streams: Streams,
    text: Box<str>,
}

impl Drop for Name {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.text);
    }
}

async fn identified(gate: &Gate, head: &HttpHead, endpoint: Endpoint) -> Result<Identified, Refusal> {
    // The queue is only there to complete the head; nothing is sent on it.
    let (queue, _) = mpsc::channel(1);
    journey::identify(gate, head_of(head, endpoint, Outlet::Call(queue))).await
}

async fn serve(
    gate: Arc<Gate>,
    (identified, papers): (Identified, Arc<Papers>),
    (events, posted, name): (EventSender, mpsc::Receiver<Bytes>, Name),
) {
    let limits = &identified.snapshot.limits;
    let guest = Guest {
        papers,
        subject: identified.subject.id.clone(),
        endpoint: identified.head.endpoint.clone(),
        way: Way::Events,
        stay: Some(Stay { idle: limits.session_idle_max, life: limits.session_life_max }),
    };
    drop(identified);
    let (sender, messages) = link::queue(QUEUE_MESSAGES);
    tokio::join!(converse(gate, (Posts(posted), sender), guest), carry(messages, events));
    drop(name);
}

/// Sends messages out as events until there are no more, or nobody reads them.
async fn carry(mut messages: mpsc::Receiver<Bytes>, events: EventSender) {
    loop {
        let message = tokio::select! {
            message = messages.recv() => message,
            () = events.closed() => return,
        };
        let Some(message) = message else { return };
        let event = Event { event: Some("message".into()), ..Event::message(message) };
        if events.send(event).await.is_err() {
            return;
        }
    }
}

/// The receiving half: what was posted.
struct Posts(mpsc::Receiver<Bytes>);

impl LinkReader for Posts {
    async fn next(&mut self) -> Received {
        match self.0.recv().await {
            Some(text) => Received::Message(text),
            None => Received::Over(Over::Closed),
        }
    }

    /// The stream ends, and with it what it was called; a post is told that there is no such stream.
    fn part(&mut self, _: Farewell) {}
}
