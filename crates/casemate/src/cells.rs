//! How a server's entry becomes a cell: what it sees, where it starts, and what is told about it.
//!
//! ```text
//! entry → design (program found, runtime and grants worked out) → spawner → the process that upstream speaks to
//! ```

use std::sync::Arc;

use casemate_gateway::snapshot::{CommandSource, Program};
use casemate_gateway::upstream::{Launch, Launcher, Process, Soon};
use casemate_mcp::names::ServerName;
use casemate_sandbox::{CellIo, Host, Spawner};
use tokio_util::task::TaskTracker;

pub use design::Design;
pub use refused::Refused;
pub use running::Running;
pub use surroundings::Surroundings;

mod design;
mod refused;
mod report;
mod running;
mod runtime;
mod scratch;
mod surroundings;

/// Starts servers, each in the cell that its entry asks for.
#[derive(Debug)]
pub struct Cells {
    spawner: Spawner,
    surroundings: Surroundings,
    /// Sees every cell to its end.
    tracker: TaskTracker,
}

impl Cells {
    /// Cells of an installation. What looks after a cell runs on the tracker. What cells of a casemate that was killed have
    /// left behind is removed.
    pub fn new(spawner: Spawner, surroundings: Surroundings, tracker: TaskTracker) -> Cells {
        scratch::sweep();
        Cells { spawner, surroundings, tracker }
    }

    /// What this host can enforce. The first call blocks for a few milliseconds.
    pub fn host(&self) -> &Host {
        self.spawner.host()
    }

    /// What would be started: nothing is, yet.
    ///
    /// # Errors
    /// What stands in the way, as far as it can be seen from here.
    pub async fn design(&self, launch: &Launch) -> Result<Design, Refused> {
        match &launch.program {
            Program::Command(command) => self.command(&launch.server, command),
            Program::Image(_) => Err(Refused::new(
                "this casemate was built without containers",
                "build it with the feature `container`, or install the server as a program",
            )),
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn start(&self, launch: &Launch) -> Result<Process, Refused> {
        let design = self.design(launch).await?;
        let (io, running) = self.open(&launch.server, design).await?;
        Ok(Process {
            stdin: Box::new(io.stdin),
            stdout: Box::new(io.stdout),
            stderr: Box::new(io.stderr),
            handle: Box::new(running),
        })
    }

    /// Starts what was designed, for somebody who looks after its streams.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn open(&self, server: &ServerName, design: Design) -> Result<(CellIo, Running), Refused> {
        let cell = self.spawner.spawn(design.spec.clone()).await;
        let cell = cell.map_err(|error| Refused::by_sandbox(&error, server, design.room.as_ref()))?;
        let (io, handle) = cell.split();
        let report = report::of(&design, handle.report());
        Ok((io, running::attend(&self.tracker, Arc::new(handle), design, report)))
    }

    fn command(&self, server: &ServerName, command: &CommandSource) -> Result<Design, Refused> {
        Design::of(server, command, &self.surroundings)
    }
}

impl Launcher for Cells {
    fn launch(&self, launch: Launch) -> Soon<'_, Result<Process, String>> {
        Box::pin(async move { self.start(&launch).await.map_err(|refused| refused.to_string()) })
    }
}
