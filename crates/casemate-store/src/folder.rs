//! Folders of mode 0700 and files of mode 0600, whatever the umask says, and a refusal of all others.
//!
//! Modes are given when a thing is created, never repaired afterwards: a file that was readable for a moment
//! may have been read, so a wrong mode is a fault with a remedy and not something to put right in silence.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

const FOLDER_MODE: u32 = 0o700;
pub(crate) const FILE_MODE: u32 = 0o600;

/// Why a folder or file cannot be trusted with secrets.
#[derive(Debug, Error)]
pub enum FolderFault {
    /// The system refused; the source says why.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It belongs to another user, who could change it under us.
    #[error("{path} belongs to uid {owner}, not to us (uid {own}); hint: chown it, or choose another folder")]
    Owner {
        /// The folder or file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        own: u32,
    },
    /// Its mode lets other users in.
    #[error("{path} has mode {mode:04o}, so other users may get at it; hint: chmod {wanted:04o} {path}")]
    Mode {
        /// The folder or file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// It is something else than a folder or a plain file, a symbolic link for example.
    #[error("{path} is not a {wanted}; hint: move it away")]
    Kind {
        /// The path.
        path: PathBuf,
        /// What it should be.
        wanted: &'static str,
    },
}

/// A folder that only our user can enter.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens the folder, creating it and its parents with mode 0700 where they are missing. The path is
    /// resolved once, so that a link in it which changes later cannot lead us elsewhere.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderFault> {
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
            .map_err(|source| io_fault("create the folder", path, source))?;
        let path = fs::canonicalize(path).map_err(|source| io_fault("resolve", path, source))?;
        let found = fs::metadata(&path).map_err(|source| io_fault("look at", &path, source))?;
        if !found.is_dir() {
            return Err(FolderFault::Kind { path, wanted: "folder" });
        }
        private(&path, &found, FOLDER_MODE)?;
        Ok(Folder { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that a private file of that name is there, empty when it was missing, without opening one
    /// that exists: closing any descriptor of a file drops the locks that SQLite holds on it in this process.
    pub(crate) fn claim(&self, name: &str) -> Result<PathBuf, FolderFault> {
        let path = self.path.join(name);
        match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path) {
            Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io_fault("create", &path, fault));
            }
            _ => {}
        }
        let found = fs::symlink_metadata(&path).map_err(|source| io_fault("look at", &path, source))?;
        private_file(&path, &found)?;
        Ok(path)
    }

    /// Opens a private file for appending and reading back, creating it where it is missing. A symbolic link
    /// is refused.
    pub(crate) fn append(&self, name: &str) -> Result<File, FolderFault> {
        let path = self.path.join(name);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(FILE_MODE)
            .custom_flags(nofollow())
            .open(&path)
            .map_err(|source| io_fault("open", &path, source))?;
        let found = file.metadata().map_err(|source| io_fault("look at", &path, source))?;
        private_file(&path, &found)?;
        Ok(file)
    }
}

pub(crate) fn io_fault(doing: &'static str, path: &Path, source: io::Error) -> FolderFault {
    FolderFault::Io { doing, path: path.to_path_buf(), source }
}

pub(crate) fn private_file(path: &Path, found: &Metadata) -> Result<(), FolderFault> {
    if !found.is_file() {
        return Err(FolderFault::Kind { path: path.to_path_buf(), wanted: "plain file" });
    }
    private(path, found, FILE_MODE)
}

fn private(path: &Path, found: &Metadata, wanted: u32) -> Result<(), FolderFault> {
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own {
        return Err(FolderFault::Owner { path: path.to_path_buf(), owner: found.uid(), own });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FolderFault::Mode { path: path.to_path_buf(), mode, wanted });
    }
    Ok(())
}

pub(crate) fn nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
}
