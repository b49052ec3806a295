//! Where the answer of an authorization server is awaited: a listener on this machine, for one login.
//!
//! Every page of every browser of this machine can send requests here. So nothing but the one answer that holds this
//! login's state ends it, nothing that arrives is repeated, and nobody can keep the listener busy.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use casemate_auth::oauth::{Answer, Pending};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock;

/// How long a person may take.
const TIME_MAX: Duration = Duration::from_secs(600);
/// How long one connection may take, which the exchange of its code is part of, and how many there may be at once.
const CONNECTION_TIME: Duration = Duration::from_secs(40);
const CONNECTIONS_MAX: usize = 32;
/// Largest head of a request, in bytes. Codes and states are short.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A listener for the answer to one login.
#[derive(Debug)]
pub struct Callback {
    listener: TcpListener,
    address: SocketAddr,
    uri: String,
}

/// An answer that may be ours, and where the word goes that its page says.
struct Arrived {
    query: String,
    heard: mpsc::Sender<Heard>,
}

/// What a page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// The login goes on.
    Ours,
    /// It was refused.
    Refused,
    /// It belongs to no login that waits here.
    Stranger,
}

impl Callback {
    /// Listens on the port that was chosen, on the one that is registered if it is free, or on any.
    pub async fn bind(chosen: Option<u16>, registered: Option<u16>) -> anyhow::Result<Callback> {
        let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = match (chosen, registered) {
            (Some(port), _) => listen(port).await.with_context(|| format!("cannot listen on port {port}"))?,
            (None, Some(port)) if port >= 1024 => match listen(port).await {
                Ok(listener) => listener,
                Err(_) => listen(0).await.context("cannot listen on this machine")?,
            },
            (None, _) => listen(0).await.context("cannot listen on this machine")?,
        };
        let address = listener.local_addr().context("cannot listen on this machine")?;
        Ok(Callback { listener, address, uri: format!("http://{address}/callback") })
    }

    /// The redirect address.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// A name for the login, which says nothing.
    pub fn id(&self) -> anyhow::Result<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Waits for the answer to a login, which is used up by it. A refusal has been told to its page when this returns.
    pub async fn code(self, pending: &Pending) -> anyhow::Result<Landing> {
        let (arrived, mut arrivals) = mpsc::channel::<Arrived>(CONNECTIONS_MAX);
        let own: Arc<str> = self.address.to_string().into();
        let mut connections = JoinSet::new();
        let late = tokio::time::sleep(TIME_MAX);
        tokio::pin!(late);
        loop {
            tokio::select! {
                () = &mut late => bail!("nobody logged in within {} minutes", TIME_MAX.as_secs() / 60),
                Some(arrival) = arrivals.recv() => match pending.judge(&arrival.query, clock::unix_seconds()) {
                    // The page is told or it is gone; the login does not depend on it.
                    Answer::Stranger => _ = arrival.heard.send(Heard::Stranger).await,
                    Answer::Ours(Ok(code)) => return Ok(Landing { code, heard: arrival.heard, connections }),
                    Answer::Ours(Err(fault)) => {
                        tell(&arrival.heard, Heard::Refused, connections).await;
                        return Err(fault.into());
                    }
                },
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    if let Ok((stream, _)) = accepted {
                        connections.spawn(serve(stream, (Arc::clone(&own), arrived.clone())));
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// The answer to a login, and the page that waits to hear what came of it.
#[derive(Debug)]
pub struct Landing {
    /// The authorization code.
    pub code: SecretString,
    heard: mpsc::Sender<Heard>,
    connections: JoinSet<()>,
}

impl Landing {
    /// Tells the page what came of the login: whoever reads it can rely on it.
    pub async fn tell<T, E>(self, outcome: &Result<T, E>) {
        let heard = if outcome.is_ok() { Heard::Ours } else { Heard::Refused };
        tell(&self.heard, heard, self.connections).await;
    }
}

async fn tell(page: &mpsc::Sender<Heard>, heard: Heard, mut connections: JoinSet<()>) {
    let _ = page.send(heard).await;
    // The page is still being written. Others have had their time.
    let written = async { while connections.join_next().await.is_some() {} };
    _ = tokio::time::timeout(Duration::from_secs(1), written).await;
}

async fn serve(stream: TcpStream, (own, arrived): (Arc<str>, mpsc::Sender<Arrived>)) {
    let service = service_fn(move |request| {
        let (own, arrived) = (Arc::clone(&own), arrived.clone());
        async move { Ok::<_, Infallible>(answer(&request, (&own, &arrived)).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_TIME)
        .serve_connection(TokioIo::new(stream), service);
    // A browser that hangs up has heard enough.
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

async fn answer(
    request: &Request<Incoming>,
    (own, arrived): (&str, &mpsc::Sender<Arrived>),
) -> Response<Full<Bytes>> {
    let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    // A name that somebody points at this machine is not this machine.
    let is_own = header(HOST.as_str()) == Some(own);
    // An authorization server sends a person here; a page that fetches is not one.
    let is_visit = header("sec-fetch-mode").is_none_or(|mode| mode == "navigate");
    if !is_own || !is_visit || request.method() != Method::GET || request.uri().path() != "/callback" {
        return page(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (heard, mut word) = mpsc::channel(1);
    let sent = arrived.send(Arrived { query, heard }).await.is_ok();
    match word.recv().await.filter(|_| sent) {
        Some(Heard::Ours) => page(StatusCode::OK, "You are logged in. You can close this page."),
        Some(Heard::Refused) => page(StatusCode::OK, "The login was refused. Casemate says why."),
        Some(Heard::Stranger) | None => page(StatusCode::BAD_REQUEST, "No login waits for this."),
    }
}

/// A page that loads nothing, runs nothing, is kept nowhere and tells nobody where it was.
fn page(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (CONNECTION, "close"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
