//! The room that a server is locked into: what is asked for, what this host can do, the plan that follows from both,
//! and its execution.
//!
//! ```text
//! CellSpec × Host → Plan → entry (in the cell's first process and in the server's, before its exec) → Enforced
//! ```
//!
//! The plan is data: every step says what it enforces and whether the cell may exist without it. A step that is
//! required and fails is a start that is refused; nothing is left out in silence.

use std::path::{Path, PathBuf};

use crate::figures::HostStats;

mod bpf;
mod draft;
mod entry;
mod filter;
mod host;
mod kernel;
mod layer;
mod network;
mod owners;
mod plan;

pub(crate) use draft::provided;
#[cfg(feature = "container")]
pub(crate) use entry::open_doors;
pub(crate) use entry::{await_casemate, confine, enter};
#[cfg(feature = "container")]
pub(crate) use filter::document;
pub use host::{Cgroups, Controller, Hierarchy, Host, Obstacle, Version};
pub use layer::{Kind, Layer};
pub use network::Network;
#[cfg(feature = "container")]
pub(crate) use network::fault as fault_of_ports;
pub(crate) use owners::Loan;
pub(crate) use plan::CELL_USER;
use plan::Mapper;
pub use plan::{Absent, Enforced, Need, Plan, Refusal, Step, Told};

/// What a cell encloses. Without one, a server is merely contained: it cannot leak processes, but it sees the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellSpec {
    /// The least that is accepted. There is no way from full to light but to ask for it here.
    pub required: Kind,
    /// Where programs and their libraries lie on this host: visible read-only, as far as they exist. A link stays a
    /// link. See [`CellSpec::RUNTIME`].
    pub runtime: Vec<PathBuf>,
    /// Everything else of the host that the server gets to see, its own tree included.
    pub grants: Vec<Grant>,
    /// What it may reach over the network.
    pub network: Network,
    /// Whether it gets to see how the host is doing.
    pub host_stats: HostStats,
    /// How much it may use.
    pub limits: Limits,
    /// Which system calls it may make.
    pub profile: Profile,
    /// The host's user and group id that the server runs as when we are root; each server should have one of its own.
    /// For anybody else it means nothing: then the server is that user.
    pub account: u32,
    /// Shows the host read-only, but for these places, and tells casemate of every file that is used:
    /// [`crate::Spawner::learn`] sets it. Only for a full cell.
    pub watched: Option<Vec<PathBuf>>,
    /// Layers that are left out. For tests that show what a layer is worth; a plan without one says so.
    #[doc(hidden)]
    pub without: Vec<Layer>,
    /// A step that is made to fail, by its place in the plan. For tests that show what comes of it.
    #[doc(hidden)]
    pub failing: Option<usize>,
}

impl CellSpec {
    /// Where Linux distributions keep programs and libraries.
    pub const RUNTIME: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];

    /// The account of a cell that was given none: `nobody` of most distributions, and too much company.
    pub const NOBODY: u32 = 65_534;

    /// A cell that shows a server the host's programs, and nothing else.
    pub fn new(required: Kind) -> CellSpec {
        CellSpec {
            required,
            runtime: CellSpec::RUNTIME.map(PathBuf::from).to_vec(),
            grants: Vec::new(),
            network: Network::None,
            host_stats: HostStats::Hidden,
            limits: Limits::default(),
            profile: Profile::Standard,
            account: CellSpec::NOBODY,
            watched: None,
            without: Vec::new(),
            failing: None,
        }
    }

    /// The same with one more grant.
    #[must_use]
    pub fn grant(mut self, access: Access, path: impl Into<PathBuf>) -> CellSpec {
        self.grants.push(Grant { path: path.into(), access });
        self
    }

    /// Whether a layer is part of the plan.
    pub(crate) fn has(&self, layer: Layer) -> bool {
        !self.without.contains(&layer)
    }

    /// What is wrong with a path that is to be shown to a server, if anything is: the end of a sentence that begins
    /// with the path. Touches nothing; links are found when the cell is made.
    pub fn fault(path: &Path) -> Option<&'static str> {
        let Some(text) = path.to_str() else { return Some("is not UTF-8") };
        let plain = text.len() > 1 && text.starts_with('/') && !text.contains('\0');
        if !plain || text.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
            return Some("is not an absolute path without `.`, `..` and doubled slashes, or is `/` itself");
        }
        if ["/proc", "/sys", "/dev"].iter().any(|top| path.starts_with(top)) {
            return Some("belongs to the kernel; a cell has its own");
        }
        if ["/etc", "/run", "/var", "/home", "/root", "/boot", "/tmp"].contains(&text) {
            return Some("is a top folder of the host; name what is needed inside of it");
        }
        None
    }
}

/// A file or directory of the host that is visible in the cell, under the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// An absolute path, free of symbolic links: a server that may write to a folder could otherwise redirect the
    /// next start. What lies in it is granted as well, sockets included. When we are root, a full cell gets it as its
    /// owner would.
    pub path: PathBuf,
    /// What the server may do there.
    pub access: Access,
}

/// What a server may do with something of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Access {
    /// Read and execute.
    Read,
    /// Everything that the user may do to files, short of device files and setuid programs.
    Write,
}

/// Which system calls a server may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Profile {
    /// What programs of any language need; sockets are AF_UNIX, AF_INET and AF_INET6.
    Standard,
    /// The same without System V IPC and without sockets, except for connected pairs. A light cell always has this
    /// one, since nothing else there keeps a server from the host's sockets.
    Offline,
}

impl Profile {
    /// The name that plans show.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Standard => "standard",
            Profile::Offline => "offline",
        }
    }
}

/// How much a server may use. Everything has an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the whole cell, in bytes, what it keeps in `/tmp` included; needs control groups. The private memory of
    /// each process (RLIMIT_DATA) is limited to as much, with or without them. Node starts with 256 MiB.
    pub memory_bytes: u64,
    /// Time of processors, in thousandths of one: 1500 are one and a half. At least 10. Needs control groups.
    pub cpu_millis: u32,
    /// Processes and threads, our own first process included.
    pub processes: u32,
    /// Open descriptors of each process.
    pub open_files: u32,
    /// The size of any file that it writes, in bytes.
    pub file_bytes: u64,
    /// The size of its `/tmp`, in bytes, and again of its `/dev/shm`. Only a full cell has these.
    pub tmp_bytes: u64,
    /// How many files its `/tmp` may hold, and again its `/dev/shm`.
    pub tmp_files: u32,
}

impl Default for Limits {
    /// Room for an ordinary server: 1 GiB of memory, two processors, 256 processes, 1024 descriptors, files of 1 GiB, and
    /// 256 MiB in 65,536 temporary files. Two processors, because runtimes compile and collect garbage beside what a
    /// server does, and with one they would starve it for most of each period.
    fn default() -> Limits {
        Limits {
            memory_bytes: 1 << 30,
            cpu_millis: 2000,
            processes: 256,
            open_files: 1024,
            file_bytes: 1 << 30,
            tmp_bytes: 256 << 20,
            tmp_files: 1 << 16,
        }
    }
}
