//! Sessions of the legacy dialect. They exist only at this edge; behind it every call stands for itself.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use casemate_mcp::call::Meta;
use casemate_mcp::frame::Id;
use casemate_policy::SubjectId;
use tokio_util::sync::CancellationToken;

use super::{Listening, Outlet, Questions};
use crate::clock;
use crate::endpoint::Endpoint;

/// What one client told us, and what is open between it and us.
///
/// An HTTP session is found by its id and bound to the subject that opened it: the id alone authenticates nobody.
/// A line-framed connection is one session, whichever dialect it speaks.
#[derive(Debug)]
pub struct Session {
    /// What an HTTP client sends back in `Mcp-Session-Id`; empty for a connection.
    pub id: Box<str>,
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
    used_unix_s: AtomicU64,
    /// Ends when the session is deleted or has been idle for too long.
    pub ended: CancellationToken,
}

impl Session {
    /// A session in which nothing was said yet.
    #[must_use]
    pub fn new(id: Box<str>, subject: SubjectId, endpoint: Endpoint, outlet: Outlet) -> Session {
        Session {
            id,
            subject,
            endpoint,
            outlet,
            questions: Questions::default(),
            hello: OnceLock::new(),
            log_level: Mutex::default(),
            calls: Mutex::default(),
            listening: Mutex::default(),
            used_unix_s: AtomicU64::new(clock::unix_now().as_secs()),
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
        self.used_unix_s.store(clock::unix_now().as_secs(), Ordering::Relaxed);
    }

    fn is_idle(&self, for_at_least: Duration, now_unix_s: u64) -> bool {
        let idle_s = now_unix_s.saturating_sub(self.used_unix_s.load(Ordering::Relaxed));
        idle_s >= for_at_least.as_secs()
            && self.calls.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
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

/// The HTTP sessions of the installation.
#[derive(Debug, Default)]
pub struct Sessions {
    open: Mutex<HashMap<Box<str>, Arc<Session>>>,
}

/// Why no session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionFault {
    /// The subject holds as many as it may.
    TooMany,
    /// The system gave no randomness, and without it there is no id that cannot be guessed.
    NoRandomness,
}

impl Sessions {
    /// Makes a session with a fresh id.
    ///
    /// # Errors
    /// [`SessionFault::TooMany`] when the subject holds `max` sessions already.
    pub fn create(
        &self,
        session: impl FnOnce(Box<str>) -> Session,
        max: usize,
    ) -> Result<Arc<Session>, SessionFault> {
        let session = Arc::new(session(random_id().ok_or(SessionFault::NoRandomness)?));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Counted only when the table is large enough for the bound to be reached at all.
        if open.len() >= max && open.values().filter(|other| other.subject == session.subject).count() >= max
        {
            return Err(SessionFault::TooMany);
        }
        open.insert(session.id.clone(), Arc::clone(&session));
        Ok(session)
    }

    /// The subject's session of that id at that endpoint. Anybody else's is not there.
    #[must_use]
    pub fn find(&self, id: &str, subject: &SubjectId, endpoint: &Endpoint) -> Option<Arc<Session>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(id).filter(|session| session.subject == *subject && session.endpoint == *endpoint).cloned()
    }

    /// The session of that id at that endpoint, whoever it belongs to: for those who know already that the caller's
    /// right to it is checked elsewhere.
    pub(crate) fn named(&self, id: &str, endpoint: &Endpoint) -> Option<Arc<Session>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(id).filter(|session| session.endpoint == *endpoint).cloned()
    }

    /// Ends a session.
    pub fn end(&self, session: &Session) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&session.id);
        session.ended.cancel();
        if let Outlet::General(streams) = &session.outlet {
            streams.close();
        }
    }

    /// Ends the sessions that have been idle for so long, and those whose subject is there no more.
    pub fn sweep(&self, idle_max: Duration, is_there: impl Fn(&SubjectId) -> bool) {
        let now = clock::unix_now().as_secs();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions: Vec<_> = open.values().cloned().collect();
        drop(open);
        for session in &sessions {
            if let Outlet::General(streams) = &session.outlet {
                streams.sweep();
            }
        }
        let over = |session: &Arc<Session>| session.is_idle(idle_max, now) || !is_there(&session.subject);
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

/// 128 random bits in hexadecimal.
fn random_id() -> Option<Box<str>> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    let mut id = String::with_capacity(32);
    for byte in bytes {
        // Writing to a string cannot fail.
        _ = write!(id, "{byte:02x}");
    }
    Some(id.into_boxed_str())
}
