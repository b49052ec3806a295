//! Files with keys and certificates, read only when nobody else could have written them.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// More than any chain of certificates needs.
const BYTES_MAX: u64 = 1 << 20;

/// Why a file is not read.
#[derive(Debug, Error)]
pub enum FileFault {
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is not a plain file", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// It is larger than anything that belongs there.
    #[error("{} is larger than {} KiB", path.display(), BYTES_MAX >> 10)]
    Size {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else owns it and could change it.
    #[error("{} belongs to uid {owner}, who is neither this user nor root", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Its mode lets others in.
    #[error("{} has mode {mode:04o}, so other users can {what} it\nhint: chmod {wanted} {}", path.display(), path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What others could do.
        what: &'static str,
        /// What to make of it.
        wanted: &'static str,
    },
}

/// Reads a file that nobody but its owner can read.
pub(super) fn private(path: &Path) -> Result<Vec<u8>, FileFault> {
    read(path, |mode| (mode & 0o077 != 0).then_some(("read", "600")))
}

/// Reads a file that nobody but its owner can change.
pub(super) fn public(path: &Path) -> Result<Vec<u8>, FileFault> {
    read(path, |mode| (mode & 0o022 != 0).then_some(("change", "go-w")))
}

/// Links are resolved once (certbot and Kubernetes use them); what they lead to is opened as no link and judged as it was
/// opened, so that nothing can be swapped in between.
fn read(
    path: &Path,
    exposed: impl Fn(u32) -> Option<(&'static str, &'static str)>,
) -> Result<Vec<u8>, FileFault> {
    let io_fault = |source| FileFault::Io { path: path.to_owned(), source };
    let resolved = std::fs::canonicalize(path).map_err(io_fault)?;
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&resolved).map_err(io_fault)?;
    let found = file.metadata().map_err(io_fault)?;
    judge(path, &found)?;
    if let Some((what, wanted)) = exposed(found.mode()) {
        return Err(FileFault::Mode { path: path.to_owned(), mode: found.mode() & 0o7777, what, wanted });
    }
    contents(file).map_err(io_fault)
}

fn judge(path: &Path, found: &Metadata) -> Result<(), FileFault> {
    if !found.is_file() {
        return Err(FileFault::Kind { path: path.to_owned() });
    }
    if found.len() > BYTES_MAX {
        return Err(FileFault::Size { path: path.to_owned() });
    }
    let owner = found.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(FileFault::Owner { path: path.to_owned(), owner });
    }
    Ok(())
}

fn contents(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
