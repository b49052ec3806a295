//! How a server's entry becomes a cell: what it sees, where it starts, and what is told about it.
//!
//! ```text
//! entry → design (program found, runtime and grants worked out) → spawner → the process that upstream speaks to
//! ```

use std::sync::Arc;

use casemate_gateway::snapshot::{CommandSource, Enclosure, Program, Room};
use casemate_gateway::upstream::{Alarm, Launch, Launcher, Masks, Process, Soon};
use casemate_mcp::names::ServerName;
use casemate_net::egress::{Rules, Ungranted};
use casemate_net::{Quotas, Resolver, SystemResolver, Witness};
use casemate_registry::{Asked, Packages, Scripts, Unpinned};
use casemate_sandbox::{CellIo, Error, Host, Plan, Spawner};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::wiring::recorder::Log;
use design::Package;
use image::Containers;
use learning::Start;
use refused::Asking;
use running::Attendant;
use story::{Story, Told};

pub use design::Design;
pub use image::{engine, find_engine, pinned};
pub use refused::{Refused, Spelling};
pub use report::limits;
pub use running::Running;
pub use surroundings::Surroundings;
pub(crate) use surroundings::real;

mod design;
mod escapes;
mod figures;
mod image;
mod learning;
mod ledger;
mod refused;
mod report;
mod running;
mod runtime;
mod scratch;
mod story;
mod surroundings;

/// Starts servers, each in the cell that its entry asks for.
#[derive(Debug)]
pub struct Cells {
    spawner: Spawner,
    containers: Containers,
    surroundings: Surroundings,
    /// Sees every cell to its end.
    tracker: TaskTracker,
    /// Prepares what is fetched, or why nothing can be.
    packages: Result<Packages, Refused>,
    /// Where starts, ends and what is attempted are recorded, and who acts on it.
    told: Told,
    /// Knows the addresses of what servers may reach.
    resolver: Arc<dyn Resolver>,
    /// How those who read a refusal spell settings.
    spelling: Spelling,
}

/// A cell that was started.
#[derive(Debug)]
pub struct Opened {
    /// Its streams.
    pub io: CellIo,
    /// What its keeper has to say about it.
    pub remarks: mpsc::Receiver<String>,
    /// Its life.
    pub running: Running,
}

impl Cells {
    /// Cells of an installation. What looks after a cell runs on the tracker. What cells of a casemate that was killed have
    /// left behind is removed.
    pub fn new(spawner: Spawner, surroundings: Surroundings, tracker: TaskTracker) -> Cells {
        scratch::sweep();
        let containers = Containers::new(surroundings.engine.clone());
        Cells {
            spawner,
            containers,
            surroundings,
            tracker,
            packages: Err(Refused::new("packages are not prepared here", "install the server as a program")),
            told: Told::default(),
            resolver: Arc::new(SystemResolver::new()),
            spelling: Spelling::Entry,
        }
    }

    /// The same for servers whose settings are spelled so.
    #[must_use]
    pub fn spelled(self, spelling: Spelling) -> Cells {
        Cells { spelling, ..self }
    }

    /// Removes what a casemate of this installation left behind when it was killed: containers, and packages that were
    /// never finished.
    pub async fn sweep(self: Arc<Self>) {
        self.containers.sweep().await;
        if let Ok(packages) = &self.packages
            && let Err(error) = packages.sweep().await
        {
            tracing::warn!(%error, "leftovers of packages stay");
        }
    }

    /// The same for servers that are packages. A mistake in what says where they come from is told at their starts: others
    /// have no part in it.
    #[must_use]
    pub fn preparing(self, packages: Result<Packages, casemate_registry::Error>) -> Cells {
        let packages = packages.map_err(|error| Refused::by_registry(&error, self.spelling));
        Cells { packages, ..self }
    }

    /// The same with records: of each start, without which nothing is started, of each end, and of what servers try to
    /// reach.
    #[must_use]
    pub fn recording(self, log: Arc<Log>) -> Cells {
        Cells { told: Told { log: Some(log), ..self.told }, ..self }
    }

    /// The same with alarms about what no honest server attempts.
    #[must_use]
    pub fn alarming(self, alarms: mpsc::Sender<Alarm>, masks: Arc<Masks>) -> Cells {
        Cells { told: Told { alarms: Some((alarms, masks)), ..self.told }, ..self }
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
            Program::Command(command) => self.command(&launch.server, command).await,
            Program::Image(_) => Err(Refused::new(
                "a container engine makes the containers of images, and there is no plan of it before it has",
                format!("`casemate show {}` says what is in force while it runs", launch.server),
            )),
        }
    }

    /// What this host makes of a design: the plan of its cell, or why there is none. Nothing for a server without a cell.
    pub fn plan(&self, server: &ServerName, design: &Design) -> Option<Result<Plan, Refused>> {
        let cell = design.spec.cell.as_ref()?;
        let refused = |refusal| {
            let program = design.spec.program.clone();
            Refused::by_sandbox(&Error::NoCell { program, refusal }, &self.asking(server, design))
        };
        Some(Plan::of(cell, self.host()).map_err(refused))
    }

    /// Starts it.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn start(&self, launch: &Launch) -> Result<Process, Refused> {
        if let Program::Image(image) = &launch.program {
            return self.start_container(&launch.server, image).await;
        }
        let design = self.design(launch).await?;
        let Opened { io, remarks, running } = self.open(&launch.server, design).await?;
        Ok(Process {
            stdin: Box::new(io.stdin),
            stdout: Box::new(io.stdout),
            stderr: Box::new(io.stderr),
            remarks: Some(remarks),
            handle: Box::new(running),
        })
    }

    /// Starts what was designed, for somebody who looks after its streams.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn open(&self, server: &ServerName, design: Design) -> Result<Opened, Refused> {
        let cell = self.spawner.spawn(design.spec.clone()).await;
        let cell = cell.map_err(|error| Refused::by_sandbox(&error, &self.asking(server, &design)))?;
        self.opened(server, design, Start { cell, lessons: None })
    }

    /// Looks after a cell from its first moment on.
    fn opened(&self, server: &ServerName, design: Design, mut start: Start) -> Result<Opened, Refused> {
        let (story, remarks) = Story::new(server.as_str(), self.told.clone());
        let story = Arc::new(story);
        let network = start.cell.doorway.take().map(|doorway| {
            let rules = self.rules(design.room.as_ref(), &story);
            (doorway, start.watch(rules))
        });
        let figures = start.cell.figures.take();
        let sees = start.sees();
        let (io, handle) = start.cell.split();
        let mut report = report::of(&design, handle.report());
        report.grants.extend(sees);
        // Leaving here drops the handle, which kills what was started.
        design.remarks.iter().for_each(|remark| story.say(remark));
        story.started(&design.spec.program.to_string_lossy(), &report)?;
        let handle = Arc::new(handle);
        if let Some(figures) = figures {
            self.tracker.spawn(figures::tell(figures, Arc::clone(&handle)));
        }
        let attendant = Attendant { handle, design: Some(design), story, network };
        Ok(Opened { io, remarks, running: attendant.attend(&self.tracker, report) })
    }

    fn asking<'a>(&self, server: &'a ServerName, design: &'a Design) -> Asking<'a> {
        Asking { server, room: design.room.as_ref(), spelling: self.spelling }
    }

    /// What holds for the network of a cell.
    fn rules(&self, room: Option<&Room>, story: &Arc<Story>) -> Rules {
        Rules {
            policy: room.map(|room| room.network.clone()).unwrap_or_default(),
            quotas: Quotas::default(),
            resolver: Arc::clone(&self.resolver),
            witness: Arc::clone(story) as Arc<dyn Witness>,
            ungranted: Ungranted::Unknown,
        }
    }

    async fn command(&self, server: &ServerName, command: &CommandSource) -> Result<Design, Refused> {
        let asked = match &command.enclosure {
            Enclosure::Cell(_) => Asked::recognize(&command.program, &command.args),
            // Without a cell a package runner does what it does everywhere.
            Enclosure::Unsandboxed => None,
        };
        let scripts = if command.install_scripts { Scripts::Allowed } else { Scripts::Never };
        let package = match asked {
            None => None,
            Some(asked) => Some(self.package(asked, scripts).await?),
        };
        Design::of(server, (command, package), &self.surroundings)
    }

    /// Makes a package ready to start, which may take minutes the first time.
    async fn package(&self, asked: Result<Asked, Unpinned>, scripts: Scripts) -> Result<Package, Refused> {
        let packages = self.packages.as_ref().map_err(Refused::clone)?;
        match asked {
            Ok(asked) => {
                let prepared = packages.prepare(&asked, scripts).await;
                let prepared = prepared.map_err(|error| Refused::by_registry(&error, self.spelling))?;
                Ok((report::origin(&asked, &prepared), prepared))
            }
            Err(unpinned) => {
                let found = packages.current(&unpinned).await;
                Err(Refused::unpinned(&unpinned, &found, self.spelling))
            }
        }
    }
}

/// Records what package clients reach, and try to. No server's name has parentheses.
pub fn errands(log: Arc<Log>) -> Arc<dyn Witness> {
    let (story, _unheard) = Story::new("(packages)", Told { log: Some(log), alarms: None });
    Arc::new(story)
}

impl Launcher for Cells {
    fn launch(&self, launch: Launch) -> Soon<'_, Result<Process, String>> {
        Box::pin(async move { self.start(&launch).await.map_err(|refused| refused.to_string()) })
    }
}
