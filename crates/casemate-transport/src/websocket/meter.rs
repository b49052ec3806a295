//! How much moves on a connection, seen from below the framing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a message may cost besides its own bytes: the heads of its frames, and what was read ahead.
const ENVELOPE_BYTES: u64 = 64 * 1024;

/// The counters of one connection. One task drives it, so no order is needed.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Bytes read since the last whole message, without those of control frames.
    unfinished: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
    /// More than a message may take on its way.
    unfinished_max: u64,
}

impl Meter {
    /// A message is whole.
    pub(super) fn message(&self) {
        self.unfinished.store(0, Ordering::Relaxed);
    }

    /// A control frame of that size is no part of a message.
    pub(super) fn control(&self, bytes: u64) {
        let rest = self.unfinished().saturating_sub(bytes);
        self.unfinished.store(rest, Ordering::Relaxed);
    }

    /// Whether the message that has begun takes more than any may.
    pub(super) fn is_endless(&self) -> bool {
        self.unfinished() > self.unfinished_max
    }

    pub(super) fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// All bytes that were read and written.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }
}

/// A connection whose bytes are counted. A message that never ends, however it is cut into frames, is not read forever.
#[derive(Debug)]
pub(super) struct Metered<I> {
    stream: I,
    meter: Arc<Meter>,
}

impl<I> Metered<I> {
    pub(super) fn new(stream: I, message_bytes_max: usize) -> (Metered<I>, Arc<Meter>) {
        let unfinished_max = (message_bytes_max as u64).saturating_mul(2).saturating_add(ENVELOPE_BYTES);
        let meter = Arc::new(Meter { unfinished_max, ..Meter::default() });
        (Metered { stream, meter: Arc::clone(&meter) }, meter)
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = written {
            self.meter.written.fetch_add(*count as u64, Ordering::Relaxed);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Metered<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let count = (buffer.filled().len() - before) as u64;
        self.meter.read.fetch_add(count, Ordering::Relaxed);
        let unfinished = self.meter.unfinished.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        // Whoever looks at the meter between two reads ends it with a word; this is for a source that never pauses.
        if unfinished > self.meter.unfinished_max.saturating_mul(2) {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Metered<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
