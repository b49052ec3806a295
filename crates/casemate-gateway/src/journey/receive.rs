//! Stage 4: the body becomes messages that are free of the protocol's versions.

pub(super) mod claims;
mod told;

use std::sync::Arc;

use bytes::Bytes;
use casemate_inspect::Findings;
use casemate_mcp::call::{Call, Meta};
use casemate_mcp::dialect::legacy::{self, Hello};
use casemate_mcp::dialect::modern::{self, Named};
use casemate_mcp::frame::{ErrorObject, Fault, Frame, Id, code};
use casemate_mcp::json::{Limits, Members};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use casemate_transport::http::inbound::BodyFault;

use super::admit::Admitted;
use super::answer::Ticket;
use super::head::{Incoming, SessionRef};
use super::invite;
use super::route::unfold;
use crate::client::{InFlight, Session};
use crate::gate::Gate;
use crate::ports::CallId;
use crate::refusal::{Code, Refusal};
pub(super) use told::Told;

/// Messages in one batch. All their answers are kept until the last one is there.
const BATCH_MAX: usize = 100;

/// Longest id of a request, in bytes: a stream of changes repeats it in every notification.
pub(crate) const ID_BYTES_MAX: usize = 1024;

/// What a client may say of itself in `initialize`, in bytes: it is kept for as long as the session.
const HELLO_MAX: usize = 64 * 1024;

/// One message of a body.
pub(super) enum Message {
    /// A request. It stays where it is while the stages hand it on: it is large, and there are many of them.
    Call(Box<Received>),
    /// A request that is wrong in itself; its answer stands.
    Unreadable(Ticket, Refusal),
    /// A notification, or the reply to a question of ours.
    Told(Told),
}

/// A request, free of the protocol's versions.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) passage: Arc<Admitted>,
    pub(super) id: Id,
    pub(super) call: Call,
    pub(super) session: Option<Arc<Session>>,
    /// Digest of the call, when a person has to approve of it.
    pub(super) approved: Option<[u8; 32]>,
    /// What the records know it by.
    pub(super) number: Option<CallId>,
    /// What judges outside had to say of it, without refusing it.
    pub(super) flagged: Option<Box<Findings>>,
    /// The tool, prompt or resource as the client named it.
    asked: Option<Box<str>>,
    /// It was asked for by way of `call_tool`, so its headers say nothing of the tool.
    pub(super) is_indirect: bool,
    in_flight: Option<InFlight>,
}

impl Received {
    /// What is needed to answer, whatever becomes of the call.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            id: self.id.clone(),
            method: self.call.method.clone(),
            revision: self.call.meta.revision,
            opener: invite::opener(self),
            address: self.passage.identified.head.peer.address(),
        }
    }

    /// The tool, prompt or resource by the name that the client used; empty where there is none.
    pub(super) fn asked(&self) -> &str {
        self.asked.as_deref().unwrap_or_default()
    }

    /// What is asked for is another tool, with these params.
    pub(super) fn directly(&mut self, name: &str, params: Members) {
        self.asked = Some(name.into());
        self.call.params = params;
        self.is_indirect = true;
    }

    /// Ends when the client gives the call up.
    pub(super) fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        let token = self.in_flight.as_ref().map(|call| call.cancelled.clone());
        async move {
            match token {
                Some(token) => token.cancelled().await,
                None => std::future::pending().await,
            }
        }
    }
}

/// Reads the body and what is in it.
///
/// # Errors
/// When the body cannot be read at all, or belongs to a session that is not there.
pub(super) async fn messages<B: Incoming>(
    gate: &Gate,
    admitted: Admitted,
    body: B,
) -> Result<Vec<Message>, Refusal> {
    let limits = &admitted.identified.snapshot.limits;
    let text =
        body.read(limits.request_bytes_max, limits.body_time_max).await.map_err(|fault| unread(&fault))?;
    let limits = Limits { bytes_max: limits.request_bytes_max, ..Limits::default() };
    let session = session(gate, &admitted)?;
    let hello = session.as_ref().and_then(|session| session.hello());
    let batches = hello.as_ref().is_some_and(|hello| hello.revision.has_batches());
    let frames = match read(text, &limits, batches) {
        Ok(frames) if frames.len() > BATCH_MAX => {
            let message = format!("A batch holds at most {BATCH_MAX} messages.");
            return Err(Refusal::new(Code::BadMessage, message));
        }
        Ok(frames) => frames,
        Err(fault) => return no_frame(&fault).answer_to(fault.id(), &admitted),
    };
    admitted.further(gate, frames.len().saturating_sub(1))?;
    let reader = Reader { passage: Arc::new(admitted), session, hello };
    frames.into_iter().map(|frame| reader.message(frame)).collect()
}

fn read(text: Bytes, limits: &Limits, batches: bool) -> Result<Vec<Frame>, Fault> {
    if batches {
        Frame::parse_batch(text, limits)
    } else {
        Frame::parse(text, limits).map(|frame| vec![frame])
    }
}

/// The session that the message names. A modern message ignores the header, as the protocol demands.
fn session(gate: &Gate, admitted: &Admitted) -> Result<Option<Arc<Session>>, Refusal> {
    let head = &admitted.identified.head;
    let modern = head.claims.as_ref().and_then(|claims| Revision::parse(claims.revision.as_deref()?));
    match &head.session {
        SessionRef::Connection(session) => Ok(Some(Arc::clone(session))),
        SessionRef::Id(id) if !modern.is_some_and(Revision::is_modern) => {
            let found = gate.sessions().find(id, &admitted.identified.subject.id, &head.endpoint);
            found.map(Some).map_err(|why| {
                Refusal::new(
                    Code::NoSession,
                    "There is no such session (any more): send `initialize` to open a new one.",
                )
                .with_detail(why)
            })
        }
        SessionRef::Id(_) | SessionRef::None => Ok(None),
    }
}

/// What the messages of one body have in common.
struct Reader {
    passage: Arc<Admitted>,
    session: Option<Arc<Session>>,
    hello: Option<Meta>,
}

impl Reader {
    fn message(&self, frame: Frame) -> Result<Message, Refusal> {
        match frame {
            Frame::Request { id, method, params } => {
                let (named, kept) = (id.clone(), method.clone());
                let received = self.request(id, method, params);
                received.map(Message::Call).or_else(|refusal| self.unreadable(named, kept, refusal))
            }
            Frame::Notification { method, params } => {
                self.needs_session(Named::find(params.as_ref()).is_some())?;
                Ok(Message::Told(self.told(Ok((method, params)))))
            }
            Frame::Response { id, outcome } => {
                self.needs_session(false)?;
                Ok(Message::Told(self.told(Err((id, outcome)))))
            }
        }
    }

    fn told(&self, what: told::What) -> Told {
        Told {
            passage: Arc::clone(&self.passage),
            session: self.session.clone(),
            hello: self.hello.clone(),
            what,
        }
    }

    fn request(&self, id: Id, method: Method, params: Option<Members>) -> Result<Box<Received>, Refusal> {
        bounded(&id, &method, params.as_ref())?;
        let claims = self.passage.identified.head.claims.as_ref();
        let named = Named::find(params.as_ref());
        let claimed = claims.and_then(|claims| claims.revision.as_deref());
        let modern = named.is_some() || claimed.and_then(Revision::parse).is_some_and(Revision::is_modern);
        let call = if modern {
            // A body that does not say its revision is told so first: there is nothing to hold the headers against.
            if let Some(claims) = claims.filter(|_| named.is_some()) {
                claims::agree(claims, &method, params.as_ref(), named.as_ref())?;
            }
            modern::call(method, params, named).map_err(prescribed)?
        } else if method == Method::Initialize {
            let hello = Hello::read(params.as_ref()).map_err(prescribed)?;
            let meta = Meta {
                revision: hello.agreed(),
                progress: None,
                capabilities: hello.capabilities,
                client_info: hello.client_info,
                log_level: None,
            };
            legacy::call(method, params, &meta)
        } else {
            self.legacy_claim(claimed)?;
            legacy::call(method, params, self.greeted()?)
        };
        let session = if modern { self.connection() } else { self.session.clone() };
        let in_flight = match &session {
            Some(session) => Some(session.begin(&id).ok_or_else(|| {
                Refusal::new(
                    Code::BadMessage,
                    format!("A request with the id {id} is in flight already; use a new id."),
                )
            })?),
            None => None,
        };
        let other = || ["uri", "taskId"].into_iter().find(|member| call.params.has(member));
        let named = call.method.name_member().or_else(other);
        let asked = named.and_then(|member| call.params.string(member)).map(String::into_boxed_str);
        let mut received = Box::new(Received {
            passage: Arc::clone(&self.passage),
            id,
            call,
            session,
            approved: None,
            number: None,
            flagged: None,
            asked,
            is_indirect: false,
            in_flight,
        });
        unfold(&mut received)?;
        Ok(received)
    }

    /// The connection's session: modern requests have no other.
    fn connection(&self) -> Option<Arc<Session>> {
        self.session.clone().filter(|_| self.passage.identified.head.claims.is_none())
    }

    fn greeted(&self) -> Result<&Meta, Refusal> {
        let message = "A legacy client has to send `initialize` first and to name its session from then on.";
        self.hello.as_ref().ok_or_else(|| Refusal::new(Code::BadMessage, message))
    }

    /// Over HTTP, what is no request belongs to a session or is of the modern dialect.
    fn needs_session(&self, is_modern: bool) -> Result<(), Refusal> {
        let head = &self.passage.identified.head;
        let claimed = head.claims.as_ref().and_then(|claims| Revision::parse(claims.revision.as_deref()?));
        let modern = is_modern || claimed.is_some_and(Revision::is_modern);
        if modern || self.session.is_some() { Ok(()) } else { self.greeted().map(drop) }
    }

    fn legacy_claim(&self, claimed: Option<&str>) -> Result<(), Refusal> {
        match claimed {
            Some(text) if Revision::parse(text).is_none() => Err(Refusal::new(
                Code::UnknownRevision,
                "The MCP-Protocol-Version header names no revision that we speak.",
            )
            .prescribed(modern::unsupported(text))),
            _ => Ok(()),
        }
    }

    fn unreadable(&self, id: Id, method: Method, refusal: Refusal) -> Result<Message, Refusal> {
        let revision = self.hello.as_ref().map_or(Revision::LATEST, |hello| hello.revision);
        let address = self.passage.identified.head.peer.address();
        Ok(Message::Unreadable(Ticket { id, method, revision, opener: None, address }, refusal))
    }
}

/// Refuses what would be kept or repeated long after it was said.
fn bounded(id: &Id, method: &Method, params: Option<&Members>) -> Result<(), Refusal> {
    if matches!(id, Id::String(text) if text.len() > ID_BYTES_MAX) {
        return Err(Refusal::new(Code::BadMessage, format!("The id has more than {ID_BYTES_MAX} bytes.")));
    }
    let said =
        params.filter(|_| *method == Method::Initialize).map_or(0, |params| params.raw().as_bytes().len());
    if said > HELLO_MAX {
        return Err(Refusal::new(Code::BadMessage, format!("initialize has more than {HELLO_MAX} bytes.")));
    }
    Ok(())
}

impl Refusal {
    /// An answer to the request, when its id could be read; otherwise the refusal belongs to no request.
    fn answer_to(self, id: Option<&Id>, admitted: &Admitted) -> Result<Vec<Message>, Refusal> {
        let id = id.cloned().ok_or_else(|| self.clone())?;
        let (method, revision) = (Method::Other("".into()), Revision::LATEST);
        let address = admitted.identified.head.peer.address();
        Ok(vec![Message::Unreadable(Ticket { id, method, revision, opener: None, address }, self)])
    }
}

fn prescribed(error: ErrorObject) -> Refusal {
    let kind = if error.code == code::UNSUPPORTED_VERSION { Code::UnknownRevision } else { Code::BadMessage };
    Refusal::new(kind, error.message.clone()).prescribed(error)
}

/// The refusal of a body that could not be read.
pub(crate) fn unread(fault: &BodyFault) -> Refusal {
    let kind = match fault {
        BodyFault::TooLarge { .. } => Code::BodyTooLarge,
        _ => Code::BodyTooSlow,
    };
    Refusal::new(kind, format!("The request could not be read: {fault}."))
}

fn no_frame(fault: &Fault) -> Refusal {
    let kind = if matches!(fault, Fault::Json(_)) { Code::BadJson } else { Code::BadMessage };
    Refusal::new(kind, format!("The request was not understood: {fault}."))
}
