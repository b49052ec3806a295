//! Answers to what never became a request: a head that cannot be read, a connection too many.
//!
//! hyper answers a broken head by itself, without our headers, and tells nobody. [`Mended`] sits below it, recognizes
//! that answer as it goes out, and sends ours in its place.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::reply::SECURITY;

/// How the answers begin that hyper gives by itself: 400, 414 and 431.
const BEGINNING: &[u8] = b"HTTP/1.1 4";
/// The longest of them, in bytes; ours are longer, since they have security headers.
const LENGTH_MAX: usize = 160;
/// A header that all our answers have.
const MARK: &[u8] = b"x-content-type-options";

/// Writes a whole answer without a body. `id` is what the caller can quote to us.
pub(super) fn answer(status: StatusCode, id: &str) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut text =
        format!("HTTP/1.1 {} {reason}\r\ncontent-length: 0\r\nconnection: close\r\n", status.as_u16());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        text.push_str("retry-after: 1\r\n");
    }
    if !id.is_empty() {
        text.push_str(&format!("x-request-id: {id}\r\n"));
    }
    for (name, value) in SECURITY {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Makes the answer to a broken head of a status.
pub(super) type Mender = Box<dyn Fn(StatusCode) -> Vec<u8> + Send>;

/// A stream on which every answer is ours.
pub(super) struct Mended<I> {
    stream: I,
    mender: Mender,
    /// Nothing was written since everything before was flushed: an answer can begin here.
    fresh: bool,
    /// Our answer as far as it is not sent, and how many bytes of hyper's it stands for.
    ours: Option<Ours>,
}

struct Ours {
    text: Vec<u8>,
    sent: usize,
    stands_for: usize,
}

impl<I> Mended<I> {
    pub(super) fn new(stream: I, mender: Mender) -> Self {
        Self { stream, mender, fresh: true, ours: None }
    }

    pub(super) fn into_inner(self) -> I {
        self.stream
    }

    /// Whether these bytes are an answer that hyper gave by itself; its status.
    fn foreign(&self, bytes: &[u8]) -> Option<StatusCode> {
        if !self.fresh || !bytes.starts_with(BEGINNING) || bytes.len() > LENGTH_MAX {
            return None;
        }
        let is_ours = bytes.windows(MARK.len()).any(|window| window.eq_ignore_ascii_case(MARK));
        let is_whole = bytes.ends_with(b"\r\n\r\n");
        let code = bytes.get(9..12).filter(|_| is_whole && !is_ours)?;
        StatusCode::from_bytes(code).ok()
    }
}

impl<I: AsyncWrite + Unpin> Mended<I> {
    /// Sends what is left of our answer.
    fn poll_ours(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        let Some(ours) = &mut self.ours else { return Poll::Ready(Ok(None)) };
        while let Some(rest) = ours.text.get(ours.sent..).filter(|rest| !rest.is_empty()) {
            match std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => ours.sent += count,
            }
        }
        let stands_for = ours.stands_for;
        self.ours = None;
        Poll::Ready(Ok(Some(stands_for)))
    }

    /// Our own answer in place of hyper's: `None` when these bytes are none.
    fn poll_mended(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.ours.is_none() {
            let status = self.foreign(bytes)?;
            self.ours = Some(Ours { text: (self.mender)(status), sent: 0, stands_for: bytes.len() });
        }
        Some(self.poll_ours(cx).map(|sent| sent.map(Option::unwrap_or_default)))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Mended<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Mended<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let outcome = match this.poll_mended(cx, bytes) {
            Some(outcome) => outcome,
            None => Pin::new(&mut this.stream).poll_write(cx, bytes),
        };
        this.fresh &= outcome.is_pending();
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        let outcome = match this.poll_mended(cx, first) {
            Some(outcome) => outcome,
            None => Pin::new(&mut this.stream).poll_write_vectored(cx, slices),
        };
        this.fresh &= outcome.is_pending();
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has nothing left to write.
        self.fresh = true;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
