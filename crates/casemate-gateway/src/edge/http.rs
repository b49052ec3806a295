//! MCP over Streamable HTTP, in both dialects on the same endpoints; over HTTP with SSE, and over WebSocket.
//!
//! An answer is JSON unless something has to be said before it: then, and only then, it becomes an event stream. A
//! legacy stream can be resumed and outlives its connection; closing a modern one gives the call up.

mod challenge;
mod posts;
mod reply;
pub mod routes;
mod session;
mod socket;
mod stream;

use std::sync::Arc;

use casemate_policy::{Action, Effect, Request, Resource};
use casemate_transport::http::{Head as HttpHead, Inbound, Reject, RejectReason, Reply, Service, TurnedAway};
use casemate_transport::listener::Peer;
use http::Method;
use tokio::sync::mpsc;

use challenge::Challenge;
use posts::Streams;

use crate::client::Outlet;
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey::{self, Claims, Head, SessionRef};
use crate::refusal::{Code, Refusal};
use reply::Asker;
use routes::Asked;

/// Messages of a running call that wait for its edge.
const QUEUE_MESSAGES: usize = 16;

/// The gateway as an HTTP service.
#[derive(Debug, Clone)]
pub struct Http {
    gate: Arc<Gate>,
    streams: Streams,
}

impl Http {
    /// The service of a gateway.
    #[must_use]
    pub fn new(gate: Arc<Gate>) -> Http {
        Http { gate, streams: Streams::default() }
    }

    async fn route(&self, head: HttpHead, body: Inbound) -> Result<Reply, Refusal> {
        let endpoint = match routes::find(head.path(), &head.method)? {
            Asked::Health => return Ok(reply::health()),
            Asked::Readiness => return Ok(reply::readiness(&self.gate, self.asker(&head).await)),
            Asked::Landing => return Ok(reply::landing(head.query())),
            Asked::Metadata => return challenge::metadata(&self.gate, head.path()),
            Asked::Socket(endpoint) => return socket::open(&self.gate, head, endpoint).await,
            Asked::Events(endpoint) if head.method == Method::GET => {
                return self.streams.open(&self.gate, head, endpoint).await;
            }
            Asked::Events(endpoint) => return self.streams.post(&self.gate, (head, endpoint), body).await,
            Asked::Mcp(endpoint) => endpoint,
        };
        match head.method {
            Method::GET => session::attach(&self.gate, head, endpoint).await,
            Method::DELETE => session::end(&self.gate, head, endpoint).await,
            _ => self.post(head, endpoint, body).await,
        }
    }

    /// Who asks for more than a yes or no. A credential that is not accepted is one more wrong one, and its sender is
    /// answered like anybody.
    async fn asker(&self, head: &HttpHead) -> Asker {
        if head.bearer().is_none() && head.certificate.is_none() {
            return Asker::Stranger;
        }
        // The queue is only there to complete the head; nothing is sent on it.
        let (queue, _) = mpsc::channel(1);
        match journey::identify(&self.gate, head_of(head, Endpoint::Joined, Outlet::Call(queue))).await {
            Ok(identified) => {
                let looks = Request::new(Action::View, Resource::Gateway);
                match identified.snapshot.policy.decide(&identified.subject, &looks).effect {
                    Effect::Allow => Asker::Operator,
                    Effect::Ask(_) | Effect::Deny => Asker::Stranger,
                }
            }
            Err(refusal) => {
                drop(self.gate.turn_away(head.peer.address(), refusal));
                Asker::Stranger
            }
        }
    }

    async fn post(&self, head: HttpHead, endpoint: Endpoint, body: Inbound) -> Result<Reply, Refusal> {
        if !head.content_type_is_json() {
            // A web page can send other types across origins without asking; JSON it cannot.
            return Err(Refusal::new(Code::BadHeader, "The Content-Type has to be application/json."));
        }
        let accepts = if head.accepts_events() { stream::Accepts::Events } else { stream::Accepts::Json };
        let (queue, mut inbox) = mpsc::channel(QUEUE_MESSAGES);
        let challenge = Challenge::of(&self.gate, head.path());
        let head = head_of(&head, endpoint, Outlet::Call(queue));
        let kind = stream::Kind::of(&self.gate, &head, accepts);
        let gate = Arc::clone(&self.gate);
        let mut journey = Box::pin(async move { journey::run(&gate, head, body).await });
        let outcome = tokio::select! {
            biased;
            outcome = &mut journey => outcome,
            Some(first) = inbox.recv() => {
                return Ok(stream::begin(&self.gate, kind, stream::Running { journey, inbox, first }).await);
            }
        };
        match (outcome, inbox.try_recv()) {
            // Said in one breath with the answer, and meant to be heard before it.
            (Ok(deliveries), Ok(first)) => {
                let journey = Box::pin(std::future::ready(Ok(deliveries)));
                Ok(stream::begin(&self.gate, kind, stream::Running { journey, inbox, first }).await)
            }
            (outcome, _) => outcome.map(|deliveries| {
                // Of a batch the first that needs one: there is one answer, and one header for it.
                let scopes =
                    deliveries.iter().find(|one| !one.scopes.is_empty()).map(|one| one.scopes.clone());
                challenge.on(reply::of_deliveries(deliveries), None, &scopes.unwrap_or_default())
            }),
        }
    }
}

impl Service for Http {
    async fn call(&self, arrival: Result<HttpHead, Reject>, body: Inbound) -> Reply {
        let path = arrival.as_ref().map(|head| head.path().to_owned()).unwrap_or_default();
        let (address, outcome) = match arrival {
            Ok(head) => (head.peer.address(), self.route(head, body).await),
            Err(reject) => (reject.peer.address(), Err(rejected(&reject))),
        };
        outcome.unwrap_or_else(|refusal| {
            let refusal = self.gate.turn_away(address, refusal);
            let challenge = Challenge::of(&self.gate, &path);
            challenge.on(reply::of_refusal(&refusal), Some(refusal.code), &refusal.scopes)
        })
    }

    fn turned_away(&self, peer: Peer, what: TurnedAway) -> Option<String> {
        let refusal = match what {
            TurnedAway::Full => Refusal::new(Code::TooManyConnections, "There are too many connections."),
            TurnedAway::Malformed => {
                Refusal::new(Code::BadHeader, "This is no request of HTTP/1.1.").labelled("malformed")
            }
            TurnedAway::Handshake(why) => {
                Refusal::new(Code::BadHandshake, "There was no TLS to be had.").with_detail(why)
            }
        };
        self.gate.turn_away(peer.address(), refusal).call().map(|call| call.to_string())
    }
}

/// What the gateway needs of a request's head.
fn head_of(head: &HttpHead, endpoint: Endpoint, outlet: Outlet) -> Head {
    let name = head.mcp_name().map(|name| name.map(|name| name.into()).map_err(|_| ()));
    Head {
        peer: head.peer,
        credential: head.bearer().map(Into::into),
        certificate: head.certificate.clone(),
        endpoint,
        claims: Some(Claims {
            revision: head.protocol_version().map(Into::into),
            method: head.mcp_method().map(Into::into),
            name,
            params: head.mcp_params().map(|(name, value)| (name.into(), value.into())).collect(),
        }),
        session: head.session_id().map_or(SessionRef::None, |id| SessionRef::Id(id.into())),
        outlet,
    }
}

fn rejected(reject: &Reject) -> Refusal {
    let code = match reject.reason {
        RejectReason::HostUnknown | RejectReason::OriginRefused | RejectReason::CrossSite => {
            Code::ForeignOrigin
        }
        RejectReason::Plaintext => Code::Plaintext,
        _ => Code::BadHeader,
    };
    let hint = match reject.reason {
        RejectReason::HostUnknown => "; add it to gateway.hosts if it is yours",
        RejectReason::OriginRefused => "; add it to gateway.origins if it is yours",
        _ => "",
    };
    Refusal::new(code, format!("The request was refused: {}{hint}.", reject.reason))
        .labelled(reject.reason.label())
}
