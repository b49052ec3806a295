//! The seat of an installation: whoever holds it is its gateway. One lock, two sockets.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::Context;
use casemate_transport::listener::UnixSocket;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::paths::Paths;

/// Held for as long as the gateway runs. The kernel gives the lock back when the process ends, however it ends.
#[derive(Debug)]
pub struct Seat {
    /// Where MCP is spoken.
    pub mcp: UnixSocket,
    /// Where the command line asks.
    pub control: UnixSocket,
    /// Free again when this is dropped.
    pub lock: Lock,
}

/// The lock of the installation; it outlives the sockets.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "it is held, not read")] File);

impl Seat {
    /// Takes the seat. The sockets listen at once, so that whoever connects while the gateway is still starting
    /// waits instead of failing. Call it within a tokio runtime.
    pub fn take(paths: &Paths) -> anyhow::Result<Seat> {
        paths.prepare_run()?;
        // Whoever finds the lock taken waits for this one, and then the sockets are there.
        let _starting = wait_for(&paths.start_lock())?;
        let lock = open(&paths.gateway_lock())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(paths)),
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the installation"),
        }
        let mcp = UnixSocket::bind(&paths.mcp_socket())?;
        let control = UnixSocket::bind(&paths.control_socket())?;
        Ok(Seat { mcp, control, lock: Lock(lock) })
    }
}

/// Waits until nobody is between taking the seat and listening. Holding the result keeps it so.
pub fn wait_for(path: &Path) -> anyhow::Result<File> {
    let lock = open(path)?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(lock)
}

/// Waits until no gateway runs.
pub fn wait_until_free(paths: &Paths) -> anyhow::Result<()> {
    wait_for(&paths.gateway_lock()).map(drop)
}

fn open(path: &Path) -> anyhow::Result<File> {
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    opened.with_context(|| format!("cannot open {}", path.display()))
}

fn taken(paths: &Paths) -> anyhow::Error {
    let message = format!("a gateway of this installation runs already ({})", paths.run().display());
    Failure::new(Exit::Failure, message)
        .hint("stop it with `casemate down`, or give this one a home of its own with --home DIR")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    fn paths(home: &Path) -> Paths {
        Paths::resolve(&Environment::of([("HOME", "/none")]), Some(home), None).unwrap()
    }

    #[tokio::test]
    async fn a_seat_is_taken_once_and_free_again_after_it() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let seat = Seat::take(&paths).unwrap();
        assert!(Seat::take(&paths).unwrap_err().to_string().contains("runs already"));
        assert!(paths.mcp_socket().exists());
        drop(seat);
        assert!(!paths.mcp_socket().exists());
        wait_until_free(&paths).unwrap();
        Seat::take(&paths).unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_a_killed_gateway_left_behind_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        paths.prepare_run().unwrap();
        drop(std::os::unix::net::UnixListener::bind(paths.mcp_socket()).unwrap());
        let seat = Seat::take(&paths).unwrap();
        std::os::unix::net::UnixStream::connect(paths.mcp_socket()).unwrap();
        drop(seat);
    }
}
