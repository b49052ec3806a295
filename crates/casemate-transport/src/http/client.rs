//! The HTTP client: calls servers over pooled connections.
//!
//! A connection is driven by the call that uses it, in the same task, so an exchange costs no wake-up of another
//! thread; and what was never sent is told apart from what may have been, so that the caller knows what may be
//! repeated. Redirects are not followed: a server may not send us, and our credentials, elsewhere.

mod events;
mod fault;
mod link;
mod pool;
mod resumption;
mod switch;
#[cfg(test)]
mod tests;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, response};
use http_body_util::Full;
use thiserror::Error;

pub use events::Events;
pub use fault::ClientFault;
pub use resumption::{ResumePlan, ResumingEvents};
pub use switch::Switched;

use super::head::essence;
use super::inbound::{self, BodyFault, Pace};
use link::{Flow, Sent};
use pool::Pool;
use wire::{Connector, Route};

/// Bounds of a client. Each counts for one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// Name resolution, TCP and TLS together. Default 10 s: several lost packets.
    pub connect_time_max: Duration,
    /// From the request to the head of the answer. Default 300 s: a backstop behind the caller's own time limit,
    /// since a server may think that long before it answers.
    pub head_time_max: Duration,
    /// From the head of an answer to its end, where it is not a stream of events. Default 300 s, as above.
    pub body_time_max: Duration,
    /// Bytes of a JSON answer, and of one event. Default 32 MiB: twice what is accepted as one message. See
    /// [`Client::take_messages_up_to`].
    pub message_bytes_max: usize,
    /// Bytes of an answer's head. Default 64 KiB: servers set more headers than clients.
    pub header_bytes_max: usize,
    /// Idle connections kept for each endpoint. Default 32: more than calls usually run at once.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept. Default 45 s: less than servers commonly keep it, so that a call
    /// seldom meets one that is just being closed.
    pub idle_time_max: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_time_max: Duration::from_secs(10),
            head_time_max: Duration::from_secs(300),
            body_time_max: Duration::from_secs(300),
            message_bytes_max: 32 * 1024 * 1024,
            header_bytes_max: 64 * 1024,
            idle_connections_max: 32,
            idle_time_max: Duration::from_secs(45),
        }
    }
}

/// Bytes kept of an answer that is neither JSON nor events: enough for an error page's first words.
const OTHER_BYTES_MAX: usize = 64 * 1024;

/// Makes endpoints. Clones share the options and the TLS roots, which are loaded with the first `https` call.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: ClientOptions,
    /// [`ClientOptions::message_bytes_max`] at first.
    message_bytes_max: AtomicUsize,
    connector: Connector,
}

/// An address that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointFault {
    /// Neither `http` nor `https`.
    #[error("`{0}` does not begin with http:// or https://")]
    Scheme(String),
    /// It holds a user name or password, which would end up in logs.
    #[error("the address holds credentials\nhint: put them into a header")]
    Credentials,
    /// The path cannot be put into a request.
    #[error("`{0}` is not a path")]
    Path(String),
}

impl Client {
    /// A client that has not connected to anything.
    #[must_use]
    pub fn new(options: ClientOptions) -> Self {
        let message_bytes_max = AtomicUsize::new(options.message_bytes_max);
        Self { shared: Arc::new(Shared { options, message_bytes_max, connector: Connector::new() }) }
    }

    /// Changes how large a JSON answer or an event may be, in bytes, for all endpoints of this client. What is being read keeps
    /// the bound with which it began.
    pub fn take_messages_up_to(&self, bytes: usize) {
        self.shared.message_bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// An HTTP server's address, with a pool of its own.
    ///
    /// # Errors
    /// [`EndpointFault`].
    pub fn endpoint(&self, uri: &Uri) -> Result<Endpoint, EndpointFault> {
        let known = uri.scheme().filter(|scheme| **scheme == Scheme::HTTP || **scheme == Scheme::HTTPS);
        let (Some(scheme), Some(authority)) = (known, uri.authority()) else {
            return Err(EndpointFault::Scheme(uri.to_string()));
        };
        if authority.as_str().contains('@') {
            return Err(EndpointFault::Credentials);
        }
        let host = host_value(scheme, authority)?;
        self.reach(Route::Net(uri.clone()), host, uri.path_and_query().map_or("/", PathAndQuery::as_str))
    }

    /// An HTTP server behind a Unix socket.
    ///
    /// # Errors
    /// [`EndpointFault::Path`].
    pub fn unix_endpoint(&self, socket: &Path, path: &str) -> Result<Endpoint, EndpointFault> {
        self.reach(Route::Unix(socket.to_owned()), HeaderValue::from_static("localhost"), path)
    }

    fn reach(&self, route: Route, host: HeaderValue, path: &str) -> Result<Endpoint, EndpointFault> {
        let pool = Arc::new(Pool::new(route, &self.shared.options));
        let shared = Arc::clone(&self.shared);
        Ok(Endpoint { shared, pool, host, target: target(path)? })
    }
}

/// One address of one server. Clones, and what [`Endpoint::at`] gives, share its pool.
#[derive(Debug, Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    host: HeaderValue,
    target: Uri,
}

/// What a server answered.
#[derive(Debug)]
pub enum Posted {
    /// 202 or 204: taken, nothing to say.
    Accepted {
        /// 202 or 204.
        status: StatusCode,
        /// The headers.
        headers: HeaderMap,
    },
    /// A JSON body, whatever the status.
    Json {
        /// The status, which may be an error.
        status: StatusCode,
        /// The headers.
        headers: HeaderMap,
        /// The body, which is not checked in any way.
        body: Bytes,
    },
    /// A stream of events, with a status of success.
    Events {
        /// The headers.
        headers: HeaderMap,
        /// The stream.
        events: Events,
    },
    /// Anything else: errors, redirects, pages.
    Other {
        /// The status.
        status: StatusCode,
        /// The headers.
        headers: HeaderMap,
        /// The first 64 KiB of the body.
        body: Bytes,
    },
}

impl Posted {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Accepted { status, .. } | Self::Json { status, .. } | Self::Other { status, .. } => *status,
            Self::Events { .. } => StatusCode::OK,
        }
    }

    /// The headers of the answer.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        match self {
            Self::Accepted { headers, .. }
            | Self::Json { headers, .. }
            | Self::Events { headers, .. }
            | Self::Other { headers, .. } => headers,
        }
    }
}

impl Endpoint {
    /// Another path of the same server, over the same connections.
    ///
    /// # Errors
    /// [`EndpointFault::Path`].
    pub fn at(&self, path: &str) -> Result<Self, EndpointFault> {
        Ok(Self { target: target(path)?, ..self.clone() })
    }

    /// Posts a JSON body. `Content-Type` and `Accept` are set where the caller did not.
    ///
    /// # Errors
    /// [`ClientFault`]; [`ClientFault::never_sent`] says whether it may be repeated.
    pub async fn post(&self, mut headers: HeaderMap, body: Bytes) -> Result<Posted, ClientFault> {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json, text/event-stream"));
        self.send(Method::POST, headers, body).await
    }

    /// Asks for a stream of events.
    ///
    /// # Errors
    /// As [`Endpoint::post`].
    pub async fn get_events(&self, mut headers: HeaderMap) -> Result<Posted, ClientFault> {
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("text/event-stream"));
        self.send(Method::GET, headers, Bytes::new()).await
    }

    /// Ends a legacy session.
    ///
    /// # Errors
    /// As [`Endpoint::post`].
    pub async fn delete(&self, headers: HeaderMap) -> Result<Posted, ClientFault> {
        self.send(Method::DELETE, headers, Bytes::new()).await
    }

    /// Sends any request and gathers the answer, unless it is a stream of events. Dropping the future, or the
    /// stream, closes the connection, which tells the server.
    ///
    /// # Errors
    /// As [`Endpoint::post`].
    pub async fn send(&self, method: Method, headers: HeaderMap, body: Bytes) -> Result<Posted, ClientFault> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, self.host.clone());
        let (head, flow) = self.exchange(request).await?;
        self.gather(head, flow).await
    }

    /// Forgets idle connections whose time is over. Calls do it too; this is for endpoints that see none.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// Sends a request over a pooled connection or a new one. A pooled one that closed before it took the request
    /// costs nothing but another try.
    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(response::Parts, Flow), ClientFault> {
        let options = &self.shared.options;
        loop {
            let pooled = self.pool.take().await;
            let reused = pooled.is_some();
            let mut link = match pooled {
                Some(link) => link,
                None => self.shared.connector.connect(self.pool.route(), options).await?,
            };
            let sent = tokio::time::timeout(options.head_time_max, link.send(request)).await;
            match sent.map_err(|_| ClientFault::HeadTime)? {
                Sent::Answered(response) => {
                    let (head, body) = response.into_parts();
                    return Ok((head, Flow::new(link, body, Arc::clone(&self.pool))));
                }
                Sent::Untouched(again, _) if reused => request = again,
                Sent::Untouched(_, source) => return Err(ClientFault::Unsent { source }),
                Sent::Lost(source) => return Err(ClientFault::Lost { source }),
            }
        }
    }

    /// Reads an answer's body as its head announces it.
    async fn gather(&self, head: response::Parts, mut flow: Flow) -> Result<Posted, ClientFault> {
        let bytes_max = self.shared.message_bytes_max.load(Ordering::Relaxed);
        let (status, headers) = (head.status, head.headers);
        let pace = Pace::Any(self.shared.options.body_time_max);
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map_or("", essence);
        if status.is_success() && kind.eq_ignore_ascii_case("text/event-stream") {
            let events = Events::new(flow, bytes_max);
            return Ok(Posted::Events { headers, events });
        }
        if kind.eq_ignore_ascii_case("application/json") {
            let body = inbound::read(&mut flow, bytes_max, pace).await?;
            return Ok(Posted::Json { status, headers, body });
        }
        let body = match inbound::read(flow.beginning(OTHER_BYTES_MAX), OTHER_BYTES_MAX, pace).await {
            Ok(body) => body,
            // The status says enough where the text does not come.
            Err(BodyFault::TooLarge { .. } | BodyFault::TooSlow | BodyFault::Broken) => Bytes::new(),
        };
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(Posted::Accepted { status, headers });
        }
        Ok(Posted::Other { status, headers, body })
    }
}

/// The `Host` header for an authority: without the scheme's own port.
fn host_value(scheme: &Scheme, authority: &Authority) -> Result<HeaderValue, EndpointFault> {
    let own_port = if *scheme == Scheme::HTTPS { Some(443) } else { Some(80) };
    let text = if authority.port_u16() == own_port { authority.host() } else { authority.as_str() };
    HeaderValue::from_str(text).map_err(|_| EndpointFault::Scheme(text.to_owned()))
}

/// A request target: path and query, nothing else.
fn target(path: &str) -> Result<Uri, EndpointFault> {
    let fault = || EndpointFault::Path(path.to_owned());
    if !path.starts_with('/') {
        return Err(fault());
    }
    PathAndQuery::try_from(path).map(Uri::from).map_err(|_| fault())
}
