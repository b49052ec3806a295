//! The first steps of a new process: from the clone to our own binary executed again.
//!
//! The clone shares our memory and suspends the calling thread until the exec (as vfork does), so its cost does
//! not grow with our memory. Between the two only system calls are made: other threads may hold any lock.

#![allow(unsafe_code, reason = "clone and exec have no safe wrapper; each use says why it is sound")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::containment::Containment;
use crate::role::{CELL_NAME, Role};
use crate::syscall;

/// The numbers under which the re-executed process finds what it is given, after the standard streams.
pub(crate) const CONTROL: RawFd = 3;
/// The order, see [`crate::order`].
pub(crate) const ORDER: RawFd = 4;

/// The plan of a room, see [`crate::room`].
pub(crate) const PLAN: RawFd = 5;

/// Enough for the first steps, in unoptimized builds too.
const STACK_BYTES: usize = 128 << 10;

/// The binary that cells are made of, opened once: it stays the same when the file is replaced by an update.
#[derive(Debug)]
pub(crate) struct Binary(OwnedFd);

impl Binary {
    pub(crate) fn open(path: &std::path::Path) -> Result<Binary, Errno> {
        let opened = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        out_of_the_way(&opened).map(Binary)
    }
}

/// A new process that executes our binary.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// What the new process finds at descriptors 0 to 5.
#[derive(Debug)]
pub(crate) struct Descriptors {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) control: OwnedFd,
    pub(crate) order: OwnedFd,
    pub(crate) plan: Option<Sheet>,
}

/// The plan of a room on its way into it.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) file: OwnedFd,
    /// The namespaces that the new process is made in, as flags of clone; none for those of its containment.
    pub(crate) namespaces: c_int,
}

/// Makes a process that executes our binary in `role`. All signals must be blocked in the calling thread, and
/// with a role that dies with us, that thread must live as long as the cell.
pub(crate) fn clone(binary: &Binary, role: Role, label: &CStr, given: Descriptors) -> Result<Child, Errno> {
    let sheet = given.plan.as_ref();
    let plan = sheet.map(|sheet| out_of_the_way(&sheet.file)).transpose()?;
    let namespaces = sheet.map_or(0, |sheet| sheet.namespaces);
    let given = [
        out_of_the_way(&given.stdin)?,
        out_of_the_way(&given.stdout)?,
        out_of_the_way(&given.stderr)?,
        out_of_the_way(&given.control)?,
        out_of_the_way(&given.order)?,
    ];
    let user = decimal(rustix::process::geteuid().as_raw());
    let group = decimal(rustix::process::getegid().as_raw());
    let argv = syscall::pointers(&[CELL_NAME, role.name(), label, &user, &group]);
    let env = syscall::pointers(&[]);
    let mut steps = Steps {
        binary: binary.0.as_raw_fd(),
        given: given.each_ref().map(AsRawFd::as_raw_fd),
        plan: plan.as_ref().map_or(-1, AsRawFd::as_raw_fd),
        role,
        namespaces: if namespaces == 0 { namespaces_of(role) } else { namespaces },
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        errno: 0,
    };
    let child = clone_suspended(&raw mut steps)?;
    if steps.errno == 0 {
        return Ok(child);
    }
    let _ = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
    Err(Errno::from_raw_os_error(steps.errno))
}

/// The same under a number that is not hit while 0 to 5 are put in place.
fn out_of_the_way(descriptor: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, 10)
}

fn decimal(id: u32) -> CString {
    // Digits contain no NUL byte.
    CString::new(id.to_string()).unwrap_or_default()
}

/// Everything that the first steps need, prepared before the clone.
struct Steps {
    binary: RawFd,
    given: [RawFd; 5],
    /// The plan of a room, or -1.
    plan: RawFd,
    role: Role,
    namespaces: c_int,
    argv: *const *const c_char,
    env: *const *const c_char,
    /// Out: why a step failed, or 0.
    errno: c_int,
}

/// The namespaces of a containment.
fn namespaces_of(role: Role) -> c_int {
    match role.containment() {
        Some(Containment::PidNamespace) => libc::CLONE_NEWPID | libc::CLONE_NEWNS,
        Some(Containment::UserNamespace) => libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWUSER,
        Some(Containment::Reaper) | None => 0,
    }
}

fn clone_suspended(steps: *mut Steps) -> Result<Child, Errno> {
    // SAFETY: reading a number out of what the caller has just made.
    let namespaces = unsafe { (*steps).namespaces };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD | namespaces;
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let mut pidfd: RawFd = -1;
    // SAFETY: the child runs `first_steps` on a stack of its own, aligned to 16 bytes, while this thread is
    // suspended until it has executed or ended; stack, steps and all that the steps point to outlive that.
    let pid = unsafe { libc::clone(first_steps, top.cast(), flags, steps.cast(), &raw mut pidfd) };
    if pid == -1 {
        return Err(syscall::last_errno());
    }
    // SAFETY: the clone has succeeded, so CLONE_PIDFD has stored a new descriptor that is ours alone.
    Ok(Child { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

extern "C" fn first_steps(steps: *mut c_void) -> c_int {
    // SAFETY: it is what `clone_suspended` passed, and its owner is suspended.
    let steps = unsafe { &mut *steps.cast::<Steps>() };
    if let Err(errno) = become_binary(steps) {
        steps.errno = errno.raw_os_error();
    }
    // SAFETY: ends this process alone, without running anything that was registered by the parent.
    unsafe { libc::_exit(127) }
}

/// The steps themselves: async-signal-safe, without allocation, and without anything that can panic.
fn become_binary(steps: &Steps) -> Result<(), Errno> {
    rustix::process::setsid()?;
    if steps.namespaces & libc::CLONE_NEWPID != 0 {
        // Set here already, so that there is no moment in which our death would go unnoticed.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    if steps.namespaces & libc::CLONE_NEWUSER != 0 {
        match steps.role {
            Role::Room(_) => keep_over_exec(rustix::thread::capabilities(None)?.permitted)?,
            Role::Cell(_) | Role::Detach => keep_over_exec(CapabilitySet::SYS_ADMIN)?,
        }
    }
    for (number, given) in (0..).zip(steps.given.into_iter().chain([steps.plan])) {
        if given == -1 {
            continue;
        }
        // SAFETY: this process has a descriptor table of its own, and nothing here owns the numbers 0 to 5.
        if unsafe { libc::dup2(given, number) } == -1 {
            return Err(syscall::last_errno());
        }
    }
    syscall::close_on_exec_from(if steps.plan == -1 { 5 } else { 6 })?;
    let empty: *const c_char = c"".as_ptr();
    // SAFETY: the arrays were prepared by the parent: NUL-terminated strings, ended by a null pointer.
    unsafe {
        libc::syscall(libc::SYS_execveat, steps.binary, empty, steps.argv, steps.env, libc::AT_EMPTY_PATH);
    }
    Err(syscall::last_errno())
}

/// Makes capabilities survive the exec although our user is not root in the new user namespace.
fn keep_over_exec(kept: CapabilitySet) -> Result<(), Errno> {
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: kept },
    )?;
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if kept.contains(capability) {
            rustix::thread::configure_capability_in_ambient_set(capability, true)?;
        }
    }
    Ok(())
}
