//! The host's whole tree, read-only, without some places: entry by entry where something is left out, whole elsewhere.
//!
//! What is left out is never mounted. A mount over it would be taken off when the host replaces the file, as programs
//! do that write their settings anew.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use super::{Site, attributes, kernel};
use crate::room::Access;
use crate::room::kernel::Depth;

impl Site {
    /// Shows what the host has but for `except` and what is beneath. Looked at as the server's user, so that nobody
    /// learns names that he could not list.
    pub(in crate::room::entry) fn show(&self, except: &[PathBuf]) -> Result<(), Errno> {
        let host = open_folder(CWD.as_fd(), OsStr::new("/"))?;
        self.show_entries(host, Path::new("/"), except)
    }

    fn show_entries(&self, host: OwnedFd, folder: &Path, except: &[PathBuf]) -> Result<(), Errno> {
        for entry in Dir::read_from(&host)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let path = folder.join(name);
            if matches!(name.as_bytes(), b"." | b"..") || except.contains(&path) {
                continue;
            }
            match kind(&host, name, entry.file_type()) {
                Ok(FileType::Symlink) => {
                    if let Ok(to) = rustix::fs::readlinkat(&host, name, Vec::new()) {
                        self.link(&path, Path::new(OsStr::from_bytes(to.as_bytes())))?;
                    }
                }
                Ok(FileType::Directory) if except.iter().any(|place| place.starts_with(&path)) => {
                    self.folder(&path)?;
                    // A folder that cannot be listed stays empty.
                    if let Ok(inner) = open_folder(host.as_fd(), name) {
                        self.show_entries(inner, &path, except)?;
                    }
                }
                Ok(kind @ (FileType::Directory | FileType::RegularFile)) => {
                    self.show_whole(&host, &path, kind)?;
                }
                // Gone, closed to us, or nothing that can be read without speaking to somebody.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn show_whole(&self, folder: &OwnedFd, path: &Path, kind: FileType) -> Result<(), Errno> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_NO_AUTOMOUNT
            | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        // What cannot be shown is not needed for the cell to be whole.
        let Ok(tree) = rustix::mount::open_tree(folder, name, flags) else { return Ok(()) };
        kernel::add_mount_attributes(tree.as_fd(), attributes(Access::Read), Depth::Whole)?;
        self.place(&tree, path, kind)
    }

    fn folder(&self, path: &Path) -> Result<(), Errno> {
        let (folder, name) = self.folder_of(path)?;
        match rustix::fs::mkdirat(folder, name, Mode::from(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

fn open_folder(folder: std::os::fd::BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(folder, name, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// What an entry is; some file systems do not say it where they list it.
fn kind(folder: &OwnedFd, name: &OsStr, listed: FileType) -> Result<FileType, Errno> {
    if listed != FileType::Unknown {
        return Ok(listed);
    }
    let found = rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode))
}
