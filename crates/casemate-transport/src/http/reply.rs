//! What the service answers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::buf::Chain;
use bytes::{Buf, Bytes};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, Entry, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::cors::Page;
use super::events::EventBody;
use super::head::Channel;
use super::takeover::Takeover;

/// Room for our own headers and a few of the service's without growing the map.
const HEADERS: usize = 16;
/// Tells nginx not to gather events before it passes them on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Sent with every reply unless the service set its own value: nothing we answer is for a browser to guess at, run, keep,
/// frame, open, embed or refer from, and nothing of the device is for it to use.
pub(super) const SECURITY: [(HeaderName, HeaderValue); 8] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        PERMISSIONS_POLICY,
        HeaderValue::from_static(
            "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ),
    (OPENER_POLICY, HeaderValue::from_static("same-origin")),
    (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
];
/// Sent where the client speaks TLS: two years, as browsers ask for. Other names of the domain are not ours to speak for.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// An answer. The server adds the security headers, `Content-Length` and `Date`.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: ReplyBody,
    /// Who gets the connection when the answer is out.
    pub takeover: Option<Takeover>,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// Nothing.
    Empty,
    /// One piece.
    Full(Bytes),
    /// Several pieces, written one after the other without joining them in memory.
    Parts(Vec<Bytes>),
    /// A stream of events.
    Events(EventBody),
}

impl Reply {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::with_capacity(HEADERS), body: ReplyBody::Empty, takeover: None }
    }

    /// An answer of JSON.
    #[must_use]
    pub fn json(status: StatusCode, body: Bytes) -> Self {
        Self::typed(status, HeaderValue::from_static("application/json"), ReplyBody::Full(body))
    }

    /// An answer of JSON that lies in several pieces.
    #[must_use]
    pub fn json_parts(status: StatusCode, parts: Vec<Bytes>) -> Self {
        Self::typed(status, HeaderValue::from_static("application/json"), ReplyBody::Parts(parts))
    }

    /// A plain text, for people.
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        Self::typed(status, kind, ReplyBody::Full(text.into()))
    }

    /// An answer that streams events.
    #[must_use]
    pub fn events(events: impl Into<EventBody>) -> Self {
        let kind = HeaderValue::from_static("text/event-stream");
        let mut reply = Self::typed(StatusCode::OK, kind, ReplyBody::Events(events.into()));
        reply.headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        reply
    }

    /// An answer that gives the connection away: `headers` say to which protocol.
    #[must_use]
    pub fn switching(headers: HeaderMap, takeover: Takeover) -> Self {
        let (status, body) = (StatusCode::SWITCHING_PROTOCOLS, ReplyBody::Empty);
        Self { status, headers, body, takeover: Some(takeover) }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn typed(status: StatusCode, kind: HeaderValue, body: ReplyBody) -> Self {
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(CONTENT_TYPE, kind);
        Self { status, headers, body, takeover: None }
    }

    /// The answer as hyper sends it; `guard` is dropped when its last byte has been handed over.
    pub(super) fn into_response<G>(
        self,
        (channel, page): (Channel, Page),
        guard: G,
    ) -> Response<Outbound<G>> {
        let mut headers = self.headers;
        page.tell(&mut headers);
        if channel.is_tls() {
            headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
        }
        for (name, value) in SECURITY {
            if let Entry::Vacant(free) = headers.entry(name) {
                free.insert(value);
            }
        }
        let mut response = Response::new(Outbound::new(self.body, guard));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// A buffer of up to three pieces that are written with one call.
#[derive(Debug)]
pub(super) struct Piece(Chain<Bytes, Chain<Bytes, &'static [u8]>>);

impl Piece {
    /// One piece.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self(bytes.chain(Bytes::new().chain(&[][..])))
    }

    /// Something before and something after a piece that is not copied.
    pub(super) fn framed(before: Bytes, bytes: Bytes, after: &'static [u8]) -> Self {
        Self(before.chain(bytes.chain(after)))
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.0.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.0.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.0.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, target: &mut [std::io::IoSlice<'a>]) -> usize {
        self.0.chunks_vectored(target)
    }
}

/// A reply's body on its way out.
#[derive(Debug)]
pub(super) struct Outbound<G> {
    rest: Rest,
    /// Dropped with the body: tells the connection that the answer is out, or was given up.
    _guard: G,
}

#[derive(Debug)]
enum Rest {
    Parts { parts: VecDeque<Bytes>, bytes: u64 },
    One(Option<Bytes>),
    Events(EventBody),
}

impl<G> Outbound<G> {
    fn new(body: ReplyBody, guard: G) -> Self {
        let rest = match body {
            ReplyBody::Empty => Rest::One(None),
            ReplyBody::Full(bytes) => Rest::One(Some(bytes).filter(|bytes| !bytes.is_empty())),
            ReplyBody::Parts(mut parts) => {
                parts.retain(|part| !part.is_empty());
                let bytes = parts.iter().map(|part| part.len() as u64).sum();
                Rest::Parts { parts: parts.into(), bytes }
            }
            ReplyBody::Events(events) => Rest::Events(events),
        };
        Self { rest, _guard: guard }
    }
}

impl<G: Unpin> Body for Outbound<G> {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let piece = match &mut self.rest {
            Rest::One(bytes) => Poll::Ready(bytes.take().map(Piece::whole)),
            Rest::Parts { parts, bytes } => {
                let part = parts.pop_front();
                *bytes = bytes.saturating_sub(part.as_ref().map_or(0, |part| part.len() as u64));
                Poll::Ready(part.map(Piece::whole))
            }
            Rest::Events(events) => events.poll_piece(cx),
        };
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.rest {
            Rest::One(bytes) => bytes.is_none(),
            Rest::Parts { parts, .. } => parts.is_empty(),
            Rest::Events(events) => events.ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            Rest::One(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Rest::Parts { bytes, .. } => SizeHint::with_exact(*bytes),
            Rest::Events(_) => SizeHint::default(),
        }
    }
}
