//! A legacy server over HTTP: a session that opens with `initialize`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::call::{Answer, Call, Notice};
use casemate_mcp::dialect::legacy;
use casemate_mcp::frame::{Id, notification_text, request_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use casemate_transport::http::Posted;
use casemate_transport::http::client::{ResumePlan, ResumingEvents};
use casemate_transport::http::head::SESSION_ID;
use http::{HeaderMap, StatusCode};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::answer::{Found, Reading, Stream};
use super::door::Door;
use super::stream;
use crate::desk::{Desk, Outcome, Reaction, Ticket, cancellation};
use crate::instance::{Link, Opened, Request, Seed};
use crate::level::Level;
use crate::life::{End, Life};
use crate::listen::Watching;
use crate::outlet::Outlet;
use crate::probe::{self, Era};
use crate::{Fault, Hello};

/// The wait before a stream is resumed where the server names none.
const RETRY: Duration = Duration::from_secs(1);
/// How often a stream is resumed without getting a single event.
const TRIES_MAX: u32 = 5;
/// How long a message that nobody waits for may take.
const ASIDE_TIME: Duration = Duration::from_secs(10);

/// An open session.
#[derive(Debug)]
pub(crate) struct Legacy {
    session: Arc<Session>,
    hello: Arc<Hello>,
    level: Level,
    own_time: Duration,
    is_shared: bool,
}

/// The session and the requests that were posted in it.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) door: Arc<Door>,
    pub(super) desk: Arc<Desk>,
    pub(super) outlet: Arc<Outlet>,
    pub(super) tracker: TaskTracker,
    pub(super) life: Life,
    /// What is spoken; known after the handshake.
    pub(super) revision: Option<Revision>,
    /// What every request has: credentials, revision, session.
    pub(super) headers: HeaderMap,
}

/// What posting `initialize` led to.
pub(super) enum Greeting {
    /// A session.
    Opened(Opened),
    /// The server takes no posts at this address; why, if it is not an older server either.
    Unposted(Fault),
}

/// Opens a session.
pub(super) async fn open(seed: &Seed, door: &Arc<Door>, proven: Option<Era>) -> Result<Greeting, Fault> {
    let before = Arc::new(Session {
        door: Arc::clone(door),
        desk: Desk::new(seed.subject.clone(), seed.offered.clone(), Arc::clone(&seed.outlet)),
        outlet: Arc::clone(&seed.outlet),
        tracker: seed.host.tracker.clone(),
        life: Life::below(&seed.stop),
        revision: None,
        headers: door.headers(Revision::LATEST_LEGACY.as_str()),
    });
    let params = probe::initialize_params(&seed.offered, &seed.host.client_info);
    let mut ticket = before.desk.open(&Method::Initialize, None)?;
    let text = request_text(&Id::Number(ticket.id()), &Method::Initialize, Some(&params));
    let posted = door.post(before.headers.clone(), text).await?;
    let id = posted.headers().get(&SESSION_ID).cloned();
    let Found { outcome, status, is_addressed } = before.answer(posted, &mut ticket).await;
    let answer = match outcome {
        // What the protocol has a client take for a sign of the transport of 2024-11-05.
        Err(fault) if !is_addressed && matches!(status.as_u16(), 400 | 404 | 405) => {
            return Ok(Greeting::Unposted(fault));
        }
        Ok(Answer::Error(_)) if !is_addressed && matches!(status.as_u16(), 400 | 404 | 405) => {
            let why = format!("it answered `initialize` with status {}", status.as_u16());
            return Ok(Greeting::Unposted(Fault::Start { why }));
        }
        outcome => outcome?,
    };
    let hello = Arc::new(probe::welcome(answer)?);
    let mut headers = door.headers(hello.revision.as_str());
    if let Some(id) = id {
        headers.insert(SESSION_ID, id);
    }
    let session = Arc::new(Session { revision: Some(hello.revision), headers, ..Session::clone(&before) });
    session.post(notification_text(&Method::Initialized, None)).await?;
    seed.host.tracker.spawn(stream::keep(Arc::clone(&session), Arc::clone(&hello)));
    let life = session.life.clone();
    let link = Link::Legacy(Legacy {
        session,
        hello: Arc::clone(&hello),
        level: Level::default(),
        own_time: seed.entry.timeouts.call,
        is_shared: seed.subject.is_none(),
    });
    Ok(Greeting::Opened(Opened { link, hello, proven, life }))
}

impl Legacy {
    /// Sends a call and waits for what becomes of it. Dropping the future cancels it.
    pub(crate) async fn call(&self, request: Request<'_>) -> Outcome {
        let call = request.call;
        let _turn = self.session.desk.turn(&call.method, request.deadline.hard).await?;
        let ticket = self.session.desk.open_call(call, request.events)?;
        let activity = Arc::clone(ticket.activity());
        let progress = call.meta.progress.as_ref().map(|_| Raw::of(&ticket.id()));
        let params = legacy::params(call, progress);
        let work = async {
            self.set_level(call).await;
            self.session.exchange(ticket, &call.method, &params).await
        };
        tokio::select! {
            biased;
            // First, so that a server that never stops talking cannot keep the time from running out.
            fault = request.deadline.passed(&activity) => Err(fault),
            outcome = work => outcome,
            () = self.session.life.cut_off() => Err(Fault::Gone { sent: true, why: "it was stopped".into() }),
        }
    }

    /// Tells the server something.
    pub(crate) async fn notify(&self, notice: &Notice) {
        let text = notification_text(&notice.method, notice.params.as_ref().map(Members::raw));
        _ = timeout(self.own_time, self.session.post(text)).await;
    }

    /// Begins or ends a watch on a resource.
    pub(crate) async fn watch(&self, uri: &str, change: Watching) -> Outcome {
        let params = Members::empty().edit().set("uri", Raw::of(uri)).finish();
        let method = match change {
            Watching::Begin => Method::ResourcesSubscribe,
            Watching::End => Method::ResourcesUnsubscribe,
        };
        self.request(&method, &params).await
    }

    /// Requests of one session may overtake each other, so the call waits for this answer. Clients that share a session
    /// would overrule each other.
    async fn set_level(&self, call: &Call) {
        if self.is_shared {
            return;
        }
        if let Some(params) = self.level.change(call, &self.hello) {
            _ = self.request(&Method::LoggingSetLevel, &params).await;
        }
    }

    /// Sends a request of our own.
    async fn request(&self, method: &Method, params: &Raw) -> Outcome {
        let ticket = self.session.desk.open(method, None)?;
        let late = |_| Err(Fault::Timeout { after: self.own_time, hard: false });
        let work = self.session.exchange(ticket, method, params);
        timeout(self.own_time, work).await.unwrap_or_else(late)
    }
}

impl Session {
    /// Posts a request and waits for what becomes of it. Dropping the future cancels the request.
    async fn exchange(self: &Arc<Session>, ticket: Ticket, method: &Method, params: &Raw) -> Outcome {
        let text = request_text(&Id::Number(ticket.id()), method, Some(params));
        // From the first moment on the server may have it.
        let mut errand = Errand { session: self, ticket, is_out: true };
        let found = match self.door.post(self.headers.clone(), text).await {
            Ok(posted) => Ok(self.answer(posted, &mut errand.ticket).await),
            Err(fault) => Err(fault),
        };
        errand.is_out = false;
        let found = found?;
        if self.is_expiry(&found) {
            self.life.end(End::Expired);
            let said = found.outcome.err().map(|fault| format!(" ({fault})")).unwrap_or_default();
            return Err(Fault::Gone { sent: false, why: format!("its session is no longer known{said}") });
        }
        found.outcome
    }

    /// Reads what came back for a request.
    async fn answer(self: &Arc<Session>, posted: Posted, ticket: &mut Ticket) -> Found {
        let reading = Reading {
            door: &self.door,
            desk: &self.desk,
            outlet: &self.outlet,
            revision: self.revision,
            id: ticket.id(),
        };
        let done = |outcome| Found { outcome, status: StatusCode::OK, is_addressed: true };
        match posted {
            Posted::Events { events, .. } => {
                let plan = self.resumption().await;
                let stream = Stream::Resuming(Box::new(ResumingEvents::new(events, plan)));
                done(reading.stream(stream, ticket, |reaction| self.react(reaction)).await)
            }
            // Some servers answer on their general stream.
            Posted::Accepted { .. } => done(ticket.outcome().await),
            posted => reading.whole(posted, |reaction| self.react(reaction)),
        }
    }

    /// Posts a message that has no answer.
    ///
    /// # Errors
    /// A [`Fault`] when it was not taken.
    pub(super) async fn post(&self, text: Bytes) -> Result<(), Fault> {
        let status = self.door.post(self.headers.clone(), text).await?.status();
        if status.is_success() {
            return Ok(());
        }
        if status == StatusCode::NOT_FOUND && self.has_id() {
            self.life.end(End::Expired);
        }
        Err(Fault::Protocol { why: format!("it answered a notification with status {}", status.as_u16()) })
    }

    /// Posts a message in the background.
    fn aside(self: &Arc<Session>, text: Bytes) {
        let session = Arc::clone(self);
        self.tracker.spawn(async move { timeout(ASIDE_TIME, session.post(text)).await });
    }

    /// Does what an incoming message asks for.
    pub(super) fn react(self: &Arc<Session>, reaction: Reaction) {
        match reaction {
            Reaction::Delivered | Reaction::Unasked => {}
            Reaction::Reply(text) => self.aside(text),
            Reaction::Ask(asked) => {
                let session = Arc::clone(self);
                self.tracker.spawn(async move {
                    if let Some(text) = asked.reply().await {
                        _ = timeout(ASIDE_TIME, session.post(text)).await;
                    }
                });
            }
        }
    }

    /// How to come back to a stream.
    pub(super) async fn resumption(&self) -> ResumePlan {
        ResumePlan {
            endpoint: self.door.endpoint.clone(),
            headers: self.door.admitted(self.headers.clone()).await,
            retry: RETRY,
            tries_max: TRIES_MAX,
        }
    }

    /// Whether the server gave the session an id. Without one there is nothing that it could forget.
    pub(super) fn has_id(&self) -> bool {
        self.headers.contains_key(&SESSION_ID)
    }

    /// Whether an answer is about the session and not about the request. The protocol says 404; servers in the field
    /// also say 400, with an error that does not name the request.
    fn is_expiry(&self, found: &Found) -> bool {
        let is_status = matches!(found.status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
        is_status && !found.is_addressed && self.has_id()
    }
}

/// A request that may have to be canceled.
struct Errand<'a> {
    session: &'a Arc<Session>,
    ticket: Ticket,
    is_out: bool,
}

impl Drop for Errand<'_> {
    fn drop(&mut self) {
        if self.is_out {
            self.session.aside(cancellation(self.ticket.id()));
        }
    }
}
