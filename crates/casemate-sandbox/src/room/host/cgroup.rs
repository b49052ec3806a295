//! Which control groups we may make.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use crate::{group, reaper};

/// What a control group can limit, of what a cell has use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Controller {
    /// Memory, what its files in a tmpfs hold included.
    Memory,
    /// Processes and threads.
    Processes,
    /// Time of processors.
    Cpu,
}

impl Controller {
    /// All of them.
    pub const ALL: [Controller; 3] = [Controller::Memory, Controller::Processes, Controller::Cpu];

    /// The kernel's name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Processes => "pids",
            Controller::Cpu => "cpu",
        }
    }

    fn all_in<'t>(names: impl Iterator<Item = &'t str>) -> Vec<Controller> {
        let named = |name| Controller::ALL.into_iter().find(|controller| controller.as_str() == name);
        names.filter_map(named).collect()
    }
}

/// The two kinds of control groups that Linux has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// A tree of groups for each controller, or a few of them.
    One,
    /// One tree for all; a group that passes controllers on holds no processes itself.
    Two,
}

/// A tree of control groups in which we may make our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Which kind of tree it is.
    pub version: Version,
    /// The folder of the group that ours are made in.
    pub own: PathBuf,
    /// What they can limit. In version 2 this may be nothing; then they are still good for killing a cell as a whole.
    pub controllers: Vec<Controller>,
}

/// The control groups that we may make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cgroups {
    /// The trees, each with other controllers.
    pub hierarchies: Vec<Hierarchy>,
}

impl Cgroups {
    /// Looks at our own groups. Makes none.
    pub(crate) fn probe() -> Cgroups {
        let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let fields = text.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?, fields.next()?.trim_start_matches('/')))
        });
        let hierarchies = fields.filter_map(|(controllers, path)| match controllers {
            "" => unified(path),
            _ => legacy(controllers, path),
        });
        Cgroups { hierarchies: hierarchies.collect() }
    }

    /// Whether a cell can be limited in this.
    pub fn offers(&self, controller: Controller) -> bool {
        self.hierarchies.iter().any(|hierarchy| hierarchy.controllers.contains(&controller))
    }
}

fn legacy(controllers: &str, path: &str) -> Option<Hierarchy> {
    let controllers = Controller::all_in(controllers.split(','));
    let top = Path::new("/sys/fs/cgroup").join(controllers.first()?.as_str());
    let own = [top.join(path), top].into_iter().find(|own| own.join("tasks").exists() && writable(own))?;
    Some(Hierarchy { version: Version::One, own, controllers })
}

fn unified(path: &str) -> Option<Hierarchy> {
    let tops = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let own = tops.into_iter().flat_map(|top| [top.join(path), top.to_owned()]);
    let own = own.map(group::above_our_own).find(|own| own.join("cgroup.subtree_control").exists())?;
    if !writable(&own) {
        return None;
    }
    let read = |file: &str| std::fs::read_to_string(own.join(file)).unwrap_or_default();
    let offered = Controller::all_in(read("cgroup.controllers").split_whitespace());
    let passed_on = Controller::all_in(read("cgroup.subtree_control").split_whitespace());
    // The root may hold processes and pass controllers on, and only it has no type.
    let may_pass_on = !own.join("cgroup.type").exists() || all_are_ours(&read("cgroup.procs"));
    let controllers = if may_pass_on { offered } else { passed_on };
    Some(Hierarchy { version: Version::Two, own, controllers })
}

/// Whether we have made all of these processes, or are one, so that they are ours to move.
fn all_are_ours(processes: &str) -> bool {
    let own = std::process::id().cast_signed();
    processes.lines().all(|line| {
        let mut process = line.parse().unwrap_or_default();
        while process > 1 && process != own {
            process = reaper::parent(process).unwrap_or_default();
        }
        process == own
    })
}

fn writable(group: &Path) -> bool {
    rustix::fs::access(group, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

impl fmt::Display for Cgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut found = Controller::ALL.into_iter().filter_map(|controller| {
            let has = |hierarchy: &&Hierarchy| hierarchy.controllers.contains(&controller);
            let version = match self.hierarchies.iter().find(has)?.version {
                Version::One => 1,
                Version::Two => 2,
            };
            Some((controller.as_str(), version))
        });
        let Some((name, version)) = found.next() else {
            return f.write_str(
                "none that we may use; run as a service with delegation (`casemate service install`)",
            );
        };
        write!(f, "{name} (version {version})")?;
        found.try_for_each(|(name, version)| write!(f, ", {name} (version {version})"))
    }
}
