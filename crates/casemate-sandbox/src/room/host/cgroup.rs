//! Which control groups we may make.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// The controllers that a cell has use for.
const WANTED: [&str; 3] = ["memory", "pids", "cpu"];

/// The control groups below which we may make our own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cgroups {
    /// The directory of our own group in the unified hierarchy, if we may write to it.
    pub unified: Option<PathBuf>,
    /// The controllers of `unified`, out of memory, pids and cpu.
    pub unified_controllers: Vec<String>,
    /// Version 1: the controller and the directory of our own group in it, where we may write.
    pub legacy: Vec<(String, PathBuf)>,
}

impl Cgroups {
    /// Looks at our own groups. Makes none.
    pub(super) fn probe() -> Cgroups {
        let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut found = Cgroups::default();
        for line in text.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            let path = path.trim_start_matches('/');
            if controllers.is_empty() {
                found.unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
                    .map(|top| Path::new(top).join(path))
                    .into_iter()
                    .find(|group| group.join("cgroup.procs").exists() && writable(group));
            }
            for wanted in controllers.split(',').filter(|name| WANTED.contains(name)) {
                let group = Path::new("/sys/fs/cgroup").join(wanted).join(path);
                if writable(&group) {
                    found.legacy.push((wanted.to_owned(), group));
                }
            }
        }
        let offered = found
            .unified
            .as_ref()
            .and_then(|group| std::fs::read_to_string(group.join("cgroup.controllers")).ok());
        let offered = offered.unwrap_or_default();
        found.unified_controllers =
            offered.split_whitespace().filter(|name| WANTED.contains(name)).map(str::to_owned).collect();
        found
    }

    /// The controllers that could be used, of either version.
    pub fn controllers(&self) -> Vec<&str> {
        let legacy = self.legacy.iter().map(|(name, _)| name.as_str());
        self.unified_controllers.iter().map(String::as_str).chain(legacy).collect()
    }
}

fn writable(group: &Path) -> bool {
    rustix::fs::access(group, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

impl fmt::Display for Cgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controllers = self.controllers();
        if controllers.is_empty() {
            return f.write_str("none that we may write to (a systemd unit with Delegate=yes has them)");
        }
        let version = if self.legacy.is_empty() { "2" } else { "1" };
        write!(f, "version {version}: {}", controllers.join(", "))
    }
}
