//! Speaking HTTP/1.1 to an engine's Unix socket. One connection for each exchange: they are few, and rarely at once.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::{ContainerError, said};

/// How long an engine may take for one thing. Starting a container takes a busy one seconds.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// The longest answer that is read at once, in bytes. The longest of interest is a list of containers.
const ANSWER_BYTES_MAX: usize = 8 << 20;

type Fault = Box<dyn StdError + Send + Sync>;

/// The way to an engine.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    socket: PathBuf,
    /// The version of the interface that is spoken, as it stands in paths: `/v1.41`. Empty until it is known.
    version: String,
}

/// What comes with a question.
#[derive(Debug, Clone)]
pub(super) enum Body<'a> {
    None,
    Json(&'a Value),
    Archive(Bytes),
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// With its query, which must be encoded.
    pub(super) path: String,
    pub(super) body: Body<'a>,
    /// What it is, for a message: "the start of the container".
    pub(super) what: &'static str,
}

impl<'a> Ask<'a> {
    pub(super) fn get(what: &'static str, path: impl Into<String>) -> Ask<'a> {
        Ask { method: Method::GET, path: path.into(), body: Body::None, what }
    }

    pub(super) fn post(what: &'static str, path: impl Into<String>) -> Ask<'a> {
        Ask { method: Method::POST, ..Ask::get(what, path) }
    }

    pub(super) fn delete(what: &'static str, path: impl Into<String>) -> Ask<'a> {
        Ask { method: Method::DELETE, ..Ask::get(what, path) }
    }

    pub(super) fn with(self, body: &'a Value) -> Ask<'a> {
        Ask { body: Body::Json(body), ..self }
    }

    pub(super) fn with_archive(self, archive: Bytes) -> Ask<'a> {
        Ask { body: Body::Archive(archive), ..self }
    }
}

impl Wire {
    pub(super) fn new(socket: &Path) -> Wire {
        Wire { socket: socket.to_owned(), version: String::new() }
    }

    /// The same, speaking one version of the interface.
    pub(super) fn speaking(self, version: &str) -> Wire {
        Wire { version: format!("/v{version}"), ..self }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks, and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, ContainerError> {
        let what = ask.what;
        let body = self.tell(ask).await?;
        serde_json::from_slice(&body).map_err(ContainerError::lost(what))
    }

    /// Asks for something whose answer is of no interest, as long as it is no refusal.
    pub(super) async fn tell(&self, ask: Ask<'_>) -> Result<Bytes, ContainerError> {
        let what = ask.what;
        let answer = timeout(ANSWER_TIME, self.tell_at_leisure(ask)).await;
        answer.unwrap_or_else(|late| Err(ContainerError::lost(what)(late)))
    }

    /// The same without a limit on time.
    pub(super) async fn tell_at_leisure(&self, ask: Ask<'_>) -> Result<Bytes, ContainerError> {
        let what = ask.what;
        let (status, body) = self
            .exchange(ask, async |answer| {
                let status = answer.status();
                Ok((status, Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes()))
            })
            .await?;
        accept(what, status, &body)?;
        Ok(body)
    }

    /// Asks for something that is told bit by bit, each within `idle` after the one before, and hands over the bits.
    pub(super) async fn follow(
        &self,
        ask: Ask<'_>,
        idle: Duration,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), ContainerError> {
        let what = ask.what;
        let (status, body) = self
            .exchange(ask, async |answer| {
                let status = answer.status();
                if !status.is_success() {
                    return Ok((
                        status,
                        Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes(),
                    ));
                }
                let mut body = answer.into_body();
                while let Some(frame) = timeout(idle, body.frame()).await? {
                    frame?.data_ref().map(Bytes::as_ref).into_iter().for_each(&mut each);
                }
                Ok((status, Bytes::new()))
            })
            .await?;
        accept(what, status, &body)
    }

    /// Makes the connection itself one's own: from then on it carries the streams of a container. What the engine has
    /// already sent comes first.
    pub(super) async fn take_over(&self, ask: Ask<'_>) -> Result<(UnixStream, Bytes), ContainerError> {
        let what = ask.what;
        let work = async {
            let mut request = self.request(&ask)?;
            request.headers_mut().insert(CONNECTION, "Upgrade".parse()?);
            request.headers_mut().insert(UPGRADE, "tcp".parse()?);
            let stream = UnixStream::connect(&self.socket).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let (_, answer) = tokio::join!(connection.with_upgrades(), async {
                let answer = sender.send_request(request).await?;
                let status = answer.status();
                if status != StatusCode::SWITCHING_PROTOCOLS {
                    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
                    return Ok::<_, Fault>(Err((status, body)));
                }
                Ok(Ok(hyper::upgrade::on(answer).await?))
            });
            answer
        };
        let done = timeout(ANSWER_TIME, work).await.map_err(ContainerError::lost(what))?;
        let connection = match done.map_err(ContainerError::lost(what))? {
            Ok(upgraded) => upgraded,
            Err((status, body)) => return Err(refusal(what, status, &body)),
        };
        let parts = connection.downcast::<TokioIo<UnixStream>>();
        let parts = parts.map_err(|_| ContainerError::lost(what)("another kind of connection"))?;
        Ok((parts.io.into_inner(), parts.read_buf))
    }

    /// Sends a request and reads its answer, while driving the connection.
    async fn exchange<T>(
        &self,
        ask: Ask<'_>,
        read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Fault>,
    ) -> Result<T, ContainerError> {
        let work = async {
            let request = self.request(&ask)?;
            let stream = UnixStream::connect(&self.socket).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let mut connection = pin!(connection);
            let mut work = pin!(async { read(sender.send_request(request).await?).await });
            tokio::select! {
                biased;
                done = &mut work => return done,
                // What has arrived before the end can still be read; if it is not enough, reading says so.
                _ = &mut connection => {}
            }
            work.await
        };
        work.await.map_err(ContainerError::lost(ask.what))
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, Fault> {
        let (kind, body) = match &ask.body {
            Body::None => ("application/json", Bytes::new()),
            Body::Json(value) => ("application/json", serde_json::to_vec(value)?.into()),
            Body::Archive(archive) => ("application/x-tar", archive.clone()),
        };
        let request = Request::builder()
            .method(ask.method.clone())
            .uri(format!("{}{}", self.version, ask.path))
            .header(HOST, "engine")
            .header(CONTENT_TYPE, kind);
        Ok(request.body(Full::new(body))?)
    }
}

/// What an engine says when it refuses.
#[derive(Debug, Default, serde::Deserialize)]
struct Complaint {
    message: String,
}

fn accept(what: &'static str, status: StatusCode, body: &[u8]) -> Result<(), ContainerError> {
    // 304 says that it is so already.
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        Ok(())
    } else {
        Err(refusal(what, status, body))
    }
}

fn refusal(what: &'static str, status: StatusCode, body: &[u8]) -> ContainerError {
    let complaint: Complaint = serde_json::from_slice(body)
        .unwrap_or_else(|_| Complaint { message: String::from_utf8_lossy(body).into_owned() });
    ContainerError::Refused { what, status: status.as_u16(), said: said(&complaint.message) }
}

/// A value of a query, or a part of a path (RFC 3986, section 2.1).
pub(super) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let letter = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(letter).collect()
}
