//! Who the cell is, and what it may do.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Signal, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::room::plan::CELL_USER;
use crate::room::{Access, Mapper, kernel};

/// Maps the cell's user and group to the host's, unless casemate has.
pub(super) fn map((user, group): (u32, u32), by: Mapper) -> Result<(), Errno> {
    match by {
        Mapper::Cell => {
            // The kernel wants setgroups given up before an ordinary user may map a group.
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &format!("{CELL_USER} {user} 1"))?;
            write("/proc/self/gid_map", &format!("{CELL_USER} {group} 1"))
        }
        Mapper::Casemate => Ok(()),
    }
}

/// Becomes the cell's user, without the groups of whoever started casemate where those can be given up. The
/// capabilities in the user namespace stay.
pub(super) fn assume() -> Result<(), Errno> {
    let (user, group) = (Uid::from_raw(CELL_USER), Gid::from_raw(CELL_USER));
    if rustix::process::geteuid() != user {
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        rustix::thread::set_thread_res_uid(user, user, user)?;
        // A change of user forgets who we die with. Casemate may have died in between, which the end of the control
        // socket tells later on.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // And it makes our own files in /proc root's, which are still to be written.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    }
    Ok(())
}

/// Becomes a user of the host, without groups.
pub(super) fn settle_as(account: u32) -> Result<(), Errno> {
    // Root may; whoever it becomes may not.
    empty_bounding_set()?;
    let (user, group) = (Uid::from_raw(account), Gid::from_raw(account));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)
}

/// Keeps other processes of the same user from looking into this one. An exec ends it, so the server is not hit.
pub(super) fn guard() -> Result<(), Errno> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Gives up every capability. The bounding set can only be emptied by who may; to everybody else it means nothing.
pub(super) fn drop_capabilities() -> Result<(), Errno> {
    empty_bounding_set()?;
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )
}

fn empty_bounding_set() -> Result<(), Errno> {
    if !rustix::thread::capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        // Not ours to decide, and without new privileges it means nothing.
        return Ok(());
    }
    for capability in kernel::CAPABILITIES {
        match kernel::unbound(capability) {
            Ok(()) => {}
            // Beyond the last one that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether the user that we are can use a grant at all.
pub(super) fn check(path: &Path, access: Access) -> Result<(), Errno> {
    let wanted = match access {
        Access::Read => rustix::fs::Access::READ_OK,
        Access::Write => rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK,
    };
    rustix::fs::openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
    rustix::fs::accessat(CWD, path, wanted, AtFlags::EACCESS)
}

/// Writes one of the kernel's files.
pub(super) fn write(path: &str, text: &str) -> Result<(), Errno> {
    std::fs::write(path, text)
        .map_err(|error| error.raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error))
}
