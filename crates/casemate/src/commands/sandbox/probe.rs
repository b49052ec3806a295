//! `casemate sandbox probe`: what this host can enforce, found out by making cells, and what to change.

use std::path::PathBuf;

use anyhow::Context as _;
use casemate_sandbox::{
    Access, CellSpec, Controller, Enforced, Error, Host, Kind, Layer, Obstacle, Plan, Refusal, Spawner, Spec,
    environment,
};
use serde::Serialize;

use super::Gap;
use crate::cells::{self, Refused};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Entry, Page, Report, Tone};

/// What the trial cells run: it ends at once, and every host has it. When one has not, the cell was made all the same.
const PROGRAM: &str = "true";

/// Makes a cell of each kind and shows what came of it. Fails when servers would not get the cell that is the default.
pub(super) fn run(context: &Context) -> anyhow::Result<Exit> {
    let host = Host::probe();
    let spawner = Spawner::start().context("cannot start the thread that starts processes")?;
    let runtime = context.small_runtime()?;
    let cell = |kind| runtime.block_on(attempt(&spawner, kind)).map(|made| Cell::new(kind, &host, made));
    let engine = runtime.block_on(cells::engine(&context.paths, &context.environment));
    let probe = Probe::new(&host, ([cell(Kind::Full)?, cell(Kind::Light)?], engine));
    context.output.print(&probe)?;
    Ok(if probe.full.possible { Exit::Success } else { Exit::Failure })
}

/// What came of a cell: what is in force in it, as far as its report could be read, or why there is none.
type Made = Result<Option<Enforced>, Refusal>;

async fn attempt(spawner: &Spawner, kind: Kind) -> anyhow::Result<Made> {
    let spec = Spec {
        program: PROGRAM.into(),
        args: Vec::new(),
        env: vec![("PATH".into(), environment::PATH.to_owned().into())],
        cwd: Some(PathBuf::from("/")),
        label: "probe".to_owned(),
        cell: Some(trial(kind)),
    };
    match spawner.spawn(spec).await {
        Ok(cell) => {
            cell.handle.wait().await;
            Ok(Ok(cell.handle.report().enforced.clone()))
        }
        Err(Error::NoCell { refusal, .. }) => Ok(Err(refusal)),
        // The program is looked for from inside: all walls stood already.
        Err(Error::NotInPath { .. } | Error::NotExecutable { .. } | Error::NoInterpreter { .. }) => {
            Ok(Ok(None))
        }
        Err(error) => {
            let hint = error.hint();
            let failure = Failure::new(Exit::Failure, format!("a {kind} cell cannot be tried")).hint(hint);
            Err(anyhow::Error::new(error).context(failure))
        }
    }
}

/// A cell with something of everything that its kind has.
fn trial(kind: Kind) -> CellSpec {
    match kind {
        Kind::Full => CellSpec::new(kind).grant(Access::Read, "/usr/bin"),
        Kind::Light => CellSpec::new(kind),
    }
}

/// What this host can enforce.
#[derive(Debug, Serialize)]
struct Probe {
    kernel: String,
    user: u32,
    full: Cell,
    light: Cell,
    layers: Vec<Row>,
    landlock: Option<u8>,
    cgroups: Vec<String>,
    containers: Containers,
    /// What stands in the way, each thing once.
    obstacles: Vec<Problem>,
}

/// A kind of cell.
#[derive(Debug, Serialize)]
struct Cell {
    possible: bool,
    /// What it cannot enforce here, although it can be had.
    absent: Vec<Gap>,
    #[serde(skip)]
    states: Vec<(Layer, State)>,
    #[serde(skip)]
    refusal: Option<Refusal>,
}

/// Whether servers can come as images.
#[derive(Debug, Serialize)]
struct Containers {
    /// Who would run them, and where it listens.
    engine: Option<String>,
    /// Why nobody would.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl From<Result<String, Refused>> for Containers {
    fn from(found: Result<String, Refused>) -> Containers {
        match found {
            Ok(engine) => Containers { engine: Some(engine), reason: None, remedy: None },
            Err(Refused { what, hint }) => {
                Containers { engine: None, reason: Some(what), remedy: Some(hint) }
            }
        }
    }
}

/// Something that stands in the way.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Problem {
    layer: &'static str,
    reason: String,
    remedy: &'static str,
}

/// One layer, in both kinds of cells.
#[derive(Debug, Serialize)]
struct Row {
    layer: &'static str,
    about: &'static str,
    full: State,
    light: State,
}

/// Whether a layer is in force in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Wholly.
    Yes,
    /// Not all of it.
    Partly,
    /// It belongs to this kind of cell, but the host refuses it.
    No,
    /// This kind of cell has none.
    None,
}

impl State {
    fn entry(self) -> Entry {
        match self {
            State::Yes => Entry::new("yes", Tone::Good),
            State::Partly => Entry::new("partly", Tone::Warning),
            State::No => Entry::new("no", Tone::Error),
            State::None => Entry::new("-", Tone::Quiet),
        }
    }
}

impl Cell {
    fn new(kind: Kind, host: &Host, made: Made) -> Cell {
        let spec = trial(kind);
        let belongs = layers(&Plan::of(&spec, &able(host)));
        let plan = Plan::of(&spec, host);
        let (in_force, absent, refusal) = match made {
            Ok(Some(Enforced { layers, absent, .. })) => (layers, absent, None),
            Ok(None) => {
                (layers(&plan), plan.as_ref().map(|plan| plan.absent.clone()).unwrap_or_default(), None)
            }
            Err(refusal) => (belongs.clone(), Vec::new(), Some(refusal)),
        };
        let begun = layers(&plan);
        let light = layers(&Plan::of(&trial(Kind::Light), &able(host)));
        let by_host = |layer| match host.user_namespaces {
            _ if kind == Kind::Light => false,
            // What only a full cell has is made in one.
            Err(_) if !light.contains(&layer) => true,
            _ => host.obstacles().any(|(obstacle, _)| obstacle == layer),
        };
        let refused =
            |layer| by_host(layer) || refusal.as_ref().is_some_and(|refusal| refusal.layer == layer);
        let state = |layer: Layer| match layer {
            _ if !belongs.contains(&layer) => State::None,
            _ if refused(layer) => State::No,
            _ if in_force.contains(&layer) && absent.iter().all(|absent| absent.layer != layer) => State::Yes,
            _ if begun.contains(&layer) => State::Partly,
            _ => State::No,
        };
        Cell {
            possible: refusal.is_none(),
            states: Layer::ALL.map(|layer| (layer, state(layer))).to_vec(),
            absent: absent.iter().map(Gap::of).collect(),
            refusal,
        }
    }

    fn state(&self, layer: Layer) -> State {
        self.states.iter().find(|(known, _)| *known == layer).map_or(State::None, |(_, state)| *state)
    }
}

/// The layers that a plan has a step of.
fn layers(plan: &Result<Plan, Refusal>) -> Vec<Layer> {
    plan.iter().flat_map(|plan| &plan.steps).map(|step| step.layer).collect()
}

/// The same host with nothing in the way.
fn able(host: &Host) -> Host {
    Host {
        user_namespaces: Ok(()),
        pid_namespace: Ok(()),
        net_namespace: Ok(()),
        ipc_namespace: Ok(()),
        uts_namespace: Ok(()),
        cgroup_namespace: Ok(()),
        seccomp: Ok(()),
        landlock: Some(u8::MAX),
        ..host.clone()
    }
}

impl Probe {
    fn new(host: &Host, ([full, light], engine): ([Cell; 2], Result<String, Refused>)) -> Probe {
        let row = |layer: Layer| Row {
            layer: layer.as_str(),
            about: layer.about(),
            full: full.state(layer),
            light: light.state(layer),
        };
        let layers = Layer::ALL.into_iter().map(row).collect();
        // Without user namespaces nothing else can be tried, so the first one explains the others.
        let first_only = if host.user_namespaces.is_err() { 1 } else { usize::MAX };
        let by_host = host.obstacles().take(first_only);
        let by_host = by_host.map(|(layer, Obstacle { reason, remedy })| Problem {
            layer: layer.as_str(),
            reason: reason.clone(),
            remedy,
        });
        let by_trial = [&full, &light].into_iter().filter_map(|cell| cell.refusal.as_ref());
        let by_trial = by_trial.map(|Refusal { layer, reason, remedy }| Problem {
            layer: layer.as_str(),
            reason: reason.clone(),
            remedy,
        });
        let mut obstacles: Vec<Problem> = Vec::new();
        for problem in by_host.chain(by_trial) {
            if obstacles.iter().all(|known| known.layer != problem.layer) {
                obstacles.push(problem);
            }
        }
        Probe {
            kernel: host.kernel.clone(),
            user: host.user,
            layers,
            landlock: host.landlock,
            cgroups: Controller::ALL
                .into_iter()
                .filter(|controller| host.cgroups.offers(*controller))
                .map(|controller| controller.as_str().to_owned())
                .collect(),
            containers: engine.into(),
            obstacles,
            full,
            light,
        }
    }

    fn lay_out_host(&self, page: &mut Page) {
        let user = match self.user {
            0 => "root; each server runs as a user of its own".to_owned(),
            user => format!("{user}, an ordinary user; servers run as the same, with fewer rights"),
        };
        let landlock = match self.landlock {
            None => Entry::new("none", Tone::Warning),
            Some(version) => format!("version {version}: {}", guarded(version)).into(),
        };
        let cgroups = match self.cgroups.as_slice() {
            [] => Entry::new(
                "none that we may write to: limits hold for each process, not for a server",
                Tone::Warning,
            ),
            controllers => controllers.join(", ").into(),
        };
        page.table(
            &[],
            &[
                vec!["kernel".into(), (&self.kernel).into()],
                vec!["user".into(), user.into()],
                vec!["Landlock".into(), landlock],
                vec!["control groups".into(), cgroups],
            ],
        );
    }
}

/// What a version of Landlock can guard.
fn guarded(version: u8) -> String {
    let since =
        [(1, "files"), (3, "truncation"), (4, "TCP"), (5, "devices"), (6, "signals and abstract sockets")];
    let known: Vec<&str> =
        since.iter().filter(|(first, _)| version >= *first).map(|(_, what)| *what).collect();
    known.join(", ")
}

impl Report for Probe {
    fn lay_out(&self, page: &mut Page) {
        for (cell, kind, purpose) in [
            (&self.full, "full", "what servers get"),
            (&self.light, "light", "for a server whose entry asks for it; no network"),
        ] {
            let (verdict, tone) = if cell.possible { ("yes", Tone::Good) } else { ("no ", Tone::Error) };
            page.line(&format!("{:<13}{}  {purpose}", format!("{kind} cells"), page.toned(tone, verdict)));
        }
        let (verdict, tone, about) = match &self.containers {
            Containers { engine: Some(engine), .. } => ("yes", Tone::Good, format!("of {engine}")),
            Containers { .. } => ("no ", Tone::Warning, "no container engine".to_owned()),
        };
        page.labelled(tone, &format!("{:<13}{verdict} ", "containers"), &about);
        page.gap();
        let row = |row: &Row| {
            vec![Entry::new(row.layer, Tone::Strong), row.full.entry(), row.light.entry(), row.about.into()]
        };
        page.table(&["layer", "full", "light", ""], &self.layers.iter().map(row).collect::<Vec<_>>());
        page.gap();
        self.lay_out_host(page);
        for (kind, cell) in [("full", &self.full), ("light", &self.light)] {
            if !cell.absent.is_empty() {
                page.gap();
                page.line(&format!("What a {kind} cell leaves open here:"));
                let row = |gap: &Gap| vec![format!("  {}", gap.layer).into(), (&gap.reason).into()];
                page.table(&[], &cell.absent.iter().map(row).collect::<Vec<_>>());
            }
        }
        if !self.obstacles.is_empty() {
            page.gap();
            page.line("What stands in the way:");
        }
        for Problem { layer, reason, remedy } in &self.obstacles {
            page.labelled(Tone::Error, &format!("  {layer}:"), reason);
            page.labelled(Tone::Hint, "    hint:", remedy);
        }
        if let Containers { reason: Some(reason), remedy: Some(remedy), .. } = &self.containers {
            page.gap();
            page.labelled(Tone::Warning, "Servers that come as images cannot be started:", reason);
            page.labelled(Tone::Hint, "hint:", remedy);
        }
        if self.cgroups.is_empty() {
            page.gap();
            let hint = "`casemate service install` writes a systemd unit that has control groups of its own";
            page.labelled(Tone::Hint, "hint:", hint);
        }
    }
}
