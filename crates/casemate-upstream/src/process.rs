//! The port through which processes are started; casemate-sandbox is behind it, or a test's pipes.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use casemate_mcp::names::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::{OwnedWriteHalf, pipe};
use tokio::sync::mpsc;

use crate::entry::Program;
use crate::report::CellReport;

/// A future whose type is not named.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Starts processes.
pub trait Launcher: Send + Sync + fmt::Debug {
    /// Starts one. The error is a sentence for a person, with a hint.
    fn launch(&self, launch: Launch) -> Soon<'_, Result<Process, String>>;
}

/// What is to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// For which server.
    pub server: ServerName,
    /// What.
    pub program: Program,
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
    /// What its keeper has to say about it, for whoever reads its log.
    pub remarks: Option<mpsc::Receiver<String>>,
    /// Its life.
    pub handle: Box<dyn ProcessHandle>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({:?})", self.handle.pid())
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// For a person: an exit code, or a signal.
    pub how: String,
    /// The limit that ended it, if one did.
    pub overrun: Option<Overrun>,
}

/// A limit that was exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrun {
    /// The setting of the server that holds it, such as `limits.memory`.
    pub setting: &'static str,
    /// Its value, as it would be written there.
    pub value: String,
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.setting, self.value)
    }
}

/// The life of a process. Dropping the handle kills the whole tree.
pub trait ProcessHandle: Send + Sync {
    /// Its id, if it has one.
    fn pid(&self) -> Option<u32>;
    /// What of its cell is in fact enforced.
    fn report(&self) -> CellReport;
    /// Waits for its end and says how it ended.
    fn wait(&self) -> Soon<'_, Exit>;
    /// Notes that it is about to be ended because it used more than it may.
    fn blame(&self, overrun: &Overrun);
    /// Asks it to end, and kills the whole tree when it has not after `grace`.
    fn terminate(&self, grace: Duration) -> Soon<'_, ()>;
}

impl Input for pipe::Sender {
    fn unread(&self) -> Option<u64> {
        rustix::io::ioctl_fionread(self).ok()
    }
}

/// What goes to a container goes by its engine, which does not say what has arrived.
impl Input for OwnedWriteHalf {
    fn unread(&self) -> Option<u64> {
        None
    }
}

/// In tests a process may be a task, and its pipe a piece of memory; what was read of it is not known.
#[cfg(test)]
impl Input for tokio::io::WriteHalf<tokio::io::DuplexStream> {
    fn unread(&self) -> Option<u64> {
        None
    }
}
