//! What of an entry and this host becomes a cell.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use casemate_gateway::snapshot::{CommandSource, Enclosure, Room};
use casemate_gateway::upstream::report::Origin;
use casemate_mcp::names::ServerName;
use casemate_net::Policy;
use casemate_registry::Prepared;
use casemate_sandbox::environment::{self, Variable};
use casemate_sandbox::{Access, CellSpec, Grant, HostStats, Kind, Network, Spec};

use super::runtime::Runtime;
use super::scratch::Scratch;
use super::{Refused, Surroundings};

/// The home, the working directory and the folder for temporary files of a full cell: its own, limited, and gone with it.
const TMP: &str = "/tmp";

/// What is about to be started.
#[derive(Debug)]
pub struct Design {
    /// The program and everything that it gets to see.
    pub spec: Spec,
    /// What the entry asks for; absent for a server that has no cell.
    pub room: Option<Room>,
    /// The package or image that it comes from, when it was fetched.
    pub origin: Option<Origin>,
    /// What a person may want to know about it.
    pub remarks: Vec<String>,
    /// A light cell's own folder.
    _scratch: Option<Scratch>,
}

impl Design {
    /// Works out what an entry comes to on this host. Looks at the disk; a light cell's folder is made.
    pub(super) fn of(
        server: &ServerName,
        (command, package): (&CommandSource, Option<Package>),
        surroundings: &Surroundings,
    ) -> Result<Design, Refused> {
        match &command.enclosure {
            Enclosure::Unsandboxed => Ok(unsandboxed(server, command, surroundings)),
            Enclosure::Cell(room) => Draft { server, command, room, surroundings }.design(package),
        }
    }

    /// What it may reach over the network. Without a cell nobody knows.
    pub fn network(&self) -> Policy {
        self.room.as_ref().map(|room| room.network.clone()).unwrap_or_default()
    }
}

/// A process like any other of ours, but for its environment.
fn unsandboxed(server: &ServerName, command: &CommandSource, surroundings: &Surroundings) -> Design {
    let program = OsString::from(&command.program);
    let search: Vec<&Path> = surroundings.search.iter().map(PathBuf::as_path).collect();
    let base = environment::base(&surroundings.home, &surroundings.tmp, &search);
    let base = environment::merge(base, environment::for_runner(&program, &surroundings.available));
    let spec = Spec {
        program,
        args: command.args.iter().map(OsString::from).collect(),
        env: environment::merge(base, named(command)),
        cwd: Some(command.cwd.clone().unwrap_or_else(|| surroundings.home.clone())),
        label: server.to_string(),
        cell: None,
    };
    Design { spec, room: None, origin: None, remarks: Vec::new(), _scratch: None }
}

/// The variables that the entry names.
fn named(command: &CommandSource) -> impl Iterator<Item = Variable> {
    command.env.iter().map(|(name, value)| (OsString::from(name), value.clone()))
}

/// A prepared package, and what is told of it.
pub(super) type Package = (Origin, Prepared);

/// What is executed.
struct Start {
    program: OsString,
    args: Vec<OsString>,
    /// What is laid over the variables that every server has.
    env: Vec<Variable>,
    /// Folders before the fixed `PATH`.
    search: Vec<PathBuf>,
    /// Links that are shown as links.
    links: Vec<PathBuf>,
    remarks: Vec<String>,
}

struct Draft<'a> {
    server: &'a ServerName,
    command: &'a CommandSource,
    room: &'a Room,
    surroundings: &'a Surroundings,
}

impl Draft<'_> {
    fn design(&self, package: Option<Package>) -> Result<Design, Refused> {
        self.surroundings.check_place()?;
        let mut grants = grants(self.room, self.surroundings)?;
        self.room.runtime.iter().try_for_each(|path| self.surroundings.check_runtime(path))?;
        let (origin, start) = match package {
            Some((origin, prepared)) => (Some(origin), packaged(prepared, &mut grants)),
            None => (None, self.installed(&mut grants)?),
        };
        let scratch = match self.room.kind {
            Kind::Full => None,
            Kind::Light => Some(self.scratch()?),
        };
        let home = scratch.as_ref().map_or(Path::new(TMP), Scratch::path).to_owned();
        if let Some(scratch) = &scratch {
            grants.push(Grant { path: scratch.path().to_owned(), access: Access::Write });
        }
        let cwd = self.cwd(&mut grants)?.unwrap_or_else(|| home.clone());
        let search: Vec<&Path> = start.search.iter().map(PathBuf::as_path).collect();
        let env = environment::merge(environment::base(&home, &home, &search), start.env);
        let spec = Spec {
            program: start.program,
            args: start.args,
            env: environment::merge(env, named(self.command)),
            cwd: Some(cwd),
            label: self.server.to_string(),
            cell: Some(self.cell(grants, start.links)),
        };
        let room = Some(self.room.clone());
        Ok(Design { spec, room, origin, remarks: start.remarks, _scratch: scratch })
    }

    fn cell(&self, grants: Vec<Grant>, links: Vec<PathBuf>) -> CellSpec {
        let runtime = CellSpec::RUNTIME.map(PathBuf::from).into_iter();
        CellSpec {
            runtime: runtime.chain(self.room.runtime.iter().cloned()).chain(links).collect(),
            grants,
            network: network(self.room),
            host_stats: match self.room.host_stats {
                true => HostStats::Shown,
                false => HostStats::Hidden,
            },
            limits: self.room.limits,
            account: self.room.account,
            ..CellSpec::new(self.room.kind)
        }
    }

    /// A program of this host, and the installation that it is part of.
    fn installed(&self, grants: &mut Vec<Grant>) -> Result<Start, Refused> {
        let Draft { command, surroundings, .. } = self;
        let program = Path::new(&command.program);
        let runtime = Runtime::find(program, command.cwd.as_deref(), &surroundings.search)?;
        for shown in &runtime.shown {
            surroundings.check_read(shown)?;
            add(grants, shown);
        }
        Ok(Start {
            program: runtime.program.into(),
            args: command.args.iter().map(OsString::from).collect(),
            env: Vec::new(),
            search: runtime.search,
            links: runtime.links,
            remarks: Vec::new(),
        })
    }

    /// Where it starts, when the entry says so. A folder that it may not see otherwise is shown for reading: who names it
    /// means what lies in it.
    fn cwd(&self, grants: &mut Vec<Grant>) -> Result<Option<PathBuf>, Refused> {
        let Some(cwd) = &self.command.cwd else { return Ok(None) };
        let is_everywhere = cwd == Path::new(TMP) || cwd == Path::new("/") || is_runtime(cwd);
        if !is_everywhere && !grants.iter().any(|grant| cwd.starts_with(&grant.path)) {
            if let Some(fault) = CellSpec::fault(cwd) {
                return Err(Refused::new(
                    format!("the working directory {} {fault}", cwd.display()),
                    "choose a folder that a server may see, or leave `cwd` out",
                ));
            }
            check_plain(cwd)?;
            self.surroundings.check_read(cwd)?;
            add(grants, cwd);
        }
        Ok(Some(cwd.clone()))
    }

    fn scratch(&self) -> Result<Scratch, Refused> {
        Scratch::make(self.room.account).map_err(|error| {
            let hint = match error.kind() {
                // The account of a server of root's, in a container with few users.
                std::io::ErrorKind::InvalidInput => {
                    "run casemate as an ordinary user, or where all users exist"
                }
                _ => "look whether the disk is full",
            };
            Refused::new(format!("a folder of its own cannot be made in /var/tmp: {error}"), hint)
        })
    }
}

/// A prepared package: its tree and its interpreter are shown, wherever they lie.
fn packaged(prepared: Prepared, grants: &mut Vec<Grant>) -> Start {
    add(grants, &prepared.tree);
    prepared.runtime.iter().for_each(|shown| add(grants, shown));
    let skipped = prepared.scripts_skipped.join(", ");
    let remark =
        format!("the install scripts of {skipped} have not run; install_scripts = true would let them");
    Start {
        program: prepared.program.into(),
        args: prepared.args,
        env: prepared.env,
        search: Vec::new(),
        links: Vec::new(),
        remarks: if skipped.is_empty() { Vec::new() } else { vec![remark] },
    }
}

/// What the entry grants, as far as it can be granted.
pub(super) fn grants(room: &Room, surroundings: &Surroundings) -> Result<Vec<Grant>, Refused> {
    let mut grants = Vec::new();
    for (paths, access) in [(&room.read, Access::Read), (&room.write, Access::Write)] {
        for path in paths {
            check_plain(path)?;
            match access {
                Access::Read => surroundings.check_read(path)?,
                Access::Write => surroundings.check_write(path)?,
            }
            grants.push(Grant { path: path.clone(), access });
        }
    }
    Ok(grants)
}

/// What its network needs of a cell.
pub(super) fn network(room: &Room) -> Network {
    match room.network.is_empty() {
        true => Network::None,
        false => Network::Ports(room.network.ports()),
    }
}

/// Shows something for reading, unless it is shown already.
fn add(grants: &mut Vec<Grant>, path: &Path) {
    if !is_runtime(path) && !grants.iter().any(|grant| path.starts_with(&grant.path)) {
        grants.push(Grant { path: path.to_owned(), access: Access::Read });
    }
}

/// Whether every cell shows it.
fn is_runtime(path: &Path) -> bool {
    CellSpec::RUNTIME.iter().any(|runtime| path.starts_with(runtime))
}

/// Refuses a grant that leads nowhere or elsewhere. A link is not followed: a server that may write to a folder in the
/// path could choose what is shown at the next start.
fn check_plain(path: &Path) -> Result<(), Refused> {
    let real = path.canonicalize().map_err(|error| {
        Refused::new(
            format!("{} is granted and cannot be found: {error}", path.display()),
            "make it, or do not grant it",
        )
    })?;
    if real == path {
        return Ok(());
    }
    Err(Refused::new(
        format!("{} is granted and is a symbolic link, or lies behind one", path.display()),
        format!("grant what it leads to now, {}", real.display()),
    ))
}

#[cfg(test)]
mod tests;
