//! Where connections come from: a TCP address or a Unix socket, and who sits at the other end.

use std::fmt;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The longest path of a Unix socket, in bytes: `sun_path` is 108 on Linux, with the final zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Who sits at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP client: its address proves nothing about who it is.
    Tcp(SocketAddr),
    /// A TCP client behind a trusted proxy, by what the proxy says.
    Forwarded {
        /// The client's address.
        client: IpAddr,
        /// The proxy that is connected to us.
        proxy: SocketAddr,
    },
    /// A process on this machine, as the kernel saw it when it connected (`SO_PEERCRED`).
    Unix {
        /// Its effective user id.
        uid: u32,
        /// Its process id. Only good for a log: ids are reused.
        pid: Option<i32>,
    },
}

impl Peer {
    /// The address that limits and rules go by: the client's own, also when it comes through a proxy; `None` for a
    /// process of this machine. An address of IPv4 never comes mapped into IPv6.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Peer::Tcp(addr) => Some(addr.ip().to_canonical()),
            Peer::Forwarded { client, .. } => Some(*client),
            Peer::Unix { .. } => None,
        }
    }
}

impl fmt::Display for Peer {
    /// As records have it: an address, with its port where it is known, or `unix`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(addr) => addr.fmt(f),
            Peer::Forwarded { client, .. } => client.fmt(f),
            Peer::Unix { .. } => f.write_str("unix"),
        }
    }
}

/// Why no listener could be had.
#[derive(Debug, Error)]
pub enum BindFault {
    /// Another program listens there.
    #[error(
        "{place} is already in use\nhint: another program listens there; stop it or choose another place"
    )]
    InUse {
        /// The address or path.
        place: String,
    },
    /// This user may not listen there.
    #[error(
        "no permission to listen on {place}\nhint: ports below 1024 need a privilege; choose a higher one"
    )]
    Denied {
        /// The address or path.
        place: String,
    },
    /// The address is not one of this machine's.
    #[error("{place} is not an address of this machine")]
    Foreign {
        /// The address.
        place: String,
    },
    /// The path does not fit into a socket address.
    #[error("the socket path {} has {} bytes, and the system allows {SOCKET_PATH_BYTES_MAX}\nhint: choose a shorter CASEMATE_HOME", path.display(), path.as_os_str().len())]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// The path has something else than a socket on it, which is never removed.
    #[error("{} exists and is not a socket", path.display())]
    NotSocket {
        /// The path.
        path: PathBuf,
    },
    /// Other users could reach the socket, or replace it.
    #[error("the folder {} must belong to this user and be closed to others\nhint: chmod 700 {}", path.display(), path.display())]
    Exposed {
        /// The folder.
        path: PathBuf,
    },
    /// Anything else that the system said.
    #[error("cannot listen on {place}")]
    Io {
        /// The address or path.
        place: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound socket that connections can be accepted from.
#[derive(Debug)]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixSocket),
}

impl Listener {
    /// Listens on a TCP address. Port 0 lets the system choose ([`Listener::local_addr`] tells).
    ///
    /// # Errors
    /// [`BindFault`]; a port in use is told apart.
    pub async fn bind_tcp(addr: SocketAddr) -> Result<Self, BindFault> {
        match TcpListener::bind(addr).await {
            Ok(listener) => Ok(Self::Tcp(listener)),
            Err(source) => Err(fault(addr.to_string(), source)),
        }
    }

    /// Listens on a Unix socket, see [`UnixSocket::bind`].
    ///
    /// # Errors
    /// [`BindFault`].
    pub fn bind_unix(path: &Path) -> Result<Self, BindFault> {
        UnixSocket::bind(path).map(Self::Unix)
    }

    /// The TCP address in use; `None` for a Unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

/// A listening Unix socket, whose file is removed when this is dropped.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our file: a successor's file at the same path is left alone.
    file: Option<(u64, u64)>,
}

impl UnixSocket {
    /// Listens on `path`: a file of mode 0600 in a folder that only this user can enter, made with mode 0700
    /// when it does not exist. A socket that nobody answers on is replaced. Two processes that do this at the
    /// same moment must be kept apart by a lock of their own. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`BindFault`].
    pub fn bind(path: &Path) -> Result<Self, BindFault> {
        check_path(path)?;
        let io_fault = |source| fault(path.display().to_string(), source);
        clear_stale(path)?;
        let listener = UnixListener::bind(path).map_err(io_fault)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io_fault)?;
        let file = identity(path);
        Ok(Self { listener, path: path.to_owned(), file })
    }

    /// Where the socket is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection and the process that made it.
    ///
    /// # Errors
    /// What the system said; running out of descriptors passes.
    pub async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        let peer = peer_of(&stream)?;
        Ok((stream, peer))
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if self.file.is_some() && identity(&self.path) == self.file {
            // A file that stays behind is replaced by the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The process at the other end of a Unix connection.
///
/// # Errors
/// What the system said.
pub fn peer_of(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = stream.peer_cred()?;
    Ok(Peer::Unix { uid: credentials.uid(), pid: credentials.pid() })
}

/// Checks the path's length and its folder before anything is touched.
fn check_path(path: &Path) -> Result<(), BindFault> {
    if path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
        return Err(BindFault::PathTooLong { path: path.to_owned() });
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let io_fault = |source| fault(folder.display().to_string(), source);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_fault)?;
    let metadata = std::fs::metadata(folder).map_err(io_fault)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if ours && metadata.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(BindFault::Exposed { path: folder.to_owned() })
    }
}

/// Removes a socket file that a dead process left behind.
fn clear_stale(path: &Path) -> Result<(), BindFault> {
    let io_fault = |source| fault(path.display().to_string(), source);
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_fault(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindFault::NotSocket { path: path.to_owned() });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(io_fault)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) | Err(_) => Err(BindFault::InUse { place: path.display().to_string() }),
    }
}

/// Device and inode of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Gives the common failures their own names.
fn fault(place: String, source: io::Error) -> BindFault {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindFault::InUse { place },
        io::ErrorKind::PermissionDenied => BindFault::Denied { place },
        io::ErrorKind::AddrNotAvailable => BindFault::Foreign { place },
        _ => BindFault::Io { place, source },
    }
}

#[cfg(test)]
mod tests;
