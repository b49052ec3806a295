//! Links: whole messages in both directions, whatever frames them.
//!
//! Lines over a pipe or a socket, a WebSocket, and a stream of events with posts beside it all carry the same: one
//! message after the other. What is above a link need not know which one it is.

use std::borrow::Cow;
use std::fmt;
use std::io;

use bytes::Bytes;
use memchr::memchr2;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

use crate::lines::{Line, LineReader};

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LinkFault {
    /// The other side no longer reads, or the writer has ended.
    #[error("the pipe is closed")]
    Closed,
    /// The message holds a raw line break. Over lines it would be read as two, so no link takes it.
    #[error("the message holds a raw line break")]
    LineBreak,
    /// The queue is full ([`LinkSender::try_send`] only).
    #[error("the pipe's queue is full")]
    Full,
}

/// Puts messages into the queue of one link. Clones share the queue; when the last one is dropped the queue is written out
/// and the link is closed.
#[derive(Debug, Clone)]
pub struct LinkSender {
    queue: mpsc::Sender<Bytes>,
}

/// A sender and what comes out of it, with a queue of `queue_messages` (at least 1) between them.
#[must_use]
pub fn queue(queue_messages: usize) -> (LinkSender, mpsc::Receiver<Bytes>) {
    let (queue, messages) = mpsc::channel(queue_messages.max(1));
    (LinkSender { queue }, messages)
}

impl LinkSender {
    /// Queues one message; waits while the queue is full. `Ok` means queued, not yet written.
    ///
    /// # Errors
    /// [`LinkFault::LineBreak`] when the message holds a raw `\n` or `\r`; [`LinkFault::Closed`].
    pub async fn send(&self, message: Bytes) -> Result<(), LinkFault> {
        check(&message)?;
        self.queue.send(message).await.map_err(|_| LinkFault::Closed)
    }

    /// Queues one message if there is room now.
    ///
    /// # Errors
    /// As [`LinkSender::send`], and [`LinkFault::Full`].
    pub fn try_send(&self, message: Bytes) -> Result<(), LinkFault> {
        check(&message)?;
        self.queue.try_send(message).map_err(|fault| match fault {
            mpsc::error::TrySendError::Full(_) => LinkFault::Full,
            mpsc::error::TrySendError::Closed(_) => LinkFault::Closed,
        })
    }

    /// Waits until the link is closed by its reader or broken.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

/// A line break inside a message would let its sender forge a second one.
fn check(message: &[u8]) -> Result<(), LinkFault> {
    match memchr2(b'\n', b'\r', message) {
        Some(_) => Err(LinkFault::LineBreak),
        None => Ok(()),
    }
}

/// What was read from a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// One message, not checked in any way; never blank.
    Message(Bytes),
    /// The other side has said everything and may still read.
    Said,
    /// The link is over.
    Over(Over),
}

/// How a link ended that we did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    /// The other side closed it, or is gone.
    Closed,
    /// A message was larger than it may be.
    TooLarge,
    /// It broke another of our bounds or the rules of its framing: a sentence for the log.
    Broken(Cow<'static, str>),
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Over::Closed => f.write_str("the other side closed the connection"),
            Over::TooLarge => f.write_str("a message was too large"),
            Over::Broken(why) => f.write_str(why),
        }
    }
}

/// Why we end a link. Where the framing has words for it, the other side is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// All is said.
    Done,
    /// It was not used for too long, or its life is over.
    Idle,
    /// We are stopping.
    Stopping,
    /// The other side did what it may not; with what that is, in at most 123 bytes.
    Refused(&'static str),
}

/// The receiving half of a link.
pub trait LinkReader: Send {
    /// The next message, or the end. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Received> + Send;

    /// Ends the link. What was queued before is still written, where the other side reads.
    fn part(&mut self, farewell: Farewell);
}

impl<R: AsyncRead + Unpin + Send> LinkReader for LineReader<R> {
    async fn next(&mut self) -> Received {
        match LineReader::next(self).await {
            Ok(Some(Line::Frame(text))) => Received::Message(text),
            Ok(Some(Line::TooLong { bytes })) => Received::Over(Over::Broken(
                format!("a line of {bytes} bytes was too long; the connection is closed").into(),
            )),
            Ok(None) => Received::Said,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Received::Over(Over::Broken("a line was not UTF-8; the connection is closed".into()))
            }
            Err(_) => Received::Over(Over::Closed),
        }
    }

    /// Lines have no words for it: the link ends with its senders.
    fn part(&mut self, _: Farewell) {}
}
