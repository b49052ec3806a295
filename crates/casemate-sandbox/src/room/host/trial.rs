//! Trying a namespace in a process that ends at once.

#![allow(unsafe_code, reason = "clone has no safe wrapper; each use says why it is sound")]

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::syscall;

/// Enough for one system call, in unoptimized builds too.
const STACK_BYTES: usize = 32 << 10;

/// What the process is to try, and how that went.
struct Trial {
    mounts: bool,
    errno: c_int,
}

/// Tries to enter namespaces, and for a mount namespace also whether it may be changed: some hosts allow user
/// namespaces but give no rights in them.
pub(super) fn namespaces(flags: c_int) -> Result<(), Errno> {
    // A thread of its own, because signals must be blocked in what shares our memory, and only while this lasts.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("casemate-trial".to_owned());
        let thread = thread.spawn_scoped(scope, || {
            syscall::block_signals();
            attempt(flags)
        });
        thread.map_err(|_| Errno::AGAIN).and_then(|thread| thread.join().unwrap_or(Err(Errno::FAULT)))
    })
}

fn attempt(flags: c_int) -> Result<(), Errno> {
    let mut trial = Trial { mounts: flags & libc::CLONE_NEWNS != 0, errno: 0 };
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let mut pidfd: RawFd = -1;
    let flags = flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: the child runs on a stack of its own, aligned to 16 bytes, while this thread is suspended until it has
    // ended; stack and trial outlive that.
    let pid = unsafe { libc::clone(body, top.cast(), flags, (&raw mut trial).cast(), &raw mut pidfd) };
    if pid == -1 {
        return Err(syscall::last_errno());
    }
    // SAFETY: the clone has succeeded, so CLONE_PIDFD has stored a new descriptor that is ours alone.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    // SAFETY: the child, which alone has written here, is gone; read as memory that somebody else has changed.
    match unsafe { (&raw const trial.errno).read_volatile() } {
        0 => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno)),
    }
}

extern "C" fn body(trial: *mut c_void) -> c_int {
    // SAFETY: it is the trial that `attempt` passed, and its owner is suspended.
    let trial = unsafe { &mut *trial.cast::<Trial>() };
    if trial.mounts {
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        if let Err(errno) = rustix::mount::mount_change("/", slave) {
            trial.errno = errno.raw_os_error();
        }
    }
    // SAFETY: ends this process alone, without running anything that was registered by the parent.
    unsafe { libc::_exit(0) }
}
