//! One connection, driven by whoever uses it, and the body that flows over it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};

use super::ClientOptions;
use super::fault::ClientFault;
use super::pool::Pool;
use super::wire::Wire;

/// A connection that nobody drives but its user: while it is idle nothing runs.
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it is closed.
    connection: Option<Connection<Wire, Full<Bytes>>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("open", &self.connection.is_some()).finish_non_exhaustive()
    }
}

/// How a request fared.
#[derive(Debug)]
pub(super) enum Sent {
    /// The head of the answer is there.
    Answered(Response<Incoming>),
    /// Not one byte was sent; the request comes back.
    Untouched(Request<Full<Bytes>>, hyper::Error),
    /// It was sent, or a part of it may have been.
    Lost(hyper::Error),
}

impl Link {
    /// Speaks HTTP over a new connection.
    pub(super) async fn new(wire: Wire, options: &ClientOptions) -> Result<Box<Self>, ClientFault> {
        let handshake = http1::Builder::new().max_header_size(options.header_bytes_max).handshake(wire);
        let (sender, connection) = handshake.await.map_err(|source| ClientFault::Unsent { source })?;
        Ok(Box::new(Self { sender, connection: Some(connection) }))
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Sent {
        let Self { sender, connection } = self;
        let mut answer = pin!(sender.try_send_request(request));
        let outcome = poll_fn(|cx| {
            drive(connection, cx);
            answer.as_mut().poll(cx)
        });
        match outcome.await {
            Ok(response) => Sent::Answered(response),
            Err(mut fault) => match fault.take_message() {
                Some(request) => Sent::Untouched(request, fault.into_error()),
                None => Sent::Lost(fault.into_error()),
            },
        }
    }

    /// Lets the connection notice what happened to it, and says whether it can take a request.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> bool {
        drive(&mut self.connection, cx);
        self.connection.is_some() && self.sender.is_ready()
    }
}

/// Moves bytes. A connection that has ended is dropped, which fails whoever still waits on it.
fn drive(connection: &mut Option<Connection<Wire, Full<Bytes>>>, cx: &mut Context<'_>) {
    if let Some(open) = connection
        && Pin::new(open).poll(cx).is_ready()
    {
        *connection = None;
    }
}

/// The body of an answer and the connection it comes from. When it is dropped, the connection goes back to the pool
/// if the answer was read to its end, and is closed otherwise, which tells the server.
#[derive(Debug)]
pub(super) struct Flow {
    /// `None` only while it is being dropped.
    link: Option<Box<Link>>,
    body: Incoming,
    pool: Arc<Pool>,
    ended: bool,
}

impl Drop for Flow {
    fn drop(&mut self) {
        // The reader of events stops at the one it wanted; the end of the stream commonly lies right behind it.
        let mut cx = Context::from_waker(Waker::noop());
        if !self.ended && !self.body.is_end_stream() {
            let _ = Pin::new(&mut *self).poll_frame(&mut cx);
        }
        if let Some(mut link) = self.link.take()
            && (self.ended || self.body.is_end_stream())
            && link.poll_ready(&mut cx)
        {
            self.pool.put(link);
        }
    }
}

impl Flow {
    pub(super) fn new(link: Box<Link>, body: Incoming, pool: Arc<Pool>) -> Self {
        Self { link: Some(link), body, pool, ended: false }
    }

    /// The first `bytes` of the body, as a body.
    pub(super) fn beginning(&mut self, bytes: usize) -> Beginning<'_> {
        Beginning { flow: self, left: bytes }
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let flow = self.get_mut();
        let mut frame = Pin::new(&mut flow.body).poll_frame(cx);
        if frame.is_pending() {
            // Asking first lets the connection know that there is room; then it can move a piece at once.
            if let Some(link) = &mut flow.link {
                drive(&mut link.connection, cx);
            }
            frame = Pin::new(&mut flow.body).poll_frame(cx);
        }
        flow.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that ends early.
#[derive(Debug)]
pub(super) struct Beginning<'a> {
    flow: &'a mut Flow,
    left: usize,
}

impl Body for Beginning<'_> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut *self.flow).poll_frame(cx);
        frame.map_ok(|frame| {
            frame.map_data(|mut data| {
                data.truncate(self.left);
                self.left -= data.len();
                data
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 || self.flow.is_end_stream()
    }
}
