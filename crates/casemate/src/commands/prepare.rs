//! `casemate prepare`: the packages of servers, installed before anybody waits for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use casemate_config::{Loaded, show_size};
use casemate_gateway::snapshot::{CommandSource, Enclosure, Program, ServerEntry};
use casemate_mcp::names::ServerName;
use casemate_registry::{Asked, Origin, Packages, Prepared, Scripts, Unpinned};
use casemate_sandbox::Spawner;
use casemate_store::RecordLog;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::absent::Absent;
use crate::args::servers::Prepare;
use crate::cells::{Refused, Spelling};
use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Entry, Page, Report, Tone};
use crate::packages::{self, Life};
use crate::wiring::recorder::Log;

/// Prepares what was asked for, one after the other, and shows what came of it. Fails when any could not be prepared.
pub fn run(context: &Context, prepare: &Prepare) -> anyhow::Result<Exit> {
    let loaded = configuration::inspect(context)?;
    let orders = orders(&loaded, &prepare.servers)?;
    context.paths.prepare_data()?;
    let log = Arc::new(Log::new(RecordLog::open(&context.paths.records())?));
    let life = Life { tracker: TaskTracker::new(), stop: CancellationToken::new(), log: Arc::clone(&log) };
    let spawner = Spawner::start().context("cannot start the thread that starts processes")?;
    let packages = packages::of(context, &loaded.process.packages, spawner, life).map_err(|error| {
        let hint = error.hint();
        anyhow::Error::new(error)
            .context(Failure::new(Exit::Failure, "packages cannot be fetched").hint(hint))
    })?;
    let runtime = context.small_runtime()?;
    let mut servers = Vec::new();
    for order in orders {
        if let Task::Install(asked, _) = &order.task {
            context.output.note(&format!("preparing {} for {}", titles(asked).join(", "), order.server));
        }
        servers.push(runtime.block_on(order.carry_out(&packages)));
    }
    drop((runtime, packages));
    log.sync();
    let failed = servers.iter().filter(|server| matches!(server.outcome, Outcome::Failed { .. })).count();
    context.output.print(&Shelf { servers, failed })?;
    Ok(if failed == 0 { Exit::Success } else { Exit::Failure })
}

/// What is to be done for a server.
#[derive(Debug)]
struct Order {
    server: ServerName,
    task: Task,
}

#[derive(Debug)]
enum Task {
    Install(Asked, Scripts),
    Refuse(Unpinned),
    /// It is no package, or a package runner without a cell, which does what it does everywhere.
    Nothing,
}

/// The servers that were named, or all that are enabled and come from a registry.
fn orders(loaded: &Loaded, named: &[ServerName]) -> anyhow::Result<Vec<Order>> {
    let servers = &loaded.snapshot.servers;
    if named.is_empty() {
        let enabled = servers.values().filter(|entry| entry.enabled).map(|entry| Order::of(entry));
        return Ok(enabled.filter(|order| !matches!(order.task, Task::Nothing)).collect());
    }
    let order = |name: &ServerName| {
        let entry = servers.get(name).ok_or_else(|| Failure::from(Absent::of(name.as_str(), servers)))?;
        Ok(Order::of(entry))
    };
    named.iter().map(order).collect()
}

impl Order {
    fn of(entry: &ServerEntry) -> Order {
        let task = match entry.source.program() {
            Some(Program::Command(command)) => Task::of(&command),
            Some(Program::Image(_)) | None => Task::Nothing,
        };
        Order { server: entry.name.clone(), task }
    }

    async fn carry_out(self, packages: &Packages) -> Server {
        let outcome = match self.task {
            Task::Nothing => Outcome::Nothing,
            Task::Refuse(unpinned) => {
                let found = packages.current(&unpinned).await;
                Refused::unpinned(&unpinned, &found, Spelling::Entry).into()
            }
            Task::Install(asked, scripts) => match packages.prepare(&asked, scripts).await {
                Ok(prepared) => Outcome::Ready(Package::of(&asked, prepared)),
                Err(error) => Refused::by_registry(&error, Spelling::Entry).into(),
            },
        };
        Server { server: self.server.to_string(), outcome }
    }
}

impl Task {
    fn of(command: &CommandSource) -> Task {
        let asked = match &command.enclosure {
            Enclosure::Cell(_) => Asked::recognize(&command.program, &command.args),
            Enclosure::Unsandboxed => None,
        };
        let scripts = if command.install_scripts { Scripts::Allowed } else { Scripts::Never };
        match asked {
            Some(Ok(asked)) => Task::Install(asked, scripts),
            Some(Err(unpinned)) => Task::Refuse(unpinned),
            None => Task::Nothing,
        }
    }
}

fn titles(asked: &Asked) -> Vec<String> {
    asked.packages().iter().map(|package| format!("{} {}", package.name(), package.version())).collect()
}

/// What came of all of it.
#[derive(Debug, Serialize)]
struct Shelf {
    servers: Vec<Server>,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct Server {
    server: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Outcome {
    Ready(Package),
    Failed { message: String, hint: String },
    Nothing,
}

impl From<Refused> for Outcome {
    fn from(Refused { what, hint }: Refused) -> Outcome {
        Outcome::Failed { message: what, hint }
    }
}

/// A package that is ready to start.
#[derive(Debug, Serialize)]
struct Package {
    ecosystem: &'static str,
    packages: Vec<Named>,
    /// Whether it was installed now; otherwise it was there, and is as it was.
    installed: bool,
    lock: PathBuf,
    lock_sha256: String,
    tree: PathBuf,
    bytes: u64,
    files: u64,
    scripts_ran: Vec<String>,
    scripts_skipped: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
    version: String,
}

impl Package {
    fn of(asked: &Asked, prepared: Prepared) -> Package {
        let named = asked
            .packages()
            .iter()
            .map(|package| Named { name: package.name().to_owned(), version: package.version().to_owned() });
        let (bytes, files) = measure(&prepared.tree);
        Package {
            ecosystem: asked.ecosystem().as_str(),
            packages: named.collect(),
            installed: prepared.origin == Origin::Installed,
            lock: prepared.lock,
            lock_sha256: prepared.lock_sha256,
            tree: prepared.tree,
            bytes,
            files,
            scripts_ran: prepared.scripts_ran,
            scripts_skipped: prepared.scripts_skipped,
        }
    }
}

/// The bytes and files of a tree. Links are not followed.
fn measure(tree: &Path) -> (u64, u64) {
    let (mut bytes, mut files) = (0, 0);
    let mut ahead = vec![tree.to_owned()];
    while let Some(folder) = ahead.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => ahead.push(entry.path()),
                Ok(found) => {
                    bytes += found.len();
                    files += 1;
                }
                Err(_) => {}
            }
        }
    }
    (bytes, files)
}

/// Where the values of a package begin.
const VALUES: usize = 11;

impl Report for Shelf {
    fn lay_out(&self, page: &mut Page) {
        if self.servers.is_empty() {
            page.line("No server that is enabled comes from a registry; there is nothing to prepare.");
        }
        for (number, Server { server, outcome }) in self.servers.iter().enumerate() {
            if number > 0 {
                page.gap();
            }
            let (word, tone) = match outcome {
                Outcome::Ready(Package { installed: true, .. }) => ("installed", Tone::Good),
                Outcome::Ready(_) => ("ready, as it was", Tone::Good),
                Outcome::Failed { .. } => ("failed", Tone::Error),
                Outcome::Nothing => ("nothing to prepare: it names no package, or has no cell", Tone::Quiet),
            };
            page.item(0, &[Entry::new(&format!("{server}:"), Tone::Strong), Entry::new(word, tone)]);
            match outcome {
                Outcome::Ready(package) => package.lay_out(page),
                Outcome::Failed { message, hint } => {
                    page.labelled(Tone::Error, "  error:", message);
                    page.labelled(Tone::Hint, "  hint:", hint);
                }
                Outcome::Nothing => {}
            }
        }
    }
}

impl Package {
    fn lay_out(&self, page: &mut Page) {
        let mut row = |name: &str, value: &str| {
            page.item(VALUES, &[Entry::new(&format!("  {name}"), Tone::Quiet), value.into()]);
        };
        for Named { name, version } in &self.packages {
            row("package", &format!("{name} {version}"));
        }
        row("sha256", &self.lock_sha256);
        row("size", &format!("{} in {} files", rounded(self.bytes), self.files));
        row("in", &self.tree.display().to_string());
        if !self.scripts_ran.is_empty() {
            row("scripts", &format!("ran: {}", self.scripts_ran.join(", ")));
        }
        if !self.scripts_skipped.is_empty() {
            row("scripts", &format!("not run: {}", self.scripts_skipped.join(", ")));
        }
    }
}

/// A size that people can take in: whole units, rounded up.
fn rounded(bytes: u64) -> String {
    let unit = [1 << 20, 1 << 10].into_iter().find(|unit| bytes >= *unit).unwrap_or(1);
    show_size(bytes.div_ceil(unit) * unit)
}
