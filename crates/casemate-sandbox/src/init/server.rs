//! The step from the cell's first process to the server: a fork, and in the child the exec.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions};

use super::{
    Containment, Failure, MESSAGE_BYTES, Message, Order, Papers, Role, Stage, descriptors, order, room,
    syscall,
};

/// Starts the program of an order and gives its process id once it is really executing.
pub(super) fn start(role: Role, papers: Papers<'_>) -> Result<Pid, Failure> {
    let Papers { control, order, plan } = papers;
    let fork_failed = |errno| Failure::new(Stage::Fork, errno);
    let parent = rustix::process::getpid();
    let (verdict, say) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(fork_failed)?;
    let Some(server) = syscall::fork().map_err(fork_failed)? else {
        // Only a failed start comes back here.
        let tell = |message: Message| retry_on_intr(|| rustix::io::write(&say, &message.encode())).map(drop);
        let outfit = Outfit { role, parent, plan, control };
        let failure = carry_out(&outfit, order, tell);
        let _ = tell(Message::Failed(failure));
        std::process::exit(super::EXIT_FAILED);
    };
    drop((say, order));
    syscall::close_stdio();
    loop {
        let mut bytes = [0; MESSAGE_BYTES];
        // The pipe closes on exec: its end without a failure is the good news, unless it is that of the process.
        let failure = match retry_on_intr(|| rustix::io::read(&verdict, &mut bytes)) {
            Ok(0) if !died_before_exec(server) => return Ok(server),
            Ok(0) => Failure::new(Stage::Ended, Errno::CHILD),
            Ok(_) | Err(_) => match Message::decode(&bytes) {
                Some(skipped @ Message::Skipped { .. }) => match skipped.deliver(control) {
                    Ok(()) => continue,
                    Err(errno) => fork_failed(errno),
                },
                Some(Message::Failed(failure)) => failure,
                _ => fork_failed(Errno::IO),
            },
        };
        // It may run, and we not know.
        let _ = rustix::process::kill_process(server, Signal::KILL);
        let _ = retry_on_intr(|| rustix::process::waitpid(Some(server), WaitOptions::empty()));
        return Err(failure);
    }
}

/// Whether a process that has closed its end of the pipe never came to execute a program. One that we may not look at has.
fn died_before_exec(server: Pid) -> bool {
    /// "Forked but didn't exec" (PF_FORKNOEXEC of the kernel's sched.h), in the ninth field of proc_pid_stat(5).
    const FORKED_ONLY: u32 = 0x40;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.as_raw_pid())).unwrap_or_default();
    // The second field is a name in parentheses, which may contain anything.
    let flags = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(6));
    flags.and_then(|flags| flags.parse().ok()).is_some_and(|flags: u32| flags & FORKED_ONLY != 0)
}

/// What the process that becomes the server is to be before it does.
struct Outfit<'a> {
    role: Role,
    parent: Pid,
    plan: Option<room::Plan>,
    control: &'a OwnedFd,
}

/// Becomes the program of the order; what comes back is why that failed.
fn carry_out(outfit: &Outfit<'_>, order: OwnedFd, tell: impl FnMut(Message) -> Result<(), Errno>) -> Failure {
    let text = match order::read(order) {
        Ok(text) => text,
        Err(_) => return Failure::new(Stage::Order, Errno::IO),
    };
    let Some(order) = Order::parse(&text) else {
        return Failure::new(Stage::Order, Errno::INVAL);
    };
    if let Err(failure) = settle(outfit, tell) {
        return failure;
    }
    if let Some(Err(errno)) = order.cwd.map(rustix::process::chdir) {
        return Failure::new(Stage::Directory, errno);
    }
    match syscall::reset_signals() {
        Ok(()) => execute(&order),
        Err(errno) => Failure::new(Stage::Fork, errno),
    }
}

/// Leaves everything of casemate behind.
fn settle(outfit: &Outfit<'_>, tell: impl FnMut(Message) -> Result<(), Errno>) -> Result<(), Failure> {
    let failed = |errno| Failure::new(Stage::Fork, errno);
    rustix::process::setsid().map_err(failed)?;
    syscall::close_on_exec_from(3).map_err(failed)?;
    match &outfit.plan {
        Some(plan) => room::confine(plan, outfit.control, tell)?,
        // A program with another user's rights could not be killed by a reaper, and a server needs none.
        None if outfit.role != Role::Detach => rustix::thread::set_no_new_privs(true).map_err(failed)?,
        None => {}
    }
    if outfit.plan.is_none() {
        descriptors::restore_open_files().map_err(failed)?;
    }
    // Last, since a change of user forgets it.
    if outfit.role.containment() == Some(Containment::Reaper) {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
        if rustix::process::getppid() != Some(outfit.parent) {
            return Err(failed(Errno::SRCH));
        }
    }
    Ok(())
}

/// Executes the program, searching PATH as execvp does, but never falling back to a shell.
fn execute(order: &Order<'_>) -> Failure {
    let name = order.program.to_bytes();
    if name.contains(&b'/') {
        return attempt(order.program, order).unwrap_or(Failure::new(Stage::NoProgram, Errno::NOENT));
    }
    let mut worst = Failure::new(Stage::NotInPath, Errno::NOENT);
    for dir in order.path() {
        let Ok(candidate) = CString::new([dir, b"/", name].concat()) else { continue };
        match attempt(&candidate, order) {
            None => {}
            // A file of that name without permission does not hide a good one further on.
            Some(failure) if failure.stage == Stage::NotExecutable => worst = failure,
            Some(failure) => return failure,
        }
    }
    worst
}

/// Executes one file. Nothing comes back when there is no such file.
fn attempt(program: &CStr, order: &Order<'_>) -> Option<Failure> {
    let errno = syscall::execute(program, &order.argv, &order.env);
    let path = Path::new(OsStr::from_bytes(program.to_bytes()));
    let stage = match errno {
        Errno::NOENT | Errno::NOTDIR if !path.exists() => return None,
        Errno::NOENT => Stage::NoInterpreter,
        Errno::ACCESS if path.exists() => Stage::NotExecutable,
        Errno::ACCESS => return None,
        _ => Stage::Exec,
    };
    Some(Failure::new(stage, errno))
}
