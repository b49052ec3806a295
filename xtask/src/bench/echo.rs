//! The server that benchmarks call: it does as little as a server can, so that what is measured is the way to
//! it. It speaks both eras on `/mcp`, the legacy one alone on `/legacy`, and on every `/n/…` it has as many
//! small tools as [`LISTED_TOOLS`] says.

use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use bytes::buf::{Buf as _, Chain};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::protocol::{self, Era};
use crate::console::say;

/// How many tools a server of the fan-out has.
pub(crate) const LISTED_TOOLS: usize = 10;

/// One incoming message, as far as the answer depends on it.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: &'a str,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, default)]
    arguments: Option<Arguments<'a>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    message: Option<std::borrow::Cow<'a, str>>,
    bytes: Option<usize>,
}

/// A body of three parts, so that a large text in the middle is never copied.
type Body = Full<Chain<Chain<Bytes, Bytes>, Bytes>>;

/// The largest text that is asked for again and again is made once.
static BLOB: OnceLock<Bytes> = OnceLock::new();

/// Which of the server's faces answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    Dual,
    Legacy,
    Listed,
}

/// Serves HTTP on a free port of the loopback address, which it prints, until it is killed.
pub(crate) fn serve_http() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        say(listener.local_addr()?);
        accept(listener).await
    })
}

/// Serves whoever connects.
pub(crate) async fn accept(listener: TcpListener) -> Result<()> {
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections.spawn(async move {
            // A client that goes away is the end of its connection and nothing else.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(serve)).await;
        });
    }
}

/// Serves newline-delimited messages on stdin and stdout until stdin ends.
pub(crate) fn serve_stdio() -> Result<()> {
    let mut output = stdout().lock();
    for line in stdin().lock().lines() {
        let line = line?;
        let Ok(message) = serde_json::from_str::<Message<'_>>(&line) else { continue };
        if let Some(parts) = reply(&message, Face::Dual) {
            output.write_all(&[&parts.concat(), b"\n".as_slice()].concat())?;
            output.flush()?;
        }
    }
    Ok(())
}

async fn serve(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let face = match request.uri().path() {
        "/mcp" => Face::Dual,
        "/legacy" => Face::Legacy,
        path if path.starts_with("/n/") => Face::Listed,
        _ => return Ok(empty(StatusCode::NOT_FOUND)),
    };
    match *request.method() {
        Method::POST => {}
        Method::DELETE => return Ok(empty(StatusCode::NO_CONTENT)),
        _ => return Ok(empty(StatusCode::METHOD_NOT_ALLOWED)),
    }
    let in_session = request.headers().contains_key("mcp-session-id");
    let modern = is_modern(request.headers());
    let body = request.into_body().collect().await?.to_bytes();
    let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    let opens = message.method == "initialize";
    if !modern && !in_session && !opens {
        return Ok(empty(StatusCode::BAD_REQUEST));
    }
    let Some([head, text, tail]) = reply(&message, face) else { return Ok(empty(StatusCode::ACCEPTED)) };
    let mut response = Response::new(Full::new(head.chain(text).chain(tail)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    if opens {
        response.headers_mut().insert("mcp-session-id", session_id());
    }
    Ok(response)
}

/// What to answer, in three parts; nothing for a notification, nor for what is not understood.
fn reply(message: &Message<'_>, face: Face) -> Option<[Bytes; 3]> {
    let head = format!(r#"{{"jsonrpc":"2.0","id":{},"#, message.id?.get());
    let whole = |result: &str| {
        Some([Bytes::from(format!("{head}\"result\":{result}}}")), Bytes::new(), Bytes::new()])
    };
    match (message.method, face) {
        ("initialize", _) => whole(protocol::INITIALIZED),
        ("server/discover", Face::Dual | Face::Listed) => whole(protocol::DISCOVERED),
        ("tools/list", Face::Listed) => whole(&protocol::listed_tools(LISTED_TOOLS)),
        ("tools/list", _) => whole(protocol::TOOLS),
        ("ping", _) => whole("{}"),
        ("tools/call", _) => {
            // Only characters that JSON does not escape are ever sent here.
            let text = said(message.params)?;
            let open = r#""result":{"resultType":"complete","content":[{"type":"text","text":""#;
            Some([Bytes::from(head + open), text, Bytes::from_static(br#""}]}}"#)])
        }
        _ => {
            let error = r#""error":{"code":-32601,"message":"no such method"}}"#;
            Some([Bytes::from(head + error), Bytes::new(), Bytes::new()])
        }
    }
}

/// The text that a call asks for.
fn said(params: Option<&RawValue>) -> Option<Bytes> {
    let params: Params<'_> = serde_json::from_str(params?.get()).ok()?;
    let arguments = params.arguments?;
    match (arguments.message, arguments.bytes) {
        (Some(message), _) => Some(Bytes::from(protocol::echoed(&message))),
        (None, Some(bytes)) => {
            let blob = BLOB.get_or_init(|| Bytes::from(protocol::blob(bytes)));
            Some(if blob.len() == bytes { blob.clone() } else { Bytes::from(protocol::blob(bytes)) })
        }
        (None, None) => Some(Bytes::new()),
    }
}

fn is_modern(headers: &HeaderMap) -> bool {
    headers.get("mcp-protocol-version").is_some_and(|version| version == Era::Modern.revision())
}

fn session_id() -> HeaderValue {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    HeaderValue::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new().chain(Bytes::new()).chain(Bytes::new())));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_what_is_asked() {
        let ask = |method: &str, params: &str, face| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#);
            let message = serde_json::from_str(&body).expect("a message");
            let reply = reply(&message, face).expect("a request is answered");
            serde_json::from_slice::<serde_json::Value>(&reply.concat()).expect("the answer is JSON")
        };
        let echo = ask("tools/call", r#"{"name":"echo","arguments":{"message":"hi"}}"#, Face::Dual);
        let text = echo["result"]["content"][0]["text"].as_str().expect("text");
        assert!(text.starts_with("hi") && text.len() == protocol::ECHOED_BYTES);
        assert_eq!(echo["id"], 7);
        let blob = ask("tools/call", r#"{"name":"blob","arguments":{"bytes":1000}}"#, Face::Dual);
        assert_eq!(blob["result"]["content"][0]["text"].as_str().map(str::len), Some(1000));
        assert_eq!(
            ask("tools/list", "{}", Face::Listed)["result"]["tools"].as_array().map(Vec::len),
            Some(10)
        );
        assert_eq!(ask("server/discover", "{}", Face::Legacy)["error"]["code"], -32601);
        assert!(ask("server/discover", "{}", Face::Dual)["result"]["supportedVersions"].is_array());
        assert!(ask("initialize", "{}", Face::Legacy)["result"]["protocolVersion"].is_string());
    }

    #[test]
    fn a_notification_is_not_answered() {
        let message = serde_json::from_str(protocol::INITIALIZED_NOTICE).expect("a message");
        assert_eq!(reply(&message, Face::Legacy), None);
    }
}
