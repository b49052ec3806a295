//! Writes lines through one task, so that many senders share a pipe and a burst costs one write.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;
use thiserror::Error;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How many queued frames one write may carry.
const BATCH_FRAMES: usize = 64;
/// Frames up to this size are gathered into one buffer; a longer one is written from where it lies.
const GATHER_BYTES: usize = 16 * 1024;

/// Why a frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LineFault {
    /// The other side no longer reads, or the writer has ended.
    #[error("the pipe is closed")]
    Closed,
    /// The frame holds a raw line break and would be read as two messages.
    #[error("the message holds a raw line break")]
    LineBreak,
    /// The queue is full ([`LineSender::try_send`] only).
    #[error("the pipe's queue is full")]
    Full,
}

/// Puts frames into the queue of one pipe. Clones share the queue; when the last one is dropped the queue is
/// written out and the pipe is closed.
#[derive(Debug, Clone)]
pub struct LineSender {
    queue: mpsc::Sender<Bytes>,
}

impl LineSender {
    /// Queues one frame; waits while the queue is full. `Ok` means queued, not yet written.
    ///
    /// # Errors
    /// [`LineFault::LineBreak`] when the frame holds a raw `\n` or `\r`; [`LineFault::Closed`].
    pub async fn send(&self, frame: Bytes) -> Result<(), LineFault> {
        check(&frame)?;
        self.queue.send(frame).await.map_err(|_| LineFault::Closed)
    }

    /// Queues one frame if there is room now.
    ///
    /// # Errors
    /// As [`LineSender::send`], and [`LineFault::Full`].
    pub fn try_send(&self, frame: Bytes) -> Result<(), LineFault> {
        check(&frame)?;
        self.queue.try_send(frame).map_err(|fault| match fault {
            mpsc::error::TrySendError::Full(_) => LineFault::Full,
            mpsc::error::TrySendError::Closed(_) => LineFault::Closed,
        })
    }

    /// Waits until the pipe is closed by its reader or broken.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

/// Starts the one task that writes to `sink`, on `tracker`, behind a queue of `queue_frames` (at least 1).
pub fn writer<W>(sink: W, queue_frames: usize, tracker: &TaskTracker) -> LineSender
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (queue, frames) = mpsc::channel(queue_frames.max(1));
    tracker.spawn(drain(frames, sink));
    LineSender { queue }
}

/// A line break inside a frame would let its sender forge a second message.
fn check(frame: &[u8]) -> Result<(), LineFault> {
    match memchr2(b'\n', b'\r', frame) {
        Some(_) => Err(LineFault::LineBreak),
        None => Ok(()),
    }
}

/// Writes batches until the senders are gone or the pipe breaks; dropping the receiver tells the senders.
async fn drain<W: AsyncWrite + Unpin>(mut frames: mpsc::Receiver<Bytes>, mut sink: W) {
    let mut batch = Vec::with_capacity(BATCH_FRAMES);
    let mut gathered = BytesMut::new();
    while frames.recv_many(&mut batch, BATCH_FRAMES).await > 0 {
        if let Err(error) = write_batch(&mut batch, &mut gathered, &mut sink).await {
            tracing::debug!(%error, "a pipe can no longer be written to");
            return;
        }
    }
    if let Err(error) = sink.shutdown().await {
        tracing::debug!(%error, "a pipe could not be closed cleanly");
    }
}

/// Writes one batch: short frames together, long ones without a copy.
async fn write_batch<W: AsyncWrite + Unpin>(
    batch: &mut Vec<Bytes>,
    gathered: &mut BytesMut,
    sink: &mut W,
) -> std::io::Result<()> {
    for frame in batch.drain(..) {
        if gathered.len() + frame.len() > GATHER_BYTES {
            sink.write_all(gathered).await?;
            gathered.clear();
        }
        if frame.len() > GATHER_BYTES {
            sink.write_all(&frame).await?;
        } else {
            gathered.extend_from_slice(&frame);
        }
        gathered.extend_from_slice(b"\n");
    }
    sink.write_all(gathered).await?;
    gathered.clear();
    sink.flush().await
}
