//! Writes lines through one task, so that many senders share a pipe and a burst costs one write.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::link::{self, LinkSender};

/// How many queued frames one write may carry.
const BATCH_FRAMES: usize = 64;
/// Frames up to this size are gathered into one buffer; a longer one is written from where it lies.
const GATHER_BYTES: usize = 16 * 1024;

/// Starts the one task that writes to `sink`, on `tracker`, behind a queue of `queue_frames` (at least 1).
pub fn writer<W>(sink: W, queue_frames: usize, tracker: &TaskTracker) -> LinkSender
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (sender, frames) = link::queue(queue_frames);
    tracker.spawn(drain(frames, sink));
    sender
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
