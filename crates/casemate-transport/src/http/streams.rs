//! Resumable event streams of one legacy session (Streamable HTTP, 2025-03-26 to 2025-11-25).
//!
//! Every message of a session goes to exactly one stream: that of the call it belongs to, or the general one (the
//! GET stream). A stream is a log, and a connection is only a reader of it: when the connection breaks, the log
//! goes on, and the client comes back with the id of the last event it saw. What a slow or absent client may cost
//! is bounded per session.

mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::Notify;

use super::events::Event;
use state::{GENERAL, Position, State};

/// Bounds on what one session keeps for replay. Where nothing can be forgotten and nobody can wait, a stream may
/// hold one event beyond them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLimits {
    /// Events kept, over all streams of the session. Default 256: a call with a long progress report.
    pub events_max: usize,
    /// Bytes kept, over all streams. One event may be longer if nothing else is kept. Default 1 MiB.
    pub bytes_max: usize,
    /// How long a finished stream can still be resumed. Default 30 s: a reconnection, not an archive.
    pub keep_time: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { events_max: 256, bytes_max: 1024 * 1024, keep_time: Duration::from_secs(30) }
    }
}

/// Asks for an event without a message at the start of a connection: it gives the client an id to come back
/// with before anything happened (2025-11-25; older clients may stumble over it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prime {
    /// How long the client shall wait before it comes back.
    pub retry: Option<Duration>,
}

/// Why a stream cannot be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResumeFault {
    /// The id was never given out in this session, or its stream is no longer kept.
    #[error("no stream of this session has that event id")]
    Unknown,
    /// Events after the id are no longer kept: resuming would silently lose them.
    #[error("events after that id are no longer kept")]
    Forgotten,
}

/// The session was closed or the stream finished: the event went nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the stream has ended")]
pub struct StreamEnded;

/// The streams of one session. Clones share them. An idle session takes some hundred bytes.
#[derive(Debug, Clone)]
pub struct Streams {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: StreamLimits,
    state: Mutex<State>,
    /// Rings when something was read or forgotten, so that a waiting writer looks again.
    room: Notify,
}

impl Shared {
    /// A panic while the lock was held cannot leave half an event behind: every change is one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    /// No streams yet.
    #[must_use]
    pub fn new(limits: StreamLimits) -> Self {
        Self { shared: Arc::new(Shared { limits, state: Mutex::default(), room: Notify::new() }) }
    }

    /// Opens the stream of one call: its writer, and its reader for the reply to the POST.
    #[must_use]
    pub fn open(&self, prime: Option<Prime>) -> (StreamWriter, Subscription) {
        let mut state = self.shared.lock();
        state.sweep(&self.shared.limits);
        let stream = state.open();
        let position = Position { stream, seq: 1 };
        let subscription = self.subscribe(&mut state, position, prime);
        drop(state);
        (StreamWriter { shared: Arc::clone(&self.shared), stream }, subscription)
    }

    /// Attaches a reader to the general stream; it begins with what no reader has taken yet. Only one is
    /// attached at a time and the newest wins: an older one is most often a connection that broke unnoticed.
    #[must_use]
    pub fn attach_general(&self, prime: Option<Prime>) -> Subscription {
        let mut state = self.shared.lock();
        state.open_general();
        let seq = state.unread(GENERAL);
        self.subscribe(&mut state, Position { stream: GENERAL, seq }, prime)
    }

    /// Puts a message on the general stream. Without a reader, or when the reader is slow, it is kept within the
    /// limits and the oldest ones are forgotten. Returns whether it was kept: `false` after [`Streams::close`].
    #[must_use = "a closed session takes nothing"]
    pub fn push_general(&self, message: Bytes) -> bool {
        let mut state = self.shared.lock();
        if state.closed {
            return false;
        }
        state.open_general();
        state.make_room(&self.shared.limits, GENERAL, message.len());
        state.append(GENERAL, message)
    }

    /// Resumes the stream that `last_event_id` belongs to, after that event. A reader that is still attached to
    /// it ends.
    ///
    /// # Errors
    /// [`ResumeFault`].
    pub fn resume(&self, last_event_id: &str, prime: Option<Prime>) -> Result<Subscription, ResumeFault> {
        let last = Position::parse(last_event_id).ok_or(ResumeFault::Unknown)?;
        let mut state = self.shared.lock();
        state.sweep(&self.shared.limits);
        let position = state.after(last)?;
        Ok(self.subscribe(&mut state, position, prime))
    }

    /// Ends every reader and writer: the session is over.
    pub fn close(&self) {
        self.shared.lock().close();
        self.shared.room.notify_waiters();
    }

    /// Forgets finished streams whose time is over. Call it now and then for sessions that are idle; every use
    /// of the session does it too.
    pub fn sweep(&self) {
        self.shared.lock().sweep(&self.shared.limits);
    }

    fn subscribe(&self, state: &mut State, position: Position, prime: Option<Prime>) -> Subscription {
        let generation = state.attach(position);
        Subscription { shared: Arc::clone(&self.shared), stream: position.stream, generation, prime }
    }
}

/// Writes the stream of one call. Dropping it finishes the stream; a reader that breaks off does not: the client
/// may come back, and only says so when it wants the call to stop.
#[derive(Debug)]
pub struct StreamWriter {
    shared: Arc<Shared>,
    stream: u32,
}

impl StreamWriter {
    /// Appends a message. While a client reads, waits for it when the session's limits are reached; while none
    /// does, the oldest events are forgotten instead.
    ///
    /// # Errors
    /// [`StreamEnded`] after [`StreamWriter::finish`] or [`Streams::close`].
    pub async fn send(&self, message: Bytes) -> Result<(), StreamEnded> {
        loop {
            let room = self.shared.room.notified();
            {
                let mut state = self.shared.lock();
                if !state.is_open(self.stream) {
                    return Err(StreamEnded);
                }
                let fits = state.make_room(&self.shared.limits, self.stream, message.len());
                if fits || !state.has_reader(self.stream) {
                    state.append(self.stream, message);
                    return Ok(());
                }
            }
            room.await;
        }
    }

    /// Appends the last message, the response, and finishes the stream.
    ///
    /// # Errors
    /// As [`StreamWriter::send`].
    pub async fn finish(&self, response: Bytes) -> Result<(), StreamEnded> {
        self.send(response).await?;
        self.shared.lock().finish(self.stream);
        Ok(())
    }

    /// Ends the connection but not the stream: the client comes back for the rest (2025-11-25, "polling").
    pub fn hang_up(&self) {
        self.shared.lock().detach(self.stream);
        self.shared.room.notify_waiters();
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        self.shared.lock().finish(self.stream);
    }
}

/// Reads one stream for one connection. It ends when the stream is finished and read, or when another reader
/// took its place.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    stream: u32,
    generation: u64,
    prime: Option<Prime>,
}

impl Subscription {
    /// The next event; `None` when this reader's part is over.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.shared.lock();
        if let Some(prime) = self.prime.take() {
            let event = state.position(self.stream, self.generation).map(|position| Event {
                id: Some(position.id()),
                retry: prime.retry,
                ..Event::default()
            });
            return Poll::Ready(event);
        }
        let taken = state.take(self.stream, self.generation, cx);
        drop(state);
        if let Poll::Ready(Some(_)) = &taken {
            self.shared.room.notify_waiters();
        }
        taken
    }

    /// The next event; `None` when this reader's part is over. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.lock().leave(self.stream, self.generation);
        self.shared.room.notify_waiters();
    }
}
