//! WebSockets for tests: the same clients and servers as over lines, with one text frame for each line.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use http::header::{HeaderName, HeaderValue};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf,
};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tokio_websockets::upgrade::Error as UpgradeError;
use tokio_websockets::{ClientBuilder, Error, Message, WebSocketStream};

use crate::client::McpStdio;

/// A client over a WebSocket.
pub type McpSocket = McpStdio<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>>;

/// How a WebSocket was closed by the other side; none when it just broke.
pub type Closing = oneshot::Receiver<Option<(u16, String)>>;

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum SocketFault {
    /// The server answered with another status than 101.
    #[error("the server answered with {0}")]
    Status(u16),
    /// Anything else.
    #[error("there is no connection")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A connection on which frames can be sent and read one by one.
pub type RawSocket = WebSocketStream<TcpStream>;

/// Opens a WebSocket at `ws://HOST:PORT/PATH` with these headers, and shows its frames.
///
/// # Errors
/// [`SocketFault`].
pub async fn raw(url: &str, headers: &[(&str, &str)]) -> Result<RawSocket, SocketFault> {
    let uri: http::Uri = url.parse().map_err(other)?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    raw_on(TcpStream::connect(authority).await.map_err(other)?, url, headers).await
}

/// Opens a WebSocket on a connection that stands, which may be one of TLS.
///
/// # Errors
/// [`SocketFault`].
pub async fn raw_on<S>(
    stream: S,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<WebSocketStream<S>, SocketFault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let uri: http::Uri = url.parse().map_err(other)?;
    let mut builder = ClientBuilder::from_uri(uri);
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).map_err(other)?;
        builder = builder.add_header(name, HeaderValue::try_from(*value).map_err(other)?).map_err(other)?;
    }
    match builder.connect_on(stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Upgrade(UpgradeError::DidNotSwitchProtocols(status))) => Err(SocketFault::Status(status)),
        Err(fault) => Err(other(fault)),
    }
}

/// Opens a WebSocket and speaks MCP over it.
///
/// # Errors
/// [`SocketFault`].
pub async fn connect(url: &str, headers: &[(&str, &str)]) -> Result<(McpSocket, Closing), SocketFault> {
    let (lines, closing) = bridged(url, headers).await?;
    Ok((McpStdio::over(lines), closing))
}

/// Opens a WebSocket as lines.
///
/// # Errors
/// [`SocketFault`].
pub async fn lines(url: &str, headers: &[(&str, &str)]) -> Result<DuplexStream, SocketFault> {
    bridged(url, headers).await.map(|(lines, _)| lines)
}

async fn bridged(url: &str, headers: &[(&str, &str)]) -> Result<(DuplexStream, Closing), SocketFault> {
    let socket = raw(url, headers).await?;
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (closed, closing) = oneshot::channel();
    TaskTracker::new().spawn(async move {
        // A test that does not ask how it ended has dropped the receiver.
        let _ = closed.send(bridge(socket, theirs).await);
    });
    Ok((ours, closing))
}

/// Sends one frame.
///
/// # Errors
/// The connection is closed.
pub async fn send<S>(socket: &mut WebSocketStream<S>, message: Message) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| Pin::new(&mut *socket).poll_ready(cx)).await.map_err(io::Error::other)?;
    Pin::new(&mut *socket).start_send(message).map_err(io::Error::other)?;
    poll_fn(|cx| Pin::new(&mut *socket).poll_flush(cx)).await.map_err(io::Error::other)
}

/// The next frame that is a message, or the word at the end.
pub async fn next<S>(socket: &mut WebSocketStream<S>) -> Option<Message>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|cx| Pin::new(&mut *socket).poll_next(cx)).await? {
            Ok(message) if message.is_ping() || message.is_pong() => {}
            Ok(message) => return Some(message),
            Err(_) => return None,
        }
    }
}

/// Carries a WebSocket as lines until either side ends, and says how the other side closed it.
pub(crate) async fn bridge<S>(
    mut socket: WebSocketStream<S>,
    lines: impl AsyncRead + AsyncWrite,
) -> Option<(u16, String)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (reader, mut writer) = tokio::io::split(lines);
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        tokio::select! {
            message = next(&mut socket) => match message {
                Some(message) if message.is_text() => {
                    let mut text = Vec::from(&**message.as_payload());
                    text.push(b'\n');
                    writer.write_all(&text).await.ok()?;
                }
                Some(message) => {
                    let closed = message.as_close().map(|(code, why)| (u16::from(code), why.to_owned()));
                    // Answers the goodbye.
                    next(&mut socket).await;
                    return closed;
                }
                None => return None,
            },
            read = reader.read_until(b'\n', &mut line) => {
                if read.ok()? == 0 {
                    send(&mut socket, Message::close(None, "")).await.ok()?;
                    return None;
                }
                let text = Bytes::from(std::mem::take(&mut line));
                send(&mut socket, Message::text(text.slice(..text.len().saturating_sub(1)))).await.ok()?;
            }
        }
    }
}

fn other(fault: impl std::error::Error + Send + Sync + 'static) -> SocketFault {
    SocketFault::Other(Box::new(fault))
}
