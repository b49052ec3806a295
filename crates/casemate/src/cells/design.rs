//! What of an entry and this host becomes a cell.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use casemate_gateway::snapshot::{CommandSource, Enclosure, Room};
use casemate_mcp::names::ServerName;
use casemate_net::Policy;
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
    /// A light cell's own folder.
    _scratch: Option<Scratch>,
}

impl Design {
    /// Works out what an entry comes to on this host. Looks at the disk; a light cell's folder is made.
    pub(super) fn of(
        server: &ServerName,
        command: &CommandSource,
        surroundings: &Surroundings,
    ) -> Result<Design, Refused> {
        match &command.enclosure {
            Enclosure::Unsandboxed => Ok(unsandboxed(server, command, surroundings)),
            Enclosure::Cell(room) => Draft { server, command, room, surroundings }.design(),
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
    Design { spec, room: None, _scratch: None }
}

/// The variables that the entry names.
fn named(command: &CommandSource) -> impl Iterator<Item = Variable> {
    command.env.iter().map(|(name, value)| (OsString::from(name), value.clone()))
}

struct Draft<'a> {
    server: &'a ServerName,
    command: &'a CommandSource,
    room: &'a Room,
    surroundings: &'a Surroundings,
}

impl Draft<'_> {
    fn design(&self) -> Result<Design, Refused> {
        let mut grants = self.grants()?;
        let runtime = Runtime::find(
            Path::new(&self.command.program),
            self.command.cwd.as_deref(),
            &self.surroundings.search,
        )?;
        for shown in &runtime.shown {
            self.surroundings.check_read(shown)?;
            add(&mut grants, shown);
        }
        let scratch = match self.room.kind {
            Kind::Full => None,
            Kind::Light => Some(self.scratch()?),
        };
        let home = scratch.as_ref().map_or(Path::new(TMP), Scratch::path).to_owned();
        if let Some(scratch) = &scratch {
            grants.push(Grant { path: scratch.path().to_owned(), access: Access::Write });
        }
        let cwd = self.cwd(&mut grants)?.unwrap_or_else(|| home.clone());
        let search: Vec<&Path> = runtime.search.iter().map(PathBuf::as_path).collect();
        let cell = CellSpec {
            runtime: CellSpec::RUNTIME
                .map(PathBuf::from)
                .into_iter()
                .chain(self.room.runtime.iter().cloned())
                .chain(runtime.links)
                .collect(),
            grants,
            network: match self.room.network.is_empty() {
                true => Network::None,
                false => Network::Ports(self.room.network.ports()),
            },
            host_stats: match self.room.host_stats {
                true => HostStats::Shown,
                false => HostStats::Hidden,
            },
            limits: self.room.limits,
            account: self.room.account,
            ..CellSpec::new(self.room.kind)
        };
        let spec = Spec {
            program: runtime.program.into(),
            args: self.command.args.iter().map(OsString::from).collect(),
            env: environment::merge(environment::base(&home, &home, &search), named(self.command)),
            cwd: Some(cwd),
            label: self.server.to_string(),
            cell: Some(cell),
        };
        Ok(Design { spec, room: Some(self.room.clone()), _scratch: scratch })
    }

    /// What the entry grants, as far as it can be granted.
    fn grants(&self) -> Result<Vec<Grant>, Refused> {
        let mut grants = Vec::new();
        for (paths, access) in [(&self.room.read, Access::Read), (&self.room.write, Access::Write)] {
            for path in paths {
                check_plain(path)?;
                match access {
                    Access::Read => self.surroundings.check_read(path)?,
                    Access::Write => self.surroundings.check_write(path)?,
                }
                grants.push(Grant { path: path.clone(), access });
            }
        }
        Ok(grants)
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
            Refused::new(
                format!("a folder of its own cannot be made in /var/tmp: {error}"),
                "look whether the disk is full",
            )
        })
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
            "make it, or take it out of the server's entry",
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
