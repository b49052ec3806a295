//! `casemate sandbox explain`: the cell that a server would get, before it has one.

use std::path::PathBuf;
use std::sync::Arc;

use casemate_gateway::snapshot::{Enclosure, ImageSource, Program, Room};
use casemate_gateway::upstream::Launch;
use casemate_gateway::upstream::report::Limit;
use casemate_sandbox::container::{ABSENT, Outline, Setting};
use casemate_sandbox::{HostStats, Kind, Need, Plan, Spawner};
use casemate_store::RecordLog;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Gap;
use super::subject::Subject;
use crate::args::cells::Which;
use crate::cells::{self, Cells, Design, Refused, Spelling, Surroundings};
use crate::context::Context;
use crate::exit::Exit;
use crate::packages::{self, Life};
use crate::wiring::recorder::Log;
use reasons::Reasons;

mod layout;
mod reasons;

/// Shows the cell. Nothing is started in it. Fails when it could not be had.
pub(super) fn run(context: &Context, which: &Which) -> anyhow::Result<Exit> {
    let Subject { launch, packages, spelling } = Subject::of(context, which)?;
    context.paths.prepare_data()?;
    let spawner = Spawner::start()?;
    let tracker = TaskTracker::new();
    let life = Life {
        tracker: tracker.clone(),
        stop: CancellationToken::new(),
        log: Arc::new(Log::new(RecordLog::open(&context.paths.records())?)),
    };
    // What a package is made of has a part in its cell.
    let packages = packages::of(context, &packages, spawner.clone(), life);
    let cells =
        Cells::new(spawner, Surroundings::of(context)?, tracker).spelled(spelling).preparing(packages);
    let explanation = match &launch.program {
        Program::Image(image) => {
            let engine = cells::engine(&context.paths, &context.environment);
            let engine = context.small_runtime()?.block_on(engine);
            cells
                .outline(&launch.server, image)
                .map(|outline| Explanation::image(&launch, image, (outline, engine)))
        }
        Program::Command(_) => context.small_runtime()?.block_on(cells.design(&launch)).map(|design| {
            Explanation::of(&launch, &design, (&cells, &Reasons::new(context, &launch, (&design, spelling))))
        }),
    };
    let explanation = explanation.unwrap_or_else(|refused| Explanation::refused(&launch, refused));
    context.output.print(&explanation)?;
    Ok(if explanation.refusal.is_none() { Exit::Success } else { Exit::Failure })
}

/// The cell of a server. Everything in it is meant for `--json` too.
#[derive(Debug, Serialize)]
struct Explanation {
    server: String,
    /// `full`, `light`, `container` or `none`.
    cell: &'static str,
    program: String,
    /// Who would make its container.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<String>,
    /// Why it cannot be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_in: Option<PathBuf>,
    /// Names of its variables. Values are nobody's business.
    environment: Vec<String>,
    /// What of the host it sees, besides what all cells have.
    sees: Vec<Seen>,
    /// What it may reach over the network.
    network: Vec<String>,
    limits: Vec<Limit>,
    /// Whether it sees figures of the whole host.
    host_stats: bool,
    layers: Vec<Layer>,
    /// What is not part of it, although it could be.
    absent: Vec<Gap>,
    not_promised: &'static [&'static str],
}

/// Why there is no such cell.
#[derive(Debug, Serialize)]
struct Refusal {
    reason: String,
    remedy: String,
}

/// Something of the host that it sees.
#[derive(Debug, Serialize)]
struct Seen {
    path: PathBuf,
    access: Access,
    why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Access {
    Read,
    /// Reading too.
    Write,
}

impl From<casemate_sandbox::Access> for Access {
    fn from(access: casemate_sandbox::Access) -> Access {
        match access {
            casemate_sandbox::Access::Read => Access::Read,
            casemate_sandbox::Access::Write => Access::Write,
        }
    }
}

/// One layer, with all that is done for it.
#[derive(Debug, Serialize)]
struct Layer {
    layer: &'static str,
    /// Without what is required there is no cell.
    required: bool,
    about: &'static str,
    steps: Vec<Step>,
}

/// Things that are done in the same way.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Step {
    what: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<PathBuf>,
}

/// What the words of docs/sandbox.md come to for each kind; the rest stands there.
const FULL: &[&str] = &[
    "What is granted is granted: a socket in a granted folder can be spoken to.",
    "A kernel without bugs: whoever needs more takes a virtual machine.",
];
const LIGHT: &[&str] = &[
    "It does not hide: names, sizes and times of the host's files can be seen, and so can its processes and mounts.",
    "Times and modes of the user's own files can be changed.",
    "What is granted is granted, although no socket can be spoken to.",
    "A kernel without bugs: whoever needs more takes a virtual machine.",
];
const NOTHING: &[&str] = &["Anything: it may do everything that its user may."];

impl Explanation {
    fn of(launch: &Launch, design: &Design, (cells, reasons): (&Cells, &Reasons)) -> Explanation {
        let spec = &design.spec;
        let names = spec.env.iter().map(|(name, _)| name.to_string_lossy().into_owned());
        let network = design.network();
        let mut explanation = Explanation {
            program: spec.program.to_string_lossy().into_owned(),
            starts_in: spec.cwd.clone(),
            environment: names.collect(),
            network: network.destinations().iter().map(ToString::to_string).collect(),
            ..Explanation::bare(launch)
        };
        explanation.environment.sort();
        let Some(cell) = &spec.cell else { return explanation };
        explanation.host_stats = cell.host_stats != HostStats::Hidden;
        explanation.sees = reasons.seen(cell);
        explanation.limits = cells::limits(&cell.limits, cell.required);
        match cells.plan(&launch.server, design) {
            Some(Err(refused)) => explanation.refusal = Some(refused.into()),
            Some(Ok(plan)) => {
                explanation.layers = layers(&plan);
                explanation.absent = plan.absent.iter().map(Gap::of).collect();
            }
            None => {}
        }
        explanation
    }

    /// A container is the engine's to make: what is known before is what is asked of it.
    fn image(
        launch: &Launch,
        image: &ImageSource,
        (outline, engine): (Vec<Outline>, Result<String, Refused>),
    ) -> Explanation {
        let room = &image.room;
        let seen = |(path, access): (&PathBuf, Access)| {
            let why = Spelling::Entry.said(if access == Access::Read { "read" } else { "write" });
            Seen { path: path.clone(), access, why }
        };
        let read = room.read.iter().map(|path| (path, Access::Read));
        let write = room.write.iter().map(|path| (path, Access::Write));
        Explanation {
            environment: image.env.keys().cloned().collect(),
            sees: read.chain(write).map(seen).collect(),
            network: room.network.destinations().iter().map(ToString::to_string).collect(),
            limits: cells::limits(&room.limits, Kind::Full),
            layers: outline.iter().map(Layer::asked).collect(),
            absent: ABSENT
                .iter()
                .map(|(layer, reason)| Gap { layer: layer.as_str(), reason: (*reason).to_owned() })
                .collect(),
            engine: engine.as_ref().ok().cloned(),
            refusal: engine.err().map(Refusal::from),
            ..Explanation::bare(launch)
        }
    }

    /// A server whose cell cannot even be worked out.
    fn refused(launch: &Launch, refused: Refused) -> Explanation {
        Explanation { refusal: Some(refused.into()), ..Explanation::bare(launch) }
    }

    fn bare(launch: &Launch) -> Explanation {
        let (cell, not_promised, program) = match &launch.program {
            Program::Image(image) => ("container", FULL, &image.image),
            Program::Command(command) => match &command.enclosure {
                Enclosure::Unsandboxed => ("none", NOTHING, &command.program),
                Enclosure::Cell(Room { kind: Kind::Full, .. }) => ("full", FULL, &command.program),
                Enclosure::Cell(Room { kind: Kind::Light, .. }) => ("light", LIGHT, &command.program),
            },
        };
        Explanation {
            server: launch.server.to_string(),
            cell,
            program: program.clone(),
            engine: None,
            refusal: None,
            starts_in: None,
            environment: Vec::new(),
            sees: Vec::new(),
            network: Vec::new(),
            limits: Vec::new(),
            host_stats: false,
            layers: Vec::new(),
            absent: Vec::new(),
            not_promised,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(Refused { what, hint }: Refused) -> Refusal {
        Refusal { reason: what, remedy: hint }
    }
}

impl Layer {
    /// A layer of a container. All of them are held against what the engine has made before the server starts.
    fn asked(outline: &Outline) -> Layer {
        let step = |setting: &Setting| {
            let is_paths = setting.values.iter().all(|value| value.starts_with('/') && !value.contains(' '));
            match is_paths && !setting.values.is_empty() {
                true => Step {
                    what: setting.name.clone(),
                    paths: setting.values.iter().map(PathBuf::from).collect(),
                },
                false if setting.values.is_empty() => {
                    Step { what: format!("{}: nothing", setting.name), paths: Vec::new() }
                }
                false => Step {
                    what: format!("{}: {}", setting.name, setting.values.join(", ")),
                    paths: Vec::new(),
                },
            }
        };
        Layer {
            layer: outline.layer.as_str(),
            required: true,
            about: outline.layer.about(),
            steps: outline.settings.iter().map(step).collect(),
        }
    }
}

/// The steps of a plan, by their layers, in the order of docs/sandbox.md.
fn layers(plan: &Plan) -> Vec<Layer> {
    let of = |layer: casemate_sandbox::Layer| {
        let own: Vec<_> = plan.steps.iter().filter(|step| step.layer == layer).collect();
        let mut steps: Vec<Step> = Vec::new();
        for told in own.iter().flat_map(|step| step.told()) {
            match steps.iter_mut().find(|known| known.what == told.what) {
                Some(known) => known.paths.extend(told.paths),
                None => steps.push(Step { what: told.what, paths: told.paths }),
            }
        }
        let required = own.iter().any(|step| step.need == Need::Required);
        (!own.is_empty()).then_some(Layer { layer: layer.as_str(), required, about: layer.about(), steps })
    };
    casemate_sandbox::Layer::ALL.into_iter().filter_map(of).collect()
}
