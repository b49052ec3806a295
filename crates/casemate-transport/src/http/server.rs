//! The HTTP server: accepts connections, bounds them, and shows every request to one service.

mod connection;
mod places;
mod pulse;
#[cfg(test)]
mod tests;
mod unheard;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::head::{Channel, Head, Link, Reject};
use super::inbound::Inbound;
use super::reply::Reply;
use super::shell::{HttpLimits, Shell};
use super::tls::{self, Tls};
use crate::listener::{Listener, Peer};
use places::{Place, Places};

/// How long accepting rests after a failure: running out of descriptors does not pass sooner.
const REST: Duration = Duration::from_millis(50);
/// What was turned away before it became a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnedAway {
    /// There was no place for the connection.
    Full,
    /// What came is no request of HTTP/1.1, or its head is too large.
    Malformed,
    /// There was no TLS to be had with it: another protocol, an old version, no certificate that we accept. With what the
    /// library says of it.
    Handshake(String),
}

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. `arrival` is the head, or why the shell refused it; then the service only chooses the
    /// public form of the refusal. The future is dropped when the client goes away before the answer is there;
    /// it must therefore be safe to drop at any await.
    fn call(&self, arrival: Result<Head, Reject>, body: Inbound) -> impl Future<Output = Reply> + Send;

    /// Hears of what was turned away, and gives the id that the answer quotes, if there is one to give.
    fn turned_away(&self, peer: Peer, what: TurnedAway) -> Option<String> {
        let _ = (peer, what);
        None
    }
}

/// A server that any number of listeners can feed. Clones share everything.
#[derive(Debug)]
pub struct Server<S> {
    shell: Arc<ArcSwap<Shell>>,
    service: Arc<S>,
    stop: CancellationToken,
    tracker: TaskTracker,
    places: Arc<Places>,
    tls: Option<Arc<Tls>>,
}

impl<S> Clone for Server<S> {
    fn clone(&self) -> Self {
        Self {
            shell: Arc::clone(&self.shell),
            service: Arc::clone(&self.service),
            stop: self.stop.clone(),
            tracker: self.tracker.clone(),
            places: Arc::clone(&self.places),
            tls: self.tls.clone(),
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
        Self { shell, service, stop, tracker, places: Arc::default(), tls: None }
    }

    /// The same server, speaking TLS on every TCP connection.
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        self.tls = Some(tls);
        self
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
        let peer = Peer::Tcp(addr);
        let Some(tls) = self.tls.clone() else { return self.admit(stream, peer) };
        let Some((place, limits)) = self.place(peer) else {
            // Nothing can be said before a handshake, and that is what there is no place for.
            self.service.turned_away(peer, TurnedAway::Full);
            return;
        };
        let server = self.clone();
        // Each handshake has a task of its own: a slow one delays nobody.
        self.tracker.spawn(async move {
            let stop = server.stop.clone();
            let shaken = stop.run_until_cancelled(tls.accept(stream)).await;
            match shaken {
                Some(Ok(stream)) => {
                    let link = Link { peer, channel: Channel::Tls, certificate: tls::shown(&stream) };
                    connection::serve(server, stream, link, limits).await;
                }
                Some(Err(why)) => _ = server.service.turned_away(peer, TurnedAway::Handshake(why)),
                None => {}
            }
            drop(place);
        });
    }

    /// Serves a connection that is already there, within the limits: for listeners of another kind, and tests.
    pub fn admit<I>(&self, stream: I, peer: Peer)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match self.place(peer) {
            Some((place, limits)) => {
                let server = self.clone();
                self.tracker.spawn(async move {
                    connection::serve(server, stream, Link::plain(peer), limits).await;
                    drop(place);
                });
            }
            None => {
                let id = self.service.turned_away(peer, TurnedAway::Full).unwrap_or_default();
                self.tracker.spawn(refuse(stream, unheard::answer(StatusCode::SERVICE_UNAVAILABLE, &id)));
            }
        }
    }

    /// A place for a connection, if there is one.
    fn place(&self, peer: Peer) -> Option<(Place, HttpLimits)> {
        let shell = self.shell.load();
        // Behind a proxy everybody has the proxy's address.
        let shared = peer.address().is_some_and(|address| shell.proxies.trusts(address));
        let counted = peer.address().filter(|_| !shared);
        let place = Places::take(&self.places, counted, &shell.limits)?;
        Some((place, shell.limits.clone()))
    }
}

/// Tells a client that there is no place for it; one that does not listen is not waited for.
async fn refuse<I: AsyncWrite + Unpin>(mut stream: I, answer: Vec<u8>) {
    use tokio::io::AsyncWriteExt;
    let told = async {
        stream.write_all(&answer).await?;
        stream.shutdown().await
    };
    // Whether the client heard it changes nothing.
    let _ = tokio::time::timeout(REST, told).await;
}
