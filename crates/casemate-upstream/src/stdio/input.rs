//! The pipe into a process, with a count of what went through it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::sync::oneshot;

use crate::Input;

/// Counts what is written. When it is closed, it reports how much of that was read.
pub(super) struct Counted {
    input: Box<dyn Input>,
    written_bytes: u64,
    report: Option<oneshot::Sender<u64>>,
}

impl Counted {
    /// Counts; the receiver gets the number of bytes that the process read, once the pipe is closed from our side.
    pub(super) fn new(input: Box<dyn Input>) -> (Counted, oneshot::Receiver<u64>) {
        let (report, read_bytes) = oneshot::channel();
        (Counted { input, written_bytes: 0, report: Some(report) }, read_bytes)
    }

    fn report(&mut self) {
        if let (Some(report), Some(unread)) = (self.report.take(), self.input.unread()) {
            _ = report.send(self.written_bytes.saturating_sub(unread));
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.report();
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.input).poll_write(cx, buf))?;
        self.written_bytes += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What is asked of a closed pipe is not answered.
        self.report();
        Pin::new(&mut self.input).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::unix::pipe;

    #[tokio::test]
    async fn what_a_dead_reader_left_in_the_pipe_was_not_read() {
        let (sender, mut receiver) = pipe::pipe().unwrap();
        let (mut counted, read_bytes) = Counted::new(Box::new(sender));
        counted.write_all(b"0123456789").await.unwrap();
        receiver.read_exact(&mut [0; 4]).await.unwrap();
        drop(receiver);
        drop(counted);
        assert_eq!(read_bytes.await, Ok(4));
    }
}
