//! `casemate doctor`: looks for what could keep Casemate from working, and changes nothing.

mod answers;
mod production;
mod running;

use std::path::Path;

use casemate_gateway::snapshot::{Enclosure, ServerEntry, Source};
use casemate_registry::Asked;
use casemate_sandbox::{CellSpec, Containment, Host, Kind, Plan, Spawner};
use casemate_store::Store;
use rustix::fs::{Access, access};
use serde::Serialize;

use crate::args::offline::Doctor;
use crate::commands::install;
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Request, Status};
use crate::exit::Exit;
use crate::failure::Account;
use crate::output::{Page, Report, Tone};
use crate::{cells, configuration, paths};

/// Looks at everything, and fails when something would fail later.
pub fn run(context: &Context, doctor: &Doctor) -> anyhow::Result<Exit> {
    let mut findings = Findings(Vec::new());
    findings.folders(context);
    findings.configuration(context);
    findings.keys(context)?;
    findings.gateway(context)?;
    findings.running(context)?;
    findings.cells();
    findings.programs(context);
    match doctor.production {
        true => findings.production(context)?,
        false => findings.clients(context),
    }
    context.output.print(&findings)?;
    let failed = findings.0.iter().any(|finding| finding.verdict == Verdict::Wrong);
    Ok(if failed { Exit::Failure } else { Exit::Success })
}

fn is_image(entry: &ServerEntry) -> bool {
    matches!(entry.source, Source::Image(_))
}

#[derive(Debug, Serialize)]
struct Findings(Vec<Finding>);

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Good,
    /// Works, but a person may want to know.
    Note,
    /// Something will fail.
    Wrong,
}

impl Findings {
    fn add(&mut self, what: &'static str, verdict: Verdict, detail: impl Into<String>) {
        self.0.push(Finding { what, verdict, detail: detail.into(), hints: Vec::new() });
    }

    fn hint(&mut self, hint: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.hints.push(hint.into());
        }
    }

    fn wrong(&mut self, what: &'static str, error: &anyhow::Error) {
        let account = Account::of(error);
        let detail: Vec<String> = std::iter::once(account.message).chain(account.causes).collect();
        let (verdict, hints) = (Verdict::Wrong, account.hints);
        self.0.push(Finding { what, verdict, detail: detail.join(": "), hints });
        for problem in account.problems {
            self.add(what, verdict, format!("{}: {}", problem.place, problem.message));
            problem.hint.into_iter().for_each(|hint| self.hint(hint));
        }
    }

    fn folders(&mut self, context: &Context) {
        for folder in [context.paths.data(), context.paths.run()] {
            self.folder(folder);
        }
        if let Err(error) = context.paths.check_socket_length() {
            self.wrong("sockets", &error);
        }
    }

    fn folder(&mut self, folder: &Path) {
        let shown = folder.display();
        match folder.try_exists() {
            Ok(true) => match paths::check_private(folder) {
                Ok(()) => self.add("folder", Verdict::Good, shown.to_string()),
                Err(error) => self.wrong("folder", &error),
            },
            Ok(false) => {
                // The nearest one that is there is where the rest is made.
                let above = folder.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
                match access(above, Access::WRITE_OK | Access::EXEC_OK) {
                    Ok(()) => self.add("folder", Verdict::Note, format!("{shown} does not exist yet")),
                    Err(error) => {
                        let above = above.display();
                        let detail = format!("{shown} cannot be made: {above} cannot be written ({error})");
                        self.add("folder", Verdict::Wrong, detail);
                        self.hint("choose another place with --home or CASEMATE_HOME");
                    }
                }
            }
            Err(error) => {
                self.add("folder", Verdict::Wrong, format!("{shown} cannot be looked at: {error}"));
                self.hint("choose another place with --home or CASEMATE_HOME");
            }
        }
    }

    fn configuration(&mut self, context: &Context) {
        let loaded = match configuration::load(context, None) {
            Ok(loaded) => loaded,
            Err(error) => return self.wrong("configuration", &error),
        };
        let file = context.paths.config();
        if file.exists() {
            self.add("configuration", Verdict::Good, file.display().to_string());
        } else {
            self.add("configuration", Verdict::Good, "none yet; the built-in one holds");
        }
        for remark in &loaded.remarks {
            self.add("configuration", Verdict::Note, remark);
        }
        for problem in configuration::missing_secrets(&loaded.snapshot.servers) {
            self.add("secret", Verdict::Wrong, format!("{}: {}", problem.place, problem.message));
            problem.hint.into_iter().for_each(|hint| self.hint(hint));
        }
        // What cannot be read of the store is told of by the line on the keys.
        for problem in configuration::strange_keys(context, &loaded.resolved).unwrap_or_default() {
            self.add("limits", Verdict::Note, format!("{}: {}", problem.place, problem.message));
            problem.hint.into_iter().for_each(|hint| self.hint(hint));
        }
        for entry in loaded.snapshot.servers.values().filter(|entry| entry.enabled) {
            self.server(context, entry);
        }
        self.judges(context, &loaded);
        if loaded.snapshot.servers.values().any(|entry| entry.enabled && is_image(entry)) {
            self.engine(context);
        }
    }

    fn server(&mut self, context: &Context, entry: &ServerEntry) {
        let Source::Command(command) = &entry.source else { return };
        if command.enclosure == Enclosure::Unsandboxed {
            let name = &entry.name;
            self.add(
                "server",
                Verdict::Note,
                format!("{name}: runs without a cell, and may do whatever you may"),
            );
            self.hint(format!("remove allow_unsandboxed from [servers.{name}], and grant what it needs: `read`, `write`, `network`"));
        }
        // What is prepared is not started by its package runner.
        let is_prepared = matches!(command.enclosure, Enclosure::Cell(_))
            && Asked::recognize(&command.program, &command.args).is_some();
        if is_prepared || command.program.contains('/') || context.environment.server_finds(&command.program)
        {
            return;
        }
        self.add("server", Verdict::Wrong, format!("{}: `{}` is not installed", entry.name, command.program));
        self.hint("install it, or write its absolute path into the configuration");
    }

    /// Images need one.
    fn engine(&mut self, context: &Context) {
        let found = context
            .small_runtime()
            .map(|runtime| runtime.block_on(cells::engine(&context.paths, &context.environment)));
        match found {
            Ok(Ok(engine)) => self.add("containers", Verdict::Good, engine),
            Ok(Err(refused)) => {
                self.add("containers", Verdict::Wrong, refused.what);
                self.hint(refused.hint);
            }
            Err(error) => self.wrong("containers", &error),
        }
    }

    fn keys(&mut self, context: &Context) -> anyhow::Result<()> {
        match context.paths.data().try_exists() {
            Ok(true) => {}
            Ok(false) => {
                self.add("keys", Verdict::Good, "none yet; the first `casemate up` makes one");
                return Ok(());
            }
            Err(error) => {
                self.add("keys", Verdict::Wrong, format!("whether there are any cannot be seen: {error}"));
                return Ok(());
            }
        }
        let opened = Store::open(context.paths.data()).map_err(anyhow::Error::from);
        let listed = opened.and_then(|store| {
            Ok(context.small_runtime()?.block_on(async { store.keys().list().await })?.len())
        });
        match listed {
            Ok(count) => self.add("keys", Verdict::Good, format!("{count} in the store")),
            Err(error) => self.wrong("keys", &error),
        }
        Ok(())
    }

    fn gateway(&mut self, context: &Context) -> anyhow::Result<()> {
        let socket = context.paths.control_socket();
        let asked = client::ask_if_running::<Status>(&socket, &Request::Status);
        match context.small_runtime()?.block_on(asked) {
            Ok(None) => {
                self.add("gateway", Verdict::Note, "does not run; `casemate up` or a client starts it")
            }
            Ok(Some(status)) if !status.problems.is_empty() => {
                self.add(
                    "gateway",
                    Verdict::Wrong,
                    "runs, and keeps the configuration from before the last change",
                );
                self.hint("`casemate config check` lists the mistakes in the file");
            }
            Ok(Some(status)) if status.version == env!("CARGO_PKG_VERSION") => {
                let detail = format!("runs at {} (process {})", status.endpoint, status.pid);
                self.add("gateway", Verdict::Good, detail);
            }
            Ok(Some(status)) => {
                let detail =
                    format!("runs, but in version {}; this is {}", status.version, env!("CARGO_PKG_VERSION"));
                self.add("gateway", Verdict::Note, detail);
                self.hint("`casemate down`, then `casemate up`");
            }
            Err(error) => self.wrong("gateway", &error),
        }
        Ok(())
    }

    fn cells(&mut self) {
        match Spawner::start() {
            Err(error) => {
                let hint = error.hint();
                self.wrong("cells", &error.into());
                self.hint(hint);
            }
            Ok(spawner) => {
                let report = spawner.report();
                let verdict =
                    if report.containment == Containment::Reaper { Verdict::Note } else { Verdict::Good };
                self.add("cells", verdict, format!("servers are held together by {}", report.containment));
                for refused in &report.refused {
                    self.hint(format!("stronger is {refused}, which this host refuses"));
                }
                self.walls(spawner.host());
            }
        }
    }

    /// What this host can enforce around a server.
    fn walls(&mut self, host: &Host) {
        let kinds = [Kind::Full, Kind::Light].map(|kind| (kind, Plan::of(&CellSpec::new(kind), host).err()));
        for (kind, refusal) in kinds {
            match refusal {
                None => self.add("cells", Verdict::Good, format!("this host can make {kind} cells")),
                Some(refusal) => {
                    // Servers have full cells unless their entries say otherwise.
                    let verdict = if kind == Kind::Full { Verdict::Wrong } else { Verdict::Note };
                    self.add("cells", verdict, format!("this host cannot make {kind} cells: {refusal}"));
                    self.hint(refusal.remedy);
                }
            }
        }
    }

    fn programs(&mut self, context: &Context) {
        for (program, purpose) in [("npm", "servers from npm"), ("python3", "servers from PyPI")] {
            match context.environment.program(program) {
                Some(path) => self.add("program", Verdict::Good, path.display().to_string()),
                None => self.add(
                    "program",
                    Verdict::Note,
                    format!("{program} is not installed; {purpose} need it"),
                ),
            }
        }
    }

    fn clients(&mut self, context: &Context) {
        let installed = install::installed(context);
        if installed.is_empty() {
            self.add("clients", Verdict::Note, "no client is set up to use Casemate");
            self.hint("`casemate install claude-code`, for example");
        }
        for (client, file) in installed {
            self.add("client", Verdict::Good, format!("{} ({})", client.name, file.display()));
        }
    }
}

impl Report for Findings {
    fn lay_out(&self, page: &mut Page) {
        for finding in &self.0 {
            let (mark, tone) = match finding.verdict {
                Verdict::Good => ("ok   ", Tone::Good),
                Verdict::Note => ("note ", Tone::Warning),
                Verdict::Wrong => ("wrong", Tone::Error),
            };
            page.labelled(tone, mark, &format!("{}: {}", finding.what, finding.detail));
            for hint in &finding.hints {
                page.labelled(Tone::Hint, "      hint:", hint);
            }
        }
    }
}
