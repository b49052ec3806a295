//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pulse::{Answering, Felt, Pulse};
use super::unheard::{self, Mended, Mender};
use super::{Server, Service, TurnedAway};
use crate::http::cors::Page;
use crate::http::head::{Head, Link};
use crate::http::inbound::Inbound;
use crate::http::reply::Outbound;
use crate::http::shell::HttpLimits;
use crate::http::takeover::Takeover;
use crate::listener::Peer;

/// The number of headers that hyper reads without an allocation.
const HEADERS_ON_STACK: usize = 100;
/// How long a connection without a request keeps its buffers (17 KiB, measured): a client in the middle of its work asks
/// again before that, and pays nothing.
const RESTLESS: Duration = Duration::from_secs(2);
/// The bytes that wake a connection at rest; the others are read into the buffers that it gets then.
const FIRST_BYTES: usize = 32;
/// How long a peer may take to hear that an idle connection ends.
const FAREWELL: Duration = Duration::from_millis(50);

/// Serves a connection until either side closes it, it breaks a limit, or the server stops.
///
/// Reading requests takes buffers, which a connection that is idle gives back: it is taken apart until the next byte comes.
pub(super) async fn serve<S, I>(server: Server<S>, stream: I, link: Link, limits: HttpLimits)
where
    S: Service,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pulse = Arc::new(Pulse::new());
    // A token of its own, since every poll of a shared one would take the same lock.
    let stop = server.stop.child_token();
    let mut stream = Felt::new(stream, Arc::clone(&pulse));
    loop {
        let place = Place { server: &server, link: &link, limits: &limits, stop: &stop };
        // Boxed, so that a connection at rest does not hold the room that a request needs.
        let idle = match Box::pin(place.attend(stream)).await {
            After::Idle(idle) => idle,
            After::Left(stream, takeover) => return takeover.serve(Box::new(stream)).await,
            After::Over => return,
        };
        let Some(woken) = rest(idle, (&pulse, &limits), &stop).await else { return };
        stream = woken;
    }
}

/// What requests left of a connection.
enum After<I> {
    /// There was none for a while.
    Idle(Felt<I>),
    /// The last one gave it away.
    Left(Felt<I>, Takeover),
    /// Nothing.
    Over,
}

/// Where one connection is served.
struct Place<'a, S> {
    server: &'a Server<S>,
    link: &'a Link,
    limits: &'a HttpLimits,
    stop: &'a CancellationToken,
}

impl<S: Service> Place<'_, S> {
    /// Answers requests, and gives the stream back once there was none for a while, or one that wants it.
    async fn attend<I>(self, stream: Felt<I>) -> After<I>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { server, link, limits, stop } = self;
        let peer = link.peer;
        let pulse = Arc::clone(&stream.pulse);
        let answering = Arc::clone(&pulse);
        let stream = Mended::new(stream, mender(server, peer, &pulse));
        let service = service_fn(|request| answer(server, link, &answering, request));
        let mut connection = builder(limits).serve_connection(TokioIo::new(stream), service);
        // The pulse is looked at this often, so that no phase can outlast its limit between two looks.
        let look = limits.head_time_max.min(limits.idle_time_max).min(RESTLESS);
        let mut stopping = false;
        loop {
            let now = Instant::now();
            let deadline = pulse.deadline(limits);
            if deadline.is_some_and(|deadline| deadline <= now) {
                tracing::debug!(?peer, "a connection was cut: it took too long");
                return After::Over;
            }
            if !stopping && pulse.is_idle_since(now, RESTLESS) {
                return After::Idle(taken_apart(connection.into_parts()));
            }
            let next = deadline.map_or(now + look, |deadline| deadline.min(now + look));
            tokio::select! {
                biased;
                outcome = &mut connection => {
                    if let Err(error) = outcome {
                        // Some things hyper does not even answer.
                        if error.is_parse() && pulse.unreadable() {
                            server.service.turned_away(peer, TurnedAway::Malformed);
                        }
                        tracing::debug!(?peer, %error, "a connection broke");
                        return After::Over;
                    }
                    return match pulse.heir() {
                        Some(takeover) => After::Left(taken_apart(connection.into_parts()), takeover),
                        None => After::Over,
                    };
                }
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }
}

/// The stream below a connection, with what was read and not used.
fn taken_apart<I, S>(parts: Parts<TokioIo<Mended<Felt<I>>>, S>) -> Felt<I> {
    let Parts { io, read_buf, .. } = parts;
    io.into_inner().into_inner().after(&read_buf)
}

/// Waits for the next request's first bytes. A connection on which none come in time is closed, as is one whose server stops.
async fn rest<I>(
    mut stream: Felt<I>,
    (pulse, limits): (&Pulse, &HttpLimits),
    stop: &CancellationToken,
) -> Option<Felt<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut first = [0; FIRST_BYTES];
    let until = pulse.deadline(limits).unwrap_or_else(Instant::now);
    let read = tokio::select! {
        biased;
        read = stream.read(&mut first) => read.ok(),
        () = stop.cancelled() => None,
        () = tokio::time::sleep_until(until) => None,
    };
    match first.get(..read.unwrap_or_default()) {
        Some(begun) if !begun.is_empty() => Some(stream.after(begun)),
        _ => {
            // Over TLS, the other side is told; whether it hears it changes nothing.
            let _ = tokio::time::timeout(FAREWELL, stream.shutdown()).await;
            None
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
    let mut reply = match preflight {
        Some(reply) => reply,
        None => server.service.call(arrival, Inbound::from(body)).await,
    };
    if let Some(takeover) = reply.takeover.take() {
        pulse.bequeath(takeover);
    }
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
