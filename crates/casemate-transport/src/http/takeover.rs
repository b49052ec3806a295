//! A connection that leaves HTTP: what becomes of it once the answer that says so is out.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection, whatever it goes over.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who takes a connection over. It keeps its place among the server's connections until that has ended.
pub struct Takeover(Box<dyn FnOnce(Box<dyn Duplex>) -> Served + Send>);

impl Takeover {
    /// Takes the connection to this.
    pub fn new<F, S>(serve: F) -> Takeover
    where
        F: FnOnce(Box<dyn Duplex>) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        Takeover(Box::new(move |stream| Box::pin(serve(stream))))
    }

    /// Serves the connection to its end.
    pub(super) async fn serve(self, stream: Box<dyn Duplex>) {
        (self.0)(stream).await;
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}

/// A connection with bytes put back that were read from it.
#[derive(Debug)]
pub(super) struct Rejoined<I> {
    early: Bytes,
    stream: I,
}

impl<I> Rejoined<I> {
    pub(super) fn new(early: Bytes, stream: I) -> Self {
        Self { early, stream }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Rejoined<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Rejoined<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
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
