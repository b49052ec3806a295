//! A plain accept loop over a Unix socket, for `mcp.sock`: stdio framing instead of HTTP.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::Interest;
use tokio::net::UnixStream;
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
    /// Tells when the peer is gone altogether.
    pub hangup: Hangup,
    /// The process that connected.
    pub peer: Peer,
    /// The connection's place among the allowed ones: keep it as long as the connection lives.
    pub place: OwnedSemaphorePermit,
}

/// Watches a connection whose peer may have closed one direction only: to say that it has asked everything, and to
/// read on.
#[derive(Debug)]
pub struct Hangup(UnixStream);

impl Hangup {
    fn of(stream: &UnixStream) -> io::Result<Hangup> {
        let twin = std::os::unix::net::UnixStream::from(stream.as_fd().try_clone_to_owned()?);
        UnixStream::from_std(twin).map(Hangup)
    }

    /// Waits until the peer has closed both directions, or is dead.
    pub async fn wait(&self) {
        // Readiness to read stays set once the peer has said everything; readiness to write can be put back, and comes
        // again with every change of the connection. A failure to watch is a connection of no use any more.
        while self.0.writable().await.is_ok() && !is_hung_up(&self.0) {
            let not_yet = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            _ = self.0.try_io(Interest::WRITABLE, not_yet);
        }
    }
}

fn is_hung_up(socket: &UnixStream) -> bool {
    let mut poll = [PollFd::new(socket, PollFlags::empty())];
    let asked = rustix::event::poll(&mut poll, Some(&Timespec::default()));
    asked.is_err() || poll.iter().any(|socket| socket.revents().contains(PollFlags::HUP))
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
                Ok((stream, peer)) => match Hangup::of(&stream) {
                    Ok(hangup) => {
                        let (reader, writer) = stream.into_split();
                        return Arrival { reader, writer, hangup, peer, place };
                    }
                    Err(error) => tracing::warn!(%error, "a connection could not be watched"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_peer_that_only_stopped_talking_has_not_hung_up() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let hangup = Hangup::of(&ours).unwrap();
        theirs.write_all(b"last words").await.unwrap();
        theirs.shutdown().await.unwrap();
        assert!(timeout(Duration::from_millis(20), hangup.wait()).await.is_err(), "it still reads");
        drop(theirs);
        hangup.wait().await;
    }
}
