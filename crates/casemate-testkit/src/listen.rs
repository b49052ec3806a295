//! The HTTP plumbing that the good server, the hostile server and the forwarder share.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use http::{Request, StatusCode};
use http_body::{Body as HttpBody, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A forwarded body broke off.
#[derive(Debug, Error)]
#[error("the body broke off")]
pub(crate) struct BodyFault(#[from] hyper::Error);

pub(crate) type Body = BoxBody<Bytes, BodyFault>;
pub(crate) type Response = http::Response<Body>;

/// Accepts until `stop`; then every connection, busy or not, is dropped.
pub(crate) async fn serve<H, F>(socket: TcpListener, stop: CancellationToken, tasks: TaskTracker, handle: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
        // An accept fails when the peer is already gone or descriptors ran out; the next one may succeed.
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let (stop, handle) = (stop.clone(), handle.clone());
        tasks.spawn(async move {
            let service = service_fn(move |request| {
                let answer = handle(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that leaves ends its connection with an error that nobody needs.
            let _ = stop.run_until_cancelled(connection).await;
        });
    }
}

/// Whether `Host`, and `Origin` where there is one, name this machine.
pub(crate) fn is_local(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST).is_some_and(is_loopback);
    let origin = text(ORIGIN).is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(scheme, host)| scheme.starts_with("http") && is_loopback(host))
    });
    host && origin
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

pub(crate) fn empty(status: u16) -> Response {
    build(status, None, whole(Bytes::new()))
}

pub(crate) fn json(status: u16, text: impl Into<Bytes>) -> Response {
    build(status, Some("application/json"), whole(text.into()))
}

pub(crate) fn json_value(status: u16, value: &Value) -> Response {
    json(status, value.to_string())
}

/// An event stream that lasts as long as the sender does.
pub(crate) fn event_stream(receiver: mpsc::Receiver<Bytes>) -> Response {
    let mut response = build(200, Some("text/event-stream"), Pipe(receiver).map_err(into_fault).boxed());
    let headers = response.headers_mut();
    headers.insert("cache-control", http::HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    response
}

/// A body of unknown length that is sent as it comes.
pub(crate) fn stream(content_type: &'static str, receiver: mpsc::Receiver<Bytes>) -> Response {
    build(200, Some(content_type), Pipe(receiver).map_err(into_fault).boxed())
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(into_fault).boxed()
}

fn into_fault(never: Infallible) -> BodyFault {
    match never {}
}

fn build(status: u16, content_type: Option<&'static str>, body: Body) -> Response {
    let mut response = http::Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    }
    response
}

/// A body that is fed through a queue. The sender learns of a client that left by `Sender::closed`.
struct Pipe(mpsc::Receiver<Bytes>);

impl HttpBody for Pipe {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}
