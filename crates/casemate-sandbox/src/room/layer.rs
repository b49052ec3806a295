//! The layers that a cell is made of. Each has a row in docs/sandbox.md.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How strong a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Namespaces and a file system of its own; needs user namespaces.
    Full,
    /// Landlock and seccomp on the host's file system, no network at all; for hosts that forbid user namespaces.
    Light,
}

impl Kind {
    /// The name used in plans and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Full => "full",
            Kind::Light => "light",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that stands between a server and the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Layer {
    /// A user of its own without rights over the host.
    Identity,
    /// No further user namespaces inside, and so no further privileges to play with.
    Nesting,
    /// A mount namespace and an empty root with only what is granted.
    Files,
    /// What is granted for reading is mounted read-only, its submounts included.
    ReadOnly,
    /// A PID namespace: other processes do not exist.
    Processes,
    /// `/proc` shows a server's own processes and nothing about the kernel.
    ProcView,
    /// The first process of the cell, which is ours, cannot be inspected from inside.
    Guard,
    /// A network namespace with nothing but a loopback.
    Network,
    /// An IPC namespace: no shared memory, semaphores or queues of others.
    Ipc,
    /// A host name of its own.
    Hostname,
    /// A cgroup namespace: the host's tree of control groups is not seen.
    CgroupView,
    /// All capabilities are gone, from the bounding and ambient sets too.
    Capabilities,
    /// Nothing that it executes gains rights.
    NoNewPrivileges,
    /// Landlock: files again, TCP, abstract sockets and signals, by rules that no mount can change.
    Landlock,
    /// An allow-list of system calls.
    Seccomp,
    /// A limit on each process' memory.
    Memory,
    /// A control group: a limit on the memory of all processes together.
    CellMemory,
    /// A limit on processes and threads.
    Tasks,
    /// A control group: a limit on processes and threads that no other process of the same user counts against.
    CellTasks,
    /// A control group: a limit on the time of processors.
    Cpu,
    /// A limit on descriptors.
    OpenFiles,
    /// A limit on the size of files.
    FileSize,
    /// A `/tmp` of its own, limited in bytes and files.
    Tmp,
}

impl Layer {
    /// All of them, in the order of docs/sandbox.md.
    pub const ALL: [Layer; 23] = [
        Layer::Identity,
        Layer::Nesting,
        Layer::Files,
        Layer::ReadOnly,
        Layer::Processes,
        Layer::ProcView,
        Layer::Guard,
        Layer::Network,
        Layer::Ipc,
        Layer::Hostname,
        Layer::CgroupView,
        Layer::Capabilities,
        Layer::NoNewPrivileges,
        Layer::Landlock,
        Layer::Seccomp,
        Layer::Memory,
        Layer::CellMemory,
        Layer::Tasks,
        Layer::CellTasks,
        Layer::Cpu,
        Layer::OpenFiles,
        Layer::FileSize,
        Layer::Tmp,
    ];

    /// The name used in plans, reports and docs/sandbox.md.
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Identity => "identity",
            Layer::Nesting => "nesting",
            Layer::Files => "files",
            Layer::ReadOnly => "read-only",
            Layer::Processes => "processes",
            Layer::ProcView => "proc-view",
            Layer::Guard => "guard",
            Layer::Network => "network",
            Layer::Ipc => "ipc",
            Layer::Hostname => "hostname",
            Layer::CgroupView => "cgroup-view",
            Layer::Capabilities => "capabilities",
            Layer::NoNewPrivileges => "no-new-privileges",
            Layer::Landlock => "landlock",
            Layer::Seccomp => "seccomp",
            Layer::Memory => "memory",
            Layer::CellMemory => "cell-memory",
            Layer::Tasks => "tasks",
            Layer::CellTasks => "cell-tasks",
            Layer::Cpu => "cpu",
            Layer::OpenFiles => "open-files",
            Layer::FileSize => "file-size",
            Layer::Tmp => "tmp",
        }
    }

    /// What it gives, in a few words for a person.
    pub fn about(self) -> &'static str {
        match self {
            Layer::Identity => "a user of its own, without rights over the host",
            Layer::Nesting => "no further user namespaces inside",
            Layer::Files => "an empty root with only what is granted",
            Layer::ReadOnly => "what is granted for reading cannot be changed",
            Layer::Processes => "other processes do not exist",
            Layer::ProcView => "/proc shows its own processes and nothing of the kernel",
            Layer::Guard => "the cell's first process, which is ours, cannot be inspected",
            Layer::Network => "nothing of the network but what is granted",
            Layer::Ipc => "no shared memory, semaphores or queues of others",
            Layer::Hostname => "a host name of its own",
            Layer::CgroupView => "the host's control groups are not seen",
            Layer::Capabilities => "no capability, and none can be gained",
            Layer::NoNewPrivileges => "nothing that it executes gains rights",
            Layer::Landlock => "files, signals and TCP again, by rules that no mount changes",
            Layer::Seccomp => "only the system calls of a list",
            Layer::Memory => "a limit on the memory of each process",
            Layer::CellMemory => "a limit on the memory of the whole cell",
            Layer::Tasks => "a limit on processes and threads",
            Layer::CellTasks => "a limit on processes and threads of the whole cell",
            Layer::Cpu => "a limit on the time of processors",
            Layer::OpenFiles => "a limit on open files",
            Layer::FileSize => "a limit on the size of files",
            Layer::Tmp => "a /tmp of its own, with a limit",
        }
    }

    /// What to do when a host refuses it, as one sentence.
    pub fn remedy(self) -> &'static str {
        match self {
            Layer::Identity | Layer::Nesting => {
                "allow user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone, on Ubuntu an AppArmor \
                 profile with `userns`), or ask for a light cell"
            }
            Layer::Files | Layer::ReadOnly => {
                "name files and folders that exist, that lie under no symbolic link and that the server's account can \
                 use (chown, chmod); the kernel must be 5.12 or newer"
            }
            Layer::Processes | Layer::ProcView => {
                "run outside of a container, or in one whose /proc is not masked (systempaths=unconfined), or ask for a \
                 light cell"
            }
            Layer::Network | Layer::Ipc | Layer::Hostname | Layer::CgroupView | Layer::Guard => {
                "use a kernel with all namespaces, outside of a container, or ask for a light cell"
            }
            Layer::Capabilities | Layer::NoNewPrivileges => "use a kernel of this century",
            Layer::Landlock => "boot with Landlock (kernel 5.13, `lsm=landlock,…`), or ask for a full cell",
            Layer::Seccomp => "use a kernel with CONFIG_SECCOMP_FILTER",
            Layer::CellMemory | Layer::CellTasks | Layer::Cpu => {
                "run casemate as a service with delegation (`casemate service install`)"
            }
            Layer::Memory | Layer::Tasks | Layer::OpenFiles | Layer::FileSize | Layer::Tmp => {
                "raise the limits that casemate itself runs under, or lower those of the server"
            }
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
