//! What this host can enforce.

use std::fmt;

use rustix::io::Errno;

use super::plan::{Plan, Refusal};
use super::{CellSpec, Kind, Layer, kernel};
pub use cgroup::{Cgroups, Controller, Hierarchy, Version};

mod cgroup;
mod trial;

/// What stands in the way of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What the kernel answered, for a person.
    pub reason: String,
    /// What to change, as one sentence.
    pub remedy: &'static str,
}

/// What a layer needs is there, or what stands in its way.
pub(crate) type Support = Result<(), Obstacle>;

/// What this host can enforce, found out by trying it in processes that end at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The kernel's release, for people.
    pub kernel: String,
    /// Our own user id. Root's servers get a user of their own.
    pub user: u32,
    /// Our own group id.
    pub group: u32,
    /// User namespaces that give the rights to mount.
    pub user_namespaces: Support,
    /// A PID namespace.
    pub pid_namespace: Support,
    /// A network namespace.
    pub net_namespace: Support,
    /// An IPC namespace.
    pub ipc_namespace: Support,
    /// A UTS namespace, which holds the host name.
    pub uts_namespace: Support,
    /// A cgroup namespace.
    pub cgroup_namespace: Support,
    /// The version of Landlock's interface, if there is Landlock.
    pub landlock: Option<u8>,
    /// Filters for system calls.
    pub seccomp: Support,
    /// Who keeps the books on memory, processor time and processes.
    pub cgroups: Cgroups,
}

impl Host {
    /// Finds out. Takes a few milliseconds and leaves nothing behind.
    pub fn probe() -> Host {
        let user = libc::CLONE_NEWUSER;
        let and = |flag, layer: Layer| {
            trial::namespaces(user | flag)
                .map_err(|errno| Obstacle { reason: said(errno), remedy: layer.remedy() })
        };
        Host {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
            user_namespaces: and(libc::CLONE_NEWNS, Layer::Identity),
            pid_namespace: and(libc::CLONE_NEWPID, Layer::Processes),
            net_namespace: and(libc::CLONE_NEWNET, Layer::Network),
            ipc_namespace: and(libc::CLONE_NEWIPC, Layer::Ipc),
            uts_namespace: and(libc::CLONE_NEWUTS, Layer::Hostname),
            cgroup_namespace: and(libc::CLONE_NEWCGROUP, Layer::CgroupView),
            landlock: kernel::landlock_version(),
            seccomp: kernel::seccomp_filters()
                .map_err(|errno| Obstacle { reason: said(errno), remedy: Layer::Seccomp.remedy() }),
            cgroups: Cgroups::probe(),
        }
    }

    /// Everything that stands in the way of a full cell.
    pub fn obstacles(&self) -> impl Iterator<Item = (Layer, &Obstacle)> {
        self.supports().into_iter().filter_map(|(layer, support)| Some((layer, support.as_ref().err()?)))
    }

    fn supports(&self) -> [(Layer, &Support); 7] {
        [
            (Layer::Identity, &self.user_namespaces),
            (Layer::Processes, &self.pid_namespace),
            (Layer::Network, &self.net_namespace),
            (Layer::Ipc, &self.ipc_namespace),
            (Layer::Hostname, &self.uts_namespace),
            (Layer::CgroupView, &self.cgroup_namespace),
            (Layer::Seccomp, &self.seccomp),
        ]
    }
}

fn said(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.user == 0 { "root; servers run as users of their own" } else { "an ordinary user" };
        writeln!(f, "{:<18}{}", "kernel", self.kernel)?;
        writeln!(f, "{:<18}{} ({who})", "user", self.user)?;
        for (layer, support) in self.supports() {
            match support {
                Ok(()) => writeln!(f, "{layer:<18}yes")?,
                Err(Obstacle { reason, remedy }) => writeln!(f, "{layer:<18}no: {reason}; {remedy}")?,
            }
        }
        match self.landlock {
            Some(version) => writeln!(f, "{:<18}yes, version {version}", Layer::Landlock)?,
            None => writeln!(f, "{:<18}no; {}", Layer::Landlock, Layer::Landlock.remedy())?,
        }
        write!(f, "{:<18}{}", "cgroups", self.cgroups)?;
        for kind in [Kind::Full, Kind::Light] {
            match Plan::of(&CellSpec::new(kind), self) {
                Ok(_) => write!(f, "\n{:<18}yes", format!("{kind} cell"))?,
                Err(Refusal { layer, reason, .. }) => {
                    write!(f, "\n{:<18}no: {layer}: {reason}", format!("{kind} cell"))?
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
