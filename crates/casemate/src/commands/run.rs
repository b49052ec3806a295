//! `casemate run`: a command in a cell.

use casemate_sandbox::Spawner;

use crate::args::cells::Run;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

mod raw;
mod room;

/// Runs the command to its end.
pub fn run(context: &Context, run: &Run) -> anyhow::Result<Exit> {
    let spec = room::spec(context, &run.room, &run.command)?;
    let spawner = Spawner::start().map_err(no_cell)?;
    raw::run(context, &spawner, spec)
}

/// Why there is no cell, with the exit code that says so.
fn no_cell(error: casemate_sandbox::Error) -> anyhow::Error {
    use casemate_sandbox::Error;
    let exit = match error {
        Error::NotInPath { .. } | Error::NoProgram { .. } => Exit::NotFound,
        Error::NotExecutable { .. } | Error::NoInterpreter { .. } | Error::Exec { .. } => Exit::NotExecutable,
        _ => Exit::NoCell,
    };
    let failure = Failure::new(exit, "the command was not started").hint(error.hint());
    anyhow::Error::new(error).context(failure)
}
