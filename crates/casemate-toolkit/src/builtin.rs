//! The registry of built-in servers.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::server::Server;
use crate::session;
use crate::system::System;

/// A built-in server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Builtin {
    /// Processor, memory, disks, network and health of this machine.
    System,
}

/// All built-in servers, by name.
pub const BUILTINS: [Builtin; 1] = [Builtin::System];

impl Builtin {
    /// The server that a name stands for.
    #[must_use]
    pub fn parse(name: &str) -> Option<Builtin> {
        BUILTINS.into_iter().find(|builtin| builtin.name() == name)
    }

    /// Its name, as it stands in a configuration and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Builtin::System => System::NAME,
        }
    }

    /// What it is good for, in one sentence.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Builtin::System => System::DESCRIPTION,
        }
    }
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Serves one client over a pair of pipes until it closes its end.
///
/// # Errors
/// The error of the pipe that the client writes to. A client that no longer reads is no error.
pub async fn serve(
    builtin: Builtin,
    stdin: impl AsyncRead + Unpin,
    stdout: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    match builtin {
        Builtin::System => session::serve(System::of_this_machine(), stdin, stdout).await,
    }
}
