//! The answering end of the control socket.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use casemate_transport::listener::{Peer, UnixSocket};
use http::StatusCode;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::wire::{Answer, Fault, Request};

/// How long somebody who connects may take to say what they want.
const HEADER_TIME_MAX: Duration = Duration::from_secs(5);

/// Who answers the requests.
pub trait Handler: Send + Sync + 'static {
    /// Does what is asked.
    fn handle(&self, request: Request) -> impl Future<Output = Result<Answer, Fault>> + Send;
}

/// Answers requests until it is told to stop. Connections that are being answered then are finished.
pub async fn serve(socket: UnixSocket, handler: Arc<impl Handler>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
        match accepted {
            Ok((stream, peer)) if is_same_user(peer) => {
                tasks.spawn(answer(stream, Arc::clone(&handler), stop.clone()));
            }
            Ok(_) => tracing::warn!("another user was turned away from the control socket"),
            Err(error) => {
                tracing::error!(%error, "the control socket does not accept");
                // Out of descriptors is the usual cause, and trying at once would only burn time.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn is_same_user(peer: Peer) -> bool {
    let us = rustix::process::geteuid().as_raw();
    matches!(peer, Peer::Unix { uid, .. } if uid == us)
}

async fn answer(stream: UnixStream, handler: Arc<impl Handler>, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(respond(&*handler, &request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a control connection broke");
    }
}

async fn respond(handler: &impl Handler, request: &http::Request<Incoming>) -> http::Response<Full<Bytes>> {
    let answer = match Request::parse(request.method(), request.uri().path()) {
        Some(request) => handler.handle(request).await.map_err(|fault| (StatusCode::CONFLICT, fault)),
        None => {
            let message = "the gateway that runs does not know this request".to_owned();
            let hint = Some("restart it with this version: `casemate down`, then `casemate up`".to_owned());
            Err((StatusCode::NOT_FOUND, Fault { message, hint }))
        }
    };
    let (status, body) = match answer {
        Ok(answer) => (StatusCode::OK, serde_json::to_vec(&answer)),
        Err((status, fault)) => (status, serde_json::to_vec(&fault)),
    };
    let mut response = http::Response::new(Full::new(Bytes::from(body.unwrap_or_default())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
