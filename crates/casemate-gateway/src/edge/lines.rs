//! MCP over a line-framed connection: our Unix socket, and stdio through `casemate connect`.
//!
//! The first line names the endpoint, `casemate/1 /mcp`; after it every line is a message. Noise ends the connection:
//! unlike a server's standard output, nobody else writes here.

use std::sync::Arc;
use std::time::Duration;

use casemate_transport::lines::{Line, LineReader, writer};
use casemate_transport::link::LinkSender;
use casemate_transport::listener::Peer;
use casemate_transport::unix::{Acceptor, Arrival};
use tokio::io::{AsyncRead, AsyncWrite};

use super::link::{self, Guest, Papers};
use crate::client::Way;
use crate::endpoint::Endpoint;
use crate::gate::Gate;

/// The word that opens a connection, followed by the endpoint's path.
pub const PREAMBLE: &str = "casemate/1 ";

/// Frames that wait for a client which does not read.
const QUEUE_FRAMES: usize = 256;

/// How long a client may take to send its first line.
const PREAMBLE_TIME_MAX: Duration = Duration::from_secs(10);

/// Accepts connections until the gateway stops.
pub async fn serve(gate: Arc<Gate>, acceptor: Acceptor) {
    loop {
        tokio::select! {
            () = gate.host().stop.cancelled() => return,
            arrival = acceptor.accept() => {
                let Arrival { reader, writer, hangup, peer, place } = arrival;
                let connection = Arc::clone(&gate);
                gate.tracker().spawn(async move {
                    tokio::select! {
                        () = serve_connection(connection, (reader, writer), peer) => {}
                        // Dropping the connection gives its calls up.
                        () = hangup.wait() => {}
                    }
                    drop(place);
                });
            }
        }
    }
}

/// Serves one connection to its end.
pub async fn serve_connection<R, W>(gate: Arc<Gate>, (reader, sink): (R, W), peer: Peer)
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let lines = writer(sink, QUEUE_FRAMES, gate.tracker());
    let mut reader = LineReader::new(reader, gate.snapshot().limits.request_bytes_max);
    match preamble(&mut reader).await {
        Some(endpoint) => converse(gate, (reader, lines), (endpoint, peer)).await,
        None => {
            link::refuse(
                &lines,
                "the first line has to be `casemate/1 ` and an endpoint's path, such as /mcp",
            )
            .await;
        }
    }
}

/// Serves one endpoint to its end, on streams whose other end speaks to no other.
pub async fn serve_endpoint<R, W>(gate: Arc<Gate>, (reader, sink): (R, W), at: (Endpoint, Peer))
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let lines = writer(sink, QUEUE_FRAMES, gate.tracker());
    let reader = LineReader::new(reader, gate.snapshot().limits.request_bytes_max);
    converse(gate, (reader, lines), at).await;
}

async fn converse<R>(
    gate: Arc<Gate>,
    (reader, lines): (LineReader<R>, LinkSender),
    (endpoint, peer): (Endpoint, Peer),
) where
    R: AsyncRead + Unpin + Send,
{
    let subject = match peer {
        Peer::Unix { uid, .. } => gate.identities().local(uid),
        Peer::Tcp(_) | Peer::Forwarded { .. } => None,
    };
    let Some(subject) = subject else {
        return link::refuse(&lines, "only the user who runs the gateway may use its socket").await;
    };
    let guest = Guest {
        papers: Arc::new(Papers::local(peer)),
        subject: subject.id.clone(),
        endpoint,
        way: Way::Lines,
        stay: None,
    };
    link::converse(gate, (reader, lines), guest).await;
}

async fn preamble<R: AsyncRead + Unpin>(reader: &mut LineReader<R>) -> Option<Endpoint> {
    match tokio::time::timeout(PREAMBLE_TIME_MAX, reader.next()).await {
        Ok(Ok(Some(Line::Frame(line)))) => {
            Endpoint::of_path(std::str::from_utf8(&line).ok()?.strip_prefix(PREAMBLE)?)
        }
        _ => None,
    }
}
