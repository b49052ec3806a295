//! The plan of a cell: what will be done, step by step, and what each step is for.

use std::collections::BTreeSet;
use std::ffi::c_int;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use super::draft;
use super::host::{Controller, Host};
use super::layer::{Kind, Layer};
use super::owners::Loan;
use super::{Access, CellSpec, Profile};
use crate::containment::Containment;
use crate::group::Share;
pub use telling::Told;

mod telling;
mod wording;

/// Whether a cell may exist without a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Need {
    /// Without it there is no cell.
    Required,
    /// It makes the cell stronger; where it fails, the report says so.
    Additional,
}

/// Who carries a step out, and so when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Casemate, as it makes the cell's first process.
    Clone,
    /// The cell's first process.
    Enter,
    /// The process that becomes the server.
    Confine,
}

/// Who writes the map of a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Mapper {
    /// The cell itself, which may map its own user.
    Cell,
    /// Casemate, since only the outside's root may map another user.
    Casemate,
}

/// One of the kernel's namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Namespace {
    User,
    Mount,
    Pid,
    Net,
    Ipc,
    Uts,
    Cgroup,
}

/// The limits that the kernel keeps for each process or user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Quantity {
    MemoryBytes,
    Processes,
    OpenFiles,
    FileBytes,
    CoreBytes,
}

/// What Landlock allows beneath a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Right {
    Read,
    Write,
    /// Reading and writing what exists: devices and `/proc`.
    Use,
    /// Reading files and speaking to sockets.
    Ask,
    /// Reading the names in folders.
    List,
}

/// One rule of Landlock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) path: PathBuf,
    pub(crate) right: Right,
    pub(crate) links: Links,
}

/// Whether a path may have symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Links {
    /// The distribution's own, which no server can change.
    Follow,
    Refuse,
}

/// What `/proc` is in the new root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum ProcSource {
    /// One that shows the PID namespace's own processes to those who may inspect them, and nothing of the kernel.
    Narrow,
    /// One that shows the PID namespace, the kernel's settings included.
    Wide,
    /// The host's.
    Host,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    Unshare(Namespace),
    /// Maps the cell's user to one of the host, and becomes it.
    MapUser {
        user: u32,
        group: u32,
        by: Mapper,
    },
    ForbidNesting,
    Loopback,
    /// Hands the way into the cell's network to casemate.
    Doorway {
        ports: BTreeSet<u16>,
    },
    SetHostname,
    /// An empty root. It holds nothing but the places of what follows, and what is written by [`Action::Text`].
    Root,
    /// The host's whole tree, read-only, but for these places and what is beneath.
    Show {
        except: Vec<PathBuf>,
    },
    /// Something of the host under the same path. With an account, that one stands in for the path's owner.
    Bind {
        path: PathBuf,
        access: Access,
        account: Option<u32>,
    },
    /// The same for what a host may lack. A symbolic link stays one.
    BindIfThere {
        path: PathBuf,
        access: Access,
    },
    Device {
        path: PathBuf,
    },
    /// A file of the host's `/proc`, by its name, in [`crate::HostStats::FOLDER`].
    Figure {
        name: String,
    },
    /// Hands sockets in that folder to casemate.
    Figures,
    Tmpfs {
        path: PathBuf,
        bytes: u64,
        files: u32,
    },
    Proc(ProcSource),
    Text {
        path: PathBuf,
        text: String,
    },
    Link {
        path: PathBuf,
        to: PathBuf,
    },
    Pivot,
    Guard,
    /// Becomes another user of the host, without groups.
    Become {
        account: u32,
    },
    DropCapabilities,
    Limit {
        quantity: Quantity,
        most: u64,
    },
    /// Limits the cell as a whole, by a control group.
    Share {
        controller: Controller,
        most: u64,
    },
    NoNewPrivileges,
    Ruleset {
        version: u8,
        rules: Vec<Rule>,
        tcp: Tcp,
    },
    /// Tells casemate of the files that the server uses.
    Listen,
    Filter(Profile),
    /// Refuses a grant that the server's user cannot make use of.
    Check {
        path: PathBuf,
        access: Access,
    },
}

/// Whether Landlock says anything about TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Tcp {
    /// Neither listening nor connecting.
    Denied,
    /// Left to the network namespace.
    Unhandled,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The layer that it is a part of.
    pub layer: Layer,
    /// Whether the cell may exist without it.
    pub need: Need,
    pub(crate) phase: Phase,
    pub(crate) action: Action,
}

/// A layer that this host or this kind of cell does not have, without which the cell may exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// What is absent.
    pub layer: Layer,
    /// Why, for a person.
    pub reason: String,
}

/// What will be done to make a cell. Prints itself step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How strong the cell will be.
    pub kind: Kind,
    /// The steps, in the order in which they are taken.
    pub steps: Vec<Step>,
    /// What is not part of the plan although it could be, with the reasons.
    pub absent: Vec<Absent>,
    /// See [`CellSpec::failing`].
    pub(crate) failing: Option<usize>,
}

/// A cell that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is missing.
    pub layer: Layer,
    /// What stands in the way, for a person.
    pub reason: String,
    /// What to change, as one sentence.
    pub remedy: &'static str,
}

/// What is in force around a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforced {
    /// How strong the cell is.
    pub kind: Kind,
    /// The layers of which every step was taken.
    pub layers: Vec<Layer>,
    /// The layers that are not, or not wholly, in force.
    pub absent: Vec<Absent>,
    /// The version of Landlock's interface whose every right is in force.
    pub landlock: Option<u8>,
    /// The ports to which connections are taken over by casemate; nothing for a cell without any network.
    pub ports: Option<BTreeSet<u16>>,
}

/// What to do where the server's account does not exist, as in a container with few users.
const ROOT_OF_FEW: &str = "run casemate as an ordinary user, or as root of the host or of a container in which all users \
                           exist (/proc/self/uid_map says which do)";

impl Plan {
    /// Works out what is to be done, or what stands in the way. Touches nothing.
    pub fn of(spec: &CellSpec, host: &Host) -> Result<Plan, Refusal> {
        draft::draft(spec, host)
    }

    /// The namespaces that the cell's first process is made in.
    pub(crate) fn namespaces(&self) -> c_int {
        let flag = |step: &Step| match step.action {
            Action::Unshare(namespace) => namespace.flag(),
            _ => 0,
        };
        self.steps.iter().map(flag).fold(0, |flags, flag| flags | flag)
    }

    /// How the tree of a full cell is held together; a light one takes what there is.
    pub(crate) fn containment(&self, best: Containment) -> Containment {
        match self.kind {
            Kind::Full if self.namespaces() & libc::CLONE_NEWPID != 0 => Containment::UserNamespace,
            Kind::Full => Containment::Reaper,
            Kind::Light => best,
        }
    }

    /// The map that casemate has to write: its step, and the host's user and group.
    pub(crate) fn map_from_outside(&self) -> Option<(usize, (u32, u32))> {
        self.steps.iter().enumerate().find_map(|(number, step)| match step.action {
            Action::MapUser { user, group, by: Mapper::Casemate } => Some((number, (user, group))),
            _ => None,
        })
    }

    /// What has to be mounted outside, since owners are to be mapped in it.
    pub(crate) fn loans(&self) -> Vec<Loan> {
        let loan = |(step, taken): (usize, &Step)| match &taken.action {
            Action::Bind { path, access, account: Some(account) } => {
                Some(Loan { step, path: path.clone(), access: *access, account: *account })
            }
            _ => None,
        };
        self.steps.iter().enumerate().filter_map(loan).collect()
    }

    /// What control groups have to limit.
    pub(crate) fn shares(&self) -> Vec<Share> {
        let share = |(step, taken): (usize, &Step)| match taken.action {
            Action::Share { controller, most } => Some(Share { step, need: taken.need, controller, most }),
            _ => None,
        };
        self.steps.iter().enumerate().filter_map(share).collect()
    }

    /// The memory that each process may have, in bytes.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.steps.iter().find_map(|step| match step.action {
            Action::Limit { quantity: Quantity::MemoryBytes, most } => Some(most),
            _ => None,
        })
    }

    /// The steps of one phase, each with its place in the whole plan.
    pub(crate) fn phase(&self, phase: Phase) -> impl Iterator<Item = (usize, &Step)> {
        self.steps.iter().enumerate().filter(move |(_, step)| step.phase == phase)
    }

    /// The plan as the cell's first process finds it.
    pub(crate) fn write(&self) -> io::Result<OwnedFd> {
        let mut file = std::fs::File::from(rustix::fs::memfd_create(c"casemate-plan", MemfdFlags::CLOEXEC)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        Ok(file.into())
    }

    /// Reads what [`Plan::write`] has written.
    pub(crate) fn read(file: OwnedFd) -> io::Result<Plan> {
        Ok(serde_json::from_slice(&crate::order::read(file)?)?)
    }

    /// Why there is no cell when a step has failed.
    pub(crate) fn refusal(&self, number: usize, error: &io::Error) -> Option<Refusal> {
        let Step { layer, action, .. } = self.steps.get(number)?;
        let remedy = match action {
            // Root may do everything but make users exist.
            Action::MapUser { by: Mapper::Casemate, .. } | Action::Become { .. } => ROOT_OF_FEW,
            _ => layer.remedy(),
        };
        Some(Refusal { layer: *layer, reason: format!("{action}: {error}"), remedy })
    }

    /// What is in force after every step was taken but those in `skipped`, each with the kernel's answer.
    pub(crate) fn enforced(&self, skipped: &[(usize, i32)]) -> Enforced {
        let mut absent = self.absent.clone();
        for (step, errno) in skipped {
            let Some(step) = self.steps.get(*step) else { continue };
            let reason = format!("{}: {}", step.action, io::Error::from_raw_os_error(*errno));
            absent.push(Absent { layer: step.layer, reason });
        }
        let in_force = |layer: &Layer| {
            self.steps.iter().any(|step| step.layer == *layer)
                && absent.iter().all(|absent| absent.layer != *layer)
        };
        let layers: Vec<Layer> = Layer::ALL.into_iter().filter(|layer| in_force(layer)).collect();
        let landlock = self.steps.iter().find_map(|step| match step.action {
            Action::Ruleset { version, .. } if layers.contains(&Layer::Landlock) => Some(version),
            _ => None,
        });
        let ports = self.steps.iter().find_map(|step| match &step.action {
            Action::Doorway { ports } => Some(ports.clone()),
            _ => None,
        });
        Enforced { kind: self.kind, layers, absent, landlock, ports }
    }
}

impl Namespace {
    fn flag(self) -> c_int {
        match self {
            Namespace::User => libc::CLONE_NEWUSER,
            Namespace::Mount => libc::CLONE_NEWNS,
            Namespace::Pid => libc::CLONE_NEWPID,
            Namespace::Net => libc::CLONE_NEWNET,
            Namespace::Ipc => libc::CLONE_NEWIPC,
            Namespace::Uts => libc::CLONE_NEWUTS,
            Namespace::Cgroup => libc::CLONE_NEWCGROUP,
        }
    }
}

/// The user and group of a full cell, as they count inside.
pub(crate) const CELL_USER: u32 = 1000;

/// The host name inside.
pub(crate) const CELL_HOSTNAME: &str = "cell";

#[cfg(test)]
mod tests;
