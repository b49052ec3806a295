//! MCP over a link: a connection that carries whole messages in both directions, whatever frames them.
//!
//! The connection is its own session, whichever dialect it speaks. Every message takes the whole journey, beginning with
//! who asks, so that a credential that is withdrawn ends the connection with the next message.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::frame::{ErrorObject, Id, code, error_text};
use casemate_mcp::json::one_line;
use casemate_policy::SubjectId;
use casemate_transport::http::ClientCertificate;
use casemate_transport::link::{Farewell, LinkReader, LinkSender, Over, Received};
use casemate_transport::listener::Peer;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::client::{Outlet, Session, Title, Way};
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey::{self, Head, SessionRef};
use crate::refusal::{Code, Refusal};

/// Messages of one connection that are worked on at the same time.
const CONCURRENT_MAX: usize = 256;

/// Messages that a stranger may have refused in a row. Whoever sends more does not read the answers.
const REFUSED_MAX: u32 = 100;

/// Who sits at the other end of a link.
#[derive(Debug)]
pub(super) struct Guest {
    /// What it showed of itself.
    pub(super) papers: Arc<Papers>,
    /// Who that was then.
    pub(super) subject: SubjectId,
    /// Where it talks to.
    pub(super) endpoint: Endpoint,
    /// Over what.
    pub(super) way: Way,
    /// How long the connection lasts; for ever where nobody but the user of this machine can hold one.
    pub(super) stay: Option<Stay>,
}

/// What somebody showed when they connected. It is judged anew with each message.
pub(super) struct Papers {
    /// Where from.
    peer: Peer,
    /// The bearer credential, which may be renewed where messages come one by one.
    credential: Mutex<Option<Box<str>>>,
    /// The certificate of the connection.
    certificate: Option<Arc<ClientCertificate>>,
}

impl Papers {
    /// Those of a process of this machine, which the kernel vouches for.
    pub(super) fn local(peer: Peer) -> Papers {
        Papers { peer, credential: Mutex::default(), certificate: None }
    }

    /// Those that came with a request.
    pub(super) fn of(head: &Head) -> Papers {
        let credential = Mutex::new(head.credential.clone());
        Papers { peer: head.peer, credential, certificate: head.certificate.clone() }
    }

    /// The same person shows another credential.
    pub(super) fn renew(&self, head: &Head) {
        self.credential.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&head.credential);
    }

    fn credential(&self) -> Option<Box<str>> {
        self.credential.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Papers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Papers({}, not shown)", self.peer)
    }
}

/// How long a connection lasts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stay {
    /// Without a message.
    pub(super) idle: Duration,
    /// With them.
    pub(super) life: Duration,
}

/// Serves a link to its end.
pub(super) async fn converse<L: LinkReader>(
    gate: Arc<Gate>,
    (reader, sender): (L, LinkSender),
    guest: Guest,
) {
    let outlet = Outlet::Link(sender.clone());
    let (subject, endpoint) = (guest.subject.clone(), guest.endpoint.clone());
    let title = Title::connection(guest.way, guest.stay.map(|stay| (stay.idle, stay.life)));
    let session = Arc::new(Session::new(title, subject, endpoint, outlet));
    let refused = AtomicU32::new(0);
    // What only the user of this machine can hold is no session that anybody has to look after.
    let kept = Arc::clone(&gate);
    let _entered = guest.stay.map(|_| kept.sessions().enter(&session));
    Arc::new(Connection { gate, guest, session, sender, refused }).read(reader).await;
}

/// Says why nothing was done, to whom it may concern.
pub(super) async fn refuse(sender: &LinkSender, why: &str) {
    // A peer that is gone needs no explanation.
    _ = sender.send(error_text(None, &ErrorObject::new(code::INVALID_REQUEST, why))).await;
}

/// One connection.
struct Connection {
    gate: Arc<Gate>,
    guest: Guest,
    session: Arc<Session>,
    sender: LinkSender,
    /// Messages that were refused in a row.
    refused: AtomicU32,
}

impl Connection {
    /// Reads messages until the client has no more, and answers them all. Requests run side by side, except that nothing
    /// overtakes the opening of a session; all of them are given up when the client is gone.
    async fn read<L: LinkReader>(self: Arc<Self>, mut reader: L) {
        let mut calls = JoinSet::new();
        let mut clock = self.guest.stay.map(Clock::new);
        let farewell = loop {
            let received = tokio::select! {
                () = self.gate.host().stop.cancelled() => break Some(Farewell::Stopping),
                () = self.sender.closed() => break None,
                () = self.session.ended.cancelled() => break Some(Farewell::Refused("the session was ended")),
                received = reader.next(), if calls.len() < CONCURRENT_MAX => received,
                Some(ended) = calls.join_next(), if !calls.is_empty() => match ended.ok().flatten() {
                    Some(farewell) => break Some(farewell),
                    None => continue,
                },
                () = Clock::rings(clock.as_ref()) => {
                    if clock.as_mut().is_some_and(|clock| clock.is_over(self.session.in_flight())) {
                        break Some(Farewell::Idle);
                    }
                    continue;
                }
            };
            let text = match received {
                Received::Message(text) => text,
                Received::Said => return self.finish(calls).await,
                Received::Over(over) => {
                    self.mourn(&over).await;
                    break None;
                }
            };
            clock.as_mut().into_iter().for_each(Clock::heard);
            if self.opens(&text) {
                let ended = tokio::select! {
                    () = self.gate.host().stop.cancelled() => Some(Farewell::Stopping),
                    () = self.sender.closed() => break None,
                    ended = self.answer(text) => ended,
                };
                if ended.is_some() {
                    break ended;
                }
            } else {
                let connection = Arc::clone(&self);
                calls.spawn(async move { connection.answer(text).await });
            }
        };
        if let Some(farewell) = farewell {
            reader.part(farewell);
        }
        self.session.ended.cancel();
    }

    /// Whether a message may open the session. Clients that do not wait for the answer, and every `printf … | casemate
    /// connect`, send their next message right behind it.
    fn opens(&self, text: &[u8]) -> bool {
        self.session.hello().is_none() && memchr::memmem::find(text, b"\"initialize\"").is_some()
    }

    /// A connection whose end somebody may ask about.
    async fn mourn(&self, over: &Over) {
        if *over != Over::Closed {
            let refusal = Refusal::new(Code::BadMessage, format!("The connection was ended: {over}."));
            self.gate.turn_away(self.guest.papers.peer.address(), refusal.labelled("broken link"));
            refuse(&self.sender, &over.to_string()).await;
        }
    }

    /// The client has said everything and may still read.
    async fn finish(&self, mut calls: JoinSet<Option<Farewell>>) {
        tokio::select! {
            () = self.gate.host().stop.cancelled() => {}
            () = self.sender.closed() => {}
            () = async { while calls.join_next().await.is_some() {} } => {}
        }
        self.session.ended.cancel();
    }

    /// Takes a message on its journey, and says whether the connection has to end for it.
    async fn answer(&self, text: Bytes) -> Option<Farewell> {
        let head = Head {
            peer: self.guest.papers.peer,
            credential: self.guest.papers.credential(),
            certificate: self.guest.papers.certificate.clone(),
            endpoint: self.guest.endpoint.clone(),
            claims: None,
            session: SessionRef::Connection(Arc::clone(&self.session)),
            outlet: Outlet::Link(self.sender.clone()),
        };
        match journey::run(&self.gate, head, text.clone()).await {
            Ok(deliveries) => {
                self.refused.store(0, Ordering::Relaxed);
                for delivery in deliveries.into_iter().filter(|delivery| !delivery.canceled) {
                    // A client that is gone needs no answer; its connection ends with the next read.
                    _ = self.sender.send(one_line(delivery.joined())).await;
                }
                None
            }
            Err(refusal) => {
                let refusal = self.gate.turn_away(self.guest.papers.peer.address(), refusal);
                let id = asked_id(&text);
                _ = self.sender.send(error_text(id.as_ref(), &refusal.wire().error)).await;
                self.ends_for(refusal.code)
            }
        }
    }

    fn ends_for(&self, code: Code) -> Option<Farewell> {
        self.guest.stay?;
        match code {
            Code::NoCredential | Code::BadCredential | Code::InsufficientScope => {
                Some(Farewell::Refused("the credential is no longer accepted"))
            }
            _ if self.refused.fetch_add(1, Ordering::Relaxed) >= REFUSED_MAX => {
                Some(Farewell::Refused("too many messages in a row were refused"))
            }
            _ => None,
        }
    }
}

/// When a connection was used last, and when it is over.
#[derive(Debug)]
struct Clock {
    stay: Stay,
    over_at: Instant,
    heard_at: Instant,
}

impl Clock {
    fn new(stay: Stay) -> Clock {
        let now = Instant::now();
        Clock { stay, over_at: now + stay.life, heard_at: now }
    }

    fn heard(&mut self) {
        self.heard_at = Instant::now();
    }

    async fn rings(clock: Option<&Clock>) {
        match clock {
            Some(clock) => sleep_until(clock.over_at.min(clock.heard_at + clock.stay.idle)).await,
            None => std::future::pending().await,
        }
    }

    /// A connection on which something is worked on is not idle.
    fn is_over(&mut self, in_flight: usize) -> bool {
        let now = Instant::now();
        if now >= self.over_at {
            return true;
        }
        if in_flight > 0 {
            self.heard_at = now;
        }
        now >= self.heard_at + self.stay.idle
    }
}

/// The id of a request that was refused before it was read as a message, so that its sender knows which one it was.
fn asked_id(text: &[u8]) -> Option<Id> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Asked {
        Number(i64),
        Text(Box<str>),
    }
    #[derive(Deserialize)]
    struct Envelope {
        id: Asked,
        #[serde(rename = "method")]
        _method: IgnoredAny,
    }
    let envelope: Envelope = serde_json::from_slice(text).ok()?;
    match envelope.id {
        Asked::Number(number) => Some(Id::Number(number)),
        Asked::Text(text) => (text.len() <= journey::ID_BYTES_MAX).then_some(Id::String(text)),
    }
}
