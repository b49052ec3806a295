//! A client of HTTP with SSE, the transport of 2024-11-05, for tests: the same client as over lines.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio_util::task::TaskTracker;

use crate::client::{ClientError, McpStdio};
use crate::sse;

type Http = Client<HttpConnector, Full<Bytes>>;

/// A client over a stream of events and posts.
pub type McpPosts = McpStdio<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>>;

/// Opens the stream at `http://HOST:PORT/PATH` with a bearer key, and speaks MCP over it and over posts to the address that it
/// names. A post that is refused closes the client.
///
/// # Errors
/// The server answered with another status than 200, or cannot be reached.
pub async fn connect(url: &str, key: &str) -> Result<McpPosts, ClientError> {
    lines(url, key).await.map(McpStdio::over)
}

/// The same as lines.
///
/// # Errors
/// As [`connect`].
pub async fn lines(url: &str, key: &str) -> Result<DuplexStream, ClientError> {
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let uri: Uri = url.parse().map_err(ClientError::transport)?;
    let (mut body, status) = get(&http, &uri, key).await?;
    if status != 200 {
        return Err(ClientError::Status { status, body: String::new() });
    }
    let mut events = sse::Reader::default();
    let address = next(&mut body, &mut events).await.ok_or(ClientError::Closed)?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let posts: Uri = format!("http://{authority}{address}").parse().map_err(ClientError::transport)?;
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (lines, mut output) = tokio::io::split(theirs);
    let bearer = format!("Bearer {key}");
    TaskTracker::new().spawn(async move {
        let posting = post_all(&http, (&posts, &bearer), lines);
        let hearing = async {
            while let Some(data) = next(&mut body, &mut events).await {
                if output.write_all(format!("{data}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! { () = posting => {}, () = hearing => {} }
    });
    Ok(ours)
}

async fn get(http: &Http, uri: &Uri, key: &str) -> Result<(Incoming, u16), ClientError> {
    let request = Request::get(uri.clone())
        .header(ACCEPT, "text/event-stream")
        .header(AUTHORIZATION, format!("Bearer {key}"))
        .body(Full::default())
        .map_err(ClientError::transport)?;
    let response = http.request(request).await.map_err(ClientError::transport)?;
    let status = response.status().as_u16();
    Ok((response.into_body(), status))
}

async fn next(body: &mut Incoming, events: &mut sse::Reader) -> Option<String> {
    loop {
        match events.next() {
            Some(event) if !event.data.is_empty() => return Some(event.data),
            Some(_) => {}
            None => {
                let frame = body.frame().await?.ok()?;
                events.feed(frame.data_ref().map_or(&[], |bytes| bytes));
            }
        }
    }
}

async fn post_all(http: &Http, (uri, bearer): (&Uri, &str), lines: ReadHalf<DuplexStream>) {
    let mut lines = BufReader::new(lines);
    let mut line = String::new();
    while lines.read_line(&mut line).await.is_ok_and(|count| count > 0) {
        let request = Request::post(uri.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, bearer)
            .body(Full::from(std::mem::take(&mut line)));
        let Ok(request) = request else { return };
        match http.request(request).await {
            Ok(response) if response.status().as_u16() == 202 => {}
            _ => return,
        }
    }
}
