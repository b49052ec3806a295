//! What all servers of one gateway share.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casemate_mcp::json::Raw;
use casemate_sandbox::Spec;
use casemate_sandbox::environment::{self, Variable};
use casemate_transport::http::Client;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Launcher, ServerNotice};
use crate::entry::CommandSource;

/// What all servers of one gateway share.
pub struct Host {
    /// Starts processes.
    pub spawner: Arc<dyn Launcher>,
    /// Dials; one pool of connections for each HTTP server. Its times and sizes must not be shorter than what entries may
    /// ask for (`timeouts.hard`) and [`Host::result_bytes_max`]: the bounds of this room are the ones that name a fault.
    pub http: Client,
    /// Every task of this room runs on it.
    pub tracker: TaskTracker,
    /// Ends everything.
    pub stop: CancellationToken,
    /// What every process gets to see.
    pub environment: BaseEnvironment,
    /// Takes what servers tell outside of calls.
    pub notices: mpsc::Sender<ServerNotice>,
    /// What we say we are: `{"name":"casemate","version":…}`.
    pub client_info: Raw,
    /// Largest answer that is taken from a server, in bytes.
    pub result_bytes_max: usize,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("environment", &self.environment).finish_non_exhaustive()
    }
}

/// The environment of every process, before what its entry names. Nothing else of ours is passed on
/// ([`casemate_sandbox::environment`] says what follows from it).
#[derive(Debug, Clone)]
pub struct BaseEnvironment {
    /// `HOME`, and the working directory of an entry that names none.
    pub home: PathBuf,
    /// `TMPDIR`.
    pub tmp: PathBuf,
    /// Directories that are searched before the fixed `PATH`, for example the one in which `node` lies.
    pub search: Vec<PathBuf>,
    /// The variables of the user, of which package runners (`npx`, `uvx`, …) get the registry, CA and proxy
    /// settings. Other programs get none of them.
    pub available: Vec<Variable>,
}

impl BaseEnvironment {
    /// The process that an entry asks for.
    pub(super) fn spec(&self, label: &str, source: &CommandSource) -> Spec {
        let search: Vec<&Path> = self.search.iter().map(PathBuf::as_path).collect();
        let program = OsString::from(&source.program);
        let runner = environment::for_runner(&program, &self.available);
        let named = source.env.iter().map(|(name, value)| (name.into(), value.clone()));
        let base = environment::merge(environment::base(&self.home, &self.tmp, &search), runner);
        Spec {
            program,
            args: source.args.iter().map(OsString::from).collect(),
            env: environment::merge(base, named),
            cwd: Some(source.cwd.clone().unwrap_or_else(|| self.home.clone())),
            label: label.to_owned(),
            cell: None,
        }
    }
}
