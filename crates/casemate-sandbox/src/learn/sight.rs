//! Looking at a watched process' files: as it would, and as the host has them.

#![allow(unsafe_code, reason = "setfsuid has no safe wrapper; each use says why it is sound")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::calls::{self, Name};
use super::notice::Notice;
use super::observed::{Place, Sort};

/// The most links that the kernel follows in one path.
const LINKS_MAX: usize = 40;

/// The root of a cell, seen from outside.
#[derive(Debug)]
pub(super) struct Sight {
    root: OwnedFd,
    /// Whom the server is on the host, where we could be him.
    account: Option<u32>,
}

/// Whether the last part of a path is followed where it is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Followed,
    Kept,
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The host has it, under this path without links.
    There { path: PathBuf, sort: Sort, place: Place },
    /// There is no such thing. It would be in this folder, or in one that would be made there.
    Nowhere { path: PathBuf, within: PathBuf },
}

impl Sight {
    /// Looks into the cell that a thread is in. From here on, this thread sees as `account`, unless it looks outside.
    pub(super) fn of(thread: u32, account: Option<u32>) -> Result<Sight, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, format!("/proc/{thread}/root"), flags, Mode::empty())?;
        if let Some(account) = account {
            // None of our groups are the server's.
            rustix::thread::set_thread_groups(&[])?;
            // SAFETY: takes a number and changes this thread's credentials alone. Whether it worked shows below.
            unsafe { libc::setfsgid(account) };
        }
        Ok(Sight { root, account })
    }

    /// Finds what an absolute path leads to.
    pub(super) fn find(&self, path: &Path, last: Last) -> Found {
        let flags = match last {
            Last::Followed => OFlags::empty(),
            Last::Kept => OFlags::NOFOLLOW,
        };
        let found = self.find_there(path, flags).or_else(|_| self.find_outside(path, flags));
        found.unwrap_or_else(|_| self.nowhere(path))
    }

    /// The links on a path that leads to something in the cell.
    pub(super) fn links(&self, path: &Path) -> BTreeSet<PathBuf> {
        let _view = self.as_server();
        let mut found = BTreeSet::new();
        let mut at = PathBuf::from("/");
        let mut ahead: Vec<_> = path.components().rev().map(|part| part.as_os_str().to_owned()).collect();
        while let Some(part) = ahead.pop() {
            match Path::new(&part).components().next() {
                Some(Component::Normal(name)) => at.push(name),
                Some(Component::ParentDir) => {
                    at.pop();
                    continue;
                }
                Some(Component::RootDir) => {
                    at = PathBuf::from("/");
                    continue;
                }
                _ => continue,
            }
            let Some(to) = self.open(&at, OFlags::NOFOLLOW).ok().and_then(|link| link_text(link.as_fd(), ""))
            else {
                continue;
            };
            if found.len() == LINKS_MAX {
                break;
            }
            found.insert(at.clone());
            at.pop();
            ahead.extend(to.components().rev().map(|part| part.as_os_str().to_owned()));
        }
        found
    }

    fn find_there(&self, path: &Path, flags: OFlags) -> Result<Found, Errno> {
        let view = self.as_server();
        let opened = self.open(path, flags)?;
        let path = path_of(&opened)?;
        let is_readable = readable(self.root.as_fd(), &path);
        drop(view);
        let place = if is_readable { Place::Shown } else { self.elsewhere(&opened, &path)? };
        Ok(Found::There { sort: sort(&opened)?, path, place })
    }

    /// What the host has at a path.
    fn find_outside(&self, path: &Path, flags: OFlags) -> Result<Found, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | flags;
        let opened = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)?;
        let path = path_of(&opened)?;
        Ok(Found::There { sort: sort(&opened)?, place: self.elsewhere(&opened, &path)?, path })
    }

    /// Whether a grant would show what a watched server does not see: of an ordinary user, what that one may read; of
    /// root, what its owner may.
    fn elsewhere(&self, opened: &OwnedFd, path: &Path) -> Result<Place, Errno> {
        let may_read = match self.account {
            None => readable(CWD, path),
            Some(_) => {
                let mode = Mode::from_raw_mode(rustix::fs::fstat(opened)?.st_mode);
                let needed = if sort(opened)? == Sort::Folder { Mode::RUSR | Mode::XUSR } else { Mode::RUSR };
                mode.contains(needed)
            }
        };
        Ok(if may_read { Place::Outside } else { Place::Closed })
    }

    /// The nearest folder above that is there.
    fn nowhere(&self, path: &Path) -> Found {
        for above in path.ancestors().skip(1) {
            if let Ok(Found::There { path: within, sort: Sort::Folder, .. }) =
                self.find_there(above, OFlags::empty())
            {
                let rest = path.strip_prefix(above).unwrap_or(path);
                return Found::Nowhere { path: within.join(rest), within };
            }
        }
        Found::Nowhere { path: path.to_owned(), within: PathBuf::from("/") }
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty(), inside)
    }

    /// Until it is dropped, this thread sees what the server may see.
    fn as_server(&self) -> Option<View> {
        // SAFETY: takes a number and changes this thread's credentials alone.
        self.account.map(|account| View { before: unsafe { libc::setfsuid(account) } })
    }
}

/// Looking at files as somebody else.
struct View {
    before: i32,
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: as above; it is who we were before.
        unsafe { libc::setfsuid(self.before.unsigned_abs()) };
    }
}

/// Whether whoever we are at the moment may read something beneath a root.
fn readable(root: BorrowedFd<'_>, path: &Path) -> bool {
    let relative = path.strip_prefix("/").ok().filter(|path| !path.as_os_str().is_empty());
    // Of the host's root, any path will do.
    let path = if root.as_raw_fd() == CWD.as_raw_fd() { path } else { relative.unwrap_or(Path::new(".")) };
    rustix::fs::accessat(root, path, Access::READ_OK, AtFlags::EACCESS).is_ok()
}

fn sort(opened: &OwnedFd) -> Result<Sort, Errno> {
    Ok(match FileType::from_raw_mode(rustix::fs::fstat(opened)?.st_mode) {
        FileType::RegularFile => Sort::File,
        FileType::Directory => Sort::Folder,
        _ => Sort::Other,
    })
}

/// The path under which something was found, in the mount namespace that it was found in.
fn path_of(opened: &OwnedFd) -> Result<PathBuf, Errno> {
    let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
    let path = link_text(CWD, &link).filter(|path| path.is_absolute());
    path.ok_or(Errno::NOENT)
}

fn link_text(folder: BorrowedFd<'_>, link: &str) -> Option<PathBuf> {
    let text = rustix::fs::readlinkat(folder, link, Vec::new()).ok()?;
    Some(PathBuf::from(std::ffi::OsString::from_vec(text.into_bytes())))
}

/// The path that a call names, not freed of links; nothing when it names none, or one that leads nowhere.
pub(super) fn named(notice: &Notice, name: Name) -> Result<Option<PathBuf>, Errno> {
    // Some calls then mean a descriptor.
    if notice.argument(name.text) == 0 {
        return Ok(None);
    }
    let text = match notice.text(name.text) {
        Ok(text) => text,
        Err(Errno::FAULT | Errno::NAMETOOLONG) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let path = Path::new(OsStr::from_bytes(&text));
    if text.is_empty() || path.is_absolute() {
        return Ok((!text.is_empty()).then(|| path.to_owned()));
    }
    let folder = match name.folder.map(|folder| notice.argument(folder)) {
        Some(folder) if !calls::is_cwd(folder) => format!("/proc/{}/fd/{}", notice.thread, folder as u32),
        _ => format!("/proc/{}/cwd", notice.thread),
    };
    let folder = link_text(CWD, &folder).filter(|folder| folder.is_absolute());
    Ok(folder.map(|folder| folder.join(path)))
}

/// The program that a thread runs, and the files that are part of its memory: what the kernel has opened for it.
pub(super) fn program(thread: u32) -> Option<PathBuf> {
    link_text(CWD, &format!("/proc/{thread}/exe"))
}

/// The files in a thread's memory.
pub(super) fn mapped(thread: u32) -> BTreeSet<PathBuf> {
    let table = std::fs::read(format!("/proc/{thread}/maps")).unwrap_or_default();
    // The name is the sixth field and may have blanks; it is the only thing with a slash in front.
    let names = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let start = line.windows(2).position(|pair| pair == b" /")?;
        line.get(start + 1..)
    });
    names.map(|name| Path::new(OsStr::from_bytes(name)).to_owned()).collect()
}
