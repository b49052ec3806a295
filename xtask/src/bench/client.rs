//! One client of a benchmark: one connection, one session where the era has sessions, one call at a time.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::protocol::{self, Ask, Era};

/// What is called.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The endpoint's path.
    pub(crate) path: String,
    /// The API key, where one is needed.
    pub(crate) key: Option<String>,
    /// What is spoken.
    pub(crate) era: Era,
}

/// One connection.
pub(crate) struct Client {
    target: Arc<Target>,
    sender: SendRequest<Full<Bytes>>,
    session: Option<HeaderValue>,
    next_id: u64,
    _driver: AbortOnDropHandle<()>,
}

/// What stands in the header of a request beside what all of them carry.
struct Routing {
    method: &'static str,
    name: Option<&'static str>,
}

#[derive(Deserialize)]
struct Page {
    result: Listed,
}

#[derive(Deserialize)]
struct Listed {
    tools: Vec<serde::de::IgnoredAny>,
    #[serde(rename = "nextCursor")]
    next_cursor: Option<String>,
}

impl Client {
    /// Connects, and opens a session where the era has them.
    pub(crate) async fn connect(target: &Arc<Target>) -> Result<Client> {
        let mut client = Client::dial(target).await?;
        if target.era == Era::Legacy {
            client.open().await?;
        }
        Ok(client)
    }

    /// Connects and does no more.
    pub(crate) async fn dial(target: &Arc<Target>) -> Result<Client> {
        let stream = TcpStream::connect(target.address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let driver = TaskTracker::new().spawn(async move {
            // The sender learns of every fault; nothing is lost here.
            let _ = connection.await;
        });
        let driver = AbortOnDropHandle::new(driver);
        Ok(Client { target: Arc::clone(target), sender, session: None, next_id: 0, _driver: driver })
    }

    /// Opens a session.
    pub(crate) async fn open(&mut self) -> Result<()> {
        let id = self.id();
        let routing = Routing { method: "initialize", name: None };
        let response = self.post(protocol::initialize_request(id), &routing).await?;
        ensure!(response.status().is_success(), "initialize was answered with {}", response.status());
        self.session = response.headers().get("mcp-session-id").cloned();
        ensure!(self.session.is_some(), "no session was opened");
        read(response).await?;
        let routing = Routing { method: "notifications/initialized", name: None };
        let response = self.post(protocol::INITIALIZED_NOTICE.to_owned(), &routing).await?;
        ensure!(
            response.status() == StatusCode::ACCEPTED,
            "the notice was answered with {}",
            response.status()
        );
        read(response).await.map(drop)
    }

    /// Ends the session.
    pub(crate) async fn close(&mut self) -> Result<()> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::DELETE;
        let response = self.send(request).await?;
        self.session = None;
        ensure!(response.status().is_success(), "DELETE was answered with {}", response.status());
        read(response).await.map(drop)
    }

    /// Makes one call and checks its reply.
    pub(crate) async fn call(&mut self, ask: Ask) -> Result<()> {
        let id = self.id();
        let routing = Routing { method: "tools/call", name: Some(ask.tool()) };
        let response = self.post(ask.request(self.target.era, id), &routing).await?;
        ask.check(&read(response).await?, id)
    }

    /// Reads the whole list of tools, page by page, and counts them.
    pub(crate) async fn list(&mut self) -> Result<usize> {
        let mut count = 0;
        let mut cursor: Option<String> = None;
        loop {
            let id = self.id();
            let request = protocol::list_request(self.target.era, id, cursor.as_deref());
            let response = self.post(request, &Routing { method: "tools/list", name: None }).await?;
            let page: Page = serde_json::from_slice(&read(response).await?).context("not a list of tools")?;
            count += page.result.tools.len();
            cursor = page.result.next_cursor;
            if cursor.is_none() {
                return Ok(count);
            }
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    async fn post(&mut self, body: String, routing: &Routing) -> Result<Response<Incoming>> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.target.era == Era::Modern {
            headers.insert("mcp-method", HeaderValue::from_static(routing.method));
            if let Some(name) = routing.name {
                headers.insert("mcp-name", HeaderValue::from_static(name));
            }
        }
        self.send(request).await
    }

    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        *request.uri_mut() = self.target.path.parse()?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(&self.target.address.to_string())?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        headers.insert("mcp-protocol-version", HeaderValue::from_static(self.target.era.revision()));
        if let Some(key) = &self.target.key {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))?);
        }
        if let Some(session) = &self.session {
            headers.insert("mcp-session-id", session.clone());
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}

/// Reads a reply to its end; the message of an event stream is its last event.
async fn read(response: Response<Incoming>) -> Result<Bytes> {
    let status = response.status();
    let streamed = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let body = response.into_body().collect().await.context("the reply broke off")?.to_bytes();
    if !status.is_success() {
        bail!("{status}: {}", String::from_utf8_lossy(body.get(..300).unwrap_or(&body)));
    }
    if !streamed {
        return Ok(body);
    }
    Ok(body.slice_ref(last_event(&body)))
}

/// The data of the last event that has any.
fn last_event(stream: &[u8]) -> &[u8] {
    let lines = stream.split(|b| *b == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
    lines.map(<[u8]>::trim_ascii).rfind(|line| !line.is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_with_data_counts() {
        assert_eq!(last_event(b"id: 1\ndata: \n\ndata: {\"a\":1}\r\n\n: ping\n\n"), b"{\"a\":1}");
        assert_eq!(last_event(b""), b"");
    }
}
