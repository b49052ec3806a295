//! The one folder that a light cell may write to without a grant.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

mod removal;

/// Every user can pass through it, since a server of root's is another user, and it is on a disk.
const PARENT: &str = "/var/tmp";

/// What the names of these folders begin with.
const PREFIX: &str = "casemate-cell-";

/// How often one is made anew that another casemate swept away under our hands.
const TRIES_MAX: usize = 3;

/// A private folder that is gone with this value. It is locked for as long, so that a folder whose owner was killed can be
/// told from one that is in use.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: tempfile::TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one for a server; when we are root it belongs to the server's account.
    pub(super) fn make(account: u32) -> io::Result<Scratch> {
        let mut made = Scratch::try_make();
        for _ in 0..TRIES_MAX {
            match made {
                Err(error) if is_swept(&error) => made = Scratch::try_make(),
                _ => break,
            }
        }
        let scratch = made?;
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::lchown(scratch.path(), Some(account), Some(account))?;
        }
        Ok(scratch)
    }

    fn try_make() -> io::Result<Scratch> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(PARENT)?;
        let lock = File::open(folder.path())?;
        lock.try_lock()?;
        // Somebody who swept had the lock before us, and the folder is gone.
        if folder.path().metadata()?.ino() != lock.metadata()?.ino() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Scratch { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = removal::remove(self.path()) {
            tracing::warn!(path = %self.path().display(), %error, "a server's folder cannot be removed");
        }
        // Nothing is left for it to remove; and what could not be is not walked through again.
        self.folder.disable_cleanup(true);
    }
}

/// Between the making of a folder and its lock another casemate may take it for one that was left behind.
fn is_swept(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock)
}

/// Removes what was left behind by a casemate that was killed. What belongs to others, or is in use, stays.
pub(super) fn sweep() {
    let Ok(entries) = std::fs::read_dir(PARENT) else { return };
    let ours = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
    for path in entries.filter_map(Result::ok).filter(ours).map(|entry| entry.path()) {
        if let Err(error) = sweep_one(&path) {
            tracing::debug!(path = %path.display(), %error, "left as it is");
        }
    }
}

fn sweep_one(path: &PathBuf) -> io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    let us = rustix::process::geteuid();
    if !found.is_dir() || !(us.is_root() || found.uid() == us.as_raw()) {
        return Ok(());
    }
    // What belongs to somebody else may have become something else meanwhile, and its server may have closed it.
    let folder = File::from(removal::open(rustix::fs::CWD, path.as_os_str())?);
    match folder.try_lock() {
        Ok(()) => removal::remove(path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_not_swept_and_one_that_was_left_is() {
        let used = Scratch::make(12_345).unwrap();
        // Whatever else sweeps on this machine lets it be until its owner is gone.
        let Scratch { folder: left, _lock: alive } = &Scratch::make(12_345).unwrap();
        std::fs::write(left.path().join("file"), "").unwrap();
        std::fs::set_permissions(left.path(), Permissions::from_mode(0o000)).unwrap();
        alive.unlock().unwrap();
        sweep();
        assert!(used.path().exists());
        assert!(!left.path().exists());
        assert_eq!(used.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let path = used.path().to_owned();
        drop(used);
        assert!(!path.exists());
    }
}
