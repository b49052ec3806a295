//! A plain accept loop over a Unix socket, for `mcp.sock`: stdio framing instead of HTTP.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::listener::{Peer, UnixSocket};

/// How long accepting rests after a failure: running out of descriptors does not pass sooner.
const REST: Duration = Duration::from_millis(50);

/// One accepted connection.
#[derive(Debug)]
pub struct Arrival {
    /// What the peer sends.
    pub reader: OwnedReadHalf,
    /// What the peer receives.
    pub writer: OwnedWriteHalf,
    /// The process that connected.
    pub peer: Peer,
    /// The connection's place among the allowed ones: keep it as long as the connection lives.
    pub place: OwnedSemaphorePermit,
}

/// Accepts connections, never more at a time than allowed: further ones wait in the kernel's queue.
#[derive(Debug)]
pub struct Acceptor {
    socket: UnixSocket,
    places: Arc<Semaphore>,
}

impl Acceptor {
    /// An acceptor for at most `connections_max` connections at a time.
    #[must_use]
    pub fn new(socket: UnixSocket, connections_max: usize) -> Self {
        Self { socket, places: Arc::new(Semaphore::new(connections_max)) }
    }

    /// The next connection. Cancel safe; failures of single connections are logged and passed over.
    pub async fn accept(&self) -> Arrival {
        loop {
            // The semaphore is never closed, so an error cannot happen; it would only mean another round.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { continue };
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    let (reader, writer) = stream.into_split();
                    return Arrival { reader, writer, peer, place };
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}
