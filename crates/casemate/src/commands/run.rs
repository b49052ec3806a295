//! `casemate run`: a command in a cell, alone or as the one server of a gateway.

use std::path::Path;

use casemate_gateway::snapshot::Program;
use casemate_gateway::upstream::Launch;
use casemate_gateway::upstream::report::{CellKind, CellReport};
use casemate_sandbox::Spawner;
use tokio_util::task::TaskTracker;

use crate::args::cells::Run;
use crate::cells::{Cells, Design, Refused, Surroundings};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::typed::Server;

mod raw;
mod served;
mod signals;

/// Runs the command to its end.
pub fn run(context: &Context, run: &Run) -> anyhow::Result<Exit> {
    let server = Server::of(context, &run.typed)?;
    let spawner = Spawner::start().map_err(|error| {
        let failure = Failure::new(Exit::NotStarted, "the command was not started").hint(error.hint());
        anyhow::Error::new(error).context(failure)
    })?;
    let tracker = TaskTracker::new();
    let cells = Cells::new(spawner, Surroundings::of(context)?, tracker.clone());
    if run.raw {
        raw::run(context, &cells, &server.launch)
    } else {
        served::run(context, server, cells, tracker)
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

/// A command that is given a file which it does not see fails with a riddle.
fn warn_of_unseen(context: &Context, design: &Design, launch: &Launch) {
    let (Some(cell), Program::Command(command)) = (&design.spec.cell, &launch.program) else { return };
    let granted = cell.grants.iter().map(|grant| &grant.path);
    let seen: Vec<&Path> = cell.runtime.iter().chain(granted).map(AsRef::as_ref).collect();
    for arg in command.args.iter().filter(|arg| arg.contains('/')) {
        let Ok(path) = Path::new(arg).canonicalize() else { continue };
        if !seen.iter().any(|seen| path.starts_with(seen)) {
            context.output.warn(&format!("{arg} is not seen in the cell"));
            context
                .output
                .hint(&format!("`--read {}` lets it be read, `--write` also changed", path.display()));
        }
    }
}
