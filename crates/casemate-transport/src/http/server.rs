//! The HTTP server: accepts connections, bounds them, and shows every request to one service.

mod connection;
mod places;
mod pulse;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::head::{Head, Reject};
use super::inbound::Inbound;
use super::reply::Reply;
use super::shell::Shell;
use crate::listener::{Listener, Peer};
use places::Places;

/// How long accepting rests after a failure: running out of descriptors does not pass sooner.
const REST: Duration = Duration::from_millis(50);
/// What a connection beyond the limits gets before it is closed.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. `arrival` is the head, or why the shell refused it; then the service only chooses the
    /// public form of the refusal. The future is dropped when the client goes away before the answer is there;
    /// it must therefore be safe to drop at any await.
    fn call(&self, arrival: Result<Head, Reject>, body: Inbound) -> impl Future<Output = Reply> + Send;
}

/// A server that any number of listeners can feed. Clones share everything.
#[derive(Debug)]
pub struct Server<S> {
    shell: Arc<ArcSwap<Shell>>,
    service: Arc<S>,
    stop: CancellationToken,
    tracker: TaskTracker,
    places: Arc<Places>,
}

impl<S> Clone for Server<S> {
    fn clone(&self) -> Self {
        Self {
            shell: Arc::clone(&self.shell),
            service: Arc::clone(&self.service),
            stop: self.stop.clone(),
            tracker: self.tracker.clone(),
            places: Arc::clone(&self.places),
        }
    }
}

impl<S: Service> Server<S> {
    /// A server whose connections run on `tracker`. When `stop` is cancelled it accepts no more, answers what is
    /// in flight and closes; event streams end when their feeders do. Wait for the tracker, with a time limit.
    pub fn new(
        shell: Arc<ArcSwap<Shell>>,
        service: Arc<S>,
        stop: CancellationToken,
        tracker: TaskTracker,
    ) -> Self {
        Self { shell, service, stop, tracker, places: Arc::default() }
    }

    /// Accepts connections until stopped. Spawn it on the tracker.
    pub async fn run(self, listener: Listener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = self.accept(&listener) => accepted,
            };
            if let Err(error) = accepted {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }

    async fn accept(&self, listener: &Listener) -> io::Result<()> {
        match listener {
            Listener::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                self.admit_tcp(stream, addr);
            }
            Listener::Unix(socket) => {
                let (stream, peer) = socket.accept().await?;
                self.admit(stream, peer);
            }
        }
        Ok(())
    }

    fn admit_tcp(&self, stream: TcpStream, addr: SocketAddr) {
        // Answers are written whole, so waiting to gather more would only delay them. A socket that refuses the
        // option is already closed and shows it at the first read.
        let _ = stream.set_nodelay(true);
        self.admit(stream, Peer::Tcp(addr));
    }

    /// Serves a connection that is already there, within the limits: for listeners of another kind, and tests.
    pub fn admit<I>(&self, stream: I, peer: Peer)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shell = self.shell.load();
        let limits = shell.limits.clone();
        // Behind a proxy everybody has the proxy's address.
        let shared = peer.address().is_some_and(|address| shell.proxies.trusts(address));
        let counted = peer.address().filter(|_| !shared);
        match Places::take(&self.places, counted, &limits) {
            Some(place) => {
                let server = self.clone();
                self.tracker.spawn(async move {
                    connection::serve(server, stream, peer, limits).await;
                    drop(place);
                });
            }
            None => {
                tracing::debug!(?peer, "too many connections");
                self.tracker.spawn(refuse(stream));
            }
        }
    }
}

/// Tells a client that there is no place for it; one that does not listen is not waited for.
async fn refuse<I: AsyncWrite + Unpin>(mut stream: I) {
    use tokio::io::AsyncWriteExt;
    let told = async {
        stream.write_all(FULL).await?;
        stream.shutdown().await
    };
    // Whether the client heard it changes nothing.
    let _ = tokio::time::timeout(REST, told).await;
}
