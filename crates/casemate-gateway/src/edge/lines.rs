//! MCP over a line-framed connection: our Unix socket, and stdio through `casemate connect`.
//!
//! The first line names the endpoint, `casemate/1 /mcp`; after it every line is a message. Noise ends the connection:
//! unlike a server's standard output, nobody else writes here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use casemate_mcp::frame::{ErrorObject, code, error_text};
use casemate_mcp::json::one_line;
use casemate_transport::lines::{Line, LineReader, LineSender, writer};
use casemate_transport::listener::Peer;
use casemate_transport::unix::{Acceptor, Arrival};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::{Outlet, Session, Title};
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::journey::{self, Head, SessionRef};

/// The word that opens a connection, followed by the endpoint's path.
pub const PREAMBLE: &str = "casemate/1 ";

/// Frames that wait for a client which does not read.
const QUEUE_FRAMES: usize = 256;

/// How long a client may take to send its first line.
const PREAMBLE_TIME_MAX: Duration = Duration::from_secs(10);

/// Messages of one connection that are worked on at the same time.
const CONCURRENT_MAX: usize = 256;

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
            refuse(&lines, "the first line has to be `casemate/1 ` and an endpoint's path, such as /mcp")
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

async fn converse<R>(gate: Arc<Gate>, (reader, lines): (LineReader<R>, LineSender), at: (Endpoint, Peer))
where
    R: AsyncRead + Unpin + Send,
{
    match Connection::open(gate, at, lines.clone()) {
        Some(connection) => connection.read(reader).await,
        None => refuse(&lines, "only the user who runs the gateway may use its socket").await,
    }
}

async fn preamble<R: AsyncRead + Unpin>(reader: &mut LineReader<R>) -> Option<Endpoint> {
    match tokio::time::timeout(PREAMBLE_TIME_MAX, reader.next()).await {
        Ok(Ok(Some(Line::Frame(line)))) => {
            Endpoint::of_path(std::str::from_utf8(&line).ok()?.strip_prefix(PREAMBLE)?)
        }
        _ => None,
    }
}

async fn refuse(lines: &LineSender, why: &str) {
    // A peer that is gone needs no explanation.
    _ = lines.send(error_text(None, &ErrorObject::new(code::INVALID_REQUEST, why))).await;
}

/// One connection: it is its own session, whichever dialect it speaks.
struct Connection {
    gate: Arc<Gate>,
    peer: Peer,
    endpoint: Endpoint,
    session: Arc<Session>,
    lines: LineSender,
}

impl Connection {
    fn open(
        gate: Arc<Gate>,
        (endpoint, peer): (Endpoint, Peer),
        lines: LineSender,
    ) -> Option<Arc<Connection>> {
        let Peer::Unix { uid, .. } = peer else { return None };
        let subject = gate.identities().local(uid)?;
        let outlet = Outlet::Lines(lines.clone());
        let session =
            Arc::new(Session::new(Title::connection(), subject.id.clone(), endpoint.clone(), outlet));
        Some(Arc::new(Connection { gate, peer, endpoint, session, lines }))
    }

    /// Reads messages until the client has no more, and answers them all. Requests run side by side, except that nothing
    /// overtakes the opening of a session; all of them are given up when the client is gone.
    async fn read<R: AsyncRead + Unpin>(self: Arc<Self>, mut reader: LineReader<R>) {
        let mut calls = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                () = self.gate.host().stop.cancelled() => break,
                () = self.lines.closed() => break,
                line = reader.next() => match line {
                    Ok(Some(Line::Frame(text))) if self.opens(&text) => tokio::select! {
                        () = self.gate.host().stop.cancelled() => break,
                        () = self.lines.closed() => break,
                        () = self.answer(text) => {}
                    },
                    Ok(Some(Line::Frame(text))) => {
                        let connection = Arc::clone(&self);
                        calls.spawn(async move { connection.answer(text).await });
                    }
                    Ok(Some(_)) => {
                        refuse(&self.lines, "a line was too long or not UTF-8; the connection is closed").await;
                        break;
                    }
                    Ok(None) => return self.finish(calls).await,
                    Err(_) => break,
                },
                Some(_) = calls.join_next(), if !calls.is_empty() => {}
            }
            while calls.len() >= CONCURRENT_MAX {
                calls.join_next().await;
            }
        }
        self.session.ended.cancel();
    }

    /// Whether a message may open the session. Clients that do not wait for the answer, and every `printf … | casemate
    /// connect`, send their next message right behind it.
    fn opens(&self, text: &[u8]) -> bool {
        self.session.hello().is_none() && memchr::memmem::find(text, b"\"initialize\"").is_some()
    }

    /// The client has said everything and may still read.
    async fn finish(&self, mut calls: tokio::task::JoinSet<()>) {
        tokio::select! {
            () = self.gate.host().stop.cancelled() => {}
            () = self.lines.closed() => {}
            () = async { while calls.join_next().await.is_some() {} } => {}
        }
        self.session.ended.cancel();
    }

    async fn answer(&self, text: Bytes) {
        let head = Head {
            peer: self.peer,
            credential: None,
            certificate: None,
            endpoint: self.endpoint.clone(),
            claims: None,
            session: SessionRef::Connection(Arc::clone(&self.session)),
            outlet: Outlet::Lines(self.lines.clone()),
        };
        match journey::run(&self.gate, head, text).await {
            Ok(deliveries) => {
                for delivery in deliveries.into_iter().filter(|delivery| !delivery.canceled) {
                    // A client that is gone needs no answer; its connection ends with the next read.
                    _ = self.lines.send(one_line(delivery.joined())).await;
                }
            }
            Err(refusal) => {
                let refusal = self.gate.turn_away(self.peer.address(), refusal);
                _ = self.lines.send(error_text(None, &refusal.wire().error)).await;
            }
        }
    }
}
