//! What is asked for: a program, and everything that it gets to see of us.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::error::Error;
use crate::room::CellSpec;

/// A program to start. It inherits nothing that is not named here, except user, group, umask and limits.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The program. With a slash it is a path (relative to `cwd`); without one it is looked up in the `PATH` of
    /// `env`, of which only absolute directories count. It is never handed to a shell.
    pub program: OsString,
    /// Its arguments, passed as they are.
    pub args: Vec<OsString>,
    /// Its whole environment. Names are unique, not empty and without `=`.
    pub env: Vec<(OsString, SecretString)>,
    /// Its working directory. When absent ours, or `/` in a full cell.
    pub cwd: Option<PathBuf>,
    /// What `ps` shows beside the cell's first process, usually the server's name. Not a secret.
    pub label: String,
    /// What encloses it. Without, it can leak no processes, but it sees all that we see.
    pub cell: Option<CellSpec>,
}

impl Spec {
    /// The value of `PATH` in `env`, empty when there is none.
    pub(crate) fn path(&self) -> &str {
        use secrecy::ExposeSecret;
        let path = self.env.iter().find(|(name, _)| name == "PATH");
        path.map_or("", |(_, value)| value.expose_secret())
    }

    /// Refuses what no program can be started with, before anything is made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        use secrecy::ExposeSecret;
        let fault = |what: &'static str| Err(Error::Spec { program: self.program.clone(), what });
        let nul = |text: &OsStr| text.as_bytes().contains(&0);
        if self.program.is_empty() {
            return fault("the program's name is empty");
        }
        if nul(&self.program) || self.args.iter().any(|arg| nul(arg)) {
            return fault("the program or an argument contains a NUL byte");
        }
        if self.cwd.as_ref().is_some_and(|cwd| nul(cwd.as_os_str())) || self.label.contains('\0') {
            return fault("the working directory or the label contains a NUL byte");
        }
        let mut names = HashSet::new();
        for (name, value) in &self.env {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return fault("the name of an environment variable is empty or contains `=`");
            }
            if nul(name) || value.expose_secret().contains('\0') {
                return fault("an environment variable contains a NUL byte");
            }
            if !names.insert(name) {
                return fault("an environment variable is named twice");
            }
        }
        Ok(())
    }
}
