//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::pulse::{Answering, Felt, Pulse};
use super::unheard::{self, Mended, Mender};
use super::{Server, Service, TurnedAway};
use crate::http::cors::Page;
use crate::http::head::{Head, Link};
use crate::http::inbound::Inbound;
use crate::http::reply::Outbound;
use crate::http::shell::HttpLimits;
use crate::listener::Peer;

/// The number of headers that hyper reads without an allocation.
const HEADERS_ON_STACK: usize = 100;

/// Serves a connection until either side closes it, it breaks a limit, or the server stops.
pub(super) async fn serve<S, I>(server: Server<S>, stream: I, link: Link, limits: HttpLimits)
where
    S: Service,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Arc::new(Pulse::new());
    // A token of its own, since every poll of a shared one would take the same lock.
    let stop = server.stop.child_token();
    let peer = link.peer;
    let stream = Mended::new(Felt { stream, pulse: Arc::clone(&pulse) }, mender(&server, peer, &pulse));
    let answering = Arc::clone(&pulse);
    let service = service_fn(|request| answer(&server, &link, &answering, request));
    let mut connection = pin!(builder(&limits).serve_connection(TokioIo::new(stream), service));
    // The pulse is looked at this often, so that no phase can outlast its limit between two looks.
    let look = limits.head_time_max.min(limits.idle_time_max);
    let mut stopping = false;
    loop {
        let now = Instant::now();
        let deadline = pulse.deadline(&limits);
        if deadline.is_some_and(|deadline| deadline <= now) {
            tracing::debug!(?peer, "a connection was cut: it took too long");
            return;
        }
        let next = deadline.map_or(now + look, |deadline| deadline.min(now + look));
        tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    // Some things hyper does not even answer.
                    if error.is_parse() && pulse.unreadable() {
                        server.service.turned_away(peer, TurnedAway::Malformed);
                    }
                    tracing::debug!(?peer, %error, "a connection broke");
                }
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// How hyper reads requests. Its own header timer is off: it allocates and arms one for every request, and takes
/// the wait for a next request for a slow head.
fn builder(limits: &HttpLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_header_size(limits.header_bytes_max);
    if limits.header_count_max != HEADERS_ON_STACK {
        builder.max_headers(limits.header_count_max);
    }
    builder
}

/// Shows one request to the service.
async fn answer<S: Service>(
    server: &Server<S>,
    link: &Link,
    pulse: &Arc<Pulse>,
    request: Request<Incoming>,
) -> Result<Response<Outbound<Answering>>, Infallible> {
    pulse.busy();
    let answering = Answering(Arc::clone(pulse));
    let (parts, body) = request.into_parts();
    let shell = server.shell.load();
    let page = Page::of(&shell.pages, &parts.headers);
    let arrival = Head::check(parts, link, &shell);
    drop(shell);
    let channel = arrival.as_ref().map_or(link.channel, |head| head.channel);
    let preflight = arrival.as_ref().ok().and_then(|head| page.preflight(head));
    let reply = match preflight {
        Some(reply) => reply,
        None => server.service.call(arrival, Inbound::from(body)).await,
    };
    Ok(reply.into_response((channel, page), answering))
}

/// Answers in hyper's place when a head cannot be read.
fn mender<S: Service>(server: &Server<S>, peer: Peer, pulse: &Arc<Pulse>) -> Mender {
    let (service, pulse) = (Arc::clone(&server.service), Arc::clone(pulse));
    Box::new(move |status| {
        pulse.unreadable();
        let id = service.turned_away(peer, TurnedAway::Malformed).unwrap_or_default();
        unheard::answer(status, &id)
    })
}
