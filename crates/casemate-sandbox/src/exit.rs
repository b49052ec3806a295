//! How a process ended.

use std::fmt;

use rustix::process::WaitStatus;

/// How a server's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It exited by itself, with this code (0 to 255).
    Code(i32),
    /// A signal ended it, with this number. A cell that was killed as a whole counts as `Signal(9)`.
    Signal(i32),
}

impl Exit {
    /// What a tree that is killed at once ends with.
    pub(crate) const KILLED: Exit = Exit::Signal(libc::SIGKILL);

    /// Whether it exited by itself with code 0.
    pub fn is_success(self) -> bool {
        self == Exit::Code(0)
    }

    /// The end that a wait status tells of, or nothing when the process has merely stopped or continued.
    pub(crate) fn of(status: WaitStatus) -> Option<Exit> {
        let code = status.exit_status().map(Exit::Code);
        code.or_else(|| status.terminating_signal().map(Exit::Signal))
    }

    /// The exit code with which a shell would pass this end on.
    pub(crate) fn shell_code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
