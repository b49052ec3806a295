//! System calls for rooms that rustix has no safe form of.

#![allow(unsafe_code, reason = "these system calls have no safe wrapper; each use says why it is sound")]

use std::ffi::{c_int, c_long, c_ulong};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::bpf::sock_filter;
use crate::syscall::last_errno;

/// Adds attributes (`MOUNT_ATTR_…`) to a mount, and with [`Depth::Whole`] to all that is mounted beneath it, to which then
/// nothing is added any more: what the host mounts there later would come without them.
pub(super) fn add_mount_attributes(
    mount: BorrowedFd<'_>,
    attributes: u64,
    depth: Depth,
) -> Result<(), Errno> {
    change_mount(mount, (attributes, None), depth)
}

/// The same for a whole tree of detached mounts, in which owners are also mapped as a user namespace says: whoever is
/// inside there is, in the mount, who it is outside.
pub(super) fn add_mount_attributes_as(
    mount: BorrowedFd<'_>,
    attributes: u64,
    users: BorrowedFd<'_>,
) -> Result<(), Errno> {
    change_mount(mount, (attributes | libc::MOUNT_ATTR_IDMAP, Some(users)), Depth::Whole)
}

fn change_mount(
    mount: BorrowedFd<'_>,
    (attributes, users): (u64, Option<BorrowedFd<'_>>),
    depth: Depth,
) -> Result<(), Errno> {
    let userns_fd = users.map_or(0, |users| u64::from(users.as_raw_fd().unsigned_abs()));
    let (flags, propagation) = match depth {
        Depth::Itself => (libc::AT_EMPTY_PATH, 0),
        Depth::Whole => (libc::AT_EMPTY_PATH | libc::AT_RECURSIVE, libc::MS_PRIVATE),
    };
    let wanted = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation, userns_fd };
    // SAFETY: the path is a NUL-terminated string, and the attributes are of the size that is passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            size_of::<libc::mount_attr>(),
        )
    })
}

/// How much of a tree of mounts is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Itself,
    Whole,
}

/// Brings the loopback interface of our network namespace up.
pub(super) fn raise_loopback() -> Result<(), Errno> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: the structure is plain data, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    for (place, byte) in request.ifr_name.iter_mut().zip(*b"lo") {
        *place = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the request is the structure that SIOCSIFFLAGS reads, with a NUL-terminated name.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into())
}

/// Gives a socket a filter: it gets those packets only that the program lets pass.
pub(super) fn attach_filter(socket: BorrowedFd<'_>, program: &[sock_filter]) -> Result<(), Errno> {
    let program = filter_program(program)?;
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
    // SAFETY: the structure says where the program is and how long, and both outlive the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const program).cast(), length) };
    check(result.into())
}

/// The version of Landlock's interface; nothing where the kernel has none or it was not enabled at boot.
pub(super) fn landlock_version() -> Option<u8> {
    const VERSION_FLAG: c_int = 1;
    // SAFETY: with this flag the kernel reads no attributes and returns a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0_usize, 0_usize, VERSION_FLAG) };
    u8::try_from(version).ok().filter(|version| *version > 0)
}

/// Whether the kernel can filter system calls.
pub(super) fn seccomp_filters() -> Result<(), Errno> {
    let action: u32 = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the kernel reads one number and answers whether it knows that action.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) })
}

/// Installs a filter of system calls that asks whoever holds the descriptor. No new privileges must be set before.
pub(super) fn listen_to(program: &[sock_filter]) -> Result<OwnedFd, Errno> {
    // A signal that is not deadly waits until the answer is there (Linux 5.19). Without, the call is told anew.
    let patient = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    match add_filter(program, patient) {
        Err(Errno::INVAL) => add_filter(program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER),
        other => other,
    }
}

/// Adds a filter for system calls that has a listener, which is what comes back.
fn add_filter(program: &[sock_filter], flags: c_ulong) -> Result<OwnedFd, Errno> {
    let program = filter_program(program)?;
    // SAFETY: the structure says where the program is and how long, and both outlive the call.
    let listener =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    check(listener)?;
    let listener = RawFd::try_from(listener).map_err(|_| Errno::BADF)?;
    // SAFETY: with this flag the kernel answers with a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// A program as the kernel takes it. It points to the instructions.
fn filter_program(program: &[sock_filter]) -> Result<libc::sock_fprog, Errno> {
    Ok(libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        // The same four fields in the same places, which the kernel only reads.
        filter: program.as_ptr().cast_mut().cast(),
    })
}

/// The highest capability that this kernel knows.
pub(super) const CAPABILITIES: std::ops::Range<u32> = 0..64;

/// Takes a capability out of the bounding set. Numbers that the kernel does not know are [`Errno::INVAL`].
pub(super) fn unbound(capability: u32) -> Result<(), Errno> {
    // SAFETY: takes a number and changes the calling thread's credentials alone.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, c_long::from(capability), 0, 0, 0) }.into())
}

fn check(result: c_long) -> Result<(), Errno> {
    if result == -1 { Err(last_errno()) } else { Ok(()) }
}
