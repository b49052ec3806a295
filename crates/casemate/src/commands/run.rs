//! `casemate run`: a command in a cell, alone or as the one server of a gateway.

use std::path::Path;
use std::sync::Arc;

use casemate_gateway::snapshot::Program;
use casemate_gateway::upstream::Launch;
use casemate_gateway::upstream::report::{CellKind, CellReport};
use casemate_sandbox::Spawner;
use casemate_store::RecordLog;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::cells::Run;
use crate::cells::{Cells, Design, Refused, Spelling, Surroundings};
use crate::context::Context;
use crate::daemon::FAREWELL;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::packages::{self, Life};
use crate::typed::Server;
use crate::wiring::recorder::Log;
use unseen::{Folders, Unseen, unseen};

mod raw;
mod served;
pub(crate) mod signals;
pub(crate) mod streams;
pub(crate) mod unseen;

/// Runs the command to its end.
pub fn run(context: &Context, run: &Run) -> anyhow::Result<Exit> {
    let server = Server::of(context, &run.typed)?;
    let spawner = Spawner::start().map_err(|error| {
        let failure = Failure::new(Exit::NotStarted, "the command was not started").hint(error.hint());
        anyhow::Error::new(error).context(failure)
    })?;
    context.paths.prepare_data()?;
    let log = Arc::new(Log::new(RecordLog::open(&context.paths.records())?));
    let tracker = TaskTracker::new();
    let stop = CancellationToken::new();
    let life = Life { tracker: tracker.clone(), stop: stop.clone(), log: Arc::clone(&log) };
    let packages = packages::of(context, &server.packages, spawner.clone(), life);
    let cells = Cells::new(spawner, Surroundings::of(context)?, tracker.clone()).spelled(Spelling::Flags);
    let cells = cells.preparing(packages).recording(Arc::clone(&log));
    let reports = context.global.verbose > 0;
    let place = Place { output: context.output, reports, cells, tracker, stop, log };
    if run.raw { raw::run(context, place, &server.launch) } else { served::run(context, place, server) }
}

/// Where the command runs, and what of it is shown.
#[derive(Debug)]
struct Place {
    output: Output,
    /// Whether what is in force is told at each start.
    reports: bool,
    cells: Cells,
    /// Every task of it.
    tracker: TaskTracker,
    /// Ends them.
    stop: CancellationToken,
    log: Arc<Log>,
}

impl Place {
    /// Works out the cell, and tells of what the command may stumble over.
    async fn design(&self, launch: &Launch) -> anyhow::Result<Design> {
        let design = self.cells.design(launch).await.map_err(not_started)?;
        if let Some(Err(refused)) = self.cells.plan(&launch.server, &design) {
            return Err(not_started(refused));
        }
        self.warn_of_unseen(&design, launch);
        Ok(design)
    }

    /// A command that is given a file which it does not see fails with a riddle.
    fn warn_of_unseen(&self, design: &Design, launch: &Launch) {
        let (Some(cell), Program::Command(command)) = (&design.spec.cell, &launch.program) else { return };
        let granted = cell.grants.iter().map(|grant| &grant.path);
        let seen: Vec<&Path> = cell.runtime.iter().chain(granted).map(AsRef::as_ref).collect();
        let Ok(here) = std::env::current_dir().and_then(|here| here.canonicalize()) else { return };
        let folders = Folders { here: &here, starts_in: command.cwd.as_deref() };
        for Unseen { what, hint } in unseen(&command.args, folders, &seen) {
            self.output.warn(&what);
            self.output.hint(&hint);
        }
    }

    /// With `-v`, tells what is in force.
    fn tell(&self, report: &CellReport) {
        if self.reports {
            self.output.note(&told(report));
        }
    }

    /// Sees everything to its end: the cell is gone, and the records of it are written.
    async fn leave(&self) {
        self.tracker.close();
        if tokio::time::timeout(FAREWELL, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "some tasks did not end in time and are dropped");
        }
        self.log.sync();
    }
}

fn not_started(refused: Refused) -> anyhow::Error {
    let failure = Failure::new(Exit::NotStarted, "the command was not started").hint(refused.hint);
    anyhow::Error::msg(refused.what).context(failure)
}

/// What is in force around the command, in one line.
fn told(report: &CellReport) -> String {
    let mut told = match report.cell {
        CellKind::None => format!("casemate: no cell; held together by {}", report.containment),
        kind => format!("casemate: {kind} cell ({}): {}", report.containment, report.layers.join(", ")),
    };
    for absence in &report.absent {
        told.push_str(&format!("; without {} ({})", absence.layer, absence.reason));
    }
    for granted in &report.grants {
        told.push_str(&format!("; {} {}", granted.path, granted.access));
    }
    if !report.network.is_empty() {
        told.push_str(&format!("; network {}", report.network.join(", ")));
    }
    told
}
