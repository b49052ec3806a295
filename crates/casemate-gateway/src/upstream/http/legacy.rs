//! A legacy server over HTTP: a session that opens with `initialize`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::call::{Call, Notice};
use casemate_mcp::dialect::legacy;
use casemate_mcp::frame::{Id, notification_text, request_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use casemate_transport::http::Posted;
use casemate_transport::http::client::{ResumePlan, ResumingEvents};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::answer::{Found, Reading, Stream};
use super::door::Door;
use super::stream;
use crate::upstream::desk::{Desk, Outcome, Reaction, Ticket};
use crate::upstream::instance::{Link, Opened, Request, Seed};
use crate::upstream::level::Level;
use crate::upstream::life::{End, Life};
use crate::upstream::listen::Watching;
use crate::upstream::outlet::Outlet;
use crate::upstream::probe::{self, Era};
use crate::upstream::{Fault, Hello};

/// `Mcp-Session-Id`: the session that a server gave us.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The wait before a stream is resumed where the server names none.
const RETRY: Duration = Duration::from_secs(1);
/// How often a stream is resumed without getting a single event.
const TRIES_MAX: u32 = 5;
/// How long a message that nobody waits for may take.
const ASIDE_TIME: Duration = Duration::from_secs(10);

/// An open session.
#[derive(Debug)]
pub(in crate::upstream) struct Legacy {
    session: Arc<Session>,
    hello: Arc<Hello>,
    level: Level,
    own_time: Duration,
    is_shared: bool,
}

/// The session and the requests that were posted in it.
#[derive(Debug)]
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

/// Opens a session.
pub(super) async fn open(seed: &Seed, door: &Arc<Door>, proven: Option<Era>) -> Result<Opened, Fault> {
    let mut session = Session {
        door: Arc::clone(door),
        desk: Desk::new(seed.subject.clone(), seed.offered.clone(), Arc::clone(&seed.outlet)),
        outlet: Arc::clone(&seed.outlet),
        tracker: seed.host.tracker.clone(),
        life: Life::below(&seed.stop),
        revision: None,
        headers: door.headers(Revision::LATEST_LEGACY.as_str()),
    };
    let params = probe::initialize_params(&seed.offered, &seed.host.client_info);
    let mut ticket = session.desk.open(&Method::Initialize, None)?;
    let text = request_text(&Id::Number(ticket.id()), &Method::Initialize, Some(&params));
    let posted = door.endpoint.post(session.headers.clone(), text).await;
    let posted = posted.map_err(|fault| door.fault(&fault))?;
    let id = posted.headers().get(&SESSION).cloned();
    let answer = Arc::new(session.clone_for_handshake()).answer(posted, &mut ticket).await.outcome?;
    let hello = Arc::new(probe::welcome(answer)?);
    session.revision = Some(hello.revision);
    session.headers = door.headers(hello.revision.as_str());
    if let Some(id) = id {
        session.headers.insert(SESSION, id);
    }
    let session = Arc::new(session);
    session.post(notification_text(&Method::Initialized, None)).await?;
    seed.host.tracker.spawn(stream::keep(Arc::clone(&session)));
    let life = session.life.clone();
    let link = Link::Legacy(Legacy {
        session,
        hello: Arc::clone(&hello),
        level: Level::default(),
        own_time: seed.entry.timeouts.call,
        is_shared: seed.subject.is_none(),
    });
    Ok(Opened { link, hello, proven, life })
}
