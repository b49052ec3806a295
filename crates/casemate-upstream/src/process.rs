//! The port through which processes are started; casemate-sandbox is behind it, or a test's pipes.

use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use casemate_sandbox::{CellHandle, Report, Spawner, Spec};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;

/// A future whose type is not named.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Starts processes.
pub trait Launcher: Send + Sync + fmt::Debug {
    /// Starts one. The error is a sentence for a person.
    fn launch(&self, spec: Spec) -> Soon<'_, Result<Process, String>>;
}

/// What a process reads from.
pub trait Input: AsyncWrite + Send + Unpin {
    /// How many of the bytes that were written nobody has read, when that can be known. It has to be exact: whether a call
    /// may be sent a second time depends on it.
    fn unread(&self) -> Option<u64>;
}

/// A process that runs, with the ends of its pipes.
pub struct Process {
    /// What it reads.
    pub stdin: Box<dyn Input>,
    /// What it says.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// What it complains about.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Its life.
    pub handle: Box<dyn ProcessHandle>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({:?})", self.handle.pid())
    }
}

/// The life of a process. Dropping the handle kills the whole tree.
pub trait ProcessHandle: Send + Sync {
    /// Its id, if it has one.
    fn pid(&self) -> Option<u32>;
    /// What of its cell was in fact enforced.
    fn report(&self) -> Option<Report>;
    /// Waits for its end and says how it ended, for a person.
    fn wait(&self) -> Soon<'_, String>;
    /// Asks it to end, and kills the whole tree when it has not after `grace`.
    fn terminate(&self, grace: Duration) -> Soon<'_, ()>;
}

impl Launcher for Spawner {
    fn launch(&self, spec: Spec) -> Soon<'_, Result<Process, String>> {
        Box::pin(async move {
            let cell = self.spawn(spec).await.map_err(|fault| {
                let cause = fault.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                format!("{fault}{cause}. hint: {}", fault.hint())
            })?;
            let (io, handle) = cell.split();
            Ok(Process {
                stdin: Box::new(io.stdin),
                stdout: Box::new(io.stdout),
                stderr: Box::new(io.stderr),
                handle: Box::new(handle),
            })
        })
    }
}

impl Input for pipe::Sender {
    fn unread(&self) -> Option<u64> {
        rustix::io::ioctl_fionread(self).ok()
    }
}

/// In tests a process may be a task, and its pipe a piece of memory; what was read of it is not known.
#[cfg(test)]
impl Input for tokio::io::WriteHalf<tokio::io::DuplexStream> {
    fn unread(&self) -> Option<u64> {
        None
    }
}

impl ProcessHandle for CellHandle {
    fn pid(&self) -> Option<u32> {
        Some(CellHandle::pid(self))
    }

    fn report(&self) -> Option<Report> {
        Some(CellHandle::report(self).clone())
    }

    fn wait(&self) -> Soon<'_, String> {
        Box::pin(async move { CellHandle::wait(self).await.to_string() })
    }

    fn terminate(&self, grace: Duration) -> Soon<'_, ()> {
        Box::pin(async move { _ = CellHandle::terminate(self, grace).await })
    }
}
