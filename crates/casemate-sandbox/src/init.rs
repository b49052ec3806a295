//! The first process of a cell: our own binary, executed again, with one thread.
//!
//! It enters what is left to enter, starts the server, reaps what is orphaned, passes termination on, and ends
//! when the server ends or when casemate is gone, whichever comes first.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::child::{CONTROL, ORDER, PLAN};
use crate::containment::{Containment, ProcView};
use crate::exit::Exit;
use crate::message::{Failure, MESSAGE_BYTES, Message, Stage};
use crate::order::{self, Order};
use crate::role::{Identity, Role};
use crate::room::{self, Kind, Plan};
use crate::{descriptors, reaper, syscall};

mod server;

/// The exit code of a first process that could not start its server.
const EXIT_FAILED: i32 = 125;

/// Runs a role to its end and gives the exit code, or nothing when this process was not started by casemate.
pub(crate) fn run(role: Role, identity: Identity) -> Option<i32> {
    let control = syscall::inherited(CONTROL)?;
    let order = syscall::inherited(ORDER)?;
    syscall::block_signals();
    rustix::net::sockopt::socket_type(&control).ok()?;
    let ended = match role {
        Role::Cell(containment) => {
            guard(containment, identity, Papers { control: &control, order, plan: None })
        }
        Role::Room(containment) => match Plan::read(syscall::inherited(PLAN)?) {
            Ok(plan) => guard(containment, identity, Papers { control: &control, order, plan: Some(plan) }),
            Err(_) => Err(Failure::new(Stage::Order, Errno::INVAL)),
        },
        Role::Detach => server::start(role, Papers { control: &control, order, plan: None }).map(|pid| {
            Message::Started(pid.as_raw_pid()).send(&control);
            Exit::Code(0)
        }),
    };
    Some(match ended {
        Ok(exit) => exit.shell_code(),
        Err(failure) => {
            Message::Failed(failure).send(&control);
            EXIT_FAILED
        }
    })
}

/// What casemate has given to a first process.
struct Papers<'a> {
    control: &'a OwnedFd,
    order: OwnedFd,
    plan: Option<Plan>,
}

/// Guards a cell from its first process to its last.
fn guard(containment: Containment, identity: Identity, papers: Papers<'_>) -> Result<Exit, Failure> {
    let control = papers.control;
    let mounts = match papers.plan {
        Some(_) => room::await_casemate(control)?,
        None => Vec::new(),
    };
    let proc_view = match &papers.plan {
        // A full cell makes all of its namespaces itself.
        Some(plan) if plan.kind == Kind::Full => {
            if containment == Containment::Reaper {
                adopt_orphans().map_err(|errno| Failure::new(Stage::Namespace, errno))?;
            }
            room::enter(plan, control, mounts)?;
            ProcView::Cell
        }
        _ => enter(containment, identity).map_err(|errno| Failure::new(Stage::Namespace, errno))?,
    };
    Message::Ready(proc_view).send(control);
    // Before the fork: the end of a server that lives for a moment only must not be missed.
    let signals = syscall::signal_descriptor().map_err(|errno| Failure::new(Stage::Fork, errno))?;
    let role = if papers.plan.is_some() { Role::Room(containment) } else { Role::Cell(containment) };
    let server = server::start(role, papers)?;
    let exit = match Message::Started(server.as_raw_pid()).deliver(control) {
        Ok(()) => watch(server, control, &signals),
        // Casemate would wait for that forever; now it sees our end.
        Err(_) => None,
    };
    let exit = match containment {
        // The kernel kills what is left in our namespace when we end.
        Containment::PidNamespace | Containment::UserNamespace => exit.unwrap_or(Exit::KILLED),
        Containment::Reaper => reaper::kill_all_children((server, exit)),
    };
    Message::Peak(syscall::peak_of_children()).send(control);
    Message::Ended(exit).send(control);
    Ok(exit)
}

/// Waits for the end of the server, or for the end of casemate, which gives nothing.
fn watch(server: Pid, control: &OwnedFd, signals: &OwnedFd) -> Option<Exit> {
    loop {
        let mut ready = [PollFd::new(control, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        let _ = retry_on_intr(|| poll(&mut ready, None));
        // Casemate never sends anything: whatever is there to be read is the end of the socket.
        if ready.first().is_some_and(|control| !control.revents().is_empty()) {
            return None;
        }
        while let Some(number) = syscall::next_signal(signals) {
            if number == libc::SIGCHLD {
                if let Some(exit) = reap(server) {
                    return Some(exit);
                }
            } else if let Some(signal) = Signal::from_named_raw(number) {
                let _ = rustix::process::kill_process(server, signal);
            }
        }
    }
}

/// Reaps everything that has ended; the server's end when it is among it.
fn reap(server: Pid) -> Option<Exit> {
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        let exit = Exit::of(status).filter(|_| pid == server);
        if exit.is_some() {
            return exit;
        }
    }
    None
}

/// Takes the steps into the cell that the clone has not taken already.
fn enter(containment: Containment, identity: Identity) -> Result<ProcView, Errno> {
    match containment {
        Containment::PidNamespace => Ok(own_proc()),
        Containment::UserNamespace => {
            map_to_itself(identity)?;
            let view = own_proc();
            rustix::thread::clear_ambient_capability_set()?;
            let none = CapabilitySet::empty();
            let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
            rustix::thread::set_capabilities(None, sets)?;
            Ok(view)
        }
        Containment::Reaper => {
            adopt_orphans()?;
            Ok(ProcView::Host)
        }
    }
}

fn adopt_orphans() -> Result<(), Errno> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
}

/// Maps our user and group to the same numbers in the user namespace, so that files keep their owner.
fn map_to_itself(Identity { user, group }: Identity) -> Result<(), Errno> {
    // The kernel wants setgroups given up before an ordinary user may map a group.
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{user} {user} 1"))?;
    write("/proc/self/gid_map", &format!("{group} {group} 1"))
}

fn write(path: &str, text: &str) -> Result<(), Errno> {
    std::fs::write(path, text)
        .map_err(|error| error.raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error))
}

/// Mounts a `/proc` that shows the cell alone. Inside containers it is often refused, and then the host's stays.
fn own_proc() -> ProcView {
    // Without this, the mount would be seen outside as well.
    let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted = rustix::mount::mount_change("/", slave)
        .and_then(|()| rustix::mount::mount("proc", "/proc", "proc", flags, None));
    if mounted.is_ok() { ProcView::Cell } else { ProcView::Host }
}
