//! Requests and their answers over a connection.

use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::fault::FetchCause;
use super::request::{Fetched, Request};
use super::trust::Trust;
use super::url::Host;
use super::{Terms, is_redirect};

/// Bytes of an answer's head. Servers of tokens and keys send some 2 KiB.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// How many headers an answer may have.
const HEADERS_MAX: usize = 100;

/// How much of a type that was not asked for is repeated in a fault.
const KIND_CHARS_MAX: usize = 60;

const AGENT: &str = concat!("casemate/", env!("CARGO_PKG_VERSION"));

/// A connection over which one thing after another can be asked.
pub(super) struct Talk {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Driven by whoever asks, in their task: dropping the fetch ends it.
    connection: Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>,
    is_open: bool,
}

impl Talk {
    /// Begins to speak HTTP over the connection, through TLS where the address says so.
    pub(super) async fn begin(
        stream: TcpStream,
        request: &Request,
        trust: &Trust,
    ) -> Result<Talk, FetchCause> {
        if !request.url.is_secure() {
            return Talk::over(stream).await;
        }
        let config = trust.config().await.map_err(|fault| FetchCause::Tls(fault.into()))?;
        let server = match request.url.host() {
            Host::Name(name) => ServerName::try_from(name.as_str().to_owned()),
            Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        };
        let server = server.map_err(|fault| FetchCause::Tls(fault.into()))?;
        let stream = TlsConnector::from(config).connect(server, stream).await;
        Talk::over(stream.map_err(|fault| FetchCause::Tls(fault.into()))?).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Talk, FetchCause> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
        Ok(Talk { sender, connection: Box::pin(connection), is_open: true })
    }

    /// Sends the request and gathers the answer.
    pub(super) async fn ask(&mut self, request: &Request, terms: &Terms) -> Result<Fetched, FetchCause> {
        let message = message(request, terms)?;
        let mut exchange = pin!(async {
            let (head, body) = self.sender.send_request(message).await.map_err(broken)?.into_parts();
            let body = match kind(head.status, &head.headers, terms) {
                Ok(()) => gather(body, terms.body_bytes_max).await?,
                Err(_) if !head.status.is_success() => Bytes::new(),
                Err(cause) => return Err(cause),
            };
            Ok(Fetched { url: request.url.clone(), status: head.status, headers: head.headers, body })
        });
        loop {
            tokio::select! {
                biased;
                outcome = &mut exchange => return outcome,
                // How it ended is told by the exchange, which sees it next.
                _ = &mut self.connection, if self.is_open => self.is_open = false,
            }
        }
    }

    /// Whether it is still there, and nothing of the last answer is left on it. Does not wait.
    pub(super) fn is_idle(&mut self) -> bool {
        if self.is_open {
            let mut context = Context::from_waker(Waker::noop());
            self.is_open = self.connection.as_mut().poll(&mut context).is_pending();
        }
        self.is_open && self.sender.is_ready()
    }
}

fn broken(fault: hyper::Error) -> FetchCause {
    FetchCause::Broken(fault.into())
}

fn message(request: &Request, terms: &Terms) -> Result<http::Request<Full<Bytes>>, FetchCause> {
    let mut message = http::Request::new(Full::new(request.body.clone()));
    *message.method_mut() = request.method.clone();
    *message.uri_mut() =
        Uri::try_from(request.url.target()).map_err(|fault| FetchCause::Broken(fault.into()))?;
    let mut headers = request.headers.clone();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|fault| FetchCause::Broken(fault.into()));
    headers.insert(HOST, value(&request.url.authority())?);
    headers.insert(ACCEPT, value(&terms.content_types.join(", "))?);
    // What is packed could unpack to any size.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    *message.headers_mut() = headers;
    Ok(message)
}

/// Whether the body is of a type that was asked for, and not packed.
fn kind(status: StatusCode, headers: &HeaderMap, terms: &Terms) -> Result<(), FetchCause> {
    let refused = |what: &str| {
        let shown = what.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
        Err(FetchCause::ContentType(format!("{:?}", shown.take(KIND_CHARS_MAX).collect::<String>())))
    };
    if is_redirect(status) {
        return refused("a redirect");
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
    if let Some(packed) = headers.get_all(CONTENT_ENCODING).iter().map(text).find(|kind| kind != "identity") {
        return refused(&packed);
    }
    let mut kinds = headers.get_all(CONTENT_TYPE).iter().map(text);
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) => {
            let essence = kind.split(';').next().unwrap_or_default().trim_end();
            if terms.content_types.contains(&essence) { Ok(()) } else { refused(essence) }
        }
        (None, _) if status == StatusCode::NO_CONTENT => Ok(()),
        (None, _) => refused("no type at all"),
        (Some(_), Some(_)) => refused("several types at once"),
    }
}

async fn gather(mut body: Incoming, limit: usize) -> Result<Bytes, FetchCause> {
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(FetchCause::TooLarge { limit });
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| FetchCause::Broken(fault.into()))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len().saturating_add(data.len()) > limit {
            return Err(FetchCause::TooLarge { limit });
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
