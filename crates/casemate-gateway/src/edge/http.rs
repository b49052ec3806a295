//! MCP over Streamable HTTP, in both dialects on the same endpoints.
//!
//! An answer is JSON unless something has to be said before it: then, and only then, it becomes an event stream. A
//! legacy stream can be resumed and outlives its connection; closing a modern one gives the call up.

mod challenge;
mod reply;
mod session;
mod stream;

use std::sync::Arc;

use casemate_transport::http::{Head as HttpHead, Inbound, Reject, RejectReason, Reply, Service};
use http::Method;
use tokio::sync::mpsc;

use challenge::Challenge;

use crate::client::Outlet;
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey::{self, Claims, Head, SessionRef};
use crate::refusal::{Code, Refusal};

/// Messages of a running call that wait for its edge.
const QUEUE_MESSAGES: usize = 16;

/// The gateway as an HTTP service.
#[derive(Debug, Clone)]
pub struct Http {
    gate: Arc<Gate>,
}

impl Http {
    /// The service of a gateway.
    #[must_use]
    pub fn new(gate: Arc<Gate>) -> Http {
        Http { gate }
    }

    async fn route(&self, head: HttpHead, body: Inbound) -> Result<Reply, Refusal> {
        match head.path() {
            "/healthz" => return Ok(reply::health()),
            "/readyz" => return Ok(reply::readiness(&self.gate)),
            _ => {}
        }
        if let Some(metadata) = challenge::metadata(&self.gate, &head.method, head.path()) {
            return metadata;
        }
        let nothing =
            || Refusal::new(Code::NoEndpoint, "There is nothing at this path: MCP is served at /mcp.");
        let endpoint = Endpoint::of_path(head.path()).ok_or_else(nothing)?;
        match head.method {
            Method::POST => self.post(head, endpoint, body).await,
            Method::GET => session::attach(&self.gate, head, endpoint).await,
            Method::DELETE => session::end(&self.gate, head, endpoint).await,
            _ => Err(Refusal::new(
                Code::BadHttpMethod,
                "MCP uses POST here, and GET and DELETE for legacy sessions.",
            )),
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
        let outcome = match arrival {
            Ok(head) => self.route(head, body).await,
            Err(reject) => Err(rejected(&reject)),
        };
        outcome.unwrap_or_else(|refusal| {
            tracing::debug!(%refusal, detail = refusal.detail.as_deref(), "a request was refused");
            let challenge = Challenge::of(&self.gate, &path);
            challenge.on(reply::of_refusal(&refusal), Some(refusal.code), &refusal.scopes)
        })
    }
}

/// What the gateway needs of a request's head.
fn head_of(head: &HttpHead, endpoint: Endpoint, outlet: Outlet) -> Head {
    let name = head.mcp_name().map(|name| name.map(|name| name.into()).map_err(|_| ()));
    Head {
        peer: head.peer,
        credential: head.bearer().map(Into::into),
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
        RejectReason::HostUnknown | RejectReason::OriginRefused => Code::ForeignOrigin,
        RejectReason::Plaintext => Code::Plaintext,
        _ => Code::BadHeader,
    };
    let hint = match reject.reason {
        RejectReason::HostUnknown => "; add it to gateway.hosts if it is yours",
        RejectReason::OriginRefused => "; add it to gateway.origins if it is yours",
        _ => "",
    };
    Refusal::new(code, format!("The request was refused: {}{hint}.", reject.reason))
}
