//! What is granted by a casemate that is root, as its owner may use it: mounts in which that owner is the server's
//! account. They are made outside of the cell, since nobody inside has a say about the host's file systems.

#![allow(unsafe_code, reason = "clone has no safe wrapper; each use says why it is sound")]

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::entry::{attributes, copy, open_granted};
use super::{Access, kernel};
use crate::syscall;

/// Enough for two system calls, in unoptimized builds too.
const STACK_BYTES: usize = 32 << 10;

/// Something that is granted to an account.
#[derive(Debug)]
pub(crate) struct Loan {
    /// The step of the plan that this is.
    pub(crate) step: usize,
    pub(crate) path: PathBuf,
    pub(crate) access: Access,
    /// The host's user and group that the server is.
    pub(crate) account: u32,
}

impl Loan {
    /// The mount, restricted already. Files of the path's owner are the account's in it, and what the account makes is
    /// the owner's; files of anybody else can only be used as far as everybody may, and not be changed. A file system
    /// that cannot do this is mounted as it is, and whether that is of use is found out in the cell.
    ///
    /// Must be called on a thread that has all signals blocked.
    pub(crate) fn mount(&self) -> Result<OwnedFd, Errno> {
        let opened = open_granted(&self.path)?;
        let owner = rustix::fs::fstat(&opened)?;
        let attributes = attributes(self.access);
        if (owner.st_uid, owner.st_gid) != (self.account, self.account) {
            let users = namespace((owner.st_uid, owner.st_gid), self.account)?;
            let tree = copy(opened.as_fd())?;
            match kernel::add_mount_attributes_as(tree.as_fd(), attributes, users.as_fd()) {
                Ok(()) => return Ok(tree),
                Err(errno) => {
                    tracing::debug!(path = %self.path.display(), %errno, "owners cannot be mapped here")
                }
            }
        }
        let tree = copy(opened.as_fd())?;
        kernel::add_mount_attributes(tree.as_fd(), attributes, kernel::Depth::Whole)?;
        Ok(tree)
    }
}

/// A user namespace in which nobody lives: a mere table that says who is the account.
fn namespace((user, group): (u32, u32), account: u32) -> Result<OwnedFd, Errno> {
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_VM | libc::CLONE_NEWUSER | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: the child runs on a stack of its own, aligned to 16 bytes, which outlives it: it is killed and waited for
    // below. It only makes system calls.
    let pid = unsafe { libc::clone(dweller, top.cast(), flags, std::ptr::null_mut(), &raw mut pidfd) };
    if pid == -1 {
        return Err(syscall::last_errno());
    }
    // SAFETY: the clone has succeeded, so CLONE_PIDFD has stored a new descriptor that is ours alone.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let write = |file: &str, id: u32| {
        let written = std::fs::write(format!("/proc/{pid}/{file}"), format!("{id} {account} 1"));
        written.map_err(|error| error.raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error))
    };
    let made = write("uid_map", user).and_then(|()| write("gid_map", group)).and_then(|()| {
        let path = format!("/proc/{pid}/ns/user");
        rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    });
    let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    made
}

/// Lives in the namespace until it is known to others, or we are dead. It shares our memory, with whatever libc keeps
/// there for the thread that has made it, so it asks the kernel alone.
extern "C" fn dweller(_: *mut c_void) -> c_int {
    // SAFETY: neither call touches memory.
    unsafe {
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        loop {
            libc::syscall(libc::SYS_ppoll, 0, 0, 0, 0, 0);
        }
    }
}
