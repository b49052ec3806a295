//! The asking end of the control socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::wire::{Fault, Request};
use crate::exit::Exit;
use crate::failure::Failure;

/// The largest answer that is read: 10,000 log lines of some length.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long an answer may take; starting a server is the slowest request.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);

/// Asks the gateway that runs; `None` when none does.
pub async fn ask_if_running<T: DeserializeOwned>(
    socket: &Path,
    request: &Request,
) -> anyhow::Result<Option<T>> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if nobody_listens(&error) => return Ok(None),
        Err(error) => {
            return Err(error).context(Failure::new(
                Exit::Unreachable,
                format!("cannot reach the gateway at {}", socket.display()),
            ));
        }
    };
    match tokio::time::timeout(ANSWER_TIME_MAX, exchange(stream, request)).await {
        Ok(answer) => answer.map(Some),
        Err(_) => Err(Failure::new(Exit::Unreachable, "the gateway does not answer")
            .hint("stop it with `casemate down --grace 0`, and start it again")
            .into()),
    }
}

/// Asks the gateway, which must run.
pub async fn ask<T: DeserializeOwned>(socket: &Path, request: &Request) -> anyhow::Result<T> {
    ask_if_running(socket, request).await?.ok_or_else(not_running)
}

/// Whether an error means that no gateway runs, as opposed to one that cannot be reached.
pub fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// What is said when a gateway is needed and none runs.
pub fn not_running() -> anyhow::Error {
    Failure::new(Exit::Unreachable, "no gateway runs").hint("start one with `casemate up`").into()
}

async fn exchange<T: DeserializeOwned>(stream: UnixStream, request: &Request) -> anyhow::Result<T> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context(Failure::new(Exit::Unreachable, "the gateway closed the connection"))?;
    let (method, target) = request.line();
    let request = http::Request::builder()
        .method(method)
        .uri(target)
        .header(http::header::HOST, "casemate")
        .body(Empty::<Bytes>::new())
        .context("cannot word the request to the gateway")?;
    let answer = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        anyhow::Ok((status, body.map_err(anyhow::Error::from_boxed)?.to_bytes()))
    };
    // The connection must be driven while the answer is awaited. It ends with the sender, and an error of it is
    // the answer's error too.
    let (answer, _) = tokio::join!(answer, connection);
    let (status, body) =
        answer.context(Failure::new(Exit::Unreachable, "the gateway went away before it answered"))?;
    if status.is_success() {
        return serde_json::from_slice(&body).context(
            Failure::new(Exit::Failure, "the gateway gave an answer of another version of Casemate")
                .hint("restart it: `casemate down`, then `casemate up`"),
        );
    }
    let fault: Fault = serde_json::from_slice(&body).context("the gateway gave an unreadable answer")?;
    let failure = Failure::new(Exit::Failure, fault.message);
    Err(fault.hint.into_iter().fold(failure, Failure::hint).into())
}
