//! `casemate service`: a systemd unit for the gateway. It writes and removes a file, and starts nothing.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use casemate_sandbox::environment as cell;
use serde::Serialize;

use crate::args::cells::{Install, Service, Whose};
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Request, Status};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Entry, Page, Report, Tone};
use crate::paths::Paths;
use unit::{MARK, Manager, Unit};

mod unit;

/// The name of the unit.
const NAME: &str = "casemate.service";
/// Where root's installation is, unless another folder is named: what systemd makes for `StateDirectory=casemate`.
const SYSTEM_HOME: &str = "/var/lib/casemate";

/// Does what was asked.
pub fn run(context: &Context, service: &Service) -> anyhow::Result<Exit> {
    match service {
        Service::Install(args) => install(context, args),
        Service::Uninstall(whose) => uninstall(&Place::of(context, *whose)?, context),
        Service::Status(whose) => status(&Place::of(context, *whose)?, context),
    }
}

fn install(context: &Context, args: &Install) -> anyhow::Result<Exit> {
    let place = Place::of(context, args.whose)?;
    let text = place.unit(context)?.text();
    if args.dry_run {
        context.output.print(&Draft { unit: &place.file, text: &text })?;
        return Ok(Exit::Success);
    }
    let found = Found::at(&place.file)?;
    let changed = match &found {
        Found::Foreign => return Err(foreign(&place.file)),
        Found::Ours(before) => *before != text,
        Found::Nothing => true,
    };
    if changed {
        write(&place.file, &text).with_context(|| {
            let failure = Failure::new(Exit::Failure, format!("cannot write {}", place.file.display()));
            match place.manager {
                Manager::System => {
                    failure.hint("only root may; `casemate service install` writes a unit of your own")
                }
                Manager::User => failure,
            }
        })?;
    }
    if !Path::new("/run/systemd/system").exists() {
        context.output.warn("systemd does not run on this machine; the unit waits for one that does");
    }
    context.output.print(&Installed { unit: &place.file, changed, next: place.to_start() })?;
    Ok(Exit::Success)
}

fn uninstall(place: &Place, context: &Context) -> anyhow::Result<Exit> {
    let removed = match Found::at(&place.file)? {
        Found::Foreign => return Err(foreign(&place.file)),
        Found::Nothing => false,
        Found::Ours(_) => {
            let remove = |path: &Path| {
                std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
            };
            // `systemctl disable` does nothing for a unit that is gone.
            if place.wants.is_symlink() {
                remove(&place.wants)?;
            }
            remove(&place.file)?;
            true
        }
    };
    let next = if removed { place.to_stop() } else { Vec::new() };
    context.output.print(&Uninstalled { unit: &place.file, removed, next })?;
    Ok(Exit::Success)
}

fn status(place: &Place, context: &Context) -> anyhow::Result<Exit> {
    let state = match Found::at(&place.file)? {
        Found::Nothing => "absent",
        Found::Foreign => "foreign",
        Found::Ours(text) if text == place.unit(context)?.text() => "installed",
        Found::Ours(_) => "outdated",
    };
    let socket = place.paths.control_socket();
    let asked = client::ask_if_running::<Status>(&socket, &Request::Status);
    let gateway = context.small_runtime()?.block_on(asked)?;
    context.output.print(&Seen {
        unit: &place.file,
        state,
        enabled: place.wants.is_symlink(),
        gateway: gateway.map(|status| Running { pid: status.pid, endpoint: status.endpoint }),
    })?;
    Ok(Exit::Success)
}

/// Where the unit of a service manager is, and the installation that it runs.
struct Place {
    manager: Manager,
    file: PathBuf,
    /// The link that `systemctl enable` makes.
    wants: PathBuf,
    paths: Paths,
}

impl Place {
    fn of(context: &Context, whose: Whose) -> anyhow::Result<Place> {
        if whose.system {
            let folder = Path::new("/etc/systemd/system");
            let home = context.paths.home().unwrap_or(Path::new(SYSTEM_HOME));
            let config = context.global.config.as_deref();
            return Ok(Place {
                manager: Manager::System,
                file: folder.join(NAME),
                wants: folder.join("multi-user.target.wants").join(NAME),
                paths: Paths::resolve(&context.environment, Some(home), config)?,
            });
        }
        let folder = context.environment.config_home().ok_or_else(|| {
            Failure::new(
                Exit::Configuration,
                "HOME is not set, so the folder of the user's units cannot be found",
            )
        })?;
        let folder = folder.join("systemd/user");
        Ok(Place {
            manager: Manager::User,
            file: folder.join(NAME),
            wants: folder.join("default.target.wants").join(NAME),
            paths: context.paths.clone(),
        })
    }

    fn unit(&self, context: &Context) -> anyhow::Result<Unit> {
        let mut args = vec!["up".to_owned()];
        let mut variables = vec![("PATH", search(context))];
        match self.paths.home() {
            Some(home) => args.extend(["--home".to_owned(), text(home)?]),
            None => {
                for (name, folder) in context.environment.relocations() {
                    variables.push((name, text(&folder)?));
                }
            }
        }
        if self.paths.config_is_chosen() {
            args.extend(["--config".to_owned(), text(self.paths.config())?]);
        }
        Ok(Unit {
            manager: self.manager,
            program: std::env::current_exe().context("cannot find the path of this program")?,
            args,
            variables,
            in_state_directory: self.manager == Manager::System
                && self.paths.home() == Some(Path::new(SYSTEM_HOME)),
            systemd: unit::systemd_version(),
        })
    }

    /// How a person calls the service manager.
    fn systemctl(&self) -> &'static str {
        match self.manager {
            Manager::User => "systemctl --user",
            Manager::System => "systemctl",
        }
    }

    fn to_start(&self) -> Vec<String> {
        let systemctl = self.systemctl();
        let mut next = vec![format!("{systemctl} daemon-reload && {systemctl} enable --now {NAME}")];
        if self.manager == Manager::User {
            // A user's services end with that user's last session, unless the user lingers.
            next.push("loginctl enable-linger".to_owned());
        }
        next
    }

    fn to_stop(&self) -> Vec<String> {
        let systemctl = self.systemctl();
        vec![format!("{systemctl} stop {NAME}; {systemctl} daemon-reload")]
    }
}

/// Service managers have a short `PATH`; servers find their runtimes through ours.
fn search(context: &Context) -> String {
    let folders = context.environment.server_folders();
    let folders = folders.iter().filter_map(|folder| folder.to_str()).filter(|folder| !folder.contains(':'));
    folders.chain([cell::PATH]).collect::<Vec<_>>().join(":")
}

fn text(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.with_context(|| format!("{} is not UTF-8, which systemd needs", path.display()))
}

/// What is where the unit goes.
enum Found {
    Nothing,
    /// Ours, with its text.
    Ours(String),
    /// Somebody else's, or a link, which is how units are masked.
    Foreign,
}

impl Found {
    fn at(file: &Path) -> anyhow::Result<Found> {
        if file.is_symlink() {
            return Ok(Found::Foreign);
        }
        match std::fs::read(file).map(String::from_utf8) {
            Ok(Ok(text)) if text.lines().next() == Some(MARK) => Ok(Found::Ours(text)),
            Ok(_) => Ok(Found::Foreign),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }
}

fn foreign(file: &Path) -> anyhow::Error {
    let message = format!("{} is not ours: something else has put it there", file.display());
    Failure::new(Exit::Failure, message).hint("look at it, and move it away").into()
}

/// Whole or not at all, and for all to read, as units are.
fn write(file: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

#[derive(Debug, Serialize)]
struct Draft<'a> {
    unit: &'a Path,
    text: &'a str,
}

impl Report for Draft<'_> {
    fn lay_out(&self, page: &mut Page) {
        self.text.lines().for_each(|line| page.line(line));
    }
}

#[derive(Debug, Serialize)]
struct Installed<'a> {
    unit: &'a Path,
    changed: bool,
    /// Commands for the person to run.
    next: Vec<String>,
}

impl Report for Installed<'_> {
    fn lay_out(&self, page: &mut Page) {
        let done = if self.changed { "The unit is written" } else { "The unit says so already" };
        page.line(&format!("{done}: {}", self.unit.display()));
        lay_out_next(&self.next, page);
    }
}

fn lay_out_next(next: &[String], page: &mut Page) {
    if !next.is_empty() {
        page.line("Next:");
    }
    for command in next {
        page.line(&page.toned(Tone::Strong, &format!("  {command}")));
    }
}

#[derive(Debug, Serialize)]
struct Uninstalled<'a> {
    unit: &'a Path,
    removed: bool,
    next: Vec<String>,
}

impl Report for Uninstalled<'_> {
    fn lay_out(&self, page: &mut Page) {
        let done = if self.removed { "The unit is removed" } else { "There is no unit" };
        page.line(&format!("{done}: {}", self.unit.display()));
        lay_out_next(&self.next, page);
    }
}

#[derive(Debug, Serialize)]
struct Seen<'a> {
    unit: &'a Path,
    /// `absent`, `installed`, `outdated` (it is ours, but `install` would write another one now) or `foreign`.
    state: &'static str,
    /// Whether it starts by itself.
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<Running>,
}

#[derive(Debug, Serialize)]
struct Running {
    pid: u32,
    endpoint: String,
}

impl Report for Seen<'_> {
    fn lay_out(&self, page: &mut Page) {
        let (state, tone) = match self.state {
            "installed" => ("installed", Tone::Good),
            "outdated" => ("written by another version, or for another installation", Tone::Warning),
            "foreign" => ("not ours", Tone::Warning),
            _ => ("not installed", Tone::Quiet),
        };
        let enabled = if self.enabled { "yes" } else { "no" };
        let gateway = self.gateway.as_ref();
        let gateway =
            gateway.map(|running| format!("runs at {} (process {})", running.endpoint, running.pid));
        page.table(
            &[],
            &[
                vec!["unit".into(), Entry::new(state, tone), self.unit.display().to_string().into()],
                vec!["starts by itself".into(), enabled.into()],
                vec!["gateway".into(), gateway.as_deref().unwrap_or("does not run").into()],
            ],
        );
        if matches!(self.state, "absent" | "outdated") {
            page.labelled(Tone::Hint, "hint:", "`casemate service install` writes it");
        }
    }
}
