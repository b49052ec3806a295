//! Running a package client: in a cell of its own, which can write to one folder and reach the registry.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use casemate_net::Policy;
use casemate_sandbox::environment::Variable;
use casemate_sandbox::{Exit, Spawner, Spec};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::Error;

/// How long a package client may take for one thing. Large packages over slow lines take minutes.
const TIME_MAX: Duration = Duration::from_secs(600);

/// What is kept of an output, in bytes. The longest that has to be understood is a list of all versions.
const OUTPUT_BYTES_MAX: usize = 8 << 20;

/// Something that a package client is to do.
#[derive(Debug)]
pub(crate) struct Errand {
    /// The client's name, for messages.
    pub(crate) tool: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<Variable>,
    /// The one folder that it may write to, and its working directory below.
    pub(crate) folder: PathBuf,
    pub(crate) cwd: PathBuf,
    /// What it needs of the host beside the distribution's programs.
    pub(crate) runtime: Vec<PathBuf>,
    /// What it gets to read besides.
    pub(crate) read: Vec<PathBuf>,
    /// What it may reach; nothing means that it is offline.
    pub(crate) reach: Policy,
}

/// How an errand ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Runs errands.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) spawner: Spawner,
}

impl Runner {
    /// Runs one to its end. Dropping the future ends it, with all that it has started.
    pub(crate) async fn run(&self, errand: Errand) -> Result<Outcome, Error> {
        let tool = errand.tool;
        let ended = tokio::time::timeout(TIME_MAX, self.carry_out(errand)).await;
        ended.map_err(|_| Error::Slow { tool, after: TIME_MAX })?
    }

    /// Asks a program of the user's, as the user would: no package has a part in it, and what stands in front of real
    /// programs (pyenv, nvm, asdf) wants to see the user's home.
    pub(crate) async fn ask(&self, spec: Spec) -> Result<Outcome, casemate_sandbox::Error> {
        let cell = self.spawner.spawn(spec).await?;
        let (io, handle) = cell.split();
        drop(io.stdin);
        let (stdout, stderr, exit) = tokio::join!(drain(io.stdout), drain(io.stderr), handle.wait());
        Ok(Outcome { exit, stdout, stderr })
    }

    async fn carry_out(&self, errand: Errand) -> Result<Outcome, Error> {
        let Errand { tool, program, args, env, cwd, .. } = errand;
        let spec = Spec {
            program: program.into(),
            args,
            env,
            cwd: Some(cwd),
            label: format!("prepare-{tool}"),
            cell: None,
        };
        self.ask(spec).await.map_err(|source| Error::Cell { tool, source })
    }
}

/// Reads to the end, and keeps the beginning.
async fn drain(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    // An error is an end: there is nobody left who could write.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
    kept
}
