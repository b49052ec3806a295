//! Running a package client: in a cell of its own, which can write to one folder and reach the registry.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use casemate_net::egress::{self, Rules, Ungranted};
use casemate_net::{Policy, Quotas, Resolver, Witness};
use casemate_sandbox::environment::Variable;
use casemate_sandbox::{Access, Cell, CellSpec, Exit, Kind, Limits, Network, Spawner, Spec};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// How long a package client may take for one thing. Large packages over slow lines take minutes.
const TIME_MAX: Duration = Duration::from_secs(600);

/// What a package client may use: npm unpacks many files at once, and large wheels are unpacked in memory and on disk.
const LIMITS: Limits = Limits {
    memory_bytes: 4 << 30,
    // A package client unpacks and checks on all that there is.
    cpu_millis: 4000,
    processes: 512,
    open_files: 8192,
    file_bytes: 8 << 30,
    tmp_bytes: 256 << 20,
    tmp_files: 1 << 16,
};

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
    pub(crate) cwd: PathBuf,
    /// The folders that it may write to.
    pub(crate) write: Vec<PathBuf>,
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
    /// The user id that package clients run as when we are root.
    pub(crate) account: u32,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) witness: Arc<dyn Witness>,
}

impl Runner {
    /// Runs one to its end in a full cell. Dropping the future ends it, with all that it has started.
    pub(crate) async fn run(&self, errand: Errand) -> Result<Outcome, Error> {
        let tool = errand.tool;
        let cell = self.cell(&errand);
        let rules = Rules {
            policy: errand.reach,
            quotas: Quotas::default(),
            resolver: Arc::clone(&self.resolver),
            witness: Arc::clone(&self.witness),
            ungranted: Ungranted::Unknown,
        };
        let spec = Spec {
            program: errand.program.into(),
            args: errand.args,
            env: errand.env,
            cwd: Some(errand.cwd),
            label: format!("prepare-{tool}"),
            cell: Some(cell),
        };
        let started = self.spawner.spawn(spec).await;
        let cell = started.map_err(|source| Error::Cell { tool, source })?;
        let ended = tokio::time::timeout(TIME_MAX, attend(cell, rules)).await;
        ended.map_err(|_| Error::Slow { tool, after: TIME_MAX })
    }

    /// Asks a program of the user's, as the user would: no package has a part in it, and what stands in front of real
    /// programs (pyenv, nvm, asdf) wants to see the user's home.
    pub(crate) async fn ask(&self, spec: Spec) -> Result<Outcome, casemate_sandbox::Error> {
        let cell = self.spawner.spawn(spec).await?;
        Ok(finish(cell).await)
    }

    fn cell(&self, errand: &Errand) -> CellSpec {
        let mut cell = CellSpec::new(Kind::Full);
        cell.runtime.extend(errand.runtime.iter().cloned());
        cell.account = self.account;
        cell.limits = LIMITS;
        if !errand.reach.is_empty() {
            cell.network = Network::Ports(errand.reach.ports());
        }
        let write = errand.write.iter().map(|path| (Access::Write, path));
        let grants = errand.read.iter().map(|path| (Access::Read, path)).chain(write);
        grants.fold(cell, |cell, (access, path)| cell.grant(access, path))
    }
}

/// Serves a cell's network until it has ended.
async fn attend(mut cell: Cell, rules: Rules) -> Outcome {
    let stop = CancellationToken::new();
    let doorway = cell.doorway.take();
    let network = async {
        if let Some(doorway) = doorway {
            egress::serve(doorway, rules, stop.clone()).await;
        }
    };
    let work = async {
        let outcome = finish(cell).await;
        stop.cancel();
        outcome
    };
    tokio::join!(work, network).0
}

async fn finish(cell: Cell) -> Outcome {
    let (io, handle) = cell.split();
    drop(io.stdin);
    let (stdout, stderr, exit) = tokio::join!(drain(io.stdout), drain(io.stderr), handle.wait());
    Outcome { exit, stdout, stderr }
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
