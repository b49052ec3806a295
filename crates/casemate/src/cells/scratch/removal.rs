//! Removes what a server has left behind, however deep it is nested and whatever rights it has taken away.
//!
//! `remove_dir_all` of the standard library holds a descriptor and a stack frame for each level, and stops at a folder that
//! nobody may enter. Here each folder is moved to the top before it is emptied, so that there are only two levels.

use std::ffi::{CStr, OsStr};
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// Removes a folder and all that is in it. No link is followed, also not one that appears meanwhile.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let top = open(CWD, folder.as_os_str())?;
    let mut flat = Flat { top, next: 0 };
    while flat.pass()? {}
    std::fs::remove_dir(folder)
}

struct Flat {
    top: OwnedFd,
    next: u64,
}

impl Flat {
    /// Removes what lies at the top, and puts there what lay in it. Whether there was anything.
    fn pass(&mut self) -> io::Result<bool> {
        let names = names(&self.top)?;
        for name in &names {
            if !is_removed(&self.top, name)? {
                self.flatten(name)?;
            }
        }
        Ok(!names.is_empty())
    }

    fn flatten(&mut self, name: &OsStr) -> io::Result<()> {
        let folder = open(&self.top, name)?;
        for inner in names(&folder)? {
            if !is_removed(&folder, &inner)? {
                // The kernel lets nobody move a folder whose `..` it may not write.
                open(&folder, &inner)?;
                self.lift(&folder, &inner)?;
            }
        }
        Ok(rustix::fs::unlinkat(&self.top, name, AtFlags::REMOVEDIR)?)
    }

    fn lift(&mut self, folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
        loop {
            let free = self.next.to_string();
            self.next += 1;
            match rustix::fs::renameat_with(folder, name, &self.top, &free, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                moved => return Ok(moved?),
            }
        }
    }
}

/// Opens a folder, and its rights for its owner.
pub(super) fn open(at: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(at, name, flags | OFlags::PATH, Mode::empty())?;
    // The only way to the mode of a folder that is held without being opened.
    let held = format!("/proc/self/fd/{}", place.as_raw_fd());
    std::fs::set_permissions(held, Permissions::from_mode(0o700))?;
    Ok(rustix::fs::openat(&place, c".", flags, Mode::empty())?)
}

fn names(folder: &OwnedFd) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if name != c"." && name != c".." {
            names.push(OsStr::from_bytes(name.to_bytes()).to_owned());
        }
    }
    Ok(names)
}

/// Removes anything but a folder, and says whether it was that.
fn is_removed(folder: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_nested_deeper_than_descriptors_reach_is_removed() {
        // In memory: on a disk so many folders take a quarter of a minute.
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let top = folder.path().join("top");
        std::fs::create_dir_all(top.join("0/0/1")).unwrap();
        let mut at = open(CWD, top.as_os_str()).unwrap();
        for _ in 0..25_000 {
            rustix::fs::mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, c"d", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        }
        remove(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn a_folder_that_nobody_may_enter_is_removed_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (top, kept) = (folder.path().join("top"), folder.path().join("kept"));
        std::fs::create_dir_all(top.join("closed/inner/0")).unwrap();
        std::fs::create_dir(&kept).unwrap();
        std::fs::write(kept.join("file"), "").unwrap();
        std::fs::write(top.join("closed/file"), "").unwrap();
        std::os::unix::fs::symlink(&kept, top.join("closed/inner/link")).unwrap();
        for closed in ["closed/inner/0", "closed/inner", "closed", ""] {
            std::fs::set_permissions(top.join(closed), Permissions::from_mode(0o000)).unwrap();
        }
        remove(&top).unwrap();
        assert!(!top.exists());
        assert!(kept.join("file").exists());
    }
}
