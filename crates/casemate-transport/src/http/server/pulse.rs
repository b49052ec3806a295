//! What a connection is busy with, noted so cheaply that no request pays for a timer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::http::shell::HttpLimits;
use crate::http::takeover::Takeover;

const IDLE: u64 = 0;
const HEAD: u64 = 1;
const BUSY: u64 = 2;
const PHASE_BITS: u32 = 2;
/// No write is blocked.
const FREE: u64 = u64::MAX;

/// The state of one connection: waiting for a request, reading a head, or answering; and since when. One task
/// drives the connection, so the atomics only satisfy the type system and need no order.
#[derive(Debug)]
pub(super) struct Pulse {
    born: Instant,
    /// The phase in the low bits, milliseconds since birth above them.
    phase: AtomicU64,
    /// Since when, in milliseconds since birth, the peer takes nothing of what we write.
    blocked: AtomicU64,
    /// What came could not be read, and that was told.
    unreadable: AtomicBool,
    /// Who gets the connection once the answer is out that says so.
    heir: Mutex<Option<Takeover>>,
}

impl Pulse {
    /// A new connection has to send a head like any other that has begun one.
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            phase: AtomicU64::new(HEAD),
            blocked: AtomicU64::new(FREE),
            unreadable: AtomicBool::new(false),
            heir: Mutex::default(),
        }
    }

    /// Notes who gets the connection next.
    pub(super) fn bequeath(&self, takeover: Takeover) {
        *self.heir.lock().unwrap_or_else(PoisonError::into_inner) = Some(takeover);
    }

    /// Who gets the connection, if anybody.
    pub(super) fn heir(&self) -> Option<Takeover> {
        self.heir.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX) & (u64::MAX >> PHASE_BITS)
    }

    fn set(&self, phase: u64) {
        self.phase.store((self.millis() << PHASE_BITS) | phase, Ordering::Relaxed);
    }

    fn phase(&self) -> u64 {
        self.phase.load(Ordering::Relaxed) & ((1 << PHASE_BITS) - 1)
    }

    /// A head is complete and its request is being answered.
    pub(super) fn busy(&self) {
        self.phase.store(BUSY, Ordering::Relaxed);
    }

    /// Notes that what came could not be read; whether that is news.
    pub(super) fn unreadable(&self) -> bool {
        !self.unreadable.swap(true, Ordering::Relaxed)
    }

    fn received(&self) {
        if self.phase() == IDLE {
            self.set(HEAD);
        }
    }

    fn written(&self, outcome: &Poll<io::Result<usize>>) {
        if outcome.is_pending() {
            if self.blocked.load(Ordering::Relaxed) == FREE {
                self.blocked.store(self.millis(), Ordering::Relaxed);
            }
            return;
        }
        self.blocked.store(FREE, Ordering::Relaxed);
        if self.phase() == IDLE {
            // The tail of an answer is still going out.
            self.set(IDLE);
        }
    }

    /// When the connection has to be cut if nothing changes; `None` while it is busy with us.
    pub(super) fn deadline(&self, limits: &HttpLimits) -> Option<Instant> {
        let phase = self.phase.load(Ordering::Relaxed);
        let since = self.born + Duration::from_millis(phase >> PHASE_BITS);
        let phase_end = match self.phase() {
            IDLE => Some(since + limits.idle_time_max),
            HEAD => Some(since + limits.head_time_max),
            _ => None,
        };
        let blocked = self.blocked.load(Ordering::Relaxed);
        let stall_end =
            (blocked != FREE).then(|| self.born + Duration::from_millis(blocked) + limits.idle_time_max);
        phase_end.into_iter().chain(stall_end).min()
    }

    /// Whether nothing was asked for so long, and everything that was answered has gone out.
    pub(super) fn is_idle_since(&self, now: Instant, time: Duration) -> bool {
        let phase = self.phase.load(Ordering::Relaxed);
        let since = self.born + Duration::from_millis(phase >> PHASE_BITS);
        self.phase() == IDLE && self.blocked.load(Ordering::Relaxed) == FREE && since + time <= now
    }
}

/// Held by an answer until its last byte was handed over or it was given up: then the connection is idle.
#[derive(Debug)]
pub(super) struct Answering(pub(super) Arc<Pulse>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(IDLE);
    }
}

/// A stream that tells the pulse what moves.
#[derive(Debug)]
pub(super) struct Felt<I> {
    stream: I,
    pub(super) pulse: Arc<Pulse>,
    /// What was read already and comes before anything else.
    early: Bytes,
}

impl<I> Felt<I> {
    pub(super) fn new(stream: I, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse, early: Bytes::new() }
    }

    /// The same stream with bytes put back that were read from it. They are copied: what they lie in is a reader's whole
    /// buffer, even if none of it is left.
    pub(super) fn after(mut self, read: &[u8]) -> Self {
        self.early = [read, &self.early].concat().into();
        self
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Felt<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(count));
            self.pulse.received();
            // What lies behind comes along: a reader that is given a few bytes first makes its buffer larger for the rest.
            let _ = Pin::new(&mut self.stream).poll_read(cx, buffer)?;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.pulse.received();
        }
        outcome
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Felt<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.pulse.written(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.pulse.written(&outcome);
        outcome
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
