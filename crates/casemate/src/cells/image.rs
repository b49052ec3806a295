//! Servers that come as images: from an entry to a container of the host's engine.

use std::error::Error as _;
use std::sync::Arc;

use casemate_gateway::snapshot::ImageSource;
use casemate_gateway::upstream::Process;
use casemate_gateway::upstream::report::{Absence, CellKind, CellReport, Origin};
use casemate_mcp::names::ServerName;
use casemate_sandbox::container::{
    Container, ContainerError, ContainerReport, Engine, ImageFault, ImageReference, ImageSpec, Outline,
    Search,
};
use casemate_sandbox::{Absent, Kind};
use tokio::sync::OnceCell;

use super::running::Attendant;
use super::story::Story;
use super::{Cells, Refused, Surroundings, design, report, surroundings};
use crate::environment::{DOCKER_HOST, Environment};
use crate::paths::{Paths, private_folder};

/// The containers of an installation. The engine is looked for when a server first needs it.
#[derive(Debug)]
pub(super) struct Containers {
    search: Search,
    engine: OnceCell<Engine>,
}

impl Containers {
    pub(super) fn new(search: Search) -> Containers {
        Containers { search, engine: OnceCell::new() }
    }

    /// Starts the server of an entry.
    pub(super) async fn start(
        &self,
        server: &ServerName,
        source: &ImageSource,
        surroundings: &Surroundings,
    ) -> Result<(Container, CellReport), Refused> {
        let spec = spec(server, source, surroundings)?;
        let container = self.engine().await?.start(&spec).await.map_err(|error| refused(&error))?;
        let report = told(&spec, source, container.handle.report());
        Ok((container, report))
    }

    /// The engine, with nothing left of a casemate that was killed.
    pub(super) async fn engine(&self) -> Result<&Engine, Refused> {
        let found = self.engine.get_or_try_init(async || {
            private_folder(&self.search.folder).map_err(|error| {
                Refused::new(format!("{error:#}"), "look whether the disk is full, and whose the folder is")
            })?;
            let engine = Engine::find(&self.search).await.map_err(|error| refused(&error))?;
            tracing::debug!(engine = engine.about().name, "found a container engine");
            match engine.sweep().await {
                Ok(swept) if swept.removed.is_empty() && swept.left.is_empty() => {}
                Ok(swept) => {
                    tracing::info!(removed = ?swept.removed, left = ?swept.left, "looked for leftover containers");
                }
                Err(error) => tracing::warn!(%error, "cannot look for leftover containers"),
            }
            Ok(engine)
        });
        found.await
    }

    /// Removes what a casemate that was killed has left, if this installation ever had containers.
    pub(super) async fn sweep(&self) {
        if self.search.folder.exists()
            && let Err(error) = self.engine().await
        {
            tracing::debug!(%error, "no leftover containers can be looked for");
        }
    }

    /// Starts nothing more, and waits until all containers are gone that nobody holds.
    pub(super) async fn close(&self) {
        if let Some(engine) = self.engine.get() {
            engine.close().await;
        }
    }
}

impl Cells {
    /// Starts a server that comes as an image.
    pub(super) async fn start_container(
        &self,
        server: &ServerName,
        source: &ImageSource,
    ) -> Result<Process, Refused> {
        let (container, report) = self.containers.start(server, source, &self.surroundings).await?;
        let Container { stdin, stdout, stderr, doorway, handle } = container;
        let (story, remarks) = Story::new(server.as_str(), self.told.clone());
        let story = Arc::new(story);
        // Leaving here drops the handle, which removes what was started.
        story.started(&source.image, &report)?;
        let network = doorway.map(|doorway| (doorway, self.rules(Some(&source.room), &story)));
        let attendant = Attendant { handle: Arc::new(handle), design: None, story, network };
        Ok(Process {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            remarks: Some(remarks),
            handle: Box::new(attendant.attend(&self.tracker, report)),
        })
    }

    /// Starts no more containers and waits until those are gone that nobody holds, half a minute at most.
    pub async fn close(&self) {
        self.containers.close().await;
    }
}

/// The name of the engine that containers of an installation would have. Changes nothing.
///
/// # Errors
/// Why there is none, and what to do.
pub async fn engine(paths: &Paths, environment: &Environment) -> Result<String, Refused> {
    let found = find_engine(paths, environment).await?;
    let about = found.about();
    Ok(format!("{}, at {}", about.name, about.socket.display()))
}

impl Cells {
    /// What the engine would be asked for. Nothing is made.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn outline(&self, server: &ServerName, source: &ImageSource) -> Result<Vec<Outline>, Refused> {
        Ok(spec(server, source, &self.surroundings)?.outline())
    }
}

/// The entry's line for an image whose name has no digest: what it stands for now, here or in its registry.
///
/// # Errors
/// Why nobody can say.
pub async fn pinned(engine: &Engine, name: &str) -> Result<String, Refused> {
    let unpinned = match name.parse::<ImageReference>() {
        Err(ImageFault::Unpinned(unpinned)) => unpinned,
        Err(fault) => return Err(Refused::new(fault.to_string(), fault.hint())),
        Ok(reference) => return Ok(format!("image = \"{reference}\"")),
    };
    let reference = engine.pin(&unpinned).await.map_err(|error| refused(&error))?;
    Ok(format!("image = \"{reference}\""))
}

/// The engine that containers of an installation would have. Changes nothing.
///
/// # Errors
/// Why there is none, and what to do.
pub async fn find_engine(paths: &Paths, environment: &Environment) -> Result<Engine, Refused> {
    Engine::find(&search(paths, environment)).await.map_err(|error| refused(&error))
}

/// What is asked of the engine.
fn spec(
    server: &ServerName,
    source: &ImageSource,
    surroundings: &Surroundings,
) -> Result<ImageSpec, Refused> {
    let ImageSource { image, args, env, room } = source;
    let malformed = |fault: ImageFault| Refused::new(fault.to_string(), fault.hint());
    let reference: ImageReference = image.parse().map_err(malformed)?;
    let us = rustix::process::geteuid();
    Ok(ImageSpec {
        args: args.clone(),
        env: env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        // What is granted has to be open to it: root's servers have accounts, and those of others are these others.
        user: Some(if us.is_root() { room.account } else { us.as_raw() }),
        grants: design::grants(room, surroundings)?,
        network: design::network(room),
        limits: room.limits,
        ..ImageSpec::new(reference, server.as_str())
    })
}

fn refused(error: &ContainerError) -> Refused {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Refused::new(format!("{error}{cause}"), error.hint())
}

/// What is told about a start.
fn told(spec: &ImageSpec, source: &ImageSource, report: &ContainerReport) -> CellReport {
    let absence =
        |Absent { layer, reason }: &Absent| Absence { layer: layer.to_string(), reason: reason.clone() };
    CellReport {
        cell: CellKind::Container,
        containment: format!("{}, as user {}", report.engine, report.user),
        layers: report.layers.iter().map(ToString::to_string).collect(),
        absent: report.absent.iter().map(absence).collect(),
        grants: report::grants(&spec.grants),
        network: source.room.network.destinations().iter().map(ToString::to_string).collect(),
        limits: report::limits(&spec.limits, Kind::Full),
        origin: Some(Origin {
            name: spec.image.to_string(),
            sha256: spec.image.digest().trim_start_matches("sha256:").to_owned(),
            scripts: None,
        }),
    }
}

/// Where containers of an installation look for their engine, and by what they are known.
pub(super) fn search(paths: &Paths, environment: &Environment) -> Search {
    Search {
        host: environment.text(DOCKER_HOST).map(str::to_owned),
        runtime: environment.runtime_folder(),
        home: environment.home(),
        folder: paths.data().join("containers"),
        installation: surroundings::real(paths.data()).display().to_string(),
    }
}
