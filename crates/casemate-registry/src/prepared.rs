//! What a prepared package is to whoever starts it.

use std::ffi::OsString;
use std::path::PathBuf;

use casemate_sandbox::environment::Variable;

/// A package that can be started: from a tree that is only read, without network.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The program to execute: an interpreter or a file of the tree.
    pub program: PathBuf,
    /// Its arguments, those of the command line last.
    pub args: Vec<OsString>,
    /// What was installed. The server has to see it, for reading.
    pub tree: PathBuf,
    /// What the server has to see of the host besides, for reading: its interpreter, where the distribution's folders do not
    /// have it.
    pub runtime: Vec<PathBuf>,
    /// Variables to lay over those that every server gets. There is a `PATH` among them.
    pub env: Vec<Variable>,
    /// The SHA-256 of the lock file, in hexadecimal: it stands for every byte of what was fetched.
    pub lock_sha256: String,
    /// The lock file, for people.
    pub lock: PathBuf,
    /// Packages whose install scripts have run, in the order of the alphabet.
    pub scripts_ran: Vec<String>,
    /// Packages whose install scripts have not run. A server that does not start may need them.
    pub scripts_skipped: Vec<String>,
    /// Whether this call has installed it.
    pub origin: Origin,
}

/// Where a prepared package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// It was fetched and installed by this call.
    Installed,
    /// It was there, and is as it was.
    Kept,
}

/// Whether packages may run code of their own while they are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scripts {
    /// They may not.
    #[default]
    Never,
    /// They may, in a cell without network (`install_scripts = true`).
    Allowed,
}

impl Scripts {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Scripts::Never => "no scripts",
            Scripts::Allowed => "scripts",
        }
    }
}
