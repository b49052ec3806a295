//! The step from the cell's first process to the server: a fork, and in the child the exec.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions};

use super::{Containment, Failure, MESSAGE_BYTES, Message, Order, Role, Stage, order, syscall};

/// Starts the program of an order and gives its process id once it is really executing.
pub(super) fn start(role: Role, order: OwnedFd) -> Result<Pid, Failure> {
    let fork_failed = |errno| Failure::new(Stage::Fork, errno);
    let parent = rustix::process::getpid();
    let (verdict, say) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(fork_failed)?;
    let Some(server) = syscall::fork().map_err(fork_failed)? else {
        // Only a failed start comes back here.
        let failure = carry_out(role, parent, order);
        let _ = retry_on_intr(|| rustix::io::write(&say, &Message::Failed(failure).encode()));
        std::process::exit(super::EXIT_FAILED);
    };
    drop((say, order));
    syscall::close_stdio();
    let mut bytes = [0; MESSAGE_BYTES];
    // The pipe closes on exec: its end without a message is the good news.
    match retry_on_intr(|| rustix::io::read(&verdict, &mut bytes)) {
        Ok(0) => Ok(server),
        Ok(_) | Err(_) => {
            let _ = retry_on_intr(|| rustix::process::waitpid(Some(server), WaitOptions::empty()));
            Err(match Message::decode(&bytes) {
                Some(Message::Failed(failure)) => failure,
                _ => fork_failed(Errno::IO),
            })
        }
    }
}

/// Becomes the program of the order; what comes back is why that failed.
fn carry_out(role: Role, parent: Pid, order: OwnedFd) -> Failure {
    let text = match order::read(order) {
        Ok(text) => text,
        Err(_) => return Failure::new(Stage::Order, Errno::IO),
    };
    let Some(order) = Order::parse(&text) else {
        return Failure::new(Stage::Order, Errno::INVAL);
    };
    if let Err(errno) = settle(role, parent) {
        return Failure::new(Stage::Fork, errno);
    }
    if let Some(Err(errno)) = order.cwd.map(rustix::process::chdir) {
        return Failure::new(Stage::Directory, errno);
    }
    syscall::reset_signals();
    execute(&order)
}

/// Leaves everything of casemate behind.
fn settle(role: Role, parent: Pid) -> Result<(), Errno> {
    rustix::process::setsid()?;
    if let Role::Cell(containment) = role {
        // A program with another user's rights could not be killed by a reaper, and a server needs none.
        rustix::thread::set_no_new_privs(true)?;
        if containment == Containment::Reaper {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(Errno::SRCH);
            }
        }
    }
    syscall::close_on_exec_from(3)
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
