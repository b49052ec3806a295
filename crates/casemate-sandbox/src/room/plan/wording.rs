//! Plans and what becomes of them, in words for people.

use std::fmt;

use super::{
    Absent, Action, CELL_HOSTNAME, CELL_USER, Enforced, Namespace, Need, Plan, ProcSource, Quantity, Refusal,
    Right, Step, Tcp,
};
use crate::figures::HostStats;
use crate::room::network::Ports;
use crate::room::{Access, Controller};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cell", self.kind)?;
        for (number, step) in (1..).zip(&self.steps) {
            writeln!(f, "{number:>3}  {step}")?;
        }
        for Absent { layer, reason } in &self.absent {
            writeln!(f, "  -  absent      {layer:<18}{reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let need = match self.need {
            Need::Required => "required",
            Need::Additional => "additional",
        };
        write!(f, "{need:<12}{:<18}{}", self.layer, self.action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Unshare(namespace) => write!(f, "its own {} namespace", namespace.as_str()),
            Action::MapUser { user, group, .. } => {
                write!(f, "user and group {CELL_USER} inside are {user} and {group} outside; no other exists")
            }
            Action::ForbidNesting => f.write_str("no user namespaces inside"),
            Action::Loopback => f.write_str("its own loopback, and nothing else"),
            Action::Doorway { ports } => {
                write!(f, "casemate answers for names and takes over connections to {}", Ports(ports))
            }
            Action::SetHostname => write!(f, "the host is called `{CELL_HOSTNAME}`"),
            Action::Root => f.write_str("an empty, read-only root"),
            Action::Show { except } => {
                write!(f, "what the host has, read-only, but for {} places", except.len())
            }
            Action::Bind { path, access, account: None } => write!(f, "{} {access}", path.display()),
            Action::Bind { path, access, account: Some(_) } => {
                write!(f, "{} {access}, as to its owner", path.display())
            }
            Action::BindIfThere { path, access } => {
                write!(f, "{} {access}, if the host has it", path.display())
            }
            Action::Device { path } => write!(f, "the device {}", path.display()),
            Action::Figure { name } => {
                write!(f, "the host's /proc/{name} readable, as {}/{name}", HostStats::FOLDER)
            }
            Action::Figures => {
                write!(f, "casemate tells of file systems and interfaces in {}", HostStats::FOLDER)
            }
            Action::Tmpfs { path, bytes, files } => {
                write!(f, "an empty {} of {bytes} bytes in {files} files at most", path.display())
            }
            Action::Proc(ProcSource::Narrow) => f.write_str("/proc with its own processes only"),
            Action::Proc(ProcSource::Wide) => f.write_str("/proc with the kernel's settings"),
            Action::Proc(ProcSource::Host) => f.write_str("the host's /proc"),
            Action::Text { path, .. } => write!(f, "a made-up {}", path.display()),
            Action::Link { path, to } => write!(f, "{} leads to {}", path.display(), to.display()),
            Action::Pivot => f.write_str("the host's root is left behind"),
            Action::Guard => f.write_str("the first process cannot be inspected"),
            Action::Become { account } => write!(f, "runs as the host's user and group {account}"),
            Action::DropCapabilities => f.write_str("no capability, and none can be gained"),
            Action::Limit { quantity, most } => write!(f, "{}: {most} at most", quantity.as_str()),
            Action::Share { controller, most } => match controller {
                Controller::Memory => write!(f, "bytes of memory in the whole cell: {most} at most"),
                Controller::Processes => write!(f, "processes and threads in the cell: {most} at most"),
                Controller::Cpu => write!(f, "thousandths of a processor: {most} at most"),
            },
            Action::NoNewPrivileges => f.write_str("nothing that it executes gains rights"),
            Action::Ruleset { version, rules, tcp } => {
                write!(f, "Landlock, version {version}")?;
                if *tcp == Tcp::Denied {
                    f.write_str(", no TCP")?;
                }
                rules
                    .iter()
                    .try_for_each(|rule| write!(f, ", {} {}", rule.path.display(), rule.right.as_str()))
            }
            Action::Listen => f.write_str("casemate is told of the files that it uses"),
            Action::Filter(profile) => {
                write!(f, "only the system calls of the profile `{}`", profile.as_str())
            }
            Action::Check { path, access } => {
                write!(f, "{} really {access} for the server's user", path.display())
            }
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Read => "readable",
            Access::Write => "writable",
        })
    }
}

impl Right {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Right::Read => "readable",
            Right::Write => "writable",
            Right::Use => "usable",
            Right::Ask => "readable and answering",
            Right::List => "listable",
        }
    }
}

impl Quantity {
    fn as_str(self) -> &'static str {
        match self {
            Quantity::MemoryBytes => "bytes of private memory in each process",
            Quantity::Processes => "processes and threads",
            Quantity::OpenFiles => "open descriptors in each process",
            Quantity::FileBytes => "bytes in a file that it writes",
            Quantity::CoreBytes => "bytes in a core dump",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.reason)
    }
}

impl fmt::Display for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.layers.iter().map(|layer| layer.as_str()).collect();
        write!(f, "{} cell: {}", self.kind, names.join(", "))?;
        if let Some(ports) = &self.ports {
            write!(f, "; casemate takes over connections to {}", Ports(ports))?;
        }
        self.absent.iter().try_for_each(|Absent { layer, reason }| write!(f, "; without {layer} ({reason})"))
    }
}

impl Namespace {
    fn as_str(self) -> &'static str {
        match self {
            Namespace::User => "user",
            Namespace::Mount => "mount",
            Namespace::Pid => "PID",
            Namespace::Net => "network",
            Namespace::Ipc => "IPC",
            Namespace::Uts => "UTS",
            Namespace::Cgroup => "cgroup",
        }
    }
}
