//! Sockets of servers that speak stdio framing: a Unix socket of this machine, or an address of TCP.

use std::path::Path;
use std::sync::Arc;

use casemate_net::SystemResolver;
use casemate_transport::listener::{Peer, peer_of};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::entry::SocketSource;

type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

/// Connects; the error is a sentence for a person.
pub(super) async fn connect(source: &SocketSource) -> Result<Halves, String> {
    match source {
        SocketSource::Unix(path) => unix(path).await,
        SocketSource::Tcp(place) => {
            let stream = place.dial(Arc::new(SystemResolver::new())).await?;
            // Messages are written whole, so waiting to gather more would only delay them.
            _ = stream.set_nodelay(true);
            let (reader, writer) = stream.into_split();
            Ok((Box::new(reader), Box::new(writer)))
        }
    }
}

async fn unix(path: &Path) -> Result<Halves, String> {
    let shown = path.display();
    let stream = UnixStream::connect(path)
        .await
        .map_err(|fault| format!("the socket {shown} does not answer: {fault}"))?;
    let peer =
        peer_of(&stream).map_err(|fault| format!("the socket {shown} does not say whose it is: {fault}"))?;
    let ours = rustix::process::geteuid().as_raw();
    is_trusted(peer, ours).map_err(|why| format!("the socket {shown} {why}"))?;
    let (reader, writer) = stream.into_split();
    Ok((Box::new(reader), Box::new(writer)))
}

/// Whoever can put a socket at the path would be told everything that is meant for the server.
fn is_trusted(peer: Peer, ours: u32) -> Result<(), String> {
    match peer {
        Peer::Unix { uid, .. } if uid == ours || uid == 0 => Ok(()),
        Peer::Unix { uid, .. } => {
            Err(format!("belongs to a process of the user {uid}, and neither to this user nor to root"))
        }
        Peer::Tcp(_) | Peer::Forwarded { .. } => Err("does not say whose it is".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbor_at_the_path_is_told_nothing() {
        let of = |uid| is_trusted(Peer::Unix { uid, pid: Some(1) }, 1000);
        assert_eq!((of(1000), of(0)), (Ok(()), Ok(())));
        assert!(of(1001).unwrap_err().contains("user 1001"));
        assert!(is_trusted(Peer::Tcp(([127, 0, 0, 1], 1).into()), 1000).is_err());
    }
}
