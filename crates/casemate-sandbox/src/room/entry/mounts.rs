//! The new root: built beside the host's, then put in its place.
//!
//! What is granted is opened before the new root exists, so nothing in it can stand in the way, and every mount gets
//! its restrictions before it can be reached under any path.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use crate::figures::HostStats;
use crate::room::Access;
use crate::room::kernel::{self, Depth};
use crate::room::plan::{Action, Plan, ProcSource};

mod shown;

/// The root holds only directories, links and a few short texts: its most bytes and files.
const ROOT: [&str; 2] = ["1m", "512"];

/// One in which the host is shown has a place for each entry of the folders that are not shown whole.
const WIDE_ROOT: [&str; 2] = ["256m", "65536"];

/// What the host has under a path that is to be visible.
#[derive(Debug)]
enum Found {
    /// A copy of the mount, restricted already.
    Tree(OwnedFd, FileType),
    Link(PathBuf),
}

impl Found {
    fn tree(tree: OwnedFd) -> Result<Found, Errno> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&tree)?.st_mode);
        Ok(Found::Tree(tree, kind))
    }
}

/// A root in the making.
#[derive(Debug)]
pub(super) struct Site {
    size: [&'static str; 2],
    found: HashMap<PathBuf, Found>,
    host_proc: Option<OwnedFd>,
    root: Option<OwnedFd>,
}

impl Site {
    /// Opens everything of the host that the plan shows and casemate has not opened already. An error comes with the
    /// number of its step.
    pub(super) fn survey(plan: &Plan, mounts: Vec<OwnedFd>) -> Result<Site, (usize, Errno)> {
        let mut mounts = mounts.into_iter();
        detach_propagation().map_err(|errno| (0, errno))?;
        let wide = plan.steps.iter().any(|step| matches!(step.action, Action::Show { .. }));
        let size = if wide { WIDE_ROOT } else { ROOT };
        let mut site = Site { size, found: HashMap::new(), host_proc: None, root: None };
        for (number, step) in plan.steps.iter().enumerate() {
            let (path, opened) = match &step.action {
                Action::Bind { path, access, account: None } => {
                    (path.clone(), open(path, attributes(*access), ResolveFlags::NO_SYMLINKS).map(Some))
                }
                Action::Bind { path, account: Some(_), .. } => {
                    (path.clone(), mounts.next().ok_or(Errno::INVAL).and_then(Found::tree).map(Some))
                }
                Action::BindIfThere { path, access } => {
                    (path.clone(), open_if_there(path, attributes(*access)))
                }
                Action::Figure { name } => {
                    let quiet = attributes(Access::Read) | libc::MOUNT_ATTR_NOEXEC;
                    let found = open(&Path::new("/proc").join(name), quiet, ResolveFlags::empty());
                    (Path::new(HostStats::FOLDER).join(name), found.map(Some))
                }
                Action::Device { path } => (
                    path.clone(),
                    open(path, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC, ResolveFlags::NO_SYMLINKS)
                        .map(Some),
                ),
                Action::Proc(ProcSource::Host) => {
                    site.host_proc = Some(host_proc().map_err(|errno| (number, errno))?);
                    continue;
                }
                _ => continue,
            };
            if let Some(opened) = opened.map_err(|errno| (number, errno))? {
                site.found.insert(path, opened);
            }
        }
        Ok(site)
    }

    /// Makes the empty root and puts it over the host's, where only our descriptor leads to it.
    pub(super) fn make_root(&mut self) -> Result<(), Errno> {
        let [bytes, files] = self.size;
        let root = tmpfs(&[("size", bytes), ("nr_inodes", files), ("mode", "0755")])?;
        rustix::mount::move_mount(&root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        self.root = Some(root);
        Ok(())
    }

    /// Puts what was found under a path into the root; nothing when the host has nothing there.
    pub(super) fn attach(&mut self, path: &Path) -> Result<(), Errno> {
        match self.found.remove(path) {
            None => Ok(()),
            Some(Found::Link(to)) => self.link(path, &to),
            Some(Found::Tree(tree, kind)) => self.place(&tree, path, kind),
        }
    }

    /// Mounts an empty file system with limits. Without limits it has none.
    pub(super) fn tmpfs(&self, path: &Path, bytes: u64, files: u32) -> Result<(), Errno> {
        let (bytes, files) = (bytes.to_string(), files.to_string());
        let tmp = tmpfs(&[("size", &bytes), ("nr_inodes", &files), ("mode", "1777")])?;
        self.place(&tmp, path, FileType::Directory)
    }

    /// Mounts `/proc`: into the root, or over the host's where there is none.
    pub(super) fn proc(&mut self, source: ProcSource) -> Result<(), Errno> {
        let proc = match source {
            ProcSource::Host => self.host_proc.take().ok_or(Errno::INVAL)?,
            ProcSource::Narrow | ProcSource::Wide => proc(source)?,
        };
        if self.root.is_none() {
            return rustix::mount::move_mount(
                &proc,
                "",
                CWD,
                "/proc",
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
            );
        }
        self.place(&proc, Path::new("/proc"), FileType::Directory)
    }

    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), Errno> {
        let (folder, name) = self.folder_of(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, Mode::from(0o644))?;
        rustix::io::write(&file, text.as_bytes()).map(drop)
    }

    pub(super) fn link(&self, path: &Path, to: &Path) -> Result<(), Errno> {
        let (folder, name) = self.folder_of(path)?;
        rustix::fs::symlinkat(to, folder, name)
    }

    /// Exchanges the roots, lets go of the host's and closes ours for changes.
    pub(super) fn pivot(self) -> Result<(), Errno> {
        let root = self.root.ok_or(Errno::INVAL)?;
        rustix::process::fchdir(&root)?;
        // Both names are the same place: the old root then lies over the new one, until it is taken off.
        rustix::process::pivot_root(".", ".")?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        kernel::add_mount_attributes(root.as_fd(), libc::MOUNT_ATTR_RDONLY, Depth::Itself)
    }

    /// Moves a mount into the root.
    fn place(&self, tree: &OwnedFd, path: &Path, kind: FileType) -> Result<(), Errno> {
        let (folder, name) = self.folder_of(path)?;
        let made = if kind == FileType::Directory {
            rustix::fs::mkdirat(&folder, name, Mode::from(0o755))
        } else {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&folder, name, flags, Mode::from(0o644)).map(drop)
        };
        match made {
            // What lies in another grant exists there, and may well be read-only.
            Ok(()) | Err(Errno::EXIST | Errno::ROFS) => {}
            Err(errno) => return Err(errno),
        }
        let target = step_into(folder.as_fd(), name, OFlags::PATH)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(tree, "", &target, "", flags)
    }

    /// The folder that a path lies in, made where it does not exist, and the path's last part.
    pub(super) fn folder_of<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let mut folder = self.root.as_ref().ok_or(Errno::INVAL)?.try_clone().map_err(|_| Errno::MFILE)?;
        for part in path.parent().into_iter().flat_map(Path::components).skip(1) {
            let part = part.as_os_str();
            match rustix::fs::mkdirat(&folder, part, Mode::from(0o755)) {
                Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS) => {}
                Err(errno) => return Err(errno),
            }
            folder = step_into(folder.as_fd(), part, OFlags::PATH | OFlags::DIRECTORY)?;
        }
        Ok((folder, name))
    }
}

/// Keeps what we mount from being seen outside.
fn detach_propagation() -> Result<(), Errno> {
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
}

fn step_into(folder: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let no_links = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    rustix::fs::openat2(folder, name, flags | OFlags::CLOEXEC, Mode::empty(), no_links)
}

/// What a mount of something granted must not do.
pub(in crate::room) fn attributes(access: Access) -> u64 {
    let always = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    match access {
        Access::Read => always | libc::MOUNT_ATTR_RDONLY,
        Access::Write => always,
    }
}

/// Opens what is granted, which lies behind no symbolic link.
pub(in crate::room) fn open_granted(path: &Path) -> Result<OwnedFd, Errno> {
    look_up(path, ResolveFlags::NO_SYMLINKS)
}

fn look_up(path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Opens something of the host as a mount of its own.
fn open(path: &Path, attributes: u64, resolve: ResolveFlags) -> Result<Found, Errno> {
    let tree = copy(look_up(path, resolve)?.as_fd())?;
    kernel::add_mount_attributes(tree.as_fd(), attributes, Depth::Whole)?;
    Found::tree(tree)
}

fn host_proc() -> Result<OwnedFd, Errno> {
    copy(look_up(Path::new("/proc"), ResolveFlags::empty())?.as_fd())
}

/// The same for what may be absent, a symbolic link or behind one: it is the distribution's, and no server may write
/// there.
fn open_if_there(path: &Path, attributes: u64) -> Result<Option<Found>, Errno> {
    match rustix::fs::readlinkat(CWD, path, Vec::new()) {
        Ok(to) => {
            let to = OsStr::from_bytes(to.as_bytes());
            Ok(Some(Found::Link(PathBuf::from(to))))
        }
        Err(Errno::INVAL) => open(path, attributes, ResolveFlags::empty()).map(Some),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A mount of its own of what was looked up.
pub(in crate::room) fn copy(opened: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // Whole, since parts of a tree that somebody mightier has mounted may not be torn off.
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(opened, "", flags)
}

fn tmpfs(options: &[(&str, &str)]) -> Result<OwnedFd, Errno> {
    mounted("tmpfs", options, MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)
}

fn proc(source: ProcSource) -> Result<OwnedFd, Errno> {
    let options: &[_] =
        if source == ProcSource::Narrow { &[("hidepid", "2"), ("subset", "pid")] } else { &[] };
    let strict = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mounted("proc", options, strict)
}

fn mounted(kind: &str, options: &[(&str, &str)], attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (name, value) in options {
        rustix::mount::fsconfig_set_string(context.as_fd(), *name, *value)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}
