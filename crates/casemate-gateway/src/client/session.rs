//! Sessions of the legacy dialect. They exist only at this edge; behind it every call stands for itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use casemate_auth::seal::{Bound, Purpose, Seals};
use casemate_auth::session::{Lease, LeaseState, SessionNumber};
use casemate_mcp::call::Meta;
use casemate_mcp::frame::Id;
use casemate_policy::SubjectId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Listening, Outlet, Questions};
use crate::clock;
use crate::endpoint::Endpoint;
use crate::snapshot::Limits;

/// What one client told us, and what is open between it and us.
///
/// An HTTP session's id is a sealed token, bound to the subject that opened it and to the endpoint: the id alone
/// authenticates nobody. It ends when it is idle for too long, and for good after its life, however much it is used.
/// A line-framed connection is one session, whichever dialect it speaks.
#[derive(Debug)]
pub struct Session {
    /// What an HTTP client sends back in `Mcp-Session-Id`; empty for a connection.
    pub id: Box<str>,
    /// By what it is listed and revoked; it opens nothing.
    pub number: SessionNumber,
    /// When it ends.
    pub lease: Lease,
    /// Over what its client speaks.
    pub way: Way,
    /// When it was opened, finely enough to tell which of two was first.
    since: Instant,
    /// Whose it is.
    pub subject: SubjectId,
    /// Where it was opened.
    pub endpoint: Endpoint,
    /// Where messages go that belong to no call.
    pub outlet: Outlet,
    /// What was asked of this client.
    pub questions: Questions,
    hello: OnceLock<Meta>,
    log_level: Mutex<Option<Box<str>>>,
    calls: Mutex<HashMap<Id, CancellationToken>>,
    listening: Mutex<Option<Listening>>,
    /// Ends when the session is deleted or has been idle for too long.
    pub ended: CancellationToken,
}

impl Session {
    /// A session in which nothing was said yet.
    #[must_use]
    pub fn new(title: Title, subject: SubjectId, endpoint: Endpoint, outlet: Outlet) -> Session {
        Session {
            id: title.id,
            number: title.number,
            lease: title.lease,
            way: title.way,
            since: clock::instant(),
            subject,
            endpoint,
            outlet,
            questions: Questions::default(),
            hello: OnceLock::new(),
            log_level: Mutex::default(),
            calls: Mutex::default(),
            listening: Mutex::default(),
            ended: CancellationToken::new(),
        }
    }

    /// Keeps what the client said in `initialize`. `false` when it had said it before.
    pub fn open(&self, hello: &Meta) -> bool {
        self.hello.set(hello.detached()).is_ok()
    }

    /// What the client said in `initialize`, with the log level it asked for since; `None` before that.
    #[must_use]
    pub fn hello(&self) -> Option<Meta> {
        let level = self.log_level.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.hello.get().map(|hello| Meta { log_level: level, ..hello.clone() })
    }

    /// Log messages are wanted from this level on.
    pub fn set_log_level(&self, level: &str) {
        *self.log_level.lock().unwrap_or_else(PoisonError::into_inner) = Some(level.into());
    }

    /// Keeps the session's place among those who are told of changes.
    pub fn listen(&self, listening: Listening) {
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(listening);
    }

    /// Adds or removes a resource that this client wants to be told about.
    pub fn watch(&self, uri: &str, wanted: Watch) {
        if let Some(listening) = &*self.listening.lock().unwrap_or_else(PoisonError::into_inner) {
            match wanted {
                Watch::Begin => listening.watch(uri),
                Watch::End => listening.unwatch(uri),
            }
        }
    }

    /// Notes a call in flight, so that the client can give it up. `None` when the id is in use already.
    #[must_use]
    pub fn begin(self: &Arc<Self>, id: &Id) -> Option<InFlight> {
        self.touch();
        let cancelled = CancellationToken::new();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.contains_key(id) {
            return None;
        }
        calls.insert(id.clone(), cancelled.clone());
        Some(InFlight { session: Arc::clone(self), id: id.clone(), cancelled })
    }

    /// Gives up a call in flight; one that is not there has ended.
    pub fn cancel(&self, id: &Id) {
        if let Some(call) = self.calls.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            call.cancel();
        }
    }

    /// Says that the session is in use.
    pub fn touch(&self) {
        self.lease.touch(clock::unix_now().as_secs());
    }

    /// Calls that are worked on.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A session in which something is worked on is not idle.
    fn is_over(&self, now_unix_s: u64) -> bool {
        match self.lease.state(now_unix_s) {
            LeaseState::Live => false,
            LeaseState::Idle => self.in_flight() == 0,
            LeaseState::Over => true,
        }
    }
}

/// How a session is named, and how long it lasts.
#[derive(Debug)]
pub struct Title {
    id: Box<str>,
    number: SessionNumber,
    lease: Lease,
    way: Way,
}

impl Title {
    /// The title of a connection: it needs no id, and lasts as long as the connection, which may be idle for the first time
    /// and last for the second; for ever without.
    #[must_use]
    pub fn connection(way: Way, times: Option<(Duration, Duration)>) -> Title {
        // Nothing depends on this number being another one than all others.
        let number = SessionNumber::generate().unwrap_or_else(|_| [0; 16].into());
        let (idle, life) = times.unwrap_or((Duration::MAX, Duration::MAX));
        Title { id: "".into(), number, lease: Lease::new(clock::unix_now().as_secs(), idle, life), way }
    }
}

/// Over what a client speaks to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Requests over HTTP.
    Requests,
    /// A WebSocket.
    WebSocket,
    /// A stream of events and posts to it, the transport of 2024-11-05.
    Events,
    /// Lines on a Unix socket.
    Lines,
}

impl Way {
    /// The word for it in lists.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Way::Requests => "http",
            Way::WebSocket => "websocket",
            Way::Events => "sse",
            Way::Lines => "unix",
        }
    }
}

/// Whether a resource is to be watched from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Tell me when it changes.
    Begin,
    /// No longer.
    End,
}

/// A call in flight; its place is freed when this is dropped.
#[derive(Debug)]
pub struct InFlight {
    session: Arc<Session>,
    id: Id,
    /// Ends when the client gives the call up.
    pub cancelled: CancellationToken,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.session.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// The sessions of the installation: those over HTTP by their ids, and the connections that are sessions of their own.
#[derive(Debug)]
pub struct Sessions {
    open: Mutex<HashMap<Box<str>, Arc<Session>>>,
    /// Those of connections from elsewhere, which the listener bounds.
    connections: Mutex<HashMap<SessionNumber, Arc<Session>>>,
    seals: Arc<Seals>,
}

/// Why no session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionFault {
    /// The subject holds as many as it may.
    TooMany,
    /// No id could be sealed: the system gave no randomness.
    NoSeal,
}

impl Sessions {
    /// No sessions yet; their ids will be sealed with these seals.
    #[must_use]
    pub fn new(seals: Arc<Seals>) -> Sessions {
        Sessions { open: Mutex::default(), connections: Mutex::default(), seals }
    }

    /// Lists a connection among the sessions for as long as the result is kept.
    #[must_use]
    pub fn enter(&self, session: &Arc<Session>) -> Entered<'_> {
        self.connections().insert(session.number, Arc::clone(session));
        Entered { sessions: self, number: session.number }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<SessionNumber, Arc<Session>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a session of a subject at an endpoint, with a fresh id.
    ///
    /// # Errors
    /// [`SessionFault`].
    pub fn create(
        &self,
        (subject, endpoint): (&SubjectId, &Endpoint),
        limits: &Limits,
        session: impl FnOnce(Title) -> Session,
    ) -> Result<Arc<Session>, SessionFault> {
        let now = clock::unix_now().as_secs();
        let lease = Lease::new(now, limits.session_idle_max, limits.session_life_max);
        let number = SessionNumber::generate().map_err(|_| SessionFault::NoSeal)?;
        let at = endpoint.to_string();
        let sealed =
            self.seals.seal(Purpose::Session, &bound(subject, &at), (number.as_bytes(), lease.ends()));
        let id = sealed.map_err(|_| SessionFault::NoSeal)?.into();
        let session = Arc::new(session(Title { id, number, lease, way: Way::Requests }));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let max = limits.sessions_max;
        // Counted only when the table is large enough for the bound to be reached at all.
        if open.len() >= max && open.values().filter(|other| other.subject == session.subject).count() >= max
        {
            return Err(SessionFault::TooMany);
        }
        open.insert(session.id.clone(), Arc::clone(&session));
        Ok(session)
    }

    /// The subject's session of that id at that endpoint. Anybody else's is not there, and neither is one that has
    /// ended.
    ///
    /// # Errors
    /// A private reason; the caller is told that there is no such session.
    pub fn find(&self, id: &str, subject: &SubjectId, endpoint: &Endpoint) -> Result<Arc<Session>, String> {
        let now = clock::unix_now().as_secs();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let found = open.get(id).cloned();
        drop(open);
        // What is in the table is a token that we made ourselves, to the last character; only what is not has to be
        // opened, to tell the log what it is.
        let own = found.filter(|session| session.subject == *subject && session.endpoint == *endpoint);
        let Some(session) = own else {
            let at = endpoint.to_string();
            return Err(match self.seals.open(Purpose::Session, &bound(subject, &at), (id, now)) {
                Ok(_) => "the session has ended".to_owned(),
                Err(fault) => fault.to_string(),
            });
        };
        if session.is_over(now) {
            self.end(&session);
            return Err("the session has ended: it was idle for too long, or its life is over".to_owned());
        }
        Ok(session)
    }

    /// The session of that id at that endpoint, whoever it belongs to: for those who know already that the caller's
    /// right to it is checked elsewhere.
    pub(crate) fn named(&self, id: &str, endpoint: &Endpoint) -> Option<Arc<Session>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(id).filter(|session| session.endpoint == *endpoint).cloned()
    }

    /// All that are open, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Session>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sessions: Vec<_> = open.values().cloned().collect();
        drop(open);
        sessions.extend(self.connections().values().cloned());
        sessions.sort_by_key(|session| (session.since, session.number));
        sessions
    }

    /// Ends those that are meant, and says which those were. Their clients are told that there is no such session, and
    /// connections are closed.
    pub fn revoke(&self, meant: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let mut sessions = self.list();
        sessions.retain(|session| meant(session));
        sessions.iter().for_each(|session| self.end(session));
        sessions
    }

    /// Ends a session.
    pub fn end(&self, session: &Session) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&session.id);
        session.ended.cancel();
        if let Outlet::General(streams) = &session.outlet {
            streams.close();
        }
    }

    /// Ends the sessions whose time is over, and those whose subject is there no more.
    pub fn sweep(&self, is_there: impl Fn(&SubjectId) -> bool) {
        let now = clock::unix_now().as_secs();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions: Vec<_> = open.values().cloned().collect();
        drop(open);
        for session in &sessions {
            if let Outlet::General(streams) = &session.outlet {
                streams.sweep();
            }
        }
        let over = |session: &Arc<Session>| session.is_over(now) || !is_there(&session.subject);
        for session in sessions.into_iter().filter(over) {
            self.end(&session);
        }
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A connection among the sessions; it is there no more when this is dropped.
#[derive(Debug)]
pub struct Entered<'a> {
    sessions: &'a Sessions,
    number: SessionNumber,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.sessions.connections().remove(&self.number);
    }
}

/// What the id of a session is bound to.
fn bound<'a>(subject: &'a SubjectId, endpoint: &'a str) -> Bound<'a> {
    Bound { server: endpoint, ..Bound::to(subject.as_str()) }
}
