//! Which containment a cell has, and what was found out about this host.

use std::fmt;
use std::io;

use crate::room::Enforced;

/// How the processes of a cell are held together. Ordered from the strongest to the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Containment {
    /// A PID namespace made directly; needs CAP_SYS_ADMIN, which root usually has.
    PidNamespace,
    /// A PID namespace inside a user namespace that maps our own user and group to themselves.
    UserNamespace,
    /// A subreaper that kills its descendants when casemate is gone.
    Reaper,
}

impl Containment {
    /// All of them, the best first: the order in which they are tried.
    pub const ALL: [Containment; 3] =
        [Containment::PidNamespace, Containment::UserNamespace, Containment::Reaper];

    /// The name used in reports: `pid-namespace`, `user-namespace` or `reaper`.
    pub fn as_str(self) -> &'static str {
        match self {
            Containment::PidNamespace => "pid-namespace",
            Containment::UserNamespace => "user-namespace",
            Containment::Reaper => "reaper",
        }
    }
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which processes a cell's `/proc` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ProcView {
    /// Those of the cell alone: a `/proc` of its own is mounted.
    Cell,
    /// Those of the host: a fresh `/proc` was refused (usual inside containers), or there is no namespace.
    #[default]
    Host,
}

/// What was really enforced, and why nothing stronger was.
#[derive(Debug, Clone)]
pub struct Report {
    /// How the processes are held together.
    pub containment: Containment,
    /// What the cell's `/proc` shows.
    pub proc_view: ProcView,
    /// Stronger containments that this host refused, with its reasons.
    pub refused: Vec<Refused>,
    /// What encloses the server. Nothing for one that was started without a [`crate::CellSpec`].
    pub enforced: Option<Enforced>,
}

/// A containment that this host refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// What was asked for.
    pub containment: Containment,
    /// What the kernel answered, for a person.
    pub reason: String,
}

impl Refused {
    pub(crate) fn new(containment: Containment, step: &str, errno: i32) -> Refused {
        Refused { containment, reason: format!("{step}: {}", io::Error::from_raw_os_error(errno)) }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.containment, self.reason)
    }
}
