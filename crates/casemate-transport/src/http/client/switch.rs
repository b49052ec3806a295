//! Asking a server to give the connection to another protocol.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1::{self, Connection, Parts};
use hyper_util::rt::TokioIo;

use super::fault::ClientFault;
use super::wire::Wire;
use super::{Endpoint, OTHER_BYTES_MAX, Posted};
use crate::http::inbound::{self, BodyFault, Pace};
use crate::http::takeover::{Duplex, Rejoined};

/// What a server answered.
pub enum Switched {
    /// The connection is ours.
    Stream {
        /// What the server said with it.
        headers: HeaderMap,
        /// The connection, from the first byte behind the answer.
        stream: Box<dyn Duplex>,
    },
    /// Something else.
    Refused(Posted),
}

impl std::fmt::Debug for Switched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Switched::Stream { .. } => f.write_str("Stream"),
            Switched::Refused(posted) => f.debug_tuple("Refused").field(&posted.status()).finish(),
        }
    }
}

impl Endpoint {
    /// Asks for the connection, always over a new one. What is asked for stands in the headers.
    ///
    /// # Errors
    /// As [`Endpoint::post`].
    pub async fn switch(&self, headers: HeaderMap) -> Result<Switched, ClientFault> {
        let options = &self.shared.options;
        let wire = self.shared.connector.open(self.pool.route(), options).await?;
        let handshake = http1::Builder::new().max_header_size(options.header_bytes_max).handshake(wire);
        let (mut sender, mut connection) =
            handshake.await.map_err(|source| ClientFault::Unsent { source })?;
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, self.host.clone());
        let mut ended = false;
        let mut answer = pin!(sender.send_request(request));
        let asked = poll_fn(|cx| {
            ended = ended || Pin::new(&mut connection).poll(cx).is_ready();
            answer.as_mut().poll(cx)
        });
        let answered = tokio::time::timeout(options.head_time_max, asked).await;
        let response =
            answered.map_err(|_| ClientFault::HeadTime)?.map_err(|source| ClientFault::Lost { source })?;
        let (head, body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            if !ended {
                let left = poll_fn(|cx| Pin::new(&mut connection).poll(cx)).await;
                left.map_err(|source| ClientFault::Lost { source })?;
            }
            return Ok(Switched::Stream { headers: head.headers, stream: ours(connection) });
        }
        // The words of a refusal are worth a moment; the connection is given up with it.
        let mut body = pin!(inbound::read(body, OTHER_BYTES_MAX, Pace::Any(options.connect_time_max)));
        let body = poll_fn(|cx| {
            ended = ended || Pin::new(&mut connection).poll(cx).is_ready();
            match body.as_mut().poll(cx) {
                Poll::Pending if ended => Poll::Ready(Err(BodyFault::Broken)),
                read => read,
            }
        });
        let body = body.await.unwrap_or_default();
        Ok(Switched::Refused(Posted::Other { status: head.status, headers: head.headers, body }))
    }
}

fn ours(connection: Connection<Wire, Full<Bytes>>) -> Box<dyn Duplex> {
    let Parts { io, read_buf, .. } = connection.into_parts();
    Box::new(Rejoined::new(read_buf, TokioIo::new(io)))
}
